//! The open sessions, of this gateway and of all others on the same store.
//!
//! Each gateway keeps a list of its own in the store, which is over 15 seconds after it was written: what a gateway held
//! that was killed is gone then. What one gateway is to do for another is an order, which all read.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use console_token::{NoteChange, Protocol, Store, UnixSeconds};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::moves::Moves;
use super::traffic::Traffic;
use crate::grant::clock::{Clock, rfc3339};
use crate::random::random_bytes;
use crate::sync::lock;

/// How often a gateway writes its list, and looks for orders.
const ROUND: Duration = Duration::from_secs(1);
/// Rounds between two lists, if nothing has changed.
const ROUNDS: u32 = 5;
/// Seconds for which a list is good.
const LEASE: u64 = 15;
/// Seconds for which an order is there.
const ORDER: u64 = 30;
/// The most sessions in one list: a value of the store has 64 KiB.
const LISTED: usize = 120;

/// Why a session is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// An operator has ended it.
    Operator,
    /// Its token was revoked, or its time is over.
    Token,
    /// Its guest has moved.
    Moved,
    /// Another user was let in by force.
    Displaced,
    /// The console has a new password.
    Password,
    /// The gateway stops.
    Stopping,
}

impl Why {
    /// The code with which a WebSocket is closed.
    pub(crate) const fn close_code(self) -> u16 {
        match self {
            Self::Displaced => 4409,
            Self::Moved => 4410,
            Self::Operator | Self::Token | Self::Password => 1008,
            Self::Stopping => 1001,
        }
    }

    /// Whether the viewer may not come again with what it has.
    pub(crate) const fn is_final(self) -> bool {
        match self {
            Self::Operator | Self::Token | Self::Displaced | Self::Password => true,
            Self::Moved | Self::Stopping => false,
        }
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Operator => "ended by an operator",
            Self::Token => "the token is over",
            Self::Moved => "the guest has moved",
            Self::Displaced => "another user has taken the console",
            Self::Password => "the console has a new password",
            Self::Stopping => "the gateway stops",
        }
    }
}

/// What all gateways are asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub(crate) enum Order {
    /// End a session.
    End { session: String, why: Why },
    /// End all sessions of a guest's console.
    EndConsole {
        guest: String,
        protocol: String,
        /// Of several serial ports, this one.
        number: Option<usize>,
        why: Why,
    },
    /// The sessions of a guest go to where it is now, or end.
    Moved { guest: String },
    /// Tokens were revoked: look at all that is open.
    Attend,
}

/// An order, and when it was given: milliseconds since the beginning of 1970.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    at: u64,
    order: Order,
}

pub(super) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// An open session, as others see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) guest: String,
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) fingerprint: String,
    pub(crate) user: Option<String>,
    pub(crate) peer: String,
    pub(crate) since: String,
    pub(crate) active_at: String,
    pub(crate) bytes_to_guest: u64,
    pub(crate) bytes_from_guest: u64,
    pub(crate) channels: usize,
    pub(crate) place: String,
    pub(crate) gateway: String,
}

/// What a session is called by.
#[derive(Debug, Clone)]
pub(crate) struct About {
    pub(crate) guest: String,
    pub(crate) name: String,
    pub(crate) protocol: Protocol,
    /// Which of the guest's serial ports.
    pub(crate) number: usize,
    pub(crate) fingerprint: String,
    pub(crate) user: Option<String>,
    pub(crate) peer: String,
    pub(crate) place: String,
}

/// An open session of this gateway.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) about: About,
    pub(crate) traffic: Arc<Traffic>,
    channels: AtomicUsize,
    since: UnixSeconds,
    /// The same to the millisecond.
    began: u64,
    active: Mutex<((u64, u64), UnixSeconds)>,
    place: Mutex<String>,
    why: Mutex<Option<Why>>,
    ends: CancellationToken,
    /// It is over, and not in the book any more.
    over: CancellationToken,
    /// What its other connections have moved.
    more: Mutex<Vec<Arc<Traffic>>>,
}

impl Session {
    /// Ends it; the first reason counts.
    pub(crate) fn end(&self, why: Why) {
        lock(&self.why).get_or_insert(why);
        self.ends.cancel();
    }

    /// Waits until it has to end, and says why.
    pub(crate) async fn ended(&self) -> Why {
        self.ends.cancelled().await;
        lock(&self.why).unwrap_or(Why::Operator)
    }

    /// Waits until it is over, for whatever reason.
    pub(crate) async fn over(&self) {
        self.over.cancelled().await;
    }

