//! RSA keys for tickets: [`KeyPool`] with a task that makes the keys.

use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;
use core::num::NonZeroU32;
use core::time::Duration;
use std::sync::Mutex;

use spice_proto::Clock;
use spice_proto::link::ticket::TicketError;
use spice_proto::link::{Key, KeyHandle, KeyPool, KeyPoolConfig, SealedTicket, Secret};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::FairScheduler;
use crate::gate::lock;

/// For the next try when no key could be made.
const PAUSE: Duration = Duration::from_secs(1);
/// What a link is charged for a key, and for the opening of its ticket, in any unit: one is as scarce as the other.
const COST: Duration = Duration::from_millis(1);

/// RSA keys for tickets, and the task that makes them.
///
/// SPICE wants a key in the link reply, before the peer has shown a token. Making one takes tens of milliseconds (in a
/// build without optimisation of the crates `rsa` and `num-bigint-dig` most of a second), so [`make`](Self::make) does it
/// in the background; a link takes a key that is ready, under pressure one that others have too.
///
/// Both the making of keys and the opening of tickets run on tokio's threads for blocking work. Links take their turns at
/// keys, where these are short, and at the opening of tickets by the address that they come from (see [`FairQueue`]): a
/// viewer does not stand behind all guesses of strangers. A source is charged for links that are not
/// [`let_in`](Self::let_in).
///
/// [`FairQueue`]: crate::FairQueue
///
/// ```
/// use console_token::spice::TicketKeys;
/// # fn random(bytes: &mut [u8]) {
/// #     use std::sync::atomic::{AtomicU64, Ordering};
/// #     static STATE: AtomicU64 = AtomicU64::new(7);
/// #     for byte in bytes {
/// #         let next = |s: u64| s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
/// #         let state = STATE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |s| Some(next(s))).unwrap();
/// #         *byte = (state >> 33) as u8;
/// #     }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // `random` fills its argument from the operating system.
/// let keys = TicketKeys::new(Default::default(), random);
/// tokio::spawn({
///     let keys = keys.clone();
///     async move { keys.make().await }
/// });
/// let viewer = [198, 51, 100, 7].into();
/// let key = keys.take(viewer).await;
/// let sealed = key.public().seal(b"token", [7; 20]).unwrap(); // what the viewer does
/// let opened = keys.open(viewer, key, sealed).await.unwrap();
/// assert_eq!(opened.unwrap().expose(), b"token");
/// # }
/// ```
#[derive(Clone)]
pub struct TicketKeys {
    shared: Arc<Shared>,
}

struct Shared {
    pool: Mutex<KeyPool>,
    clock: Clock,
    random: fn(&mut [u8]),
    /// A key was taken: the stock may have to be filled.
    taken: Notify,
    /// A key was made.
    made: Notify,
    /// Which link takes a key next, one at a time.
    takers: FairScheduler,
    /// Bounds how many tickets are opened at once, so that the maker of keys keeps its share of the processors.
    openers: FairScheduler,
}

impl TicketKeys {
    /// No key yet. To be called within a tokio runtime.
    #[must_use]
    pub fn new(config: KeyPoolConfig, random: fn(&mut [u8])) -> Self {
        Self {
            shared: Arc::new(Shared {
                pool: Mutex::new(KeyPool::new(config)),
                clock: Clock::start(),
                random,
                taken: Notify::new(),
                made: Notify::new(),
                takers: FairScheduler::new(NonZeroU32::MIN),
                openers: FairScheduler::for_processors(),
            }),
        }
    }

    /// Keeps the stock filled. Returns only when the runtime goes down.
    pub async fn make(&self) {
        let Shared {
            pool,
            clock,
            random,
            taken,
            made,
            ..
        } = &*self.shared;
        loop {
            let pause = lock(pool).wants_key(clock.now());
            match pause {
                None => taken.notified().await,
                Some(Duration::ZERO) => {
                    let mut random = *random;
                    match spawn_blocking(move || Key::generate(&mut random)).await {
                        Ok(Ok(key)) => {
                            lock(pool).put(clock.now(), key);
                            made.notify_waiters();
                        }
                        Ok(Err(_)) => sleep(PAUSE).await,
                        Err(_) => return,
                    }
                }
                // It may be needed sooner.
                Some(pause) => {
                    let _ = timeout(pause, taken.notified()).await;
                }
            }
        }
    }

    /// A key for a link from this address. It waits only while [`make`](Self::make) has not made the first one, or all have
    /// served as much as they may.
    pub async fn take(&self, from: IpAddr) -> KeyHandle {
        let _turn = self.shared.takers.turn(from, COST).await;
        loop {
            let made = self.shared.made.notified();
            let taken = lock(&self.shared.pool).take(self.shared.clock.now());
            self.shared.taken.notify_one();
            match taken {
                Some(key) => return key,
                None => made.await,
            }
        }
    }

    /// Keys that were made and not taken: at 0, links share keys, or wait.
    #[must_use]
    pub fn stock(&self) -> usize {
        lock(&self.shared.pool).fresh()
    }

    /// The link from this address was let in: it is not charged for its key and its ticket.
    pub fn let_in(&self, from: IpAddr) {
        self.shared.takers.refund(from, COST);
        self.shared.openers.refund(from, COST);
    }

    /// Opens the ticket of the link from this address that has this key. `None`: the runtime goes down.
    pub async fn open(
        &self,
        from: IpAddr,
        key: KeyHandle,
        sealed: SealedTicket,
    ) -> Option<Result<Secret, TicketError>> {
        let turn = self.shared.openers.turn(from, COST).await;
        let opening = match lock(&self.shared.pool).opening(key, sealed) {
            Ok(opening) => opening,
            Err(error) => return Some(Err(error)),
        };
        let mut random = self.shared.random;
        // The turn lasts until the work is done, also when its result is not wanted any more.
        let work = spawn_blocking(move || {
            let _turn = turn;
            opening.open(&mut random)
        });
        work.await.ok()
    }
}

impl fmt::Debug for TicketKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKeys(redacted)")
    }
}
