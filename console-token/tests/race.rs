//! The long race: 1,000 tokens at each engine, as users of many gateways would. `.ci/run race` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc,
    reason = "a test that panics has failed, which is what it is for"
)]

use std::sync::atomic::Ordering;

use engines::{Engine, Kind};
use race::{Crash, Race};

#[path = "engines/mod.rs"]
mod engines;
#[path = "../../examples/tests/support/ports.rs"]
mod ports;
#[path = "engines/proxy.rs"]
mod proxy;
#[path = "engines/race.rs"]
mod race;

const TOKENS: usize = 1000;

async fn all(kind: Kind) {
    let race = Race {
        kind,
        tokens: TOKENS,
        uses: 1,
        spice: false,
    };
    let mut engine = Engine::start(kind);
    let address = engine.address();
    race::run(&mut engine, &address, race, |_| None).await;

    let mut engine = Engine::start(kind);
    let (address, counts) = proxy::start(engine.address()).await;
    race::run(&mut engine, &address, race, |_| None).await;
    let (statements, cut) = (
        counts.statements.load(Ordering::Relaxed),
        counts.cut.load(Ordering::Relaxed),
    );
    println!("{kind:?}: {cut} of {statements} statements lost their answer");
    assert!(statements <= cut * 5 && TOKENS <= cut);

    let mut engine = Engine::start(kind);
    let address = engine.address();
    let killed = race::run(&mut engine, &address, race, |token| match token % 100 {
        25 => Some(Crash::OnTheWay),
        75 => Some(Crash::Answered),
        _ => None,
    });
    assert!(TOKENS / 100 <= killed.await.torn, "no attempt has met a crash");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Redis, and minutes"]
async fn redis() {
    all(Kind::Redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL, and minutes"]
async fn postgresql() {
    all(Kind::Postgres).await;
}

/// Not a test of its own: a process of a race.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a race that starts it"]
async fn worker() {
    race::worker().await;
}
