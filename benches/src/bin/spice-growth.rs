//! How the cost of spice-proto grows, in instructions: with sessions from 1 to 10,000, and with bodies from 16 B to 16 MiB.
//!
//! ```text
//! cargo run --profile bench -p benches --bin spice-growth
//! ```
//!
//! Each amount is counted with callgrind, in a process of its own, once and three times: the difference is two operations
//! without the start-up. The slope of each curve on a log-log scale is printed; above 1.1 the program fails.

use std::error::Error;
use std::process::{Command, ExitCode};

use benches::spice_growth::{CURVES, Curve, slope};

/// A slope above this fails: more than linear.
const MOST: f64 = 1.1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => curves(),
        ["run", name, amount, repetitions] => run(name, amount, repetitions),
        _ => Err("usage: spice-growth".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spice-growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One operation, inside callgrind.
fn run(name: &str, amount: &str, repetitions: &str) -> Result<(), Box<dyn Error>> {
    let curve = CURVES.iter().find(|curve| curve.name == name).ok_or("no such curve")?;
    let mut repeat = (curve.prepare)(amount.parse()?);
    for _ in 0..repetitions.parse::<u32>()? {
        repeat();
    }
    Ok(())
}

fn collect(curve: &Curve, amount: u32, repetitions: u32) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(["run", curve.name, &amount.to_string(), &repetitions.to_string()])
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}: {text}", curve.name).into());
    }
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    Ok(line.ok_or("valgrind printed no count")?.1.trim().parse()?)
}

fn curves() -> Result<(), Box<dyn Error>> {
    let mut steep = Vec::new();
    for curve in CURVES {
        println!("{}", curve.name);
        let mut points = Vec::new();
        for amount in curve.amounts {
            let (once, thrice) = (collect(curve, *amount, 1)?, collect(curve, *amount, 3)?);
            let count = thrice.checked_sub(once).ok_or("the longer run took less")? as f64 / 2.0;
            println!("{amount:>12} {count:>16.0}");
            points.push((f64::from(*amount), count));
        }
        let slope = slope(&points);
        println!("       slope {slope:>16.2}");
        if MOST < slope {
            steep.push(curve.name);
        }
    }
    match steep[..] {
        [] => Ok(()),
        _ => Err(format!("more than linear: {}", steep.join("; ")).into()),
    }
}
