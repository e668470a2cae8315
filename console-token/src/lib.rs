#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod console;
mod error;
mod grant;
mod secret;
mod session;
mod store;

pub use console::{ConsoleType, Protocol, Target};
pub use error::{PepperTooShort, Refusal, StoreError, UnknownConsole};
pub use grant::{Grant, Scope, UnixSeconds, Uses};
pub use secret::{Fingerprint, Pepper, Secret, TokenHash};
pub use session::{MAX_OPEN_SESSIONS, Record, SessionId};
pub use store::{Admitted, MemoryStore, Store};
