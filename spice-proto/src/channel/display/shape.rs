//! What drawing commands draw with: areas, brushes, paths, letters.

use alloc::boxed::Box;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

use super::image::Image;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, layout, length, put_array};
use crate::ids::{BrushType, ClipType, LineFlags, PathFlags, StringFlags};
use crate::parts::{Part, Target, Targets, parts, pointers, put_fixed};

layout! {
    /// An area, in pixels; right and bottom are outside.
    pub struct Rect {
        /// First row.
        top: i32,
        /// First column.
        left: i32,
        /// Row behind the last one.
        bottom: i32,
        /// Column behind the last one.
        right: i32,
    }
}

layout! {
    /// A place, in pixels.
    pub struct Point {
        /// From the left.
        x: i32,
        /// From the top.
        y: i32,
    }
}

layout! {
    /// A place, in sixteenths of a pixel.
    pub struct PointFix {
        /// From the left.
        x: i32,
        /// From the top.
        y: i32,
    }
}

/// What of an area is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Clip {
    /// All of it, with this type; [`ClipType::NONE`] unless it is one that is not known.
    Whole(ClipType),
    /// What lies in one of these.
    Rects(Vec<Rect>),
}

fn put_rects(rects: &[Rect], dst: &mut BytesMut) -> Result<(), EncodeError> {
    put_fixed(&ClipType::RECTS, dst);
    put_fixed(&length(rects.len(), "Clip", "num_rects", u32::MAX)?, dst);
    put_array(dst, rects);
    Ok(())
}

impl Part for Clip {
    #[inline(always)]
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        match r.fixed("type")? {
            ClipType::RECTS => {
                let num_rects: u32 = r.fixed("num_rects")?;
                r.array(num_rects, "rects").map(Self::Rects)
            }
            other => Ok(Self::Whole(other)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Whole(_) => 1,
            Self::Rects(rects) => rects.len().saturating_mul(16).saturating_add(5),
        }
    }

    #[inline(always)]
    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        match self {
            Self::Whole(kind) => {
                put_fixed(kind, dst);
                Ok(())
            }
            Self::Rects(rects) => put_rects(rects, dst),
        }
    }
}

parts! {
    /// A picture that is repeated.
    pub struct Pattern {
        /// The picture.
        pat: Box<Image>,
        /// Its pixel at the surface's corner.
        pos: Point,
    }
}

/// What fills an area.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Brush {
    /// Nothing, with this type; [`BrushType::NONE`] unless it is one that is not known.
    Nothing(BrushType),
    /// One colour.
    Solid(u32),
    /// A picture.
    Pattern(Pattern),
}

impl Part for Brush {
    #[inline]
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        match r.fixed("type")? {
            BrushType::SOLID => r.fixed("color").map(Self::Solid),
            BrushType::PATTERN => Pattern::take(r, "pattern").map(Self::Pattern),
            other => Ok(Self::Nothing(other)),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing(_) => 1,
            Self::Solid(_) => 5,
            Self::Pattern(pattern) => pattern.bytes().saturating_add(1),
        }
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        match self {
            Self::Nothing(kind) => put_fixed(kind, dst),
            Self::Solid(color) => {
                put_fixed(&BrushType::SOLID, dst);
                put_fixed(color, dst);
            }
            Self::Pattern(pattern) => {
                put_fixed(&BrushType::PATTERN, dst);
                pattern.put(dst, targets)?;
            }
        }
        Ok(())
    }
}

layout! {
    /// A piece of a [`Path`].
    pub struct PathSegment {
        /// What it is.
        flags: PathFlags;
        count: u32,
        /// Where it goes.
        points: [PointFix],
    }
}

/// Where a line goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Path {
    /// Its pieces.
    pub segments: Vec<PathSegment>,
}

impl Part for Path {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let num_segments: u32 = r.fixed("num_segments")?;
        // A piece has five bytes at least, so the room is bounded by what is there.
        let most = r.left().len().checked_div(5).unwrap_or(0);
        let mut segments = Vec::with_capacity(most.min(num_segments as usize));
        for _ in 0..num_segments {
            segments.push(PathSegment::read(r)?);
        }
        Ok(Self { segments })
    }

    fn bytes(&self) -> usize {
        self.segments
            .iter()
            .fold(4, |sum, segment| sum.saturating_add(segment.wire_len()))
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_fixed(&length(self.segments.len(), "Path", "num_segments", u32::MAX)?, dst);
        self.segments.iter().try_for_each(|segment| segment.write(dst))
    }
}

pointers!(Path, Text);

/// Lengths of dashes and gaps, in sixteenths of a pixel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct LineStyle {
    /// One after the other.
    pub lengths: Vec<i32>,
}

