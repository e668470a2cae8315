//! Notes: small values that the gateways of one store share beside grants and leases.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroize as _;

#[cfg(feature = "std")]
use crate::StoreError;
use crate::UnixSeconds;

/// A small value that a store keeps under a name, until a time.
///
/// What gateways of one store have to know of each other's consoles and no grant says: which sessions are open where,
/// which ticket a hypervisor has now. The value is opaque to the store. It may be a secret: `Debug` shows its length
/// only, and its memory is overwritten when the note is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Note {
    /// What was written.
    pub value: Vec<u8>,
    /// Changes with each write, and is not used again under this name, also not after the note was removed. Never 0.
    pub version: u64,
    /// The first second in which the note is no longer there.
    pub until: UnixSeconds,
}

impl Note {
    /// The longest name, in bytes.
    pub const NAME_MAX: usize = 255;

    /// The longest value, in bytes: 64 KiB.
    pub const VALUE_MAX: usize = 64 << 10;

    /// The most notes that one answer lists.
    pub const LISTED_MAX: usize = 10_000;

    #[cfg(feature = "std")]
    pub(crate) fn is_over(&self, now: UnixSeconds) -> bool {
        self.until <= now
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl fmt::Debug for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Note")
            .field("len", &self.value.len())
            .field("version", &self.version)
            .field("until", &self.until)
            .finish()
    }
}

/// A write to a note: compare and set.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct NoteChange<'a> {
    /// The version that has to be there: `Some(0)`, that there is no note. `None`: whatever is there.
    pub expected: Option<u64>,
    /// What is written. `None`: the note is removed.
    pub value: Option<&'a [u8]>,
    /// The first second in which it is no longer there.
    pub until: UnixSeconds,
}

impl<'a> NoteChange<'a> {
    /// Writes this value, whatever was there.
    #[must_use]
    pub const fn write(value: &'a [u8], until: UnixSeconds) -> Self {
        Self {
            expected: None,
            value: Some(value),
            until,
        }
    }

    /// Removes the note, whatever was there.
    #[must_use]
    pub const fn remove() -> Self {
        Self {
            expected: None,
            value: None,
            until: UnixSeconds(0),
        }
    }

    /// Only if the note has this version; with 0, only if there is none.
    #[must_use]
    pub const fn expecting(mut self, version: u64) -> Self {
        self.expected = Some(version);
        self
    }

    /// Whether a store takes it.
    #[cfg(feature = "std")]
    pub(crate) fn check<B>(&self, name: &str) -> Result<(), StoreError<B>> {
        let len = self.value.map_or(0, <[u8]>::len);
        if Note::NAME_MAX < name.len() || Note::VALUE_MAX < len {
            return Err(StoreError::NoteTooLong);
        }
        Ok(())
    }
}

impl fmt::Debug for NoteChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteChange")
            .field("expected", &self.expected)
            .field("len", &self.value.map(<[u8]>::len))
            .field("until", &self.until)
            .finish()
    }
}
