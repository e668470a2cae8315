//! A viewer that gets as far as the result of its link.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use bytes::BytesMut;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::{Action, Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, Machine, Secret};

use crate::program::PATIENCE;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Stands,
    Refused(LinkErrorCode),
    /// The connection ended without a result.
    Closed,
}

/// Another one each time: a sealed ticket that comes again is a replay.
pub(crate) fn seed() -> [u8; 20] {
    let mut seed = [0; 20];
    getrandom::fill(&mut seed).expect("random bytes");
    seed
}

/// Asks for a main channel of a new session.
pub(crate) fn connect(gateway: SocketAddr, token: &str) -> Link {
    match open(gateway, token, ChannelType::MAIN, 0) {
        Ok(_) => Link::Stands,
        Err(link) => link,
    }
}

/// Asks for a channel: the connection, and what came with the end of the link.
pub(crate) fn open(
    server: SocketAddr,
    password: &str,
    channel_type: ChannelType,
    connection_id: u32,
) -> Result<(TcpStream, BytesMut), Link> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).expect("the server");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let rx = link(&mut stream, password, channel_type, connection_id)?;
    Ok((stream, rx))
}

/// Asks for a channel over any stream: what came with the end of the link.
pub(crate) fn link(
    stream: &mut (impl Read + Write),
    password: &str,
    channel_type: ChannelType,
    connection_id: u32,
) -> Result<BytesMut, Link> {
    let request = LinkMess {
        connection_id,
        channel_type,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::MINI_HEADER]),
            channel: CapabilityWords::new(),
        },
    };
    let start = Instant::now();
    let config = ClientConfig::new(request);
    let mut client = ClientLink::new(start.elapsed(), config, Secret::new(password.as_bytes()), seed());
    let mut buffers = Buffers::default();
    loop {
        let action = client.step(start.elapsed(), &mut buffers);
        let sent = stream.write_all(&buffers.tx.split()).and_then(|()| stream.flush());
        if sent.is_err() {
            return Err(Link::Closed);
        }
        match action {
            Ok(Action::Receive { at_least }) => {
                let mut bytes = vec![0; at_least];
                match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => return Err(Link::Closed),
                    Ok(n) => buffers.rx.extend_from_slice(&bytes[..n]),
                }
            }
            Ok(Action::Ask(_) | Action::Waiting) => unreachable!("SASL was not announced"),
            Ok(Action::Done(_)) => return Ok(buffers.rx),
            Err(HandshakeError::Rejected(code)) => return Err(Link::Refused(code)),
            Err(error) => panic!("{error}"),
        }
    }
}
