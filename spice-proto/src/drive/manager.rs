//! The sessions of a proxy, and its connections.

extern crate std;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::pin::pin;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout};

use super::Clock;
#[cfg(doc)]
use crate::frame::RecordSplitter;
use crate::session::relay::{Config, Counts, End};
use crate::session::tracker::{self, Link, Peer};
use crate::session::{Claim, Relay, Report, SessionKey, Sessions};

/// How long a tenant whose link failed waits for its use to be given back.
const GIVE_BACK: Duration = Duration::from_secs(1);

/// For the last words on a connection that we end.
const GOODBYE: Duration = Duration::from_secs(1);
/// For what one side still has to get when the other has hung up.
const LINGER: Duration = Duration::from_secs(30);

/// The sessions of a proxy, shared by the tasks that drive their connections.
#[derive(Debug)]
pub struct SessionManager {
    pub(super) clock: Clock,
    shared: Mutex<Shared>,
    /// Something has changed for [`SessionManager::report`].
    changed: Notify,
    /// A report was handled.
    handled: Notify,
    /// [`SessionManager::stop`] was called.
    stopping: Notify,
}

#[derive(Debug)]
struct Shared {
    sessions: Sessions,
    wakers: HashMap<Link, Arc<Notify>>,
    stopped: bool,
    /// Reports that were taken, and those that were done with.
    taken: u64,
    handled: u64,
}

