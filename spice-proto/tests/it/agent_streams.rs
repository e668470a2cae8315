//! Streams of agent messages: what each receiver accepts, limits, pieces, and the chunks of the serial port.

use bytes::{Bytes, BytesMut};
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{Assembler, Clipboard, MAX_DATA, Message, Pieces, Receiver, Stream};
use spice_proto::ids::{AgentMessageType, AgentPort, ClipboardType};
use spice_proto::{DecodeError, Limits};

use crate::agent::{bytes_of, frame};

/// A message that takes more than one body, as one run of bytes.
fn long_message() -> Vec<u8> {
    let data: Vec<u8> = (0..5000_u32).map(|n| n as u8).collect();
    bytes_of(&frame(AgentMessageType::CLIPBOARD, &data))
}

/// What a receiver makes of these bodies: the sizes of whole messages, or the error and the body that it is in.
fn read(receiver: Receiver, bodies: &[&[u8]]) -> Result<Vec<usize>, (usize, String)> {
    let mut assembler = Assembler::new(receiver, &Limits::default());
    let mut sizes = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        let body = Bytes::copy_from_slice(body);
        for frame in assembler.frames(&body) {
            let frame = frame.map_err(|error| (n, error.to_string()))?;
            assert_eq!(frame.header.size as usize, frame.data.len());
            sizes.push(frame.data.len());
        }
    }
    Ok(sizes)
}

#[test]
fn what_each_receiver_accepts() {
    let short = bytes_of(&frame(AgentMessageType::MAX_CLIPBOARD, &[0; 4]));
    let empty = bytes_of(&frame(AgentMessageType::CLIENT_DISCONNECTED, &[]));
    let long = long_message();
    let two = [&short[..], &empty].concat();
    let mut other_protocol = short.clone();
    other_protocol[0] = 2;
    let server = "MessageHeader.type at byte 4: truncated: needs 4 bytes, 3 left";
    let lost = "AgentData.data at byte 24: 44 is above the limit of 24";
    let large = "AgentData.data at byte 2048: 2049 is above the limit of 2048";
    type Case<'a> = (&'a str, Vec<&'a [u8]>, [Result<Vec<usize>, (usize, &'a str)>; 3]);
    let cases: Vec<Case<'_>> = vec![
        // name, bodies, then the server, the client, the guest
        ("one", vec![&short], [Ok(vec![4]), Ok(vec![4]), Ok(vec![4])]),
        ("no data", vec![&empty], [Ok(vec![0]), Ok(vec![0]), Ok(vec![0])]),
        (
            "cut behind the head",
            vec![&short[..20], &short[20..]],
            [Ok(vec![4]), Ok(vec![4]), Ok(vec![4])],
        ),
        (
            "cut in the head",
            vec![&short[..7], &short[7..]],
            [Err((0, server)), Ok(vec![4]), Ok(vec![4])],
        ),
        (
            "two in one",
            vec![&two],
            [Err((0, lost)), Ok(vec![4, 0]), Err((0, lost))],
        ),
        (
            "an end and a beginning",
            vec![&two[..10], &two[10..30], &two[30..]],
            [
                Err((0, "MessageHeader.opaque at byte 8: truncated: needs 8 bytes, 2 left")),
                Ok(vec![4, 0]),
                Err((1, "AgentData.data at byte 14: 20 is above the limit of 14")),
            ],
        ),
        (
            "another protocol",
            vec![&other_protocol],
            [
                Err((0, "MessageHeader.protocol at byte 0: not the agent protocol 1")),
                Ok(vec![4]),
                Ok(vec![4]),
            ],
        ),
        (
            "2048 bytes",
            vec![&long[..2048], &long[2048..4096], &long[4096..]],
            [Ok(vec![5000]), Ok(vec![5000]), Ok(vec![5000])],
        ),
        (
            "2049 bytes",
            vec![&long[..2049], &long[2049..4097], &long[4097..]],
            [Err((0, large)), Ok(vec![5000]), Err((0, large))],
        ),
        (
            "an empty body in a message",
            vec![&long[..2048], &[], &long[2048..4096], &long[4096..]],
            [Ok(vec![5000]), Ok(vec![5000]), Ok(vec![5000])],
        ),
        (
            "an empty body between messages",
            vec![&[], &short],
            [
                Err((0, "MessageHeader.protocol at byte 0: truncated: needs 4 bytes, 0 left")),
                Ok(vec![4]),
                Ok(vec![4]),
            ],
        ),
    ];
    for (name, bodies, expected) in cases {
        for (receiver, expected) in [Receiver::Server, Receiver::Client, Receiver::Guest]
            .into_iter()
            .zip(expected)
        {
            let expected = expected.map_err(|(body, text)| (body, text.to_owned()));
            assert_eq!(read(receiver, &bodies), expected, "{name}: {receiver:?}");
        }
    }
}

