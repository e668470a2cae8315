#![cfg_attr(fuzzing, no_main)]
//! The data stage as messages: tokio's codecs, the writer, and what a proxy does between frames.
//!
//! ```text
//! | channel u8 | bit 0: full headers, bit 1: from the client, bits 2 to 4: what becomes of frames | chunk u8 | stream |
//! ```
//!
//! A codec finds what `FrameReader` finds, in any pieces. What is written is read again, with serials that count from 1.
//! A forwarder that discards, inserts and replaces leaves a stream that can be read. Records end where messages do.
//!
//! Not searched in CI: see LAWS.md.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::{ClientMessage, ServerMessage};
use spice_proto::codec::{CodecError, FrameCodec, MessageCodec};
use spice_proto::frame::{Body, Frame, FrameDecision, FrameForwarder, FrameReader, HeaderForm, RecordSplitter, Writer};
use spice_proto::ids::ChannelType;
use tokio_util::codec::{Decoder, Encoder};

use fuzz::Input;

fuzz::target!(check);

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default().with_frame_body(1 << 10).with_passed_body(1 << 12)
}

/// All that a decoder gives, and its error as text.
fn decoded<D: Decoder<Error = CodecError>>(
    mut codec: D,
    stream: &[u8],
    chunk: usize,
) -> (Vec<D::Item>, Option<String>) {
    let (mut rx, mut items) = (BytesMut::new(), Vec::new());
    for piece in stream.chunks(chunk) {
        rx.extend_from_slice(piece);
        loop {
            match codec.decode(&mut rx) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error.to_string())),
            }
        }
        assert!(rx.len() <= (1 << 10) + 18 + chunk, "no more is held than a frame");
    }
    (items, None)
}

fn frames(stream: &[u8], form: HeaderForm, chunk: usize) {
    let mut reader = FrameReader::new(form, &limits());
    let (mut rx, mut expected) = (BytesMut::from(stream), Vec::new());
    let error = loop {
        match reader.decode(&mut rx) {
            Ok(Some(frame)) => expected.push(frame),
            Ok(None) => break None,
            Err(error) => break Some(error.to_string()),
        }
    };
    let found = decoded(FrameCodec::new(form, &limits()), stream, chunk);
    assert_eq!(found, (expected.clone(), error));
    // Written again: the same messages, numbered anew.
    let mut codec = FrameCodec::new(form, &limits());
    let (mut tx, mut written) = (BytesMut::new(), Vec::new());
    for frame in expected {
        let before = tx.len();
        let lists = frame.header.sub_list != 0;
        match codec.encode(frame.clone(), &mut tx) {
            Ok(()) => written.push(frame),
            Err(_) => assert!(form == HeaderForm::Mini && lists && tx.len() == before),
        }
    }
    let (again, error) = decoded(FrameCodec::new(form, &limits()), &tx, chunk);
    assert_eq!((again.len(), error), (written.len(), None));
    for (at, (one, other)) in written.iter().zip(&again).enumerate() {
        assert_eq!((one.header.number, &one.body), (other.header.number, &other.body));
        let serial = if form == HeaderForm::Full {
            at as u64 + 1
        } else {
            other.header.serial
        };
        assert_eq!(other.header.serial, serial);
    }
    records(&tx, form, &again);
}

/// In any pieces, a record ends where a message ends, and nowhere else if it has all of it.
fn records(tx: &[u8], form: HeaderForm, frames: &[Frame]) {
    let mut splitter = RecordSplitter::new(form, 3);
    let stream = [b"end", tx].concat();
    let (mut left, mut ends) = (&stream[..], Vec::new());
    while !left.is_empty() {
        let taken = splitter.take(left);
        assert!(0 < taken && taken <= left.len(), "progress");
        left = &left[taken..];
        ends.push(stream.len() - left.len());
    }
    let mut at = 3;
    let mut expected = vec![3];
    expected.extend(frames.iter().map(|frame| {
        at += form.len() + frame.body.len();
        at
    }));
    assert_eq!(ends, expected);
}

fn on_the_wire(message: &impl Body) -> (u16, BytesMut) {
    let mut body = BytesMut::new();
    message.encode(&mut body).expect("it was written");
    (message.number(), body)
}

