//! The shapes of the pointer.

use bytes::{Bytes, BytesMut};

use super::parts::{area, bytes_per_pixel, fixed, mask};
use crate::encoding::{Encoding, Rectangle};
use crate::error::DecodeError;
use crate::fields::Reader;
use crate::pixel_format::PixelFormat;

/// The shape of the pointer (RFC 6143 section 7.8.1). An empty rectangle hides it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Cursor {
    /// Pixels, row by row, in the format in force.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub pixels: Bytes,
    /// A bit for each pixel that is seen, the highest first; every row begins with a byte.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub mask: Bytes,
}

impl Cursor {
    pub(super) fn read(r: &mut Reader<'_>, rectangle: &Rectangle, format: &PixelFormat) -> Result<Self, DecodeError> {
        let bytes = bytes_per_pixel(r, format, "pixels")?;
        Ok(Self {
            pixels: area(r, rectangle, bytes, "pixels")?,
            mask: mask(r, rectangle, "mask")?,
        })
    }

    pub(super) fn put(&self, dst: &mut BytesMut) {
        dst.extend_from_slice(&self.pixels);
        dst.extend_from_slice(&self.mask);
    }
}

/// The shape of the pointer in two colours (community specification, `XCursor`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum XCursor {
    /// The rectangle is empty: the pointer is hidden. There is no payload.
    Hidden,
    /// A shape.
    Shape {
        /// Red, green and blue where the bitmap has a bit.
        foreground: [u8; 3],
        /// Red, green and blue where it has none.
        background: [u8; 3],
        /// A bit for each pixel, the highest first; every row begins with a byte.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        bitmap: Bytes,
        /// The same for those that are seen.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        mask: Bytes,
    },
}

impl XCursor {
    pub(super) fn read(r: &mut Reader<'_>, rectangle: &Rectangle) -> Result<Self, DecodeError> {
        if rectangle.width == 0 || rectangle.height == 0 {
            return Ok(Self::Hidden);
        }
        Ok(Self::Shape {
            foreground: fixed(r, "foreground")?,
            background: fixed(r, "background")?,
            bitmap: mask(r, rectangle, "bitmap")?,
            mask: mask(r, rectangle, "mask")?,
        })
    }

    pub(super) fn put(&self, dst: &mut BytesMut) {
        if let Self::Shape {
            foreground,
            background,
            bitmap,
            mask,
        } = self
        {
            dst.extend_from_slice(foreground);
            dst.extend_from_slice(background);
            dst.extend_from_slice(bitmap);
            dst.extend_from_slice(mask);
        }
    }
}

/// The shape of the pointer in any encoding, with transparency (community specification, `Cursor With Alpha`).
///
/// Pixels are red, green, blue and alpha, a byte each, premultiplied, whatever the format in force is. The encoding
/// shares its zlib streams with the pictures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CursorWithAlpha {
    /// The encoding of the data.
    pub encoding: Encoding,
    /// The pixels in it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

impl CursorWithAlpha {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let encoding = fixed(r, "encoding")?;
        let length = u32::try_from(r.left().len()).unwrap_or(u32::MAX);
        let data = r.blob(length, "data")?;
        Ok(Self { encoding, data })
    }

    pub(super) fn put(&self, dst: &mut BytesMut) {
        dst.extend_from_slice(&self.encoding.0.to_be_bytes());
        dst.extend_from_slice(&self.data);
    }
}
