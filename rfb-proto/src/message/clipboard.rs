//! The clipboard (RFC 6143 sections 7.5.6 and 7.6.4).
//!
//! ```text
//! u8 type, 3 bytes padding, s32 length, |length| bytes
//! ```
//!
//! A negative length marks data of the extended clipboard, which the client has to have asked for; without that it is a
//! length without a sign, and above every limit: it is never that of a plain text. The data are at least the 4 bytes of
//! their flags; QEMU once counted below zero for want of that check (CVE-2022-3165).
//!
//! A server announces the extended clipboard by using it, so it may as soon as the client has asked. A client should wait
//! for that, but not all do: QEMU, TigerVNC and libvncserver take its messages as soon as it asks, and the first and the
//! last of them hang up where it does not.

use bytes::{Bytes, BytesMut};

use super::{ExtendedClipboard, Extension};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed, Reader, codec, put_block};
use crate::limits::Limits;

/// Flags of the extended clipboard.
const MIN_EXTENDED: u32 = 4;
/// The longest text: what is above it is negative with the extension.
const MAX_PLAIN: u32 = i32::MAX.unsigned_abs();
const HEADER: usize = 8;
const FIELDS: &[Field] = &[
    Field::new::<u8>("type"),
    Field::new::<[u8; 3]>("padding"),
    Field::new::<i32>("length"),
];

struct Header {
    padding: [u8; 3],
    extended: bool,
    length: u32,
}

impl Header {
    fn read(r: &mut Reader<'_>, number: u8, may_extend: bool) -> Result<Self, DecodeError> {
        let mut block = r.block(HEADER, FIELDS)?;
        r.is_type(&mut block, number)?;
        let (padding, length) = (Fixed::get(&mut block), u32::get(&mut block));
        let extended = may_extend && MAX_PLAIN < length;
        // Of -2^31 too there is an absolute value here.
        let length = if extended { length.wrapping_neg() } else { length };
        let limit = r.limits().cut_text;
        let limit = if extended { limit } else { limit.min(MAX_PLAIN) };
        r.limited("length", u32::SIZE, length, limit)?;
        if extended && length < MIN_EXTENDED {
            let kind = DecodeErrorKind::Invalid("the extended clipboard needs 4 bytes");
            return Err(r.error("length", 4, kind));
        }
        Ok(Self {
            padding,
            extended,
            length,
        })
    }
}

macro_rules! cut_text {
    ($($(#[$meta:meta])* pub struct $name:ident, $may_extend:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize))]
        pub struct $name {
            /// Zero, or what the peer left there.
            pub padding: [u8; 3],
            /// Whether these are data of the extended clipboard.
            pub extended: bool,
            /// The text, Latin-1 by the specification; or the data.
            #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
            pub text: Bytes,
        }

        impl $name {
            /// This text. By the specification it is Latin-1, with a line feed at the end of a line.
            #[must_use]
            pub fn new(text: Bytes) -> Self {
                let (padding, extended) = ([0; 3], false);
                Self { padding, extended, text }
            }

            /// A message of the extended clipboard.
            ///
            /// # Errors
            /// A value that its field cannot hold.
            pub fn from_extended(message: &ExtendedClipboard) -> Result<Self, EncodeError> {
                let mut data = BytesMut::with_capacity(message.encoded_len());
                message.encode(&mut data)?;
                let (padding, extended, text) = ([0; 3], true, data.freeze());
                Ok(Self { padding, extended, text })
            }

            /// What the extended clipboard says; `None` if it is a plain text.
            ///
            /// # Errors
            /// The data make no sense.
            pub fn extended(&self, limits: &Limits) -> Option<Result<ExtendedClipboard, DecodeError>> {
                self.extended.then(|| ExtendedClipboard::decode(&self.text, limits))
            }
        }
        codec!($name, extensions);

        impl Decode for $name {
            const NAME: &'static str = stringify!($name);
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let Header { padding, extended, length } = Header::read(r, Self::NUMBER, r.extensions().$may_extend(Extension::ExtendedClipboard))?;
                let text = r.blob(length, "text")?;
                Ok(Self { padding, extended, text })
            }
            fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
                if r.left().len() < HEADER {
                    return Ok(HEADER);
                }
                let header = Header::read(r, Self::NUMBER, r.extensions().$may_extend(Extension::ExtendedClipboard))?;
                Ok(r.end_of::<u8>(header.length))
            }
        }

        impl Encode for $name {
            fn wire_len(&self) -> usize {
                HEADER.saturating_add(self.text.len())
            }
            fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                let length = wire_length(self.text.len(), self.extended).ok_or(EncodeError {
                    message: Self::NAME,
                    field: "length",
                    value: self.text.len() as u64,
                    limit: MAX_PLAIN.into(),
                })?;
                put_block::<HEADER>(dst, |block| {
                    Self::NUMBER.put(block);
                    self.padding.put(block);
                    length.put(block);
                });
                dst.extend_from_slice(&self.text);
                Ok(())
            }
        }
    )*};
}

cut_text! {
    /// The client's clipboard (RFC 6143 section 7.5.6): 8 bytes and the text.
    pub struct ClientCutText, asks;
    /// The server's clipboard (RFC 6143 section 7.6.4): 8 bytes and the text.
    pub struct ServerCutText, asked;
}

fn wire_length(len: usize, extended: bool) -> Option<i32> {
    let length = i32::try_from(len).ok()?;
    match extended {
        false => Some(length),
        true if length.unsigned_abs() < MIN_EXTENDED => None,
        true => length.checked_neg(),
    }
}
