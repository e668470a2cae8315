//! Notes in the memory of one process.

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::ops::Bound;

use crate::{Note, NoteChange, StoreError, UnixSeconds};

/// At most `limit` notes.
pub(super) struct Notes {
    /// In the order of the bytes of their names.
    notes: BTreeMap<Box<str>, Note>,
    limit: usize,
    /// Of the last write.
    version: u64,
}

impl Notes {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            notes: BTreeMap::new(),
            limit,
            version: 0,
        }
    }

    pub(super) fn get(&self, name: &str, now: UnixSeconds) -> Option<&Note> {
        self.notes.get(name).filter(|note| !note.is_over(now))
    }

    pub(super) fn list(&self, prefix: &str, now: UnixSeconds) -> Vec<(Box<str>, Note)> {
        let from = self.notes.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let named = from.take_while(|(name, _)| name.starts_with(prefix));
        let live = named.filter(|(_, note)| !note.is_over(now));
        live.take(Note::LISTED_MAX)
            .map(|(name, note)| (name.clone(), note.clone()))
            .collect()
    }

    pub(super) fn set(&mut self, name: &str, now: UnixSeconds, change: &NoteChange<'_>) -> Result<bool, StoreError> {
        change.check(name)?;
        let version = self.get(name, now).map_or(0, |note| note.version);
        if change.expected.is_some_and(|expected| expected != version) {
            return Ok(false);
        }
        let Some(value) = change.value else {
            self.notes.remove(name);
            return Ok(true);
        };
        if self.limit <= self.notes.len() && !self.notes.contains_key(name) {
            return Err(StoreError::Full { limit: self.limit });
        }
        self.version = self.version.saturating_add(1);
        let note = Note {
            value: value.to_vec(),
            version: self.version,
            until: change.until,
        };
        self.notes.insert(name.into(), note);
        Ok(true)
    }

    /// How many were over.
    pub(super) fn sweep(&mut self, now: UnixSeconds) -> usize {
        let before = self.notes.len();
        self.notes.retain(|_, note| !note.is_over(now));
        before.saturating_sub(self.notes.len())
    }
}
