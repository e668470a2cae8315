//! One token of the model: its grant, and every transition that was accepted.

use core::num::NonZeroU32;

use console_token::{
    AttemptId, Grant, MAX_ATTEMPTS, MAX_OPEN_SESSIONS, Refusal, Scope, SessionId, Transition, UnixSeconds, Uses,
    VerifyContext,
};

/// From when on a viewer may come again, and until when.
pub(super) type Lease = Option<(u64, u64)>;

/// What was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Done {
    /// Redeemed or exchanged.
    Spend {
        attempt: AttemptId,
    },
    Claim {
        attempt: AttemptId,
        now: u64,
        lease: Lease,
    },
    Bind {
        id: u64,
        connection_id: u32,
    },
    Release {
        id: u64,
    },
    Migrate {
        id: u64,
        until: u64,
    },
    Settle {
        id: u64,
    },
    Reopen {
        id: u64,
        attempt: AttemptId,
        connection_id: u32,
    },
    Suspend {
        id: u64,
        from: u64,
        until: u64,
    },
    Resume {
        id: u64,
        attempt: AttemptId,
        lease: Lease,
    },
    Close {
        id: u64,
    },
    Revoke,
    Retarget {
        to: u8,
    },
}

pub(super) struct Token {
    made_out: Grant,
    pub(super) history: Vec<Done>,
}

impl Token {
    pub(super) fn new(grant: Grant) -> Self {
        Self {
            made_out: grant,
            history: Vec::new(),
        }
    }

    /// The grant as it is now.
    pub(super) fn grant(&self) -> Grant {
        let mut grant = self.made_out.clone();
        for done in &self.history {
            if let Done::Retarget { to } = done {
                grant.target = super::target(*to);
            }
        }
        grant
    }

    pub(super) fn revoked(&self) -> bool {
        self.history.contains(&Done::Revoke)
    }

    /// Where in the history the uses stand, in the order of their numbers.
    fn uses(&self) -> impl Iterator<Item = usize> {
        let is_use = |done: &Done| matches!(done, Done::Spend { .. } | Done::Claim { .. });
        (0..self.history.len()).filter(move |index| is_use(&self.history[*index]))
    }

    fn next_id(&self) -> u64 {
        self.uses().count() as u64
    }

    /// The claim of a session: where it stands, and when it was.
    fn claimed(&self, id: u64) -> (usize, u64) {
        let index = self
            .uses()
            .nth(usize::try_from(id).unwrap())
            .expect("a session that was claimed");
        match self.history[index] {
            Done::Claim { now, .. } => (index, now),
            other => panic!("{other:?} is no claim"),
        }
    }

    fn overdue(&self, id: u64, now: u64) -> bool {
        self.overdue_then(id, now, self.history.len())
    }

    /// By what the history said when it had this length.
    fn overdue_then(&self, id: u64, now: u64, then: usize) -> bool {
        let claimed = u128::from(self.claimed(id).1);
        let limit = self.made_out.session_limit.map(|limit| claimed + u128::from(limit));
        let end = self.made_out.session_end.map(|end| u128::from(end.0));
        // The last second there is ends everything that has an end.
        let reached = |end: Option<u128>| end.is_some_and(|end| end.min(u128::from(u64::MAX)) <= u128::from(now));
        reached(limit) || reached(end) || reached(self.suspended(id, then).map(|(_, until)| u128::from(until)))
    }

    /// Released, closed, or overdue when a later claim came.
    fn ended(&self, id: u64) -> bool {
        let later = &self.history[self.claimed(id).0 + 1..];
        later.iter().enumerate().any(|(place, done)| match *done {
            Done::Release { id: other } | Done::Close { id: other } => other == id,
            // As it was at that moment.
            Done::Claim { now, .. } => {
                let then = self.claimed(id).0 + 1 + place;
                self.overdue_then(id, now, then)
            }
            _ => false,
        })
    }

    fn is_session(&self, id: u64) -> bool {
        let place = self.uses().nth(usize::try_from(id).unwrap());
        place.is_some_and(|place| matches!(self.history[place], Done::Claim { .. }))
    }

    pub(super) fn open(&self) -> impl Iterator<Item = u64> {
        (0..self.next_id()).filter(|id| self.is_session(*id) && !self.ended(*id))
    }

