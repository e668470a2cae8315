//! What the dissectors have in common: they take recorded conversations apart, byte for byte.

mod lines;
mod report;
mod seen;
mod sums;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

pub use lines::{Closed, Encrypted, Hex, Incomplete, Refused, Side, is_empty};
pub use report::{Failure, Place, Report};
pub use seen::{MIDWAY, Seen, Stream};
pub use sums::{SASL, Sum, Sums, TLS, Tally};

use crate::capture::{Capture, CaptureError, End, Event, EventKind, Options, Origin, Sender};

/// Arguments of every dissector.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Packet capture, - for standard input, folder of pairs, or the client's file of a pair
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// The server's file, if CAPTURE is the client's file of a pair
    #[arg(value_name = "S2C")]
    pub server: Option<PathBuf>,
    /// Only connections to this TCP port
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Encode everything that was decoded again, and fail at the first byte that differs
    #[arg(long)]
    pub reencode: bool,
    /// Instead of lines: how many of each, and their bytes
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true, default_missing_value = "table")]
    pub stats: Option<StatsForm>,
    /// No lines: only the summary and what fails
    #[arg(long, short)]
    pub quiet: bool,
    /// Do not stop at the first failure: leave that connection, and go on with the others
    #[arg(long)]
    pub keep_going: bool,
    /// The recording was cut: a stream may end inside of a message or where packets were lost
    #[arg(long)]
    pub cut: bool,
    /// Cut texts after so many characters, two for a byte of payload; 0: show all
    #[arg(long, value_name = "LENGTH", default_value_t = 160)]
    pub shorten: usize,
    /// Show what the client says to SASL, which may be a password, and other secrets that can be shown
    #[arg(long)]
    pub secrets: bool,
}

/// How sums are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StatsForm {
    /// For people
    Table,
    /// A line of JSON for each, and one with the sums
    Json,
}

/// One connection, from its first byte to its last.
pub trait Conversation<W: Write, S: Sums> {
    /// What was seen of it.
    fn seen(&mut self) -> &mut Seen;
    /// Places what can be placed.
    ///
    /// # Errors
    /// A byte that cannot be placed, or lines that cannot be written.
    fn advance(&mut self, report: &mut Report<W, S>) -> Result<(), Error>;
    /// Both directions have ended.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    fn close(&mut self, report: &mut Report<W, S>) -> Result<(), Error>;
    /// Whose bytes are waited for, if that is known.
    fn due(&self) -> Option<Sender>;
}

/// Why dissecting stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recording cannot be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A byte could not be placed.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// Lines cannot be written.
    #[error("standard output: {0}")]
    Output(#[from] io::Error),
}

/// Something could not be read or written.
const UNREADABLE: u8 = 3;
/// A byte could not be placed.
const MISPLACED: u8 = 1;

/// Runs a dissector to the end of its recording.
pub fn run<S: Sums, C>(program: &'static str, arguments: &Arguments, new: impl Fn(u64, &Origin) -> C) -> ExitCode
where
    C: Conversation<io::StdoutLock<'static>, S>,
{
    let mut report = Report::new(program, io::stdout().lock(), arguments);
    let dissected = dissect(program, arguments, &mut report, new);
    let failed = match dissected {
        // The reader of the lines has closed them.
        Err(Error::Output(error)) if error.kind() == ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
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
            eprintln!("{program}: standard output: {error}");
            ExitCode::from(UNREADABLE)
        }
        _ => ExitCode::from(failed.unwrap_or(0)),
    }
}

/// Reads the whole recording; `false` if a connection was left because of a failure.
fn dissect<W: Write, S: Sums, C: Conversation<W, S>>(
    program: &str,
    arguments: &Arguments,
    report: &mut Report<W, S>,
    new: impl Fn(u64, &Origin) -> C,
) -> Result<bool, Error> {
    let options = Options {
        port: arguments.port,
        cut: arguments.cut,
    };
    let mut capture = Capture::open(&arguments.capture, arguments.server.as_deref(), &options)?;
    let mut conversations = HashMap::new();
    let (mut due, mut whole) = (None, true);
    while let Some(event) = capture.event(due)? {
        let id = event.connection;
        if let EventKind::Opened(origin) = &event.kind {
            report.open(id, event.time, origin)?;
            conversations.insert(id, new(id, origin));
        }
        // One that failed is not followed any more.
        let Some(conversation) = conversations.get_mut(&id) else {
            due = None;
            continue;
        };
        let closed = event.kind == EventKind::Closed;
        match take(conversation, event, report) {
            Err(Error::Failure(failure)) if arguments.keep_going => {
                eprintln!("{program}: {failure}");
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

/// Takes what was seen, and places what can be placed.
fn take<W: Write, S: Sums>(
    conversation: &mut impl Conversation<W, S>,
    event: Event,
    report: &mut Report<W, S>,
) -> Result<(), Error> {
    let seen = conversation.seen();
    seen.time = event.time.or(seen.time);
    match event.kind {
        EventKind::Opened(_) => Ok(()),
        EventKind::Data(sender, bytes) => {
            seen.streams[sender as usize].rx.extend_from_slice(&bytes);
            conversation.advance(report)
        }
        EventKind::Ended(sender, end) => {
            let stream = &mut seen.streams[sender as usize];
            stream.ended = Some(end);
            if let End::Lost { bytes } = end
                && !seen.cut
            {
                let behind = stream.rx.len();
                let what = format!("{bytes} bytes are missing in the capture here (--cut takes that as the end)");
                return Err(seen.place(sender).plus(behind).failure(what).into());
            }
            conversation.advance(report)
        }
        EventKind::Closed => conversation.close(report),
    }
}
