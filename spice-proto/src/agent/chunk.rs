//! Chunks on the serial port between server and guest (`com.redhat.spice.0`).
//!
//! ```text
//! | port u32 | size u32 | data: size bytes |     little-endian
//! ```
//!
//! There is nothing of this on the network: the server puts the header on what comes from the client, and
//! takes it off again. The messages of each port are a stream of their own, so that what the server says
//! itself (pointer positions, for one) can come between the parts of a client's message.

use bytes::{Buf, Bytes, BytesMut};

use super::MAX_DATA;
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Fixed, layout};
use crate::ids::AgentPort;

layout! {
    /// What every chunk begins with (`VDIChunkHeader`).
    pub struct ChunkHeader {
        /// Where it comes from or goes to.
        port: AgentPort,
        /// Bytes that follow: at most 2048.
        size: u32,
    }
}

impl ChunkHeader {
    /// Bytes of a header: 8.
    pub const LEN: usize = Self::BLOCK;
}

/// A part of the stream of one port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// Where it comes from or goes to.
    pub port: AgentPort,
    /// A part of the stream, as in the body of an `AGENT_DATA`.
    pub data: Bytes,
}

impl Chunk {
    /// Takes one chunk off the front. `Ok(None)`: more bytes are needed.
    ///
    /// # Errors
    /// A chunk of more than 2048 bytes, which spice-server refuses: the stream cannot go on.
    pub fn decode(src: &mut BytesMut) -> Result<Option<Self>, DecodeError> {
        let Some(mut block) = src.get(..ChunkHeader::LEN) else {
            return Ok(None);
        };
        let ChunkHeader { port, size } = ChunkHeader::get(&mut block);
        let size = size as usize;
        if MAX_DATA < size {
            return Err(DecodeError {
                message: ChunkHeader::NAME,
                field: "size",
                offset: 4,
                kind: DecodeErrorKind::TooLarge {
                    value: size as u64,
                    limit: MAX_DATA as u64,
                },
            });
        }
        if src.len() < ChunkHeader::LEN.saturating_add(size) {
            return Ok(None);
        }
        src.advance(ChunkHeader::LEN);
        let data = src.split_to(size).freeze();
        Ok(Some(Self { port, data }))
    }

    /// Appends header and data.
    ///
    /// # Errors
    /// More than 2048 bytes; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let size = u32::try_from(self.data.len())
            .ok()
            .filter(|_| self.data.len() <= MAX_DATA);
        let size = size.ok_or(EncodeError {
            message: ChunkHeader::NAME,
            field: "size",
            value: self.data.len() as u64,
            limit: MAX_DATA as u64,
        })?;
        ChunkHeader { port: self.port, size }.write(dst)?;
        dst.extend_from_slice(&self.data);
        Ok(())
    }
}
