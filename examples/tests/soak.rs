//! 200 simulated viewers come, work, break off, come again and move, at three gateways on one PostgreSQL behind haproxy, while
//! the engine is killed twice and a gateway every five minutes.
//!
//! Ten minutes: `cargo test -p examples --all-features --test soak -- --ignored --nocapture`. `SOAK_SECONDS=3600` makes it an hour,
//! `SOAK_ENGINE=redis` takes Redis, `SOAK_VIEWERS` changes their number.

#[path = "../../console-token/tests/engines/mod.rs"]
mod engines;
#[path = "soak/guests.rs"]
mod guests;
#[path = "support/haproxy.rs"]
mod haproxy;
#[path = "soak/link.rs"]
mod link;
#[path = "support/ports.rs"]
mod ports;
#[path = "console_gateway/program.rs"]
#[allow(dead_code, reason = "shared with the other tests")]
mod program;
#[path = "soak/site.rs"]
mod site;
#[path = "soak/viewer.rs"]
mod viewer;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use engines::Kind;
use guests::Guests;
use site::Site;
use tokio::time::sleep;
use viewer::{Figures, Town};

fn setting(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

/// What goes wrong meanwhile, in parts of the whole time: so that ten minutes and an hour see the same.
async fn troubles(site: &mut Site, whole: Duration, began: Instant) {
    let every = Duration::from_secs(300).min(whole / 2);
    let mut next_kill = every / 2;
    let mut outages = [whole / 3, whole * 2 / 3].into_iter().peekable();
    let mut turn = 0;
    while began.elapsed() < whole {
        if outages.next_if(|at| *at <= began.elapsed()).is_some() {
            println!("SOAK | {:.0?}: the engine is killed", began.elapsed());
            site.engine.kill();
            sleep(Duration::from_secs(15)).await;
            site.engine.run();
        }
        if next_kill <= began.elapsed() {
            println!("SOAK | {:.0?}: gateway {} is killed", began.elapsed(), turn + 1);
            site.kill(turn);
            sleep(Duration::from_secs(10)).await;
            site.start_gateway(turn);
            turn = (turn + 1) % site.count();
            next_kill += every;
        }
        site.watch(began.elapsed());
        sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs haproxy, PostgreSQL and ten minutes"]
async fn consoles_come_and_go() {
    let _ = examples::descriptors::raise_limit();
    let whole = Duration::from_secs(setting("SOAK_SECONDS", 600));
    let viewers = usize::try_from(setting("SOAK_VIEWERS", 200)).expect("a number");
    let kind = match std::env::var("SOAK_ENGINE").as_deref() {
        Ok("redis") => Kind::Redis,
        _ => Kind::Postgres,
    };
    let guests = Guests::start(viewers).await;
    let mut site = Site::start(kind, &guests);
    let town = Arc::new(Town {
        spice: site.spice,
        apis: site.apis(),
        guests: guests.clone(),
        figures: Figures::default(),
        until: Instant::now() + whole,
    });
    let began = Instant::now();
    let all: Vec<_> = (0..viewers)
        .map(|number| tokio::spawn(viewer::lives(town.clone(), number)))
        .collect();
    troubles(&mut site, whole, began).await;
    for viewer in all {
        viewer.await.expect("a viewer");
    }
    // For leases, and what is still open towards hypervisors.
    sleep(Duration::from_secs(20)).await;
    site.watch(began.elapsed());
    let Figures {
        sessions,
        again,
        moved,
        messages,
        rivals,
        lost,
        refused,
    } = &town.figures;
    let [sessions, again, moved, messages, rivals, lost, refused] =
        [sessions, again, moved, messages, rivals, lost, refused].map(|figure| figure.load(Relaxed));
    println!(
        "SOAK | {kind:?} | {viewers} viewers, {:.0?} | {sessions} sessions to their end, {again} came again, {moved} moved | \
         {messages} messages there and back, all of them | {rivals} rivals with the same token, none in | \
         {lost} not back in time, {refused} attempts while something was down",
        began.elapsed()
    );
    site.report();
    assert_eq!(lost, 0, "viewers that did not come back in their time");
    assert!(viewers as u64 <= sessions && 0 < moved && 0 < again && 0 < rivals);
    assert_eq!(guests.open(), 0, "connections to hypervisors are left");
    site.is_flat();
}
