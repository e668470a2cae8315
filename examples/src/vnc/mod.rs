//! What the VNC programs share: connections, ways to log in, passwords.

mod method;
mod secret;
mod stream;

pub use method::{Method, Needs, security_types, subtypes};
pub use secret::{SecretError, password, password_of};
pub use stream::{Io, Stream, TlsStream, secured, whole};
