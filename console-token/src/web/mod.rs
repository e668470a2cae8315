//! What a gateway decides by the text of an HTTP request: where the token is, which page it comes from, where it
//! wants to go.
//!
//! All of it is pure functions of what they are given. Nova's proxy once added the `Host` of each request to the
//! origins that it accepts (bug 2158919): here no request can change the answer to the next.

mod host;
mod network;
pub mod origin;
pub mod place;
mod redact;
pub mod target;

pub use host::{Authority, Host, HostError, HostName};
pub use network::{Network, NetworkError};
pub use redact::Redacted;
