//! What the adapters of gateways have in common: a store that is asked within its time, and learns how each use ended.

mod ending;

pub(crate) use ending::{Ending, Endings, Taken, Told};

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Poll;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;
use tokio::time::{Instant, sleep, timeout};
use zeroize::Zeroizing;

use crate::replace::Trail;
use crate::{
    Admitted, AttemptId, BackendError, Grant, Peppers, Record, Refusal, Secret, SessionId, Store, StoreError,
    TokenHash, Transition, UnixSeconds, VerifyContext,
};
#[cfg(feature = "spice")]
use crate::{Note, NoteChange};

/// Between two requests to a store that fails.
const AGAIN: Duration = Duration::from_millis(100);
/// For one answer of the store, where it is asked again later: a viewer whose link failed waits for its use to be given
/// back.
const ONE: Duration = Duration::from_secs(1);
/// Between two looks at whether the store answers, where nothing else is asked, and before all sessions are asked about again
/// when it did not.
const LOOK: Duration = Duration::from_secs(1);
/// A store of which nothing is heard for so many seconds is away. A request that takes longer among many is no outage.
const SILENCE: u64 = 2;
/// `from` of [`Transition::Suspend`] for a viewer whose connection has broken off: it may come again whatever became of the
/// store meanwhile.
const BROKE_OFF: UnixSeconds = UnixSeconds(0);

/// A store, and what is needed to ask it.
pub(crate) struct Gate {
    pub(crate) store: Arc<dyn Store>,
    clock: Box<dyn Fn() -> UnixSeconds + Send + Sync>,
    random: fn(&mut [u8]),
    peppers: Mutex<Peppers>,
    /// Looked up in place of what is no token, so that it takes the same time.
    decoy: Secret,
    /// While the store answers.
    answers: Mutex<Option<Answers>>,
    /// How long it took last to ask about all open sessions.
    round: Mutex<Duration>,
    terms: Terms,
}

/// A time in which the store was never silent for [`SILENCE`].
#[derive(Clone, Copy)]
struct Answers {
    since: UnixSeconds,
    last: UnixSeconds,
}

/// How the store is asked.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    pub(crate) audience: Option<Box<str>>,
    pub(crate) store_timeout: Duration,
    /// How long a session is held by a gateway that says nothing; 0: for ever.
    pub(crate) lease: Duration,
    /// For how long a viewer may come again.
    pub(crate) reconnect: Duration,
}

/// For so many rounds a session is held at least: one can be missed, and one be late.
const TIMES: u32 = 3;
/// How many sessions the store is asked about at the same time.
const AT_ONCE: usize = 16;

/// How long a session is held, where the gate says so to the store this often.
pub(crate) fn lease(lease: Duration, attend_every: Duration) -> Duration {
    match lease.is_zero() {
        true => lease,
        false => lease.max(attend_every.saturating_mul(TIMES)),
    }
}

/// The store has not answered.
#[derive(Debug, Error)]
#[error("no answer in time")]
struct Silent;

