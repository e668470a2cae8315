//! Sessions whose viewer comes again: because the virtual machine moves, or because its connection broke off.

use core::num::NonZeroU32;

use crate::session::{Session, Suspended};
use crate::{AttemptId, Record, Refusal, Scope, SessionId, UnixSeconds, VerifyContext};

impl Record {
    /// The virtual machine is about to move: until then the session's main channel may come again.
    ///
    /// Another moment replaces the first.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::Revoked`], [`Refusal::NoSuchSession`],
    /// [`Refusal::SessionClosed`], or [`Refusal::NotBound`]: the hypervisor that moves has named the session.
    pub fn migrate(&mut self, session: SessionId, until: UnixSeconds) -> Result<(), Refusal> {
        self.has_sessions()?;
        self.not_revoked()?;
        let session = self.open_session(session)?;
        if session.connection_id.is_none() {
            return Err(Refusal::NotBound);
        }
        session.migrating = Some(until);
        Ok(())
    }

    /// The migration is over, or was given up, without the main channel coming again. Changes nothing
    /// where none was pending.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::NoSuchSession`] or [`Refusal::SessionClosed`].
    pub fn settle(&mut self, session: SessionId) -> Result<(), Refusal> {
        self.has_sessions()?;
        self.open_session(session)?.migrating = None;
        Ok(())
    }

    /// The main channel of a session comes again, because its virtual machine moves: spends nothing,
    /// is admitted also after the token's expiry, and once for each [`migrate`](Self::migrate).
    ///
    /// A client that was told of the migration (`SPICE_MSG_MAIN_MIGRATE_BEGIN`) comes with the
    /// session's number and keeps it. One that was sent away (`SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST`)
    /// comes with 0, which stands for the one session that is migrating; its number is then free until
    /// the new hypervisor's INIT is [bound](Self::bind).
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::WrongAudience`], [`Refusal::Revoked`],
    /// [`Refusal::SessionClosed`] for an attempt whose session is no longer open;
    /// [`Refusal::NotMigrating`], also when 0 could mean two sessions; [`Refusal::SessionExpired`].
    pub fn reopen(
        &mut self,
        context: &VerifyContext<'_>,
        attempt: AttemptId,
        connection_id: u32,
    ) -> Result<SessionId, Refusal> {
        self.require(Scope::SpiceSession)?;
        self.welcome(context)?;
        if let Some(id) = self.answered(attempt) {
            return self.open_session(id).map(|session| session.id);
        }
        let wanted = NonZeroU32::new(connection_id);
        let pending = |session: &&mut Session| {
            session.migrating.is_some_and(|until| context.now < until)
                && (wanted.is_none() || session.connection_id == wanted)
        };
        let mut found = self.sessions.iter_mut().filter(pending);
        let (Some(session), None) = (found.next(), found.next()) else {
            return Err(Refusal::NotMigrating);
        };
        if session.is_over(&self.grant, context.now) {
            return Err(Refusal::SessionExpired);
        }
        session.migrating = None;
        session.reopened = true;
        session.connection_id = wanted;
        let id = session.id;
        self.remember(attempt, id);
        Ok(id)
    }

    /// The viewer's connection broke off, or will have broken off if its gateway says nothing else until `from`: then it may
    /// come again ([`resume`](Self::resume)), and `until` then the session is over by itself. No other viewer takes its place
    /// meanwhile, and its use stays spent.
    ///
    /// A gateway that holds a session says so from time to time, with moments that lie ahead: if it stops without a word,
    /// its sessions are free. Other moments replace the first ones.
    ///
    /// `resumed` says how the caller came to the session: by this attempt of [`resume`](Self::resume), or, with `None`, since it
    /// began. Where another has taken it up since, it is not the caller's any more: what it says too late, or says again since
    /// an answer was lost, must not free the session of the viewer that is there now.
    ///
    /// [`resume`](Self::resume) takes a moment that has passed for what it says. A gateway that reads it after its store was
    /// away has to know that no gateway could write another one meanwhile, as the adapters do: for a viewer whose connection
    /// has broken off they write 0, and another moment that has passed counts only when the store has answered for as long as a
    /// session is held.
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::Revoked`], [`Refusal::NoSuchSession`], [`Refusal::SessionClosed`], also where another
    /// has taken it up, or [`Refusal::SessionExpired`] past the limits of the grant.
    pub fn suspend(
        &mut self,
        now: UnixSeconds,
        session: SessionId,
        resumed: Option<AttemptId>,
        from: UnixSeconds,
        until: UnixSeconds,
    ) -> Result<(), Refusal> {
        self.has_sessions()?;
        self.not_revoked()?;
        let grant = self.grant.clone();
        let open = self.open_session(session)?;
        if open.resumed != resumed {
            return Err(Refusal::SessionClosed);
        }
        if grant.session_ends(open.claimed).is_some_and(|end| end <= now) {
            return Err(Refusal::SessionExpired);
        }
        open.suspended = Some(Suspended { from, until });
        Ok(())
    }

    /// The viewer of a session that was [suspended](Self::suspend) comes again: spends nothing, is admitted also after the
    /// token's expiry, and once for each `suspend`. Its number is free until the hypervisor's next one is
    /// [bound](Self::bind).
    ///
    /// # Errors
    ///
    /// [`Refusal::WrongScope`], [`Refusal::WrongAudience`], [`Refusal::Revoked`], [`Refusal::NoSuchSession`],
    /// [`Refusal::SessionClosed`], [`Refusal::NotSuspended`], [`Refusal::SessionExpired`].
    pub fn resume(
        &mut self,
        context: &VerifyContext<'_>,
        attempt: AttemptId,
        session: SessionId,
    ) -> Result<(), Refusal> {
        self.has_sessions()?;
        self.welcome(context)?;
        let grant = self.grant.clone();
        let is_repeated = self.answered(attempt) == Some(session);
        let open = self.open_session(session)?;
        if is_repeated {
            return Ok(());
        }
        let suspended = open.suspended.filter(|suspended| suspended.from <= context.now);
        if suspended.is_none() {
            return Err(Refusal::NotSuspended);
        }
        if open.is_over(&grant, context.now) {
            return Err(Refusal::SessionExpired);
        }
        (open.suspended, open.migrating, open.connection_id) = (Suspended::from_start(context), None, None);
        (open.reopened, open.resumed) = (true, Some(attempt));
        self.remember(attempt, session);
        Ok(())
    }

    /// The sessions whose viewers may come again, oldest first.
    #[cfg(feature = "tokio")]
    pub(crate) fn suspended(&self, now: UnixSeconds) -> impl Iterator<Item = (SessionId, Suspended)> {
        let open = self.sessions.iter().filter(move |open| !open.is_over(&self.grant, now));
        let suspended = open.filter_map(|open| Some((open.id, open.suspended?)));
        suspended.filter(move |(_, suspended)| suspended.from <= now)
    }
}
