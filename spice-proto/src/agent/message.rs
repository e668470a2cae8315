//! Agent messages by their number.

use bytes::{Bytes, BytesMut};

use super::caps::{Agreed, AnnounceCapabilities};
use super::{
    AudioVolumeSync, Clipboard, ClipboardGrab, ClipboardRelease, ClipboardRequest, DisplayConfig, FileXferData,
    FileXferStart, FileXferStatus, GraphicsDeviceInfo, MaxClipboard, MonitorsConfig, MouseState, PROTOCOL, Reply,
};
use crate::channel::messages;
use crate::error::{DecodeError, EncodeError};
use crate::fields::{Decode, Encode, layout, length};
use crate::ids::AgentMessageType;

layout! {
    /// What every agent message begins with (the head of `VDAgentMessage`).
    #[derive(Copy)]
    pub struct MessageHeader {
        /// [`PROTOCOL`]. spice-server closes a connection that says otherwise; spice-gtk and the guest's
        /// agent leave out the message.
        protocol: u32,
        /// Its kind.
        r#type: AgentMessageType,
        /// Not in use: 0.
        opaque: u64,
        /// Bytes that follow.
        size: u32,
    }
}

impl MessageHeader {
    /// Bytes of a header: 20.
    pub const LEN: usize = Self::BLOCK;
}

/// One agent message: its header and what follows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Frame {
    /// Its header. `size` is what was received; what is written is the length of `data`.
    pub header: MessageHeader,
    /// What follows it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::hex"))]
    pub data: Bytes,
}

impl Frame {
    /// Appends header and data.
    ///
    /// # Errors
    /// More data than the size field can say; `dst` is then as it was.
    pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let size = length(self.data.len(), MessageHeader::NAME, "size", u32::MAX)?;
        MessageHeader { size, ..self.header }.write(dst)?;
        dst.extend_from_slice(&self.data);
        Ok(())
    }

    /// Bytes that `encode` appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        MessageHeader::LEN.saturating_add(self.data.len())
    }
}

/// Maps the types of [`AgentMessageType`] to messages, as [`messages!`] does for a channel. `by agreed` marks those
/// whose form depends on capabilities.
macro_rules! agent_messages {
    ($($(#[$doc:meta])* $spec:ident => $variant:ident $(($ty:ident $(by $agreed:ident)?))?,)*) => {
        /// An agent message, in either direction.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
        #[non_exhaustive]
        pub enum Message {
            $($(#[$doc])* $variant $(($ty))?,)*
            /// A number that has no layout here, or another protocol: passed on as it came.
            Unknown(Frame),
        }

        impl Message {
            /// Every number of this table, with the name in the specification.
            pub const TABLE: &'static [(u32, &'static str)] = &[$((AgentMessageType::$spec.0, messages!(@spec $spec))),*];

            /// Decodes the data of a frame, by its type. `agreed`: what client and agent announced before.
            ///
            /// Trailing bytes are ignored. The guest's agent leaves out a message of fixed size that has
            /// any; spice-gtk does not mind.
            ///
            /// # Errors
            /// The first field that does not fit, with its offset in the data.
            pub fn decode(frame: &Frame, agreed: Agreed) -> Result<Self, DecodeError> {
                match frame.header.r#type {
                    _ if frame.header.protocol != PROTOCOL => Ok(Self::Unknown(frame.clone())),
                    $(AgentMessageType::$spec => agent_messages!(@decode $variant $($ty $($agreed)?)?, frame, agreed),)*
                    _ => Ok(Self::Unknown(frame.clone())),
                }
            }

            /// Whether there is no layout here.
            #[must_use]
            pub fn is_unknown(&self) -> bool {
                matches!(self, Self::Unknown(_))
            }

            /// Its type, as it stands in the header.
            #[must_use]
            pub fn message_type(&self) -> AgentMessageType {
                match self {
                    $(messages!(@pattern $variant $($ty)?) => AgentMessageType::$spec,)*
                    Self::Unknown(frame) => frame.header.r#type,
                }
            }

            /// The name in the specification.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(messages!(@pattern $variant $($ty)?) => messages!(@spec $spec),)*
                    Self::Unknown(_) => "unknown",
                }
            }

            /// Appends the data, without a header.
            ///
            /// # Errors
            /// A value that its field cannot hold; `dst` is then as it was.
            pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(messages!(@bind message $variant $($ty)?) => messages!(@encode message dst $($ty)?),)*
                    Self::Unknown(frame) => {
                        dst.extend_from_slice(&frame.data);
                        Ok(())
                    }
                }
            }

            /// Bytes that `encode` appends.
            #[must_use]
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(messages!(@bind message $variant $($ty)?) => messages!(@len message $($ty)?),)*
                    Self::Unknown(frame) => frame.data.len(),
                }
            }
        }
    };
    (@decode $variant:ident $ty:ident $agreed_by:ident, $frame:ident, $agreed:ident) => {
        <$ty>::decode(&$frame.data, $agreed).map(Self::$variant)
    };
    (@decode $variant:ident $ty:ident, $frame:ident, $agreed:ident) => { <$ty>::decode(&$frame.data).map(Self::$variant) };
    (@decode $variant:ident, $frame:ident, $agreed:ident) => { Ok(Self::$variant) };
}

