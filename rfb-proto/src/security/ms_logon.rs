//! UltraVNC's Windows logons: MSLogonII, security type 113, and MSLogonIII, security type 118.
//!
//! ```text
//! II   S  8 bytes generator, 8 modulus, 8 public value                    big endian              MsLogonParameters
//!      C  8 bytes public value, 256 bytes user, 64 bytes password         sealed                  MsLogonResponse
//! III  S  32 bytes public value                                           X25519
//!      C  32 bytes public value, 256 bytes user, 64 bytes password        sealed                  MsLogonIIIResponse
//! ```
//!
//! User and password are UTF-8, a NUL and random bytes. Each is sealed with DES in CBC, whose first vector is the key, and
//! whose key bytes are turned round as in VNC authentication. The key are the 8 bytes of the shared secret (II), or the first
//! 8 bytes of its SHA-256 hash (III).
//!
//! **What they are worth**: nothing against an attacker that can listen. The group of MSLogonII has 64 bits at most, and UltraVNC
//! itself takes 31: a recorded log-in is opened in a moment. MSLogonIII agrees on a good secret and then uses 56 bits of it;
//! these are found by trying in days, with hired machines in hours. Neither authenticates the server, so that an attacker in
//! the middle gets user and password at once; and these are those of a Windows account. Both types are off unless a list
//! names them; name them only where the connection is protected otherwise.
//!
//! A group is taken if its modulus is odd and at least 5, and if the server's value is from 2 to the modulus less 2.
//!
//! Source: the community's RFB specification for MSLogonII; for MSLogonIII UltraVNC 1.8.2, which its notes call AES-256-GCM.

use alloc::boxed::Box;
use core::fmt;

use bytes::{BufMut as _, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed, Reader, codec, put_block};

#[cfg(feature = "ms-logon")]
pub use crypto::{MsLogonIIISecret, MsLogonSecret, respond_iii};

/// Bytes of the user, sealed.
pub const USER_LEN: usize = 256;

/// Bytes of the password, sealed.
pub const PASSWORD_LEN: usize = 64;

/// Bytes of a public value of X25519.
pub const PUBLIC_LEN: usize = 32;

/// Bytes of [`MsLogonParameters`].
pub(crate) const PARAMETERS_LEN: usize = 24;

/// What the server offers in MSLogonII: a group, and its public value in it.
///
/// What this type holds has passed the checks that the module describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MsLogonParameters {
    generator: u64,
    modulus: u64,
    public: u64,
}

codec!(MsLogonParameters);

const fn field(name: &'static str) -> Field {
    Field {
        name,
        size: 8,
        inner: &[],
    }
}

const FIELDS: &[Field] = &[field("generator"), field("modulus"), field("public")];

impl MsLogonParameters {
    /// The generator.
    #[must_use]
    pub fn generator(&self) -> u64 {
        self.generator
    }

    /// The modulus.
    #[must_use]
    pub fn modulus(&self) -> u64 {
        self.modulus
    }

    /// The server's public value.
    #[must_use]
    pub fn public(&self) -> u64 {
        self.public
    }
}

impl Decode for MsLogonParameters {
    const NAME: &'static str = "MsLogonParameters";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut block = r.block(PARAMETERS_LEN, FIELDS)?;
        let mut number = || u64::from_be_bytes(<[u8; 8]>::get(&mut block));
        let (generator, modulus, public) = (number(), number(), number());
        let invalid = |field, at, why| Err(r.error(field, at, DecodeErrorKind::Invalid(why)));
        if generator < 2 {
            return invalid("generator", 0, "below 2");
        }
        if modulus < 5 || modulus & 1 == 0 {
            return invalid("modulus", 8, "even, or below 5");
        }
        if !is_usable(modulus, public) {
            return invalid(
                "public",
                16,
                "degenerate: 0, 1, the modulus less 1, or not below the modulus",
            );
        }
        Ok(Self {
            generator,
            modulus,
            public,
        })
    }

    fn extent(_: &mut Reader<'_>) -> Result<usize, DecodeError> {
        Ok(PARAMETERS_LEN)
    }
}

fn is_usable(modulus: u64, value: u64) -> bool {
    1 < value && value < modulus.saturating_sub(1)
}

impl Encode for MsLogonParameters {
    fn wire_len(&self) -> usize {
        PARAMETERS_LEN
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_block::<PARAMETERS_LEN>(dst, |block| {
            for number in [self.generator, self.modulus, self.public] {
                number.to_be_bytes().put(block);
            }
        });
        Ok(())
    }
}

/// User and password, sealed. `Debug` shows nothing of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) user: Box<[u8; USER_LEN]>,
    pub(crate) password: Box<[u8; PASSWORD_LEN]>,
}

/// Bytes of [`Sealed`].
pub(crate) const SEALED_LEN: usize = USER_LEN + PASSWORD_LEN;

