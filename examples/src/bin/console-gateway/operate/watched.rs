//! The store, with what operators want to know of it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use console_token::{
    Admitted, Answer, AttemptId, ConsoleType, Event, Fingerprint, Grant, LeaseRules, LeaseTransition, Note, NoteChange,
    Record, Store, StoreError, Target, TokenHash, TokenSelector, Transition, UnixSeconds, VerifyContext,
};

use super::audit::Audit;
use super::metrics::Metrics;

/// A store of which everything that concerns tokens is in the audit log, and how long each answer took in the figures.
pub(crate) struct Watched {
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
    metrics: Arc<Metrics>,
}

impl Watched {
    pub(crate) const fn new(store: Arc<dyn Store>, audit: Arc<Audit>, metrics: Arc<Metrics>) -> Self {
        Self { store, audit, metrics }
    }

    /// What the store answers.
    fn timed<'a, T: 'a>(&'a self, operation: &'static str, answer: Answer<'a, T>) -> Answer<'a, T> {
        Box::pin(async move {
            let begun = Instant::now();
            let answer = answer.await;
            let failed = matches!(answer, Err(StoreError::Backend(_)));
            self.metrics.stored(operation, begun.elapsed(), failed);
            answer
        })
    }

    /// What the store answers, in the audit log too, if it is `news`.
    fn logged<'a, T: Send + Sync + 'a>(
        &'a self,
        operation: &'static str,
        answer: Answer<'a, T>,
        news: impl Fn(&Result<T, StoreError<console_token::BackendError>>) -> Option<Event> + Send + 'a,
    ) -> Answer<'a, T> {
        Box::pin(async move {
            let answer = self.timed(operation, answer).await;
            if self.audit.is_kept()
                && let Some(event) = news(&answer)
            {
                self.audit.token(event);
            }
            answer
        })
    }
}

impl Store for Watched {
    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
        self.logged("insert", self.store.insert(hash, grant), move |answer| {
            Some(Event::insert(self.audit.now(), hash, grant, answer))
        })
    }

    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
        self.timed("record", self.store.record(hash))
    }

    fn find<'a>(&'a self, fingerprint: &'a Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>> {
        self.timed("find", self.store.find(fingerprint))
    }

    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
        self.timed("check", self.store.check(hash, context))
    }

    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted> {
        self.logged("apply", self.store.apply(hash, context, transition), move |answer| {
            // That a session goes on is no news.
            let goes_on = answer.is_ok() && matches!(transition, Transition::Attend(_));
            (!goes_on).then(|| Event::transition(hash, &context, transition, answer))
        })
    }

    fn exchange<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        new: &'a TokenHash,
        ttl: u64,
    ) -> Answer<'a, Arc<Grant>> {
        self.logged(
            "exchange",
            self.store.exchange(hash, context, new, ttl),
            move |answer| Some(Event::exchange(hash, &context, new, answer)),
        )
    }

    fn replace<'a>(&'a self, old: &'a TokenHash, new: &'a TokenHash, now: UnixSeconds) -> Answer<'a, Arc<Grant>> {
        self.logged("replace", self.store.replace(old, new, now), move |answer| {
            Some(Event::replace(now, old, new, answer))
        })
    }

    fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize> {
        self.logged("revoke", self.store.revoke(selector), move |answer| {
            Some(Event::revoke(self.audit.now(), &selector, answer))
        })
    }

    fn retarget<'a>(
        &'a self,
        selector: TokenSelector<'a>,
        console: ConsoleType,
        target: &'a Target,
    ) -> Answer<'a, usize> {
        self.timed("retarget", self.store.retarget(selector, console, target))
    }

    fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> Answer<'_, usize> {
        self.timed("sweep", self.store.sweep(now, batch))
    }

    fn leases<'a>(
        &'a self,
        console: &'a str,
        now: UnixSeconds,
        rules: &'a LeaseRules,
        transition: LeaseTransition,
    ) -> Answer<'a, Vec<AttemptId>> {
        let asked = self.store.leases(console, now, rules, transition);
        self.logged("leases", asked, move |answer| {
            let goes_on = answer.is_ok() && matches!(transition, LeaseTransition::Keep { .. });
            (!goes_on).then(|| Event::leases(now, console, transition, answer))
        })
    }

    fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<Note>> {
        self.timed("note", self.store.note(name, now))
    }

    fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, Note)>> {
        self.timed("notes", self.store.notes(prefix, now))
    }

    fn set_note<'a>(&'a self, name: &'a str, now: UnixSeconds, change: NoteChange<'a>) -> Answer<'a, bool> {
        self.timed("set_note", self.store.set_note(name, now, change))
    }
}
