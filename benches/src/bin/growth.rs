//! How cost grows with the amount of what is worked on.
//!
//! ```text
//! cargo run --profile bench -p benches --bin growth              a table; an error if a slope is above 1.1
//! cargo run --profile bench -p benches --bin growth -- FILE.svg  and the curves as a picture
//! ```
//!
//! Instructions are counted with callgrind, and so are the same in every run, whatever else runs on the machine. A slope is
//! that of the counts on a log-log scale: 1 is linear, 2 quadratic.

use std::error::Error;
use std::process::ExitCode;

use benches::growth::{CURVES, Curve, Measured, plot, slope};
use benches::{callgrind, growth};

/// A steeper curve is an error.
const MOST: f64 = 1.1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => all(None),
        ["run", name, amount] => run(name, amount),
        [file] if !file.starts_with('-') => all(Some(file)),
        _ => Err("usage: growth [FILE.svg]".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("growth: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One operation, inside callgrind.
fn run(name: &str, amount: &str) -> Result<(), Box<dyn Error>> {
    let curve = CURVES.iter().find(|curve| curve.name == name).ok_or("no such curve")?;
    callgrind::repeat(1, &mut *(curve.prepare)(amount.parse()?));
    Ok(())
}

fn all(file: Option<&str>) -> Result<(), Box<dyn Error>> {
    growth::check();
    let measured = CURVES.iter().map(measure).collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = file {
        std::fs::write(file, plot(&measured))?;
    }
    match measured.iter().find(|curve| MOST < curve.slope) {
        Some(curve) => Err(format!("{}: slope {:.3}, at most {MOST} is allowed", curve.name, curve.slope).into()),
        None => Ok(()),
    }
}

/// Measures one curve and prints it.
fn measure(curve: &Curve) -> Result<Measured, Box<dyn Error>> {
    println!("{}", curve.name);
    let mut points = Vec::new();
    for amount in curve.amounts {
        let instructions = callgrind::collected(&["run", curve.name, &amount.to_string()])? as f64;
        let each = instructions / f64::from(*amount);
        println!(
            "{amount:>12} {:<7} {instructions:>14.0} instructions {each:>10.1} for each",
            curve.unit
        );
        points.push((f64::from(*amount), instructions));
    }
    let slope = slope(&points);
    println!("{:>12} {slope:.3}\n", "slope");
    Ok(Measured {
        name: curve.name,
        unit: curve.unit,
        slope,
        points,
    })
}
