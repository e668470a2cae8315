//! The handshake: everything from the first byte up to and including ServerInit.
//!
//! ```text
//! client                                      server
//!   | <------------------------------ version line |
//!   | version line ------------------------------> |   the rules are those of the client's line
//!   | <---------------------------- security types |   3.7 and 3.8; or the one type of 3.3
//!   | the choice --------------------------------> |   3.7 and 3.8
//!   | <--- VeNCrypt, Tight or TLS negotiation ---> |   with these types; may lead into TLS
//!   | <---- None, VNC, Plain, SASL or Ident -----> |   how the client authenticates
//!   | <---------------------------- SecurityResult |   not after None in 3.3 and 3.7
//!   | ClientInit --------------------------------> |
//!   | <-------------------------------- ServerInit |
//!   | messages <------------------------> messages |
//! ```
//!
//! Two machines of one shape: [`ClientHandshake`] and [`ServerHandshake`]. Neither does I/O. A driver moves bytes
//! between a connection and the [`Buffers`], calls `step` with the time, and does what the [`Action`] says:
//!
//! 1. flush `tx` first, after every `step`, also after an error: it holds the refusal already;
//! 2. [`Action::Receive`]: read at least so many bytes more, until `deadline()` at the latest;
//! 3. [`Action::StartTls`]: do the TLS handshake that it describes. From the next step on `rx` and `tx` hold the
//!    plaintext inside. What is in `rx` already is TLS input, and the driver takes it out;
//! 4. [`Action::Ask`]: find the answer, give it with the method that the question names, step again;
//! 5. [`Action::Waiting`]: a question is open; step again when it is answered or at the deadline;
//! 6. [`Action::Done`]: the handshake is over. Bytes that belong to the messages stay in `rx`.
//!
//! The peer hung up: call `eof`. An error is terminal. The loop is shipped as `drive` (feature `tokio`).
//!
//! A peer that does not speak RFB fails at its first byte that could not be of a version line, with a
//! [`HandshakeError::Decode`] that depends on that byte only. What came is left in `rx`, for
//! [`FirstBytes`](crate::FirstBytes) to put into words.
//!
//! # For machines that couple both
//!
//! A proxy is a [`ServerHandshake`] towards the viewer and a [`ClientHandshake`] towards the server behind it. Where
//! the two depend on each other, they ask:
//!
//! - [`ServerConfig::ask_offer`] lets the server wait with its list ([`server::ServerQuestion::Offer`]), and
//!   [`ClientConfig::ask_choice`] the client with its choice ([`client::ClientQuestion::Choose`]);
//! - the challenge of VNC authentication is given to the server and shown by the client, the response the other way
//!   round, so that both can be passed through without knowing the password;
//! - the server's handshake succeeds only after [`ServerHandshake::accept`], also with type None, and
//!   [`ServerHandshake::refuse`] takes any text;
//! - without `init` ([`ServerConfig::init`], [`ClientConfig::init`]) both end at the SecurityResult, and ClientInit
//!   and ServerInit can be copied like all that follows.

pub mod bridge;
pub mod client;
pub mod server;
mod state;

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::BytesMut;

pub use bridge::{Bridge, BridgeConfig};
pub use client::{ClientConfig, ClientHandshake};
pub use server::{Refusal, ServerConfig, ServerHandshake};

use crate::error::DecodeError;
use crate::fields::Unseen;
use crate::security::tight::Capability;
use crate::security::vencrypt::{Subtype, VeNCryptVersion};
use crate::security::{Reason, SealError, SecurityType, SecurityTypeWord};
use crate::version::{ProtocolVersion, Version, VersionError};

pub use crate::security::vencrypt::{Exchange, TlsKind};
pub(crate) use state::wipe;

/// One connection's buffers. The driver fills `rx` and empties `tx`.
///
/// Both may hold passwords: `Debug` shows how many bytes there are and nothing of them. A machine overwrites secrets in
/// `rx` when it has read them, or when it fails while one is due; the sender of `tx` has to do so there, as the drivers
/// of the feature `tokio` do.
#[derive(Default)]
pub struct Buffers {
    /// Bytes that were received and not yet used.
    pub rx: BytesMut,
    /// Bytes to send.
    pub tx: BytesMut,
}

impl Buffers {
    /// Overwrites and drops what was received, where a secret may be in it.
    pub(crate) fn wipe_rx(&mut self) {
        wipe(&mut self.rx);
        self.rx.clear();
    }
}

