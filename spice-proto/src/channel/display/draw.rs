//! Drawing commands.

use alloc::boxed::Box;
use bytes::BytesMut;

use super::image::Image;
use super::shape::{Brush, Clip, LineAttr, Path, Point, Rect, Text};
use crate::channel::cursor::Point16;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Reader, layout};
use crate::ids::{AlphaFlags, CompositeFlags, ImageScaleMode, MaskFlags, RopDescriptor};
use crate::parts::{Part, Targets, parts, put_fixed};

parts! {
    /// Where every drawing goes.
    pub struct DisplayBase {
        block {
            /// The surface.
            surface_id: u32,
            /// The area.
            r#box: Rect,
        },
        /// What of it is drawn.
        clip: Clip,
    }
}

parts! {
    /// A picture that says which pixels of an area are drawn.
    pub struct QMask {
        block {
            /// What it is.
            flags: MaskFlags,
            /// Its pixel at the area's corner.
            pos: Point,
        },
        /// The picture; none: all pixels are drawn.
        bitmap: Option<Box<Image>>,
    }
}

parts! { message
    /// Copies a part of the surface.
    pub struct CopyBits {
        /// Where to.
        base: DisplayBase,
        /// Where from.
        src_pos: Point,
    }
}

parts! { message
    /// Fills an area.
    pub struct DrawFill {
        /// Where.
        base: DisplayBase,
        /// What with.
        brush: Brush,
        /// How.
        rop_descriptor: RopDescriptor,
        /// Which pixels.
        mask: QMask,
    }
}

parts! { message
    /// Draws a picture mixed with a brush.
    pub struct DrawOpaque {
        /// Where.
        base: DisplayBase,
        /// The picture.
        src_bitmap: Option<Image>,
        /// What of it.
        src_area: Rect,
        /// The brush.
        brush: Brush,
        block {
            /// How.
            rop_descriptor: RopDescriptor,
            /// How it is scaled.
            scale_mode: ImageScaleMode,
        },
        /// Which pixels.
        mask: QMask,
    }
}

parts! { message
    /// Draws a picture, or blends it in.
    pub struct DrawCopy {
        /// Where.
        base: DisplayBase,
        /// The picture.
        src_bitmap: Option<Image>,
        block {
            /// What of it.
            src_area: Rect,
            /// How.
            rop_descriptor: RopDescriptor,
            /// How it is scaled.
            scale_mode: ImageScaleMode,
        },
        /// Which pixels.
        mask: QMask,
    }
}

parts! { message
    /// Makes an area black or white, or inverts it.
    pub struct DrawMask {
        /// Where.
        base: DisplayBase,
        /// Which pixels.
        mask: QMask,
    }
}

parts! { message
    /// Mixes picture, brush and target by a table.
    pub struct DrawRop3 {
        /// Where.
        base: DisplayBase,
        /// The picture.
        src_bitmap: Option<Image>,
        /// What of it.
        src_area: Rect,
        /// The brush.
        brush: Brush,
        block {
            /// The table: the result for each of eight cases.
            rop3: u8,
            /// How it is scaled.
            scale_mode: ImageScaleMode,
        },
        /// Which pixels.
        mask: QMask,
    }
}

parts! { message
    /// Draws along a path.
    pub struct DrawStroke {
        /// Where.
        base: DisplayBase,
        /// The path.
        path: Box<Path>,
        /// The line.
        attr: LineAttr,
        /// What with.
        brush: Brush,
        block {
            /// How the line is mixed.
            fore_mode: u16,
            /// How its gaps are mixed.
            back_mode: u16,
        },
    }
}

parts! { message
    /// Draws letters.
    pub struct DrawText {
        /// Where.
        base: DisplayBase,
        /// The letters.
        str: Box<Text>,
        /// What is behind them.
        back_area: Rect,
        /// What with.
        fore_brush: Brush,
        /// What with, behind them.
        back_brush: Brush,
        block {
            /// How they are mixed.
            fore_mode: u16,
            /// How what is behind them is mixed.
            back_mode: u16,
        },
    }
}