    /// Its viewer had broken off, and had not come again.
    fn suspended(&self, id: u64, then: usize) -> Lease {
        let claimed = self.claimed(id).0;
        let mut suspended = self.history[..then]
            .iter()
            .enumerate()
            .filter_map(|(place, done)| match *done {
                Done::Claim { lease, .. } => (place == claimed).then_some(lease),
                Done::Suspend { id: other, from, until } => (other == id).then_some(Some((from, until))),
                Done::Resume { id: other, lease, .. } => (other == id).then_some(lease),
                _ => None,
            });
        suspended.next_back().flatten()
    }

    /// The last attempt that took it up after it broke off.
    fn resumed(&self, id: u64) -> Option<AttemptId> {
        self.history.iter().rev().find_map(|done| match *done {
            Done::Resume { id: other, attempt, .. } if other == id => Some(attempt),
            _ => None,
        })
    }

    /// Of a connection.
    fn not_released(&self, id: u64) -> Result<u64, Refusal> {
        match self.history.contains(&Done::Release { id }) {
            true => Err(Refusal::SessionClosed),
            false => Ok(id),
        }
    }

    fn live(&self, now: u64) -> usize {
        self.open().filter(|id| !self.overdue(*id, now)).count()
    }

    pub(super) fn connection_id(&self, id: u64) -> Option<NonZeroU32> {
        let mut numbers = self.history.iter().filter_map(|done| match *done {
            Done::Bind {
                id: other,
                connection_id,
            }
            | Done::Reopen {
                id: other,
                connection_id,
                ..
            } => (other == id).then_some(connection_id),
            Done::Resume { id: other, .. } => (other == id).then_some(0),
            _ => None,
        });
        numbers.next_back().and_then(NonZeroU32::new)
    }

    fn migrating(&self, id: u64) -> Option<u64> {
        let mut pending = self.history.iter().filter_map(|done| match *done {
            Done::Migrate { id: other, until } => (other == id).then_some(Some(until)),
            Done::Settle { id: other } | Done::Reopen { id: other, .. } | Done::Resume { id: other, .. } => {
                (other == id).then_some(None)
            }
            _ => None,
        });
        pending.next_back().flatten()
    }

    pub(super) fn uses_left(&self) -> Option<usize> {
        let Uses::Limited(uses) = self.made_out.uses else {
            return None;
        };
        let returned = |done: &&Done| matches!(done, Done::Release { .. });
        let returned = self.history.iter().filter(returned).count();
        Some(usize::try_from(uses.get()).unwrap() + returned - self.uses().count())
    }

    /// What an attempt got, if it is one of the last that were accepted.
    pub(super) fn answered(&self, attempt: AttemptId) -> Option<u64> {
        let mut accepted = Vec::new();
        let mut next = 0;
        for done in &self.history {
            match *done {
                Done::Spend { attempt } | Done::Claim { attempt, .. } => {
                    accepted.push((attempt, next));
                    next += 1;
                }
                Done::Reopen { attempt, id, .. } | Done::Resume { attempt, id, .. } => accepted.push((attempt, id)),
                _ => {}
            }
        }
        let last = accepted.iter().rev().take(MAX_ATTEMPTS);
        last.into_iter().find(|(known, _)| *known == attempt).map(|(_, id)| *id)
    }

    fn window(&self) -> (u128, u128) {
        let (from, to) = (
            u128::from(self.made_out.not_before.0),
            u128::from(self.made_out.expires.0),
        );
        let skew = if from < to { u128::from(self.made_out.skew) } else { 0 };
        (from.saturating_sub(skew), (to + skew).min(u128::from(u64::MAX)))
    }

    pub(super) fn over(&self, now: u64) -> bool {
        self.window().1 <= u128::from(now) && self.live(now) == 0
    }

    fn scope(&self, scope: Scope) -> Result<(), Refusal> {
        if self.made_out.scope == scope {
            Ok(())
        } else {
            Err(Refusal::WrongScope)
        }
    }

    fn welcome(&self, context: &VerifyContext<'_>) -> Result<(), Refusal> {
        if self.made_out.audience.is_some() && self.made_out.audience.as_deref() != context.audience {
            Err(Refusal::WrongAudience)
        } else {
            self.not_revoked()
        }
    }

