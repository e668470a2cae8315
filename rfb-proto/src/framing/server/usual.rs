//! What most of a stream is made of: heads of updates, and rectangles that are all there.
//!
//! It is compiled into the loop of the caller, who sees what each part is; any other part is found out of the way, in
//! [`ServerFramer::any_part`].

use super::{HEAD, ServerFramer, State, UPDATE_HEAD};
use crate::encoding::{Rectangle, walk};
use crate::fields::Fixed as _;
use crate::framing::{Ends, Piece};
use crate::message::{FramebufferUpdate, ServerMessage};

impl ServerFramer {
    /// A rectangle of which all is there, and nothing is to be checked. INVARIANT: the stream is at a rectangle, and
    /// [`plain`](Self::plain).
    #[inline(always)]
    pub(super) fn take_whole<'a>(&mut self, src: &mut &'a [u8]) -> Option<Piece<'a>> {
        let (mut head, rest) = src.split_at_checked(HEAD)?;
        let rectangle = Rectangle::get(&mut head);
        let len = walk::whole(&rectangle, rest, &self.context)?;
        self.take_piece(src, rectangle, rest, len)
    }

    /// A rectangle with a payload of so many bytes, all of which are there: of a picture of which nothing is to be checked.
    #[inline(always)]
    pub(super) fn take_piece<'a>(
        &mut self,
        src: &mut &'a [u8],
        rectangle: Rectangle,
        rest: &'a [u8],
        len: usize,
    ) -> Option<Piece<'a>> {
        let (payload, rest) = rest.split_at_checked(len)?;
        *src = rest;
        self.messages.taken = self.messages.taken.wrapping_add(len as u64).wrapping_add(HEAD as u64);
        self.shows = true;
        // At a rectangle there is one at least.
        self.rectangles = self.rectangles.wrapping_sub(1);
        let ends = match self.rectangles {
            0 => {
                // It has shown something, and no format is pending.
                self.state = State::Message;
                self.formats.server_updated_often(1);
                Ends::Update
            }
            _ => Ends::Rectangle,
        };
        Some(Piece {
            rectangle,
            first: true,
            offset: 0,
            payload,
            ends,
        })
    }

    /// The head of an update, if that is next.
    #[inline(always)]
    pub(super) fn update_head(&mut self, src: &mut &[u8]) -> Option<FramebufferUpdate> {
        let [ServerMessage::FRAMEBUFFER_UPDATE, padding, high, low, rest @ ..] = *src else {
            return None;
        };
        // A piece of another message can look like one.
        if self.messages.is_inside() {
            return None;
        }
        let (padding, rectangles) = (*padding, u16::from_be_bytes([*high, *low]));
        *src = rest;
        self.messages.taken = self.messages.taken.wrapping_add(UPDATE_HEAD as u64);
        (self.rectangles, self.shows) = (rectangles.into(), false);
        if rectangles != 0 {
            self.state = State::Rectangle;
        }
        Some(FramebufferUpdate { padding, rectangles })
    }
}