#[test]
fn limits_and_one_more() {
    let message = long_message();
    let limits = |limit| Limits::default().with_agent_message(limit).with_passed_body(limit);
    for receiver in [Receiver::Server, Receiver::Client, Receiver::Guest] {
        let first = Bytes::copy_from_slice(&message[..2048]);
        let mut assembler = Assembler::new(receiver, &limits(5000));
        assert_eq!(assembler.frames(&first).count(), 0);
        assert!(assembler.is_inside());
        let mut stream = Stream::new(receiver, &limits(5000));
        assert_eq!(stream.parts(&first).count(), 1);

        let text = "MessageHeader.size at byte 16: 5000 is above the limit of 4999";
        let mut assembler = Assembler::new(receiver, &limits(4999));
        let mut stream = Stream::new(receiver, &limits(4999));
        for _ in 0..2 {
            // An error stays, whatever comes.
            let errors: Vec<DecodeError> = assembler.frames(&first).map(|frame| frame.unwrap_err()).collect();
            assert_eq!(errors.len(), 1);
            assert_eq!(errors[0].to_string(), text);
            assert_eq!(stream.parts(&first).next(), Some(Err(errors[0])));
            assembler.reset();
            stream.reset();
        }
    }
}

#[test]
fn an_iterator_that_is_dropped_keeps_the_stream_in_step() {
    let short = bytes_of(&frame(AgentMessageType::MAX_CLIPBOARD, &[0; 4]));
    let body = Bytes::from([&short[..], &short, &short[..9]].concat());
    let mut assembler = Assembler::new(Receiver::Client, &Limits::default());
    let mut stream = Stream::new(Receiver::Client, &Limits::default());
    assert!(assembler.frames(&body).next().is_some());
    drop(stream.parts(&body));
    let rest = Bytes::copy_from_slice(&short[9..]);
    assert_eq!(assembler.frames(&rest).count(), 1);
    assert_eq!(stream.parts(&rest).count(), 1);
    assert!(!assembler.is_inside() && !stream.is_inside());
}

#[test]
fn a_new_agent_starts_a_new_stream() {
    let short = bytes_of(&frame(AgentMessageType::MAX_CLIPBOARD, &[0; 4]));
    for cut in [5, 20, 22] {
        for receiver in [Receiver::Client, Receiver::Guest] {
            let mut assembler = Assembler::new(receiver, &Limits::default());
            assert_eq!(assembler.frames(&Bytes::copy_from_slice(&short[..cut])).count(), 0);
            assert!(assembler.is_inside());
            assembler.reset();
            assert!(!assembler.is_inside());
            assert_eq!(assembler.frames(&Bytes::copy_from_slice(&short)).count(), 1);
        }
    }
    // A server wants the rest.
    let mut assembler = Assembler::new(Receiver::Server, &Limits::default());
    assert_eq!(assembler.frames(&Bytes::copy_from_slice(&short[..22])).count(), 0);
    assembler.reset();
    assert!(assembler.is_inside());
    assert_eq!(read_one(&mut assembler, &short[22..])[..], [0; 4]);
}

fn read_one(assembler: &mut Assembler, body: &[u8]) -> Bytes {
    let body = Bytes::copy_from_slice(body);
    assembler.frames(&body).last().unwrap().unwrap().data
}

