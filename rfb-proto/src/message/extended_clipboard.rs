//! What cut texts with a negative length hold: the extended clipboard (community specification).
//!
//! ```text
//! u32 flags                                       bits 0 to 15: formats; 24 and up: what it is about
//! caps:     u32 size for each format              how much of it is taken unasked
//! provide:  zlib of (u32 size, bytes) for each format
//! ```
//!
//! Each side tells what it can do (caps). A side with something new says in which formats (notify), or sends it at
//! once (provide); the other side asks for it (request). A peek asks for a notify.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use miniz_oxide::deflate::{CompressionLevel, compress_to_vec_zlib};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_PARSE_ZLIB_HEADER, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed as _, Reader, codec, length, put_array};
use crate::ids::masks;
use crate::limits::Limits;

masks! {
    /// A format of the clipboard, or an action; a bit each.
    pub struct ClipboardFlags(u32) {
        /// Text in UTF-8, CRLF at the end of a line, and a NUL at the end.
        TEXT = 1, "text";
        /// Rich text.
        RTF = 2, "rtf";
        /// HTML, as Windows has it.
        HTML = 4, "html";
        /// A bitmap of Windows.
        DIB = 8, "dib";
        /// Files. Nothing is defined for them.
        FILES = 0x10, "files";
        /// What the sender can do.
        CAPS = 0x0100_0000, "caps";
        /// Please send.
        REQUEST = 0x0200_0000, "request";
        /// Please tell what is there.
        PEEK = 0x0400_0000, "peek";
        /// This is there.
        NOTIFY = 0x0800_0000, "notify";
        /// Here it is.
        PROVIDE = 0x1000_0000, "provide";
    }
}

impl ClipboardFlags {
    /// The bits of formats.
    const FORMATS: u32 = 0xffff;
    /// The bits of actions, those without a meaning too.
    const ACTIONS: u32 = 0xff00_0000;

    /// With the bits of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Its formats, lowest bit first.
    pub fn formats(self) -> impl Iterator<Item = Self> {
        let bits = (0..16).map(|bit| Self(1 << bit));
        bits.filter(move |format| self.contains(*format))
    }
}

/// One message of the extended clipboard: what a cut text that is `extended` holds.
///
/// Flags are kept as sent, so that what decodes encodes to the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum ExtendedClipboard {
    /// What the sender can do.
    Caps {
        /// The formats that it knows and the actions that it takes, and [`ClipboardFlags::CAPS`].
        flags: ClipboardFlags,
        /// For each format, lowest bit first: how many bytes of it may be sent unasked.
        sizes: Vec<u32>,
    },
    /// The sender wants these formats.
    Request {
        /// The formats, and [`ClipboardFlags::REQUEST`].
        flags: ClipboardFlags,
    },
    /// The sender wants to be told what is there.
    Peek {
        /// [`ClipboardFlags::PEEK`].
        flags: ClipboardFlags,
    },
    /// The sender has these formats; none: its clipboard is empty.
    Notify {
        /// The formats, and [`ClipboardFlags::NOTIFY`].
        flags: ClipboardFlags,
    },
    /// Here are these formats.
    Provide(Provide),
}
codec!(ExtendedClipboard);

/// The data of the clipboard, as packed by the sender. [`unpack`](Self::unpack) looks into them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Provide {
    /// The formats, and [`ClipboardFlags::PROVIDE`].
    pub flags: ClipboardFlags,
    /// A zlib stream of its own.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

const FLAGS: &[Field] = &[Field::new::<u32>("flags")];

impl ExtendedClipboard {
    /// The formats, and what it is about.
    #[must_use]
    pub const fn flags(&self) -> ClipboardFlags {
        match self {
            Self::Caps { flags, .. } | Self::Request { flags } | Self::Peek { flags } | Self::Notify { flags } => {
                *flags
            }
            Self::Provide(provide) => provide.flags,
        }
    }
}

