//! What goes into a tracker, and its answers.

use core::net::IpAddr;

#[cfg(doc)]
use super::{Config, Tracker};
use crate::channel::main::ChannelId;
use crate::ids::AuthMechanism;
use crate::link::LinkMess;
use crate::session::{Host, SessionKey, TargetAccess};

/// A connection of this tracker. It names nothing any more when the connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Link {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The viewer's address, or its gateway's.
    pub address: IpAddr,
    /// Whether it came over TLS.
    pub secure: bool,
}

impl Peer {
    /// A connection from this address.
    #[must_use]
    pub const fn new(address: IpAddr, secure: bool) -> Self {
        Self { address, secure }
    }
}

/// What a connection asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request {
    /// 0: a new session. Else the session that the channel belongs to.
    pub connection_id: u32,
    /// The channel.
    pub channel: ChannelId,
    /// How the viewer authenticates.
    pub mechanism: AuthMechanism,
}

impl Request {
    /// What a link message asks for, with a ticket.
    #[must_use]
    pub fn of(mess: &LinkMess) -> Self {
        Self {
            connection_id: mess.connection_id,
            channel: ChannelId {
                channel_type: mess.channel_type,
                id: mess.channel_id,
            },
            mechanism: AuthMechanism::SPICE,
        }
    }
}

/// A connection that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Admission {
    /// The hypervisor that it is for.
    pub host: Host,
    /// The viewer comes again as a new session: close every other connection in [`Tracker::links`].
    pub replaces: bool,
}

/// What the end of a connection means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Closed {
    /// Nothing more.
    Link,
    /// The end of the session: close every connection in [`Tracker::links`].
    Session,
    /// The main channel is gone while the session moves. Unless that is done in [`Config::main_timeout`],
    /// [`Tracker::expire`] ends the session.
    Main,
}

/// What ran out of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expired {
    /// A half-open connection, which the tracker has forgotten: close it.
    Link(Link),
    /// A session that lost its main channel while it moved: close every connection in [`Tracker::links`].
    Session(SessionKey),
}

/// How much a tracker holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Sessions, ended ones included.
    pub sessions: usize,
    /// Connections in sessions.
    pub links: usize,
    /// Half-open connections.
    pub half_open: usize,
}

/// The caller's mistakes. The tracker is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// No connection of this tracker, or not one of a session.
    #[error("no such connection")]
    NoLink,
    /// No session with this key, or it has ended.
    #[error("no such session")]
    NoSession,
    /// Only the main channel on the session's current host says this.
    #[error("not the session's main channel")]
    NotMain,
    /// `INIT` with id 0, which would be no id.
    #[error("a session cannot have id 0")]
    ZeroId,
    /// A step of a migration that does not follow from the one before.
    #[error("out of order: target access is {0:?}")]
    OutOfOrder(TargetAccess),
    /// There is no room for another session.
    #[error("too many sessions")]
    TooManySessions,
}
