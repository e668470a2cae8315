//! What a relay needs of a framer to bring in another server.

use super::{ServerFramer, State};
use crate::encoding::Rectangle;
use crate::encoding::walk::Context;
use crate::init::ServerInit;
use crate::message::Extensions;

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