impl Decode for ExtendedClipboard {
    const NAME: &'static str = "ExtendedClipboard";

    /// The data of one cut text: they go to the end.
    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let flags = ClipboardFlags::get(&mut r.block(ClipboardFlags::SIZE, FLAGS)?);
        // The flags of caps also have every action that the sender takes.
        let message = if flags.contains(ClipboardFlags::CAPS) {
            let sizes = r.array((flags.0 & ClipboardFlags::FORMATS).count_ones(), "sizes")?;
            Self::Caps { flags, sizes }
        } else {
            match ClipboardFlags(flags.0 & ClipboardFlags::ACTIONS) {
                ClipboardFlags::REQUEST => Self::Request { flags },
                ClipboardFlags::PEEK => Self::Peek { flags },
                ClipboardFlags::NOTIFY => Self::Notify { flags },
                ClipboardFlags::PROVIDE => {
                    let length = u32::try_from(r.left().len()).unwrap_or(u32::MAX);
                    let data = r.blob(length, "data")?;
                    Self::Provide(Provide { flags, data })
                }
                _ => return Err(r.error("flags", 0, DecodeErrorKind::Invalid("one action expected"))),
            }
        };
        match r.left() {
            [] => Ok(message),
            _ => Err(r.error("end", r.at(), DecodeErrorKind::Invalid("bytes behind the message"))),
        }
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        match Self::read(r) {
            Ok(_) => Ok(r.at()),
            Err(DecodeError {
                offset,
                kind: DecodeErrorKind::Truncated { needed, .. },
                ..
            }) => Ok(usize::try_from(needed).unwrap_or(usize::MAX).saturating_add(offset)),
            Err(error) => Err(error),
        }
    }
}

impl Encode for ExtendedClipboard {
    fn wire_len(&self) -> usize {
        let body = match self {
            Self::Caps { sizes, .. } => sizes.len().saturating_mul(u32::SIZE),
            Self::Provide(provide) => provide.data.len(),
            Self::Request { .. } | Self::Peek { .. } | Self::Notify { .. } => 0,
        };
        u32::SIZE.saturating_add(body)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let flags = self.flags();
        dst.extend_from_slice(&flags.0.to_be_bytes());
        match self {
            Self::Caps { sizes, .. } => {
                let formats = (flags.0 & ClipboardFlags::FORMATS).count_ones();
                if usize::try_from(formats) != Ok(sizes.len()) {
                    return Err(EncodeError {
                        message: Self::NAME,
                        field: "sizes",
                        value: sizes.len() as u64,
                        limit: formats.into(),
                    });
                }
                put_array(dst, sizes);
            }
            Self::Provide(provide) => dst.extend_from_slice(&provide.data),
            Self::Request { .. } | Self::Peek { .. } | Self::Notify { .. } => {}
        }
        Ok(())
    }
}

/// How hard data are packed: between speed and size, as zlib has it by default.
const LEVEL: u8 = CompressionLevel::DefaultLevel as u8;

impl Provide {
    /// Packs data, each with its format. Of two with the same format the first counts.
    ///
    /// # Errors
    /// A format that is not one bit of the formats, or more than 4 GiB of one.
    pub fn pack(data: &[(ClipboardFlags, &[u8])]) -> Result<Self, EncodeError> {
        let mut flags = ClipboardFlags::PROVIDE;
        let mut sorted: Vec<_> = data.iter().collect();
        sorted.sort_by_key(|(format, _)| *format);
        sorted.dedup_by_key(|(format, _)| *format);
        let mut plain = Vec::new();
        for (format, bytes) in sorted {
            if !format.0.is_power_of_two() || ClipboardFlags::FORMATS < format.0 {
                return Err(EncodeError {
                    message: "Provide",
                    field: "format",
                    value: format.0.into(),
                    limit: ClipboardFlags::FORMATS.into(),
                });
            }
            flags = flags.with(*format);
            let size = length(bytes.len(), "Provide", "size", u32::MAX)?;
            plain.extend_from_slice(&size.to_be_bytes());
            plain.extend_from_slice(bytes);
        }
        let data = compress_to_vec_zlib(&plain, LEVEL).into();
        Ok(Self { flags, data })
    }

