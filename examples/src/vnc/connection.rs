//! A connection that is read and written at once.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rfb_proto::handshake::Buffers;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// Room for one read; left to itself, a buffer that is full grows by a few bytes.
pub(super) const READ: usize = 16 << 10;

/// A stream and its two buffers.
///
/// A program that writes to its end before it reads again waits for ever where its peer does the same: both send
/// buffers are full, and each side waits for the other to read. So what is in `wire.tx` is sent while the next bytes
/// are waited for.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    /// `rx`: what has come and was not taken yet. `tx`: what is to be sent.
    pub wire: Buffers,
    /// What was written is not flushed yet.
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// `wire` may hold bytes of both directions already.
    pub fn new(stream: S, wire: Buffers) -> Self {
        Self {
            stream,
            wire,
            unflushed: false,
        }
    }

    /// Reads what comes next into `wire.rx`, and sends what is in `wire.tx` meanwhile. `false`: the peer has hung up.
    ///
    /// A call that is given up has lost nothing.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn receive(&mut self) -> io::Result<bool> {
        poll_fn(|cx| {
            // Which of the two goes on does not matter to the other.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            self.wire.rx.reserve(READ);
            let read = ready!(poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.wire.rx))?;
            Poll::Ready(Ok(read != 0))
        })
        .await
    }

    /// Sends what is in `wire.tx`, to its end.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_send(cx)).await
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.wire.tx.is_empty() {
            let sent = ready!(poll_write_buf(Pin::new(&mut self.stream), cx, &mut self.wire.tx))?;
            if sent == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
