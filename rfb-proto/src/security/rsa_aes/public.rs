//! What the log-in is made of: keys, and what the layer behind it begins with.

use alloc::boxed::Box;

use bytes::{Bytes, BytesMut};

use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::fields::{Decode, Encode, Field, Fixed as _, Reader, codec, put_block};
use crate::security::number::{bits_of, is_odd};
use crate::security::{Secret, SecurityType};

/// Fewest bits of a key.
pub const MIN_KEY_BITS: u32 = 1024;

/// Most bits of a key, whatever the limit is: what is sealed for it has a length of two bytes.
const MAX_KEY_BITS: u32 = 8 * u16::MAX as u32;

/// Most bits of an exponent: what the implementation of RSA takes.
const MAX_EXPONENT_BITS: u32 = 33;

/// Most bytes that a message of a log-in has: as many as TigerVNC puts into one.
pub(crate) const MAX_LOGIN_MESSAGE: usize = 8192;

/// Bytes of a message that are not its content.
pub(crate) const MESSAGE_OVERHEAD: usize = 18;

/// How strong a type's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Strength {
    /// AES-128 and SHA-1.
    Aes128,
    /// AES-256 and SHA-256.
    Aes256,
}

impl Strength {
    /// That of a security type.
    #[must_use]
    pub const fn of(security_type: SecurityType) -> Option<Self> {
        match security_type {
            SecurityType::RA2 | SecurityType::RA2NE => Some(Self::Aes128),
            SecurityType::RA2_256 | SecurityType::RA2NE_256 => Some(Self::Aes256),
            _ => None,
        }
    }

    /// Bytes of a random number, and of a key for messages.
    #[must_use]
    pub const fn random_len(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes256 => 32,
        }
    }
}

/// The public key of one side.
///
/// What this type holds has passed the checks that [the module](super) describes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    pub(super) bits: u32,
    pub(super) modulus: Bytes,
    pub(super) exponent: Bytes,
}

codec!(PublicKey);

const BITS: &[Field] = &[Field {
    name: "bits",
    size: 4,
    inner: &[],
}];

impl PublicKey {
    /// The key's length in bits, as its owner says it. The modulus may have up to 7 less.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The modulus, big endian, with zeros in front up to the length.
    #[must_use]
    pub fn modulus(&self) -> &Bytes {
        &self.modulus
    }

    /// The public exponent, in as many bytes.
    #[must_use]
    pub fn exponent(&self) -> &Bytes {
        &self.exponent
    }

    /// Bytes of the modulus, and so of what is sealed for this key.
    #[cfg(feature = "rsa-aes")]
    pub(crate) fn size(&self) -> usize {
        self.modulus.len()
    }

    fn read_bits(r: &mut Reader<'_>) -> Result<u32, DecodeError> {
        let mut block = r.block(4, BITS)?;
        let bits = u32::get(&mut block);
        if bits < MIN_KEY_BITS {
            return Err(r.error("bits", 0, DecodeErrorKind::Invalid("fewer than 1024")));
        }
        r.limited("bits", 4, bits, r.limits().rsa_key.min(MAX_KEY_BITS))?;
        Ok(bits)
    }
}

impl Decode for PublicKey {
    const NAME: &'static str = "PublicKey";

    fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let bits = Self::read_bits(r)?;
        let size = bits.div_ceil(8);
        let modulus_at = r.at();
        let modulus = r.blob(size, "modulus")?;
        let exponent_at = r.at();
        let exponent = r.blob(size, "exponent")?;
        let invalid = |field, at, why| Err(r.error(field, at, DecodeErrorKind::Invalid(why)));
        // A length of whole bytes may be a little more than the modulus has, and no more.
        if bits_of(&modulus) < MIN_KEY_BITS.max(bits.saturating_sub(7)) || bits < bits_of(&modulus) {
            return invalid("modulus", modulus_at, "not of the length that was declared");
        }
        if !is_odd(&modulus) {
            return invalid("modulus", modulus_at, "even");
        }
        if !is_odd(&exponent) || bits_of(&exponent) < 2 || MAX_EXPONENT_BITS < bits_of(&exponent) {
            return invalid("exponent", exponent_at, "even, below 3 or above 33 bits");
        }
        Ok(Self {
            bits,
            modulus,
            exponent,
        })
    }

    fn extent(r: &mut Reader<'_>) -> Result<usize, DecodeError> {
        if r.left().len() < u32::SIZE {
            return Ok(u32::SIZE);
        }
        let bits = Self::read_bits(r)?;
        Ok(r.end_of::<u8>(bits.div_ceil(8).saturating_mul(2)))
    }
}

impl Encode for PublicKey {
    fn wire_len(&self) -> usize {
        self.modulus.len().saturating_mul(2).saturating_add(4)
    }

    fn write(&self, dst: &mut BytesMut) -> Result<(), EncodeError> {
        put_block::<4>(dst, |block| u32::put(&self.bits, block));
        dst.extend_from_slice(&self.modulus);
        dst.extend_from_slice(&self.exponent);
        Ok(())
    }
}

/// The server's key is the pinned one, or any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin {
    /// This key.
    Key(PublicKey),
    /// The key with this SHA-256 fingerprint, see [`PublicKey::sha256`].
    Sha256([u8; 32]),
    /// Any key. An attacker in the middle then gets user and password.
    Any,
}

/// What the messages of a session go on with behind the log-in, for [`Layer::new`](super::Layer::new).
///
/// `Debug` shows no key.
#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "rsa-aes"), allow(dead_code, reason = "without RSA-AES there is none"))]
pub struct LayerKeys(pub(super) Box<Keys>);

#[derive(Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "rsa-aes"),
    allow(dead_code, reason = "without RSA-AES there are none")
)]
pub(super) struct Keys {
    pub(super) strength: Strength,
    /// The key for messages to the peer, and how many were sent.
    pub(super) seal: (Secret, u64),
    /// The key for messages from the peer, and how many came.
    pub(super) open: (Secret, u64),
    /// What came behind the log-in in the last message.
    pub(super) pending: Secret,
}
