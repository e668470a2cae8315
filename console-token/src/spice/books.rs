//! What is kept of the open sessions.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use std::collections::HashMap;

use spice_proto::ManagedClaim;
use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::session::Entry;
use tokio::time::Instant;

use super::Denial;
use crate::gate::Taken;
use crate::{Admitted, AttemptId, Fingerprint, Grant, SessionId, TokenHash, UnixSeconds};

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
    pub(super) taken: Taken,
    /// What the token allowed when the session began; `None` until the store has answered.
    pub(super) grant: Option<Arc<Grant>>,
    /// As the hypervisor's INIT says.
    pub(super) connection_id: Option<NonZeroU32>,
    /// Its viewer was sent to another host: the attempt that will reopen it.
    pub(super) switching: Option<AttemptId>,
    /// Tokens that its token has replaced, which viewers may still show.
    pub(super) former: Vec<TokenHash>,
    /// Its viewer has come again: until when it can do so if no hypervisor is reached this time.
    pub(super) until: Option<UnixSeconds>,
    /// Its viewer may not come again.
    pub(super) finished: bool,
    /// What the other gateways know of it.
    pub(super) noted: Option<Noted>,
}

/// What other gateways announced a moment ago, by their name, the number of a session, and the channel.
pub(super) type Heard = HashMap<(Box<str>, u32, ChannelType), (Instant, Capabilities)>;

/// What the other gateways know of a session.
#[derive(Debug, Clone)]
pub(super) struct Noted {
    pub(super) id: NonZeroU32,
    /// How many former names of its token.
    pub(super) names: usize,
    pub(super) since: UnixSeconds,
}

/// What a good token lets its connection do.
#[derive(Debug)]
pub(super) struct Entered {
    pub(super) entry: Entry<ManagedClaim>,
    /// As it was when the session began.
    pub(super) grant: Arc<Grant>,
    /// The gateway that has the session, if that is another one.
    pub(super) gateway: Option<Box<str>>,
}

impl Entered {
    pub(super) const fn here(entry: Entry<ManagedClaim>, grant: Arc<Grant>) -> Self {
        Self {
            entry,
            grant,
            gateway: None,
        }
    }

    pub(super) const fn elsewhere(gateway: Box<str>, grant: Arc<Grant>) -> Self {
        Self {
            entry: Entry::Elsewhere,
            grant,
            gateway: Some(gateway),
        }
    }
}

impl Presented {
    /// For logs: under the pepper in use.
    pub(super) fn fingerprint(&self) -> Option<Fingerprint> {
        let hash = self.hashes.first().filter(|_| self.flaw.is_none())?;
        Some(hash.fingerprint())
    }
}

impl Open {
    pub(super) const fn new(taken: Taken, until: Option<UnixSeconds>) -> Self {
        Self {
            taken,
            grant: None,
            connection_id: None,
            switching: None,
            former: Vec::new(),
            until,
            finished: false,
            noted: None,
        }
    }

    /// The store has answered what it was asked for.
    pub(super) fn begins(&mut self, admitted: &Admitted) {
        self.taken.session = Some(admitted.session);
        self.grant = Some(admitted.grant.clone());
        self.renamed(admitted);
    }

    /// Takes over the name of the token that has replaced its own.
    pub(super) fn renamed(&mut self, admitted: &Admitted) {
        if let Some(hash) = admitted.replaced_by.filter(|hash| *hash != self.taken.hash) {
            self.former.push(self.taken.hash);
            self.taken.hash = hash;
        }
    }

    /// Its token, and its number within it.
    pub(super) fn session(&self) -> Option<(TokenHash, SessionId)> {
        Some((self.taken.hash, self.taken.session?))
    }

    /// Whether it is a session of this token, by any of its names.
    pub(super) fn is_of(&self, hash: &TokenHash) -> bool {
        self.taken.hash == *hash || self.former.contains(hash)
    }
}
