//! The log-in of either role, without its order: that is the machine's.

use alloc::boxed::Box;

use bytes::{BufMut as _, Bytes, BytesMut};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::layer::Layer;
use super::public::{Keys, LayerKeys, MAX_LOGIN_MESSAGE, PublicKey, Strength};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::security::seed::Expand;
use crate::security::{Secret, Seed};

/// Both keys, the random numbers, and then the messages.
pub(crate) struct Exchange {
    strength: Strength,
    own: PublicKey,
    peer: Option<PublicKey>,
    random: Secret,
    seed: Seed,
    layer: Option<Layer>,
    /// What was in messages and is not yet used. Overwritten when it is dropped.
    plain: BytesMut,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.plain.as_mut().zeroize();
    }
}

impl core::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Exchange(..)")
    }
}

fn error(message: &'static str, field: &'static str, kind: DecodeErrorKind) -> DecodeError {
    DecodeError {
        message,
        field,
        offset: 0,
        kind,
    }
}

impl Exchange {
    pub(crate) fn new(strength: Strength, own: PublicKey, seed: &Seed) -> Self {
        let mut random = Zeroizing::new([0; 32]);
        Expand::new(seed, b"RSA-AES random").fill(&mut *random);
        Self {
            strength,
            own,
            peer: None,
            random: Secret::new(random.get(..strength.random_len()).unwrap_or_default()),
            seed: seed.copy(),
            layer: None,
            // So that user and password do not make it grow, which would leave a copy of them behind.
            plain: BytesMut::with_capacity(1024),
        }
    }

    pub(crate) fn strength(&self) -> Strength {
        self.strength
    }

    /// Sends the random number to the owner of the peer's key.
    pub(crate) fn send_random(&mut self, peer: PublicKey, tx: &mut BytesMut) -> Result<(), DecodeError> {
        let sealed = peer.seal(self.random.expose(), &mut Expand::new(&self.seed, b"RSA padding"))?;
        // INVARIANT: a key has at most 65,535 bytes.
        let length = u16::try_from(sealed.len()).unwrap_or(u16::MAX);
        tx.put_u16(length);
        tx.put_slice(&sealed);
        self.peer = Some(peer);
        Ok(())
    }

    /// The peer's random number as it was sealed. `Err`: so many bytes are missing.
    pub(crate) fn sealed_random(&self, rx: &[u8]) -> Result<Result<Bytes, usize>, DecodeError> {
        let Some((length, rest)) = rx.split_first_chunk::<2>() else {
            return Ok(Err(2_usize.saturating_sub(rx.len())));
        };
        let size = self.own.size();
        if usize::from(u16::from_be_bytes(*length)) != size {
            let kind = DecodeErrorKind::Invalid("not that of the key");
            return Err(error("SealedRandom", "length", kind));
        }
        match rest.get(..size) {
            Some(sealed) => Ok(Ok(Bytes::copy_from_slice(sealed))),
            None => Ok(Err(size.saturating_sub(rest.len()))),
        }
    }

    /// Both random numbers are known. Sends the hash of the keys, which shows that it is so.
    pub(crate) fn agree(&mut self, peers: &[u8], tx: &mut BytesMut) {
        let (own, strength) = (self.random.expose(), self.strength);
        let key = |first: &[u8], second: &[u8]| match strength {
            Strength::Aes128 => first_bytes(&mut Sha1::new().chain_update(first).chain_update(second).finalize(), 16),
            Strength::Aes256 => first_bytes(
                &mut Sha256::new().chain_update(first).chain_update(second).finalize(),
                32,
            ),
        };
        let mut layer = Layer::new(LayerKeys(Box::new(Keys {
            strength,
            seal: (key(peers, own), 0),
            open: (key(own, peers), 0),
            pending: Secret::new(&[]),
        })));
        if let Some(peer) = &self.peer {
            let mut hash = self.hash(&self.own, peer);
            layer.seal_message(&mut hash, tx);
        }
        self.random = Secret::new(&[]);
        self.layer = Some(layer);
    }

    fn hash(&self, first: &PublicKey, second: &PublicKey) -> BytesMut {
        let mut hash = BytesMut::new();
        match self.strength {
            Strength::Aes128 => hash.put_slice(&first.hashed::<Sha1>(Some(second))),
            Strength::Aes256 => hash.put_slice(&first.hashed::<Sha256>(Some(second))),
        }
        hash
    }

    /// Takes as many messages as hold `need` bytes. `Ok`: 0, or so many bytes are missing in `rx`.
    fn fill(&mut self, rx: &mut BytesMut, need: usize) -> Result<usize, DecodeError> {
        let Some(layer) = &mut self.layer else {
            // INVARIANT: messages are due behind `agree` only.
            return Err(error("RsaAesMessage", "length", DecodeErrorKind::Invalid("no key yet")));
        };
        while self.plain.len() < need {
            match layer.open_message(rx, &mut self.plain, MAX_LOGIN_MESSAGE)? {
                0 => {}
                missing => return Ok(missing),
            }
        }
        Ok(0)
    }

