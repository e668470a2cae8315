//! Reading packet captures: TCP in any order, all kinds of networks, damaged files.

#[path = "support/pcap.rs"]
mod pcap;

use std::fs;
use std::path::{Path, PathBuf};

use etherparse::PacketBuilder;
use examples::capture::{Capture, CaptureErrorKind, End, Event, EventKind, Options, Origin, Sender};
use pcap::{Flag, Pcap, ethernet};

/// A file that goes away with the test.
struct Temporary(PathBuf);

impl Temporary {
    fn new(bytes: &[u8]) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "capture-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn events(path: &Path, options: &Options) -> (Vec<Event>, Option<CaptureErrorKind>) {
    let mut events = Vec::new();
    let mut capture = match Capture::open(path, None, options) {
        Ok(capture) => capture,
        Err(error) => return (events, Some(error.kind)),
    };
    loop {
        match capture.event(None) {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(error) => return (events, Some(error.kind)),
        }
    }
}

/// What a capture tells of its connections: the bytes of both sides and how they ended.
fn streams(bytes: &[u8]) -> Vec<[(Vec<u8>, End); 2]> {
    let file = Temporary::new(bytes);
    let (events, error) = events(&file.0, &Options::default());
    assert!(error.is_none(), "{error:?}");
    let mut streams: Vec<[(Vec<u8>, End); 2]> = Vec::new();
    let mut closed = 0;
    for event in events {
        let at = event.connection as usize;
        match event.kind {
            EventKind::Opened(_) => {
                assert_eq!(at, streams.len(), "counted in the order of opening");
                streams.push([(Vec::new(), End::Cut), (Vec::new(), End::Cut)]);
            }
            EventKind::Data(sender, bytes) => streams[at][sender as usize].0.extend(bytes),
            EventKind::Ended(sender, end) => streams[at][sender as usize].1 = end,
            EventKind::Closed => closed += 1,
        }
    }
    assert_eq!(closed, streams.len(), "each is closed once");
    streams
}

fn text(stream: &(Vec<u8>, End)) -> (&str, End) {
    (std::str::from_utf8(&stream.0).unwrap(), stream.1)
}

#[test]
fn segments_are_put_in_order() {
    let pieces: [(u32, &[u8]); 6] = [
        (1000, b"ab"),
        (1002, b"cdef"),
        (1004, b"efgh"),
        (1001, b"bcd"),
        (1008, b"i"),
        (1006, b"ghij"),
    ];
    // Every order of the pieces gives the same stream.
    let mut orders = vec![vec![]];
    for _ in 0..pieces.len() {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<usize>| {
                (0..pieces.len())
                    .filter(|next| !order.contains(next))
                    .map(|next| [&order[..], &[next]].concat())
            })
            .collect();
    }
    let mut pcap = Pcap::new();
    for (n, order) in orders.iter().enumerate() {
        let port = 10000 + n as u16;
        let send = |pcap: &mut Pcap, sequence, flag, bytes: &[u8]| {
            pcap.packet(&ethernet(port, true, sequence, flag, bytes));
        };
        send(&mut pcap, 999, Flag::Syn, b"");
        send(&mut pcap, 999, Flag::Syn, b"");
        // The FIN may come first of all.
        if n % 2 == 0 {
            send(&mut pcap, 1010, Flag::Fin, b"");
        }
        for piece in order {
            send(&mut pcap, pieces[*piece].0, Flag::Data, pieces[*piece].1);
        }
        send(&mut pcap, 1010, Flag::Fin, b"");
        // What comes again when all is over opens nothing.
        send(&mut pcap, 1000, Flag::Data, b"ab");
    }
    let streams = streams(&pcap.bytes);
    assert_eq!(streams.len(), 720);
    for [client, server] in &streams {
        assert_eq!(text(client), ("abcdefghij", End::Closed));
        assert_eq!(text(server), ("", End::Cut));
    }
}

#[test]
fn numbers_wrap() {
    let mut pcap = Pcap::new();
    let start = u32::MAX - 3;
    pcap.segment(true, start, Flag::Syn, b"");
    pcap.segment(true, start.wrapping_add(1), Flag::Data, b"ab");
    pcap.segment(true, start.wrapping_add(6), Flag::Data, b"fg");
    pcap.segment(true, start.wrapping_add(3), Flag::Data, b"cde");
    pcap.segment(true, start.wrapping_add(1), Flag::Data, b"ab");
    pcap.segment(true, start.wrapping_add(8), Flag::Fin, b"");
    assert_eq!(text(&streams(&pcap.bytes)[0][0]), ("abcdefg", End::Closed));
}

