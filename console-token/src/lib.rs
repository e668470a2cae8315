#![cfg_attr(feature = "spice", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "spice"),
    doc = "Console tokens for virtual machines: see [`docs`] and the README."
)]
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod access_url;
#[cfg(feature = "arbitrary")]
mod arbitrary;
mod audit;
mod connection_limiter;
#[cfg(feature = "tokio")]
pub mod connections;
mod console;
pub mod docs;
mod error;
mod fair_queue;
#[cfg(feature = "tokio")]
mod gate;
mod grant;
mod hex;
#[cfg(feature = "serde")]
mod json;
mod leases;
mod note;
#[cfg(feature = "serde")]
pub mod nova;
mod password;
mod reopening;
mod replace;
#[cfg(feature = "serde")]
pub mod resolver;
#[cfg(feature = "rfb")]
pub mod rfb;
mod secret;
pub mod serial;
mod session;
pub mod signed;
mod source;
#[cfg(feature = "spice")]
pub mod spice;
mod store;
mod throttle;
mod transition;
pub mod web;
pub mod webmks;

pub use access_url::{AccessUrl, AccessUrlError};
pub use audit::{Event, EventKind, EventSubject, Outcome, Owner};
pub use connection_limiter::{AdmitError, Arrival, ConnectionLimiter, ConnectionLimits, Displaced, SlotId};
pub use console::{AccessPath, ConsoleType, Protocol, Target};
pub use error::{Refusal, StoreError, UnknownConsole};
pub use fair_queue::{FairQueue, WaitId};
#[cfg(feature = "std")]
pub use fair_queue::{FairScheduler, InTurns, Turn, WaitForTurn};
pub use grant::{AttemptId, Grant, MAX_OPEN_SESSIONS, Scope, UnixSeconds, Uses, VerifyContext};
#[cfg(feature = "serde")]
pub use json::JsonError;
pub use leases::{LeaseRules, LeaseTransition, Leases, WhenFull};
pub use note::{Note, NoteChange};
pub use password::{ConsolePassword, PasswordError};
pub use secret::{Fingerprint, NovaHash, Pepper, PepperTooShort, Peppers, Secret, TokenHash};
pub use session::{MAX_ATTEMPTS, Record, SessionId};
pub use signed::SignedToken;
pub use source::Source;
#[cfg(feature = "std")]
pub use store::MemoryStore;
#[cfg(feature = "redis")]
pub use store::RedisStore;
#[cfg(feature = "sql")]
pub use store::SqlStore;
#[cfg(all(feature = "arbitrary", feature = "serde"))]
#[doc(hidden)]
pub use store::rows;
pub use store::{Answer, BackendError, Store, TokenSelector};
pub use throttle::{Rate, Throttle, ThrottleRules};
pub use transition::{Admitted, Transition};
