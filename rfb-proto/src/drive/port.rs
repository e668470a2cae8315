//! One of a session's streams, and what is under way on it.
//!
//! The driver steps the machine; then it polls, for each side, what is to be written, what is to be flushed, and what is to
//! be read if the machine wants it. When any of these has moved, the machine is stepped again. It waits only when none
//! has, and then each of them has left its waker.

extern crate std;

use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::io::poll_read_buf;

use crate::handshake::{Buffers, wipe};

/// With less room than this more is made. A buffer that had to grow leaves a copy of what was in it behind, so a message
/// with a password in it has to fit.
const LEAST_ROOM: usize = 4096;
/// The room that is made, until messages are forwarded: a stranger that says a byte at a time keeps it.
const HANDSHAKE_ROOM: usize = 2 * LEAST_ROOM;
/// Room for one read of messages.
const READ: usize = 32 << 10;

/// Bytes that are still read of a peer after this side has shut its own direction: more than lies in the buffers of two
/// sockets.
const UNREAD: usize = 8 << 20;

/// What a side has come to.
pub(super) enum Moved {
    /// Bytes were read, written or flushed.
    Bytes,
    /// The peer has ended its stream, or the connection has failed: a reset is the end as well, and so is the end of TLS
    /// without a farewell.
    End,
}

/// A stream.
pub(super) struct Port<S> {
    pub(super) stream: S,
    /// Messages are forwarded. Before, what is sent may be a secret, and is overwritten.
    begun: bool,
    /// A flush has to follow what was written, or is under way.
    unflushed: bool,
    /// Nothing can be written any more.
    broken: bool,
}

#[cfg(feature = "rsa-aes")]
impl<S: AsyncRead + AsyncWrite + Unpin> Port<super::wire::Wire<S>> {
    /// As [`Wire::start_layer`](super::wire::Wire::start_layer), and flushes what goes out in front of it.
    pub(super) fn start_layer(
        &mut self,
        keys: crate::security::rsa_aes::LayerKeys,
        buffers: &mut Buffers,
    ) -> io::Result<()> {
        self.stream.start_layer(keys, buffers)?;
        self.unflushed = true;
        Ok(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Port<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            begun: false,
            // The previous user of the stream may have left something in its buffers.
            unflushed: true,
            broken: false,
        }
    }

    /// The handshake is over: what follows are messages.
    pub(super) const fn begins(&mut self) {
        self.begun = true;
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
    fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut BytesMut) -> bool {
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
            let Poll::Ready(written) = Pin::new(&mut self.stream).poll_write(cx, tx) else {
                return tx.len() < before;
            };
            match written {
                Ok(0) | Err(_) => self.broken = true,
                Ok(count) => {
                    self.take(tx, count);
                    self.unflushed = true;
                }
            }
        }
        let rest = tx.len();
        self.take(tx, rest);
        // So that its memory serves the next read.
        *tx = BytesMut::new();
        true
    }

    /// Takes what has gone out off the buffer.
    fn take(&self, tx: &mut BytesMut, count: usize) {
        let count = count.min(tx.len());
        if !self.begun {
            wipe(tx.get_mut(..count).unwrap_or_default());
        }
        tx.advance(count);
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
                // Nothing more is written. What the peer said last is still to be read.
                Poll::Ready(Err(_)) => self.broken = true,
            }
        }
        self.unflushed = false;
        true
    }

    /// Reads once. When nothing is there, an empty buffer gives its memory back.
    fn poll_receive(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut) -> Poll<Moved> {
        let (least, room) = match self.begun {
            true => (READ, READ),
            false => (LEAST_ROOM, HANDSHAKE_ROOM),
        };
        if rx.capacity().saturating_sub(rx.len()) < least {
            rx.reserve(room);
        }
        let read: Poll<io::Result<usize>> = poll_read_buf(Pin::new(&mut self.stream), cx, rx);
        if read.is_pending() && rx.is_empty() {
            *rx = BytesMut::new();
        }
        Poll::Ready(match ready!(read) {
            Ok(1..) => Moved::Bytes,
            Ok(0) | Err(_) => Moved::End,
        })
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
                buffers.wipe_rx();
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
