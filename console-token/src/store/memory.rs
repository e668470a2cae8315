//! Records in the memory of one process.

use alloc::{boxed::Box, collections::BTreeMap, sync::Arc, vec::Vec};
use core::{
    convert::Infallible,
    fmt,
    future::ready,
    hash::{BuildHasherDefault, Hash, Hasher},
    num::NonZeroU32,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering},
};
use std::{
    collections::{HashMap, hash_map},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    Answer,
    exchange::{exchanged, replaced},
    notes::Notes,
};
use crate::{
    Admitted, AttemptId, ConsoleType, Fingerprint, Grant, LeaseRules, LeaseTransition, Leases, Note, NoteChange,
    Record, Refusal, Store, StoreError, Target, TokenHash, TokenSelector, Transition, UnixSeconds, VerifyContext,
    replace::Trail,
};

/// A bounded store for the threads of one process, gone with it.
///
/// Records lie in 256 shards by a byte of their hash, each behind a lock of its own. No call holds
/// more than one of them, save an exchange or a replacement, which holds two. A transition costs the look-up, and allocates
/// nothing (a claim its session, an unlimited token the list of its last attempts).
///
/// A grant with the names of a virtual machine, a user and an issuer takes 400 to 580 bytes with its place in the map,
/// which is full or has just grown: 534 at a million. One of more than one use has room for its attempts from the start, so
/// that no redeem allocates: 24 bytes for each, 32 of them at most, so that a grant of 32 uses or more takes 1,160 to 1,350
/// bytes. A sweep gives all of it back.
///
/// Nothing leaves it by itself, because it has no clock: call [`sweep`](Self::sweep) from time to
/// time, and when it is full.
///
/// The look-up goes by the first bytes of the hash, which cannot be chosen without the pepper; the
/// whole hash is then compared in constant time.
pub struct MemoryStore {
    shards: Box<[Mutex<Shard>; SHARDS]>,
    /// INVARIANT: at least the number of records in all shards, at most `limit`.
    len: AtomicUsize,
    limit: usize,
    /// The shard at which the next sweep begins.
    swept: AtomicU8,
    /// INVARIANT: at most `limit`; no entry without holders.
    consoles: Mutex<BTreeMap<Box<str>, Leases>>,
    notes: Mutex<Notes>,
}

/// As many as a byte has values.
const SHARDS: usize = 256;

/// A table of which less than this part is used is made smaller.
const SPARSE: usize = 4;

type Shard = HashMap<Key, Record, BuildHasherDefault<FirstBytes>>;

#[derive(PartialEq, Eq)]
struct Key(TokenHash);

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.0.fingerprint().as_bytes());
    }
}

