//! The first byte that cannot be placed is reported, and no other.

use bytes::BytesMut;
use spice_proto::ids::ChannelType;

use crate::pcap::{Flag, Pcap, ethernet};
use crate::{Folder, code, data, lines, linked, mini, pair, run, stderr};

/// `INIT` of the inputs channel, three times, and its answers.
fn inputs() -> [BytesMut; 2] {
    let [mut client, mut server] = linked(ChannelType::INPUTS, true);
    for _ in 0..3 {
        mini(&mut server, 101, &[0, 0]);
    }
    mini(&mut client, 103, &[0, 0]);
    [client, server]
}

#[test]
fn a_wrong_byte_is_told_with_its_place() {
    let folder = Folder::new();
    let good = inputs();
    assert_eq!(code(&pair(&folder, &good, &["--reencode"])), 0);
    let s2c = good[1].len() - 24;
    let fails = |streams: &[BytesMut; 2]| {
        let output = pair(&folder, streams, &[]);
        assert_eq!(code(&output), 1, "{}", stderr(&output));
        // What came before it was shown.
        assert!(lines(&output).iter().all(|line| line["kind"] != "close"));
        stderr(&output).trim_end().replace("spice-dissect: connection 0, ", "")
    };
    // The size of the second message: far too large, too small for its body, larger than the stream.
    let mut streams = good.clone();
    streams[1][s2c + 13] = 9;
    assert_eq!(
        fails(&streams),
        format!(
            "s2c, offset {}: Header.size at byte 2: 150994946 is above the limit of 67108864",
            s2c + 10
        )
    );
    let mut streams = good.clone();
    streams[1][s2c + 10] = 1;
    assert_eq!(
        fails(&streams),
        format!(
            "s2c, offset {}: message 101 of 1 bytes at offset {}: Init.keyboard_modifiers at byte 0: \
            truncated: needs 2 bytes, 1 left",
            s2c + 14,
            s2c + 8
        )
    );
    let mut streams = good.clone();
    streams[1][s2c + 11] = 1;
    let what = format!(
        "s2c, offset {}: the stream ends inside of a message (--cut accepts that)",
        s2c + 8
    );
    assert_eq!(fails(&streams), what);
    let output = pair(&folder, &streams, &["--cut"]);
    assert_eq!(code(&output), 0);
    let incomplete = lines(&output)
        .into_iter()
        .find(|line| line["kind"] == "incomplete")
        .unwrap();
    assert_eq!((&incomplete["size"], &incomplete["missing"]), (&16.into(), &248.into()));
    // A link message whose server accepts all the same.
    let mut streams = good.clone();
    streams[0][12] = 17;
    assert_eq!(
        fails(&streams),
        "c2s, offset 12: LinkHeader.size at byte 12: 17 is below the minimum of 18"
    );
    let mut streams = good.clone();
    streams[1][30] = 0;
    streams[1][16 + 166] = 9;
    assert_eq!(
        fails(&streams).split(": ").next().unwrap(),
        "s2c, offset 194",
        "the place of the capabilities is reported"
    );
}

#[test]
fn other_protocols_are_told_and_port_chooses() {
    let mut pcap = Pcap::new();
    pcap.segment(true, 999, Flag::Syn, b"");
    pcap.segment(true, 1000, Flag::Data, b"SSH-2.0-x\r\n");
    pcap.segment(true, 1011, Flag::Fin, b"");
    pcap.segment(false, 5000, Flag::Data, b"SSH-2.0-y\r\n");
    pcap.segment(false, 5011, Flag::Fin, b"");
    let folder = Folder::new();
    let file = folder.file("ssh.pcap", &pcap.bytes);
    let output = run(&[&file]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        stderr(&output),
        "spice-dissect: connection 0, c2s, offset 0: LinkHeader.magic at byte 0: expected \"REDQ\", found \"SSH-\": SSH\n"
    );
    let output = run(&["--port=22", &file]);
    assert_eq!((code(&output), lines(&output).len()), (0, 0));
}

#[test]
fn bytes_without_an_answer_are_not_held_for_ever() {
    let folder = Folder::new();
    // An upload of another protocol, and a server that speaks first.
    for (from_client, told) in [
        (
            true,
            "c2s, offset 0: LinkHeader.magic at byte 0: expected \"REDQ\", found \"xxxx\"",
        ),
        (
            false,
            "s2c, offset 0: bytes that are not due: the connection waits for the link message",
        ),
    ] {
        let mut pcap = Pcap::new();
        pcap.handshake();
        let block = [b'x'; 50_000];
        for n in 0..100 {
            let start = if from_client { 1000 } else { 5000 };
            pcap.segment(from_client, start + n * 50_000, Flag::Data, &block);
        }
        pcap.packet(&ethernet(30000, true, 1, Flag::Syn, b""));
        let output = run(&[&folder.file("flood.pcap", &pcap.bytes)]);
        assert_eq!(code(&output), 1);
        assert_eq!(stderr(&output), format!("spice-dissect: connection 0, {told}\n"));
        assert_eq!(lines(&output).len(), 1, "before the next connection");
    }
}

