//! What can be set.

use alloc::boxed::Box;
use core::time::Duration;

use spice_proto::link::KeyPoolConfig;
use spice_proto::session::tracker;

/// What can be set of [`TokenSessions`](super::TokenSessions).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Limits on sessions and on connections without a token. The half-open connections are for the caller to bound, with
    /// a [`ConnectionLimiter`](crate::ConnectionLimiter), before [`TokenSessions::accept`](super::TokenSessions::accept).
    pub tracker: tracker::Config,
    /// How many RSA keys are ready, and what each may be used for.
    pub keys: KeyPoolConfig,
    /// The name under which grants are made out to this gateway: none.
    pub audience: Option<Box<str>>,
    /// How long a store is asked before it counts as failed: 2 s. A link has 10 s in all.
    pub store_timeout: Duration,
    /// How often the store is asked whether the open sessions may go on: every 4 s. A revocation ends a session that is
    /// open within this time, or at once with [`TokenSessions::attend`](super::TokenSessions::attend).
    pub attend_every: Duration,
    /// For how long the store takes a session for open of which its gateway says nothing: 15 s, at
    /// least three times `attend_every`, and longer where it takes long to ask about all sessions. Then it is as one that broke
    /// off: its viewer may come again within `reconnect`, and it does not count any more. 0: for ever, and a gateway that stops without a word leaves its sessions open in the store.
    pub lease: Duration,
    /// When a refusal is sent, counted from the ticket: 50 ms. It should be later than a look-up takes, so that its time
    /// tells nothing about the token.
    pub refuse_after: Duration,
    /// How long a hypervisor is asked what it announces: 2 s. One that is silent must not use up the time of the link.
    pub inquiry_timeout: Duration,
    /// For how long a viewer whose main channel ended may open its session again without a use: 0, not at all. In whole
    /// seconds. SPICE does not tell a viewer that was closed from one that broke off.
    pub reconnect: Duration,
    /// The name of this gateway among those that share its store, by which the others find it
    /// ([`ConsoleBackend::gateway`](super::ConsoleBackend::gateway)): none, and a channel whose session another gateway has
    /// is refused. At most 64 bytes.
    pub gateway: Option<Box<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tracker: tracker::Config::default(),
            keys: KeyPoolConfig::default(),
            audience: None,
            store_timeout: Duration::from_secs(2),
            attend_every: Duration::from_secs(4),
            lease: Duration::from_secs(15),
            refuse_after: Duration::from_millis(50),
            inquiry_timeout: Duration::from_secs(2),
            reconnect: Duration::ZERO,
            gateway: None,
        }
    }
}

impl Settings {
    /// Sets [`Settings::tracker`].
    #[must_use]
    pub fn with_tracker(mut self, tracker: tracker::Config) -> Self {
        self.tracker = tracker;
        self
    }

    /// Sets [`Settings::keys`].
    #[must_use]
    pub fn with_keys(mut self, keys: KeyPoolConfig) -> Self {
        self.keys = keys;
        self
    }

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

    /// Sets [`Settings::gateway`].
    #[must_use]
    pub fn with_gateway(mut self, name: &str) -> Self {
        self.gateway = Some(name.into());
        self
    }

    /// Sets [`Settings::inquiry_timeout`].
    #[must_use]
    pub fn with_inquiry_timeout(mut self, time: Duration) -> Self {
        self.inquiry_timeout = time;
        self
    }
}
