//! The rules that the demo can switch off one at a time, to show that it would notice. The gateway itself keeps all: what
//! breaks one is put around its store, or in the place of its refusal.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use console_token::spice::Denial;
use console_token::{
    Admitted, Answer, AttemptId, BackendError, ConsoleType, Grant, LeaseRules, LeaseTransition, MemoryStore, Record,
    Refusal, Store, StoreError, Target, TokenHash, TokenSelector, Transition, UnixSeconds, VerifyContext,
};
use spice_proto::ids::LinkErrorCode;
use spice_proto::link;

use crate::random::random_bytes;
use crate::sync::lock;

/// Which rules are **not** kept. [`Rules::default`] keeps all.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rules {
    /// A token's expiry is not looked at.
    pub(crate) accept_expired: bool,
    /// A spent token opens another session.
    pub(crate) accept_replay: bool,
    /// A token that was not issued opens a session.
    pub(crate) accept_wrong: bool,
    /// A refused tenant receives the reason.
    pub(crate) leak_reason: bool,
}

impl std::fmt::Display for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rules = [
            (self.accept_expired, "accept-expired"),
            (self.accept_replay, "accept-replay"),
            (self.accept_wrong, "accept-wrong"),
            (self.leak_reason, "leak-reason"),
        ];
        match rules.iter().find(|(broken, _)| *broken) {
            Some((_, name)) => write!(f, "broken by {name}"),
            None => f.write_str("all kept"),
        }
    }
}

/// A refusal that shows its reason.
pub(super) fn leak(denial: &Denial) -> link::Refusal {
    link::Refusal::Code(match denial {
        Denial::Token(Refusal::Expired) => LinkErrorCode::ERROR,
        Denial::Token(Refusal::Spent) => LinkErrorCode::INVALID_DATA,
        _ => LinkErrorCode::PERMISSION_DENIED,
    })
}

/// A store in memory that does not keep all rules.
pub(super) struct Broken {
    memory: MemoryStore,
    rules: Rules,
    /// For which guest tokens are made up.
    guest: String,
    /// Records that stand for another, spent one.
    again: Mutex<Vec<(TokenHash, TokenHash)>>,
}

impl Broken {
    pub(super) fn new(memory: MemoryStore, rules: Rules, guest: &str) -> Self {
        Self {
            memory,
            rules,
            guest: guest.to_owned(),
            again: Mutex::default(),
        }
    }

    /// The record that stands for this one now.
    fn newest(&self, hash: &TokenHash) -> TokenHash {
        let again = lock(&self.again);
        let newest = again.iter().rev().find(|(old, _)| old == hash);
        newest.map_or(*hash, |(_, new)| *new)
    }

    /// Lets a refused token in, as if it had just been made.
    fn let_in(
        &self,
        hash: &TokenHash,
        context: VerifyContext<'_>,
        transition: Transition,
        refusal: Refusal,
    ) -> Option<Admitted> {
        let grant = self.memory.record(hash).map(|record| Grant::clone(record.grant()));
        match refusal {
            Refusal::Expired if self.rules.accept_expired => {
                let context = VerifyContext::at(grant?.not_before);
                return self.memory.apply(hash, &context, transition).ok();
            }
            Refusal::Spent if self.rules.accept_replay => {
                let new = TokenHash::from_bytes(random_bytes());
                self.memory.insert(&new, &grant?).ok()?;
                lock(&self.again).push((*hash, new));
                return self.memory.apply(&new, &context, transition).ok();
            }
            Refusal::Unknown if self.rules.accept_wrong => {}
            _ => return None,
        }
        let target = Target::Host {
            host: self.guest.clone(),
            port: None,
            tls_port: None,
        };
        let grant = Grant::new(target, ConsoleType::SpiceDirect, context.now, 60);
        self.memory.insert(hash, &grant).ok()?;
        self.memory.apply(hash, &context, transition).ok()
    }
}

impl Store for Broken {
    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted> {
        let newest = self.newest(hash);
        let applied = self.memory.apply(&newest, &context, transition);
        let applied = match (applied, transition) {
            (Err(StoreError::Refused(refusal)), Transition::Claim(_)) => {
                let let_in = self.let_in(hash, context, transition, refusal);
                let_in.ok_or(StoreError::Refused(refusal))
            }
            (Err(StoreError::Refused(refusal)), _) => Err(StoreError::Refused(refusal)),
            // INVARIANT: a store in memory does not fail in another way here.
            (Err(_), _) => Err(StoreError::Backend(BackendError::new("the store failed"))),
            (Ok(admitted), _) => Ok(admitted),
        };
        Box::pin(async { applied })
    }

    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
        Store::insert(&self.memory, hash, grant)
    }

    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
        Store::record(&self.memory, hash)
    }

    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
        Store::check(&self.memory, hash, context)
    }

    fn exchange<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        new: &'a TokenHash,
        ttl: u64,
    ) -> Answer<'a, Arc<Grant>> {
        Store::exchange(&self.memory, hash, context, new, ttl)
    }

    fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize> {
        Store::revoke(&self.memory, selector)
    }

    fn retarget<'a>(
        &'a self,
        selector: TokenSelector<'a>,
        console: ConsoleType,
        target: &'a Target,
    ) -> Answer<'a, usize> {
        Store::retarget(&self.memory, selector, console, target)
    }

    fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> Answer<'_, usize> {
        Store::sweep(&self.memory, now, batch)
    }

    fn leases<'a>(
        &'a self,
        console: &'a str,
        now: UnixSeconds,
        rules: &'a LeaseRules,
        transition: LeaseTransition,
    ) -> Answer<'a, Vec<AttemptId>> {
        Store::leases(&self.memory, console, now, rules, transition)
    }
}
