//! What a relay and its driver say to each other.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use super::GuestIdentity;
use crate::caps::Capabilities;
use crate::error::DecodeError;
use crate::limits::Limits;
use crate::link::Sender;
use crate::link::relay::RelayError;
use crate::link::{LinkMess, Misuse, Transport, server};
use crate::session::migration::{Endpoint, Fault, Target};
use crate::session::policy::{Policy, Rule};
use crate::session::tracker::Reason;
use crate::session::{Host, SessionKey};
#[cfg(doc)]
use {super::Relay, crate::link::RelayLink};

/// What the relays of one kind of tenant have in common.
///
/// Hypervisors are given tickets only: one that wants SASL is given up, with
/// [`Incompatibility::NoTickets`](crate::link::Incompatibility::NoTickets).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Limits on both connections. The time for a link counts anew for the hypervisor's part.
    pub limits: Limits,
    /// Capabilities that may be promised to the tenant and missing at its hypervisor: none.
    pub waived: Capabilities,
    /// What may pass.
    pub policy: Arc<Policy>,
    /// Where the viewers of this listener find the proxy when their session moves: its public host and ports.
    pub endpoint: Endpoint,
}

impl Config {
    /// With the usual limits.
    #[must_use]
    pub fn new(policy: Arc<Policy>, endpoint: Endpoint) -> Self {
        Self {
            limits: Limits::default(),
            waived: Capabilities::default(),
            policy,
            endpoint,
        }
    }

    /// Sets [`Config::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`Config::waived`].
    #[must_use]
    pub fn with_waived(mut self, waived: Capabilities) -> Self {
        self.waived = waived;
        self
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write and flush both `tx`, and read from these sides, all at the same time. Step again when something was read,
    /// written or flushed, at the deadline, when a question was answered, and after [`Relay::wake`]. Also while a
    /// question is open, since a side is read to see when it goes: tell [`Relay::eof`], and do not wait for the answer.
    Receive {
        /// From the tenant.
        tenant: bool,
        /// From the hypervisor.
        hypervisor: bool,
    },
    /// Call [`Relay::synchronize`] and step again, before anything is flushed.
    Synchronize,
    /// Find an answer, and step on meanwhile.
    Ask(SessionQuestion),
    /// The hypervisor's connection is not needed any more: close it, and step again.
    Hangup,
    /// The connection has ended: flush both `tx`, close both, and call [`Relay::close`].
    Done(End),
}

/// What only the caller knows.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionQuestion {
    /// About the tenant's link, see [`RelayLink`]. A ticket, or an identity that SASL has shown, that is good is
    /// answered with [`Relay::enter`].
    Tenant(server::ServerQuestion),
    /// Connect to the hypervisor: [`Relay::dialled`] or [`Relay::unreachable`].
    Dial(Dial),
    /// The session is another proxy's ([`Entry::Elsewhere`](super::Entry::Elsewhere)). Connect to that one:
    /// [`Relay::dialled`] with the tenant's token as ticket, or [`Relay::unreachable`]. This is what the tenant asks for.
    Elsewhere(LinkMess),
    /// The hypervisor has named the session. Record the id wherever other processes look for it: [`Relay::bound`]; or
    /// [`Relay::not_bound`].
    BindSession {
        /// The session.
        session: SessionKey,
        /// Its id, as the viewer will say it with each further connection.
        id: u32,
    },
    /// Accept a move only to a place of the guest that this session is of: [`Relay::accept_target`]; any other is
    /// refused: [`Relay::refuse_target`]. See [`Move`].
    Target(Move),
    /// The hypervisor says which guest it has; the viewer has not seen it: [`Relay::accept_identity`], or
    /// [`Relay::refuse_identity`] if that is another one than the session is of.
    Identity(GuestIdentity),
}