#[test]
fn ends_are_told_apart() {
    let mut pcap = Pcap::new();
    pcap.handshake();
    pcap.segment(true, 1000, Flag::Data, b"ab");
    pcap.segment(true, 1005, Flag::Data, b"fg");
    pcap.segment(false, 5000, Flag::Data, b"xy");
    pcap.segment(false, 5002, Flag::Rst, b"");
    // The same addresses again.
    pcap.segment(true, 77, Flag::Syn, b"");
    pcap.segment(true, 78, Flag::Data, b"again");
    let streams = streams(&pcap.bytes);
    assert_eq!(text(&streams[0][0]), ("ab", End::Lost { bytes: 3 }));
    assert_eq!(text(&streams[0][1]), ("xy", End::Reset));
    assert_eq!(text(&streams[1][0]), ("again", End::Cut));
}

#[test]
fn a_hole_is_given_up_when_too_much_waits() {
    let mut pcap = Pcap::new();
    pcap.handshake();
    let block = [7; 60_000];
    for n in 0..700 {
        pcap.segment(true, 1001 + n * 60_000, Flag::Data, &block);
    }
    pcap.segment(false, 5000, Flag::Data, b"xy");
    let file = Temporary::new(&pcap.bytes);
    let (events, _) = events(&file.0, &Options::default());
    let lost = events
        .iter()
        .position(|event| event.kind == EventKind::Ended(Sender::Client, End::Lost { bytes: 1 }));
    let data = events
        .iter()
        .position(|event| matches!(event.kind, EventKind::Data(Sender::Server, _)));
    assert!(lost.unwrap() < data.unwrap(), "before the end of the capture");
}

#[test]
fn a_connection_that_is_under_way_is_told_as_such() {
    let mut pcap = Pcap::new();
    pcap.segment(false, 5000, Flag::Data, b"xy");
    pcap.segment(true, 1000, Flag::Data, b"ab");
    pcap.packet(&ethernet(30000, true, 1, Flag::Syn, b""));
    let file = Temporary::new(&pcap.bytes);
    let told: Vec<_> = events(&file.0, &Options::default())
        .0
        .into_iter()
        .filter_map(|event| match event.kind {
            EventKind::Opened(Origin::Tcp {
                client,
                server,
                complete,
            }) => Some((client.to_string(), server.to_string(), complete)),
            _ => None,
        })
        .collect();
    let expected = |client: &str, complete| (client.to_owned(), "10.0.0.2:5900".to_owned(), complete);
    assert_eq!(
        told,
        [expected("10.0.0.1:20000", false), expected("10.0.0.1:30000", true)]
    );
    let others = Options {
        port: Some(5901),
        ..Options::default()
    };
    assert_eq!(events(&file.0, &others).0, []);
}

#[test]
fn every_kind_of_network_is_read() {
    let mut ethernet = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64);
    builder.tcp(20000, 5900, 7, 1024).write(&mut ethernet, b"seen").unwrap();
    let ip = &ethernet[14..];
    let mut six = Vec::new();
    let builder = PacketBuilder::ipv6([1; 16], [2; 16], 64).tcp(20000, 5900, 7, 1024);
    builder.write(&mut six, b"seen").unwrap();
    let vlan = [&ethernet[..12], &[0x81, 0, 0, 5], &ethernet[12..]].concat();
    // Padding behind the packet is none of its bytes.
    let padded = [&ethernet[..], &[0xee; 9]].concat();
    let forms = [
        (1, ethernet.clone()),
        (1, vlan),
        (1, padded),
        (0, [&[2, 0, 0, 0], ip].concat()),
        (108, [&[0, 0, 0, 2], ip].concat()),
        (101, ip.to_vec()),
        (101, six.clone()),
        (12, ip.to_vec()),
        (228, ip.to_vec()),
        (229, six),
        (113, [&[0; 14][..], &[8, 0], ip].concat()),
        (276, [&[8, 0], &[0; 18][..], ip].concat()),
    ];
    for (link, packet) in forms {
        let mut pcap = Pcap::new();
        pcap.bytes[20] = (link & 0xff) as u8;
        pcap.bytes[21] = (link >> 8) as u8;
        // What is no TCP is left out.
        pcap.packet(&[0; 60]);
        pcap.packet(&packet);
        assert_eq!(
            text(&streams(&pcap.bytes)[0][0]),
            ("seen", End::Cut),
            "link type {link}"
        );
    }
    let mut pcap = Pcap::new();
    pcap.bytes[20] = 105;
    pcap.packet(&ethernet);
    let file = Temporary::new(&pcap.bytes);
    assert!(matches!(
        events(&file.0, &Options::default()).1,
        Some(CaptureErrorKind::LinkType(105))
    ));
}