impl fmt::Debug for Buffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffers")
            .field("rx", &Unseen(&self.rx))
            .field("tx", &Unseen(&self.tx))
            .finish()
    }
}

/// The buffers of a machine between two connections.
#[derive(Debug, Default)]
pub struct SideBuffers {
    /// Towards the user's viewer.
    pub tenant: Buffers,
    /// Towards the machine that runs the guest.
    pub hypervisor: Buffers,
}

impl SideBuffers {
    /// The buffers of one side.
    pub fn side(&mut self, side: Side) -> &mut Buffers {
        match side {
            Side::Tenant => &mut self.tenant,
            Side::Hypervisor => &mut self.hypervisor,
        }
    }
}

/// One of the two connections of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// Towards the user's viewer.
    Tenant,
    /// Towards the machine that runs the guest.
    Hypervisor,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
    /// Do a TLS handshake, then step on with the plaintext.
    StartTls(Tls),
    /// Find an answer, which may take time, and give it.
    Ask(Question),
    /// The question is still open.
    Waiting,
    /// The handshake is over.
    Done(Outcome),
}

/// The TLS handshake to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Which part of it is played here.
    pub role: TlsRole,
    /// Certificates or none.
    pub kind: TlsKind,
    /// For the client: the name that the server's certificate should have, from [`ClientConfig::server_name`].
    /// Whether it is looked at is the caller's to decide; without it any certificate of the authority will do.
    pub server_name: Option<String>,
}

/// A part in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsRole {
    /// Speaks first. `rx` is empty: a server that had sent more would have been refused.
    Client,
    /// What is in `rx` came early and is the client's hello.
    Server,
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
    /// The handshake failed; what is to be sent to the peer is in `tx`. Later calls give the same error.
    fn step(
        &mut self,
        now: Duration,
        buffers: &mut Buffers,
    ) -> Result<Action<Self::Question, Self::Outcome>, HandshakeError>;

    /// Step again at this time at the latest; the step then returns [`HandshakeError::TimedOut`].
    fn deadline(&self) -> Duration;

    /// The peer hung up. In the handshake that is always an error, though not always that of
    /// [`HandshakeError::Closed`]: some servers refuse by closing.
    ///
    /// # Errors
    /// What the end of the stream means here, or what had gone wrong before.
    fn eof(&mut self) -> Result<Self::Outcome, HandshakeError>;

    /// The most that `rx` needs to hold: a driver need not read on beyond it.
    fn max_input(&self) -> usize;
}

/// What was agreed on to secure the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Security {
    /// The type that was chosen from the first list.
    pub security_type: SecurityType,
    /// What was chosen inside it: the security type that a capability of Tight stands for, or the one from the
    /// second list, inside the TLS of type 18.
    pub inner: Option<SecurityType>,
    /// The subtype that was chosen inside VeNCrypt.
    pub subtype: Option<Subtype>,
    /// The TLS that the connection is in.
    pub tls: Option<TlsKind>,
}

impl Security {
    pub(crate) const fn of(security_type: SecurityType) -> Self {
        Self {
            security_type,
            inner: None,
            subtype: None,
            tls: None,
        }
    }

    /// How the client authenticated.
    #[must_use]
    pub fn exchange(&self) -> Option<Exchange> {
        match self.subtype {
            Some(subtype) => subtype.exchange(),
            None => Exchange::of(self.inner.unwrap_or(self.security_type)),
        }
    }

    /// The security type that gives the exchange.
    #[cfg(feature = "rsa-aes")]
    fn exchange_type(&self) -> SecurityType {
        let inside = self.inner.or_else(|| self.subtype.and_then(Subtype::security_type));
        inside.unwrap_or(self.security_type)
    }

    /// How strong RSA-AES is, if it was chosen.
    #[cfg(feature = "rsa-aes")]
    pub(crate) fn strength(&self) -> Option<crate::security::rsa_aes::Strength> {
        crate::security::rsa_aes::Strength::of(self.exchange_type())
    }

    /// Whether what follows the log-in is inside of the messages of RSA-AES.
    #[cfg(feature = "rsa-aes")]
    pub(crate) fn is_rsa_aes_layered(&self) -> bool {
        matches!(self.exchange_type(), SecurityType::RA2 | SecurityType::RA2_256)
    }

    /// Whether a SecurityResult is due: not after None in 3.3 and 3.7, unless it is a subtype with TLS. QEMU and
    /// TigerVNC send it there in every version.
    #[inline]
    pub(crate) fn has_result(&self, rules: Version) -> bool {
        rules == Version::V3_8 || self.has_result_before_3_8()
    }

