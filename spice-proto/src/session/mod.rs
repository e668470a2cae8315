//! One session: a dozen connections that belong together.
//!
//! A viewer opens one main channel and then, with the `connection_id` that `INIT` told it, a connection for every
//! other channel, each with the same ticket. [`Tracker`] knows which connections belong together and says of
//! each new one whether it may join, so that a use of a token is good for one session and for nothing else.
//! [`Policy`] says what may pass on them, and [`Migration`] what becomes of them when the guest moves.
//!
//! A use of a token is taken when a session is opened ([`Claim`]), and is spent as soon as a ticket may have reached a
//! hypervisor: [`Report`] tells which uses were not.

pub mod migration;
pub mod policy;
#[cfg(feature = "rsa")]
pub mod relay;
pub mod tracker;

pub use migration::Migration;
pub use policy::{Policy, PolicyFilter};
#[cfg(feature = "rsa")]
pub use relay::{Claim, Entry, Relay, Report, Sessions};
pub use tracker::{Reason, Snapshot, Tracker};

/// Names one session, from its first connection to its last.
///
/// A token that is good for several uses opens several sessions, so a session is not named by its token: each use that
/// is taken has a key of its own, and a key is never used again. [`Sessions::claim`] makes the keys of a proxy; only a
/// caller that works on a bare [`Tracker`] numbers its sessions itself. The ids in `INIT` are no such names: they
/// repeat between hypervisors and can be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(u64);

impl SessionKey {
    /// The key with this number, for a [`Tracker`] without [`Sessions`].
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number, for logs. It is no secret: no connection is let in by it.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One of the hypervisors that a session has been on, by number: the first is 0, and each migration target that
/// is announced to the viewer takes the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub u32);

/// Which links may join the hypervisor that a session is to move to. A [`Tracker`] knows this much of a move; how
/// far it has got is known by the [`Migration`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetAccess {
    /// There is no such hypervisor.
    NoTarget,
    /// A main channel with the session's id, once.
    MainOnly,
    /// Every channel that the target does not have.
    AllChannels,
    /// None any more. Those that have joined are there.
    Closed,
    /// A main channel with id 0, as a new session that takes the place of this one.
    NewSession,
}
