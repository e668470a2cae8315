//! Parts that several rectangles have: areas of pixels and masks.

use bytes::Bytes;

use crate::encoding::Rectangle;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::{Fixed, Reader};
use crate::pixel_format::PixelFormat;

/// A value of one size.
pub(super) fn fixed<T: Fixed>(r: &mut Reader<'_>, field: &'static str) -> Result<T, DecodeError> {
    let size = u32::try_from(T::SIZE).unwrap_or(u32::MAX);
    Ok(T::get(&mut r.bytes(size, field)?))
}

/// So many bytes for each pixel of a rectangle, held against the limit.
pub(super) fn area(
    r: &mut Reader<'_>,
    rectangle: &Rectangle,
    bytes: u8,
    field: &'static str,
) -> Result<Bytes, DecodeError> {
    // At most 2^16 * 2^16 * 4: this does not saturate.
    let size = u64::from(rectangle.width)
        .saturating_mul(rectangle.height.into())
        .saturating_mul(bytes.into());
    take(r, size, field)
}

/// A bit for each pixel of a rectangle; every row begins with a byte.
pub(super) fn mask(r: &mut Reader<'_>, rectangle: &Rectangle, field: &'static str) -> Result<Bytes, DecodeError> {
    let row = u64::from(rectangle.width.div_ceil(8));
    take(r, row.saturating_mul(rectangle.height.into()), field)
}

fn take(r: &mut Reader<'_>, size: u64, field: &'static str) -> Result<Bytes, DecodeError> {
    let limit = r.limits().rectangle;
    match u32::try_from(size).ok().filter(|size| *size <= limit) {
        Some(size) => r.blob(size, field),
        None => {
            let (value, limit) = (size, limit.into());
            Err(r.error(field, r.at(), DecodeErrorKind::TooLarge { value, limit }))
        }
    }
}

/// Bytes of a pixel in the format in force.
pub(super) fn bytes_per_pixel(r: &Reader<'_>, format: &PixelFormat, field: &'static str) -> Result<u8, DecodeError> {
    let invalid = |_| {
        r.error(
            field,
            r.at(),
            DecodeErrorKind::Invalid("a pixel format of 8, 16 or 32 bits expected"),
        )
    };
    format.bytes_per_pixel().map_err(invalid)
}
