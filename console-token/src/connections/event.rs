//! What became of connections.

use crate::{AttemptId, BackendError, Fingerprint, Refusal, UnixSeconds};

/// What became of a connection. For the log.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// The store knows the end of a connection: the use was given back, or stays spent.
    Closed {
        /// The connection: [`TokenUse::attempt`](super::TokenUse::attempt).
        attempt: AttemptId,
        /// Its token.
        token: Fingerprint,
        /// Whether the use stays spent.
        spent: bool,
    },
    /// The store knows that a connection broke off: its viewer may come again until then.
    Suspended {
        /// The connection.
        attempt: AttemptId,
        /// Its token.
        token: Fingerprint,
        /// When the session is over.
        until: UnixSeconds,
    },
    /// The store failed, and does not know the end of a connection. It is asked again each second.
    NotClosed {
        /// The connection.
        attempt: AttemptId,
        /// Its token.
        token: Fingerprint,
        /// The failure.
        error: BackendError,
    },
    /// The connection has to end: its token was revoked, or its time is over.
    Cut {
        /// The connection.
        attempt: AttemptId,
        /// Its token.
        token: Fingerprint,
        /// Why it may not go on.
        refusal: Refusal,
    },
}
