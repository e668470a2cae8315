#![cfg_attr(fuzzing, no_main)]
//! Packet captures, and the streams that are made of their segments.
//!
//! ```text
//! | what u8 | ... |               what modulo 2:
//! 0 file:     | bit 0: cut, bit 1: one port u8 | chunk u8 | pcap, pcapng or gzip of them |
//! 1 segments: | first number u32 | order: length u8, each a segment's number | the stream |
//! ```
//!
//! A capture gives the same events however its file is read: a connection's opening comes before all its other events, and
//! its close behind them; of a damaged gzip file, as many as could be unpacked. Segments in any order, doubled and
//! overlapping, give the stream that they were cut from.
//!
//! Not searched in CI: see LAWS.md.

use std::collections::{BTreeMap, VecDeque};
use std::io::{Cursor, Read};
use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use examples::capture::tcp::{Segment, Table};
use examples::capture::{End, Event, EventKind, Options, Packets, Sender};
use fuzz::Input;

fuzz::target!(check);

/// What an input costs is bounded: gzip makes much of little.
const EVENTS: usize = 10_000;

const GZIP: &[u8] = &[0x1f, 0x8b];

/// A file that is read in pieces.
struct Slow(Cursor<Vec<u8>>, usize);

impl Read for Slow {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let most = out.len().min(self.1);
        self.0.read(&mut out[..most])
    }
}

fn events(bytes: &[u8], chunk: usize, options: &Options) -> (Vec<Event>, Option<String>) {
    let file = Slow(Cursor::new(bytes.to_vec()), chunk);
    let mut found = Vec::new();
    let mut packets = match Packets::read(Path::new("capture"), file, options) {
        Ok(packets) => packets,
        Err(error) => return (found, Some(error.to_string())),
    };
    while found.len() < EVENTS {
        match packets.event() {
            Ok(Some(event)) => found.push(event),
            Ok(None) => return (found, None),
            Err(error) => return (found, Some(error.to_string())),
        }
    }
    (found, None)
}

/// The events of each connection begin with its opening and stop with its end.
fn order(events: &[Event], whole: bool) {
    let mut open: BTreeMap<u64, [bool; 2]> = BTreeMap::new();
    let mut next = 0;
    for event in events {
        match &event.kind {
            EventKind::Opened(_) => {
                assert_eq!(event.connection, next, "they are counted");
                next += 1;
                open.insert(event.connection, [false; 2]);
            }
            EventKind::Data(sender, bytes) => {
                assert!(!bytes.is_empty() && !open[&event.connection][*sender as usize]);
            }
            EventKind::Ended(sender, _) => {
                let ended = &mut open.get_mut(&event.connection).expect("it was opened")[*sender as usize];
                assert!(!std::mem::replace(ended, true), "it ends once");
            }
            EventKind::Closed => assert_eq!(open.remove(&event.connection), Some([true; 2])),
        }
    }
    assert!(!whole || open.is_empty(), "each is closed in the end");
}

fn file(mut input: Input<'_>) {
    let (bits, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    let options = Options {
        port: (bits & 2 != 0).then_some(5900),
        cut: bits & 1 != 0,
    };
    let bytes = input.rest();
    let whole = events(bytes, usize::MAX, &options);
    let pieces = events(bytes, chunk, &options);
    if bytes.starts_with(GZIP) {
        // What was unpacked together with the place where gzip is damaged is lost.
        let told = pieces.0.len().min(whole.0.len());
        assert_eq!(pieces.0[..told], whole.0[..told]);
        assert_eq!(pieces.1.is_some(), whole.1.is_some());
    } else {
        assert_eq!(pieces, whole);
    }
    order(&whole.0, whole.1.is_none() && whole.0.len() < EVENTS);
}

fn segments(mut input: Input<'_>) {
    let first = u32::from_le_bytes([input.byte(), input.byte(), input.byte(), input.byte()]);
    let order_of = input.short_blob();
    let stream = input.rest();
    let stream = &stream[..stream.len().min(2048)];
    let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
    let (client, server) = (address(1000), address(5900));
    let segment = |sequence: u32, payload: &[u8]| Segment {
        from: client,
        to: server,
        sequence,
        syn: false,
        ack: true,
        fin: false,
        rst: false,
        payload: Bytes::copy_from_slice(payload),
    };
    let (mut table, mut events) = (Table::new(Some(5900)), VecDeque::new());
    let syn = Segment {
        syn: true,
        ack: false,
        ..segment(first, b"")
    };
    table.segment(None, syn, &mut events);
    // Cut at any place, seven bytes overlapping, in the order that the input says; then all of them once more.
    let pieces = stream.len().div_ceil(16);
    let piece = |at: usize| {
        let (from, to) = (16 * at, stream.len().min(16 * at + 23));
        segment(first.wrapping_add(1).wrapping_add(from as u32), &stream[from..to])
    };
    for at in order_of
        .iter()
        .map(|at| usize::from(*at))
        .filter(|at| *at < pieces)
        .chain(0..pieces)
    {
        table.segment(None, piece(at), &mut events);
    }
    let fin = Segment {
        fin: true,
        ..segment(first.wrapping_add(1).wrapping_add(stream.len() as u32), b"")
    };
    table.segment(None, fin, &mut events);
    table.end(&mut events);
    let events: Vec<Event> = events.into();
    order(&events, true);
    let mut found = Vec::new();
    for event in &events {
        match &event.kind {
            EventKind::Data(Sender::Client, bytes) => found.extend_from_slice(bytes),
            EventKind::Ended(Sender::Client, end) => assert_eq!(*end, End::Closed),
            EventKind::Data(Sender::Server, _) => panic!("it said nothing"),
            _ => {}
        }
    }
    assert_eq!(found, stream);
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 2 {
        0 => file(input),
        _ => segments(input),
    }
}
