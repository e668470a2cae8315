//! The driver loops for tokio streams: [`drive`] for a machine on one connection, [`drive_bridge`] for the bridge
//! between two; and [`drive_session`] for a console, from its first byte to its last.
//!
//! Each receives and sends at the same time, flushes what it has written, and keeps the machine's deadline. The first
//! two come back with every question, where TLS is to begin, and when the handshake is over; what was received beyond it is in
//! `rx`. While a question is open, [`while_connected`] and [`while_both_connected`] notice that the peer has
//! gone.
//!
//! What goes out is overwritten in `tx`, and what is read as a secret in `rx`.
//!
//! # Dropping a driver
//!
//! A future of these functions can be dropped and the driver called again: no byte is lost or sent twice. Only what it
//! was about to return is lost, a question for one; so select against it while one is open, not before.

mod bridge;
mod handler;
mod line;
mod port;
mod session;
#[cfg(feature = "rustls")]
mod tls_stream;
mod wire;

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};

pub use bridge::{BridgeDriven, drive_bridge, while_both_connected};
pub use handler::{NotDialled, ProxyHandler};
pub use session::{Connection, Mover, drive_session};
#[cfg(feature = "rustls")]
pub use tls_stream::TlsStream;

use self::line::{Line, Reading, Turn, drop_unsent};
use crate::first_bytes::FirstBytes;
use crate::handshake::{Action, Buffers, HandshakeError, Machine, Misuse, Tls, TlsRole};

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
    /// [`Clock::instant`] of the machine's deadline, and drive on. An answer that takes time is found inside of
    /// [`while_connected`]. Driving on without an answer waits until the peer hangs up, or for the deadline, and ends
    /// the handshake.
    Ask(Question),
    /// Begin TLS on the stream, which nothing is under way on: what the machine said is sent. Bytes in `rx` are the
    /// beginning of the client's hello; take them out and read them first. Then drive on with the stream inside, and
    /// the same buffers. The machine's deadline is for this as well.
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
    Io(tokio::io::Error),
    /// The handshake failed.
    #[error("{0}")]
    Protocol(Protocol),
    /// The peer does not speak RFB.
    #[error("{error}; it sent {came}")]
    NotRfb {
        /// Where the handshake failed.
        error: Protocol,
        /// What the peer sent instead.
        came: FirstBytes,
    },
}

