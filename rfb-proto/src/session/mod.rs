//! One console: a tenant's connection and the hypervisor's behind it, from the first byte to the last.
//!
//! [`Relay`] is all of it: the handshake of both sides, ClientInit and ServerInit, the messages of both directions with
//! what may pass, and what becomes of the tenant when its guest moves. [`ViewerLimit`] bounds how many tenants see one
//! console.

pub mod relay;
mod viewers;

pub use relay::Relay;
pub use viewers::{Viewer, ViewerLimit};
