//! The driver loop of the link stage, for a machine on one connection.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Poll, ready};
use core::time::Duration;
use std::io::{Error, ErrorKind};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

use super::port::{Moved, Port};
use super::{Clock, DriveError, Driven};
use crate::caps::Capabilities;
use crate::limits::Limits;
use crate::link::{Action, Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, Machine, Misuse};

/// Room for one read: a link message, a reply or a ticket.
pub(super) const READ: usize = 1 << 10;
/// For what is said last, when the time for the link is nearly over or over.
const LAST_WORDS: Duration = Duration::from_secs(1);

type Link<M> = Driven<<M as Machine>::Question, <M as Machine>::Outcome>;

/// Drives a machine to its next question, or to the end of the link stage.
///
/// A client without SASL has no question to answer; [`while_connected`] has an example of a server.
///
/// ```
/// use spice_proto::link::client::ClientOutcome;
/// use spice_proto::link::{Buffers, ClientConfig, ClientLink, LinkMess, Secret};
/// use spice_proto::{Clock, Driven, drive};
/// use tokio::net::TcpStream;
///
/// async fn link(stream: &mut TcpStream, request: LinkMess, password: &[u8], seed: [u8; 20])
///     -> Result<(ClientOutcome, bytes::BytesMut), Box<dyn std::error::Error>>
/// {
///     let (clock, mut buffers, config) = (Clock::start(), Buffers::default(), ClientConfig::new(request));
///     let mut machine = ClientLink::new(clock.now(), config, Secret::new(password), seed);
///     match drive(&mut machine, &mut buffers, stream, clock).await? {
///         Driven::Done(outcome) => Ok((outcome, buffers.rx)), // frames that came behind the link
///         Driven::Ask(question) => Err(format!("{question:?}: SASL was not announced").into()),
///     }
/// }
/// ```
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

pub(super) fn late<E>() -> DriveError<E> {
    Error::from(ErrorKind::TimedOut).into()
}

pub(super) fn last_words(until: Instant) -> Instant {
    let soon = Instant::now().checked_add(LAST_WORDS);
    soon.map_or(until, |soon| soon.max(until))
}

/// Nothing is sent to a peer that was out of time.
pub(super) fn last_words_of(error: &HandshakeError, until: Instant) -> Instant {
    match error {
        HandshakeError::TimedOut(_) => until,
        _ => last_words(until),
    }
}

/// A link does not stand before the peer has been told so.
pub(super) fn all_sent<E>(buffers: &Buffers) -> Result<(), DriveError<E>> {
    if buffers.tx.is_empty() { Ok(()) } else { Err(late()) }
}

/// Asks a server what it announces for a channel, on a connection that is used for nothing else: the link is begun, and
/// left before anything is proved. A proxy does so before it promises anything to a tenant:
/// see `ProxyHandler::capabilities`.
///
/// ```
/// use spice_proto::caps::Capabilities;
/// use spice_proto::link::LinkMess;
/// use spice_proto::{Limits, inquire};
/// use tokio::net::TcpStream;
///
/// /// What may be promised for this request of a tenant's.
/// async fn promised(hypervisor: &str, request: &LinkMess) -> Result<Capabilities, Box<dyn std::error::Error>> {
///     let stream = TcpStream::connect(hypervisor).await?;
///     let known = inquire(stream, request, &Limits::default()).await?;
///     Ok(Capabilities::spice_server(request.channel_type).kept_by(&known))
/// }
/// ```
///
/// # Errors
/// As [`drive`].
pub async fn inquire<S>(
    mut stream: S,
    request: &LinkMess,
    limits: &Limits,
) -> Result<Capabilities, DriveError<HandshakeError>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let clock = Clock::start();
    let config = ClientConfig::new(request.clone()).with_limits(limits.clone());
    let (mut link, mut buffers) = (ClientLink::inquiry(clock.now(), config), Buffers::default());
    match drive(&mut link, &mut buffers, &mut stream, clock).await? {
        Driven::Done(outcome) => Ok(outcome.capabilities),
        // INVARIANT: an inquiry ends before SASL.
        Driven::Ask(_) => Err(DriveError::Protocol(HandshakeError::Misuse(Misuse::Ended))),
    }
}
