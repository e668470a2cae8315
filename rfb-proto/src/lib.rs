#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod error;
mod ids;
mod limits;
pub mod security;
mod version;
mod wire;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
pub use version::{Greeting, ProtocolVersion, Version, VersionError, Policy};
