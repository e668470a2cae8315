//! What is kept of the open connections.

use alloc::sync::Arc;
use std::collections::HashMap;
use std::sync::Mutex;

use tokio::sync::{Notify, watch};

use super::Denial;
use crate::gate::{Ending, Endings, Gate, Taken, lock};
use crate::{Admitted, AttemptId, Grant, Refusal, SessionId, StoreError, TokenHash, Transition, UnixSeconds};

/// The open connections, and the store that knows them.
pub(super) struct Books {
    pub(super) gate: Gate,
    pub(super) open: Mutex<HashMap<AttemptId, Arc<Held>>>,
    pub(super) endings: Mutex<Endings<AttemptId>>,
    /// The store has something to learn.
    pub(super) news: Notify,
}

impl Books {
    pub(super) fn new(gate: Gate) -> Arc<Self> {
        Arc::new(Self {
            gate,
            open: Mutex::default(),
            endings: Mutex::default(),
            news: Notify::new(),
        })
    }

    /// Asks the store for a use, which stands in the books before: if the answer is lost, it is settled what became of it.
    pub(super) async fn take(
        self: &Arc<Self>,
        hash: &TokenHash,
        attempt: AttemptId,
        by: Transition,
        until: Option<UnixSeconds>,
    ) -> Result<(Place, Arc<Grant>), Denial> {
        let held = Arc::new(Held {
            attempt,
            state: Mutex::new(State {
                taken: Taken::new(&self.gate, hash, by),
                reached: false,
                until,
                finished: false,
            }),
            cut: watch::Sender::new(None),
        });
        lock(&self.open).insert(attempt, held.clone());
        let mut place = Place {
            books: self.clone(),
            held,
            forgotten: false,
        };
        match self.gate.ask(hash, by).await {
            Ok(admitted) => {
                lock(&place.held.state).taken.session = Some(admitted.session);
                place.held.renamed(&admitted);
                Ok((place, admitted.grant))
            }
            Err(error) => {
                // Nothing was taken.
                place.forgotten = !matches!(error, StoreError::Backend(_));
                Err(error.into())
            }
        }
    }
}

/// What is known of a connection.
pub(super) struct Held {
    pub(super) attempt: AttemptId,
    state: Mutex<State>,
    /// Why it has to end.
    pub(super) cut: watch::Sender<Option<Refusal>>,
}

struct State {
    taken: Taken,
    /// A hypervisor may have accepted.
    reached: bool,
    /// Its viewer has come again: until when it can do so if no hypervisor is reached this time.
    until: Option<UnixSeconds>,
    /// Its viewer has gone for good.
    finished: bool,
}

impl Held {
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
        Some((state.taken.hash, state.taken.attending(gate)?))
    }

    /// What holds it, if that is due.
    pub(super) fn holding(&self, gate: &Gate) -> Option<(TokenHash, Transition)> {
        let state = lock(&self.state);
        Some((state.taken.hash, state.taken.holding(gate)?))
    }

    /// The store has answered that it may go on.
    pub(super) fn attended(&self, gate: &Gate, asked: Transition, admitted: &Admitted) {
        lock(&self.state).taken.attended(gate, asked);
        self.renamed(admitted);
    }

    /// Its viewer does not come again.
    pub(super) fn finish(&self) {
        lock(&self.state).finished = true;
    }

    /// It has to end.
    pub(super) fn cut(&self, refusal: Refusal) {
        self.cut.send_if_modified(|cut| {
            let is_first = cut.is_none();
            *cut = cut.or(Some(refusal));
            is_first
        });
    }

    pub(super) async fn ask(&self, books: &Books, of: impl Fn(SessionId) -> Transition) -> Result<Admitted, Denial> {
        let (hash, session) = self.session().ok_or(Refusal::NoSuchSession)?;
        let admitted = books.gate.ask(&hash, of(session)).await?;
        self.renamed(&admitted);
        Ok(admitted)
    }

    /// A hypervisor may have accepted, or cannot have.
    pub(super) fn set_reached(&self, reached: bool) {
        lock(&self.state).reached = reached;
    }

    /// The token, as the store names it now.
    pub(super) fn hash(&self) -> TokenHash {
        lock(&self.state).taken.hash
    }
}

/// A place in the books.
pub(super) struct Place {
    pub(super) books: Arc<Books>,
    pub(super) held: Arc<Held>,
    /// The store was not asked for anything that it did.
    forgotten: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Books {
            gate,
            open,
            endings,
            news,
        } = &*self.books;
        lock(open).remove(&self.held.attempt);
        if self.forgotten {
            return;
        }
        let state = lock(&self.held.state);
        // One that is ended by [`super::TokenConnections::stop`] may come again.
        let is_cut = self.held.cut.borrow().is_some_and(|why| why != Refusal::SessionClosed);
        let until = match state.reached {
            _ if state.finished || is_cut => None,
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
