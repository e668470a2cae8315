//! The tool `spice-dissect`, run as a program.

#[path = "spice_dissect/captures.rs"]
mod captures;
#[path = "spice_dissect/failures.rs"]
mod failures;
#[path = "spice_dissect/live.rs"]
mod live;
#[path = "support/pcap.rs"]
mod pcap;
#[path = "spice_dissect/shown.rs"]
mod shown;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::BytesMut;
use serde_json::Value;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use spice_proto::link::watch::Part;
use spice_proto::link::{LinkMess, LinkReply, SealedTicket};

/// The program, not yet started.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_spice-dissect"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines, each of which must be JSON.
fn lines(output: &Output) -> Vec<Value> {
    output
        .stdout
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            assert!(line.ends_with(b"\n"), "a line ends");
            serde_json::from_slice(line).unwrap()
        })
        .collect()
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "spice-dissect-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a pair and runs the program on it.
    fn pair(&self, [client, server]: &[BytesMut; 2], options: &[&str]) -> Output {
        let files = [self.file("made.c2s.bin", client), self.file("made.s2c.bin", server)];
        run(&[&[files[0].as_str(), &files[1]], options].concat())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/spice")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// Both streams of a link stage that ends well.
fn linked(channel: ChannelType, mini: bool) -> [BytesMut; 2] {
    let bits = [common::PROTOCOL_AUTH_SELECTION, common::AUTH_SPICE, common::MINI_HEADER];
    let capabilities = Capabilities {
        common: CapabilityWords::of(&bits[..if mini { 3 } else { 2 }]),
        channel: CapabilityWords::new(),
    };
    let (mut client, mut server) = (BytesMut::new(), BytesMut::new());
    LinkMess {
        connection_id: 0,
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
