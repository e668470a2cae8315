//! What the VNC programs share: connections, ways to log in, passwords.

mod drive;
mod method;
mod secret;
mod stream;

pub use drive::{Clock, DriveError, Driven, drive};
pub use method::{Method, Needs, security_types, subtypes};
pub use secret::{Secret, SecretError, password, password_of};
pub use stream::{Io, Stream, TlsStream, secured, whole};
