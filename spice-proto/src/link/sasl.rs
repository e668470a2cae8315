//! Frames of the SASL exchange, which takes the place of the ticket after
//! [`AuthMechanism::SASL`](crate::ids::AuthMechanism::SASL). Layouts only: what the mechanisms say is opaque.
//!
//! ```text
//! server  SaslMechList    | len u32 | ",PLAIN,SCRAM-SHA-256," |
//! client  SaslStartClient | mech_len u32 | "PLAIN" | data_len u32 | data |
//! server  SaslStepServer  | data_len u32 | data | complete u8 |       not complete:
//! client  SaslStepClient  | data_len u32 | data |                     and another step of the server
//! server  SaslVerdict     | 0 u32 |   or   | 1 u32 | reason_len u32 | reason |
//! ```
//!
//! Little-endian and packed. A length of 0 means no data at all; else the data end in a NUL that the length
//! counts, so that empty data have length 1. The NUL stays in the fields here.
//!
//! Without TLS both reference programs ask the mechanism for encryption. All that follows the verdict, link
//! result included, then comes in packets of SASL's security layer, in both directions:
//!
//! ```text
//! SealedPacket | length u32 BIG-endian | length bytes |
//! ```
//!
//! The parts come from a stream, so `decode` tells how many bytes a part took, and is `None` as long as it is
//! not whole.

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::limits::Limits;
use crate::wire::{Reader, length, put_block};

/// Reads a part off the front of a stream.
fn take<T>(
    src: &[u8],
    message: &'static str,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<(T, usize)>, DecodeError> {
    let mut r = Reader::borrowed(src, message);
    match read(&mut r) {
        Ok(part) => Ok(Some((part, r.position()))),
        // Limits are checked before the bytes are asked for, so what is short here may still come.
        Err(error) if matches!(error.kind, DecodeErrorKind::Truncated { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A length, checked, and so many bytes.
fn counted(r: &mut Reader<'_>, len: &'static str, field: &'static str, limit: u32) -> Result<Bytes, DecodeError> {
    let at = r.position();
    let count: u32 = r.fixed(len)?;
    if limit < count {
        let kind = DecodeErrorKind::TooLarge {
            value: count.into(),
            limit: limit.into(),
        };
        return Err(r.error(len, at, kind));
    }
    r.blob(count, field)
}

/// Appends a length and the bytes.
fn put_counted(dst: &mut BytesMut, message: &'static str, field: &'static str, data: &[u8]) -> Result<(), EncodeError> {
    let len = length(data.len(), message, field, u32::MAX)?;
    dst.extend_from_slice(&len.to_le_bytes());
    dst.extend_from_slice(data);
    Ok(())
}

/// Mechanisms that the server offers (`SaslMechList`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MechList {
    /// Names with commas between them; spice-server puts one in front and one behind as well. No NUL.
    pub mechlist: Bytes,
}

impl MechList {
    /// Takes it off the front of what the server sends.
    ///
    /// # Errors
    /// A list above [`Limits::sasl_mechanisms`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, "SaslMechList", |r| {
            let mechlist = counted(r, "len", "mechlist", limits.sasl_mechanisms)?;
            Ok(Self { mechlist })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// A list that its length cannot count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_counted(dst, "SaslMechList", "len", &self.mechlist)
    }
}

/// The mechanism that the client chose, and its first words (`SaslStartClient`).
#[derive(Clone, PartialEq, Eq)]
pub struct StartClient {
    /// Its name, without NUL.
    pub mechname: Bytes,
    /// What the mechanism says, for some the password itself.
    pub data: Bytes,
}

impl StartClient {
    /// Takes it off the front of what the client sends.
    ///
    /// # Errors
    /// A name above [`Limits::sasl_mechanisms`], data above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, "SaslStartClient", |r| {
            let mechname = counted(r, "mech_len", "mechname", limits.sasl_mechanisms)?;
            let data = counted(r, "data_len", "data", limits.sasl_data)?;
            Ok(Self { mechname, data })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// A name or data that their length cannot count; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let before = dst.len();
        put_counted(dst, "SaslStartClient", "mech_len", &self.mechname)
            .and_then(|()| put_counted(dst, "SaslStartClient", "data_len", &self.data))
            .inspect_err(|_| dst.truncate(before))
    }
}

/// The data are not shown: they may be a password.
impl core::fmt::Debug for StartClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StartClient")
            .field("mechname", &self.mechname)
            .finish_non_exhaustive()
    }
}

