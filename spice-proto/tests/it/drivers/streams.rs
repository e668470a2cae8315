//! Streams as networks make them: narrow, slow, and with buffers that somebody has to flush.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf, duplex};
use tokio::time::{Instant, sleep};

/// What a driver is given.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Stream = Box<dyn Io>;

/// What lies between a driver and its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inner {
    Nothing,
    /// tokio's `BufWriter`: empties itself when it is full, and when it is flushed.
    Buffer(usize),
    /// Takes so many bytes, and more only when it was flushed.
    Flushed(usize),
    /// Takes so many bytes, and tries to send them at once, as rustls does: but when that does not go, only a flush or
    /// another write goes on with it.
    Eager(usize),
}

/// A line of this capacity, in each direction; the driver's end is behind `inner`.
pub(crate) fn line(capacity: usize, inner: Inner) -> (Stream, Stream) {
    let (near, far) = duplex(capacity);
    let near: Stream = match inner {
        Inner::Nothing => Box::new(near),
        Inner::Buffer(size) => Box::new(BufWriter::with_capacity(size, near)),
        Inner::Flushed(size) => Box::new(Held::new(near, size, false)),
        Inner::Eager(size) => Box::new(Held::new(near, size, true)),
    };
    (near, Box::new(far))
}

/// A stream with a buffer that a flush empties.
struct Held<S> {
    stream: S,
    buffer: Vec<u8>,
    size: usize,
    eager: bool,
    waiting: Option<Waker>,
}

impl<S: AsyncWrite + Unpin> Held<S> {
    fn new(stream: S, size: usize, eager: bool) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            size,
            eager,
            waiting: None,
        }
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.buffer))?;
            self.buffer.drain(..sent);
            if let Some(waiting) = self.waiting.take() {
                waiting.wake();
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Held<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Held<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.eager && self.buffer.len() == self.size {
            let _ = self.drain(cx)?;
        }
        let taken = buf.len().min(self.size - self.buffer.len());
        if taken == 0 {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.buffer.extend_from_slice(&buf[..taken]);
        if self.eager {
            let _ = self.drain(cx)?;
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A peer that is gone with a reset, as soon as its other end is dropped.
pub(crate) struct Reset<S>(pub(crate) S);

impl<S: AsyncRead + Unpin> AsyncRead for Reset<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.0).poll_read(cx, buf))?;
        Poll::Ready(match before == buf.filled().len() {
            true => Err(io::ErrorKind::ConnectionReset.into()),
            false => Ok(()),
        })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Reset<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// How somebody reads or writes: so many bytes at a time, and then a rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) bytes: usize,
    pub(crate) rest: Duration,
}

impl Pace {
    pub(crate) const FAST: Self = Self {
        bytes: usize::MAX,
        rest: Duration::ZERO,
    };

    pub(crate) fn new(bytes: usize, milliseconds: u64) -> Self {
        Self {
            bytes,
            rest: Duration::from_millis(milliseconds),
        }
    }

    async fn rest(self) {
        if !self.rest.is_zero() {
            sleep(self.rest).await;
        }
    }
}

/// Writes at this pace.
pub(crate) async fn send(mut stream: impl AsyncWrite + Unpin, bytes: &[u8], pace: Pace) {
    for piece in bytes.chunks(pace.bytes.min(1 << 20)) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        pace.rest().await;
    }
}

/// Reads so many bytes at this pace. Gives them, and the longest time that nothing came.
pub(crate) async fn receive(mut stream: impl AsyncRead + Unpin, count: usize, pace: Pace) -> (Vec<u8>, Duration) {
    let (mut bytes, mut longest) = (Vec::with_capacity(count), Duration::ZERO);
    let mut piece = vec![0; pace.bytes.min(64 << 10)];
    while bytes.len() < count {
        let started = Instant::now();
        let most = piece.len().min(count - bytes.len());
        let n = stream.read(&mut piece[..most]).await.unwrap();
        assert_ne!(n, 0, "ended after {} of {count} bytes", bytes.len());
        longest = longest.max(started.elapsed());
        bytes.extend_from_slice(&piece[..n]);
        pace.rest().await;
    }
    (bytes, longest)
}
