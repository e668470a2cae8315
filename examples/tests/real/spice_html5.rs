//! spice-html5 in Chromium, through the gateway: SPICE inside of WebSockets is the same SPICE.

use crate::browser::{SPICE_HTML5, Site as Pages};
use crate::guest::TICKET;
use crate::site::Site;

#[test]
#[ignore = "needs QEMU and Chromium"]
fn spice_html5_through_the_gateway() {
    let pages = Pages::start(&SPICE_HTML5);
    let mut site = Site::start_for_browsers(&pages.origin());
    let expected = site.picture();
    let websocket = site.gateway.websocket.expect("a listener for browsers");
    let token = site.gateway.console("in a browser", 60).password();
    pages.open(&site.folder, "shown", websocket, &token).shows(&expected);
    let opened = site.hypervisor.settled();
    assert!(
        4 <= opened,
        "{opened} connections: main, display, inputs and cursor at least"
    );

    // Spent, never made, and the hypervisor's own.
    for (name, password) in [("spent", token.as_str()), ("unknown", "no-token"), ("ticket", TICKET)] {
        let mut page = pages.open(&site.folder, name, websocket, password);
        page.says("WebSocket error: Can't connect to websocket");
        drop(page);
        assert_eq!(site.hypervisor.settled(), opened, "{name}: the hypervisor was dialled");
    }

    // A page from elsewhere is not connected, whatever it shows.
    let elsewhere = Pages::start(&SPICE_HTML5);
    let token = site.gateway.console("in a browser", 60).password();
    let mut page = elsewhere.open(&site.folder, "elsewhere", websocket, &token);
    page.says("WebSocket error: Can't connect to websocket");
    drop(page);
    assert_eq!(site.hypervisor.settled(), opened);
    // Which took nothing from the token.
    pages.open(&site.folder, "unspent", websocket, &token).shows(&expected);

    let log = site.end_gateway();
    assert!(log.contains("a page from elsewhere"), "{log}");
    assert!(!log.contains(&token) && !log.contains(TICKET), "{log}");
}
