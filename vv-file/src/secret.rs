//! Bytes that are not to be printed and not to stay in memory.

use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

/// A secret out of a file or on its way into one: redacted `Debug`, overwritten when dropped.
///
/// There is no `Clone` and no comparison: each copy, and each look, is one that the caller wrote.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over; they are overwritten when the secret is dropped.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Zeroizing::new(bytes.into()))
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
