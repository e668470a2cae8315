//! The stores on real engines. `.ci/run stores` installs what they need and runs them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test that panics has failed, which is what it is for"
)]

use core::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use console_token::{RedisStore, SqlStore};
use engines::{Engine, Kind};
use race::{Crash, Race};

#[cfg(feature = "tokio")]
mod adapters;
#[path = "../conformance/mod.rs"]
mod conformance;
#[path = "../engines/mod.rs"]
mod engines;
#[path = "../naive/mod.rs"]
mod naive;
#[path = "../../../examples/tests/support/ports.rs"]
mod ports;
#[path = "../engines/proxy.rs"]
mod proxy;
#[path = "../engines/race.rs"]
mod race;

// Viewers, hypervisors and a gateway in memory, of which these tests need a part.
#[cfg(feature = "spice")]
#[path = "../spice/failing.rs"]
#[allow(dead_code, reason = "tests/spice needs all of it")]
mod failing;
#[cfg(feature = "spice")]
#[path = "../spice/hypervisor.rs"]
#[allow(dead_code, reason = "tests/spice needs all of it")]
mod hypervisor;
#[cfg(feature = "spice")]
#[path = "../spice/line.rs"]
#[allow(dead_code, reason = "tests/spice needs all of it")]
mod line;
#[cfg(feature = "spice")]
mod sessions;
#[cfg(feature = "spice")]
#[path = "../spice/site.rs"]
#[allow(dead_code, reason = "tests/spice needs all of it")]
mod site;

#[cfg(feature = "spice")]
const MAIN: spice_proto::ids::ChannelType = spice_proto::ids::ChannelType::MAIN;
#[cfg(feature = "spice")]
const INPUTS: spice_proto::ids::ChannelType = spice_proto::ids::ChannelType::INPUTS;
#[cfg(feature = "spice")]
const DISPLAY: spice_proto::ids::ChannelType = spice_proto::ids::ChannelType::DISPLAY;

/// Random enough for keys and tokens of tests.
#[cfg(feature = "tokio")]
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}

/// Tokens a race; `tests/race.rs` has ten times as many.
const TOKENS: usize = 100;

#[tokio::test]
#[ignore = "needs Redis"]
async fn redis_does_what_every_store_does() {
    let engine = Engine::start(Kind::Redis);
    let url = engines::url(Kind::Redis, &engine.address());
    let store = RedisStore::connect(&url, RedisStore::PREFIX).await.unwrap();
    conformance::suite(&store, 1, 25).await;
    // Another prefix is another store.
    let other = RedisStore::connect(&url, "other:").await.unwrap();
    conformance::suite(&other, 1, 1).await;
}

#[tokio::test]
#[ignore = "needs PostgreSQL"]
async fn postgresql_does_what_every_store_does() {
    let engine = Engine::start(Kind::Postgres);
    let url = engines::url(Kind::Postgres, &engine.address());
    // Two bring the schema up to date at the same moment.
    let connections = NonZeroU32::new(2).unwrap();
    let (one, other) = tokio::join!(
        SqlStore::connect(&url, connections),
        SqlStore::connect(&url, connections)
    );
    conformance::suite(&one.unwrap(), 1, 25).await;
    conformance::suite(&other.unwrap(), 2, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis and PostgreSQL"]
async fn one_winner_a_use() {
    for kind in [Kind::Redis, Kind::Postgres] {
        for (uses, spice) in [(1, false), (1, true), (5, false), (3, true)] {
            let tokens = if uses == 1 && !spice { TOKENS } else { TOKENS / 5 };
            let mut engine = Engine::start(kind);
            let address = engine.address();
            let race = Race {
                kind,
                tokens,
                uses,
                spice,
            };
            race::run(&mut engine, &address, race, |_| None).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis and PostgreSQL"]
async fn one_winner_though_answers_are_lost() {
    for kind in [Kind::Redis, Kind::Postgres] {
        let mut engine = Engine::start(kind);
        let (address, counts) = proxy::start(engine.address()).await;
        let race = Race {
            kind,
            tokens: TOKENS,
            uses: 1,
            spice: false,
        };
        let finish = race::run(&mut engine, &address, race, |_| None).await;
        let (statements, cut) = (
            counts.statements.load(Ordering::Relaxed),
            counts.cut.load(Ordering::Relaxed),
        );
        println!("{kind:?}: {cut} of {statements} statements lost their answer");
        assert!(statements <= cut * 5 && TOKENS <= cut);
        assert!(0 < finish.asked_again);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis and PostgreSQL"]
async fn one_winner_though_the_engine_is_killed() {
    for kind in [Kind::Redis, Kind::Postgres] {
        let mut engine = Engine::start(kind);
        let address = engine.address();
        let race = Race {
            kind,
            tokens: TOKENS,
            uses: 1,
            spice: false,
        };
        let finish = race::run(&mut engine, &address, race, |token| match token % 20 {
            5 => Some(Crash::OnTheWay),
            15 => Some(Crash::Answered),
            _ => None,
        });
        assert!(TOKENS / 20 <= finish.await.torn, "no attempt has met a crash");
    }
}

/// The store finds its engine again, which was killed and has come back.
#[tokio::test]
#[ignore = "needs Redis and PostgreSQL"]
async fn connections_are_made_anew() {
    for kind in [Kind::Redis, Kind::Postgres] {
        let mut engine = Engine::start(kind);
        let store = race::connect(kind, &engine.address()).await;
        conformance::suite(&*store, 1, 0).await;
        engine.kill();
        engine.run();
        let hash = console_token::TokenHash::from_bytes([9; 32]);
        let mut failures = 0;
        while store.record(&hash).await.is_err() {
            failures += 1;
            assert!(failures < 100, "{kind:?} is not found again");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        conformance::suite(&*store, 2, 0).await;
    }
}

/// Not a test of its own: a process of a race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a race that starts it"]
async fn worker() {
    race::worker().await;
}