parts! { message
    /// Draws a picture but for one colour.
    pub struct DrawTransparent {
        /// Where.
        base: DisplayBase,
        /// The picture.
        src_bitmap: Option<Image>,
        block {
            /// What of it.
            src_area: Rect,
            /// That colour, as the picture has it.
            src_color: u32,
            /// That colour in full.
            true_color: u32,
        },
    }
}

parts! { message
    /// Lays a picture over what is there.
    pub struct DrawAlphaBlend {
        /// Where.
        base: DisplayBase,
        block {
            /// What has alpha.
            alpha_flags: AlphaFlags,
            /// Alpha of the whole; 255: as it is.
            alpha: u8,
        },
        /// The picture.
        src_bitmap: Option<Image>,
        /// What of it.
        src_area: Rect,
    }
}

layout! {
    /// Two rows of a matrix, in 16.16 fixed point.
    pub struct Transform {
        /// First row.
        t00: u32,
        /// First row.
        t01: u32,
        /// First row.
        t02: u32,
        /// Second row.
        t10: u32,
        /// Second row.
        t11: u32,
        /// Second row.
        t12: u32,
    }
}

/// Pictures that are composed as the X Render extension does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Composite {
    /// How. The three `HAS_` bits are written as the fields below say, whatever stands here.
    pub flags: CompositeFlags,
    /// The source.
    pub src_bitmap: Option<Image>,
    /// The mask, if there is one; its pointer can be null all the same.
    pub mask_bitmap: Option<Option<Box<Image>>>,
    /// How the source is transformed.
    pub src_transform: Option<Transform>,
    /// How the mask is transformed.
    pub mask_transform: Option<Transform>,
    /// The source's pixel at the area's corner.
    pub src_origin: Point16,
    /// The mask's pixel at the area's corner.
    pub mask_origin: Point16,
}

/// A part that is there when a flag says so.
fn take_if<T: Part>(there: bool, r: &mut Reader<'_>, name: &'static str) -> Result<Option<T>, DecodeError> {
    there.then(|| T::take(r, name)).transpose()
}

impl Composite {
    /// The flags with the bits that tell what is there.
    pub(crate) fn wire_flags(&self) -> u32 {
        let has = [
            (CompositeFlags::HAS_MASK, self.mask_bitmap.is_some()),
            (CompositeFlags::HAS_SRC_TRANSFORM, self.src_transform.is_some()),
            (CompositeFlags::HAS_MASK_TRANSFORM, self.mask_transform.is_some()),
        ];
        has.iter().fold(
            self.flags.0,
            |flags, (bit, set)| {
                if *set { flags | bit.0 } else { flags & !bit.0 }
            },
        )
    }
}

impl Part for Composite {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let flags: CompositeFlags = r.fixed("flags")?;
        Ok(Self {
            flags,
            src_bitmap: Part::take(r, "src_bitmap")?,
            mask_bitmap: take_if(flags.contains(CompositeFlags::HAS_MASK), r, "mask_bitmap")?,
            src_transform: take_if(flags.contains(CompositeFlags::HAS_SRC_TRANSFORM), r, "src_transform")?,
            mask_transform: take_if(flags.contains(CompositeFlags::HAS_MASK_TRANSFORM), r, "mask_transform")?,
            src_origin: r.fixed("src_origin")?,
            mask_origin: r.fixed("mask_origin")?,
        })
    }

    fn bytes(&self) -> usize {
        let transforms = self
            .src_transform
            .iter()
            .chain(&self.mask_transform)
            .count()
            .saturating_mul(24);
        let pictures = self
            .src_bitmap
            .bytes()
            .saturating_add(self.mask_bitmap.as_ref().map_or(0, Part::bytes));
        transforms.saturating_add(pictures).saturating_add(12)
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_fixed(&self.wire_flags(), dst);
        self.src_bitmap.put(dst, targets)?;
        if let Some(mask) = &self.mask_bitmap {
            mask.put(dst, targets)?;
        }
        for transform in self.src_transform.iter().chain(&self.mask_transform) {
            put_fixed(transform, dst);
        }
        put_fixed(&self.src_origin, dst);
        put_fixed(&self.mask_origin, dst);
        Ok(())
    }
}

parts! { message
    /// Composes pictures.
    pub struct DrawComposite {
        /// Where.
        base: DisplayBase,
        /// What.
        data: Composite,
    }
}
