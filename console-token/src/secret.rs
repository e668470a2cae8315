//! The secret value of a token, and the keyed hash that is kept instead of it.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::{fmt, iter};

use base16ct::HexDisplay;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{Refusal, hex};

/// The lengths of the groups of hexadecimal digits of a UUID, which dashes stand between (RFC 9562 section 4).
pub(crate) const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];

/// The length of a UUID, in bytes.
const UUID_LEN: usize = 36;

/// The secret value of a token: visible ASCII text that only its holder knows.
///
/// - `Debug` shows nothing of it; there is no `Display`, no `Clone` and no serialisation.
/// - Its memory is overwritten when it is dropped. Copies that the caller made, the random bytes
///   it was made from among them, are the caller's to wipe.
/// - `==` takes the same time wherever the first difference lies. Lengths are not secret.
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// The longest text that [`presented`](Self::presented) takes, in bytes.
    ///
    /// The tokens made here have 36 and 43 bytes and a SPICE ticket has at most 60; the rest is
    /// room for tokens of other issuers. It bounds what one attempt costs us.
    pub const MAX_LEN: usize = 256;

    /// The longest SPICE ticket, in bytes: `SPICE_MAX_PASSWORD_LENGTH` of the SPICE protocol.
    pub const SPICE_PASSWORD_MAX: usize = 60;

    /// The longest password of VNC authentication, in bytes: a DES key (RFC 6143 section 7.2.2).
    pub const VNC_PASSWORD_MAX: usize = 8;

    /// A new token of 256 bits: base64url without padding (RFC 4648 section 5), 43 bytes.
    ///
    /// `random` must come from a cryptographically secure source and be used for nothing else.
    /// The text fits URLs, cookies, headers and SPICE tickets. It is not for places that fold
    /// case, such as host names.
    #[must_use]
    pub fn base64url(random: &[u8; 32]) -> Self {
        // `encode` makes one buffer of the exact size, so that no stale copy stays in the heap.
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(random).into_boxed_str()))
    }

    /// A new token in the form of Nova's: a UUID of version 4 (RFC 9562 section 5.4), lower case
    /// with dashes, 36 bytes.
    ///
    /// `random` must come from a cryptographically secure source and be used for nothing else;
    /// 122 of its bits are kept, 6 are overwritten with version and variant.
    #[must_use]
    pub fn uuid4(random: &[u8; 16]) -> Self {
        /// The high half of the 7th byte.
        const VERSION_4: u8 = 0x40;
        /// The two high bits of the 9th byte.
        const VARIANT: u8 = 0x80;

        let mut bytes = Zeroizing::new(*random);
        let [.., version, _, variant, _, _, _, _, _, _, _] = &mut *bytes;
        *version = VERSION_4 | *version & 0x0f;
        *variant = VARIANT | *variant & 0x3f;
        let mut digits = Zeroizing::new([0; 32]);
        let mut rest = base16ct::lower::encode_str(&*bytes, &mut *digits).unwrap_or_default();
        // One buffer of the exact size, for the same reason as above.
        let mut text = Zeroizing::new(String::with_capacity(UUID_LEN));
        for group in UUID_GROUPS {
            if !text.is_empty() {
                text.push('-');
            }
            let (digits, behind) = rest.split_at_checked(group).unwrap_or((rest, ""));
            text.push_str(digits);
            rest = behind;
        }
        Self(Zeroizing::new(core::mem::take(&mut *text).into_boxed_str()))
    }

    /// What a peer presented as its token: 1 to [`MAX_LEN`](Self::MAX_LEN) visible ASCII bytes
    /// (0x21 to 0x7e).
    ///
    /// Nothing else can be a token of any issuer, and nothing else needs to reach a store or a log.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`]; to be answered like any other refusal.
    pub fn presented(bytes: &[u8]) -> Result<Self, Refusal> {
        if Self::MAX_LEN < bytes.len() {
            return Err(Refusal::Malformed);
        }
        match core::str::from_utf8(bytes) {
            Ok(text) if !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic) => {
                Ok(Self(Zeroizing::new(text.into())))
            }
            _ => Err(Refusal::Malformed),
        }
    }

    /// Whether the token can travel as a SPICE ticket: at most
    /// [`SPICE_PASSWORD_MAX`](Self::SPICE_PASSWORD_MAX) bytes.
    ///
    /// Both forms that are made here fit.
    #[must_use]
    pub fn fits_spice_password(&self) -> bool {
        self.0.len() <= Self::SPICE_PASSWORD_MAX
    }

    /// Whether the token can travel as the password of VNC authentication: at most
    /// [`VNC_PASSWORD_MAX`](Self::VNC_PASSWORD_MAX) bytes.
    ///
    /// No form that is made here fits. Viewers cut longer passwords without a word, so that 8 bytes
    /// of a token would be all that is checked: carry it some other way, in the WebSocket's URL or
    /// as the password of VeNCrypt Plain.
    #[must_use]
    pub fn fits_vnc_password(&self) -> bool {
        self.0.len() <= Self::VNC_PASSWORD_MAX
    }

    /// The hash that Nova keeps in `console_auth_tokens.token_hash`: SHA-256 without a key.
    ///
    /// For Nova's own tables only. It is sound there because Nova's tokens have 122 random bits;
    /// everywhere else take [`Pepper::hash`].
    #[must_use]
    pub fn nova_hash(&self) -> NovaHash {
        NovaHash(Sha256::digest(self.0.as_bytes()).into())
    }

    /// The text itself, to be handed to the holder of the token only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for Secret {}

