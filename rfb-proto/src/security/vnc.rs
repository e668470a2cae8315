//! VNC authentication, security type 2 (RFC 6143 section 7.2.2).
//!
//! ```text
//! S  16 bytes  challenge, random
//! C  16 bytes  response: the challenge encrypted with DES in two blocks of 8 (ECB)
//! ```
//!
//! The key is made of the password: cut at 8 bytes, padded with zeros to 8, and the bits of every byte in
//! reverse order. DES leaves one bit of each key byte out, here the highest bit of each password byte.
//!
//! The type gives little security: eight characters at most, and a recorded challenge with its response
//! is enough to try passwords offline. It is here because everything speaks it; use it inside TLS.

use alloc::boxed::Box;
use core::fmt;

use des::Des;
use des::cipher::{Block, BlockDecrypt as _, BlockEncrypt as _, KeyInit as _};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Bytes of a challenge, and of a response.
pub const CHALLENGE_LEN: usize = 16;

/// Bytes of a password that count.
const PASSWORD_LEN: usize = 8;

/// The password that VNC servers encrypt other passwords with to hide them in a file. It is public.
const FILE_PASSWORD: [u8; PASSWORD_LEN] = [23, 82, 107, 6, 35, 78, 88, 7];

/// A password of VNC authentication: what of it counts.
///
/// - `Debug` shows nothing of it; there is no `Display`, no `Clone` and no `==`.
/// - Its memory is overwritten when it is dropped. The bytes that it was made of are the caller's to wipe.
///
/// ```
/// use rfb_proto::security::vnc::Password;
///
/// let challenge = *b"sixteen  random!";
/// let response = Password::new(b"secret").respond(&challenge);
/// assert!(Password::new(b"secret").verify(&challenge, &response));
/// assert!(!Password::new(b"guess").verify(&challenge, &response));
/// ```
pub struct Password {
    /// Padded with zeros. In a box, so that moving the password leaves no copies behind.
    bytes: Box<Zeroizing<[u8; PASSWORD_LEN]>>,
    truncated: bool,
}

impl Password {
    /// Takes the first 8 bytes.
    ///
    /// These are bytes because no text encoding is defined: most programs use UTF-8, noVNC something like
    /// Latin-1, and with anything but ASCII they do not understand each other. Programs in C stop at a
    /// NUL, here it is a byte as any other.
    #[must_use]
    pub fn new(password: &[u8]) -> Self {
        let mut bytes = Box::new(Zeroizing::new([0; PASSWORD_LEN]));
        for (byte, given) in bytes.iter_mut().zip(password) {
            *byte = *given;
        }
        Self {
            bytes,
            truncated: PASSWORD_LEN < password.len(),
        }
    }

    /// Reads the form in which VNC servers keep passwords in files, see
    /// [`to_obfuscated`](Self::to_obfuscated).
    ///
    /// A file of 16 bytes holds two passwords; the second is for viewers that may only watch.
    #[must_use]
    pub fn from_obfuscated(file: &[u8; 8]) -> Self {
        let mut bytes = Box::new(Zeroizing::new(*file));
        let block: &mut [u8; PASSWORD_LEN] = &mut bytes;
        cipher(&FILE_PASSWORD).decrypt_block(block.into());
        Self {
            bytes,
            truncated: false,
        }
    }

    /// The form in which VNC servers keep the password in a file: DES under a key that is the same
    /// everywhere. It hides the password from a passing look only, so treat it as the
    /// password.
    #[must_use]
    pub fn to_obfuscated(&self) -> [u8; 8] {
        let mut file = **self.bytes;
        cipher(&FILE_PASSWORD).encrypt_block((&mut file).into());
        file
    }

    /// Whether bytes behind the eighth were given and do not count. Users should be told: to the peer
    /// `password1` and `password2` are the same.
    #[must_use]
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Whether no bit of it reaches the key: the password is empty, or it answers as the empty one does.
    ///
    /// The empty password has a response as any other has. A server that takes it for "no password is
    /// set" lets every client in that knows that; most refuse it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let bits = self.bytes.iter().fold(0, |bits, byte| bits | byte);
        bits & 0x7f == 0
    }

    /// The client's response to the server's challenge.
    #[must_use]
    pub fn respond(&self, challenge: &[u8; CHALLENGE_LEN]) -> [u8; CHALLENGE_LEN] {
        let mut blocks = [Block::<Des>::default(); 2];
        for (byte, sent) in blocks.iter_mut().flatten().zip(challenge) {
            *byte = *sent;
        }
        cipher(&self.bytes).encrypt_blocks(&mut blocks);
        let mut response = [0; CHALLENGE_LEN];
        for (byte, encrypted) in response.iter_mut().zip(blocks.iter().flatten()) {
            *byte = *encrypted;
        }
        response
    }

    /// Whether a client's response is the right one.
    ///
    /// `challenge` must be 16 bytes from a cryptographically secure source that were sent to this client
    /// and never before: a listener that sees a challenge twice can repeat the response.
    ///
    /// The responses are compared in constant time. DES itself looks its values up in tables, and nothing
    /// is claimed about that.
    #[must_use]
    pub fn verify(&self, challenge: &[u8; CHALLENGE_LEN], response: &[u8; CHALLENGE_LEN]) -> bool {
        self.respond(challenge).ct_eq(response).into()
    }
}

/// Not even the length, nor whether it is empty or was cut.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// DES with the key that a password gives.
///
/// Weak keys are keys here: a check for them would refuse the empty password, whose key is all zeros, and
/// what to do about that is not for the cipher to decide.
fn cipher(password: &[u8; PASSWORD_LEN]) -> Des {
    Des::new((&*key(password)).into())
}

/// The bits of every byte in reverse order.
fn key(password: &[u8; PASSWORD_LEN]) -> Zeroizing<[u8; PASSWORD_LEN]> {
    let mut key = Zeroizing::new(*password);
    for byte in key.iter_mut() {
        *byte = byte.reverse_bits();
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key is private, so its vectors are checked here; the responses are in `tests/it`.
    #[test]
    fn key_is_cut_padded_and_bit_reversed() {
        for (password, expected) in [
            (&b""[..], [0; 8]),
            (b".", [0x74, 0, 0, 0, 0, 0, 0, 0]),
            (b"ab", [0x86, 0x46, 0, 0, 0, 0, 0, 0]),
            (b"Ch_#!T@8", [0xc2, 0x16, 0xfa, 0xc4, 0x84, 0x2a, 0x02, 0x1c]),
            (b"1234567\xe9", [0x8c, 0x4c, 0xcc, 0x2c, 0xac, 0x6c, 0xec, 0x97]),
            (b"123456789", [0x8c, 0x4c, 0xcc, 0x2c, 0xac, 0x6c, 0xec, 0x1c]),
        ] {
            assert_eq!(*key(&Password::new(password).bytes), expected, "{password:?}");
        }
        assert_eq!(*key(&FILE_PASSWORD), [0xe8, 0x4a, 0xd6, 0x60, 0xc4, 0x72, 0x1a, 0xe0]);
    }
}
