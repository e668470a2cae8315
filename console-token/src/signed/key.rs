//! Keys.

use alloc::{boxed::Box, string::String};
use core::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signer as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Claims, SignedToken};
use crate::json::{self, Quoted};

fn id(text: &str) -> Result<Box<str>, KeyError> {
    let is_id = (1..=VerifyingKey::MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_id { Ok(text.into()) } else { Err(KeyError::Id) }
}

/// The half of a key that verifies, with its id and its one algorithm. `Debug` shows the id only; a secret is
/// overwritten when it is dropped.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Box<str>,
    key: Key,
}

/// A key with its algorithm.
#[derive(Clone)]
enum Key {
    Ed25519(Box<ed25519_dalek::VerifyingKey>),
    /// The hash that has taken in the secret. It is overwritten when it is dropped.
    Hs256(Box<Hmac<Sha256>>),
}

impl VerifyingKey {
    /// The longest id, in bytes.
    pub const MAX_ID: usize = 128;

    /// The shortest secret of HS256, in bytes: that of its hash (RFC 7518 section 3.2).
    pub const MIN_SECRET: usize = 32;

    /// A public key of Ed25519 (RFC 8032 section 5.1.5), for EdDSA.
    ///
    /// # Errors
    ///
    /// [`KeyError::Id`], or [`KeyError::Key`] for bytes that are no point of the curve, or one of the few points of
    /// small order, for which there are signatures that fit many messages.
    pub fn ed25519(id: &str, public: &[u8; 32]) -> Result<Self, KeyError> {
        let id = self::id(id)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(public).map_err(|_| KeyError::Key)?;
        if key.is_weak() {
            return Err(KeyError::Key);
        }
        let key = Key::Ed25519(Box::new(key));
        Ok(Self { id, key })
    }

    /// A secret that issuer and gateways share, for HS256: what websockify has been set up with in many places. A
    /// verifier that has it can sign too.
    ///
    /// # Errors
    ///
    /// [`KeyError::Id`], [`KeyError::TooShort`].
    pub fn hs256(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        let too_short = KeyError::TooShort { len: secret.len() };
        if secret.len() < Self::MIN_SECRET {
            return Err(too_short);
        }
        let id = self::id(id)?;
        // HMAC takes keys of any length.
        let hmac = Hmac::new_from_slice(secret).map_err(|_| too_short)?;
        let key = Key::Hs256(Box::new(hmac));
        Ok(Self { id, key })
    }

    /// The id by which tokens name it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `alg`, as it has to stand in the header (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub(super) const fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Ed25519(_) => "EdDSA",
            Key::Hs256(_) => "HS256",
        }
    }

    /// Whether the signature is that of the message.
    pub(super) fn verifies(&self, message: &str, signature: &[u8]) -> bool {
        match &self.key {
            Key::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message.as_bytes(), &signature).is_ok()),
            Key::Hs256(hmac) => {
                let mut hmac = Hmac::clone(hmac);
                hmac.update(message.as_bytes());
                // In constant time.
                hmac.verify_slice(signature).is_ok()
            }
        }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?})", self.id)
    }
}

/// A key of Ed25519 that signs. `Debug` shows the id only; its memory is overwritten when it is dropped.
pub struct SigningKey {
    key: Box<ed25519_dalek::SigningKey>,
    verifying: VerifyingKey,
    public: [u8; 32],
}

impl SigningKey {
    /// The key of this seed (RFC 8032 section 5.1.5), which must come from a cryptographically secure source and be
    /// used for nothing else.
    ///
    /// # Errors
    ///
    /// [`KeyError::Id`]. (Every seed is a key.)
    pub fn ed25519(id: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let key = Box::new(ed25519_dalek::SigningKey::from_bytes(seed));
        let public = key.verifying_key().to_bytes();
        let verifying = VerifyingKey::ed25519(id, &public)?;
        Ok(Self { key, verifying, public })
    }

    /// The half for the gateways.
    #[must_use]
    pub fn verifying(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Signs claims.
    ///
    /// # Errors
    ///
    /// [`KeyError::TooLong`].
    pub fn sign(&self, claims: &Claims) -> Result<SignedToken, KeyError> {
        let header = json::write(format_args!(
            r#"{{"typ":"JWT","alg":"{}","kid":{}}}"#,
            self.verifying.algorithm(),
            Quoted(&self.verifying.id)
        ));
        // What is longer fails, and does not get its signature: no copy of a signed token is left by growing.
        let mut token = Zeroizing::new(String::with_capacity(SignedToken::MAX_LEN));
        URL_SAFE_NO_PAD.encode_string(header.as_bytes(), &mut token);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_json().as_bytes(), &mut token);
        let signature = self.key.try_sign(token.as_bytes()).map_err(|_| KeyError::Key)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.to_bytes(), &mut token);
        SignedToken::presented(token.as_bytes()).map_err(|_| KeyError::TooLong)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.verifying.id)
    }
}

/// Why something cannot be a key, or cannot sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The id is empty, has more than [`VerifyingKey::MAX_ID`] bytes, or is not visible ASCII.
    #[error("not the id of a key: 1 to {} visible ASCII characters", VerifyingKey::MAX_ID)]
    Id,
    /// The bytes are no key of this algorithm.
    #[error("not a key of this algorithm")]
    Key,
    /// A secret of fewer than [`VerifyingKey::MIN_SECRET`] bytes.
    #[error("a secret of {len} bytes, at least {} are needed", VerifyingKey::MIN_SECRET)]
    TooShort {
        /// The bytes that were given.
        len: usize,
    },
    /// The token would have more than [`SignedToken::MAX_LEN`] bytes.
    #[error("the token would have more than {} bytes", SignedToken::MAX_LEN)]
    TooLong,
}
