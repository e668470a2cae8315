//! The tables.

use std::fmt::Write as _;
use std::process::Command;

use crate::contest::Outcome;
use crate::program::{GLIB, LIBVNCCLIENT, LIBVNCSERVER, OPENSSL};

/// The crates whose versions are told.
const CRATES: [&str; 5] = [
    "shakenfist-spice-protocol",
    "spice-client",
    "vnc-rs",
    "rust-ini",
    "jsonwebtoken",
];
/// The head of the table.
const HEAD: &str =
    "| operation | sample | bytes | ours | the least, times ours | peers, times ours |\n|---|---|---:|---:|---|---|\n";

/// What is measured, with which peers, and what came out.
pub fn markdown(outcomes: &[Outcome], rounds: usize) -> String {
    let mut text = format!(
        "{}. Peers: {}. Medians of {rounds} rounds that take turns, with what half of all lies between; 2.0 takes twice the time of ours.\n\n",
        machine(),
        versions().join(", "),
    );
    text += HEAD;
    outcomes.iter().for_each(|outcome| text += &row(outcome));
    text += "\nWhat a peer cannot do:\n\n| peer | operation | why |\n|---|---|---|\n";
    text + &cannot(outcomes)
}

fn row(outcome: &Outcome) -> String {
    let limit = outcome.limit.as_ref();
    let limit = limit.map(|(name, ratios)| format!("{} ({name})", ratio_text(ratios.median())));
    let peers = outcome.peers.iter().filter_map(|(name, ratios)| {
        let ratios = ratios.as_ref().ok()?;
        let (from, to) = ratios.middle_half();
        let [median, from, to] = [ratios.median(), from, to].map(ratio_text);
        Some(format!("{name} **{median}** ({from} to {to})"))
    });
    let peers: Vec<String> = peers.collect();
    format!(
        "| {} | {} | {} | {} a {} | {} | {} |\n",
        outcome.operation,
        outcome.sample,
        thousands(outcome.bytes),
        time(outcome.ours.median()),
        outcome.unit,
        limit.as_deref().unwrap_or("-"),
        if peers.is_empty() {
            "none".into()
        } else {
            peers.join("; ")
        },
    )
}

/// A row for each peer and reason.
fn cannot(outcomes: &[Outcome]) -> String {
    let mut rows: Vec<(&str, &str, &str)> = Vec::new();
    for outcome in outcomes {
        for (name, ratios) in &outcome.peers {
            if let Err(why) = ratios {
                rows.push((name, outcome.operation, why));
            }
        }
    }
    rows.sort_unstable();
    rows.dedup();
    rows.iter().fold(String::new(), |mut text, (name, operation, why)| {
        let _ = writeln!(text, "| {name} | {operation} | {why} |");
        text
    })
}

/// Three digits.
pub fn ratio_text(ratio: f64) -> String {
    match ratio {
        0.0..10.0 => format!("{ratio:.2}"),
        10.0..100.0 => format!("{ratio:.1}"),
        _ => format!("{ratio:.0}"),
    }
}

fn time(nanoseconds: f64) -> String {
    match nanoseconds {
        0.0..1e3 => format!("{} ns", ratio_text(nanoseconds)),
        1e3..1e6 => format!("{} us", ratio_text(nanoseconds / 1e3)),
        _ => format!("{} ms", ratio_text(nanoseconds / 1e6)),
    }
}

fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first word of what a program or a file says of the machine, or that it does not.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}: {}, {} cores, load {} at the end, {}",
        said_by("date", &["-u", "+%F"]),
        model.map_or("unknown processor", |(_, name)| name),
        std::thread::available_parallelism().map_or(1, usize::from),
        load.split(' ').next().unwrap_or("unknown"),
        said_by("rustc", &["--version"]),
    )
}

fn versions() -> Vec<String> {
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock")).unwrap_or_default();
    let of_crate = |name: &&str| {
        let (_, behind) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
        Some(format!("{name} {}", behind.split('"').next()?))
    };
    let of_library = |(name, source): (&str, crate::program::Source)| Some(format!("{name} {}", source.version()?));
    let libraries = [
        ("GLib", GLIB),
        ("OpenSSL", OPENSSL),
        ("libvncserver", LIBVNCSERVER),
        ("libvncclient", LIBVNCCLIENT),
    ];
    let crates = CRATES.iter().filter_map(of_crate);
    crates.chain(libraries.into_iter().filter_map(of_library)).collect()
}
