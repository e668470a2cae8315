//! The heads of each form.

use bytes::Bytes;

use crate::channel::display::image::ImageDescriptor;
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::{Decode, Reader, layout};
use crate::ids::{BitmapFormat, ImageType, JpegAlphaFlags, LzImageType, QuicImageType};

const LZ_MAGIC: [u8; 4] = *b"  ZL";
const LZ_VERSION: [u8; 4] = [0, 1, 0, 1];
const QUIC_MAGIC: [u8; 4] = *b"QUIC";
const QUIC_VERSION: [u8; 4] = [0; 4];

layout! {
    /// Numbers are big-endian.
    struct LzWire {
        magic: [u8; 4],
        version: [u8; 4],
        r#type: [u8; 4],
        width: [u8; 4],
        height: [u8; 4],
        stride: [u8; 4],
        top_down: [u8; 4],
    }
}

layout! {
    /// Numbers are big-endian.
    struct GlzWire {
        magic: [u8; 4],
        version: [u8; 4],
        type_and_top_down: u8,
        width: [u8; 4],
        height: [u8; 4],
        stride: [u8; 4],
        id: [u8; 8],
        win_head_dist: [u8; 4],
    }
}

layout! {
    struct QuicWire {
        magic: [u8; 4],
        version: [u8; 4],
        r#type: QuicImageType,
        width: u32,
        height: u32,
    }
}

layout! {
    struct Lz4Wire {
        top_down: u8,
        format: BitmapFormat,
    }
}

layout! {
    /// Numbers are big-endian.
    struct JpegFrameWire {
        length: [u8; 2],
        precision: u8,
        height: [u8; 2],
        width: [u8; 2],
        components: u8,
    }
}

/// Head of LZ ([`ImageType::LZ_RGB`], [`ImageType::LZ_PLT`], the alpha plane of [`ImageType::JPEG_ALPHA`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LzHead {
    /// Form of a pixel.
    pub r#type: LzImageType,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes of a row before it was packed.
    pub stride: u32,
    /// Not 0: the first row is the upper one.
    pub top_down: u32,
}

/// Head of GLZ ([`ImageType::GLZ_RGB`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct GlzHead {
    /// Form of a pixel.
    pub r#type: LzImageType,
    /// Not 0: the first row is the upper one.
    pub top_down: u8,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bytes of a row before it was packed.
    pub stride: u32,
    /// Number of this picture in the dictionary that all pictures share.
    pub id: u64,
    /// How many pictures back the dictionary reaches.
    pub win_head_dist: u32,
}

impl GlzHead {
    /// Bytes of this head: 33.
    pub const LEN: usize = GlzWire::BLOCK;

    /// The oldest picture that this one, or one behind it, may refer to; older ones can be forgotten.
    #[must_use]
    pub const fn oldest(&self) -> u64 {
        self.id.saturating_sub(self.win_head_dist as u64)
    }
}

/// Head of QUIC ([`ImageType::QUIC`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct QuicHead {
    /// Form of a pixel.
    pub r#type: QuicImageType,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
}

/// Head of LZ4 ([`ImageType::LZ4`]). It says nothing of width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Lz4Head {
    /// Not 0: the first row is the upper one.
    pub top_down: u8,
    /// Form of a pixel.
    pub format: BitmapFormat,
    /// Blocks that follow.
    pub blocks: usize,
}

/// The frame header of a JPEG ([`ImageType::JPEG`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct JpegHead {
    /// Marker of the frame header: `0xc0` baseline, `0xc2` progressive.
    pub marker: u8,
    /// Bits of a sample.
    pub precision: u8,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
    /// Components of a pixel: 1 grey, 3 colours.
    pub components: u8,
}

/// Heads of [`ImageType::JPEG_ALPHA`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct JpegAlphaHead {
    /// The colours.
    pub jpeg: JpegHead,
    /// The alpha plane.
    pub alpha: LzHead,
}

/// A head that does not go with its image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{head}.{field} is {value}, expected {expected}")]
pub struct HeadMismatch {
    /// The head, by its Rust name.
    pub head: &'static str,
    /// The field in it.
    pub field: &'static str,
    /// What it says.
    pub value: u64,
    /// What it should say.
    pub expected: Expected,
}