    /// Another of its connections counts its bytes there.
    pub(crate) fn counts(&self, traffic: &Arc<Traffic>) {
        let mut more = lock(&self.more);
        if !more.iter().any(|other| Arc::ptr_eq(other, traffic)) {
            more.push(traffic.clone());
        }
    }

    /// Bytes to the guest and from it, on all of its connections.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        let sum = |(to, from), traffic: &Arc<Traffic>| {
            let more = traffic.bytes();
            (to + more.0, from + more.1)
        };
        lock(&self.more).iter().fold(self.traffic.bytes(), sum)
    }

    /// Why it has to end, if it has.
    pub(crate) fn why(&self) -> Option<Why> {
        *lock(&self.why)
    }

    pub(crate) fn is_at(&self, place: &str) {
        place.clone_into(&mut lock(&self.place));
    }

    pub(crate) fn has_channels(&self, change: isize) -> usize {
        let before = match change {
            0.. => self.channels.fetch_add(change.unsigned_abs(), Ordering::Relaxed),
            _ => self.channels.fetch_sub(change.unsigned_abs(), Ordering::Relaxed),
        };
        before.saturating_add_signed(change)
    }

    fn listed(&self, gateway: &str, now: UnixSeconds) -> Listed {
        let bytes = self.bytes();
        let mut active = lock(&self.active);
        if active.0 != bytes {
            *active = (bytes, now);
        }
        let About {
            guest,
            name,
            protocol,
            fingerprint,
            user,
            peer,
            ..
        } = self.about.clone();
        Listed {
            id: self.id.clone(),
            guest,
            name,
            protocol: protocol.to_string(),
            fingerprint,
            user,
            peer,
            since: rfc3339(self.since),
            active_at: rfc3339(active.1),
            bytes_to_guest: bytes.0,
            bytes_from_guest: bytes.1,
            channels: self.channels.load(Ordering::Relaxed),
            place: lock(&self.place).clone(),
            gateway: gateway.to_owned(),
        }
    }
}

/// All open sessions.
pub(crate) struct Book {
    gateway: String,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    open: Mutex<HashMap<String, Arc<Session>>>,
    changes: AtomicU64,
    changed: tokio::sync::Notify,
    /// Which guests have moved.
    pub(crate) moves: Arc<Moves>,
}

/// A session's entry in the book, gone with this.
#[derive(Clone)]
pub(crate) struct Entered(Arc<Held>);

struct Held {
    book: Arc<Book>,
    session: Arc<Session>,
    /// What is to be done with it when it is over.
    last: Box<dyn Fn(&Session) + Send + Sync>,
}

impl std::ops::Deref for Entered {
    type Target = Arc<Session>;

    fn deref(&self) -> &Arc<Session> {
        &self.0.session
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.book.open).remove(&self.session.id);
        self.session.over.cancel();
        self.book.touch();
        (self.last)(&self.session);
    }
}

impl Book {
    pub(crate) fn new(gateway: String, store: Arc<dyn Store>, clock: Arc<Clock>) -> Self {
        Self {
            gateway,
            store,
            clock,
            open: Mutex::default(),
            changes: AtomicU64::new(0),
            changed: tokio::sync::Notify::new(),
            moves: Arc::default(),
        }
    }

    fn touch(&self) {
        self.changes.fetch_add(1, Ordering::Relaxed);
        self.changed.notify_one();
    }

    /// A session is open, whose bytes are counted there. `last`: for when it is over.
    pub(crate) fn enter(
        self: &Arc<Self>,
        about: About,
        traffic: Arc<Traffic>,
        last: impl Fn(&Session) + Send + Sync + 'static,
    ) -> Entered {
        let now = self.clock.now();
        let session = Arc::new(Session {
            id: base16ct::lower::encode_string(&random_bytes::<16>()),
            place: Mutex::new(about.place.clone()),
            about,
            traffic,
            channels: AtomicUsize::new(1),
            since: now,
            began: milliseconds(),
            active: Mutex::new(((0, 0), now)),
            why: Mutex::default(),
            ends: CancellationToken::new(),
            over: CancellationToken::new(),
            more: Mutex::default(),
        });
        lock(&self.open).insert(session.id.clone(), session.clone());
        self.touch();
        Entered(Arc::new(Held {
            book: self.clone(),
            session,
            last: Box::new(last),
        }))
    }

