//! The end of sessions: what the store learns of it, and when a session has to end.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use spice_proto::session::{Report, SessionKey};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::books::{Ending, Open};
use super::{TokenSessions, lock};
use crate::{BackendError, Fingerprint, Refusal, SessionId, StoreError, TokenHash, Transition};

/// How often a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// For one answer of the store: a viewer whose link failed waits for its use to be given back.
const ONE: Duration = Duration::from_secs(1);
/// How often [`TokenSessions::stop`] looks.
const LOOK: Duration = Duration::from_millis(10);

/// What became of a session. For the log.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// What [`spice_proto`] reports: links, and ends.
    Report(Report),
    /// The store knows the end of a session: the use was given back, or stays spent.
    Closed {
        /// The session.
        session: SessionKey,
        /// Its token.
        token: Fingerprint,
        /// Whether the use stays spent.
        spent: bool,
    },
    /// The store failed, and does not know the end of a session. It is asked again each second.
    NotClosed {
        /// The session.
        session: SessionKey,
        /// Its token.
        token: Fingerprint,
        /// The failure.
        error: BackendError,
    },
    /// The session is ended: its token was revoked, or its time is over.
    Cut {
        /// The session.
        session: SessionKey,
        /// Its token.
        token: Fingerprint,
        /// Why it may not go on.
        refusal: Refusal,
    },
}

impl TokenSessions {
    /// Makes keys, tells the store what became of each session, and ends sessions whose token was revoked or whose time is
    /// over. To be awaited by a task of its own, for as long as there are connections; it does not return. `log` learns
    /// what happened.
    ///
    /// It takes all reports of [`manager`](Self::manager): [`SessionManager::report`](spice_proto::SessionManager::report)
    /// is not for others then.
    pub async fn run(self: Arc<Self>, log: impl Fn(SessionEvent) + Send + Sync) {
        tokio::join!(self.keys.make(), self.settle(&log), self.keep_attending(&log));
    }

    /// Ends all sessions and connections, and returns when the store knows: [`run`](Self::run) has to be running. A store
    /// that fails is waited for, so bound the time.
    pub async fn stop(&self) {
        self.hub.stop();
        while !self.lock().is_empty() || !lock(&self.endings).waiting.is_empty() {
            sleep(LOOK).await;
        }
    }

    /// Hears what became of sessions, and tells the store.
    async fn settle(&self, log: &(impl Fn(SessionEvent) + Sync)) {
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut works = true;
        loop {
            let report = tokio::select! {
                report = self.hub.report() => Some(report),
                _ = again.tick() => None,
            };
            let Some(report) = report else {
                works = self.tell(log).await;
                continue;
            };
            log(SessionEvent::Report(report));
            if let Report::Ended { session, spent } = report {
                self.ended(session, spent);
                // A store that fails must not hold up the reports of others.
                if works {
                    works = self.tell(log).await;
                }
            }
        }
    }

    /// A session is over, and has no connections any more.
    fn ended(&self, key: SessionKey, spent: bool) {
        // One that was refused is not there.
        let mut sessions = self.lock();
        if let Some(open) = sessions.remove(&key) {
            lock(&self.endings).push(Ending { key, open, spent });
        }
    }

    /// Tells the store what it has to know. Whether it could be told.
    async fn tell(&self, log: &(impl Fn(SessionEvent) + Sync)) -> bool {
        loop {
            // It stays there until it was told.
            let next = lock(&self.endings).waiting.front().cloned();
            let Some(ending) = next else { return true };
            let (session, token) = (ending.key, ending.open.hash.fingerprint());
            match self.tell_one(&ending).await {
                Ok(closed) => {
                    lock(&self.endings).waiting.pop_front();
                    if let Some(spent) = closed {
                        log(SessionEvent::Closed { session, token, spent });
                    }
                }
                Err(error) => {
                    log(SessionEvent::NotClosed { session, token, error });
                    return false;
                }
            }
        }
    }

    /// Whether the use stays spent; `None`: the store knows nothing of the session.
    async fn tell_one(&self, Ending { open, spent, .. }: &Ending) -> Result<Option<bool>, BackendError> {
        let session = match &open.claimed {
            Some(claimed) => claimed.session,
            // Whether the claim was applied is not known: the same attempt is, once, and is given back.
            None => match self.ask_once(&open.hash, Transition::Claim(open.attempt)).await? {
                Ok(session) => session,
                Err(_) => return Ok(None),
            },
        };
        if !spent {
            match self.ask_once(&open.hash, Transition::Release(session)).await? {
                Ok(_) => return Ok(Some(false)),
                // It was bound: a hypervisor has accepted.
                Err(Refusal::AlreadyBound) => {}
                Err(_) => return Ok(None),
            }
        }
        let closed = self.ask_once(&open.hash, Transition::Close(session)).await?;
        Ok(closed.ok().map(|_| true))
    }

    /// Asks the store once.
    async fn ask_once(
        &self,
        hash: &TokenHash,
        transition: Transition,
    ) -> Result<Result<SessionId, Refusal>, BackendError> {
        let asked = timeout(ONE, self.store.apply(hash, self.context(), transition));
        match asked.await {
            Ok(Ok(admitted)) => Ok(Ok(admitted.session)),
            Ok(Err(StoreError::Refused(refusal))) => Ok(Err(refusal)),
            Ok(Err(StoreError::Backend(error))) => Err(error),
            // INVARIANT: no transition gives these.
            Ok(Err(StoreError::Full { .. } | StoreError::Duplicate | StoreError::NoteTooLong)) => {
                Ok(Err(Refusal::Unknown))
            }
            Err(late) => Err(BackendError::new(late)),
        }
    }

    async fn keep_attending(&self, log: &(impl Fn(SessionEvent) + Sync)) {
        loop {
            sleep(self.settings.attend_every).await;
            self.attend_each(log).await;
        }
    }

    /// Asks the store whether the open sessions may go on, and ends those that may not: after a revocation, so that it
    /// takes effect at once. Sessions go on while the store fails.
    pub async fn attend(&self) {
        self.attend_each(&|_| {}).await;
    }

    async fn attend_each(&self, log: &(impl Fn(SessionEvent) + Sync)) {
        let sessions: Vec<(SessionKey, TokenHash, SessionId)> = {
            let open = self.lock();
            let claimed = |open: &Open| Some((open.hash, open.claimed.as_ref()?.session));
            let asked = open
                .iter()
                .filter_map(|(key, open)| claimed(open).map(|(hash, session)| (*key, hash, session)));
            asked.collect()
        };
        for (session, hash, id) in sessions {
            match self.ask_once(&hash, Transition::Attend(id)).await {
                Ok(Ok(_)) => {}
                Ok(Err(refusal)) => {
                    // One that has ended meanwhile is not there any more.
                    if self.hub.with(|_, sessions| sessions.end(session)) {
                        let token = hash.fingerprint();
                        log(SessionEvent::Cut {
                            session,
                            token,
                            refusal,
                        });
                    }
                }
                Err(_) => return,
            }
        }
    }
}
