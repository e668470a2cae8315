//! What the SPICE programs share: connections, and what follows a link.

mod sasl;
mod stream;

pub use sasl::{Login, LoginError};
pub use stream::tls;

pub use crate::stream::Stream;
