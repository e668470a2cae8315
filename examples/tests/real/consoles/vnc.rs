//! VNC with native viewers, and in a browser on the gateway's own page.

use std::path::Path;

use examples::vnc::Method;

use super::{LISTENERS, at, certificate, gets_a_key, guest, still, typing, vnc_secrets, vnc_server};
use crate::devtools::Browser;
use crate::gateway::Gateway;
use crate::migration::host::Host;
use crate::pki;
use crate::process::{Folder, wait_for};
use crate::viewer::Desktop;
use crate::vnc::clients::{gvnccapture, vncviewer, vncviewer_is_refused};
use crate::vnc::{Login, PASSWORD};

/// How the hypervisor is entered over TLS with a password.
const SECURE: &str = "auth = [\"x509vnc\"]\nca = \"qemu/ca-cert.pem\"\npassword_file = \"vnc.password\"\n";

/// What a native viewer shows the gateway: the token is the password, and the user does not matter.
pub(super) fn login(authority: &Path, token: &str) -> Login {
    Login {
        method: Method::X509Plain,
        password: Some(token.to_owned().leak()),
        authority: authority.to_owned(),
        rsa_key: None,
    }
}

/// One QEMU with a VNC server inside of TLS and one at a socket, and the gateway before both.
fn scene(folder: &Folder) -> (Host<'_>, Gateway, std::path::PathBuf) {
    let pki = pki::authority(folder, "qemu");
    folder.write("vnc.password", PASSWORD);
    let mut secure = None;
    let host = still(folder, "qemu", |command| {
        command.args(["-vga", "std"]);
        vnc_secrets(command, &pki);
        secure = Some(vnc_server(
            command,
            ",id=secure,share=ignore,tls-creds=tls,password-secret=password",
        ));
        command.args(["-vnc", "unix:vm.vnc,id=socket,share=ignore"]);
    });
    let secure = at(secure.expect("an address"));
    let authority = certificate(folder);
    let guests = [
        guest("secure", "vnc", &[secure + SECURE]),
        guest("socket", "vnc", &["unix = \"vm.vnc\"\nauth = [\"none\"]\n".to_owned()]),
    ];
    let gateway = Gateway::start(folder, &(LISTENERS.to_owned() + &guests.concat()));
    (host, gateway, authority)
}

/// Native viewers log in with X509Plain and a token: they show the guest pixel for pixel, keys arrive, and neither a
/// token that was used nor a wrong one lets anybody in.
#[test]
#[ignore = "needs QEMU, vncviewer and gvnccapture"]
fn native_viewers_show_a_token_as_their_password() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let (mut host, gateway, authority) = scene(&folder);
    let expected = host.picture();
    assert!(expected.is_the_guest());
    let door = gateway.vnc.expect("the VNC listener");
    for name in ["secure", "socket"] {
        let token = gateway.access(name, "vnc", "novnc").token;
        let shown = login(&authority, &token);
        let mut viewer = vncviewer(&desktop, name, door, &shown);
        wait_for("the picture in vncviewer", || {
            assert!(viewer.runs(), "vncviewer ended: {}", viewer.said());
            desktop.picture().find(&expected)
        });
        gets_a_key(&host, || {
            desktop.focus("TigerVNC");
            desktop.press("k");
        });
        vncviewer_is_refused(&desktop, &format!("{name}-taken"), door, &shown);
        viewer.end();
        vncviewer_is_refused(&desktop, &format!("{name}-used"), door, &shown);
        let other = gateway.access(name, "vnc", "novnc").token;
        let wrong = login(&authority, &crate::altered(&other));
        vncviewer_is_refused(&desktop, &format!("{name}-wrong"), door, &wrong);
        gvnccapture(&folder, &format!("{name}-wrong"), door, &wrong).refused();
        let captured = gvnccapture(&folder, name, door, &login(&authority, &other)).picture();
        assert!(captured == expected, "{name}: the gateway changed the picture");
    }
    assert!(host.typed().ends_with(b"k"));
}

/// noVNC from the gateway's own pages, opened at the URL that the API gave.
#[test]
#[ignore = "needs QEMU, Chromium and noVNC"]
fn novnc_on_the_gateways_own_page() {
    let folder = Folder::new();
    let (mut host, gateway, _) = scene(&folder);
    let expected = host.picture();
    for name in ["secure", "socket"] {
        let access = gateway.access(name, "vnc", "novnc");
        let mut browser = Browser::open(&folder, name, &access.url);
        browser.shows(&expected);
        gets_a_key(&host, || {
            browser.click("#screen canvas");
            browser.types("n");
        });
        assert!(host.typed().ends_with(b"n"));
        let mut again = Browser::open(&folder, &format!("{name}-again"), &access.url);
        again.says("#status", "Something went wrong");
        browser.shows(&expected);
    }
}

/// A guest moves between two QEMUs. vncviewer and noVNC stay, show what the target shows, and type there.
#[test]
#[ignore = "needs QEMU, vncviewer, Chromium and noVNC"]
fn viewers_follow_a_guest_that_the_api_moves() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let pki = pki::authority(&folder, "qemu");
    folder.write("vnc.password", PASSWORD);
    let mut places = Vec::new();
    let mut host = |name: &str, guest: bool| {
        typing(&folder, name, guest, |command| {
            command.args(["-vga", "std"]);
            vnc_secrets(command, &pki);
            let address = vnc_server(command, ",share=ignore,tls-creds=tls,password-secret=password");
            places.push(at(address) + SECURE);
        })
    };
    let (mut source, mut target) = (host("qemu-source", true), host("qemu-target", false));
    let authority = certificate(&folder);
    let gateway = Gateway::start(&folder, &(LISTENERS.to_owned() + &guest("vm", "vnc", &places)));
    let token = gateway.access("vm", "vnc", "novnc").token;
    let door = gateway.vnc.expect("the VNC listener");
    let mut viewer = vncviewer(&desktop, "moves", door, &login(&authority, &token));
    let mut browser = Browser::open(&folder, "moves", &gateway.access("vm", "vnc", "novnc").url);
    let press = || {
        desktop.focus("TigerVNC");
        desktop.press("a");
    };
    wait_for("the picture before", || desktop.picture().find(&source.picture()));
    gets_a_key(&source, press);
    wait_for("the first key in vncviewer", || {
        desktop.picture().find(&source.picture())
    });
    wait_for("the first key in noVNC", || browser.finds(&source.picture()));
    source.migrate_to(&target);
    let (status, text) = gateway.call("PUT /v1/guests/vm/place", "", "{\"place\":1}");
    assert_eq!(status, 204, "{text}");
    gets_a_key(&target, press);
    source.end();
    gets_a_key(&target, || {
        browser.click("#screen canvas");
        browser.types("b");
    });
    wait_for("the picture in vncviewer", || {
        assert!(viewer.runs(), "vncviewer ended: {}", viewer.said());
        desktop.picture().find(&target.picture())
    });
    wait_for("the picture in noVNC", || browser.finds(&target.picture()));
    let (_, sessions) = gateway.call("GET /v1/sessions", "", "");
    assert_eq!(sessions.matches("\"guest\":\"vm\"").count(), 2, "{sessions}");
}
