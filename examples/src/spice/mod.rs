//! What the SPICE programs share: connections, and what follows a link.

mod sasl;
mod stream;

pub use sasl::{Login, LoginError};
pub use stream::{Io, Stream, tls};
