//! What a relay and its driver say to each other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

#[cfg(doc)]
use super::Relay;
use crate::error::DecodeError;
use crate::filter::{Filter, InputRate};
use crate::first_bytes::FirstBytes;
use crate::framing::{FramingError, MoveFault};
use crate::handshake::bridge::{BridgeError, BridgeQuestion};
use crate::handshake::{BridgeConfig, Side, Tls};
use crate::init::ClientInit;
use crate::session::ViewerLimit;

/// What the relays of one console have in common.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Config {
    /// The handshake of both sides, and the limits on both connections.
    pub bridge: BridgeConfig,
    /// What may pass: everything, but for UltraVNC's files.
    pub filter: Filter,
    /// How fast a tenant's input may come: as fast as it does. Each relay begins with a copy of this.
    pub input_rate: Option<InputRate>,
    /// Whether others may stay connected to the hypervisor: as the tenant says.
    pub sharing: Sharing,
    /// How many tenants may be connected at a time: any number. The others are refused, with a reason.
    pub viewers: Option<Arc<ViewerLimit>>,
    /// Whether the tenant stays when the hypervisor hangs up, and another connection is asked for: no.
    pub reconnect: bool,
    /// As [`framing::Relay::with_depth_24`](crate::framing::Relay::with_depth_24): no.
    pub depth_24: bool,
}

impl Config {
    /// Both sides as this says, and everything passes.
    #[must_use]
    pub fn new(bridge: BridgeConfig) -> Self {
        Self {
            bridge,
            ..Self::default()
        }
    }

    /// Sets [`Config::filter`].
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = filter;
        self
    }

    /// Sets [`Config::input_rate`].
    #[must_use]
    pub fn with_input_rate(mut self, rate: InputRate) -> Self {
        self.input_rate = Some(rate);
        self
    }

    /// Sets [`Config::sharing`].
    #[must_use]
    pub fn with_sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Sets [`Config::viewers`].
    #[must_use]
    pub fn with_viewers(mut self, limit: Arc<ViewerLimit>) -> Self {
        self.viewers = Some(limit);
        self
    }

    /// Sets [`Config::reconnect`].
    #[must_use]
    pub fn with_reconnect(mut self, reconnect: bool) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// Sets [`Config::depth_24`].
    #[must_use]
    pub fn with_depth_24(mut self, write: bool) -> Self {
        self.depth_24 = write;
        self
    }
}

/// The shared flag that the hypervisor gets: whether it is to close the connections of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Sharing {
    /// The tenant's own.
    #[default]
    Tenant,
    /// Others stay, whatever the tenant says.
    Shared,
    /// Others are closed, whatever the tenant says.
    Exclusive,
}

impl Sharing {
    /// What the hypervisor gets for what the tenant said.
    #[must_use]
    pub const fn flag(self, said: ClientInit) -> ClientInit {
        match self {
            Self::Tenant => said,
            Self::Shared => ClientInit::SHARED,
            Self::Exclusive => ClientInit::EXCLUSIVE,
        }
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write and flush both `tx`, and read from these sides, all at the same time. Step again when something was read,
    /// written or flushed, at the deadline, when a question was answered, and after [`Relay::moved`]. Also while a
    /// question is open, since a side is read to see when it goes: tell [`Relay::eof`], and do not wait for the answer.
    Receive {
        /// From the tenant.
        tenant: bool,
        /// From the hypervisor.
        hypervisor: bool,
    },
    /// Do a TLS handshake with this side, over what is in its buffers already, then step on with the plaintext. If it
    /// fails, or is not done at the deadline, call [`Relay::eof`].
    StartTls {
        /// The side to do it with.
        side: Side,
        /// Which part of it, and with what.
        tls: Tls,
    },
    /// Find an answer, and step on meanwhile.
    Ask(SessionQuestion),
    /// The hypervisor's connection is not needed any more: close it, and step again.
    Hangup,
    /// The connection has ended: flush both `tx`, and close both.
    Done(End),
}

/// What only the caller knows.
#[derive(Debug, PartialEq, Eq)]
pub enum SessionQuestion {
    /// About the tenant's log-in, or the layer of RSA-AES on either side: answered with the methods of [`Relay::bridge`],
    /// or with [`Relay::refuse`]. It is never [`BridgeQuestion::Connect`]. After a move it is only
    /// [`BridgeQuestion::RsaAesLayer`], for a new hypervisor with such a layer; the tenant's own layer goes on as it is.
    Tenant(BridgeQuestion),
    /// Connect to the hypervisor: [`Relay::dialled`], [`Relay::unreachable`] or [`Relay::refuse`].
    Dial(Dial),
    /// The hypervisor behind a move, or behind a loss, calls its desktop so, in its ServerInit: [`Relay::accept_name`], or
    /// [`Relay::refuse_name`] if that is another guest. The tenant has seen nothing of it.
    Name(Bytes),
}

/// A connection to a hypervisor that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dial {
    /// How many hypervisors the tenant has been connected to before.
    pub before: u32,
    /// Why it is needed.
    pub cause: Cause,
}

