//! The PROXY protocol, versions 1 and 2: a load balancer says whose connection it is.

use std::io;
use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};
use ppp::{HeaderResult, PartialResult as _, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Bytes of a header: the addresses, and what a load balancer may add to them.
const LONGEST: usize = 4096;

/// What a header of version 1 begins with, and its longest line.
const LINE: &[u8] = b"PROXY ";
const LONGEST_LINE: usize = 107;

/// In the value of `PP2_TYPE_SSL`: the client came by TLS.
const CLIENT_SSL: u8 = 1;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The client that has connected to the load balancer. `None`: a health check of the balancer itself.
    pub(crate) source: Option<SocketAddr>,
    /// That was by TLS.
    pub(crate) secure: bool,
}

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

/// A header of version 2: this tenant has connected to `reached`.
pub(crate) fn header(tenant: SocketAddr, reached: SocketAddr, secure: bool) -> io::Result<Vec<u8>> {
    // Both of one family.
    let (tenant, reached) = match (tenant, reached) {
        (SocketAddr::V4(_), SocketAddr::V4(_)) | (SocketAddr::V6(_), SocketAddr::V6(_)) => (tenant, reached),
        _ => (mapped(tenant), mapped(reached)),
    };
    let header = v2::Builder::with_addresses(
        v2::Version::Two | v2::Command::Proxy,
        v2::Protocol::Stream,
        (tenant, reached),
    );
    // Whether its certificate was checked comes behind that: it has none.
    let ssl = [u8::from(secure) * CLIENT_SSL, 0, 0, 0, 1];
    header.write_tlv(v2::Type::SSL, &ssl)?.build()
}

fn mapped(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::new(ip.into(), address.port())
}

/// Reads the header. Gives what has come behind it.
pub(crate) async fn read<S: AsyncRead + Unpin>(mut stream: S) -> Result<(Bytes, S, Header), ProxyError> {
    let mut received = BytesMut::with_capacity(256);
    loop {
        if stream.read_buf(&mut received).await? == 0 {
            return Err(ProxyError::NoHeader);
        }
        if let Some((length, header)) = parse(&received)? {
            let rest = received.split_off(length.min(received.len()));
            return Ok((rest.freeze(), stream, header));
        }
        if LONGEST <= received.len() {
            return Err(ProxyError::TooLong);
        }
    }
}

/// The length of the header, and what it says; nothing while it has not all come.
fn parse(received: &[u8]) -> Result<Option<(usize, Header)>, ProxyError> {
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
        HeaderResult::V1(Ok(header)) => {
            let said = Header {
                source: source_v1(header.addresses),
                secure: false,
            };
            Ok(Some((header.header.len(), said)))
        }
        HeaderResult::V2(Ok(header)) => {
            // `LOCAL`: the load balancer itself.
            let source = match header.command {
                v2::Command::Local => None,
                v2::Command::Proxy => source_v2(header.addresses),
            };
            let secure = header.tlvs().flatten().any(|tlv| {
                let flags = tlv.value.first().copied().unwrap_or(0);
                tlv.kind == u8::from(v2::Type::SSL) && flags & CLIENT_SSL != 0
            });
            Ok(Some((header.len(), Header { source, secure })))
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
        v2::Addresses::IPv6(ip) => (ip.source_address.to_canonical(), ip.source_port).into(),
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
            let said = Header { source, secure: false };
            assert_eq!(parsed, Some((header.len(), said)), "{}", header.escape_ascii());
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (tenant, reached) in [
            ("192.0.2.7:4660", "10.0.0.1:7000"),
            ("[2001:db8::7]:4660", "[::1]:7000"),
            ("[2001:db8::7]:4660", "10.0.0.1:7000"),
            ("192.0.2.7:4660", "[::1]:7000"),
        ] {
            for secure in [false, true] {
                let source = tenant.parse().unwrap();
                let written = header(source, reached.parse().unwrap(), secure).unwrap();
                let said = Header {
                    source: Some(source),
                    secure,
                };
                assert_eq!(
                    parse(&written).unwrap(),
                    Some((written.len(), said)),
                    "{tenant} {reached}"
                );
            }
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
