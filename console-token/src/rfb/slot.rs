//! The use of a connection that is being driven.

use alloc::sync::Arc;
use std::sync::Mutex;

use tokio::sync::Notify;

use super::TokenUse;
use crate::gate::lock;

/// The use of a connection, once there is one.
#[derive(Default)]
pub(super) struct Slot {
    taken: Mutex<Option<Arc<TokenUse>>>,
    /// There is one.
    pub(super) entered: Notify,
    /// The hypervisor has accepted.
    pub(super) accepted: Notify,
}

impl Slot {
    pub(super) fn get(&self) -> Option<Arc<TokenUse>> {
        lock(&self.taken).clone()
    }

    pub(super) fn put(&self, entered: TokenUse) -> Arc<TokenUse> {
        let entered = Arc::new(entered);
        *lock(&self.taken) = Some(entered.clone());
        self.entered.notify_one();
        entered
    }
}
