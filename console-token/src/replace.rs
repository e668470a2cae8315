//! A token that takes the place of another one, whose sessions go on.

use alloc::{boxed::Box, vec::Vec};

use crate::session::Replaced;
use crate::{Record, Refusal, TokenHash, UnixSeconds};
#[cfg(feature = "std")]
use crate::{SessionId, Transition, VerifyContext};

/// How long a replaced token still leads to the new one, in seconds, if it does not expire later: a day.
const KEPT: u64 = 24 * 60 * 60;

impl Record {
    /// Another token takes the place of this one: the record that is to be kept for it has the grant, the uses and the
    /// open sessions. This one is revoked, and nothing can be opened with it any more.
    ///
    /// Its open sessions go on under the new token. What is asked about them under the old one (attend, bind, close,
    /// also join and reopen, whose viewer knows no other token) a store applies to the new record, and
    /// [`Admitted::replaced_by`](crate::Admitted::replaced_by) names the new token. That is so for a day, or until the
    /// old token expires, if that is later.
    ///
    /// # Errors
    ///
    /// [`Refusal::Revoked`], also if it was replaced before; [`Refusal::Expired`] if no session is open either.
    pub fn replace(&mut self, new: &TokenHash, now: UnixSeconds) -> Result<Self, Refusal> {
        if self.revoked {
            return Err(Refusal::Revoked);
        }
        if self.is_over(now) {
            return Err(Refusal::Expired);
        }
        let successor = self.clone();
        self.revoked = true;
        self.sessions = Vec::new();
        self.replaced = Some(Box::new(Replaced {
            by: *new,
            kept: now.saturating_add(KEPT),
        }));
        Ok(successor)
    }

    /// The token that has taken the place of this one.
    #[must_use]
    pub fn replaced_by(&self) -> Option<&TokenHash> {
        self.replaced.as_deref().map(|replaced| &replaced.by)
    }

    /// Applies a transition that was asked for under a token that this one has replaced, and that had given out these
    /// numbers: only what is about its own sessions.
    #[cfg(feature = "std")]
    pub(crate) fn apply_for(
        &mut self,
        context: &VerifyContext<'_>,
        transition: Transition,
        numbers: Option<u64>,
    ) -> Result<SessionId, Refusal> {
        let Some(numbers) = numbers else {
            return self.apply(context, transition);
        };
        if let Transition::Redeem(attempt) | Transition::Claim(attempt) | Transition::Open(attempt) = transition {
            // The first answer again; nothing new.
            if self.answered(attempt).is_none() {
                return Err(Refusal::Revoked);
            }
        }
        let mut after = self.clone();
        let session = after.apply(context, transition)?;
        if numbers <= session.get() {
            return Err(Refusal::NoSuchSession);
        }
        *self = after;
        Ok(session)
    }
}

/// From a replaced token to the one that is in use.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    /// The token to ask now.
    pub(crate) hash: TokenHash,
    /// The numbers below this are those of the token that was asked first; `None`: it is that one.
    pub(crate) numbers: Option<u64>,
}

#[cfg(feature = "std")]
impl Trail {
    /// How many tokens one behind the other are followed.
    pub(crate) const LONGEST: usize = 100;

    pub(crate) const fn of(hash: &TokenHash) -> Self {
        Self {
            hash: *hash,
            numbers: None,
        }
    }

    /// Whether there is a further token behind this record.
    pub(crate) fn follow(&mut self, record: &Record) -> bool {
        let Some(by) = record.replaced_by() else { return false };
        self.hash = *by;
        self.numbers = self.numbers.or(Some(record.next_session));
        true
    }

    /// The token that was replaced has another name now.
    pub(crate) fn replaced_by(&self) -> Option<TokenHash> {
        self.numbers.map(|_| self.hash)
    }
}
