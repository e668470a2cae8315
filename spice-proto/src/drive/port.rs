//! One of a driver's streams, and what is under way on it.
//!
//! Every driver has one loop: step the machine; then poll, for each side, what is to be written, what is to be flushed,
//! and what is to be read if the machine wants it. When any of these has moved, the machine is stepped again. The
//! driver waits only when none has, and then each of them has left its waker.

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, ErrorKind};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout_at};
use tokio_util::io::poll_read_buf;

use crate::frame::RecordSplitter;
use crate::link::Buffers;

/// Bytes that are still read of a peer after this side has shut its own direction: more than lies in the buffers of two
/// sockets.
const UNREAD: usize = 8 << 20;

/// What a side has come to.
pub(super) enum Moved {
    /// Bytes were read, written or flushed.
    Bytes,
    /// The peer has ended its stream. Over TLS QEMU does so without a farewell, after a wrong password for one; what is
    /// read here is a handshake or frames, so that nothing can be cut off unseen.
    End,
    /// The connection has failed.
    Failed(io::Error),
}

/// A stream.
pub(super) struct Port<S> {
    stream: S,
    /// Room for one read.
    pub(super) room: usize,
    /// A flush has to follow what was written, or is under way.
    unflushed: bool,
    /// Nothing can be written any more.
    broken: bool,
    /// Why, until it was asked for.
    error: Option<io::Error>,
    /// Where what is written on its own ends, if that matters.
    pub(super) cutter: Option<RecordSplitter>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Port<S> {
    /// `room`: for one read.
    pub(super) const fn new(stream: S, room: usize) -> Self {
        Self {
            stream,
            room,
            // The previous user of the stream may have left something in its buffers.
            unflushed: true,
            broken: false,
            error: None,
            cutter: None,
        }
    }

    /// Why nothing can be written any more, once.
    pub(super) fn error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Everything was written and flushed, or cannot be.
    pub(super) fn is_sent(&self, buffers: &Buffers) -> bool {
        buffers.tx.is_empty() && !self.unflushed
    }

    /// Writes, flushes, and reads if `read`. Ready when any of it has moved; otherwise the task is woken when it can.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers, read: bool) -> Poll<Moved> {
        let sent = self.poll_send(cx, &mut buffers.tx);
        if read && let Poll::Ready(received) = self.poll_receive(cx, &mut buffers.rx) {
            return Poll::Ready(received);
        }
        if sent { Poll::Ready(Moved::Bytes) } else { Poll::Pending }
    }

    /// Writes and flushes what goes now. `true`: bytes have left `tx`, or a flush is done.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut BytesMut) -> bool {
        let mut moved = self.poll_write(cx, tx);
        while self.poll_flush(cx) {
            moved = true;
            // Some streams take more only when they have been flushed.
            if !self.poll_write(cx, tx) {
                break;
            }
        }
        moved
    }

    /// Writes until all is written or the stream takes no more for now. `true`: bytes have left `tx`.
    fn poll_write(&mut self, cx: &mut Context<'_>, tx: &mut BytesMut) -> bool {
        let before = tx.len();
        if before == 0 {
            return false;
        }
        while !tx.is_empty() && !self.broken {
            let mut cutter = self.cutter.clone();
            let end = cutter.as_mut().map_or(tx.len(), |cutter| cutter.take(tx));
            let next = tx.get(..end).unwrap_or_default();
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, next) else {
                return tx.len() < before;
            };
            match written.and_then(|n| {
                if n == 0 {
                    Err(ErrorKind::WriteZero.into())
                } else {
                    Ok(n)
                }
            }) {
                Ok(n) => {
                    if let Some(cutter) = &mut self.cutter {
                        let _ = cutter.take(next.get(..n).unwrap_or_default());
                    }
                    tx.advance(n.min(end));
                    self.unflushed = true;
                }
                Err(error) => self.fail(error),
            }
        }
        // So that its memory serves the next read.
        *tx = BytesMut::new();
        true
    }

    /// `true`: a flush is done.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.unflushed {
            return false;
        }
        if !self.broken {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => self.fail(error),
            }
        }
        self.unflushed = false;
        true
    }

    /// Nothing more is written. What the peer said last is still to be read.
    fn fail(&mut self, error: io::Error) {
        self.broken = true;
        self.error = Some(error);
    }

    /// Reads once. When nothing is there, an empty buffer gives its memory back.
    fn poll_receive(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut) -> Poll<Moved> {
        rx.reserve(self.room);
        let read = poll_read_buf(Pin::new(&mut self.stream), cx, rx);
        if read.is_pending() && rx.is_empty() {
            *rx = BytesMut::new();
        }
        Poll::Ready(match ready!(read) {
            Ok(0) => Moved::End,
            Ok(_) => Moved::Bytes,
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Moved::End,
            Err(error) => Moved::Failed(error),
        })
    }

    /// Sends all that is left, until then at the latest. Meanwhile up to `max_input` bytes are read ahead, so that two
    /// peers that both write before they read do not wait for each other.
    ///
    /// # Errors
    /// The stream takes no more.
    pub(super) async fn finish(&mut self, buffers: &mut Buffers, max_input: usize, until: Instant) -> io::Result<()> {
        let mut ended = false;
        let sent = poll_fn(|cx| {
            loop {
                self.poll_send(cx, &mut buffers.tx);
                if self.is_sent(buffers) {
                    return Poll::Ready(());
                }
                if ended || max_input <= buffers.rx.len() {
                    return Poll::Pending;
                }
                ended = !matches!(ready!(self.poll_receive(cx, &mut buffers.rx)), Moved::Bytes);
            }
        });
        // What is not sent in time stays in `tx`.
        let _ = timeout_at(until, sent).await;
        self.error().map_or(Ok(()), Err)
    }

    /// Sends all that is left and says that nothing follows. Then reads up to the peer's end: a connection that is
    /// closed with something unread is reset, and the peer loses what it was sent last. A peer that goes on sending, more
    /// than can have been on its way, reads no last words.
    pub(super) async fn close(&mut self, buffers: &mut Buffers) {
        let (mut shut, mut read) = (false, 0_usize);
        poll_fn(|cx| {
            self.poll_send(cx, &mut buffers.tx);
            if !self.is_sent(buffers) {
                return Poll::Pending;
            }
            if !shut {
                let _ = ready!(Pin::new(&mut self.stream).poll_shutdown(cx));
                shut = true;
            }
            while read < UNREAD {
                buffers.rx.clear();
                if !matches!(ready!(self.poll_receive(cx, &mut buffers.rx)), Moved::Bytes) {
                    break;
                }
                read = read.saturating_add(buffers.rx.len());
            }
            Poll::Ready(())
        })
        .await;
    }
}
