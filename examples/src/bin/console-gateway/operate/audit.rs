//! The audit log: what happened to tokens and sessions, a line of JSON each, without secrets.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use console_token::{
    Admitted, Answer, AttemptId, ConsoleType, Event, Fingerprint, Grant, LeaseRules, LeaseTransition, Note, NoteChange,
    Record, Store, Target, TokenHash, TokenSelector, Transition, UnixSeconds, VerifyContext,
};
use serde_json::{Map, Value};
use tracing::error;

use crate::grant::clock::{Clock, rfc3339};
use crate::sync::lock;

/// Where the lines go.
pub(crate) struct Audit {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    clock: Arc<Clock>,
}

impl Audit {
    /// Opens the file, if there is to be one.
    pub(crate) fn open(path: Option<PathBuf>, clock: Arc<Clock>) -> std::io::Result<Self> {
        let audit = Self {
            path,
            file: Mutex::default(),
            clock,
        };
        audit.reopen()?;
        Ok(audit)
    }

    /// Opens the file anew: it may have been moved away.
    pub(crate) fn reopen(&self) -> std::io::Result<()> {
        if let Some(path) = &self.path {
            *lock(&self.file) = Some(OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(())
    }

    /// Writes a line: what has happened, and more of it.
    pub(crate) fn log(&self, event: &str, more: Value) {
        let mut line = Map::new();
        line.insert("at".to_owned(), rfc3339(self.clock.now()).into());
        line.insert("event".to_owned(), event.into());
        if let Value::Object(more) = more {
            line.extend(more);
        }
        self.write(line);
    }

    fn token(&self, event: Event) {
        let mut line = Map::new();
        line.insert("at".to_owned(), rfc3339(event.at).into());
        line.insert("event".to_owned(), "token".into());
        line.insert("what".to_owned(), event.kind.to_string().into());
        line.insert("outcome".to_owned(), event.outcome.to_string().into());
        line.insert("token".to_owned(), event.token.map(|token| token.to_string()).into());
        if let Some(owner) = event.owner {
            line.insert("guest".to_owned(), owner.vm.as_deref().into());
            line.insert("user".to_owned(), owner.user.as_deref().into());
        }
        self.write(line);
    }

    fn write(&self, line: Map<String, Value>) {
        let mut file = lock(&self.file);
        let Some(file) = file.as_mut() else { return };
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        if let Err(error) = file.write_all(text.as_bytes()) {
            error!(%error, "the audit log cannot be written");
        }
    }
}

/// A store of which everything that concerns tokens is written down.
pub(crate) struct Audited {
    store: Arc<dyn Store>,
    audit: Arc<Audit>,
}

impl Audited {
    pub(crate) const fn new(store: Arc<dyn Store>, audit: Arc<Audit>) -> Self {
        Self { store, audit }
    }
}

impl Audited {
    /// What was asked of the store, once it has answered.
    fn log<T>(&self, answer: &T, event: impl FnOnce(&T) -> Event) {
        if self.audit.path.is_some() {
            self.audit.token(event(answer));
        }
    }
}

impl Store for Audited {
    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
        Box::pin(async move {
            let answer = self.store.insert(hash, grant).await;
            self.log(&answer, |answer| {
                Event::insert(self.audit.clock.now(), hash, grant, answer)
            });
            answer
        })
    }

    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
        self.store.record(hash)
    }

    fn find<'a>(&'a self, fingerprint: &'a Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>> {
        self.store.find(fingerprint)
    }

    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
        self.store.check(hash, context)
    }

    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted> {
        Box::pin(async move {
            let answer = self.store.apply(hash, context, transition).await;
            // That a session goes on is no news.
            if !(answer.is_ok() && matches!(transition, Transition::Attend(_))) {
                self.log(&answer, |answer| Event::transition(hash, &context, transition, answer));
            }
            answer
        })
    }

    fn exchange<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        new: &'a TokenHash,
        ttl: u64,
    ) -> Answer<'a, Arc<Grant>> {
        Box::pin(async move {
            let answer = self.store.exchange(hash, context, new, ttl).await;
            self.log(&answer, |answer| Event::exchange(hash, &context, new, answer));
            answer
        })
    }

    fn replace<'a>(&'a self, old: &'a TokenHash, new: &'a TokenHash, now: UnixSeconds) -> Answer<'a, Arc<Grant>> {
        Box::pin(async move {
            let answer = self.store.replace(old, new, now).await;
            self.log(&answer, |answer| Event::replace(now, old, new, answer));
            answer
        })
    }

    fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize> {
        Box::pin(async move {
            let answer = self.store.revoke(selector).await;
            self.log(&answer, |answer| {
                Event::revoke(self.audit.clock.now(), &selector, answer)
            });
            answer
        })
    }

    fn retarget<'a>(
        &'a self,
        selector: TokenSelector<'a>,
        console: ConsoleType,
        target: &'a Target,
    ) -> Answer<'a, usize> {
        self.store.retarget(selector, console, target)
    }

    fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> Answer<'_, usize> {
        self.store.sweep(now, batch)
    }

    fn leases<'a>(
        &'a self,
        console: &'a str,
        now: UnixSeconds,
        rules: &'a LeaseRules,
        transition: LeaseTransition,
    ) -> Answer<'a, Vec<AttemptId>> {
        Box::pin(async move {
            let answer = self.store.leases(console, now, rules, transition).await;
            if !(answer.is_ok() && matches!(transition, LeaseTransition::Keep { .. })) {
                self.log(&answer, |answer| Event::leases(now, console, transition, answer));
            }
            answer
        })
    }

    fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<Note>> {
        self.store.note(name, now)
    }

    fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, Note)>> {
        self.store.notes(prefix, now)
    }

    fn set_note<'a>(&'a self, name: &'a str, now: UnixSeconds, change: NoteChange<'a>) -> Answer<'a, bool> {
        self.store.set_note(name, now, change)
    }
}