impl Sealed {
    /// Both as they are on the wire.
    #[must_use]
    pub fn new(user: [u8; USER_LEN], password: [u8; PASSWORD_LEN]) -> Self {
        Self {
            user: Box::new(user),
            password: Box::new(password),
        }
    }

    pub(crate) fn get(block: &[u8; SEALED_LEN]) -> Self {
        let mut block = &block[..];
        Self::new(Fixed::get(&mut block), Fixed::get(&mut block))
    }

    pub(crate) fn put(&self, tx: &mut BytesMut) {
        tx.put_slice(&*self.user);
        tx.put_slice(&*self.password);
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// The client's answer in MSLogonII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsLogonResponse {
    /// Its public value.
    pub public: u64,
    /// User and password.
    pub sealed: Sealed,
}

/// The client's answer in MSLogonIII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MsLogonIIIResponse {
    /// Its public value.
    pub public: [u8; PUBLIC_LEN],
    /// User and password.
    pub sealed: Sealed,
}

#[cfg(feature = "ms-logon")]
mod crypto {
    use core::fmt;

    use curve25519_dalek::montgomery::MontgomeryPoint;
    use des::Des;
    use des::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
    use sha2::{Digest as _, Sha256};
    use zeroize::Zeroizing;

    use super::{
        MsLogonIIIResponse, MsLogonParameters, MsLogonResponse, PASSWORD_LEN, PUBLIC_LEN, Sealed, USER_LEN, is_usable,
    };
    use crate::security::plain::Credentials;
    use crate::security::seed::Expand;
    use crate::security::{SealError, Seed, seed};

    /// The largest number below 2^31 that is a prime, and so is its half: UltraVNC's viewer takes no more.
    const MODULUS: u64 = 2_147_483_579;

    const GENERATOR: u64 = 5;

    type Key = Zeroizing<[u8; 8]>;

    /// The base to the power of the exponent.
    fn power(base: u64, mut exponent: u64, modulus: u64) -> u64 {
        // INVARIANT: a modulus is not 0, and a product of two numbers below 2^64 is below 2^128.
        let times = |a: u64, b: u64| {
            let product = u128::from(a).wrapping_mul(u128::from(b));
            let rest = product.checked_rem(u128::from(modulus)).unwrap_or(0);
            u64::try_from(rest).unwrap_or(0)
        };
        let (mut result, mut square) = (1, times(base, 1));
        while exponent != 0 {
            if exponent & 1 == 1 {
                result = times(result, square);
            }
            square = times(square, square);
            exponent >>= 1;
        }
        result
    }

    /// DES with the bits of each key byte turned round.
    fn cipher(key: &Key) -> Des {
        let turned = Zeroizing::new(key.map(u8::reverse_bits));
        Des::new((&*turned).into())
    }

    fn encrypt(key: &Key, field: &mut [u8]) {
        let (cipher, mut chain) = (cipher(key), **key);
        for block in field.chunks_exact_mut(8) {
            for (byte, before) in block.iter_mut().zip(chain) {
                *byte ^= before;
            }
            cipher.encrypt_block((&mut *block).into());
            chain.copy_from_slice(block);
        }
    }

    fn decrypt(key: &Key, field: &mut [u8]) {
        let (cipher, mut chain) = (cipher(key), **key);
        for block in field.chunks_exact_mut(8) {
            let mut sealed = [0; 8];
            sealed.copy_from_slice(block);
            cipher.decrypt_block((&mut *block).into());
            for (byte, before) in block.iter_mut().zip(chain) {
                *byte ^= before;
            }
            chain = sealed;
        }
    }

    fn seal(key: &Key, user: &[u8], password: &[u8], seed: &Seed) -> Result<Sealed, SealError> {
        let mut padding = Expand::new(seed, b"MSLogon padding");
        let mut fields = (padding.block::<USER_LEN>(), padding.block::<PASSWORD_LEN>());
        seed::put_text(&mut *fields.0, user).ok_or(SealError::TooLong)?;
        seed::put_text(&mut *fields.1, password).ok_or(SealError::TooLong)?;
        encrypt(key, &mut *fields.0);
        encrypt(key, &mut *fields.1);
        Ok(Sealed::new(*fields.0, *fields.1))
    }

    fn unseal(key: &Key, sealed: &Sealed) -> Option<Credentials> {
        let mut user = Zeroizing::new(*sealed.user);
        let mut password = Zeroizing::new(*sealed.password);
        decrypt(key, &mut *user);
        decrypt(key, &mut *password);
        seed::credentials(&*user, &*password)
    }

    fn exponent(seed: &Seed) -> u64 {
        u64::from_be_bytes(*Expand::new(seed, b"MSLogonII exponent").block())
    }

