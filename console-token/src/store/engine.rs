//! What the stores of engines have in common: an engine keeps records with a version, and writes one
//! only if its version is still the one that was read. All decisions are those of [`Record`].

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::num::NonZeroU32;

use super::exchange::{exchanged, replaced};
use crate::{
    Admitted, AttemptId, BackendError, ConsoleType, Fingerprint, Grant, LeaseRules, LeaseTransition, Leases, Note,
    NoteChange, Record, Refusal, Scope, StoreError, Target, TokenHash, TokenSelector, Transition, UnixSeconds,
    VerifyContext, replace::Trail,
};

/// How often a write is tried that others come before: each time one of them has got ahead.
const TRIES: usize = 1000;

type Done<T> = Result<T, BackendError>;

/// Changes with every write of a record; never 0.
pub(super) type Version = i64;

/// An engine that keeps records.
pub(super) trait Engine: Send + Sync {
    /// Spends a use for a [`Transition::Redeem`] or [`Transition::Claim`] in one statement, which holds all
    /// conditions. `None`: it did not apply, and the record decides what that means.
    fn spend(
        &self,
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        scope: Scope,
        attempt: AttemptId,
    ) -> impl Future<Output = Done<Option<Admitted>>> + Send;

    fn load(&self, hash: &TokenHash) -> impl Future<Output = Done<Option<(Record, Version)>>> + Send;

    /// `false`: there is one with this hash.
    fn create(&self, hash: &TokenHash, record: &Record) -> impl Future<Output = Done<bool>> + Send;

    /// Writes the record if its version is this one.
    fn swap(&self, hash: &TokenHash, version: Version, record: &Record) -> impl Future<Output = Done<bool>> + Send;

    /// [`swap`](Self::swap) and [`create`](Self::create), both or neither.
    fn swap_and_create(
        &self,
        swap: (&TokenHash, Version, &Record),
        create: (&TokenHash, &Record),
    ) -> impl Future<Output = Done<bool>> + Send;

