//! The tool `spice-dissect`, run as a program.

#[path = "spice_dissect/captures.rs"]
mod captures;
#[path = "spice_dissect/failures.rs"]
mod failures;
#[path = "spice_dissect/live.rs"]
mod live;
#[path = "support/live.rs"]
mod live_input;
#[path = "support/pcap.rs"]
mod pcap;
#[path = "spice_dissect/sessions.rs"]
mod sessions;
#[path = "spice_dissect/shown.rs"]
mod shown;
#[path = "support/tool.rs"]
mod tool;

use std::path::Path;
use std::process::{Command, Output};

use bytes::BytesMut;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use spice_proto::link::watch::Part;
use spice_proto::link::{LinkMess, LinkReply, SealedTicket};
use tool::{Folder, code, lines, stderr};

/// The program, not yet started.
fn program(arguments: &[&str]) -> Command {
    tool::program(env!("CARGO_BIN_EXE_spice-dissect"), arguments)
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// Writes a pair and runs the program on it.
fn pair(folder: &Folder, [client, server]: &[BytesMut; 2], options: &[&str]) -> Output {
    let files = folder.files(client, server);
    run(&[&[files[0].as_str(), &files[1]], options].concat())
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/spice")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// Both streams of a link stage that ends well, of a new session.
fn linked(channel: ChannelType, mini: bool) -> [BytesMut; 2] {
    linked_to(channel, mini, 0)
}

/// The same, of a channel that names this session.
fn linked_to(channel: ChannelType, mini: bool, connection_id: u32) -> [BytesMut; 2] {
    let bits = [common::PROTOCOL_AUTH_SELECTION, common::AUTH_SPICE, common::MINI_HEADER];
    let capabilities = Capabilities {
        common: CapabilityWords::of(&bits[..if mini { 3 } else { 2 }]),
        channel: CapabilityWords::new(),
    };
    let (mut client, mut server) = (BytesMut::new(), BytesMut::new());
    LinkMess {
        connection_id,
        channel_type: channel,
        channel_id: 0,
        capabilities: capabilities.clone(),
    }
    .encode(&mut client)
    .unwrap();
    LinkReply {
        capabilities,
        ..LinkReply::refusal(LinkErrorCode::OK)
    }
    .encode(&mut server)
    .unwrap();
    Part::AuthMechanism(AuthMechanism::SPICE).encode(&mut client).unwrap();
    Part::Ticket(SealedTicket([9; 128])).encode(&mut client).unwrap();
    Part::LinkResult(LinkErrorCode::OK).encode(&mut server).unwrap();
    [client, server]
}

/// Appends a frame with a mini header.
fn mini(dst: &mut BytesMut, number: u16, body: &[u8]) {
    use spice_proto::frame::{Header, HeaderForm};
    let size = u32::try_from(body.len()).unwrap();
    let header = Header {
        serial: 0,
        number,
        size,
        sub_list: 0,
    };
    header.write(HeaderForm::Mini, dst);
    dst.extend_from_slice(body);
}
