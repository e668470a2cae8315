//! The relay between a viewer with TLS and a hypervisor without, beside a bare copy of the bytes by tokio, and haproxy
//! where it is installed, in one run.
//!
//! ```text
//! cargo bench -p benches --bench relay
//! ```
//!
//! Viewer and hypervisor each have a thread; the relay, or the copy, has one of its own, whose processor time is counted.
//! haproxy is a process with one thread. Rounds of all take turns, and the medians are printed: bytes a second, processor time for a gigabyte, and the
//! time of a key press there and back. The relay gives each message a TLS record of its own, which spice-gtk needs; the
//! copy makes as few records as it likes.

mod peers;
mod proxies;

use std::sync::Arc;
use std::time::{Duration, Instant};

use benches::mix;
use peers::{Load, Measured};
use proxies::{Bare, Haproxy, Proxy, Relayed};

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
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The name of another bench.
    if arguments
        .iter()
        .any(|word| !word.starts_with('-') && !"relay".contains(word.as_str()))
    {
        return;
    }
    // `cargo test --benches` only wants to see that it runs.
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    let short = !has("--bench") || has("--test");
    let (round, rounds, keys) = if short { (1 << 20, 1, 20) } else { (ROUND, ROUNDS, KEYS) };
    let loads = [
        ("messages of 2 kB", messages(2000)),
        ("display mix", mix::display_stream()),
        ("messages of 50 B", messages(50)),
    ];
    let (bare, relayed, haproxy) = (Bare::start(), Relayed::start(), Haproxy::find());
    let mut proxies: Vec<(&str, &dyn Proxy)> = vec![("copy", &bare), ("relay", &relayed)];
    if let Some(haproxy) = &haproxy {
        proxies.push(("haproxy", haproxy));
    }
    println!("| load | proxy | MB/s | of the copy | CPU s/GB | of the copy |");
    println!("|---|---|---|---|---|---|");
    for (load, bytes) in loads {
        let sent = Arc::new(Load::new(bytes, round));
        let mut taken: Vec<Vec<Measured>> = proxies.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for ((_, proxy), taken) in proxies.iter().zip(&mut taken) {
                taken.push(peers::stream(*proxy, sent.clone()));
            }
        }
        let medians: Vec<(f64, f64)> = taken.iter().map(|rounds| medians(rounds)).collect();
        for ((name, _), (speed, processor)) in proxies.iter().zip(&medians) {
            let (of_speed, of_processor) = (speed / medians[0].0, processor / medians[0].1);
            println!("| {load} | {name} | {speed:.0} | {of_speed:.2} | {processor:.2} | {of_processor:.2} |");
        }
    }
    let mut taken: Vec<Vec<f64>> = proxies.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for ((_, proxy), taken) in proxies.iter().zip(&mut taken) {
            taken.push(micros(peers::keys(*proxy, keys)));
        }
    }
    println!("\n| a key press there and back | us | of the copy |");
    println!("|---|---|---|");
    let medians: Vec<f64> = taken.into_iter().map(median).collect();
    for ((name, _), taken) in proxies.iter().zip(&medians) {
        println!("| {name} | {taken:.1} | {:.2} |", taken / medians[0]);
    }
}

fn medians(rounds: &[Measured]) -> (f64, f64) {
    (
        median(rounds.iter().map(Measured::megabytes_a_second).collect()),
        median(rounds.iter().map(Measured::seconds_a_gigabyte).collect()),
    )
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Seconds since then.
fn since(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
