//! Takes a message off the front of `rx`: the header, then what follows it.

use super::{FirstBytes, HandshakeError, Incompatibility, LinkHeader};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::link::messages::{MAGIC, VERSION};

fn error(field: &'static str, offset: usize, kind: DecodeErrorKind) -> HandshakeError {
    HandshakeError::Decode(DecodeError {
        message: "LinkHeader",
        field,
        offset,
        kind,
    })
}

/// A part of the input, or how many bytes are missing to it.
#[derive(Debug)]
pub(crate) enum Part<T> {
    Taken(T),
    Missing(usize),
}

/// Bytes that are missing to `needed`; `None` when they are there.
pub(crate) fn missing(needed: usize, rx: &[u8]) -> Option<usize> {
    needed.checked_sub(rx.len()).filter(|missing| 0 < *missing)
}

/// The letters that a WebSocket begins with.
const GET: &[u8; 4] = b"GET ";

/// Whether the bytes so far can begin a header: the first one that cannot ends the link, so that a client of another
/// protocol is answered and not waited for.
pub(crate) fn check_magic(rx: &[u8]) -> Result<(), HandshakeError> {
    let first = rx.get(..MAGIC.len()).unwrap_or(rx);
    if first == GET {
        return Err(HandshakeError::PeerIncompatible(Incompatibility::WebSocket));
    }
    if MAGIC.starts_with(first) || GET.starts_with(first) {
        return Ok(());
    }
    let kind = DecodeErrorKind::OtherProtocol(FirstBytes::of(rx));
    Err(error("magic", 0, kind))
}

/// Whether the version is spoken here, as soon as it is there.
pub(crate) fn check_version(rx: &[u8]) -> Result<(), HandshakeError> {
    let word = |at: usize| rx.get(at..).and_then(|bytes| bytes.first_chunk());
    let (Some(major), Some(minor)) = (word(4), word(8)) else {
        return Ok(());
    };
    let [major, minor] = [major, minor].map(|word| u32::from_le_bytes(*word));
    if major == VERSION.0 {
        return Ok(());
    }
    Err(HandshakeError::PeerIncompatible(Incompatibility::Version {
        major,
        minor,
    }))
}

/// Checks the size of what follows.
pub(crate) fn check_size(header: &LinkHeader, minimum: usize, limit: u32) -> Result<usize, HandshakeError> {
    let value = u64::from(header.size);
    if value < minimum as u64 {
        return Err(error(
            "size",
            12,
            DecodeErrorKind::TooSmall {
                value,
                minimum: minimum as u64,
            },
        ));
    }
    if limit < header.size {
        return Err(error(
            "size",
            12,
            DecodeErrorKind::TooLarge {
                value,
                limit: limit.into(),
            },
        ));
    }
    Ok(header.size as usize)
}
