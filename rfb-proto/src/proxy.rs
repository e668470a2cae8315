//! What the author of a proxy needs, in one place: `use rfb_proto::proxy::*` (feature `tokio`).
//!
//! Everything here is re-exported from where it belongs; one name is longer here, since it is `Config` at home. A whole
//! proxy with it is the program `examples/minimal_proxy.rs`, which the README quotes.
//!
//! In the order of a proxy's life: a [`ProxyConfig`] is made once. Each connection of a viewer becomes a [`Connection`] and
//! is driven by [`drive_session`], which asks a [`ProxyHandler`]. Everything that is not asked there is done: handshakes
//! and TLS on both sides, the shared flag, [`Filter`] and [`InputRate`], moves, and the end of each connection. The guide
//! `docs::proxy` says what the author has to see to.

pub use crate::filter::{Clipboard, Filter, InputRate};
pub use crate::handshake::bridge::{AuthOrder, BridgeOutcome, Upstream};
pub use crate::handshake::server::ClientCredentials;
pub use crate::handshake::{BridgeConfig, Refusal, Side};
#[cfg(feature = "ard")]
pub use crate::security::ard::{ArdParameters, ArdSecret};
#[cfg(feature = "ms-logon")]
pub use crate::security::ms_logon::{MsLogonIIISecret, MsLogonParameters, MsLogonSecret};
pub use crate::security::plain::Credentials;
#[cfg(feature = "rsa-aes")]
pub use crate::security::rsa_aes::{Key, Pin};
pub use crate::security::vencrypt::Subtype;
pub use crate::security::vnc::Password;
pub use crate::security::{Reason, Secret, SecurityType, Seed};
pub use crate::session::ViewerLimit;
pub use crate::session::relay::{Cause, Config as ProxyConfig, Counts, Dial, End, Move, NotFollowed, Sharing};
#[cfg(feature = "rustls")]
pub use crate::tls::{ClientTls, Fingerprint, Identity, PeerName, ServerTls};
pub use crate::{Connection, Limits, Mover, NotDialled, ProxyHandler, drive_session};
