//! Errors of the codec.

use crate::encoding::Encoding;

/// Bytes that do not decode: which field of which message, and where.
///
/// `offset` is where the field begins, counted from the first byte of the message.
///
/// ```text
/// Reason.length at byte 0: 4097 is above the limit of 4096
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field} at byte {offset}: {kind}")]
pub struct DecodeError {
    /// The message, by its Rust name.
    pub message: &'static str,
    /// The field in it.
    pub field: &'static str,
    /// Where the field begins, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub kind: DecodeErrorKind,
}

/// What is wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end before the field does.
    #[error("truncated: needs {needed} bytes, {left} left")]
    Truncated {
        /// Bytes that the field takes.
        needed: u64,
        /// Bytes that are there.
        left: usize,
    },
    /// A length is above its limit.
    #[error("{value} is above the limit of {limit}")]
    TooLarge {
        /// The value on the wire.
        value: u64,
        /// The largest one accepted (see [`crate::Limits`]).
        limit: u64,
    },
    /// A number that nothing is known for. Nothing says how long such a message is, so the stream is lost.
    #[error("{value} is not known")]
    Unknown {
        /// The value on the wire.
        value: i64,
    },
    /// A rectangle whose end cannot be found, which loses the stream as well.
    #[error("nothing tells where {encoding} ends")]
    Unframeable {
        /// What the rectangle is made of.
        encoding: Encoding,
    },
    /// Anything else; the text says what was expected.
    #[error("{0}")]
    Invalid(&'static str),
}

/// A value that its wire field cannot hold. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field}: {value} does not fit its wire field (largest: {limit})")]
pub struct EncodeError {
    /// The message, by its Rust name.
    pub message: &'static str,
    /// The field in it.
    pub field: &'static str,
    /// The value.
    pub value: u64,
    /// The largest value that the field can hold.
    pub limit: u64,
}
