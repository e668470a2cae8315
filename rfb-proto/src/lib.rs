#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;

mod error;
mod version;

pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use version::{Greeting, ProtocolVersion, Version, VersionError, VersionPolicy};
