//! A program of this package, run again inside callgrind.

use std::error::Error;
use std::process::Command;

/// Does an operation so many times twice over. The first half is warm-up, the second is what [`collected`] counts.
pub fn repeat(times: u32, operation: &mut dyn FnMut()) {
    (0..times).for_each(|_| operation());
    measured(times, operation);
}

/// A function of its own: callgrind counts between its call and its return.
#[inline(never)]
fn measured(times: u32, operation: &mut dyn FnMut()) {
    (0..times).for_each(|_| operation());
}

/// The instructions that the second half of [`repeat`] takes in this program, run with these arguments.
///
/// # Errors
/// valgrind is not there, the program has failed, or it has repeated nothing.
pub fn collected(arguments: &[&str]) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        // Also by its mangled name.
        .arg("--toggle-collect=*callgrind*measured*")
        .arg(std::env::current_exe()?)
        .args(arguments)
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{}: {text}", arguments.join(" ")).into());
    }
    let line = text.lines().find_map(|line| line.split_once("Collected : "));
    match line.ok_or("valgrind printed no count")?.1.trim().parse()? {
        0 => Err("nothing was counted".into()),
        count => Ok(count),
    }
}
