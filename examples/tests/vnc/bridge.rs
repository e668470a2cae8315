//! vnc-bridge, between vnc-screenshot and vnc-picture.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::program::{Folder, METHODS, Server, USER};

const BRIDGE: &str = env!("CARGO_BIN_EXE_vnc-bridge");
const ORIGIN: &str = "http://127.0.0.1:8080";

/// A configuration in which the tenant and the hypervisor have all that any method needs.
fn configuration(tenant: &str, hypervisor: &str, address: SocketAddr) -> String {
    format!(
        "[tenant]\ntcp = \"127.0.0.1:0\"\nwebsocket = \"127.0.0.1:0\"\norigins = [\"{ORIGIN}\"]\n\
         security = [\"{tenant}\"]\nuser = \"{USER}\"\npassword_file = \"right\"\n\
         certificate = \"cert.pem\"\nprivate_key = \"key.pem\"\n\
         [hypervisor]\naddress = \"{address}\"\nsecurity = [\"{hypervisor}\"]\nca = \"cert.pem\"\n\
         user = \"{USER}\"\npassword_file = \"right\"\n"
    )
}

/// A running bridge.
struct Bridge {
    tcp: SocketAddr,
    websocket: SocketAddr,
    _process: Server,
}

impl Bridge {
    fn start(folder: &Folder, configuration: &str) -> Self {
        folder.write("bridge.toml", configuration);
        let process = Server::start(folder, BRIDGE, &["--config", "bridge.toml"]);
        let line: serde_json::Value = serde_json::from_str(&process.line).expect("a line of JSON");
        let address = |name: &str| line[name].as_str().and_then(|text| text.parse().ok()).expect(name);
        Self {
            tcp: address("tcp"),
            websocket: address("websocket"),
            _process: process,
        }
    }
}

#[test]
fn every_method_on_one_side_meets_every_method_on_the_other() {
    let folder = Folder::new();
    for hypervisor in METHODS {
        let (address, _process) = Server::picture(&folder, hypervisor);
        for tenant in ["none", "vnc", "x509-none", "x509-vnc", "x509-plain"] {
            let pair = format!("{tenant} to {hypervisor}");
            let bridge = Bridge::start(&folder, &configuration(tenant, hypervisor, address));
            folder
                .screenshot(bridge.tcp, tenant, &["--password-file=right"])
                .expect(&pair);
            assert!(folder.shows_the_picture(), "{pair}");
            if !tenant.ends_with("none") {
                let said = folder.screenshot(bridge.tcp, tenant, &["--password-file=wrong"]);
                let refused = "vnc-screenshot: authentication failed: Authentication failed\n";
                assert_eq!(said.expect_err(&pair), refused, "{pair}");
            }
        }
    }
}

#[test]
fn a_password_passes_through() {
    let folder = Folder::new();
    for hypervisor in ["vnc", "x509-vnc"] {
        let (address, _process) = Server::picture(&folder, hypervisor);
        for tenant in ["vnc", "x509-vnc"] {
            let pair = format!("{tenant} to {hypervisor}");
            let configuration = configuration(tenant, hypervisor, address);
            let configuration = configuration.replace("password_file = \"right\"\n", "");
            let configuration = configuration.replace("[hypervisor]", "passthrough = true\n[hypervisor]");
            let bridge = Bridge::start(&folder, &configuration);
            folder
                .screenshot(bridge.tcp, tenant, &["--password-file=right"])
                .expect(&pair);
            assert!(folder.shows_the_picture(), "{pair}");
            let said = folder.screenshot(bridge.tcp, tenant, &["--password-file=wrong"]);
            assert!(said.expect_err(&pair).contains("authentication failed"), "{pair}");
        }
    }
}

#[test]
fn a_tenant_is_not_told_what_is_wrong_with_the_hypervisor() {
    let folder = Folder::new();
    let (address, process) = Server::picture(&folder, "x509-vnc");
    let good = configuration("vnc", "x509-vnc", address);
    let refused = |configuration: &str, what: &str| {
        let bridge = Bridge::start(&folder, configuration);
        let said = folder.screenshot(bridge.tcp, "vnc", &["--password-file=right"]);
        let told = "vnc-screenshot: authentication failed: Authentication with the console failed\n";
        assert_eq!(said.expect_err(what), told, "{what}");
    };
    let stranger = good.replace("ca = \"cert.pem\"", "ca = \"stranger.pem\"");
    refused(&stranger, "another authority");
    refused(
        &format!("{good}server_name = \"console.example.org\"\n"),
        "another name",
    );
    let (before, own) = good.split_once("[hypervisor]").expect("two tables");
    let wrong = format!("{before}[hypervisor]{}", own.replace("right", "wrong"));
    refused(&wrong, "another password");
    refused(&good.replace("[\"x509-vnc\"]", "[\"x509-none\"]"), "another method");
    drop(process);
    refused(&good, "nobody there");
}

