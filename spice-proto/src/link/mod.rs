//! The link stage: what happens on every connection before its channel speaks.
//!
//! ```text
//! client                                   server
//!   | LinkHeader LinkMess ------------------> |   which channel, of which session, capabilities
//!   | <------------------ LinkHeader LinkReply |  an RSA key, capabilities; or an error, and the end
//!   | [AuthMechanism] sealed ticket ---------> |   or an exchange of SASL, see [`sasl`]
//!   | <---------------------------- LinkResult |  0, or an error, and the end
//!   | frames <------------------------> frames |
//! ```
//!
//! Three machines, all of one shape: [`ClientLink`], [`ServerLink`] and [`RelayLink`], which is a server
//! towards a tenant and a client towards a hypervisor ([`WatchedLink`] only looks on). None does I/O. A driver moves
//! bytes between a connection and the [`Buffers`], calls `step` with the time, and does what the [`Action`] says:
//!
//! 1. flush `tx` first, after every `step`, also after an error: the answer to the peer is in it already;
//! 2. [`Action::Receive`]: read at least so many bytes more, until `deadline()` at the latest;
//! 3. [`Action::Ask`]: find the answer, give it with the method that the question names, step again;
//! 4. [`Action::Waiting`]: a question is open; step again when it is answered or at the deadline;
//! 5. [`Action::Done`]: the link stands. Bytes that belong to the data stage stay in `rx`.
//!
//! The peer hung up: call `eof`. An error is terminal. The loop is shipped as `drive` and `drive_relay`
//! (feature `tokio`).

pub mod client;
mod error;
mod event;
mod first_bytes;
#[cfg(feature = "rsa")]
pub mod key_pool;
mod machine;
pub mod messages;
mod receive;
mod refusal;
#[cfg(feature = "rsa")]
pub mod relay;
pub mod sasl;
pub mod server;
mod stage;
pub mod ticket;
pub mod watch;

pub use client::{ClientConfig, ClientLink};
pub use error::{HandshakeError, Incompatibility, Misbehaviour, Misuse, Transport};
pub use event::Event;
pub(crate) use event::Events;
pub use first_bytes::{FirstBytes, Protocol};
#[cfg(feature = "rsa")]
pub use key_pool::{KeyHandle, KeyPool, KeyPoolConfig};
pub use machine::{Action, Buffers, Machine, Sender, Side, SideBuffers};
pub use messages::{LinkHeader, LinkMess, LinkReply};
pub use refusal::Refusal;
#[cfg(feature = "rsa")]
pub use relay::{RelayConfig, RelayLink, TicketOutcome};
pub use server::ServerLink;
pub use stage::Stage;
#[cfg(feature = "rsa")]
pub use ticket::Key;
pub use ticket::{PublicKey, SealedTicket, Secret};
pub use watch::WatchedLink;
