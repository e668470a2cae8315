//! Frames of the SASL exchange, which takes the place of the ticket after
//! [`AuthMechanism::SASL`](crate::ids::AuthMechanism::SASL). Layouts only: what the mechanisms say is opaque, and no
//! mechanism is here. [`ClientLink`](super::ClientLink), [`ServerLink`](super::ServerLink) and
//! [`RelayLink`](super::RelayLink) ask their caller, which has a library for them.
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

use bytes::{Buf as _, Bytes, BytesMut};
use zeroize::Zeroize as _;

use super::Misuse;
use super::ticket::Secret;
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Reader, length, put_block};
use crate::limits::Limits;
use crate::link::receive::Part;

/// Reads a part off the front of a stream.
fn read<'a, T>(
    src: &'a [u8],
    message: &'static str,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Part<(T, usize)>, DecodeError> {
    let mut r = Reader::borrowed(src, message);
    match read(&mut r) {
        Ok(part) => Ok(Part::Taken((part, r.position()))),
        // Limits are checked before the bytes are asked for, so what is short here may still come.
        Err(DecodeError {
            kind: DecodeErrorKind::Truncated { needed, left },
            ..
        }) => Ok(Part::Missing(
            usize::try_from(needed).unwrap_or(usize::MAX).saturating_sub(left),
        )),
        Err(error) => Err(error),
    }
}

/// As [`read`], for callers that need not know how much is missing.
fn take<'a, T>(
    src: &'a [u8],
    message: &'static str,
    part: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<(T, usize)>, DecodeError> {
    match read(src, message, part)? {
        Part::Taken(taken) => Ok(Some(taken)),
        Part::Missing(_) => Ok(None),
    }
}

/// A length, checked, and so many bytes.
fn counted<'a>(
    r: &mut Reader<'a>,
    len: &'static str,
    field: &'static str,
    limit: u32,
) -> Result<&'a [u8], DecodeError> {
    let at = r.position();
    let count: u32 = r.fixed(len)?;
    if limit < count {
        let kind = DecodeErrorKind::TooLarge {
            value: count.into(),
            limit: limit.into(),
        };
        return Err(r.error(len, at, kind));
    }
    r.bytes(count, field)
}

/// What a mechanism said: the bytes in front of the NUL. The NUL itself is not looked at, as spice-server
/// overwrites it.
fn said(data: &[u8]) -> Option<Secret> {
    data.split_last().map(|(_nul, data)| Secret::new(data))
}

/// Takes a part off the front of what was received, for a machine: its bytes are overwritten.
fn take_off<T>(
    rx: &mut BytesMut,
    message: &'static str,
    part: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Part<T>, DecodeError> {
    let (taken, len) = match read(rx, message, part)? {
        Part::Taken(taken) => taken,
        Part::Missing(more) => return Ok(Part::Missing(more)),
    };
    if let Some(bytes) = rx.get_mut(..len) {
        bytes.zeroize();
    }
    rx.advance(len);
    Ok(Part::Taken(taken))
}

/// Takes a [`MechList`].
pub(super) fn take_list(rx: &mut BytesMut, limits: &Limits) -> Result<Part<MechList>, DecodeError> {
    take_off(rx, MechList::NAME, |r| MechList::read(r, limits))
}

/// Takes a [`StartClient`]: the mechanism's name, and what it says.
pub(super) fn take_start(rx: &mut BytesMut, limits: &Limits) -> Result<Part<(Bytes, Option<Secret>)>, DecodeError> {
    take_off(rx, StartClient::NAME, |r| {
        let (mechname, data) = StartClient::read(r, limits)?;
        Ok((Bytes::copy_from_slice(mechname), said(data)))
    })
}

/// Takes a [`StepClient`].
pub(super) fn take_client(rx: &mut BytesMut, limits: &Limits) -> Result<Part<Option<Secret>>, DecodeError> {
    take_off(rx, StepClient::NAME, |r| StepClient::read(r, limits).map(said))
}

/// Takes a [`StepServer`]: what it says, and whether it is complete.
pub(super) fn take_server(rx: &mut BytesMut, limits: &Limits) -> Result<Part<(Option<Secret>, bool)>, DecodeError> {
    take_off(rx, StepServer::NAME, |r| {
        let (data, complete) = StepServer::read(r, limits)?;
        Ok((said(data), complete != 0))
    })
}

/// Takes a [`SaslResult`]: whether it accepts.
pub(super) fn take_verdict(rx: &mut BytesMut, limits: &Limits) -> Result<Part<bool>, DecodeError> {
    take_off(rx, SaslResult::NAME, |r| {
        Ok(SaslResult::read(r, limits)? == SaslResult::Accept)
    })
}

/// Appends what a mechanism says, with its length and its NUL.
pub(super) fn put_said(tx: &mut BytesMut, data: Option<&[u8]>, limits: &Limits) -> Result<(), Misuse> {
    let len = data.map_or(0, |data| data.len().saturating_add(1));
    let len = u32::try_from(len).map_err(|_| Misuse::TooLong)?;
    if limits.sasl_data < len {
        return Err(Misuse::TooLong);
    }
    tx.extend_from_slice(&len.to_le_bytes());
    if let Some(data) = data {
        tx.extend_from_slice(data);
        tx.extend_from_slice(&[0]);
    }
    Ok(())
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
    const NAME: &'static str = "SaslMechList";

    /// A list of these, as spice-server writes one. Names have no commas.
    #[must_use]
    pub fn of(names: &[&str]) -> Self {
        let mut mechlist = BytesMut::from(&b","[..]);
        for name in names {
            mechlist.extend_from_slice(name.as_bytes());
            mechlist.extend_from_slice(b",");
        }
        // Two commas where there is none.
        if names.is_empty() {
            mechlist.extend_from_slice(b",");
        }
        Self {
            mechlist: mechlist.freeze(),
        }
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.mechlist
            .split(|byte| *byte == b',')
            .filter(|name| !name.is_empty())
    }

    /// Whether it has this name, as a whole.
    #[must_use]
    pub fn offers(&self, name: &[u8]) -> bool {
        self.names().any(|offered| offered == name)
    }

    fn read(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        let mechlist = counted(r, "len", "mechlist", limits.sasl_mechanisms)?;
        Ok(Self {
            mechlist: Bytes::copy_from_slice(mechlist),
        })
    }

    /// Takes it off the front of what the server sends.
    ///
    /// # Errors
    /// A list above [`Limits::sasl_mechanisms`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, Self::NAME, |r| Self::read(r, limits))
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// A list that its length cannot count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_counted(dst, Self::NAME, "len", &self.mechlist)
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
    const NAME: &'static str = "SaslStartClient";

    /// Name and data, as they stand in the stream.
    fn read<'a>(r: &mut Reader<'a>, limits: &Limits) -> Result<(&'a [u8], &'a [u8]), DecodeError> {
        let mechname = counted(r, "mech_len", "mechname", limits.sasl_mechanisms)?;
        let data = counted(r, "data_len", "data", limits.sasl_data)?;
        Ok((mechname, data))
    }

    /// Takes it off the front of what the client sends.
    ///
    /// # Errors
    /// A name above [`Limits::sasl_mechanisms`], data above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, Self::NAME, |r| {
            let (mechname, data) = Self::read(r, limits)?;
            Ok(Self {
                mechname: Bytes::copy_from_slice(mechname),
                data: Bytes::copy_from_slice(data),
            })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// A name or data that their length cannot count; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let before = dst.len();
        put_counted(dst, Self::NAME, "mech_len", &self.mechname)
            .and_then(|()| put_counted(dst, Self::NAME, "data_len", &self.data))
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
    const NAME: &'static str = "SaslStepClient";

    /// The data, as they stand in the stream.
    fn read<'a>(r: &mut Reader<'a>, limits: &Limits) -> Result<&'a [u8], DecodeError> {
        counted(r, "data_len", "data", limits.sasl_data)
    }

    /// Takes it off the front of what the client sends.
    ///
    /// # Errors
    /// Data above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, Self::NAME, |r| {
            let data = Bytes::copy_from_slice(Self::read(r, limits)?);
            Ok(Self { data })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// Data that their length cannot count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_counted(dst, Self::NAME, "data_len", &self.data)
    }
}

