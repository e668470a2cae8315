//! The driver loop for the bridge between two connections.

use core::future::{Future, poll_fn};
use core::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::line::{Line, Reading, Turn, drop_unsent, farewell_until};
use super::{Clock, DriveError, first, too_slow};
use crate::handshake::bridge::{BridgeAction, BridgeError, BridgeOutcome, BridgeQuestion};
use crate::handshake::{Bridge, Misuse, Side, SideBuffers, Tls, TlsRole};

/// What the bridge's driver stopped for.
#[derive(Debug, PartialEq, Eq)]
pub enum BridgeDriven {
    /// A question is open. Answer it with the method that it names, at the latest at [`Clock::instant`] of the
    /// bridge's deadline, and drive on. An answer that takes time is found inside of [`while_both_connected`].
    /// Driving on without an answer waits until a side hangs up, or for the deadline, and ends the handshake.
    Ask(BridgeQuestion),
    /// Begin TLS on this side, as for [`Driven::StartTls`](super::Driven::StartTls). If that fails, call
    /// [`Bridge::eof`] and drive on: the other side is to be told.
    StartTls {
        /// The side to do it with.
        side: Side,
        /// Which part of it, and with what.
        tls: Tls,
    },
    /// Both sides are in. Bytes that came already are in both `rx`, and belong to the other side.
    Done(BridgeOutcome),
}

/// Drives a bridge to its next question, to TLS on one side, or to the end of the handshake. `hypervisor` is there
/// once [`BridgeQuestion::Connect`] was answered.
///
/// Both connections are read at any time, up to what [`Bridge::max_input`] says, whichever of them is waited for. A
/// tenant that hangs up ends the handshake at once. A hypervisor that hangs up ends it when what it said before is used
/// and the tenant can be told: at once while it is the hypervisor that is waited for, or an answer of the caller; else
/// when the tenant has said what is due.
///
/// # Errors
/// [`DriveError`]; the refusals have been sent to both sides, if that was possible. A hypervisor whose connection
/// fails has hung up.
pub async fn drive_bridge<T, H>(
    bridge: &mut Bridge,
    sides: &mut SideBuffers,
    tenant: &mut T,
    hypervisor: Option<&mut H>,
    clock: Clock,
) -> Result<BridgeDriven, DriveError<BridgeError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    let mut lines = Lines {
        tenant: Line::new(tenant),
        hypervisor: hypervisor.map(Line::new),
        told: false,
    };
    loop {
        let action = bridge.step(clock.now(), sides);
        let until = clock.instant(bridge.deadline());
        let action = match action {
            Ok(action) => action,
            Err(error) => {
                let error = lines.farewell(sides, until, error).await;
                return Err(lines.named(sides, error).await);
            }
        };
        loop {
            let (side, why) = match lines.turn(bridge, sides, &action, until).await {
                (_, Turn::Late) if matches!(action, BridgeAction::Done(_)) => return Err(too_slow()),
                // The next step judges a deadline that has passed, and bytes that came.
                (_, Turn::Late) => {
                    drop_unsent(&mut sides.tenant.tx);
                    drop_unsent(&mut sides.hypervisor.tx);
                    break;
                }
                (_, Turn::Bytes) => break,
                (_, Turn::Sent) => match stopped(action) {
                    Some(driven) => return Ok(driven),
                    None => break,
                },
                (side, Turn::End) => (side, None),
                (side, Turn::Failed(error)) => (side, Some(error)),
            };
            let error = match (bridge.eof(sides, side), side, why, &action) {
                (_, Side::Tenant, Some(error), _) => DriveError::Io(error),
                // The copying of what follows finds it out.
                (_, _, _, BridgeAction::Done(_)) => continue,
                (Err(error), ..) => DriveError::Protocol(error),
                // What a hypervisor sent before is used by the next steps, or there is something left to tell the tenant.
                (Ok(()), _, _, BridgeAction::Receive { .. } | BridgeAction::Waiting) => break,
                (Ok(()), ..) => continue,
            };
            return Err(lines.farewell(sides, until, error).await);
        }
    }
}

