//! What has become of a grant: its uses, and the SPICE sessions that were opened with it.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::{fmt, num::NonZeroU32};

use smallvec::SmallVec;

use crate::{AttemptId, Grant, MAX_OPEN_SESSIONS, Refusal, Scope, Target, TokenHash, UnixSeconds, Uses, VerifyContext};

/// How many of the last attempts a token remembers, to give them their answer again: 32.
///
/// A gateway asks again within seconds; by then no more can have come for a token that people hold.
pub const MAX_ATTEMPTS: usize = 32;

/// The number of a use within its token, given when it is spent and never reused.
///
/// With [`Scope::SpiceSession`] that is the number of a session. It is ours; the `connection_id`
/// is the hypervisor's, and is neither known at the claim nor unique: two hypervisors may give
/// the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// Takes a number that [`get`](Self::get) gave, perhaps in another process.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number. It is no secret and gives no access.
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
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) claimed: UnixSeconds,
    /// `None` from the claim until the hypervisor's INIT.
    pub(crate) connection_id: Option<NonZeroU32>,
    /// A migration is pending: until when the session can be reopened.
    pub(crate) migrating: Option<UnixSeconds>,
    /// Its main channel has come again: the use can no longer be given back.
    pub(crate) reopened: bool,
    /// Its viewer broke off, or will have if its gateway stops.
    pub(crate) suspended: Option<Suspended>,
    /// The attempt that has taken it up last, after it broke off.
    pub(crate) resumed: Option<AttemptId>,
}

/// What has taken the place of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) by: TokenHash,
    /// Until then at least this is known.
    pub(crate) kept: UnixSeconds,
}

/// When a viewer can come again, and the session then is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Suspended {
    pub(crate) from: UnixSeconds,
    pub(crate) until: UnixSeconds,
}

impl Suspended {
    /// Of a session that begins or is taken up now.
    pub(crate) fn from_start(context: &VerifyContext<'_>) -> Option<Self> {
        context.lease.map(|(from, until)| Self { from, until })
    }
}

/// An attempt that was accepted, and the use that it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    /// [`RELEASED`] once the use was given back.
    pub(crate) session: SessionId,
}

/// In place of the use of an attempt that gave it back, or whose session has ended. No use has this number: counting ends before it.
const RELEASED: SessionId = SessionId(u64::MAX);

