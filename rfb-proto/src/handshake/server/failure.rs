//! How a handshake fails, and what is sent to the client about it.

use alloc::boxed::Box;

use bytes::{BufMut as _, BytesMut};

use super::Refusal;
use crate::error::DecodeError;
use crate::handshake::state::{Stop, put};
use crate::handshake::{HandshakeError, Incompatibility, Misbehaviour};
use crate::security::SecurityResult;
use crate::version::Version;

pub(super) const NOT_OFFERED: Tell = Tell::Result("That security type was not offered");
const BAD_CREDENTIALS: Tell = Tell::Result("Authentication failed");

/// What is sent to the client about an error.
pub(super) enum Tell {
    Nothing,
    /// Instead of the list, or of the word of 3.3.
    List(&'static str),
    /// Instead of what the client waits for.
    Result(&'static str),
    /// One byte, in VeNCrypt's own negotiation.
    Acknowledgement(u8),
}

pub(super) struct Failure {
    pub(super) error: HandshakeError,
    pub(super) tell: Tell,
}

impl Failure {
    #[cold]
    pub(super) fn stop(error: HandshakeError, tell: Tell) -> Stop<Self> {
        Stop::Failed(Box::new(Self { error, tell }))
    }

    #[cold]
    pub(super) fn misbehaved<T>(how: Misbehaviour, tell: Tell) -> Result<T, Stop<Self>> {
        Err(Self::stop(HandshakeError::PeerMisbehaved(how), tell))
    }

    #[cold]
    pub(super) fn incompatible<T>(how: Incompatibility, tell: Tell) -> Result<T, Stop<Self>> {
        Err(Self::stop(HandshakeError::PeerIncompatible(how), tell))
    }
}

impl From<DecodeError> for Failure {
    fn from(error: DecodeError) -> Self {
        Self {
            error: error.into(),
            tell: Tell::Nothing,
        }
    }
}

/// How it failed.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: HandshakeError,
    /// What the client was told, if anything.
    pub(super) told: Option<Refusal>,
}

/// Credentials that are too long are answered as wrong ones.
pub(super) fn refused_credentials(stop: Stop<Failure>) -> Stop<Failure> {
    match stop {
        Stop::Failed(failure) => Failure::stop(failure.error, BAD_CREDENTIALS),
        missing @ Stop::Receive(_) => missing,
    }
}

/// Refuses in place of the list of types, or of the word of 3.3.
pub(super) fn put_refused_list(rules: Version, refusal: &Refusal, tx: &mut BytesMut) {
    let (Refusal::Failed(reason) | Refusal::TooManyAttempts(reason)) = refusal else {
        return;
    };
    match rules {
        Version::V3_3 => tx.put_u32(0),
        Version::V3_7 | Version::V3_8 => tx.put_u8(0),
    }
    put(reason, tx);
}

/// Refuses in a SecurityResult.
pub(super) fn put_refused_result(rules: Version, refusal: &Refusal, tx: &mut BytesMut) {
    let (result, reason) = match refusal {
        Refusal::Close => return,
        Refusal::Failed(reason) => (SecurityResult::FAILED, reason),
        Refusal::TooManyAttempts(reason) => (SecurityResult::TOO_MANY_ATTEMPTS, reason),
    };
    put(&result, tx);
    if rules == Version::V3_8 {
        put(reason, tx);
    }
}
