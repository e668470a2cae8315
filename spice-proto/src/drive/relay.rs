//! The driver loop of the link stage, for the relay between two connections.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, ready};
use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::link::{READ, all_sent, last_words, last_words_of, late};
use super::port::{Moved, Port};
#[cfg(doc)]
use super::while_connected;
use super::{Clock, DriveError, Driven};
use crate::link::relay::{RelayAction, RelayError, RelayOutcome, RelayQuestion};
use crate::link::{Buffers, RelayLink, Side, SideBuffers};

/// The two streams of a relay.
struct Ports<T, H> {
    tenant: Port<T>,
    hypervisor: Option<Port<H>>,
    /// The tenant has gone, and its link is finished without it.
    tenant_gone: bool,
}

impl<T, H> Ports<T, H>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    fn new(tenant: T, hypervisor: Option<H>) -> Self {
        Self {
            tenant: Port::new(tenant, READ),
            hypervisor: hypervisor.map(|stream| Port::new(stream, READ)),
            tenant_gone: false,
        }
    }

    /// Moves bytes on both sides. The tenant is read whether or not the relay waits for it, and so is the hypervisor,
    /// as far as there is room: so it is seen when one of them goes.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        relay: &mut RelayLink,
        sides: &mut SideBuffers,
        wanted: Option<Side>,
    ) -> Poll<Result<(), DriveError<RelayError>>> {
        let room = |side, buffers: &Buffers| wanted == Some(side) || buffers.rx.len() < relay.max_input(side);
        let near = !self.tenant_gone && room(Side::Tenant, &sides.tenant);
        let far = room(Side::Hypervisor, &sides.hypervisor);
        let mut moved = false;
        match self.tenant.poll(cx, &mut sides.tenant, near) {
            Poll::Pending => {}
            Poll::Ready(Moved::Bytes) => moved = true,
            Poll::Ready(_) if relay.must_finish() => (self.tenant_gone, moved) = (true, true),
            Poll::Ready(Moved::End) => return Poll::Ready(Err(hung_up(relay, sides, Side::Tenant))),
            Poll::Ready(Moved::Failed(error)) => return Poll::Ready(Err(error.into())),
        }
        match &mut self.hypervisor {
            Some(hypervisor) => match hypervisor.poll(cx, &mut sides.hypervisor, far) {
                Poll::Pending => {}
                Poll::Ready(Moved::Bytes) => moved = true,
                // One whose connection fails has hung up.
                Poll::Ready(_) => return Poll::Ready(Err(hung_up(relay, sides, Side::Hypervisor))),
            },
            None if wanted == Some(Side::Hypervisor) => {
                return Poll::Ready(Err(hung_up(relay, sides, Side::Hypervisor)));
            }
            None => {}
        }
        if moved { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Sends what is left, on both sides.
    async fn finish(&mut self, relay: &RelayLink, sides: &mut SideBuffers, until: Instant) -> Result<(), Error> {
        let SideBuffers { tenant, hypervisor } = sides;
        let [near, far] = [Side::Tenant, Side::Hypervisor].map(|side| relay.max_input(side));
        let alone = self.hypervisor.is_none();
        let both = async {
            tokio::join!(self.tenant.finish(tenant, near, until), async {
                if let Some(port) = &mut self.hypervisor {
                    // One that is gone is found out by reading from it.
                    let _ = port.finish(hypervisor, far, until).await;
                }
            })
        };
        match both.await.0 {
            Err(error) if alone => Err(error),
            _ => Ok(()),
        }
    }
}

fn hung_up(relay: &mut RelayLink, sides: &mut SideBuffers, side: Side) -> DriveError<RelayError> {
    match relay.eof(sides, side) {
        Err(error) => DriveError::Protocol(error),
        Ok(_) => Error::from(ErrorKind::UnexpectedEof).into(),
    }
}

/// Drives a relay to its next question, or to the end of the link stage. `hypervisor` is there once a ticket
/// was admitted; after [`RelayQuestion::Redial`] it is another.
///
/// The program `examples/relay.rs` is a whole relay, with what follows the link. This is its link stage:
///
/// ```
/// use spice_proto::caps::Capabilities;
/// use spice_proto::link::relay::{RelayOutcome, RelayQuestion, Upstream};
/// use spice_proto::link::server::{Announcement, ServerQuestion};
/// use spice_proto::link::{Key, Refusal, RelayConfig, RelayLink, SealedTicket, SideBuffers};
/// use spice_proto::{Clock, Driven, drive_relay, while_both_connected};
/// use tokio::net::TcpStream;
/// # async fn hypervisor_of(_: SealedTicket) -> Option<(TcpStream, Upstream)> { None }
///
/// async fn link(mut tenant: TcpStream, key: &Key) -> Result<RelayOutcome, Box<dyn std::error::Error>> {
///     let (clock, mut sides, mut hypervisor) = (Clock::start(), SideBuffers::default(), None);
///     let mut relay = RelayLink::new(clock.now(), RelayConfig::default());
///     loop {
///         match drive_relay(&mut relay, &mut sides, &mut tenant, hypervisor.as_mut(), clock).await? {
///             Driven::Ask(RelayQuestion::Tenant(ServerQuestion::Link(request))) => {
///                 let shown = Announcement::spice_server(key.public(), request.channel_type);
///                 relay.tenant().announce(&mut sides.tenant, shown)?;
///             }
///             Driven::Ask(RelayQuestion::Tenant(ServerQuestion::Ticket { sealed, .. })) => {
///                 // A tenant that goes meanwhile is seen at once.
///                 let none = None::<&mut TcpStream>;
///                 let find = hypervisor_of(sealed);
///                 match while_both_connected(&mut relay, &mut sides, &mut tenant, none, clock, find).await? {
///                     None => relay.refuse(&mut sides, Refusal::DENIED)?,
///                     Some((stream, upstream)) => {
///                         hypervisor = Some(stream);
///                         relay.admit(&mut sides, upstream)?;
///                     }
///                 }
///             }
///             Driven::Ask(_) => relay.refuse(&mut sides, Refusal::Close)?, // no SASL, no other port
///             Driven::Done(outcome) => return Ok(outcome),
///         }
///     }
/// }
/// ```
///
/// A tenant that hangs up ends both parts at once. There is one exception, [`RelayLink::must_finish`]: the link is then
/// finished without it, and the data stage finds out.
///
/// # Errors
/// [`DriveError`]; the answer to the tenant has been sent, if that was possible. A hypervisor whose
/// connection fails has hung up.
pub async fn drive_relay<T, H>(
    relay: &mut RelayLink,
    sides: &mut SideBuffers,
    tenant: &mut T,
    hypervisor: Option<&mut H>,
    clock: Clock,
) -> Result<Driven<RelayQuestion, RelayOutcome>, DriveError<RelayError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    let mut ports = Ports::new(tenant, hypervisor);
    loop {
        let action = relay.step(clock.now(), sides);
        let until = clock.instant(relay.deadline());
        let wanted = match action {
            Ok(RelayAction::Receive { side, .. }) => Some(side),
            Ok(RelayAction::Waiting) => None,
            Ok(RelayAction::Ask(question)) => {
                ports.finish(relay, sides, until).await?;
                return Ok(Driven::Ask(question));
            }
            Ok(RelayAction::Done(outcome)) => {
                ports.finish(relay, sides, last_words(until)).await?;
                return all_sent(&sides.tenant).map(|()| Driven::Done(outcome));
            }
            Err(error) => return Err(ports.failed(relay, sides, error, until).await),
        };
        // The next step reports a deadline that has passed.
        match timeout_at(until, poll_fn(|cx| ports.poll(cx, relay, sides, wanted))).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(DriveError::Protocol(error))) => return Err(ports.failed(relay, sides, error, until).await),
            Ok(Err(error)) => return Err(error),
        }
    }
}

