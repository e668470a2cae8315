//! Load balancers in front, and several gateways on one store.

use std::io::{Read as _, Write as _};

use super::fakes::Serial;
use super::*;
use crate::program::Folder;

const SERIAL: &str = r#"{"guest":"vm1","protocol":"serial"}"#;

fn place(port: u16) -> String {
    format!("host = \"127.0.0.1\"\nport = {port}")
}

/// A request behind a header of the PROXY protocol.
fn behind(web: SocketAddr, header: &[u8], line: &str) -> String {
    let mut stream = std::net::TcpStream::connect(web).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("{line} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n");
    stream.write_all(&[header, request.as_bytes()].concat()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_load_balancer_says_whose_connection_it_is() {
    let serial = Serial::start();
    let sections = "proxy_protocol = [\"127.0.0.0/8\"]\nforwarded = [\"192.0.2.0/24\"]";
    let service = Service::start(&with(sections, &guest("vm1", "serial", &place(serial.port))));
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    binary.extend([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x16, 0xe2]);
    let text = b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 5858\r\n";
    for header in [&text[..], &binary] {
        let answer = behind(service.web(), header, "GET /serial.html");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    for header in [&b""[..], b"PROXY TCP4 x\r\n"] {
        let answer = behind(service.web(), header, "GET /serial.html");
        assert_eq!(answer, "", "{}", header.escape_ascii());
    }
    let (_, _, log) = service.stop("TERM");
    assert!(log.contains("does not begin with a header"), "{log}");
}

/// A load balancer looks whether a listener is there, and hangs up or resets the connection without a word: that is no refusal.
/// A peer that shows no token does not get into the audit log, whatever it sends.
#[tokio::test]
async fn a_load_balancer_that_only_looks_is_not_refused() {
    let folder = Folder::new();
    let audit = folder.path("audit.jsonl");
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    folder.write("server.pem", own.cert.pem());
    folder.write("server.key", own.signing_key.serialize_pem());
    let sections = "spice = \"127.0.0.1:0\"\nspice_tls = \"127.0.0.1:0\"\nvnc = \"127.0.0.1:0\"\n\
                    certificate = \"server.pem\"\nprivate_key = \"server.key\"\nproxy_protocol = [\"127.0.0.0/8\"]\n\
                    [public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\nspice_tls_port = \"bound\"\nca = \"server.pem\"\n\
                    [operate]\naudit = \"audit.jsonl\"";
    let vm = guest("vm1", "vnc", &format!("{}\nauth = [\"none\"]", place(9)));
    let service = Service::start_in(folder, &with(sections, &vm));
    // As haproxy begins a connection of its own: LOCAL, without addresses.
    let header = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    let metrics = || call(&service, "GET /metrics", "").body;
    let looks = |name: &str, says: &[u8], resets: bool| {
        let address = service.address(name).unwrap();
        let mut stream = std::net::TcpStream::connect(address).unwrap_or_else(|error| panic!("{name}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[header, says].concat()).unwrap();
        if name == "vnc" {
            stream.read_exact(&mut [0; 12]).unwrap();
        } else {
            // The header is read before the connection is gone.
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        if resets {
            socket2::SockRef::from(&stream)
                .set_linger(Some(std::time::Duration::ZERO))
                .unwrap();
        }
    };
    for resets in [false, true] {
        for name in ["spice", "spice_tls", "web_plain", "vnc"] {
            looks(name, b"", resets);
        }
    }
    // A word, and then nothing: that is one.
    looks("vnc", b"RFB 003.008\n", false);
    let refused = "console_gateway_refusals_total{reason=\"vnc\"} 1\n";
    soon("a refusal", || metrics().contains(refused)).await;
    let body = metrics();
    let refusals: Vec<_> = body
        .lines()
        .filter(|line| line.starts_with("console_gateway_refusals_total{"))
        .collect();
    assert_eq!(refusals, [refused.trim_end()]);
    assert_eq!(std::fs::read_to_string(audit).unwrap(), "");
    let (_, _, log) = service.stop("TERM");
    assert_eq!(log.matches("gone without a word").count(), 8, "{log}");
}

#[tokio::test]
async fn a_reverse_proxy_says_whose_request_it_is() {
    let serial = Serial::start();
    let sections = "forwarded = [\"127.0.0.1\"]\n[public]\nurl = \"https://console.example.org\"";
    let second = Serial::start();
    let guests = [
        guest("vm1", "serial", &place(serial.port)),
        guest("vm2", "serial", &place(second.port)),
    ];
    let service = Service::start(&with(sections, &guests.concat()));
    let created = created(&service, SERIAL);
    assert!(
        created
            .json("url")
            .starts_with("https://console.example.org/serial.html?token="),
        "{created:?}"
    );
    let target = format!("/?token={}", created.json("token"));
    let headers = [
        ("origin", "https://console.example.org"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
    ];
    let _socket = websocket_with(service.web(), &target, &headers).await.unwrap();
    // A host that only the proxy was asked for is our own, too; without the proxy's word it is not.
    let other = token(&service, r#"{"guest":"vm2","protocol":"serial"}"#);
    let target = format!("/?token={other}");
    let refused = [
        ("origin", "https://other.example.org"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    assert_eq!(websocket_with(service.web(), &target, &refused).await.err(), Some(403));
    let headers = [
        ("origin", "https://other.example.org"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "other.example.org"),
    ];
    let _other = websocket_with(service.web(), &target, &headers)
        .await
        .expect("the same origin");
    let peer = sessions(&service)[0]["peer"].as_str().unwrap().to_owned();
    assert!(peer.starts_with("203.0.113.9"), "{peer}");
}

/// Two gateways share a file: tokens are spent once among them, operators see and end what the other one has, and a gateway
/// that comes back still honours its tokens.
#[tokio::test]
async fn gateways_share_a_store() {
    let serial = Serial::start();
    let folder = Folder::new();
    let database = folder.write("gateway.db", "");
    let make = |id: &str| {
        let folder = Folder::new();
        folder.write("pepper", "pepper-of-this-test-pepper-of-this-test");
        let store = format!(
            "[store]\nurl = \"sqlite:{}\"\npepper_file = \"pepper\"\ngateway_id = \"{id}\"",
            database.display()
        );
        Service::start_in(folder, &with(&store, &guest("vm1", "serial", &place(serial.port))))
    };
    let (one, two) = (make("one"), make("two"));
    let made_at_one = token(&one, SERIAL);
    let mut socket = websocket(two.web(), &made_at_one)
        .await
        .expect("a token of the other gateway");
    assert_eq!(websocket(one.web(), &made_at_one).await.err(), Some(403));
    assert_eq!(
        websocket(one.web(), &token(&one, SERIAL)).await.err(),
        Some(409),
        "the seat is taken at the other"
    );
    soon("the session in both lists", || {
        sessions(&one).iter().any(|session| session["gateway"] == "two")
    })
    .await;
    let id = sessions(&one)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(call(&one, &format!("DELETE /v1/sessions/{id}"), "").status, 204);
    assert_eq!(close_code(&mut socket).await, Some(1008));

    let kept = token(&one, SERIAL);
    let (status, ..) = one.stop("KILL");
    assert!(!status.success());
    let again = make("one");
    soon("a free seat", || sessions(&again).is_empty()).await;
    websocket(again.web(), &kept).await.expect("it is still good");
}
