//! The link stage: what happens on every connection before its channel speaks.
//!
//! ```text
//! client                                   server
//!   | LinkHeader LinkMess ------------------> |   which channel, of which session, capabilities
//!   | <------------------ LinkHeader LinkReply |  an RSA key, capabilities; or an error, and the end
//!   | [AuthMechanism] sealed ticket ---------> |   or an exchange of SASL, see [`sasl`]
//!   | <---------------------------- LinkResult |  0, or an error, and the end
//!   | frames <------------------------> frames |
//! ```
//!
//! Three machines, all of one shape: [`ClientLink`], [`ServerLink`] and [`RelayLink`], which is a server
//! towards a tenant and a client towards a hypervisor ([`WatchedLink`] only looks on). None does I/O. A driver moves bytes between a
//! connection and the [`Wire`], calls `step` with the time, and does what the [`Action`] says:
//!
//! 1. flush `tx` first, after every `step`, also after an error: what the peer is told is in it already;
//! 2. [`Action::Receive`]: read at least so many bytes more, until `deadline()` at the latest;
//! 3. [`Action::Ask`]: find the answer, give it with the method that the question names, step again;
//! 4. [`Action::Waiting`]: a question is open; step again when it is answered or at the deadline;
//! 5. [`Action::Done`]: the link stands. Bytes that belong to the data stage stay in `rx`.
//!
//! The peer hung up: call `eof`. An error is terminal. The loop is shipped as `drive` and `drive_relay`
//! (feature `tokio`).

pub mod client;
mod first_bytes;
pub mod key_pool;
pub mod messages;
pub mod relay;
pub mod sasl;
pub mod server;
pub mod ticket;
pub mod watch;

pub use client::{ClientConfig, ClientLink};
pub use first_bytes::{FirstBytes, Protocol};
pub use key_pool::{KeyHandle, KeyPool, KeyPoolConfig};
pub use messages::{LinkHeader, LinkMess, LinkReply};
pub use relay::{RelayConfig, RelayLink, TicketOutcome};
pub use server::{Refusal, ServerLink};
pub use ticket::{Key, PublicKey, SealedTicket, Secret};
pub use watch::WatchedLink;

use core::time::Duration;

use bytes::BytesMut;
use zeroize::Zeroize as _;

use crate::caps::CapabilitySet;
use crate::error::{CryptoError, DecodeError};
use crate::ids::{ChannelType, LinkErrorCode};
use crate::wire::Unseen;

/// One connection's buffers. The driver fills `rx` and empties `tx`.
///
/// Passwords pass through both: a machine overwrites those that it takes off `rx`, and `Debug` shows how many bytes there
/// are and none of them.
#[derive(Default)]
pub struct Wire {
    /// Bytes that were received and not yet used.
    pub rx: BytesMut,
    /// Bytes to send.
    pub tx: BytesMut,
}

impl Wire {
    /// Overwrites what was received and will not be used: a part of a password may be in it.
    pub(crate) fn wipe(&mut self) {
        self.rx.as_mut().zeroize();
        self.rx.clear();
    }
}

impl core::fmt::Debug for Wire {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Wire")
            .field("rx", &Unseen(&self.rx))
            .field("tx", &Unseen(&self.tx))
            .finish()
    }
}

/// The buffers of a machine between two connections.
#[derive(Debug, Default)]
pub struct Wires {
    /// Towards the user's viewer.
    pub tenant: Wire,
    /// Towards the machine that runs the guest.
    pub hypervisor: Wire,
}

impl Wires {
    /// The buffers of one side.
    pub fn side(&mut self, side: Side) -> &mut Wire {
        match side {
            Side::Tenant => &mut self.tenant,
            Side::Hypervisor => &mut self.hypervisor,
        }
    }
}

/// One of the two connections of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Towards the user's viewer.
    Tenant,
    /// Towards the machine that runs the guest.
    Hypervisor,
}

impl core::fmt::Display for Side {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tenant => "tenant",
            Self::Hypervisor => "hypervisor",
        })
    }
}

/// What the driver does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Action<Question, Outcome> {
    /// Read at least so many bytes more into `rx`.
    Receive {
        /// Further bytes; never 0.
        at_least: usize,
    },
    /// Find an answer, which may take time, and give it.
    Ask(Question),
    /// The question is still open.
    Waiting,
    /// The link stands.
    Done(Outcome),
}

/// A machine on one connection, for drivers that take any.
pub trait Machine {
    /// What it asks.
    type Question;
    /// What it ends with.
    type Outcome;

    /// Uses what is in `rx`, writes to `tx`, says what it needs. `now` is the time since any fixed moment.
    ///
    /// # Errors
    /// The link failed; what the peer is told is in `tx`. Later calls give the same error.
    fn step(&mut self, now: Duration, wire: &mut Wire)
    -> Result<Action<Self::Question, Self::Outcome>, HandshakeError>;

