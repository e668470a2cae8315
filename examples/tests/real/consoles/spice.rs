//! SPICE whose tickets the gateway sets itself, at QEMU's monitor.

use std::net::SocketAddr;

use super::{LISTENERS, at, certificate, gets_a_key, guest, still};
use crate::devtools::Browser;
use crate::gateway::{Gateway, Vv, json_text};
use crate::guest::LOSSLESS;
use crate::migration::host::Host;
use crate::ports::free_port;
use crate::process::Folder;
use crate::viewer::{Desktop, Endpoint, screenshot};

/// A QEMU that has no ticket until one is set, and the gateway before it.
fn scene(folder: &Folder) -> (Host<'_>, Gateway, SocketAddr) {
    let address = free_port();
    let host = still(folder, "qemu", |command| {
        command
            .args(["-spice", &format!("addr=127.0.0.1,port={},{LOSSLESS}", address.port())])
            .args(["-device", "qxl-vga"])
            .args(["-qmp", "unix:vm.qmp,server=on,wait=off"]);
    });
    certificate(folder);
    let place = at(address) + "qmp = \"unix:vm.qmp\"\n";
    let gateway = Gateway::start(folder, &(LISTENERS.to_owned() + &guest("vm", "spice", &[place])));
    (host, gateway, address)
}

/// remote-viewer with the file of a tunnel: `proxy=` leads it through CONNECT, and the ticket in the file is QEMU's own.
#[test]
#[ignore = "needs QEMU and remote-viewer"]
fn remote_viewer_through_connect() {
    let folder = Folder::new();
    let (mut host, gateway, address) = scene(&folder);
    let expected = host.picture();
    let desktop = Desktop::start(&folder);
    let created = gateway
        .create("{\"guest\":\"vm\",\"protocol\":\"spice\",\"type\":\"spice-tunnel\",\"title\":\"through a tunnel\"}");
    let (head, text) = gateway.follow(&json_text(&created, "url"));
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let vv = Vv { text };
    assert!(vv.get("proxy").is_some_and(|proxy| proxy.starts_with("http://")));
    // The ticket alone opens QEMU, and the token opens nothing but the tunnel.
    let viewer = desktop.open("tunnel", &vv);
    viewer.wait_for_window("through a tunnel");
    viewer.wait_for_picture(&expected);
    gets_a_key(&host, || {
        desktop.focus("through a tunnel.*");
        desktop.press("t");
    });
    let (_, sessions) = gateway.call("GET /v1/sessions", "", "");
    assert_eq!(sessions.matches("\"guest\":\"vm\"").count(), 1, "{sessions}");
    screenshot(&folder, "direct", &Endpoint::plain(address), "no-ticket").assert_refused();
    viewer.end(&expected);
}

/// The gateway sets the ticket of its own links. A second viewer does not shut out the first, and what tenants hold opens
/// no hypervisor.
#[test]
#[ignore = "needs QEMU and remote-viewer"]
fn tickets_are_set_at_the_monitor() {
    let folder = Folder::new();
    let (mut host, gateway, address) = scene(&folder);
    let expected = host.picture();
    let desktop = Desktop::start(&folder);
    let through = Endpoint::plain(gateway.plain.expect("the SPICE listener"));
    let first = gateway.console_of("vm", "first", 60);
    screenshot(&folder, "direct", &Endpoint::plain(address), &first.password()).assert_refused();
    let shown = screenshot(&folder, "first", &through, &first.password()).picture();
    assert!(shown == expected, "the gateway changed the picture");
    screenshot(&folder, "spent", &through, &first.password()).assert_refused();
    // Another one, after and beside it.
    let vv = gateway.console_of("vm", "stays", 60);
    let viewer = desktop.open("stays", &vv);
    viewer.wait_for_window("stays");
    viewer.wait_for_picture(&expected);
    let last = gateway.console_of("vm", "last", 60);
    let shown = screenshot(&folder, "last", &through, &last.password()).picture();
    assert!(shown == expected, "the gateway changed the picture of the third viewer");
    viewer.end(&expected);
}

/// spice-html5 from the gateway's own page, opened at the URL that the API gave.
#[test]
#[ignore = "needs QEMU, Chromium and spice-html5"]
fn spice_html5_on_the_gateways_own_page() {
    let folder = Folder::new();
    let (mut host, gateway, _) = scene(&folder);
    let expected = host.picture();
    let access = gateway.access("vm", "spice", "spice-html5");
    let mut browser = Browser::open(&folder, "spice", &access.url);
    browser.shows_on("#spice-screen canvas", &expected);
    gets_a_key(&host, || {
        browser.click("#spice-screen canvas");
        browser.types("s");
    });
    assert!(host.typed().ends_with(b"s"));
}
