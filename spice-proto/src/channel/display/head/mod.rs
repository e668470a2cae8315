//! What packed pictures begin with. Pixels are not unpacked.
//!
//! ```text
//! LZ    | "  ZL" u32 | version u32 | type u32 | width u32 | height u32 | stride u32 | top_down u32 |
//! GLZ   | "  ZL" u32 | version u32 | type and top_down u8 | width u32 | height u32 | stride u32
//!       | id u64 | win_head_dist u32 |                                        both big-endian
//! QUIC  | "QUIC" u32 | version u32 | type u32 | width u32 | height u32 |         little-endian
//! LZ4   | top_down u8 | format u8 | then blocks: size u32 big-endian, size bytes |
//! JPEG  | FF D8 | segments: FF, marker u8, length u16 big-endian ... | the first frame header (SOF) |
//! ```
//!
//! `ZLIB_GLZ_RGB` is GLZ inside of zlib, of which no more is unpacked than this head. `JPEG_ALPHA` is a
//! JPEG and then LZ of type [`XXXA`](LzImageType::XXXA).
//!
//! A head says again what the image's [descriptor](ImageDescriptor) says, and the real decoders unpack by the
//! head: they do not hold one against the other. Sizes in a head that no check had covered were the way in for
//! CVE-2020-14355. [`ImageHead::check`] compares the two.

mod packed;
mod zlib;

pub use packed::{Expected, GlzHead, HeadMismatch, JpegAlphaHead, JpegHead, Lz4Head, LzHead, QuicHead};
pub use zlib::{ZlibGlzHead, ZlibHead};

use self::packed::form;
use super::image::{Image, Payload};
use crate::error::DecodeError;
use crate::fields::Reader;
use crate::ids::ImageType;
#[cfg(doc)]
use {super::image::ImageDescriptor, crate::ids::LzImageType};

/// What the payload of a picture begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub enum ImageHead {
    /// [`ImageType::QUIC`].
    Quic(QuicHead),
    /// [`ImageType::LZ_RGB`] and [`ImageType::LZ_PLT`].
    Lz(LzHead),
    /// [`ImageType::GLZ_RGB`].
    Glz(GlzHead),
    /// [`ImageType::ZLIB_GLZ_RGB`].
    ZlibGlz(ZlibGlzHead),
    /// [`ImageType::JPEG`].
    Jpeg(JpegHead),
    /// [`ImageType::JPEG_ALPHA`].
    JpegAlpha(JpegAlphaHead),
    /// [`ImageType::LZ4`].
    Lz4(Lz4Head),
}

impl Image {
    /// The head of the packed pixels. None for a picture that is not packed: a bitmap, a surface, one that
    /// was kept, one of a type that is not known.
    ///
    /// # Errors
    /// A head that is cut short or is none of its kind; offsets count from the first packed byte.
    pub fn head(&self) -> Result<Option<ImageHead>, DecodeError> {
        let lz = |data| LzHead::read(&mut Reader::new(data, "LzHead")).map(ImageHead::Lz);
        Ok(Some(match &self.payload {
            Payload::Packed(data) => match self.descriptor.r#type {
                ImageType::QUIC => ImageHead::Quic(QuicHead::read(&mut Reader::new(data, "QuicHead"))?),
                ImageType::GLZ_RGB => ImageHead::Glz(GlzHead::read(&mut Reader::new(data, "GlzHead"))?),
                ImageType::JPEG => ImageHead::Jpeg(JpegHead::read(&mut Reader::new(data, "JpegHead"))?),
                ImageType::LZ4 => ImageHead::Lz4(Lz4Head::read(&mut Reader::new(data, "Lz4Head"))?),
                ImageType::LZ_RGB => lz(data)?,
                // No other type goes with this payload.
                _ => return Ok(None),
            },
            Payload::LzPlt(plt) => lz(&plt.data)?,
            Payload::ZlibGlz { data, .. } => ImageHead::ZlibGlz(ZlibGlzHead::read(data)?),
            Payload::JpegAlpha { jpeg_size, data, .. } => ImageHead::JpegAlpha(JpegAlphaHead::read(data, *jpeg_size)?),
            Payload::Nothing | Payload::Bitmap(_) | Payload::Surface(_) => return Ok(None),
        }))
    }
}

impl ImageHead {
    /// Compares the head with the image that it was read from: width, height, form of the pixels, and room
    /// for a row. A picture that passes can be unpacked into `width` times `height` pixels of its form.
    ///
    /// # Errors
    /// The first field that differs, or a head that was read from an image of another type.
    pub fn check(&self, image: &Image) -> Result<(), HeadMismatch> {
        let descriptor = &image.descriptor;
        match (self, descriptor.r#type, &image.payload) {
            (Self::Quic(head), ImageType::QUIC, _) => head.check(descriptor),
            (Self::Lz(head), ImageType::LZ_RGB | ImageType::LZ_PLT, _) => head.check(descriptor),
            (Self::Glz(head), ImageType::GLZ_RGB, _) => head.check(descriptor),
            (Self::Jpeg(head), ImageType::JPEG, _) => head.check(descriptor),
            (Self::Lz4(head), ImageType::LZ4, _) => head.check(descriptor),
            (Self::ZlibGlz(head), _, Payload::ZlibGlz { glz_data_size, .. }) => head.check(*glz_data_size, descriptor),
            (Self::JpegAlpha(head), _, Payload::JpegAlpha { flags, .. }) => head.check(*flags, descriptor),
            _ => form("ImageHead", self.image_type().0.into(), false, descriptor),
        }
    }

    /// The type of image that has such a head; LZ is in two.
    const fn image_type(&self) -> ImageType {
        match self {
            Self::Quic(_) => ImageType::QUIC,
            Self::Lz(_) => ImageType::LZ_RGB,
            Self::Glz(_) => ImageType::GLZ_RGB,
            Self::ZlibGlz(_) => ImageType::ZLIB_GLZ_RGB,
            Self::Jpeg(_) => ImageType::JPEG,
            Self::JpegAlpha(_) => ImageType::JPEG_ALPHA,
            Self::Lz4(_) => ImageType::LZ4,
        }
    }

    /// Width and height in pixels, if the head says them.
    #[must_use]
    pub fn size(&self) -> Option<(u32, u32)> {
        match self {
            Self::Quic(head) => Some((head.width, head.height)),
            Self::Lz(head) => Some((head.width, head.height)),
            Self::Glz(head) | Self::ZlibGlz(ZlibGlzHead { glz: head, .. }) => Some((head.width, head.height)),
            Self::Jpeg(head) | Self::JpegAlpha(JpegAlphaHead { jpeg: head, .. }) => {
                Some((head.width.into(), head.height.into()))
            }
            Self::Lz4(_) => None,
        }
    }
}
