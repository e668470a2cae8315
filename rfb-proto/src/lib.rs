#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;

#[cfg(feature = "tokio")]
pub mod codec;
#[cfg(feature = "tokio")]
mod drive;
pub mod encoding;
mod error;
mod fields;
pub mod filter;
pub mod framing;
pub mod handshake;
mod ids;
mod init;
mod limits;
mod mask;
pub mod message;
mod opening;
mod pixel_format;
mod pixel_rules;
mod secret;
pub mod security;
#[cfg(feature = "serde")]
mod serialize;
mod text;
#[cfg(feature = "rustls")]
pub mod tls;
mod version;

#[cfg(feature = "tokio")]
pub use drive::{
    BridgeDriven, Clock, DriveError, Driven, drive, drive_bridge, drive_bridge_while_asking, drive_while_asking,
};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use init::{ClientInit, ServerInit};
pub use limits::Limits;
pub use opening::Opening;
pub use pixel_format::{PixelFormat, PixelFormatError};
pub use pixel_rules::PixelRules;
pub use version::{Greeting, Policy, ProtocolVersion, Version, VersionError};
