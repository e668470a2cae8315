//! A program of this package, run again inside callgrind.

use std::error::Error;
use std::process::Command;

/// The instructions that this program takes with these arguments.
///
/// # Errors
/// valgrind is not there, or the program has failed.
pub fn collected(arguments: &[&str]) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}: {text}", arguments.join(" ")).into());
    }
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    Ok(line.ok_or("valgrind printed no count")?.1.trim().parse()?)
}