macro_rules! messages {
    ($name:ident, $codec:ident, $message:ty, $other:ident) => {
        fn $name(channel: ChannelType, form: HeaderForm, stream: &[u8], chunk: usize) {
            let codec = || MessageCodec::$codec(channel, form, &limits());
            let whole = decoded(codec(), stream, stream.len().max(1));
            assert_eq!(decoded(codec(), stream, chunk), whole);
            // What was read is what its peer writes.
            let (mut tx, mut writer) = (BytesMut::new(), MessageCodec::$other(channel, form, &limits()));
            let mut plain = Writer::new(form);
            let mut sent: Vec<$message> = Vec::new();
            for message in whole.0 {
                let (before, serial) = (tx.len(), plain.serial());
                let mut other = BytesMut::new();
                match writer.encode(message.clone(), &mut tx) {
                    Ok(()) => {
                        plain.write(&message, &mut other).expect("it was written");
                        assert_eq!((&other[..], plain.serial()), (&tx[before..], serial + 1));
                        sent.push(message);
                    }
                    Err(_) => assert_eq!(tx.len(), before, "a failed message leaves nothing"),
                }
            }
            let tx = tx.freeze();
            let again = decoded(codec(), &tx, tx.len().max(1));
            assert_eq!((again.0.len(), again.1), (sent.len(), None));
            for (one, other) in again.0.iter().zip(&sent) {
                // Unknown messages keep their headers, whose serials are counted anew.
                assert!(
                    one == other || one.is_unknown() && other.is_unknown(),
                    "{one:?}, not {other:?}"
                );
                assert_eq!(on_the_wire(one), on_the_wire(other));
            }
        }
    };
}
messages!(of_server, client, ServerMessage, server);
messages!(of_client, server, ClientMessage, client);

/// A proxy that takes some frames out, puts others in and changes some leaves frames that can be read.
fn forwarded(channel: ChannelType, form: HeaderForm, what: u8, stream: &[u8]) {
    let mut forwarder = FrameForwarder::new(channel, form, form, &limits());
    let (mut rx, mut tx, mut expected) = (BytesMut::from(stream), BytesMut::new(), Vec::new());
    for turn in 0.. {
        let mut seen = None;
        let held = forwarder.forward(&mut rx, &mut tx, |frame| {
            seen = Some((frame.header.number, frame.body.to_vec(), frame.header.sub_list));
            FrameDecision::Hold
        });
        let (Ok(_), Some((number, body, list))) = (held, seen) else {
            break;
        };
        let front = forwarder.front(&rx).expect("it is held");
        assert_eq!((front.header.number, front.body), (number, &body[..]));
        match (what.wrapping_add(turn)) % 4 {
            0 => forwarder.discard(&mut rx),
            1 => {
                forwarder.replace(number, b"other", &mut rx, &mut tx).expect("it fits");
                expected.push((number, b"other".to_vec()));
            }
            2 => {
                forwarder.insert(4, b"inserted", &mut tx).expect("it fits");
                expected.push((4, b"inserted".to_vec()));
                if forwarder.forward_front(&mut rx, &mut tx).is_err() {
                    break;
                }
                expected.push((number, body));
            }
            _ => {
                if forwarder.forward_front(&mut rx, &mut tx).is_err() {
                    break;
                }
                expected.push((number, body));
            }
        }
        // A list has its parts behind one header, so with these headers it stays whole.
        let _ = list;
    }
    let mut reader = FrameReader::new(form, &Limits::default());
    for (number, body) in expected {
        let frame = reader
            .decode(&mut tx)
            .expect("what went out can be read")
            .expect("it is whole");
        assert_eq!((frame.header.number, &frame.body[..]), (number, &body[..]));
    }
    assert!(tx.is_empty());
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (channel, bits, chunk) = (
        ChannelType(input.byte()),
        input.byte(),
        usize::from(input.byte()).max(1),
    );
    let form = if bits & 1 == 0 {
        HeaderForm::Mini
    } else {
        HeaderForm::Full
    };
    let stream = input.rest();
    frames(stream, form, chunk);
    match bits & 2 {
        0 => of_server(channel, form, stream, chunk),
        _ => of_client(channel, form, stream, chunk),
    }
    forwarded(channel, form, bits >> 2, stream);
}
