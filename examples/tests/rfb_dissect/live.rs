//! Endless input, and readers that leave.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::pcap::{Flag, Pcap};
use crate::tool::peak;
use crate::{begun, data, program, rectangle, update};

fn start(arguments: &[&str]) -> Child {
    program(arguments).stdin(Stdio::piped()).spawn().unwrap()
}

/// A capture of a handshake, and then of packets with pictures.
struct Endless {
    sequence: u32,
}

impl Endless {
    fn new(input: &mut impl Write) -> Self {
        let [client, server] = begun();
        let mut pcap = Pcap::new();
        pcap.handshake();
        pcap.segment(false, 5000, Flag::Data, &server);
        pcap.segment(true, 1000, Flag::Data, &client);
        input.write_all(&pcap.bytes).unwrap();
        let sequence = 5000 + server.len() as u32;
        Self { sequence }
    }

    /// Writes bytes of the server in packets, now and then one of them twice.
    fn packets(&mut self, input: &mut impl Write, bytes: &[u8]) {
        for (n, payload) in bytes.chunks(20_000).enumerate() {
            let mut pcap = Pcap::new();
            pcap.bytes.clear();
            for _ in 0..n % 3 / 2 + 1 {
                pcap.segment(false, self.sequence, Flag::Data, payload);
            }
            self.sequence = self.sequence.wrapping_add(payload.len() as u32);
            input.write_all(&pcap.bytes).unwrap();
        }
    }
}

/// Whole desktops of Raw, one rectangle each.
#[test]
fn memory_does_not_grow() {
    let mut child = start(&["--stats=json", "--reencode", "-"]);
    let mut input = child.stdin.take().unwrap();
    let mut endless = Endless::new(&mut input);
    let picture = [update(1), rectangle(640, 480, 0), vec![7; 640 * 480 * 4]].concat();
    for _ in 0..3 {
        endless.packets(&mut input, &picture);
    }
    // What was written was read, but for what fits the pipe.
    let before = peak(&child);
    for _ in 0..27 {
        endless.packets(&mut input, &picture);
    }
    let after = peak(&child);
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let total: serde_json::Value =
        serde_json::from_slice(output.stdout.rsplit(|b| *b == b'\n').nth(1).unwrap()).unwrap();
    let bytes = total["total"]["bytes"].as_u64().unwrap();
    println!("{bytes} bytes: {before} KiB after a tenth of them, {after} KiB at the end");
    assert!(30_000_000 < bytes);
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
        "ServerVersion",
        "ClientVersion",
        "SecurityTypes",
        "SecurityChoice",
        "SecurityResult",
        "ClientInit",
        "ServerInit",
    ] {
        next(name);
    }
    let picture = [update(1), rectangle(1, 1, 0), vec![1, 2, 3, 4]].concat();
    endless.packets(&mut input, &picture);
    next("FramebufferUpdate");
    next("Raw");
    drop(input);
    next("close");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_may_leave() {
    let mut child = start(&["-"]);
    let mut input = child.stdin.take().unwrap();
    drop(child.stdout.take().unwrap());
    let capture = std::fs::read(data("errors.pcap.gz")).unwrap();
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
        "rectangle",
        "pcapng",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 121), "fits a terminal");
}
