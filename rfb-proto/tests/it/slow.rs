//! Streams in memory as networks are: small, slow, and with a buffer of their own that only a flush empties.

use core::future::Future as _;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::io::Result;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::time::{Sleep, sleep};

/// Capacities that the tests of all drivers are run with: one byte, one kilobyte, a socket's.
pub(crate) const CAPACITIES: [usize; 3] = [1, 1 << 10, 64 << 10];

/// What one end of a connection is like.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape {
    /// Whether what is written is kept until it is flushed, as by a buffered writer or by TLS.
    pub(crate) buffered: bool,
    /// The time that each read takes.
    pub(crate) read: Duration,
    /// The time that each write takes.
    pub(crate) write: Duration,
}

impl Shape {
    pub(crate) const SLOW: Duration = Duration::from_millis(3);

    pub(crate) fn new(buffered: bool, is_slow: bool) -> Self {
        let pause = if is_slow { Self::SLOW } else { Duration::ZERO };
        Self {
            buffered,
            read: pause,
            write: pause,
        }
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Slow {
    inner: DuplexStream,
    shape: Shape,
    kept: BytesMut,
    reading: Option<Pin<Box<Sleep>>>,
    writing: Option<Pin<Box<Sleep>>>,
}

/// Both ends of a connection on which so many bytes are under way each way.
pub(crate) fn connection(capacity: usize, near: Shape, far: Shape) -> (Slow, Slow) {
    let (left, right) = duplex(capacity);
    let slow = |inner, shape| Slow {
        inner,
        shape,
        kept: BytesMut::new(),
        reading: None,
        writing: None,
    };
    (slow(left, near), slow(right, far))
}

/// Waits for the time that one operation takes.
fn pause(cx: &mut Context<'_>, pending: &mut Option<Pin<Box<Sleep>>>, time: Duration) -> Poll<()> {
    if time.is_zero() {
        return Poll::Ready(());
    }
    let timer = pending.get_or_insert_with(|| Box::pin(sleep(time)));
    timer.as_mut().poll(cx)
}

impl Slow {
    fn poll_through(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        ready!(pause(cx, &mut self.writing, self.shape.write));
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes));
        self.writing = None;
        Poll::Ready(written)
    }

    fn poll_kept(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while !self.kept.is_empty() {
            let kept = self.kept.split();
            let written = self.poll_through(cx, &kept);
            self.kept = kept;
            let written = ready!(written)?;
            self.kept.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Slow {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(pause(cx, &mut this.reading, this.shape.read));
        let read = ready!(Pin::new(&mut this.inner).poll_read(cx, buf));
        this.reading = None;
        Poll::Ready(read)
    }
}

impl AsyncWrite for Slow {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        if this.shape.buffered {
            this.kept.extend_from_slice(buf);
            return Poll::Ready(Ok(buf.len()));
        }
        this.poll_through(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_kept(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_kept(cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

/// A peer that says everything it has to say before it reads anything; gives what it read, which is as many bytes as
/// expected.
pub(crate) async fn says_all_first(stream: &mut Slow, says: &[u8], expected: usize) -> Vec<u8> {
    stream.write_all(says).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = vec![0; expected];
    stream.read_exact(&mut heard).await.unwrap();
    heard
}

/// Both ends of a connection send so many bytes at once, and read the other's. `early` was read already.
pub(crate) async fn talk(stream: &mut Slow, early: &[u8], says: &[u8], expected: usize) -> Vec<u8> {
    let mut heard = early.to_vec();
    let (mut read, mut write) = tokio::io::split(stream);
    let send = async {
        write.write_all(says).await.unwrap();
        write.flush().await.unwrap();
    };
    let receive = async {
        let mut rest = vec![0; expected - early.len()];
        read.read_exact(&mut rest).await.unwrap();
        heard.extend_from_slice(&rest);
    };
    tokio::join!(send, receive);
    heard
}

/// Bytes that tell where they belong.
pub(crate) fn counted(len: usize, seed: u32) -> Vec<u8> {
    let number = |at: usize| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(seed);
    (0..len).map(|at| (number(at) >> 24) as u8).collect()
}
