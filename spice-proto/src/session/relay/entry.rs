//! How sessions are opened and joined, and what is reported of them.

#[cfg(doc)]
use super::{Relay, Sessions};
use crate::channel::main::ChannelId;
use crate::link::TicketOutcome;
use crate::session::{Host, SessionKey};

/// The right to open one session: what a use of a token is exchanged for.
///
/// [`Sessions::claim`] makes it, with a key that no other session has, and [`Relay::enter`] takes it, so that it opens
/// one session at most. Whatever becomes of it, [`Report::Ended`] comes for its key in the end, once. A claim that is
/// not used is handed back with [`Sessions::give_back`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "hand it to `Relay::enter`, or give it back: a use was taken for it"]
pub struct Claim(SessionKey);

impl Claim {
    pub(super) const fn new(key: SessionKey) -> Self {
        Self(key)
    }

    /// The key of the session that it opens: what the caller keeps the use under.
    #[must_use]
    pub const fn key(&self) -> SessionKey {
        self.0
    }
}

/// What a token that is good lets its connection do.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry<C = Claim> {
    /// Open a session: a use was taken for it. To be said of a main channel with `connection_id` 0, unless it comes
    /// again after `MIGRATE_SWITCH_HOST`. It never joins a session that is there.
    Open(C),
    /// Belong to the session with this key, which is open already. It never opens one.
    Join(SessionKey),
    /// Belong to a session that another proxy has, as may be behind a balancer that knows nothing of sessions. This proxy
    /// hands the connection on: it is for the other one as a viewer is, with the tenant's own request and token
    /// ([`SessionQuestion::Elsewhere`](super::SessionQuestion::Elsewhere)), and passes on the bytes that follow. What may
    /// pass, and where the session moves, is decided there. Nothing is reported of it.
    Elsewhere,
}

impl Entry {
    /// The session that it is about, of those that are here.
    pub(super) const fn key(&self) -> Option<SessionKey> {
        match self {
            Self::Open(claim) => Some(claim.key()),
            Self::Join(key) => Some(*key),
            Self::Elsewhere => None,
        }
    }
}

/// What a proxy has to know of its sessions, whatever became of the tasks that drove their connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// A link to a hypervisor has come to this. Told once for each connection that [`Relay::enter`] let in, those to
    /// migration targets included.
    Link {
        /// The session that it belongs to.
        session: SessionKey,
        /// The channel.
        channel: ChannelId,
        /// The hypervisor.
        host: Host,
        /// What became of the ticket.
        outcome: TicketOutcome,
    },
    /// A session is over and has no connections left; or its claim was given back, or its connection was refused.
    /// Reported once for each claim, after everything else that is reported of it. Its key is forgotten, and is not
    /// used again.
    Ended {
        /// The session.
        session: SessionKey,
        /// Whether the use that was taken for it is spent: a hypervisor has accepted a ticket, or may have
        /// ([`TicketOutcome::spends`]). If not, the use can be had again.
        spent: bool,
    },
}
