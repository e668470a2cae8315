//! The driver loop for the bridge between two connections.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout_at;

use super::{Clock, DriveError, flush, receive};
use crate::handshake::bridge::{BridgeAction, BridgeError, BridgeOutcome, Question};
use crate::handshake::{Bridge, Side, Tls, Wires};

/// What the bridge's driver stopped for.
#[derive(Debug, PartialEq, Eq)]
pub enum BridgeDriven {
    /// A question is open. Answer it with the method that it names, at the latest at [`Clock::instant`] of the
    /// bridge's deadline, and drive on. Driving on without an answer waits for the deadline and ends the handshake.
    Ask(Question),
    /// Begin TLS on this side, as for [`Driven::StartTls`](super::Driven::StartTls). If that fails, call
    /// [`Bridge::eof`] and drive on: the other side is to be told.
    StartTls {
        /// With whom.
        side: Side,
        /// Which part of it, and with what.
        tls: Tls,
    },
    /// Both sides are in. Bytes that came already are in both `rx`, and belong to the other side.
    Done(BridgeOutcome),
}

/// Drives a bridge to its next question, to TLS on one side, or to the end of the handshake. `hypervisor` is there
/// once [`Question::Connect`] was answered.
///
/// At any time one side is waited for. That the other hangs up meanwhile is found out when it is its turn.
///
/// # Errors
/// [`DriveError`]; what the two sides are told has been sent, if that was possible. A hypervisor whose connection
/// fails has hung up.
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
    loop {
        let action = bridge.step(clock.now(), wires);
        let until = clock.instant(bridge.deadline());
        if let Some(hypervisor) = &mut hypervisor {
            // One that is gone is found out by reading from it.
            let _ = flush(&mut wires.hypervisor, *hypervisor, until).await;
        }
        let flushed = flush(&mut wires.tenant, tenant, until).await;
        let action = action.map_err(DriveError::Protocol)?;
        flushed?;
        let (side, at_least) = match action {
            BridgeAction::Receive { side, at_least } => (side, at_least),
            BridgeAction::StartTls { side, tls } => return Ok(BridgeDriven::StartTls { side, tls }),
            BridgeAction::Ask(question) => return Ok(BridgeDriven::Ask(question)),
            BridgeAction::Waiting => {
                tokio::time::sleep_until(until).await;
                continue;
            }
            BridgeAction::Done(outcome) => return Ok(BridgeDriven::Done(outcome)),
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
            let ended = bridge.eof(wires, side);
            let _ = flush(&mut wires.tenant, tenant, until).await;
            ended.map_err(DriveError::Protocol)?;
        }
    }
}
