//! Counts the instructions of every operation with callgrind.
//!
//! ```text
//! cargo run --profile bench -p benches --bin instructions              the table
//! cargo run --profile bench -p benches --bin instructions -- WORD      only operations whose name has this word
//! cargo run --profile bench -p benches --bin instructions -- --check   and an error if one grew by 3 %
//! cargo run --profile bench -p benches --bin instructions -- --save    and a new baseline
//! ```
//!
//! Each operation is run in a process of its own, N times to warm up and N times counted. Counts depend on the compiler, so a baseline of another rustc is shown
//! beside the counts and judges nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::process::{Command, ExitCode};

use benches::ratios::{RATIOS, Ratio};
use benches::{Case, callgrind, cases, growth};

/// Growth that fails the check, in percent.
const TOLERANCE: f64 = 3.0;
/// What an operation of a tracker may cost among 10,000 sessions, in that among 100: it is the same but for the chance
/// of two tokens in one place of a hash table.
const MOST_GROWTH: f64 = 1.2;
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/baseline.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => table(Mode::Print),
        ["--check"] => {
            growth::check();
            table(Mode::Check)
        }
        ["--save"] => table(Mode::Save),
        ["run", name, repetitions] => run(name, repetitions),
        [word] if !word.starts_with('-') => some(word),
        _ => Err("usage: instructions [--check | --save | WORD]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(PartialEq)]
enum Mode {
    Print,
    Check,
    Save,
}

/// One operation, inside callgrind.
fn run(name: &str, repetitions: &str) -> Result<(), Box<dyn Error>> {
    let case = cases().find(|case| case.name == name).ok_or("no such operation")?;
    callgrind::repeat(repetitions.parse()?, &mut *(case.prepare)());
    Ok(())
}

/// Instructions of one operation.
fn count(case: &Case) -> Result<f64, Box<dyn Error>> {
    let all = callgrind::collected(&["run", case.name, &case.repetitions.to_string()])?;
    Ok(all as f64 / f64::from(case.repetitions) / f64::from(case.operations))
}

fn rustc() -> Result<String, Box<dyn Error>> {
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    Ok(
        String::from_utf8(Command::new(compiler).arg("--version").output()?.stdout)?
            .trim()
            .to_owned(),
    )
}

/// Counts by the names of their operations.
type Counts<'a> = BTreeMap<&'a str, f64>;

/// The baseline: its compiler, and each count by name.
fn baseline(stored: &str) -> Result<(&str, Counts<'_>), Box<dyn Error>> {
    let mut lines = stored.lines();
    let compiler = lines.next().unwrap_or_default();
    let counts = lines
        .filter_map(|line| line.rsplit_once('\t'))
        .map(|(name, n)| Ok((name, n.parse()?)))
        .collect::<Result<_, std::num::ParseFloatError>>()?;
    Ok((compiler, counts))
}

/// Prints a count beside that of the baseline, and gives the difference in percent.
fn line(name: &str, now: f64, before: Option<&f64>) -> Option<f64> {
    let change = before.map(|before| (now / before - 1.0) * 100.0);
    let note = change.map_or_else(|| "new".to_owned(), |change| format!("{change:+.1} %"));
    println!("{now:>14.1}  {name:<66} {note}");
    change
}

/// Prints the ratios whose two counts are there. The first that is greater than it may be is an error.
fn ratios(counts: &Counts<'_>) -> Result<(), Box<dyn Error>> {
    let mut result = Ok(());
    for Ratio { of, to, most } in RATIOS {
        let (Some(count), Some(limit)) = (counts.get(of), counts.get(to)) else {
            continue;
        };
        let ratio = count / limit;
        println!("{ratio:>14.3}  {of} / {to}");
        if result.is_ok() && most.is_some_and(|most| most < ratio) {
            result = Err(format!("{of}: {ratio:.3} times {to}").into());
        }
    }
    result
}

/// Only the operations whose name has this word.
fn some(word: &str) -> Result<(), Box<dyn Error>> {
    let stored = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let (compiler, baseline) = baseline(&stored)?;
    let cases: Vec<&Case> = cases().filter(|case| case.name.contains(word)).collect();
    if cases.is_empty() {
        return Err(format!("no operation has {word:?} in its name").into());
    }
    println!(
        "instructions per operation, {}; the baseline is of {compiler}",
        rustc()?
    );
    let mut counts = Counts::new();
    for case in cases {
        let now = count(case)?;
        line(case.name, now, baseline.get(case.name));
        counts.insert(case.name, now);
    }
    ratios(&counts)
}

fn table(mode: Mode) -> Result<(), Box<dyn Error>> {
    let rustc = rustc()?;
    let stored = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let (compiler, baseline) = baseline(&stored)?;
    let same_compiler = compiler == rustc;
    println!("instructions per operation, {rustc}");
    let mut saved = format!("{rustc}\n");
    let mut grown = Vec::new();
    let mut counts = BTreeMap::new();
    for case in cases() {
        let now = count(case)?;
        counts.insert(case.name, now);
        writeln!(saved, "{}\t{now:.1}", case.name)?;
        let change = line(case.name, now, baseline.get(case.name));
        if change.is_none_or(|change| TOLERANCE < change) {
            grown.push(case.name);
        }
    }
    let of = |name: &str| counts.get(name).copied().unwrap_or_default();
    let (whole, seal, open) = (
        of("spice: relay link, RSA included"),
        of("spice: seal a ticket"),
        of("spice: open a ticket"),
    );
    println!(
        "{:>14.1}  spice: relay link less RSA (one sealing, one opening)",
        whole - seal - open
    );
    println!(
        "{:>14.3}  spice: relay link / (one sealing + one opening)",
        whole / (seal + open)
    );
    println!(
        "{:>14.3}  spice: recorded message, encoded / encoded by hand",
        of("spice: recorded message, encoded") / of("spice: recorded message, encoded by hand")
    );
    let copied = of("spice: the same bytes, copied in chunks");
    let relayed = of("spice: the same, agent data looked into") / copied;
    println!("{relayed:>14.3}  spice: main channel, relayed and looked into / copied in chunks");
    println!(
        "{:>14.3}  rfb: check of a VNC response / the des crate alone",
        of("rfb: check a VNC response") / of("rfb: what the des crate takes for it")
    );
    let among = [
        "a session of 10 channels begins and ends",
        "a channel joins and leaves",
        "a guessed id is refused",
    ];
    let growth = among.map(|what| {
        let growth =
            of(&format!("spice: {what}, among 10,000 sessions")) / of(&format!("spice: {what}, among 100 sessions"));
        println!("{growth:>14.3}  spice: {what}, among 10,000 sessions / among 100");
        growth
    });
    let redeem = of("token: redeem, 100,000 in the store") / of("token: keyed hash and one map look-up");
    println!("{redeem:>14.3}  token: redeem / (keyed hash + one map look-up)");
    let guesses = counts
        .iter()
        .filter(|(name, _)| name.starts_with("token: refuse a guess"));
    let guesses: Vec<f64> = guesses.map(|(_, count)| *count).collect();
    let (least, most) = guesses.iter().fold((f64::MAX, 0.0), |(least, most), count| {
        (f64::min(least, *count), f64::max(most, *count))
    });
    let spread = (most / least - 1.0) * 100.0;
    println!("{spread:>14.3}  token: % between the means of guesses, by the number of right characters");
    ratios(&counts)?;
    // These hold with every compiler.
    if let Some(growth) = growth.into_iter().find(|growth| MOST_GROWTH < *growth) {
        return Err(
            format!("what a tracker does costs {growth:.3} times as much among 100 times as many sessions").into(),
        );
    }
    if 1.3 < redeem {
        return Err(format!("a redeem costs {redeem:.3} times a hashed look-up").into());
    }
    if 3.0 < relayed {
        return Err(format!("relaying a main channel costs {relayed:.3} times a copy").into());
    }
    if 0.5 <= spread {
        return Err(format!("the cost of a refusal tells how much of a guess is right: {spread:.3} %").into());
    }
    match mode {
        Mode::Print => {}
        Mode::Save => std::fs::write(BASELINE, saved)?,
        Mode::Check if !same_compiler => println!("the baseline is of another compiler: nothing is judged"),
        Mode::Check if grown.is_empty() => println!("none grew by more than {TOLERANCE} %"),
        Mode::Check => return Err(format!("grown by more than {TOLERANCE} %, or new: {}", grown.join("; ")).into()),
    }
    Ok(())
}
