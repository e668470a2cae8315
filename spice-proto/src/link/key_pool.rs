//! Keys for tickets, made in advance and never waited for.
//!
//! A link needs an RSA key before its peer has proved anything, and [`Key::generate`] takes tens of milliseconds. A
//! proxy that makes one key for each link can be kept busy with a few short messages a second. A [`KeyPool`] hands out
//! a fresh key while it has one, and under pressure one that has served before:
//!
//! 1. a key that was never handed out;
//! 2. else, of those whose bounds allow it, the one with the fewest links under way; of several without any, the one
//!    whose links have all shown their tickets;
//! 3. else none. As long as keys can be made at all, that is the case before the first [`KeyPool::put`] only, since
//!    one key serves hundreds of links.
//!
//! A link whose peer hangs up gives its place back when its [`KeyHandle`] is dropped. Keys are made outside, wherever
//! there is time, and no faster than [`KeyPoolConfig::pause`] allows: strangers cannot buy more of a processor than
//! that.
//!
//! # What a key's reuse means
//!
//! **Recorded tickets.** A ticket that was seen on a line without TLS is good for every link with the same key. The
//! pool keeps a digest of each ticket that a key was asked to open, and refuses the second
//! ([`TicketError::Replayed`]); there is no other sealed form of the same ticket, since numbers above the modulus do
//! not decrypt and OAEP cannot be changed without the password. What is left is an attacker who reads the viewer's
//! line and is the first to show the ticket: on a link with the same key that was under way, by a faster way; or on a
//! later one, if the viewer's connection could be broken in time. For either the attacker needs pressure, and keys are
//! shared in an order that makes it rare. On a listener with TLS there is nothing to read, which is the remedy.
//!
//! **Timing.** The rsa crate's private-key operation does not take constant time (RUSTSEC-2023-0071, the Marvin
//! attack). The attack is statistical: it needs many openings with *one* key, each timed. [`Key::open`] is blinded,
//! and a key opens [`KeyPoolConfig::openings`] tickets at most, from all senders, within [`KeyPoolConfig::lifetime`]
//! and the time for a link. A client that sends only link messages makes no opening. A key that was broken all the
//! same would open the tickets that were recorded under it: passwords that were typed to a listener without TLS within
//! that minute.
//!
//! # Example
//!
//! With a thread that makes the keys. The pool is locked for moments only; what takes time is done outside.
//!
//! ```
//! use std::sync::{Arc, Condvar, Mutex};
//! use std::time::{Duration, Instant};
//! use spice_proto::link::{Key, KeyPool, KeyPoolConfig};
//!
//! # let mut state = 1_u64;
//! # let mut random = move |out: &mut [u8]| for byte in out {
//! #     state ^= state << 13; state ^= state >> 7; state ^= state << 17; *byte = (state >> 32) as u8;
//! # };
//! let start = Instant::now();
//! let pool = Arc::new((Mutex::new(KeyPool::new(KeyPoolConfig::default().with_stock(2))), Condvar::new()));
//! // The first key is made before anybody can come. `random` fills from the operating system.
//! pool.0.lock().unwrap().put(start.elapsed(), Key::generate(&mut random).unwrap());
//!
//! let shared = pool.clone();
//! std::thread::spawn(move || {
//!     let (pool, taken) = &*shared;
//!     loop {
//!         let pause = pool.lock().unwrap().wants_key(start.elapsed());
//!         if pause == Some(Duration::ZERO) {
//!             let Ok(key) = Key::generate(&mut random) else { return };
//!             pool.lock().unwrap().put(start.elapsed(), key);
//!         } else {
//!             let pause = pause.unwrap_or(Duration::from_secs(1));
//!             drop(taken.wait_timeout(pool.lock().unwrap(), pause));
//!         }
//!     }
//! });
//!
//! // A link message has come: its reply shows this key. Dropped with the connection, the handle frees its place.
//! let handle = pool.0.lock().unwrap().take(start.elapsed()).expect("there is a key");
//! pool.1.notify_one();
//! let sealed = handle.public().seal(b"token", [7; 20]).unwrap();
//! // The ticket has come.
//! let opening = pool.0.lock().unwrap().opening(handle, sealed).expect("never seen before");
//! # let mut random = |out: &mut [u8]| out.fill(7);
//! assert_eq!(opening.open(&mut random).unwrap().expose(), b"token");
//! ```

