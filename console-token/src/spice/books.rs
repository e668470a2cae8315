//! What is kept of the open sessions, and of those that have ended.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;

use spice_proto::ManagedClaim;
use spice_proto::session::{Entry, SessionKey};

use super::Denial;
use crate::{Admitted, AttemptId, Fingerprint, Grant, SessionId, TokenHash};

/// Claims without an answer that are kept while the store fails. Sessions that were open are kept whatever their number.
const UNANSWERED: usize = 10_000;

/// What a ticket held.
pub(super) struct Presented {
    /// Under each pepper.
    pub(super) hashes: Vec<TokenHash>,
    /// It was no token at all; the hashes are then those of no token.
    pub(super) flaw: Option<Denial>,
}

/// A session, and the use that was taken for it.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) hash: TokenHash,
    /// The attempt that claims it.
    pub(super) attempt: AttemptId,
    /// `None` until the store has answered the claim.
    pub(super) claimed: Option<Claimed>,
    /// As the hypervisor's INIT says.
    pub(super) connection_id: Option<NonZeroU32>,
    /// Its viewer was sent to another host: the attempt that will reopen it.
    pub(super) switching: Option<AttemptId>,
}

/// What the store answered a claim.
#[derive(Debug, Clone)]
pub(super) struct Claimed {
    pub(super) session: SessionId,
    pub(super) grant: Arc<Grant>,
}

/// What a good token lets its connection do.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) entry: Entry<ManagedClaim>,
    /// As it was when the session began.
    pub(super) grant: Arc<Grant>,
}

/// The end of a session that the store has to know.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    pub(super) key: SessionKey,
    pub(super) open: Open,
    pub(super) spent: bool,
}

/// What the store has to know, oldest first.
#[derive(Debug, Default)]
pub(super) struct Endings {
    pub(super) waiting: VecDeque<Ending>,
}

impl Presented {
    /// For logs: under the pepper in use.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let hash = self.hashes.first().filter(|_| self.flaw.is_none())?;
        Some(hash.fingerprint())
    }
}

impl From<Admitted> for Claimed {
    fn from(Admitted { session, grant, .. }: Admitted) -> Self {
        Self { session, grant }
    }
}

impl Endings {
    pub(super) fn push(&mut self, ending: Ending) {
        let unanswered = |ending: &Ending| ending.open.claimed.is_none();
        // With a store that fails, strangers could fill the memory with claims of made-up tokens.
        if unanswered(&ending) && UNANSWERED <= self.waiting.iter().filter(|other| unanswered(other)).count() {
            return;
        }
        self.waiting.push_back(ending);
    }
}
