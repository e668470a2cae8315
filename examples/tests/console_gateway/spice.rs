//! A viewer that gets as far as the result of its link.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::{
    Action, ClientConfig, ClientLink, HandshakeError, LinkMess, Machine, Misbehaviour, Secret, Wire,
};

use crate::program::PATIENCE;

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Stands,
    Refused(LinkErrorCode),
    /// The connection ended without a result.
    Closed,
}

/// Asks for a main channel of a new session.
pub(crate) fn connect(gateway: SocketAddr, token: &str) -> Link {
    let mut stream = TcpStream::connect_timeout(&gateway, PATIENCE).expect("the gateway");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let request = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::MINI_HEADER]),
            channel: CapabilityWords::new(),
        },
    };
    let start = Instant::now();
    let config = ClientConfig::new(request);
    let mut client = ClientLink::new(start.elapsed(), config, Secret::new(token.as_bytes()), [7; 20]);
    let mut wire = Wire::default();
    loop {
        let action = client.step(start.elapsed(), &mut wire);
        stream.write_all(&wire.tx.split()).expect("the gateway reads");
        match action {
            Ok(Action::Receive { at_least }) => {
                let mut bytes = vec![0; at_least];
                match stream.read(&mut bytes) {
                    Ok(0) | Err(_) => return Link::Closed,
                    Ok(n) => wire.rx.extend_from_slice(&bytes[..n]),
                }
            }
            Ok(Action::Ask(question)) => match question {},
            Ok(Action::Waiting) => unreachable!("a client asks nothing"),
            Ok(Action::Done(_)) => return Link::Stands,
            Err(HandshakeError::Rejected(code)) => return Link::Refused(code),
            Err(HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply)) => panic!("a second link reply"),
            Err(error) => panic!("{error}"),
        }
    }
}
