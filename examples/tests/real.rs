//! The gateway between a real hypervisor and real viewers.
//!
//! QEMU runs a boot sector that writes a few lines and waits for keys, so the picture never changes. Viewers
//! from Debian look at it directly and through the gateway, and both pictures must be equal pixel
//! for pixel. What the two legs carried is recorded by proxies on either side of the gateway.
//!
//! Everything listens on the loopback only, is limited in time by `timeout`, and is ended by its
//! process id. When a test fails, it prints what every program wrote.
//!
//! The tests need the packages of `debian-packages.txt`:
//! `cargo test -p examples --test real -- --ignored`.

#[path = "support/authd.rs"]
mod authd;
#[path = "real/browser.rs"]
mod browser;
#[path = "real/consoles/mod.rs"]
mod consoles;
#[path = "real/devtools.rs"]
mod devtools;
#[path = "../../console-token/tests/engines/mod.rs"]
#[allow(dead_code, reason = "here no engine crashes")]
mod engines;
#[path = "real/gateway.rs"]
mod gateway;
#[path = "real/guest.rs"]
mod guest;
#[path = "support/haproxy.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod haproxy;
#[path = "real/middle.rs"]
mod middle;
#[path = "real/migration/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "tests/migration.rs has the cases that need the rest"
)]
mod migration;
#[path = "support/narrow.rs"]
mod narrow;
#[path = "real/picture.rs"]
mod picture;
#[path = "real/pki.rs"]
mod pki;
#[path = "support/ports.rs"]
mod ports;
#[path = "real/probe.rs"]
mod probe;
#[path = "real/process.rs"]
mod process;
#[path = "real/recorder.rs"]
mod recorder;
#[path = "real/sasl_relay.rs"]
mod sasl_relay;
#[path = "real/site.rs"]
mod site;
#[path = "real/slow.rs"]
mod slow;
#[path = "real/spice_html5.rs"]
mod spice_html5;
#[path = "real/token.rs"]
mod token;
#[path = "real/viewer.rs"]
mod viewer;
#[path = "real/vnc/mod.rs"]
mod vnc;

use std::thread;
use std::time::Duration;

use gateway::Vv;
use guest::TICKET;
use recorder::Recorder;
use site::{Legs, Site};
use viewer::{Desktop, Endpoint, screenshot};

/// A pause after which a token that lives one second has expired.
const PAST_ONE_SECOND: Duration = Duration::from_millis(2500);

