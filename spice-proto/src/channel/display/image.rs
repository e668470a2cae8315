//! Pictures inside drawing commands. Their pixels are not unpacked here.

use alloc::boxed::Box;
use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, layout, length};
use crate::ids::{BitmapFlags, BitmapFormat, ImageFlags, ImageType, JpegAlphaFlags};
use crate::parts::{Part, Targets, pointers, put_fixed};

layout! {
    /// What every picture begins with (`SpiceImageDescriptor`).
    pub struct ImageDescriptor {
        /// A number by which it is kept.
        id: u64,
        /// How it is packed.
        r#type: ImageType,
        /// What to do with it.
        flags: ImageFlags,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    }
}

layout! {
    /// Colours of a picture.
    pub struct Palette {
        /// A number by which it is kept.
        unique: u64;
        num_ents: u16,
        /// The colours.
        ents: [u32],
    }
}

impl Part for Palette {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        Self::read(r)
    }

    fn bytes(&self) -> usize {
        self.wire_len()
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, _: &mut Targets<'a>) -> Result<(), EncodeError> {
        self.write(dst)
    }
}

/// Where a picture has its colours from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum PaletteSource {
    /// A palette that was kept, by its number.
    Cached(u64),
    /// One that comes with it, or none.
    Here(Option<Box<Palette>>),
}

impl PaletteSource {
    /// As the flags say.
    fn take(flags: BitmapFlags, r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if flags.contains(BitmapFlags::PAL_FROM_CACHE) {
            r.fixed("palette_id").map(Self::Cached)
        } else {
            Part::take(r, "palette").map(Self::Here)
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Cached(_) => 8,
            Self::Here(palette) => palette.bytes(),
        }
    }

    /// The flags with the bit that this is.
    fn flags(&self, flags: BitmapFlags) -> BitmapFlags {
        let bit = BitmapFlags::PAL_FROM_CACHE.0;
        BitmapFlags(if matches!(self, Self::Cached(_)) {
            flags.0 | bit
        } else {
            flags.0 & !bit
        })
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        match self {
            Self::Cached(id) => {
                put_fixed(id, dst);
                Ok(())
            }
            Self::Here(palette) => palette.put(dst, targets),
        }
    }
}

/// Pixels as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct BitmapData {
    /// Form of a pixel.
    pub format: BitmapFormat,
    /// How they lie. [`BitmapFlags::PAL_FROM_CACHE`] is written as `palette` says.
    pub flags: BitmapFlags,
    /// Pixels of a row.
    pub x: u32,
    /// Rows.
    pub y: u32,
    /// Bytes of a row.
    pub stride: u32,
    /// Colours.
    pub palette: PaletteSource,
    /// `stride` times `y` bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

/// LZ with a palette.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LzPltData {
    /// How the pixels lie. [`BitmapFlags::PAL_FROM_CACHE`] is written as `palette` says.
    pub flags: BitmapFlags,
    /// Colours.
    pub palette: PaletteSource,
    /// The packed pixels.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

/// What a picture is made of; which one, [`ImageDescriptor`]'s type says.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum Payload {
    /// Nothing: it was kept, or the type is not known.
    Nothing,
    /// [`ImageType::BITMAP`].
    Bitmap(BitmapData),
    /// QUIC, LZ, GLZ, JPEG and LZ4: the packed bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    Packed(Bytes),
    /// [`ImageType::LZ_PLT`].
    LzPlt(LzPltData),
    /// [`ImageType::ZLIB_GLZ_RGB`].
    ZlibGlz {
        /// Bytes when zlib has unpacked them.
        glz_data_size: u32,
        /// The packed bytes.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        data: Bytes,
    },
    /// [`ImageType::JPEG_ALPHA`].
    JpegAlpha {
        /// How the alpha plane lies.
        flags: JpegAlphaFlags,
        /// Bytes of JPEG; the rest is the alpha plane.
        jpeg_size: u32,
        /// Both.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        data: Bytes,
    },
    /// [`ImageType::SURFACE`]: that surface.
    Surface(u32),
}

