//! 2,000 hostile connections a second of one kind, from 200 addresses, for a minute: an honest viewer gets in within three
//! seconds each time, an open console loses nothing, and the gateway is behind it as it was before.
//!
//! 20 minutes, and some to build: `cargo test --release -p examples --all-features --test hostile -- --ignored --nocapture --test-threads=1`.
//! `HOSTILE_SECONDS` and `HOSTILE_RATE` change how long, and how many a second.

#[path = "strangers/attack.rs"]
#[allow(dead_code, reason = "shared with the shorter attacks")]
mod attack;
#[path = "console_gateway/http.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod http;
#[path = "hostile/kinds.rs"]
mod kinds;
#[path = "hostile/load.rs"]
mod load;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "strangers/scene.rs"]
#[allow(dead_code, reason = "shared with the shorter attacks")]
mod scene;
#[path = "hostile/siege.rs"]
mod siege;
#[path = "console_gateway/spice.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod spice;

use siege::besieged;

#[test]
#[ignore = "needs a minute of attack"]
fn silent() {
    besieged("silent", |target| load::of(target.plain, kinds::silent));
}

#[test]
#[ignore = "needs a minute of attack"]
fn one_byte_a_second() {
    besieged("one byte a second", |target| load::of(target.plain, kinds::drip));
}

#[test]
#[ignore = "needs a minute of attack"]
fn link_message_and_gone() {
    besieged("link message and gone", |target| {
        load::of(target.plain, kinds::link_and_gone)
    });
}

#[test]
#[ignore = "needs a minute of attack"]
fn half_a_tls_hello() {
    besieged("half a TLS hello", |target| load::of(target.tls, kinds::half_a_hello));
}

#[test]
#[ignore = "needs a minute of attack"]
fn half_an_http_request() {
    besieged("half an HTTP request", |target| {
        load::of(target.web, kinds::half_a_request)
    });
}

#[test]
#[ignore = "needs a minute of attack"]
fn wrong_tokens_in_links() {
    besieged("wrong tokens, SPICE", |target| {
        load::of(target.plain, kinds::wrong_ticket)
    });
}

#[test]
#[ignore = "needs a minute of attack"]
fn wrong_tokens_in_requests() {
    besieged("wrong tokens, HTTP", |target| load::of(target.web, kinds::wrong_url));
}

#[test]
#[ignore = "needs a minute of attack"]
fn wrong_passwords_for_operators() {
    besieged("wrong passwords, HTTP", |target| {
        load::of(target.web, kinds::wrong_basic)
    });
}

#[test]
#[ignore = "needs a minute of attack"]
fn wrong_passwords_at_vnc() {
    besieged("wrong passwords, VNC", |target| {
        let tls = target.trust.clone();
        load::of(target.vnc, move |stream| kinds::wrong_plain(stream, tls.clone()))
    });
}

#[test]
#[ignore = "needs a minute of attack"]
fn websockets() {
    besieged("WebSocket floods", |target| {
        load::of(target.web, kinds::websocket_flood)
    });
}

#[test]
#[ignore = "needs a minute of attack"]
fn requests_at_the_api() {
    besieged("requests at the API", |target| {
        load::of(target.api, kinds::wrong_bearer)
    });
}
