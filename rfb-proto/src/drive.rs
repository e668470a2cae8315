//! The driver loops for tokio streams: [`drive`] for a machine on one connection, [`drive_bridge`] for the bridge
//! between two.
//!
//! Both flush `tx` after every step, also after an error, and keep the machine's deadline. They come back with every
//! question, where TLS is to begin, and when the handshake is over; what was received beyond it is in `rx`.

use core::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::handshake::bridge::{Bridge, BridgeAction, BridgeError, BridgeOutcome, Question};
use crate::handshake::{Action, HandshakeError, Machine, Side, Tls, Wire, Wires};

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

/// What the driver of a bridge stopped for; as [`Driven`], with the side that it concerns.
#[derive(Debug, PartialEq, Eq)]
pub enum BridgeDriven {
    /// A question is open.
    Ask(Question),
    /// Begin TLS with one side. If it fails, call [`Bridge::eof`], send what is in the tenant's `tx`, and drive on if
    /// there was no error.
    StartTls {
        /// With whom.
        side: Side,
        /// Which part of it, and with what.
        tls: Tls,
    },
    /// Both sides are in. Bytes that came already and belong to the other side are in both `rx`.
    Done(BridgeOutcome),
}

/// Why a driver ended. `Protocol` is [`HandshakeError`], or [`BridgeError`] for the bridge.
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

/// Drives a bridge to its next question, to TLS on one side, or to the end of both handshakes. `hypervisor` is there
/// once [`Question::Connect`] was answered.
///
/// # Errors
/// [`DriveError`]; what both sides are told has been sent, if that was possible. A hypervisor whose connection fails
/// has hung up.
pub async fn drive_bridge<T, H>(
    bridge: &mut Bridge,
    wires: &mut Wires,
    tenant: &mut T,
    mut hypervisor: Option<&mut H>,
    clock: Clock,
) -> Result<BridgeDriven, DriveError<BridgeError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    // The side that has hung up, until the machine knows.
    let mut hung_up = None;
    loop {
        let action = match hung_up.take() {
            None => bridge.step(clock.now(), wires).map(Some),
            Some(side) => bridge.eof(wires, side).map(|()| None),
        };
        let until = clock.instant(bridge.deadline());
        if let Some(hypervisor) = &mut hypervisor {
            // One that is gone is found out by reading from it.
            let _ = flush(&mut wires.hypervisor, *hypervisor, until).await;
        }
        let flushed = flush(&mut wires.tenant, tenant, until).await;
        let action = action.map_err(DriveError::Protocol)?;
        flushed?;
        let (side, at_least) = match action {
            None => continue,
            Some(BridgeAction::Receive { side, at_least }) => (side, at_least),
            Some(BridgeAction::StartTls { side, tls }) => return Ok(BridgeDriven::StartTls { side, tls }),
            Some(BridgeAction::Ask(question)) => return Ok(BridgeDriven::Ask(question)),
            Some(BridgeAction::Waiting) => {
                tokio::time::sleep_until(until).await;
                continue;
            }
            Some(BridgeAction::Done(outcome)) => return Ok(BridgeDriven::Done(outcome)),
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
        if let Ok(read) = read
            && !read?
        {
            hung_up = Some(side);
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
