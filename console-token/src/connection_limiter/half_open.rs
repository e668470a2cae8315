//! The half-open connections, in an order in which the one that gives way is found at once.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;

use crate::Source;

/// The name of one connection in a [`ConnectionLimiter`](crate::ConnectionLimiter). Names are not used twice; the order is that of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId(pub(super) u64);

/// A half-open connection that gave way to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Displaced<T> {
    /// The connection.
    pub slot: SlotId,
    /// Where it came from.
    pub source: Source,
    /// What the caller gave to end it by.
    pub handle: T,
}

/// INVARIANT: each slot of `slots` is in the set of its source in `by_source` and nowhere else; no set there is empty;
/// `by_weight` has one entry for each set.
#[derive(Clone, Debug)]
pub(super) struct HalfOpen<T> {
    slots: BTreeMap<SlotId, (Source, T)>,
    by_source: BTreeMap<Source, BTreeSet<SlotId>>,
    by_weight: BTreeSet<Weight>,
}

/// Where a source stands: the last one has the most connections, and among these the oldest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Weight {
    connections: usize,
    oldest: Reverse<SlotId>,
    source: Source,
}

impl Weight {
    fn of(source: Source, slots: &BTreeSet<SlotId>) -> Option<Self> {
        let oldest = Reverse(*slots.first()?);
        let connections = slots.len();
        Some(Self {
            connections,
            oldest,
            source,
        })
    }
}

impl<T> HalfOpen<T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: BTreeMap::new(),
            by_source: BTreeMap::new(),
            by_weight: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn from(&self, source: Source) -> usize {
        self.by_source.get(&source).map_or(0, BTreeSet::len)
    }

    pub(super) fn source(&self, slot: SlotId) -> Option<Source> {
        self.slots.get(&slot).map(|(source, _)| *source)
    }

    pub(super) fn insert(&mut self, slot: SlotId, source: Source, handle: T) {
        self.slots.insert(slot, (source, handle));
        self.change(source, |slots| {
            slots.insert(slot);
        });
    }

    pub(super) fn remove(&mut self, slot: SlotId) -> Option<(Source, T)> {
        let (source, handle) = self.slots.remove(&slot)?;
        self.change(source, |slots| {
            slots.remove(&slot);
        });
        Some((source, handle))
    }

    /// Removes the connection that gives way to a newcomer from this source.
    pub(super) fn displace_for(&mut self, newcomer: Source) -> Option<Displaced<T>> {
        let heaviest = *self.by_weight.last()?;
        let own = self.by_source.get(&newcomer);
        let own = own.filter(|slots| heaviest.connections <= slots.len());
        let slot = own.and_then(BTreeSet::first).copied().unwrap_or(heaviest.oldest.0);
        let (source, handle) = self.remove(slot)?;
        Some(Displaced { slot, source, handle })
    }

    fn change(&mut self, source: Source, change: impl FnOnce(&mut BTreeSet<SlotId>)) {
        let slots = self.by_source.entry(source).or_default();
        if let Some(before) = Weight::of(source, slots) {
            self.by_weight.remove(&before);
        }
        change(slots);
        if let Some(after) = Weight::of(source, slots) {
            self.by_weight.insert(after);
        } else {
            self.by_source.remove(&source);
        }
    }
}