    /// The sessions of this gateway.
    pub(crate) fn own(&self) -> Vec<Arc<Session>> {
        let mut own: Vec<_> = lock(&self.open).values().cloned().collect();
        own.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
        own
    }

    pub(crate) fn count(&self) -> usize {
        lock(&self.open).len()
    }

    fn own_list(&self) -> Vec<Listed> {
        let now = self.clock.now();
        self.own()
            .iter()
            .map(|session| session.listed(&self.gateway, now))
            .collect()
    }

    /// The sessions of all gateways. A store that fails has those of this one only.
    pub(crate) async fn all(&self) -> Vec<Listed> {
        let mut all = self.own_list();
        match self.store.notes("sessions/", self.clock.now()).await {
            Ok(notes) => {
                let own = format!("sessions/{}/", self.gateway);
                for (name, note) in notes {
                    if !name.starts_with(&own) {
                        all.extend(serde_json::from_slice::<Vec<Listed>>(&note.value).unwrap_or_default());
                    }
                }
            }
            Err(error) => warn!(%error, "the sessions of other gateways are not known"),
        }
        all
    }

    /// Has all gateways do something: this one at once.
    pub(crate) async fn order(&self, order: &Order) {
        self.carry_out(order, milliseconds());
        let name = format!(
            "order/{}/{}",
            self.gateway,
            base16ct::lower::encode_string(&random_bytes::<8>())
        );
        let now = self.clock.now();
        let given = Given {
            at: milliseconds(),
            order: order.clone(),
        };
        let Ok(value) = serde_json::to_vec(&given) else { return };
        let change = NoteChange::write(&value, now.saturating_add(ORDER));
        if let Err(error) = self.store.set_note(&name, now, change).await {
            warn!(%error, "other gateways are not told");
        }
    }

    /// Does what it says here.
    fn carry_out(&self, order: &Order, at: u64) {
        if let Order::Moved { guest } = order {
            self.moves.moved(guest, at);
        }
        // What was opened since is not meant.
        for session in self.own().into_iter().filter(|session| session.began <= at) {
            let About { guest, protocol, .. } = &session.about;
            match order {
                Order::End { session: id, why } if *id == session.id => session.end(*why),
                Order::EndConsole {
                    guest: of,
                    protocol: by,
                    number,
                    why,
                } if of == guest
                    && *by == protocol.to_string()
                    && number.is_none_or(|number| number == session.about.number) =>
                {
                    session.end(*why);
                }
                _ => {}
            }
        }
    }

    /// Writes lists and reads orders, until it is dropped. `attend`: called when tokens were revoked elsewhere.
    pub(crate) async fn keep<F: Future<Output = ()>>(&self, attend: impl Fn() -> F) {
        let mut seen: HashSet<Box<str>> = HashSet::new();
        // Its own orders were carried out when they were given. A second time they would end what was opened since.
        let own = format!("order/{}/", self.gateway);
        let mut rounds = 0;
        let mut written = u64::MAX;
        loop {
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = self.changed.notified() => {}
            }
            let changes = self.changes.load(Ordering::Relaxed);
            rounds += 1;
            if changes != written || ROUNDS <= rounds {
                rounds = 0;
                if self.write().await {
                    written = changes;
                }
            }
            let Ok(orders) = self.store.notes("order/", self.clock.now()).await else {
                continue;
            };
            seen.retain(|name| orders.iter().any(|(other, _)| other == name));
            for (name, note) in orders {
                if name.starts_with(&own) || !seen.insert(name) {
                    continue;
                }
                if let Ok(Given { at, order }) = serde_json::from_slice(&note.value) {
                    info!(?order, "told by another gateway");
                    self.carry_out(&order, at);
                    if matches!(order, Order::Attend) {
                        attend().await;
                    }
                }
            }
        }
    }

    async fn write(&self) -> bool {
        let now = self.clock.now();
        let list = self.own_list();
        // One value at least, so that an old list is not taken for the present one.
        let parts = list.chunks(LISTED).map(serde_json::to_vec);
        let parts: Vec<_> = if list.is_empty() {
            vec![Ok(b"[]".to_vec())]
        } else {
            parts.collect()
        };
        for (n, part) in parts.iter().enumerate() {
            let Ok(value) = part else { continue };
            let name = format!("sessions/{}/{n}", self.gateway);
            let change = NoteChange::write(value, now.saturating_add(LEASE));
            if let Err(error) = self.store.set_note(&name, now, change).await {
                warn!(%error, "the list of sessions is not written");
                return false;
            }
        }
        true
    }
}
