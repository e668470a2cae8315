//! Passwords that tenants choose: set over the API, put into QEMU at its monitor, and asked for by the viewer itself.

use super::{LISTENERS, at, certificate, gets_a_key, guest, still, vnc_server};
use crate::devtools::Browser;
use crate::gateway::{Gateway, Vv};
use crate::guest::LOSSLESS;
use crate::ports::free_port;
use crate::process::Folder;
use crate::viewer::{Desktop, Endpoint, screenshot};

/// Creates a console with this password, as Nova's API with that one addition. Gives the URL.
fn create(gateway: &Gateway, protocol: &str, kind: &str, password: &str) -> String {
    let body = serde_json::json!({ "remote_console": { "protocol": protocol, "type": kind, "password": password } });
    let headers = "OpenStack-API-Version: compute 2.99\r\nX-Console-Gateway: 1\r\n";
    let (status, text) = gateway.call("POST /v2.1/servers/vm/remote-consoles", headers, &body.to_string());
    assert_eq!(status, 200, "{text}");
    let answer: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    answer["remote_console"]["url"].as_str().expect("a URL").to_owned()
}

/// noVNC asks for the password, QEMU's challenge passes through, and a new password ends what the old one opened.
#[test]
#[ignore = "needs QEMU, Chromium and noVNC"]
fn a_console_password_is_set_and_asked_for() {
    let folder = Folder::new();
    let mut address = None;
    let mut host = still(&folder, "qemu", |command| {
        command
            .args(["-vga", "std"])
            .args(["-qmp", "unix:vm.qmp,server=on,wait=off"]);
        address = Some(vnc_server(command, ",share=ignore,password=on"));
    });
    let expected = host.picture();
    certificate(&folder);
    let place = at(address.expect("an address")) + "auth = [\"vnc\"]\nqmp = \"unix:vm.qmp\"\n";
    let mut gateway = Gateway::start(&folder, &(LISTENERS.to_owned() + &guest("vm", "vnc", &[place])));
    let mut wrong = Browser::open(&folder, "wrong", &create(&gateway, "vnc", "novnc", "f1rst-pw"));
    wrong.answers_prompt("wr0ng-pw");
    wrong.says("#status", "Something went wrong");
    let mut browser = Browser::open(&folder, "right", &create(&gateway, "vnc", "novnc", "f1rst-pw"));
    browser.answers_prompt("f1rst-pw");
    browser.shows(&expected);
    gets_a_key(&host, || {
        browser.click("#screen canvas");
        browser.types("p");
    });
    // A new password.
    let url = create(&gateway, "vnc", "novnc", "n3w-pass");
    wait_for_end(&mut browser);
    let mut old = Browser::open(&folder, "old", &url);
    old.answers_prompt("f1rst-pw");
    old.says("#status", "Something went wrong");
    let mut new = Browser::open(&folder, "new", &create(&gateway, "vnc", "novnc", "n3w-pass"));
    new.answers_prompt("n3w-pass");
    new.shows(&expected);
    drop(new);
    gateway.process.end();
    let log = gateway.process.said();
    assert!(
        !log.contains("f1rst-pw") && !log.contains("n3w-pass"),
        "a password in the log"
    );
}

/// The page says that it is over.
fn wait_for_end(browser: &mut Browser) {
    crate::process::wait_for("the end of the session", || {
        let status = browser.text("#status");
        ["Disconnected", "Something went wrong"]
            .iter()
            .any(|word| status.contains(word))
            .then_some(())
    });
}

/// The same for SPICE: the password is the ticket of the gateway's links, the tenant's file has a token as ever, and a new
/// password ends what the old one opened.
#[test]
#[ignore = "needs QEMU and remote-viewer"]
fn a_spice_password_becomes_the_ticket() {
    let folder = Folder::new();
    let address = free_port();
    let mut host = still(&folder, "qemu", |command| {
        command
            .args(["-spice", &format!("addr=127.0.0.1,port={},{LOSSLESS}", address.port())])
            .args(["-device", "qxl-vga"])
            .args(["-qmp", "unix:vm.qmp,server=on,wait=off"]);
    });
    let expected = host.picture();
    certificate(&folder);
    let place = at(address) + "qmp = \"unix:vm.qmp\"\n";
    let gateway = Gateway::start(&folder, &(LISTENERS.to_owned() + &guest("vm", "spice", &[place])));
    let desktop = Desktop::start(&folder);
    let file = |password: &str| {
        let (head, text) = gateway.follow(&create(&gateway, "spice", "spice-direct", password));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(!text.contains(password), "the console's password stands in the file");
        Vv { text }
    };
    let direct = Endpoint::plain(address);
    let vv = file("f1rst-pw");
    let mut viewer = desktop.open("first", &vv);
    viewer.wait_for_picture(&expected);
    let shown = screenshot(&folder, "chosen", &direct, "f1rst-pw").picture();
    assert!(shown == expected, "the password is not the hypervisor's");
    let next = file("n3w-pass");
    crate::process::wait_for("the end of the first viewer's session", || {
        (!viewer.runs() || desktop.picture().find(&expected).is_none()).then_some(())
    });
    screenshot(&folder, "old", &direct, "f1rst-pw").assert_refused();
    let through = Endpoint::plain(gateway.plain.expect("the SPICE listener"));
    let shown = screenshot(&folder, "next", &through, &next.password()).picture();
    assert!(shown == expected, "the gateway changed the picture");
}
