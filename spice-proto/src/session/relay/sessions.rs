//! What the connections of all sessions share.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use hashbrown::HashMap;

use crate::session::migration::{Effect, Endpoint, Migration, Seat};
use crate::session::tracker::{Admission, Config, Expired, HashKey, Link, Reason, Request};
use crate::session::{Token, Tracker};

/// What other connections, or the time, have done to one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Orders {
    /// It has to be closed.
    pub(super) close: bool,
    /// Its viewer is to be told that it is connected.
    pub(super) pretend: bool,
    /// `MIGRATE_CANCEL` is to be said to its viewer.
    pub(super) cancel: bool,
}

#[derive(Debug)]
struct Member {
    link: Link,
    seat: Seat,
    orders: Orders,
}

/// One session's connections.
#[derive(Debug)]
struct Group {
    migration: Migration,
    members: Vec<Member>,
    /// When its connections have to look at it.
    deadline: Option<Duration>,
}

/// All sessions of a proxy, as their [`Relay`](super::Relay)s share them: a [`Tracker`], and a [`Migration`] for each session.
///
/// What happens on one connection can concern others. [`Sessions::poll_wake`] names those that have to be stepped
/// again; ask it whenever something was done with a relay and these sessions.
#[derive(Debug)]
pub struct Sessions {
    tracker: Tracker,
    groups: HashMap<Token, Group, HashKey>,
    wakes: VecDeque<Link>,
    ended: VecDeque<Token>,
}

impl Sessions {
    /// None yet. `hash_key`: random bytes.
    #[must_use]
    pub fn new(config: Config, hash_key: [u8; 16]) -> Self {
        Self {
            tracker: Tracker::new(config, hash_key),
            groups: HashMap::with_hasher(HashKey(hash_key)),
            wakes: VecDeque::new(),
            ended: VecDeque::new(),
        }
    }

    /// What is known of them.
    #[must_use]
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// A connection that has to be stepped again, after [`Relay::wake`](super::Relay::wake).
    pub fn poll_wake(&mut self) -> Option<Link> {
        self.wakes.pop_front()
    }

    /// A session that is over and has no connections left: its token can be given back or closed. Then
    /// [`Sessions::forget`] it.
    pub fn poll_ended(&mut self) -> Option<Token> {
        self.ended.pop_front()
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn has_ended(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Call [`Sessions::expire`] then, whether or not there are connections that could do it.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.tracker.deadline()
    }

    /// Ends what is overdue: connections that showed no token, sessions whose viewer did not come back while they moved.
    pub fn expire(&mut self, now: Duration) {
        while let Some(expired) = self.tracker.expire(now) {
            if let Expired::Session(token) = expired {
                self.close_all(token);
            }
        }
    }

    /// Ends a session: its connections are closed, and none joins any more. Whether it was running.
    pub fn end(&mut self, token: Token) -> bool {
        let running = self.tracker.end(token);
        self.close_all(token);
        running
    }

    /// Ends all sessions.
    pub fn end_all(&mut self) {
        let tokens: Vec<Token> = self.groups.keys().copied().collect();
        for token in tokens {
            self.end(token);
        }
    }

    /// Forgets a session that has ended. To be called when its token is good for nothing any more: here it would be
    /// fresh again. Nothing is done while it has connections. Whether it was forgotten.
    pub fn forget(&mut self, token: Token) -> bool {
        if self.groups.contains_key(&token) {
            return false;
        }
        self.tracker.forget(token)
    }

    pub(super) fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    pub(super) fn admit(
        &mut self,
        now: Duration,
        link: Link,
        token: Token,
        request: Request,
        endpoint: &Endpoint,
    ) -> Result<(Seat, Admission), Reason> {
        let group = self.groups.entry(token).or_insert_with(|| Group {
            migration: Migration::new(token, endpoint.clone()),
            members: Vec::new(),
            deadline: None,
        });
        let admitted = group.migration.admit(now, &mut self.tracker, link, request);
        // Those that are replaced, before the new one has its place.
        self.settle(token);
        if let (Ok((seat, _)), Some(group)) = (&admitted, self.groups.get_mut(&token)) {
            group.members.push(Member {
                link,
                seat: *seat,
                orders: Orders::default(),
            });
        }
        self.sweep(token);
        admitted
    }

    /// Does something with one session's migration, and sees to what follows from it for others.
    pub(super) fn with<T>(&mut self, token: Token, act: impl FnOnce(&mut Migration, &mut Tracker) -> T) -> Option<T> {
        let group = self.groups.get_mut(&token)?;
        let done = act(&mut group.migration, &mut self.tracker);
        self.settle(token);
        Some(done)
    }

    /// A connection is gone from its session.
    pub(super) fn left(&mut self, token: Token, link: Link) {
        if let Some(group) = self.groups.get_mut(&token) {
            group.members.retain(|member| member.link != link);
        }
        self.sweep(token);
    }

    /// What was ordered for a connection, by others or by the time.
    pub(super) fn orders(&mut self, now: Duration, token: Token, link: Link) -> Orders {
        if self.deadline_of(token).is_some_and(|deadline| deadline <= now) {
            self.with(token, |migration, tracker| migration.expire(now, tracker));
        }
        let members = self.groups.get_mut(&token).map(|group| group.members.iter_mut());
        let member = members.into_iter().flatten().find(|member| member.link == link);
        member
            .map(|member| core::mem::take(&mut member.orders))
            .unwrap_or_default()
    }

    /// When the connections of a session have to look at it.
    pub(super) fn deadline_of(&self, token: Token) -> Option<Duration> {
        self.groups.get(&token)?.deadline
    }

    /// Hands effects to the connections that they are for.
    fn settle(&mut self, token: Token) {
        let Some(group) = self.groups.get_mut(&token) else {
            return;
        };
        while let Some(effect) = group.migration.poll_effect() {
            let (seat, set): (Option<Seat>, fn(&mut Orders)) = match effect {
                Effect::Close(seat) => (Some(seat), |orders| orders.close = true),
                Effect::Pretend(seat) => (Some(seat), |orders| orders.pretend = true),
                Effect::Cancel(seat) => (Some(seat), |orders| orders.cancel = true),
                Effect::End => (None, |orders| orders.close = true),
            };
            for member in &mut group.members {
                if seat.is_none_or(|seat| seat == member.seat) {
                    set(&mut member.orders);
                    self.wakes.push_back(member.link);
                }
            }
        }
        let deadline = group.migration.deadline();
        if deadline != group.deadline {
            group.deadline = deadline;
            self.wakes.extend(group.members.iter().map(|member| member.link));
        }
    }

    fn close_all(&mut self, token: Token) {
        let Some(group) = self.groups.get_mut(&token) else {
            return;
        };
        for member in &mut group.members {
            member.orders.close = true;
            self.wakes.push_back(member.link);
        }
        self.sweep(token);
    }

    /// A session without connections has nothing to move.
    fn sweep(&mut self, token: Token) {
        let idle = |group: &Group| group.members.is_empty();
        if self.groups.get(&token).is_some_and(idle) {
            // While it waits for its main channel it is not over.
            if self.tracker.phase(token).is_none() {
                self.groups.remove(&token);
                self.ended.push_back(token);
            }
        }
    }
}
