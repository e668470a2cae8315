//! Two gateways on one engine: what one has made opens a console at the other, once; and a balancer before both.

use std::net::{SocketAddr, TcpStream};

use super::{LISTENERS, at, certificate, gets_a_key, guest, still, vnc_server};
use crate::devtools::Browser;
use crate::engines::{Engine, Kind, url};
use crate::gateway::Gateway;
use crate::guest::LOSSLESS;
use crate::migration::host::Host;
use crate::ports::free_port;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::{Desktop, Endpoint, screenshot};

fn is_shared(kind: Kind) {
    let engine = Engine::start(kind);
    let folder = Folder::new();
    let mut address = None;
    let mut host = still(&folder, "qemu", |command| {
        command.args(["-vga", "std"]);
        address = Some(vnc_server(command, ",share=ignore"));
    });
    let expected = host.picture();
    certificate(&folder);
    folder.write("pepper", [b'p'; 48]);
    let vm = guest("vm", "vnc", &[at(address.expect("an address")) + "auth = [\"none\"]\n"]);
    let store = url(kind, &engine.address());
    let start = |id: &str| {
        let store = format!("[store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"{id}\"\n");
        Gateway::named(&folder, id, &format!("{LISTENERS}{store}{vm}"))
    };
    let (first, second) = (start("gw1"), start("gw2"));
    let access = first.access("vm", "vnc", "novnc");
    let (own, other) = (
        first.websocket.expect("a listener"),
        second.websocket.expect("a listener"),
    );
    let elsewhere = access.url.replace(&own.to_string(), &other.to_string());
    assert_ne!(elsewhere, access.url);
    let mut browser = Browser::open(&folder, "shared", &elsewhere);
    browser.shows(&expected);
    // The first one knows of it, and ends it.
    let (_, sessions) = first.call("GET /v1/sessions", "", "");
    assert!(sessions.contains("\"gateway\":\"gw2\""), "{sessions}");
    for (name, url) in [("same", &access.url), ("there", &elsewhere)] {
        Browser::open(&folder, name, url).says("#status", "Something went wrong");
    }
    let (status, _) = first.call("DELETE /v1/guests/vm/tokens", "", "");
    assert_eq!(status, 204);
    wait_for("the end of the session", || {
        (!browser.text("#status").starts_with("Connected")).then_some(())
    });
}

#[test]
#[ignore = "needs QEMU, Chromium, noVNC and Redis"]
fn two_gateways_on_redis() {
    is_shared(Kind::Redis);
}

#[test]
#[ignore = "needs QEMU, Chromium, noVNC and PostgreSQL"]
fn two_gateways_on_postgresql() {
    is_shared(Kind::Postgres);
}

/// nginx sends each address to one of two gateways, as SPICE sessions want it. A token of either opens the guest there, and
/// is spent once; and a third gateway opens what was made before it was there.
#[test]
#[ignore = "needs QEMU, remote-viewer, nginx and Redis"]
fn a_balancer_by_address_before_two_gateways() {
    let engine = Engine::start(Kind::Redis);
    let folder = Folder::new();
    let (mut host, address) = spice_host(&folder);
    let expected = host.picture();
    certificate(&folder);
    folder.write("pepper", [b'p'; 48]);
    let vm = guest("vm", "spice", &[at(address) + "qmp = \"unix:vm.qmp\"\n"]);
    let store = url(Kind::Redis, &engine.address());
    let balanced = free_port();
    let listeners = LISTENERS.replace("\"bound\"", &balanced.port().to_string());
    let start = |id: &str| {
        let store = format!("[store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"{id}\"\n");
        Gateway::named(&folder, id, &format!("{listeners}{store}{vm}"))
    };
    let (first, second) = (start("gw1"), start("gw2"));
    let plains = [&first, &second].map(|gateway| gateway.plain.expect("the SPICE listener"));
    let _nginx = balancer(&folder, balanced, &plains, "hash $remote_addr; ");
    let through = Endpoint::plain(balanced);
    let desktop = Desktop::start(&folder);
    let vv = first.console_of("vm", "balanced", 60);
    assert_eq!(vv.get("port"), Some(balanced.port().to_string()));
    let viewer = desktop.open("balanced", &vv);
    viewer.wait_for_window("balanced");
    viewer.wait_for_picture(&expected);
    gets_a_key(&host, || {
        desktop.focus("balanced.*");
        desktop.press("b");
    });
    screenshot(&folder, "spent", &through, &vv.password()).assert_refused();
    let other = second.console_of("vm", "other", 60).password();
    let shown = screenshot(&folder, "other", &through, &other).picture();
    assert!(shown == expected, "the gateways changed the picture");
    viewer.end(&expected);
    // Both are gone, and one comes that has seen nothing of this.
    let kept = first.console_of("vm", "kept", 60).password();
    drop((first, second));
    let third = start("gw3");
    let through = Endpoint::plain(third.plain.expect("the SPICE listener"));
    let shown = screenshot(&folder, "kept", &through, &kept).picture();
    assert!(shown == expected, "the third gateway changed the picture");
}

