//! One session: a dozen connections that belong together.
//!
//! A viewer opens one main channel and then, with the `connection_id` that `INIT` told it, a connection for every
//! other channel, each with the same ticket. [`Tracker`] knows which connections belong together and says of
//! each new one whether it may join, so that a one-time token is good for one session and for nothing else.
//! [`Policy`] says what may pass on them, and [`Migration`] what becomes of them when the guest moves.

pub mod migration;
pub mod policy;
pub mod relay;
pub mod tracker;

pub use migration::Migration;
pub use policy::{Gate, Policy};
pub use relay::{Relay, Sessions};
pub use tracker::{Reason, Snapshot, Tracker};

/// What the caller knows a token by: an opaque name of 16 bytes, for example from a keyed hash of the token. Never
/// the token itself.
///
/// Sessions are kept by it, since the ids in `INIT` repeat between hypervisors and can be guessed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub [u8; 16]);

impl core::fmt::Debug for Token {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Enough to tell two apart in a log, and of no use to anyone who reads it.
        let [first, second, ..] = self.0;
        write!(f, "Token({first:02x}{second:02x}..)")
    }
}

/// One of the hypervisors that a session has been on, by number: the first is 0, and each migration target that
/// is told to the viewer takes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub u32);

/// How far a move to another hypervisor has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// There is none.
    Idle,
    /// The viewer was told of the target and has not linked its main channel there.
    Told,
    /// The viewer has linked its main channel at the target, and now does the others.
    Opening,
    /// The viewer said that it is connected to the target.
    Connected,
    /// The viewer was told to leave and to come again as a new session.
    Switch,
}
