//! Connections that console tokens open: each is a use, over any [`Store`].
//!
//! For every console that is one connection: VNC, serial ports, WebMKS, tunnels. [`TokenConnections`] couples each token
//! to the connections that it opened; the module `rfb` (feature `rfb`) makes a proxy handler of it, the others are copied
//! from side to side by the gateway.
//!
//! | What happens | What the store is asked |
//! |---|---|
//! | [`enter`](TokenConnections::enter): a viewer comes | `open`: spends a use; or `resume`, where its last connection broke off; held from then on |
//! | [`reached`](TokenUse::reached): a hypervisor may have accepted | `bind`: the use stays spent |
//! | Dropped before that | `release`: the use is given back |
//! | Dropped after that | `suspend` for [`Settings::reconnect`], else `close` |
//! | [`finish`](TokenUse::finish) | `close` |
//! | From time to time | `suspend` from [`Settings::lease`] on, so that a gateway that stops holds nothing; `attend`: [`ended`](TokenUse::ended) tells of a token that was revoked, or a time that is over |
//!
//! # When the store fails
//!
//! Each request is repeated for [`Settings::store_timeout`]. Then a viewer is refused, and it is settled later whether it
//! had a use; releases and ends are repeated until the store answers; connections that are open go on, and are not free for
//! others until the store has answered for as long as [`Settings::lease`].
//!
//! # Example
//!
//! A serial port, without what makes it exclusive: see [`Store::leases`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use console_token::connections::TokenConnections;
//! use console_token::{Refusal, Secret, Target};
//! use tokio::io::copy_bidirectional;
//! use tokio::net::{TcpStream, UnixStream};
//!
//! async fn serve(connections: Arc<TokenConnections>, mut viewer: TcpStream, shown: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//!     let entered = connections.enter(&Secret::presented(shown)?).await?;
//!     let Target::Unix { path } = &entered.grant().target else { return Ok(()) };
//!     // Not reached: dropped, and the use is given back.
//!     let mut console = UnixStream::connect(path).await?;
//!     entered.reached().await?;
//!     tokio::select! {
//!         _ = copy_bidirectional(&mut viewer, &mut console) => entered.finish(),
//!         refusal = entered.ended() => eprintln!("cut: {refusal}"),
//!     }
//!     Ok(())
//! }
//! ```

mod books;
mod denial;
mod event;
mod settings;
mod token_use;

pub use denial::Denial;
pub use event::ConnectionEvent;
pub use settings::Settings;
pub use token_use::TokenUse;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use self::books::{Books, Held};
use crate::gate::{Gate, Terms, Told, lease, lock};
use crate::{
    Admitted, AttemptId, BackendError, Grant, Peppers, Refusal, Scope, Secret, Store, StoreError, TokenHash,
    Transition, UnixSeconds,
};

/// How often a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often [`TokenConnections::stop`] looks.
const LOOK: Duration = Duration::from_millis(10);

/// The open connections of a gateway and the tokens that opened them, shared by the tasks of its connections.
///
/// [`run`](Self::run) has to be awaited by a task of its own: it tells the store how each use ended, and ends
/// connections whose token was revoked. See the [module](self).
pub struct TokenConnections {
    books: Arc<Books>,
    settings: Settings,
}

