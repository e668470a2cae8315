//! What a forwarder does with frames that do not simply go on.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::common::{ClientMessage, ServerMessage};
use spice_proto::frame::{Forwarded, FrameDecision, FrameForwarder, FrameReader, Header, HeaderForm};
use spice_proto::ids::ChannelType;

const FORMS: [HeaderForm; 2] = [HeaderForm::Mini, HeaderForm::Full];
/// More than is held.
const LARGE: usize = 100_000;

/// A stream of bodies, with this number each.
fn stream(form: HeaderForm, messages: &[(u16, usize)]) -> BytesMut {
    let mut bytes = BytesMut::new();
    for (serial, (number, size)) in (1..).zip(messages) {
        let header = Header {
            serial,
            number: *number,
            size: *size as u32,
            sub_list: 0,
        };
        header.write(form, &mut bytes);
        bytes.resize(bytes.len() + size, *number as u8);
    }
    bytes
}

/// Number, size and serial of each frame, which are whole.
fn read(form: HeaderForm, bytes: &[u8]) -> Vec<(u16, u32, u64)> {
    let reader = FrameReader::new(form, &Limits::default());
    let mut frames = reader.frames(bytes);
    let found = frames.by_ref().map(|frame| {
        assert!(frame.body.iter().all(|byte| u16::from(*byte) == frame.header.number));
        (frame.header.number, frame.header.size, frame.header.serial)
    });
    let found = found.collect();
    assert_eq!(frames.taken(), bytes.len());
    found
}

fn serials(form: HeaderForm, messages: &[(u16, u32)]) -> Vec<(u16, u32, u64)> {
    let serial = |at: u64| if form == HeaderForm::Full { at } else { 0 };
    (1..)
        .map(serial)
        .zip(messages)
        .map(|(serial, (number, size))| (*number, *size, serial))
        .collect()
}

/// What is done with the frame that is held.
#[derive(Debug, Clone, Copy, PartialEq)]
enum With {
    Forward,
    Replace,
    Discard,
    InsertBefore,
}

/// Every way to deal with a frame, of every size, in chunks of every length: no other frame changes, and serials count on.
#[test]
fn frames_that_are_held() {
    for (from, to) in FORMS.into_iter().flat_map(|from| FORMS.map(|to| (from, to))) {
        for (with, size) in [With::Forward, With::Replace, With::Discard, With::InsertBefore]
            .into_iter()
            .flat_map(|with| [0, 9, LARGE].map(|size| (with, size)))
        {
            for chunk in [7, 4096, usize::MAX] {
                let bytes = stream(from, &[(20, 3), (21, size), (22, LARGE), (23, 0)]);
                let mut forwarder = FrameForwarder::new(ChannelType::DISPLAY, from, to, &Limits::default());
                let (mut src, mut dst, mut done) = (BytesMut::new(), BytesMut::new(), false);
                for part in bytes.chunks(chunk.min(bytes.len())) {
                    src.extend_from_slice(part);
                    loop {
                        let stopped = forwarder.forward(&mut src, &mut dst, |frame| {
                            let whole = frame.body.len() == frame.header.size as usize;
                            match frame.header.number {
                                21 if done => FrameDecision::Forward,
                                // To be forwarded it has to be there; to be left out it has not.
                                21 if with == With::Forward && !whole => FrameDecision::Whole,
                                21 => FrameDecision::Hold,
                                _ => FrameDecision::Forward,
                            }
                        });
                        match stopped.unwrap() {
                            Forwarded::NeedsInput => break,
                            Forwarded::Full => panic!("there is no bound"),
                            Forwarded::Held => {}
                        }
                        assert!(!done && forwarder.forwarded() == 1 && forwarder.is_between_frames());
                        match with {
                            With::Forward => {
                                assert_eq!(forwarder.front(&src).unwrap().header.number, 21);
                                forwarder.forward_front(&mut src, &mut dst).unwrap();
                            }
                            With::Replace => forwarder.replace(30, &[30; 2], &mut src, &mut dst).unwrap(),
                            With::Discard => forwarder.discard(&mut src),
                            With::InsertBefore => forwarder.insert(30, &[30; 2], &mut dst).unwrap(),
                        }
                        done = true;
                    }
                }
                let size = size as u32;
                let expected: &[(u16, u32)] = match with {
                    With::Forward => &[(20, 3), (21, size), (22, LARGE as u32), (23, 0)],
                    With::Replace => &[(20, 3), (30, 2), (22, LARGE as u32), (23, 0)],
                    With::Discard => &[(20, 3), (22, LARGE as u32), (23, 0)],
                    With::InsertBefore => &[(20, 3), (30, 2), (21, size), (22, LARGE as u32), (23, 0)],
                };
                let context = format!("{from:?} to {to:?}, {with:?} of {size} in {chunk}");
                assert!(src.is_empty(), "{context}");
                assert_eq!(read(to, &dst), serials(to, expected), "{context}");
                assert_eq!(forwarder.forwarded(), expected.len() as u64, "{context}");
            }
        }
    }
}

/// No more is moved than the receiver takes, in the middle of a body, too.
#[test]
fn a_receiver_that_is_slow_holds_the_sender_back() {
    for (from, to) in FORMS.into_iter().flat_map(|from| FORMS.map(|to| (from, to))) {
        let messages = [
            (ServerMessage::PING, LARGE),
            (ServerMessage::PING, 10),
            (ClientMessage::PONG, 10),
        ];
        let bytes = stream(from, &messages);
        let mut forwarder =
            FrameForwarder::new(ChannelType::DISPLAY, from, to, &Limits::default()).with_high_water(1000);
        let (mut src, mut dst, mut out) = (BytesMut::new(), BytesMut::new(), Vec::new());
        for part in bytes.chunks(700) {
            src.extend_from_slice(part);
            while forwarder.forward(&mut src, &mut dst, |_| FrameDecision::Forward) == Ok(Forwarded::Full) {
                assert!((1000..2500).contains(&dst.len()), "{}", dst.len());
                out.extend_from_slice(&dst.split());
            }
        }
        out.extend_from_slice(&dst);
        let sizes = messages.map(|(number, size)| (number, size as u32));
        assert_eq!(read(to, &out), serials(to, &sizes));
    }
}

/// A frame that has to be whole is bounded by what is held, one that has not by what is announced.
#[test]
fn what_has_to_be_whole_is_bounded() {
    let limits = Limits::default().with_frame_body(LARGE as u32 - 1);
    for form in FORMS {
        let bytes = stream(form, &[(20, LARGE)]);
        for (decision, passes) in [(FrameDecision::Forward, true), (FrameDecision::Whole, false)] {
            let mut forwarder = FrameForwarder::new(ChannelType::DISPLAY, form, form, &limits);
            let (mut src, mut dst) = (BytesMut::from(&bytes[..100]), BytesMut::new());
            let stopped = forwarder.forward(&mut src, &mut dst, |_| decision);
            assert_eq!(stopped.is_ok(), passes);
            assert_eq!(dst.is_empty(), !passes);
        }
    }
}