use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use sha2::{Digest as _, Sha256};

use super::ticket::{Key, PublicKey, SealedTicket, Secret, TicketError};

/// What one key may be used for, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPoolConfig {
    /// Keys that are kept ready: 24, for two viewers that open all their channels at once.
    pub stock: usize,
    /// Time between one key that is made and the next: 200 ms. With 36 ms a key that is a fifth of a processor,
    /// whatever strangers do. Not kept while there is no key at all.
    pub pause: Duration,
    /// Links that one key is shown to at most: 1024.
    pub links: u32,
    /// Tickets that are opened with one key at most: 256.
    pub openings: u32,
    /// Time from a key's first link to its last: 60 s.
    pub lifetime: Duration,
}

impl Default for KeyPoolConfig {
    fn default() -> Self {
        Self {
            stock: 24,
            pause: Duration::from_millis(200),
            links: 1024,
            openings: 256,
            lifetime: Duration::from_secs(60),
        }
    }
}

impl KeyPoolConfig {
    /// Sets [`KeyPoolConfig::stock`].
    #[must_use]
    pub fn with_stock(mut self, keys: usize) -> Self {
        self.stock = keys;
        self
    }

    /// Sets [`KeyPoolConfig::pause`].
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Sets [`KeyPoolConfig::links`]. With 1 each link has a key of its own, and none without one.
    #[must_use]
    pub fn with_links(mut self, links: u32) -> Self {
        self.links = links;
        self
    }

    /// Sets [`KeyPoolConfig::openings`].
    #[must_use]
    pub fn with_openings(mut self, openings: u32) -> Self {
        self.openings = openings;
        self
    }

    /// Sets [`KeyPoolConfig::lifetime`].
    #[must_use]
    pub fn with_lifetime(mut self, time: Duration) -> Self {
        self.lifetime = time;
        self
    }
}

/// Half of a digest is enough: of two tickets with the same half the second is refused.
type TicketDigest = [u8; 16];

fn digest(sealed: &SealedTicket) -> TicketDigest {
    let whole: [u8; 32] = Sha256::digest(sealed.0).into();
    whole.first_chunk().copied().unwrap_or_default()
}

/// A key that was handed out.
struct Served {
    key: Arc<Key>,
    since: Duration,
    links: u32,
    /// Of the tickets that it opened.
    seen: BTreeSet<TicketDigest>,
    opened: u32,
}

impl Served {
    /// Links that have the key and have not shown their ticket.
    fn under_way(&self) -> usize {
        // One is the pool's own.
        Arc::strong_count(&self.key).saturating_sub(1)
    }

    /// What makes a key the one to be shared: no other link has it, and no ticket for it is unknown.
    fn order(&self) -> (usize, u32, u32) {
        (self.under_way(), self.links.saturating_sub(self.opened), self.opened)
    }

    fn is_good(&self, now: Duration, config: &KeyPoolConfig) -> bool {
        // Each link under way may show a ticket.
        let openings = (self.opened as usize).saturating_add(self.under_way());
        self.links < config.links
            && openings < config.openings as usize
            && now.saturating_sub(self.since) < config.lifetime
    }
}

/// The keys of a proxy or a server. See the [module](self) for what it promises.
pub struct KeyPool {
    config: KeyPoolConfig,
    fresh: VecDeque<Arc<Key>>,
    served: Vec<Served>,
    /// When the last one was made.
    made: Option<Duration>,
}

