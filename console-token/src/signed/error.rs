//! Why a signed token is refused.

use thiserror::Error;

use crate::{JsonError, Refusal};

/// Why a signed token was not accepted: for the gateway's own log, like a [`Refusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignedError {
    /// The header is not that of a JWS.
    #[error("not the header of a signed token")]
    Header,
    /// The header has extensions that have to be understood (`crit`), or says that the token is encrypted.
    #[error("a header with extensions")]
    Extension,
    /// No key has this id, or the token names none. A caller that fetches keys may do so once and try again.
    #[error("unknown key")]
    UnknownKey,
    /// The header names another algorithm than the key's.
    #[error("not the algorithm of the key")]
    WrongAlgorithm,
    /// The signature is not that of the key.
    #[error("wrong signature")]
    BadSignature,
    /// A claim is missing, there twice, or has another type; also a time that is no whole number, or before 1970.
    #[error("invalid claims: {0}")]
    Claims(JsonError),
    /// This claim has a value that it cannot have.
    #[error("invalid claim {0}")]
    Claim(&'static str),
    /// It was made by another issuer.
    #[error("another issuer")]
    WrongIssuer,
    /// It was made for another audience.
    #[error("for another audience")]
    WrongAudience,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYetValid,
    /// Its time is over.
    #[error("expired")]
    Expired,
    /// It is valid for longer than it may be.
    #[error("valid for longer than the gateway admits")]
    TooLong,
}

impl SignedError {
    /// What the peer may be told: the words of [`Refusal::public`].
    #[must_use]
    pub const fn public(self) -> &'static str {
        Refusal::PUBLIC_TEXT
    }
}