    impl MsLogonParameters {
        /// The client's answer: the one to the question `MsLogonII`.
        ///
        /// # Errors
        /// [`SealError::TooLong`]: the user has more than 255 bytes, the password more than 63, or one of them a NUL in it.
        pub fn respond(&self, user: &[u8], password: &[u8], seed: &Seed) -> Result<MsLogonResponse, SealError> {
            let exponent = exponent(seed);
            let key = Zeroizing::new(power(self.public, exponent, self.modulus).to_be_bytes());
            Ok(MsLogonResponse {
                public: power(self.generator, exponent, self.modulus),
                sealed: seal(&key, user, password, seed)?,
            })
        }
    }

    /// What a server keeps for one log-in with MSLogonII. `Debug` shows nothing of it.
    pub struct MsLogonSecret {
        exponent: Zeroizing<u64>,
        parameters: MsLogonParameters,
    }

    impl MsLogonSecret {
        /// In a group of 31 bits, which is what UltraVNC takes.
        #[must_use]
        pub fn new(seed: &Seed) -> Self {
            let mut exponent = exponent(seed);
            let mut public = power(GENERATOR, exponent, MODULUS);
            while !is_usable(MODULUS, public) {
                exponent = exponent.wrapping_add(1);
                public = power(GENERATOR, exponent, MODULUS);
            }
            Self {
                exponent: Zeroizing::new(exponent),
                parameters: MsLogonParameters {
                    generator: GENERATOR,
                    modulus: MODULUS,
                    public,
                },
            }
        }

        /// What the client is offered: the answer to the question `MsLogonII`.
        #[must_use]
        pub fn parameters(&self) -> &MsLogonParameters {
            &self.parameters
        }

        /// User and password of a client's answer. `None`: they cannot be read, as after a wrong key.
        #[must_use]
        pub fn open(&self, response: &MsLogonResponse) -> Option<Credentials> {
            let modulus = self.parameters.modulus;
            if !is_usable(modulus, response.public) {
                return None;
            }
            let key = Zeroizing::new(power(response.public, *self.exponent, modulus).to_be_bytes());
            unseal(&key, &response.sealed)
        }
    }

    impl fmt::Debug for MsLogonSecret {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("MsLogonSecret(..)")
        }
    }

    fn scalar(seed: &Seed) -> Zeroizing<[u8; PUBLIC_LEN]> {
        Expand::new(seed, b"MSLogonIII scalar").block()
    }

    /// The key that the secret of both sides gives. `None`: the peer's value is one of the few that give the same secret
    /// for everybody.
    fn key_iii(scalar: &[u8; PUBLIC_LEN], peer: &[u8; PUBLIC_LEN]) -> Option<Key> {
        let shared = Zeroizing::new(MontgomeryPoint(*peer).mul_clamped(*scalar).to_bytes());
        if shared.iter().all(|&byte| byte == 0) {
            return None;
        }
        let hash = Zeroizing::new(<[u8; 32]>::from(Sha256::digest(*shared)));
        hash.first_chunk().copied().map(Zeroizing::new)
    }

    /// A client's answer in MSLogonIII: the one to the question `MsLogonIII`.
    ///
    /// # Errors
    /// [`SealError::TooLong`] as in [`MsLogonParameters::respond`]; [`SealError::NoSecret`] for a value of the server's that gives no
    /// secret.
    pub fn respond_iii(
        server: &[u8; PUBLIC_LEN],
        user: &[u8],
        password: &[u8],
        seed: &Seed,
    ) -> Result<MsLogonIIIResponse, SealError> {
        let scalar = scalar(seed);
        let key = key_iii(&scalar, server).ok_or(SealError::NoSecret)?;
        Ok(MsLogonIIIResponse {
            public: MontgomeryPoint::mul_base_clamped(*scalar).to_bytes(),
            sealed: seal(&key, user, password, seed)?,
        })
    }

    /// What a server keeps for one log-in with MSLogonIII. `Debug` shows nothing of it.
    pub struct MsLogonIIISecret(Zeroizing<[u8; PUBLIC_LEN]>);

    impl MsLogonIIISecret {
        /// For one log-in.
        #[must_use]
        pub fn new(seed: &Seed) -> Self {
            Self(scalar(seed))
        }

        /// The public value: the answer to the question `MsLogonIII`.
        #[must_use]
        pub fn public(&self) -> [u8; PUBLIC_LEN] {
            MontgomeryPoint::mul_base_clamped(*self.0).to_bytes()
        }

        /// User and password of a client's answer. `None`: they cannot be read, as after a wrong key.
        #[must_use]
        pub fn open(&self, response: &MsLogonIIIResponse) -> Option<Credentials> {
            unseal(&key_iii(&self.0, &response.public)?, &response.sealed)
        }
    }

    impl fmt::Debug for MsLogonIIISecret {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("MsLogonIIISecret(..)")
        }
    }
}
