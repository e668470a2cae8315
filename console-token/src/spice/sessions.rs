//! Which token opened which session.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;
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
use thiserror::Error;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use super::books::{Endings, Open, Presented};
use super::{Denial, Place, Settings, TicketKeys, lock};
use crate::{
    Admitted, BackendError, Grant, Peppers, Secret, Store, StoreError, TokenHash, Transition, UnixSeconds,
    VerifyContext,
};

/// Between two requests to a store that fails.
const AGAIN: Duration = Duration::from_millis(100);
/// Places of hypervisors whose capabilities are remembered.
const KNOWN: usize = 4096;

/// The sessions of a gateway and the tokens that opened them, shared by the tasks of its connections.
///
/// [`run`](Self::run) has to be awaited by a task of its own: it makes the keys for tickets, tells the store what became
/// of each session, and ends sessions whose token was revoked. Without it no connection gets further than its first
/// message. See the [module](super) for a whole gateway.
pub struct TokenSessions {
    pub(super) store: Arc<dyn Store>,
    pub(super) settings: Settings,
    pub(super) hub: Arc<SessionManager>,
    pub(super) keys: TicketKeys,
    clock: Box<dyn Fn() -> UnixSeconds + Send + Sync>,
    random: fn(&mut [u8]),
    peppers: Mutex<Peppers>,
    /// Looked up in place of what is no token, so that it takes the same time.
    decoy: Secret,
    open: Mutex<HashMap<SessionKey, Open>>,
    pub(super) endings: Mutex<Endings>,
    /// One session at a time is reopened, so that the store knows which one is meant.
    pub(super) reopening: AsyncMutex<()>,
    known: Mutex<HashMap<(Place, ChannelType), Capabilities>>,
}

/// The store has not answered.
#[derive(Debug, Error)]
#[error("no answer in time")]
struct Silent;

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
        let mut key = Zeroizing::new([0; 32]);
        random(&mut *key);
        Arc::new(Self {
            store,
            hub: Arc::new(SessionManager::new(settings.tracker.clone(), bytes(random))),
            keys: TicketKeys::new(settings.keys.clone(), random),
            settings,
            clock: Box::new(clock),
            random,
            peppers: Mutex::new(peppers),
            decoy: Secret::base64url(&key),
            open: Mutex::default(),
            endings: Mutex::default(),
            reopening: AsyncMutex::default(),
            known: Mutex::default(),
        })
    }

    /// Makes a token: 32 random bytes, whose hash is kept with the grant. A store that is full is swept first.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Backend`].
    pub async fn issue(&self, grant: &Grant) -> Result<Secret, StoreError<BackendError>> {
        let mut bytes = Zeroizing::new([0; 32]);
        (self.random)(&mut *bytes);
        let token = Secret::base64url(&bytes);
        let hash = self.hash(&token);
        match self.store.insert(&hash, grant).await {
            Err(StoreError::Full { .. }) => {
                self.store.sweep((self.clock)(), NonZeroU32::MAX).await?;
                self.store.insert(&hash, grant).await?;
            }
            done => done?,
        }
        Ok(token)
    }

    /// The hash under which a token is kept, to revoke or retarget it.
    #[must_use]
    pub fn hash(&self, token: &Secret) -> TokenHash {
        lock(&self.peppers).hash(token)
    }

    /// Looks at the peppers, or changes them: see [`Peppers`] for how to rotate.
    pub fn with_peppers<T>(&self, act: impl FnOnce(&mut Peppers) -> T) -> T {
        act(&mut lock(&self.peppers))
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

    /// Random bytes.
    pub(super) fn random_bytes<const N: usize>(&self) -> [u8; N] {
        bytes(self.random)
    }

    pub(super) fn context(&self) -> VerifyContext<'_> {
        let context = VerifyContext::at((self.clock)());
        match &self.settings.audience {
            Some(audience) => context.with_audience(audience),
            None => context,
        }
    }

    /// Asks the store; again and again while it fails, within its time.
    pub(super) async fn ask(
        &self,
        hash: &TokenHash,
        transition: Transition,
    ) -> Result<Admitted, StoreError<BackendError>> {
        let mut failure = None;
        let asked = async {
            loop {
                match self.store.apply(hash, self.context(), transition).await {
                    Err(StoreError::Backend(error)) => failure = Some(error),
                    answer => return answer,
                }
                sleep(AGAIN).await;
            }
        };
        let answer = timeout(self.settings.store_timeout, asked).await;
        answer.unwrap_or_else(|_| {
            Err(StoreError::Backend(
                failure.unwrap_or_else(|| BackendError::new(Silent)),
            ))
        })
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
        let token = token.as_ref().unwrap_or(&self.decoy);
        let hashes = lock(&self.peppers).hashes(token).collect();
        Presented { hashes, flaw }
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

fn bytes<const N: usize>(random: fn(&mut [u8])) -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}
