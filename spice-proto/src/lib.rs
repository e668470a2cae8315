#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;

pub mod agent;
pub mod caps;
pub mod channel;
#[cfg(feature = "tokio")]
mod drive;
mod error;
pub mod frame;
pub mod ids;
mod limits;
pub mod link;
mod parts;
mod wire;

#[cfg(feature = "tokio")]
pub use drive::{Clock, DriveError, Driven, drive, drive_relay};
pub use error::{CryptoError, DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
