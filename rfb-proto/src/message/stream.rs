//! The messages of a client, one after the other.

use super::{ClientMessage, Extensions, FramebufferUpdateRequest, KeyEvent, PointerEvent};
use crate::error::DecodeError;
use crate::fields::Decode as _;
use crate::limits::Limits;

/// The messages that lie whole in a buffer: the quickest way through what a client sends. Nothing is taken off the
/// buffer between two of them; when there are no more, [`finish`](Self::finish) says how many bytes of it to drop, or
/// what is wrong with the next one. Payloads are copied.
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
/// assert_eq!(messages.next(), Some(down.into()));
/// assert_eq!(messages.next(), None);
/// assert_eq!(messages.finish(), Ok(8));
/// ```
#[derive(Debug)]
pub struct ClientMessages<'a> {
    buffer: &'a [u8],
    rest: &'a [u8],
    extensions: &'a mut Extensions,
    limits: &'a Limits,
    fault: Option<DecodeError>,
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
            fault: None,
        }
    }

    /// Bytes of the messages that were given.
    ///
    /// # Errors
    /// What ended them, if it was not the end of the buffer: the first field that does not fit, with its offset in
    /// its message. The stream cannot be followed any further.
    pub fn finish(self) -> Result<usize, DecodeError> {
        match self.fault {
            None => Ok(self.buffer.len().saturating_sub(self.rest.len())),
            Some(error) => Err(error),
        }
    }

    /// Any message, and what it changes for those behind it.
    #[inline(never)]
    fn any(&mut self) -> Option<ClientMessage> {
        let found = ClientMessage::front(&mut self.rest, self.extensions, self.limits, &mut self.fault);
        if let Some(ClientMessage::SetEncodings(set)) = &found {
            self.extensions.client_asked(&set.encodings);
        }
        found
    }
}

impl Iterator for ClientMessages<'_> {
    type Item = ClientMessage;

    // What nearly all of a session is made of is read in the caller's own loop, where the compiler sees what it is. All
    // others would only be taken apart there and put together again.
    #[inline]
    fn next(&mut self) -> Option<ClientMessage> {
        let (src, fault) = (&mut self.rest, &mut self.fault);
        match src.first()? {
            3 => FramebufferUpdateRequest::front(src, self.extensions, self.limits, fault).map(Into::into),
            4 => KeyEvent::front(src, self.extensions, self.limits, fault).map(Into::into),
            5 => PointerEvent::front(src, self.extensions, self.limits, fault).map(Into::into),
            _ => self.any(),
        }
    }
}
