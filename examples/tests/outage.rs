//! The engine of three gateways is gone for half a minute, says nothing for half a minute, and is restarted again and again.
//!
//! Three minutes: `cargo test -p examples --all-features --test outage -- --ignored --nocapture`.

#[path = "stores/balanced.rs"]
#[allow(dead_code, reason = "shared with the shorter stories")]
mod balanced;
#[path = "../../console-token/tests/engines/mod.rs"]
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
mod line;
#[path = "support/ports.rs"]
mod ports;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "stores/site.rs"]
#[allow(dead_code, reason = "shared with the shorter stories")]
mod site;
#[path = "console_gateway/spice.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod spice;

use std::thread::sleep;
use std::time::{Duration, Instant};

use balanced::the_engine_is_down;
use engines::Kind;
use site::Site;

const HALF_A_MINUTE: Duration = Duration::from_secs(30);

fn on_both(story: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        let stories = [Kind::Redis, Kind::Postgres].map(|kind| {
            let story = &story;
            scope.spawn(move || story(kind))
        });
        for story in stories {
            story.join().expect("a story");
        }
    });
}

#[test]
#[ignore = "needs haproxy, Redis, PostgreSQL and two minutes"]
fn down_for_half_a_minute() {
    on_both(|kind| the_engine_is_down(&mut Site::start(kind), kind, HALF_A_MINUTE));
}

/// Nothing comes from the engine, and no connection to it ends: what costs most is to wait.
#[test]
#[ignore = "needs haproxy, Redis, PostgreSQL and two minutes"]
fn silent_for_half_a_minute() {
    on_both(|kind| {
        let site = Site::start(kind);
        let (mut open, kept) = (site.session(&site.token()), site.token());
        site.line.hangs();
        let began = Instant::now();
        while began.elapsed() < HALF_A_MINUTE {
            open.goes_on();
            let asked = Instant::now();
            assert!(
                site.open(&kept, site::MAIN, 0).is_err(),
                "{kind:?}: in without an answer of the engine"
            );
            assert!(asked.elapsed() < Duration::from_secs(16), "{:?}", asked.elapsed());
            sleep(Duration::from_millis(200));
        }
        site.line.delays(Duration::ZERO);
        let (mut session, took) = site.comes_again(&kept, HALF_A_MINUTE);
        assert!(site.race(&kept, 8).is_empty(), "{kind:?}: a second viewer is in");
        open.goes_on();
        session.goes_on();
        println!("OUTAGE | {kind:?} | silent for half a minute: the console went on, a viewer was in {took:.1?} later");
    });
}

/// The engine is killed and started in the middle of races for tokens: whatever it had confirmed, no token lets two in.
#[test]
#[ignore = "needs haproxy, Redis, PostgreSQL and two minutes"]
fn restarted_in_the_middle_of_races() {
    on_both(|kind| {
        let mut site = Site::start(kind);
        let mut open = site.session(&site.token());
        let tokens: Vec<_> = (0..8).map(|_| site.token()).collect();
        let mut admitted = 0;
        for (round, token) in tokens.iter().enumerate() {
            let engine = &mut site.engine;
            let (spice, pause) = (site.spice, Duration::from_millis(10 * round as u64));
            let viewers = std::thread::scope(|scope| {
                let come = || scope.spawn(|| hypervisor::Channel::open(spice, token, site::MAIN, 0).ok());
                let all: Vec<_> = (0..8).map(|_| come()).collect();
                sleep(pause);
                engine.kill();
                engine.run();
                let ended = all.into_iter().filter_map(|viewer| viewer.join().expect("a viewer"));
                ended.collect::<Vec<_>>()
            });
            assert!(viewers.len() <= 1, "{kind:?}: {} viewers are in", viewers.len());
            // No second viewer gets in beside the one that is, for as long as its hypervisor does not hang up.
            if let [_viewer] = &viewers[..] {
                admitted += 1;
                let _far = site.host.channel(site::MAIN, 0);
                assert!(site.race(token, 4).is_empty(), "{kind:?}: a second one is in");
            }
            open.goes_on();
        }
        println!(
            "OUTAGE | {kind:?} | killed eight times in the middle of races of eight: {admitted} viewers were in, none twice"
        );
    });
}