#[test]
fn a_failure_ends_the_run_or_the_connection() {
    let folder = Folder::new();
    for (name, bad) in [("a", true), ("b", false)] {
        let mut streams = inputs();
        if bad {
            let end = streams[1].len();
            streams[1][end - 7] = 0xff;
            streams[1][end - 3] = 0xff;
        }
        folder.file(&format!("{name}.c2s.bin"), &streams[0]);
        folder.file(&format!("{name}.s2c.bin"), &streams[1]);
    }
    let path = folder.path();
    let stopped = run(&[path]);
    assert_eq!(code(&stopped), 1);
    assert!(lines(&stopped).iter().all(|line| line["connection"] == 0));
    let went_on = run(&["--keep-going", path]);
    assert_eq!(code(&went_on), 1);
    assert_eq!(stderr(&went_on), stderr(&stopped));
    assert!(
        lines(&went_on)
            .iter()
            .any(|line| line["connection"] == 1 && line["kind"] == "close")
    );
}

#[test]
fn a_body_that_is_encoded_otherwise_is_told() {
    let folder = Folder::new();
    let mut streams = linked(ChannelType::PORT, true);
    let at = streams[1].len();
    // INIT of a port, whose name lies behind a gap.
    let body = [&[2, 0, 0, 0, 11, 0, 0, 0, 1, 7, 7][..], b"p\0"].concat();
    mini(&mut streams[1], 201, &body);
    assert_eq!(code(&pair(&folder, &streams, &[])), 0);
    let output = pair(&folder, &streams, &["--reencode"]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        stderr(&output),
        format!(
            "spice-dissect: connection 0, s2c, offset {}: init is encoded otherwise: byte 4 is 0x09, was 0x0b\n",
            at + 6 + 4
        )
    );
}

#[test]
fn a_hole_in_a_capture_is_told() {
    let [client, server] = inputs();
    let mut pcap = Pcap::new();
    pcap.handshake();
    pcap.segment(true, 1000, Flag::Data, &client[..20]);
    pcap.segment(true, 1030, Flag::Data, &client[30..]);
    pcap.segment(false, 5000, Flag::Data, &server);
    let folder = Folder::new();
    let file = folder.file("hole.pcap", &pcap.bytes);
    let output = run(&[&file]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        stderr(&output),
        "spice-dissect: connection 0, c2s, offset 20: 10 bytes are missing in the capture here (--cut takes that as \
        the end)\n"
    );
    assert_eq!(code(&run(&["--cut", &file])), 0);
    let mut pcap = Pcap::new();
    pcap.segment(true, 1000, Flag::Data, &client[80..]);
    let file = folder.file("midway.pcap", &pcap.bytes);
    let output = run(&[&file]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("the connection began before the capture"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_connection_may_be_given_up_inside_of_a_message() {
    let [client, server] = inputs();
    let send = |flag| {
        let mut pcap = Pcap::new();
        pcap.handshake();
        pcap.segment(true, 1000, Flag::Data, &client);
        pcap.segment(false, 5000, Flag::Data, &server[..server.len() - 1]);
        pcap.segment(false, 5000 + server.len() as u32 - 1, flag, b"");
        pcap.segment(true, 1000 + client.len() as u32, Flag::Fin, b"");
        let folder = Folder::new();
        run(&[&folder.file("end.pcap", &pcap.bytes)])
    };
    let reset = send(Flag::Rst);
    assert_eq!(code(&reset), 0, "{}", stderr(&reset));
    let told = lines(&reset);
    let [.., incomplete, close] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        (&incomplete["kind"], &incomplete["missing"]),
        (&"incomplete".into(), &1.into())
    );
    assert_eq!(close["s2c"]["end"], "reset");
    assert_eq!(code(&send(Flag::Fin)), 1);
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = Folder::new();
    let text = folder.file("notes.txt", b"no capture");
    for path in ["/nonexistent/console.pcap", &text, folder.path()] {
        let output = run(&[path]);
        assert_eq!(code(&output), 3);
        assert!(
            stderr(&output).starts_with(&format!("spice-dissect: {path}: ")),
            "{}",
            stderr(&output)
        );
    }
    let zipped = std::fs::read(data("link-errors.pcap.gz")).unwrap();
    let cut = folder.file("cut.pcap.gz", &zipped[..zipped.len() - 100]);
    assert_eq!(code(&run(&[&cut])), 3);
    assert_eq!(code(&run(&[])), 2);
    assert_eq!(code(&run(&["--stats=csv", &text])), 2);
}
