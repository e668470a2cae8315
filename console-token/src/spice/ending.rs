//! The end of sessions: what the store learns of it, and when a session has to end.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use spice_proto::session::{Report, SessionKey};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::books::Open;
use super::{Denial, TokenSessions};
use crate::gate::{Ending, Gate, Told, lock};
use crate::{Admitted, BackendError, Fingerprint, Refusal, TokenHash, Transition, UnixSeconds};

/// How often a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
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
    /// The store knows that a session's viewer broke off: it may come again until then.
    Suspended {
        /// The session.
        session: SessionKey,
        /// Its token.
        token: Fingerprint,
        /// When the session is over.
        until: UnixSeconds,
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
        tokio::join!(
            self.keys.make(),
            self.settle(&log),
            self.keep_attending(&log),
            self.gate.watch()
        );
    }

    /// Ends all sessions and connections, and returns when the store knows: [`run`](Self::run) has to be running. Their
    /// viewers may come again within [`Settings::reconnect`](super::Settings::reconnect), at another gateway too. A store
    /// that fails is waited for, so bound the time.
    pub async fn stop(&self) {
        self.hub.stop();
        while !self.lock().is_empty() || !lock(&self.endings).is_empty() {
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
                let over = self.ended(session, spent);
                // A store that fails must not hold up the reports of others.
                if works {
                    works = self.tell(log).await;
                }
                if let Some(over) = over.filter(|_| works) {
                    self.withdraw(&over).await;
                }
            }
        }
    }

    /// Ends a session for good: its viewer does not come again without a use. Whether one was open.
    pub fn end(&self, session: SessionKey) -> bool {
        if let Some(open) = self.lock().get_mut(&session) {
            open.finished = true;
        }
        self.hub.with(|_, sessions| sessions.end(session))
    }

    /// The store lets a session not go on. One that is closed there may be another gateway's now, and is not closed again.
    fn cut(&self, session: SessionKey, refusal: Refusal) -> bool {
        match refusal {
            Refusal::SessionClosed => self.hub.with(|_, sessions| sessions.end(session)),
            _ => self.end(session),
        }
    }

    /// A session is over, and has no connections any more.
    fn ended(&self, key: SessionKey, spent: bool) -> Option<Open> {
        // One that was refused is not there.
        let mut sessions = self.lock();
        let open = sessions.remove(&key)?;
        let until = match spent {
            _ if open.finished => None,
            true => self.gate.again(),
            false => open.until,
        };
        let taken = open.taken.clone();
        lock(&self.endings).push(Ending {
            key,
            taken,
            spent,
            until,
        });
        Some(open)
    }

    /// Tells the store what it has to know. Whether it could be told.
    async fn tell(&self, log: &(impl Fn(SessionEvent) + Sync)) -> bool {
        let told = |session, token, told| {
            log(match told {
                Ok(Told::Unknown) => return,
                Ok(Told::Released) => SessionEvent::Closed {
                    session,
                    token,
                    spent: false,
                },
                Ok(Told::Closed) => SessionEvent::Closed {
                    session,
                    token,
                    spent: true,
                },
                Ok(Told::Suspended(until)) => SessionEvent::Suspended { session, token, until },
                Err(error) => SessionEvent::NotClosed { session, token, error },
            });
        };
        self.gate.tell(&self.endings, told).await
    }

    /// Tells the store that a session is held here, if that is due.
    pub(super) async fn hold(&self, key: SessionKey) -> Result<(), Denial> {
        let asked = self
            .lock()
            .get(&key)
            .and_then(|open| Some((open.taken.hash, open.taken.holding(&self.gate)?)));
        if let Some((hash, asked)) = asked {
            let admitted = self.gate.ask(&hash, asked).await?;
            self.attended(key, asked, &admitted);
        }
        Ok(())
    }

    /// The store has answered that a session may go on.
    fn attended(&self, key: SessionKey, asked: Transition, admitted: &Admitted) {
        if let Some(open) = self.lock().get_mut(&key) {
            open.taken.attended(&self.gate, asked);
            open.renamed(admitted);
        }
    }

    async fn keep_attending(&self, log: &(impl Fn(SessionEvent) + Sync)) {
        let mut works = true;
        loop {
            sleep(Gate::until_next(self.settings.attend_every, works)).await;
            works = self.gate.round(self.attend_each(log)).await;
        }
    }

    /// Asks the store whether the open sessions may go on, and ends those that may not: after a revocation, so that it
    /// takes effect at once. Sessions go on while the store fails.
    pub async fn attend(&self) {
        self.attend_each(&|_| {}).await;
    }

    async fn attend_each(&self, log: &(impl Fn(SessionEvent) + Sync)) -> bool {
        let works = self.attend_some(log, |_| true).await;
        self.publish_due().await;
        works
    }

    /// Those of which this holds. Whether the store answered.
    pub(super) async fn attend_some(&self, log: &(impl Fn(SessionEvent) + Sync), asks: impl Fn(&Open) -> bool) -> bool {
        let sessions: Vec<SessionKey> = {
            let open = self.lock();
            let some = open.iter().filter(|(_, open)| asks(open));
            some.map(|(key, _)| *key).collect()
        };
        let asked = |session: &SessionKey| {
            let taken = &self.lock().get(session)?.taken.clone();
            Some((taken.hash, taken.attending(&self.gate)?))
        };
        let answered = |session: SessionKey, hash: TokenHash, asked, answer: Result<Admitted, Refusal>| match answer {
            Ok(admitted) => self.attended(session, asked, &admitted),
            // One that has ended meanwhile is not there any more.
            Err(refusal) if self.cut(session, refusal) => {
                let token = hash.fingerprint();
                log(SessionEvent::Cut {
                    session,
                    token,
                    refusal,
                });
            }
            Err(_) => {}
        };
        self.gate.attend(sessions, asked, answered).await
    }
}
