//! The guests, their tokens, and the consoles in use.
//!
//! Which token opened which session, and what a use costs, is for [`console_token::spice`]; which channels may come, for
//! [`spice_proto::session`]. Here stands whose console it is, and what passes on each channel.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use console_token::spice::{Settings, TokenSessions};
use console_token::{
    BackendError, ConsoleType, Fingerprint, Grant, Pepper, Peppers, Secret, Store, StoreError, Target, UnixSeconds,
    Uses,
};
use spice_proto::ids::ChannelType;
use spice_proto::session::SessionKey;
use spice_proto::session::relay::Counts;
use zeroize::Zeroizing;

use crate::guest::Guest;
use crate::random::random;
use crate::sync::lock;

/// Tokens that can be out at the same time.
pub(crate) const TOKENS: usize = 100_000;

/// A channel by kind and number.
pub(crate) type Channel = (ChannelType, u8);

/// The wall clock that tokens live by. The demo puts it forward rather than wait.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead: AtomicU64,
}

impl Clock {
    fn now(&self) -> UnixSeconds {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since.map_or(0, |since| since.as_secs());
        UnixSeconds(seconds.saturating_add(self.ahead.load(Ordering::Relaxed)))
    }

    /// Puts the clock forward.
    pub(crate) fn advance(&self, seconds: u64) {
        self.ahead.fetch_add(seconds, Ordering::Relaxed);
    }
}

/// A token that was made.
pub(crate) struct Minted {
    /// For its holder.
    pub(crate) token: Secret,
    /// For logs.
    pub(crate) fingerprint: Fingerprint,
}

/// The channels that are connected, by session.
type Live = HashMap<SessionKey, HashMap<Channel, Arc<Counts>>>;

/// All guests, all open sessions, and the tokens that open them. Tokens are gone with the process, like the pepper that
/// they are hashed with.
pub(crate) struct Sessions {
    pub(crate) tokens: Arc<TokenSessions>,
    pub(crate) clock: Arc<Clock>,
    store: Arc<dyn Store>,
    guests: Vec<Arc<Guest>>,
    live: Mutex<Live>,
}

impl Sessions {
    pub(crate) fn new(store: Arc<dyn Store>, settings: Settings, guests: Vec<Guest>) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random(&mut *key);
        let peppers = Peppers::new(Pepper::new(&*key).expect("32 bytes are enough"));
        let clock: Arc<Clock> = Arc::default();
        let wall = clock.clone();
        Self {
            tokens: TokenSessions::new(store.clone(), peppers, move || wall.now(), random, settings),
            clock,
            store,
            guests: guests.into_iter().map(Arc::new).collect(),
            live: Mutex::default(),
        }
    }

    /// The guest of this id or name.
    pub(crate) fn guest(&self, wanted: &str) -> Option<&Arc<Guest>> {
        let mut guests = self.guests.iter();
        guests.find(|guest| guest.id == wanted || guest.name == wanted)
    }

    /// The guest that a token is for.
    pub(crate) fn guest_of(&self, grant: &Grant) -> Option<&Arc<Guest>> {
        match &grant.target {
            Target::Host { host, .. } => self.guest(host),
            // INVARIANT: `mint` makes no others.
            _ => None,
        }
    }

    /// Whether no viewer gets a console without TLS.
    pub(crate) fn all_require_tls(&self) -> bool {
        self.guests.iter().all(|guest| guest.console.require_tls)
    }

    /// Makes a token for a guest, which is kept by its id: where it is and how it is entered stays in the configuration.
    pub(crate) async fn mint(
        &self,
        guest: &str,
        ttl: u64,
        uses: NonZeroU32,
    ) -> Result<Minted, StoreError<BackendError>> {
        let target = Target::Host {
            host: guest.to_owned(),
            port: None,
            tls_port: None,
        };
        let grant = Grant::new(target, ConsoleType::SpiceDirect, self.clock.now(), ttl);
        let token = self.tokens.issue(&grant.with_uses(Uses::Limited(uses))).await?;
        let fingerprint = self.tokens.hash(&token).fingerprint();
        Ok(Minted { token, fingerprint })
    }

    /// Forgets tokens that are over.
    pub(crate) async fn purge(&self) -> Result<usize, StoreError<BackendError>> {
        self.store.sweep(self.clock.now(), NonZeroU32::MAX).await
    }

    /// A channel is connected.
    pub(crate) fn joined(&self, session: SessionKey, channel: Channel, counts: &Arc<Counts>) {
        let mut live = lock(&self.live);
        live.entry(session).or_default().insert(channel, counts.clone());
    }

    /// A connection is gone; the channel may have another by now.
    pub(crate) fn left(&self, session: SessionKey, channel: Channel, counts: &Arc<Counts>) {
        let mut live = lock(&self.live);
        let Some(channels) = live.get_mut(&session) else { return };
        if channels.get(&channel).is_some_and(|live| Arc::ptr_eq(live, counts)) {
            channels.remove(&channel);
        }
        if channels.is_empty() {
            live.remove(&session);
        }
    }

    /// Messages by channel of the session with this number: to the viewer, and to the hypervisor. Two hypervisors may have
    /// given the same number; then there is no such session.
    pub(crate) fn counts(&self, connection_id: u32) -> Vec<(Channel, u64, u64)> {
        let live = lock(&self.live);
        let named = |key: &SessionKey| self.tokens.connection_id(*key).map(NonZeroU32::get) == Some(connection_id);
        let mut found = live.iter().filter(|(key, _)| named(key));
        let (Some((_, channels)), None) = (found.next(), found.next()) else {
            return Vec::new();
        };
        let counts = channels.iter();
        let counts = counts.map(|(channel, counts)| (*channel, counts.to_viewer(), counts.to_hypervisor()));
        counts.collect()
    }
}
