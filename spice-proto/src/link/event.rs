//! What happens on a link, for logs.

use super::refusal::Refusal;
use crate::caps::CapabilitySet;
use crate::ids::ChannelType;

/// What was agreed or refused and why, for logs. Holds no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client asks for a channel.
    Requested {
        /// 0, or the session it belongs to.
        connection_id: u32,
        /// Kind of the channel.
        channel_type: ChannelType,
        /// Its number.
        channel_id: u8,
    },
    /// A client was refused, and told this much.
    Refused(Refusal),
    /// The hypervisor does not use mini headers, which the tenant was promised: headers are rewritten.
    HeadersBridged,
    /// The hypervisor lacks a promised capability; the caller had waived it.
    Waived {
        /// The set.
        set: CapabilitySet,
        /// The bit in it.
        bit: u32,
    },
    /// The link stands.
    Linked,
}

/// Events that were not fetched yet. A link has few; should more come, the oldest are dropped.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: [Option<Event>; 8],
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        match self.kept.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(event),
            None => {
                self.kept.rotate_left(1);
                if let Some(last) = self.kept.last_mut() {
                    *last = Some(event);
                }
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.kept.first_mut()?.take();
        self.kept.rotate_left(1);
        event
    }
}
