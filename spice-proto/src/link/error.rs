//! Why links fail.

#[cfg(doc)]
use super::LinkReply;
use super::refusal::Refusal;
use super::stage::Stage;
use crate::caps::CapabilitySet;
use crate::error::{CryptoError, DecodeError};
use crate::ids::LinkErrorCode;

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
    /// The peer has the channel, on its other port only: it said `NEED_SECURED` or `NEED_UNSECURED`. A client that
    /// knows that port connects again, as spice-gtk does with TLS. Going back from TLS is for the user to allow.
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
    /// Nothing was said to it and its bytes are all in `rx`: a WebSocket server can take them over. A proxy without one
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

/// Whether a refusal is one.
pub(crate) fn check_refusal(why: Refusal) -> Result<(), Misuse> {
    if why == Refusal::Code(LinkErrorCode::OK) {
        Err(Misuse::RefusalSaysOk)
    } else {
        Ok(())
    }
}