/// Further words of the client (`SaslStepClient`).
#[derive(Clone, PartialEq, Eq)]
pub struct StepClient {
    /// What the mechanism says.
    pub data: Bytes,
}

impl StepClient {
    /// Takes it off the front of what the client sends.
    ///
    /// # Errors
    /// Data above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, "SaslStepClient", |r| {
            let data = counted(r, "data_len", "data", limits.sasl_data)?;
            Ok(Self { data })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// Data that their length cannot count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_counted(dst, "SaslStepClient", "data_len", &self.data)
    }
}

/// The data are not shown: they may be a password.
impl core::fmt::Debug for StepClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepClient").finish_non_exhaustive()
    }
}

/// The server's words, to the start and to every step (`SaslStepServer`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepServer {
    /// What the mechanism says.
    pub data: Bytes,
    /// Not 0: the mechanism has ended, and the verdict follows.
    pub complete: u8,
}

impl StepServer {
    /// Takes it off the front of what the server sends.
    ///
    /// # Errors
    /// Data above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, "SaslStepServer", |r| {
            let data = counted(r, "data_len", "data", limits.sasl_data)?;
            let complete = r.fixed("complete")?;
            Ok(Self { data, complete })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// Data that their length cannot count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_counted(dst, "SaslStepServer", "data_len", &self.data)?;
        put_block::<1>(dst, |block| crate::wire::Fixed::put(&self.complete, block));
        Ok(())
    }
}

/// Whether the server takes what the mechanism came to. Never inside of the security layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Accepted (`SaslAccept`); the link result follows.
    Accept,
    /// Refused (`SaslReject`), and the end. spice-server says so only when the layer is too weak; after a
    /// wrong password it hangs up.
    Reject {
        /// Why, NUL included.
        reason: Bytes,
    },
}

impl Verdict {
    /// Takes it off the front of what the server sends.
    ///
    /// # Errors
    /// Neither 0 nor 1, or a reason above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, "SaslVerdict", |r| match r.fixed::<u32>("result")? {
            0 => Ok(Self::Accept),
            1 => Ok(Self::Reject {
                reason: counted(r, "reason_len", "reason", limits.sasl_data)?,
            }),
            _ => Err(r.error("result", 0, DecodeErrorKind::Invalid("expected 0 or 1"))),
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// A reason that its length cannot count; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        match self {
            Self::Accept => put_block::<4>(dst, |_| ()),
            Self::Reject { reason } => {
                let before = dst.len();
                dst.extend_from_slice(&1_u32.to_le_bytes());
                put_counted(dst, "SaslVerdict", "reason_len", reason).inspect_err(|_| dst.truncate(before))?;
            }
        }
        Ok(())
    }
}

/// The front of a packet of the security layer. What it holds can be read only by who knows the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealedPacket {
    /// Bytes that follow.
    pub length: u32,
}

impl SealedPacket {
    /// Bytes in front of those that `length` counts.
    pub const LEN: usize = 4;

    /// Reads it, if its bytes are there.
    ///
    /// # Errors
    /// A length above [`Limits::sasl_packet`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<Self>, DecodeError> {
        let Some(length) = src.first_chunk().map(|bytes| u32::from_be_bytes(*bytes)) else {
            return Ok(None);
        };
        if limits.sasl_packet < length {
            return Err(DecodeError {
                message: "SealedPacket",
                field: "length",
                offset: 0,
                kind: DecodeErrorKind::TooLarge {
                    value: length.into(),
                    limit: limits.sasl_packet.into(),
                },
            });
        }
        Ok(Some(Self { length }))
    }

    /// Appends it.
    pub fn encode(self, dst: &mut BytesMut) {
        dst.extend_from_slice(&self.length.to_be_bytes());
    }
}
