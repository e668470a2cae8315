#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;
// The derived code of `arbitrary` names it.
#[cfg(feature = "arbitrary")]
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
mod wire;

#[cfg(feature = "tokio")]
pub use drive::{Clock, DriveError, Driven, drive, drive_relay};
pub use error::{CryptoError, DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
