//! Tokens: made here, kept as keyed hashes in memory, looked up when a viewer presents one.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use console_token::{
    Admitted, AttemptId, ConsoleType, Fingerprint, Grant, MemoryStore, Pepper, Refusal, Secret, SessionId, StoreError,
    Target, TokenHash, Transition, UnixSeconds, Uses, VerifyContext,
};
use spice_proto::link;
use spice_proto::link::ticket::TicketError;
use zeroize::Zeroizing;

use crate::keys::{random, random_bytes};
use crate::rules::Rules;

/// Tokens that can be out at the same time.
const TOKENS: usize = 100_000;

/// Seconds that a viewer has to come again when it was sent to another host. It leaves within one.
const COMES_AGAIN: u64 = 30;

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

/// All tokens of this gateway. Gone with the process, like the pepper that they are hashed with.
pub(crate) struct Tokens {
    store: MemoryStore,
    pepper: Pepper,
    /// Looked up in place of what is no token, so that it takes the same time.
    decoy: Secret,
    pub(crate) clock: Clock,
    rules: Rules,
}

/// A token that was made.
pub(crate) struct Minted {
    /// For its holder.
    pub(crate) token: Secret,
    /// For logs.
    pub(crate) fingerprint: Fingerprint,
}

/// What a presented token is, before it is used.
pub(crate) struct Presented {
    hash: TokenHash,
    /// It was no token at all; `hash` is then one that belongs to no token.
    flaw: Option<Flaw>,
}

/// Why what was presented is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error(transparent)]
    Ticket(#[from] TicketError),
    #[error(transparent)]
    Token(#[from] Refusal),
}

/// A token that was accepted.
pub(crate) struct Accepted {
    pub(crate) hash: TokenHash,
    pub(crate) session: SessionId,
    /// Name of the target.
    pub(crate) target: String,
}

impl Presented {
    /// For logs.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.flaw.is_none().then(|| self.hash.fingerprint())
    }
}

