//! The bytes that pass on a viewer's connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What has passed on all connections of a session.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    to_guest: AtomicU64,
    from_guest: AtomicU64,
}

impl Traffic {
    /// Bytes to the guest, and from it.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (
            self.to_guest.load(Ordering::Relaxed),
            self.from_guest.load(Ordering::Relaxed),
        )
    }
}

/// A viewer's connection whose bytes are counted.
#[derive(Debug)]
pub(crate) struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
    /// `poll_shutdown` does not close the stream.
    stays_open: bool,
}

impl<S> Counted<S> {
    pub(crate) const fn new(stream: S, traffic: Arc<Traffic>) -> Self {
        Self {
            stream,
            traffic,
            stays_open: false,
        }
    }

    /// For a driver that closes what it writes to, where there is more to be said behind it.
    pub(crate) const fn staying_open(mut self) -> Self {
        self.stays_open = true;
        self
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let came = buffer.filled().len() - before;
        self.traffic.to_guest.fetch_add(came as u64, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S> Counted<S> {
    fn sent(&self, sent: io::Result<usize>) -> Poll<io::Result<usize>> {
        let sent = sent?;
        self.traffic.from_guest.fetch_add(sent as u64, Ordering::Relaxed);
        Poll::Ready(Ok(sent))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.sent(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        self.sent(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stays_open {
            return self.poll_flush(cx);
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
