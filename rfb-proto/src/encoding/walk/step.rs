//! One step of a walk: what it needs, what it finds, and where it is in each encoding.

use crate::encoding::Encoding;
use crate::error::DecodeErrorKind;
use crate::limits::Limits;
use crate::pixel_format::PixelFormat;
use crate::pixel_rules::PixelRules;

/// Bytes that a format gives to what payloads are made of; all 0 if a pixel has no known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PixelSizes {
    /// A pixel.
    pub(crate) pixel: u32,
    /// A pixel of TRLE.
    pub(crate) cpixel: u32,
    /// A pixel of Tight.
    pub(crate) tpixel: u32,
}

impl PixelSizes {
    /// Of a cursor with transparency, whatever the session has.
    pub(super) const ALPHA: Self = Self {
        pixel: 4,
        cpixel: 4,
        tpixel: 4,
    };

    /// Sizes that none has.
    pub(crate) const ANY: Self = Self {
        pixel: 5,
        cpixel: 6,
        tpixel: 7,
    };

    /// The one that the end of a payload in this encoding depends on; 0 if it depends on none.
    pub(crate) fn of_encoding(&self, encoding: Encoding) -> u32 {
        match encoding {
            Encoding::RAW
            | Encoding::RRE
            | Encoding::CORRE
            | Encoding::HEXTILE
            | Encoding::ZLIB_HEX
            | Encoding::ZSTD_HEX
            | Encoding::CURSOR
            | Encoding::VMWARE_CURSOR => self.pixel,
            Encoding::TRLE => self.cpixel,
            Encoding::TIGHT | Encoding::TIGHT_ZSTD | Encoding::TIGHT_PNG => self.tpixel,
            _ => 0,
        }
    }

    pub(crate) fn of(format: &PixelFormat, rules: PixelRules) -> Self {
        let pixel = format.bytes_per_pixel().map_or(0, u32::from);
        let (mut cpixel, mut tpixel) = (pixel, pixel);
        if pixel == 4 && format.is_true_colour() {
            if format.depth <= 24 && (format.channels_fit(0..24) || format.channels_fit(8..32)) {
                cpixel = 3;
            }
            if rules.packs(format) {
                tpixel = 3;
            }
        }
        Self { pixel, cpixel, tpixel }
    }
}

/// What a walk has to know beside the rectangle.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) sizes: PixelSizes,
    /// [`Limits::rectangle`] and [`Limits::name`].
    pub(crate) limit: u32,
    pub(crate) name: u32,
    /// Tight without zlib was agreed on.
    pub(crate) without_zlib: bool,
    /// Rectangles of Tight are at most 2048 pixels wide.
    pub(crate) strict: bool,
}

impl Context {
    pub(crate) fn new(format: &PixelFormat, rules: PixelRules, limits: &Limits) -> Self {
        Self {
            sizes: PixelSizes::of(format, rules),
            limit: limits.rectangle,
            name: limits.name,
            without_zlib: false,
            strict: false,
        }
    }
}

/// What is wrong in a payload: with which field, and how far behind the first byte that was given.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) field: &'static str,
    pub(crate) at: usize,
    pub(crate) kind: DecodeErrorKind,
}

impl Fault {
    #[cold]
    pub(super) fn invalid(field: &'static str, at: usize, what: &'static str) -> Self {
        let kind = DecodeErrorKind::Invalid(what);
        Self { field, at, kind }
    }

    #[cold]
    pub(super) fn unknown(field: &'static str, at: usize, value: u8) -> Self {
        let value = value.into();
        let kind = DecodeErrorKind::Unknown { value };
        Self { field, at, kind }
    }

    #[cold]
    pub(crate) fn too_large(field: &'static str, at: usize, value: u64, limit: u32) -> Self {
        let limit = limit.into();
        let kind = DecodeErrorKind::TooLarge { value, limit };
        Self { field, at, kind }
    }
}

/// What more a walk needs: at least so many bytes, the first of them of this field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    pub(crate) bytes: u64,
    pub(crate) field: &'static str,
}

/// How far a walk came.
#[derive(Debug)]
pub(crate) enum Progress {
    /// To the end, which lies so many bytes behind.
    Ended(usize),
    /// So many bytes were taken, and more are needed.
    Taken(usize, Need),
}

/// What control bytes say.
pub(super) enum Step {
    /// There are not all of them.
    Need(Need),
    /// So many control bytes, then so many opaque ones.
    Skip {
        control: usize,
        opaque: u64,
        field: &'static str,
        next: Next,
    },
}

impl Step {
    pub(super) fn need(bytes: usize, field: &'static str) -> Self {
        let bytes = bytes as u64;
        Self::Need(Need { bytes, field })
    }
}

/// What lies behind opaque bytes.
#[derive(Debug, Clone)]
pub(super) enum Next {
    /// The next rectangle.
    End,
    Count(Count),
    Hextile(Hextile),
    Trle(Trle),
    Tight(Tight),
    Jpeg(Jpeg),
    /// The inner encoding of a cursor.
    Inner,
}

/// A count, and what of bytes it stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Count {
    /// `u32`: this many bytes, and this many for each.
    Words { fixed: u32, each: u32, field: &'static str },
    /// A text with its limit.
    Name,
    /// `u8`: screens.
    Screens,
    /// `u8`: the kind of a cursor.
    VmwareCursor,
    /// `u32`: the host; then the subject.
    Host,
}

/// What comes next in JPEG.
#[derive(Debug, Clone, Copy)]
pub(super) enum Jpeg {
    /// The marker that it begins with.
    Start,
    /// Any marker.
    Marker,
    /// Entropy data.
    Entropy,
}

/// What comes next in Tight.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tight {
    /// The control byte, with what belongs to it.
    Control,
    /// The same in TightPNG.
    PngControl,
    /// A compact length.
    Length,
}

/// Where the next tile lies. Those at the right and lower edge may be smaller.
#[derive(Debug, Clone)]
pub(super) struct Tiles {
    pub(super) width: u32,
    /// Pixels to the right of the tile's left edge, and below its upper one.
    pub(super) right: u32,
    pub(super) below: u32,
}

/// Hextile, and ZlibHex, which is the same with tiles that can be deflated.
///
/// ```text
/// u8 mask | 1: pixels, and nothing else | 2: pixel | 4: pixel | 8: u8 n, n * (pixel if 16, u16)
///         | ZlibHex, 32 or 64: u16 n, n bytes, and nothing else
/// ```
#[derive(Debug, Clone)]
pub(super) struct Hextile {
    pub(super) tiles: Tiles,
    pub(super) deflated: bool,
}

/// TRLE.
///
/// ```text
/// u8 kind | 0: pixels | 1: pixel | 2..=16: so many pixels, packed indexes | 127: packed indexes, the palette before
///         | 128: runs of (pixel, length) | 129: runs of indexes, the palette before | 130..: kind - 128 pixels, runs of
///         | indexes                                                                    pixel: 3 bytes where that suffices
/// ```
///
/// Lengths count pixels, so runs tell where a tile ends.
#[derive(Debug, Clone)]
pub(super) struct Trle {
    pub(super) tiles: Tiles,
    /// Colours of the last palette; 0 before there is one.
    pub(super) palette: u8,
    /// Pixels of the tile that runs have still to cover. 0 between tiles.
    pub(super) left: u32,
    /// Runs are of indexes.
    pub(super) indexed: bool,
}
