//! Encodings by tiles of 16 by 16: Hextile (RFC 6143 section 7.7.4), ZlibHex and TRLE (section 7.7.5).

use super::step::{Fault, Hextile, Next, Step, Tiles, Trle};
use crate::encoding::Rectangle;

const SIDE: u32 = 16;

impl Tiles {
    /// `None`: there are none.
    fn new(rectangle: &Rectangle) -> Option<Self> {
        let (width, height) = (u32::from(rectangle.width), u32::from(rectangle.height));
        (width != 0 && height != 0).then_some(Self {
            width,
            right: width,
            below: height,
        })
    }

    #[inline(always)]
    fn size(&self) -> (u32, u32) {
        (self.right.min(SIDE), self.below.min(SIDE))
    }

    /// At most 256.
    #[inline(always)]
    fn area(&self) -> u32 {
        let (width, height) = self.size();
        width.saturating_mul(height)
    }

    /// Goes to the next one, if there is one.
    #[inline(always)]
    fn advance(&mut self) -> bool {
        if SIDE < self.right {
            self.right = self.right.wrapping_sub(SIDE);
            return true;
        }
        self.right = self.width;
        let more = SIDE < self.below;
        self.below = self.below.saturating_sub(SIDE);
        more
    }
}

impl Hextile {
    pub(super) fn start(rectangle: &Rectangle, deflated: bool) -> Next {
        Tiles::new(rectangle).map_or(Next::End, |tiles| Next::Hextile(Self { tiles, deflated }))
    }

    /// The length of all tiles, if they are there.
    pub(super) fn whole(rectangle: &Rectangle, src: &[u8], pixel: u32) -> Option<usize> {
        let Next::Hextile(mut tiles) = Self::start(rectangle, false) else {
            return Some(0);
        };
        match tiles.step_as::<false>(src, pixel) {
            Ok(Step::Skip {
                control,
                opaque: 0,
                next: Next::End,
                ..
            }) => Some(control),
            _ => None,
        }
    }

    /// Over the whole tiles in `src`, and to the end of the first that is not, if it is known.
    #[inline]
    pub(super) fn step(&mut self, src: &[u8], pixel: u32) -> Result<Step, Fault> {
        match self.deflated {
            true => self.step_as::<true>(src, pixel),
            false => self.step_as::<false>(src, pixel),
        }
    }

    #[inline]
    fn step_as<const DEFLATED: bool>(&mut self, src: &[u8], pixel: u32) -> Result<Step, Fault> {
        let mut tiles = self.tiles.clone();
        let mut left = src;
        let step = loop {
            let Some((&mask, tail)) = left.split_first() else {
                break Step::need(1, "mask");
            };
            // The mask itself, then what it announces; all of it fits easily.
            let mut len: usize;
            if mask & 1 != 0 && !(DEFLATED && mask & 0x60 != 0) {
                len = tiles.area().wrapping_mul(pixel).wrapping_add(1) as usize;
            } else if DEFLATED && mask & 0x60 != 0 {
                let Some(count) = tail.first_chunk::<2>() else {
                    break Step::need(2_usize.saturating_sub(tail.len()), "length");
                };
                len = usize::from(u16::from_be_bytes(*count)).wrapping_add(3);
            } else {
                let colours = u32::from(mask >> 1 & 1).wrapping_add(u32::from(mask >> 2 & 1));
                len = colours.wrapping_mul(pixel).wrapping_add(1) as usize;
                if mask & 8 != 0 {
                    let Some(&count) = left.get(len) else {
                        break Step::need(len.wrapping_add(1).saturating_sub(left.len()), "subrectangles");
                    };
                    let colour = if mask & 16 != 0 { pixel } else { 0 };
                    let each = colour.wrapping_add(2);
                    len = len
                        .wrapping_add(1)
                        .wrapping_add(u32::from(count).wrapping_mul(each) as usize);
                }
            }
            let more = tiles.advance();
            match left.get(len..) {
                Some(rest) if more => left = rest,
                rest => {
                    // The last tile, or the first that is not whole.
                    let opaque = if rest.is_none() {
                        len.saturating_sub(left.len())
                    } else {
                        0
                    };
                    left = rest.unwrap_or_default();
                    self.tiles = tiles;
                    return Ok(Step::Skip {
                        control: src.len().saturating_sub(left.len()),
                        opaque: opaque as u64,
                        field: "tile",
                        next: if more { Next::Hextile(self.clone()) } else { Next::End },
                    });
                }
            }
        };
        self.tiles = tiles;
        let control = src.len().saturating_sub(left.len());
        if control == 0 {
            return Ok(step);
        }
        Ok(Step::Skip {
            control,
            opaque: 0,
            field: "tile",
            next: Next::Hextile(self.clone()),
        })
    }
}

