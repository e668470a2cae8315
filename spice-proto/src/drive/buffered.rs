//! Fewer system calls below TLS.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, Waker, ready};
use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_read_buf;

/// A stream with buffers of 64 KiB in both directions, to be put between TLS and a socket.
///
/// [`drive_session`](super::drive_session) writes every message to a viewer with TLS on its own, since spice-gtk needs
/// each in a TLS record of its own ([`RecordSplitter`](crate::frame::RecordSplitter)), and flushes once behind all of
/// them. A TLS stream hands each record to what is below it at once, and reads in pieces of 4 KiB. On a socket every
/// one of them is a system call; with this in between there is one for all that goes at once. The records stay what
/// they are.
///
/// ```
/// use spice_proto::BufferedStream;
/// use tokio::io::{AsyncRead, AsyncWrite};
/// use tokio_rustls::{TlsAcceptor, server::TlsStream};
///
/// /// `socket`: with TCP_NODELAY, since what is flushed is to leave at once.
/// async fn accept<S>(tls: &TlsAcceptor, socket: S) -> std::io::Result<TlsStream<BufferedStream<S>>>
/// where
///     S: AsyncRead + AsyncWrite + Unpin,
/// {
///     tls.accept(BufferedStream::new(socket)).await
/// }
/// ```
///
/// * What was written leaves with `poll_flush`, with `poll_shutdown`, or when there is no more room.
/// * `poll_write` is pending only when there is no room and the stream takes nothing.
/// * `poll_flush` is ready when the buffer is empty and the stream is flushed.
/// * `poll_read` gives what is there; it waits for no flush and causes none. A caller that writes and then waits for
///   an answer flushes first, as TLS and the drivers of this crate do.
/// * Dropped with something left, it offers that to the stream once, without waiting: an alert about a handshake that
///   failed is written by TLS and not flushed.
/// * At rest it holds no memory.
pub struct BufferedStream<S: AsyncWrite + Unpin> {
    stream: S,
    /// Written and not yet sent.
    out: BytesMut,
    /// Received and not yet read.
    received: BytesMut,
}

impl<S: AsyncWrite + Unpin> BufferedStream<S> {
    /// Bytes that are held in one direction.
    pub const CAPACITY: usize = 64 << 10;

    /// Buffers for this stream.
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            out: BytesMut::new(),
            received: BytesMut::new(),
        }
    }

    /// The stream below. What is read from or written to it passes by the buffers.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// As [`BufferedStream::get_ref`].
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Bytes that are written and have not left yet.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.out.len()
    }

    fn room(&self) -> usize {
        Self::CAPACITY.saturating_sub(self.out.len())
    }

    /// Hands everything to the stream.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))? {
                0 => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                n => self.out.advance(n),
            }
        }
        self.out = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Sees to it that there is room. Pending, or an error: there is none.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if 0 < self.room() {
            return Poll::Ready(Ok(()));
        }
        match self.poll_drain(cx) {
            Poll::Pending if self.room() == 0 => Poll::Pending,
            Poll::Pending => Poll::Ready(Ok(())),
            Poll::Ready(drained) => Poll::Ready(drained),
        }
    }

    /// Takes as many of these bytes as there is room for.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.get(..self.room()).unwrap_or(bytes);
        if self.out.capacity() == 0 {
            self.out.reserve(Self::CAPACITY);
        }
        self.out.extend_from_slice(taken);
        taken.len()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BufferedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.received.is_empty() {
            if Self::CAPACITY <= buf.remaining() {
                return Pin::new(&mut this.stream).poll_read(cx, buf);
            }
            this.received.reserve(Self::CAPACITY);
            let read = poll_read_buf(Pin::new(&mut this.stream), cx, &mut this.received);
            if this.received.is_empty() {
                this.received = BytesMut::new();
            }
            ready!(read)?;
        }
        let given = this.received.len().min(buf.remaining());
        buf.put_slice(this.received.get(..given).unwrap_or_default());
        this.received.advance(given);
        if this.received.is_empty() {
            this.received = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BufferedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        Poll::Ready(Ok(self.put(buf)))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        let mut taken: usize = 0;
        for buf in bufs {
            let more = self.put(buf);
            taken = taken.saturating_add(more);
            if more < buf.len() {
                break;
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncWrite + Unpin> Drop for BufferedStream<S> {
    fn drop(&mut self) {
        let _ = self.poll_drain(&mut Context::from_waker(Waker::noop()));
    }
}

/// What is in the buffers is not shown.
impl<S: AsyncWrite + Unpin + fmt::Debug> fmt::Debug for BufferedStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedStream")
            .field("stream", &self.stream)
            .field("unsent", &self.out.len())
            .field("received", &self.received.len())
            .finish()
    }
}