    /// Step again at this time at the latest; the step then returns [`HandshakeError::TimedOut`].
    fn deadline(&self) -> Duration;

    /// The peer hung up. In the link stage that is always an error.
    ///
    /// # Errors
    /// [`HandshakeError::Closed`], or what had gone wrong before.
    fn eof(&mut self) -> Result<Self::Outcome, HandshakeError>;

    /// The most that `rx` needs to hold: a driver need not read on beyond it.
    fn max_input(&self) -> usize;
}

/// Where in the link stage a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Bytes of a [`LinkHeader`] or [`LinkMess`] are due from the client.
    LinkMess,
    /// Bytes of a [`LinkHeader`] or [`LinkReply`] are due from the server.
    LinkReply,
    /// The selector is due from the client.
    AuthMechanism,
    /// The sealed ticket is due from the client.
    Ticket,
    /// Bytes of the SASL exchange are due.
    Sasl,
    /// The result is due from the server.
    LinkResult,
    /// An answer is due from the caller.
    Answer,
    /// The link stands, or has failed.
    Ended,
}

impl core::fmt::Display for Stage {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::LinkMess => "the link message",
            Self::LinkReply => "the link reply",
            Self::AuthMechanism => "the authentication mechanism",
            Self::Ticket => "the ticket",
            Self::Sasl => "the SASL exchange",
            Self::LinkResult => "the link result",
            Self::Answer => "the caller's answer",
            Self::Ended => "nothing",
        })
    }
}

/// Why a link failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer's bytes do not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The peer did what the protocol does not allow.
    #[error("peer misbehaved: {0}")]
    PeerMisbehaved(Misbehaviour),
    /// The peer cannot do what is needed.
    #[error("peer incompatible: {0}")]
    PeerIncompatible(Incompatibility),
    /// The peer refused, with this code.
    #[error("rejected by the peer: {0}")]
    Rejected(LinkErrorCode),
    /// The caller refused; this is what the peer was told, if anything.
    #[error("refused ({0})")]
    Refused(Refusal),
    /// Time ran out.
    #[error("timed out waiting for {0}")]
    TimedOut(Stage),
    /// The peer hung up.
    #[error("closed by the peer while waiting for {0}")]
    Closed(Stage),
    /// RSA failed: the key of the peer is none, or the password cannot be sealed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
    /// The caller's mistake. The machine is as it was.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

/// Which of its ports a server takes a channel on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// The one with TLS.
    Tls,
    /// The one without.
    Plain,
}

impl core::fmt::Display for Transport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Plain => "no TLS",
        })
    }
}

impl HandshakeError {
    /// The peer has the channel, on its other port only: it said `NEED_SECURED` or `NEED_UNSECURED`. A client that knows
    /// that port connects again, as spice-gtk does with TLS. Going back from TLS is for the user to allow.
    #[must_use]
    pub const fn wanted_transport(&self) -> Option<Transport> {
        match self {
            Self::Rejected(LinkErrorCode::NEED_SECURED) => Some(Transport::Tls),
            Self::Rejected(LinkErrorCode::NEED_UNSECURED) => Some(Transport::Plain),
            _ => None,
        }
    }
}

/// What a peer must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// It chose a mechanism that was not offered.
    #[error("mechanism {0} was not offered")]
    MechanismNotOffered(u32),
    /// It chose a SASL mechanism that was not offered.
    #[error("the SASL mechanism was not offered")]
    SaslMechanismNotOffered,
    /// It accepted in a link reply where only a result was due.
    #[error("second link reply")]
    SecondReply,
}

/// What a peer cannot do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incompatibility {
    /// It speaks another protocol version.
    #[error("protocol version {major}.{minor}")]
    Version {
        /// Major version; 2 is spoken here.
        major: u32,
        /// Minor version; not looked at.
        minor: u32,
    },
    /// It wants SASL, not a ticket.
    #[error("takes no tickets")]
    NoTickets,
    /// It takes SASL, and has no mechanism for it.
    #[error("offers no SASL mechanism")]
    NoMechanism,
    /// It speaks HTTP (its first bytes are `GET `), as spice-html5 does to reach SPICE inside of a WebSocket.
    /// Nothing was said to it and its bytes are all in `rx`: who has a WebSocket server can hand them on. Who has none
    /// may say what spice-server says to other HTTP: [`LinkReply::refusal`] with `INVALID_MAGIC`.
    #[error("speaks HTTP, not SPICE: a WebSocket client?")]
    WebSocket,
    /// It lacks a capability that was required of it, or promised for it.
    #[error("lacks capability {}", crate::caps::Named(*set, *bit))]
    MissingCapability {
        /// The set.
        set: CapabilitySet,
        /// The bit in it.
        bit: u32,
    },
}