/// A grant and what has become of it.
///
/// The methods are the transitions of a token. They are pure (time is an argument), so every
/// store applies the same ones, and **a refused transition leaves the record as it was**.
/// What is wrong is looked for in a fixed order: scope, audience, revocation, time, uses, session.
///
/// # Attempts
///
/// What spends ([`redeem`](Self::redeem), [`claim`](Self::claim), [`open`](Self::open), [`reopen`](Self::reopen),
/// [`resume`](Self::resume), [`exchange`](Self::exchange)) has an [`AttemptId`]. The same id again is the same attempt: it
/// gets the first answer and spends nothing, also when the token has expired in between. A session
/// that has been closed meanwhile, or given back, is not opened again by it.
///
/// # What costs a use
///
/// A use is spent when a ticket, password or connection of the gateway may have been accepted by a hypervisor. A use
/// that is taken first and given back afterwards cannot be taken twice in between, so a gateway takes it
/// (`redeem` or `claim`), connects to the hypervisor, and then tells the store what came of that:
///
/// | What came of it | `Scope::Connection` | `Scope::SpiceSession` |
/// |---|---|---|
/// | The hypervisor is not reached, its TLS fails, no ticket was sent | [`release`](Self::release) | `release` |
/// | The hypervisor refuses the ticket | `release` | `release` |
/// | The ticket was sent, and no answer came: timeout, the connection ended, the tenant has gone | nothing | [`close`](Self::close) |
/// | The hypervisor accepts | nothing | [`bind`](Self::bind), and `close` in the end |
///
/// In the third row the use stays spent, since the hypervisor may have accepted the ticket all the same, and may answer
/// late. A gateway that stops in between leaves the use spent too. Each use has its own number: to release or close
/// one does nothing to the others of the same token.
///
/// # Connection scope
///
/// [`redeem`](Self::redeem) spends a use for each connection; [`release`](Self::release) gives it back. To look whether
/// a token would be accepted: [`check`](Self::check), which decides nothing.
///
/// A store that is to know which connections are open takes [`open`](Self::open) in place of `redeem`: the connection is
/// then a session of the record, with [`bind`](Self::bind) (under any number) once a hypervisor may have accepted it,
/// [`attend`](Self::attend) and [`close`](Self::close). A viewer that broke off can come again to its session:
/// [`suspend`](Self::suspend), [`resume`](Self::resume).
///
/// # SPICE session scope
///
/// A SPICE session has many TCP connections, each of which presents the token. Its main channel
/// comes first, with connection id 0; the hypervisor answers it with INIT, which names the session;
/// the other channels come with that number, possibly long after the token has expired.
///
/// ```text
///               claim                  bind
///   (no session) ----> claimed ------------------> bound <-------+
///                       |  |      INIT has come   | | ^ | join: a later channel
///            release    |  |                      | | | +--------+
///   (use is returned) <-+  +--> close             | | | reopen: the main channel again,
///                               main ended <------+ | |         or settle: it stays
///                                           migrate v |
///                                             migrating
/// ```
///
/// - [`claim`](Self::claim) spends the use. A second main channel of a one-time token is refused,
///   also while the first session is open: it would push the user out of it.
/// - [`bind`](Self::bind) must be stored **before** INIT is forwarded to the client: its next channels
///   follow within milliseconds and would otherwise find a session without a number.
/// - [`join`](Self::join) spends nothing and does not look at the token's expiry.
/// - [`migrate`](Self::migrate) lets the main channel come a second time, once, while the virtual
///   machine moves: [`reopen`](Self::reopen). [`retarget`](Self::retarget) says where it moved to.
/// - [`release`](Self::release) gives the use back when no hypervisor can have accepted a ticket, so that the tenant
///   can try again; not after `bind`.
/// - [`close`](Self::close) ends the session, and its use stays spent. If that was the last use, the token is dead.
/// - [`attend`](Self::attend) tells the gateway of an open session whether it has to end it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub(crate) grant: Arc<Grant>,
    pub(crate) revoked: bool,
    /// INVARIANT: `spent <= n` with `Uses::Limited(n)`; 0 with `Uses::Unlimited`.
    pub(crate) spent: u32,
    /// The number of the next use; all smaller ones were given out.
    pub(crate) next_session: u64,
    /// The last attempts that were accepted, oldest first.
    /// INVARIANT: at most `MAX_ATTEMPTS`, no two with the same id. With `Uses::Limited` there is room
    /// for all from the start, so that no redeem allocates.
    pub(crate) attempts: SmallVec<[Attempt; 1]>,
    /// The open sessions.
    /// INVARIANT: at most `MAX_OPEN_SESSIONS`; no two with the same id or connection id.
    pub(crate) sessions: Vec<Session>,
    /// INVARIANT: only of a token that is revoked and has no sessions.
    pub(crate) replaced: Option<Box<Replaced>>,
}

impl Record {
    /// A token that has not been used.
    #[must_use]
    pub fn new(grant: Grant) -> Self {
        Self::from_shared(Arc::new(grant))
    }

    pub(crate) fn from_shared(grant: Arc<Grant>) -> Self {
        let uses = match grant.uses {
            Uses::Unlimited => 0,
            Uses::Limited(uses) => usize::try_from(uses.get()).unwrap_or(MAX_ATTEMPTS),
        };
        Self {
            grant,
            revoked: false,
            spent: 0,
            next_session: 0,
            attempts: SmallVec::with_capacity(uses.min(MAX_ATTEMPTS)),
            sessions: Vec::new(),
            replaced: None,
        }
    }

    /// What the token allows.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// Whether the token was revoked.
    #[must_use]
    pub const fn is_revoked(&self) -> bool {
        self.revoked
    }

