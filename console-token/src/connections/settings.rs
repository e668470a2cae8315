//! What can be set.

use alloc::boxed::Box;
use core::time::Duration;

/// What can be set of [`TokenConnections`](super::TokenConnections).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The name under which grants are made out to this gateway: none.
    pub audience: Option<Box<str>>,
    /// How long a store is asked before it counts as failed: 2 s.
    pub store_timeout: Duration,
    /// How often the store is asked whether the open connections may go on: every 4 s. A revocation ends a connection that
    /// is open within this time, or at once with [`TokenConnections::attend`](super::TokenConnections::attend).
    pub attend_every: Duration,
    /// For how long the store takes a connection for open of which its gateway says nothing: 15 s. Then it is as one that
    /// broke off: its viewer may come again within `reconnect`, and it does not count any more. 0: for ever, and a gateway
    /// that stops without a word leaves its connections open in the store. At least three times `attend_every`.
    pub lease: Duration,
    /// When a refusal is sent by the module `rfb`, counted from the token: 50 ms. It should be later than a look-up takes,
    /// so that its time tells nothing about the token.
    pub refuse_after: Duration,
    /// For how long a viewer whose connection broke off may come again without a use: 0, not at all. In whole seconds.
    pub reconnect: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            audience: None,
            store_timeout: Duration::from_secs(2),
            attend_every: Duration::from_secs(4),
            lease: Duration::from_secs(15),
            refuse_after: Duration::from_millis(50),
            reconnect: Duration::ZERO,
        }
    }
}

impl Settings {
    /// Sets [`Settings::audience`].
    #[must_use]
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets [`Settings::store_timeout`].
    #[must_use]
    pub fn with_store_timeout(mut self, time: Duration) -> Self {
        self.store_timeout = time;
        self
    }

    /// Sets [`Settings::attend_every`].
    #[must_use]
    pub fn with_attend_every(mut self, time: Duration) -> Self {
        self.attend_every = time;
        self
    }

    /// Sets [`Settings::lease`].
    #[must_use]
    pub fn with_lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// Sets [`Settings::refuse_after`].
    #[must_use]
    pub fn with_refuse_after(mut self, time: Duration) -> Self {
        self.refuse_after = time;
        self
    }

    /// Sets [`Settings::reconnect`].
    #[must_use]
    pub fn with_reconnect(mut self, time: Duration) -> Self {
        self.reconnect = time;
        self
    }
}