impl Target for LineStyle {
    fn put_target<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_array(dst, &self.lengths);
        Ok(())
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LineAttr {
    /// How. [`LineFlags::STYLED`] is written as `style` says.
    pub flags: LineFlags,
    /// Its dashes; `None`: it has none.
    pub style: Option<Box<LineStyle>>,
}

impl Part for LineAttr {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let flags: LineFlags = r.fixed("flags")?;
        if !flags.contains(LineFlags::STYLED) {
            return Ok(Self { flags, style: None });
        }
        let style_nseg: u8 = r.fixed("style_nseg")?;
        let at = r.position();
        let style: u32 = r.fixed("style")?;
        let lengths = match style_nseg {
            0 => Vec::new(),
            _ if style == 0 => {
                let null = crate::DecodeErrorKind::Invalid("null pointer to a field that has a size");
                return Err(r.error("style", at, null));
            }
            count => r.follow(style, "style", at)?.array(count.into(), "style")?,
        };
        Ok(Self {
            flags,
            style: Some(Box::new(LineStyle { lengths })),
        })
    }

    fn bytes(&self) -> usize {
        self.style
            .as_ref()
            .map_or(1, |style| style.lengths.len().saturating_mul(4).saturating_add(6))
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        let bit = LineFlags::STYLED.0;
        let Some(style) = &self.style else {
            put_fixed(&(self.flags.0 & !bit), dst);
            return Ok(());
        };
        put_fixed(&(self.flags.0 | bit), dst);
        put_fixed(&length(style.lengths.len(), "LineAttr", "style_nseg", u8::MAX)?, dst);
        // No bytes to point to: a null pointer.
        if style.lengths.is_empty() {
            put_fixed(&0_u32, dst)
        } else {
            targets.push(dst, &**style)
        }
        Ok(())
    }
}

/// A letter, as a picture of alpha.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RasterGlyph {
    /// Where it is drawn.
    pub render_pos: Point,
    /// Its corner from there.
    pub glyph_origin: Point,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Its rows, each of whole bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

layout! {
    /// The fixed part of [`RasterGlyph`].
    struct GlyphHead {
        render_pos: Point,
        glyph_origin: Point,
        width: u16,
        height: u16,
    }
}

/// The letters of a text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Glyphs {
    /// No form is given, so none are here though there are so many.
    Absent(u16),
    /// As pictures.
    Raster(Vec<RasterGlyph>),
}

/// A text (`SpiceString`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Text {
    /// Form of the letters; says how many bits a pixel has.
    pub flags: StringFlags,
    /// The letters.
    pub glyphs: Glyphs,
}

impl Text {
    /// Bits of a pixel; the first of the three that is set.
    pub(crate) fn depth(flags: StringFlags) -> Option<u64> {
        let forms = [
            (StringFlags::RASTER_A1, 1),
            (StringFlags::RASTER_A4, 4),
            (StringFlags::RASTER_A8, 8),
        ];
        forms
            .into_iter()
            .find(|(form, _)| flags.contains(*form))
            .map(|(_, depth)| depth)
    }
}

impl Part for Text {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let (length, flags): (u16, StringFlags) = (r.fixed("length")?, r.fixed("flags")?);
        let Some(depth) = Self::depth(flags) else {
            return Ok(Self {
                flags,
                glyphs: Glyphs::Absent(length),
            });
        };
        let most = r.left().len().checked_div(GlyphHead::BLOCK).unwrap_or(0);
        let mut glyphs = Vec::with_capacity(most.min(length.into()));
        for _ in 0..length {
            let GlyphHead {
                render_pos,
                glyph_origin,
                width,
                height,
            } = GlyphHead::read(r)?;
            let row = u64::from(width).saturating_mul(depth).div_ceil(8);
            let data = r.blob64(row.saturating_mul(height.into()), "data")?;
            glyphs.push(RasterGlyph {
                render_pos,
                glyph_origin,
                width,
                height,
                data,
            });
        }
        Ok(Self {
            flags,
            glyphs: Glyphs::Raster(glyphs),
        })
    }

    fn bytes(&self) -> usize {
        match &self.glyphs {
            Glyphs::Absent(_) => 3,
            Glyphs::Raster(glyphs) => glyphs.iter().fold(3, |sum, glyph| {
                sum.saturating_add(GlyphHead::BLOCK).saturating_add(glyph.data.len())
            }),
        }
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        let mismatch = |field, value, limit| EncodeError {
            message: "String",
            field,
            value,
            limit,
        };
        match (&self.glyphs, Self::depth(self.flags)) {
            (Glyphs::Absent(count), None) => {
                put_fixed(count, dst);
                put_fixed(&self.flags, dst);
                Ok(())
            }
            (Glyphs::Raster(glyphs), Some(depth)) => {
                put_fixed(&length(glyphs.len(), "String", "length", u16::MAX)?, dst);
                put_fixed(&self.flags, dst);
                for glyph in glyphs {
                    let row = u64::from(glyph.width).saturating_mul(depth).div_ceil(8);
                    let (len, expected) = (glyph.data.len() as u64, row.saturating_mul(glyph.height.into()));
                    if len != expected {
                        return Err(mismatch("data", len, expected));
                    }
                    let RasterGlyph {
                        render_pos,
                        glyph_origin,
                        width,
                        height,
                        data,
                    } = glyph;
                    put_fixed(render_pos, dst);
                    put_fixed(glyph_origin, dst);
                    put_fixed(width, dst);
                    put_fixed(height, dst);
                    dst.extend_from_slice(data);
                }
                Ok(())
            }
            _ => Err(mismatch("flags", self.flags.0.into(), 0)),
        }
    }
}