impl PartialEq for Secret {
    /// In constant time for texts of the same length.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// The key of the keyed hash: a secret of the deployment that all its gateways share.
///
/// It is kept apart from the store. A reader of the store alone can neither use what is in it
/// nor test guesses against it, also when an issuer's tokens have less entropy than they should.
pub struct Pepper {
    /// The hash that has taken in the key, once for all tokens: half of what a hash costs. It is as secret as the
    /// key, and is overwritten when it is dropped.
    keyed: Box<Hmac<Sha256>>,
}

impl Pepper {
    /// The shortest key, in bytes: RFC 2104 section 3 discourages keys shorter than the hash.
    pub const MIN_LEN: usize = 32;

    /// Takes the key, which must come from a cryptographically secure source.
    ///
    /// More than 64 bytes are hashed first, as RFC 2104 says.
    ///
    /// # Errors
    ///
    /// [`PepperTooShort`] under [`MIN_LEN`](Self::MIN_LEN) bytes.
    pub fn new(key: &[u8]) -> Result<Self, PepperTooShort> {
        let too_short = PepperTooShort { len: key.len() };
        if key.len() < Self::MIN_LEN {
            return Err(too_short);
        }
        // HMAC takes keys of any length.
        let keyed = Hmac::new_from_slice(key).map_err(|_| too_short)?;
        Ok(Self { keyed: Box::new(keyed) })
    }

    /// The hash under which the token is stored and found: HMAC-SHA-256 of its text.
    ///
    /// The hash function's working state is overwritten. What the compiler leaves of it on the stack or in registers
    /// is not.
    #[must_use]
    pub fn hash(&self, token: &Secret) -> TokenHash {
        self.hash_parts(&[token.expose().as_bytes()])
    }

    /// The hash of bytes one behind the other. What begins with NUL is no token's.
    pub(crate) fn hash_parts(&self, parts: &[&[u8]]) -> TokenHash {
        let mut mac = Hmac::clone(&self.keyed);
        parts.iter().for_each(|part| mac.update(part));
        TokenHash(mac.finalize().into_bytes().into())
    }
}

impl ZeroizeOnDrop for Pepper {}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(redacted)")
    }
}

/// A [`Pepper`] needs at least [`Pepper::MIN_LEN`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("pepper too short: {len} bytes, at least {} are needed", Pepper::MIN_LEN)]
pub struct PepperTooShort {
    /// The number of bytes that were given.
    pub len: usize,
}

