//! The picture, and its pixels in whatever form a viewer wants them.

use std::path::Path;

use bytes::BytesMut;
use rfb_proto::PixelFormat;
use rfb_proto::encoding::Rectangle;

use crate::Result;

/// Bytes of a pixel in memory.
const RGB: usize = 3;

/// What is shown.
pub(crate) struct Picture {
    /// Width and height, in pixels.
    pub(crate) size: (u16, u16),
    pub(crate) rgb: Vec<u8>,
}

impl Picture {
    /// From a PNG with eight bits a colour. Transparency is not looked at.
    pub(crate) fn load(path: &Path) -> Result<Self> {
        let examples::picture::Picture { width, height, rgb } = examples::picture::Picture::load(path)?;
        let size = (u16::try_from(width)?, u16::try_from(height)?);
        Ok(Self { size, rgb })
    }

    /// The pixels of an area of the picture, appended in this format.
    pub(crate) fn put(&self, area: &Rectangle, format: &PixelFormat, out: &mut BytesMut) -> Result<()> {
        let width = usize::from(self.size.0);
        for y in area.y..area.y + area.height {
            let start = (usize::from(y) * width + usize::from(area.x)) * RGB;
            let row = &self.rgb[start..start + usize::from(area.width) * RGB];
            for colour in row.chunks_exact(RGB) {
                put_pixel(format, colour, out)?;
            }
        }
        Ok(())
    }
}

/// One pixel: each colour scaled to its maximum and shifted to its place, in the byte order of the format.
fn put_pixel(format: &PixelFormat, colour: &[u8], out: &mut BytesMut) -> Result<()> {
    let maxima = [format.red_max, format.green_max, format.blue_max];
    let shifts = [format.red_shift, format.green_shift, format.blue_shift];
    let mut value = 0;
    for ((colour, max), shift) in colour.iter().zip(maxima).zip(shifts) {
        let scaled = (u32::from(*colour) * u32::from(max) + 127) / 255;
        value |= scaled.checked_shl(shift.into()).ok_or("a shift beyond the pixel")?;
    }
    let length = usize::from(format.bytes_per_pixel()?);
    if format.big_endian == 0 {
        out.extend_from_slice(&value.to_le_bytes()[..length]);
    } else {
        out.extend_from_slice(&value.to_be_bytes()[4 - length..]);
    }
    Ok(())
}
