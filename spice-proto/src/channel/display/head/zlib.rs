//! GLZ inside of zlib.

use alloc::boxed::Box;

use bytes::Bytes;
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use super::packed::{Expected, GlzHead, HeadMismatch};
use crate::channel::display::image::ImageDescriptor;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::Reader;

/// Head of zlib (RFC 1950, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ZlibHead {
    /// The window, as a power of two: 8 to 15.
    pub window_bits: u8,
    /// How hard it was packed: 0 to 3.
    pub level: u8,
}

impl ZlibHead {
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [cmf, flg]: [u8; 2] = r.fixed("zlib")?;
        let invalid = |what| Err(r.error("zlib", 0, DecodeErrorKind::Invalid(what)));
        if cmf & 0x0f != 8 || 7 < cmf >> 4 || u16::from_be_bytes([cmf, flg]) % 31 != 0 {
            return invalid("not a zlib head");
        }
        if flg & 0x20 != 0 {
            return invalid("zlib with a preset dictionary");
        }
        Ok(Self {
            window_bits: (cmf >> 4).saturating_add(8),
            level: flg >> 6,
        })
    }
}

/// Heads of [`ImageType::ZLIB_GLZ_RGB`](crate::ids::ImageType::ZLIB_GLZ_RGB).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ZlibGlzHead {
    /// That of zlib.
    pub zlib: ZlibHead,
    /// That of the GLZ inside.
    pub glz: GlzHead,
}

impl ZlibGlzHead {
    pub(super) fn read(data: &Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data, "ZlibHead");
        let zlib = ZlibHead::read(&mut r)?;
        // There is room for the head only, so nothing behind it is unpacked.
        let mut head = [0; GlzHead::LEN];
        let mut inflate = Box::<DecompressorOxide>::default();
        let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, taken, len) = decompress(&mut inflate, data, &mut head, 0, flags);
        let kind = match status {
            _ if len == head.len() => {
                let glz = GlzHead::read(&mut Reader::borrowed(&head, "GlzHead"))?;
                return Ok(Self { zlib, glz });
            }
            TINFLStatus::Done | TINFLStatus::FailedCannotMakeProgress => DecodeErrorKind::Truncated {
                needed: head.len() as u64,
                left: len,
            },
            _ => DecodeErrorKind::Invalid("zlib that cannot be unpacked"),
        };
        Err(r.error("glz", taken, kind))
    }

    pub(super) fn check(&self, glz_data_size: u32, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        if GlzHead::LEN <= glz_data_size as usize {
            return self.glz.check(image);
        }
        Err(HeadMismatch {
            head: "ZlibGlzRGBData",
            field: "glz_data_size",
            value: glz_data_size.into(),
            expected: Expected::AtLeast(GlzHead::LEN as u64),
        })
    }
}
