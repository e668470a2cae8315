#![no_std]
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

#[cfg(feature = "arbitrary")]
mod arbitrary;
#[cfg(feature = "tokio")]
pub mod codec;
#[cfg(all(
    any(doc, doctest),
    feature = "arbitrary",
    feature = "ard",
    feature = "ms-logon",
    feature = "rsa-aes",
    feature = "rustls",
    feature = "tokio"
))]
pub mod docs;
#[cfg(feature = "tokio")]
mod drive;
pub mod encoding;
mod error;
mod fields;
pub mod filter;
mod first_bytes;
pub mod framing;
pub mod handshake;
mod ids;
mod init;
mod limits;
pub mod message;
mod pixel_format;
mod pixel_rules;
#[cfg(feature = "tokio")]
pub mod proxy;
mod secret;
pub mod security;
#[cfg(feature = "serde")]
mod serialize;
pub mod session;
mod text;
#[cfg(feature = "rustls")]
pub mod tls;
mod version;

#[cfg(all(feature = "rustls", feature = "tokio"))]
pub use drive::TlsStream;
#[cfg(feature = "tokio")]
pub use drive::{
    BridgeDriven, Clock, Connection, DriveError, Driven, Mover, NotDialled, ProxyHandler, drive, drive_bridge,
    drive_session, while_both_connected, while_connected,
};
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use first_bytes::FirstBytes;
pub use init::{ClientInit, ServerInit};
pub use limits::Limits;
pub use pixel_format::{PixelFormat, PixelFormatError};
pub use pixel_rules::PixelRules;
pub use version::{Greeting, Policy, ProtocolVersion, Version, VersionError};
