//! Records in the memory of one process.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{convert::Infallible, fmt};

use crate::{Admitted, Fingerprint, Grant, Record, Refusal, SessionId, Store, StoreError, TokenHash, UnixSeconds};

/// A bounded store for one process, gone with it.
///
/// It has no lock of its own: every change takes `&mut self`, so the borrow is the atomicity.
/// Threads share it behind a mutex.
///
/// Nothing leaves it by itself, because it has no clock: call [`purge`](Self::purge) from time to
/// time, and when it is full.
///
/// The search goes by the [`Fingerprint`], which is no secret, and takes a time that depends on
/// it; the whole hash is then compared in constant time.
pub struct MemoryStore {
    /// INVARIANT: no list is empty; hardly any has more than one entry.
    entries: BTreeMap<Fingerprint, Vec<Entry>>,
    /// INVARIANT: the number of entries in all lists, at most `limit`.
    len: usize,
    limit: usize,
}

struct Entry {
    hash: TokenHash,
    record: Record,
}

impl MemoryStore {
    /// A store for at most `limit` records. Memory is taken as records come.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            len: 0,
            limit,
        }
    }

    /// How many records it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no record.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The record of a token, to be looked at.
    #[must_use]
    pub fn record(&self, hash: &TokenHash) -> Option<&Record> {
        let list = self.entries.get(&hash.fingerprint())?;
        list.iter().find(|entry| entry.hash == *hash).map(|entry| &entry.record)
    }

    /// Drops the records that have expired and have no open session, and says how many.
    ///
    /// Their tokens are unknown from then on. Takes a time proportional to the number of records.
    pub fn purge(&mut self, now: UnixSeconds) -> usize {
        let before = self.len;
        self.entries.retain(|_, list| {
            list.retain(|entry| !entry.record.is_over(now));
            !list.is_empty()
        });
        self.len = self.entries.values().map(Vec::len).sum();
        before.saturating_sub(self.len)
    }

    fn record_mut(&mut self, hash: &TokenHash) -> Result<&mut Record, Refusal> {
        let list = self.entries.get_mut(&hash.fingerprint()).ok_or(Refusal::Unknown)?;
        let entry = list
            .iter_mut()
            .find(|entry| entry.hash == *hash)
            .ok_or(Refusal::Unknown)?;
        Ok(&mut entry.record)
    }
}

impl Store for MemoryStore {
    type Backend = Infallible;

    fn insert(&mut self, hash: TokenHash, grant: Grant) -> Result<(), StoreError> {
        if self.record(&hash).is_some() {
            return Err(StoreError::Duplicate);
        }
        if self.limit <= self.len {
            return Err(StoreError::Full { limit: self.limit });
        }
        let entry = Entry {
            hash,
            record: Record::new(grant),
        };
        self.entries.entry(hash.fingerprint()).or_default().push(entry);
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    fn check(&mut self, hash: &TokenHash, now: UnixSeconds) -> Result<Grant, StoreError> {
        let record = self.record_mut(hash)?;
        record.check(now)?;
        Ok(record.grant().clone())
    }

    fn redeem(&mut self, hash: &TokenHash, now: UnixSeconds) -> Result<Grant, StoreError> {
        let record = self.record_mut(hash)?;
        record.redeem(now)?;
        Ok(record.grant().clone())
    }

    fn claim(&mut self, hash: &TokenHash, now: UnixSeconds) -> Result<Admitted, StoreError> {
        let record = self.record_mut(hash)?;
        let session = record.claim(now)?;
        Ok(Admitted {
            session,
            grant: record.grant().clone(),
        })
    }

    fn bind(&mut self, hash: &TokenHash, session: SessionId, connection_id: u32) -> Result<(), StoreError> {
        Ok(self.record_mut(hash)?.bind(session, connection_id)?)
    }

    fn release(&mut self, hash: &TokenHash, session: SessionId) -> Result<(), StoreError> {
        Ok(self.record_mut(hash)?.release(session)?)
    }

    fn join(&mut self, hash: &TokenHash, now: UnixSeconds, connection_id: u32) -> Result<Admitted, StoreError> {
        let record = self.record_mut(hash)?;
        let session = record.join(now, connection_id)?;
        Ok(Admitted {
            session,
            grant: record.grant().clone(),
        })
    }

    fn close(&mut self, hash: &TokenHash, session: SessionId) -> Result<(), StoreError> {
        Ok(self.record_mut(hash)?.close(session)?)
    }
}

impl fmt::Debug for MemoryStore {
    /// Counts only: a store is too large for a log, and its targets are nobody else's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ConsoleType, Target};

    /// Not visible from outside: empty lists would make the memory grow with every token ever kept.
    #[test]
    fn purge_keeps_no_empty_list() {
        let mut store = MemoryStore::new(1);
        for byte in 0..=u8::MAX {
            let target = Target::Unix {
                path: "/run/console".into(),
            };
            let grant = Grant::new(target, ConsoleType::NoVnc, UnixSeconds(0), 1);
            store.insert(TokenHash::from_bytes([byte; 32]), grant).unwrap();
            assert_eq!(store.entries.len(), 1);
            assert_eq!(store.purge(UnixSeconds(1)), 1);
            assert_eq!(store.entries.len(), 0);
        }
    }
}
