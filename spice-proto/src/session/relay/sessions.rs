//! What the connections of all sessions share.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::time::Duration;

use hashbrown::HashMap;

use super::Dial;
use super::entry::{Claim, Entry, Report};
use crate::channel::main::ChannelId;
use crate::link::{LinkMess, TicketOutcome};
use crate::session::migration::{ConnectionHandle, Effect, Endpoint, Migration};
use crate::session::tracker::{Admission, Config, Expired, Link, NumberHash, Reason, Request};
use crate::session::{Host, SessionKey, Tracker};

/// Hypervisors that are asked what they announce, for one connection.
const INQUIRIES: usize = 4;

/// What other connections, or the time, have done to one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PendingActions {
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
    seat: ConnectionHandle,
    pending: PendingActions,
}

/// One session's connections.
#[derive(Debug)]
struct Group {
    migration: Migration,
    members: Vec<Member>,
    /// When its connections have to look at it.
    deadline: Option<Duration>,
    /// A hypervisor has accepted a ticket, or may have.
    spent: bool,
    /// By which its viewer knows it.
    id: Option<u32>,
}

impl Group {
    /// Hands effects to the connections that they are for.
    fn settle(&mut self, wakes: &mut VecDeque<Link>) {
        while let Some(effect) = self.migration.poll_effect() {
            let (seat, set): (Option<ConnectionHandle>, fn(&mut PendingActions)) = match effect {
                Effect::Close(seat) => (Some(seat), |pending| pending.close = true),
                Effect::Pretend(seat) => (Some(seat), |pending| pending.pretend = true),
                Effect::Cancel(seat) => (Some(seat), |pending| pending.cancel = true),
                Effect::End => (None, |pending| pending.close = true),
            };
            for member in &mut self.members {
                if seat.is_none_or(|seat| seat == member.seat) {
                    set(&mut member.pending);
                    wakes.push_back(member.link);
                }
            }
        }
        let deadline = self.migration.deadline();
        if deadline != self.deadline {
            self.deadline = deadline;
            wakes.extend(self.members.iter().map(|member| member.link));
        }
    }
}

/// The key of the table of ids, so that a hypervisor cannot choose what collides.
#[derive(Clone)]
struct HashKey([u8; 16]);

impl core::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl BuildHasher for HashKey {
    type Hasher = siphasher::sip::SipHasher13;

    fn build_hasher(&self) -> Self::Hasher {
        siphasher::sip::SipHasher13::new_with_key(&self.0)
    }
}

/// All sessions of a proxy, as their [`Relay`](super::Relay)s share them: a [`Tracker`], and a [`Migration`] for each
/// session.
///
/// What happens on one connection can concern others. [`Sessions::poll_wake`] names those that have to be stepped
/// again; ask it whenever something was done with a relay and these sessions. [`Sessions::poll_report`] says what
/// became of links and sessions, and so of the uses that were taken for them.
#[derive(Debug)]
pub struct Sessions {
    tracker: Tracker,
    groups: HashMap<SessionKey, Group, NumberHash>,
    /// The sessions with an id: hypervisors repeat them.
    ids: HashMap<u32, Vec<SessionKey>, HashKey>,
    wakes: VecDeque<Link>,
    reports: VecDeque<Report>,
    /// Reports that were made so far.
    reported: u64,
    /// Claims that were made so far.
    claims: u64,
}