    /// How many uses are left; `None` when they are unlimited.
    #[must_use]
    pub fn uses_left(&self) -> Option<u32> {
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

    /// Whether nothing can be done with the token any more: it has expired, no session is open, and it leads to no token
    /// that has [replaced](Self::replace) it.
    #[must_use]
    pub fn is_over(&self, now: UnixSeconds) -> bool {
        let leads_on = self.replaced.as_ref().is_some_and(|replaced| now < replaced.kept);
        self.grant.window().1 <= now && self.live_sessions(now) == 0 && !leads_on
    }

    /// Whether a use could be spent now, as the scope says.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongAudience`], [`Refusal::Revoked`], [`Refusal::NotYetValid`],
    /// [`Refusal::Expired`], [`Refusal::Spent`] or [`Refusal::TooManySessions`].
    pub fn check(&self, context: &VerifyContext<'_>) -> Result<(), Refusal> {
        self.welcome(context)?;
        self.ready(context.now)
    }

    /// A connection of [`Scope::Connection`]: spends a use.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], those of [`check`](Self::check), and [`Refusal::SessionClosed`] for an attempt that
    /// has given its use back.
    pub fn redeem(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<SessionId, Refusal> {
        self.require(Scope::Connection)?;
        match self.spend_once(context, attempt)? {
            RELEASED => Err(Refusal::SessionClosed),
            session => Ok(session),
        }
    }

    /// An exchange of a token of [`Scope::Exchange`]: spends a use.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], and those of [`check`](Self::check).
    pub fn exchange(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<SessionId, Refusal> {
        self.require(Scope::Exchange)?;
        self.spend_once(context, attempt)
    }

    /// The main channel of a new session of [`Scope::SpiceSession`], connection id 0: spends a use.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], those of [`check`](Self::check), and [`Refusal::SessionClosed`] for
    /// an attempt whose session is no longer open.
    pub fn claim(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<SessionId, Refusal> {
        self.require(Scope::SpiceSession)?;
        self.start(context, attempt)
    }

    /// A connection whose end the store will learn, of [`Scope::Connection`], or one that stands for a whole session of
    /// [`Scope::SpiceSession`]: spends a use, and opens a session, which [`attend`](Self::attend) and
    /// [`close`](Self::close) are about.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`] for exchanges, those of [`check`](Self::check), and [`Refusal::SessionClosed`] for an attempt
    /// whose session is no longer open.
    pub fn open(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<SessionId, Refusal> {
        self.has_sessions()?;
        self.start(context, attempt)
    }

    fn start(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<SessionId, Refusal> {
        let is_repeated = self.answered(attempt).is_some();
        let id = self.spend_once(context, attempt)?;
        if id == RELEASED {
            return Err(Refusal::SessionClosed);
        }
        if is_repeated {
            // The first answer again, if it still holds.
            return self.open_session(id).map(|session| session.id);
        }
        // Sessions past their end were not counted by `spend_once`; dropping them keeps the list short.
        let grant = self.grant.clone();
        self.end_sessions(|session| session.is_over(&grant, context.now));
        self.sessions.push(Session {
            id,
            claimed: context.now,
            connection_id: None,
            migrating: None,
            reopened: false,
            suspended: Suspended::from_start(context),
            resumed: None,
        });
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
    /// [`Refusal::WrongScope`], [`Refusal::Revoked`], [`Refusal::ZeroConnectionId`],
    /// [`Refusal::NoSuchSession`], [`Refusal::SessionClosed`], [`Refusal::AlreadyBound`] to another
    /// number, or [`Refusal::ConnectionIdInUse`].
    pub fn bind(&mut self, session: SessionId, connection_id: u32) -> Result<(), Refusal> {
        self.has_sessions()?;
        self.not_revoked()?;
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

    /// No hypervisor can have accepted a ticket: gives the use of a `redeem` or a `claim` back. See "What costs a
    /// use" above: not when a ticket was sent and not answered.
    ///
    /// A use is given back once. The attempt that got it is over: asked again, it is refused and spends nothing.
    /// Of [`Scope::Connection`] a use can be given back while its attempt is remembered
    /// ([`MAX_ATTEMPTS`]). A claim past the session's end may have been dropped by another claim; its use is then lost.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`] for exchanges, [`Refusal::NoSuchSession`], [`Refusal::SessionClosed`] for a use that was
    /// given back before, was closed or is not remembered any more, or
    /// [`Refusal::AlreadyBound`]: what has reached the hypervisor is spent.
    pub fn release(&mut self, session: SessionId) -> Result<(), Refusal> {
        match self.grant.scope {
            Scope::Exchange => return Err(Refusal::WrongScope),
            Scope::Connection if !self.is_open(session) => self.release_redeem(session)?,
            Scope::Connection | Scope::SpiceSession => self.release_claim(session)?,
        }
        // Stays 0 when uses are unlimited; otherwise this use counted in it.
        self.spent = self.spent.saturating_sub(1);
        Ok(())
    }

    fn release_claim(&mut self, session: SessionId) -> Result<(), Refusal> {
        let open = self.open_session(session)?;
        // A session that was reopened waits for a number once more, but was in use before.
        if open.connection_id.is_some() || open.reopened {
            return Err(Refusal::AlreadyBound);
        }
        self.end_sessions(|open| open.id == session);
        Ok(())
    }

    fn release_redeem(&mut self, session: SessionId) -> Result<(), Refusal> {
        let missing = self.missing(session);
        let attempt = self.attempts.iter_mut().find(|attempt| attempt.session == session);
        let attempt = attempt.filter(|_| session != RELEASED).ok_or(missing)?;
        attempt.session = RELEASED;
        Ok(())
    }

    /// A later channel of a session: spends nothing, and is admitted also after the token's expiry.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::WrongAudience`], [`Refusal::Revoked`],
    /// [`Refusal::ZeroConnectionId`], [`Refusal::SessionExpired`], or,
    /// when no open session has this number: [`Refusal::NotBound`] if none has a number yet,
    /// [`Refusal::SessionClosed`] if none is open any more, else [`Refusal::NoSuchSession`].
    pub fn join(&self, context: &VerifyContext<'_>, connection_id: u32) -> Result<SessionId, Refusal> {
        self.require(Scope::SpiceSession)?;
        self.welcome(context)?;
        let connection_id = NonZeroU32::new(connection_id).ok_or(Refusal::ZeroConnectionId)?;
        let found = self
            .sessions
            .iter()
            .find(|open| open.connection_id == Some(connection_id));
        match found {
            Some(session) if session.is_over(&self.grant, context.now) => Err(Refusal::SessionExpired),
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
        self.has_sessions()?;
        self.open_session(session)?;
        self.end_sessions(|open| open.id == session);
        Ok(())
    }

    /// Whether the gateway of an open session may let it go on. To be asked from time to time: a
    /// token that is revoked, and a session at its end, end the connections that are open.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::Revoked`], [`Refusal::NoSuchSession`],
    /// [`Refusal::SessionClosed`] or [`Refusal::SessionExpired`].
    pub fn attend(&self, now: UnixSeconds, session: SessionId) -> Result<(), Refusal> {
        self.has_sessions()?;
        self.not_revoked()?;
        match self.sessions.iter().find(|open| open.id == session) {
            Some(open) if open.is_over(&self.grant, now) => Err(Refusal::SessionExpired),
            Some(_) => Ok(()),
            None => Err(self.missing(session)),
        }
    }

    /// Ends the token and its sessions: nothing is admitted any more. `false` if that was so before.
    ///
    /// Sessions are listed until they are closed, which their gateways do when [`attend`](Self::attend) says so.
    pub const fn revoke(&mut self) -> bool {
        !core::mem::replace(&mut self.revoked, true)
    }

    /// The console is elsewhere now, as after a migration: where later connections go.
    pub fn retarget(&mut self, target: Target) {
        Arc::make_mut(&mut self.grant).target = target;
    }

    pub(crate) fn require(&self, scope: Scope) -> Result<(), Refusal> {
        if self.grant.scope == scope {
            Ok(())
        } else {
            Err(Refusal::WrongScope)
        }
    }

    /// Only of exchanges nothing stays open.
    pub(crate) fn has_sessions(&self) -> Result<(), Refusal> {
        match self.grant.scope {
            Scope::Exchange => Err(Refusal::WrongScope),
            Scope::Connection | Scope::SpiceSession => Ok(()),
        }
    }

    fn is_open(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|open| open.id == session)
    }

    /// Sessions are over. Of connections, what is remembered of their attempts is the use of a redeem, which can be given
    /// back: these cannot.
    fn end_sessions(&mut self, are_over: impl Fn(&Session) -> bool) {
        if self.grant.scope == Scope::Connection {
            let (attempts, sessions) = (&mut self.attempts, &self.sessions);
            for over in sessions.iter().filter(|session| are_over(session)) {
                let mine = attempts.iter_mut().filter(|attempt| attempt.session == over.id);
                mine.for_each(|attempt| attempt.session = RELEASED);
            }
        }
        self.sessions.retain(|session| !are_over(session));
    }

    pub(crate) fn not_revoked(&self) -> Result<(), Refusal> {
        if self.revoked { Err(Refusal::Revoked) } else { Ok(()) }
    }

    pub(crate) fn welcome(&self, context: &VerifyContext<'_>) -> Result<(), Refusal> {
        match &self.grant.audience {
            Some(audience) if context.audience != Some(audience) => Err(Refusal::WrongAudience),
            _ => self.not_revoked(),
        }
    }

    fn ready(&self, now: UnixSeconds) -> Result<(), Refusal> {
        self.grant.admits(now)?;
        match self.grant.uses {
            Uses::Limited(uses) if uses.get() <= self.spent => return Err(Refusal::Spent),
            _ => {}
        }
        if self.live_sessions(now) < usize::from(self.grant.max_sessions.min(MAX_OPEN_SESSIONS).get()) {
            Ok(())
        } else {
            Err(Refusal::TooManySessions)
        }
    }

    /// The use that this attempt has got, or a new one.
    fn spend_once(&mut self, context: &VerifyContext<'_>, attempt: AttemptId) -> Result<SessionId, Refusal> {
        self.welcome(context)?;
        if let Some(id) = self.answered(attempt) {
            return Ok(id);
        }
        self.ready(context.now)?;
        let id = SessionId(self.next_session);
        // A record that is used a million times a second gets here after 500,000 years.
        self.next_session = self.next_session.checked_add(1).ok_or(Refusal::TooManySessions)?;
        if self.grant.uses != Uses::Unlimited {
            // `ready` has seen that it is less than the uses.
            self.spent = self.spent.saturating_add(1);
        }
        self.remember(attempt, id);
        Ok(id)
    }

    /// What the attempt was answered, if it was accepted.
    pub(crate) fn answered(&self, attempt: AttemptId) -> Option<SessionId> {
        let known = self.attempts.iter().rev().find(|known| known.id == attempt);
        known.map(|known| known.session)
    }

    pub(crate) fn remember(&mut self, id: AttemptId, session: SessionId) {
        if MAX_ATTEMPTS <= self.attempts.len() {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt { id, session });
    }

    pub(crate) fn live_sessions(&self, now: UnixSeconds) -> usize {
        self.sessions
            .iter()
            .filter(|session| !session.is_over(&self.grant, now))
            .count()
    }

    /// Closed sessions leave no trace but this: their number was given out.
    const fn missing(&self, id: SessionId) -> Refusal {
        if id.0 < self.next_session {
            Refusal::SessionClosed
        } else {
            Refusal::NoSuchSession
        }
    }

    pub(crate) fn open_session(&mut self, id: SessionId) -> Result<&mut Session, Refusal> {
        let missing = self.missing(id);
        self.sessions.iter_mut().find(|session| session.id == id).ok_or(missing)
    }
}

impl Session {
    /// When it is over by itself.
    pub(crate) fn ends(&self, grant: &Grant) -> Option<UnixSeconds> {
        let ends = grant.session_ends(self.claimed);
        match self.suspended {
            Some(Suspended { until, .. }) => Some(ends.map_or(until, |end| end.min(until))),
            None => ends,
        }
    }

    /// At its end a session is over, as a token at its expiry.
    pub(crate) fn is_over(&self, grant: &Grant, now: UnixSeconds) -> bool {
        self.ends(grant).is_some_and(|end| end <= now)
    }
}