impl Tokens {
    pub(crate) fn new(rules: Rules) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random(&mut *key);
        let pepper = Pepper::new(&*key).expect("32 bytes are enough");
        random(&mut *key);
        let decoy = Secret::base64url(&key);
        Self {
            store: MemoryStore::new(TOKENS),
            pepper,
            decoy,
            clock: Clock::default(),
            rules,
        }
    }

    /// Makes a token for a target, which is kept by its name: where it is and how it is entered stays in
    /// the configuration.
    pub(crate) fn mint(&self, target: &str, ttl: u64, uses: NonZeroU32) -> Result<Minted, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        random(&mut *bytes);
        let token = Secret::base64url(&bytes);
        let hash = self.pepper.hash(&token);
        let target = Target::Host {
            host: target.to_owned(),
            port: None,
            tls_port: None,
        };
        let now = self.clock.now();
        let grant = Grant::new(target, ConsoleType::SpiceDirect, now, ttl).with_uses(Uses::Limited(uses));
        match self.store.insert(&hash, &grant) {
            Err(StoreError::Full { .. }) => {
                self.store.sweep(now, NonZeroU32::MAX);
                self.store.insert(&hash, &grant)?;
            }
            done => done?,
        }
        let fingerprint = hash.fingerprint();
        Ok(Minted { token, fingerprint })
    }

    /// Hashes what a ticket held. What did not open, or holds no token, costs the same work.
    pub(crate) fn presented(&self, opened: Result<link::Secret, TicketError>) -> Presented {
        let token = opened
            .map_err(Flaw::from)
            .and_then(|text| Secret::presented(text.expose()).map_err(Flaw::from));
        match token {
            Ok(token) => Presented {
                hash: self.pepper.hash(&token),
                flaw: None,
            },
            Err(flaw) => Presented {
                hash: self.pepper.hash(&self.decoy),
                flaw: Some(flaw),
            },
        }
    }

    /// The main channel of a new session: spends a use.
    pub(crate) fn claim(&self, presented: &Presented) -> Result<Accepted, Flaw> {
        let claimed = self.step(&presented.hash, Transition::Claim(AttemptId(random_bytes())));
        match (presented.flaw, claimed) {
            (None, Ok(admitted)) => Ok(accepted(presented.hash, admitted)),
            (None, Err(refusal)) => self.broken(&presented.hash, refusal).ok_or(refusal.into()),
            (Some(flaw), _) => Err(flaw),
        }
    }

    /// A further channel of an open session: spends nothing.
    pub(crate) fn join(&self, presented: &Presented, connection_id: u32) -> Result<Accepted, Flaw> {
        let joined = self.step(&presented.hash, Transition::Join { connection_id });
        match presented.flaw {
            None => Ok(accepted(presented.hash, joined?)),
            Some(flaw) => Err(flaw),
        }
    }

    /// The hypervisor has named the session.
    pub(crate) fn bind(&self, hash: &TokenHash, session: SessionId, connection_id: u32) -> Result<(), Refusal> {
        let step = Transition::Bind { session, connection_id };
        self.step(hash, step).map(drop)
    }

    /// The hypervisor says that the viewer has to come again as a new session, elsewhere.
    pub(crate) fn migrate(&self, hash: &TokenHash, session: SessionId) -> Result<(), Refusal> {
        let until = UnixSeconds(self.clock.now().0.saturating_add(COMES_AGAIN));
        self.step(hash, Transition::Migrate { session, until }).map(drop)
    }

    /// The main channel comes again after [`Tokens::migrate`]: spends nothing.
    pub(crate) fn reopen(&self, presented: &Presented) -> Result<Accepted, Flaw> {
        let attempt = AttemptId(random_bytes());
        let reopened = self.step(
            &presented.hash,
            Transition::Reopen {
                attempt,
                connection_id: 0,
            },
        );
        match presented.flaw {
            None => Ok(accepted(presented.hash, reopened?)),
            Some(flaw) => Err(flaw),
        }
    }

    /// The target was not reached: the use is given back.
    pub(crate) fn release(&self, hash: &TokenHash, session: SessionId) -> Result<(), Refusal> {
        self.step(hash, Transition::Release(session)).map(drop)
    }

    /// The main channel has ended.
    pub(crate) fn close(&self, hash: &TokenHash, session: SessionId) -> Result<(), Refusal> {
        self.step(hash, Transition::Close(session)).map(drop)
    }

    /// Forgets tokens that are over.
    pub(crate) fn purge(&self) -> usize {
        self.store.sweep(self.clock.now(), NonZeroU32::MAX)
    }

    fn step(&self, hash: &TokenHash, step: Transition) -> Result<Admitted, Refusal> {
        // A store in memory fails in no other way: `Full` and `Duplicate` come from `insert` alone.
        self.store
            .apply(hash, &VerifyContext::at(self.clock.now()), step)
            .map_err(|error| match error {
                StoreError::Refused(refusal) => refusal,
                _ => Refusal::Unknown,
            })
    }

    /// For the demo: a rule that is switched off lets a refused token in, as if it had just been made.
    fn broken(&self, hash: &TokenHash, refusal: Refusal) -> Option<Accepted> {
        let grant = match refusal {
            Refusal::Expired if self.rules.accept_expired => self.grant(hash)?,
            Refusal::Spent if self.rules.accept_replay => self.grant(hash)?,
            Refusal::Unknown if self.rules.accept_wrong => {
                let target = Target::Host {
                    host: String::new(), // any
                    port: None,
                    tls_port: None,
                };
                Grant::new(target, ConsoleType::SpiceDirect, self.clock.now(), 60)
            }
            _ => return None,
        };
        let now = self.clock.now();
        let grant = Grant::new(grant.target, grant.console, now, 60);
        let hash = TokenHash::from_bytes(random_bytes());
        self.store.insert(&hash, &grant).ok()?;
        let claimed = self.step(&hash, Transition::Claim(AttemptId(random_bytes())));
        Some(accepted(hash, claimed.ok()?))
    }

    fn grant(&self, hash: &TokenHash) -> Option<Grant> {
        Some(Grant::clone(self.store.record(hash)?.grant()))
    }
}

fn accepted(hash: TokenHash, admitted: Admitted) -> Accepted {
    let target = match &admitted.grant.target {
        Target::Host { host, .. } => host.clone(),
        // INVARIANT: `mint` makes no others.
        _ => String::new(),
    };
    Accepted {
        hash,
        session: admitted.session,
        target,
    }
}
