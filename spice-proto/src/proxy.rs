//! What the author of a proxy needs, in one place: `use spice_proto::proxy::*` (features `rsa`, which is a default, and
//! `tokio`).
//!
//! Everything here is re-exported from where it belongs; two names are longer here, since both are `Config` at home. A
//! whole proxy with it is the program `examples/minimal_proxy.rs`:
//!
//! ```no_run
#![doc = include_str!("../examples/minimal_proxy.rs")]
//! ```
//!
//! In the order of a proxy's life: [`SessionManager`] is made once, and one task awaits [`SessionManager::report`] as
//! long as the proxy runs. Each connection of a viewer is given to [`SessionManager::accept`] and driven by
//! [`drive_session`], which asks a [`ProxyHandler`]. Everything that is not asked there is done: links on both sides,
//! headers, [`Policy`], moves, and the end of each connection. The guide [`docs::proxy`](crate::docs::proxy) says what the
//! author has to see to.

pub use crate::caps::Capabilities;
pub use crate::ids::ChannelType;
pub use crate::link::relay::{RelayOutcome, TicketOutcome, Upstream};
pub use crate::link::server::Announcement;
pub use crate::link::{Key, KeyHandle, KeyPool, KeyPoolConfig, LinkMess, Refusal, SealedTicket, Secret, Transport};
pub use crate::session::migration::{Endpoint, Target};
pub use crate::session::policy::{Policy, Settings};
pub use crate::session::relay::{Config as ProxyConfig, Dial, End, Entry, GuestIdentity, Move, Report};
pub use crate::session::tracker::{Config as TrackerConfig, Peer, Reason};
pub use crate::session::{Host, SessionKey};
pub use crate::{
    BufferedStream, Connection, Limits, ManagedClaim, ProxyHandler, SessionManager, drive_session, identify, inquire,
};
