#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod access_url;
mod audit;
mod connection_limiter;
mod console;
mod error;
mod grant;
mod hex;
#[cfg(feature = "serde")]
mod json;
#[cfg(feature = "serde")]
pub mod nova;
mod password;
#[cfg(feature = "serde")]
pub mod resolver;
mod seats;
mod secret;
pub mod serial;
mod session;
pub mod signed;
mod source;
mod step;
mod store;
mod throttle;
pub mod web;
pub mod webmks;

pub use access_url::{AccessUrl, AccessUrlError};
pub use audit::{Event, Outcome, Owner, What, Whose};
pub use connection_limiter::{AdmitError, Arrival, ConnectionLimiter, ConnectionLimits, Displaced, SlotId};
pub use console::{AccessPath, ConsoleType, Protocol, Target};
pub use error::{Refusal, StoreError, UnknownConsole};
pub use grant::{AttemptId, Gate, Grant, MAX_OPEN_SESSIONS, Scope, UnixSeconds, Uses};
#[cfg(feature = "serde")]
pub use json::JsonError;
pub use password::{ConsolePassword, PasswordError};
pub use seats::{SeatRules, SeatStep, Seats, WhenFull};
pub use secret::{Fingerprint, NovaHash, Pepper, PepperTooShort, Peppers, Secret, TokenHash};
pub use session::{MAX_ATTEMPTS, Record, SessionId};
pub use signed::SignedToken;
pub use source::Source;
pub use step::{Admitted, Step};
#[cfg(feature = "std")]
pub use store::MemoryStore;
#[cfg(feature = "redis")]
pub use store::RedisStore;
#[cfg(feature = "sql")]
pub use store::SqlStore;
pub use store::{Answer, BackendError, Store, Which};
pub use throttle::{Rate, Throttle, ThrottleRules};
