//! RSA keys for tickets: `spice_proto::link::KeyPool` with a task that makes the keys.
//!
//! SPICE wants a key in the link reply, before anybody has shown a token. Making one takes tens of milliseconds, so it is
//! done in the background; a link takes a key that is ready, under pressure one that others have too, and does not wait.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use spice_proto::CryptoError;
use spice_proto::link::ticket::TicketError;
use spice_proto::link::{Key, KeyHandle, KeyPool, KeyPoolConfig, SealedTicket, Secret};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::sync::lock;

/// Fills `out` from the operating system.
///
/// # Panics
/// When the operating system has no random bytes: nothing here can go on without.
pub(crate) fn random(out: &mut [u8]) {
    getrandom::fill(out).expect("random bytes from the operating system");
}

/// So many fresh random bytes.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}

/// Keys that are ready, and the task that makes more.
#[derive(Debug)]
pub(crate) struct Keys {
    shared: Arc<Shared>,
    maker: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    pool: Mutex<KeyPool>,
    start: Instant,
    /// A key was taken: the stock may have to be filled.
    taken: Notify,
    /// A key was made.
    made: Notify,
    /// Bounds how many tickets are opened at once, so that the maker of keys keeps its share of the processors.
    openers: Arc<Semaphore>,
}

impl Shared {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Keeps the stock filled.
    async fn make(&self) {
        loop {
            let pause = lock(&self.pool).wants_key(self.now());
            match pause {
                None => self.taken.notified().await,
                Some(Duration::ZERO) => match spawn_blocking(|| Key::generate(&mut random)).await {
                    Ok(Ok(key)) => {
                        lock(&self.pool).put(self.now(), key);
                        self.made.notify_waiters();
                    }
                    Ok(Err(error)) => tracing::warn!(%error, "no RSA key"),
                    Err(_) => return, // the runtime is going down
                },
                // It may be needed sooner.
                Some(pause) => {
                    let _ = tokio::time::timeout(pause, self.taken.notified()).await;
                }
            }
        }
    }
}

impl Keys {
    /// Makes the first key, and starts to make more: so many are kept ready. It ends when this is dropped.
    pub(crate) fn start(stock: usize) -> Result<Self, CryptoError> {
        let mut pool = KeyPool::new(KeyPoolConfig::default().with_stock(stock));
        pool.put(Duration::ZERO, Key::generate(&mut random)?);
        let openers = std::thread::available_parallelism().map_or(1, usize::from);
        let shared = Arc::new(Shared {
            pool: Mutex::new(pool),
            start: Instant::now(),
            taken: Notify::new(),
            made: Notify::new(),
            openers: Arc::new(Semaphore::new(openers)),
        });
        let making = shared.clone();
        Ok(Self {
            shared,
            maker: tokio::spawn(async move { making.make().await }),
        })
    }

    /// A key for a link.
    pub(crate) async fn take(&self) -> KeyHandle {
        loop {
            let made = self.shared.made.notified();
            let taken = lock(&self.shared.pool).take(self.shared.now());
            self.shared.taken.notify_one();
            match taken {
                Some(key) => return key,
                // All that there are have served as much as they may: another one is under way.
                None => made.await,
            }
        }
    }

    /// Opens a link's ticket. The peer has proved nothing yet, so the arithmetic runs apart: not on the threads that move
    /// the data of others. `None`: the runtime is going down.
    pub(crate) async fn open(&self, key: KeyHandle, sealed: SealedTicket) -> Option<Result<Secret, TicketError>> {
        let opener = self.shared.openers.clone().acquire_owned().await.ok()?;
        let opening = match lock(&self.shared.pool).opening(key, sealed) {
            Ok(opening) => opening,
            Err(error) => return Some(Err(error)),
        };
        // It is held until the work is done, also when its result is not wanted any more.
        let work = spawn_blocking(move || {
            let _opener = opener;
            opening.open(&mut random)
        });
        work.await.ok()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.maker.abort();
    }
}
