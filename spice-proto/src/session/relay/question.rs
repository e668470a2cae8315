//! What a relay and its driver say to each other.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::data::Data;
use crate::error::DecodeError;
use crate::link::relay::{RelayConfig, RelayError};
use crate::link::watch::Sender;
use crate::link::{LinkMess, Misuse, Transport, server};
use crate::session::migration::{Endpoint, Fault, Target};
use crate::session::policy::{Policy, Rule};
use crate::session::tracker::Reason;
use crate::session::{Host, Token};
#[cfg(doc)]
use {super::Relay, crate::link::RelayLink};

/// What the relays of one kind of tenant have in common.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// How both peers are treated in the link stage. What a tenant is told when its hypervisor fails is decided by its
    /// session, not by [`RelayConfig::upstream_failure`]. Hypervisors are given tickets only, whatever
    /// [`RelayConfig::upstream_sasl`] says: one that wants SASL is given up, with
    /// [`Incompatibility::NoTickets`](crate::link::Incompatibility::NoTickets).
    pub link: RelayConfig,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// Where these viewers find the proxy when their session moves.
    pub endpoint: Endpoint,
}

impl Config {
    /// With the usual limits.
    #[must_use]
    pub fn new(policy: Arc<Policy>, endpoint: Endpoint) -> Self {
        Self {
            link: RelayConfig::default(),
            policy,
            endpoint,
        }
    }

    /// Sets [`Config::link`].
    #[must_use]
    pub fn with_link(mut self, link: RelayConfig) -> Self {
        self.link = link;
        self
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Flush both `tx`, and read from these sides. Step again when something was read or written, at the deadline, when
    /// a question was answered, and after [`Relay::wake`].
    Receive {
        /// From the tenant.
        tenant: bool,
        /// From the hypervisor.
        hypervisor: bool,
    },
    /// Call [`Relay::consult`] and step again, before anything is flushed.
    Consult,
    /// Find an answer, and step on meanwhile.
    Ask(Question),
    /// The hypervisor's connection is not needed any more: close it, and step again.
    Hangup,
    /// The connection has ended: flush both `tx`, close both, and call [`Relay::close`].
    Done(End),
}

/// What only the caller knows.
#[derive(Debug, PartialEq, Eq)]
pub enum Question {
    /// About the tenant's link, see [`RelayLink`]. A ticket, or an identity that SASL has shown, that is good is answered
    /// with [`Relay::enter`].
    Tenant(server::Question),
    /// Connect to the hypervisor: [`Relay::dialled`] or [`Relay::unreachable`].
    Dial(Dial),
    /// The hypervisor has named the session. Record the id wherever other processes look for it: [`Relay::bound`]; or
    /// [`Relay::not_bound`].
    BindSession(u32),
    /// The session is told to move there: [`Relay::accept_target`] or [`Relay::refuse_target`].
    Target(Target),
}

/// A connection to a hypervisor that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// The session that it is for.
    pub token: Token,
    /// What the tenant asks for.
    pub request: LinkMess,
    /// The session's first hypervisor is 0.
    pub host: Host,
    /// Where that is, if the session has moved or moves: as it was accepted. Its ticket, and whom it has to be, are the
    /// caller's to know.
    pub target: Option<Target>,
    /// The hypervisor has this channel on its port with TLS only, or on the one without: it said so when it was connected
    /// to, and that connection is no more. Asked for once; going back from TLS is for the operator to allow.
    pub transport: Option<Transport>,
}

/// Why a connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The viewer hung up.
    #[error("the viewer hung up")]
    Viewer,
    /// The hypervisor hung up.
    #[error("the hypervisor hung up")]
    Hypervisor,
    /// Its session has ended, or has no use for it any more.
    #[error("its session has ended or moved")]
    Session,
    /// The link stage failed, or was refused.
    #[error(transparent)]
    Link(#[from] RelayError),
    /// The hypervisor could not be reached.
    #[error("the hypervisor was not reached")]
    Unreachable,
    /// The policy does not allow what the viewer or the hypervisor said.
    #[error("{} broke the rule {rule:?}", whom(.by))]
    Rule {
        /// Who said it.
        by: Sender,
        /// The rule.
        rule: Rule,
    },
    /// The session's moves do not allow it.
    #[error("what {} said {fault}", whom(.by))]
    Fault {
        /// Who said it.
        by: Sender,
        /// What is wrong with it.
        fault: Fault,
    },
    /// It cannot be read.
    #[error("{}: {error}", whom(.by))]
    Malformed {
        /// Who said it.
        by: Sender,
        /// Where it ends to make sense.
        error: DecodeError,
    },
    /// The session's id could not be recorded.
    #[error("the session's id was not recorded")]
    NotBound,
}

const fn whom(by: &Sender) -> &'static str {
    match by {
        Sender::Client => "the viewer",
        Sender::Server => "the hypervisor",
    }
}

/// Why a connection was not entered into its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    /// It may not join. The question is still open: [`Relay::refuse`].
    #[error(transparent)]
    Reason(#[from] Reason),
    /// It was not asked.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Messages that went through one connection; can be read while it lives.
#[derive(Debug, Default)]
pub struct Counts {
    to_viewer: AtomicU64,
    to_hypervisor: AtomicU64,
}

impl Counts {
    /// Messages to the viewer.
    #[must_use]
    pub fn to_viewer(&self) -> u64 {
        self.to_viewer.load(Ordering::Relaxed)
    }

    /// Messages to the hypervisor.
    #[must_use]
    pub fn to_hypervisor(&self) -> u64 {
        self.to_hypervisor.load(Ordering::Relaxed)
    }
}

impl Counts {
    pub(super) fn note(&self, data: &Data) {
        let (to_viewer, to_hypervisor) = data.passed();
        self.to_viewer.store(to_viewer, Ordering::Relaxed);
        self.to_hypervisor.store(to_hypervisor, Ordering::Relaxed);
    }
}
