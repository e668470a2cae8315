//! The messages: AES-EAX over a stream.

use alloc::boxed::Box;
use core::fmt;

use aes::{Aes128, Aes256};
use bytes::{Buf as _, BufMut as _, BytesMut};
use eax::Eax;
use eax::aead::consts::U16;
use eax::aead::{AeadInPlace, KeyInit, Nonce, Tag};
use zeroize::Zeroize as _;

use super::public::{Keys, LayerKeys, MESSAGE_OVERHEAD, Strength};
use crate::error::{DecodeError, DecodeErrorKind};
use crate::security::Secret;

/// Most bytes that are put into one message: what TigerVNC puts into one.
const MAX_SEALED: usize = 8192;

/// Bytes of the length in front of a message.
const HEADER: usize = 2;

/// Bytes of a MAC.
const MAC: usize = 16;

/// One direction: a key, and the number of the next message.
struct Direction {
    strength: Strength,
    key: Secret,
    counter: u64,
}

impl Direction {
    fn nonce(&mut self) -> [u8; 16] {
        let mut nonce = [0; 16];
        // As many messages as the other 8 bytes are for are never sent.
        for (byte, counted) in nonce.iter_mut().zip(self.counter.to_le_bytes()) {
            *byte = counted;
        }
        self.counter = self.counter.wrapping_add(1);
        nonce
    }

    fn seal(&mut self, header: [u8; HEADER], content: &mut [u8]) -> [u8; MAC] {
        let nonce = self.nonce();
        match self.strength {
            Strength::Aes128 => seal::<Eax<Aes128>>(self.key.expose(), &nonce, header, content),
            Strength::Aes256 => seal::<Eax<Aes256>>(self.key.expose(), &nonce, header, content),
        }
    }

    fn open(&mut self, header: [u8; HEADER], content: &mut [u8], mac: &[u8; MAC]) -> bool {
        let nonce = self.nonce();
        match self.strength {
            Strength::Aes128 => open::<Eax<Aes128>>(self.key.expose(), &nonce, header, content, mac),
            Strength::Aes256 => open::<Eax<Aes256>>(self.key.expose(), &nonce, header, content, mac),
        }
    }
}

/// INVARIANT: a key has the length of its strength, so a cipher can be made of it. A content is no longer than 65,535
/// bytes, which it takes.
fn seal<C>(key: &[u8], nonce: &[u8; 16], header: [u8; HEADER], content: &mut [u8]) -> [u8; MAC]
where
    C: AeadInPlace<NonceSize = U16, TagSize = U16> + KeyInit,
{
    let sealed = C::new_from_slice(key).ok().and_then(|cipher| {
        cipher
            .encrypt_in_place_detached(Nonce::<C>::from_slice(nonce), &header, content)
            .ok()
    });
    match sealed {
        Some(tag) => tag.into(),
        None => {
            // Nothing goes out in clear text.
            content.zeroize();
            [0; MAC]
        }
    }
}

fn open<C>(key: &[u8], nonce: &[u8; 16], header: [u8; HEADER], content: &mut [u8], mac: &[u8; MAC]) -> bool
where
    C: AeadInPlace<NonceSize = U16, TagSize = U16> + KeyInit,
{
    C::new_from_slice(key).is_ok_and(|cipher| {
        cipher
            .decrypt_in_place_detached(
                Nonce::<C>::from_slice(nonce),
                &header,
                content,
                Tag::<C>::from_slice(mac),
            )
            .is_ok()
    })
}

/// Both directions of a session that stays encrypted: RA2 and RA2_256.
///
/// It stands between the connection and the RFB stream, as TLS does. What comes from the connection goes through
/// [`open`](Self::open), what is to be sent through [`seal`](Self::seal).
///
/// ```
/// # use bytes::BytesMut;
/// # use rfb_proto::DecodeError;
/// # use rfb_proto::security::rsa_aes::Layer;
/// # fn received(layer: &mut Layer, socket: &mut BytesMut, plain: &mut BytesMut) -> Result<(), DecodeError> {
/// // More bytes came into `socket`. Whole messages are taken out of it.
/// let at_least = layer.open(socket, plain)?; // so many bytes more make the next one
/// # let _ = at_least;
/// # Ok(())
/// # }
/// ```
pub struct Layer {
    seal: Direction,
    open: Direction,
    /// What came in the last message of the log-in, behind it.
    pending: Option<Secret>,
}

