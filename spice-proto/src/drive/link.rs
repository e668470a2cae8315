//! The driver loops of the link stage.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::port::{Moved, Port};
use super::{Clock, DriveError, Driven};
use crate::link::relay::{RelayAction, RelayError, RelayOutcome, RelayQuestion};
use crate::link::{Action, Buffers, HandshakeError, Machine, RelayLink, Side, SideBuffers};

/// Room for one read.
const READ: usize = 4 << 10;
/// For what is said last, when the time for the link is nearly over or over.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Link<M> = Driven<<M as Machine>::Question, <M as Machine>::Outcome>;

/// Drives a machine to its next question, or to the end of the link stage.
///
/// # Errors
/// [`DriveError`]; the answer to the peer has been sent, if that was possible.
pub async fn drive<M, S>(
    machine: &mut M,
    buffers: &mut Buffers,
    stream: &mut S,
    clock: Clock,
) -> Result<Link<M>, DriveError<HandshakeError>>
where
    M: Machine,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut port = Port::new(stream, READ);
    loop {
        let action = machine.step(clock.now(), buffers);
        let (until, room) = (clock.instant(machine.deadline()), machine.max_input());
        let read = match action {
            Ok(Action::Receive { .. }) => true,
            // It is looked at whether the peer is still there.
            Ok(Action::Waiting) => buffers.rx.len() < room,
            Ok(Action::Ask(question)) => {
                port.finish(buffers, room, until).await?;
                return Ok(Driven::Ask(question));
            }
            Ok(Action::Done(outcome)) => {
                port.finish(buffers, room, last_words(until)).await?;
                return all_sent(buffers).map(|()| Driven::Done(outcome));
            }
            Err(error) => {
                let _ = port.finish(buffers, room, last_words_of(&error, until)).await;
                return Err(DriveError::Protocol(error));
            }
        };
        // A deadline that passes is not looked at here: the next step tells what it means.
        match timeout_at(until, poll_fn(|cx| port.poll(cx, buffers, read))).await {
            Ok(Moved::Bytes) | Err(_) => {}
            Ok(Moved::End) => return Err(ended(machine, &mut port)),
            Ok(Moved::Failed(error)) => return Err(error.into()),
        }
    }
}

/// Finds an answer to a machine's question, as long as its peer is there and its time is not over.
///
/// A peer that hangs up while it is waited for - for a database, for a key, for another server - ends the link at once,
/// and `find` is dropped. Without it, a peer that connects and leaves occupies a place for as long as the answer takes.
///
/// ```
/// use spice_proto::link::{Refusal, ServerLink, Buffers, server::ServerQuestion};
/// use spice_proto::{Clock, DriveError, Driven, Limits, drive, while_connected};
/// # use spice_proto::link::{HandshakeError, SealedTicket, server::ServerOutcome};
/// # async fn is_good(_: SealedTicket) -> bool { false }
///
/// # async fn serve(mut stream: tokio::io::DuplexStream, shown: spice_proto::link::server::Announcement)
/// #     -> Result<ServerOutcome, DriveError<HandshakeError>> {
/// let clock = Clock::start();
/// let (mut server, mut buffers) = (ServerLink::new(clock.now(), Limits::default()), Buffers::default());
/// loop {
///     match drive(&mut server, &mut buffers, &mut stream, clock).await? {
///         Driven::Ask(ServerQuestion::Link(_)) => server.announce(&mut buffers, shown.clone()).unwrap(),
///         Driven::Ask(ServerQuestion::Ticket { sealed, .. }) => {
///             let look_up = is_good(sealed);
///             match while_connected(&mut server, &mut buffers, &mut stream, clock, look_up).await? {
///                 true => server.accept(&mut buffers).unwrap(),
///                 false => server.refuse(&mut buffers, Refusal::Close).unwrap(),
///             }
///         }
///         Driven::Ask(_) => server.refuse(&mut buffers, Refusal::Close).unwrap(), // SASL was not announced
///         Driven::Done(outcome) => return Ok(outcome),
///     }
/// }
/// # }
/// ```
///
/// # Errors
/// The peer has gone, or the machine's deadline has passed: the link has failed.
pub async fn while_connected<M, S, F>(
    machine: &mut M,
    buffers: &mut Buffers,
    stream: &mut S,
    clock: Clock,
    find: F,
) -> Result<F::Output, DriveError<HandshakeError>>
where
    M: Machine,
    S: AsyncRead + AsyncWrite + Unpin,
    F: Future,
{
    let mut port = Port::new(stream, READ);
    let mut find = pin!(find);
    let until = clock.instant(machine.deadline());
    let watched = poll_fn(|cx| {
        if let Poll::Ready(answer) = find.as_mut().poll(cx) {
            return Poll::Ready(Ok(answer));
        }
        loop {
            let read = buffers.rx.len() < machine.max_input();
            match ready!(port.poll(cx, buffers, read)) {
                Moved::Bytes => {}
                Moved::End => return Poll::Ready(Err(ended(machine, &mut port))),
                Moved::Failed(error) => return Poll::Ready(Err(error.into())),
            }
        }
    });
    match timeout_at(until, watched).await {
        Ok(answer) => answer,
        Err(_) => Err(match machine.step(clock.now(), buffers) {
            Err(error) => DriveError::Protocol(error),
            Ok(_) => late(),
        }),
    }
}

/// The peer has hung up.
fn ended<M: Machine, S>(machine: &mut M, port: &mut Port<S>) -> DriveError<HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match (machine.eof(), port.error()) {
        (_, Some(error)) => error.into(),
        (Err(error), None) => DriveError::Protocol(error),
        (Ok(_), None) => Error::from(ErrorKind::UnexpectedEof).into(),
    }
}

fn late<E>() -> DriveError<E> {
    Error::from(ErrorKind::TimedOut).into()
}

fn last_words(until: Instant) -> Instant {
    let soon = Instant::now().checked_add(LAST_WORDS);
    soon.map_or(until, |soon| soon.max(until))
}

/// Nothing is sent to a peer that was out of time.
fn last_words_of(error: &HandshakeError, until: Instant) -> Instant {
    match error {
        HandshakeError::TimedOut(_) => until,
        _ => last_words(until),
    }
}

/// A link does not stand before the peer has been told so.
fn all_sent<E>(buffers: &Buffers) -> Result<(), DriveError<E>> {
    if buffers.tx.is_empty() { Ok(()) } else { Err(late()) }
}

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
/// there.
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
