//! The driver loops for tokio streams: [`drive`] for a machine on one connection, [`drive_bridge`] for the bridge
//! between two.
//!
//! They flush `tx` after every step, also after an error, and keep the machine's deadline. They come back with every
//! question, where TLS is to begin, and when the handshake is over; what was received beyond it is in `rx`.

mod bridge;

use core::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

pub use bridge::{BridgeDriven, drive_bridge};

use crate::handshake::{Action, HandshakeError, Machine, Tls, Wire};

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
    /// deadline and ends the handshake.
    Ask(Question),
    /// Begin TLS on the stream, which nothing is under way on: what the machine said is sent. Bytes in `rx` are the
    /// beginning of the client's hello; take them out and read them first. Then drive on with the stream inside, and
    /// the same wire. The machine's deadline is for this as well.
    StartTls(Tls),
    /// The handshake is over. Bytes of messages that came already are in `rx`.
    Done(Outcome),
}

/// Why a driver ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError<Protocol> {
    /// The connection failed.
    #[error("connection failed: {0}")]
    Io(#[from] tokio::io::Error),
    /// The handshake failed.
    #[error("{0}")]
    Protocol(Protocol),
}

/// Drives a machine to its next question, to TLS, or to the end of the handshake.
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
            Action::StartTls(tls) => return Ok(Driven::StartTls(tls)),
            Action::Ask(question) => return Ok(Driven::Ask(question)),
            Action::Waiting => tokio::time::sleep_until(until).await,
            Action::Done(outcome) => return Ok(Driven::Done(outcome)),
        }
    }
}

/// Sends what is in `tx`. What a peer does not take until the deadline is dropped: the next step ends the handshake.
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

/// Reads at least so many bytes; `false`: the peer hung up first.
async fn receive<S: AsyncRead + Unpin>(wire: &mut Wire, stream: &mut S, at_least: usize) -> tokio::io::Result<bool> {
    let wanted = wire.rx.len().saturating_add(at_least);
    while wire.rx.len() < wanted {
        if stream.read_buf(&mut wire.rx).await? == 0 {
            return Ok(false);
        }
    }
    Ok(true)
}