/// The head of a WebSocket's beginning, and what the bridge says to it.
fn knock(server: SocketAddr, target: &str, origin: Option<&str>) -> String {
    let mut stream = TcpStream::connect(server).expect("a bridge");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let origin = origin.map(|origin| format!("Origin: {origin}\r\n")).unwrap_or_default();
    // The key is the example of RFC 6455.
    let request = format!(
        "GET {target} HTTP/1.1\r\nHost: {server}\r\n{origin}Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    // What is wanted is the greeting of the bridge, or that there is none.
    while !answer.ends_with(b"RFB 003.008\n") {
        let mut part = [0; 1024];
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) => panic!("{error}: {}", answer.escape_ascii()),
        }
        let text = String::from_utf8_lossy(&answer);
        if text.ends_with("\r\n\r\n") && !text.starts_with("HTTP/1.1 101 ") {
            break;
        }
    }
    answer.escape_ascii().to_string()
}

#[test]
fn only_pages_from_known_places_may_connect() {
    let folder = Folder::new();
    let bridge = Bridge::start(
        &folder,
        &configuration("none", "none", "127.0.0.1:1".parse().expect("an address")),
    );
    let answer = knock(bridge.websocket, "/websockify", Some(ORIGIN));
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // A binary message of 12 bytes.
    assert!(answer.ends_with(r"\x82\x0cRFB 003.008\n"), "{answer}");
    for origin in [
        None,
        Some("http://127.0.0.1:8081"),
        Some("https://127.0.0.1:8080"),
        Some("null"),
    ] {
        let answer = knock(bridge.websocket, "/websockify", origin);
        assert!(answer.starts_with("HTTP/1.1 403 "), "{origin:?}: {answer}");
    }
    let answer = knock(bridge.websocket, "/", Some(ORIGIN));
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
}

#[test]
fn a_configuration_that_does_not_hold_together_is_refused() {
    let folder = Folder::new();
    let good = configuration("x509-plain", "x509-plain", "127.0.0.1:1".parse().expect("an address"));
    for (from, to, why) in [
        (
            "tcp = \"127.0.0.1:0\"\nwebsocket = \"127.0.0.1:0\"\n",
            "",
            "[tenant] needs a listener: tcp, websocket or both",
        ),
        (
            "origins",
            "# ",
            "[tenant] websocket and origins need each other: any page could connect otherwise",
        ),
        (
            "security = [\"x509-plain\"]",
            "security = []",
            "[tenant] security is empty",
        ),
        ("private_key", "# ", "[tenant] x509 needs certificate and private_key"),
        (
            "user = \"alice\"",
            "",
            "[tenant] plain needs user, and cannot be passed through",
        ),
        (
            "password_file = \"right\"",
            "",
            "[tenant] needs password_file, or passthrough instead of it",
        ),
        (
            "password_file = \"right\"",
            "password_file = \"empty\"",
            "[tenant] password_file: the password is empty",
        ),
        ("cert.pem", "right", "[tenant] certificate: no certificate in PEM"),
        ("ca = \"cert.pem\"", "", "[hypervisor] x509 needs ca"),
        (
            "ca = \"cert.pem\"",
            "ca = \"right\"",
            "[hypervisor] ca: no certificate in PEM",
        ),
        (
            "ca = \"cert.pem\"\nuser = \"alice\"",
            "ca = \"cert.pem\"",
            "[hypervisor] plain needs user",
        ),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{why}");
        folder.write("bridge.toml", bad);
        let said = folder.run(BRIDGE, &["--config", "bridge.toml"]).expect_err(why);
        assert_eq!(said, format!("vnc-bridge: bridge.toml: {why}\n"));
    }
    let said = folder.run(BRIDGE, &["--config", "absent.toml"]).expect_err("no file");
    assert_eq!(
        said,
        "vnc-bridge: absent.toml: No such file or directory (os error 2)\n"
    );
}
