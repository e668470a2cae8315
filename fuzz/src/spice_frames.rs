//! Streams of SPICE frames: taken apart, and passed on with the same or other headers.
//!
//! ```text
//! | forms u8 | chunk u8 | stream |
//! ```
//!
//! ```text
//! forms: bit 0: full headers come, 1: full headers go, 2: over a UNIX socket, 3: a cursor channel, 4: large bodies pass,
//!        5: they are held
//! ```

use bytes::BytesMut;
use spice_proto::frame::{FrameDecision, FrameForwarder, FrameReader, HeaderForm, SubMessages};
use spice_proto::ids::ChannelType;
use spice_proto::{DecodeError, Limits};

use crate::Input;
use crate::shown::logged;

/// What came out of a stream.
#[derive(Debug, PartialEq)]
struct Passed {
    out: Vec<u8>,
    seen: Vec<(u16, u32)>,
    error: Option<DecodeError>,
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (forms, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    let form = |full: bool| if full { HeaderForm::Full } else { HeaderForm::Mini };
    let (from, to) = (form(forms & 1 != 0), form(forms & 2 != 0));
    let unix = forms & 4 != 0;
    // Lists of a display channel are cut by the counts in them.
    let channel = if forms & 8 == 0 {
        ChannelType::DISPLAY
    } else {
        ChannelType::CURSOR
    };
    let stream = input.rest();
    // Small enough to be reached.
    let passed = if forms & 16 == 0 { 1 << 12 } else { 1 << 20 };
    let held = if forms & 32 == 0 { 1 << 10 } else { 1 << 20 };
    let limits = Limits::default().with_frame_body(held).with_passed_body(passed);
    let most = held.max(1 << 12) as usize;

    let forwarder = || {
        let forwarder = FrameForwarder::new(channel, from, to, &limits);
        if unix { forwarder.with_descriptors() } else { forwarder }
    };
    let whole = pass(forwarder(), stream, stream.len().max(1), most);
    let mut in_parts = pass(forwarder(), stream, chunk, most);
    if whole.error.is_some() {
        // What stood in front of an error has gone out in any chunking, or is still held.
        in_parts.out.truncate(whole.out.len());
    }
    assert_eq!(in_parts, whole);
    if from == to {
        assert!(stream.starts_with(&whole.out));
    }
    assert!(
        whole.out.len() <= 4 * stream.len() + 18,
        "a stream does not grow beyond its headers"
    );

    let mut splitter = FrameReader::new(from, &limits);
    if unix {
        splitter = splitter.with_descriptors();
    }
    let mut rx = BytesMut::from(stream);
    let (mut at_once, mut held) = (Vec::new(), BytesMut::new());
    for piece in stream.chunks(chunk) {
        held.extend_from_slice(piece);
        while let Ok(frames) = splitter.split(&mut held) {
            let before = at_once.len();
            let borrowed: Vec<_> = frames.frames().map(|frame| frame.to_frame()).collect();
            assert_eq!(frames.clone().collect::<Vec<_>>(), borrowed, "as slices and as frames");
            at_once.extend(frames.map(|frame| (frame.header.number, frame.header.size)));
            if at_once.len() == before {
                break;
            }
        }
    }
    let mut owned = Vec::new();
    while let Ok(Some(frame)) = splitter.decode(&mut rx) {
        let subs = SubMessages::new(&frame.body, frame.header.sub_list);
        // What a frame holds is not shown.
        logged(&subs, 0);
        let of_frame = SubMessages::of(&frame).map(|subs| subs.map_or(0, Iterator::count));
        let count = subs.map_or(0, Iterator::count);
        assert!(count <= frame.body.len() && of_frame.is_none_or(|all| all == count));
        let len = frame.header.frame_len(from);
        assert_eq!(len, (frame.body.len() + from.len()) as u64);
        owned.push((frame.header.number, frame.header.size));
    }
    assert_eq!(at_once, owned, "all at once, in pieces, and one by one");
    let (mut borrowed, mut left) = (Vec::new(), stream);
    loop {
        // Over a UNIX socket it ends behind each byte that carries descriptors.
        let mut frames = splitter.frames(left);
        borrowed.extend(frames.by_ref().map(|frame| (frame.header.number, frame.header.size)));
        if frames.taken() == 0 {
            break;
        }
        left = &left[frames.taken()..];
    }
    assert!(
        borrowed.starts_with(&owned),
        "both ways find the same frames, up to the limit of what is held"
    );
}

fn pass(mut forwarder: FrameForwarder, stream: &[u8], chunk: usize, most: usize) -> Passed {
    let (mut rx, mut out) = (BytesMut::new(), Vec::new());
    let mut seen = Vec::new();
    let mut error = None;
    'stream: for piece in stream.chunks(chunk) {
        rx.extend_from_slice(piece);
        // It stops behind each byte that carries descriptors.
        loop {
            let (mut tx, before) = (BytesMut::new(), seen.len());
            let passed = forwarder.forward(&mut rx, &mut tx, |frame| {
                seen.push((frame.header.number, frame.header.size));
                FrameDecision::Forward
            });
            out.extend_from_slice(&tx);
            if let Err(found) = passed {
                error = Some(found);
                break 'stream;
            }
            if seen.len() == before {
                break;
            }
        }
        assert!(rx.len() <= most + 18 + chunk, "no more is held than a frame");
    }
    assert!(seen.len() as u64 >= forwarder.forwarded());
    Passed { out, seen, error }
}
