//! Endless input, and readers that leave: the same for every dissector.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::pcap::{Flag, Pcap};
use crate::tool::peak;

/// Bytes of a server that go on after those of a recording.
pub(crate) struct Server {
    input: ChildStdin,
    sequence: u32,
    packets: u32,
}

impl Server {
    /// Writes the beginning: what each side says before the server goes on for ever.
    fn begin(mut input: ChildStdin, [client, server]: &[impl AsRef<[u8]>; 2]) -> Self {
        let mut pcap = Pcap::new();
        pcap.handshake();
        pcap.segment(true, 1000, Flag::Data, client.as_ref());
        pcap.segment(false, 5000, Flag::Data, server.as_ref());
        input.write_all(&pcap.bytes).unwrap();
        Self {
            input,
            sequence: 5000 + server.as_ref().len() as u32,
            packets: 0,
        }
    }

    /// Writes bytes in two packets, now and then in another order, and one of them twice.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        let (first, second) = bytes.split_at(bytes.len() / 2);
        let at = [self.sequence, self.sequence.wrapping_add(first.len() as u32)];
        let mut packets = vec![(at[0], first), (at[1], second), (at[1], second)];
        if self.packets.is_multiple_of(3) {
            packets.rotate_left(1);
        }
        let mut pcap = Pcap::new();
        pcap.bytes.clear();
        for (sequence, payload) in packets {
            pcap.segment(false, sequence, Flag::Data, payload);
        }
        self.input.write_all(&pcap.bytes).unwrap();
        self.sequence = self.sequence.wrapping_add(bytes.len() as u32);
        self.packets += 1;
    }
}

/// 32 MB and more of `payload` after this beginning, with all that the program can do: its memory stays what it was
/// after an eighth.
pub(crate) fn memory_does_not_grow(program: &mut Command, beginning: &[impl AsRef<[u8]>; 2], payload: &[u8]) {
    let mut child = program
        .args(["--stats=json", "--reencode", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Server::begin(child.stdin.take().unwrap(), beginning);
    let times = (32 << 20) / payload.len() / 8 + 1;
    for _ in 0..times {
        server.say(payload);
    }
    // What was written was read, but for what fits the pipe.
    let before = peak(&child);
    for _ in 0..7 * times {
        server.say(payload);
    }
    let after = peak(&child);
    drop(server);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let total: serde_json::Value =
        serde_json::from_slice(output.stdout.rsplit(|b| *b == b'\n').nth(1).unwrap()).unwrap();
    let bytes = total["total"]["bytes"].as_u64().unwrap();
    println!("{bytes} bytes: {before} KiB after an eighth of them, {after} KiB at the end");
    assert!(32 << 20 <= bytes);
    assert!(after < before + 2048, "{before} KiB, then {after} KiB");
}

/// While the input is still open, there is a line for each of these, and for `more` once `payload` has come.
pub(crate) fn each_line_comes_when_its_bytes_have_come(
    program: &mut Command,
    beginning: &[impl AsRef<[u8]>; 2],
    steps: &[&str],
    payload: &[u8],
    more: &[&str],
) {
    let mut child = program.arg("-").stdin(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().try_for_each(|line| sender.send(line.unwrap())));
    let mut server = Server::begin(child.stdin.take().unwrap(), beginning);
    let next = |names: &[&str]| {
        for name in names {
            let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(line.contains(&format!("\"{name}\"")), "{line}");
        }
    };
    next(steps);
    server.say(payload);
    next(more);
    drop(server);
    next(&["close"]);
    assert!(child.wait().unwrap().success());
}

/// The reader of the lines closes them: the program stops reading too, without an error.
pub(crate) fn a_reader_may_leave(program: &mut Command, capture: &[u8]) {
    let mut child = program.arg("-").stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    drop(child.stdout.take().unwrap());
    let _ = input.write_all(capture);
    drop(input);
    let mut complaint = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(complaint, "");
}

/// The help fits a terminal and has these words.
pub(crate) fn help_shows(program: &mut Command, words: &[&str]) {
    let output = program.arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for word in ["Examples:", "Exit status:", "--reencode", "--stats"]
        .iter()
        .chain(words)
    {
        assert!(text.contains(word), "{word}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 121), "fits a terminal");
}
