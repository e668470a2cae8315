//! What was seen of one connection and is not placed yet.

use std::io::{self, Write};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};

use super::{Closed, Place, Report, Side, Sums};
use crate::capture::{End, Origin, Sender};

/// Why the bytes of a connection cannot be read of which the first are not there.
pub const MIDWAY: &str = "the connection began before the capture, so its bytes cannot be placed";

/// Most bytes of one side that wait for the other's before the session begins: more than the largest step has.
const BACKLOG: usize = 4 << 20;

/// Both directions of a connection.
#[derive(Debug)]
pub struct Seen {
    /// The connection.
    pub id: u64,
    /// When its last bytes were seen.
    pub time: Option<Duration>,
    /// By sender.
    pub streams: [Stream; 2],
    /// Whether bytes come in the order in which they were seen.
    pub ordered: bool,
    /// Whether the first bytes are there.
    pub from_the_start: bool,
    /// Whether a stream may end anywhere.
    pub cut: bool,
}

impl Seen {
    /// Nothing yet.
    #[must_use]
    pub fn new(id: u64, origin: &Origin, cut: bool) -> Self {
        let (ordered, from_the_start) = match origin {
            Origin::Pair { ordered, .. } => (*ordered, true),
            Origin::Tcp { complete, .. } => (true, *complete),
        };
        Self {
            id,
            time: None,
            streams: <[Stream; 2]>::default(),
            ordered,
            from_the_start,
            cut,
        }
    }

    /// Where the bytes of a direction go on that are not placed yet.
    #[must_use]
    pub fn place(&self, sender: Sender) -> Place {
        Place {
            connection: self.id,
            time: self.time,
            sender,
            offset: self.streams[sender as usize].offset,
        }
    }

    /// The side that has sent more than can be held without an answer, such as an upload of another protocol.
    #[must_use]
    pub fn over(&self) -> Option<Sender> {
        let over = |sender: &Sender| BACKLOG < self.streams[*sender as usize].rx.len();
        Sender::BOTH.into_iter().find(over)
    }

    /// The last line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn close<W: Write, S: Sums>(&self, waited_for: Option<String>, report: &mut Report<W, S>) -> io::Result<()> {
        let [c2s, s2c] = [0, 1].map(|side| Side::from(&self.streams[side]));
        let closed = Closed { c2s, s2c, waited_for };
        report.about(self.id, self.time, "close", &closed)
    }
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