/// Why a connection to a hypervisor is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// The tenant has come.
    Entered,
    /// The guest has moved: [`Relay::moved`]. Connect to where it is now.
    Moved,
    /// The hypervisor hung up, and the tenant stays ([`Config::reconnect`]).
    Lost,
}

/// What becomes of a tenant whose guest has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Move {
    /// It is disconnected, with [`End::Moved`].
    End,
    /// It stays: the relay asks for the new hypervisor ([`Cause::Moved`]), logs in there and goes on.
    Follow,
}

/// Why a connection has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum End {
    /// The viewer hung up.
    #[error("the viewer hung up")]
    Viewer,
    /// The hypervisor hung up.
    #[error("the hypervisor hung up")]
    Hypervisor,
    /// The handshake failed, or was refused.
    #[error(transparent)]
    Handshake(#[from] BridgeError),
    /// A peer does not speak RFB.
    #[error("{error}; it sent {came}")]
    NotRfb {
        /// Where the handshake failed.
        error: BridgeError,
        /// What the peer sent instead.
        came: FirstBytes,
    },
    /// The hypervisor could not be reached.
    #[error("the hypervisor was not reached")]
    Unreachable,
    /// As many tenants as may be are connected already ([`Config::viewers`]).
    #[error("too many viewers")]
    TooManyViewers,
    /// What a side says cannot be followed any further.
    #[error("{by}: {error}")]
    Malformed {
        /// Its sender.
        by: Side,
        /// Where it ends to make sense.
        error: FramingError,
    },
    /// The caller has ended it ([`Relay::stop`]).
    #[error("ended by the proxy")]
    Stopped,
    /// The guest has moved, and the tenant does not stay ([`Move::End`]).
    #[error("the guest has moved")]
    Moved,
    /// The guest has moved, or the hypervisor hung up, and the tenant could not stay.
    #[error("not reconnected: {0}")]
    NotFollowed(Box<NotFollowed>),
}

/// Why a tenant could not stay when its guest moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotFollowed {
    /// There is no new hypervisor, or it could not be reached.
    #[error("the new hypervisor was not reached")]
    Unreachable,
    /// The log-in there failed.
    #[error(transparent)]
    LogIn(#[from] BridgeError),
    /// Its ServerInit cannot be read.
    #[error(transparent)]
    Init(#[from] DecodeError),
    /// The log-in there asks for a layer of RSA-AES, and the caller has refused it ([`Relay::refuse`]).
    #[error("the log-in asks for a layer that there is not")]
    NotAnswered,
    /// The new hypervisor has another guest ([`Relay::refuse_name`]).
    #[error("the new hypervisor has another guest")]
    OtherGuest,
    /// It took too long.
    #[error("it took too long")]
    TimedOut,
    /// The hypervisor hung up before its ServerInit.
    #[error("the new hypervisor hung up")]
    Closed,
    /// The tenant's connection cannot go on with another server.
    #[error(transparent)]
    State(#[from] MoveFault),
}

impl From<NotFollowed> for End {
    fn from(why: NotFollowed) -> Self {
        Self::NotFollowed(Box::new(why))
    }
}

/// Bytes that went through one connection behind its handshake; can be read while it lives.
#[derive(Debug, Default)]
pub struct Counts {
    to_viewer: AtomicU64,
    to_hypervisor: AtomicU64,
}

impl Counts {
    /// Bytes to the viewer.
    #[must_use]
    pub fn to_viewer(&self) -> u64 {
        self.to_viewer.load(Ordering::Relaxed)
    }

    /// Bytes to the hypervisor.
    #[must_use]
    pub fn to_hypervisor(&self) -> u64 {
        self.to_hypervisor.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, to: Side, bytes: usize) {
        let count = match to {
            Side::Tenant => &self.to_viewer,
            Side::Hypervisor => &self.to_hypervisor,
        };
        count.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
