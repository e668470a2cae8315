//! Why a connection is refused.

use spice_proto::link::ticket::TicketError;
use spice_proto::session::tracker::Reason;
use thiserror::Error;

use crate::gate::refusal;
use crate::{BackendError, Refusal, StoreError};

/// Why a connection is refused. For the gateway's own log: the viewer receives the same answer each time.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Denial {
    /// The ticket does not open.
    #[error(transparent)]
    Ticket(#[from] TicketError),
    /// The token is not good, or not for this.
    #[error("token: {0}")]
    Token(#[from] Refusal),
    /// The token is good, and the connection may not join its session.
    #[error(transparent)]
    Session(#[from] Reason),
    /// [`ConsoleBackend::admits`](super::ConsoleBackend::admits) refused the grant.
    #[error("the console is not admitted")]
    NotAdmitted,
    /// The store failed, or did not answer in time.
    #[error("store: {0}")]
    Store(BackendError),
}

impl From<StoreError<BackendError>> for Denial {
    fn from(error: StoreError<BackendError>) -> Self {
        refusal(error).map_or_else(Self::Store, Self::Token)
    }
}
