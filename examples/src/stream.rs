//! Connections of any kind.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection. The indirect call is nothing next to the system call behind it.
pub type Stream = Box<dyn Io>;

/// What a [`Stream`] can do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of which the first bytes were read already.
#[derive(Debug)]
pub struct ReadAhead<S> {
    ahead: VecDeque<Bytes>,
    stream: S,
}

/// Puts bytes that were read back in front of a connection. Each read gives one of the pieces, or of the connection.
pub fn read_ahead<S, const PIECES: usize>(pieces: [Bytes; PIECES], stream: S) -> ReadAhead<S> {
    let ahead = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    ReadAhead { ahead, stream }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some(piece) = self.ahead.front_mut() else {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        };
        buf.put_slice(&piece.split_to(piece.len().min(buf.remaining())));
        if piece.is_empty() {
            self.ahead.pop_front();
        }
        if self.ahead.is_empty() {
            self.ahead = VecDeque::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The name of the protocol whose first bytes these are, for a message about the wrong protocol. `None`: it is not known.
#[must_use]
pub fn protocol(first: &[u8]) -> Option<&'static str> {
    Some(match first {
        // The record of a handshake, or of an alert, of any version.
        [0x16 | 0x15, 3, ..] => "TLS",
        [b'R', b'E', b'D', b'Q', ..] => "SPICE",
        [b'R', b'F', b'B', b' ', b'0', b'0', b'0', b'.', b'0', b'0', b'0', ..] => "RFB, as an UltraVNC repeater",
        [b'R', b'F', b'B', b' ', ..] => "RFB (VNC)",
        [b'S', b'S', b'H', b'-', ..] => "SSH",
        [b'H', b'T', b'T', b'P', ..] => "HTTP",
        _ if is_request(first) => "HTTP",
        _ => return None,
    })
}

/// Whether these are the first bytes of a request of HTTP.
fn is_request(first: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"OPTIONS ",
        b"CONNECT ",
        b"DELETE ",
    ];
    METHODS.iter().any(|method| first.starts_with(method))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn what_was_read_comes_first() {
        let (near, mut far) = duplex(100);
        far.write_all(b"rest").await.unwrap();
        let pieces = [&b"beg"[..], b"", b"un, "].map(Bytes::from_static);
        let mut stream = read_ahead(pieces, near);
        stream.write_all(b"answer").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.unwrap();
        far.shutdown().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        assert_eq!((all.as_str(), answer.as_str()), ("begun, rest", "answer"));
    }

    #[test]
    fn protocols_are_known_by_their_first_bytes() {
        for (first, name) in [
            (&b"\x16\x03\x01\x02\0\x01"[..], Some("TLS")),
            (b"\x15\x03\x03\0\x02\x02\x28", Some("TLS")),
            (b"REDQ\x02\0\0\0", Some("SPICE")),
            (b"RFB 003.008\n", Some("RFB (VNC)")),
            (b"RFB 000.000\n", Some("RFB, as an UltraVNC repeater")),
            (b"SSH-2.0-OpenSSH", Some("SSH")),
            (b"HTTP/1.1 400 Bad Request", Some("HTTP")),
            (b"GET / HTTP/1.1", Some("HTTP")),
            (b"OPTIONS * HTTP/1.1", Some("HTTP")),
            (b"hello", None),
            (b"\x16", None),
            (b"", None),
        ] {
            assert_eq!(protocol(first), name, "{}", first.escape_ascii());
        }
    }
}