/// Plain on both legs, with a recorder on each: the picture is the guest's, a token opens one
/// session, and neither secret shows up on the other's leg.
#[test]
#[ignore = "needs QEMU"]
fn plain_legs_show_the_guest_once_and_leak_no_secret() {
    let mut site = Site::start(Legs::Plain);
    let expected = site.picture();
    let viewers = Recorder::start(site.gateway.plain.expect("a plain listener"));
    let through = Endpoint::plain(viewers.address);

    let vv = site.gateway.console("plain legs", 60);
    let token = vv.password();
    assert_eq!(vv.get("type").as_deref(), Some("spice"));
    assert_eq!(vv.get("host").as_deref(), Some("127.0.0.1"));
    assert_eq!(vv.get("port"), site.gateway.plain.map(|plain| plain.port().to_string()));
    assert_eq!(vv.get("tls-port"), None);
    assert_eq!(vv.get("delete-this-file").as_deref(), Some("1"));
    assert_ne!(token, TICKET);
    assert!(!vv.text.contains(TICKET), "the ticket stands in the connection file");

    let shown = screenshot(&site.folder, "once", &through, &token).picture();
    assert!(shown == expected, "the gateway changed the picture");
    let opened = site.hypervisor.settled();
    assert!(
        2 <= opened,
        "{opened} connections are no session: main and display at least"
    );

    let refused = |name: &str, password: &str| {
        screenshot(&site.folder, name, &through, password).assert_refused();
        assert_eq!(site.hypervisor.settled(), opened, "{name}: the hypervisor was dialled");
    };
    refused("spent", &token);
    refused("ticket", TICKET);
    refused("empty", "");
    let other = site.gateway.console("plain legs", 60).password();
    let wrong = altered(&other);
    refused("wrong", &wrong);
    let late = site.gateway.console("plain legs", 1).password();
    thread::sleep(PAST_ONE_SECOND);
    refused("expired", &late);

    // Controls: the failed attempts took nothing from the token that was left, and that is none
    // that QEMU itself would have taken.
    let again = screenshot(&site.folder, "unspent", &through, &other).picture();
    assert!(again == expected, "the gateway changed the second picture");
    let direct = Endpoint::plain(site.guest.address);
    screenshot(
        &site.folder,
        "direct",
        &direct,
        &site.gateway.console("plain legs", 60).password(),
    )
    .assert_refused();

    let log = site.end_gateway();
    let (near, far) = (viewers.connections(), site.hypervisor.connections());
    assert!(opened + 2 <= far.len(), "the second session is not in the recording");
    // Beside the links the gateway asks once for each kind of channel what QEMU announces, without a ticket.
    let links = far.iter().filter(|connection| 160 < connection.to_server.len()).count();
    assert!(links + 5 <= near.len(), "five attempts are not in the recording");
    for connection in near.iter().chain(&far) {
        assert!(
            connection.to_server.starts_with(b"REDQ"),
            "no link message: {connection:?}"
        );
        // A viewer that has its picture leaves, whatever its other links are at.
        let early = connection.to_client.is_empty();
        assert!(
            early || connection.to_client.starts_with(b"REDQ"),
            "no link reply: {connection:?}"
        );
    }
    for connection in &far {
        for token in [&token, &other, &wrong, &late] {
            assert!(
                !connection.holds_piece_of(token),
                "a token on the way to the hypervisor"
            );
        }
    }
    for connection in &near {
        assert!(
            !connection.holds_piece_of(TICKET),
            "the ticket on the way to the viewer"
        );
    }
    assert!(!log.is_empty(), "the gateway logs nothing");
    for secret in [&*token, &other, &late, TICKET, gateway::BEARER] {
        assert!(!log.contains(secret), "a secret in the gateway's log");
    }
}

/// The same with recorders that hold the keys of both links, so that what was sealed is seen too:
/// the viewer's links carry the token, the hypervisor's links carry the ticket.
#[test]
#[ignore = "needs QEMU"]
fn sealed_passwords_are_the_token_on_one_leg_and_the_ticket_on_the_other() {
    let mut site = Site::start(Legs::Opened);
    let expected = site.picture();
    let viewers = Recorder::opening(site.gateway.plain.expect("a plain listener"), &site.folder, "viewers");

    let token = site.gateway.console("opened legs", 60).password();
    let shown = screenshot(&site.folder, "once", &Endpoint::plain(viewers.address), &token).picture();
    assert!(shown == expected, "the gateway changed the picture");

    site.end_gateway();
    let (near, far) = (viewers.connections(), site.hypervisor.connections());
    for (leg, password) in [(near, &*token), (far, TICKET)] {
        let opened: Vec<_> = leg.into_iter().filter_map(|connection| connection.password).collect();
        assert!(2 <= opened.len(), "{} passwords are no session", opened.len());
        assert_eq!(opened, vec![format!("{password}\0").into_bytes(); opened.len()]);
    }
}