/// The peppers of a deployment: the one in use, and those that tokens still out were hashed with.
///
/// To rotate: [`rotate`](Self::rotate) on every gateway, with the old one kept; when the last token
/// that was hashed under the old one has expired, and its sessions have ended,
/// [`retire`](Self::retire) it. New records are written under [`hash`](Self::hash), presented tokens
/// are looked up under each of [`hashes`](Self::hashes).
#[derive(Debug)]
pub struct Peppers {
    current: Pepper,
    /// The latest first.
    previous: Vec<Pepper>,
}

impl Peppers {
    /// One pepper, and none before it.
    #[must_use]
    pub const fn new(current: Pepper) -> Self {
        Self {
            current,
            previous: Vec::new(),
        }
    }

    /// Adds a pepper that was in use before all that are here.
    #[must_use]
    pub fn with_previous(mut self, pepper: Pepper) -> Self {
        self.previous.push(pepper);
        self
    }

    /// Puts a new pepper in use. The one until now stays, for look-ups.
    pub fn rotate(&mut self, pepper: Pepper) {
        let former = core::mem::replace(&mut self.current, pepper);
        self.previous.insert(0, former);
    }

    /// Forgets all previous peppers but the latest `keep`. What was hashed under the others is not
    /// found any more.
    pub fn retire(&mut self, keep: usize) {
        self.previous.truncate(keep);
    }

    /// The number of peppers, and so of the look-ups that one presented token costs.
    #[must_use]
    pub fn count(&self) -> usize {
        self.previous.len().saturating_add(1)
    }

    /// The hash for a new record: under the pepper in use.
    #[must_use]
    pub fn hash(&self, token: &Secret) -> TokenHash {
        self.current.hash(token)
    }

    /// The hashes under which a presented token may be kept, the one in use first.
    ///
    /// A look-up that ends at the first hit answers known tokens sooner than unknown ones. That tells
    /// nothing that the answer itself does not.
    pub fn hashes(&self, token: &Secret) -> impl Iterator<Item = TokenHash> {
        iter::once(&self.current)
            .chain(&self.previous)
            .map(|pepper| pepper.hash(token))
    }
}

/// The keyed hash of a token: all that is kept at rest.
///
/// `==` is in constant time. There is no order on purpose: a store looks up by the
/// [`Fingerprint`] and then compares. `Debug` shows the fingerprint only.
#[derive(Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// Takes a hash that a store kept.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for a store to keep.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A name for the token in logs and indexes.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Fingerprint([a, b, c, d, e, f, g, h])
    }
}

impl PartialEq for TokenHash {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({}..)", self.fingerprint())
    }
}

/// The first 8 bytes of a [`TokenHash`], shown as 16 hexadecimal digits.
///
/// It names a token in logs. It cannot be computed, nor a guess tested, without the
/// [`Pepper`]; it does not admit anybody; and two tokens may, though hardly ever will, have the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// The 8 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl core::str::FromStr for Fingerprint {
    type Err = Refusal;

    /// Reads the 16 hexadecimal digits that `Display` writes.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        hex::decode(text).map(Self).ok_or(Refusal::Malformed)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", HexDisplay(&self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// SHA-256 of a token without a key, as Nova's tables keep it.
///
/// `==` is in constant time. `Debug` shows nothing: guesses could be tested against what it showed.
#[derive(Clone, Copy)]
pub struct NovaHash([u8; 32]);

impl NovaHash {
    /// Reads the text of the column `token_hash`: 64 hexadecimal digits, lower case.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        hex::decode(text).filter(|_| !upper).map(Self)
    }

    /// The text of the column `token_hash`: 64 hexadecimal digits, lower case.
    #[must_use]
    pub fn to_hex(&self) -> String {
        base16ct::lower::encode_string(&self.0)
    }

    /// The bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for NovaHash {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for NovaHash {}

impl fmt::Debug for NovaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NovaHash(redacted)")
    }
}