impl<T, H> Ports<T, H>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
{
    /// The link has failed: the tenant gets its refusal.
    async fn failed(
        &mut self,
        relay: &RelayLink,
        sides: &mut SideBuffers,
        error: RelayError,
        until: Instant,
    ) -> DriveError<RelayError> {
        let until = match error.side {
            Side::Tenant => last_words_of(&error.error, until),
            Side::Hypervisor => last_words(until),
        };
        let room = relay.max_input(Side::Tenant);
        let _ = self.tenant.finish(&mut sides.tenant, room, until).await;
        DriveError::Protocol(error)
    }
}

/// As [`while_connected`], for a question of a relay: as long as the tenant and, where there is one, the hypervisor are
/// there. [`drive_relay`] has an example.
///
/// # Errors
/// One of them has gone, or the relay's deadline has passed: the link has failed, and the tenant was told what it is to
/// be told.
pub async fn while_both_connected<T, H, F>(
    relay: &mut RelayLink,
    sides: &mut SideBuffers,
    tenant: &mut T,
    hypervisor: Option<&mut H>,
    clock: Clock,
    find: F,
) -> Result<F::Output, DriveError<RelayError>>
where
    T: AsyncRead + AsyncWrite + Unpin,
    H: AsyncRead + AsyncWrite + Unpin,
    F: Future,
{
    let mut ports = Ports::new(tenant, hypervisor);
    let mut find = pin!(find);
    let until = clock.instant(relay.deadline());
    let watched = poll_fn(|cx| {
        if let Poll::Ready(answer) = find.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        loop {
            if let Err(error) = ready!(ports.poll(cx, relay, sides, None)) {
                return Poll::Ready(Err(error));
            }
        }
    });
    let error = match timeout_at(until, watched).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(error)) => error,
        Err(_) => match relay.step(clock.now(), sides) {
            Err(error) => DriveError::Protocol(error),
            Ok(_) => late(),
        },
    };
    Err(match error {
        DriveError::Protocol(error) => ports.failed(relay, sides, error, until).await,
        error => error,
    })
}
