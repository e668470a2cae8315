//! One open connection.

use alloc::sync::Arc;
use core::fmt;

use super::Denial;
use super::books::Place;
use crate::{AttemptId, Fingerprint, Grant, Refusal, SessionId, Transition};

/// One connection that a token has opened, or is opening.
///
/// Dropped, it tells the store through [`TokenConnections::run`](super::TokenConnections::run): its use is given back if no hypervisor was
/// [reached](Self::reached); otherwise the connection broke off, and its viewer may come again within
/// [`Settings::reconnect`](super::Settings::reconnect), unless it was [finished](Self::finish) or had to
/// [end](Self::ended).
pub struct TokenUse {
    place: Place,
    grant: Arc<Grant>,
}

impl TokenUse {
    pub(super) fn new((place, grant): (Place, Arc<Grant>)) -> Self {
        Self { place, grant }
    }

    /// What the token allowed when the connection was opened.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// Names the token in logs; after a [replacement](crate::Store::replace), as soon as that is known, the new one.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.place.held.hash().fingerprint()
    }

    /// Names the connection; for [`Store::leases`](crate::Store::leases) too.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.place.held.attempt
    }

    /// The number of the session within its token.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        self.place.held.session().map(|(_, session)| session)
    }

    /// What the token allows now: it may have been retargeted, or revoked, since the connection was opened.
    ///
    /// # Errors
    /// [`Denial::Token`] if the connection may not go on, [`Denial::Store`].
    pub async fn current(&self) -> Result<Arc<Grant>, Denial> {
        let admitted = self.place.held.ask(&self.place.books, Transition::Attend).await?;
        Ok(admitted.grant)
    }

    /// A hypervisor may have accepted: the use stays spent from now on, also if this fails.
    ///
    /// # Errors
    /// [`Denial::Token`] if the connection may not go on, [`Denial::Store`].
    pub async fn reached(&self) -> Result<(), Denial> {
        self.mark_reached();
        let [a, b, c, d, ..] = self.attempt().0;
        // Any number that other sessions of the token will not have.
        let connection_id = u32::from_be_bytes([a, b, c, d]).max(1);
        let bind = |session| Transition::Bind { session, connection_id };
        let (held, books) = (&self.place.held, &self.place.books);
        // What is not held any more may be another viewer's, whose use this must not spend.
        if let Some((hash, asked)) = held.holding(&books.gate) {
            let admitted = books.gate.ask(&hash, asked).await?;
            held.attended(&books.gate, asked, &admitted);
        }
        held.ask(books, bind).await?;
        Ok(())
    }

    /// As [`reached`](Self::reached), without the store, which learns it at the end.
    pub(crate) fn mark_reached(&self) {
        self.place.held.set_reached(true);
    }

    /// Waits until the token was revoked or its time is over: the connection has to end.
    pub async fn ended(&self) -> Refusal {
        let mut cut = self.place.held.cut.subscribe();
        let why = cut.wait_for(Option::is_some).await.ok().and_then(|why| *why);
        why.unwrap_or(Refusal::SessionClosed)
    }

    /// The connection ends in order: its viewer does not come again without a use.
    pub fn finish(&self) {
        self.place.held.finish();
    }

    /// A hypervisor has refused, so that it cannot have accepted: the use is given back when this is dropped, if
    /// [`reached`](Self::reached) was not called.
    #[cfg(feature = "rfb")]
    pub(crate) fn mark_refused(&self) {
        self.place.held.set_reached(false);
    }
}

impl fmt::Debug for TokenUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenUse")
            .field("token", &self.fingerprint())
            .finish_non_exhaustive()
    }
}
