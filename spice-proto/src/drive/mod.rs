//! The driver loops for tokio streams: [`drive`] for a machine on one connection, [`drive_relay`] for the
//! relay between two; and [`drive_session`] for a connection of a session, from its first byte to its last.
//!
//! The first two flush `tx` after every step, also after an error, and keep the machine's deadline. They come back with
//! every question, and with the link; what was received beyond it is in `rx`. An answer that takes time is found in
//! [`while_connected`] or [`while_both_connected`], which give up when a peer does.
//!
//! All of them write and read at the same time, on both sides, and all can be dropped at any point and called again
//! with the same buffers: what was not written is still in `tx`.

mod buffered;
#[cfg(feature = "rsa")]
mod handler;
#[cfg(feature = "rsa")]
mod identify;
mod link;
#[cfg(feature = "rsa")]
mod manager;
mod port;
#[cfg(feature = "rsa")]
mod relay;
#[cfg(feature = "rsa")]
mod session;

pub use buffered::BufferedStream;
pub use link::{drive, inquire, while_connected};
#[cfg(feature = "rsa")]
pub use {
    handler::ProxyHandler,
    identify::identify,
    manager::{Connection, ManagedClaim, SessionManager},
    relay::{drive_relay, while_both_connected},
    session::drive_session,
};

use core::time::Duration;

use tokio::time::Instant;

/// The time that machines are given: since the clock was made.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The time for `new` and `step`.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }

    /// When a machine's `deadline` is, for tokio. A deadline too far away to be written down is taken as a day.
    #[must_use]
    pub fn instant(&self, deadline: Duration) -> Instant {
        const DAY: Duration = Duration::from_secs(86_400);
        self.0
            .checked_add(deadline)
            .or_else(|| self.0.checked_add(DAY))
            .unwrap_or(self.0)
    }
}

/// What a driver stopped for.
#[derive(Debug, PartialEq, Eq)]
pub enum Driven<Question, Outcome> {
    /// A question is open. Answer it with the method that it names, at the latest at
    /// [`Clock::instant`] of the machine's deadline, and drive on. Driving on without an answer waits for the
    /// deadline and ends the link.
    Ask(Question),
    /// The link stands. Bytes of the data stage that came already are in `rx`.
    Done(Outcome),
}

/// Why a driver ended. `Protocol` is [`HandshakeError`](crate::link::HandshakeError), or
/// [`RelayError`](crate::link::relay::RelayError) for the relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError<Protocol> {
    /// A connection failed.
    #[error("connection failed: {0}")]
    Io(tokio::io::Error),
    /// The link failed.
    #[error("{0}")]
    Protocol(Protocol),
}

/// The text says it all: a source would say it again.
impl<Protocol> From<tokio::io::Error> for DriveError<Protocol> {
    fn from(error: tokio::io::Error) -> Self {
        Self::Io(error)
    }
}