    /// The tokens of a name.
    fn named(&self, selector: TokenSelector<'_>) -> impl Future<Output = Done<Vec<TokenHash>>> + Send;

    /// Revokes in batches; how many were not revoked before.
    fn revoke(&self, selector: TokenSelector<'_>) -> impl Future<Output = Done<usize>> + Send;

    /// Deletes tokens that are over, consoles without a lease that is held and notes that are over, at most so many of
    /// each.
    fn sweep(&self, now: UnixSeconds, limit: NonZeroU32) -> impl Future<Output = Done<usize>> + Send;

    /// The leases of a console; none if it is not known.
    fn load_leases(&self, console: &str) -> impl Future<Output = Done<Leases>> + Send;

    /// Writes the leases if they are still as before.
    fn swap_leases(&self, console: &str, before: &Leases, leases: &Leases) -> impl Future<Output = Done<bool>> + Send;

    fn load_note(&self, name: &str, now: UnixSeconds) -> impl Future<Output = Done<Option<Note>>> + Send;

    /// At most [`Note::LISTED_MAX`], in the order of the bytes of their names.
    fn load_notes(&self, prefix: &str, now: UnixSeconds) -> impl Future<Output = Done<Vec<(Box<str>, Note)>>> + Send;

    /// Writes or removes the note if what is there is as expected.
    fn swap_note(
        &self,
        name: &str,
        now: UnixSeconds,
        change: &NoteChange<'_>,
    ) -> impl Future<Output = Done<bool>> + Send;
}

type Answered<T> = Result<T, StoreError<BackendError>>;

pub(super) fn failed(error: BackendError) -> StoreError<BackendError> {
    StoreError::Backend(error)
}

fn overtaken() -> StoreError<BackendError> {
    failed(BackendError::new("others came first each time"))
}

pub(super) async fn insert(engine: &impl Engine, hash: &TokenHash, grant: &Grant) -> Answered<()> {
    match engine.create(hash, &Record::new(grant.clone())).await.map_err(failed)? {
        true => Ok(()),
        false => Err(StoreError::Duplicate),
    }
}

pub(super) async fn record(engine: &impl Engine, hash: &TokenHash) -> Answered<Option<Record>> {
    let loaded = engine.load(hash).await.map_err(failed)?;
    Ok(loaded.map(|(record, _)| record))
}

async fn known(engine: &impl Engine, hash: &TokenHash) -> Answered<(Record, Version)> {
    let loaded = engine.load(hash).await.map_err(failed)?;
    loaded.ok_or(StoreError::Refused(Refusal::Unknown))
}

pub(super) async fn check(engine: &impl Engine, hash: &TokenHash, context: &VerifyContext<'_>) -> Answered<Arc<Grant>> {
    let (record, _) = known(engine, hash).await?;
    record.check(context)?;
    Ok(Arc::clone(record.grant()))
}

pub(super) async fn apply(
    engine: &impl Engine,
    hash: &TokenHash,
    context: &VerifyContext<'_>,
    transition: Transition,
) -> Answered<Admitted> {
    let spends = match transition {
        Transition::Redeem(attempt) => Some((Scope::Connection, attempt)),
        Transition::Claim(attempt) => Some((Scope::SpiceSession, attempt)),
        _ => None,
    };
    if let Some((scope, attempt)) = spends {
        let spent = engine.spend(hash, context, scope, attempt).await.map_err(failed)?;
        if let Some(admitted) = spent {
            return Ok(admitted);
        }
    }
    let mut trail = Trail::of(hash);
    for _ in 0..TRIES {
        let (before, version) = known_behind(engine, &mut trail).await?;
        let mut record = before.clone();
        let session = record.apply_for(context, transition, trail.numbers)?;
        if record == before || engine.swap(&trail.hash, version, &record).await.map_err(failed)? {
            return Ok(record.admitted(session, trail.replaced_by()));
        }
    }
    Err(overtaken())
}

/// The token that has replaced this one, or this one.
async fn known_behind(engine: &impl Engine, trail: &mut Trail) -> Answered<(Record, Version)> {
    for _ in 0..Trail::LONGEST {
        let (record, version) = known(engine, &trail.hash).await?;
        if !trail.follow(&record) {
            return Ok((record, version));
        }
    }
    Err(Refusal::Unknown.into())
}

pub(super) async fn find(engine: &impl Engine, fingerprint: &Fingerprint) -> Answered<Option<(TokenHash, Record)>> {
    let named = engine.named(TokenSelector::Fingerprint(fingerprint)).await;
    for hash in named.map_err(failed)? {
        // One that is gone meanwhile is not found.
        if let Some((record, _)) = engine.load(&hash).await.map_err(failed)? {
            return Ok(Some((hash, record)));
        }
    }
    Ok(None)
}

pub(super) async fn replace(
    engine: &impl Engine,
    old: &TokenHash,
    new: &TokenHash,
    now: UnixSeconds,
) -> Answered<Arc<Grant>> {
    for _ in 0..TRIES {
        let (mut record, version) = known(engine, old).await?;
        let is_known = engine.load(new).await.map_err(failed)?.is_some();
        let (grant, successor) = replaced(&mut record, is_known, new, now)?;
        let Some(successor) = successor else { return Ok(grant) };
        let (swap, create) = ((old, version, &record), (new, &successor));
        if engine.swap_and_create(swap, create).await.map_err(failed)? {
            return Ok(grant);
        }
    }
    Err(overtaken())
}

pub(super) async fn set_note(
    engine: &impl Engine,
    name: &str,
    now: UnixSeconds,
    change: &NoteChange<'_>,
) -> Answered<bool> {
    change.check(name)?;
    engine.swap_note(name, now, change).await.map_err(failed)
}

pub(super) async fn exchange(
    engine: &impl Engine,
    hash: &TokenHash,
    context: &VerifyContext<'_>,
    new: &TokenHash,
    ttl: u64,
) -> Answered<Arc<Grant>> {
    for _ in 0..TRIES {
        let (mut record, version) = known(engine, hash).await?;
        let known = engine.load(new).await.map_err(failed)?;
        let known = known.map(|(record, _)| Arc::clone(record.grant()));
        let (grant, is_new) = exchanged(&mut record, known, context, new, ttl)?;
        if !is_new {
            return Ok(grant);
        }
        let (swap, create) = (
            (hash, version, &record),
            (new, &Record::from_shared(Arc::clone(&grant))),
        );
        if engine.swap_and_create(swap, create).await.map_err(failed)? {
            return Ok(grant);
        }
    }
    Err(overtaken())
}

pub(super) async fn retarget(
    engine: &impl Engine,
    selector: TokenSelector<'_>,
    console: ConsoleType,
    target: &Target,
) -> Answered<usize> {
    let mut retargeted = 0_usize;
    for hash in engine.named(selector).await.map_err(failed)? {
        let one = retarget_one(engine, &hash, console, target).await?;
        retargeted = retargeted.saturating_add(usize::from(one));
    }
    Ok(retargeted)
}

async fn retarget_one(engine: &impl Engine, hash: &TokenHash, console: ConsoleType, target: &Target) -> Answered<bool> {
    for _ in 0..TRIES {
        // One that is gone meanwhile leads nowhere.
        let Some((mut record, version)) = engine.load(hash).await.map_err(failed)? else {
            return Ok(false);
        };
        if record.grant().console != console {
            return Ok(false);
        }
        record.retarget(target.clone());
        if engine.swap(hash, version, &record).await.map_err(failed)? {
            return Ok(true);
        }
    }
    Err(overtaken())
}

pub(super) async fn leases(
    engine: &impl Engine,
    console: &str,
    now: UnixSeconds,
    rules: &LeaseRules,
    transition: LeaseTransition,
) -> Answered<Vec<AttemptId>> {
    for _ in 0..TRIES {
        let before = engine.load_leases(console).await.map_err(failed)?;
        let mut leases = before.clone();
        let gone = leases.apply(now, rules, transition)?;
        if leases == before || engine.swap_leases(console, &before, &leases).await.map_err(failed)? {
            return Ok(gone);
        }
    }
    Err(overtaken())
}

/// `impl Store` for an engine.
macro_rules! store_of_engine {
    ($engine:ty) => {
        impl $crate::Store for $engine {
            fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
                Box::pin(engine::insert(self, hash, grant))
            }

            fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
                Box::pin(engine::record(self, hash))
            }

            fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
                Box::pin(async move { engine::check(self, hash, &context).await })
            }

            fn apply<'a>(
                &'a self,
                hash: &'a TokenHash,
                context: VerifyContext<'a>,
                transition: Transition,
            ) -> Answer<'a, Admitted> {
                Box::pin(async move { engine::apply(self, hash, &context, transition).await })
            }

            fn exchange<'a>(
                &'a self,
                hash: &'a TokenHash,
                context: VerifyContext<'a>,
                new: &'a TokenHash,
                ttl: u64,
            ) -> Answer<'a, Arc<Grant>> {
                Box::pin(async move { engine::exchange(self, hash, &context, new, ttl).await })
            }

            fn find<'a>(&'a self, fingerprint: &'a $crate::Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>> {
                Box::pin(engine::find(self, fingerprint))
            }

            fn replace<'a>(
                &'a self,
                old: &'a TokenHash,
                new: &'a TokenHash,
                now: UnixSeconds,
            ) -> Answer<'a, Arc<Grant>> {
                Box::pin(engine::replace(self, old, new, now))
            }

            fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<$crate::Note>> {
                Box::pin(async move { self.load_note(name, now).await.map_err(engine::failed) })
            }

            fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, $crate::Note)>> {
                Box::pin(async move { self.load_notes(prefix, now).await.map_err(engine::failed) })
            }

            fn set_note<'a>(
                &'a self,
                name: &'a str,
                now: UnixSeconds,
                change: $crate::NoteChange<'a>,
            ) -> Answer<'a, bool> {
                Box::pin(async move { engine::set_note(self, name, now, &change).await })
            }

            fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize> {
                Box::pin(async move { Engine::revoke(self, selector).await.map_err(engine::failed) })
            }

            fn retarget<'a>(
                &'a self,
                selector: TokenSelector<'a>,
                console: $crate::ConsoleType,
                target: &'a $crate::Target,
            ) -> Answer<'a, usize> {
                Box::pin(engine::retarget(self, selector, console, target))
            }

            fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> Answer<'_, usize> {
                Box::pin(async move { Engine::sweep(self, now, batch).await.map_err(engine::failed) })
            }

            fn leases<'a>(
                &'a self,
                console: &'a str,
                now: UnixSeconds,
                rules: &'a $crate::LeaseRules,
                transition: $crate::LeaseTransition,
            ) -> Answer<'a, Vec<$crate::AttemptId>> {
                Box::pin(engine::leases(self, console, now, rules, transition))
            }
        }
    };
}
pub(super) use store_of_engine;
