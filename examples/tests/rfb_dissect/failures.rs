//! The first byte that cannot be placed is reported, and no other.

use crate::pcap::{Flag, Pcap, ethernet};
use crate::{Folder, begun, code, lines, pair, rectangle, run, stderr, update};

/// What went wrong, without the names of the program and the connection.
fn fails(streams: &[Vec<u8>; 2], options: &[&str]) -> String {
    let output = pair(streams, options);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    // What came before it was shown.
    assert!(lines(&output).iter().all(|line| line["kind"] != "close"));
    stderr(&output).trim_end().replace("rfb-dissect: connection 0, ", "")
}

#[test]
fn a_wrong_byte_is_told_with_its_place() {
    let [client, server] = begun();
    assert_eq!(code(&pair(&[client.clone(), server.clone()], &["--reencode"])), 0);
    let at = server.len();
    let with = |more: &[u8]| [client.clone(), [&server[..], more].concat()];
    let says = |more: &[u8]| fails(&with(more), &[]);
    assert_eq!(
        says(&[2, 2, 0x7f]),
        format!("s2c, offset {}: ServerMessage.type at byte 0: 127 is not known", at + 2)
    );
    // A desktop's name of 4 GiB, an unknown encoding, and a text above the limit.
    let name = [update(1), rectangle(0, 0, -307), vec![0xff; 4]].concat();
    let told = says(&name);
    assert!(told.starts_with(&format!("s2c, offset {}: ", at + 16)), "{told}");
    let jrle = [update(1), rectangle(1, 1, 22)].concat();
    let told = says(&jrle);
    assert!(
        told.starts_with(&format!("s2c, offset {}: ", at + 12)) && told.contains("JRLE"),
        "{told}"
    );
    let long = [3, 0, 0, 0, 1, 0, 0, 1];
    let told = says(&long);
    assert!(
        told.starts_with(&format!("s2c, offset {}: ServerCutText.length", at + 4)),
        "{told}"
    );
    // Of the client, and of the handshake.
    let mut streams = with(&[]);
    streams[0].extend([4, 1, 0, 0, 0, 0, 0, 0x61, 254]);
    assert_eq!(
        fails(&streams, &[]),
        "c2s, offset 22: ClientMessage.type at byte 0: 254 is not known"
    );
    let mut streams = with(&[]);
    streams[0][12] = 5;
    streams[1][13] = 5;
    assert_eq!(
        fails(&streams, &[]),
        "c2s, offset 12: security type RA2 (5) is not followed"
    );
}

#[test]
fn an_end_inside_of_something_is_told() {
    let [client, server] = begun();
    let with = |more: &[u8]| [client.clone(), [&server[..], more].concat()];
    let picture = with(&[update(1), rectangle(2, 2, 0), vec![1, 2, 3]].concat());
    let told = fails(&picture, &[]);
    assert!(
        told.ends_with("the stream ends inside of an update (--cut accepts that)"),
        "{told}"
    );
    let output = pair(&picture, &["--cut"]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let incomplete = lines(&output).into_iter().find(|line| line["kind"] == "incomplete");
    assert_eq!(incomplete.unwrap()["missing"], 13);
    let told = fails(&with(&[3, 0, 0]), &[]);
    assert!(told.contains("inside of a message"), "{told}");
    // Bytes that are not due, and a connection whose beginning is not there.
    let told = fails(&[b"RFB 003.008\n".to_vec(), b"RFB 003.008\n\x01\x01\x09".to_vec()], &[]);
    assert!(told.starts_with("s2c, offset"), "{told}");
    let mut pcap = Pcap::new();
    pcap.segment(false, 9000, Flag::Data, &[0, 0, 0, 1]);
    let folder = Folder::new();
    let output = run(&["--port", "5900", &folder.file("midway.pcap", &pcap.bytes)]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("began before the capture"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn other_connections_go_on() {
    let [client, server] = begun();
    let mut pcap = Pcap::new();
    pcap.handshake();
    pcap.segment(false, 5000, Flag::Data, &server);
    pcap.segment(true, 1000, Flag::Data, &client);
    let at = 5000 + server.len() as u32;
    pcap.segment(false, at, Flag::Data, &[0x7f]);
    // Two more, of which one ends and one is given up.
    for (port, flag) in [(20001, Flag::Fin), (20002, Flag::Rst)] {
        let ends = (1000 + client.len() as u32, at);
        for (from_client, sequence, flag, payload) in [
            (true, 999, Flag::Syn, &[][..]),
            (false, 4999, Flag::SynAck, &[]),
            (false, 5000, Flag::Data, &server),
            (true, 1000, Flag::Data, &client),
            (true, ends.0, flag, &[]),
            (false, ends.1, flag, &[]),
        ] {
            pcap.packet(&ethernet(port, from_client, sequence, flag, payload));
        }
    }
    let folder = Folder::new();
    let path = folder.file("one.pcap", &pcap.bytes);
    assert_eq!(code(&run(&[&path])), 1);
    let output = run(&["--keep-going", &path]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("127 is not known"), "{}", stderr(&output));
    let closed: Vec<_> = lines(&output)
        .into_iter()
        .filter(|line| line["kind"] == "close")
        .collect();
    let ends: Vec<_> = closed.iter().map(|line| line["c2s"]["end"].as_str().unwrap()).collect();
    assert_eq!(ends, ["closed", "reset"]);
    assert_eq!(code(&run(&["/does/not/exist.pcap"])), 3);
    assert_eq!(code(&run(&[Folder::new().path()])), 3, "no pair in it");
}