impl KeyPool {
    /// No keys yet.
    #[must_use]
    pub const fn new(config: KeyPoolConfig) -> Self {
        Self {
            config,
            fresh: VecDeque::new(),
            served: Vec::new(),
            made: None,
        }
    }

    /// A key was made at `now`. Those above the stock are kept as well.
    pub fn put(&mut self, now: Duration, key: Key) {
        self.made = Some(now);
        self.fresh.push_back(Arc::new(key));
    }

    /// In what time one more key is to be made; zero: now. `None`: not before another one is taken.
    #[must_use]
    pub fn wants_key(&self, now: Duration) -> Option<Duration> {
        if self.config.stock.max(1) <= self.fresh.len() {
            return None;
        }
        let any = !self.fresh.is_empty() || self.served.iter().any(|served| served.is_good(now, &self.config));
        let due = self.made.map_or(now, |made| made.saturating_add(self.config.pause));
        Some(if any { due.saturating_sub(now) } else { Duration::ZERO })
    }

    /// Keys that were made and not handed out.
    #[must_use]
    pub fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// A key for a link. `None`: there is none that may be used; wait for the next [`KeyPool::put`], or refuse the
    /// link.
    pub fn take(&mut self, now: Duration) -> Option<KeyHandle> {
        let config = &self.config;
        // A key with links under way keeps the digests of their tickets.
        self.served
            .retain(|served| 0 < served.under_way() || served.is_good(now, config));
        if let Some(key) = self.fresh.pop_front() {
            self.served.push(Served {
                key: key.clone(),
                since: now,
                links: 1,
                seen: BTreeSet::new(),
                opened: 0,
            });
            return Some(KeyHandle { key });
        }
        let good = self.served.iter_mut().filter(|served| served.is_good(now, config));
        let served = good.min_by_key(|served| served.order())?;
        served.links = served.links.saturating_add(1);
        Some(KeyHandle {
            key: served.key.clone(),
        })
    }

    /// The ticket of a link: what is left to do takes time, and needs no lock. Counts as an opening, whatever comes of
    /// it.
    ///
    /// # Errors
    /// [`TicketError::Replayed`]: this key was asked to open that ticket before. [`TicketError::Undecryptable`]: the
    /// handle is another pool's. The peer must not learn which.
    pub fn opening(&mut self, handle: KeyHandle, sealed: SealedTicket) -> Result<Opening, TicketError> {
        let KeyHandle { key } = handle;
        let served = self.served.iter_mut().find(|served| Arc::ptr_eq(&served.key, &key));
        let served = served.ok_or(TicketError::Undecryptable)?;
        if !served.seen.insert(digest(&sealed)) {
            return Err(TicketError::Replayed);
        }
        served.opened = served.opened.saturating_add(1);
        Ok(Opening { key, sealed })
    }
}

impl fmt::Debug for KeyPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPool")
            .field("config", &self.config)
            .field("fresh", &self.fresh.len())
            .field("served", &self.served.len())
            .finish_non_exhaustive()
    }
}

/// A link's key. Dropped without a ticket, it has cost nothing but the time to make it.
#[derive(Debug)]
pub struct KeyHandle {
    key: Arc<Key>,
}

impl KeyHandle {
    /// For the link reply.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }
}

/// A ticket that is to be opened.
#[derive(Debug)]
pub struct Opening {
    key: Arc<Key>,
    sealed: SealedTicket,
}

impl Opening {
    /// As [`Key::open`]. Takes half a millisecond or more.
    ///
    /// # Errors
    /// [`TicketError`]; the peer must not learn which.
    pub fn open(self, random: &mut dyn FnMut(&mut [u8])) -> Result<Secret, TicketError> {
        self.key.open(&self.sealed, random)
    }

    /// As [`Key::open_whole`].
    ///
    /// # Errors
    /// [`TicketError::Undecryptable`].
    pub fn open_whole(self, random: &mut dyn FnMut(&mut [u8])) -> Result<Secret, TicketError> {
        self.key.open_whole(&self.sealed, random)
    }
}
