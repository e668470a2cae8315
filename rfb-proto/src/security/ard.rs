//! Diffie-Hellman authentication, security type 30: what Apple Remote Desktop and the screen sharing of macOS take for user
//! and password.
//!
//! ```text
//! S  u16 generator, u16 size, prime, public value       each of the two size bytes          ArdParameters
//! C  128 bytes sealed, public value of size bytes                                           ArdResponse
//! ```
//!
//! The key is the MD5 hash of the shared secret (size bytes, big endian), the cipher AES-128 without chaining (ECB). What is
//! sealed are user and password, 64 bytes each: UTF-8, a NUL, and random bytes.
//!
//! Nothing authenticates the server: an attacker in the middle gets user and password, so use it inside of a layer that
//! does. Without chaining, equal blocks are sealed alike. Only the log-in is hidden; the session is in clear text.
//!
//! A group is taken if its prime has at least 1024 bits (servers before macOS 10.14 have these), at most
//! [`Limits::diffie_hellman`](crate::Limits::diffie_hellman), and is odd, if the generator is above 1, and if the public
//! value is neither 0, 1, nor the prime less 1, nor above. Whether the prime is one is not tested, which would take longer
//! than the log-in.
//!
//! Source: the community's RFB specification; TigerVNC 1.16 and noVNC 1.6 for the padding.

use alloc::boxed::Box;
use core::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::number::{bits_of, is_odd};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed as _, Reader, codec, length, put_block};

#[cfg(feature = "ard")]
pub use crypto::ArdSecret;

/// Fewest bits of a prime.
pub const MIN_PRIME_BITS: u32 = 1024;

/// Bytes of user and password, sealed.
pub const SEALED_LEN: usize = 128;

/// What the server offers: a group, and its public value in it.
///
/// What this type holds has passed the checks that the module describes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArdParameters {
    generator: u16,
    prime: Bytes,
    public: Bytes,
}

codec!(ArdParameters);

const fn field(name: &'static str) -> Field {
    Field {
        name,
        size: 2,
        inner: &[],
    }
}

const HEADER: &[Field] = &[field("generator"), field("size")];

impl ArdParameters {
    /// The generator.
    #[must_use]
    pub fn generator(&self) -> u16 {
        self.generator
    }

    /// The prime, big endian.
    #[must_use]
    pub fn prime(&self) -> &Bytes {
        &self.prime
    }

    /// The server's public value, in as many bytes.
    #[must_use]
    pub fn public(&self) -> &Bytes {
        &self.public
    }

    fn header(r: &mut Reader<'_>) -> Result<(u16, u32), DecodeError> {
        let mut block = r.block(4, HEADER)?;
        let (generator, size) = (u16::get(&mut block), u32::from(u16::get(&mut block)));
        if generator < 2 {
            return Err(r.error("generator", 0, DecodeErrorKind::Invalid("below 2")));
        }
        if size.saturating_mul(8) < MIN_PRIME_BITS {
            return Err(r.error("size", 2, DecodeErrorKind::Invalid("fewer than 1024 bits")));
        }
        r.limited("size", 2, size, r.limits().diffie_hellman.div_ceil(8))?;
        Ok((generator, size))
    }

    /// Whether a public value is one that a key can be made of.
    pub(crate) fn check_public(&self, public: &[u8]) -> Result<(), DecodeError> {
        is_usable(&self.prime, public).then_some(()).ok_or(DecodeError {
            message: "ArdResponse",
            field: "public",
            offset: SEALED_LEN,
            kind: DecodeErrorKind::Invalid(DEGENERATE),
        })
    }
}

const DEGENERATE: &str = "degenerate: 0, 1, the prime less 1, or not below the prime";

/// Whether a value, in as many bytes as the odd prime, is from 2 to the prime less 2.
fn is_usable(prime: &[u8], value: &[u8]) -> bool {
    let Some((last, front)) = prime.split_last() else {
        return false;
    };
    // The prime less 1 differs in its last bit.
    let (highest, front_of_value) = value.split_last().unwrap_or((&0, &[]));
    value.len() == prime.len() && 1 < bits_of(value) && (front_of_value, *highest) < (front, last & !1)
}

impl Decode for ArdParameters {
    const NAME: &'static str = "ArdParameters";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (generator, size) = Self::header(r)?;
        let prime_at = r.at();
        let prime = r.blob(size, "prime")?;
        let public_at = r.at();
        let public = r.blob(size, "public")?;
        let invalid = |field, at, why| Err(r.error(field, at, DecodeErrorKind::Invalid(why)));
        if bits_of(&prime) < MIN_PRIME_BITS {
            return invalid("prime", prime_at, "fewer than 1024 bits");
        }
        if !is_odd(&prime) {
            return invalid("prime", prime_at, "even");
        }
        if !is_usable(&prime, &public) {
            return invalid("public", public_at, DEGENERATE);
        }
        Ok(Self {
            generator,
            prime,
            public,
        })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        const LEN: usize = 4;
        if r.left().len() < LEN {
            return Ok(LEN);
        }
        let (_, size) = Self::header(r)?;
        Ok(r.end_of::<u8>(size.saturating_mul(2)))
    }
}

