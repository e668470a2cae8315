//! Messages of any channel, for programs that look at all of them.

use bytes::BytesMut;

use crate::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
use crate::error::{DecodeError, EncodeError};
use crate::frame::{Body, Frame};
use crate::ids::ChannelType;

/// Joins the message sets of the channels in one direction.
macro_rules! any {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident($message:ty) of $($channel:ident)|+,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[cfg_attr(feature = "serde", derive(serde::Serialize), serde(untagged))]
        #[cfg_attr(feature = "arbitrary", derive(::arbitrary::Arbitrary))]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$doc])* $variant($message),)*
            /// A channel without messages of its own, or a type that is not known.
            Other(common::$name),
        }

        impl $name {
            /// Decodes the body of a frame, by the type of its channel and its number.
            ///
            /// # Errors
            /// The first field of the body that does not fit, with its offset in the body.
            #[inline]
            pub fn decode(channel: ChannelType, frame: &Frame) -> Result<Self, DecodeError> {
                match channel {
                    $($(ChannelType::$channel)|+ => any!(@decode $variant $message, frame),)*
                    _ => any!(@decode Other common::$name, frame),
                }
            }

            /// Whether the number has no layout here.
            #[must_use]
            pub fn is_unknown(&self) -> bool {
                match self {
                    $(Self::$variant(message) => message.is_unknown(),)*
                    Self::Other(message) => message.is_unknown(),
                }
            }

            /// The message number, as it stands in the header.
            #[must_use]
            #[inline]
            pub fn number(&self) -> u16 {
                match self {
                    $(Self::$variant(message) => message.number(),)*
                    Self::Other(message) => message.number(),
                }
            }

            /// The name in the specification.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(message) => message.name(),)*
                    Self::Other(message) => message.name(),
                }
            }

            /// Appends the body.
            ///
            /// # Errors
            /// A value that its field cannot hold; `dst` is then as it was.
            #[inline]
            pub fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                match self {
                    $(Self::$variant(message) => message.encode(dst),)*
                    Self::Other(message) => message.encode(dst),
                }
            }

            /// Bytes that `encode` appends.
            #[must_use]
            #[inline]
            pub fn encoded_len(&self) -> usize {
                match self {
                    $(Self::$variant(message) => message.encoded_len(),)*
                    Self::Other(message) => message.encoded_len(),
                }
            }
        }

        impl Body for $name {
            #[inline]
            fn number(&self) -> u16 {
                Self::number(self)
            }
            #[inline]
            fn encode(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
                Self::encode(self, dst)
            }
            fn encoded_len(&self) -> usize {
                Self::encoded_len(self)
            }
        }
    };
    (@decode $variant:ident $message:ty, $frame:ident) => {
        <$message>::decode_as($frame, Self::$variant, |frame| Self::$variant(<$message>::Unknown(frame)))
    };
}

any! {
    /// A message from server to client, of any channel.
    ServerMessage {
        /// Of the main channel.
        Main(main::ServerMessage) of MAIN,
        /// Of a display channel.
        Display(display::ServerMessage) of DISPLAY,
        /// Of the inputs channel.
        Inputs(inputs::ServerMessage) of INPUTS,
        /// Of a cursor channel.
        Cursor(cursor::ServerMessage) of CURSOR,
        /// Of the playback channel.
        Playback(playback::ServerMessage) of PLAYBACK,
        /// Of the record channel.
        Record(record::ServerMessage) of RECORD,
        /// Of the smartcard channel.
        Smartcard(smartcard::ServerMessage) of SMARTCARD,
        /// Of a usbredir channel.
        Usbredir(vmc::ServerMessage) of USBREDIR,
        /// Of a port or webdav channel.
        Port(port::ServerMessage) of PORT | WEBDAV,
    }
}

any! {
    /// A message from client to server, of any channel. Cursor and playback have common messages only.
    ClientMessage {
        /// Of the main channel.
        Main(main::ClientMessage) of MAIN,
        /// Of a display channel.
        Display(display::ClientMessage) of DISPLAY,
        /// Of the inputs channel.
        Inputs(inputs::ClientMessage) of INPUTS,
        /// Of the record channel.
        Record(record::ClientMessage) of RECORD,
        /// Of the smartcard channel.
        Smartcard(smartcard::ClientMessage) of SMARTCARD,
        /// Of a usbredir channel.
        Usbredir(vmc::ClientMessage) of USBREDIR,
        /// Of a port or webdav channel.
        Port(port::ClientMessage) of PORT | WEBDAV,
    }
}

impl ServerMessage {
    /// The message, if it is one of those that every channel has: `SET_ACK`, `PING`, migrations, notices. A client owes
    /// an answer to some of them on each channel.
    #[must_use]
    pub const fn common(&self) -> Option<&common::ServerMessage> {
        match self {
            Self::Main(main::ServerMessage::Common(message))
            | Self::Display(display::ServerMessage::Common(message))
            | Self::Inputs(inputs::ServerMessage::Common(message))
            | Self::Cursor(cursor::ServerMessage::Common(message))
            | Self::Playback(playback::ServerMessage::Common(message))
            | Self::Record(record::ServerMessage::Common(message))
            | Self::Smartcard(smartcard::ServerMessage::Common(message))
            | Self::Usbredir(vmc::ServerMessage::Common(message))
            | Self::Port(port::ServerMessage::Common(vmc::ServerMessage::Common(message)))
            | Self::Other(message) => Some(message),
            _ => None,
        }
    }
}
