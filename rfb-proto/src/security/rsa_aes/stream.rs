//! The layer over a stream of tokio's.

use core::fmt;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, Error, ErrorKind, ReadBuf};
use zeroize::Zeroize as _;

use super::layer::Layer;
use super::public::LayerKeys;
use crate::handshake::Buffers;

/// Bytes that are read at a time.
const READ: usize = 16 << 10;

/// Bytes that wait to be sent at most: more is not taken.
const HIGH_WATER: usize = 64 << 10;

/// Bytes that are sealed at a time.
const WRITE: usize = 8 << 10;

/// A stream inside of the messages of RSA-AES, see [`Layer`]. The driver goes on with it behind the question
/// `RsaAesLayer`, as with a TLS stream behind `StartTls`.
///
/// What is written waits here until it is flushed, or until there is much of it. The end of the connection between two
/// messages is the end of the stream; the layer has no farewell, so a session that is cut there looks as one that ended.
pub struct LayerStream<S> {
    stream: S,
    layer: Layer,
    received: BytesMut,
    plain: BytesMut,
    writing: BytesMut,
    sealed: BytesMut,
}

impl<S> LayerStream<S> {
    /// With what the machine left in its buffers, which are emptied: the layer begins in `rx`, and `tx` goes out as it is
    /// in front of it.
    #[must_use]
    pub fn new(stream: S, keys: LayerKeys, buffers: &mut Buffers) -> Self {
        Self {
            stream,
            layer: Layer::new(keys),
            received: buffers.rx.split(),
            plain: BytesMut::new(),
            writing: BytesMut::new(),
            sealed: buffers.tx.split(),
        }
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.plain.len().min(buf.remaining());
        let mut given = self.plain.split_to(count);
        buf.put_slice(&given);
        given.as_mut().zeroize();
    }
}

impl<S: AsyncWrite + Unpin> LayerStream<S> {
    /// Writes what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.sealed.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.sealed))?;
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.sealed.advance(written.min(self.sealed.len()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LayerStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<(), Error>> {
        let this = &mut *self;
        loop {
            if this.plain.is_empty() {
                this.layer
                    .open(&mut this.received, &mut this.plain)
                    .map_err(|error| Error::new(ErrorKind::InvalidData, error))?;
            }
            if !this.plain.is_empty() || buf.remaining() == 0 {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; READ];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            match (read.filled(), this.received.is_empty()) {
                ([], true) => return Poll::Ready(Ok(())),
                ([], false) => return Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
                (bytes, _) => this.received.extend_from_slice(bytes),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LayerStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize, Error>> {
        let this = &mut *self;
        if HIGH_WATER <= this.sealed.len() {
            ready!(this.poll_send(cx))?;
        }
        let part = buf.get(..WRITE).unwrap_or(buf);
        this.writing.extend_from_slice(part);
        this.layer.seal(&mut this.writing, &mut this.sealed);
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> fmt::Debug for LayerStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerStream(..)")
    }
}
