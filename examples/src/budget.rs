//! How many connections a program may have, by the file descriptors that it can have.

use std::num::NonZeroU32;

/// Connections at each stage of one kind, unless fewer descriptors or other limits are there: a viewer opens about ten at
/// once, and with 200 addresses that open as many as they can, each has twenty.
const WAITING: u32 = 4096;
/// Connections that were let in, unless fewer descriptors or other limits are there.
const OPEN: u32 = 16_384;
/// Descriptors of an open connection: its own, and that to the hypervisor.
const EACH: u32 = 2;
/// Descriptors for what is no connection: listeners, files, the store, the runtime.
pub const RESERVED: u32 = 48;
/// With fewer descriptors no program starts that takes connections.
const FEWEST: u32 = 128;

/// What a configuration says; what it leaves out follows from the descriptors.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Connections that have said nothing yet, of each kind.
    pub accepted: Option<NonZeroU32>,
    /// Connections that have said what they want and were not let in, of each kind.
    pub linked: Option<NonZeroU32>,
    /// Connections that were let in.
    pub open: Option<NonZeroU32>,
}

/// The most connections at each stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of each kind: connections that have said nothing yet.
    pub accepted: NonZeroU32,
    /// Of each kind: connections that have said what they want.
    pub linked: NonZeroU32,
    /// Of all kinds: connections that were let in.
    pub open: NonZeroU32,
}

/// The machine cannot hold so many connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{needed} file descriptors are needed, and this process may have {there}: raise its limit (ulimit -n, LimitNOFILE=), or lower the limits of connections"
)]
pub struct TooFew {
    /// What the limits add up to.
    pub needed: u64,
    /// What there is.
    pub there: u32,
}

impl Budget {
    /// For so many kinds of connections that have places of their own. `apart`: descriptors for something else, beside
    /// [`RESERVED`].
    ///
    /// Half of what is left is for open connections, and the rest for those that wait, so that no flood takes what an open
    /// one needs.
    ///
    /// # Errors
    /// There are not enough descriptors for these limits, or for any.
    pub fn of(limits: Limits, kinds: NonZeroU32, apart: u32, descriptors: u32) -> Result<Self, TooFew> {
        let left = descriptors.saturating_sub(RESERVED).saturating_sub(apart);
        let usual = |share: u32, most: u32| NonZeroU32::new((left / share).min(most)).unwrap_or(NonZeroU32::MIN);
        // Two stages of each kind.
        let waiting = usual(kinds.get().saturating_mul(4), WAITING);
        let budget = Self {
            accepted: limits.accepted.unwrap_or(waiting),
            linked: limits.linked.unwrap_or(waiting),
            open: limits.open.unwrap_or(usual(2 * EACH, OPEN)),
        };
        let needed = budget.descriptors(kinds, apart).max(FEWEST.into());
        match needed <= descriptors.into() {
            true => Ok(budget),
            false => Err(TooFew {
                needed,
                there: descriptors,
            }),
        }
    }

    /// What it takes when all places are taken.
    fn descriptors(&self, kinds: NonZeroU32, apart: u32) -> u64 {
        let [accepted, linked, open] = [self.accepted, self.linked, self.open].map(|most| u64::from(most.get()));
        let waiting = (accepted + linked) * u64::from(kinds.get());
        waiting + open * u64::from(EACH) + u64::from(RESERVED) + u64::from(apart)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

    #[test]
    fn what_is_left_out_fits_always() {
        for descriptors in [128, 200, 256, 1024, 4096, 20_000, 65_536, 1 << 20] {
            for kinds in [NonZeroU32::MIN, TWO] {
                let budget = Budget::of(Limits::default(), kinds, 16, descriptors).unwrap();
                assert!(
                    budget.descriptors(kinds, 16) <= descriptors.into(),
                    "{descriptors}: {budget:?}"
                );
                assert!(
                    5 <= budget.accepted.get() && 5 <= budget.open.get(),
                    "{descriptors}: {budget:?}"
                );
            }
        }
    }

    #[test]
    fn what_the_machine_cannot_hold_is_refused() {
        assert_eq!(
            Budget::of(Limits::default(), TWO, 0, 127),
            Err(TooFew {
                needed: 128,
                there: 127
            })
        );
        let limits = Limits {
            open: NonZeroU32::new(10_000),
            accepted: NonZeroU32::new(100),
            linked: NonZeroU32::new(100),
        };
        // 400 that wait, 20,000 for those that are open, 48 and 64 beside.
        assert!(Budget::of(limits, TWO, 64, 20_512).is_ok());
        let too_few = Budget::of(limits, TWO, 64, 20_511).unwrap_err();
        assert_eq!((too_few.needed, too_few.there), (20_512, 20_511));
        let huge = Limits {
            open: Some(NonZeroU32::MAX),
            accepted: Some(NonZeroU32::MAX),
            linked: Some(NonZeroU32::MAX),
        };
        assert!(Budget::of(huge, TWO, u32::MAX, u32::MAX).is_err());
    }
}