/// A picture (`SpiceImage`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Image {
    /// What it is. Its type must go with the payload.
    pub descriptor: ImageDescriptor,
    /// What it is made of.
    pub payload: Payload,
}

pointers!(Image);

/// A pointer that may be null. The picture of a drawing is a part of it in memory: it has one as a rule, and a box for
/// each costs more than the room.
impl Part for Option<Image> {
    #[inline(always)]
    fn take(r: &mut Reader<'_>, name: &'static str) -> Result<Self, DecodeError> {
        let at = r.position();
        match r.fixed::<u32>(name)? {
            0 => Ok(None),
            offset => Image::take(&mut r.follow(offset, name, at)?, name).map(Some),
        }
    }

    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Part::bytes).saturating_add(4)
    }

    #[inline(always)]
    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        match self {
            Some(image) => targets.push(dst, image),
            None => put_fixed(&0_u32, dst),
        }
        Ok(())
    }
}

/// A counted run of bytes.
#[inline(always)]
fn take_data(r: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let size: u32 = r.fixed("data_size")?;
    r.blob(size, "data")
}

#[inline]
fn put_data(data: &Bytes, message: &'static str, dst: &mut BytesMut) -> Result<(), EncodeError> {
    put_fixed(&length(data.len(), message, "data_size", u32::MAX)?, dst);
    dst.extend_from_slice(data);
    Ok(())
}

impl BitmapData {
    fn take(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (format, flags) = (r.fixed("format")?, r.fixed("flags")?);
        let (x, y, stride) = (r.fixed("x")?, r.fixed("y")?, r.fixed("stride")?);
        let palette = PaletteSource::take(flags, r)?;
        // CVE-2018-10893: the product must not wrap.
        let data = r.blob64(u64::from(stride).saturating_mul(u64::from(y)), "data")?;
        Ok(Self {
            format,
            flags,
            x,
            y,
            stride,
            palette,
            data,
        })
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        let expected = u64::from(self.stride).saturating_mul(u64::from(self.y));
        let len = self.data.len() as u64;
        if len != expected {
            return Err(EncodeError {
                message: "BitmapData",
                field: "data",
                value: len,
                limit: expected,
            });
        }
        put_fixed(&self.format, dst);
        put_fixed(&self.palette.flags(self.flags), dst);
        for number in [self.x, self.y, self.stride] {
            put_fixed(&number, dst);
        }
        self.palette.put(dst, targets)?;
        dst.extend_from_slice(&self.data);
        Ok(())
    }
}

impl LzPltData {
    fn take(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = r.fixed("flags")?;
        let size: u32 = r.fixed("data_size")?;
        let palette = PaletteSource::take(flags, r)?;
        Ok(Self {
            flags,
            palette,
            data: r.blob(size, "data")?,
        })
    }

    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        put_fixed(&self.palette.flags(self.flags), dst);
        put_fixed(&length(self.data.len(), "LZPLTData", "data_size", u32::MAX)?, dst);
        self.palette.put(dst, targets)?;
        dst.extend_from_slice(&self.data);
        Ok(())
    }
}

impl Payload {
    /// Reads it, and makes what it is a part of.
    #[inline(always)]
    fn take_into<T>(kind: ImageType, r: &mut Reader<'_>, make: impl FnOnce(Self) -> T) -> Result<T, DecodeError> {
        Ok(match kind {
            ImageType::BITMAP => make(Self::Bitmap(BitmapData::take(r)?)),
            ImageType::QUIC | ImageType::LZ_RGB | ImageType::GLZ_RGB | ImageType::JPEG | ImageType::LZ4 => {
                make(Self::Packed(take_data(r)?))
            }
            ImageType::LZ_PLT => make(Self::LzPlt(LzPltData::take(r)?)),
            ImageType::ZLIB_GLZ_RGB => make(Self::ZlibGlz {
                glz_data_size: r.fixed("glz_data_size")?,
                data: take_data(r)?,
            }),
            ImageType::JPEG_ALPHA => make(Self::JpegAlpha {
                flags: r.fixed("flags")?,
                jpeg_size: r.fixed("jpeg_size")?,
                data: take_data(r)?,
            }),
            ImageType::SURFACE => make(Self::Surface(r.fixed("surface_id")?)),
            _ => make(Self::Nothing),
        })
    }