/// The caller's mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// An answer to a question that is not open.
    #[error("that question is not open")]
    NotAsked,
    /// A SASL mechanism that the server does not offer.
    #[error("the server does not offer that")]
    NotOffered,
    /// Data of SASL above [`Limits::sasl_data`](crate::Limits::sasl_data), or a list above
    /// [`Limits::sasl_mechanisms`](crate::Limits::sasl_mechanisms).
    #[error("too long for its limit")]
    TooLong,
    /// The end of a SASL exchange that the server does not call complete, or a step of one that it does.
    #[error("the server sees the SASL exchange elsewhere")]
    NotComplete,
    /// A refusal with the code for acceptance.
    #[error("a refusal cannot say OK")]
    RefusalSaysOk,
    /// The machine has handed out its outcome already.
    #[error("the link has ended")]
    Ended,
}

/// What was agreed or refused and why, for logs. Holds no secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A client asks for a channel.
    Requested {
        /// 0, or the session it belongs to.
        connection_id: u32,
        /// Kind of the channel.
        channel_type: ChannelType,
        /// Its number.
        channel_id: u8,
    },
    /// A client was refused, and told this much.
    Refused(Refusal),
    /// The hypervisor does not use mini headers, which the tenant was promised: headers are rewritten.
    HeadersBridged,
    /// The hypervisor lacks a promised capability; the caller had waived it.
    Waived {
        /// The set.
        set: CapabilitySet,
        /// The bit in it.
        bit: u32,
    },
    /// The link stands.
    Linked,
}

/// Events that were not fetched yet. A link has few; should more come, the oldest are dropped.
#[derive(Debug, Default)]
pub(crate) struct Events {
    kept: [Option<Event>; 8],
}

impl Events {
    pub(crate) fn push(&mut self, event: Event) {
        match self.kept.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(event),
            None => {
                self.kept.rotate_left(1);
                if let Some(last) = self.kept.last_mut() {
                    *last = Some(event);
                }
            }
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Event> {
        let event = self.kept.first_mut()?.take();
        self.kept.rotate_left(1);
        event
    }
}

/// Takes a message off the front of `rx`: the header, then what follows it.
pub(crate) mod receive {
    use super::{FirstBytes, HandshakeError, Incompatibility, LinkHeader};
    use crate::error::{DecodeError, DecodeErrorKind};
    use crate::link::messages::{MAGIC, VERSION};

    fn error(field: &'static str, offset: usize, kind: DecodeErrorKind) -> HandshakeError {
        HandshakeError::Decode(DecodeError {
            message: "LinkHeader",
            field,
            offset,
            kind,
        })
    }

    /// A part of the input, or how many bytes are missing to it.
    #[derive(Debug)]
    pub(crate) enum Part<T> {
        Taken(T),
        Missing(usize),
    }

    /// Bytes that are missing to `needed`; `None` when they are there.
    pub(crate) fn missing(needed: usize, rx: &[u8]) -> Option<usize> {
        needed.checked_sub(rx.len()).filter(|missing| 0 < *missing)
    }

    /// The letters that a WebSocket begins with.
    const GET: &[u8; 4] = b"GET ";

    /// Whether the bytes so far can begin a header: the first one that cannot ends the link, so that a client of another
    /// protocol is answered and not waited for.
    pub(crate) fn check_magic(rx: &[u8]) -> Result<(), HandshakeError> {
        let first = rx.get(..MAGIC.len()).unwrap_or(rx);
        if first == GET {
            return Err(HandshakeError::PeerIncompatible(Incompatibility::WebSocket));
        }
        if MAGIC.starts_with(first) || GET.starts_with(first) {
            return Ok(());
        }
        let kind = DecodeErrorKind::OtherProtocol(FirstBytes::of(rx));
        Err(error("magic", 0, kind))
    }

    /// Whether the version is spoken here, as soon as it is there.
    pub(crate) fn check_version(rx: &[u8]) -> Result<(), HandshakeError> {
        let word = |at: usize| rx.get(at..).and_then(|bytes| bytes.first_chunk());
        let (Some(major), Some(minor)) = (word(4), word(8)) else {
            return Ok(());
        };
        let [major, minor] = [major, minor].map(|word| u32::from_le_bytes(*word));
        if major == VERSION.0 {
            return Ok(());
        }
        Err(HandshakeError::PeerIncompatible(Incompatibility::Version {
            major,
            minor,
        }))
    }

    /// Checks the size of what follows.
    pub(crate) fn check_size(header: &LinkHeader, minimum: usize, limit: u32) -> Result<usize, HandshakeError> {
        let value = u64::from(header.size);
        if value < minimum as u64 {
            return Err(error(
                "size",
                12,
                DecodeErrorKind::TooSmall {
                    value,
                    minimum: minimum as u64,
                },
            ));
        }
        if limit < header.size {
            return Err(error(
                "size",
                12,
                DecodeErrorKind::TooLarge {
                    value,
                    limit: limit.into(),
                },
            ));
        }
        Ok(header.size as usize)
    }
}
