#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod audit;
mod console;
mod error;
mod grant;
mod seats;
mod secret;
mod session;
mod step;
mod store;
mod throttle;

pub use audit::{Event, Outcome, Owner, What, Whose};
pub use console::{ConsoleType, Protocol, Target};
pub use error::{PepperTooShort, Refusal, StoreError, UnknownConsole};
pub use grant::{AttemptId, Gate, Grant, Scope, UnixSeconds, Uses};
pub use seats::{SeatRules, SeatStep, Seats, WhenFull};
pub use secret::{Fingerprint, Pepper, Secret, TokenHash};
pub use session::{MAX_ATTEMPTS, MAX_OPEN_SESSIONS, Record, SessionId};
pub use step::{Admitted, Step};
#[cfg(feature = "std")]
pub use store::MemoryStore;
#[cfg(feature = "redis")]
pub use store::RedisStore;
#[cfg(feature = "sql")]
pub use store::SqlStore;
pub use store::{Answer, BackendError, Store, Which};
pub use throttle::Throttle;
