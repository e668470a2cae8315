//! RSA-AES, security types 5, 6, 129 and 130: RSA keys of both sides, then AES-EAX.
//!
//! ```text
//! S  u32 bits, modulus, exponent              each ceil(bits / 8) bytes            PublicKey
//! C  u32 bits, modulus, exponent                                                   PublicKey
//! S  u16 length, the server's random number   sealed for the client's key (PKCS#1 v1.5)
//! C  u16 length, the client's random number   sealed for the server's key
//!    from here on messages                    u16 length, length bytes, 16 bytes MAC
//! S  hash of the server's key and the client's
//! C  hash of the client's key and the server's
//! S  u8 1: user and password; 2: a password only
//! C  u8 length, user, u8 length, password     UTF-8
//!    RA2ne and RA2ne_256 end the messages here, RA2 and RA2_256 go on with them
//! S  u32 SecurityResult
//! ```
//!
//! | type | random numbers | keys and hashes | messages | the session |
//! |---|---|---|---|---|
//! | RA2 (5) | 16 bytes | SHA-1 | AES-128-EAX | in messages, see [`Layer`] |
//! | RA2ne (6) | 16 bytes | SHA-1 | AES-128-EAX | in clear text |
//! | RA2_256 (129) | 32 bytes | SHA-256 | AES-256-EAX | in messages |
//! | RA2ne_256 (130) | 32 bytes | SHA-256 | AES-256-EAX | in clear text |
//!
//! A side's key for messages is the hash of the peer's random number and its own. The nonce is a counter of 16 bytes,
//! little endian, of each direction; the length is authenticated.
//!
//! An attacker in the middle is found out only if the client knows the server's key: it has to compare the key of
//! [`ClientQuestion::RsaAes`](crate::handshake::client::ClientQuestion::RsaAes), or its [fingerprint](PublicKey::sha256),
//! with one that it got in another way.
//!
//! A key has 1024 bits at least, and at most [`Limits::rsa_key`](crate::Limits::rsa_key), as with TigerVNC. Its modulus
//! must have those bits and be odd, its exponent must be odd, above 1 and below 2^33: what opening and sealing costs is
//! bounded by that. A random number that cannot be opened is taken for another one, and the log-in fails at the next
//! message, so that no answer of a server tells about the padding (Bleichenbacher's attack). How long `rsa` takes for a
//! private key may tell (RUSTSEC-2023-0071); a key that is used for nothing else and is replaced now and then limits what
//! it is worth.
//!
//! Source: the community's RFB specification; TigerVNC 1.16 and noVNC 1.6 for limits.

#[cfg(feature = "rsa-aes")]
mod exchange;
#[cfg(feature = "rsa-aes")]
mod key;
#[cfg(feature = "rsa-aes")]
mod layer;
mod public;
#[cfg(all(feature = "rsa-aes", feature = "tokio"))]
mod stream;

#[cfg(feature = "rsa-aes")]
pub use key::{Key, KeyError};
#[cfg(feature = "rsa-aes")]
pub use layer::Layer;
pub use public::{LayerKeys, MIN_KEY_BITS, Pin, PublicKey, Strength};
#[cfg(all(feature = "rsa-aes", feature = "tokio"))]
pub use stream::LayerStream;

#[cfg(feature = "rsa-aes")]
pub(crate) use exchange::Exchange;
pub(crate) use public::{MAX_LOGIN_MESSAGE, MESSAGE_OVERHEAD};
