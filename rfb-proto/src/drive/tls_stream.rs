//! TLS over any stream.

extern crate std;

use core::fmt;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

use crate::handshake::{Buffers, Tls, wipe};
use crate::tls::{ClientTls, PeerName, ServerTls, TlsError, TlsSession};

/// Bytes that are read at a time: several records, with what stands in front of them.
const READ: usize = 64 << 10;
/// The same in the handshake.
const HANDSHAKE_READ: usize = 4 << 10;
/// Bytes that wait to be sent, at most, before no more are taken.
const UNSENT: usize = 64 << 10;

/// A stream inside TLS, over any stream: for the places where a machine comes to `StartTls`, on either side.
///
/// It begins with what the machine left in its [`Buffers`]: bytes of the peer that were read already, and the machine's
/// own last words that are not sent yet. Like TCP it can be written and read at the same time, and split.
///
/// ```
/// use rfb_proto::handshake::{Buffers, Tls};
/// use rfb_proto::tls::ClientTls;
/// use rfb_proto::TlsStream;
/// use tokio::net::TcpStream;
///
/// /// A machine has come to `Driven::StartTls(tls)` in the client's role.
/// async fn secure(
///     stream: TcpStream, tls: &Tls, authorities: &ClientTls, buffers: &mut Buffers,
/// ) -> std::io::Result<TlsStream<TcpStream>> {
///     TlsStream::connect(stream, tls, authorities, buffers).await
/// }
/// ```
///
/// * `poll_write` takes bytes until so many wait to be sent that it has to wait itself.
/// * `poll_flush` is ready when all is sent and the stream below is flushed.
/// * The end of the stream below without TLS's farewell is an error, `UnexpectedEof`; the drivers of this crate take it as
///   the end.
pub struct TlsStream<S> {
    stream: S,
    session: TlsSession,
    plain: Buffers,
    /// The stream below may hold bytes until it is flushed.
    unflushed: bool,
    /// The peer's stream has ended.
    ended: bool,
    /// The own farewell is said.
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    /// As the client, with the name that the machine was given ([`Tls::server_name`]); without one the server's name is
    /// not looked at. The handshake is over when this is ready.
    ///
    /// # Errors
    /// The stream failed, or the handshake did: then the error holds a [`TlsError`], and the peer was sent its alert, as far
    /// as the stream took it at once.
    pub async fn connect(stream: S, tls: &Tls, with: &ClientTls, buffers: &mut Buffers) -> io::Result<Self> {
        let mut secured = Self::connecting(stream, tls, with, buffers)?;
        secured.handshake().await?;
        Ok(secured)
    }

    /// As the server. The handshake is over when this is ready.
    ///
    /// # Errors
    /// As [`TlsStream::connect`].
    pub async fn accept(stream: S, with: &ServerTls, buffers: &mut Buffers) -> io::Result<Self> {
        let mut secured = Self::accepting(stream, with, buffers)?;
        secured.handshake().await?;
        Ok(secured)
    }

    /// With a session of one's own.
    #[must_use]
    pub fn new(stream: S, session: TlsSession) -> Self {
        Self {
            stream,
            session,
            plain: Buffers::default(),
            unflushed: true,
            ended: false,
            closed: false,
        }
    }

    pub(super) fn connecting(stream: S, tls: &Tls, with: &ClientTls, buffers: &mut Buffers) -> io::Result<Self> {
        let name = tls.server_name.as_deref().map_or(PeerName::Any, PeerName::Named);
        Ok(Self::new(stream, with.connect(name, buffers).map_err(failure)?))
    }

    pub(super) fn accepting(stream: S, with: &ServerTls, buffers: &mut Buffers) -> io::Result<Self> {
        Ok(Self::new(stream, with.accept(buffers).map_err(failure)?))
    }

    /// The session: versions, ciphers, certificates.
    #[must_use]
    pub fn session(&self) -> &TlsSession {
        &self.session
    }

