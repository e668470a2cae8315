//! In which order strangers are served: the source that has cost least comes first.

#[cfg(feature = "std")]
mod scheduler;

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;
use core::num::NonZeroU32;

#[cfg(feature = "std")]
pub use self::scheduler::{FairScheduler, InTurns, Turn, WaitForTurn};
use crate::Source;

/// Sources whose cost is remembered while they do not wait.
const REMEMBERED: usize = 65_536;

/// A queue for work that is done before a peer has shown that it may ask for it: TLS handshakes, private-key operations,
/// requests with a token.
///
/// [`ConnectionLimiter`](crate::ConnectionLimiter) keeps a flood from taking all places, and [`Throttle`](crate::Throttle)
/// bounds the guesses of a source. Neither helps a viewer that stands behind 2,000 connections which all want a handshake:
/// a processor that takes them in the order of arrival comes to it after seconds. Here the next turn goes to the
/// [`Source`] whose turns have cost least so far, and in that source to the one that waits longest; among sources that have
/// cost the same, to the one that waits longest. So a source that comes now and then is served at once, whatever the
/// others ask for, and sources that ask all the time get equal shares. [`age`](Self::age) halves all costs, so that what
/// was is forgotten.
///
/// A turn costs what [`end`](Self::end) says: nanoseconds of a processor, bytes, whatever is scarce. The cost of a peer
/// that was let in is given back by [`refund`](Self::refund), so that failures count and successes do not.
///
/// `T` is what the caller needs to tell a waiting one that its turn has come. The queue does no I/O and reads no clock.
/// Each call but [`age`](Self::age) and [`len`](Self::len) takes time in proportion to the logarithm of the number of
/// sources and waiting ones.
/// The caller bounds how many wait. Costs are remembered of 65,536 sources; while there are more, a further one counts as
/// new each time. [`FairScheduler`] is this queue for tasks.
///
/// ```
/// use core::num::NonZeroU32;
/// use console_token::FairQueue;
///
/// let mut queue = FairQueue::new(NonZeroU32::MIN); // one turn at a time
/// let (stranger, viewer) = ([203, 0, 113, 9].into(), [198, 51, 100, 7].into());
/// assert!(queue.ask(stranger, "first").is_none()); // its turn begins
/// assert!(queue.ask(stranger, "second").is_some()); // it waits
/// assert!(queue.ask(viewer, "viewer").is_some());
/// assert_eq!(queue.end(stranger, 500), Some("viewer"));
/// assert_eq!(queue.end(viewer, 500), Some("second"));
/// assert_eq!(queue.end(stranger, 500), None);
/// ```
#[derive(Clone, Debug)]
pub struct FairQueue<T> {
    at_once: NonZeroU32,
    under_way: u32,
    asked: u64,
    /// INVARIANT: a source here waits, or has cost something.
    sources: BTreeMap<Source, Share<T>>,
    /// INVARIANT: the sources that wait, each once, by its cost and the one that waits longest.
    order: BTreeSet<(u64, WaitId)>,
}

/// What a source has cost, and those of it that wait.
#[derive(Clone, Debug)]
struct Share<T> {
    cost: u64,
    waiting: BTreeMap<u64, T>,
}

impl<T> Default for Share<T> {
    fn default() -> Self {
        Self {
            cost: 0,
            waiting: BTreeMap::new(),
        }
    }
}

/// The name of one that waits in a [`FairQueue`]. Names are not used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId {
    number: u64,
    source: Source,
}

impl<T> FairQueue<T> {
    /// An empty queue with so many turns at a time.
    #[must_use]
    pub const fn new(at_once: NonZeroU32) -> Self {
        Self {
            at_once,
            under_way: 0,
            asked: 0,
            sources: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }

    /// Someone at this address asks for a turn. `None`: it begins now. Otherwise it waits until [`end`](Self::end) gives
    /// its handle, or [`cancel`](Self::cancel) is called.
    pub fn ask(&mut self, address: IpAddr, handle: T) -> Option<WaitId> {
        // As long as a turn is free, none waits.
        if self.under_way < self.at_once.get() {
            self.under_way = self.under_way.saturating_add(1);
            return None;
        }
        let (number, source) = (self.asked, Source::of(address));
        self.asked = self.asked.wrapping_add(1);
        self.change(source, |share| {
            share.waiting.insert(number, handle);
        });
        Some(WaitId { number, source })
    }

    /// The handle of one that still waits. `None`: its turn has begun, or it was cancelled.
    pub fn waiting(&mut self, id: WaitId) -> Option<&mut T> {
        self.sources.get_mut(&id.source)?.waiting.get_mut(&id.number)
    }

    /// One that waits does so no more. `None`: it did not wait; if its turn has begun, that has to be ended.
    pub fn cancel(&mut self, id: WaitId) -> Option<T> {
        self.waiting(id)?;
        self.change(id.source, |share| share.waiting.remove(&id.number))
    }

    /// A turn of this address is over, and has cost so much. `Some`: the turn of the waiting one with this handle begins.
    pub fn end(&mut self, address: IpAddr, cost: u64) -> Option<T> {
        let source = Source::of(address);
        if self.sources.len() < REMEMBERED || self.sources.contains_key(&source) {
            self.change(source, |share| share.cost = share.cost.saturating_add(cost));
        }
        let Some((_, first)) = self.order.first().copied() else {
            self.under_way = self.under_way.saturating_sub(1);
            return None;
        };
        self.cancel(first)
    }

    /// What this address has cost was well spent: so much of it does not count. A source with many viewers that are all let
    /// in is not held back for their number.
    pub fn refund(&mut self, address: IpAddr, cost: u64) {
        let source = Source::of(address);
        if self.sources.contains_key(&source) {
            self.change(source, |share| share.cost = share.cost.saturating_sub(cost));
        }
    }

    /// Halves what each source has cost. Takes time in proportion to the number of sources.
    pub fn age(&mut self) {
        self.order.clear();
        self.sources.retain(|source, share| {
            share.cost /= 2;
            self.order.extend(share.place(*source));
            share.is_needed()
        });
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        let sources = self.order.iter().filter_map(|(_, id)| self.sources.get(&id.source));
        sources.map(|share| share.waiting.len()).sum()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    fn change<R>(&mut self, source: Source, change: impl FnOnce(&mut Share<T>) -> R) -> R {
        let share = self.sources.entry(source).or_default();
        let before = share.place(source);
        let result = change(share);
        let after = share.place(source);
        let is_needed = share.is_needed();
        if let Some(before) = before {
            self.order.remove(&before);
        }
        self.order.extend(after);
        if !is_needed {
            self.sources.remove(&source);
        }
        result
    }
}

impl<T> Share<T> {
    /// Where the source stands, if it waits.
    fn place(&self, source: Source) -> Option<(u64, WaitId)> {
        let (number, _) = self.waiting.first_key_value()?;
        let number = *number;
        Some((self.cost, WaitId { number, source }))
    }

    fn is_needed(&self) -> bool {
        self.cost != 0 || !self.waiting.is_empty()
    }
}
