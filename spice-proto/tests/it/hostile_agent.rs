//! Agent messages and streams, fed every prefix, every single-byte mutation and random changes of what was
//! recorded: no panic, no allocation above the limits, typed errors that stay, the same result in any pieces.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{
    Agreed, Assembler, Filter, FilterDecision, Frame, Message, MessageHeader, Receiver, Stream, caps,
};
use spice_proto::{DecodeError, Limits};

use crate::agent::{bytes_of, frame, modern, vectors};
use crate::agent_captures::{Main, frames, main_channels, own_main_channels};
use crate::changed::changed;
use crate::recordings::Rows;

/// Of each type and size one recorded message, and one of each by hand.
fn messages(mains: &[Main]) -> Vec<Frame> {
    let mut known = BTreeSet::new();
    let mut all: Vec<Frame> = vectors()
        .into_iter()
        .map(|(_, data, message)| frame(message.message_type(), &data))
        .collect();
    for main in mains {
        for bodies in [main.of_client(), main.of_server()] {
            all.extend(frames(&bodies, Receiver::Client));
        }
    }
    all.retain(|frame| frame.data.len() < 1000 && known.insert((frame.header.r#type, frame.data.len())));
    all
}

#[test]
fn hostile_agent_messages() {
    let (mut rows, mut sum) = (Rows::new(), [0, 0]);
    for original in messages(&main_channels()) {
        let name = format!("{:?} of {} bytes", original.header.r#type, original.data.len());
        let row = rows.row(&name, || change(&original)).unwrap_or_default();
        sum = [sum[0] + row[0], sum[1] + row[1]];
    }
    println!("{} hostile agent messages, {} decoded", sum[0], sum[1]);
    rows.end();
}

/// Every change of a message: gives how many there were, and how many decoded.
fn change(original: &Frame) -> [usize; 2] {
    let agreements = [
        Agreed::NOTHING,
        Agreed::of(&[caps::CLIPBOARD_SELECTION]),
        Agreed::of(&[caps::CLIPBOARD_GRAB_SERIAL]),
        modern(),
    ];
    let (mut runs, mut decoded) = (0, 0);
    let Frame { header, data } = original;
    // Only the forms of clipboard messages are a matter of agreement.
    let agreements = match header.r#type.0 {
        4 | 7..=9 => &agreements[..],
        _ => &agreements[..1],
    };
    changed(data, data.len() < 100, 1000, |what, data| {
        let frame = Frame {
            header: MessageHeader {
                size: data.len() as u32,
                ..*header
            },
            data: Bytes::copy_from_slice(data),
        };
        for &agreed in agreements {
            runs += 1;
            let mut ended = None;
            let allocated = allocation_counter::measure(|| ended = Some(Message::decode(&frame, agreed)));
            let bound = 16 * data.len() as u64 + 64;
            assert!(
                allocated.bytes_max <= bound,
                "{what}: {:?}: {} bytes",
                header.r#type,
                allocated.bytes_max
            );
            match ended.unwrap() {
                Err(error) => assert!(error.offset <= data.len(), "{what}: {error}"),
                Ok(message) => {
                    decoded += 1;
                    let again = message.to_frame().unwrap();
                    assert_eq!(again.data.len(), message.encoded_len());
                    assert_eq!(Message::decode(&again, agreed), Ok(message));
                }
            }
        }
    });
    [runs, decoded]
}

/// All types of messages are among those that are changed, whatever was recorded.
#[test]
fn messages_of_every_type_are_changed() {
    let types: BTreeSet<_> = messages(&[]).iter().map(|frame| frame.header.r#type).collect();
    assert_eq!(types.len(), 16);
    assert_eq!(types.first().map(|kind| kind.0), Some(1));
    let own: Vec<_> = messages(&own_main_channels());
    assert!(messages(&[]).len() < own.len());
}

/// What came out of a stream: messages, and the error that ended it.
type Ended = (Vec<Frame>, Option<DecodeError>);

/// Reads a stream in bodies of `size`. Whatever comes behind an error gives the same error again.
fn assemble(receiver: Receiver, limits: &Limits, bytes: &[u8], size: usize) -> Ended {
    let mut assembler = Assembler::new(receiver, limits);
    let (mut found, mut ended) = (Vec::new(), None);
    let bytes = Bytes::copy_from_slice(bytes);
    for start in (0..bytes.len()).step_by(size.max(1)) {
        let body = bytes.slice(start..bytes.len().min(start + size));
        for frame in assembler.frames(&body) {
            match (frame, ended) {
                (Ok(frame), None) => found.push(frame),
                (Err(error), None) => ended = Some(error),
                (Err(error), Some(first)) => assert_eq!(error, first),
                (Ok(frame), Some(error)) => panic!("{frame:?} behind {error}"),
            }
        }
    }
    (found, ended)
}

#[test]
fn hostile_agent_streams() {
    // Small enough to be reached.
    let limits = Limits::default().with_agent_message(200).with_passed_body(200);
    let stream: Vec<u8> = messages(&main_channels())
        .iter()
        .filter(|frame| frame.data.len() < 40)
        .flat_map(bytes_of)
        .collect();
    let (mut rows, mut sum) = (Rows::new(), [0, 0]);
    // In rows that are no longer than those of the copy in `tests/data`.
    for part in stream.chunks(800) {
        let row = rows
            .row("a stream", || change_stream(part, &limits))
            .unwrap_or_default();
        sum = [sum[0] + row[0], sum[1] + row[1]];
    }
    println!("{} hostile agent streams, {} ended by an error", sum[0], sum[1]);
    assert!(0 < sum[1] && sum[1] < sum[0]);
    rows.end();
}

/// Every change of a stream: gives how many there were, and how many ended by an error.
fn change_stream(stream: &[u8], limits: &Limits) -> [usize; 2] {
    let (mut runs, mut failed) = (0, 0);
    changed(stream, false, 4000, |what, bytes| {
        runs += 1;
        let mut ended: Option<Ended> = None;
        let allocated = allocation_counter::measure(|| {
            ended = Some(assemble(Receiver::Client, limits, bytes, bytes.len()));
        });
        // Each message keeps its own bytes at the most; the body itself was copied.
        let bound = 8 * bytes.len() as u64 + 4096;
        assert!(allocated.bytes_max <= bound, "{what}: {} bytes", allocated.bytes_max);
        let (found, error) = ended.unwrap();
        failed += usize::from(error.is_some());
        for size in [1, 7, 100] {
            let (other, other_error) = assemble(Receiver::Client, limits, bytes, size);
            assert_eq!(other, found, "{what}: in bodies of {size}");
            assert_eq!(
                other_error.map(|error| error.kind),
                error.map(|error| error.kind),
                "{what}"
            );
        }
        // A strict receiver stops at the latest where a lenient one does.
        for receiver in [Receiver::Server, Receiver::Guest] {
            let (strict, _) = assemble(receiver, limits, bytes, 100);
            assert!(found.starts_with(&strict), "{what}: {receiver:?}");
        }
        // What a filter lets pass is what was there; what it drops is gone.
        for (size, verdict) in [
            (bytes.len(), FilterDecision::Pass),
            (9, FilterDecision::Pass),
            (9, FilterDecision::Drop),
        ] {
            let mut filter = Filter::new(Receiver::Client, limits);
            let mut passed = Vec::new();
            for body in bytes.chunks(size.max(1)) {
                let mut dst = BytesMut::new();
                match filter.pass(body, &mut dst, |_| verdict) {
                    Ok(spice_proto::agent::Passage::Whole) => passed.extend(body),
                    Ok(_) => passed.extend(&dst),
                    Err(_) => assert!(error.is_some() && dst.is_empty()),
                }
            }
            assert!(bytes.starts_with(&passed), "{what}");
            assert!(verdict == FilterDecision::Pass || passed.is_empty(), "{what}");
        }
    });
    [runs, failed]
}

#[test]
fn hostile_chunks() {
    let mut bytes = BytesMut::new();
    for frame in messages(&[]).iter().take(8) {
        let chunk = Chunk {
            port: spice_proto::ids::AgentPort::CLIENT,
            data: bytes_of(frame).into(),
        };
        chunk.encode(&mut bytes).unwrap();
    }
    changed(&bytes.freeze(), false, 2000, |what, bytes| {
        let mut src = BytesMut::from(bytes);
        let mut again = BytesMut::new();
        while let Ok(Some(chunk)) = Chunk::decode(&mut src) {
            chunk.encode(&mut again).unwrap();
        }
        assert_eq!([&again[..], &src].concat(), bytes, "{what}");
    });
}

/// 4 MiB of the smallest messages in one body, and the same byte by byte, are read in a run each.
#[test]
fn many_small_messages() {
    let head = bytes_of(&frame(spice_proto::ids::AgentMessageType(0), &[]));
    let count = (4 << 20) / head.len();
    let body = Bytes::from(head.repeat(count));
    let mut assembler = Assembler::new(Receiver::Client, &Limits::default());
    assert_eq!(assembler.frames(&body).count(), count);
    let mut stream = Stream::new(Receiver::Client, &Limits::default());
    assert_eq!(
        body.chunks(1).map(|byte| stream.parts(byte).count()).sum::<usize>(),
        count
    );
}
