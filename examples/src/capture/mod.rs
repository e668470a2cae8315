//! Recorded conversations, in the order in which they were seen.
//!
//! Two forms are read, both as streams: pairs of byte files ([`Pairs`]), each of which holds what one side of a
//! connection sent, and packet captures ([`Packets`]) with any number of TCP connections in them.

pub mod packets;
pub mod pairs;
pub mod tcp;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;

pub use packets::Packets;
pub use pairs::Pairs;

/// The sender on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sender {
    /// The side that opened the connection.
    Client,
    /// The side that was called.
    Server,
}

impl Sender {
    /// Both, in this order.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The name of the direction.
impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "c2s",
            Self::Server => "s2c",
        })
    }
}

/// Something that was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The connection, counted from 0 in the order in which they were opened.
    pub connection: u64,
    /// Since 1970 in packet captures, since the start of the recording in pairs that tell times.
    pub time: Option<Duration>,
    /// What was seen.
    pub kind: EventKind,
}

/// What can be seen of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// First event of a connection.
    Opened(Origin),
    /// The next bytes of one direction.
    Data(Sender, Bytes),
    /// One direction has ended.
    Ended(Sender, End),
    /// Last event of a connection; both directions have ended.
    Closed,
}

/// Where a connection comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A pair of files.
    Pair {
        /// What the two names have in common.
        name: String,
        /// Whether the order of the two directions is known.
        ordered: bool,
    },
    /// A packet capture.
    Tcp {
        /// The address of the client.
        client: SocketAddr,
        /// The address of the server.
        server: SocketAddr,
        /// Its first packets are in the capture.
        complete: bool,
    },
}

/// How a direction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The sender said that this is all.
    Closed,
    /// One side gave up the connection.
    Reset,
    /// The recording ends here.
    Cut,
    /// The recording has a hole here, and goes on behind it.
    Lost {
        /// Bytes that are missing.
        bytes: u64,
    },
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct CaptureError {
    /// The file, or `-`.
    pub path: PathBuf,
    /// What is wrong with it.
    pub kind: CaptureErrorKind,
}

/// What can be wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum CaptureErrorKind {
    /// It cannot be opened or read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Its first bytes are of no format that is read.
    #[error("neither pcap nor pcapng (streams come as a pair: name the client's and the server's file)")]
    Unrecognised,
    /// A record of a packet capture is not as it must be.
    #[error("damaged at byte {offset}: {what}")]
    Damaged {
        /// Where the record begins.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// The packets are of a network that is not known here.
    #[error("packets of link type {0} are not read (Ethernet, Linux cooked, loopback and raw IP are)")]
    LinkType(i32),
    /// A folder without recordings.
    #[error("no pair of files NAME.c2s.bin and NAME.s2c.bin in this folder")]
    NoPairs,
    /// The file with the times is not as it must be.
    #[error("not the description of a recording: {0}")]
    Description(serde_json::Error),
}

impl CaptureErrorKind {
    /// The error about this file.
    #[must_use]
    pub fn of(self, path: &Path) -> CaptureError {
        CaptureError {
            path: path.to_path_buf(),
            kind: self,
        }
    }
}

/// How to read a recording.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only TCP connections to this port of the server.
    pub port: Option<u16>,
    /// The recording may stop anywhere, also inside of a packet.
    pub cut: bool,
}

/// A recording of any form.
#[derive(Debug)]
pub enum Capture {
    /// Pairs of byte files.
    Pairs(Box<Pairs>),
    /// A packet capture.
    Packets(Box<Packets>),
}

impl Capture {
    /// Opens what the paths name: a folder of pairs, a packet capture (`-`: standard input), or the two files
    /// of one pair, the client's first.
    ///
    /// # Errors
    /// A file that cannot be opened, or a folder that holds no pair.
    pub fn open(first: &Path, second: Option<&Path>, options: &Options) -> Result<Self, CaptureError> {
        match second {
            Some(second) => Pairs::files(first, second).map(Box::new).map(Self::Pairs),
            None if first.is_dir() => Pairs::folder(first).map(Box::new).map(Self::Pairs),
            None => Packets::open(first, options).map(Box::new).map(Self::Packets),
        }
    }

    /// The next event; `None` at the end. Bytes come in the order in which they were seen. Where that is not
    /// known, those of `due` come first, if they are of the connection that was opened last.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged. The recording cannot be read on.
    pub fn event(&mut self, due: Option<Sender>) -> Result<Option<Event>, CaptureError> {
        match self {
            Self::Pairs(pairs) => pairs.event(due),
            Self::Packets(packets) => packets.event(),
        }
    }
}

/// Opens a file for reading, or standard input.
fn open(path: &Path) -> Result<Box<dyn std::io::Read + Send>, CaptureError> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin()));
    }
    match std::fs::File::open(path) {
        Ok(file) => Ok(Box::new(file)),
        Err(error) => Err(CaptureErrorKind::from(error).of(path)),
    }
}
