#![no_std]
// Its program needs these features.
#![cfg_attr(any(not(doctest), all(feature = "rsa", feature = "tokio")), doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(feature = "rsa"),
    allow(
        dead_code,
        unused_imports,
        reason = "without tickets there are no relays, which use the rest"
    )
)]

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
#[cfg(all(
    any(doc, doctest),
    feature = "arbitrary",
    feature = "rsa",
    feature = "rustls",
    feature = "tokio"
))]
pub mod docs;
#[cfg(feature = "tokio")]
mod drive;
mod error;
mod fields;
pub mod frame;
pub mod ids;
mod limits;
pub mod link;
mod parts;
#[cfg(all(feature = "rsa", feature = "tokio"))]
pub mod proxy;
#[cfg(feature = "serde")]
mod serialize;
pub mod session;
#[cfg(feature = "rustls")]
pub mod tls;

#[cfg(feature = "tokio")]
pub use drive::{BufferedStream, Clock, DriveError, Driven, drive, inquire, while_connected};
#[cfg(all(feature = "rsa", feature = "tokio"))]
pub use drive::{
    Connection, ManagedClaim, ProxyHandler, SessionManager, drive_relay, drive_session, identify, while_both_connected,
};
pub use error::{CryptoError, DecodeError, DecodeErrorKind, EncodeError};
pub use limits::Limits;
