//! The main channel: session, agent, migration.

use bytes::{Bytes, BytesMut};

use crate::channel::{common, messages};
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout, length};
use crate::ids::{ChannelType, LinkErrorCode, MouseModes};

messages! {
    /// Messages of the main channel from server to client.
    pub enum ServerMessage: common common::ServerMessage {
        /// `SPICE_MSG_MAIN_MIGRATE_BEGIN`.
        101 MIGRATE_BEGIN => MigrateBegin(MigrateBegin),
        /// `SPICE_MSG_MAIN_MIGRATE_CANCEL`: forget the target.
        102 MIGRATE_CANCEL => MigrateCancel,
        /// `SPICE_MSG_MAIN_INIT`.
        103 INIT => Init(Init),
        /// `SPICE_MSG_MAIN_CHANNELS_LIST`.
        104 CHANNELS_LIST => ChannelsList(ChannelsList),
        /// `SPICE_MSG_MAIN_MOUSE_MODE`.
        105 MOUSE_MODE => MouseMode(MouseMode),
        /// `SPICE_MSG_MAIN_MULTI_MEDIA_TIME`.
        106 MULTI_MEDIA_TIME => MultiMediaTime(MultiMediaTime),
        /// `SPICE_MSG_MAIN_AGENT_CONNECTED`: the guest's agent is there.
        107 AGENT_CONNECTED => AgentConnected,
        /// `SPICE_MSG_MAIN_AGENT_DISCONNECTED`.
        108 AGENT_DISCONNECTED => AgentDisconnected(AgentDisconnected),
        /// `SPICE_MSG_MAIN_AGENT_DATA`.
        109 AGENT_DATA => AgentData(AgentData, shared),
        /// `SPICE_MSG_MAIN_AGENT_TOKEN`.
        110 AGENT_TOKEN => AgentToken(AgentToken, shared),
        /// `SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST`.
        111 MIGRATE_SWITCH_HOST => MigrateSwitchHost(MigrateSwitchHost),
        /// `SPICE_MSG_MAIN_MIGRATE_END`: the guest has moved (semi-seamless).
        112 MIGRATE_END => MigrateEnd,
        /// `SPICE_MSG_MAIN_NAME`.
        113 NAME => Name(Name),
        /// `SPICE_MSG_MAIN_UUID`.
        114 UUID => Uuid(Uuid),
        /// `SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS`.
        115 AGENT_CONNECTED_TOKENS => AgentConnectedTokens(AgentToken, shared),
        /// `SPICE_MSG_MAIN_MIGRATE_BEGIN_SEAMLESS`.
        116 MIGRATE_BEGIN_SEAMLESS => MigrateBeginSeamless(MigrateBeginSeamless),
        /// `SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_ACK`: the target can do it seamlessly.
        117 MIGRATE_DST_SEAMLESS_ACK => MigrateDstSeamlessAck,
        /// `SPICE_MSG_MAIN_MIGRATE_DST_SEAMLESS_NACK`: the target cannot.
        118 MIGRATE_DST_SEAMLESS_NACK => MigrateDstSeamlessNack,
    }
}

messages! {
    /// Messages of the main channel from client to server.
    pub enum ClientMessage: common common::ClientMessage {
        /// `SPICE_MSGC_MAIN_CLIENT_INFO`.
        101 CLIENT_INFO => ClientInfo(ClientInfo),
        /// `SPICE_MSGC_MAIN_MIGRATE_CONNECTED`: the client is connected to the target (semi-seamless).
        102 MIGRATE_CONNECTED => MigrateConnected,
        /// `SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR`: the client could not connect to the target.
        103 MIGRATE_CONNECT_ERROR => MigrateConnectError,
        /// `SPICE_MSGC_MAIN_ATTACH_CHANNELS`: asks for `CHANNELS_LIST`.
        104 ATTACH_CHANNELS => AttachChannels,
        /// `SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST`.
        105 MOUSE_MODE_REQUEST => MouseModeRequest(MouseModeRequest),
        /// `SPICE_MSGC_MAIN_AGENT_START`.
        106 AGENT_START => AgentStart(AgentToken, shared),
        /// `SPICE_MSGC_MAIN_AGENT_DATA`.
        107 AGENT_DATA => AgentData(AgentData, shared),
        /// `SPICE_MSGC_MAIN_AGENT_TOKEN`.
        108 AGENT_TOKEN => AgentToken(AgentToken, shared),
        /// `SPICE_MSGC_MAIN_MIGRATE_END`: to the target: the client has moved (semi-seamless).
        109 MIGRATE_END => MigrateEnd,
        /// `SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS`.
        110 MIGRATE_DST_DO_SEAMLESS => MigrateDstDoSeamless(MigrateDstDoSeamless),
        /// `SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS`: the client is connected to the target (seamless).
        111 MIGRATE_CONNECTED_SEAMLESS => MigrateConnectedSeamless,
        /// `SPICE_MSGC_MAIN_QUALITY_INDICATOR`: not in use.
        112 QUALITY_INDICATOR => QualityIndicator(QualityIndicator),
    }
}

