//! Why a token is refused: typed for the caller, one text for everybody else.

use thiserror::Error;

/// Why a token was not accepted, or why a transition of its session is not possible.
///
/// This is for the caller's own logs and decisions. The client that presented the
/// token gets [`public`](Self::public) and nothing else: the variant, its `Display` and its `Debug` tell an
/// attacker whether a guess was a real token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// What was presented cannot be a token (see [`Secret::presented`](crate::Secret::presented)).
    #[error("not the form of a token")]
    Malformed,
    /// No record has this hash.
    #[error("unknown token")]
    Unknown,
    /// A connection was asked of a token for SPICE sessions, or the other way round.
    #[error("the token is for another scope")]
    WrongScope,
    /// The grant is made out to the gateways of another audience.
    #[error("the token is for another audience")]
    WrongAudience,
    /// It was revoked: by itself, or with its virtual machine, user or issuer.
    #[error("revoked")]
    Revoked,
    /// `now < not_before`.
    #[error("not yet valid")]
    NotYetValid,
    /// `expires <= now`.
    #[error("expired")]
    Expired,
    /// All uses are spent; for a SPICE session also while the session that spent the last is open.
    #[error("all uses are spent")]
    Spent,
    /// The token already has as many open sessions as its grant, or
    /// [`MAX_OPEN_SESSIONS`](crate::MAX_OPEN_SESSIONS), admits.
    #[error("too many open sessions")]
    TooManySessions,
    /// 0 is how a SPICE main channel asks for a new session; no session has it as its number.
    #[error("connection id 0")]
    ZeroConnectionId,
    /// Another open session of this token has this connection id, so joins would be ambiguous.
    #[error("the connection id belongs to another open session")]
    ConnectionIdInUse,
    /// The session already has a connection id: it takes no other and its claim is final.
    #[error("the session already has a connection id")]
    AlreadyBound,
    /// A later channel came before the hypervisor has named any session of this token.
    #[error("no session has a connection id yet")]
    NotBound,
    /// No open session has this connection id, or this session id was never given out.
    #[error("no such session")]
    NoSuchSession,
    /// The session is past its end (see [`Grant::session_ends`](crate::Grant::session_ends)).
    #[error("the session is past its time limit")]
    SessionExpired,
    /// The main channel has ended, or the claim was given back.
    #[error("the session is closed")]
    SessionClosed,
    /// A main channel came for a session that no migration is pending for, or too late.
    #[error("no migration is pending")]
    NotMigrating,
    /// A viewer came again to a session that is not suspended: another one was there before, or it never broke off.
    #[error("the session is not suspended")]
    NotSuspended,
    /// All leases at the console are taken.
    #[error("the console is in use")]
    Busy,
    /// The holder has no lease at the console: it was kicked, disconnected, or silent for too long.
    #[error("the lease of the console is lost")]
    LeaseLost,
    /// The source has made more attempts than it may.
    #[error("too many attempts")]
    TooManyAttempts,
}

impl Refusal {
    /// The one text for all refusals.
    pub const PUBLIC_TEXT: &str = "the token is invalid or has expired";

    /// What the peer may be told: the same words for every refusal.
    ///
    /// Nova answers unknown and expired tokens alike for the same reason.
    #[must_use]
    pub const fn public(self) -> &'static str {
        Self::PUBLIC_TEXT
    }
}

/// Why a store did not do what it was asked.
///
/// `B` is the failure of the engine behind the store; a store in memory has none.
/// Like that of [`Refusal`], the `Display` of this type is not for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError<B = core::convert::Infallible> {
    /// The transition is not possible; the record is as it was.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The store holds as many records as it may.
    #[error("full: {limit} records")]
    Full {
        /// The number of records that the store was made for.
        limit: usize,
    },
    /// A record with this hash exists; a random source that repeats itself is the likely cause.
    #[error("a token with this hash exists")]
    Duplicate,
    /// The name of a note has more than 255 bytes, or its value more than 64 KiB.
    #[error("the name or the value of the note is too long")]
    NoteTooLong,
    /// The engine behind the store failed; whether the transition was applied is not known.
    #[error("store: {0}")]
    Backend(B),
}

impl<B> From<Refusal> for StoreError<B> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<B> StoreError<B> {
    /// What the peer may be told: the text of [`Refusal::public`].
    ///
    /// Also when the store itself failed, so that a failure tells nothing about the token.
    #[must_use]
    pub const fn public(&self) -> &'static str {
        Refusal::PUBLIC_TEXT
    }
}

impl StoreError {
    /// The error of a store that cannot fail, as that of one that can.
    #[cfg(feature = "std")]
    pub(crate) fn widen<B>(self) -> StoreError<B> {
        match self {
            Self::Refused(refusal) => StoreError::Refused(refusal),
            Self::Full { limit } => StoreError::Full { limit },
            Self::Duplicate => StoreError::Duplicate,
            Self::NoteTooLong => StoreError::NoteTooLong,
            Self::Backend(never) => match never {},
        }
    }
}

/// The text names no protocol or console type that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("unknown console protocol or type")]
pub struct UnknownConsole;