    fn not_revoked(&self) -> Result<(), Refusal> {
        if self.revoked() { Err(Refusal::Revoked) } else { Ok(()) }
    }

    pub(super) fn check(&self, context: &VerifyContext<'_>) -> Result<(), Refusal> {
        self.welcome(context)?;
        let now = context.now.0;
        let most = usize::from(self.made_out.max_sessions.min(MAX_OPEN_SESSIONS).get());
        if u128::from(now) < self.window().0 {
            Err(Refusal::NotYetValid)
        } else if self.window().1 <= u128::from(now) {
            Err(Refusal::Expired)
        } else if self.uses_left() == Some(0) {
            Err(Refusal::Spent)
        } else if most <= self.live(now) {
            Err(Refusal::TooManySessions)
        } else {
            Ok(())
        }
    }

    /// The number that the attempt has got, or the next one.
    fn spend(&mut self, context: &VerifyContext<'_>, attempt: AttemptId, done: Done) -> Result<u64, Refusal> {
        self.welcome(context)?;
        if let Some(id) = self.answered(attempt) {
            return Ok(id);
        }
        self.check(context)?;
        self.history.push(done);
        Ok(self.next_id() - 1)
    }

    pub(super) fn exchange(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<(), Refusal> {
        self.scope(Scope::Exchange)?;
        self.spend(context, attempt, Done::Spend { attempt }).map(drop)
    }

    /// The session, if it is open.
    fn session(&self, id: SessionId) -> Result<u64, Refusal> {
        match id.get() < self.next_id() {
            true if !self.is_session(id.get()) || self.ended(id.get()) => Err(Refusal::SessionClosed),
            true => Ok(id.get()),
            false => Err(Refusal::NoSuchSession),
        }
    }

    pub(super) fn transition(
        &mut self,
        context: &VerifyContext<'_>,
        transition: Transition,
    ) -> Result<SessionId, Refusal> {
        match transition {
            Transition::Redeem(_) => self.scope(Scope::Connection)?,
            Transition::Claim(_) | Transition::Join { .. } | Transition::Reopen { .. } => {
                self.scope(Scope::SpiceSession)?;
            }
            _ if self.made_out.scope == Scope::Exchange => return Err(Refusal::WrongScope),
            _ => {}
        }
        let (now, lease) = (context.now.0, context.lease.map(|(from, until)| (from.0, until.0)));
        let id = match transition {
            Transition::Redeem(attempt) => {
                let id = self.spend(context, attempt, Done::Spend { attempt })?;
                // A use that was given back, or of a connection that has ended.
                match self.is_session(id) && self.ended(id) {
                    true => return Err(Refusal::SessionClosed),
                    false => self.not_released(id)?,
                }
            }
            Transition::Claim(attempt) | Transition::Open(attempt) => {
                let id = self.spend(context, attempt, Done::Claim { attempt, now, lease })?;
                self.session(SessionId::new(id))?
            }
            Transition::Bind { session, connection_id } => self.bind(session, connection_id)?,
            Transition::Release(session)
                if self.made_out.scope == Scope::Connection && !self.open().any(|id| id == session.get()) =>
            {
                let id = session.get();
                if self.next_id() <= id {
                    return Err(Refusal::NoSuchSession);
                }
                let Done::Spend { attempt } = self.history[self.uses().nth(usize::try_from(id).unwrap()).unwrap()]
                else {
                    return Err(Refusal::SessionClosed);
                };
                if self.answered(attempt) != Some(id) {
                    return Err(Refusal::SessionClosed);
                }
                self.not_released(id)?;
                self.history.push(Done::Release { id });
                id
            }
            Transition::Release(session) => {
                let id = self.session(session)?;
                if self
                    .history
                    .iter()
                    .any(|done| matches!(done, Done::Bind { id: other, .. } | Done::Resume { id: other, .. } if *other == id))
                {
                    return Err(Refusal::AlreadyBound);
                }
                self.history.push(Done::Release { id });
                id
            }
            Transition::Join { connection_id } => self.join(context, connection_id)?,
            Transition::Migrate { session, until } => {
                self.not_revoked()?;
                let id = self.session(session)?;
                self.connection_id(id).ok_or(Refusal::NotBound)?;
                self.history.push(Done::Migrate { id, until: until.0 });
                id
            }
            Transition::Settle(session) => {
                let id = self.session(session)?;
                self.history.push(Done::Settle { id });
                id
            }
            Transition::Reopen { attempt, connection_id } => self.reopen(context, attempt, connection_id)?,
            Transition::Suspend {
                session,
                resumed,
                from,
                until,
            } => {
                self.not_revoked()?;
                let id = self.session(session)?;
                if self.resumed(id) != resumed {
                    return Err(Refusal::SessionClosed);
                }
                // Of what it was before, only the limits of the grant count.
                if self.overdue_then(id, now, self.claimed(id).0) {
                    return Err(Refusal::SessionExpired);
                }
                let (from, until) = (from.0, until.0);
                self.history.push(Done::Suspend { id, from, until });
                id
            }
            Transition::Resume { attempt, session } => {
                self.welcome(context)?;
                let id = self.session(session)?;
                if self.answered(attempt) != Some(id) {
                    let suspended = self.suspended(id, self.history.len());
                    suspended
                        .filter(|(from, _)| *from <= now)
                        .ok_or(Refusal::NotSuspended)?;
                    if self.overdue(id, now) {
                        return Err(Refusal::SessionExpired);
                    }
                    self.history.push(Done::Resume { id, attempt, lease });
                }
                id
            }
            Transition::Close(session) => {
                let id = self.session(session)?;
                self.history.push(Done::Close { id });
                id
            }
            Transition::Attend(session) => {
                self.not_revoked()?;
                let id = self.session(session)?;
                if self.overdue(id, now) {
                    return Err(Refusal::SessionExpired);
                }
                id
            }
        };
        Ok(SessionId::new(id))
    }

    fn bind(&mut self, session: SessionId, connection_id: u32) -> Result<u64, Refusal> {
        self.not_revoked()?;
        let number = NonZeroU32::new(connection_id).ok_or(Refusal::ZeroConnectionId)?;
        let id = self.session(session)?;
        if let Some(bound) = self.connection_id(id) {
            return if bound == number {
                Ok(id)
            } else {
                Err(Refusal::AlreadyBound)
            };
        }
        if self.open().any(|other| self.connection_id(other) == Some(number)) {
            return Err(Refusal::ConnectionIdInUse);
        }
        self.history.push(Done::Bind { id, connection_id });
        Ok(id)
    }

    fn join(&self, context: &VerifyContext<'_>, connection_id: u32) -> Result<u64, Refusal> {
        self.welcome(context)?;
        let number = NonZeroU32::new(connection_id).ok_or(Refusal::ZeroConnectionId)?;
        if let Some(id) = self.open().find(|id| self.connection_id(*id) == Some(number)) {
            return if self.overdue(id, context.now.0) {
                Err(Refusal::SessionExpired)
            } else {
                Ok(id)
            };
        }
        if self.next_id() > 0 && self.open().count() == 0 {
            Err(Refusal::SessionClosed)
        } else if self.open().all(|id| self.connection_id(id).is_none()) {
            Err(Refusal::NotBound)
        } else {
            Err(Refusal::NoSuchSession)
        }
    }

    fn reopen(&mut self, context: &VerifyContext<'_>, attempt: AttemptId, connection_id: u32) -> Result<u64, Refusal> {
        self.welcome(context)?;
        if let Some(id) = self.answered(attempt) {
            return self.session(SessionId::new(id));
        }
        let UnixSeconds(now) = context.now;
        let pending = self
            .open()
            .filter(|id| self.migrating(*id).is_some_and(|until| now < until));
        let wanted: Vec<u64> = pending
            .filter(|id| connection_id == 0 || self.connection_id(*id) == NonZeroU32::new(connection_id))
            .collect();
        let [id] = wanted[..] else {
            return Err(Refusal::NotMigrating);
        };
        if self.overdue(id, now) {
            return Err(Refusal::SessionExpired);
        }
        self.history.push(Done::Reopen {
            id,
            attempt,
            connection_id,
        });
        Ok(id)
    }
}