layout! {
    /// First message of a new session (`SPICE_MSG_MAIN_INIT`).
    pub struct Init {
        /// `connection_id` for every other channel of this session.
        session_id: u32,
        /// Hint for the number of display channels.
        display_channels_hint: u32,
        /// Pointer modes that the server can do.
        supported_mouse_modes: MouseModes,
        /// The pointer mode in force.
        current_mouse_mode: MouseModes,
        /// Not 0: the guest's agent is there.
        agent_connected: u32,
        /// `AGENT_DATA` messages that the client may send.
        agent_tokens: u32,
        /// The server's multimedia clock in milliseconds.
        multi_media_time: u32,
        /// Video memory of the guest in bytes; 0 = not known.
        ram_hint: u32,
    }
}

layout! {
    /// A channel, by kind and number.
    #[derive(Copy)]
    pub struct ChannelId {
        /// Its kind.
        channel_type: ChannelType,
        /// Its number among those of its kind.
        id: u8,
    }
}

layout! {
    /// Channels of this session. Comes again, with one entry, when a device is plugged.
    pub struct ChannelsList {
        ;
        num_of_channels: u32,
        /// The channels; may hold duplicates and kinds that are not known.
        channels: [ChannelId],
    }
}

layout! {
    /// Pointer modes have changed.
    pub struct MouseMode {
        /// Modes that the server can do.
        supported_modes: MouseModes as u16,
        /// The mode in force.
        current_mode: MouseModes as u16,
    }
}

layout! {
    /// Sets the clock that audio and video are timed by.
    pub struct MultiMediaTime {
        /// Milliseconds.
        time: u32,
    }
}

layout! {
    /// The guest's agent is gone. `AGENT_DATA` may still follow and has to be dropped.
    pub struct AgentDisconnected {
        /// Why.
        error_code: LinkErrorCode,
    }
}

layout! {
    /// A piece of the byte stream to or from the guest's agent. Costs one token.
    pub struct AgentData {
        ;
        /// The piece; towards a server at most 2048 bytes.
        data: rest,
    }
}

layout! {
    /// Allows so many more `AGENT_DATA`.
    pub struct AgentToken {
        /// How many.
        num_tokens: u32,
    }
}

layout! {
    /// Name of the virtual machine.
    pub struct Name {
        ;
        name_len: u32,
        /// The name, NUL included.
        name: text,
    }
}

layout! {
    /// UUID of the virtual machine.
    pub struct Uuid {
        /// In the order of its text form.
        #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
        uuid: [u8; 16],
    }
}

layout! {
    /// Size of the client's cache; not in use any more.
    pub struct ClientInfo {
        /// Bytes.
        cache_size: u64,
    }
}

layout! {
    /// Asks for a pointer mode.
    pub struct MouseModeRequest {
        /// The mode; one bit.
        mode: MouseModes as u16,
    }
}

layout! {
    /// To the target: continue the session of a source that speaks this version. Sent to a server that
    /// is no migration target it ends QEMU.
    pub struct MigrateDstDoSeamless {
        /// `src_mig_version` of [`MigrateBeginSeamless`].
        src_version: u32,
    }
}

layout! {
    /// Not in use.
    pub struct QualityIndicator {
        ;
        /// Not specified.
        data: rest,
    }
}

