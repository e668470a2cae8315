#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;
// The derived code of `arbitrary` names it, and the driver of sessions has a lock.
#[cfg(any(feature = "arbitrary", feature = "tokio"))]
extern crate std;

pub mod agent;
#[cfg(feature = "arbitrary")]
mod arbitrary;
pub mod caps;
pub mod channel;
#[cfg(feature = "tokio")]
pub mod codec;
#[cfg(feature = "tokio")]
mod drive;
mod error;
mod fields;
pub mod frame;
pub mod ids;
mod limits;
pub mod link;
mod parts;
#[cfg(feature = "serde")]
mod serialize;
pub mod session;
#[cfg(feature = "rustls")]
pub mod tls;

#[cfg(feature = "tokio")]
pub use drive::{
    BufferedStream, Clock, Connection, DriveError, Driven, ManagedClaim, ProxyHandler, SessionManager, drive,
    drive_relay, drive_session, inquire, while_both_connected, while_connected,
};
pub use error::{CryptoError, DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
