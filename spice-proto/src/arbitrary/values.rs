//! The values whose parts must agree: only values that have a wire form are made, and each comes back from it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ::arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;

use super::bytes;
use crate::channel::cursor::{Cursor, CursorHeader};
use crate::channel::display::draw::Composite;
use crate::channel::display::image::{BitmapData, Image, ImageDescriptor, LzPltData, PaletteSource, Payload};
use crate::channel::display::shape::{Brush, Clip, Glyphs, LineAttr, LineStyle, RasterGlyph, Text};
use crate::channel::vmc::CompressedData;
use crate::ids::{
    BitmapFlags, BrushType, ClipType, CompositeFlags, CursorFlags, DataCompression, ImageType, LineFlags, StringFlags,
};

/// So many bytes, from what is left; fewer rows when it does not last.
fn rows(u: &mut Unstructured<'_>, row: usize, most: usize) -> Result<(usize, Bytes)> {
    let wanted = u.int_in_range(0..=most)?;
    let rows = u.len().checked_div(row).unwrap_or(most).min(wanted);
    let data = u.bytes(rows.saturating_mul(row))?;
    Ok((rows, Bytes::copy_from_slice(data)))
}

impl<'a> Arbitrary<'a> for PaletteSource {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(if u.arbitrary()? {
            Self::Cached(u.arbitrary()?)
        } else {
            Self::Here(u.arbitrary()?)
        })
    }
}

impl PaletteSource {
    /// The flags that stand beside it on the wire.
    fn arbitrary_flags(&self, u: &mut Unstructured<'_>) -> Result<BitmapFlags> {
        let other = u8::arbitrary(u)? & !BitmapFlags::PAL_FROM_CACHE.0;
        Ok(BitmapFlags(match self {
            Self::Cached(_) => other | BitmapFlags::PAL_FROM_CACHE.0,
            Self::Here(_) => other,
        }))
    }
}

impl<'a> Arbitrary<'a> for BitmapData {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let palette = PaletteSource::arbitrary(u)?;
        let flags = palette.arbitrary_flags(u)?;
        let (format, x) = (u.arbitrary()?, u.arbitrary()?);
        let stride = u.arbitrary::<u8>()?;
        let (y, data) = rows(u, stride.into(), u8::MAX.into())?;
        Ok(Self {
            format,
            flags,
            x,
            y: u32::try_from(y).unwrap_or(0),
            stride: stride.into(),
            palette,
            data,
        })
    }
}

impl<'a> Arbitrary<'a> for LzPltData {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let palette = PaletteSource::arbitrary(u)?;
        Ok(Self {
            flags: palette.arbitrary_flags(u)?,
            palette,
            data: bytes(u)?,
        })
    }
}

impl<'a> Arbitrary<'a> for Image {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kinds = [
            ImageType::BITMAP,
            ImageType::QUIC,
            ImageType::LZ_PLT,
            ImageType::LZ_RGB,
            ImageType::GLZ_RGB,
            ImageType::FROM_CACHE,
            ImageType::SURFACE,
            ImageType::JPEG,
            ImageType::FROM_CACHE_LOSSLESS,
            ImageType::ZLIB_GLZ_RGB,
            ImageType::JPEG_ALPHA,
            ImageType::LZ4,
        ];
        let kind = *u.choose(&kinds)?;
        let payload = match kind {
            ImageType::BITMAP => Payload::Bitmap(u.arbitrary()?),
            ImageType::LZ_PLT => Payload::LzPlt(u.arbitrary()?),
            ImageType::FROM_CACHE | ImageType::FROM_CACHE_LOSSLESS => Payload::Nothing,
            ImageType::SURFACE => Payload::Surface(u.arbitrary()?),
            ImageType::ZLIB_GLZ_RGB => Payload::ZlibGlz {
                glz_data_size: u.arbitrary()?,
                data: bytes(u)?,
            },
            ImageType::JPEG_ALPHA => Payload::JpegAlpha {
                flags: u.arbitrary()?,
                jpeg_size: u.arbitrary()?,
                data: bytes(u)?,
            },
            _ => Payload::Packed(bytes(u)?),
        };
        let descriptor = ImageDescriptor {
            r#type: kind,
            ..u.arbitrary()?
        };
        Ok(Self { descriptor, payload })
    }
}

impl<'a> Arbitrary<'a> for Clip {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary()? {
            ClipType::RECTS => Self::Rects(u.arbitrary()?),
            kind => Self::Whole(kind),
        })
    }
}

impl<'a> Arbitrary<'a> for Brush {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        Ok(match u.arbitrary()? {
            BrushType::SOLID => Self::Solid(u.arbitrary()?),
            BrushType::PATTERN => Self::Pattern(u.arbitrary()?),
            kind => Self::Nothing(kind),
        })
    }
}

impl<'a> Arbitrary<'a> for LineAttr {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let style: Option<Box<LineStyle>> = u.arbitrary()?;
        let style = style.filter(|style| style.lengths.len() <= usize::from(u8::MAX));
        let other = u8::arbitrary(u)? & !LineFlags::STYLED.0;
        let styled = if style.is_some() { LineFlags::STYLED.0 } else { 0 };
        Ok(Self {
            flags: LineFlags(other | styled),
            style,
        })
    }
}

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let flags: StringFlags = u.arbitrary()?;
        let Some(depth) = Self::depth(flags) else {
            return Ok(Self {
                flags,
                glyphs: Glyphs::Absent(u.arbitrary()?),
            });
        };
        let mut glyphs = Vec::new();
        for _ in 0..u.int_in_range(0..=8)? {
            let width = u.arbitrary::<u8>()?.into();
            let row = u64::from(width).saturating_mul(depth).div_ceil(8);
            let row = usize::try_from(row).unwrap_or(usize::MAX);
            let (height, data) = rows(u, row, u8::MAX.into())?;
            glyphs.push(RasterGlyph {
                render_pos: u.arbitrary()?,
                glyph_origin: u.arbitrary()?,
                width,
                height: u16::try_from(height).unwrap_or(0),
                data,
            });
        }
        Ok(Self {
            flags,
            glyphs: Glyphs::Raster(glyphs),
        })
    }
}

impl<'a> Arbitrary<'a> for Composite {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let composite = Self {
            flags: u.arbitrary()?,
            src_bitmap: u.arbitrary()?,
            mask_bitmap: u.arbitrary()?,
            src_transform: u.arbitrary()?,
            mask_transform: u.arbitrary()?,
            src_origin: u.arbitrary()?,
            mask_origin: u.arbitrary()?,
        };
        Ok(Self {
            flags: CompositeFlags(composite.wire_flags()),
            ..composite
        })
    }
}

impl<'a> Arbitrary<'a> for Cursor {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let header: Option<CursorHeader> = u.arbitrary()?;
        let other = u16::arbitrary(u)? & !CursorFlags::NONE.0;
        let none = if header.is_none() { CursorFlags::NONE.0 } else { 0 };
        Ok(Self {
            flags: CursorFlags(other | none),
            header,
            data: bytes(u)?,
        })
    }
}

impl<'a> Arbitrary<'a> for CompressedData {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let kind = u.arbitrary()?;
        Ok(Self {
            r#type: kind,
            uncompressed_size: if kind == DataCompression::NONE {
                0
            } else {
                u.arbitrary()?
            },
            compressed_data: bytes(u)?,
        })
    }
}
