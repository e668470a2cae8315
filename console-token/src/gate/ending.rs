//! The ends of uses, which the store has to know: the gate repeats each until the store answers.

use alloc::collections::VecDeque;
use std::sync::Mutex;

use super::{BROKE_OFF, Gate, lock};
use crate::{AttemptId, BackendError, Fingerprint, Refusal, SessionId, TokenHash, Transition, UnixSeconds};

/// Uses without an answer that are kept while the store fails. Sessions that were open are kept whatever their number.
const UNANSWERED: usize = 10_000;

/// A use that was taken, or may have been: the store was asked.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The token, as the store names it now.
    pub(crate) hash: TokenHash,
    /// What the store was asked for.
    pub(crate) by: Transition,
    /// `None` until the store has answered.
    pub(crate) session: Option<SessionId>,
    /// When the store was last told that it is held; first, when it was asked.
    pub(crate) held: UnixSeconds,
}

impl Taken {
    /// Before the store is asked.
    pub(crate) fn new(gate: &Gate, hash: &TokenHash, by: Transition) -> Self {
        Self {
            hash: *hash,
            by,
            session: None,
            held: gate.now(),
        }
    }

    /// What holds it, if that is due.
    pub(crate) fn holding(&self, gate: &Gate) -> Option<Transition> {
        gate.holding(self.session?, self.resumed(), self.held)
    }

    /// What the store is asked about it from time to time: to hold it, if that is due, else whether it may go on.
    pub(crate) fn attending(&self, gate: &Gate) -> Option<Transition> {
        self.holding(gate).or(self.session.map(Transition::Attend))
    }

    /// The store has answered what it was asked about it.
    pub(crate) fn attended(&mut self, gate: &Gate, asked: Transition) {
        if matches!(asked, Transition::Suspend { .. }) {
            self.held = gate.now();
        }
    }

    /// The attempt by which a session that broke off was taken up; `None` for one that began here.
    pub(crate) const fn resumed(&self) -> Option<AttemptId> {
        match self.by {
            Transition::Resume { attempt, .. } => Some(attempt),
            _ => None,
        }
    }
}

/// The end of a use.
#[derive(Debug, Clone)]
pub(crate) struct Ending<K> {
    pub(crate) key: K,
    pub(crate) taken: Taken,
    /// A hypervisor may have accepted.
    pub(crate) spent: bool,
    /// Until when the viewer may come again, where it was spent.
    pub(crate) until: Option<UnixSeconds>,
}

/// What the store made of an end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Told {
    /// It knows nothing of the use.
    Unknown,
    /// The use was given back.
    Released,
    /// The viewer may come again.
    Suspended(UnixSeconds),
    /// The use stays spent.
    Closed,
}

/// What the store has to know, oldest first.
#[derive(Debug)]
pub(crate) struct Endings<K> {
    waiting: VecDeque<Ending<K>>,
}

impl<K> Default for Endings<K> {
    fn default() -> Self {
        let waiting = VecDeque::new();
        Self { waiting }
    }
}

impl<K> Endings<K> {
    pub(crate) fn push(&mut self, ending: Ending<K>) {
        let unanswered = |ending: &Ending<K>| ending.taken.session.is_none();
        // With a store that fails, strangers could fill the memory with uses of made-up tokens.
        if unanswered(&ending) && UNANSWERED <= self.waiting.iter().filter(|other| unanswered(other)).count() {
            return;
        }
        self.waiting.push_back(ending);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

impl Gate {
    /// Tells the store what it has to know, and `told` what came of it. Whether the store could be told all.
    pub(crate) async fn tell<K: Copy>(
        &self,
        endings: &Mutex<Endings<K>>,
        mut told: impl FnMut(K, Fingerprint, Result<Told, BackendError>),
    ) -> bool
    where
        Ending<K>: Clone,
    {
        loop {
            // It stays there until it was told.
            let next = lock(endings).waiting.front().cloned();
            let Some(ending) = next else { return true };
            let answer = self.tell_one(&ending).await;
            let works = answer.is_ok();
            if works {
                lock(endings).waiting.pop_front();
            }
            told(ending.key, ending.taken.hash.fingerprint(), answer);
            if !works {
                return false;
            }
        }
    }

    async fn tell_one<K>(&self, ending: &Ending<K>) -> Result<Told, BackendError> {
        let Taken {
            hash,
            by,
            session,
            held,
        } = &ending.taken;
        let resumed = ending.taken.resumed();
        let session = match session {
            Some(session) => *session,
            // Whether it was applied is not known: the same attempt is, once, and is given back.
            None => match self.ask_once(hash, *by).await? {
                Ok(admitted) => admitted.session,
                Err(_) => return Ok(Told::Unknown),
            },
        };
        if !ending.spent {
            match self.ask_once(hash, Transition::Release(session)).await? {
                Ok(_) => return Ok(Told::Released),
                // A hypervisor has accepted, now or before the viewer came again.
                Err(Refusal::AlreadyBound) => {}
                Err(_) => return Ok(Told::Unknown),
            }
        }
        if let Some(until) = ending.until.filter(|until| self.now() < *until) {
            let suspend = Transition::Suspend {
                session,
                resumed,
                from: BROKE_OFF,
                until,
            };
            match self.ask_once(hash, suspend).await? {
                Ok(_) => return Ok(Told::Suspended(until)),
                // Its viewer has come again meanwhile.
                Err(Refusal::SessionClosed) => return Ok(Told::Unknown),
                Err(_) => {}
            }
        }
        // Past its lease it may be another viewer's, which is not ours to close.
        if let Some(hold) = self.holding(session, resumed, *held)
            && self.ask_once(hash, hold).await? == Err(Refusal::SessionClosed)
        {
            return Ok(Told::Unknown);
        }
        let closed = self.ask_once(hash, Transition::Close(session)).await?;
        Ok(closed.map_or(Told::Unknown, |_| Told::Closed))
    }
}
