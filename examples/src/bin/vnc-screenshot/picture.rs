//! What of the screen has come.

use std::fmt;

use rfb_proto::encoding::{Encoding, Raw, Rectangle};
use rfb_proto::message::FramebufferUpdateRequest;
use rfb_proto::{Limits, PixelFormat};

use crate::Result;

/// Bytes of a pixel in the PNG.
const RGB: usize = 3;

/// The screen so far.
pub(crate) struct Picture {
    size: (u16, u16),
    rgb: Vec<u8>,
    /// Which pixels have come.
    seen: Vec<bool>,
    /// How many have not.
    missing: usize,
}

impl Picture {
    /// Nothing yet. A server can say any size: one that is too large is refused before memory is taken for it.
    ///
    /// # Errors
    /// There is nothing to show, or too much.
    pub(crate) fn new(size: (u16, u16), format: &PixelFormat, limits: &Limits) -> Result<Self> {
        let (width, height) = size;
        if width == 0 || height == 0 {
            return Err(format!("the server's screen is {width}x{height} pixels: there is nothing to show").into());
        }
        let all = Rectangle {
            x: 0,
            y: 0,
            width,
            height,
            encoding: Encoding::RAW,
        };
        Raw::new(&all, format, size, limits)?;
        let pixels = usize::from(width) * usize::from(height);
        Ok(Self {
            size,
            rgb: vec![0; pixels * RGB],
            seen: vec![false; pixels],
            missing: pixels,
        })
    }

    /// Width and height, in pixels.
    pub(crate) fn size(&self) -> (u16, u16) {
        self.size
    }

    /// How many pixels have not come.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    /// Paints pixels of a rectangle of this width, which lies in the picture: those behind the first `skipped`.
    pub(crate) fn paint(
        &mut self,
        place: &Rectangle,
        skipped: usize,
        pixels: &[u8],
        format: &PixelFormat,
    ) -> Result<()> {
        let width = usize::from(place.width);
        for (number, pixel) in pixels.chunks_exact(format.bytes_per_pixel()?.into()).enumerate() {
            let number = skipped + number;
            let x = usize::from(place.x) + number % width;
            let y = usize::from(place.y) + number / width;
            let at = y * usize::from(self.size.0) + x;
            let colour = format.rgb(pixel).ok_or("a pixel that is none")?;
            self.rgb[at * RGB..][..RGB].copy_from_slice(&colour);
            self.missing -= usize::from(!self.seen[at]);
            self.seen[at] = true;
        }
        Ok(())
    }

    /// The least area with everything in it that has not come.
    pub(crate) fn gap(&self) -> Area {
        let width = usize::from(self.size.0);
        let (mut left, mut right, mut top, mut bottom) = (width, 0, usize::MAX, 0);
        for (at, _) in self.seen.iter().enumerate().filter(|(_, seen)| !**seen) {
            let (x, y) = (at % width, at / width);
            (left, right) = (left.min(x), right.max(x + 1));
            (top, bottom) = (top.min(y), bottom.max(y + 1));
        }
        // INVARIANT: a place in a picture, whose sides are 16 bits.
        let short = |side: usize| side as u16;
        let (x, y) = (short(left.min(right)), short(top.min(bottom)));
        Area {
            x,
            y,
            width: short(right) - x,
            height: short(bottom) - y,
        }
    }

    /// What did not come, in words.
    pub(crate) fn shortfall(&self) -> String {
        let (width, height) = self.size;
        let pixels = self.seen.len();
        match self.missing {
            missing if missing == pixels => format!("nothing of the screen of {width}x{height} came"),
            missing => format!(
                "of the screen of {width}x{height}, {missing} of {pixels} pixels did not come: those of {}, or some of them",
                self.gap()
            ),
        }
    }

    pub(crate) fn png(&self) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        let mut encoder = png::Encoder::new(&mut data, self.size.0.into(), self.size.1.into());
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(data)
    }
}

/// A part of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Area {
    x: u16,
    y: u16,
    width: u16,
    height: u16,
}

impl Area {
    /// Asks for it as it is.
    pub(crate) fn request(&self) -> FramebufferUpdateRequest {
        let Self { x, y, width, height } = *self;
        FramebufferUpdateRequest {
            incremental: 0,
            x,
            y,
            width,
            height,
        }
    }
}

/// As X has it: `40x10+0+20`.
impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { x, y, width, height } = self;
        write!(f, "{width}x{height}+{x}+{y}")
    }
}
