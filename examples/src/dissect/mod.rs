//! What the dissectors have in common: they take recorded conversations apart, byte for byte.

mod lines;
mod report;

use std::collections::HashMap;
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use bytes::{Buf as _, BytesMut};
use clap::{Args, ValueEnum};

pub use lines::{Closed, Encrypted, Hex, Incomplete, Refused, Side, is_empty};
pub use report::{Failure, Place, Report};

use crate::capture::{Capture, CaptureError, End, Event, Options, Origin, Sender, What};

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
    /// Cut texts longer than so many characters (two for a byte of payload); 0: show all of them
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

/// Sums of what was found.
pub trait Sums: Default {
    /// What is counted.
    type Entry;
    /// A connection begins.
    fn connection(&mut self);
    /// Counts something with so many bytes.
    fn add(&mut self, sender: Sender, entry: Self::Entry, bytes: u64);
    /// Further bytes of what was counted already.
    fn more(&mut self, sender: Sender, entry: Self::Entry, bytes: u64);
    /// A line for each, and one with the sums.
    ///
    /// # Errors
    /// They cannot be written.
    fn json(&self, out: &mut impl Write) -> io::Result<()>;
    /// For people.
    ///
    /// # Errors
    /// They cannot be written.
    fn table(&self, out: &mut impl Write) -> io::Result<()>;
    /// On one line.
    fn summary(&self) -> String;
}

/// One connection, from its first byte to its last.
pub trait Conversation<W: Write, S: Sums> {
    /// Takes what was seen, and places what can be placed.
    ///
    /// # Errors
    /// A byte that cannot be placed, or lines that cannot be written.
    fn event(&mut self, event: Event, report: &mut Report<W, S>) -> Result<(), Error>;
    /// Whose bytes are waited for, if that is known.
    fn due(&self) -> Option<Sender>;
}

/// The bytes of one direction that are not placed yet.
#[derive(Debug, Default)]
pub struct Stream {
    /// The bytes.
    pub rx: BytesMut,
    /// Where they begin.
    pub offset: u64,
    /// How the direction ended.
    pub ended: Option<End>,
}

impl Stream {
    /// Leaves out bytes at the front, which were placed.
    pub fn skip(&mut self, bytes: usize) {
        self.rx.advance(bytes);
        self.offset += bytes as u64;
    }
}

impl From<&Stream> for Side {
    fn from(stream: &Stream) -> Self {
        Self {
            size: stream.offset,
            end: match stream.ended {
                Some(End::Closed) => "closed",
                Some(End::Reset) => "reset",
                Some(End::Lost { .. }) => "lost",
                Some(End::Cut) | None => "cut",
            },
        }
    }
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
        // Who reads the lines has seen enough.
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
        if let What::Opened(origin) = &event.what {
            report.open(id, event.time, origin)?;
            conversations.insert(id, new(id, origin));
        }
        // One that failed is not followed any more.
        let Some(conversation) = conversations.get_mut(&id) else {
            due = None;
            continue;
        };
        let closed = event.what == What::Closed;
        match conversation.event(event, report) {
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
