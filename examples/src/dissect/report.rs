//! Where findings go: lines, sums, and the check that what was decoded can be encoded again.

use std::io::{self, Write};
use std::time::Duration;

use bytes::BytesMut;
use serde::Serialize;

use super::lines::{Line, Opened, Shortening};
use super::{Arguments, StatsForm, Sums, Tally};
use crate::capture::{Origin, Sender};

/// Where something is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The connection.
    pub connection: u64,
    /// When it was seen.
    pub time: Option<Duration>,
    /// The sender.
    pub sender: Sender,
    /// How many bytes that one had sent before.
    pub offset: u64,
}

impl Place {
    /// So many bytes further on.
    #[must_use]
    pub fn plus(self, bytes: usize) -> Self {
        Self {
            offset: self.offset + bytes as u64,
            ..self
        }
    }

    /// What is wrong here.
    #[must_use]
    pub fn failure(self, what: impl ToString) -> Failure {
        let Self {
            connection,
            sender,
            offset,
            ..
        } = self;
        Failure {
            connection,
            sender,
            offset,
            what: what.to_string(),
        }
    }
}

/// The first byte that could not be placed.
#[derive(Debug, thiserror::Error)]
#[error("connection {connection}, {sender}, offset {offset}: {what}")]
pub struct Failure {
    connection: u64,
    sender: Sender,
    offset: u64,
    what: String,
}

/// Takes all findings.
pub struct Report<W, S> {
    program: &'static str,
    out: W,
    lines: bool,
    shorten: usize,
    stats_form: Option<StatsForm>,
    reencode: bool,
    tally: Tally<S>,
    again: BytesMut,
}

impl<W: Write, S: Sums> Report<W, S> {
    /// Writes to `out`.
    pub fn new(program: &'static str, out: W, cli: &Arguments) -> Self {
        Self {
            program,
            out,
            lines: !cli.quiet && cli.stats.is_none(),
            shorten: cli.shorten,
            stats_form: cli.stats,
            reencode: cli.reencode,
            tally: Tally::default(),
            again: BytesMut::new(),
        }
    }

    /// A connection begins.
    pub fn open(&mut self, connection: u64, time: Option<Duration>, origin: &Origin) -> io::Result<()> {
        self.tally.connections += 1;
        let opened = match origin {
            Origin::Pair { name, .. } => Opened::Pair { files: name },
            Origin::Tcp {
                client,
                server,
                complete,
            } => Opened::Tcp {
                client: client.to_string(),
                server: server.to_string(),
                from_the_start: *complete,
            },
        };
        self.about(connection, time, "open", &opened)
    }

    /// A line about a connection.
    pub fn about(
        &mut self,
        connection: u64,
        time: Option<Duration>,
        kind: &'static str,
        what: &impl Serialize,
    ) -> io::Result<()> {
        self.write(&Line {
            connection,
            time: time.map(seconds),
            direction: None,
            offset: None,
            kind,
            what,
        })
    }

    /// A line about bytes.
    pub fn line(&mut self, place: Place, kind: &'static str, what: &impl Serialize) -> io::Result<()> {
        self.write(&Line {
            connection: place.connection,
            time: place.time.map(seconds),
            direction: Some(place.sender.to_string()),
            offset: Some(place.offset),
            kind,
            what,
        })
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        if !self.lines {
            return Ok(());
        }
        let formatter = Shortening::new(self.shorten);
        line.serialize(&mut serde_json::Serializer::with_formatter(&mut self.out, formatter))?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    /// Counts bytes that were placed.
    pub fn count(&mut self, sender: Sender, entry: S, bytes: u64) {
        self.tally.add(sender, entry, bytes);
    }

    /// Counts further bytes of what was counted already.
    pub fn more(&mut self, sender: Sender, entry: S, bytes: u64) {
        self.tally.more(sender, entry, bytes);
    }

    /// Whether what was decoded is encoded again.
    #[must_use]
    pub fn reencodes(&self) -> bool {
        self.reencode
    }

    /// Checks that what was decoded gives the same bytes again; `bytes` may go on behind them.
    pub fn check<E: ToString>(
        &mut self,
        place: Place,
        name: &str,
        bytes: &[u8],
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<(), Failure> {
        if !self.reencode {
            return Ok(());
        }
        self.again.clear();
        encode(&mut self.again)
            .map_err(|error| place.failure(format!("{name} cannot be encoded again: {}", error.to_string())))?;
        if bytes.starts_with(&self.again) {
            return Ok(());
        }
        let same = bytes.iter().zip(&self.again).take_while(|(was, is)| was == is).count();
        let what = match (bytes.get(same), self.again.get(same)) {
            (Some(was), Some(is)) => format!("{name} is encoded otherwise: byte {same} is {is:#04x}, was {was:#04x}"),
            _ => format!(
                "{name} is encoded otherwise: {} bytes, was {}",
                self.again.len(),
                bytes.len()
            ),
        };
        Err(place.plus(same).failure(what))
    }

    /// The end: sums, and on standard error a summary.
    pub fn finish(mut self, whole: bool) -> io::Result<()> {
        match self.stats_form {
            Some(StatsForm::Table) => self.tally.table(&mut self.out)?,
            Some(StatsForm::Json) => self.tally.json(&mut self.out)?,
            None => {}
        }
        self.out.flush()?;
        if whole && (self.reencode || self.stats_form.is_none()) {
            let again = if self.reencode {
                ", encoded back byte for byte"
            } else {
                ""
            };
            eprintln!("{}: {}{again}", self.program, self.tally.summary());
        }
        Ok(())
    }
}

/// Seconds, to the microsecond: so many digits a number of JSON can hold for the times of this millennium.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
