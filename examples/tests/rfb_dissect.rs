//! The tool `rfb-dissect`, run as a program.

#[path = "rfb_dissect/captures.rs"]
mod captures;
#[path = "rfb_dissect/failures.rs"]
mod failures;
#[path = "rfb_dissect/handshakes.rs"]
mod handshakes;
#[path = "rfb_dissect/live.rs"]
mod live;
#[path = "support/live.rs"]
mod live_input;
#[path = "support/pcap.rs"]
mod pcap;
#[path = "rfb_dissect/shown.rs"]
mod shown;
#[path = "support/tool.rs"]
mod tool;

use std::path::Path;
use std::process::{Command, Output};

use tool::{Folder, code, lines, stderr};

/// The program, not yet started.
fn program(arguments: &[&str]) -> Command {
    tool::program(env!("CARGO_BIN_EXE_rfb-dissect"), arguments)
}

fn run(arguments: &[&str]) -> Output {
    program(arguments).output().unwrap()
}

/// Writes a pair and runs the program on it.
fn pair([client, server]: &[Vec<u8>; 2], options: &[&str]) -> Output {
    let folder = Folder::new();
    let files = folder.files(client, server);
    run(&[&[files[0].as_str(), &files[1]], options].concat())
}

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/rfb").join(name);
    path.to_str().unwrap().to_owned()
}

/// Both streams of a handshake of 3.8 without authentication, for a desktop of 640 x 480.
fn begun() -> [Vec<u8>; 2] {
    let client = b"RFB 003.008\n\x01\x01".to_vec();
    let mut server = b"RFB 003.008\n\x01\x01\0\0\0\0\x02\x80\x01\xe0".to_vec();
    server.extend(b"\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0\0\0\0\x04QEMU");
    [client, server]
}

/// The head of an update, and one of a rectangle.
fn update(rectangles: u16) -> Vec<u8> {
    [&[0, 0][..], &rectangles.to_be_bytes()].concat()
}

fn rectangle(width: u16, height: u16, encoding: i32) -> Vec<u8> {
    let mut head = vec![0; 4];
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    head.extend(encoding.to_be_bytes());
    head
}
