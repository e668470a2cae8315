//! Leases of a console: of an exclusive serial port, or of a number of sessions of a virtual machine.

use alloc::vec::Vec;
use core::num::NonZeroU16;

use crate::{AttemptId, Refusal, UnixSeconds};

/// What happens when a user comes and all seats are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// The second user is refused (Nova's specification of serial consoles, KubeVirt with `preserveSession`).
    Refuse,
    /// The user with the oldest seat is kicked (KubeVirt).
    Kick,
}

/// The rules of a console's seats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeatRules {
    /// How many can sit there at the same time. 1 is an exclusive lease: a serial port cannot be shared.
    pub seats: NonZeroU16,
    /// What happens when all are taken.
    pub when_full: WhenFull,
    /// After how many seconds without data a seat is lost. `None`: never.
    pub idle: Option<u64>,
    /// After how many seconds without a [`SeatStep::Keep`] of its gateway a seat is lost. `None`: never; a
    /// gateway that stopped then keeps its seats until they are [cleared](SeatStep::Clear).
    pub hung: Option<u64>,
}

impl SeatRules {
    /// One user at a time, the second is refused; a gateway has to [keep](SeatStep::Keep) its seat
    /// once in 60 seconds.
    pub const EXCLUSIVE: Self = Self {
        seats: NonZeroU16::MIN,
        when_full: WhenFull::Refuse,
        idle: None,
        hung: Some(60),
    };
}

/// A change to the seats of a console. The holder is named by the attempt that let it in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeatStep {
    /// Takes a seat. A holder that has one already keeps it, as by [`Keep`](Self::Keep) with data.
    Take(AttemptId),
    /// The gateway is there, and with `active` data has passed: the times of the rules start anew.
    Keep {
        /// The holder of the seat.
        holder: AttemptId,
        /// Whether data has passed since the last time.
        active: bool,
    },
    /// Gives a seat up, or takes it away (an operator, say). Without a seat this changes nothing.
    Leave(AttemptId),
    /// Takes all seats away: the virtual machine is gone, or the sessions hang.
    Clear,
}

/// The seats of one console that are taken.
///
/// A store keeps one for each name that it is asked for. What the name stands for is the
/// caller's choice: a serial port gives an exclusive lease, a virtual machine with more seats a
/// limit on its sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seats {
    /// In the order in which they were taken. INVARIANT: no two with the same holder.
    pub(crate) taken: Vec<Seat>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seat {
    pub(crate) holder: AttemptId,
    /// When the seat is lost unless data passes.
    pub(crate) idle_at: Option<UnixSeconds>,
    /// When the seat is lost unless its gateway keeps it.
    pub(crate) hung_at: Option<UnixSeconds>,
}

impl Seat {
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

impl Seats {
    /// The holders in the order in which they came, with those that have lost their seat and were not yet replaced.
    pub fn holders(&self) -> impl Iterator<Item = AttemptId> {
        self.taken.iter().map(|seat| seat.holder)
    }

    /// Whether no seat is held any more.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds) -> bool {
        self.taken.iter().all(|seat| seat.is_lost(now))
    }

    /// Applies a step, and gives those whose seat it took away. A refused step changes nothing.
    ///
    /// Their gateways learn it from the store, when they want to keep the seat.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`] for `Take`, [`Refusal::SeatLost`] for `Keep`.
    pub fn apply(&mut self, now: UnixSeconds, rules: &SeatRules, step: SeatStep) -> Result<Vec<AttemptId>, Refusal> {
        let find = |holder| {
            let found = self.taken.iter().position(|seat| seat.holder == holder);
            found.filter(|index| self.taken.get(*index).is_some_and(|seat| !seat.is_lost(now)))
        };
        match step {
            SeatStep::Take(holder) => match find(holder) {
                Some(index) => {
                    self.renew(index, now, rules, true);
                    Ok(Vec::new())
                }
                None => self.take(holder, now, rules),
            },
            SeatStep::Keep { holder, active } => {
                let index = find(holder).ok_or(Refusal::SeatLost)?;
                self.renew(index, now, rules, active);
                Ok(Vec::new())
            }
            SeatStep::Leave(holder) => Ok(self.remove(|seat| seat.holder == holder)),
            SeatStep::Clear => Ok(self.remove(|_| true)),
        }
    }

    fn take(&mut self, holder: AttemptId, now: UnixSeconds, rules: &SeatRules) -> Result<Vec<AttemptId>, Refusal> {
        let seats = usize::from(rules.seats.get());
        let live = self.taken.iter().filter(|seat| !seat.is_lost(now)).count();
        if seats <= live && rules.when_full == WhenFull::Refuse {
            return Err(Refusal::Busy);
        }
        let mut gone = self.remove(|seat| seat.is_lost(now));
        // More than one only if there were more seats before.
        let kicked = (live.saturating_add(1)).saturating_sub(seats);
        gone.extend(self.taken.drain(..kicked.min(self.taken.len())).map(|seat| seat.holder));
        self.taken.push(Seat {
            holder,
            idle_at: rules.idle.map(|seconds| now.saturating_add(seconds)),
            hung_at: rules.hung.map(|seconds| now.saturating_add(seconds)),
        });
        Ok(gone)
    }

    fn renew(&mut self, index: usize, now: UnixSeconds, rules: &SeatRules, active: bool) {
        let Some(seat) = self.taken.get_mut(index) else { return };
        seat.hung_at = rules.hung.map(|seconds| now.saturating_add(seconds));
        if active {
            seat.idle_at = rules.idle.map(|seconds| now.saturating_add(seconds));
        }
    }

    fn remove(&mut self, which: impl Fn(&Seat) -> bool) -> Vec<AttemptId> {
        let gone = self.taken.iter().filter(|seat| which(seat));
        let gone = gone.map(|seat| seat.holder).collect();
        self.taken.retain(|seat| !which(seat));
        gone
    }
}
