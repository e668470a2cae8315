//! The connections of a tracker: slots that are used again, and a list of those that are half open, the oldest first.

use alloc::vec::Vec;
use core::time::Duration;

use super::{Link, Peer};
use crate::channel::main::ChannelId;
use crate::session::{Host, SessionKey};

/// No slot: the end of a list.
const NONE: u32 = u32::MAX;

/// A connection that no token was shown on.
#[derive(Debug, Clone, Copy)]
pub(super) struct HalfOpen {
    pub(super) peer: Peer,
    pub(super) deadline: Duration,
}

/// A connection that belongs to a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Admitted {
    pub(super) key: SessionKey,
    pub(super) channel: ChannelId,
    pub(super) host: Host,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Free { next: u32 },
    HalfOpen { link: HalfOpen, older: u32, newer: u32 },
    Admitted(Admitted),
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Counts the uses of the slot, so that an old handle does not name a new connection.
    generation: u32,
    state: State,
}

#[derive(Debug)]
pub(super) struct Links {
    slots: Vec<Slot>,
    free: u32,
    oldest: u32,
    newest: u32,
    half_open: usize,
    admitted: usize,
}

impl Links {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            half_open: 0,
            admitted: 0,
        }
    }

    pub(super) const fn half_open_count(&self) -> usize {
        self.half_open
    }

    pub(super) const fn admitted_count(&self) -> usize {
        self.admitted
    }

    fn slot(&mut self, index: u32) -> Option<&mut Slot> {
        self.slots.get_mut(index as usize)
    }

    fn state(&self, link: Link) -> Option<State> {
        let slot = self.slots.get(link.index as usize)?;
        (slot.generation == link.generation).then_some(slot.state)
    }

    /// Appends to the list of half-open connections. All wait equally long, so the list is sorted by deadlines.
    pub(super) fn open(&mut self, link: HalfOpen) -> Link {
        let older = self.newest;
        let state = State::HalfOpen {
            link,
            older,
            newer: NONE,
        };
        let index = match self.slots.get_mut(self.free as usize) {
            Some(slot) => {
                let index = self.free;
                if let State::Free { next } = slot.state {
                    self.free = next;
                }
                slot.state = state;
                index
            }
            None => {
                // INVARIANT: each slot is a connection of this process, of which there are far fewer.
                let index = u32::try_from(self.slots.len()).unwrap_or(NONE);
                self.slots.push(Slot { generation: 0, state });
                index
            }
        };
        self.set_newer(older, index);
        self.newest = index;
        self.half_open = self.half_open.saturating_add(1);
        Link {
            index,
            generation: self.slot(index).map_or(0, |slot| slot.generation),
        }
    }

    fn set_newer(&mut self, of: u32, index: u32) {
        match self.slot(of).map(|slot| &mut slot.state) {
            Some(State::HalfOpen { newer, .. }) => *newer = index,
            _ => self.oldest = index,
        }
    }

    fn set_older(&mut self, of: u32, index: u32) {
        match self.slot(of).map(|slot| &mut slot.state) {
            Some(State::HalfOpen { older, .. }) => *older = index,
            _ => self.newest = index,
        }
    }

    pub(super) fn half_open(&self, link: Link) -> Option<HalfOpen> {
        match self.state(link)? {
            State::HalfOpen { link, .. } => Some(link),
            _ => None,
        }
    }

    pub(super) fn admitted(&self, link: Link) -> Option<Admitted> {
        match self.state(link)? {
            State::Admitted(admitted) => Some(admitted),
            _ => None,
        }
    }

    /// The half-open connection that has waited longest.
    pub(super) fn oldest(&self) -> Option<(Link, HalfOpen)> {
        let slot = self.slots.get(self.oldest as usize)?;
        let link = Link {
            index: self.oldest,
            generation: slot.generation,
        };
        self.half_open(link).map(|open| (link, open))
    }

    /// Makes a half-open connection one of a session.
    pub(super) fn admit(&mut self, link: Link, admitted: Admitted) {
        self.unlist(link);
        if let Some(slot) = self.slot(link.index) {
            slot.state = State::Admitted(admitted);
            self.admitted = self.admitted.saturating_add(1);
        }
    }

    /// Takes a half-open connection off the list.
    fn unlist(&mut self, link: Link) {
        if let Some(State::HalfOpen { older, newer, .. }) = self.state(link) {
            self.set_newer(older, newer);
            self.set_older(newer, older);
            self.half_open = self.half_open.saturating_sub(1);
        }
    }

    /// The connection is gone; its handle names nothing any more.
    pub(super) fn free(&mut self, link: Link) {
        self.unlist(link);
        let (next, was) = (self.free, self.state(link));
        let Some(slot) = self.slot(link.index).filter(|_| was.is_some()) else {
            return;
        };
        slot.generation = slot.generation.wrapping_add(1);
        slot.state = State::Free { next };
        self.free = link.index;
        if let Some(State::Admitted(_)) = was {
            self.admitted = self.admitted.saturating_sub(1);
        }
    }
}
