//! SASL (RFC 4422), security type 20 and two subtypes of VeNCrypt: how its data is carried.
//!
//! ```text
//! S  u32 length, list                     names with commas between them    Mechanisms
//! C  u32 length, name                                                       Mechanism
//! C  u32 length, data                                                       SaslData
//! S  u32 length, data, u8 complete                                          SaslData, 1 byte
//!    while complete is 0:
//! C  u32 length, data
//! S  u32 length, data, u8 complete
//! S  u32 SecurityResult
//!    then, if the mechanism agreed on one, its layer: u32 length and so many bytes, both directions
//! ```
//!
//! No mechanism is here: the caller has a library for them. Where one fails QEMU closes and says nothing; a failed
//! SecurityResult comes only after `complete` was 1. The layer begins behind the SecurityResult, so ClientInit and
//! ServerInit are in it already.
//!
//! Sources: the community's specification, and QEMU's server and gtk-vnc's client for the NUL and the limits.

use bytes::BytesMut;

use super::Secret;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed as _, Reader, codec, layout, length, put_block};

layout! {
    /// The mechanisms that the server offers.
    pub struct Mechanisms {
        ;
        length: u32,
        /// Names with commas between them, no NUL at the end; at most
        /// [`Limits::sasl_mechanisms`](crate::Limits::sasl_mechanisms) bytes.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        list: [u8; ..=sasl_mechanisms],
    }
}

impl Mechanisms {
    /// Whether `name` is one of them, as a whole.
    #[must_use]
    pub fn offers(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.list.split(|&byte| byte == b',').any(|offered| offered == name)
    }
}

layout! {
    /// The mechanism that the client chose.
    pub struct Mechanism {
        ;
        length: u32,
        /// Its name, no NUL at the end; at most [`Limits::sasl_mechanism`](crate::Limits::sasl_mechanism) bytes.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
        name: [u8; ..=sasl_mechanism],
    }
}

/// What one side's mechanism says to the other's.
///
/// On the wire a NUL stands behind the data, and the length counts it. That is how nothing (`None`, length 0)
/// differs from data of no bytes (length 1). What the NUL really is, is not looked at, as QEMU does.
#[derive(Debug, PartialEq, Eq)]
pub struct SaslData {
    /// With some mechanisms it is or holds the password.
    pub data: Option<Secret>,
}

codec!(SaslData);

const LENGTH: &[Field] = &[Field {
    name: "length",
    size: 4,
    inner: &[],
}];

impl SaslData {
    fn length(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let mut block = r.block(4, LENGTH)?;
        let length = u32::get(&mut block);
        r.limited("length", 4, length, r.limits().sasl_data)?;
        Ok(length)
    }
}

impl Decode for SaslData {
    const NAME: &'static str = "SaslData";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let length = Self::length(r)?;
        let bytes = r.bytes(length, "data")?;
        let data = bytes.split_last().map(|(_, data)| Secret::new(data));
        Ok(Self { data })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < u32::SIZE {
            return Ok(u32::SIZE);
        }
        let length = Self::length(r)?;
        Ok(r.end_of::<u8>(length))
    }
}

impl Encode for SaslData {
    fn wire_len(&self) -> usize {
        let data = self
            .data
            .as_ref()
            .map_or(0, |data| data.expose().len().saturating_add(1));
        data.saturating_add(4)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let data = self.wire_len().saturating_sub(4);
        let length = length(data, Self::NAME, "length", u32::MAX)?;
        put_block::<4>(dst, |block| u32::put(&length, block));
        if let Some(data) = &self.data {
            dst.extend_from_slice(data.expose());
            dst.extend_from_slice(&[0]);
        }
        Ok(())
    }
}
