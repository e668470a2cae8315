//! Consoles that other programs know: a Nova that is another process, and websockify's token files.

use std::net::{SocketAddr, TcpStream};

use super::{LISTENERS, at, certificate, gets_a_key, guest, still, vnc_server};
use crate::devtools::Browser;
use crate::gateway::{Gateway, Vv};
use crate::guest::LOSSLESS;
use crate::ports::free_port;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;

/// A gateway as Kerbside: it asks a Nova, here another gateway, where a token leads, and gives out a connection file of its
/// own for it, once. Nova's hypervisors have no ticket.
#[test]
#[ignore = "needs QEMU and remote-viewer"]
fn remote_viewer_with_a_token_of_another_nova() {
    let folder = Folder::new();
    let address = free_port();
    let mut host = still(&folder, "qemu", |command| {
        let port = address.port();
        command
            .args([
                "-spice",
                &format!("addr=127.0.0.1,port={port},disable-ticketing=on,{LOSSLESS}"),
            ])
            .args(["-device", "qxl-vga"]);
    });
    let expected = host.picture();
    certificate(&folder);
    folder.write("ticket", "nobody-asks");
    let vm = guest(
        "52b2e44e-e561-464c-88f3-2fc6a1ecea2b",
        "spice",
        &[at(address) + "ticket_file = \"ticket\"\n"],
    );
    let nova = Gateway::named(&folder, "nova", &format!("{LISTENERS}{vm}"));
    let resolve = format!(
        "[resolve]\nnova = {{ url = \"http://{}/v2.1\", token_file = \"api.token\", protocol = \"spice\" }}\nallow = [\"{address}\"]\n",
        nova.api
    );
    let kerbside = Gateway::named(&folder, "kerbside", &format!("{LISTENERS}{resolve}"));
    let (status, text) = nova.call(
        "POST /v2.1/servers/52b2e44e-e561-464c-88f3-2fc6a1ecea2b/remote-consoles",
        "OpenStack-API-Version: compute 2.99\r\n",
        "{\"remote_console\":{\"protocol\":\"spice\",\"type\":\"spice-direct\"}}",
    );
    assert_eq!(status, 200, "{text}");
    let created: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let url = created["remote_console"]["url"].as_str().expect("a URL").to_owned();
    assert!(url.contains("/nova?token="), "{url}");
    let (head, text) = kerbside.follow(&url);
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let vv = Vv { text };
    let port = kerbside.plain.expect("the SPICE listener").port();
    assert_eq!(vv.get("port"), Some(port.to_string()));
    assert!(kerbside.follow(&url).0.starts_with("HTTP/1.1 403 "), "exchanged twice");
    let desktop = Desktop::start(&folder);
    let viewer = desktop.open("kerbside", &vv);
    viewer.wait_for_picture(&expected);
    gets_a_key(&host, || {
        desktop.focus("52b2e44e.*");
        desktop.press("k");
    });
    viewer.end(&expected);
}

/// One token file for websockify and for the gateway: both lead noVNC to the same console by the same name, and by no other.
#[test]
#[ignore = "needs QEMU, Chromium, noVNC and websockify"]
fn a_token_file_of_websockify() {
    let folder = Folder::new();
    let mut address = None;
    let mut host = still(&folder, "qemu", |command| {
        command.args(["-vga", "std"]);
        address = Some(vnc_server(command, ",share=ignore"));
    });
    let (expected, address) = (host.picture(), address.expect("an address"));
    certificate(&folder);
    let file = folder.write(
        "tokens.cfg",
        format!("# the consoles of one host\n\nfirst: 127.0.0.1:9\nvm-console: {address}\n"),
    );
    let resolve =
        format!("[resolve]\nwebsockify = {{ path = \"tokens.cfg\", protocol = \"vnc\" }}\nallow = [\"{address}\"]\n");
    let gateway = Gateway::start(&folder, &format!("{LISTENERS}{resolve}"));
    let theirs = free_port();
    let _websockify = Process::start(&folder, "websockify", "websockify", |command| {
        command
            .args([
                "--web",
                "/usr/share/novnc",
                "--token-plugin",
                "TokenFile",
                "--token-source",
            ])
            .arg(file)
            .arg(theirs.to_string());
    });
    wait_for("websockify", || TcpStream::connect(theirs).ok());
    let ours = gateway.websocket.expect("the web listener");
    let page =
        |server: SocketAddr, token: &str| format!("http://{server}/vnc_lite.html?path=websockify%3Ftoken%3D{token}");
    for (name, server) in [("websockify", theirs), ("gateway", ours)] {
        let mut browser = Browser::open(&folder, name, &page(server, "vm-console"));
        browser.shows(&expected);
        gets_a_key(&host, || {
            browser.click("#screen canvas");
            browser.types("w");
        });
        let mut other = Browser::open(&folder, &format!("{name}-other"), &page(server, "vm-consol"));
        other.says("#status", "Something went wrong");
    }
}
