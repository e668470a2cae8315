//! The messages of a client, one after the other.

use super::{ClientMessage, Extensions, SetEncodings};
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::wire::Decode as _;

/// The messages that lie whole in a buffer: the quickest way through what a client sends. Nothing is taken off the
/// buffer between two of them; when there are no more, drop [`taken`](Self::taken) bytes of it. Payloads are copied.
///
/// What the client asks for is learnt on the way, since it changes how what follows it is read. What the server
/// announces has to be told to the same [`Extensions`] between two buffers.
///
/// ```
/// use rfb_proto::Limits;
/// use rfb_proto::message::{ClientMessage, ClientMessages, Extensions, KeyEvent};
///
/// // A key, and the beginning of a pointer event.
/// let rx = [4, 1, 0, 0, 0, 0, 0xff, 0x0d, 5, 0];
/// let (mut extensions, limits) = (Extensions::default(), Limits::default());
/// let mut messages = ClientMessages::new(&rx, &mut extensions, &limits);
/// let down = KeyEvent { down: 1, padding: [0; 2], keysym: 0xff0d };
/// assert_eq!(messages.next(), Some(Ok(down.into())));
/// assert_eq!(messages.next(), None);
/// assert_eq!(messages.taken(), 8);
/// ```
#[derive(Debug)]
pub struct ClientMessages<'a> {
    buffer: &'a [u8],
    rest: &'a [u8],
    extensions: &'a mut Extensions,
    limits: &'a Limits,
}

impl<'a> ClientMessages<'a> {
    /// Those at the front of `buffer`.
    #[must_use]
    pub fn new(buffer: &'a [u8], extensions: &'a mut Extensions, limits: &'a Limits) -> Self {
        Self {
            buffer,
            rest: buffer,
            extensions,
            limits,
        }
    }

    /// What the client asks for changes how the next messages are read.
    #[cold]
    fn set_encodings(&mut self) -> Option<Result<ClientMessage, DecodeError>> {
        let set = SetEncodings::front(&mut self.rest, self.extensions, self.limits)?;
        Some(set.map(|set| {
            self.extensions.client_asked(&set.encodings);
            set.into()
        }))
    }

    /// Bytes of the messages that were given.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.buffer.len().saturating_sub(self.rest.len())
    }
}

impl Iterator for ClientMessages<'_> {
    type Item = Result<ClientMessage, DecodeError>;

    /// The next message; after an error the same error again, for the stream cannot be followed any further.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if let [2, ..] = self.rest {
            return self.set_encodings();
        }
        ClientMessage::front(&mut self.rest, self.extensions, self.limits)
    }
}
