//! Keys.
//!
//! The signatures are those of `jsonwebtoken`. Its own `encode` and `decode` are not used: they read the clock, and take
//! their cryptography from a provider that is a setting of the whole process and panics when a program has set none.
//! Here the provider is named in the code, so that there is nothing to install, and no panic to be reached.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    crypto::{CryptoProvider, rust_crypto},
    jwk::EllipticCurve,
};
use zeroize::Zeroizing;

use super::{Claims, KeyError, SignedToken};
use crate::json::{self, Quoted};

/// Everything cryptographic, whatever the process has installed.
static PROVIDER: &CryptoProvider = &rust_crypto::DEFAULT_PROVIDER;

/// What stands in front of the seed in the PKCS #8 form of an Ed25519 key (RFC 8410 section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

fn id(text: &str) -> Result<Box<str>, KeyError> {
    let is_id = (1..=VerifyingKey::MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_id { Ok(text.into()) } else { Err(KeyError::Id) }
}

/// The half of a key that verifies, with its id and its one algorithm. `Debug` shows the id only.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Box<str>,
    algorithm: Algorithm,
    key: DecodingKey,
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
    /// [`KeyError::Id`], or [`KeyError::Key`] for bytes that are no point of the curve.
    pub fn ed25519(id: &str, public: &[u8; 32]) -> Result<Self, KeyError> {
        let key = Self {
            id: self::id(id)?,
            algorithm: Algorithm::EdDSA,
            key: DecodingKey::from_ed_der(public),
        };
        match (PROVIDER.verifier_factory)(&key.algorithm, &key.key) {
            Ok(_) => Ok(key),
            Err(_) => Err(KeyError::Key),
        }
    }

    /// A secret that issuer and gateways share, for HS256: what websockify has been set up with in many places. Whoever
    /// verifies with it can sign too.
    ///
    /// # Errors
    ///
    /// [`KeyError::Id`], [`KeyError::TooShort`].
    pub fn hs256(id: &str, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < Self::MIN_SECRET {
            return Err(KeyError::TooShort { len: secret.len() });
        }
        Ok(Self {
            id: self::id(id)?,
            algorithm: Algorithm::HS256,
            key: DecodingKey::from_secret(secret),
        })
    }

    /// The id by which tokens name it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `alg`, as it has to stand in the header (RFC 7518 section 3.1, RFC 8037 section 3.1).
    pub(super) const fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::EdDSA => "EdDSA",
            // INVARIANT: there is no third.
            _ => "HS256",
        }
    }

    /// Whether the signature is that of the message.
    pub(super) fn verifies(&self, message: &str, signature: &[u8]) -> bool {
        let verifier = (PROVIDER.verifier_factory)(&self.algorithm, &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(message.as_bytes(), &signature.to_vec()).is_ok())
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({:?})", self.id)
    }
}

/// A key of Ed25519 that signs. `Debug` shows the id only; its memory is overwritten when it is dropped.
pub struct SigningKey {
    key: EncodingKey,
    verifying: VerifyingKey,
    public: [u8; 32],
}

impl SigningKey {
    /// The key of this seed (RFC 8032 section 5.1.5), which must come from a cryptographically secure source and be
    /// used for nothing else.
    ///
    /// # Errors
    ///
    /// [`KeyError::Id`]. ([`KeyError::Key`] would be an error of the library behind: every seed is a key.)
    pub fn ed25519(id: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let mut document = Zeroizing::new(Vec::with_capacity(48));
        document.extend_from_slice(&PKCS8);
        document.extend_from_slice(seed);
        let public = (PROVIDER.key_utils.ed_pub_components_from_private_key)(&document, &EllipticCurve::Ed25519)
            .map_err(|_| KeyError::Key)?;
        let public = public.try_into().map_err(|_| KeyError::Key)?;
        Ok(Self {
            key: EncodingKey::from_ed_der(&document),
            verifying: VerifyingKey::ed25519(id, &public)?,
            public,
        })
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
    /// [`KeyError::TooLong`]. ([`KeyError::Key`] would be an error of the library behind.)
    pub fn sign(&self, claims: &Claims) -> Result<SignedToken, KeyError> {
        let header = json::write(format_args!(
            r#"{{"typ":"JWT","alg":"{}","kid":{}}}"#,
            self.verifying.algorithm(),
            Quoted(&self.verifying.id)
        ));
        let mut token = Zeroizing::new(URL_SAFE_NO_PAD.encode(header.as_bytes()));
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims.to_json().as_bytes(), &mut token);
        let signer = (PROVIDER.signer_factory)(&self.verifying.algorithm, &self.key).map_err(|_| KeyError::Key)?;
        let signature = signer.try_sign(token.as_bytes()).map_err(|_| KeyError::Key)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        SignedToken::presented(token.as_bytes()).map_err(|_| KeyError::TooLong)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.verifying.id)
    }
}
