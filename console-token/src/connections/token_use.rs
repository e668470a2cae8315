//! One open connection.

use alloc::sync::Arc;
use core::fmt;
use std::sync::Mutex;

use tokio::sync::watch;

use super::{Denial, TokenConnections};
use crate::gate::{Ending, Gate, Taken, lock};
use crate::{
    Admitted, AttemptId, Fingerprint, Grant, Refusal, SessionId, StoreError, TokenHash, Transition, UnixSeconds,
};

/// What is known of a connection.
pub(super) struct Held {
    pub(super) attempt: AttemptId,
    state: Mutex<State>,
    /// Why it has to end.
    cut: watch::Sender<Option<Refusal>>,
}

struct State {
    taken: Taken,
    /// A hypervisor may have accepted.
    reached: bool,
    /// Its viewer has come again: until when it can do so if no hypervisor is reached this time.
    until: Option<UnixSeconds>,
    /// When the store was last told that it is held.
    told: Option<UnixSeconds>,
}

impl Held {
    /// Asks the store for a use, which stands in the books before: if the answer is lost, it is settled what became of it.
    pub(super) async fn take(
        connections: &Arc<TokenConnections>,
        hash: &TokenHash,
        attempt: AttemptId,
        by: Transition,
        until: Option<UnixSeconds>,
    ) -> Result<TokenUse, Denial> {
        let held = Arc::new(Self {
            attempt,
            state: Mutex::new(State {
                taken: Taken {
                    hash: *hash,
                    by,
                    session: None,
                },
                reached: false,
                until,
                told: None,
            }),
            cut: watch::Sender::new(None),
        });
        lock(&connections.open).insert(attempt, held.clone());
        let mut place = Place {
            connections: connections.clone(),
            held,
            finished: false,
            forgotten: false,
        };
        match connections.gate.ask(hash, by).await {
            Ok(admitted) => {
                lock(&place.held.state).taken.session = Some(admitted.session);
                place.held.renamed(&admitted);
                let grant = admitted.grant;
                Ok(TokenUse { place, grant })
            }
            Err(error) => {
                // Nothing was taken.
                place.forgotten = !matches!(error, StoreError::Backend(_));
                Err(error.into())
            }
        }
    }

    /// Its token and its number, once the store has given one.
    pub(super) fn session(&self) -> Option<(TokenHash, SessionId)> {
        let state = lock(&self.state);
        Some((state.taken.hash, state.taken.session?))
    }

    /// Takes over the name of the token that has replaced its own.
    pub(super) fn renamed(&self, admitted: &Admitted) {
        if let Some(hash) = admitted.replaced_by {
            lock(&self.state).taken.hash = hash;
        }
    }

    /// What the store is to be asked about it now.
    pub(super) fn attending(&self, gate: &Gate) -> Option<(TokenHash, Transition)> {
        let state = lock(&self.state);
        Some((state.taken.hash, gate.attending(state.taken.session?, state.told)))
    }

    /// The store has answered that it may go on.
    pub(super) fn attended(&self, gate: &Gate, asked: Transition, admitted: &Admitted) {
        if matches!(asked, Transition::Suspend { .. }) {
            lock(&self.state).told = Some(gate.now());
        }
        self.renamed(admitted);
    }

    /// It has to end.
    pub(super) fn cut(&self, refusal: Refusal) {
        self.cut.send_if_modified(|cut| {
            let is_first = cut.is_none();
            *cut = cut.or(Some(refusal));
            is_first
        });
    }

    async fn ask(
        &self,
        connections: &TokenConnections,
        of: impl Fn(SessionId) -> Transition,
    ) -> Result<Admitted, Denial> {
        let (hash, session) = self.session().ok_or(Refusal::NoSuchSession)?;
        let admitted = connections.gate.ask(&hash, of(session)).await?;
        self.renamed(&admitted);
        Ok(admitted)
    }
}

/// A place in the books.
struct Place {
    connections: Arc<TokenConnections>,
    held: Arc<Held>,
    finished: bool,
    /// The store was not asked for anything that it did.
    forgotten: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let TokenConnections {
            gate,
            open,
            endings,
            news,
            ..
        } = &*self.connections;
        lock(open).remove(&self.held.attempt);
        if self.forgotten {
            return;
        }
        let state = lock(&self.held.state);
        // One that is ended by [`TokenConnections::stop`] may come again.
        let is_cut = self.held.cut.borrow().is_some_and(|why| why != Refusal::SessionClosed);
        let until = match state.reached {
            _ if self.finished || is_cut => None,
            true => gate.again(),
            false => state.until,
        };
        lock(endings).push(Ending {
            key: self.held.attempt,
            taken: state.taken.clone(),
            spent: state.reached,
            until,
        });
        news.notify_one();
    }
}

/// One connection that a token has opened, or is opening.
///
/// Dropped, it tells the store through [`TokenConnections::run`]: its use is given back if no hypervisor was
/// [reached](Self::reached); otherwise the connection broke off, and its viewer may come again within
/// [`Settings::reconnect`](super::Settings::reconnect), unless it was [`finished`](Self::finished) or had to
/// [end](Self::ended).
pub struct TokenUse {
    place: Place,
    grant: Arc<Grant>,
}

impl TokenUse {
    /// What the token allowed when the connection was opened.
    #[must_use]
    pub const fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// Names the token in logs; after a [replacement](crate::Store::replace), as soon as that is known, the new one.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        lock(&self.place.held.state).taken.hash.fingerprint()
    }

    /// Names the connection; for [`Store::leases`](crate::Store::leases) too.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        self.place.held.attempt
    }

    /// The number of the session within its token.
    #[must_use]
    pub fn session(&self) -> Option<SessionId> {
        lock(&self.place.held.state).taken.session
    }

    /// What the token allows now: it may have been retargeted, or revoked, since the connection was opened.
    ///
    /// # Errors
    /// [`Denial::Token`] if the connection may not go on, [`Denial::Store`].
    pub async fn current(&self) -> Result<Arc<Grant>, Denial> {
        let admitted = self.place.held.ask(&self.place.connections, Transition::Attend).await?;
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
        let (held, connections) = (&self.place.held, &self.place.connections);
        held.ask(connections, bind).await?;
        if let Some((hash, asked)) = held.attending(&connections.gate) {
            let admitted = connections.gate.ask(&hash, asked).await?;
            held.attended(&connections.gate, asked, &admitted);
        }
        Ok(())
    }

    /// As [`reached`](Self::reached), without the store, which learns it at the end.
    pub(crate) fn mark_reached(&self) {
        lock(&self.place.held.state).reached = true;
    }

    /// Waits until the token was revoked or its time is over: the connection has to end.
    pub async fn ended(&self) -> Refusal {
        let mut cut = self.place.held.cut.subscribe();
        let why = cut.wait_for(Option::is_some).await.ok().and_then(|why| *why);
        why.unwrap_or(Refusal::SessionClosed)
    }

    /// The connection has ended in order: its viewer does not come again without a use.
    pub fn finished(mut self) {
        self.place.finished = true;
    }

    /// A hypervisor has refused, so that it cannot have accepted: the use is given back when this is dropped, if
    /// [`reached`](Self::reached) was not called.
    #[cfg(feature = "rfb")]
    pub(crate) fn mark_refused(&self) {
        lock(&self.place.held.state).reached = false;
    }
}

impl fmt::Debug for TokenUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenUse")
            .field("token", &self.fingerprint())
            .finish_non_exhaustive()
    }
}