/// A connection to a hypervisor that is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// The session that it is for.
    pub session: SessionKey,
    /// What the tenant asks for.
    pub request: LinkMess,
    /// The session's first hypervisor is 0.
    pub host: Host,
    /// Where that is, if the session has moved or moves: as it was accepted. Its ticket, and its identity, are the
    /// caller's to know.
    pub target: Option<Target>,
    /// The hypervisor has this channel on its port with TLS only, or on the one without: it said so when it was
    /// connected to, and that connection is no more. Asked for once; going back from TLS is for the operator to allow.
    pub transport: Option<Transport>,
}

/// A move that a hypervisor asks for: accept it only to a place of the guest that this session is of.
///
/// What is named is the hypervisor's word, and nothing else. One that was taken over, or is wrong, names the host and
/// port of another guest, and the viewer would be let in there: with its own token, and with the ticket that the proxy
/// has for that place. It is not enough that the place is one that the proxy knows. So look up the guest by `session`,
/// and the place among those of this guest; and refuse what is not found, as well as a session that is not known.
///
/// ```
/// use std::collections::HashMap;
/// use std::num::NonZeroU16;
/// use spice_proto::session::SessionKey;
/// use spice_proto::session::relay::Move;
/// # use spice_proto::session::Host;
/// # use spice_proto::session::migration::{Kind, Target};
///
/// struct Place {
///     host: &'static str,
///     port: Option<NonZeroU16>,
///     tls_port: Option<NonZeroU16>,
/// }
///
/// /// Where a guest is and may go. No two guests have a place in common.
/// struct Guest {
///     places: Vec<Place>,
/// }
///
/// /// The place to go to. It is also what is dialled and whose ticket is sent for this session's next
/// /// [`Host`](spice_proto::session::Host).
/// fn accepted<'a>(guests: &'a HashMap<SessionKey, Guest>, asked: &Move) -> Option<&'a Place> {
///     let guest = guests.get(&asked.session)?;
///     guest.places.iter().find(|place| asked.target.is_at(place.host, place.port, place.tls_port))
/// }
/// # let port = NonZeroU16::new;
/// # let place = |host, number| Place { host, port: port(number), tls_port: None };
/// # let [one, other, third] = [1, 2, 3].map(SessionKey::new);
/// # let guests = HashMap::from([
/// #     (one, Guest { places: vec![place("node1.example", 5900), place("node2.example", 5900)] }),
/// #     (other, Guest { places: vec![place("node2.example", 5901)] }),
/// # ]);
/// # let to = |session, host, number| {
/// #     let target = Target::new(Kind::Seamless, host, port(number), None);
/// #     accepted(&guests, &Move { session, host: Host(0), target }).is_some()
/// # };
/// # assert!(to(one, "node2.example", 5900) && to(one, "NODE2.example", 5900) && to(other, "node2.example", 5901));
/// # assert!(!to(one, "node2.example", 5901) && !to(other, "node2.example", 5900) && !to(third, "node2.example", 5900));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The session, and so the guest, that shall move.
    pub session: SessionKey,
    /// The hypervisor that asks for it, on which the session is.
    pub host: Host,
    /// Where to, and how: the host, its ports, the subject of its certificate. If it is accepted, each [`Dial`] to it
    /// has it, too.
    pub target: Target,
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
    #[error("{} broke the rule {rule:?}", side_name(.by))]
    Rule {
        /// Its sender.
        by: Sender,
        /// The rule.
        rule: Rule,
    },
    /// The session's moves do not allow it.
    #[error("what {} said {fault}", side_name(.by))]
    Fault {
        /// Its sender.
        by: Sender,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The hypervisor says that it has another guest.
    #[error("the hypervisor has another guest")]
    OtherGuest,
    /// It cannot be read.
    #[error("{}: {error}", side_name(.by))]
    Malformed {
        /// Its sender.
        by: Sender,
        /// Where it ends to make sense.
        error: DecodeError,
    },
    /// The session's id could not be recorded.
    #[error("the session's id was not recorded")]
    NotBound,
}

const fn side_name(by: &Sender) -> &'static str {
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
    pub(super) fn note(&self, (to_viewer, to_hypervisor): (u64, u64)) {
        self.to_viewer.store(to_viewer, Ordering::Relaxed);
        self.to_hypervisor.store(to_hypervisor, Ordering::Relaxed);
    }
}
