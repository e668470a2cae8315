//! What the VNC programs share: connections, ways to log in, passwords.

use std::path::Path;

pub use crate::secret::{Secret, SecretError};

mod account;
mod connection;
mod method;
#[cfg(feature = "tools")]
mod sealed;
mod stream;

pub use account::{Account, challenge};
pub use connection::Connection;
pub use method::{Method, Needs, security_types, subtypes};
#[cfg(feature = "tools")]
pub use sealed::{Answered, ClientLogin, SealedClient, SealedServer, key, layered};
pub use stream::{secure_client, secure_server};

pub use crate::stream::{Io, Stream};

/// The password: from a file, or else from the environment variable `VNC_PASSWORD`.
///
/// # Errors
/// As for [`secret::password`](crate::secret::password).
pub fn password(file: Option<&Path>) -> Result<Option<Secret>, SecretError> {
    crate::secret::password(file, "VNC_PASSWORD")
}
