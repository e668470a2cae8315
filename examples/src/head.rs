//! The head of an HTTP request, read before anything else is made for it.
//!
//! Parsers of streams have room for a whole request from its first byte on. A client that sends half a request takes no more
//! memory here than what it has sent. And a head in one piece is read alike, however it was cut on its way.

use std::io;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Room for one read: browsers send about so much.
const READ: usize = 1 << 10;
/// Headers in a request, for a parser that looks for its end.
const HEADERS: usize = 124;

/// What was read of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The head, or as much as there is of one; or something that is none, which its parser refuses.
    pub head: Bytes,
    /// What came with the last bytes of the head, and lies behind it.
    pub rest: Bytes,
    /// The head is longer than it may be: so much of it was read.
    pub is_too_long: bool,
}

/// Reads up to the end of a head, of `most` bytes, or of the stream. `look` sees what there is after each read, and ends it by
/// an error.
///
/// # Errors
/// Those of the stream, and of `look`.
pub async fn read<S, E>(stream: &mut S, most: usize, look: impl Fn(&[u8]) -> Result<(), E>) -> Result<Head, E>
where
    S: AsyncRead + Unpin,
    E: From<io::Error>,
{
    let mut read = BytesMut::new();
    loop {
        let before = read.len();
        read.reserve(READ);
        let mut room = (&mut read).limit(READ.min(most - before));
        let is_end = stream.read_buf(&mut room).await? == 0;
        look(&read)?;
        let is_line = read.get(before..).unwrap_or_default().contains(&b'\n');
        let end = if is_line { end(&read) } else { None };
        let is_too_long = end.is_none() && most <= read.len();
        if end.is_some() || is_end || is_too_long {
            let mut rest = read.freeze();
            let head = rest.split_to(end.unwrap_or(rest.remaining()));
            return Ok(Head {
                head,
                rest,
                is_too_long,
            });
        }
    }
}

/// Where the head ends: behind its empty line; or behind all that there is, if it is none.
fn end(bytes: &[u8]) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    match httparse::Request::new(&mut headers).parse(bytes) {
        Ok(httparse::Status::Complete(length)) => Some(length),
        Ok(httparse::Status::Partial) => None,
        Err(_) => Some(bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt as _, duplex};

    fn all(_: &[u8]) -> io::Result<()> {
        Ok(())
    }

    /// The head of a request that comes in pieces of every size, and no wait for more.
    #[tokio::test]
    async fn up_to_an_empty_line() {
        for whole in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"GET / HTTP/1.1\nHost: a\n\n",
            b"GET / HTTP/1.1\r\nHost: a\n\r\n",
            b"\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"CONNECT a:1 HTTP/1.0\n\n",
        ] {
            for piece in 1..=whole.len() {
                let (mut near, mut far) = duplex(piece);
                let writes = async {
                    far.write_all(whole).await.unwrap();
                    far
                };
                let (head, _open) = tokio::join!(read(&mut near, 1 << 14, all), writes);
                let head = head.unwrap();
                assert_eq!((&*head.head, &*head.rest), (whole, &b""[..]), "pieces of {piece}");
            }
        }
    }

    #[tokio::test]
    async fn what_lies_behind_is_kept_apart() {
        let mut both = &b"GET / HTTP/1.1\r\n\r\n\x82\x80"[..];
        let head = read(&mut both, 100, all).await.unwrap();
        assert_eq!(
            (&*head.head, &*head.rest),
            (&b"GET / HTTP/1.1\r\n\r\n"[..], &b"\x82\x80"[..])
        );
        let mut other = &b"GET / HTTP/1.1\r\nno header\r\nmore"[..];
        let head = read(&mut other, 100, all).await.unwrap();
        assert_eq!((head.head.len(), head.is_too_long), (31, false));
    }

    #[tokio::test]
    async fn no_more_than_was_asked_for() {
        let (mut near, mut far) = duplex(100);
        let writes = async move {
            let _ = far.write_all(b"GET / HTTP/1.1\r\n").await;
            while far.write_all(b"Name: value\r\n").await.is_ok() {}
        };
        let head = async move { read(&mut near, 1000, all).await };
        let (head, ()) = tokio::join!(head, writes);
        let head = head.unwrap();
        assert_eq!((head.head.len(), head.is_too_long), (1000, true));
        for (said, length) in [(&b"GET / HT"[..], 8), (b"", 0)] {
            let mut ended = said;
            let head = read(&mut ended, 1000, all).await.unwrap();
            assert_eq!((head.head.len(), head.rest.len(), head.is_too_long), (length, 0, false));
        }
    }

    #[tokio::test]
    async fn whoever_looks_can_end_it() {
        let mut stream = &b"RFB 003.008\n"[..];
        let look = |seen: &[u8]| match seen.starts_with(b"RFB") {
            true => Err(io::Error::other("RFB")),
            false => Ok(()),
        };
        assert_eq!(read(&mut stream, 100, look).await.unwrap_err().to_string(), "RFB");
    }
}
