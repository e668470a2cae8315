//! VMware's shape of the pointer.

use bytes::{Bytes, BytesMut};

use super::parts::{area, bytes_per_pixel, fixed};
use crate::encoding::Rectangle;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::Reader;
use crate::ids::ids;
use crate::pixel_format::PixelFormat;

/// The shape of the pointer (VMware).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct VmwareCursor {
    /// Zero, or what the server left there.
    pub padding: u8,
    /// The shape.
    pub shape: VmwareCursorShape,
}

/// The two kinds of shapes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum VmwareCursorShape {
    /// What is there, and with the first, then exclusive or with the second.
    Classic {
        /// Pixels in the format in force.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        and_mask: Bytes,
        /// Pixels in the format in force.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        xor_mask: Bytes,
    },
    /// Pixels with transparency, four bytes each.
    Alpha {
        /// The pixels.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        pixels: Bytes,
    },
}

ids! {
    /// How the shape of a [`VmwareCursor`] is given.
    pub struct VmwareCursorKind(u8) {
        /// Two masks.
        CLASSIC = 0, "classic";
        /// Pixels with transparency.
        ALPHA = 1, "alpha";
    }
}

impl VmwareCursor {
    pub(super) fn read(r: &mut Reader<'_>, rectangle: &Rectangle, format: &PixelFormat) -> Result<Self, DecodeError> {
        let kind = fixed(r, "kind")?;
        let padding = fixed(r, "padding")?;
        let shape = match kind {
            VmwareCursorKind::CLASSIC => {
                let bytes = bytes_per_pixel(r, format, "and_mask")?;
                VmwareCursorShape::Classic {
                    and_mask: area(r, rectangle, bytes, "and_mask")?,
                    xor_mask: area(r, rectangle, bytes, "xor_mask")?,
                }
            }
            VmwareCursorKind::ALPHA => VmwareCursorShape::Alpha {
                pixels: area(r, rectangle, 4, "pixels")?,
            },
            other => return Err(r.error("kind", 0, DecodeErrorKind::Unknown { value: other.0.into() })),
        };
        Ok(Self { padding, shape })
    }

    pub(super) fn put(&self, dst: &mut BytesMut) {
        match &self.shape {
            VmwareCursorShape::Classic { and_mask, xor_mask } => {
                dst.extend_from_slice(&[VmwareCursorKind::CLASSIC.0, self.padding]);
                dst.extend_from_slice(and_mask);
                dst.extend_from_slice(xor_mask);
            }
            VmwareCursorShape::Alpha { pixels } => {
                dst.extend_from_slice(&[VmwareCursorKind::ALPHA.0, self.padding]);
                dst.extend_from_slice(pixels);
            }
        }
    }
}