/// The data are not shown: they may be a password.
impl core::fmt::Debug for StepClient {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepClient").finish_non_exhaustive()
    }
}

/// The server's words, to the start and to every step (`SaslStepServer`).
#[derive(Clone, PartialEq, Eq)]
pub struct StepServer {
    /// What the mechanism says.
    pub data: Bytes,
    /// Not 0: the mechanism has ended, and the verdict follows.
    pub complete: u8,
}

/// The data are not shown: with what the client says they allow guesses of the password.
impl core::fmt::Debug for StepServer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("StepServer")
            .field("complete", &self.complete)
            .finish_non_exhaustive()
    }
}

impl StepServer {
    const NAME: &'static str = "SaslStepServer";

    /// Data and `complete`, as they stand in the stream.
    fn read<'a>(r: &mut Reader<'a>, limits: &Limits) -> Result<(&'a [u8], u8), DecodeError> {
        let data = counted(r, "data_len", "data", limits.sasl_data)?;
        Ok((data, r.fixed("complete")?))
    }

    /// Takes it off the front of what the server sends.
    ///
    /// # Errors
    /// Data above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, Self::NAME, |r| {
            let (data, complete) = Self::read(r, limits)?;
            let data = Bytes::copy_from_slice(data);
            Ok(Self { data, complete })
        })
    }

    /// Appends the wire form.
    ///
    /// # Errors
    /// Data that their length cannot count.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_counted(dst, Self::NAME, "data_len", &self.data)?;
        put_block::<1>(dst, |block| crate::fields::Fixed::put(&self.complete, block));
        Ok(())
    }
}

/// Whether the server takes what the mechanism came to. Never inside of the security layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslResult {
    /// Accepted (`SaslAccept`); the link result follows.
    Accept,
    /// Refused (`SaslReject`), and the end. spice-server says so only when the layer is too weak; after a
    /// wrong password it hangs up.
    Reject {
        /// Why, NUL included.
        reason: Bytes,
    },
}

impl SaslResult {
    const NAME: &'static str = "SaslVerdict";

    fn read(r: &mut Reader<'_>, limits: &Limits) -> Result<Self, DecodeError> {
        match r.fixed::<u32>("result")? {
            0 => Ok(Self::Accept),
            1 => Ok(Self::Reject {
                reason: Bytes::copy_from_slice(counted(r, "reason_len", "reason", limits.sasl_data)?),
            }),
            _ => Err(r.error("result", 0, DecodeErrorKind::Invalid("expected 0 or 1"))),
        }
    }

    /// Takes it off the front of what the server sends.
    ///
    /// # Errors
    /// Neither 0 nor 1, or a reason above [`Limits::sasl_data`].
    pub fn decode(src: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, DecodeError> {
        take(src, Self::NAME, |r| Self::read(r, limits))
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
                put_counted(dst, Self::NAME, "reason_len", reason).inspect_err(|_| dst.truncate(before))?;
            }
        }
        Ok(())
    }
}

/// The front of a packet of the security layer. What it holds can be read only with the keys.
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