/// A block of a pcapng file.
fn block(kind: u32, big_endian: bool, words: &[u32], data: &[u8]) -> Vec<u8> {
    let word = |word: u32| {
        if big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    };
    let mut body: Vec<u8> = words.iter().flat_map(|w| word(*w)).collect();
    body.extend(data);
    body.resize(body.len().next_multiple_of(4), 0);
    let len = word(body.len() as u32 + 12);
    [&word(kind)[..], &len, &body, &len].concat()
}

#[test]
fn pcapng_in_both_orders_of_bytes() {
    for big_endian in [false, true] {
        let packet = ethernet(20000, true, 7, Flag::Data, b"seen");
        let version = if big_endian { 0x0001_0000 } else { 0x0000_0001 };
        let link = if big_endian { 0x0001_0000 } else { 0x0000_0001 };
        let section = block(
            0x0a0d_0d0a,
            big_endian,
            &[0x1a2b_3c4d, version, u32::MAX, u32::MAX],
            b"",
        );
        let nanoseconds: [u8; 8] = if big_endian {
            [0, 9, 0, 1, 9, 0, 0, 0]
        } else {
            [9, 0, 1, 0, 9, 0, 0, 0]
        };
        let interface = block(1, big_endian, &[link, 0], &[&nanoseconds[..], &[0; 4]].concat());
        let time = 1_700_000_000_123_456_789_u64;
        let len = packet.len() as u32;
        let enhanced = block(6, big_endian, &[0, (time >> 32) as u32, time as u32, len, len], &packet);
        let unknown = block(0x0bad, big_endian, &[1, 2, 3], b"");
        let file = [section, interface, unknown, enhanced].concat();
        assert_eq!(text(&streams(&file)[0][0]), ("seen", End::Cut));
        let file = Temporary::new(&file);
        let (events, _) = events(&file.0, &Options::default());
        assert_eq!(events[0].time.unwrap().as_nanos(), u128::from(time));
    }
}

#[test]
fn what_is_no_capture_is_said_to_be_none() {
    let kinds = |bytes: &[u8], cut| {
        let file = Temporary::new(bytes);
        let options = Options {
            cut,
            ..Options::default()
        };
        let (events, error) = events(&file.0, &options);
        (events.len(), error.map(|error| error.to_string()))
    };
    let unrecognised = "neither pcap nor pcapng (streams come as a pair: name the client's and the server's file)";
    for bytes in [
        &b""[..],
        b"REDQ",
        b"REDQ\x02\0\0\0\x02\0\0\0\x1a\0\0\0\0\0\0\0\x01\0\x01\0\0\0\x01\0",
    ] {
        assert_eq!(kinds(bytes, false), (0, Some(unrecognised.to_owned())));
    }
    let mut pcap = Pcap::new();
    pcap.handshake();
    let end = pcap.bytes.len();
    pcap.segment(true, 1000, Flag::Data, b"ab");
    for cut in end + 1..pcap.bytes.len() {
        let damaged = format!("damaged at byte {end}: the file ends inside of a packet");
        assert_eq!(kinds(&pcap.bytes[..cut], false), (1, Some(damaged)));
        assert_eq!(kinds(&pcap.bytes[..cut], true), (4, None));
    }
    // A length that cannot be.
    pcap.bytes[end + 8..end + 12].copy_from_slice(&[0xff; 4]);
    pcap.bytes.resize(20 << 20, 0);
    let (_, error) = kinds(&pcap.bytes, false);
    assert_eq!(
        error.unwrap(),
        format!("damaged at byte {end}: a record of more than 16 MiB")
    );
}
