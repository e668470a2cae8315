//! General input: devices with many buttons and axes (community specification, `gii`).
//!
//! ```text
//! u8 253, u8 byte order and subtype, u16 length, body      in the byte order that the second byte names
//! ```

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed, Reader, codec, length, put_block};
use crate::ids::ids;

ids! {
    /// What a [`Gii`] is about.
    pub struct GiiSubtype(u8) {
        /// Events of a device, from the client.
        EVENTS = 0, "events";
        /// The versions that the server speaks, and the client's answer.
        VERSION = 1, "version";
        /// A new device, and the server's answer.
        CREATE_DEVICE = 2, "create device";
        /// A device that is gone.
        DESTROY_DEVICE = 3, "destroy device";
    }
}

/// General input, in both directions: 4 bytes and a body.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Gii {
    /// Bit 7: numbers are big endian, the length too. The other bits are the [subtype](Self::subtype).
    pub endian_and_subtype: u8,
    /// What the subtype says.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub body: Bytes,
}
codec!(Gii);

/// The highest bit.
const BIG_ENDIAN: u8 = !(u8::MAX >> 1);

impl Gii {
    const HEADER: usize = 4;
    const FIELDS: &'static [Field] = &[
        Field::new::<u8>("type"),
        Field::new::<u8>("endian_and_subtype"),
        Field::new::<u16>("length"),
    ];

    /// Whether the numbers in it are big endian.
    #[must_use]
    pub const fn is_big_endian(&self) -> bool {
        self.endian_and_subtype & BIG_ENDIAN != 0
    }

    /// What it is about.
    #[must_use]
    pub const fn subtype(&self) -> GiiSubtype {
        GiiSubtype(self.endian_and_subtype & !BIG_ENDIAN)
    }

    /// The second byte and the length.
    fn header(r: &mut Reader<'_>) -> Result<(u8, u16), DecodeError> {
        let mut block = r.block(Self::HEADER, Self::FIELDS)?;
        r.is_type(&mut block, Self::NUMBER)?;
        let (endian_and_subtype, length) = (u8::get(&mut block), u16::get(&mut block));
        let is_little = endian_and_subtype & BIG_ENDIAN == 0;
        Ok((endian_and_subtype, if is_little { length.swap_bytes() } else { length }))
    }
}

impl Decode for Gii {
    const NAME: &'static str = "Gii";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (endian_and_subtype, length) = Self::header(r)?;
        let body = r.blob(length.into(), "body")?;
        Ok(Self {
            endian_and_subtype,
            body,
        })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < Self::HEADER {
            return Ok(Self::HEADER);
        }
        let (_, length) = Self::header(r)?;
        Ok(r.end_of::<u8>(length.into()))
    }
}

impl Encode for Gii {
    fn wire_len(&self) -> usize {
        Self::HEADER.saturating_add(self.body.len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let length = length(self.body.len(), Self::NAME, "length", u16::MAX)?;
        put_block::<{ Self::HEADER }>(dst, |block| {
            Self::NUMBER.put(block);
            self.endian_and_subtype.put(block);
            if self.is_big_endian() {
                length
            } else {
                length.swap_bytes()
            }
            .put(block);
        });
        dst.extend_from_slice(&self.body);
        Ok(())
    }
}
