//! What the SPICE programs share: connections, and what follows a link.

#[cfg(feature = "tools")]
mod sasl;
mod stream;
mod talk;

#[cfg(feature = "tools")]
pub use sasl::{Login, LoginError};
pub use stream::tls;
pub use talk::Talk;

pub use crate::stream::Stream;