    /// Unpacks the data of each format, lowest bit first. All together they may have [`Limits::clipboard`] bytes.
    ///
    /// It ends when the last format is whole, not where the stream does: TigerVNC flushes it and never ends it.
    ///
    /// # Errors
    /// The data are no zlib stream, end too early, or are above the limit. Offsets count packed bytes.
    pub fn unpack(&self, limits: &Limits) -> Result<Vec<(ClipboardFlags, Bytes)>, DecodeError> {
        let mut stream = Inflate::new(&self.data, limits.clipboard);
        let mut places = Vec::new();
        for format in self.flags.formats() {
            let head = stream.more(u32::SIZE as u64, "size")?;
            let size = head.try_into().map_or(0, u32::from_be_bytes);
            let start = stream.len;
            stream.more(size.into(), "data")?;
            places.push((format, start..stream.len));
        }
        let plain = Bytes::from(stream.out);
        let slices = places.into_iter().map(|(format, place)| (format, plain.slice(place)));
        Ok(slices.collect())
    }
}

/// A zlib stream that is read as far as it is needed.
struct Inflate<'a> {
    state: Box<DecompressorOxide>,
    packed: &'a [u8],
    /// Packed bytes that were read.
    at: usize,
    /// What came out, and room for more.
    out: Vec<u8>,
    /// How much of that was asked for.
    len: usize,
    /// How much of that came out: no more than the room.
    filled: usize,
    limit: u32,
}

/// Room for the first bytes. It doubles when bytes have come, so it is never more than twice what there is.
const FIRST_ROOM: usize = 256;

impl<'a> Inflate<'a> {
    fn new(packed: &'a [u8], limit: u32) -> Self {
        Self {
            state: Box::default(),
            packed,
            at: 0,
            out: Vec::new(),
            len: 0,
            filled: 0,
            limit,
        }
    }

    fn error(&self, field: &'static str, kind: DecodeErrorKind) -> DecodeError {
        DecodeError {
            message: "Provide",
            field,
            offset: self.at,
            kind,
        }
    }

    /// The next `count` bytes.
    fn more(&mut self, count: u64, field: &'static str) -> Result<&[u8], DecodeError> {
        let wanted = (self.len as u64).saturating_add(count);
        let limit = u64::from(self.limit);
        let Some(end) = usize::try_from(wanted).ok().filter(|_| wanted <= limit) else {
            let value = wanted;
            return Err(self.error(field, DecodeErrorKind::TooLarge { value, limit }));
        };
        while self.filled < end {
            if self.filled == self.out.len() {
                // The limit bounds the room as well.
                let room = self.out.len().saturating_mul(2).max(FIRST_ROOM);
                self.out
                    .resize(room.min(usize::try_from(limit).unwrap_or(usize::MAX)), 0);
            }
            let flags = TINFL_FLAG_PARSE_ZLIB_HEADER | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
            let packed = self.packed.get(self.at..).unwrap_or_default();
            let (status, taken, given) = decompress(&mut self.state, packed, &mut self.out, self.filled, flags);
            self.at = self.at.saturating_add(taken);
            self.filled = self.filled.saturating_add(given);
            if self.filled < end && status != TINFLStatus::HasMoreOutput {
                let kind = match status {
                    TINFLStatus::Done | TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
                        DecodeErrorKind::Truncated {
                            needed: count,
                            left: self.filled.saturating_sub(self.len),
                        }
                    }
                    _ => DecodeErrorKind::Invalid("zlib that cannot be unpacked"),
                };
                return Err(self.error(field, kind));
            }
        }
        let start = core::mem::replace(&mut self.len, end);
        Ok(self.out.get(start..end).unwrap_or_default())
    }
}