/// What a field of a head should say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Expected {
    /// This value.
    #[error("{0}")]
    Exactly(u64),
    /// No less than this.
    #[error("at least {0}")]
    AtLeast(u64),
    /// A form that goes with an image of this type.
    #[error("a form of {0}")]
    FormOf(ImageType),
}

/// An error if a field that has one right value has another.
fn constant(
    r: &Reader<'_>,
    at: usize,
    field: (&'static str, usize),
    values: ([u8; 4], [u8; 4]),
    what: &'static str,
) -> Result<(), DecodeError> {
    let ((name, offset), (value, right)) = (field, values);
    if value == right {
        return Ok(());
    }
    Err(r.error(name, at.saturating_add(offset), DecodeErrorKind::Invalid(what)))
}

impl LzHead {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let at = r.position();
        let buffers = LzWire::read(r)?;
        constant(r, at, ("magic", 0), (buffers.magic, LZ_MAGIC), "not LZ")?;
        constant(
            r,
            at,
            ("version", 4),
            (buffers.version, LZ_VERSION),
            "not LZ version 1.1",
        )?;
        Ok(Self {
            r#type: LzImageType(u32::from_be_bytes(buffers.r#type)),
            width: u32::from_be_bytes(buffers.width),
            height: u32::from_be_bytes(buffers.height),
            stride: u32::from_be_bytes(buffers.stride),
            top_down: u32::from_be_bytes(buffers.top_down),
        })
    }

    pub(super) fn check(&self, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        size("LzHead", (self.width, self.height), (image.width, image.height))?;
        let fits = match image.r#type {
            ImageType::LZ_PLT => self.r#type.has_palette(),
            ImageType::JPEG_ALPHA => self.r#type == LzImageType::XXXA,
            _ => self.r#type.is_direct(),
        };
        form("LzHead", self.r#type.0, fits, image)?;
        stride("LzHead", self.r#type, self.stride, image.width)
    }
}

impl GlzHead {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let buffers = GlzWire::read(r)?;
        constant(r, 0, ("magic", 0), (buffers.magic, LZ_MAGIC), "not LZ")?;
        constant(
            r,
            0,
            ("version", 4),
            (buffers.version, LZ_VERSION),
            "not LZ version 1.1",
        )?;
        Ok(Self {
            r#type: LzImageType(u32::from(buffers.type_and_top_down & 0x0f)),
            top_down: buffers.type_and_top_down >> 4,
            width: u32::from_be_bytes(buffers.width),
            height: u32::from_be_bytes(buffers.height),
            stride: u32::from_be_bytes(buffers.stride),
            id: u64::from_be_bytes(buffers.id),
            win_head_dist: u32::from_be_bytes(buffers.win_head_dist),
        })
    }

    pub(super) fn check(&self, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        size("GlzHead", (self.width, self.height), (image.width, image.height))?;
        form("GlzHead", self.r#type.0, self.r#type.is_direct(), image)?;
        stride("GlzHead", self.r#type, self.stride, image.width)
    }
}

impl QuicHead {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let buffers = QuicWire::read(r)?;
        constant(r, 0, ("magic", 0), (buffers.magic, QUIC_MAGIC), "not QUIC")?;
        constant(
            r,
            0,
            ("version", 4),
            (buffers.version, QUIC_VERSION),
            "not QUIC version 0",
        )?;
        let QuicWire {
            r#type, width, height, ..
        } = buffers;
        Ok(Self { r#type, width, height })
    }

    pub(super) fn check(&self, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        size("QuicHead", (self.width, self.height), (image.width, image.height))?;
        let known = self.r#type != QuicImageType::INVALID && self.r#type.name().is_some();
        form("QuicHead", self.r#type.0, known, image)
    }
}

impl Lz4Head {
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let Lz4Wire { top_down, format } = Lz4Wire::read(r)?;
        let mut blocks: usize = 0;
        while !r.left().is_empty() {
            let at = r.position();
            let size = u32::from_be_bytes(r.fixed("block_size")?);
            if size == 0 {
                return Err(r.error("block_size", at, DecodeErrorKind::Invalid("a block without bytes")));
            }
            r.blob(size, "block")?;
            blocks = blocks.saturating_add(1);
        }
        Ok(Self {
            top_down,
            format,
            blocks,
        })
    }

    pub(super) fn check(&self, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        let known = [
            BitmapFormat::BITS_16,
            BitmapFormat::BITS_24,
            BitmapFormat::BITS_32,
            BitmapFormat::RGBA,
        ];
        form("Lz4Head", self.format.0.into(), known.contains(&self.format), image)
    }
}

impl JpegHead {
    /// Walks over segments to the first frame header. Every step takes bytes, so that is linear.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let invalid = |r: &Reader<'_>, at, what| r.error("marker", at, DecodeErrorKind::Invalid(what));
        if r.fixed::<[u8; 2]>("marker")? != [0xff, 0xd8] {
            return Err(invalid(r, 0, "not a JPEG"));
        }
        loop {
            let at = r.position();
            if r.fixed::<u8>("marker")? != 0xff {
                return Err(invalid(r, at, "no marker where a segment should begin"));
            }
            let mut marker: u8 = r.fixed("marker")?;
            while marker == 0xff {
                marker = r.fixed("marker")?;
            }
            match marker {
                // Markers without a segment.
                0x01 | 0xd0..=0xd7 => {}
                // All frame headers; 0xc4, 0xc8 and 0xcc are tables and a reserved number.
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                    let frame = JpegFrameWire::read(r)?;
                    return Ok(Self {
                        marker,
                        precision: frame.precision,
                        width: u16::from_be_bytes(frame.width),
                        height: u16::from_be_bytes(frame.height),
                        components: frame.components,
                    });
                }
                0x00 | 0xd8..=0xda => return Err(invalid(r, at, "no frame header in front of the scan")),
                _ => {
                    let at = r.position();
                    let length = u16::from_be_bytes(r.fixed("length")?);
                    let Some(rest) = length.checked_sub(2) else {
                        let kind = DecodeErrorKind::TooSmall {
                            value: length.into(),
                            minimum: 2,
                        };
                        return Err(r.error("length", at, kind));
                    };
                    r.blob(rest.into(), "segment")?;
                }
            }
        }
    }

    pub(super) fn check(&self, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        let own = (self.width.into(), self.height.into());
        size("JpegHead", own, (image.width, image.height))
    }
}

impl JpegAlphaHead {
    pub(super) fn read(data: &Bytes, jpeg_size: u32) -> Result<Self, DecodeError> {
        let mut whole = Reader::new(data, "JpegAlphaHead");
        let jpeg = whole.blob(jpeg_size, "jpeg")?;
        Ok(Self {
            jpeg: JpegHead::read(&mut Reader::new(&jpeg, "JpegAlphaHead"))?,
            alpha: LzHead::read(&mut whole)?,
        })
    }

    pub(super) fn check(&self, flags: JpegAlphaFlags, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
        self.jpeg.check(image)?;
        self.alpha.check(image)?;
        // spice-gtk asks for this too.
        let top_down = flags.contains(JpegAlphaFlags::TOP_DOWN);
        if (self.alpha.top_down != 0) == top_down {
            return Ok(());
        }
        Err(HeadMismatch {
            head: "LzHead",
            field: "top_down",
            value: self.alpha.top_down.into(),
            expected: Expected::Exactly(top_down.into()),
        })
    }
}

/// Width and height of a head, against those of the image.
fn size(head: &'static str, own: (u32, u32), image: (u32, u32)) -> Result<(), HeadMismatch> {
    let (field, value, right) = match own.0 == image.0 {
        true if own.1 == image.1 => return Ok(()),
        true => ("height", own.1, image.1),
        false => ("width", own.0, image.0),
    };
    let (value, expected) = (value.into(), Expected::Exactly(right.into()));
    Err(HeadMismatch {
        head,
        field,
        value,
        expected,
    })
}

/// Whether the form of the pixels is one of this type of image.
pub(super) fn form(head: &'static str, value: u32, fits: bool, image: &ImageDescriptor) -> Result<(), HeadMismatch> {
    if fits {
        return Ok(());
    }
    Err(HeadMismatch {
        head,
        field: "type",
        value: value.into(),
        expected: Expected::FormOf(image.r#type),
    })
}

/// Whether a row of pixels has room in `stride` bytes.
fn stride(head: &'static str, form: LzImageType, stride: u32, width: u32) -> Result<(), HeadMismatch> {
    let bits = u64::from(form.bits_per_pixel()).saturating_mul(width.into());
    let row = bits.div_ceil(8);
    if row <= u64::from(stride) {
        return Ok(());
    }
    Err(HeadMismatch {
        head,
        field: "stride",
        value: stride.into(),
        expected: Expected::AtLeast(row),
    })
}
