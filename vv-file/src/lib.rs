#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

extern crate alloc;

#[cfg(feature = "arbitrary")]
mod arbitrary;
pub mod builder;
pub mod connection;
mod direction;
pub mod docs;
mod document;
pub mod download;
pub mod error;
#[cfg(feature = "serde")]
mod fields;
mod from_value;
mod host;
pub mod hotkey;
pub mod key;
pub mod key_file;
pub mod lint;
pub mod ovirt;
pub mod pem;
pub mod policy;
pub mod presets;
mod protocol;
pub mod proxy;
mod redact;
mod secret;
#[cfg(feature = "serde")]
mod serialize;
mod strict;
pub mod subject;
pub mod usb_filter;
pub mod version;
mod wiped;

pub use builder::{Builder, Channel, ColorDepth, Effect, Engine, HotkeyAction};
pub use connection::{ConnectionFile, ConnectionType};
pub use document::Document;
pub use error::{BuildError, ConnectionError, ParseError};
pub use key_file::KeyFile;
pub use lint::{Finding, FindingKind, Severity, lint};
pub use secret::Secret;
#[cfg(feature = "serde")]
pub use serialize::WithSecrets;
