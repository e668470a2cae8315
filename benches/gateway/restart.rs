//! The gateway comes back with tokens in SQLite.

use std::fs;
use std::thread;
use std::time::Instant;

use crate::program::{Gateway, SPICE, Settings};
use crate::table::{Bound, Table};
use crate::{Bench, viewer};

const TOKENS: usize = 100_000;
/// Connections to the API.
const CALLERS: usize = 8;

/// The row.
pub async fn rows(bench: &Bench, table: &mut Table) {
    let settings = Settings {
        store: "sqlite:gateway.db",
        ..Settings::default()
    };
    let start = || Gateway::start(&bench.program, &bench.files, bench.hypervisors.places(), &settings);
    let gateway = start();
    let token = gateway.api().token(SPICE[0]);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let mut api = gateway.api();
                for _ in 0..TOKENS / CALLERS {
                    api.token(SPICE[0]);
                }
            });
        }
    });
    let a_second = TOKENS as f64 / began.elapsed().as_secs_f64();
    gateway.process.stop();
    let size = fs::metadata(bench.files.path("gateway.db")).map_or(0, |file| file.len());
    let began = Instant::now();
    let gateway = start();
    let (status, _) = gateway.api().call("GET /healthz", "");
    let ready = began.elapsed().as_secs_f64();
    assert_eq!(status, 200, "healthy");
    let opened = viewer::session(&bench.files, gateway.address("spice_tls"), &token).await;
    opened.expect("a session with a token of before");
    let first = began.elapsed().as_secs_f64();
    let of = format!(
        "a token of before has opened a console after {first:.2} s; {:.0} MB, made by the API at {a_second:.0} a second",
        size as f64 / 1e6
    );
    let what = format!("ready after a restart with {TOKENS} tokens in SQLite");
    table.figure(what, (ready, "s"), Bound::AtMost(1.0), of);
    gateway.process.stop();
}
