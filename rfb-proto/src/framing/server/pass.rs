//! What a relay lets pass without giving it out: a whole buffer at a time.

use super::{HEAD, ServerFramer, State};
use crate::encoding::Rectangle;
use crate::encoding::walk;
use crate::fields::Fixed as _;
use crate::message::ServerMessage;

impl ServerFramer {
    /// Messages of the client that are input or requests, and so many requests: as [`client_sent`](Self::client_sent)
    /// for each of them.
    #[inline]
    pub(in crate::framing) fn client_sent_inputs(&mut self, requests: u32) {
        self.formats.client_asked(requests);
        self.formats.client_syncs(false);
    }

    /// Takes the updates at the front of `src` as far as all of a rectangle is there and nothing of it is to be checked:
    /// as [`next_part`](Self::next_part) for each part. `concerns`: a rectangle that is left to be looked at. `STOPS`: no
    /// further than to the end of an update.
    ///
    /// Gives whether an update has ended.
    #[inline]
    pub(in crate::framing) fn pass<const STOPS: bool>(
        &mut self,
        src: &mut &[u8],
        mut concerns: impl FnMut(&Rectangle, &[u8]) -> bool,
    ) -> bool {
        let mut open = match self.state {
            State::Rectangle => self.rectangles,
            State::Message if !self.messages.is_inside() => 0,
            _ => return false,
        };
        if !self.plain {
            return false;
        }
        let (mut rest, mut ended) = (*src, 0_u32);
        loop {
            if open == 0 {
                let [ServerMessage::FRAMEBUFFER_UPDATE, _, high, low, behind @ ..] = rest else {
                    break;
                };
                if STOPS && ended != 0 {
                    break;
                }
                (open, rest) = (u16::from_be_bytes([*high, *low]).into(), behind);
                self.shows = false;
                continue;
            }
            let Some(behind) = self.behind_rectangle(rest, &mut concerns) else {
                break;
            };
            rest = behind;
            self.shows = true;
            open = open.wrapping_sub(1);
            // Counts of what lies in a buffer do not wrap.
            ended = ended.wrapping_add(u32::from(open == 0));
        }
        self.state = if open == 0 { State::Message } else { State::Rectangle };
        self.rectangles = open;
        // Each of them shows something, and nothing is pending.
        self.formats.server_updated_often(ended);
        let taken = src.len().wrapping_sub(rest.len());
        self.messages.taken = self.messages.taken.wrapping_add(taken as u64);
        *src = rest;
        ended != 0
    }

    /// What lies behind the rectangle at the front, if it can pass.
    #[inline(always)]
    fn behind_rectangle<'a>(
        &self,
        src: &'a [u8],
        concerns: &mut impl FnMut(&Rectangle, &[u8]) -> bool,
    ) -> Option<&'a [u8]> {
        let (mut head, payload) = src.split_at_checked(HEAD)?;
        let rectangle = Rectangle::get(&mut head);
        if concerns(&rectangle, payload) {
            return None;
        }
        payload.get(walk::whole(&rectangle, payload, &self.context)?..)
    }
}
