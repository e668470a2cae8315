//! How many tenants see one console.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};

/// How many tenants may be connected to one console at a time: shared by the [`Relay`](super::Relay)s of that console.
///
/// ```
/// use std::sync::Arc;
/// use rfb_proto::session::ViewerLimit;
///
/// let limit = Arc::new(ViewerLimit::new(1));
/// let first = limit.enter();
/// assert!(first.is_some() && limit.enter().is_none());
/// drop(first);
/// assert!(limit.enter().is_some());
/// ```
#[derive(Debug)]
pub struct ViewerLimit {
    most: u32,
    connected: AtomicU32,
}

impl ViewerLimit {
    /// At most so many.
    #[must_use]
    pub const fn new(most: u32) -> Self {
        Self {
            most,
            connected: AtomicU32::new(0),
        }
    }

    /// Takes a place, which is free again when the [`Viewer`] is dropped. `None`: all are taken.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Option<Viewer> {
        let count = |connected: u32| connected.checked_add(1).filter(|count| *count <= self.most);
        let entered = self
            .connected
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
            .is_ok();
        entered.then(|| Viewer(self.clone()))
    }

    /// How many are connected now.
    #[must_use]
    pub fn connected(&self) -> u32 {
        self.connected.load(Ordering::Relaxed)
    }
}

/// The place of one tenant.
#[derive(Debug)]
pub struct Viewer(Arc<ViewerLimit>);

impl Drop for Viewer {
    fn drop(&mut self) {
        // INVARIANT: it was counted when it was made, and is dropped once.
        self.0.connected.fetch_sub(1, Ordering::Relaxed);
    }
}
