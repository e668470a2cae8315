//! Endless input, and readers that leave.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::ids::ChannelType;

use crate::pcap::{Flag, Pcap};
use crate::tool::peak;
use crate::{data, linked, mini, program};

fn start(arguments: &[&str]) -> Child {
    program(arguments).stdin(Stdio::piped()).spawn().unwrap()
}

/// A capture of a link, and then of packets with PINGs of a display channel.
struct Endless {
    sequence: u32,
    payload: BytesMut,
}

impl Endless {
    fn new(input: &mut impl Write) -> Self {
        let [client, server] = linked(ChannelType::DISPLAY, true);
        let mut pcap = Pcap::new();
        pcap.handshake();
        pcap.segment(true, 1000, Flag::Data, &client);
        pcap.segment(false, 5000, Flag::Data, &server);
        input.write_all(&pcap.bytes).unwrap();
        let mut payload = BytesMut::new();
        while payload.len() < 20_000 {
            mini(&mut payload, 4, &[7; 1000]);
        }
        Self {
            sequence: 5000 + server.len() as u32,
            payload,
        }
    }

    /// Writes a packet, now and then one of them twice or in another order.
    fn packets(&mut self, input: &mut impl Write, count: u32) {
        for n in 0..count {
            let mut pcap = Pcap::new();
            pcap.bytes.clear();
            let len = self.payload.len() as u32;
            let (first, second) = (self.sequence, self.sequence.wrapping_add(len));
            let order = if n % 3 == 0 {
                [second, first, first]
            } else {
                [first, second, second]
            };
            for sequence in order {
                pcap.segment(false, sequence, Flag::Data, &self.payload);
            }
            self.sequence = second.wrapping_add(len);
            input.write_all(&pcap.bytes).unwrap();
        }
    }
}

#[test]
fn memory_does_not_grow() {
    let mut child = start(&["--stats=json", "--reencode", "-"]);
    let mut input = child.stdin.take().unwrap();
    let mut endless = Endless::new(&mut input);
    endless.packets(&mut input, 100);
    // What was written was read, but for what fits the pipe.
    let before = peak(&child);
    endless.packets(&mut input, 700);
    let after = peak(&child);
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let total: serde_json::Value =
        serde_json::from_slice(output.stdout.rsplit(|b| *b == b'\n').nth(1).unwrap()).unwrap();
    let bytes = total["total"]["bytes"].as_u64().unwrap();
    println!("{bytes} bytes: {before} KiB after an eighth of them, {after} KiB at the end");
    assert!(32_000_000 < bytes);
    assert!(after < before + 2048, "{before} KiB, then {after} KiB");
}

#[test]
fn each_line_comes_when_its_bytes_have_come() {
    let mut child = start(&["-"]);
    let mut input = child.stdin.take().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().try_for_each(|line| sender.send(line.unwrap())));
    let mut endless = Endless::new(&mut input);
    // The input is still open.
    let next = |name: &str| {
        let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(line.contains(&format!("\"{name}\"")), "{line}");
    };
    for name in [
        "open",
        "LinkMess",
        "LinkReply",
        "AuthMechanism",
        "EncryptedTicket",
        "LinkResult",
    ] {
        next(name);
    }
    endless.payload.truncate(1006);
    endless.packets(&mut input, 1);
    next("ping");
    next("ping");
    drop(input);
    next("close");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_may_leave() {
    let mut child = start(&["-"]);
    let mut input = child.stdin.take().unwrap();
    drop(child.stdout.take().unwrap());
    let capture = std::fs::read(data("ticket-right-and-wrong.pcap.gz")).unwrap();
    // It stops reading as soon as nobody reads its lines.
    let _ = input.write_all(&capture);
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn help_shows_lines_examples_and_statuses() {
    let output = program(&["--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for word in [
        "Examples:",
        "Exit status:",
        "--reencode",
        "--stats",
        "tcpdump",
        "incomplete",
        "pcapng",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 121), "fits a terminal");
}
