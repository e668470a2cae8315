//! The relay between a viewer with TLS and a hypervisor without, beside a bare copy of the bytes by tokio, in one run.
//!
//! ```text
//! cargo bench -p benches --bench relay
//! ```
//!
//! Viewer and hypervisor each have a thread; the relay, or the copy, has one of its own, whose processor time is counted.
//! Rounds of the two take turns, and the medians are printed: bytes a second, processor time for a gigabyte, and the
//! time of a key press there and back. The relay gives each message a TLS record of its own, which spice-gtk needs; the
//! copy makes as few records as it likes.

mod peers;
mod proxies;

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::mix;
use peers::{Load, Measured};
use proxies::{Bare, Relayed};

/// Bytes of one round.
const ROUND: usize = 192 << 20;
const ROUNDS: usize = 7;
/// Key presses of one round.
const KEYS: u32 = 3000;

fn messages(size: usize) -> Vec<u8> {
    let body = vec![7; size - 6];
    let mut frame = 123_u16.to_le_bytes().to_vec();
    frame.extend((body.len() as u32).to_le_bytes());
    frame.extend(body);
    frame.repeat((1 << 20) / size)
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

fn main() {
    // `cargo test --benches` only wants to see that it runs.
    let short = !std::env::args().any(|argument| argument == "--bench");
    let (round, rounds, keys) = if short { (1 << 20, 1, 20) } else { (ROUND, ROUNDS, KEYS) };
    let loads = [
        ("messages of 2 kB", messages(2000)),
        ("display mix", mix::display_stream()),
        ("messages of 50 B", messages(50)),
    ];
    let (relayed, bare) = (Relayed::start(), Bare::start());
    println!("| load | copy, MB/s | relay, MB/s | ratio | copy, CPU s/GB | relay, CPU s/GB | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for (name, bytes) in loads {
        let load = Arc::new(Load::new(bytes, round));
        let mut taken: [Vec<Measured>; 2] = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            taken[0].push(peers::stream(bare.proxy(), false, load.clone()));
            taken[1].push(peers::stream(relayed.proxy(), true, load.clone()));
        }
        let [copy, relay] = taken.map(|rounds| {
            (
                median(rounds.iter().map(Measured::megabytes_a_second).collect()),
                median(rounds.iter().map(Measured::seconds_a_gigabyte).collect()),
            )
        });
        println!(
            "| {name} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
            copy.0,
            relay.0,
            relay.0 / copy.0,
            copy.1,
            relay.1,
            relay.1 / copy.1
        );
    }
    let mut taken: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        taken[0].push(micros(peers::keys(bare.proxy(), false, keys)));
        taken[1].push(micros(peers::keys(relayed.proxy(), true, keys)));
    }
    let [copy, relay] = taken.map(median);
    println!("\na key press there and back, us: copy {copy:.1}, relay {relay:.1}, ratio {:.2}", relay / copy);
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Seconds since then.
fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