agent_messages! {
    /// `VD_AGENT_MOUSE_STATE`: from the server to the agent only.
    MOUSE_STATE => MouseState(MouseState),
    /// `VD_AGENT_MONITORS_CONFIG`: from the client.
    MONITORS_CONFIG => MonitorsConfig(MonitorsConfig),
    /// `VD_AGENT_REPLY`: from the agent.
    REPLY => Reply(Reply),
    /// `VD_AGENT_CLIPBOARD`: from both.
    CLIPBOARD => Clipboard(Clipboard by agreed),
    /// `VD_AGENT_DISPLAY_CONFIG`: from the client.
    DISPLAY_CONFIG => DisplayConfig(DisplayConfig),
    /// `VD_AGENT_ANNOUNCE_CAPABILITIES`: from both.
    ANNOUNCE_CAPABILITIES => AnnounceCapabilities(AnnounceCapabilities),
    /// `VD_AGENT_CLIPBOARD_GRAB`: from both.
    CLIPBOARD_GRAB => ClipboardGrab(ClipboardGrab by agreed),
    /// `VD_AGENT_CLIPBOARD_REQUEST`: from both.
    CLIPBOARD_REQUEST => ClipboardRequest(ClipboardRequest by agreed),
    /// `VD_AGENT_CLIPBOARD_RELEASE`: from both.
    CLIPBOARD_RELEASE => ClipboardRelease(ClipboardRelease by agreed),
    /// `VD_AGENT_FILE_XFER_START`: from the client.
    FILE_XFER_START => FileXferStart(FileXferStart),
    /// `VD_AGENT_FILE_XFER_STATUS`: from both.
    FILE_XFER_STATUS => FileXferStatus(FileXferStatus),
    /// `VD_AGENT_FILE_XFER_DATA`: from the client.
    FILE_XFER_DATA => FileXferData(FileXferData),
    /// `VD_AGENT_CLIENT_DISCONNECTED`: from the server to the agent only.
    CLIENT_DISCONNECTED => ClientDisconnected,
    /// `VD_AGENT_MAX_CLIPBOARD`: from the client.
    MAX_CLIPBOARD => MaxClipboard(MaxClipboard),
    /// `VD_AGENT_AUDIO_VOLUME_SYNC`: from both.
    AUDIO_VOLUME_SYNC => AudioVolumeSync(AudioVolumeSync),
    /// `VD_AGENT_GRAPHICS_DEVICE_INFO`: from the server to the agent only.
    GRAPHICS_DEVICE_INFO => GraphicsDeviceInfo(GraphicsDeviceInfo),
}

impl Message {
    /// The message with a header: protocol 1, `opaque` 0. One that is unknown keeps its own.
    ///
    /// # Errors
    /// A value that its field cannot hold.
    pub fn to_frame(&self) -> Result<Frame, EncodeError> {
        let mut data = BytesMut::with_capacity(self.encoded_len());
        self.encode(&mut data)?;
        let size = length(data.len(), MessageHeader::NAME, "size", u32::MAX)?;
        let (protocol, opaque) = match self {
            Self::Unknown(frame) => (frame.header.protocol, frame.header.opaque),
            _ => (PROTOCOL, 0),
        };
        let header = MessageHeader {
            protocol,
            r#type: self.message_type(),
            opaque,
            size,
        };
        let data = data.freeze();
        Ok(Frame { header, data })
    }
}
