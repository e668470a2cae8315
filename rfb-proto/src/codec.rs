//! Codecs for [`tokio_util::codec::Framed`] (feature `tokio`): the messages behind the handshake as a stream and a sink.
//!
//! [`ServerCodec`] is for a server, or for a proxy towards its tenant: it reads what a client sends. [`ClientCodec`] is
//! for the other end; it reads [`ServerItem`]s, for a picture comes rectangle by rectangle, and a large rectangle in
//! pieces. Both know what the two sides have agreed on from what they read and write themselves. They take off the
//! reader's buffer no more than what they give, so that [`tokio_util::codec::Framed::into_parts`] gives back the rest.
//!
//! ```
//! use rfb_proto::codec::{ClientCodec, ServerCodec};
//! use rfb_proto::message::{Bell, ClientMessage, KeyEvent};
//! use rfb_proto::{Limits, PixelFormat, ServerInit};
//! use tokio_util::codec::{Decoder, Encoder};
//!
//! // What `Framed::new(stream, codec)` does with its buffers.
//! let init = ServerInit { width: 640, height: 480, format: PixelFormat::RGB888, name: Default::default() };
//! let (mut client, mut server) = (ClientCodec::new(&init, &Limits::default()), ServerCodec::new(&Limits::default()));
//! let down = ClientMessage::KeyEvent(KeyEvent { down: 1, padding: [0; 2], keysym: 0x61 });
//! let mut buffers = bytes::BytesMut::new();
//! client.encode(down.clone(), &mut buffers)?;
//! assert_eq!(server.decode(&mut buffers)?, Some(down));
//! server.encode(Bell {}.into(), &mut buffers)?;
//! assert_eq!(client.decode(&mut buffers)?, Some(Bell {}.into()));
//! # Ok::<(), rfb_proto::codec::CodecError>(())
//! ```

use bytes::{Bytes, BytesMut};
use tokio::io;
use tokio_util::codec::{Decoder, Encoder};

use crate::encoding::Rectangle;
use crate::error::{DecodeError, EncodeError};
use crate::framing::{Ends, FramingError, Part, ServerFramer};
use crate::init::ServerInit;
use crate::limits::Limits;
use crate::message::{ClientMessage, Extensions, ServerMessage};

/// Why a stream or a sink ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The connection failed, or ended inside of a message.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A server's stream that cannot be followed any further.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A message that has no wire form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// What a server sends: a message, or a part of the update whose head was the message before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerItem {
    /// A message. Of an update it is the head.
    Message(ServerMessage),
    /// A rectangle of the update, or a piece of one.
    Rectangle(RectanglePiece),
}

impl<M: Into<ServerMessage>> From<M> for ServerItem {
    fn from(message: M) -> Self {
        Self::Message(message.into())
    }
}

/// A rectangle, or a piece of one: as [`Piece`](crate::framing::Piece), with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RectanglePiece {
    /// Its head.
    pub rectangle: Rectangle,
    /// Whether this is the first piece, so that the bytes of the head stand in front of it.
    pub first: bool,
    /// What there is of the payload. Pieces end anywhere.
    pub payload: Bytes,
    /// What ends with it.
    pub ends: Ends,
}

/// The codec of a server: reads [`ClientMessage`]s, writes [`ServerItem`]s.
#[derive(Debug, Clone)]
pub struct ServerCodec {
    extensions: Extensions,
    limits: Limits,
}

impl ServerCodec {
    /// For what follows the `ServerInit`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            extensions: Extensions::NONE,
            limits: limits.clone(),
        }
    }

    /// What the two sides have agreed on so far.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

impl Decoder for ServerCodec {
    type Item = ClientMessage;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<ClientMessage>, CodecError> {
        let Some(message) = ClientMessage::take(src, &self.extensions, &self.limits)? else {
            src.reserve(ClientMessage::missing(src, &self.extensions, &self.limits)?);
            return Ok(None);
        };
        self.extensions.client_sent(&message);
        Ok(Some(message))
    }
}

impl Encoder<ServerItem> for ServerCodec {
    type Error = CodecError;

