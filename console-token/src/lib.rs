#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;

mod access_url;
mod console;
mod error;
mod grant;
mod hex;
mod password;
mod secret;
pub mod serial;
mod session;
mod store;
pub mod webmks;

pub use access_url::{AccessUrl, AccessUrlError};
pub use console::{AccessPath, ConsoleType, Protocol, Target};
pub use error::{PepperTooShort, Refusal, StoreError, UnknownConsole};
pub use grant::{Grant, Scope, UnixSeconds, Uses};
pub use password::{ConsolePassword, PasswordError};
pub use secret::{Fingerprint, NovaHash, Pepper, Peppers, Secret, TokenHash};
pub use session::{MAX_OPEN_SESSIONS, Record, SessionId};
pub use store::{Admitted, MemoryStore, Store};
