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
//! server that makes keys on demand can be kept busy by strangers. [`KeyPool`](super::KeyPool) has them ready.
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

use alloc::vec::Vec;
use core::fmt;

use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, Zeroizing};

use crate::error::CryptoError;
use crate::link::messages::{PUBLIC_KEY_LEN, SEALED_TICKET_LEN};

/// Largest password: spice-gtk refuses longer ones before it connects, spice-server when they are set.
pub const MAX_PASSWORD_LEN: usize = 60;
/// Bytes of randomness that sealing takes.
pub const OAEP_SEED_LEN: usize = 20;
/// RSA modulus.
const KEY_BITS: usize = 1024;

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

/// The caller's random bytes for one sealing. With them guesses of the password can be tested.
pub(crate) struct Seed(Zeroizing<[u8; OAEP_SEED_LEN]>);

impl Seed {
    pub(crate) fn new(bytes: [u8; OAEP_SEED_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, which are then gone: a seed is used once.
    pub(crate) fn take(&mut self) -> [u8; OAEP_SEED_LEN] {
        core::mem::take(&mut *self.0)
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
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

    /// Seals a password. `seed` must be fresh and random for each ticket.
    ///
    /// # Errors
    /// No RSA-1024 key (a peer's key is checked here), or a password above [`MAX_PASSWORD_LEN`] or with
    /// a NUL in it, which the other side would cut off.
    pub fn seal(&self, password: &[u8], seed: [u8; OAEP_SEED_LEN]) -> Result<SealedTicket, CryptoError> {
        if MAX_PASSWORD_LEN < password.len() || password.contains(&0) {
            return Err(CryptoError);
        }
        let key = RsaPublicKey::from_public_key_der(&self.0).map_err(|_| CryptoError)?;
        // A hostile modulus may be zero, even or short; rsa checks the exponent only.
        let odd = key.n().to_bytes_le().first().is_some_and(|low| low & 1 == 1);
        if key.n().bits() != KEY_BITS || !odd {
            return Err(CryptoError);
        }
        let mut plain = Zeroizing::new([0; MAX_PASSWORD_LEN + 1]);
        let (text, _nul) = plain.split_at_mut(password.len());
        text.copy_from_slice(password);
        let plain = plain.get(..=password.len()).ok_or(CryptoError)?;
        let mut seed = Zeroizing::new(seed);
        let sealed = key.encrypt(
            &mut Random(&mut |out| take_seed(&mut seed, out)),
            Oaep::new::<Sha1>(),
            plain,
        );
        let sealed = sealed.map_err(|_| CryptoError)?;
        sealed.try_into().map(SealedTicket).map_err(|_| CryptoError)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(RSA-1024)")
    }
}

/// OAEP asks for its seed once and in one piece.
fn take_seed(seed: &mut [u8; OAEP_SEED_LEN], out: &mut [u8]) {
    for (out, seed) in out.iter_mut().zip(seed.iter_mut()) {
        *out = core::mem::take(seed);
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
    /// The same ticket was shown before, on another link with the same key ([`KeyPool`](super::KeyPool)).
    #[error("ticket was shown before")]
    Replayed,
}

/// A private key for tickets.
pub struct Key {
    private: RsaPrivateKey,
    public: PublicKey,
}

impl Key {
    /// Makes a key from the caller's random bytes. Takes milliseconds to tens of milliseconds.
    ///
    /// # Errors
    /// The random source gave bytes from which no key can be made.
    pub fn generate(random: &mut dyn FnMut(&mut [u8])) -> Result<Self, CryptoError> {
        let private = RsaPrivateKey::new(&mut Random(random), KEY_BITS).map_err(|_| CryptoError)?;
        let der = private.to_public_key().to_public_key_der().map_err(|_| CryptoError)?;
        let public = PublicKey(der.as_bytes().try_into().map_err(|_| CryptoError)?);
        Ok(Self { private, public })
    }

    /// The public half, for the link reply.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Opens a ticket: the bytes up to the first NUL, as spice-server compares them. The private
    /// operation is blinded with the caller's random bytes.
    ///
    /// # Errors
    /// [`TicketError`]; the peer must not learn which.
    pub fn open(&self, sealed: &SealedTicket, random: &mut dyn FnMut(&mut [u8])) -> Result<Secret, TicketError> {
        let plain = self.decrypt(sealed, random)?;
        let password = plain.split(|byte| *byte == 0).next().unwrap_or_default();
        if MAX_PASSWORD_LEN < password.len() {
            return Err(TicketError::TooLong);
        }
        Ok(Secret::new(password))
    }

    /// Opens a ticket as it is, up to 86 bytes with the NUL at its end and whatever stands behind an earlier one.
    /// A password is more than its first part only to who says so:
    /// [`tracker::ticket_text`](crate::session::tracker::ticket_text) refuses what no viewer sends.
    ///
    /// # Errors
    /// [`TicketError::Undecryptable`].
    pub fn open_whole(&self, sealed: &SealedTicket, random: &mut dyn FnMut(&mut [u8])) -> Result<Secret, TicketError> {
        Ok(Secret::new(&self.decrypt(sealed, random)?))
    }

    fn decrypt(
        &self,
        sealed: &SealedTicket,
        random: &mut dyn FnMut(&mut [u8]),
    ) -> Result<Zeroizing<Vec<u8>>, TicketError> {
        let plain = self
            .private
            .decrypt_blinded(&mut Random(random), Oaep::new::<Sha1>(), &sealed.0);
        plain.map(Zeroizing::new).map_err(|_| TicketError::Undecryptable)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(RSA-1024)")
    }
}

/// The caller's random bytes in the shape that rsa wants.
struct Random<'a>(&'a mut dyn FnMut(&mut [u8]));

impl rsa::rand_core::RngCore for Random<'_> {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.zeroize();
        (self.0)(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rsa::rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl rsa::rand_core::CryptoRng for Random<'_> {}
