//! How often one source may try.

use alloc::collections::BTreeMap;
use core::{net::IpAddr, num::NonZeroU32};

use crate::{Refusal, Source, UnixSeconds};

/// A bounded count of attempts by the address that they come from.
///
/// Each source may try `burst` times at once, and gets one attempt back every `refill` seconds.
/// Addresses of IPv6 count by their /64, which is what one host gets; IPv4 addresses in IPv6 form
/// count as IPv4.
///
/// It belongs to one gateway: what reaches several at once is not worth a shared count, since a
/// token has more bits than any rate could search.
#[derive(Clone, Debug)]
pub struct Throttle {
    burst: NonZeroU32,
    refill: NonZeroU32,
    limit: usize,
    /// When the source will have all of its attempts back.
    /// INVARIANT: at most `limit` entries.
    full_at: BTreeMap<Source, UnixSeconds>,
    /// The one count of all sources that found the table full.
    others: UnixSeconds,
    /// When the table was last searched for sources to forget.
    searched: Option<UnixSeconds>,
}

impl Throttle {
    /// For at most `limit` sources at the same time. What finds the table full shares one count, so
    /// that an attacker with many addresses gains nothing by filling it.
    #[must_use]
    pub const fn new(burst: NonZeroU32, refill: NonZeroU32, limit: usize) -> Self {
        Self {
            burst,
            refill,
            limit,
            full_at: BTreeMap::new(),
            others: UnixSeconds(0),
            searched: None,
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyAttempts`]: to be answered without a look at the token.
    pub fn admit(&mut self, source: IpAddr, now: UnixSeconds) -> Result<(), Refusal> {
        let key = Source::of(source);
        if !self.full_at.contains_key(&key) && self.limit <= self.full_at.len() && self.searched != Some(now) {
            // Once a second at most: it looks at the whole table.
            self.searched = Some(now);
            self.full_at.retain(|_, full_at| now < *full_at);
        }
        let has_room = self.full_at.len() < self.limit;
        let (refill, whole) = (u64::from(self.refill.get()), self.whole());
        let full_at = match self.full_at.get(&key) {
            Some(full_at) => *full_at,
            None if has_room => now,
            None => self.others,
        };
        // Never further ahead than an empty count is: a clock that was set back locks nobody out.
        let full_at = full_at.max(now).min(now.saturating_add(whole));
        let next = full_at.saturating_add(refill);
        if now.saturating_add(whole) < next || next == full_at {
            return Err(Refusal::TooManyAttempts);
        }
        self.set(key, has_room, next);
        Ok(())
    }

    /// Gives an attempt back: it was a good one.
    pub fn forgive(&mut self, source: IpAddr) {
        let refill = u64::from(self.refill.get());
        if let Some(full_at) = self.full_at.get_mut(&Source::of(source)) {
            *full_at = full_at.saturating_sub(refill);
        }
    }

    /// How many sources it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Whether it knows no source.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    fn whole(&self) -> u64 {
        u64::from(self.burst.get()).saturating_mul(u64::from(self.refill.get()))
    }

    fn set(&mut self, key: Source, has_room: bool, full_at: UnixSeconds) {
        match self.full_at.get_mut(&key) {
            Some(known) => *known = full_at,
            None if has_room => {
                self.full_at.insert(key, full_at);
            }
            None => self.others = full_at,
        }
    }
}