impl TokenConnections {
    /// No connections yet.
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
        Arc::new(Self {
            books: Books::new(Gate::new(store, peppers, clock, random, terms)),
            settings,
        })
    }

    /// Makes a token: 32 random bytes, whose hash is kept with the grant. A store that is full is swept first.
    ///
    /// # Errors
    /// [`StoreError::Full`] or [`StoreError::Backend`].
    pub async fn issue(&self, grant: &Grant) -> Result<Secret, StoreError<BackendError>> {
        self.books.gate.issue(grant).await
    }

    /// The hash under which a token is kept, to revoke or retarget it.
    #[must_use]
    pub fn hash(&self, token: &Secret) -> TokenHash {
        self.books.gate.hash(token)
    }

    /// Looks at the peppers, or changes them: see [`Peppers`] for how to rotate.
    pub fn with_peppers<T>(&self, act: impl FnOnce(&mut Peppers) -> T) -> T {
        self.books.gate.with_peppers(act)
    }

    #[cfg(feature = "rfb")]
    pub(crate) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How many connections are open, or opening.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.books.open).len()
    }

    /// What the token leads to, if [`enter`](Self::enter) would let it in now. Spends nothing, and decides nothing.
    ///
    /// # Errors
    /// [`Denial::Token`] or [`Denial::Store`].
    pub async fn check(&self, token: &Secret) -> Result<Arc<Grant>, Denial> {
        let hashes = self.books.gate.hashes(Some(token));
        for hash in &hashes {
            match self.books.gate.check(hash).await {
                Err(StoreError::Refused(Refusal::Unknown)) => {}
                Err(StoreError::Refused(refusal)) => {
                    let again = self.suspended(hash).await?.into_iter().next();
                    return again.map(|(_, grant)| grant).ok_or(Denial::Token(refusal));
                }
                // It is to be exchanged, and opens nothing itself.
                Ok(grant) if grant.scope == Scope::Exchange => return Err(Refusal::WrongScope.into()),
                answer => return answer.map_err(Denial::from),
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// A viewer comes with a token: takes a use. Or, without one, the viewer comes again to its session that broke off, within
    /// [`Settings::reconnect`]; of several that come one gets it, and a session that is open is not taken from its viewer.
    ///
    /// The token may be of [`Scope::Connection`], or of
    /// [`Scope::SpiceSession`] for a tunnel that stands for the session. What kind of console it
    /// is for is the caller's to look at: [`TokenUse::grant`].
    ///
    /// When this future is dropped, or the store does not answer in time, [`run`](Self::run) settles with the store what
    /// became of the use, and gives it back.
    ///
    /// # Errors
    /// [`Denial::Token`] or [`Denial::Store`].
    pub async fn enter(self: &Arc<Self>, token: &Secret) -> Result<TokenUse, Denial> {
        let hashes = self.books.gate.hashes(Some(token));
        for hash in &hashes {
            if let Some(again) = self.resume(hash).await? {
                return Ok(again);
            }
        }
        let attempt = AttemptId(self.books.gate.random_bytes());
        for hash in &hashes {
            match self.books.take(hash, attempt, Transition::Open(attempt), None).await {
                Err(Denial::Token(Refusal::Unknown)) => {}
                answer => return answer.map(TokenUse::new),
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// Looks up what is no token, so that it takes the time that one takes.
    #[cfg(feature = "rfb")]
    pub(crate) async fn look_up_nothing(&self) {
        for hash in self.books.gate.hashes(None) {
            let _ = self.books.gate.check(&hash).await;
        }
    }

    /// The sessions of a token that broke off, oldest first: what resumes each, until when it can, and the grant.
    async fn suspended(
        &self,
        hash: &TokenHash,
    ) -> Result<Vec<((Transition, AttemptId, UnixSeconds), Arc<Grant>)>, Denial> {
        if self.settings.reconnect.is_zero() {
            return Ok(Vec::new());
        }
        let Some(record) = self
            .books
            .gate
            .record(hash)
            .await?
            .filter(|record| !record.is_revoked())
        else {
            return Ok(Vec::new());
        };
        let suspended = self.books.gate.suspended(&record).into_iter().map(|(session, until)| {
            let attempt = AttemptId(self.books.gate.random_bytes());
            (
                (Transition::Resume { attempt, session }, attempt, until),
                record.grant().clone(),
            )
        });
        Ok(suspended.collect())
    }

    async fn resume(self: &Arc<Self>, hash: &TokenHash) -> Result<Option<TokenUse>, Denial> {
        for ((transition, attempt, until), _) in self.suspended(hash).await? {
            match self.books.take(hash, attempt, transition, Some(until)).await {
                Ok(taken) => return Ok(Some(TokenUse::new(taken))),
                // Another viewer was there before, or it has ended.
                Err(Denial::Token(
                    Refusal::NotSuspended | Refusal::NoSuchSession | Refusal::SessionClosed | Refusal::SessionExpired,
                )) => {}
                Err(denial) => return Err(denial),
            }
        }
        Ok(None)
    }

    /// Tells the store what became of each use, and ends connections whose token was revoked or whose time is over. To be
    /// awaited by a task of its own, for as long as there are connections; it does not return. `log` learns what
    /// happened.
    pub async fn run(self: Arc<Self>, log: impl Fn(ConnectionEvent) + Send + Sync) {
        tokio::join!(self.settle(&log), self.keep_attending(&log), self.books.gate.watch());
    }

    /// Ends all connections, and returns when the store knows: [`run`](Self::run) has to be running, and the tasks of the
    /// connections have to drop their [`TokenUse`] when [`TokenUse::ended`] says so. Their viewers may come again within
    /// [`Settings::reconnect`]. A store that fails is waited for, so bound the time.
    pub async fn stop(&self) {
        let open: Vec<_> = lock(&self.books.open).values().cloned().collect();
        open.iter().for_each(|held| held.cut(Refusal::SessionClosed));
        while self.count() != 0 || !lock(&self.books.endings).is_empty() {
            sleep(LOOK).await;
        }
    }

    /// Waits until the store knows of all ends so far: a viewer that learns that its hypervisor is down can come again at
    /// once with the use that was given back. [`run`](Self::run) has to be running. A store that fails is waited for, so
    /// bound the time.
    pub async fn told(&self) {
        while !lock(&self.books.endings).is_empty() {
            sleep(LOOK).await;
        }
    }

    async fn settle(&self, log: &(impl Fn(ConnectionEvent) + Sync)) {
        let mut again = interval(AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut works = true;
        loop {
            let is_new = tokio::select! {
                () = self.books.news.notified() => true,
                _ = again.tick() => false,
            };
            // A store that fails is not asked more often by those that end meanwhile.
            if works || !is_new {
                works = self.tell(log).await;
            }
        }
    }

    async fn tell(&self, log: &(impl Fn(ConnectionEvent) + Sync)) -> bool {
        let told = |attempt, token, told| {
            log(match told {
                Ok(Told::Unknown) => return,
                Ok(Told::Released) => ConnectionEvent::Closed {
                    attempt,
                    token,
                    spent: false,
                },
                Ok(Told::Closed) => ConnectionEvent::Closed {
                    attempt,
                    token,
                    spent: true,
                },
                Ok(Told::Suspended(until)) => ConnectionEvent::Suspended { attempt, token, until },
                Err(error) => ConnectionEvent::NotClosed { attempt, token, error },
            });
        };
        self.books.gate.tell(&self.books.endings, told).await
    }

    async fn keep_attending(&self, log: &(impl Fn(ConnectionEvent) + Sync)) {
        let mut works = true;
        loop {
            sleep(Gate::until_next(self.settings.attend_every, works)).await;
            works = self.books.gate.round(self.attend_each(log)).await;
        }
    }

    /// Asks the store whether the open connections may go on, and ends those that may not: after a revocation, so that it
    /// takes effect at once. Connections go on while the store fails.
    pub async fn attend(&self) {
        self.attend_each(&|_| {}).await;
    }

    async fn attend_each(&self, log: &(impl Fn(ConnectionEvent) + Sync)) -> bool {
        let open: Vec<_> = lock(&self.books.open).values().cloned().collect();
        let asked = |held: &Arc<Held>| held.attending(&self.books.gate);
        let answered = |held: Arc<Held>, hash: TokenHash, asked, answer: Result<Admitted, Refusal>| match answer {
            Ok(admitted) => held.attended(&self.books.gate, asked, &admitted),
            Err(refusal) => {
                held.cut(refusal);
                let (attempt, token) = (held.attempt, hash.fingerprint());
                log(ConnectionEvent::Cut {
                    attempt,
                    token,
                    refusal,
                });
            }
        };
        self.books.gate.attend(open, asked, answered).await
    }
}

impl fmt::Debug for TokenConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenConnections")
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
