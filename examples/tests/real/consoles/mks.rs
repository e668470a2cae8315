//! A WebMKS console on the gateway's own page, in front of a stand-in of authd: there is no ESX that could be installed.

use console_token::webmks::Thumbprint;

use super::{LISTENERS, at, certificate, guest};
use crate::authd::Authd;
use crate::devtools::Browser;
use crate::gateway::Gateway;
use crate::process::{Folder, wait_for};

/// A place of this stand-in, by which it is entered with that thumbprint.
fn place(folder: &Folder, name: &str, authd: &Authd, thumbprint: &Thumbprint) -> String {
    folder.write(&format!("{name}.json"), authd.access_path(thumbprint, "the-ticket"));
    let address = ([127, 0, 0, 1], authd.port).into();
    at(address) + &format!("internal_access_path_file = \"{name}.json\"\n")
}

/// Bytes as the page shows them.
fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(" ")
}

/// What the page has shown, whatever pieces it came in.
fn shown(browser: &mut Browser) -> String {
    let text = browser.text("#bytes");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The guest's bytes arrive on the page, and what is typed arrives at the guest; the page says with which code it was closed.
#[test]
#[ignore = "needs Chromium"]
fn a_webmks_console_on_the_gateways_own_page() {
    let folder = Folder::new();
    let [here, there] = [true, true].map(Authd::start);
    let places = [
        place(&folder, "here", &here, &here.thumbprint),
        place(&folder, "there", &there, &there.thumbprint),
    ];
    let other = Authd::start(true);
    let wrong = place(&folder, "wrong", &other, &here.thumbprint);
    let dishonest = Authd::start(false);
    let another = place(&folder, "another", &dishonest, &dishonest.thumbprint);
    certificate(&folder);
    let guests = [
        guest("vm", "mks", &places),
        guest("wrong", "mks", &[wrong]),
        guest("another", "mks", &[another]),
    ];
    let gateway = Gateway::start(&folder, &(LISTENERS.to_owned() + &guests.concat()));
    let access = gateway.access("vm", "mks", "webmks");
    assert!(access.url.contains("/mks.html?token="), "{}", access.url);
    let mut browser = Browser::open(&folder, "mks", &access.url);
    browser.says("#state", "connected, 8 bytes");
    assert_eq!(shown(&mut browser), hex(b"mks here"));
    browser.types("keys of a tenant\n");
    wait_for("what was typed at authd", || {
        (here.heard() == b"keys of a tenant\r").then_some(())
    });
    browser.says("#state", "connected, 25 bytes");
    assert_eq!(shown(&mut browser), hex(b"mks herekeys of a tenant\r"));
    // A spent token, and certificates that were not named, at the log-in or at the console: no connection, and no byte.
    for (name, url) in [
        ("spent", access.url.clone()),
        ("wrong", gateway.access("wrong", "mks", "webmks").url),
        ("another", gateway.access("another", "mks", "webmks").url),
    ] {
        let mut refused = Browser::open(&folder, name, &url);
        refused.says("#state", "closed (1006)");
        assert_eq!(shown(&mut refused), "");
    }
    let heard = [&other, &dishonest].map(Authd::heard);
    assert!(heard.iter().all(Vec::is_empty), "{heard:?}");
    // The guest moves; at the new place an operator ends the session.
    let (status, text) = gateway.call("PUT /v1/guests/vm/place", "", "{\"place\":1}");
    assert_eq!(status, 204, "{text}");
    browser.says("#state", "(4410)");
    let mut after = Browser::open(&folder, "after", &gateway.access("vm", "mks", "webmks").url);
    after.says("#state", "connected, 8 bytes");
    after.types("b");
    wait_for("what was typed at the new place", || {
        (there.heard() == b"b").then_some(())
    });
    let (_, sessions) = gateway.call("GET /v1/sessions", "", "");
    let sessions: serde_json::Value = serde_json::from_str(&sessions).expect("JSON");
    let id = sessions["sessions"][0]["id"].as_str().expect("an id").to_owned();
    let (status, text) = gateway.call(&format!("DELETE /v1/sessions/{id}"), "", "");
    assert_eq!(status, 204, "{text}");
    after.says("#state", "(1008)");
}