/// What an action is for the caller.
fn stopped(action: BridgeAction) -> Option<BridgeDriven> {
    Some(match action {
        BridgeAction::StartTls { side, tls } => BridgeDriven::StartTls { side, tls },
        BridgeAction::Ask(question) => BridgeDriven::Ask(question),
        BridgeAction::Done(outcome) => BridgeDriven::Done(outcome),
        BridgeAction::Receive { .. } | BridgeAction::Waiting => return None,
    })
}

/// Both connections; that of the hypervisor once it stands.
struct Lines<'a, T, H> {
    tenant: Line<'a, T>,
    hypervisor: Option<Line<'a, H>>,
    /// The bridge knows that nothing more comes from the hypervisor.
    told: bool,
}

impl<T, H> Lines<'_, T, H>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    /// Waits for what the action wants, or for the end of either connection.
    async fn turn(
        &mut self,
        bridge: &Bridge,
        sides: &mut SideBuffers,
        action: &BridgeAction,
        until: Instant,
    ) -> (Side, Turn) {
        let turn = poll_fn(|cx| self.poll_turn(cx, bridge, sides, action));
        timeout_at(until, turn).await.unwrap_or((Side::Tenant, Turn::Late))
    }

    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        bridge: &Bridge,
        sides: &mut SideBuffers,
        action: &BridgeAction,
    ) -> Poll<(Side, Turn)> {
        let SideBuffers { tenant, hypervisor } = sides;
        let mut sent = self.tenant.poll_send(cx, &mut tenant.tx).is_ready();
        if let Some(line) = &mut self.hypervisor {
            // If nothing can be sent to it any more, reading from it tells why.
            sent &= line.poll_send(cx, &mut hypervisor.tx).is_ready();
        }
        if self.is_news(action) {
            self.told = true;
            return Poll::Ready((Side::Hypervisor, Turn::End));
        }
        if sent && !matches!(action, BridgeAction::Receive { .. } | BridgeAction::Waiting) {
            let turn = self.tenant.why_broken().map_or(Turn::Sent, Turn::Failed);
            return Poll::Ready((Side::Tenant, turn));
        }
        let most = limit(bridge, action, Side::Tenant, &tenant.rx);
        let mode = reading(action, Side::Tenant);
        if let Poll::Ready(turn) = self.tenant.poll_read(cx, &mut tenant.rx, most, mode) {
            return Poll::Ready((Side::Tenant, turn));
        }
        let most = limit(bridge, action, Side::Hypervisor, &hypervisor.rx);
        match (&mut self.hypervisor, reading(action, Side::Hypervisor)) {
            (Some(line), mode) => match line.poll_read(cx, &mut hypervisor.rx, most, mode) {
                Poll::Ready(Turn::Bytes) => Poll::Ready((Side::Hypervisor, Turn::Bytes)),
                // Its end and its failure are the same.
                Poll::Ready(_) if mode == Reading::Awaited || self.is_news(action) => {
                    self.told = true;
                    Poll::Ready((Side::Hypervisor, Turn::End))
                }
                _ => Poll::Pending,
            },
            // It is waited for and was not given.
            (None, Reading::Awaited) => Poll::Ready((Side::Hypervisor, Turn::End)),
            (None, _) => Poll::Pending,
        }
    }

    /// Whether the bridge is to hear now that nothing more comes from the hypervisor. While something is due from the
    /// tenant, that has to come first: only then can the tenant be told.
    fn is_news(&self, action: &BridgeAction) -> bool {
        let waits_for_tenant = matches!(action, BridgeAction::Receive { side: Side::Tenant, .. });
        let has_ended = self.hypervisor.as_ref().is_some_and(Line::has_ended);
        has_ended && !self.told && !waits_for_tenant
    }

    /// The error of a step, with what a side sent that is not RFB.
    async fn named(&mut self, sides: &mut SideBuffers, error: BridgeError) -> DriveError<BridgeError> {
        let came = match (error.error.is_not_rfb(), error.side, &mut self.hypervisor) {
            (true, Side::Tenant, _) => self.tenant.opening(&mut sides.tenant.rx).await,
            (true, Side::Hypervisor, Some(line)) => line.opening(&mut sides.hypervisor.rx).await,
            _ => return DriveError::Protocol(error),
        };
        DriveError::NotRfb { error, came }
    }

    /// Tells both sides what there is to tell, then gives the error.
    async fn farewell<E>(&mut self, sides: &mut SideBuffers, until: Instant, error: E) -> E {
        let told = poll_fn(|cx| {
            let tenant = self.tenant.poll_farewell(cx, &mut sides.tenant.tx);
            let hypervisor = match &mut self.hypervisor {
                Some(line) => line.poll_farewell(cx, &mut sides.hypervisor.tx),
                None => Poll::Ready(()),
            };
            match tenant.is_ready() && hypervisor.is_ready() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        });
        // A peer that does not read in time misses it.
        let _ = timeout_at(farewell_until(until), told).await;
        error
    }
}

