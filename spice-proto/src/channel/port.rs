//! The port channel: a named byte pipe. The webdav channel speaks it too.

use bytes::{Bytes, BytesMut};

use crate::channel::{messages, vmc};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout, length};
use crate::ids::PortEvent;

messages! {
    /// Messages of a port from server to client.
    pub enum ServerMessage: common vmc::ServerMessage {
        /// `SPICE_MSG_PORT_INIT`: the first message.
        201 INIT => Init(Init),
        /// `SPICE_MSG_PORT_EVENT`.
        202 EVENT => Event(Event, shared),
    }
}

messages! {
    /// Messages of a port from client to server.
    pub enum ClientMessage: common vmc::ClientMessage {
        /// `SPICE_MSGC_PORT_EVENT`.
        201 EVENT => Event(Event, shared),
    }
}

layout! {
    /// Something happened to the port.
    pub struct Event {
        /// What.
        event: PortEvent,
    }
}

/// What the port is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Init {
    /// Its name, NUL included, which the size on the wire counts.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
    pub name: Bytes,
    /// Not 0: the guest has opened it.
    pub opened: u8,
}

codec!(Init);

layout! {
    /// The fixed part of [`Init`].
    struct InitHead {
        name_size: u32,
        name: u32,
        opened: u8,
    }
}

impl Decode for Init {
    const NAME: &'static str = "Init";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let InitHead {
            name_size,
            name,
            opened,
        } = InitHead::read(r)?;
        Ok(Self {
            name: r.pointed(name, name_size, "name", 4)?,
            opened,
        })
    }
}

impl Encode for Init {
    fn wire_len(&self) -> usize {
        InitHead::BLOCK.saturating_add(self.name.len())
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let name_size = length(self.name.len(), Self::NAME, "name_size", u32::MAX)?;
        // An empty name has no bytes to point to.
        let at = if self.name.is_empty() { 0 } else { InitHead::BLOCK };
        let name = length(at, Self::NAME, "name", u32::MAX)?;
        InitHead {
            name_size,
            name,
            opened: self.opened,
        }
        .write(dst)?;
        dst.extend_from_slice(&self.name);
        Ok(())
    }
}
