//! A client's stream.

use super::messages::Messages;
use super::{FramingError, Message, Missing};
use crate::limits::Limits;
use crate::message::{ClientMessage, Extensions};

/// Finds the messages in what a client sends behind its ClientInit.
#[derive(Debug, Clone)]
pub struct ClientFramer {
    messages: Messages,
    failed: Option<FramingError>,
    limits: Limits,
}

impl ClientFramer {
    /// For the bytes behind the `ClientInit`.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            messages: Messages::new(),
            failed: None,
            limits: limits.clone(),
        }
    }

    /// Takes the next message off the front of `src`, or a piece of one that is longer than [`HELD`](super::HELD).
    /// `None`: more bytes are needed, of which [`missing`](Self::missing) tells; what is left in `src` is to stand in
    /// front of them.
    ///
    /// `extensions`: what the two sides have agreed on by now.
    ///
    /// # Errors
    /// Where the stream cannot be followed any further. The same error comes from every call after it.
    #[inline(always)]
    pub fn next_message<'a>(
        &mut self,
        src: &mut &'a [u8],
        extensions: &Extensions,
    ) -> Result<Option<Message<'a>>, FramingError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.messages
            .next::<ClientMessage>(src, *extensions, &self.limits)
            .inspect_err(|error| self.failed = Some(*error))
    }

    /// Takes the messages at the front of `src` that `numbers` has a bit for, as far as they are whole and have the form
    /// of one length. Gives how many of them are requests for updates; `None`: there are no such messages.
    #[inline]
    pub(super) fn pass(&mut self, src: &mut &[u8], numbers: u32) -> Option<u32> {
        if !self.is_between_messages() || self.failed.is_some() {
            return None;
        }
        self.messages
            .pass::<ClientMessage>(src, numbers, ClientMessage::FRAMEBUFFER_UPDATE_REQUEST)
    }

    /// What the last call of [`next_message`](Self::next_message) that gave nothing needs to go on.
    #[must_use]
    pub fn missing(&self) -> Missing {
        self.messages.missing
    }

    /// Whether the stream may end here: all messages are whole.
    #[must_use]
    pub fn is_between_messages(&self) -> bool {
        !self.messages.is_inside()
    }

    /// Bytes that were taken so far.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.messages.taken
    }
}
