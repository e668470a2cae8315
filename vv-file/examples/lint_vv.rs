//! Says what a viewer refuses, misreads or ignores in connection files. Exit status 1 if one has an error.
//!
//! `cargo run -p vv-file --example lint_vv -- console.vv`

use std::process::ExitCode;

use vv_file::lint::worst;
use vv_file::{Severity, lint};

fn main() -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    let mut files = std::env::args().skip(1).peekable();
    if files.peek().is_none() {
        eprintln!("usage: lint_vv FILE...");
        return ExitCode::from(2);
    }
    for file in files {
        let bytes = match std::fs::read(&file) {
            Ok(bytes) => bytes,
            Err(error) => {
                eprintln!("{file}: {error}");
                return ExitCode::from(2);
            }
        };
        let findings = lint(&bytes);
        for finding in &findings {
            println!("{file}: {finding}");
        }
        if worst(&findings) == Some(Severity::Error) {
            status = ExitCode::FAILURE;
        }
    }
    status
}
