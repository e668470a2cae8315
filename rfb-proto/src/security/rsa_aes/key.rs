//! RSA: keys of one's own, and sealing for the peer's.

use alloc::vec;
use core::fmt;

use bytes::Bytes;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Encrypt, RsaPrivateKey, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::public::{MIN_KEY_BITS, Pin, PublicKey, Strength};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::fields::Encode as _;
use crate::security::seed::Expand;
use crate::security::{Secret, Seed};

/// Most bits of a key of one's own: what other programs take.
const MAX_KEY_BITS: u32 = 8192;

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither PKCS#8 nor PKCS#1, encrypted, or the numbers in it are not those of a key.
    #[error("no RSA private key in PKCS#8 or PKCS#1")]
    Unreadable,
    /// Below 1024 bits, or above 8192.
    #[error("an RSA key of {0} bits; 1024 to 8192 are taken")]
    Length(u32),
}

/// An RSA key of one's own.
///
/// Its memory is overwritten when it is dropped, and `Debug` shows nothing of it.
pub struct Key {
    private: RsaPrivateKey,
    public: PublicKey,
}

impl Key {
    /// Reads a key in DER, PKCS#8 or PKCS#1, not encrypted.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let private = RsaPrivateKey::from_pkcs8_der(der).or_else(|_| RsaPrivateKey::from_pkcs1_der(der).map_err(drop));
        Self::new(private.map_err(|()| KeyError::Unreadable)?)
    }

    /// The same in PEM: what `openssl genrsa` writes, and the file of Xvnc's parameter `RSAKey`.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let private = RsaPrivateKey::from_pkcs8_pem(pem).or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem).map_err(drop));
        Self::new(private.map_err(|()| KeyError::Unreadable)?)
    }

    /// Makes a key. That of a client is made for one connection; 2048 bits take some tenths of a second.
    ///
    /// # Errors
    /// [`KeyError::Length`].
    pub fn generate(bits: u32, seed: &Seed) -> Result<Self, KeyError> {
        let size = usize::try_from(bits).ok();
        let size = size.filter(|_| (MIN_KEY_BITS..=MAX_KEY_BITS).contains(&bits));
        let size = size.ok_or(KeyError::Length(bits))?;
        let private = RsaPrivateKey::new(&mut Expand::new(seed, b"RSA key"), size);
        Self::new(private.map_err(|_| KeyError::Length(bits))?)
    }

    fn new(private: RsaPrivateKey) -> Result<Self, KeyError> {
        let (modulus, exponent) = (private.n().to_bytes_be(), private.e().to_bytes_be());
        let bits = u32::try_from(private.n().bits()).unwrap_or(u32::MAX);
        if !(MIN_KEY_BITS..=MAX_KEY_BITS).contains(&bits) {
            return Err(KeyError::Length(bits));
        }
        let mut padded = vec![0; modulus.len().saturating_sub(exponent.len())];
        padded.extend_from_slice(&exponent);
        let public = PublicKey {
            bits,
            modulus: modulus.into(),
            exponent: padded.into(),
        };
        Ok(Self { private, public })
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Opens what the peer has sealed for this key: the answer to the question `RsaAesOpen`. It takes milliseconds with
    /// 2048 bits, and eight times as long with twice as many.
    ///
    /// What cannot be opened gives a number that the peer does not know, and nothing tells one from the other but that
    /// the next message of the peer is not authentic. `seed` is the one of this log-in.
    #[must_use]
    pub fn open(&self, sealed: &[u8], strength: Strength, seed: &Seed) -> Secret {
        let mut random = Expand::new(seed, b"RSA blinding");
        let opened = self.private.decrypt_blinded(&mut random, Pkcs1v15Encrypt, sealed);
        let opened = opened.map(zeroize::Zeroizing::new);
        let mut unknown = Expand::new(seed, b"RSA rejection").block::<32>();
        let length = strength.random_len();
        match opened {
            Ok(opened) if opened.len() == length => Secret::new(&opened),
            _ => {
                let hash = Sha256::new().chain_update(*unknown).chain_update(sealed).finalize();
                unknown.copy_from_slice(&hash);
                Secret::new(unknown.get(..length).unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl PublicKey {
    /// The fingerprint that TigerVNC and RealVNC show, as `58-71-1e-c4-3e-ef-4b-84`: the first 8 bytes of SHA-1. It is
    /// good for comparing by eye; to pin a key take [`sha256`](Self::sha256).
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 8] {
        let hash: [u8; 20] = self.hashed::<Sha1>(None).into();
        hash.first_chunk().copied().unwrap_or_default()
    }

    /// SHA-256 over the key as it is on the wire: length, modulus, exponent.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.hashed::<Sha256>(None).into()
    }

    /// A hash over the key, and another one behind it.
    pub(super) fn hashed<D: sha2::Digest>(&self, other: Option<&Self>) -> sha2::digest::Output<D> {
        let mut bytes = bytes::BytesMut::new();
        for key in [Some(self), other].into_iter().flatten() {
            // INVARIANT: a key can always be written.
            let _ = key.write(&mut bytes);
        }
        D::digest(&bytes)
    }

    /// Seals a message of a few bytes for the owner of the key.
    pub(super) fn seal(&self, message: &[u8], random: &mut Expand<'_>) -> Result<Bytes, DecodeError> {
        let number = |bytes: &[u8]| BigUint::from_bytes_be(bytes);
        // The limit on its length has been looked at.
        let max = usize::try_from(self.bits).unwrap_or(usize::MAX);
        let key = RsaPublicKey::new_with_max_size(number(&self.modulus), number(&self.exponent), max);
        let sealed = key.and_then(|key| key.encrypt(random, Pkcs1v15Encrypt, message));
        let sealed = sealed.map_err(|_| DecodeError {
            message: "PublicKey",
            field: "modulus",
            offset: 4,
            kind: DecodeErrorKind::Invalid("no key of RSA"),
        })?;
        let mut padded = vec![0; self.size().saturating_sub(sealed.len())];
        padded.extend_from_slice(&sealed);
        Ok(padded.into())
    }
}

impl Pin {
    /// Whether the key is the pinned one.
    #[must_use]
    pub fn is_of(&self, key: &PublicKey) -> bool {
        match self {
            Self::Key(pinned) => pinned == key,
            Self::Sha256(fingerprint) => *fingerprint == key.sha256(),
            Self::Any => true,
        }
    }
}
