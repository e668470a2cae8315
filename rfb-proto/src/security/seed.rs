//! Random numbers of a log-in, all from the caller.

use alloc::boxed::Box;
use core::fmt;

use zeroize::Zeroizing;

/// Bytes of a [`Seed`].
pub const SEED_LEN: usize = 32;

/// 32 bytes from a cryptographically secure source, for one log-in. All random numbers of that log-in are derived from
/// it: private exponents, nonces, padding.
///
/// A seed that is used twice makes two log-ins share their keys. Its memory is overwritten when it is dropped, and
/// `Debug` shows nothing of it.
pub struct Seed(
    #[cfg_attr(
        not(any(feature = "rsa-aes", feature = "ard", feature = "ms-logon")),
        allow(dead_code, reason = "nothing is derived from it without a log-in that needs it")
    )]
    Box<Zeroizing<[u8; SEED_LEN]>>,
);

impl Seed {
    /// A seed of these bytes.
    #[must_use]
    pub fn new(bytes: [u8; SEED_LEN]) -> Self {
        Self(Box::new(Zeroizing::new(bytes)))
    }

    /// For a machine that goes on with it later.
    #[cfg(feature = "rsa-aes")]
    pub(crate) fn copy(&self) -> Self {
        Self(self.0.clone())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Why user and password cannot be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// One of them is too long for its field, or has a NUL in it.
    #[error("user or password is too long for its field, or has a NUL in it")]
    TooLong,
    /// The peer's public value gives the same secret for everybody.
    #[error("the peer's public value gives no secret")]
    NoSecret,
}

#[cfg(any(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
pub(crate) use expand::Expand;

#[cfg(any(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod expand {
    use sha2::{Digest as _, Sha256};
    use zeroize::Zeroizing;

    use super::Seed;

    /// Bytes of one block.
    const BLOCK: usize = 32;

    /// A stream of random bytes: SHA-256 over the seed, the purpose and a counter, one block after the other.
    pub(crate) struct Expand<'a> {
        seed: &'a Seed,
        purpose: &'static [u8],
        counter: u64,
        block: Zeroizing<[u8; BLOCK]>,
        /// Bytes of the block that were handed out.
        used: usize,
    }

    impl<'a> Expand<'a> {
        /// Streams for different purposes are independent of each other.
        pub(crate) fn new(seed: &'a Seed, purpose: &'static [u8]) -> Self {
            Self {
                seed,
                purpose,
                counter: 0,
                block: Zeroizing::new([0; BLOCK]),
                used: BLOCK,
            }
        }

        fn next(&mut self) -> u8 {
            if self.block.len() <= self.used {
                let hash = Sha256::new()
                    .chain_update(**self.seed.0)
                    .chain_update(self.counter.to_be_bytes())
                    .chain_update(self.purpose);
                self.block.copy_from_slice(&hash.finalize());
                self.counter = self.counter.wrapping_add(1);
                self.used = 0;
            }
            let byte = self.block.get(self.used).copied().unwrap_or(0);
            self.used = self.used.saturating_add(1);
            byte
        }

        pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
            for byte in bytes {
                *byte = self.next();
            }
        }

        pub(crate) fn block<const N: usize>(&mut self) -> Zeroizing<[u8; N]> {
            let mut bytes = Zeroizing::new([0; N]);
            self.fill(&mut *bytes);
            bytes
        }
    }

    #[cfg(feature = "rsa-aes")]
    impl rsa::rand_core::RngCore for Expand<'_> {
        fn next_u32(&mut self) -> u32 {
            u32::from_be_bytes(*self.block())
        }

        fn next_u64(&mut self) -> u64 {
            u64::from_be_bytes(*self.block())
        }

        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            self.fill(bytes);
        }

        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
            self.fill(bytes);
            Ok(())
        }
    }

    #[cfg(feature = "rsa-aes")]
    impl rsa::rand_core::CryptoRng for Expand<'_> {}
}

/// Puts a text and a NUL at the front of a field that was filled with random bytes. `None`: there is no room, or the text
/// has a NUL in it.
#[cfg(any(feature = "ard", feature = "ms-logon"))]
pub(crate) fn put_text(field: &mut [u8], text: &[u8]) -> Option<()> {
    if text.contains(&0) {
        return None;
    }
    field.get_mut(..text.len())?.copy_from_slice(text);
    *field.get_mut(text.len())? = 0;
    Some(())
}

/// The texts in two fields. `None`: one of them does not end.
#[cfg(any(feature = "ard", feature = "ms-logon"))]
pub(crate) fn credentials(user: &[u8], password: &[u8]) -> Option<super::plain::Credentials> {
    let text = |field: &'_ [u8]| field.iter().position(|&byte| byte == 0);
    let (user, password) = (user.get(..text(user)?)?, password.get(..text(password)?)?);
    Some(super::plain::Credentials {
        user: bytes::Bytes::copy_from_slice(user),
        password: super::Secret::new(password),
    })
}
