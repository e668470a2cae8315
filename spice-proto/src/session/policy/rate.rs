//! How much in how much time.

use core::num::{NonZeroU32, NonZeroU64};
use core::time::Duration;

/// So many a second, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Refilled each second.
    pub per_second: NonZeroU32,
    /// Spent at once at most.
    pub burst: u32,
}

impl Budget {
    /// The time in which so many are refilled.
    fn time(self, count: u32) -> Duration {
        let nanoseconds = u64::from(count).saturating_mul(1_000_000_000);
        Duration::from_nanos(nanoseconds / NonZeroU64::from(self.per_second))
    }
}

/// What is left of a budget, as the time at which it is whole again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bucket {
    whole: Duration,
}

impl Bucket {
    /// How long to wait before so many can be spent.
    pub(super) fn wait(self, budget: Budget, now: Duration, count: u32) -> Duration {
        // More than a burst never fits: it is let through when all is there, and costs what it costs.
        let count = count.min(budget.burst);
        let used = self.whole.saturating_sub(now);
        let spare = budget.time(budget.burst).saturating_sub(budget.time(count));
        used.saturating_sub(spare)
    }

    /// Spends, if there is enough.
    pub(super) fn spend(&mut self, budget: Budget, now: Duration, count: u32) -> bool {
        let there = self.wait(budget, now, count) == Duration::ZERO;
        if there {
            self.whole = self.whole.max(now).saturating_add(budget.time(count));
        }
        there
    }
}
