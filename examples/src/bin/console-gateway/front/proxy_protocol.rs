//! The PROXY protocol, versions 1 and 2: a load balancer says whose connection it is.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// Bytes of a header: the addresses, and what a load balancer may add to them.
const LONGEST: usize = 4096;

/// What a header of version 1 begins with, and its longest line.
const LINE: &[u8] = b"PROXY ";
const LONGEST_LINE: usize = 107;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the connection does not begin with a header")]
    NoHeader,
    #[error("the header is longer than {LONGEST} bytes")]
    TooLong,
}

/// Reads the header. Gives what has come behind it, and who has connected to the load balancer: nobody, for its own
/// health checks.
pub(crate) async fn read(mut tcp: TcpStream) -> Result<(Bytes, TcpStream, Option<SocketAddr>), ProxyError> {
    let mut received = BytesMut::with_capacity(256);
    loop {
        if tcp.read_buf(&mut received).await? == 0 {
            return Err(ProxyError::NoHeader);
        }
        if let Some((length, source)) = parse(&received)? {
            let rest = received.split_off(length.min(received.len()));
            return Ok((rest.freeze(), tcp, source));
        }
        if LONGEST <= received.len() {
            return Err(ProxyError::TooLong);
        }
    }
}

/// The length of the header, and the address in it; nothing while it has not all come.
fn parse(received: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, ProxyError> {
    // The line of version 1 is looked at when it has come as a whole: some of its pieces look wrong for themselves.
    let begun = received.len().min(LINE.len());
    if received[..begun] == LINE[..begun] && !received.contains(&b'\n') && received.len() < LONGEST_LINE {
        return Ok(None);
    }
    let header = HeaderResult::parse(received);
    if header.is_incomplete() && !received.starts_with(LINE) {
        return Ok(None);
    }
    match header {
        HeaderResult::V1(Ok(header)) => Ok(Some((header.header.len(), source_v1(header.addresses)))),
        HeaderResult::V2(Ok(header)) => {
            // `LOCAL`: the load balancer itself.
            let source = match header.command {
                v2::Command::Local => None,
                v2::Command::Proxy => source_v2(header.addresses),
            };
            Ok(Some((header.len(), source)))
        }
        _ => Err(ProxyError::NoHeader),
    }
}

fn source_v1(addresses: v1::Addresses) -> Option<SocketAddr> {
    Some(match addresses {
        v1::Addresses::Tcp4(ip) => (ip.source_address, ip.source_port).into(),
        v1::Addresses::Tcp6(ip) => (ip.source_address, ip.source_port).into(),
        v1::Addresses::Unknown => return None,
    })
}

fn source_v2(addresses: v2::Addresses) -> Option<SocketAddr> {
    Some(match addresses {
        v2::Addresses::IPv4(ip) => (ip.source_address, ip.source_port).into(),
        v2::Addresses::IPv6(ip) => (ip.source_address, ip.source_port).into(),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each prefix asks for more, and each whole header gives its address and its length.
    #[test]
    fn headers_of_both_versions() {
        let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        binary.extend([192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x34, 0x16, 0xe2]);
        let mut local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00".to_vec();
        local.extend(b"");
        for (header, source) in [
            (
                b"PROXY TCP4 192.0.2.7 10.0.0.1 4660 5858\r\n".to_vec(),
                Some("192.0.2.7:4660"),
            ),
            (
                b"PROXY TCP6 2001:db8::7 ::1 4660 5858\r\n".to_vec(),
                Some("[2001:db8::7]:4660"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (binary, Some("192.0.2.7:4660")),
            (local, None),
        ] {
            let source = source.map(|source| source.parse().unwrap());
            for length in 0..header.len() {
                let parsed = parse(&header[..length]);
                assert!(matches!(parsed, Ok(None)), "{length}: {}", header.escape_ascii());
            }
            let mut with_more = header.clone();
            with_more.extend(b"REDQ");
            let parsed = parse(&with_more).unwrap();
            assert_eq!(parsed, Some((header.len(), source)), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for other in [
            &b"REDQ\x02\0\0\0"[..],
            b"GET / HTTP/1.1\r\n",
            b"PROXY TCP4 a b c d\r\n",
            b"\x16\x03\x01\0\0",
        ] {
            assert!(parse(other).is_err(), "{}", other.escape_ascii());
        }
    }
}
