//! What an operation gave, in few bytes: peers that are other programs say it so.

use std::fmt;

/// FNV-1a of 64 bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest(u64);

impl Digest {
    pub const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// Of these bytes alone.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::new();
        digest.add(bytes);
        digest
    }

    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// A string, and its end; or that there is none.
    pub fn add_string(&mut self, string: Option<&[u8]>) {
        self.add(string.unwrap_or(b"\xfe"));
        self.add(b"\xff");
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