/// The text of the error holds that of the connection, so there is no source that would repeat it.
impl<Protocol> From<tokio::io::Error> for DriveError<Protocol> {
    fn from(error: tokio::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Drives a machine to its next question, to TLS, or to the end of the handshake.
///
/// Every byte is shown to the machine when it comes, so a peer that does not speak RFB is refused at its first wrong
/// byte, and the error says what it speaks, if that is known ([`DriveError::NotRfb`]). The end of TLS without a
/// farewell (`UnexpectedEof`) is the end of the stream. What a server said before it stopped reading is still read.
///
/// # Errors
/// [`DriveError`]; the refusal has been sent to the peer, if that was possible.
pub async fn drive<M, S>(
    machine: &mut M,
    buffers: &mut Buffers,
    stream: &mut S,
    clock: Clock,
) -> Result<Driven<M::Question, M::Outcome>, DriveError<HandshakeError>>
where
    M: Machine,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut line = Line::new(stream);
    loop {
        let action = machine.step(clock.now(), buffers);
        let until = clock.instant(machine.deadline());
        let action = match action {
            Ok(action) => action,
            Err(error) => {
                line.farewell(&mut buffers.tx, until).await;
                if !error.is_not_rfb() {
                    return Err(DriveError::Protocol(error));
                }
                let came = line.opening(&mut buffers.rx).await;
                return Err(DriveError::NotRfb { error, came });
            }
        };
        let (reading, at_least) = match &action {
            Action::Receive { at_least } => (Reading::Awaited, *at_least),
            Action::StartTls(tls) if tls.role == TlsRole::Client => (Reading::Nothing, 0),
            _ => (Reading::Kept, 0),
        };
        let stops = !matches!(action, Action::Receive { .. } | Action::Waiting);
        let limit = machine.max_input().max(buffers.rx.len().saturating_add(at_least));
        let turn = poll_fn(|cx| {
            if line.poll_send(cx, &mut buffers.tx).is_ready() && stops {
                return Poll::Ready(line.why_broken().map_or(Turn::Sent, Turn::Failed));
            }
            line.poll_read(cx, &mut buffers.rx, limit, reading)
        });
        match (timeout_at(until, turn).await.unwrap_or(Turn::Late), action) {
            (Turn::Sent | Turn::End, Action::Done(outcome)) => return Ok(Driven::Done(outcome)),
            (Turn::Sent, Action::StartTls(tls)) => return Ok(Driven::StartTls(tls)),
            (Turn::Sent, Action::Ask(question)) => return Ok(Driven::Ask(question)),
            (Turn::Late, Action::Done(_)) => return Err(too_slow()),
            // The next step judges a deadline that has passed, and bytes that came.
            (Turn::Late, _) => drop_unsent(&mut buffers.tx),
            (Turn::Bytes | Turn::Sent, _) => {}
            (Turn::End, _) => {
                // A part of a secret may be in it.
                buffers.wipe_rx();
                return hung_up(machine, &mut line);
            }
            (Turn::Failed(error), _) => return Err(error.into()),
        }
    }
}

/// The handshake is over, but a peer did not take the end of it in time.
fn too_slow<E>() -> DriveError<E> {
    DriveError::Io(tokio::io::ErrorKind::TimedOut.into())
}

/// The peer hung up. If it had stopped reading before, that is what is reported, unless it had refused.
fn hung_up<M: Machine, S: AsyncRead + AsyncWrite + Unpin>(
    machine: &mut M,
    line: &mut Line<'_, S>,
) -> Result<Driven<M::Question, M::Outcome>, DriveError<HandshakeError>> {
    match (machine.eof(), line.why_broken()) {
        (Ok(outcome), _) => Ok(Driven::Done(outcome)),
        (Err(error @ HandshakeError::Rejected(_)), _) | (Err(error), None) => Err(DriveError::Protocol(error)),
        (Err(_), Some(error)) => Err(error.into()),
    }
}

/// Waits for `answer`, which finds the answer to the open question, and for the peer to hang up meanwhile.
///
/// The stream is read while `answer` runs, so that the place of a peer that has gone is free at once, not when the
/// answer is there. What the peer sends in that time is kept in `rx`.
///
/// ```
/// use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
/// use rfb_proto::handshake::{HandshakeError, Refusal, ServerHandshake, Buffers};
/// use rfb_proto::{Clock, DriveError, Driven, drive, while_connected};
/// use tokio::net::TcpStream;
///
/// async fn is_known(claim: &ClientCredentials) -> bool { // a look-up that takes time
/// #   matches!(claim, ClientCredentials::None)
///     // ...
/// }
///
/// async fn serve(
///     machine: &mut ServerHandshake, buffers: &mut Buffers, stream: &mut TcpStream, clock: Clock,
/// ) -> Result<(), Box<dyn std::error::Error>> {
///     while let Driven::Ask(question) = drive(machine, buffers, stream, clock).await? {
///         let ServerQuestion::Admit(claim) = question else { return Err("see the table of questions".into()) };
///         match while_connected(machine, buffers, stream, clock, is_known(&claim)).await? {
///             true => machine.accept(buffers)?,
///             false => machine.refuse(buffers, Refusal::default())?,
///         }
///     }
///     Ok(())
/// }
/// ```
///
/// # Errors
/// [`DriveError`] as for [`drive`], if the peer hangs up or the deadline passes first; `answer` is then dropped.
/// [`Misuse::NotAsked`] if no question is open.
pub async fn while_connected<M, S, A>(
    machine: &mut M,
    buffers: &mut Buffers,
    stream: &mut S,
    clock: Clock,
    answer: A,
) -> Result<A::Output, DriveError<HandshakeError>>
where
    M: Machine,
    S: AsyncRead + AsyncWrite + Unpin,
    A: Future,
{
    first(answer, async {
        // With a question open this does not end well.
        let driven = drive(machine, buffers, stream, clock).await;
        driven.and(Err(DriveError::Protocol(Misuse::NotAsked.into())))
    })
    .await
}

/// The answer, or what happens before it is there.
async fn first<A: Future, E>(answer: A, watch: impl Future<Output = Result<A::Output, E>>) -> Result<A::Output, E> {
    let (mut answer, mut watch) = (pin!(answer), pin!(watch));
    poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Ok(answer)),
        Poll::Pending => watch.as_mut().poll(cx),
    })
    .await
}
