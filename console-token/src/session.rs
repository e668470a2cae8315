//! What has become of a grant: its uses, and the SPICE sessions that were opened with it.

use alloc::vec::Vec;
use core::{fmt, num::NonZeroU32};

use crate::{Grant, Refusal, Scope, UnixSeconds, Uses};

/// How many SPICE sessions of one token can be open at the same time: 32.
///
/// Without a limit an unlimited token lets its holder make a record, and the number of links on
/// the hypervisor, as large as wanted (OSSN-0008). A person has one session, a class room 30.
pub const MAX_OPEN_SESSIONS: usize = 32;

/// The number of a SPICE session within its token, given by [`Record::claim`] and never reused.
///
/// This is ours; the `connection_id` is the hypervisor's, and is neither known at the claim nor
/// unique: two hypervisors may give the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// Takes a number that [`get`](Self::get) gave, perhaps in another process.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number. It is no secret and admits nobody.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An open SPICE session.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Session {
    id: SessionId,
    claimed: UnixSeconds,
    /// `None` from the claim until the hypervisor's INIT.
    connection_id: Option<NonZeroU32>,
}

impl Session {
    /// `limit` is [`Grant::session_limit`]; at the limit the session is over, as a token at its expiry.
    fn is_over(&self, limit: Option<u64>, now: UnixSeconds) -> bool {
        limit.is_some_and(|seconds| self.claimed.saturating_add(seconds) <= now)
    }
}

/// A grant and what has become of it.
///
/// The methods are the transitions of a token. They are pure (time is an argument), so every
/// store applies the same ones, and **a refused transition leaves the record as it was**.
/// What is wrong is looked for in a fixed order: scope, time, uses, session.
///
/// # Connection scope
///
/// [`redeem`](Self::redeem) spends a use for each connection. To keep the use when the target is
/// not ready: [`check`](Self::check), connect to the target, `redeem`, and only then accept the
/// tenant. Only the `redeem` decides.
///
/// # SPICE session scope
///
/// A SPICE session has many TCP connections, each of which presents the token. Its main channel
/// comes first, with connection id 0; the hypervisor answers it with INIT, which names the session;
/// the other channels come with that number, possibly long after the token has expired.
///
/// ```text
///               claim                  bind
///   (no session) ----> claimed ------------------> bound <--+
///                       |  |      INIT has come     |  |    | join: a later channel
///            release    |  |                        |  +----+
///   (use is returned) <-+  +--> close               |
///                               main ended <--------+
/// ```
///
/// - [`claim`](Self::claim) spends the use. A second main channel of a one-time token is refused,
///   also while the first session is open: it would push the user out of it.
/// - [`bind`](Self::bind) must be stored **before** INIT is forwarded to the client: its next channels
///   follow within milliseconds and would otherwise find a session without a number.
/// - [`join`](Self::join) spends nothing and does not look at the token's expiry.
/// - [`release`](Self::release) gives the use back when the target was not ready, so that the tenant
///   can try again; not after `bind`.
/// - [`close`](Self::close) ends the session. If that was the last use, the token is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    grant: Grant,
    /// INVARIANT: `spent <= n` with `Uses::Limited(n)`; 0 with `Uses::Unlimited`.
    spent: u32,
    /// The number of the next session; all smaller ones were given out.
    next_session: u64,
    /// The open sessions.
    /// INVARIANT: at most `MAX_OPEN_SESSIONS`; no two with the same id or connection id.
    sessions: Vec<Session>,
}

impl Record {
    /// A token that nobody has used.
    #[must_use]
    pub const fn new(grant: Grant) -> Self {
        Self {
            grant,
            spent: 0,
            next_session: 0,
            sessions: Vec::new(),
        }
    }

    /// What the token allows.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// How many uses are left; `None` when they are unlimited.
    #[must_use]
    pub const fn uses_left(&self) -> Option<u32> {
        match self.grant.uses {
            Uses::Unlimited => None,
            Uses::Limited(uses) => Some(uses.get().saturating_sub(self.spent)),
        }
    }

