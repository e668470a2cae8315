//! A bounded table of counts, which forgets the one that was looked at longest ago.

use alloc::collections::BTreeMap;
use core::num::NonZeroUsize;

use sha2::{Digest, Sha256};

use crate::{Source, UnixSeconds};

/// Bytes of an account's hash.
const ACCOUNT_LEN: usize = 16;

/// What is counted: attempts of a source, or of a source at an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    source: Source,
    account: Option<[u8; ACCOUNT_LEN]>,
}

impl Key {
    pub(super) const fn of_source(source: Source) -> Self {
        Self { source, account: None }
    }

    /// Names of accounts come from strangers, of any length; their hash has one length.
    pub(super) fn of_account(source: Source, account: &[u8]) -> Self {
        let digest: [u8; 32] = Sha256::digest(account).into();
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; ACCOUNT_LEN], &[]));
        Self {
            source,
            account: Some(*first),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Count {
    /// When all attempts will be back.
    full_at: UnixSeconds,
    /// The number of the last look.
    looked: u64,
}

/// INVARIANT: each count is once in `by_look`, under the number of its last look.
#[derive(Clone, Debug)]
pub(super) struct Table {
    counts: BTreeMap<Key, Count>,
    by_look: BTreeMap<u64, Key>,
    looks: u64,
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            counts: BTreeMap::new(),
            by_look: BTreeMap::new(),
            looks: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// When all attempts will be back, as far as it is known. Looking keeps the count from being forgotten.
    pub(super) fn look(&mut self, key: Key) -> Option<UnixSeconds> {
        let looked = self.next_look();
        let count = self.counts.get_mut(&key)?;
        self.by_look.remove(&count.looked);
        self.by_look.insert(looked, key);
        count.looked = looked;
        Some(count.full_at)
    }

    pub(super) fn set(&mut self, key: Key, full_at: UnixSeconds, limit: NonZeroUsize) {
        let looked = self.next_look();
        if let Some(before) = self.counts.insert(key, Count { full_at, looked }) {
            self.by_look.remove(&before.looked);
        }
        self.by_look.insert(looked, key);
        while limit.get() < self.counts.len() {
            self.forget_first();
        }
    }

    pub(super) fn give_back(&mut self, key: Key, seconds: u64) {
        if let Some(count) = self.counts.get_mut(&key) {
            count.full_at = count.full_at.saturating_sub(seconds);
        }
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(count) = self.counts.remove(&key) {
            self.by_look.remove(&count.looked);
        }
    }

    /// Forgets counts that are back at their start: more than an attempt makes, and few, so that no call is dear.
    pub(super) fn forget_full(&mut self, now: UnixSeconds) {
        /// An attempt makes two.
        const AT_ONCE: usize = 3;
        for _ in 0..AT_ONCE {
            let first = self.by_look.first_key_value().and_then(|(_, key)| self.counts.get(key));
            if first.is_some_and(|count| count.full_at <= now) {
                self.forget_first();
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.by_look.pop_first() {
            self.counts.remove(&key);
        }
    }

    fn next_look(&mut self) -> u64 {
        self.looks = self.looks.wrapping_add(1);
        self.looks
    }
}
