//! Takes recorded SPICE conversations apart, made of `spice-proto`. See `spice-dissect --help`.

mod agent;
mod channel;
mod cli;
mod conversation;
mod lines;
mod report;
mod stats;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;
use cli::Cli;
use conversation::Conversation;
use examples::capture::{Capture, CaptureError, Options, What};
use report::{Failure, Report};

/// Something could not be read or written.
const UNREADABLE: u8 = 3;
/// A byte could not be placed.
const MISPLACED: u8 = 1;

/// Why dissecting stops.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error(transparent)]
    Failure(#[from] Failure),
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut report = Report::new(io::stdout().lock(), &cli);
    let dissected = dissect(&cli, &mut report);
    let failed = match dissected {
        // Who reads the lines has seen enough.
        Err(Error::Output(error)) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("spice-dissect: {error}");
            Some(if matches!(error, Error::Failure(_)) {
                MISPLACED
            } else {
                UNREADABLE
            })
        }
        Ok(true) => None,
        Ok(false) => Some(MISPLACED),
    };
    match report.finish(failed.is_none()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("spice-dissect: standard output: {error}");
            ExitCode::from(UNREADABLE)
        }
        _ => ExitCode::from(failed.unwrap_or(0)),
    }
}

/// Reads the whole recording; `false` if a connection was left because of a failure.
fn dissect<W: Write>(cli: &Cli, report: &mut Report<W>) -> Result<bool, Error> {
    let options = Options {
        port: cli.port,
        cut: cli.cut,
    };
    let mut capture = Capture::open(&cli.capture, cli.server.as_deref(), &options)?;
    let mut conversations = HashMap::new();
    let (mut due, mut whole) = (None, true);
    while let Some(event) = capture.event(due)? {
        let id = event.connection;
        if let What::Opened(origin) = &event.what {
            report.open(id, event.time, origin)?;
            conversations.insert(id, Conversation::new(id, origin, cli));
        }
        // One that failed is not followed any more.
        let Some(conversation) = conversations.get_mut(&id) else {
            due = None;
            continue;
        };
        let closed = event.what == What::Closed;
        match conversation.event(event, report) {
            Err(Error::Failure(failure)) if cli.keep_going => {
                eprintln!("spice-dissect: {failure}");
                whole = false;
                conversations.remove(&id);
            }
            step => {
                step?;
                due = conversation.due();
                if closed {
                    conversations.remove(&id);
                }
            }
        }
    }
    Ok(whole)
}