impl Gate {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        peppers: Peppers,
        clock: impl Fn() -> UnixSeconds + Send + Sync + 'static,
        random: fn(&mut [u8]),
        terms: Terms,
    ) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        random(&mut *key);
        Self {
            store,
            clock: Box::new(clock),
            random,
            peppers: Mutex::new(peppers),
            decoy: Secret::base64url(&key),
            answers: Mutex::default(),
            round: Mutex::default(),
            terms,
        }
    }

    /// Makes a token, whose hash is kept with the grant. A store that is full is swept first.
    pub(crate) async fn issue(&self, grant: &Grant) -> Result<Secret, StoreError<BackendError>> {
        let mut bytes = Zeroizing::new([0; 32]);
        (self.random)(&mut *bytes);
        let token = Secret::base64url(&bytes);
        let hash = self.hash(&token);
        match self.store.insert(&hash, grant).await {
            Err(StoreError::Full { .. }) => {
                self.store.sweep(self.now(), NonZeroU32::MAX).await?;
                self.store.insert(&hash, grant).await?;
            }
            done => done?,
        }
        Ok(token)
    }

    pub(crate) fn hash(&self, token: &Secret) -> TokenHash {
        lock(&self.peppers).hash(token)
    }

    /// The hashes under which a token may be kept; without one, those of no token, which cost the same work.
    pub(crate) fn hashes(&self, token: Option<&Secret>) -> Vec<TokenHash> {
        lock(&self.peppers).hashes(token.unwrap_or(&self.decoy)).collect()
    }

    pub(crate) fn with_peppers<T>(&self, act: impl FnOnce(&mut Peppers) -> T) -> T {
        act(&mut lock(&self.peppers))
    }

    pub(crate) fn now(&self) -> UnixSeconds {
        (self.clock)()
    }

    /// So much later.
    pub(crate) fn after(&self, time: Duration) -> UnixSeconds {
        self.now().saturating_add(time.as_secs())
    }

    pub(crate) fn random_bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes
    }

    pub(crate) fn context(&self) -> VerifyContext<'_> {
        let mut context = VerifyContext::at(self.now());
        if let Some(audience) = &self.terms.audience {
            context = context.with_audience(audience);
        }
        if let Some((from, until)) = self.lease() {
            context = context.with_lease(from, until);
        }
        context
    }

    /// What is held from now on: when its viewer may come again if nothing else is said, and when it is over then.
    fn lease(&self) -> Option<(UnixSeconds, UnixSeconds)> {
        let from = self.after(self.held());
        (!self.terms.lease.is_zero()).then(|| (from, from.saturating_add(self.terms.reconnect.as_secs())))
    }

    /// How long a session is held: longer where the store is slow and the sessions are many, since each has to wait for its turn.
    fn held(&self) -> Duration {
        let rounds = lock(&self.round).saturating_mul(TIMES);
        self.terms.lease.saturating_add(rounds)
    }

    /// Asks about all open sessions, and notes how long that took.
    pub(crate) async fn round(&self, asked: impl Future<Output = bool>) -> bool {
        let began = Instant::now();
        let works = asked.await;
        *lock(&self.round) = began.elapsed();
        works
    }

    /// Asks the store for a transition; again and again while it fails, within its time.
    pub(crate) async fn ask(
        &self,
        hash: &TokenHash,
        transition: Transition,
    ) -> Result<Admitted, StoreError<BackendError>> {
        self.retried(|| self.store.apply(hash, self.context(), transition))
            .await
    }

    pub(crate) async fn check(&self, hash: &TokenHash) -> Result<Arc<Grant>, StoreError<BackendError>> {
        self.retried(|| self.store.check(hash, self.context())).await
    }

    /// The record of a token, or of the one that has replaced it.
    pub(crate) async fn record(&self, hash: &TokenHash) -> Result<Option<Record>, StoreError<BackendError>> {
        let mut trail = Trail::of(hash);
        for _ in 0..Trail::LONGEST {
            let named = trail.hash;
            match self.retried(|| self.store.record(&named)).await? {
                Some(record) if trail.follow(&record) => {}
                found => return Ok(found),
            }
        }
        Ok(None)
    }

    /// The note of this name.
    #[cfg(feature = "spice")]
    pub(crate) async fn note(&self, name: &str) -> Result<Option<Note>, StoreError<BackendError>> {
        self.retried(|| self.store.note(name, self.now())).await
    }

    /// The notes whose names begin so.
    #[cfg(feature = "spice")]
    pub(crate) async fn notes(&self, prefix: &str) -> Result<Vec<(Box<str>, Note)>, StoreError<BackendError>> {
        self.retried(|| self.store.notes(prefix, self.now())).await
    }

    /// Writes or removes a note.
    #[cfg(feature = "spice")]
    pub(crate) async fn set_note(&self, name: &str, change: NoteChange<'_>) -> Result<bool, StoreError<BackendError>> {
        self.retried(|| self.store.set_note(name, self.now(), change)).await
    }

    async fn retried<T, F>(&self, mut request: impl FnMut() -> F) -> Result<T, StoreError<BackendError>>
    where
        F: Future<Output = Result<T, StoreError<BackendError>>>,
    {
        let mut failure = None;
        let asked = async {
            loop {
                match request().await {
                    Err(StoreError::Backend(error)) => {
                        self.note_failure();
                        failure = Some(error);
                    }
                    answer => return answer,
                }
                sleep(AGAIN).await;
            }
        };
        match timeout(self.terms.store_timeout, asked).await {
            Ok(answer) => {
                self.note_answer();
                answer
            }
            Err(_) => {
                self.note_failure();
                let failure = failure.unwrap_or_else(|| BackendError::new(Silent));
                Err(StoreError::Backend(failure))
            }
        }
    }

    fn note_answer(&self) {
        let now = self.now();
        lock(&self.answers)
            .get_or_insert(Answers { since: now, last: now })
            .last = now;
    }

    fn note_failure(&self) {
        let now = self.now();
        let mut answers = lock(&self.answers);
        *answers = answers.filter(|answers| now < answers.last.saturating_add(SILENCE));
    }

    /// Looks from time to time whether the store answers: [`suspended`](Self::suspended) has to know, also where no viewer
    /// has asked for anything. Returns only where no viewer may come again.
    pub(crate) async fn watch(&self) {
        if self.terms.lease.is_zero() || self.terms.reconnect.is_zero() {
            return;
        }
        let hash = self.hash(&self.decoy);
        loop {
            match timeout(ONE, self.store.record(&hash)).await {
                Ok(Ok(_)) => self.note_answer(),
                _ => self.note_failure(),
            }
            sleep(LOOK).await;
        }
    }

    /// The sessions of a token whose viewers may come again, oldest first, and until when.
    ///
    /// One that its gateway has not renewed is taken for one whose gateway has stopped only when the store has answered for as
    /// long as a session is held: while it did not, no gateway could renew anything.
    pub(crate) fn suspended(&self, record: &Record) -> Vec<(SessionId, UnixSeconds)> {
        let now = self.now();
        let held = self.held().as_secs();
        let could_renew = lock(&self.answers).is_some_and(|answers| answers.since.saturating_add(held) <= now);
        let suspended = record.suspended(now);
        let free = suspended.filter(|(_, suspended)| could_renew || suspended.from == BROKE_OFF);
        free.map(|(session, suspended)| (session, suspended.until)).collect()
    }

    /// Asks the store once.
    pub(crate) async fn ask_once(
        &self,
        hash: &TokenHash,
        transition: Transition,
    ) -> Result<Result<Admitted, Refusal>, BackendError> {
        let answer = match timeout(ONE, self.store.apply(hash, self.context(), transition)).await {
            Ok(Ok(admitted)) => Ok(Ok(admitted)),
            Ok(Err(error)) => refusal(error).map(Err),
            Err(late) => Err(BackendError::new(late)),
        };
        match &answer {
            Ok(_) => self.note_answer(),
            Err(_) => self.note_failure(),
        }
        answer
    }

    /// Until when the viewer of a session that breaks off now may come again.
    pub(crate) fn again(&self) -> Option<UnixSeconds> {
        let reconnect = Some(self.terms.reconnect).filter(|time| !time.is_zero());
        reconnect.map(|time| self.after(time))
    }

    /// What holds an open session, if that is due, given when it was held last.
    pub(crate) fn holding(
        &self,
        session: SessionId,
        resumed: Option<AttemptId>,
        held: UnixSeconds,
    ) -> Option<Transition> {
        let (from, until) = self.lease()?;
        let (now, third) = (self.now(), self.terms.lease.as_secs() / 3);
        let is_due = now < held || held.saturating_add(third) <= now;
        is_due.then_some(Transition::Suspend {
            session,
            resumed,
            from,
            until,
        })
    }

    /// Asks about open sessions, some at a time, as long as the store answers: first those that are to be held. `asks` says what
    /// about each when its turn has come. Whether the store answered.
    pub(crate) async fn attend<K>(
        &self,
        mut sessions: Vec<K>,
        asks: impl Fn(&K) -> Option<(TokenHash, Transition)>,
        answered: impl Fn(K, TokenHash, Transition, Result<Admitted, Refusal>),
    ) -> bool {
        sessions.sort_by_cached_key(|key| !matches!(asks(key), Some((_, Transition::Suspend { .. }))));
        let workers = sessions.len().min(AT_ONCE);
        let (waiting, works) = (Mutex::new(sessions.into_iter()), AtomicBool::new(true));
        let next = || lock(&waiting).next().filter(|_| works.load(Ordering::Relaxed));
        let work = async || {
            while let Some(key) = next() {
                let Some((hash, asked)) = asks(&key) else { continue };
                match self.ask_once(&hash, asked).await {
                    Ok(answer) => answered(key, hash, asked, answer),
                    Err(_) => works.store(false, Ordering::Relaxed),
                }
            }
        };
        let mut workers: Vec<_> = (0..workers).map(|_| Box::pin(work())).collect();
        poll_fn(|context| {
            workers.retain_mut(|worker| worker.as_mut().poll(context).is_pending());
            if workers.is_empty() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
        works.load(Ordering::Relaxed)
    }

    /// How long to wait before the open sessions are asked about again: a store that failed may be back soon, and others wait
    /// to see what is held.
    pub(crate) fn until_next(attend_every: Duration, works: bool) -> Duration {
        if works { attend_every } else { attend_every.min(LOOK) }
    }
}

/// What the store refused, or its failure.
pub(crate) fn refusal(error: StoreError<BackendError>) -> Result<Refusal, BackendError> {
    match error {
        StoreError::Refused(refusal) => Ok(refusal),
        StoreError::Backend(error) => Err(error),
        // INVARIANT: no transition gives these.
        StoreError::Full { .. } | StoreError::Duplicate | StoreError::NoteTooLong => Ok(Refusal::Unknown),
    }
}

/// Locks, also when another thread has panicked with the lock: what is locked here is changed in one step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
