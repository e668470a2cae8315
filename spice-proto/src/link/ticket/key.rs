//! Sealing and opening, and the keys for it, with the rsa crate.

use alloc::vec::Vec;
use core::fmt;

use rsa::pkcs8::{DecodePublicKey, EncodePublicKey};
use rsa::traits::PublicKeyParts;
use rsa::{Oaep, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use zeroize::{Zeroize as _, Zeroizing};

use super::{MAX_PASSWORD_LEN, OAEP_SEED_LEN, PublicKey, SealedTicket, Secret, TicketError};
use crate::error::CryptoError;

/// RSA modulus.
const KEY_BITS: usize = 1024;

impl PublicKey {
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

/// OAEP asks for its seed once and in one piece.
fn take_seed(seed: &mut [u8; OAEP_SEED_LEN], out: &mut [u8]) {
    for (out, seed) in out.iter_mut().zip(seed.iter_mut()) {
        *out = core::mem::take(seed);
    }
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
    /// [`tracker::ticket_text`](crate::session::tracker::ticket_text) refuses one with more behind a NUL, which no viewer
    /// sends and of which [`Key::open`] gives the first part.
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
