//! One connection while it is driven: sending and receiving at the same time.
//!
//! A peer may write before it reads, and a stream may keep what was written until it is flushed (TLS, a buffered
//! writer). So nothing here waits for one direction only: a wait for bytes goes on sending, and a wait until all is
//! sent goes on receiving.

use core::future::{Future as _, poll_fn};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, ready};
use core::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Error, ErrorKind, Result};
use tokio::time::{Instant, timeout, timeout_at};

use crate::first_bytes::FirstBytes;
use crate::handshake::wipe;

/// Room for reading. A message with a password in it fits, so that no buffer that had to grow leaves a copy of it behind.
const READ: usize = 4096;
/// With less room than this more is made.
const LEAST_ROOM: usize = 64;
/// Time for the last words to a peer, where the deadline has passed.
const FAREWELL: Duration = Duration::from_secs(1);

/// So much of what is not RFB tells what it is, and is waited for so long.
const NAMED: usize = 4;
const NAMING: Duration = Duration::from_millis(100);

/// What is read from a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Bytes are waited for.
    Awaited,
    /// What comes is kept until it is needed.
    Kept,
    /// Nothing: what comes belongs to another layer.
    Nothing,
}

/// What has happened.
#[derive(Debug)]
pub(super) enum Turn {
    /// Bytes came.
    Bytes,
    /// The peer has hung up.
    End,
    /// All is sent.
    Sent,
    /// The deadline has passed.
    Late,
    /// The connection failed.
    Failed(Error),
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line<'a, S> {
    stream: &'a mut S,
    /// The stream may hold bytes until it is flushed. So it is at first: a caller may have dropped a driver that was
    /// about to flush.
    unflushed: bool,
    /// Nothing more comes.
    ended: bool,
    /// Nothing more goes out.
    broken: bool,
    /// Why, until it is reported.
    why: Option<Error>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Line<'a, S> {
    pub(super) fn new(stream: &'a mut S) -> Self {
        Self {
            stream,
            unflushed: true,
            ended: false,
            broken: false,
            why: None,
        }
    }

    /// Why nothing more goes out, if that is so and was not yet reported.
    pub(super) fn why_broken(&mut self) -> Option<Error> {
        self.why.take()
    }

    /// Whether nothing more comes from it.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads. Gives bytes that were awaited, and the end of the stream or its failure: once, or as often as bytes are
    /// awaited.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        rx: &mut BytesMut,
        limit: usize,
        mode: Reading,
    ) -> Poll<Turn> {
        match mode {
            Reading::Nothing => return Poll::Pending,
            Reading::Awaited if self.ended => return Poll::Ready(Turn::End),
            Reading::Awaited | Reading::Kept => {}
        }
        loop {
            match self.poll_receive(cx, rx, limit) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Turn::End),
                Poll::Ready(Ok(_)) if mode == Reading::Awaited => return Poll::Ready(Turn::Bytes),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Turn::Failed(error)),
                // A peer that takes nothing more may have said why: that was read first.
                Poll::Pending => {
                    return self
                        .why
                        .take()
                        .map_or(Poll::Pending, |error| Poll::Ready(Turn::Failed(error)));
                }
            }
        }
    }

    /// What the peer sent that is not RFB. Bytes that are on their way are waited for, but not for long.
    pub(super) async fn opening(&mut self, rx: &mut BytesMut) -> FirstBytes {
        let more = poll_fn(|cx| {
            while rx.len() < NAMED && !self.ended {
                match ready!(self.poll_receive(cx, rx, NAMED)) {
                    Ok(1..) => {}
                    _ => break,
                }
            }
            Poll::Ready(())
        });
        // What is there has to do.
        let _ = timeout(NAMING, more).await;
        FirstBytes::of(rx)
    }

    /// Sends what is in `tx`, until the deadline at the latest. What the peer says meanwhile is dropped, so that a peer
    /// that writes before it reads gets them as well.
    pub(super) async fn farewell(&mut self, tx: &mut BytesMut, until: Instant) {
        let sent = poll_fn(|cx| self.poll_farewell(cx, tx));
        // A peer that does not read in time misses it.
        let _ = timeout_at(farewell_until(until), sent).await;
    }

    /// The same, for one of several connections.
    pub(super) fn poll_farewell(&mut self, cx: &mut Context<'_>, tx: &mut BytesMut) -> Poll<()> {
        if self.poll_send(cx, tx).is_ready() {
            return Poll::Ready(());
        }
        let mut dropped = BytesMut::new();
        while let Poll::Ready(Ok(1..)) = self.poll_receive(cx, &mut dropped, READ) {
            dropped.clear();
        }
        Poll::Pending
    }

    /// Sends what is in `tx`, and flushes. If that fails, the bytes are dropped and the error is kept.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, tx: &mut BytesMut) -> Poll<()> {
        if !self.broken {
            match ready!(self.poll_write(cx, tx)) {
                Ok(()) => return Poll::Ready(()),
                Err(error) => (self.broken, self.why) = (true, Some(error)),
            }
        }
        drop_unsent(tx);
        Poll::Ready(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, tx: &mut BytesMut) -> Poll<Result<()>> {
        while !tx.is_empty() {
            match Pin::new(&mut *self.stream).poll_write(cx, tx)? {
                Poll::Ready(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Poll::Ready(count) => {
                    self.unflushed = true;
                    sent(tx, count);
                }
                // Its own buffer may be full, and a flush is what empties it.
                Poll::Pending if self.unflushed => ready!(self.poll_flush(cx))?,
                Poll::Pending => return Poll::Pending,
            }
        }
        match self.unflushed {
            true => self.poll_flush(cx),
            false => Poll::Ready(Ok(())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Reads what there is. 0: nothing more comes, which is said once.
    fn poll_receive(&mut self, cx: &mut Context<'_>, rx: &mut BytesMut, limit: usize) -> Poll<Result<usize>> {
        let room = limit.saturating_sub(rx.len());
        if self.ended || room == 0 {
            return Poll::Pending;
        }
        if rx.capacity().saturating_sub(rx.len()) < room.min(LEAST_ROOM) {
            rx.reserve(room.min(READ));
        }
        let mut room = rx.limit(room);
        let read = pin!(self.stream.read_buf(&mut room));
        let read = match ready!(read.poll(cx)) {
            // TLS without a farewell. In the handshake an end is an error in any case, so nothing can be cut off
            // unseen.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        };
        self.ended = !matches!(read, Ok(1..));
        Poll::Ready(read)
    }
}

/// Drops what a peer has not taken until the deadline: the next step ends the handshake.
pub(super) fn drop_unsent(tx: &mut BytesMut) {
    let unsent = tx.len();
    sent(tx, unsent);
}

/// Takes bytes that have gone out off the buffer. They may have been a secret, so they are overwritten.
fn sent(tx: &mut BytesMut, count: usize) {
    let count = count.min(tx.len());
    wipe(tx.get_mut(..count).unwrap_or_default());
    tx.advance(count);
}

/// The deadline for last words.
pub(super) fn farewell_until(until: Instant) -> Instant {
    let now = Instant::now();
    until.max(now.checked_add(FAREWELL).unwrap_or(now))
}
