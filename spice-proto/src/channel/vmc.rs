//! Byte pipes between a device of the guest and the client (message set `spicevmc`): the usbredir channel, and
//! what [`super::port`] builds on.

use bytes::{Bytes, BytesMut};

use crate::channel::{common, messages};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Fixed, Reader, codec, layout};
use crate::ids::DataCompression;

messages! {
    /// Messages of a pipe from server to client.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_SPICEVMC_DATA`.
        101 DATA => Data(Data),
        /// `SPICE_MSG_SPICEVMC_COMPRESSED_DATA`.
        102 COMPRESSED_DATA => CompressedData(CompressedData),
    }
}

messages! {
    /// Messages of a pipe from client to server.
    pub enum ClientMessage: common common::ClientMessage {
        /// `SPICE_MSGC_SPICEVMC_DATA`.
        101 DATA => Data(Data, shared),
        /// `SPICE_MSGC_SPICEVMC_COMPRESSED_DATA`.
        102 COMPRESSED_DATA => CompressedData(CompressedData, shared),
    }
}

layout! {
    /// Bytes of the pipe.
    pub struct Data {
        ;
        /// The bytes.
        data: rest,
    }
}

/// Bytes of the pipe, packed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct CompressedData {
    /// How they are packed.
    pub r#type: DataCompression,
    /// Bytes when unpacked. Not on the wire with [`DataCompression::NONE`], where it is 0 here.
    pub uncompressed_size: u32,
    /// The packed bytes.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub compressed_data: Bytes,
}

codec!(CompressedData);

layout! {
    /// What every form begins with.
    struct CompressedHead {
        r#type: DataCompression,
    }
}

layout! {
    /// What follows it unless the bytes are as they are.
    struct CompressedSize {
        uncompressed_size: u32,
    }
}

impl Decode for CompressedData {
    const NAME: &'static str = "CompressedData";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let CompressedHead { r#type } = CompressedHead::read(r)?;
        let uncompressed_size = match r#type {
            DataCompression::NONE => 0,
            _ => CompressedSize::read(r)?.uncompressed_size,
        };
        Ok(Self {
            r#type,
            uncompressed_size,
            compressed_data: r.rest(),
        })
    }
}

impl Encode for CompressedData {
    fn wire_len(&self) -> usize {
        let size = if self.r#type == DataCompression::NONE {
            0
        } else {
            u32::SIZE
        };
        CompressedHead::BLOCK
            .saturating_add(size)
            .saturating_add(self.compressed_data.len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let Self {
            r#type,
            uncompressed_size,
            ..
        } = *self;
        CompressedHead { r#type }.write(dst)?;
        if r#type != DataCompression::NONE {
            CompressedSize { uncompressed_size }.write(dst)?;
        }
        dst.extend_from_slice(&self.compressed_data);
        Ok(())
    }
}
