#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;

pub mod caps;
pub mod channel;
mod error;
pub mod frame;
pub mod ids;
mod limits;
mod wire;

pub use error::{CryptoError, DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