/// Where the session goes: the common part of the three messages that name a migration target.
///
/// The texts hold their NUL, which the sizes on the wire count. spice-gtk ignores a `SWITCH_HOST` whose
/// host has none. An empty text has size 0 and a null pointer; a lone NUL is not the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Destination {
    /// Plain port; 0 and 65535 mean none.
    pub port: u16,
    /// TLS port; 0 and 65535 mean none.
    pub sport: u16,
    /// Name or address, NUL included.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
    pub host: Bytes,
    /// Subject that the target's certificate must have, NUL included; empty = its name is checked.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
    pub cert_subject: Bytes,
}

layout! {
    /// The fixed part of [`Destination`] (`SpiceMigrationDstInfo`).
    struct DestinationHead {
        port: u16,
        sport: u16,
        host_size: u32,
        host_data: u32,
        cert_subject_size: u32,
        cert_subject_data: u32,
    }
}

impl Destination {
    fn read(r: &Reader<'_>, head: &DestinationHead) -> Result<Self, DecodeError> {
        Ok(Self {
            port: head.port,
            sport: head.sport,
            host: r.pointed(head.host_data, head.host_size, "host_data", 8)?,
            cert_subject: r.pointed(head.cert_subject_data, head.cert_subject_size, "cert_subject_data", 16)?,
        })
    }

    fn wire_len(&self) -> usize {
        DestinationHead::BLOCK
            .saturating_add(self.host.len())
            .saturating_add(self.cert_subject.len())
    }

    /// Writes the fixed part, `between`, and then the texts, host first, as spice-server does.
    fn write(&self, dst: &mut BytesMut, message: &'static str, between: &[u8]) -> Result<(), EncodeError> {
        let host_size: u32 = length(self.host.len(), message, "host_size", u32::MAX)?;
        let cert_subject_size: u32 = length(self.cert_subject.len(), message, "cert_subject_size", u32::MAX)?;
        let host_at = DestinationHead::BLOCK.saturating_add(between.len());
        let subject_at = host_at.saturating_add(self.host.len());
        let pointer = |at: usize, size: u32, field: &'static str| match size {
            0 => Ok(0),
            _ => length(at, message, field, u32::MAX),
        };
        DestinationHead {
            port: self.port,
            sport: self.sport,
            host_size,
            host_data: pointer(host_at, host_size, "host_data")?,
            cert_subject_size,
            cert_subject_data: pointer(subject_at, cert_subject_size, "cert_subject_data")?,
        }
        .write(dst)?;
        dst.extend_from_slice(between);
        dst.extend_from_slice(&self.host);
        dst.extend_from_slice(&self.cert_subject);
        Ok(())
    }
}

/// Connect to the target in advance; the guest will move there (semi-seamless).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct MigrateBegin {
    /// The target.
    pub destination: Destination,
}

/// The old way: leave, and connect to the target anew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct MigrateSwitchHost {
    /// The target.
    pub destination: Destination,
}

/// Connect to the target in advance; the channels will move there with their state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct MigrateBeginSeamless {
    /// The target.
    pub destination: Destination,
    /// Version of the source's state; spice-server sends 1.
    pub src_mig_version: u32,
}

codec!(MigrateBegin);
codec!(MigrateSwitchHost);
codec!(MigrateBeginSeamless);

/// The two messages that are a [`Destination`] and nothing else.
macro_rules! destination_only {
    ($($name:ident),*) => {$(
        impl Decode for $name {
            const NAME: &'static str = stringify!($name);

            fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                let head = DestinationHead::read(r)?;
                Ok(Self { destination: Destination::read(r, &head)? })
            }
        }

        impl Encode for $name {
            fn wire_len(&self) -> usize {
                self.destination.wire_len()
            }

            fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                self.destination.write(dst, Self::NAME, &[])
            }
        }
    )*};
}

destination_only!(MigrateBegin, MigrateSwitchHost);

layout! {
    /// What stands behind the fixed part of the destination.
    struct SeamlessHead {
        src_mig_version: u32,
    }
}

impl Decode for MigrateBeginSeamless {
    const NAME: &'static str = "MigrateBeginSeamless";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let head = DestinationHead::read(r)?;
        let SeamlessHead { src_mig_version } = SeamlessHead::read(r)?;
        Ok(Self {
            destination: Destination::read(r, &head)?,
            src_mig_version,
        })
    }
}

impl Encode for MigrateBeginSeamless {
    fn wire_len(&self) -> usize {
        self.destination.wire_len().saturating_add(4)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        self.destination
            .write(dst, Self::NAME, &self.src_mig_version.to_le_bytes())
    }
}
