//! What viewers and hypervisors say.

use bytes::{Bytes, BytesMut};
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{Destination, MigrateBegin, MigrateBeginSeamless};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::{LinkMess, LinkReply};

pub(super) fn viewer_opening(channel: u8, id: u32) -> Vec<u8> {
    let request = LinkMess {
        connection_id: id,
        channel_type: ChannelType(channel),
        channel_id: 0,
        capabilities: Capabilities::spice_server(ChannelType(channel)),
    };
    let mut bytes = BytesMut::new();
    request.encode(&mut bytes).expect("it fits");
    // The mechanism, then a sealed ticket: what is in it is the caller's to judge.
    bytes.extend_from_slice(&1_u32.to_le_bytes());
    bytes.extend_from_slice(&[7; 128]);
    bytes.to_vec()
}

pub(super) fn hypervisor_opening(channel: u8, result: u32) -> Vec<u8> {
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: *include_bytes!("../public-key.der"),
        capabilities: Capabilities::spice_server(ChannelType(channel)),
    };
    let mut bytes = BytesMut::new();
    reply.encode(&mut bytes).expect("it fits");
    bytes.extend_from_slice(&result.to_le_bytes());
    bytes.to_vec()
}

/// A message that names where to go.
pub(super) fn migration(seamless: bool) -> (u16, Vec<u8>) {
    let destination = Destination {
        port: 5900,
        sport: u16::MAX,
        host: Bytes::from_static(b"10.1.2.3\0"),
        cert_subject: Bytes::from_static(b"CN=hypervisor\0"),
    };
    let mut body = BytesMut::new();
    if seamless {
        let begin = MigrateBeginSeamless {
            destination,
            src_mig_version: 1,
        };
        begin.encode(&mut body).expect("it fits");
        return (116, body.to_vec());
    }
    MigrateBegin { destination }.encode(&mut body).expect("it fits");
    (101, body.to_vec())
}
