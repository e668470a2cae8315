//! The libraries beside others that do the same: builds and runs the package in `benches/peers`, which stands outside of the
//! workspace. What stands behind `--` goes to it.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--locked"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/peers/Cargo.toml"),
        ])
        .args(["--target-dir", concat!(env!("CARGO_TARGET_TMPDIR"), "/peers"), "--"])
        .args(std::env::args().skip(1).filter(|argument| argument != "--bench"))
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
