//! The gateway's own pages: a serial console with xterm.js, and what operators see.

use super::{LISTENERS, at, certificate, guest, still, typing};
use crate::devtools::Browser;
use crate::gateway::{BEARER, Gateway};
use crate::ports::free_port;
use crate::process::{Folder, wait_for};

/// Goes to QEMU's monitor, and asks it for its version.
fn asks_the_monitor(browser: &mut Browser) {
    browser.says("#state", "connected");
    browser.click("#terminal");
    browser.types_with_ctrl('a');
    browser.types("c");
    wait_for("the monitor's prompt", || {
        shown(browser).contains("(qemu)").then_some(())
    });
    browser.types("info version\n");
    wait_for("the monitor's answer", || {
        let text = shown(browser);
        let (_, answer) = text.split_once("info version")?;
        // A version, as 7.2.0.
        let mut words = answer.split(|c: char| !c.is_ascii_digit() && c != '.');
        words.find(|word| 2 <= word.matches('.').count()).map(drop)
    });
}

/// What the terminal shows, without its margins.
fn shown(browser: &mut Browser) -> String {
    browser.text("#terminal")
}

/// QEMU's monitor shares the serial port (Ctrl-A c): what is typed in the page arrives there, and its answer is in the
/// page. A second user is refused, and the first one stays.
#[test]
#[ignore = "needs QEMU, Chromium and xterm.js"]
fn a_serial_console_on_the_gateways_own_page() {
    let folder = Folder::new();
    let address = free_port();
    let _host = still(&folder, "qemu", |command| {
        let port = address.port();
        command.args(["-serial", &format!("mon:tcp:127.0.0.1:{port},server=on,wait=off")]);
    });
    certificate(&folder);
    let gateway = Gateway::start(
        &folder,
        &(LISTENERS.to_owned() + &guest("vm", "serial", &[at(address)])),
    );
    let access = gateway.access("vm", "serial", "serial");
    let mut browser = Browser::open(&folder, "serial", &access.url);
    asks_the_monitor(&mut browser);
    let second = gateway.access("vm", "serial", "serial");
    let mut other = Browser::open(&folder, "second", &second.url);
    other.says("#state", "closed");
    assert_eq!(browser.text("#state"), "connected");
    browser.types("info kvm\n");
    wait_for("a second answer", || {
        shown(&mut browser).contains("kvm support").then_some(())
    });
}

/// A guest moves: its serial console ends with the code for that, and the same URL opens it where the guest is now.
#[test]
#[ignore = "needs QEMU, Chromium and xterm.js"]
fn a_serial_console_moves_with_its_guest() {
    let folder = Folder::new();
    let mut places = Vec::new();
    let mut host = |name: &str, guest: bool| {
        typing(&folder, name, guest, |command| {
            let address = free_port();
            let port = address.port();
            command.args(["-serial", &format!("mon:tcp:127.0.0.1:{port},server=on,wait=off")]);
            places.push(at(address));
        })
    };
    let (mut source, target) = (host("qemu-source", true), host("qemu-target", false));
    certificate(&folder);
    let again = "[tokens]\nreconnect_seconds = 60\n";
    let vm = guest("vm", "serial", &places);
    let gateway = Gateway::start(&folder, &format!("{LISTENERS}{again}{vm}"));
    let access = gateway.access("vm", "serial", "serial");
    let mut browser = Browser::open(&folder, "before", &access.url);
    asks_the_monitor(&mut browser);
    source.migrate_to(&target);
    let (status, text) = gateway.call("PUT /v1/guests/vm/place", "", "{\"place\":1}");
    assert_eq!(status, 204, "{text}");
    browser.says("#state", "(4410)");
    source.end();
    let mut after = Browser::open(&folder, "after", &access.url);
    asks_the_monitor(&mut after);
}

/// The page for operators shows an open console by itself, and its button ends it; what was refused is below.
#[test]
#[ignore = "needs QEMU, Chromium and xterm.js"]
fn the_operators_page_ends_a_session() {
    let folder = Folder::new();
    let address = free_port();
    let _host = still(&folder, "qemu", |command| {
        let port = address.port();
        command.args(["-serial", &format!("mon:tcp:127.0.0.1:{port},server=on,wait=off")]);
    });
    certificate(&folder);
    let gateway = Gateway::start(
        &folder,
        &(LISTENERS.to_owned() + &guest("vm", "serial", &[at(address)])),
    );
    let web = gateway.websocket.expect("a web listener");
    let mut operator = Browser::open(&folder, "operator", &format!("http://operator:{BEARER}@{web}/status"));
    operator.says("h1", "Open consoles: 0");
    let access = gateway.access("vm", "serial", "serial");
    let mut browser = Browser::open(&folder, "serial", &access.url);
    asks_the_monitor(&mut browser);
    // It is loaded again by itself.
    operator.says("h1", "Open consoles: 1");
    assert!(operator.text("#sessions").contains("serial"));
    let mut second = Browser::open(&folder, "second", &access.url);
    second.says("#state", "closed");
    operator.says("#refusals", "127.0.0.1:");
    operator.click("#sessions button");
    browser.says("#state", "(1008)");
    operator.says("h1", "Open consoles: 0");
}
