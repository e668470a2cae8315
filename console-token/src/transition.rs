//! The transitions of a token as values, which can travel to a store.

use alloc::sync::Arc;
use core::fmt;

use crate::{AttemptId, Grant, Record, Refusal, SessionId, TokenHash, UnixSeconds, VerifyContext};

/// A transition of a [`Record`]: the method of the same name, with its rules and its refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transition {
    /// [`Record::redeem`]: a connection.
    Redeem(AttemptId),
    /// [`Record::claim`]: the main channel of a new SPICE session.
    Claim(AttemptId),
    /// [`Record::open`]: a connection whose end the store will learn.
    Open(AttemptId),
    /// [`Record::bind`]: the hypervisor named the session. Before INIT is forwarded.
    Bind {
        /// The session.
        session: SessionId,
        /// `session_id` of `SPICE_MSG_MAIN_INIT`.
        connection_id: u32,
    },
    /// [`Record::release`]: no hypervisor can have accepted a ticket, the use is given back.
    Release(SessionId),
    /// [`Record::join`]: a later channel of a SPICE session.
    Join {
        /// The number that the channel came with.
        connection_id: u32,
    },
    /// [`Record::migrate`]: the virtual machine is about to move.
    Migrate {
        /// The session.
        session: SessionId,
        /// Until then the main channel may come again.
        until: UnixSeconds,
    },
    /// [`Record::settle`]: the migration is over.
    Settle(SessionId),
    /// [`Record::reopen`]: the main channel comes again.
    Reopen {
        /// The attempt.
        attempt: AttemptId,
        /// The number that the channel came with; 0 for the one session that is migrating.
        connection_id: u32,
    },
    /// [`Record::suspend`]: the viewer's connection broke off, or will have if its gateway stops.
    Suspend {
        /// The session.
        session: SessionId,
        /// The attempt of the [`Resume`](Self::Resume) by which it was taken up; `None` since it began.
        resumed: Option<AttemptId>,
        /// From then on the viewer may come again; 0 if its connection has broken off.
        from: UnixSeconds,
        /// Then the session is over.
        until: UnixSeconds,
    },
    /// [`Record::resume`]: the viewer of a suspended session comes again.
    Resume {
        /// The attempt.
        attempt: AttemptId,
        /// The session.
        session: SessionId,
    },
    /// [`Record::close`]: the main channel, or the connection, has ended.
    Close(SessionId),
    /// [`Record::attend`]: whether the session may go on.
    Attend(SessionId),
}

/// The use or session that a transition was about, and what the token allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The number of the use; with SPICE, of the session.
    pub session: SessionId,
    /// What the token allows; above all the target.
    pub grant: Arc<Grant>,
    /// The token that has [replaced](Record::replace) the one that was asked: to be asked from now on.
    pub replaced_by: Option<TokenHash>,
}

impl Record {
    /// Applies a transition; the number is that of the session that it was about.
    ///
    /// # Errors
    ///
    /// Those of the method that the transition names.
    pub fn apply(&mut self, context: &VerifyContext<'_>, transition: Transition) -> Result<SessionId, Refusal> {
        match transition {
            Transition::Redeem(attempt) => self.redeem(context, attempt),
            Transition::Claim(attempt) => self.claim(context, attempt),
            Transition::Open(attempt) => self.open(context, attempt),
            Transition::Bind { session, connection_id } => self.bind(session, connection_id).map(|()| session),
            Transition::Release(session) => self.release(session).map(|()| session),
            Transition::Join { connection_id } => self.join(context, connection_id),
            Transition::Migrate { session, until } => self.migrate(session, until).map(|()| session),
            Transition::Settle(session) => self.settle(session).map(|()| session),
            Transition::Reopen { attempt, connection_id } => self.reopen(context, attempt, connection_id),
            Transition::Suspend {
                session,
                resumed,
                from,
                until,
            } => self
                .suspend(context.now, session, resumed, from, until)
                .map(|()| session),
            Transition::Resume { attempt, session } => self.resume(context, attempt, session).map(|()| session),
            Transition::Close(session) => self.close(session).map(|()| session),
            Transition::Attend(session) => self.attend(context.now, session).map(|()| session),
        }
    }

    /// The answer to a transition that was about this session.
    #[cfg(feature = "std")]
    pub(crate) fn admitted(&self, session: SessionId, replaced_by: Option<TokenHash>) -> Admitted {
        Admitted {
            session,
            grant: Arc::clone(self.grant()),
            replaced_by,
        }
    }
}

impl fmt::Display for Transition {
    /// The name of the transition and the numbers that it is about; not the attempt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redeem(_) => f.write_str("redeem"),
            Self::Claim(_) => f.write_str("claim"),
            Self::Open(_) => f.write_str("open"),
            Self::Bind { session, connection_id } => write!(f, "bind {session} to {connection_id}"),
            Self::Release(session) => write!(f, "release {session}"),
            Self::Join { connection_id } => write!(f, "join {connection_id}"),
            Self::Migrate { session, until } => write!(f, "migrate {session} until {}", until.0),
            Self::Settle(session) => write!(f, "settle {session}"),
            Self::Reopen { connection_id, .. } => write!(f, "reopen {connection_id}"),
            Self::Suspend {
                session, from, until, ..
            } => {
                write!(f, "suspend {session} from {} until {}", from.0, until.0)
            }
            Self::Resume { session, .. } => write!(f, "resume {session}"),
            Self::Close(session) => write!(f, "close {session}"),
            Self::Attend(session) => write!(f, "attend {session}"),
        }
    }
}
