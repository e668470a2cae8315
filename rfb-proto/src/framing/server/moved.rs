//! What a relay needs of a framer to bring in another server.

use super::{HEAD, ServerFramer, State};
use crate::encoding::Rectangle;
use crate::encoding::walk::Context;
use crate::fields::Fixed as _;
use crate::framing::Piece;
use crate::init::ServerInit;
use crate::message::{ClientMessage, Extensions};

impl ServerFramer {
    /// The same for another server, from its first byte behind this `ServerInit`.
    pub(in crate::framing) fn for_server(&self, init: &ServerInit) -> Self {
        Self::new(init, &self.limits)
            .with_policy(self.policy)
            .with_ambiguous_format(self.doubt)
            .with_extensions(Extensions::NONE)
    }

    /// Whether an update has begun and has not ended.
    pub(in crate::framing) const fn is_in_update(&self) -> bool {
        matches!(self.state, State::Rectangle | State::Payload { .. })
    }

    /// Rectangles that the update still needs, between two of them.
    pub(in crate::framing) fn open_rectangles(&self) -> Option<u32> {
        matches!(self.state, State::Rectangle).then_some(self.rectangles)
    }

    /// What the update still needed is made up.
    pub(in crate::framing) fn end_here(&mut self) {
        self.rectangles = 0;
        self.state = State::Message;
    }

    /// A message of the client that is input, or a request: as [`client_sent`](Self::client_sent). `false`: it is none,
    /// or a longer form of it.
    #[inline]
    pub(in crate::framing) fn client_sent_input(&mut self, number: u8, len: u64) -> bool {
        match (number, len) {
            (ClientMessage::FRAMEBUFFER_UPDATE_REQUEST, _) => self.formats.client_asked(1),
            // The long form of the second is an extension's.
            (ClientMessage::KEY_EVENT, _) | (ClientMessage::POINTER_EVENT, 6) => {}
            _ => return false,
        }
        self.formats.client_syncs(false);
        true
    }

    /// Takes the rectangle that is next, if all of it lies in `src` and nothing is to be checked: as
    /// [`next_part`](Self::next_part). `concerns`: it is left to be looked at.
    #[inline(always)]
    pub(in crate::framing) fn whole_rectangle<'a>(
        &mut self,
        src: &mut &'a [u8],
        concerns: impl FnOnce(&Rectangle, &[u8]) -> bool,
    ) -> Option<Piece<'a>> {
        if !self.plain || !self.is_at_rectangle() {
            return None;
        }
        let (mut head, rest) = src.split_at_checked(HEAD)?;
        if concerns(&Rectangle::get(&mut head), rest) {
            return None;
        }
        self.take_whole(src)
    }

    /// Whether a rectangle is next.
    #[inline]
    pub(in crate::framing) const fn is_at_rectangle(&self) -> bool {
        matches!(self.state, State::Rectangle)
    }

    /// What tells how long the payload of this rectangle is, which is next.
    pub(in crate::framing) fn context_of(&mut self, rectangle: &Rectangle) -> &Context {
        if !self.plain {
            // What is wrong is kept, and comes with the next part.
            let _ = self.check(rectangle);
        }
        &self.context
    }
}
