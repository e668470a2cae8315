//! The accounts that a server accepts.

use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::security::vnc::Password;
use subtle::ConstantTimeEq;

use crate::vnc::Secret;

/// The one account that there is.
#[derive(Debug)]
pub struct Account {
    /// For Plain.
    pub user: String,
    /// For Plain, and its first eight bytes for VNC authentication. `None`: no password is right.
    pub password: Option<Secret>,
}

impl Account {
    /// Whether what a viewer shows is enough. That it was offered the way in which it shows it is for the
    /// handshake to see to.
    #[must_use]
    pub fn admits(&self, claim: &ClientCredentials) -> bool {
        match (claim, &self.password) {
            (ClientCredentials::None, _) => true,
            (ClientCredentials::Vnc { challenge, response }, Some(own)) => {
                Password::new(own).verify(challenge, response)
            }
            (ClientCredentials::Plain(shown), Some(own)) => {
                let user = shown.user.ct_eq(self.user.as_bytes());
                let password = shown.password.expose().ct_eq(own);
                (user & password).into()
            }
            _ => false,
        }
    }
}

/// A VNC challenge: 16 random bytes of the operating system.
///
/// # Panics
/// When the operating system has no random bytes: nothing here can go on without.
#[must_use]
pub fn challenge() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("random bytes from the operating system");
    bytes
}