    fn has_result_before_3_8(&self) -> bool {
        let inside_tls = self.subtype.is_some_and(|subtype| subtype.tls().is_some());
        inside_tls || self.exchange() != Some(Exchange::None)
    }
}

/// As `VeNCrypt (19), X509Vnc (261)`.
impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.security_type)?;
        if let Some(inner) = self.inner {
            write!(f, ", {inner}")?;
        }
        match self.subtype {
            Some(subtype) => write!(f, ", {subtype}"),
            None => Ok(()),
        }
    }
}

/// Where in the handshake a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A version line is due.
    Version,
    /// The server's list or word of security types is due.
    SecurityTypes,
    /// The client's choice is due.
    SecurityChoice,
    /// A part of VeNCrypt's own negotiation is due.
    VeNCrypt,
    /// A part of Tight's own negotiation is due.
    Tight,
    /// The TLS handshake is the caller's.
    Tls,
    /// A part of VNC authentication is due.
    Vnc,
    /// User and password, or the user alone, are due from the client.
    Credentials,
    /// A part of a SASL exchange is due.
    Sasl,
    /// A part of RSA-AES is due.
    RsaAes,
    /// A part of Diffie-Hellman authentication is due.
    DiffieHellman,
    /// A part of one of UltraVNC's logons is due.
    MsLogon,
    /// The SecurityResult is due from the server.
    SecurityResult,
    /// The reason of a refusal is due from the server.
    Reason,
    /// ClientInit is due.
    ClientInit,
    /// ServerInit is due.
    ServerInit,
    /// An answer is due from the caller.
    Answer,
    /// The handshake is over, or has failed.
    Ended,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Version => "the version line",
            Self::SecurityTypes => "the security types",
            Self::SecurityChoice => "the choice of a security type",
            Self::VeNCrypt => "VeNCrypt",
            Self::Tight => "Tight capabilities",
            Self::Tls => "TLS",
            Self::Vnc => "VNC authentication",
            Self::Credentials => "credentials",
            Self::Sasl => "SASL",
            Self::RsaAes => "RSA-AES",
            Self::DiffieHellman => "Diffie-Hellman authentication",
            Self::MsLogon => "an UltraVNC logon",
            Self::SecurityResult => "the security result",
            Self::Reason => "a reason",
            Self::ClientInit => "ClientInit",
            Self::ServerInit => "ServerInit",
            Self::Answer => "the caller's answer",
            Self::Ended => "nothing",
        })
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// The server refused.
    #[error("{0}")]
    Rejected(Rejection),
    /// The caller refused; this is what the client was told, if anything.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// Time ran out.
    #[error("timed out waiting for {0}")]
    TimedOut(Stage),
    /// The peer hung up.
    #[error("closed by the peer while waiting for {0}")]
    Closed(Stage),
    /// The caller's mistake. The machine is as it was.
    #[error(transparent)]
    Misuse(#[from] Misuse),
}

impl HandshakeError {
    /// Whether a version line was due, and the peer sent something else. It is left in `rx`.
    pub(crate) fn is_not_rfb(&self) -> bool {
        matches!(self, Self::Decode(error) if error.message == ProtocolVersion::NAME)
    }
}

/// What a peer must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// It chose a security type that was not offered.
    #[error("security type {0} was not offered")]
    TypeNotOffered(SecurityType),
    /// It chose a subtype that was not offered.
    #[error("VeNCrypt subtype {0} was not offered")]
    SubtypeNotOffered(Subtype),
    /// It chose a Tight capability that was not offered.
    #[error("Tight capability {0} was not offered")]
    CapabilityNotOffered(i32),
    /// It chose a SASL mechanism that was not offered.
    #[error("the SASL mechanism was not offered")]
    MechanismNotOffered,
    /// It decided on a type that 3.3 does not have.
    #[error("security type {0} is not one of 3.3")]
    TypeOf33(SecurityTypeWord),
    /// It sent something behind the last byte in front of TLS. That is never read: it could have been put there
    /// by an attacker.
    #[error("bytes in front of TLS")]
    BytesBeforeTls,
    /// It sent a SecurityResult that means nothing. It does not mean success.
    #[error("security result {0}")]
    UnknownResult(u32),
    /// It greeted as a repeater again after it had been told where to go.
    #[error("a repeater behind a repeater")]
    SecondRepeater,
}

