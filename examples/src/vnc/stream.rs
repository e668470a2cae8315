//! Connections that come to TLS in the middle of a handshake.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rfb_proto::DecodeError;
use rfb_proto::handshake::Wire;
use rfb_proto::tls::TlsWire;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_util::io::{poll_read_buf, poll_write_buf};

/// Room for one read; left to itself, a buffer that is full grows by a few bytes.
const READ: usize = 16 << 10;
/// What is taken for encryption in one go.
const WRITE: usize = 16 << 10;

/// A connection inside of which TLS is spoken. Reads and writes are plaintext.
pub struct TlsStream<S> {
    socket: S,
    tls: TlsWire,
    /// `rx`: what was decrypted and not yet read. `tx`: what is on its way into TLS.
    plain: Wire,
    /// The socket has nothing more.
    ended: bool,
}

/// Does the TLS handshake that was begun as `tls` took over the connection's buffers.
///
/// # Errors
/// The connection failed, or the handshake; then the peer was sent its alert.
pub async fn secured<S>(socket: S, tls: TlsWire) -> io::Result<TlsStream<S>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = TlsStream {
        socket,
        tls,
        plain: Wire::default(),
        ended: false,
    };
    loop {
        let processed = stream.process();
        stream.socket.write_all_buf(&mut stream.tls.socket.tx).await?;
        stream.socket.flush().await?;
        processed?;
        if !stream.tls.is_handshaking() {
            return Ok(stream);
        }
        if !receive(&mut stream.socket, &mut stream.tls.socket.rx).await? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream<S> {
    fn process(&mut self) -> io::Result<()> {
        let processed = self.tls.process(&mut self.plain);
        processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Sends what was encrypted.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.tls.socket.tx.is_empty() {
            let sent = ready!(poll_write_buf(Pin::new(&mut self.socket), cx, &mut self.tls.socket.tx))?;
            if sent == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.plain.rx.is_empty() && !this.tls.is_closed() && !this.ended {
            this.tls.socket.rx.reserve(READ);
            let read = ready!(poll_read_buf(Pin::new(&mut this.socket), cx, &mut this.tls.socket.rx))?;
            this.ended = read == 0;
            let processed = this.process();
            // TLS has things of its own to say. What does not fit now goes with the next write.
            let _ = this.poll_send(cx)?;
            processed?;
        }
        // A peer that hangs up without a farewell is at its end as well: VNC has none, and many send none.
        let plain = &mut this.plain.rx;
        let length = plain.len().min(buf.remaining());
        buf.put_slice(&plain.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // One piece at a time: who sends faster than the peer reads has to wait.
        ready!(this.poll_send(cx))?;
        let piece = &buf[..buf.len().min(WRITE)];
        this.plain.tx.extend_from_slice(piece);
        this.process()?;
        let _ = this.poll_send(cx)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.tls.close();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

/// Reads until `rx` begins with a whole message; `missing` is that of its type. `false`: the peer hung up
/// between two messages.
///
/// # Errors
/// The connection failed or ended inside the message, or the message cannot be made good.
pub async fn whole<S>(
    stream: &mut S,
    rx: &mut BytesMut,
    missing: impl Fn(&[u8]) -> Result<usize, DecodeError>,
) -> io::Result<bool>
where
    S: AsyncRead + Unpin,
{
    loop {
        if missing(rx).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))? == 0 {
            return Ok(true);
        }
        if !receive(stream, rx).await? {
            return if rx.is_empty() {
                Ok(false)
            } else {
                Err(ErrorKind::UnexpectedEof.into())
            };
        }
    }
}

/// Reads what there is into `rx`. `false`: the peer has hung up.
///
/// # Errors
/// The connection failed.
pub async fn receive<S: AsyncRead + Unpin>(stream: &mut S, rx: &mut BytesMut) -> io::Result<bool> {
    rx.reserve(READ);
    Ok(stream.read_buf(rx).await? != 0)
}
