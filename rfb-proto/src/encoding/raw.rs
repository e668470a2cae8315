//! Raw: pixels, row by row (RFC 6143 section 7.7.1).

use bytes::{Bytes, BytesMut};

use super::Rectangle;
use crate::limits::Limits;
use crate::pixel_format::{PixelFormat, PixelFormatError};

/// Why the pixels of a rectangle are not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RectangleError {
    /// It does not lie in the framebuffer.
    #[error("rectangle {}x{} at {},{} lies outside of the framebuffer of {width}x{height}",
        rectangle.width, rectangle.height, rectangle.x, rectangle.y)]
    Outside {
        /// The rectangle.
        rectangle: Rectangle,
        /// Width of the framebuffer.
        width: u16,
        /// Height of the framebuffer.
        height: u16,
    },
    /// It has more bytes than [`Limits::rectangle`].
    #[error("rectangle of {bytes} bytes is above the limit of {limit}")]
    TooLarge {
        /// Bytes of its pixels.
        bytes: u64,
        /// The largest number accepted.
        limit: u32,
    },
    /// It is not known how many bytes a pixel has.
    #[error(transparent)]
    PixelFormat(#[from] PixelFormatError),
}

/// The pixels of one rectangle, as they come in. Nothing is held here.
///
/// ```
/// use bytes::BytesMut;
/// use rfb_proto::encoding::{Encoding, Raw, Rectangle};
/// use rfb_proto::{Limits, PixelFormat};
///
/// let rectangle = Rectangle { x: 0, y: 0, width: 2, height: 1, encoding: Encoding::RAW };
/// let mut raw = Raw::new(&rectangle, &PixelFormat::RGB888, (640, 480), &Limits::default())?;
/// let mut rx = BytesMut::from(&b"\x03\x02\x01\x00\x06"[..]);
/// assert_eq!(raw.take(&mut rx), b"\x03\x02\x01\x00\x06"[..]);
/// assert_eq!(raw.left(), 3);
/// # Ok::<(), rfb_proto::encoding::RectangleError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    left: u64,
}

impl Raw {
    /// The payload of `rectangle` in the format in force, for a framebuffer of this width and height.
    ///
    /// # Errors
    /// The rectangle lies outside of the framebuffer, is above the limit, or the format has no size.
    pub fn new(
        rectangle: &Rectangle,
        format: &PixelFormat,
        framebuffer: (u16, u16),
        limits: &Limits,
    ) -> Result<Self, RectangleError> {
        let (width, height) = framebuffer;
        let fits = |start: u16, len: u16, end: u16| start.checked_add(len).is_some_and(|reached| reached <= end);
        if !fits(rectangle.x, rectangle.width, width) || !fits(rectangle.y, rectangle.height, height) {
            let rectangle = *rectangle;
            return Err(RectangleError::Outside {
                rectangle,
                width,
                height,
            });
        }
        // At most 2^16 * 2^16 * 4: this does not saturate.
        let bytes = u64::from(rectangle.width)
            .saturating_mul(rectangle.height.into())
            .saturating_mul(format.bytes_per_pixel()?.into());
        let limit = limits.rectangle;
        if u64::from(limit) < bytes {
            return Err(RectangleError::TooLarge { bytes, limit });
        }
        Ok(Self { left: bytes })
    }

    /// Bytes that are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Takes what of the payload is there. A pixel may be cut between two calls. What is behind the payload
    /// stays.
    pub fn take(&mut self, rx: &mut BytesMut) -> Bytes {
        let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(rx.len());
        self.left = self.left.saturating_sub(here as u64);
        rx.split_to(here).freeze()
    }
}
