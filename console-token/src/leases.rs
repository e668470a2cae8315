//! Leases of a console: of an exclusive serial port, or of a number of sessions of a virtual machine.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use crate::{AttemptId, Refusal, UnixSeconds};

/// What happens when a user comes and all leases are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// The second user is refused (Nova's specification of serial consoles, KubeVirt with `preserveSession`).
    Refuse,
    /// The user with the oldest lease is kicked (KubeVirt).
    Kick,
}

/// The rules of a console's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LeaseRules {
    /// How many can sit there at the same time. 1 is an exclusive lease: a serial port cannot be shared.
    pub leases: NonZeroU16,
    /// What happens when all are taken.
    pub when_full: WhenFull,
    /// After how many seconds without data a lease is lost. `None`: never.
    pub idle: Option<u64>,
    /// After how many seconds without a [`LeaseTransition::Keep`] of its gateway a lease is lost. `None`: never; a
    /// gateway that stopped then keeps its leases until they are [cleared](LeaseTransition::Clear).
    pub hung: Option<u64>,
}

impl LeaseRules {
    /// One user at a time, the second is refused; a gateway has to [keep](LeaseTransition::Keep) its lease
    /// once in 60 seconds.
    pub const EXCLUSIVE: Self = Self {
        leases: NonZeroU16::MIN,
        when_full: WhenFull::Refuse,
        idle: None,
        hung: Some(60),
    };
}

/// A change to the leases of a console. The holder is named by the attempt that let it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LeaseTransition {
    /// Takes a lease. A holder that has one already keeps it, as by [`Keep`](Self::Keep) with data.
    Take(AttemptId),
    /// The gateway is there, and with `active` data has passed: the times of the rules start anew.
    Keep {
        /// The holder of the lease.
        holder: AttemptId,
        /// Whether data has passed since the last time.
        active: bool,
    },
    /// Gives a lease up, or takes it away (an operator, say). Without a lease this changes nothing.
    Leave(AttemptId),
    /// Takes all leases away: the virtual machine is gone, or the sessions hang.
    Clear,
}

/// The leases of one console that are taken.
///
/// A store keeps one for each name that it is asked for. What the name stands for is the
/// caller's choice: a serial port gives an exclusive lease, a virtual machine with more leases a
/// limit on its sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leases {
    /// In the order in which they were taken. INVARIANT: no two with the same holder.
    pub(crate) taken: Vec<Lease>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) holder: AttemptId,
    /// When the lease is lost unless data passes.
    pub(crate) idle_at: Option<UnixSeconds>,
    /// When the lease is lost unless its gateway keeps it.
    pub(crate) hung_at: Option<UnixSeconds>,
}

impl Lease {
    fn is_lost(&self, now: UnixSeconds) -> bool {
        self.lost_at().is_some_and(|at| at <= now)
    }

    pub(crate) fn lost_at(&self) -> Option<UnixSeconds> {
        match (self.idle_at, self.hung_at) {
            (Some(idle), Some(hung)) => Some(idle.min(hung)),
            (idle, hung) => idle.or(hung),
        }
    }
}

impl Leases {
    /// The holders in the order in which they came, with those that have lost their lease and were not yet replaced.
    pub fn holders(&self) -> impl Iterator<Item = AttemptId> {
        self.taken.iter().map(|lease| lease.holder)
    }

    /// Whether no lease is held any more.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds) -> bool {
        self.taken.iter().all(|lease| lease.is_lost(now))
    }

    /// Applies a transition, and gives those whose lease it took away. A refused transition changes nothing.
    ///
    /// Their gateways learn it from the store, when they want to keep the lease.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] for `Take`, [`Refusal::LeaseLost`] for `Keep`.
    pub fn apply(
        &mut self,
        now: UnixSeconds,
        rules: &LeaseRules,
        transition: LeaseTransition,
    ) -> Result<Vec<AttemptId>, Refusal> {
        let find = |holder| {
            let found = self.taken.iter().position(|lease| lease.holder == holder);
            found.filter(|index| self.taken.get(*index).is_some_and(|lease| !lease.is_lost(now)))
        };
        match transition {
            LeaseTransition::Take(holder) => match find(holder) {
                Some(index) => {
                    self.renew(index, now, rules, true);
                    Ok(Vec::new())
                }
                None => self.take(holder, now, rules),
            },
            LeaseTransition::Keep { holder, active } => {
                let index = find(holder).ok_or(Refusal::LeaseLost)?;
                self.renew(index, now, rules, active);
                Ok(Vec::new())
            }
            LeaseTransition::Leave(holder) => Ok(self.remove(|lease| lease.holder == holder)),
            LeaseTransition::Clear => Ok(self.remove(|_| true)),
        }
    }

    fn take(&mut self, holder: AttemptId, now: UnixSeconds, rules: &LeaseRules) -> Result<Vec<AttemptId>, Refusal> {
        let leases = usize::from(rules.leases.get());
        let live = self.taken.iter().filter(|lease| !lease.is_lost(now)).count();
        if leases <= live && rules.when_full == WhenFull::Refuse {
            return Err(Refusal::Busy);
        }
        let mut gone = self.remove(|lease| lease.is_lost(now));
        // More than one only if there were more leases before.
        let kicked = (live.saturating_add(1)).saturating_sub(leases);
        gone.extend(
            self.taken
                .drain(..kicked.min(self.taken.len()))
                .map(|lease| lease.holder),
        );
        self.taken.push(Lease {
            holder,
            idle_at: rules.idle.map(|seconds| now.saturating_add(seconds)),
            hung_at: rules.hung.map(|seconds| now.saturating_add(seconds)),
        });
        Ok(gone)
    }

    fn renew(&mut self, index: usize, now: UnixSeconds, rules: &LeaseRules, active: bool) {
        let Some(lease) = self.taken.get_mut(index) else { return };
        lease.hung_at = rules.hung.map(|seconds| now.saturating_add(seconds));
        if active {
            lease.idle_at = rules.idle.map(|seconds| now.saturating_add(seconds));
        }
    }

    fn remove(&mut self, is_gone: impl Fn(&Lease) -> bool) -> Vec<AttemptId> {
        let gone = self.taken.iter().filter(|lease| is_gone(lease));
        let gone = gone.map(|lease| lease.holder).collect();
        self.taken.retain(|lease| !is_gone(lease));
        gone
    }
}
