//! Connections of any kind.

use std::io::Cursor;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, Chain, Join, ReadHalf, WriteHalf, join, split};

/// A connection. The indirect call is nothing next to the system call behind it.
pub type Stream = Box<dyn Io>;

/// What a [`Stream`] can do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection of which the first bytes were read already.
pub type ReadAhead<S> = Join<Chain<Cursor<Bytes>, ReadHalf<S>>, WriteHalf<S>>;

/// Puts bytes that were read back in front of a connection.
pub fn read_ahead<S: AsyncRead + AsyncWrite>(bytes: Bytes, stream: S) -> ReadAhead<S> {
    let (read, write) = split(stream);
    join(Cursor::new(bytes).chain(read), write)
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
    use tokio::io::{AsyncWriteExt as _, duplex};

    #[tokio::test]
    async fn what_was_read_comes_first() {
        let (near, mut far) = duplex(100);
        far.write_all(b"rest").await.unwrap();
        let mut stream = read_ahead(Bytes::from_static(b"begun, "), near);
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
