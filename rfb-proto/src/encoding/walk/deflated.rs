//! Where a payload has data of a zlib stream that goes on from rectangle to rectangle.

use core::ops::Range;

use super::step::{Context, Next, Step, Tight};
use crate::encoding::{Encoding, Rectangle};

/// What a payload has of such a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deflated {
    /// Nothing.
    Nothing,
    /// It cannot be said yet.
    Unknown,
    /// Data: where their length stands, and where they begin. Their first two bytes are there.
    Data { length: Range<usize>, len: u32 },
}

/// Bytes of the header of a zlib stream.
pub(crate) const ZLIB_HEADER: usize = 2;

/// Of a payload that begins like this, in zlib, ZRLE, ZYWRLE, Tight or TightPNG.
pub(crate) fn deflated(rectangle: &Rectangle, src: &[u8], context: &Context) -> Deflated {
    let found = match rectangle.encoding {
        Encoding::TIGHT => tight(Tight::Control, rectangle, src, context),
        Encoding::TIGHT_PNG => tight(Tight::PngControl, rectangle, src, context),
        _ => match src.first_chunk() {
            Some(len) => Deflated::Data {
                length: 0..size_of::<u32>(),
                len: u32::from_be_bytes(*len),
            },
            None => Deflated::Unknown,
        },
    };
    match found {
        Deflated::Data { length, .. } if src.len() < length.end.saturating_add(ZLIB_HEADER) => Deflated::Unknown,
        found => found,
    }
}

fn tight(state: Tight, rectangle: &Rectangle, src: &[u8], context: &Context) -> Deflated {
    let Some(&control) = src.first() else {
        return Deflated::Unknown;
    };
    // One colour, JPEG, PNG, and what is not deflated.
    if 0x80 <= control {
        return Deflated::Nothing;
    }
    let (control, opaque, field, next) = match state.step(src, rectangle, &context.sizes, context) {
        Ok(Step::Skip {
            control,
            opaque,
            field,
            next,
        }) => (control, opaque, field, next),
        Ok(_) => return Deflated::Unknown,
        // The framer says what is wrong.
        Err(_) => return Deflated::Nothing,
    };
    match (field, next) {
        ("data", Next::End) => {
            // The filter, if there is one, has a byte.
            let start = if src.first().is_some_and(|control| control & 0x40 != 0) {
                2
            } else {
                1
            };
            let len = u32::try_from(opaque).unwrap_or(u32::MAX);
            Deflated::Data {
                length: start..control,
                len,
            }
        }
        // A palette, and then a length.
        ("palette", Next::Tight(_)) => {
            let start = usize::try_from(opaque).unwrap_or(usize::MAX).saturating_add(control);
            compact(src, start)
        }
        (_, Next::Tight(_)) => Deflated::Unknown,
        _ => Deflated::Nothing,
    }
}

/// A compact length that stands there.
fn compact(src: &[u8], start: usize) -> Deflated {
    let Some(rest) = src.get(start..) else {
        return Deflated::Unknown;
    };
    let (taken, len) = match *rest {
        [low @ ..0x80, ..] => (1, u32::from(low)),
        [low, middle @ ..0x80, ..] => (2, u32::from(low & 0x7f) | u32::from(middle) << 7),
        [low, middle, high, ..] => {
            let low = u32::from(low & 0x7f) | u32::from(middle & 0x7f) << 7;
            (3, low | u32::from(high) << 14)
        }
        _ => return Deflated::Unknown,
    };
    let length = start..start.saturating_add(taken);
    Deflated::Data { length, len }
}

/// The wire form of a length, as the encoding has it.
pub(crate) fn put_length(encoding: Encoding, len: u32, dst: &mut bytes::BytesMut) {
    let [high, middle, low] =
        [len >> 14, len >> 7 & 0x7f, len & 0x7f].map(|part| u8::try_from(part).unwrap_or(u8::MAX));
    match encoding {
        Encoding::TIGHT | Encoding::TIGHT_PNG => match (high, middle) {
            (0, 0) => dst.extend_from_slice(&[low]),
            (0, _) => dst.extend_from_slice(&[low | 0x80, middle]),
            _ => dst.extend_from_slice(&[low | 0x80, middle | 0x80, high]),
        },
        _ => dst.extend_from_slice(&len.to_be_bytes()),
    }
}