    fn eat(&mut self, count: usize) {
        let mut eaten = self.plain.split_to(count.min(self.plain.len()));
        eaten.as_mut().zeroize();
    }

    /// The peer's hash. `Ok`: 0, or so many bytes are missing.
    pub(crate) fn take_hash(&mut self, rx: &mut BytesMut) -> Result<usize, DecodeError> {
        let Some(peer) = &self.peer else {
            return Ok(0);
        };
        let expected = self.hash(peer, &self.own);
        let missing = self.fill(rx, expected.len())?;
        if 0 < missing {
            return Ok(missing);
        }
        let shown = self.plain.get(..expected.len()).unwrap_or_default();
        if !bool::from(shown.ct_eq(&expected)) {
            let kind =
                DecodeErrorKind::Invalid("not that of the two keys: they were exchanged by somebody in the middle");
            return Err(error("RsaAesHash", "hash", kind));
        }
        self.eat(expected.len());
        Ok(0)
    }

    /// The server asks for user and password, or for a password only.
    pub(crate) fn send_subtype(&mut self, with_user: bool, tx: &mut BytesMut) {
        if let Some(layer) = &mut self.layer {
            layer.seal_message(&mut [if with_user { 1 } else { 2 }], tx);
        }
    }

    /// Whether the server asks for a user. `Err`: so many bytes are missing.
    pub(crate) fn take_subtype(&mut self, rx: &mut BytesMut) -> Result<Result<bool, usize>, DecodeError> {
        let missing = self.fill(rx, 1)?;
        if 0 < missing {
            return Ok(Err(missing));
        }
        let with_user = match self.plain.first() {
            Some(1) => true,
            Some(2) => false,
            other => {
                let value = other.copied().unwrap_or_default().into();
                return Err(error("RsaAesSubtype", "subtype", DecodeErrorKind::Unknown { value }));
            }
        };
        self.eat(1);
        Ok(Ok(with_user))
    }

    /// Sends user and password. `false`: one of them has more than 255 bytes, and nothing was sent.
    pub(crate) fn send_credentials(&mut self, user: &[u8], password: &[u8], tx: &mut BytesMut) -> bool {
        let (Ok(user_length), Ok(password_length)) = (u8::try_from(user.len()), u8::try_from(password.len())) else {
            return false;
        };
        let mut content = Zeroizing::new([0; 2 + 2 * u8::MAX as usize]);
        let mut rest = &mut content[..];
        for part in [&[user_length], user, &[password_length], password] {
            rest.put_slice(part);
        }
        let length = user.len().saturating_add(password.len()).saturating_add(2);
        if let Some(layer) = &mut self.layer {
            layer.seal_message(content.get_mut(..length).unwrap_or_default(), tx);
        }
        true
    }

    /// User and password. `Err`: so many bytes are missing.
    pub(crate) fn take_credentials(
        &mut self,
        rx: &mut BytesMut,
    ) -> Result<Result<(Bytes, Secret), usize>, DecodeError> {
        let mut need = 1;
        loop {
            let missing = self.fill(rx, need)?;
            if 0 < missing {
                return Ok(Err(missing));
            }
            let user_end = 1_usize.saturating_add(usize::from(self.plain.first().copied().unwrap_or_default()));
            let password_at = user_end.saturating_add(1);
            let Some(&password_length) = self.plain.get(user_end) else {
                need = password_at;
                continue;
            };
            let end = password_at.saturating_add(usize::from(password_length));
            let (Some(user), Some(password)) = (self.plain.get(1..user_end), self.plain.get(password_at..end)) else {
                need = end;
                continue;
            };
            let shown = (Bytes::copy_from_slice(user), Secret::new(password));
            self.eat(end);
            return Ok(Ok(shown));
        }
    }

    /// What the session goes on with. Without a layer there must be nothing behind the log-in in its last message.
    pub(crate) fn into_keys(mut self) -> Option<LayerKeys> {
        let pending = Secret::new(&self.plain);
        Some(self.layer.take()?.into_keys(pending))
    }

    /// The log-in is over, and the session goes on in clear text.
    pub(crate) fn ends(&self) -> Result<(), DecodeError> {
        if self.plain.is_empty() {
            return Ok(());
        }
        let kind = DecodeErrorKind::Invalid("something stands behind the log-in in its last message");
        Err(error("RsaAesMessage", "content", kind))
    }
}

/// The first bytes of a hash, which is overwritten.
fn first_bytes(hash: &mut [u8], count: usize) -> Secret {
    let key = Secret::new(hash.get(..count).unwrap_or_default());
    hash.zeroize();
    key
}