    fn goes_with(&self, kind: ImageType) -> bool {
        match self {
            Self::Bitmap(_) => kind == ImageType::BITMAP,
            Self::Packed(_) => [
                ImageType::QUIC,
                ImageType::LZ_RGB,
                ImageType::GLZ_RGB,
                ImageType::JPEG,
                ImageType::LZ4,
            ]
            .contains(&kind),
            Self::LzPlt(_) => kind == ImageType::LZ_PLT,
            Self::ZlibGlz { .. } => kind == ImageType::ZLIB_GLZ_RGB,
            Self::JpegAlpha { .. } => kind == ImageType::JPEG_ALPHA,
            Self::Surface(_) => kind == ImageType::SURFACE,
            Self::Nothing => ![0, 1, 100, 101, 102, 104, 105, 107, 108, 109].contains(&kind.0),
        }
    }
}

impl Part for Image {
    fn take(r: &mut Reader<'_>, _: &'static str) -> Result<Self, DecodeError> {
        let descriptor = ImageDescriptor::take(r, "descriptor")?;
        Payload::take_into(descriptor.r#type, r, |payload| Self { descriptor, payload })
    }

    fn take_boxed(r: &mut Reader<'_>, _: &'static str) -> Result<Box<Self>, DecodeError> {
        let descriptor = ImageDescriptor::take(r, "descriptor")?;
        Payload::take_into(descriptor.r#type, r, |payload| Box::new(Self { descriptor, payload }))
    }

    fn bytes(&self) -> usize {
        let payload = match &self.payload {
            Payload::Nothing => 0,
            Payload::Bitmap(bitmap) => bitmap
                .data
                .len()
                .saturating_add(14)
                .saturating_add(bitmap.palette.bytes()),
            Payload::Packed(data) => data.len().saturating_add(4),
            Payload::LzPlt(lz) => lz.data.len().saturating_add(5).saturating_add(lz.palette.bytes()),
            Payload::ZlibGlz { data, .. } => data.len().saturating_add(8),
            Payload::JpegAlpha { data, .. } => data.len().saturating_add(9),
            Payload::Surface(_) => 4,
        };
        payload.saturating_add(ImageDescriptor::BLOCK)
    }

    #[inline]
    fn put<'a>(&'a self, dst: &mut BytesMut, targets: &mut Targets<'a>) -> Result<(), EncodeError> {
        let kind = self.descriptor.r#type;
        if !self.payload.goes_with(kind) {
            return Err(EncodeError {
                message: "Image",
                field: "type",
                value: kind.0.into(),
                limit: 0,
            });
        }
        put_fixed(&self.descriptor, dst);
        match &self.payload {
            Payload::Nothing => Ok(()),
            Payload::Bitmap(bitmap) => bitmap.put(dst, targets),
            Payload::Packed(data) => put_data(data, "Image", dst),
            Payload::LzPlt(lz) => lz.put(dst, targets),
            Payload::ZlibGlz { glz_data_size, data } => {
                put_fixed(glz_data_size, dst);
                put_data(data, "ZlibGlzRGBData", dst)
            }
            Payload::JpegAlpha { flags, jpeg_size, data } => {
                put_fixed(flags, dst);
                put_fixed(jpeg_size, dst);
                put_data(data, "JPEGAlphaData", dst)
            }
            Payload::Surface(surface_id) => {
                put_fixed(surface_id, dst);
                Ok(())
            }
        }
    }
}
