//! The driver loops for tokio streams: [`drive`] for a machine on one connection, [`drive_relay`] for the
//! relay between two.
//!
//! Both flush `tx` after every step, also after an error, read no more than a machine needs, and keep its
//! deadline while they read and while a question is open. They end when the link does; what was received
//! beyond it stays in `rx`.

use core::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use crate::link::relay::{RelayAction, RelayError, RelayOutcome};
use crate::link::server::Question;
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

    /// When `deadline` is, for tokio. A deadline too far away to be written down is taken as a day.
    fn instant(&self, deadline: Duration) -> Instant {
        const DAY: Duration = Duration::from_secs(86_400);
        self.0
            .checked_add(deadline)
            .or_else(|| self.0.checked_add(DAY))
            .unwrap_or(self.0)
    }
}

/// Why a driver ended. `Protocol` is [`HandshakeError`], or [`RelayError`] for the relay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DriveError<Protocol, Caller> {
    /// A connection failed.
    #[error("connection failed: {0}")]
    Io(#[from] tokio::io::Error),
    /// The link failed.
    #[error("{0}")]
    Protocol(Protocol),
    /// The answer to a question failed.
    #[error("{0}")]
    Answer(Caller),
}

/// Drives a machine to the end of the link stage. `answer` is called with every question and gives the
/// answer to the machine itself.
///
/// # Errors
/// [`DriveError`]; what the peer is told has been sent, if that was possible.
pub async fn drive<M, S, E>(
    machine: &mut M,
    wire: &mut Wire,
    stream: &mut S,
    clock: Clock,
    mut answer: impl AsyncFnMut(&mut M, &mut Wire, M::Question) -> Result<(), E>,
) -> Result<M::Outcome, DriveError<HandshakeError, E>>
where
    M: Machine,
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let action = machine.step(clock.now(), wire);
        let flushed = flush(wire, stream).await;
        let action = action.map_err(DriveError::Protocol)?;
        flushed?;
        let until = clock.instant(machine.deadline());
        // A deadline that passes is not looked at here: the next step tells what it means.
        match action {
            Action::Receive { at_least } => match timeout_at(until, receive(wire, stream, at_least)).await {
                Ok(Ok(true)) | Err(_) => {}
                Ok(Ok(false)) => return machine.eof().map_err(DriveError::Protocol),
                Ok(Err(error)) => return Err(error.into()),
            },
            Action::Ask(question) => {
                if let Ok(answered) = timeout_at(until, answer(machine, wire, question)).await {
                    answered.map_err(DriveError::Answer)?;
                }
            }
            Action::Waiting => tokio::time::sleep_until(until).await,
            Action::Done(outcome) => return Ok(outcome),
        }
    }
}

/// Drives a relay to the end of the link stage. `answer` is called with every question; when it admits a
/// ticket it returns the connection to the hypervisor.
///
/// # Errors
/// [`DriveError`]; what the tenant is told has been sent, if that was possible.
pub async fn drive_relay<T, H, E>(
    relay: &mut RelayLink,
    wires: &mut Wires,
    tenant: &mut T,
    clock: Clock,
    mut answer: impl AsyncFnMut(&mut RelayLink, &mut Wires, Question) -> Result<Option<H>, E>,
) -> Result<(RelayOutcome, H), DriveError<RelayError, E>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    let mut hypervisor: Option<H> = None;
    loop {
        let action = relay.step(clock.now(), wires);
        let flushed = flush(&mut wires.tenant, tenant).await;
        if let Some(hypervisor) = &mut hypervisor {
            // A hypervisor that is gone is found out by reading from it.
            let _ = flush(&mut wires.hypervisor, hypervisor).await;
        }
        let action = action.map_err(DriveError::Protocol)?;
        flushed?;
        let until = clock.instant(relay.deadline());
        match (action, &mut hypervisor) {
            (RelayAction::Done(outcome), _) => {
                if let Some(hypervisor) = hypervisor {
                    return Ok((outcome, hypervisor));
                }
                // INVARIANT: the relay speaks to the hypervisor only after `answer` has admitted.
                return relay
                    .eof(wires, Side::Hypervisor)
                    .map_err(DriveError::Protocol)
                    .and_then(|_| Err(DriveError::Io(tokio::io::ErrorKind::NotConnected.into())));
            }
            (
                RelayAction::Receive {
                    side: Side::Hypervisor,
                    at_least,
                },
                Some(hypervisor),
            ) => {
                // The tenant has nothing to say now, but it may hang up.
                let read = async {
                    tokio::select! {
                        read = receive(&mut wires.hypervisor, hypervisor, at_least) => (Side::Hypervisor, read),
                        gone = hung_up(&mut wires.tenant, tenant) => (Side::Tenant, gone),
                    }
                };
                match timeout_at(until, read).await {
                    Ok((_, Ok(true))) | Err(_) => {}
                    Ok((side, Ok(false))) => return ended(relay, wires, side, tenant).await,
                    Ok((Side::Hypervisor, Err(_))) => return ended(relay, wires, Side::Hypervisor, tenant).await,
                    Ok((Side::Tenant, Err(error))) => return Err(error.into()),
                }
            }
            (
                RelayAction::Receive {
                    side: Side::Hypervisor, ..
                },
                None,
            ) => {
                return ended(relay, wires, Side::Hypervisor, tenant).await;
            }
            (
                RelayAction::Receive {
                    side: Side::Tenant,
                    at_least,
                },
                _,
            ) => match timeout_at(until, receive(&mut wires.tenant, tenant, at_least)).await {
                Ok(Ok(true)) | Err(_) => {}
                Ok(Ok(false)) => return ended(relay, wires, Side::Tenant, tenant).await,
                Ok(Err(error)) => return Err(error.into()),
            },
            (RelayAction::Ask(question), _) => {
                if let Ok(answered) = timeout_at(until, answer(relay, wires, question)).await {
                    hypervisor = answered.map_err(DriveError::Answer)?.or(hypervisor);
                }
            }
            (RelayAction::Waiting, _) => tokio::time::sleep_until(until).await,
        }
    }
}

/// One side hung up: the tenant is told what it is to be told.
async fn ended<T: AsyncWrite + Unpin, O, E>(
    relay: &mut RelayLink,
    wires: &mut Wires,
    side: Side,
    tenant: &mut T,
) -> Result<O, DriveError<RelayError, E>> {
    let error = relay.eof(wires, side).err();
    let _ = flush(&mut wires.tenant, tenant).await;
    Err(error.map_or_else(
        || DriveError::Io(tokio::io::ErrorKind::UnexpectedEof.into()),
        DriveError::Protocol,
    ))
}

async fn flush<S: AsyncWrite + Unpin>(wire: &mut Wire, stream: &mut S) -> tokio::io::Result<()> {
    if wire.tx.is_empty() {
        return Ok(());
    }
    let sent = stream.write_all(&wire.tx).await;
    wire.tx.clear();
    sent?;
    stream.flush().await
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

/// Returns when the tenant hangs up. What it sends early is kept, up to a limit; then it is not read on.
async fn hung_up<S: AsyncRead + Unpin>(wire: &mut Wire, stream: &mut S) -> tokio::io::Result<bool> {
    const EARLY: usize = 64 << 10;
    while wire.rx.len() < EARLY {
        if stream.read_buf(&mut wire.rx).await? == 0 {
            return Ok(false);
        }
    }
    core::future::pending().await
}
