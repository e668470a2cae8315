//! Messages 1 to 100, which every channel has (message set `base`).

use bytes::BytesMut;

use crate::channel::messages;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, Reader, codec, layout, length, put_block};
use crate::ids::{ChannelType, LinkErrorCode, MigrateFlags, NotifySeverity, NotifyVisibility};
use bytes::Bytes;

messages! {
    /// Common messages from server to client.
    pub enum ServerMessage {
        /// `SPICE_MSG_MIGRATE`.
        1 MIGRATE => Migrate(Migrate),
        /// `SPICE_MSG_MIGRATE_DATA`.
        2 MIGRATE_DATA => MigrateData(MigrateData, shared),
        /// `SPICE_MSG_SET_ACK`.
        3 SET_ACK => SetAck(SetAck),
        /// `SPICE_MSG_PING`.
        4 PING => Ping(Ping),
        /// `SPICE_MSG_WAIT_FOR_CHANNELS`.
        5 WAIT_FOR_CHANNELS => WaitForChannels(WaitForChannels),
        /// `SPICE_MSG_DISCONNECTING`.
        6 DISCONNECTING => Disconnecting(Disconnecting),
        /// `SPICE_MSG_NOTIFY`.
        7 NOTIFY => Notify(Notify),
        /// `SPICE_MSG_LIST`.
        8 LIST => List(List),
        /// `SPICE_MSG_BASE_LAST`: the upper bound of the common numbers; never sent.
        100 BASE_LAST => BaseLast,
    }
}

messages! {
    /// Common messages from client to server.
    pub enum ClientMessage {
        /// `SPICE_MSGC_ACK_SYNC`.
        1 ACK_SYNC => AckSync(AckSync),
        /// `SPICE_MSGC_ACK`: another window of messages was received.
        2 ACK => Ack,
        /// `SPICE_MSGC_PONG`.
        3 PONG => Pong(Pong),
        /// `SPICE_MSGC_MIGRATE_FLUSH_MARK`: nothing more comes from this client to the source.
        4 MIGRATE_FLUSH_MARK => MigrateFlushMark,
        /// `SPICE_MSGC_MIGRATE_DATA`.
        5 MIGRATE_DATA => MigrateData(MigrateData, shared),
        /// `SPICE_MSGC_DISCONNECTING`.
        6 DISCONNECTING => Disconnecting(Disconnecting, shared),
    }
}

layout! {
    /// Last message of this channel from the source of a seamless migration. With
    /// [`MigrateFlags::NEED_DATA_TRANSFER`], [`MigrateData`] follows at once.
    pub struct Migrate {
        /// What the client has to do.
        flags: MigrateFlags,
    }
}

layout! {
    /// State of a channel, opaque to the client, which carries it from the source of a migration to
    /// the target unchanged.
    pub struct MigrateData {
        ;
        /// The state.
        data: rest,
    }
}

layout! {
    /// Starts flow control: see [`crate::frame::AckCounter`].
    pub struct SetAck {
        /// To be repeated in [`AckSync`]; older acknowledgements do not count any more.
        generation: u32,
        /// Messages to one ACK; 0 = none are sent.
        window: u32,
    }
}

layout! {
    /// Asks for a [`Pong`]. The first one of a main channel carries 250 KiB of padding, to measure the
    /// line.
    pub struct Ping {
        /// Repeated in the answer.
        id: u32,
        /// Repeated in the answer; the server's clock in nanoseconds.
        timestamp: u64;
        /// Padding.
        data: rest,
    }
}

layout! {
    /// How far another channel must have got (part of [`WaitForChannels`]).
    pub struct ChannelWait {
        /// Kind of that channel.
        channel_type: ChannelType,
        /// Its number among those of its kind.
        channel_id: u8,
        /// Serial of the message that it must have processed.
        message_serial: u64,
    }
}

layout! {
    /// Stops this channel until others have caught up.
    pub struct WaitForChannels {
        ;
        wait_count: u8,
        /// What to wait for.
        wait_list: [ChannelWait],
    }
}

layout! {
    /// Announces the end of the connection.
    pub struct Disconnecting {
        /// The sender's clock in nanoseconds.
        time_stamp: u64,
        /// Why.
        reason: LinkErrorCode,
    }
}

/// A text for the log or the user.
///
/// spice-server puts one NUL behind the text that `message_len` does not count; so does the encoder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
pub struct Notify {
    /// The server's clock in nanoseconds.
    pub time_stamp: u64,
    /// How bad it is.
    pub severity: NotifySeverity,
    /// Its audience.
    pub visibility: NotifyVisibility,
    /// A number for the kind of event; 0 = general.
    pub what: u32,
    /// The text, without NUL.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    #[cfg_attr(feature = "arbitrary", arbitrary(with = crate::arbitrary::bytes))]
    pub message: Bytes,
}

codec!(Notify);

layout! {
    /// The fixed part of [`Notify`].
    struct NotifyHead {
        time_stamp: u64,
        severity: NotifySeverity,
        visibility: NotifyVisibility,
        what: u32,
        message_len: u32,
    }
}

impl Decode for Notify {
    const NAME: &'static str = "Notify";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let NotifyHead {
            time_stamp,
            severity,
            visibility,
            what,
            message_len,
        } = NotifyHead::read(r)?;
        let message = r.blob(message_len, "message")?;
        Ok(Self {
            time_stamp,
            severity,
            visibility,
            what,
            message,
        })
    }
}

impl Encode for Notify {
    fn wire_len(&self) -> usize {
        NotifyHead::BLOCK.saturating_add(self.message.len()).saturating_add(1)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let Self {
            time_stamp,
            severity,
            visibility,
            what,
            ..
        } = *self;
        let message_len = length(self.message.len(), Self::NAME, "message_len", u32::MAX)?;
        NotifyHead {
            time_stamp,
            severity,
            visibility,
            what,
            message_len,
        }
        .write(dst)?;
        dst.extend_from_slice(&self.message);
        put_block::<1>(dst, |_| ());
        Ok(())
    }
}

layout! {
    /// Several messages in one frame, which counts as one message: [`crate::frame::SubMessages`] takes it
    /// apart.
    pub struct List {
        ;
        /// A list of offsets, and the messages that they lead to.
        data: rest,
    }
}

layout! {
    /// Answers [`SetAck`] at once.
    pub struct AckSync {
        /// That of [`SetAck`].
        generation: u32,
    }
}

layout! {
    /// Answers [`Ping`].
    pub struct Pong {
        /// That of the [`Ping`].
        id: u32,
        /// That of the [`Ping`].
        timestamp: u64,
    }
}
