//! A store that can be made to fail.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

use console_token::{
    Admitted, Answer, AttemptId, BackendError, ConsoleType, Fingerprint, Grant, LeaseRules, LeaseTransition,
    MemoryStore, Note, NoteChange, Record, Store, StoreError, Target, TokenHash, TokenSelector, Transition,
    UnixSeconds, VerifyContext,
};

/// What becomes of a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Works,
    /// Nothing is applied.
    Down,
    /// It is applied, and the answer is lost.
    Deaf,
    /// Nothing is applied, and no answer comes.
    Hangs,
    /// It is applied, and no answer comes.
    AppliesAndHangs,
}

/// Which transitions it is about.
pub(crate) type Which = fn(&Transition) -> bool;

pub(crate) struct Failing {
    pub(crate) memory: MemoryStore,
    mode: Mutex<(Mode, Which)>,
    /// What becomes of everything that a gateway asks for: works, is down or hangs.
    outage: Mutex<Mode>,
    /// How long an answer to a transition takes.
    takes: Mutex<Duration>,
    /// Transitions that were applied or refused, by name.
    pub(crate) asked: Mutex<Vec<String>>,
}

impl Failing {
    pub(crate) fn new() -> Self {
        Self {
            memory: MemoryStore::new(100),
            mode: Mutex::new((Mode::Works, |_| true)),
            outage: Mutex::new(Mode::Works),
            takes: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn set(&self, mode: Mode, which: Which) {
        *self.mode.lock().unwrap() = (mode, which);
    }

    pub(crate) fn works(&self) {
        self.set(Mode::Works, |_| true);
        *self.outage.lock().unwrap() = Mode::Works;
    }

    /// An answer to a transition takes so long.
    pub(crate) fn takes(&self, time: Duration) {
        *self.takes.lock().unwrap() = time;
    }

    /// Nothing is answered any more.
    pub(crate) fn goes_away(&self, mode: Mode) {
        *self.outage.lock().unwrap() = mode;
    }

    fn unless_away<'a, T: Send + 'a>(&self, answer: impl FnOnce() -> Answer<'a, T>) -> Answer<'a, T> {
        match *self.outage.lock().unwrap() {
            Mode::Works => answer(),
            Mode::Down | Mode::Deaf => Box::pin(async { failure() }),
            Mode::Hangs | Mode::AppliesAndHangs => Box::pin(std::future::pending()),
        }
    }
}

fn failure<T>() -> Result<T, StoreError<BackendError>> {
    Err(StoreError::Backend(BackendError::new("the engine is down")))
}

impl Store for Failing {
    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
        Store::insert(&self.memory, hash, grant)
    }

    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
        self.unless_away(|| Store::record(&self.memory, hash))
    }

    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
        self.unless_away(|| Store::check(&self.memory, hash, context))
    }

    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted> {
        let (mode, which) = *self.mode.lock().unwrap();
        let mode = match *self.outage.lock().unwrap() {
            Mode::Works if which(&transition) => mode,
            outage => outage,
        };
        let applied = || {
            self.asked.lock().unwrap().push(transition.to_string());
            Store::apply(&self.memory, hash, context, transition)
        };
        let answer: Pin<Box<dyn Future<Output = _> + Send + 'a>> = match mode {
            // As an engine elsewhere: others get ahead meanwhile.
            Mode::Works => {
                let applied = applied();
                let takes = *self.takes.lock().unwrap();
                Box::pin(async move {
                    yield_now().await;
                    if !takes.is_zero() {
                        sleep(takes).await;
                    }
                    applied.await
                })
            }
            Mode::Down => Box::pin(async { failure() }),
            Mode::Deaf => {
                let applied = applied();
                Box::pin(async {
                    let _ = applied.await;
                    failure()
                })
            }
            Mode::Hangs => Box::pin(std::future::pending()),
            Mode::AppliesAndHangs => {
                let applied = applied();
                Box::pin(async {
                    let _ = applied.await;
                    std::future::pending().await
                })
            }
        };
        answer
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

    fn find<'a>(&'a self, fingerprint: &'a Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>> {
        Store::find(&self.memory, fingerprint)
    }

    fn replace<'a>(&'a self, old: &'a TokenHash, new: &'a TokenHash, now: UnixSeconds) -> Answer<'a, Arc<Grant>> {
        Store::replace(&self.memory, old, new, now)
    }

    fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<Note>> {
        self.unless_away(|| Store::note(&self.memory, name, now))
    }

    fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, Note)>> {
        self.unless_away(|| Store::notes(&self.memory, prefix, now))
    }

    fn set_note<'a>(&'a self, name: &'a str, now: UnixSeconds, change: NoteChange<'a>) -> Answer<'a, bool> {
        self.unless_away(|| Store::set_note(&self.memory, name, now, change))
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
