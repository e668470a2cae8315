//! The text of a signed token.

use alloc::boxed::Box;
use core::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::Refusal;

/// The text of a signed token: a JWS in compact form (RFC 7515 section 7.1), three parts of base64url with dots between.
///
/// It is as secret as a [`Secret`](crate::Secret), and treated in the same way. Nothing in it is to be believed before
/// its signature has been verified.
pub struct SignedToken(Zeroizing<Box<str>>);

impl SignedToken {
    /// The longest text, in bytes. It fits a line of a request's head; those of Kerbside and Kubernetes have 400 to 1500.
    pub const MAX_LEN: usize = 4096;

    /// What a peer presented as a signed token.
    ///
    /// # Errors
    ///
    /// [`Refusal::Malformed`]; to be answered like any other refusal.
    pub fn presented(bytes: &[u8]) -> Result<Self, Refusal> {
        let is_base64url = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let text = core::str::from_utf8(bytes).map_err(|_| Refusal::Malformed)?;
        let parts = || text.split('.');
        let is_token = bytes.len() <= Self::MAX_LEN
            && parts().count() == 3
            && parts().all(|part| !part.is_empty() && part.bytes().all(is_base64url));
        if is_token {
            Ok(Self(Zeroizing::new(text.into())))
        } else {
            Err(Refusal::Malformed)
        }
    }

    /// The text itself, to be handed to the holder of the token only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ZeroizeOnDrop for SignedToken {}

impl PartialEq for SignedToken {
    /// In constant time for texts of the same length.
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for SignedToken {}

impl fmt::Debug for SignedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedToken(redacted)")
    }
}