impl Sessions {
    /// None yet. `hash_key`: random bytes.
    #[must_use]
    pub fn new(config: Config, hash_key: [u8; 16]) -> Self {
        Self {
            tracker: Tracker::new(config, hash_key),
            groups: HashMap::with_hasher(NumberHash::new(hash_key)),
            ids: HashMap::with_hasher(HashKey(hash_key)),
            wakes: VecDeque::new(),
            reports: VecDeque::new(),
            reported: 0,
            claims: 0,
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

    /// What became of a link or of a session. To be asked whenever something was done with a relay and these sessions.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// The claim of an entry that was not made.
    pub(super) fn hand_back(&mut self, entry: Entry) {
        if let Entry::Open(claim) = entry {
            self.give_back(claim);
        }
    }

    fn push(&mut self, report: Report) {
        self.reported = self.reported.saturating_add(1);
        self.reports.push_back(report);
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn has_reports(&self) -> bool {
        !self.reports.is_empty()
    }

    /// Reports that were made so far.
    #[cfg(feature = "tokio")]
    pub(crate) const fn reported(&self) -> u64 {
        self.reported
    }

    /// The right to open a session, with a key that no other session has or had. To be made before a use is taken for
    /// it, so that the use can be kept under the key from its first moment.
    pub fn claim(&mut self) -> Claim {
        self.claims = self.claims.saturating_add(1);
        Claim::new(SessionKey::new(self.claims))
    }

    /// A claim is not used: [`Report::Ended`] follows, with nothing spent.
    pub fn give_back(&mut self, claim: Claim) {
        self.push(Report::Ended {
            session: claim.key(),
            spent: false,
        });
    }

    /// Call [`Sessions::expire`] then, whether or not there are connections that could do it.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.tracker.deadline()
    }

    /// Ends what is overdue: connections that showed no token, sessions whose viewer did not come back while they
    /// moved.
    pub fn expire(&mut self, now: Duration) {
        while let Some(expired) = self.tracker.expire(now) {
            if let Expired::Session(key) = expired {
                self.close_all(key);
            }
        }
    }

    /// Ends a session: its connections are closed, and none joins any more. Whether it was running.
    pub fn end(&mut self, key: SessionKey) -> bool {
        let running = self.tracker.end(key);
        self.close_all(key);
        running
    }

    /// Ends all sessions.
    pub fn end_all(&mut self) {
        let keys: Vec<SessionKey> = self.groups.keys().copied().collect();
        for key in keys {
            self.end(key);
        }
    }

    pub(super) fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// Places a connection in its session. A claim whose connection is refused is over with it.
    pub(super) fn admit(
        &mut self,
        now: Duration,
        link: Link,
        entry: Entry,
        request: Request,
        endpoint: &Endpoint,
    ) -> Result<(ConnectionHandle, Admission), Reason> {
        let key = match entry {
            Entry::Open(claim) => claim.key(),
            Entry::Join(key) if self.tracker.host(key).is_some() => key,
            Entry::Join(_) | Entry::Elsewhere => {
                let _ = self.tracker.close(now, link);
                return Err(Reason::Ended);
            }
        };
        let group = self.groups.entry(key).or_insert_with(|| Group {
            migration: Migration::new(key, endpoint.clone()),
            members: Vec::new(),
            deadline: None,
            spent: false,
            id: None,
        });
        let admitted = group.migration.admit(now, &mut self.tracker, link, request);
        // Those that are replaced, before the new one has its place.
        group.settle(&mut self.wakes);
        if let Ok((seat, _)) = &admitted {
            group.members.push(Member {
                link,
                seat: *seat,
                pending: PendingActions::default(),
            });
        }
        self.sweep(key);
        admitted
    }

    /// The hypervisor has given the session this id, or it has none any more.
    pub(super) fn name(&mut self, key: SessionKey, id: Option<u32>) {
        let Some(group) = self.groups.get_mut(&key) else { return };
        let before = core::mem::replace(&mut group.id, id);
        if let Some(hashbrown::hash_map::Entry::Occupied(mut named)) = before.map(|id| self.ids.entry(id)) {
            named.get_mut().retain(|other| *other != key);
            if named.get().is_empty() {
                named.remove();
            }
        }
        if let Some(id) = id {
            self.ids.entry(id).or_default().push(key);
        }
    }

    /// The sessions that hypervisors gave this id: what a tenant names with its `connection_id`. As a rule one; several,
    /// since hypervisors repeat ids, and only one that was opened with the tenant's token is the tenant's.
    #[must_use]
    pub fn named(&self, id: u32) -> &[SessionKey] {
        self.ids.get(&id).map_or(&[], Vec::as_slice)
    }

    /// Which hypervisors have the channel that a tenant asks for, before its token says which session it belongs to:
    /// as a rule one, that of the session with this `connection_id`. None for the first main channel of a session.
    /// What they announce for it can be asked with [`ClientLink::inquiry`](crate::link::ClientLink::inquiry), so that
    /// no more is promised ([`Capabilities::kept_by`](crate::caps::Capabilities::kept_by)): a promise that the
    /// hypervisor does not keep costs the viewer the channel.
    #[must_use]
    pub fn inquiries(&self, request: &LinkMess) -> Vec<Dial> {
        let dial = |key: &SessionKey| {
            let host = self.tracker.host_for(*key, Request::of(request))?;
            let target = self.groups.get(key)?.migration.target(host).cloned();
            // One that was refused, or is forgotten, is not dialled.
            (target.is_some() || host == Host(0)).then(|| Dial {
                session: *key,
                request: request.clone(),
                host,
                target,
                transport: None,
            })
        };
        self.named(request.connection_id)
            .iter()
            .filter_map(dial)
            .take(INQUIRIES)
            .collect()
    }

    /// What became of a link's ticket.
    pub(super) fn report(&mut self, session: SessionKey, channel: ChannelId, host: Host, outcome: TicketOutcome) {
        if let Some(group) = self.groups.get_mut(&session) {
            group.spent |= outcome.spends();
        }
        self.push(Report::Link {
            session,
            channel,
            host,
            outcome,
        });
    }

    /// Does something with one session's migration, and sees to what follows from it for others.
    pub(super) fn with<T>(
        &mut self,
        key: SessionKey,
        act: impl FnOnce(&mut Migration, &mut Tracker) -> T,
    ) -> Option<T> {
        let group = self.groups.get_mut(&key)?;
        let done = act(&mut group.migration, &mut self.tracker);
        group.settle(&mut self.wakes);
        Some(done)
    }

    /// A connection is gone from its session.
    pub(super) fn left(&mut self, key: SessionKey, link: Link) {
        if let Some(group) = self.groups.get_mut(&key) {
            group.members.retain(|member| member.link != link);
        }
        self.sweep(key);
    }

    /// What was ordered for a connection, by others or by the time.
    pub(super) fn pending(&mut self, now: Duration, key: SessionKey, link: Link) -> PendingActions {
        let Some(group) = self.groups.get_mut(&key) else {
            return PendingActions::default();
        };
        if group.deadline.is_some_and(|deadline| deadline <= now) {
            group.migration.expire(now, &mut self.tracker);
            group.settle(&mut self.wakes);
        }
        let member = group.members.iter_mut().find(|member| member.link == link);
        member
            .map(|member| core::mem::take(&mut member.pending))
            .unwrap_or_default()
    }

    /// When the connections of a session have to look at it.
    pub(super) fn deadline_of(&self, key: SessionKey) -> Option<Duration> {
        self.groups.get(&key)?.deadline
    }

    fn close_all(&mut self, key: SessionKey) {
        let Some(group) = self.groups.get_mut(&key) else {
            return;
        };
        for member in &mut group.members {
            member.pending.close = true;
            self.wakes.push_back(member.link);
        }
        self.sweep(key);
    }

    /// A session without connections has nothing to move.
    fn sweep(&mut self, key: SessionKey) {
        let idle = self.groups.get(&key).is_some_and(|group| group.members.is_empty());
        // While it waits for its main channel it is not over.
        if !idle || self.tracker.target_access(key).is_some() {
            return;
        }
        self.name(key, None);
        if let Some(group) = self.groups.remove(&key) {
            self.tracker.forget(key);
            self.push(Report::Ended {
                session: key,
                spent: group.spent,
            });
        }
    }
}
