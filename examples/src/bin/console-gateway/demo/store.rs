//! A store in memory that wraps the real one, and breaks one rule. What it does not break passes through.

use std::future::ready;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use console_token::{
    Admitted, Answer, AttemptId, BackendError, ConsoleType, Fingerprint, Grant, LeaseRules, LeaseTransition,
    MemoryStore, Note, NoteChange, Record, Store, StoreError, Target, TokenHash, TokenSelector, Transition,
    UnixSeconds, VerifyContext,
};

use crate::cli::Break;

/// The store of the demo. Without a rule to break it is the store in memory.
pub(super) struct Faulty {
    pub(super) memory: MemoryStore,
    pub(super) broken: Option<Break>,
    /// The guest for which tokens are made up.
    pub(super) guest: String,
    /// Records that stand for another, spent one.
    pub(super) again: Mutex<Vec<(TokenHash, TokenHash)>>,
}

/// What the store in memory has answered already.
fn done<'a, T: Send + 'a>(answered: Result<T, StoreError>) -> Answer<'a, T> {
    let answered = answered.map_err(|error| match error {
        StoreError::Refused(refusal) => StoreError::Refused(refusal),
        StoreError::Duplicate => StoreError::Duplicate,
        other => StoreError::Backend(BackendError::new(other.to_string())),
    });
    Box::pin(ready(answered))
}

impl Faulty {
    pub(super) fn new(memory: MemoryStore, broken: Option<Break>, guest: &str) -> Self {
        Self {
            memory,
            broken,
            guest: guest.to_owned(),
            again: Mutex::default(),
        }
    }

    pub(super) fn breaks(&self, rule: Break) -> bool {
        self.broken == Some(rule)
    }
}

impl Store for Faulty {
    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
        done(self.memory.insert(hash, &self.kept(grant)))
    }

    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
        Store::record(&self.memory, hash)
    }

    fn find<'a>(&'a self, fingerprint: &'a Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>> {
        Store::find(&self.memory, fingerprint)
    }

    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
        Store::check(&self.memory, hash, context)
    }

    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted> {
        done(self.applied(hash, context, transition))
    }

    fn exchange<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        new: &'a TokenHash,
        ttl: u64,
    ) -> Answer<'a, Arc<Grant>> {
        match self.exchanged_again(hash, &context, new, ttl) {
            Some(exchanged) => done(exchanged),
            None => Store::exchange(&self.memory, hash, context, new, ttl),
        }
    }

    fn replace<'a>(&'a self, old: &'a TokenHash, new: &'a TokenHash, now: UnixSeconds) -> Answer<'a, Arc<Grant>> {
        match self.copied(old, new) {
            Some(copied) => done(copied),
            None => Store::replace(&self.memory, old, new, now),
        }
    }

    fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize> {
        if self.breaks(Break::ForgetRevocation) {
            return done(Ok(1));
        }
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
        done(self.leased(console, now, rules, transition))
    }

    fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<Note>> {
        Store::note(&self.memory, name, self.note_time(name, now))
    }

    fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, Note)>> {
        Store::notes(&self.memory, prefix, now)
    }

    fn set_note<'a>(&'a self, name: &'a str, now: UnixSeconds, change: NoteChange<'a>) -> Answer<'a, bool> {
        if self.breaks(Break::PortsTwice) && name == "serial-ports" {
            return done(Ok(true));
        }
        Store::set_note(&self.memory, name, self.note_time(name, now), change)
    }
}
