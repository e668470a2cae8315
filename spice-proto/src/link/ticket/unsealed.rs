//! A password on its way to be sealed.

use super::{PublicKey, SealedTicket};
use crate::error::CryptoError;

#[cfg(feature = "rsa")]
pub(crate) use sealed::Unsealed;

#[cfg(feature = "rsa")]
mod sealed {
    use core::fmt;

    use zeroize::Zeroizing;

    use super::super::{OAEP_SEED_LEN, Secret};
    use super::{CryptoError, PublicKey, SealedTicket};

    /// A password, and the caller's random bytes for one sealing. With them guesses of the password can be tested.
    pub(crate) struct Unsealed {
        password: Secret,
        seed: Zeroizing<[u8; OAEP_SEED_LEN]>,
    }

    impl Unsealed {
        pub(crate) fn new(password: Secret, seed: [u8; OAEP_SEED_LEN]) -> Self {
            let seed = Zeroizing::new(seed);
            Self { password, seed }
        }

        /// The ticket for a server. The seed is then gone: it is used once.
        pub(crate) fn seal(&mut self, key: &PublicKey) -> Result<SealedTicket, CryptoError> {
            key.seal(self.password.expose(), core::mem::take(&mut *self.seed))
        }
    }

    impl fmt::Debug for Unsealed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Unsealed(..)")
        }
    }
}

/// Without RSA there is none.
#[cfg(not(feature = "rsa"))]
#[derive(Debug)]
pub(crate) enum Unsealed {}

#[cfg(not(feature = "rsa"))]
impl Unsealed {
    pub(crate) fn seal(&mut self, _: &PublicKey) -> Result<SealedTicket, CryptoError> {
        match *self {}
    }
}
