//! Three gateways on one engine behind haproxy, which deals connections out in turn and says whose they are: Redis and
//! PostgreSQL, both at the same time.
//!
//! `cargo test -p examples --all-features --test stores -- --ignored --nocapture`. What takes minutes is in `tests/outage.rs`.

#[path = "stores/balanced.rs"]
mod balanced;
#[path = "../../console-token/tests/engines/mod.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod engines;
#[path = "support/haproxy.rs"]
mod haproxy;
#[path = "console_gateway/http.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod http;
#[path = "console_gateway/whole/hypervisor.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod hypervisor;
#[path = "stores/line.rs"]
#[allow(dead_code, reason = "shared with the outages")]
mod line;
#[path = "support/ports.rs"]
mod ports;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "stores/site.rs"]
#[allow(dead_code, reason = "shared with the outages")]
mod site;
#[path = "console_gateway/spice.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod spice;

#[test]
#[ignore = "needs haproxy, Redis and PostgreSQL"]
fn three_gateways_behind_a_balancer() {
    std::thread::scope(|scope| {
        let stories =
            [engines::Kind::Redis, engines::Kind::Postgres].map(|kind| scope.spawn(move || balanced::story(kind)));
        for story in stories {
            story.join().expect("a story");
        }
    });
}