/// The most that is read from this side.
fn limit(bridge: &Bridge, action: &BridgeAction, of: Side, rx: &[u8]) -> usize {
    let wanted = match action {
        BridgeAction::Receive { side, at_least } if *side == of => *at_least,
        _ => 0,
    };
    bridge.max_input(of).max(rx.len().saturating_add(wanted))
}

fn reading(action: &BridgeAction, of: Side) -> Reading {
    match action {
        BridgeAction::Receive { side, .. } if *side == of => Reading::Awaited,
        BridgeAction::StartTls { side, tls } if *side == of && tls.role == TlsRole::Client => Reading::Nothing,
        _ => Reading::Kept,
    }
}

/// Waits for `answer`, which finds the answer to the open question, and for a side to hang up meanwhile; as
/// [`while_connected`](super::while_connected).
///
/// ```
/// use rfb_proto::handshake::bridge::{BridgeQuestion, Upstream};
/// use rfb_proto::handshake::{Bridge, Refusal, SideBuffers};
/// use rfb_proto::{BridgeDriven, Clock, drive_bridge, while_both_connected};
/// use tokio::net::TcpStream;
///
/// async fn connect(
///     bridge: &mut Bridge, sides: &mut SideBuffers, tenant: &mut TcpStream, hypervisor: &mut Option<TcpStream>, clock: Clock,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     let asked = drive_bridge(bridge, sides, tenant, hypervisor.as_mut(), clock).await?;
///     if let BridgeDriven::Ask(BridgeQuestion::Connect) = asked {
///         let dial = TcpStream::connect(("hypervisor.example", 5900));
///         // A tenant that hangs up while the hypervisor is dialled ends it.
///         let dialled = while_both_connected(bridge, sides, tenant, hypervisor.as_mut(), clock, dial).await?;
///         match dialled {
///             Ok(connection) => {
///                 *hypervisor = Some(connection);
///                 bridge.connect(Upstream::default())?;
///             }
///             Err(_) => bridge.refuse(sides, Refusal::Close)?,
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`DriveError`] as for [`drive_bridge`], if a side hangs up or the deadline passes first; `answer` is then dropped.
/// [`Misuse::NotAsked`] if no question is open.
pub async fn while_both_connected<T, H, A>(
    bridge: &mut Bridge,
    sides: &mut SideBuffers,
    tenant: &mut T,
    hypervisor: Option<&mut H>,
    clock: Clock,
    answer: A,
) -> Result<A::Output, DriveError<BridgeError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
    A: Future,
{
    first(answer, async {
        // With a question open this does not end well.
        let driven = drive_bridge(bridge, sides, tenant, hypervisor, clock).await;
        let (side, error) = (Side::Tenant, Misuse::NotAsked.into());
        driven.and(Err(DriveError::Protocol(BridgeError { side, error })))
    })
    .await
}