/// The hash of a hash is its first bytes.
#[derive(Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.try_into().map_or(0, u64::from_le_bytes);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl MemoryStore {
    /// A store for at most `limit` records, leases at as many consoles, and as many notes. Memory is taken as they come.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            shards: Box::new(core::array::from_fn(|_| Mutex::default())),
            len: AtomicUsize::new(0),
            limit,
            swept: AtomicU8::new(0),
            consoles: Mutex::default(),
            notes: Mutex::new(Notes::new(limit)),
        }
    }

    /// How many records it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The record of a token, to be looked at.
    #[must_use]
    pub fn record(&self, hash: &TokenHash) -> Option<Record> {
        self.shard(hash).get(&Key(*hash)).cloned()
    }

    /// [`Store::insert`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`] or [`StoreError::Full`].
    pub fn insert(&self, hash: &TokenHash, grant: &Grant) -> Result<(), StoreError> {
        match self.shard(hash).entry(Key(*hash)) {
            hash_map::Entry::Occupied(_) => Err(StoreError::Duplicate),
            hash_map::Entry::Vacant(entry) => {
                self.make_room()?;
                entry.insert(Record::new(grant.clone()));
                Ok(())
            }
        }
    }

    /// [`Store::check`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`].
    pub fn check(&self, hash: &TokenHash, context: &VerifyContext<'_>) -> Result<Arc<Grant>, StoreError> {
        let shard = self.shard(hash);
        let record = shard.get(&Key(*hash)).ok_or(Refusal::Unknown)?;
        record.check(context)?;
        Ok(Arc::clone(record.grant()))
    }

    /// [`Store::apply`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`].
    pub fn apply(
        &self,
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        transition: Transition,
    ) -> Result<Admitted, StoreError> {
        let mut trail = Trail::of(hash);
        for _ in 0..Trail::LONGEST {
            let mut shard = self.shard(&trail.hash);
            let record = shard.get_mut(&Key(trail.hash)).ok_or(Refusal::Unknown)?;
            if !trail.follow(record) {
                let session = record.apply_for(context, transition, trail.numbers)?;
                return Ok(record.admitted(session, trail.replaced_by()));
            }
        }
        Err(Refusal::Unknown.into())
    }

    /// [`Store::find`]. Looks at all records, one shard after the other.
    #[must_use]
    pub fn find(&self, fingerprint: &Fingerprint) -> Option<(TokenHash, Record)> {
        self.shards.iter().find_map(|shard| {
            let shard = lock(shard);
            let found = shard.iter().find(|(key, _)| key.0.fingerprint() == *fingerprint);
            found.map(|(key, record)| (key.0, record.clone()))
        })
    }

    /// [`Store::exchange`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`], [`StoreError::Duplicate`] or [`StoreError::Full`].
    pub fn exchange(
        &self,
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        new: &TokenHash,
        ttl: u64,
    ) -> Result<Arc<Grant>, StoreError> {
        self.succeed(hash, new, |record, known| {
            let known = known.map(|known| Arc::clone(known.grant()));
            let (grant, is_new) = exchanged(record, known, context, new, ttl)?;
            let successor = is_new.then(|| Record::from_shared(Arc::clone(&grant)));
            Ok((grant, successor))
        })
    }

    /// [`Store::replace`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`], [`StoreError::Duplicate`] or [`StoreError::Full`].
    pub fn replace(&self, old: &TokenHash, new: &TokenHash, now: UnixSeconds) -> Result<Arc<Grant>, StoreError> {
        self.succeed(old, new, |record, known| replaced(record, known.is_some(), new, now))
    }

    /// Changes the record of one token and keeps that of another one that `change` gives, both or neither. `change` is
    /// given the record that the new token has already.
    fn succeed(
        &self,
        hash: &TokenHash,
        new: &TokenHash,
        change: impl FnOnce(&mut Record, Option<&Record>) -> Result<(Arc<Grant>, Option<Record>), StoreError>,
    ) -> Result<Arc<Grant>, StoreError> {
        // Always in the same order, so that two calls cannot wait for each other.
        let (from, to) = (shard_of(hash), shard_of(new));
        let mut first = self.lock(from.min(to));
        let mut second = (from != to).then(|| self.lock(from.max(to)));
        let (of_hash, of_new) = match &mut second {
            None => (None, &mut *first),
            Some(second) if from < to => (Some(&mut *first), &mut **second),
            Some(second) => (Some(&mut **second), &mut *first),
        };
        // Of a shard with both, the token is looked up again for the change; the lock is held throughout.
        let mut after = {
            let own = of_hash.as_deref().unwrap_or(of_new).get(&Key(*hash));
            own.ok_or(Refusal::Unknown)?.clone()
        };
        let (grant, successor) = change(&mut after, of_new.get(&Key(*new)))?;
        if successor.is_some() {
            self.make_room()?;
        }
        let own = of_hash.unwrap_or(&mut *of_new).get_mut(&Key(*hash));
        if let Some(own) = own {
            *own = after;
        }
        if let Some(successor) = successor {
            of_new.insert(Key(*new), successor);
        }
        Ok(grant)
    }

    /// [`Store::revoke`]. Looks at all records, one shard after the other, unless it is for one token.
    pub fn revoke(&self, selector: &TokenSelector<'_>) -> usize {
        self.each(selector, |record| record.revoke())
    }

    /// [`Store::retarget`]. Looks at all records, one shard after the other, unless it is for one token.
    pub fn retarget(&self, selector: &TokenSelector<'_>, console: ConsoleType, target: &Target) -> usize {
        self.each(selector, |record| {
            let fits = record.grant().console == console;
            if fits {
                record.retarget(target.clone());
            }
            fits
        })
    }

    /// [`Store::sweep`]: one shard after the other, from where the last one has stopped.
    pub fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> usize {
        let batch = usize::try_from(batch.get()).unwrap_or(usize::MAX);
        let mut swept = 0_usize;
        for _ in 0..self.shards.len() {
            let mut shard = self.lock(self.swept.fetch_add(1, Ordering::Relaxed));
            let before = shard.len();
            shard.retain(|_, record| !record.is_over(now));
            let gone = before.saturating_sub(shard.len());
            // The memory of a rush is given back when it is over.
            if shard.len() < shard.capacity() / SPARSE {
                shard.shrink_to_fit();
            }
            drop(shard);
            self.len.fetch_sub(gone, Ordering::Relaxed);
            swept = swept.saturating_add(gone);
            if batch <= swept {
                return swept;
            }
        }
        let mut consoles = lock(&self.consoles);
        let before = consoles.len();
        consoles.retain(|_, leases| !leases.is_over(now));
        swept = swept.saturating_add(before.saturating_sub(consoles.len()));
        swept.saturating_add(lock(&self.notes).sweep(now))
    }

    /// [`Store::leases`].
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Full`].
    pub fn leases(
        &self,
        console: &str,
        now: UnixSeconds,
        rules: &LeaseRules,
        transition: LeaseTransition,
    ) -> Result<Vec<AttemptId>, StoreError> {
        let mut consoles = lock(&self.consoles);
        if let Some(leases) = consoles.get_mut(console) {
            let gone = leases.apply(now, rules, transition)?;
            if leases.holders().next().is_none() {
                consoles.remove(console);
            }
            return Ok(gone);
        }
        let mut leases = Leases::default();
        let gone = leases.apply(now, rules, transition)?;
        if leases.holders().next().is_some() {
            if self.limit <= consoles.len() {
                return Err(StoreError::Full { limit: self.limit });
            }
            consoles.insert(console.into(), leases);
        }
        Ok(gone)
    }

    /// [`Store::note`].
    #[must_use]
    pub fn note(&self, name: &str, now: UnixSeconds) -> Option<Note> {
        lock(&self.notes).get(name, now).cloned()
    }

    /// [`Store::notes`].
    #[must_use]
    pub fn notes(&self, prefix: &str, now: UnixSeconds) -> Vec<(Box<str>, Note)> {
        lock(&self.notes).list(prefix, now)
    }

    /// [`Store::set_note`].
    ///
    /// # Errors
    ///
    /// [`StoreError::NoteTooLong`] or [`StoreError::Full`].
    pub fn set_note(&self, name: &str, now: UnixSeconds, change: &NoteChange<'_>) -> Result<bool, StoreError> {
        lock(&self.notes).set(name, now, change)
    }

    fn each(&self, selector: &TokenSelector<'_>, mut change: impl FnMut(&mut Record) -> bool) -> usize {
        if let TokenSelector::Token(hash) = selector {
            return usize::from(self.shard(hash).get_mut(&Key(**hash)).is_some_and(change));
        }
        let mut changed = 0_usize;
        for shard in self.shards.iter() {
            let mut shard = lock(shard);
            let records = shard
                .iter_mut()
                .filter(|(key, record)| selector.names(&key.0, record.grant()));
            let changes = records.map(|(_, record)| change(record)).filter(|changed| *changed);
            changed = changed.saturating_add(changes.count());
        }
        changed
    }

    /// Counts a record that is about to be kept.
    fn make_room(&self) -> Result<(), StoreError> {
        let more = |len: usize| len.checked_add(1).filter(|len| *len <= self.limit);
        match self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Full { limit: self.limit }),
        }
    }

    fn shard(&self, hash: &TokenHash) -> MutexGuard<'_, Shard> {
        self.lock(shard_of(hash))
    }

    #[expect(clippy::indexing_slicing, reason = "a byte is less than 256")]
    fn lock(&self, shard: u8) -> MutexGuard<'_, Shard> {
        lock(&self.shards[usize::from(shard)])
    }
}

/// The last byte: the map inside goes by the first ones.
const fn shard_of(hash: &TokenHash) -> u8 {
    let [.., last] = hash.as_bytes();
    *last
}

/// A thread that panicked has left a record as it was, or changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now_or_never<'a, T: Send + 'a>(result: Result<T, StoreError<Infallible>>) -> Answer<'a, T> {
    Box::pin(ready(result.map_err(StoreError::widen)))
}

impl Store for MemoryStore {
    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()> {
        now_or_never(self.insert(hash, grant))
    }

    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>> {
        now_or_never(Ok(self.record(hash)))
    }

    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>> {
        now_or_never(self.check(hash, &context))
    }

    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted> {
        now_or_never(self.apply(hash, &context, transition))
    }

    fn exchange<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        new: &'a TokenHash,
        ttl: u64,
    ) -> Answer<'a, Arc<Grant>> {
        now_or_never(self.exchange(hash, &context, new, ttl))
    }

    fn find<'a>(&'a self, fingerprint: &'a Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>> {
        now_or_never(Ok(self.find(fingerprint)))
    }

    fn replace<'a>(&'a self, old: &'a TokenHash, new: &'a TokenHash, now: UnixSeconds) -> Answer<'a, Arc<Grant>> {
        now_or_never(self.replace(old, new, now))
    }

    fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<Note>> {
        now_or_never(Ok(self.note(name, now)))
    }

    fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, Note)>> {
        now_or_never(Ok(self.notes(prefix, now)))
    }

    fn set_note<'a>(&'a self, name: &'a str, now: UnixSeconds, change: NoteChange<'a>) -> Answer<'a, bool> {
        now_or_never(self.set_note(name, now, &change))
    }

    fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize> {
        now_or_never(Ok(self.revoke(&selector)))
    }

    fn retarget<'a>(
        &'a self,
        selector: TokenSelector<'a>,
        console: ConsoleType,
        target: &'a Target,
    ) -> Answer<'a, usize> {
        now_or_never(Ok(self.retarget(&selector, console, target)))
    }

    fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> Answer<'_, usize> {
        now_or_never(Ok(self.sweep(now, batch)))
    }

    fn leases<'a>(
        &'a self,
        console: &'a str,
        now: UnixSeconds,
        rules: &'a LeaseRules,
        transition: LeaseTransition,
    ) -> Answer<'a, Vec<AttemptId>> {
        now_or_never(self.leases(console, now, rules, transition))
    }
}

impl fmt::Debug for MemoryStore {
    /// Counts only: a store is too large for a log, and its targets are not for every reader of one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConsoleType, Target};

    /// Not visible from outside: the memory of swept records is given back.
    #[test]
    fn a_sweep_keeps_no_memory() {
        let store = MemoryStore::new(10_000);
        for number in 0..10_000_u32 {
            let mut bytes = [0; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            bytes[31] = bytes[0];
            let target = Target::Unix {
                path: "/run/console".into(),
            };
            let grant = Grant::new(target, ConsoleType::NoVnc, UnixSeconds(0), 1);
            store.insert(&TokenHash::from_bytes(bytes), &grant).unwrap();
        }
        let capacity = || store.shards.iter().map(|shard| lock(shard).capacity()).sum::<usize>();
        assert!(10_000 <= capacity());
        assert_eq!(store.sweep(UnixSeconds(1), NonZeroU32::MAX), 10_000);
        assert_eq!(capacity(), 0);
    }

    /// A sweep that waits for one shard holds no other.
    #[test]
    fn a_sweep_holds_one_lock_at_a_time() {
        let store = MemoryStore::new(1);
        let held = store.lock(7);
        std::thread::scope(|scope| {
            let sweep = scope.spawn(|| store.sweep(UnixSeconds(1), NonZeroU32::MAX));
            // It has gone past the seventh shard, or stands before it.
            while store.swept.load(Ordering::Relaxed) != 8 {
                std::thread::yield_now();
            }
            for (number, shard) in store.shards.iter().enumerate() {
                // Before it stands there, it may just leave the one before.
                let free = || shard.try_lock().is_ok();
                assert_eq!(number != 7, (0..1000).any(|_| free()), "{number}");
            }
            assert!(!sweep.is_finished());
            drop(held);
        });
    }
}
