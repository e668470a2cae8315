//! Tickets: a password sealed with RSA.
//!
//! `RSA-1024, OAEP with SHA-1 and MGF1-SHA-1, empty label`, over the password and one NUL. The key comes
//! in the link reply; spice-server makes a fresh one for each link.
//!
//! Randomness is the caller's, and so are the keys. The machines in [`crate::link`] hold public keys only and ask
//! with the sealed ticket, which is opened wherever the private half is: with [`Key::open`], which is blinded, or
//! by another implementation or a device, whose public key comes in by [`PublicKey::from_der`].
//!
//! A key is needed for each link before the client has proved anything, and [`Key::generate`] costs milliseconds: a
//! server that makes keys on demand can be kept busy by strangers. [`KeyPool`] has them ready.
//!
//! Sealing, opening and making keys is the default feature `rsa`. Without it the types of this module are there, for
//! what reads links, and for a [`ServerLink`] whose tickets another implementation opens.
//!
//! # Unoptimised builds
//!
//! The figures below are those of optimised code. In a build with the profile `dev` a key takes 0.8 s, and a test or a
//! proxy seems to hang. These lines in the `Cargo.toml` of the program (of its workspace) make it as fast as in a
//! release; a profile of this crate would have no effect there:
//!
//! ```toml
//! [profile.dev.package.num-bigint-dig] # the arithmetic of rsa
//! opt-level = 3
//! ```
//!
//! # Which RSA
//!
//! Processor time of one key and of one opened ticket, the mean of 200 of each, made in turns in one run:
//!
//! | | Key | Opened |
//! |---|---|---|
//! | rsa 0.9.10 | 35.7 ms | 0.70 ms |
//! | rsa 0.10.0-rc.20 | 10.0 ms | 0.59 ms |
//! | OpenSSL 3.0.22 | 15.2 ms | 0.43 ms |
//!
//! It is rsa 0.9 here. Keys come from a pool, so that no link waits for those 36 ms, and one serves many links when
//! more come than keys are made. The next rsa is the better one as soon as it
//! is released: a library cannot ask its users for a candidate, whose sha1, digest and rand_core are of another
//! generation than everybody else's. OpenSSL is a C library, which a crate without `std` and without unsafe code cannot
//! link; a program that has it anyway can make its keys there, see above.

#[cfg(feature = "rsa")]
mod key;
mod unsealed;

#[cfg(feature = "rsa")]
pub use key::Key;
pub(crate) use unsealed::Unsealed;

use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

#[cfg(doc)]
use super::{KeyPool, ServerLink};
use crate::link::messages::{PUBLIC_KEY_LEN, SEALED_TICKET_LEN};

/// Largest password: spice-gtk refuses longer ones before it connects, spice-server when they are set.
pub const MAX_PASSWORD_LEN: usize = 60;
/// Bytes of randomness that sealing takes.
pub const OAEP_SEED_LEN: usize = 20;

/// Bytes that must not be seen: zeroed when dropped, not shown, not copied by accident, compared in a time
/// that tells only their lengths.
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// A copy of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes. What is done with them is now the caller's to answer for.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose().ct_eq(other.expose()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// A ticket as it stands on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedTicket(pub [u8; SEALED_TICKET_LEN]);

impl fmt::Debug for SealedTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedTicket(..)")
    }
}

/// The public half, as a link reply carries it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_KEY_LEN]);

impl PublicKey {
    /// The key as DER, for an implementation of [`Key`] that lives elsewhere.
    #[must_use]
    pub const fn from_der(der: [u8; PUBLIC_KEY_LEN]) -> Self {
        Self(der)
    }

    /// The key as DER `SubjectPublicKeyInfo`.
    #[must_use]
    pub const fn as_der(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(RSA-1024)")
    }
}

/// Why a ticket gives no password. All are answered alike; the difference is for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TicketError {
    /// It was not sealed with this key.
    #[error("ticket does not decrypt")]
    Undecryptable,
    /// The password is above [`MAX_PASSWORD_LEN`].
    #[error("password in the ticket is too long")]
    TooLong,
    /// The same ticket was shown before, on another link with the same key ([`KeyPool`]).
    #[error("ticket was shown before")]
    Replayed,
}