    /// The open sessions, oldest first, each with its connection id once it has one.
    ///
    /// Sessions past the grant's `session_limit` are listed until they are closed or a claim
    /// drops them.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, Option<NonZeroU32>)> {
        self.sessions.iter().map(|session| (session.id, session.connection_id))
    }

    /// Whether nothing can be done with the token any more: it has expired and no session is open.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds) -> bool {
        self.grant.expires <= now && self.live_sessions(now) == 0
    }

    /// Whether a use could be spent now: [`redeem`](Self::redeem) or [`claim`](Self::claim), as
    /// the scope says.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotYetValid`], [`Refusal::Expired`], [`Refusal::Spent`] or
    /// [`Refusal::TooManySessions`].
    pub fn check(&self, now: UnixSeconds) -> Result<(), Refusal> {
        self.grant.admits(now)?;
        self.spend()?;
        if self.live_sessions(now) < MAX_OPEN_SESSIONS {
            Ok(())
        } else {
            Err(Refusal::TooManySessions)
        }
    }

    /// A connection of [`Scope::Connection`]: spends a use.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], and those of [`check`](Self::check).
    pub fn redeem(&mut self, now: UnixSeconds) -> Result<(), Refusal> {
        self.require(Scope::Connection)?;
        self.check(now)?;
        self.spent = self.spend()?;
        Ok(())
    }

    /// The main channel of a new session of [`Scope::SpiceSession`], connection id 0: spends a use.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], and those of [`check`](Self::check).
    pub fn claim(&mut self, now: UnixSeconds) -> Result<SessionId, Refusal> {
        self.require(Scope::SpiceSession)?;
        self.check(now)?;
        let spent = self.spend()?;
        // A record that is claimed a million times a second gets here after 500,000 years.
        let next_session = self.next_session.checked_add(1).ok_or(Refusal::TooManySessions)?;

        // Nothing below can fail.
        let id = SessionId(self.next_session);
        let limit = self.grant.session_limit;
        // Sessions past their limit were not counted by `check`; dropping them here keeps the list short.
        self.sessions.retain(|session| !session.is_over(limit, now));
        self.sessions.push(Session {
            id,
            claimed: now,
            connection_id: None,
        });
        self.next_session = next_session;
        self.spent = spent;
        Ok(id)
    }

    /// The hypervisor named the session (`session_id` of `SPICE_MSG_MAIN_INIT`).
    ///
    /// To be stored before INIT is forwarded. The same number again changes nothing, so that a
    /// gateway may repeat a call whose answer was lost. It may come after the token's expiry: the
    /// claim has decided.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::ZeroConnectionId`], [`Refusal::NoSuchSession`],
    /// [`Refusal::SessionClosed`], [`Refusal::AlreadyBound`] to another number, or
    /// [`Refusal::ConnectionIdInUse`].
    pub fn bind(&mut self, session: SessionId, connection_id: u32) -> Result<(), Refusal> {
        self.require(Scope::SpiceSession)?;
        let connection_id = NonZeroU32::new(connection_id).ok_or(Refusal::ZeroConnectionId)?;
        let in_use = self
            .sessions
            .iter()
            .any(|open| open.connection_id == Some(connection_id));
        let session = self.open_session(session)?;
        match session.connection_id {
            Some(bound) if bound == connection_id => Ok(()),
            Some(_) => Err(Refusal::AlreadyBound),
            None if in_use => Err(Refusal::ConnectionIdInUse),
            None => {
                session.connection_id = Some(connection_id);
                Ok(())
            }
        }
    }

    /// The target was not ready: gives the claim back, and its use with it.
    ///
    /// A claim past the grant's `session_limit` may have been dropped by another claim; its use is then lost.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::NoSuchSession`], [`Refusal::SessionClosed`], or
    /// [`Refusal::AlreadyBound`]: what has reached the hypervisor is spent.
    pub fn release(&mut self, session: SessionId) -> Result<(), Refusal> {
        self.require(Scope::SpiceSession)?;
        if self.open_session(session)?.connection_id.is_some() {
            return Err(Refusal::AlreadyBound);
        }
        self.sessions.retain(|open| open.id != session);
        // Stays 0 when uses are unlimited; otherwise the claim of this session counted in it.
        self.spent = self.spent.saturating_sub(1);
        Ok(())
    }

    /// A later channel of a session: spends nothing, and is admitted also after the token's expiry.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::ZeroConnectionId`], [`Refusal::SessionExpired`], or,
    /// when no open session has this number: [`Refusal::NotBound`] if none has a number yet,
    /// [`Refusal::SessionClosed`] if none is open any more, else [`Refusal::NoSuchSession`].
    pub fn join(&self, now: UnixSeconds, connection_id: u32) -> Result<SessionId, Refusal> {
        self.require(Scope::SpiceSession)?;
        let connection_id = NonZeroU32::new(connection_id).ok_or(Refusal::ZeroConnectionId)?;
        let found = self
            .sessions
            .iter()
            .find(|open| open.connection_id == Some(connection_id));
        match found {
            Some(session) if session.is_over(self.grant.session_limit, now) => Err(Refusal::SessionExpired),
            Some(session) => Ok(session.id),
            None if self.sessions.iter().any(|open| open.connection_id.is_some()) => Err(Refusal::NoSuchSession),
            None if self.sessions.is_empty() && self.next_session != 0 => Err(Refusal::SessionClosed),
            None => Err(Refusal::NotBound),
        }
    }

    /// The main channel has ended, before or after INIT: no channel can join any more.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::NoSuchSession`] or [`Refusal::SessionClosed`].
    pub fn close(&mut self, session: SessionId) -> Result<(), Refusal> {
        self.require(Scope::SpiceSession)?;
        self.open_session(session)?;
        self.sessions.retain(|open| open.id != session);
        Ok(())
    }

    fn require(&self, scope: Scope) -> Result<(), Refusal> {
        if self.grant.scope == scope {
            Ok(())
        } else {
            Err(Refusal::WrongScope)
        }
    }

    /// What `spent` will be after one more use.
    fn spend(&self) -> Result<u32, Refusal> {
        match self.grant.uses {
            Uses::Unlimited => Ok(self.spent),
            Uses::Limited(uses) if self.spent < uses.get() => Ok(self.spent.saturating_add(1)),
            Uses::Limited(_) => Err(Refusal::Spent),
        }
    }

    fn live_sessions(&self, now: UnixSeconds) -> usize {
        let limit = self.grant.session_limit;
        self.sessions
            .iter()
            .filter(|session| !session.is_over(limit, now))
            .count()
    }

    fn open_session(&mut self, id: SessionId) -> Result<&mut Session, Refusal> {
        // Closed sessions leave no trace but this: their number was given out.
        let missing = if id.0 < self.next_session {
            Refusal::SessionClosed
        } else {
            Refusal::NoSuchSession
        };
        self.sessions.iter_mut().find(|session| session.id == id).ok_or(missing)
    }
}
