//! What the lines of all dissectors have in common.

use std::fmt;
use std::io::{self, Write};

use base16ct::HexDisplay;
use serde::{Serialize, Serializer};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// One line: where, and what.
#[derive(Serialize)]
pub(super) struct Line<'a, T> {
    pub connection: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    pub kind: &'static str,
    #[serde(flatten)]
    pub what: &'a T,
}

/// A connection begins.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Opened<'a> {
    /// A pair of files.
    Pair {
        /// What their names have in common.
        files: &'a str,
    },
    /// Of a packet capture.
    Tcp {
        /// The address of the client.
        client: String,
        /// The address of the server.
        server: String,
        /// Only told when it is not so.
        #[serde(skip_serializing_if = "Clone::clone")]
        from_the_start: bool,
    },
}

/// From here on the bytes are encrypted.
#[derive(Serialize)]
pub struct Encrypted<'a> {
    /// What encrypts.
    pub by: &'static str,
    /// What the client's TLS asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<&'a str>,
}

/// The connection ended before this was whole.
#[derive(Serialize)]
pub struct Incomplete {
    /// What it was to be.
    pub due: String,
    /// Bytes that are there.
    pub size: usize,
    /// How many more are known to be due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
}

/// Bytes that the server refused.
#[derive(Serialize)]
pub struct Refused<'a> {
    /// How many.
    pub size: usize,
    /// What is wrong with them, if that can be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// All of them.
    pub bytes: Hex<'a>,
}

/// Both directions have ended.
#[derive(Serialize)]
pub struct Closed {
    /// The client's.
    pub c2s: Side,
    /// The server's.
    pub s2c: Side,
    /// Where the handshake was, if it was not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_for: Option<String>,
}

/// How a direction ended, and how many bytes it had.
#[derive(Serialize)]
pub struct Side {
    /// Bytes.
    pub size: u64,
    /// closed, reset, lost or cut.
    pub end: &'static str,
}

/// Bytes as hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct Hex<'a>(pub &'a [u8]);

/// Whether there are none.
#[must_use]
pub fn is_empty(hex: &Hex<'_>) -> bool {
    hex.0.is_empty()
}

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", HexDisplay(self.0))
    }
}

impl Serialize for Hex<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Writes JSON on one line, and of long texts only the beginning and how long they are.
pub(super) struct Shortening {
    /// 0: nothing is cut.
    limit: usize,
    /// Characters of the current text so far.
    length: usize,
    /// The current text is the name of a field, which is never cut.
    key: bool,
}

impl Shortening {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            length: 0,
            key: false,
        }
    }

    /// How many of so many more characters are to be written.
    fn admit(&mut self, more: usize) -> usize {
        let left = self.limit.saturating_sub(self.length);
        self.length += more;
        if self.cuts() { more.min(left) } else { more }
    }

    fn cuts(&self) -> bool {
        self.limit != 0 && !self.key
    }
}

impl Formatter for Shortening {
    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.key = true;
        CompactFormatter.begin_object_key(writer, first)
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.key = false;
        CompactFormatter.end_object_key(writer)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.length = 0;
        writer.write_all(b"\"")
    }

    fn end_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.cuts() && self.limit < self.length {
            write!(writer, "...[{}]", self.length)?;
        }
        writer.write_all(b"\"")
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let characters = fragment.chars().count();
        let admitted = self.admit(characters);
        let end = fragment
            .char_indices()
            .nth(admitted)
            .map_or(fragment.len(), |(at, _)| at);
        writer.write_all(&fragment.as_bytes()[..end])
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        match self.admit(1) {
            0 => Ok(()),
            _ => CompactFormatter.write_char_escape(writer, escape),
        }
    }
}