/// nginx deals connections out in turn among three gateways: the channels of one viewer are at all of them, and the session is
/// at one. A gateway that does not have it ends it.
#[test]
#[ignore = "needs QEMU, remote-viewer, nginx and PostgreSQL"]
fn a_balancer_that_deals_out_before_three_gateways() {
    let engine = Engine::start(Kind::Postgres);
    let folder = Folder::new();
    let (mut host, address) = spice_host(&folder);
    let expected = host.picture();
    certificate(&folder);
    folder.write("pepper", [b'p'; 48]);
    let vm = guest("vm", "spice", &[at(address) + "qmp = \"unix:vm.qmp\"\n"]);
    let store = url(Kind::Postgres, &engine.address());
    let balanced = free_port();
    let listeners = LISTENERS.replace("\"bound\"", &balanced.port().to_string());
    let start = |id: &str| {
        let store = format!("[store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"{id}\"\n");
        Gateway::named(&folder, id, &format!("{listeners}{store}{vm}"))
    };
    let gateways = ["gw1", "gw2", "gw3"].map(start);
    let plains = gateways
        .each_ref()
        .map(|gateway| gateway.plain.expect("the SPICE listener"));
    let _nginx = balancer(&folder, balanced, &plains, "");
    let through = Endpoint::plain(balanced);
    let desktop = Desktop::start(&folder);
    let vv = gateways[0].console_of("vm", "dealt out", 60);
    let viewer = desktop.open("dealt-out", &vv);
    viewer.wait_for_window("dealt out");
    viewer.wait_for_picture(&expected);
    gets_a_key(&host, || {
        desktop.focus("dealt out.*");
        desktop.press("b");
    });
    screenshot(&folder, "spent", &through, &vv.password()).assert_refused();
    let sessions = gateways.each_ref().map(|gateway| {
        let (_, text) = gateway.call("GET /v1/sessions", "", "");
        text.matches("\"guest\":\"vm\"").count()
    });
    assert_eq!(sessions, [1; 3]);
    let handed = gateways
        .each_ref()
        .map(|gateway| gateway.process.logged().contains("handed on to the gateway"));
    assert_eq!(handed.iter().filter(|handed| **handed).count(), 2, "{handed:?}");
    // A second viewer beside it, whose channels are dealt out as well.
    let other = gateways[1].console_of("vm", "other", 60).password();
    let shown = screenshot(&folder, "other", &through, &other).picture();
    assert!(shown == expected, "the gateways changed the picture");
    let (status, _) = gateways[2].call("DELETE /v1/guests/vm/tokens", "", "");
    assert_eq!(status, 204);
    wait_for("the end of the session", || {
        desktop.picture().find(&expected).is_none().then_some(())
    });
    viewer.end(&expected);
}

/// The channels of spice-html5 come as WebSockets, each to the gateway whose turn it is.
#[test]
#[ignore = "needs QEMU, Chromium, spice-html5, nginx and Redis"]
fn spice_html5_over_two_gateways() {
    let engine = Engine::start(Kind::Redis);
    let folder = Folder::new();
    let (mut host, address) = spice_host(&folder);
    let expected = host.picture();
    certificate(&folder);
    folder.write("pepper", [b'p'; 48]);
    let vm = guest("vm", "spice", &[at(address) + "qmp = \"unix:vm.qmp\"\n"]);
    let store = url(Kind::Redis, &engine.address());
    let balanced = free_port();
    let listeners = LISTENERS.replace("[public]\n", &format!("[public]\nurl = \"http://{balanced}\"\n"));
    let start = |id: &str| {
        let store = format!("[store]\nurl = \"{store}\"\npepper_file = \"pepper\"\ngateway_id = \"{id}\"\n");
        Gateway::named(&folder, id, &format!("{listeners}{store}{vm}"))
    };
    let gateways = ["gw1", "gw2"].map(start);
    let webs = gateways
        .each_ref()
        .map(|gateway| gateway.websocket.expect("the web listener"));
    let _nginx = balancer(&folder, balanced, &webs, "");
    let access = gateways[0].access("vm", "spice", "spice-html5");
    let mut browser = Browser::open(&folder, "spice", &access.url);
    browser.shows_on("#spice-screen canvas", &expected);
    gets_a_key(&host, || {
        browser.click("#spice-screen canvas");
        browser.types("s");
    });
    assert!(host.typed().ends_with(b"s"));
    let handed = |gateway: &Gateway| gateway.process.logged().contains("handed on to the gateway");
    assert!(gateways.iter().any(handed));
}

/// A QEMU with SPICE and its monitor, whose guest says which keys it gets.
fn spice_host(folder: &Folder) -> (Host<'_>, SocketAddr) {
    let address = free_port();
    let host = still(folder, "qemu", |command| {
        command
            .args(["-spice", &format!("addr=127.0.0.1,port={},{LOSSLESS}", address.port())])
            .args(["-device", "qxl-vga"])
            .args(["-qmp", "unix:vm.qmp,server=on,wait=off"]);
    });
    (host, address)
}

/// nginx as a balancer: in turn, or by what `rule` says.
fn balancer(folder: &Folder, address: SocketAddr, gateways: &[SocketAddr], rule: &str) -> Process {
    let servers: String = gateways.iter().map(|gateway| format!("server {gateway}; ")).collect();
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; master_process off; pid nginx.pid; error_log stderr;
events {{}}
stream {{ upstream gateways {{ {rule}{servers} }} server {{ listen {address}; proxy_pass gateways; }} }}
"
    );
    let file = folder.write("nginx.conf", text);
    let process = Process::start(folder, "nginx", "/usr/sbin/nginx", |command| {
        command.arg("-p").arg(folder.path()).arg("-c").arg(file);
    });
    wait_for("nginx", || TcpStream::connect(address).ok());
    process
}
