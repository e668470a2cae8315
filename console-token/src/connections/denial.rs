//! Why a viewer is refused.

use thiserror::Error;

use crate::gate::refusal;
use crate::{BackendError, Refusal, StoreError};

/// Why a viewer is refused. For the gateway's own log: the viewer receives the same answer each time.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Denial {
    /// The token is not good, or not for this.
    #[error("token: {0}")]
    Token(#[from] Refusal),
    /// The gateway does not admit the grant here: another kind of console, another place.
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