impl Layer {
    /// What the layer begins with comes from the handshake, in a question.
    #[must_use]
    pub fn new(keys: LayerKeys) -> Self {
        let Keys {
            strength,
            seal,
            open,
            pending,
        } = *keys.0;
        let direction = |(key, counter)| Direction { strength, key, counter };
        Self {
            seal: direction(seal),
            open: direction(open),
            pending: Some(pending),
        }
    }

    /// The other way round.
    pub(crate) fn into_keys(self, pending: Secret) -> LayerKeys {
        LayerKeys(Box::new(Keys {
            strength: self.seal.strength,
            seal: (self.seal.key, self.seal.counter),
            open: (self.open.key, self.open.counter),
            pending,
        }))
    }

    /// Takes all of `plain`, which is overwritten, and appends it to `socket` in messages of at most 8192 bytes.
    pub fn seal(&mut self, plain: &mut BytesMut, socket: &mut BytesMut) {
        let messages = plain.len().div_ceil(MAX_SEALED);
        socket.reserve(plain.len().saturating_add(messages.saturating_mul(MESSAGE_OVERHEAD)));
        for content in plain.chunks_mut(MAX_SEALED) {
            self.seal_message(content, socket);
        }
        plain.as_mut().zeroize();
        plain.clear();
    }

    /// One message.
    pub(super) fn seal_message(&mut self, content: &mut [u8], socket: &mut BytesMut) {
        // INVARIANT: what is sealed has at most 8192 bytes.
        let header = u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mac = self.seal.seal(header, content);
        socket.put_slice(&header);
        socket.put_slice(content);
        socket.put_slice(&mac);
    }

    /// Takes whole messages off the front of `socket` and appends what is in them to `plain`. Returns how many more bytes
    /// the next message needs at least, never 0.
    ///
    /// # Errors
    /// A message that is not authentic. The stream is lost, and later calls fail as well.
    pub fn open(&mut self, socket: &mut BytesMut, plain: &mut BytesMut) -> Result<usize, DecodeError> {
        if let Some(pending) = self.pending.take() {
            plain.put_slice(pending.expose());
        }
        loop {
            match self.open_message(socket, plain, usize::from(u16::MAX))? {
                0 => {}
                missing => return Ok(missing),
            }
        }
    }

    /// One message. Returns how many bytes are missing; 0: it was taken.
    pub(super) fn open_message(
        &mut self,
        socket: &mut BytesMut,
        plain: &mut BytesMut,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        let Some(header) = socket.first_chunk::<HEADER>().copied() else {
            return Ok(HEADER.saturating_sub(socket.len()));
        };
        let length = usize::from(u16::from_be_bytes(header));
        if limit < length {
            let (value, limit) = (length as u64, limit as u64);
            return Err(message_error("length", 0, DecodeErrorKind::TooLarge { value, limit }));
        }
        let whole = length.saturating_add(MESSAGE_OVERHEAD);
        if socket.len() < whole {
            return Ok(whole.saturating_sub(socket.len()));
        }
        let body = socket.get_mut(HEADER..whole).unwrap_or_default();
        let (content, mac) = body.split_at_mut(length.min(body.len()));
        let mac = mac.first_chunk().copied().unwrap_or_default();
        if !self.open.open(header, content, &mac) {
            let at = HEADER.saturating_add(length);
            return Err(message_error(
                "mac",
                at,
                DecodeErrorKind::Invalid("the message is not authentic"),
            ));
        }
        plain.put_slice(content);
        content.zeroize();
        socket.advance(whole);
        Ok(0)
    }
}

fn message_error(field: &'static str, offset: usize, kind: DecodeErrorKind) -> DecodeError {
    DecodeError {
        message: "RsaAesMessage",
        field,
        offset,
        kind,
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer(..)")
    }
}