    /// The stream below; and of its bytes those that were read and not decrypted, and those that are not sent yet.
    #[must_use]
    pub fn into_parts(self) -> (S, Buffers) {
        (self.stream, self.session.socket)
    }

    /// Takes the handshake to its end, for a stream that was made with [`TlsStream::new`].
    ///
    /// # Errors
    /// As [`TlsStream::connect`].
    pub async fn handshake(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_handshake(cx)).await
    }

    /// Ready when the handshake is over.
    ///
    /// # Errors
    /// As [`TlsStream::connect`].
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Err(error) = self.session.process(&mut self.plain) {
                // The alert, as far as the stream takes it at once: a peer that does not read must not hold the failure up.
                let _ = self.poll_send(cx);
                return Poll::Ready(Err(failure(error)));
            }
            let sent = self.poll_send(cx)?;
            if !self.session.is_handshaking() {
                return sent.map(Ok);
            }
            // What was sent, or waits to be, does not keep from reading.
            if ready!(self.poll_receive(cx))? == 0 {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Sends all that is ready to be sent, and flushes.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let tx = &mut self.session.socket.tx;
        while !tx.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, tx)? {
                Poll::Ready(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    tx.advance(count);
                    self.unflushed = true;
                }
                // Its own buffer may be full, and a flush is what empties it.
                Poll::Pending if self.unflushed => {
                    ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
                    self.unflushed = false;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        *tx = BytesMut::new();
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Reads ciphertext. 0: nothing more comes.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = match self.session.is_handshaking() {
            true => HANDSHAKE_READ,
            false => READ,
        };
        let rx = &mut self.session.socket.rx;
        rx.reserve(room);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, rx);
        if read.is_pending() {
            rest(rx);
        }
        let read = ready!(read)?;
        self.ended = read == 0;
        Poll::Ready(Ok(read))
    }
}

/// While nothing comes a buffer holds no more memory than a few times its bytes: those are a part of a record, most often
/// none.
fn rest(buffer: &mut BytesMut) {
    if buffer.len() < buffer.capacity() / 4 {
        *buffer = BytesMut::from(&buffer[..]);
    }
}

fn failure(error: TlsError) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let plain = &mut this.plain.rx;
            if !plain.is_empty() {
                let count = plain.len().min(buf.remaining());
                let given = plain.get_mut(..count).unwrap_or_default();
                buf.put_slice(given);
                // It may have been a password.
                wipe(given);
                plain.advance(count);
                if plain.is_empty() {
                    // At rest it holds no memory.
                    *plain = BytesMut::new();
                }
                return Poll::Ready(Ok(()));
            }
            if buf.remaining() == 0 || this.session.is_closed() {
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = this.session.process(&mut this.plain) {
                let _ = this.poll_send(cx);
                return Poll::Ready(Err(failure(error)));
            }
            // An answer of TLS itself leaves with the next flush at the latest.
            if !this.session.socket.tx.is_empty() {
                let _ = this.poll_send(cx)?;
            }
            if !this.plain.rx.is_empty() || this.session.is_closed() {
                continue;
            }
            if this.ended {
                return Poll::Ready(Err(ErrorKind::UnexpectedEof.into()));
            }
            ready!(this.poll_receive(cx))?;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let unsent = |this: &Self| this.session.socket.tx.len().saturating_add(this.plain.tx.len());
        if UNSENT <= unsent(this) {
            let _ = this.poll_send(cx)?;
            if UNSENT <= unsent(this) {
                return Poll::Pending;
            }
        }
        let room = UNSENT.saturating_sub(unsent(this));
        let taken = buf.get(..room).unwrap_or(buf);
        // Straight into records, unless they have to wait for the end of the handshake.
        if !this.session.process_with(&mut this.plain, taken).map_err(failure)? {
            this.plain.tx.extend_from_slice(taken);
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            self.closed = true;
            let this = &mut *self;
            // A session that has failed has said so in its alert.
            let _ = this.session.close(&mut this.plain);
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What is in the buffers is not shown.
impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .field("plain", &self.plain)
            .finish_non_exhaustive()
    }
}