/// What a peer cannot do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incompatibility {
    /// Its version.
    #[error(transparent)]
    Version(VersionError),
    /// Its version of VeNCrypt.
    #[error("VeNCrypt {0}")]
    VeNCryptVersion(VeNCryptVersion),
    /// Nothing that it offers is wanted.
    #[error("no common security type; offered: {}", Listed(.0))]
    Types(Vec<SecurityType>),
    /// Nothing that it offers inside VeNCrypt is wanted.
    #[error("no common VeNCrypt subtype; offered: {}", Listed(.0))]
    Subtypes(Vec<Subtype>),
    /// Its tunnels of Tight are all real ones.
    #[error("no common Tight tunnel; offered: {}", Listed(.0))]
    Tunnels(Vec<Capability>),
    /// Nothing that it offers inside Tight is wanted.
    #[error("no common Tight authentication; offered: {}", Listed(.0))]
    Authentication(Vec<Capability>),
    /// Its key of RSA-AES is not the pinned one.
    #[error("the RSA key is not the pinned one")]
    HostKey,
    /// It speaks 3.3, which has none of the types that are offered to it.
    #[error("3.3 has none of the offered security types")]
    NothingFor33,
}

struct Listed<'a, T>(&'a [T]);

impl<T: fmt::Display> fmt::Display for Listed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((first, others)) = self.0.split_first() else {
            return f.write_str("nothing");
        };
        write!(f, "{first}")?;
        others.iter().try_for_each(|other| write!(f, ", {other}"))
    }
}

/// A server's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// What it refused.
    pub of: Rejected,
    /// What it said about it.
    pub reason: RejectionReason,
}

/// As `authentication failed: password check failed!`.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, reason } = self;
        match reason {
            RejectionReason::Nothing => write!(f, "{of}"),
            RejectionReason::Reason(reason) => write!(f, "{of}: {}", reason.to_text()),
            RejectionReason::TooLong(length) => write!(f, "{of}, with a reason of {length} bytes"),
        }
    }
}

/// What a server refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rejected {
    /// The connection, before any choice.
    Connection,
    /// The version of VeNCrypt.
    VeNCryptVersion,
    /// The subtype that was chosen from its own list.
    Subtype,
    /// What the client showed.
    Authentication,
    /// The same, and it will not listen to further tries for a while.
    TooManyAttempts,
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connection => "connection refused",
            Self::VeNCryptVersion => "VeNCrypt version refused",
            Self::Subtype => "VeNCrypt subtype refused",
            Self::Authentication => "authentication failed",
            Self::TooManyAttempts => "too many authentication attempts",
        })
    }
}

/// What a server said about its refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectionReason {
    /// Nothing: the version has no reasons, or it closed instead.
    Nothing,
    /// This.
    Reason(Reason),
    /// A text of so many bytes, above [`Limits::reason`](crate::Limits::reason). It was not read.
    TooLong(u32),
}

/// The caller's mistakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// An answer to a question that is not open.
    #[error("that question is not open")]
    NotAsked,
    /// A choice that the peer does not offer, or that nothing here can follow.
    #[error("that was not offered, or cannot be followed")]
    NotOffered,
    /// A text or a secret that its wire field cannot hold.
    #[error("too long for its wire field")]
    TooLong,
    /// The end of a SASL exchange that the server does not call complete.
    #[error("the SASL exchange is not complete")]
    NotComplete,
    /// The machine has handed out its outcome already.
    #[error("the handshake has ended")]
    Ended,
}

impl From<SealError> for Misuse {
    fn from(error: SealError) -> Self {
        match error {
            SealError::TooLong => Self::TooLong,
            SealError::NoSecret => Self::NotOffered,
        }
    }
}

/// What was agreed or refused and why, for logs. Holds no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The server is a repeater, and was told where to go.
    Repeater,
    /// The version lines are exchanged.
    Version {
        /// What the peer sent.
        sent: ProtocolVersion,
        /// The rules in force.
        rules: Version,
    },
    /// A server offers these types.
    Types(Vec<SecurityType>),
    /// A server offers these subtypes of VeNCrypt.
    Subtypes(Vec<Subtype>),
    /// A server offers these ways to authenticate inside Tight.
    Authentication(Vec<Capability>),
    /// A type was chosen, or something inside it.
    Chosen(Security),
    /// The client was let in.
    Authenticated,
    /// A client was refused, and told this much.
    Refused(Refusal),
}
