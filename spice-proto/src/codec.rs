//! Codecs for [`tokio_util::codec::Framed`] (feature `tokio`): the data stage as a stream and a sink.
//!
//! [`FrameCodec`] reads and writes frames without a look into them. [`MessageCodec`] knows the channel and
//! the role, and reads and writes messages. Both number what they write from 1, and take off the reader's
//! buffer no more than whole frames, so that [`tokio_util::codec::Framed::into_parts`] gives back the rest.
//!
//! ```
//! use spice_proto::channel::{ClientMessage, ServerMessage, inputs};
//! use spice_proto::codec::MessageCodec;
//! use spice_proto::frame::HeaderForm;
//! use spice_proto::ids::ChannelType;
//! use spice_proto::Limits;
//! use tokio_util::codec::{Decoder, Encoder};
//!
//! // What `Framed::new(stream, codec)` does with its buffers.
//! let limits = Limits::default();
//! let mut client = MessageCodec::client(ChannelType::INPUTS, HeaderForm::Mini, &limits);
//! let mut server = MessageCodec::server(ChannelType::INPUTS, HeaderForm::Mini, &limits);
//! let down = ClientMessage::Inputs(inputs::ClientMessage::KeyDown(inputs::Key { code: 0x1c }));
//! let mut buffers = bytes::BytesMut::new();
//! client.encode(down.clone(), &mut buffers)?;
//! assert_eq!(server.decode(&mut buffers)?, Some(down));
//! # Ok::<(), spice_proto::codec::CodecError>(())
//! ```

use bytes::BytesMut;
use core::marker::PhantomData;
use tokio::io;
use tokio_util::codec::{Decoder, Encoder};

use crate::Limits;
use crate::channel::{ClientMessage, ServerMessage};
use crate::error::{DecodeError, EncodeError};
use crate::frame::{Body, Frame, FrameReader, HeaderForm, Writer};
use crate::ids::ChannelType;

/// Why a stream or a sink ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The connection failed, or ended inside of a frame.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A header, or the body of a frame.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message that has no wire form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// Frames, without a look into them.
#[derive(Debug, Clone)]
pub struct FrameCodec {
    splitter: FrameReader,
    writer: Writer,
}

impl FrameCodec {
    /// For a connection with this form of headers. [`Limits::frame_body`] bounds what is held.
    #[must_use]
    pub fn new(form: HeaderForm, limits: &Limits) -> Self {
        Self {
            splitter: FrameReader::new(form, limits),
            writer: Writer::new(form),
        }
    }
}

impl Decoder for FrameCodec {
    type Item = Frame;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, CodecError> {
        Ok(self.splitter.decode(src)?)
    }
}

/// The serial is one of this connection, whatever the frame's own is.
impl Encoder<Frame> for FrameCodec {
    type Error = CodecError;

    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), CodecError> {
        Ok(self.writer.write_frame(&frame, dst)?)
    }
}

/// Messages of one channel. `In` is what is read, `Out` what is written.
#[derive(Debug)]
pub struct MessageCodec<In, Out> {
    channel: ChannelType,
    frames: FrameCodec,
    roles: PhantomData<fn() -> (In, Out)>,
}

impl<In, Out> MessageCodec<In, Out> {
    fn new(channel: ChannelType, form: HeaderForm, limits: &Limits) -> Self {
        Self {
            channel,
            frames: FrameCodec::new(form, limits),
            roles: PhantomData,
        }
    }
}

impl MessageCodec<ServerMessage, ClientMessage> {
    /// For a client of this channel.
    #[must_use]
    pub fn client(channel: ChannelType, form: HeaderForm, limits: &Limits) -> Self {
        Self::new(channel, form, limits)
    }
}

impl MessageCodec<ClientMessage, ServerMessage> {
    /// For a server of this channel.
    #[must_use]
    pub fn server(channel: ChannelType, form: HeaderForm, limits: &Limits) -> Self {
        Self::new(channel, form, limits)
    }
}

macro_rules! decoders {
    ($($message:ident from $other:ident),*) => {$(
        impl Decoder for MessageCodec<$message, $other> {
            type Item = $message;
            type Error = CodecError;

            fn decode(&mut self, src: &mut BytesMut) -> Result<Option<$message>, CodecError> {
                let frame = self.frames.decode(src)?;
                Ok(frame.map(|frame| $message::decode(self.channel, &frame)).transpose()?)
            }
        }
    )*};
}

decoders!(ServerMessage from ClientMessage, ClientMessage from ServerMessage);

impl<In, Out: Body> Encoder<Out> for MessageCodec<In, Out> {
    type Error = CodecError;

    fn encode(&mut self, message: Out, dst: &mut BytesMut) -> Result<(), CodecError> {
        Ok(self.frames.writer.write(&message, dst)?)
    }
}