impl SessionManager {
    /// No sessions yet. `hash_key`: random bytes.
    #[must_use]
    pub fn new(config: tracker::Config, hash_key: [u8; 16]) -> Self {
        Self {
            clock: Clock::start(),
            shared: Mutex::new(Shared {
                sessions: Sessions::new(config, hash_key),
                wakers: HashMap::new(),
                stopped: false,
                taken: 0,
                handled: 0,
            }),
            changed: Notify::new(),
            handled: Notify::new(),
            stopping: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // What a panic elsewhere left half done is one connection's.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the sessions, and wakes the connections that it concerns.
    pub fn with<T>(&self, act: impl FnOnce(Duration, &mut Sessions) -> T) -> T {
        let mut shared = self.lock();
        let before = shared.sessions.deadline();
        let done = act(self.clock.now(), &mut shared.sessions);
        while let Some(link) = shared.sessions.poll_wake() {
            if let Some(waker) = shared.wakers.get(&link) {
                waker.notify_one();
            }
        }
        if before != shared.sessions.deadline() || shared.sessions.has_reports() {
            self.changed.notify_one();
        }
        done
    }

    /// A tenant's connection has come. It counts as half open until it shows a good token. How many may be half open
    /// is for the caller to say: see [`Tracker::accept`](tracker::Tracker::accept).
    pub fn accept(self: &Arc<Self>, peer: Peer, config: Arc<Config>) -> Connection {
        let wake = Arc::new(Notify::new());
        let relay = self.with(|now, sessions| Relay::new(now, sessions, peer, config));
        let mut shared = self.lock();
        shared.wakers.insert(relay.link(), wake.clone());
        if shared.stopped {
            wake.notify_one();
        }
        drop(shared);
        Connection {
            hub: self.clone(),
            relay,
            wake,
            records: peer.secure,
        }
    }

    /// The right to open a session: [`Sessions::claim`]. Make it before the use is taken that it stands for.
    pub fn claim(self: &Arc<Self>) -> ManagedClaim {
        let claim = self.with(|_, sessions| sessions.claim());
        ManagedClaim::new(self.clone(), claim)
    }

    /// The sessions that hypervisors gave this id: [`Sessions::named`].
    #[must_use]
    pub fn named(&self, id: u32) -> Vec<SessionKey> {
        self.with(|_, sessions| sessions.named(id).to_vec())
    }

    /// [`SessionManager::report`] in a loop, for a proxy that only writes reports down or counts them. One task has to
    /// run it as long as there are connections: it ends what is overdue. It does not come back.
    pub async fn run(self: Arc<Self>, mut hear: impl FnMut(Report)) {
        loop {
            hear(self.report().await);
        }
    }

    /// What became of a link or of a session, each reported once: also of a connection whose task was aborted, or
    /// whose tenant went. To be awaited in a loop by one task, which also ends what is overdue.
    ///
    /// A report counts as handled when this is called again. A tenant whose link failed gets its answer after that, up
    /// to a second later, so that it can come again with the use that was given back. The future can be dropped: no
    /// report is lost with it.
    pub async fn report(&self) -> Report {
        self.done();
        loop {
            let (report, deadline) = self.with(|now, sessions| {
                sessions.expire(now);
                (sessions.poll_report(), sessions.deadline())
            });
            if let Some(report) = report {
                let mut shared = self.lock();
                shared.taken = shared.taken.saturating_add(1);
                return report;
            }
            let until = self.clock.instant(deadline.unwrap_or(Duration::MAX));
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    /// What was reported so far is handled.
    fn done(&self) {
        let mut shared = self.lock();
        shared.handled = shared.taken;
        drop(shared);
        self.handled.notify_waiters();
    }

    /// Waits until the reports that are there now are handled, or not much longer.
    pub(super) async fn handled(&self) {
        let last = self.lock().sessions.reported();
        let done = async {
            loop {
                let mut changed = pin!(self.handled.notified());
                changed.as_mut().enable();
                if last <= self.lock().handled {
                    return;
                }
                changed.await;
            }
        };
        let _ = timeout(GIVE_BACK, done).await;
    }

    /// Ends all sessions and all connections that are half open. Those that come later end at once.
    pub fn stop(&self) {
        self.with(|_, sessions| sessions.end_all());
        let mut shared = self.lock();
        shared.stopped = true;
        for waker in shared.wakers.values() {
            waker.notify_one();
        }
        drop(shared);
        self.stopping.notify_waiters();
    }

    /// The time for a connection's last words is over.
    pub(super) async fn drained(&self, end: End) {
        let stopping = self.stopping.notified();
        if matches!(end, End::Viewer | End::Hypervisor) && !self.has_stopped() {
            let _ = timeout(LINGER, stopping).await;
        }
        sleep(GOODBYE).await;
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.lock().stopped
    }
}

/// A tenant's connection in a [`SessionManager`]; dropped, it is gone from its session.
#[derive(Debug)]
pub struct Connection {
    pub(super) hub: Arc<SessionManager>,
    pub(super) relay: Relay,
    pub(super) wake: Arc<Notify>,
    /// The tenant's stream is TLS: each message is written on its own, see [`RecordSplitter`].
    pub(super) records: bool,
}

impl Connection {
    /// What has passed on it; can be read while it is driven.
    #[must_use]
    pub fn counts(&self) -> Arc<Counts> {
        self.relay.counts().clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Self { hub, relay, .. } = self;
        hub.with(|now, sessions| relay.close(now, sessions));
        hub.lock().wakers.remove(&relay.link());
    }
}

/// A [`Claim`] of a [`SessionManager`]'s: the right to open one session.
///
/// Dropped before it has opened one, it is given back by itself: [`Report::Ended`] follows, with nothing spent. So the
/// use that it stands for cannot be lost, whatever breaks off the task that holds it.
#[derive(Debug)]
#[must_use = "dropped, it is given back"]
pub struct ManagedClaim {
    hub: Arc<SessionManager>,
    claim: Option<Claim>,
    key: SessionKey,
}

impl ManagedClaim {
    pub(super) fn new(hub: Arc<SessionManager>, claim: Claim) -> Self {
        let key = claim.key();
        Self {
            hub,
            claim: Some(claim),
            key,
        }
    }

    /// The key of the session that it opens: what the caller keeps the use under.
    #[must_use]
    pub const fn key(&self) -> SessionKey {
        self.key
    }

    pub(super) fn used(mut self) -> Option<Claim> {
        self.claim.take()
    }
}

impl PartialEq for ManagedClaim {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.hub, &other.hub) && self.key == other.key
    }
}

impl Drop for ManagedClaim {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            self.hub.with(|_, sessions| sessions.give_back(claim));
        }
    }
}