    /// Of a rectangle the head is written in front of its first piece. Whether it is whole is the caller's to see to.
    fn encode(&mut self, item: ServerItem, dst: &mut BytesMut) -> Result<(), CodecError> {
        match item {
            ServerItem::Message(message) => {
                message.encode(dst)?;
                self.extensions.server_sent(&message);
            }
            ServerItem::Rectangle(piece) => {
                if piece.first {
                    piece.rectangle.encode(dst)?;
                    self.extensions.server_sent_rectangle(piece.rectangle.encoding);
                }
                dst.extend_from_slice(&piece.payload);
            }
        }
        Ok(())
    }
}

/// The codec of a client: reads [`ServerItem`]s, writes [`ClientMessage`]s.
///
/// Only encodings of which it is known where their rectangles end may be asked for
/// ([`Encoding::can_be_framed`](crate::encoding::Encoding::can_be_framed)): one of another ends the stream.
#[derive(Debug, Clone)]
pub struct ClientCodec {
    framer: ServerFramer,
    /// A message that comes in pieces. It is within its limit.
    held: BytesMut,
    limits: Limits,
}

impl ClientCodec {
    /// For what follows this `ServerInit`.
    #[must_use]
    pub fn new(init: &ServerInit, limits: &Limits) -> Self {
        Self {
            framer: ServerFramer::new(init, limits).with_extensions(Extensions::NONE),
            held: BytesMut::new(),
            limits: limits.clone(),
        }
    }

    /// What is known of the connection: the formats of pixels, the framebuffer, what was agreed on.
    #[must_use]
    pub fn framer(&self) -> &ServerFramer {
        &self.framer
    }
}

/// What was found in front of the buffer, without its bytes.
enum Found {
    Message { whole: bool, last: bool },
    Item(ServerItem, usize),
}

impl Decoder for ClientCodec {
    type Item = ServerItem;
    type Error = CodecError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<ServerItem>, CodecError> {
        loop {
            // As it was when the message was sent: its own announcement changes what comes behind it.
            let extensions = *self.framer.extensions();
            let mut rest = &src[..];
            let Some(part) = self.framer.next_part(&mut rest)? else {
                let missing = usize::try_from(self.framer.missing().bytes).unwrap_or(usize::MAX);
                // A rectangle can be as long as it likes; its pieces go on as they come.
                src.reserve(missing.min(crate::framing::HELD));
                return Ok(None);
            };
            let taken = src.len().saturating_sub(rest.len());
            let found = match part {
                Part::Message(message) => Found::Message {
                    whole: message.whole().is_some(),
                    last: message.is_last(),
                },
                Part::Update(head) => Found::Item(head.into(), 0),
                Part::Rectangle(piece) => {
                    let len = piece.payload.len();
                    let piece = RectanglePiece {
                        rectangle: piece.rectangle,
                        first: piece.first,
                        payload: Bytes::new(),
                        ends: piece.ends,
                    };
                    Found::Item(ServerItem::Rectangle(piece), len)
                }
            };
            let bytes = src.split_to(taken);
            let message = match found {
                Found::Item(ServerItem::Rectangle(mut piece), payload) => {
                    // The payload is what the bytes end with.
                    piece.payload = bytes.freeze().split_off(taken.saturating_sub(payload));
                    return Ok(Some(ServerItem::Rectangle(piece)));
                }
                Found::Item(item, _) => return Ok(Some(item)),
                Found::Message { whole: true, .. } => bytes.freeze(),
                Found::Message { last, .. } => {
                    self.held.extend_from_slice(&bytes);
                    if !last {
                        continue;
                    }
                    self.held.split().freeze()
                }
            };
            let message = ServerMessage::decode(&message, &extensions, &self.limits)?;
            return Ok(Some(ServerItem::Message(message)));
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<ServerItem>, CodecError> {
        match self.decode(src)? {
            None if self.framer.is_between_messages() && src.is_empty() => Ok(None),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            item => Ok(item),
        }
    }
}

impl Encoder<ClientMessage> for ClientCodec {
    type Error = CodecError;

    fn encode(&mut self, message: ClientMessage, dst: &mut BytesMut) -> Result<(), CodecError> {
        let before = dst.len();
        message.encode(dst)?;
        self.framer.client_sent(dst.get(before..).unwrap_or_default())?;
        Ok(())
    }
}
