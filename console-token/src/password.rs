//! Passwords of consoles, which the hypervisor asks for.

use alloc::string::String;
use core::fmt;

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::{ConsoleType, Protocol};

/// The password that a user sets for a console of their own: the optional `password` of a console
/// request, by Nova's specification "remote console with password authentication".
///
/// - At most [`MAX_LEN`](Self::MAX_LEN) bytes. The specification says characters; VNC counts bytes,
///   and what is longer is cut by viewers without a word.
/// - For VNC and SPICE only: the hypervisors have none for the others.
/// - Not empty: with an empty password QEMU accepts an empty one.
/// - No control characters: it is set through libvirt's XML, which cannot hold them, and in VNC a NUL ends it.
///
/// It is no token: it has at most 64 bits and is checked by the hypervisor. `Debug` shows nothing of
/// it, `==` takes the same time wherever the first difference lies, and it is overwritten when dropped.
pub struct ConsolePassword(Zeroizing<String>);

impl ConsolePassword {
    /// The longest password, in bytes: that of VNC authentication (RFC 6143 section 7.2.2), also for SPICE.
    pub const MAX_LEN: usize = 8;

    /// Takes the password that came with a request for this console.
    ///
    /// # Errors
    ///
    /// [`PasswordError`]; Nova answers each with 400.
    pub fn new(console: ConsoleType, password: &str) -> Result<Self, PasswordError> {
        let protocol = console.protocol();
        if !matches!(protocol, Protocol::Vnc | Protocol::Spice) {
            return Err(PasswordError::Protocol(protocol));
        }
        match password.len() {
            0 => Err(PasswordError::Empty),
            len if Self::MAX_LEN < len => Err(PasswordError::TooLong { len }),
            _ if password.chars().any(char::is_control) => Err(PasswordError::ControlCharacter),
            _ => Ok(Self(Zeroizing::new(password.into()))),
        }
    }

    /// The password itself, for the hypervisor.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for ConsolePassword {}

impl PartialEq for ConsolePassword {
    /// In constant time for passwords of the same length.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for ConsolePassword {}

impl fmt::Debug for ConsolePassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsolePassword(redacted)")
    }
}

/// Why a text cannot be the password of a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// Consoles of this protocol have no password.
    #[error("consoles of protocol {0} have no password")]
    Protocol(Protocol),
    /// There is nothing in it.
    #[error("the password is empty")]
    Empty,
    /// It has more than [`ConsolePassword::MAX_LEN`] bytes.
    #[error("the password has {len} bytes, more than {limit}", limit = ConsolePassword::MAX_LEN)]
    TooLong {
        /// Its bytes.
        len: usize,
    },
    /// It has a control character in it.
    #[error("the password has a control character in it")]
    ControlCharacter,
}