impl Encode for ArdParameters {
    fn wire_len(&self) -> usize {
        self.prime.len().saturating_mul(2).saturating_add(4)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        let size = length(self.prime.len(), Self::NAME, "size", u16::MAX)?;
        put_block::<4>(dst, |block| {
            u16::put(&self.generator, block);
            u16::put(&size, block);
        });
        dst.extend_from_slice(&self.prime);
        dst.extend_from_slice(&self.public);
        Ok(())
    }
}

/// The client's answer: user and password, sealed, and its public value. `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct ArdResponse {
    pub(crate) sealed: Box<[u8; SEALED_LEN]>,
    pub(crate) public: Bytes,
}

impl ArdResponse {
    /// Both as they are on the wire.
    #[must_use]
    pub fn new(sealed: [u8; SEALED_LEN], public: Bytes) -> Self {
        let sealed = Box::new(sealed);
        Self { sealed, public }
    }

    pub(crate) fn put(&self, tx: &mut BytesMut) {
        tx.put_slice(&*self.sealed);
        tx.put_slice(&self.public);
    }
}

impl fmt::Debug for ArdResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArdResponse(..)")
    }
}

#[cfg(feature = "ard")]
mod crypto {
    use core::fmt;

    use aes::Aes128;
    use aes::cipher::{BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
    use bytes::Bytes;
    use md5::{Digest as _, Md5};
    use num_bigint_dig::BigUint;
    use zeroize::{Zeroize as _, Zeroizing};

    use super::{ArdParameters, ArdResponse, SEALED_LEN};
    use crate::security::plain::Credentials;
    use crate::security::seed::Expand;
    use crate::security::{SealError, Seed, seed};

    /// Bytes of a private exponent. Twice as many bits as the strongest key that a group of 8192 bits gives has.
    const EXPONENT_LEN: usize = 64;

    /// Bytes of a field for user or password.
    const FIELD_LEN: usize = SEALED_LEN / 2;

    /// The group of 2048 bits of RFC 3526 (group 14), with generator 2.
    const GROUP_14: [u8; 256] = [
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc9, 0x0f, 0xda, 0xa2, 0x21, 0x68, 0xc2, 0x34, 0xc4, 0xc6,
        0x62, 0x8b, 0x80, 0xdc, 0x1c, 0xd1, 0x29, 0x02, 0x4e, 0x08, 0x8a, 0x67, 0xcc, 0x74, 0x02, 0x0b, 0xbe, 0xa6,
        0x3b, 0x13, 0x9b, 0x22, 0x51, 0x4a, 0x08, 0x79, 0x8e, 0x34, 0x04, 0xdd, 0xef, 0x95, 0x19, 0xb3, 0xcd, 0x3a,
        0x43, 0x1b, 0x30, 0x2b, 0x0a, 0x6d, 0xf2, 0x5f, 0x14, 0x37, 0x4f, 0xe1, 0x35, 0x6d, 0x6d, 0x51, 0xc2, 0x45,
        0xe4, 0x85, 0xb5, 0x76, 0x62, 0x5e, 0x7e, 0xc6, 0xf4, 0x4c, 0x42, 0xe9, 0xa6, 0x37, 0xed, 0x6b, 0x0b, 0xff,
        0x5c, 0xb6, 0xf4, 0x06, 0xb7, 0xed, 0xee, 0x38, 0x6b, 0xfb, 0x5a, 0x89, 0x9f, 0xa5, 0xae, 0x9f, 0x24, 0x11,
        0x7c, 0x4b, 0x1f, 0xe6, 0x49, 0x28, 0x66, 0x51, 0xec, 0xe4, 0x5b, 0x3d, 0xc2, 0x00, 0x7c, 0xb8, 0xa1, 0x63,
        0xbf, 0x05, 0x98, 0xda, 0x48, 0x36, 0x1c, 0x55, 0xd3, 0x9a, 0x69, 0x16, 0x3f, 0xa8, 0xfd, 0x24, 0xcf, 0x5f,
        0x83, 0x65, 0x5d, 0x23, 0xdc, 0xa3, 0xad, 0x96, 0x1c, 0x62, 0xf3, 0x56, 0x20, 0x85, 0x52, 0xbb, 0x9e, 0xd5,
        0x29, 0x07, 0x70, 0x96, 0x96, 0x6d, 0x67, 0x0c, 0x35, 0x4e, 0x4a, 0xbc, 0x98, 0x04, 0xf1, 0x74, 0x6c, 0x08,
        0xca, 0x18, 0x21, 0x7c, 0x32, 0x90, 0x5e, 0x46, 0x2e, 0x36, 0xce, 0x3b, 0xe3, 0x9e, 0x77, 0x2c, 0x18, 0x0e,
        0x86, 0x03, 0x9b, 0x27, 0x83, 0xa2, 0xec, 0x07, 0xa2, 0x8f, 0xb5, 0xc5, 0x5d, 0xf0, 0x6f, 0x4c, 0x52, 0xc9,
        0xde, 0x2b, 0xcb, 0xf6, 0x95, 0x58, 0x17, 0x18, 0x39, 0x95, 0x49, 0x7c, 0xea, 0x95, 0x6a, 0xe5, 0x15, 0xd2,
        0x26, 0x18, 0x98, 0xfa, 0x05, 0x10, 0x15, 0x72, 0x8e, 0x5a, 0x8a, 0xac, 0xaa, 0x68, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff,
    ];

    /// The base to the power of the exponent, in as many bytes as the prime.
    fn power(base: &[u8], exponent: &BigUint, prime: &[u8]) -> Zeroizing<alloc::vec::Vec<u8>> {
        let mut value = BigUint::from_bytes_be(base).modpow(exponent, &BigUint::from_bytes_be(prime));
        let bytes = Zeroizing::new(value.to_bytes_be());
        value.zeroize();
        let mut padded = Zeroizing::new(alloc::vec![0; prime.len().saturating_sub(bytes.len())]);
        padded.extend_from_slice(&bytes);
        padded
    }

    fn cipher(shared: &[u8]) -> Aes128 {
        let mut key = Md5::digest(shared);
        let cipher = Aes128::new(&key);
        key.zeroize();
        cipher
    }

    fn exponent(seed: &Seed) -> Zeroizing<BigUint> {
        let bytes = Expand::new(seed, b"ARD exponent").block::<EXPONENT_LEN>();
        Zeroizing::new(BigUint::from_bytes_be(&*bytes))
    }

    impl ArdParameters {
        /// The client's answer: the one to the question `DiffieHellman`. It takes two powers in the server's group: some
        /// milliseconds with 2048 bits.
        ///
        /// # Errors
        /// [`SealError::TooLong`]: user or password has more than 63 bytes, or a NUL in it.
        pub fn respond(&self, user: &[u8], password: &[u8], seed: &Seed) -> Result<ArdResponse, SealError> {
            let mut sealed = Expand::new(seed, b"ARD padding").block::<SEALED_LEN>();
            for (field, text) in sealed.chunks_exact_mut(FIELD_LEN).zip([user, password]) {
                seed::put_text(field, text).ok_or(SealError::TooLong)?;
            }
            let exponent = exponent(seed);
            let public = power(&self.generator.to_be_bytes(), &exponent, &self.prime);
            let cipher = cipher(&power(&self.public, &exponent, &self.prime));
            for block in sealed.chunks_exact_mut(16) {
                cipher.encrypt_block(block.into());
            }
            Ok(ArdResponse::new(*sealed, Bytes::copy_from_slice(&public)))
        }
    }

    /// What the server keeps for one log-in. `Debug` shows nothing of it.
    pub struct ArdSecret {
        exponent: Zeroizing<BigUint>,
        parameters: ArdParameters,
    }

    impl ArdSecret {
        /// In the group of 2048 bits of RFC 3526, for one log-in. It takes one power in it.
        #[must_use]
        pub fn new(seed: &Seed) -> Self {
            let exponent = exponent(seed);
            let parameters = ArdParameters {
                generator: 2,
                prime: Bytes::from_static(&GROUP_14),
                public: Bytes::copy_from_slice(&power(&[2], &exponent, &GROUP_14)),
            };
            Self { exponent, parameters }
        }

        /// What the client is offered: the answer to the question `DiffieHellman`.
        #[must_use]
        pub fn parameters(&self) -> &ArdParameters {
            &self.parameters
        }

        /// User and password of a client's answer. `None`: they cannot be read, as after a wrong key. It takes one power
        /// in the group.
        #[must_use]
        pub fn open(&self, response: &ArdResponse) -> Option<Credentials> {
            self.parameters.check_public(&response.public).ok()?;
            let cipher = cipher(&power(&response.public, &self.exponent, &self.parameters.prime));
            let mut fields = Zeroizing::new(*response.sealed);
            for block in fields.chunks_exact_mut(16) {
                cipher.decrypt_block(block.into());
            }
            let (user, password) = fields.split_at(FIELD_LEN);
            seed::credentials(user, password)
        }
    }

    impl fmt::Debug for ArdSecret {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("ArdSecret(..)")
        }
    }
}
