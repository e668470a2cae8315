//! Which token opened which session.

use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroU32;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link;
use spice_proto::link::ticket::TicketError;
use spice_proto::session::SessionKey;
use spice_proto::session::relay::Config;
use spice_proto::session::tracker::Peer;
use spice_proto::{Connection, SessionManager};
use tokio::sync::Mutex as AsyncMutex;

use super::books::{Heard, Open, Presented};
use super::{Denial, Place, Settings, TicketKeys};
use crate::gate::{Endings, Gate, Terms, lease, lock};
use crate::{BackendError, Grant, Peppers, Secret, Store, StoreError, TokenHash, UnixSeconds};

/// Places of hypervisors whose capabilities are remembered.
const KNOWN: usize = 4096;

/// The sessions of a gateway and the tokens that opened them, shared by the tasks of its connections.
///
/// [`run`](Self::run) has to be awaited by a task of its own: it makes the keys for tickets, tells the store what became
/// of each session, and ends sessions whose token was revoked. Without it no connection gets further than its first
/// message. See the [module](super) for a whole gateway.
pub struct TokenSessions {
    pub(super) gate: Gate,
    pub(super) settings: Settings,
    pub(super) hub: Arc<SessionManager>,
    pub(super) keys: TicketKeys,
    open: Mutex<HashMap<SessionKey, Open>>,
    pub(super) endings: Mutex<Endings<SessionKey>>,
    /// One session at a time is reopened, so that the store knows which one is meant.
    pub(super) reopening: AsyncMutex<()>,
    known: Mutex<HashMap<(Place, ChannelType), Capabilities>>,
    pub(super) heard: Mutex<Heard>,
}

impl TokenSessions {
    /// No sessions yet. To be called within a tokio runtime.
    ///
    /// `clock` is the wall clock, right to about a second. `random` fills its argument from a cryptographically secure
    /// source.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        peppers: Peppers,
        clock: impl Fn() -> UnixSeconds + Send + Sync + 'static,
        random: fn(&mut [u8]),
        settings: Settings,
    ) -> Arc<Self> {
        let terms = Terms {
            audience: settings.audience.clone(),
            store_timeout: settings.store_timeout,
            lease: lease(settings.lease, settings.attend_every),
            reconnect: settings.reconnect,
        };
        let gate = Gate::new(store, peppers, clock, random, terms);
        Arc::new(Self {
            hub: Arc::new(SessionManager::new(settings.tracker.clone(), gate.random_bytes())),
            gate,
            keys: TicketKeys::new(settings.keys.clone(), random),
            settings,
            open: Mutex::default(),
            endings: Mutex::default(),
            reopening: AsyncMutex::default(),
            known: Mutex::default(),
            heard: Mutex::default(),
        })
    }

    /// Makes a token: 32 random bytes, whose hash is kept with the grant. A store that is full is swept first.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Backend`].
    pub async fn issue(&self, grant: &Grant) -> Result<Secret, StoreError<BackendError>> {
        self.gate.issue(grant).await
    }

    /// The hash under which a token is kept, to revoke or retarget it.
    #[must_use]
    pub fn hash(&self, token: &Secret) -> TokenHash {
        self.gate.hash(token)
    }

    /// Looks at the peppers, or changes them: see [`Peppers`] for how to rotate.
    pub fn with_peppers<T>(&self, act: impl FnOnce(&mut Peppers) -> T) -> T {
        self.gate.with_peppers(act)
    }

    /// A viewer's connection has come. `config`: what may pass, and where viewers of this listener find the gateway.
    pub fn accept(&self, peer: Peer, config: Arc<Config>) -> Connection {
        self.hub.accept(peer, config)
    }

    /// The sessions as [`spice_proto`] knows them.
    #[must_use]
    pub const fn manager(&self) -> &Arc<SessionManager> {
        &self.hub
    }

    /// The keys for tickets, for other connections that need one.
    #[must_use]
    pub const fn keys(&self) -> &TicketKeys {
        &self.keys
    }

    /// How many sessions are open.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.open).len()
    }

    /// The number that the hypervisor gave the session, once it is bound.
    #[must_use]
    pub fn connection_id(&self, session: SessionKey) -> Option<NonZeroU32> {
        lock(&self.open).get(&session)?.connection_id
    }

    /// Hashes what a ticket held. What did not open, or holds no token, costs the same work.
    pub(super) fn presented(&self, opened: Result<link::Secret, TicketError>) -> Presented {
        let token = match opened {
            Ok(text) => Secret::presented(text.expose()).map_err(Denial::from),
            Err(error) => Err(error.into()),
        };
        let (token, flaw) = match token {
            Ok(token) => (Some(token), None),
            Err(flaw) => (None, Some(flaw)),
        };
        let hashes = self.gate.hashes(token.as_ref());
        Presented { hashes, flaw }
    }

    /// Hashes a token that came with the connection.
    pub(super) fn shown(&self, token: &Secret) -> Presented {
        let hashes = self.gate.hashes(Some(token));
        Presented { hashes, flaw: None }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Open>> {
        lock(&self.open)
    }

    /// What a hypervisor announced, if it was asked before.
    pub(super) fn known(&self, place: &Place, channel: ChannelType) -> Option<Capabilities> {
        lock(&self.known).get(&(place.clone(), channel)).cloned()
    }

    /// This is what a hypervisor announces.
    pub(super) fn learn(&self, place: Place, channel: ChannelType, announced: &Capabilities) {
        let mut known = lock(&self.known);
        if KNOWN <= known.len() {
            known.clear();
        }
        known.insert((place, channel), announced.clone());
    }
}

impl fmt::Debug for TokenSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSessions")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
