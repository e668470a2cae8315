//! Secrets: bytes that are never printed and that are overwritten when dropped.

use alloc::vec::Vec;
use core::fmt;

use crate::wiped::Wiped;

/// A secret of a connection file, with a redacted `Debug`. Its bytes are overwritten when it is dropped.
///
/// `Clone` and comparison are not implemented, so that the caller copies and compares secrets explicitly.
pub struct Secret(Wiped);

impl Secret {
    /// Takes ownership of the bytes; they are overwritten when the secret is dropped.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Wiped::new(bytes.into()))
    }

    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