/// TLS on both legs, from a connection file that names no other port.
#[test]
#[ignore = "needs QEMU"]
fn tls_legs_show_the_guest_once() {
    let mut site = Site::start(Legs::Tls);
    let expected = site.picture();
    let viewers = Recorder::start(site.gateway.tls.expect("a TLS listener"));

    let vv = site.gateway.console("tls legs", 60);
    let token = vv.password();
    assert_eq!(vv.get("port"), None);
    assert_eq!(vv.get("tls-port"), site.gateway.tls.map(|tls| tls.port().to_string()));
    let authority = vv.get("ca").expect("the authority of the gateway's certificate");
    let through = Endpoint::tls(viewers.address, site.folder.write("viewer-ca.pem", &authority));

    let shown = screenshot(&site.folder, "once", &through, &token).picture();
    assert!(shown == expected, "the gateway changed the picture");
    let opened = site.hypervisor.settled();
    assert!(
        2 <= opened,
        "{opened} connections are no session: main and display at least"
    );

    let refused = |name: &str, password: &str| {
        screenshot(&site.folder, name, &through, password).assert_refused();
        assert_eq!(site.hypervisor.settled(), opened, "{name}: the hypervisor was dialled");
    };
    refused("spent", &token);
    refused("wrong", &altered(&site.gateway.console("tls legs", 60).password()));
    let late = site.gateway.console("tls legs", 1).password();
    thread::sleep(PAST_ONE_SECOND);
    refused("expired", &late);

    // The gateway takes the hypervisor's certificate from no other authority than the target's.
    let stranger = site.gateway.console_of("untrusted", "tls legs", 60).password();
    screenshot(&site.folder, "untrusted", &through, &stranger).assert_broken_off();

    site.end_gateway();
    let (near, far) = (viewers.connections(), site.hypervisor.connections());
    for connection in near.iter().chain(&far) {
        assert_eq!(
            connection.to_server.first(),
            Some(&0x16),
            "no TLS handshake: {connection:?}"
        );
        assert!(!connection.holds("REDQ"), "a link message outside TLS");
        assert!(!connection.holds_piece_of(&token) && !connection.holds_piece_of(TICKET));
    }
}

/// remote-viewer opens the connection file as it was fetched, shows the guest as it does without
/// the gateway, and deletes the file; for a token that is spent, wrong or expired it asks for
/// another password.
#[test]
#[ignore = "needs QEMU"]
fn remote_viewer_opens_the_connection_file_once() {
    let site = Site::start(Legs::Tls);
    let expected = site.picture();
    let desktop = Desktop::start(&site.folder);

    let direct = desktop.open("direct", &site.guest.connection_file("without gateway"));
    direct.wait_for_window("without gateway");
    let place = direct.wait_for_picture(&expected);
    direct.end(&expected);

    let vv = site.gateway.console("through gateway", 60);
    let shown = desktop.open("once", &vv);
    shown.wait_for_window("through gateway");
    assert_eq!(
        shown.wait_for_picture(&expected),
        place,
        "the gateway moved the picture"
    );
    shown.end(&expected);
    let opened = site.hypervisor.settled();
    assert!(
        2 <= opened,
        "{opened} connections are no session: main and display at least"
    );

    let refused = |name: &str, vv: &Vv| {
        let viewer = desktop.open(name, vv);
        viewer.wait_for_refusal();
        assert_eq!(desktop.picture().find(&expected), None, "{name}: the guest is shown");
        viewer.end(&expected);
        assert_eq!(site.hypervisor.settled(), opened, "{name}: the hypervisor was dialled");
    };
    refused("spent", &vv);
    let other = site.gateway.console("through gateway", 60);
    refused("wrong", &other.with("password", &altered(&other.password())));
    let late = site.gateway.console("through gateway", 1);
    thread::sleep(PAST_ONE_SECOND);
    refused("expired", &late);
}

/// A guest moves to another QEMU, once in each way in which a viewer can follow it. The other cases are in
/// `tests/migration.rs`.
mod moves {
    crate::migration::rows! {
        semi_seamless_remote_viewer_subject_and_subject => moves(SemiSeamless, RemoteViewer, TlsBySubject, TlsBySubject);
        seamless_spicy_plain_and_tls => moves(Seamless, Spicy, Plain, Tls);
        switch_host_remote_viewer_tls_and_plain => moves(SwitchHost, RemoteViewer, Tls, Plain);
    }
}

/// The text with one character in its middle changed.
fn altered(token: &str) -> String {
    let mut text = token.as_bytes().to_vec();
    let middle = text.len() / 2;
    text[middle] = if text[middle] == b'A' { b'B' } else { b'A' };
    String::from_utf8(text).expect("an ASCII token")
}
