//! How payloads serialize (feature `serde`).
//!
//! In a human-readable format bytes are a string of hexadecimal digits, two a byte, and what the protocol
//! calls a text is that text; a byte of it that is no UTF-8 is written `\xNN`, and a backslash `\\`.
//! In other formats both are bytes.
//!
//! A bit mask is always an array in a human-readable format: the names of the bits that are set, lowest first, and one
//! string with the bits that have no name, as a hexadecimal number: `["NUM_LOCK", "0x40"]`. It is empty where no bit is
//! set. That is so for masks of one message field and for capabilities. In other formats a mask is its number, and
//! capabilities are their words.

use alloc::string::String;
use core::fmt::{self, Write};

use bytes::Bytes;
use serde::Serializer;

/// Bytes as hexadecimal digits, without a copy of the whole.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pub(crate) fn hex<S: Serializer>(bytes: &impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
    let bytes = bytes.as_ref();
    if serializer.is_human_readable() {
        serializer.collect_str(&Hex(bytes))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

pub(crate) fn text<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    if !serializer.is_human_readable() {
        return serializer.serialize_bytes(bytes);
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', "\\\\"));
        for byte in chunk.invalid() {
            // INVARIANT: writing to a `String` cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    serializer.serialize_str(&text)
}
