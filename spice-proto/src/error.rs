//! Errors of the codec. Those of the machines are in [`crate::link`].

use crate::link::FirstBytes;

/// Bytes that do not decode: which field of which message, and where.
///
/// `offset` counts from the first byte of the message (for a link message from the byte behind the
/// link header, for a channel message from the first byte of the body).
///
/// ```text
/// Init.agent_tokens at byte 20: truncated: needs 4 bytes, 2 left
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field} at byte {offset}: {kind}")]
pub struct DecodeError {
    /// The message or structure, by its Rust name.
    pub message: &'static str,
    /// The field in it, by the name that the specification uses.
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
    /// A length or a count is above its limit.
    #[error("{value} is above the limit of {limit}")]
    TooLarge {
        /// The value on the wire.
        value: u64,
        /// The largest one accepted (see [`crate::Limits`]).
        limit: u64,
    },
    /// A length or an offset is below the smallest legal one.
    #[error("{value} is below the minimum of {minimum}")]
    TooSmall {
        /// The value on the wire.
        value: u64,
        /// The smallest one accepted.
        minimum: u64,
    },
    /// An offset points outside of the message.
    #[error("offset {value} lies outside of the {len} bytes of the message")]
    OutOfBounds {
        /// The offset on the wire.
        value: u64,
        /// Bytes in the message.
        len: usize,
    },
    /// The first bytes of a peer are not those of SPICE.
    #[error("expected \"REDQ\", found {0}")]
    OtherProtocol(FirstBytes),
    /// Anything else; the text says what was expected.
    #[error("{0}")]
    Invalid(&'static str),
}

/// A value that its wire field cannot hold. Nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}.{field}: {value} does not fit its wire field (largest: {limit})")]
pub struct EncodeError {
    /// The message or structure, by its Rust name.
    pub message: &'static str,
    /// The field in it.
    pub field: &'static str,
    /// The value.
    pub value: u64,
    /// The largest value that the field can hold.
    pub limit: u64,
}

/// RSA said no. It does not say why: the reason would help only an attacker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cryptographic operation failed")]
pub struct CryptoError;
