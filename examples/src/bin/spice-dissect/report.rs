//! Where findings go: lines, sums, and the check that what was decoded can be encoded again.

use std::io::{self, Write};
use std::time::Duration;

use bytes::BytesMut;
use examples::capture::{Origin, Sender};
use serde::Serialize;
use spice_proto::EncodeError;

use crate::cli::{Cli, StatsForm};
use crate::lines::{Line, Opened, Shortening};
use crate::stats::{Entry, Stats};

/// Where something is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) connection: u64,
    pub(crate) time: Option<Duration>,
    pub(crate) sender: Sender,
    pub(crate) offset: u64,
}

impl Place {
    /// So many bytes further on.
    pub(crate) fn plus(self, bytes: usize) -> Self {
        Self {
            offset: self.offset + bytes as u64,
            ..self
        }
    }

    /// What is wrong here.
    pub(crate) fn failure(self, what: impl ToString) -> Failure {
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
pub(crate) struct Failure {
    connection: u64,
    sender: Sender,
    offset: u64,
    what: String,
}

/// Takes all findings.
pub(crate) struct Report<W> {
    out: W,
    lines: bool,
    shorten: usize,
    stats_form: Option<StatsForm>,
    reencode: bool,
    stats: Stats,
    again: BytesMut,
}

impl<W: Write> Report<W> {
    pub(crate) fn new(out: W, cli: &Cli) -> Self {
        Self {
            out,
            lines: !cli.quiet && cli.stats.is_none(),
            shorten: cli.shorten,
            stats_form: cli.stats,
            reencode: cli.reencode,
            stats: Stats::default(),
            again: BytesMut::new(),
        }
    }

    /// A connection begins.
    pub(crate) fn open(&mut self, connection: u64, time: Option<Duration>, origin: &Origin) -> io::Result<()> {
        self.stats.connection();
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
    pub(crate) fn about(
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
    pub(crate) fn line(&mut self, place: Place, kind: &'static str, what: &impl Serialize) -> io::Result<()> {
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
    pub(crate) fn count(&mut self, sender: Sender, entry: Entry, bytes: u64) {
        self.stats.add(sender, entry, bytes);
    }

    /// Counts further bytes of what was counted already.
    pub(crate) fn more(&mut self, sender: Sender, entry: Entry, bytes: u64) {
        self.stats.more(sender, entry, bytes);
    }

    /// Whether what was decoded is encoded again.
    pub(crate) fn reencodes(&self) -> bool {
        self.reencode
    }

    /// Checks that what was decoded gives the same bytes again; `bytes` may go on behind them.
    pub(crate) fn check(
        &mut self,
        place: Place,
        name: &str,
        bytes: &[u8],
        encode: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<(), Failure> {
        if !self.reencode {
            return Ok(());
        }
        self.again.clear();
        encode(&mut self.again).map_err(|error| place.failure(format!("{name} cannot be encoded again: {error}")))?;
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
    pub(crate) fn finish(mut self, whole: bool) -> io::Result<()> {
        match self.stats_form {
            Some(StatsForm::Table) => self.stats.table(&mut self.out)?,
            Some(StatsForm::Json) => self.stats.json(&mut self.out)?,
            None => {}
        }
        self.out.flush()?;
        if whole && (self.reencode || self.stats_form.is_none()) {
            let again = if self.reencode {
                ", encoded back byte for byte"
            } else {
                ""
            };
            eprintln!("spice-dissect: {}{again}", self.stats.summary());
        }
        Ok(())
    }
}

/// Seconds, to the microsecond: so many digits a number of JSON can hold for the times of this millennium.
fn seconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e6
}
