//! The driver loops for tokio streams: [`drive`] for a machine on one connection, [`drive_relay`] for the
//! relay between two; and [`drive_session`] for a connection of a session, from its first byte to its last.
//!
//! The first two flush `tx` after every step, also after an error, and keep the machine's deadline. They come back with
//! every question, and with the link; what was received beyond it is in `rx`.

mod session;

pub use session::{Answers, Connection, Hub, drive_session};

use core::time::Duration;
use std::io::ErrorKind;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::link::relay::{Question, RelayAction, RelayError, RelayOutcome};
use crate::link::{Action, HandshakeError, Machine, RelayLink, Side, Wire, Wires};

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

/// Why a driver ended. `Protocol` is [`HandshakeError`], or [`RelayError`] for the relay.
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

/// Drives a machine to its next question, or to the end of the link stage.
///
/// # Errors
/// [`DriveError`]; what the peer is told has been sent, if that was possible.
pub async fn drive<M, S>(
    machine: &mut M,
    wire: &mut Wire,
    stream: &mut S,
    clock: Clock,
) -> Result<Driven<M::Question, M::Outcome>, DriveError<HandshakeError>>
where
    M: Machine,
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let action = machine.step(clock.now(), wire);
        let until = clock.instant(machine.deadline());
        let flushed = flush(wire, stream, until).await;
        let action = action.map_err(DriveError::Protocol)?;
        flushed?;
        // A deadline that passes is not looked at here: the next step tells what it means.
        match action {
            Action::Receive { at_least } => match timeout_at(until, receive(wire, stream, at_least)).await {
                Ok(Ok(true)) | Err(_) => {}
                Ok(Ok(false)) => return machine.eof().map(Driven::Done).map_err(DriveError::Protocol),
                Ok(Err(error)) => return Err(error.into()),
            },
            Action::Ask(question) => return Ok(Driven::Ask(question)),
            Action::Waiting => tokio::time::sleep_until(until).await,
            Action::Done(outcome) => return Ok(Driven::Done(outcome)),
        }
    }
}

/// Drives a relay to its next question, or to the end of the link stage. `hypervisor` is there once a ticket
/// was admitted; after [`Question::Redial`] it is another.
///
/// From then on the tenant is not looked at until the link stands: a tenant that hangs up does not break off
/// what its hypervisor has begun, since QEMU ends when a display link is closed between its ticket and its
/// first message. The data stage finds out, and the deadline holds.
///
/// # Errors
/// [`DriveError`]; what the tenant is told has been sent, if that was possible. A hypervisor whose
/// connection fails has hung up.
pub async fn drive_relay<T, H>(
    relay: &mut RelayLink,
    wires: &mut Wires,
    tenant: &mut T,
    mut hypervisor: Option<&mut H>,
    clock: Clock,
) -> Result<Driven<Question, RelayOutcome>, DriveError<RelayError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let action = relay.step(clock.now(), wires);
        let until = clock.instant(relay.deadline());
        let flushed = flush(&mut wires.tenant, tenant, until).await;
        match &mut hypervisor {
            // One that is gone is found out by reading from it.
            Some(hypervisor) => drop(flush(&mut wires.hypervisor, *hypervisor, until).await),
            None if action.is_ok() => flushed?,
            None => {}
        }
        let (side, at_least) = match action.map_err(DriveError::Protocol)? {
            RelayAction::Receive { side, at_least } => (side, at_least),
            RelayAction::Ask(question) => return Ok(Driven::Ask(question)),
            RelayAction::Waiting => {
                tokio::time::sleep_until(until).await;
                continue;
            }
            RelayAction::Done(outcome) => return Ok(Driven::Done(outcome)),
        };
        let read = match (side, &mut hypervisor) {
            (Side::Tenant, _) => timeout_at(until, receive(&mut wires.tenant, tenant, at_least)).await,
            (Side::Hypervisor, Some(hypervisor)) => {
                let read = timeout_at(until, receive(&mut wires.hypervisor, *hypervisor, at_least)).await;
                read.map(|read| Ok(read.unwrap_or(false)))
            }
            (Side::Hypervisor, None) => Ok(Ok(false)),
        };
        // A deadline that passed is told by the next step.
        let hung_up = match read {
            Ok(read) => (!read?).then_some(side),
            Err(_) => None,
        };
        if let Some(side) = hung_up {
            let ended = relay.eof(wires, side).map(Driven::Done).map_err(DriveError::Protocol);
            let _ = flush(&mut wires.tenant, tenant, until).await;
            return ended;
        }
    }
}

/// Sends what is in `tx`. What a peer does not take until the deadline is dropped: the next step ends the link.
async fn flush<S: AsyncWrite + Unpin>(wire: &mut Wire, stream: &mut S, until: Instant) -> tokio::io::Result<()> {
    let bytes = wire.tx.split();
    if bytes.is_empty() {
        return Ok(());
    }
    let send = async {
        stream.write_all(&bytes).await?;
        stream.flush().await
    };
    timeout_at(until, send).await.unwrap_or(Ok(()))
}

/// Reads once, since fewer bytes may be enough to end the link; `false`: the peer hung up. Over TLS QEMU does so without a farewell, after a
/// wrong password for one; in the link stage an end is an error in any case, so nobody can cut anything off unseen.
async fn receive<S: AsyncRead + Unpin>(wire: &mut Wire, stream: &mut S, at_least: usize) -> tokio::io::Result<bool> {
    wire.rx.reserve(at_least);
    match stream.read_buf(&mut wire.rx).await {
        Ok(0) => Ok(false),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        read => read.map(|_| true),
    }
}