/// A message in one body is a slice of it; one in several takes no more than its own size and the half that
/// it outgrew.
#[test]
fn what_is_held() {
    let body = Bytes::from(bytes_of(&frame(AgentMessageType::CLIPBOARD, &[7; 1000])));
    let mut assembler = Assembler::new(Receiver::Server, &Limits::default());
    let whole = assembler.frames(&body).last().unwrap().unwrap();
    assert_eq!(whole.data.as_ptr(), body[20..].as_ptr());

    let size = 300_000;
    let bytes = Bytes::from(bytes_of(&frame(AgentMessageType::CLIPBOARD, &vec![7; size])));
    let bodies: Vec<Bytes> = (0..bytes.len())
        .step_by(MAX_DATA)
        .map(|at| bytes.slice(at..bytes.len().min(at + MAX_DATA)))
        .collect();
    let allocated = allocation_counter::measure(|| {
        let mut found = 0;
        for body in &bodies {
            found += assembler
                .frames(body)
                .filter(|frame| frame.as_ref().unwrap().data.len() == size)
                .count();
        }
        assert_eq!(found, 1);
    });
    assert!(allocated.bytes_max <= size as u64 * 2, "{} bytes", allocated.bytes_max);
    assert!(allocated.count_total <= 20, "{} allocations", allocated.count_total);

    // A size that is only announced takes nothing.
    let mut announced = bytes_of(&frame(AgentMessageType::CLIPBOARD, &[7; 100]));
    announced[16..20].copy_from_slice(&(16_u32 << 20).to_le_bytes());
    let announced = Bytes::from(announced);
    let allocated = allocation_counter::measure(|| assert_eq!(assembler.frames(&announced).count(), 0));
    assert_eq!(allocated.bytes_total, 100);
    // Without holding anything a stream needs no memory at all.
    let mut stream = Stream::new(Receiver::Server, &Limits::default());
    let allocated = allocation_counter::measure(|| {
        for body in &bodies {
            assert!(stream.parts(body).all(|part| part.is_ok()));
        }
    });
    assert_eq!(allocated.bytes_total, 0);
}

#[test]
fn pieces_are_what_every_receiver_takes() {
    for size in [0, 1, 2027, 2028, 2029, 4076, 4077, 10_000] {
        let message = Message::Clipboard(Clipboard {
            selection: None,
            r#type: ClipboardType::NONE,
            data: vec![3; size].into(),
        });
        let pieces = Pieces::new(&message).unwrap();
        let total = 20 + 4 + size;
        assert_eq!(pieces.len(), total.div_ceil(MAX_DATA));
        let bodies: Vec<Bytes> = pieces.collect();
        let (last, full) = bodies.split_last().unwrap();
        assert!(full.iter().all(|body| body.len() == MAX_DATA) && !last.is_empty() && last.len() <= MAX_DATA);
        assert_eq!(bodies.concat().len(), total);
        let bodies: Vec<&[u8]> = bodies.iter().map(|body| &body[..]).collect();
        for receiver in [Receiver::Server, Receiver::Client, Receiver::Guest] {
            assert_eq!(read(receiver, &bodies), Ok(vec![4 + size]));
        }
    }
}

#[test]
fn chunks() {
    let bytes = [
        0x01, 0x00, 0x00, 0x00, // port: client
        0x03, 0x00, 0x00, 0x00, // size
        0x61, 0x62, 0x63, // data
        0x02, 0x00, 0x00, 0x00, // port: server
        0x00, 0x00, 0x00, 0x00, // size
    ];
    let chunks = [
        Chunk {
            port: AgentPort::CLIENT,
            data: Bytes::from_static(b"abc"),
        },
        Chunk {
            port: AgentPort::SERVER,
            data: Bytes::new(),
        },
    ];
    let mut out = BytesMut::new();
    for chunk in &chunks {
        chunk.encode(&mut out).unwrap();
    }
    assert_eq!(out[..], bytes);
    // Byte by byte: a chunk comes with its last byte.
    let (mut src, mut found) = (BytesMut::new(), Vec::new());
    for (n, byte) in bytes.iter().enumerate() {
        src.extend_from_slice(&[*byte]);
        while let Some(chunk) = Chunk::decode(&mut src).unwrap() {
            found.push((n, chunk));
        }
    }
    let [first, second] = chunks;
    assert_eq!(found, [(10, first), (18, second)]);
    assert!(src.is_empty());
}

#[test]
fn chunks_have_a_limit() {
    for (size, fits) in [(2048, true), (2049, false)] {
        let chunk = Chunk {
            port: AgentPort(77),
            data: vec![0; size].into(),
        };
        let mut out = BytesMut::from(&b"before"[..]);
        assert_eq!(chunk.encode(&mut out).is_ok(), fits);
        assert_eq!(out.len(), if fits { 6 + 8 + size } else { 6 });
        let mut src = BytesMut::from(&[77, 0, 0, 0][..]);
        src.extend_from_slice(&(size as u32).to_le_bytes());
        match Chunk::decode(&mut src) {
            Ok(None) => assert!(fits),
            Err(error) => {
                assert!(!fits);
                let text = "ChunkHeader.size at byte 4: 2049 is above the limit of 2048";
                assert_eq!(error.to_string(), text);
            }
            Ok(chunk) => panic!("{chunk:?}"),
        }
    }
}
