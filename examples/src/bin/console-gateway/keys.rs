//! RSA keys for tickets, made in advance.
//!
//! SPICE wants a key in the link reply, before anybody has shown a token. Making one takes milliseconds to
//! tens of milliseconds of a processor, so a stranger could keep us busy by connecting. Here one
//! background task makes keys and stops when the pool is full; a link waits for a key at most until its
//! deadline, and the data of running sessions never waits. `spice_proto::link::ticket` shows the same pool with a
//! thread.

use spice_proto::link::Key;
use tokio::sync::{Mutex, mpsc};

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

/// Keys that are ready. Each is handed out once and never comes back.
#[derive(Debug)]
pub(crate) struct KeyPool {
    ready: Mutex<mpsc::Receiver<Key>>,
}

impl KeyPool {
    /// Starts to make keys, and keeps `size` of them ready. It ends when the pool is dropped.
    pub(crate) fn start(size: usize) -> Self {
        let (keys, ready) = mpsc::channel(size);
        tokio::spawn(async move {
            // Room first: no key is made that nobody has room for.
            while let Ok(room) = keys.reserve().await {
                match tokio::task::spawn_blocking(|| Key::generate(&mut random)).await {
                    Ok(Ok(key)) => room.send(key),
                    Ok(Err(error)) => tracing::warn!(%error, "no RSA key"),
                    Err(_) => return, // the runtime is going down
                }
            }
        });
        Self {
            ready: Mutex::new(ready),
        }
    }

    /// The next key, first come first served. `None`: none is made any more.
    pub(crate) async fn take(&self) -> Option<Key> {
        self.ready.lock().await.recv().await
    }
}
