//! What the VNC programs share: connections, ways to log in, passwords.

mod account;
mod method;
mod secret;
mod stream;

pub use account::{Account, challenge};
pub use method::{Method, Needs, security_types, subtypes};
pub use secret::{Secret, SecretError, password};
pub use stream::{Io, Stream, TlsStream, receive, secured, whole};
