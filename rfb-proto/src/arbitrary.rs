//! Values made from a fuzzer's bytes (feature `arbitrary`).
//!
//! RFB has no lengths in front of its messages: what is drawn is the wire form, as many bytes as the message itself says that
//! it has, and what that decodes to is the value. So each value has a wire form, and comes back from it.

use ::arbitrary::{Arbitrary, Error, Result, Unstructured};
use bytes::BytesMut;

use crate::encoding::{Encoding, Rectangle};
use crate::error::DecodeError;
use crate::init::ServerInit;
use crate::limits::Limits;
use crate::message::{ClientMessage, Extensions, ServerMessage};
use crate::pixel_format::PixelFormat;

/// Bytes of a message, at most.
const LONGEST: usize = 4096;
/// Draws of one part, each with smaller numbers than the one before.
const DRAWS: u8 = 3;

/// Small enough that drawn lengths are often within them.
fn limits() -> Limits {
    Limits::default().with_cut_text(1024).with_name(256)
}

/// The drawn bytes: as they are, then with one of four kept, then zeros.
fn thinned(draw: u8, at: usize, byte: u8) -> u8 {
    match draw {
        0 => byte,
        1 if at & 3 == 3 => byte,
        _ => 0,
    }
}

/// A message of this type: parts are drawn as long as it says that some are missing.
fn message<T>(
    number: u8,
    u: &mut Unstructured<'_>,
    missing: impl Fn(&[u8]) -> core::result::Result<usize, DecodeError>,
    decode: impl Fn(&[u8]) -> core::result::Result<T, DecodeError>,
) -> Result<T> {
    let mut bytes = BytesMut::from(&[number][..]);
    loop {
        let more = missing(&bytes).map_err(|_| Error::IncorrectFormat)?;
        if more == 0 {
            return decode(&bytes).map_err(|_| Error::IncorrectFormat);
        }
        let before = bytes.len();
        if LONGEST < before.saturating_add(more) {
            return Err(Error::IncorrectFormat);
        }
        let mut part = alloc::vec![0; more];
        u.fill_buffer(&mut part)?;
        for draw in 0..DRAWS {
            bytes.truncate(before);
            bytes.extend(part.iter().enumerate().map(|(at, byte)| thinned(draw, at, *byte)));
            let fits = missing(&bytes).is_ok_and(|more| match more {
                0 => decode(&bytes).is_ok(),
                more => bytes.len().saturating_add(more) <= LONGEST,
            });
            if fits {
                break;
            }
        }
    }
}

impl<'a> Arbitrary<'a> for ClientMessage {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (number, _) = *u.choose(Self::TABLE)?;
        let limits = limits();
        message(
            number,
            u,
            |bytes| Self::missing(bytes, &Extensions::ALL, &limits),
            |bytes| Self::decode(&bytes::Bytes::copy_from_slice(bytes), &Extensions::ALL, &limits),
        )
    }
}

/// Of an update the head: rectangles follow it.
impl<'a> Arbitrary<'a> for ServerMessage {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let (number, _) = *u.choose(Self::TABLE)?;
        let limits = limits();
        message(
            number,
            u,
            |bytes| Self::missing(bytes, &Extensions::ALL, &limits),
            |bytes| Self::decode(&bytes::Bytes::copy_from_slice(bytes), &Extensions::ALL, &limits),
        )
    }
}

impl<'a> Arbitrary<'a> for Encoding {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        i32::arbitrary(u).map(Self)
    }
}

impl<'a> Arbitrary<'a> for Rectangle {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(Self {
            x: u.arbitrary()?,
            y: u.arbitrary()?,
            width: u.arbitrary()?,
            height: u.arbitrary()?,
            encoding: u.arbitrary()?,
        })
    }
}

/// Any bits: also formats that no server has.
impl<'a> Arbitrary<'a> for PixelFormat {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let bytes: [u8; 16] = u.arbitrary()?;
        Self::decode_slice(&bytes, &limits()).map_err(|_| Error::IncorrectFormat)
    }
}

impl<'a> Arbitrary<'a> for ServerInit {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(u8::arbitrary(u)?).min(u.len());
        let name = u.bytes(len)?;
        Ok(Self {
            width: u.arbitrary()?,
            height: u.arbitrary()?,
            format: u.arbitrary()?,
            name: bytes::Bytes::copy_from_slice(name),
        })
    }
}
