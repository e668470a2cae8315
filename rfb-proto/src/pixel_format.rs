//! How a pixel is laid out in bytes (RFC 6143 section 7.4).

use core::ops::Range;

use crate::fields::{codec, layout};
use crate::version::Policy;

layout! {
    /// `PIXEL_FORMAT` (RFC 6143 section 7.4), 16 bytes: the fields as sent, whatever they say.
    ///
    /// Servers are sloppy here, and programs that believed them have divided by a maximum of zero
    /// (CVE-2014-7815, CVE-2015-8504). [`validate`](Self::validate) says whether a format makes sense.
    #[derive(Copy)]
    #[cfg_attr(feature = "serde", derive(serde::Deserialize))]
    pub struct PixelFormat {
        /// Bits that a pixel takes: 8, 16 or 32.
        bits_per_pixel: u8,
        /// Bits of it that count. Some servers say 32 where 24 do.
        depth: u8,
        /// Not 0: the bytes of a pixel are in big endian order.
        big_endian: u8,
        /// Not 0 (1, or 255): a pixel holds three intensities. 0: it is an index into a colour map.
        true_colour: u8,
        /// Largest red value, a power of two less one.
        red_max: u16,
        /// Largest green value.
        green_max: u16,
        /// Largest blue value.
        blue_max: u16,
        /// How many bits red lies above the lowest bit of a pixel.
        red_shift: u8,
        /// How many bits green lies above the lowest bit of a pixel.
        green_shift: u8,
        /// How many bits blue lies above the lowest bit of a pixel.
        blue_shift: u8,
        /// Zero, or what the peer left there. A serialized format can do without.
        #[cfg_attr(feature = "serde", serde(default))]
        padding: [u8; 3],
    }
}

/// Why a format makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PixelFormatError {
    /// Not 8, 16 or 32 bits: it is not known where a pixel ends.
    #[error("{bits} bits per pixel")]
    BitsPerPixel {
        /// What the format says.
        bits: u8,
    },
    /// Depth 0, or more than the bits of a pixel.
    #[error("depth {depth} in {bits} bits per pixel")]
    Depth {
        /// What the format says.
        depth: u8,
        /// Bits of a pixel.
        bits: u8,
    },
    /// A maximum that is not a power of two less one, or 0.
    #[error("maximum {max} of {channel}")]
    Maximum {
        /// The channel: red, green or blue.
        channel: &'static str,
        /// What the format says.
        max: u16,
    },
    /// A channel that lies outside of the pixel, or over another one.
    #[error("shift {shift} of {channel}")]
    Shift {
        /// The channel: red, green or blue.
        channel: &'static str,
        /// What the format says.
        shift: u8,
    },
}

impl PixelFormat {
    /// 32 bits, little endian, red in bits 16 to 23, green in 8 to 15, blue in 0 to 7: what most servers
    /// have themselves.
    pub const RGB888: Self = Self {
        bits_per_pixel: 32,
        depth: 24,
        big_endian: 0,
        true_colour: 1,
        red_max: 255,
        green_max: 255,
        blue_max: 255,
        red_shift: 16,
        green_shift: 8,
        blue_shift: 0,
        padding: [0; 3],
    };

    /// Bytes of a pixel: 1, 2 or 4.
    ///
    /// # Errors
    /// [`PixelFormatError::BitsPerPixel`].
    pub const fn bytes_per_pixel(&self) -> Result<u8, PixelFormatError> {
        match self.bits_per_pixel {
            8 => Ok(1),
            16 => Ok(2),
            32 => Ok(4),
            bits => Err(PixelFormatError::BitsPerPixel { bits }),
        }
    }

    /// Whether pixels are intensities, not indexes into a colour map.
    #[must_use]
    pub const fn is_true_colour(&self) -> bool {
        self.true_colour != 0
    }

    /// Whether the format makes sense. Nothing is to be decoded with one that does not.
    ///
    /// [`Lenient`](Policy::Lenient) takes what deployed servers send: a depth of 32 for colours of 24 bits, any
    /// maxima beside a colour map. [`Strict`](Policy::Strict) takes what TigerVNC does: also no channel above
    /// 8 bits, channels that do not overlap and fit into the depth, and a depth of 8 for a colour map.
    ///
    /// # Errors
    /// The first field that does not.
    pub fn validate(&self, policy: Policy) -> Result<(), PixelFormatError> {
        self.bytes_per_pixel()?;
        let (bits, depth) = (self.bits_per_pixel, self.depth);
        let strict = policy == Policy::Strict;
        if depth == 0 || bits < depth || (strict && !self.is_true_colour() && depth != 8) {
            return Err(PixelFormatError::Depth { depth, bits });
        }
        if !self.is_true_colour() {
            return Ok(());
        }
        let (mut used, mut sum) = (0_u32, 0_u32);
        for (channel, max, shift) in self.channels() {
            let width = u16::BITS.saturating_sub(max.leading_zeros());
            if max == 0 || max & max.wrapping_add(1) != 0 || (strict && 255 < max) {
                return Err(PixelFormatError::Maximum { channel, max });
            }
            if u32::from(bits) < width.saturating_add(shift.into()) {
                return Err(PixelFormatError::Shift { channel, shift });
            }
            let mask = u32::from(max).checked_shl(shift.into()).unwrap_or(0);
            if strict && used & mask != 0 {
                return Err(PixelFormatError::Shift { channel, shift });
            }
            used |= mask;
            sum = sum.saturating_add(width);
        }
        if strict && u32::from(depth) < sum {
            return Err(PixelFormatError::Depth { depth, bits });
        }
        Ok(())
    }

    /// Red, green and blue of one pixel, from 0 to 255 each. `None`: the format does not
    /// [validate](Self::validate) or has a colour map, or these are not the bytes of one pixel.
    #[must_use]
    pub fn rgb(&self, pixel: &[u8]) -> Option<[u8; 3]> {
        let bytes = self.bytes_per_pixel().ok()?;
        if !self.is_true_colour() || pixel.len() != usize::from(bytes) {
            return None;
        }
        let join = |value: u32, byte: &u8| value << 8 | u32::from(*byte);
        let value = match self.big_endian {
            0 => pixel.iter().rev().fold(0, join),
            _ => pixel.iter().fold(0, join),
        };
        let [red, green, blue] = self.channels().map(|(_, max, shift)| {
            let max = u32::from(max);
            let intensity = value.checked_shr(shift.into())? & max;
            // INVARIANT: intensity <= max, so the quotient is at most 255.
            let scaled = intensity.checked_mul(255)?.checked_div(max)?;
            u8::try_from(scaled).ok()
        });
        Some([red?, green?, blue?])
    }

    /// Whether all three intensities lie in these bits of a pixel.
    pub(crate) fn channels_fit(&self, bits: Range<u32>) -> bool {
        self.channels().into_iter().all(|(_, max, shift)| {
            let width = u16::BITS.saturating_sub(max.leading_zeros());
            bits.start <= shift.into() && width.saturating_add(shift.into()) <= bits.end
        })
    }

    /// Name, maximum and shift.
    const fn channels(&self) -> [(&'static str, u16, u8); 3] {
        [
            ("red", self.red_max, self.red_shift),
            ("green", self.green_max, self.green_shift),
            ("blue", self.blue_max, self.blue_shift),
        ]
    }
}
