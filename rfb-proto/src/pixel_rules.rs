//! How servers read a pixel format.

use crate::pixel_format::PixelFormat;

/// How a server reads a pixel format, where servers differ. Nothing on the wire says it.
///
/// The size of a TPIXEL, of which Tight's colours, palettes and short rectangles are made, at 32 bits a pixel:
///
/// | format | [`Specification`](Self::Specification) | [`Qemu`](Self::Qemu) |
/// |---|---|---|
/// | depth 24, maxima 255 | 3 bytes | 3 bytes |
/// | any other depth, maxima 255 | 4 bytes | 3 bytes |
/// | maxima 1023, or 0 | 4 bytes | 3 bytes |
/// | indexes into a colour map | 4 bytes | the whole format is read as one of 8 bits |
///
/// Recorded from QEMU 7.2 on one side, from libvncserver 0.9.14 (x11vnc) and TigerVNC 1.12 on the other. Viewers of
/// UltraVNC set depth 32; they read TPIXELs as the specification has it, so with QEMU they need another encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PixelRules {
    /// As the community specification: TigerVNC, libvncserver, UltraVNC and others.
    #[default]
    Specification,
    /// As QEMU: of the maxima the low bytes count, 0 is 255, the depth does not matter, and there are no colour maps
    /// of more than 8 bits.
    Qemu,
}

impl PixelRules {
    /// The rules of a server, by the name of the desktop in its [`ServerInit`](crate::ServerInit): QEMU's is `QEMU`, or
    /// `QEMU (name of the guest)`.
    ///
    /// ```
    /// use rfb_proto::PixelRules;
    /// assert_eq!(PixelRules::recognised(b"QEMU (web-1)"), PixelRules::Qemu);
    /// assert_eq!(PixelRules::recognised(b"web-1:0"), PixelRules::Specification);
    /// ```
    #[must_use]
    pub fn recognised(desktop_name: &[u8]) -> Self {
        match desktop_name {
            b"QEMU" => Self::Qemu,
            name if name.starts_with(b"QEMU (") => Self::Qemu,
            _ => Self::Specification,
        }
    }

    /// The format that the server takes this one for.
    pub(crate) fn understood(self, format: PixelFormat) -> PixelFormat {
        if self == Self::Specification || format.is_true_colour() {
            return format;
        }
        PixelFormat {
            bits_per_pixel: 8,
            depth: 8,
            red_max: 7,
            green_max: 7,
            blue_max: 3,
            red_shift: 0,
            green_shift: 3,
            blue_shift: 6,
            ..format
        }
    }

    /// Whether a pixel of 32 bits is packed into 3 bytes in Tight.
    pub(crate) fn packs(self, format: &PixelFormat) -> bool {
        let maxima = [format.red_max, format.green_max, format.blue_max];
        match self {
            Self::Specification => format.depth == 24 && maxima == [255; 3],
            Self::Qemu => maxima.iter().all(|max| *max == 0 || max & 0xff == 0xff),
        }
    }
}
