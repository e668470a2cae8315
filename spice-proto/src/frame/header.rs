//! Headers, and frames with them.

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::{Fixed, put_block};

/// Which of the two headers a connection uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderForm {
    /// 6 bytes: type and size.
    Mini,
    /// 18 bytes: serial, type, size, offset of a list of sub-messages.
    Full,
}

impl HeaderForm {
    /// The form that two sides use, from whether each announced `MINI_HEADER`.
    #[must_use]
    pub const fn agreed(client: bool, server: bool) -> Self {
        if client && server { Self::Mini } else { Self::Full }
    }

    /// Bytes in a header.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a header is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Mini => 6,
            Self::Full => 18,
        }
    }
}

/// The header of a frame, in either form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Header {
    /// Number of this message on its connection, from 1. 0 with mini headers, where both sides count.
    pub serial: u64,
    /// Message number.
    pub number: u16,
    /// Bytes in the body.
    pub size: u32,
    /// Offset of a list of sub-messages in the body; 0 = none. Always 0 with mini headers.
    pub sub_list: u32,
}

impl Header {
    /// Reads a header, if its bytes are there.
    #[inline]
    #[must_use]
    pub fn read(form: HeaderForm, src: &[u8]) -> Option<Self> {
        let mut block = src.get(..form.len())?;
        Some(match form {
            HeaderForm::Mini => Self {
                serial: 0,
                number: Fixed::get(&mut block),
                size: Fixed::get(&mut block),
                sub_list: 0,
            },
            HeaderForm::Full => Self {
                serial: Fixed::get(&mut block),
                number: Fixed::get(&mut block),
                size: Fixed::get(&mut block),
                sub_list: Fixed::get(&mut block),
            },
        })
    }

    /// Appends the header. The mini form leaves out the serial and the list's offset.
    #[inline]
    pub fn write(&self, form: HeaderForm, dst: &mut BytesMut) {
        match form {
            HeaderForm::Mini => put_block::<6>(dst, |block| {
                self.number.put(block);
                self.size.put(block);
            }),
            HeaderForm::Full => put_block::<18>(dst, |block| {
                self.serial.put(block);
                self.number.put(block);
                self.size.put(block);
                self.sub_list.put(block);
            }),
        }
    }

    /// Fills in the size of a header that was written with another one.
    #[inline]
    pub(super) fn put_size(form: HeaderForm, size: u32, header: &mut [u8]) {
        let at = match form {
            HeaderForm::Mini => 2,
            HeaderForm::Full => 10,
        };
        if let Some(place) = header.get_mut(at..).and_then(|bytes| bytes.first_chunk_mut()) {
            *place = size.to_le_bytes();
        }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_len(&self, form: HeaderForm) -> u64 {
        u64::from(self.size).saturating_add(form.len() as u64)
    }

    /// Refuses a body above the limit, and a list of sub-messages that begins behind the body.
    pub(super) fn check(&self, form: HeaderForm, limit: u32) -> Result<(), DecodeError> {
        if self.size <= limit && self.sub_list <= self.size {
            return Ok(());
        }
        let (field, offset, kind) = if self.size <= limit {
            let kind = DecodeErrorKind::OutOfBounds {
                value: self.sub_list.into(),
                len: self.size as usize,
            };
            ("sub_list", 14, kind)
        } else {
            let offset = match form {
                HeaderForm::Mini => 2,
                HeaderForm::Full => 10,
            };
            (
                "size",
                offset,
                DecodeErrorKind::TooLarge {
                    value: self.size.into(),
                    limit: limit.into(),
                },
            )
        };
        Err(DecodeError {
            message: "Header",
            field,
            offset,
            kind,
        })
    }
}

/// A frame in a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRef<'a> {
    /// Its header.
    pub header: Header,
    /// Its body; empty when [`FrameForwarder`](super::FrameForwarder) forwards the body on in parts.
    pub body: &'a [u8],
}

impl FrameRef<'_> {
    /// A frame of its own, with a copy of the body.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame {
            header: self.header,
            body: Bytes::copy_from_slice(self.body),
        }
    }
}

/// A frame on its own. The body is a slice of the buffer that it was received in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Frame {
    /// Its header.
    pub header: Header,
    /// Its body.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub body: Bytes,
}