impl Trle {
    pub(super) fn start(rectangle: &Rectangle) -> Next {
        Tiles::new(rectangle).map_or(Next::End, |tiles| {
            Next::Trle(Self {
                tiles,
                palette: 0,
                left: 0,
                indexed: false,
            })
        })
    }

    /// Bytes of the tile as indexes.
    fn packed(&self) -> u32 {
        let bits = match self.palette {
            0..=2 => 1_u32,
            3 | 4 => 2,
            _ => 4,
        };
        let (width, height) = self.tiles.size();
        width.saturating_mul(bits).div_ceil(8).saturating_mul(height)
    }

    pub(super) fn step(&mut self, src: &[u8], cpixel: u32) -> Result<Step, Fault> {
        if self.left != 0 {
            return self.run(src, cpixel);
        }
        let Some(&kind) = src.first() else {
            return Ok(Step::need(1, "kind"));
        };
        let invalid = |what| Err(Fault::invalid("kind", 0, what));
        let (opaque, field) = match kind {
            0 => (self.tiles.area().saturating_mul(cpixel), "pixels"),
            1 => (cpixel, "pixel"),
            2..=16 => {
                self.palette = kind;
                let palette = u32::from(kind).saturating_mul(cpixel);
                (palette.saturating_add(self.packed()), "palette")
            }
            127 if self.palette == 0 || 16 < self.palette => return invalid("there is no palette to pack"),
            127 => (self.packed(), "indexes"),
            17..=126 => return Err(Fault::unknown("kind", 0, kind)),
            129 if self.palette == 0 => return invalid("there is no palette to use again"),
            128.. => {
                self.left = self.tiles.area();
                self.indexed = kind != 128;
                let mut colours = kind.saturating_sub(128);
                match colours {
                    // The palette before stays.
                    0 | 1 => colours = 0,
                    _ => self.palette = colours,
                }
                return Ok(self.skip(1, u32::from(colours).saturating_mul(cpixel), "palette", true));
            }
        };
        let more = self.tiles.advance();
        Ok(self.skip(1, opaque, field, more))
    }

    /// One run.
    fn run(&mut self, src: &[u8], cpixel: u32) -> Result<Step, Fault> {
        let (mut control, is_run) = match (self.indexed, src.first()) {
            (true, None) => return Ok(Step::need(1, "index")),
            (true, Some(index)) => (1, 0x80 <= *index),
            (false, _) => (cpixel as usize, true),
        };
        let mut length: u32 = 1;
        if is_run {
            loop {
                let Some(&more) = src.get(control) else {
                    return Ok(Step::need(control.saturating_add(1).saturating_sub(src.len()), "run"));
                };
                length = length.saturating_add(more.into());
                if self.left < length {
                    return Err(Fault::invalid("run", control, "runs go beyond the tile"));
                }
                control = control.saturating_add(1);
                if more != 255 {
                    break;
                }
            }
        }
        self.left = self.left.saturating_sub(length);
        let more = self.left != 0 || self.tiles.advance();
        Ok(self.skip(control, 0, "run", more))
    }

    fn skip(&self, control: usize, opaque: u32, field: &'static str, more: bool) -> Step {
        Step::Skip {
            control,
            opaque: opaque.into(),
            field,
            next: if more { Next::Trle(self.clone()) } else { Next::End },
        }
    }
}
