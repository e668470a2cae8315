//! The clipboard (RFC 6143 sections 7.5.6 and 7.6.4).
//!
//! ```text
//! u8 type, 3 bytes padding, s32 length, |length| bytes
//! ```
//!
//! A negative length marks data of the extended clipboard, which both sides have to have agreed on. They
//! are at least the 4 bytes of their flags; QEMU once counted below zero for want of that check
//! (CVE-2022-3165).

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::wire::{Decode, Encode, Field, Fixed, Reader, codec, put_block};

/// Flags of the extended clipboard.
const MIN_EXTENDED: u32 = 4;
const HEADER: usize = 8;
const FIELDS: &[Field] = &[
    Field {
        name: "type",
        size: 1,
        inner: &[],
    },
    Field {
        name: "padding",
        size: 3,
        inner: &[],
    },
    Field {
        name: "length",
        size: 4,
        inner: &[],
    },
];

struct Header {
    padding: [u8; 3],
    extended: bool,
    length: u32,
}

impl Header {
    fn read(r: &mut Reader<'_>, number: u8) -> Result<Self, DecodeError> {
        let mut block = r.block(HEADER, FIELDS)?;
        r.is_type(&mut block, number)?;
        let (padding, length) = (Fixed::get(&mut block), i32::get(&mut block));
        let extended = length < 0;
        // Of -2^31 too there is an absolute value here.
        let length = length.unsigned_abs();
        r.limited("length", size_of::<u32>(), length, r.limits().cut_text)?;
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
    ($($(#[$meta:meta])* pub struct $name:ident = $number:literal;)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name {
            /// Zero, or what the peer left there.
            pub padding: [u8; 3],
            /// Whether these are data of the extended clipboard.
            pub extended: bool,
            /// The text, Latin-1 by the specification; or the data.
            pub text: Bytes,
        }
        codec!($name);

        impl Decode for $name {
            const NAME: &'static str = stringify!($name);
            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let Header { padding, extended, length } = Header::read(r, $number)?;
                let text = r.blob(length, "text")?;
                Ok(Self { padding, extended, text })
            }
            fn missing(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
                let short = HEADER.saturating_sub(r.left().len());
                if short != 0 {
                    return Ok(short);
                }
                let header = Header::read(r, $number)?;
                Ok(r.missing::<u8>(header.length))
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
                    limit: i32::MAX.unsigned_abs().into(),
                })?;
                put_block::<HEADER>(dst, |block| {
                    u8::put(&$number, block);
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
    pub struct ClientCutText = 6;
    /// The server's clipboard (RFC 6143 section 7.6.4): 8 bytes and the text.
    pub struct ServerCutText = 3;
}

fn wire_length(len: usize, extended: bool) -> Option<i32> {
    let length = i32::try_from(len).ok()?;
    match extended {
        false => Some(length),
        true if length.unsigned_abs() < MIN_EXTENDED => None,
        true => length.checked_neg(),
    }
}
