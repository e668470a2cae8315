//! Tight, and TightPNG (community specification, "Tight Encoding").
//!
//! ```text
//! u8 control, in its upper half:
//!   8    tpixel                                          one colour
//!   9    length, JPEG
//!   0..3 data                                            bits 0 and 1: which zlib stream
//!   4..7 u8 filter, data                                 filter 1: u8 colours - 1, tpixels, data
//!   10   TightPNG: length, PNG
//!   10, 14 as 0 and 4, not deflated, if that was agreed on
//! data: under 12 bytes as they are; else length, zlib
//! length: 1 to 3 bytes of 7, 7 and 8 bits, lowest first; the highest bit of a byte says that another follows
//! ```
//!
//! What "under 12 bytes" counts is what comes out of zlib, which the rectangle and the filter tell.

use super::step::{Context, Fault, Next, PixelSizes, Step, Tight};
use crate::encoding::Rectangle;

/// Data under this size are neither deflated nor counted.
const MIN_TO_COMPRESS: u64 = 12;

/// The length of a payload, if all of its control bytes lie in `src`.
#[inline]
pub(super) fn whole(src: &[u8], rectangle: &Rectangle, sizes: &PixelSizes, context: &Context) -> Option<u64> {
    let Ok(Step::Skip {
        control, opaque, next, ..
    }) = Tight::Control.control(src, rectangle, sizes, context)
    else {
        return None;
    };
    let first = opaque.wrapping_add(control as u64);
    if let Next::End = next {
        return Some(first);
    }
    // A compact length is all that can follow.
    let Step::Skip { control, opaque, .. } = length(src.get(usize::try_from(first).ok()?..)?, 0) else {
        return None;
    };
    Some(first.wrapping_add(opaque).wrapping_add(control as u64))
}

impl Tight {
    #[inline]
    pub(super) fn step(
        self,
        src: &[u8],
        rectangle: &Rectangle,
        sizes: &PixelSizes,
        context: &Context,
    ) -> Result<Step, Fault> {
        match self {
            Self::Length => Ok(length(src, 0)),
            _ => self.control(src, rectangle, sizes, context),
        }
    }

    #[inline(always)]
    fn control(self, src: &[u8], rectangle: &Rectangle, sizes: &PixelSizes, context: &Context) -> Result<Step, Fault> {
        let Some((&control, tail)) = src.split_first() else {
            return Ok(Step::need(1, "control"));
        };
        let is_png = matches!(self, Self::PngControl);
        let (has_filter, tpixel) = match control >> 4 {
            8 => {
                return Ok(Step::Skip {
                    control: 1,
                    opaque: sizes.tpixel.into(),
                    field: "colour",
                    next: Next::End,
                });
            }
            9 => return Ok(length(tail, 1)),
            10 if is_png => return Ok(length(tail, 1)),
            // Also in TightPNG: QEMU has no PNG of 8 bits a pixel, and none for gradients.
            kind @ 0..=7 => (kind & 4 != 0, sizes.tpixel),
            kind @ (10 | 14) if !is_png && context.without_zlib => (kind & 4 != 0, sizes.tpixel),
            _ => return Err(Fault::unknown("control", 0, control)),
        };
        let (width, height) = (u64::from(rectangle.width), u64::from(rectangle.height));
        // Pixels are at most 2^16 * 2^16 * 4 bytes: this does not wrap, nor does what follows.
        let row = width.wrapping_mul(tpixel.into());
        if !has_filter {
            return Ok(data(row.wrapping_mul(height), tail, 1, 0));
        }
        let Some((&filter, tail)) = tail.split_first() else {
            return Ok(Step::need(1, "filter"));
        };
        match filter {
            0 => Ok(data(row.wrapping_mul(height), tail, 2, 0)),
            1 => {
                let Some((&last, tail)) = tail.split_first() else {
                    return Ok(Step::need(1, "colours"));
                };
                let row = if last < 2 { width.div_ceil(8) } else { width };
                let palette = u32::from(last).wrapping_add(1).wrapping_mul(tpixel);
                Ok(data(row.wrapping_mul(height), tail, 3, palette))
            }
            2 if sizes.pixel == 1 => Err(Fault::invalid("filter", 1, "no gradients of 8-bit pixels")),
            2 => Ok(data(row.wrapping_mul(height), tail, 2, 0)),
            _ => Err(Fault::unknown("filter", 1, filter)),
        }
    }
}

/// `size` bytes, deflated if that is not too few, behind so many control bytes and a palette.
#[inline(always)]
fn data(size: u64, tail: &[u8], control: usize, palette: u32) -> Step {
    let (opaque, next) = match size {
        ..MIN_TO_COMPRESS => (size.wrapping_add(palette.into()), Next::End),
        _ if palette == 0 => return length(tail, control),
        _ => (palette.into(), Next::Tight(Tight::Length)),
    };
    let field = if palette == 0 { "pixels" } else { "palette" };
    Step::Skip {
        control,
        opaque,
        field,
        next,
    }
}

/// A compact length and so many bytes, behind so many control bytes. It is read byte by byte: there may be no third one
/// to wait for.
#[inline(always)]
fn length(src: &[u8], control: usize) -> Step {
    let (taken, opaque) = match *src {
        [low @ ..0x80, ..] => (1, u32::from(low)),
        [low, middle @ ..0x80, ..] => (2, u32::from(low & 0x7f) | u32::from(middle) << 7),
        [low, middle, high, ..] => {
            let low = u32::from(low & 0x7f) | u32::from(middle & 0x7f) << 7;
            (3, low | u32::from(high) << 14)
        }
        _ if control == 0 => return Step::need(1, "length"),
        // The control bytes go on by themselves, so that they are not waited for.
        _ => {
            return Step::Skip {
                control,
                opaque: 0,
                field: "length",
                next: Next::Tight(Tight::Length),
            };
        }
    };
    Step::Skip {
        control: control.wrapping_add(taken),
        opaque: opaque.into(),
        field: "data",
        next: Next::End,
    }
}
