#![no_std]
#![doc = include_str!("../README.md")]

extern crate alloc;

pub mod builder;
pub mod connection;
mod document;
pub mod download;
pub mod error;
pub mod key;
pub mod key_file;
pub mod ovirt;
mod pem;
mod secret;
mod take;

pub use builder::{Builder, Channel, HotkeyAction};
pub use connection::{ConnectionFile, ConnectionType};
pub use document::Document;
pub use error::{BuildError, ConnectionError, ParseError};
pub use key_file::KeyFile;
pub use secret::Secret;
