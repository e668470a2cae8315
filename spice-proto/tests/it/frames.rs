//! Frames: splitting, lists, numbering, flow control, and passing from one header form to another.

use bytes::{BufMut, BytesMut};
use expect_test::expect;
use proptest::prelude::*;
use spice_proto::Limits;
use spice_proto::channel::main;
use spice_proto::frame::{
    AckCounter, AckWindow, Acknowledge, Frame, FrameDecision, FrameForwarder, FrameReader, Header, HeaderForm,
    SubMessages, Writer,
};
use spice_proto::ids::ChannelType;

use crate::frame_lists::draw_with_list;

pub(crate) const DISPLAY: ChannelType = ChannelType::DISPLAY;
const FORMS: [HeaderForm; 2] = [HeaderForm::Mini, HeaderForm::Full];

pub(crate) fn limits() -> Limits {
    Limits::default().with_frame_body(200_000).with_passed_body(1_000_000)
}

/// A stream of frames with these numbers and bodies.
pub(crate) fn stream(form: HeaderForm, messages: &[(u16, Vec<u8>)]) -> BytesMut {
    let mut out = BytesMut::new();
    for (n, (number, body)) in messages.iter().enumerate() {
        let serial = if form == HeaderForm::Full { n as u64 + 1 } else { 0 };
        Header {
            serial,
            number: *number,
            size: body.len() as u32,
            sub_list: 0,
        }
        .write(form, &mut out);
        out.put_slice(body);
    }
    out
}

fn messages() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
    let size = prop_oneof![4 => 0..40_usize, 1 => 65_400..65_700_usize];
    let message = (any::<u16>(), size, any::<u8>()).prop_map(|(number, size, fill)| (number, vec![fill; size]));
    prop::collection::vec(message, 0..12)
}

/// Takes the frames off a stream that comes in pieces: one by one, or all that are there at once.
fn split(splitter: &mut FrameReader, bytes: &BytesMut, cuts: &[usize], at_once: bool) -> Vec<(u16, Vec<u8>)> {
    let (mut rx, mut got, mut at, mut turn) = (BytesMut::new(), Vec::new(), 0, 0);
    loop {
        let mut keep = |frame: Frame| got.push((frame.header.number, frame.body.to_vec()));
        if at_once {
            // It ends behind each byte that carries descriptors.
            loop {
                let mut frames = splitter.split(&mut rx).unwrap().peekable();
                if frames.peek().is_none() {
                    break;
                }
                frames.for_each(&mut keep);
            }
        }
        while let Some(frame) = splitter.decode(&mut rx).unwrap() {
            assert!(!at_once, "`split` takes all");
            keep(frame);
        }
        if at == bytes.len() {
            return got;
        }
        let end = (at + cuts[turn % cuts.len()]).min(bytes.len());
        rx.extend_from_slice(&bytes[at..end]);
        (at, turn) = (end, turn + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_chunking_gives_the_same_frames(messages in messages(), cuts in prop::collection::vec(1..5000_usize, 1..5)) {
        for form in FORMS {
            let bytes = stream(form, &messages);
            for at_once in [false, true] {
                let got = split(&mut FrameReader::new(form, &limits()), &bytes, &cuts, at_once);
                prop_assert_eq!(got, messages.clone());
            }
            let splitter = FrameReader::new(form, &limits());
            let mut frames = splitter.frames(&bytes);
            let borrowed: Vec<_> = frames.by_ref().map(|frame| (frame.header.number, frame.body.to_vec())).collect();
            prop_assert_eq!(borrowed, messages.clone());
            prop_assert_eq!(frames.taken(), bytes.len());
        }
    }

    #[test]
    fn passing_keeps_every_message(messages in messages(), cuts in prop::collection::vec(1..5000_usize, 1..5)) {
        for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (from, to) = (FORMS[from], FORMS[to]);
            let bytes = stream(from, &messages);
            let mut forwarder = FrameForwarder::new(DISPLAY, from, to, &limits());
            let (mut rx, mut tx, mut at, mut turn) = (BytesMut::new(), BytesMut::new(), 0, 0);
            let mut seen = Vec::new();
            let mut most = 0;
            while at < bytes.len() {
                let end = (at + cuts[turn % cuts.len()]).min(bytes.len());
                rx.extend_from_slice(&bytes[at..end]);
                forwarder.forward(&mut rx, &mut tx, |frame| {
 seen.push((frame.header.number, frame.header.size));
 FrameDecision::Forward
 }).unwrap();
                most = most.max(rx.len());
                (at, turn) = (end, turn + 1);
            }
            prop_assert!(rx.is_empty());
            prop_assert!(most <= 64 << 10, "a larger frame is not held");
            prop_assert_eq!(&tx, &stream(to, &messages));
            let sizes: Vec<_> = messages.iter().map(|(number, body)| (*number, body.len() as u32)).collect();
            prop_assert_eq!(seen, sizes);
            prop_assert_eq!(forwarder.forwarded(), messages.len() as u64);
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), mini: bool, other: bool) {
        let form = FORMS[usize::from(mini)];
        let mut rx = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = FrameReader::new(form, &limits()).decode(&mut rx) {
            let list = SubMessages::new(&frame.body, frame.header.sub_list);
            prop_assert!(list.map_or(0, Iterator::count) <= frame.body.len() / 4 + 1);
        }
        let mut out = BytesMut::new();
        let passed = FrameForwarder::new(DISPLAY, form, FORMS[usize::from(other)], &limits())
            .forward(&mut BytesMut::from(&bytes[..]), &mut out, |_| FrameDecision::Forward);
        prop_assert!(out.len() <= 4 * bytes.len() + 18, "{:?}", passed);
    }
}

#[test]
fn sizes_at_the_limit_and_beyond() {
    for form in FORMS {
        for (size, held, announced) in [(200_000, true, true), (200_001, false, true), (1_000_001, false, false)] {
            let mut rx = BytesMut::new();
            Header {
                serial: 1,
                number: 7,
                size,
                sub_list: 0,
            }
            .write(form, &mut rx);
            let splitter = FrameReader::new(form, &limits());
            assert_eq!(splitter.frames(&rx).next_header().is_ok(), announced);
            assert_eq!(FrameReader::new(form, &limits()).decode(&mut rx.clone()).is_ok(), held);
            let passed =
                FrameForwarder::new(DISPLAY, form, form, &limits())
                    .forward(&mut rx, &mut BytesMut::new(), |_| FrameDecision::Forward);
            assert_eq!(passed.is_ok(), announced);
        }
    }
    let mut rx = BytesMut::new();
    Header {
        serial: 1,
        number: 7,
        size: u32::MAX,
        sub_list: 0,
    }
    .write(HeaderForm::Full, &mut rx);
    let error = FrameReader::new(HeaderForm::Full, &limits())
        .decode(&mut rx)
        .unwrap_err();
    expect!["Header.size at byte 10: 4294967295 is above the limit of 200000"].assert_eq(&error.to_string());
    assert!(rx.capacity() < 1000, "nothing is reserved for a size above the limit");
    let mut rx = BytesMut::new();
    Header {
        serial: 1,
        number: 7,
        size: 3,
        sub_list: 4,
    }
    .write(HeaderForm::Full, &mut rx);
    let error = FrameReader::new(HeaderForm::Full, &limits())
        .decode(&mut rx)
        .unwrap_err();
    expect!["Header.sub_list at byte 14: offset 4 lies outside of the 3 bytes of the message"]
        .assert_eq(&error.to_string());
}

/// Frames in front of one that is refused are given out first; they and the refused one are left in order.
#[test]
fn good_frames_come_out_in_front_of_a_bad_one() {
    let mut rx = stream(HeaderForm::Mini, &[(1, vec![1; 5]), (2, vec![2; 6])]);
    let good = rx.clone();
    rx.put_slice(&[3, 0, 0xff, 0xff, 0xff, 0x7f, 9]);
    let mut splitter = FrameReader::new(HeaderForm::Mini, &limits());
    let frames: Vec<_> = splitter
        .split(&mut rx)
        .unwrap()
        .map(|frame| frame.header.number)
        .collect();
    assert_eq!((frames, rx.len()), (vec![1, 2], 7));
    let error = splitter.split(&mut rx).unwrap_err();
    assert_eq!(error, splitter.decode(&mut rx).unwrap_err());
    expect!["Header.size at byte 2: 2147483647 is above the limit of 200000"].assert_eq(&error.to_string());
    // One buffer for a whole run of frames, and none for a frame.
    let mut rx = good;
    let allocated = allocation_counter::measure(|| {
        assert_eq!(
            splitter
                .split(&mut rx)
                .unwrap()
                .map(|frame| frame.body.len())
                .sum::<usize>(),
            11
        );
    });
    assert!(allocated.count_total <= 1, "{allocated:?}");
}

/// Over a UNIX socket one byte that no size counts follows a scanout that has a buffer.
#[test]
fn bytes_that_carry_descriptors() {
    let scanout = |fourcc: u32| {
        let mut body = vec![0; 20];
        body[12..16].copy_from_slice(&fourcc.to_le_bytes());
        (320, body)
    };
    let scanout2 = |fourcc: u32| {
        let mut body = vec![0; 25];
        body[8..12].copy_from_slice(&fourcc.to_le_bytes());
        (323, body)
    };
    let messages = [
        (102, vec![]),
        scanout(7),
        (321, vec![9; 16]),
        scanout(0),
        scanout2(7),
        scanout2(0),
        (320, vec![1]),
    ];
    for (from, to) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (from, to) = (FORMS[from], FORMS[to]);
        let with_bytes = |form| {
            let mut out = BytesMut::new();
            for (n, message) in messages.iter().enumerate() {
                let mut one = stream(form, core::slice::from_ref(message));
                if form == HeaderForm::Full {
                    one[..8].copy_from_slice(&(n as u64 + 1).to_le_bytes());
                }
                out.extend_from_slice(&one);
                if n == 1 || n == 4 {
                    out.put_u8(b'@');
                }
            }
            out
        };
        let bytes = with_bytes(from);
        let mut splitter = FrameReader::new(from, &limits()).with_descriptors();
        for chunk in [1, 7, 1000] {
            for at_once in [false, true] {
                assert_eq!(split(&mut splitter, &bytes, &[chunk], at_once), messages);
            }
            let mut forwarder = FrameForwarder::new(DISPLAY, from, to, &limits()).with_descriptors();
            let (mut rx, mut out, mut seen, mut sent) = (BytesMut::new(), BytesMut::new(), 0, 0);
            for piece in bytes.chunks(chunk) {
                rx.extend_from_slice(piece);
                loop {
                    let (before, mut tx) = (seen, BytesMut::new());
                    forwarder
                        .forward(&mut rx, &mut tx, |_| {
                            seen += 1;
                            FrameDecision::Forward
                        })
                        .unwrap();
                    out.extend_from_slice(&tx);
                    if seen == before {
                        break;
                    }
                    // It stops behind such a byte.
                    if seen == 2 || seen == 5 {
                        sent += 1;
                        assert_eq!(tx.last(), Some(&b'@'));
                    }
                }
            }
            assert_eq!((rx.len(), sent), (0, 2));
            assert_eq!(out, with_bytes(to));
        }
        // Over TCP there is none.
        let mut splitter = FrameReader::new(from, &limits());
        assert_eq!(split(&mut splitter, &stream(from, &messages), &[1000], true), messages);
    }
}

/// A frame goes on with a serial of its new connection, and keeps its list.
#[test]
fn frames_are_written_again() {
    let (header, body) = draw_with_list();
    let mut bytes = BytesMut::new();
    header.write(HeaderForm::Full, &mut bytes);
    bytes.put_slice(&body);
    let frame = FrameReader::new(HeaderForm::Full, &limits())
        .decode(&mut bytes.clone())
        .unwrap()
        .unwrap();
    let mut out = BytesMut::new();
    let mut writer = Writer::new(HeaderForm::Full);
    writer.write_frame(&frame, &mut out).unwrap();
    assert_eq!((writer.serial(), &out[..8]), (1, &1_u64.to_le_bytes()[..]));
    assert_eq!(out[8..], bytes[8..]);
    let mut writer = Writer::new(HeaderForm::Mini);
    let error = writer.write_frame(&frame, &mut out).unwrap_err();
    assert_eq!((error.field, writer.serial(), out.len()), ("sub_list", 0, bytes.len()));
}

#[test]
fn the_writer_numbers_from_one() {
    let mut writer = Writer::new(HeaderForm::Full);
    let mut out = BytesMut::new();
    for serial in 1..4 {
        writer.write(&main::ClientMessage::AttachChannels, &mut out).unwrap();
        assert_eq!(writer.serial(), serial);
    }
    let too_large = main::ServerMessage::MouseMode(main::MouseMode {
        supported_modes: spice_proto::ids::MouseModes(0x1_0000),
        current_mode: spice_proto::ids::MouseModes::CLIENT,
    });
    let before = out.clone();
    let error = writer.write(&too_large, &mut out).unwrap_err();
    expect!["MouseMode.supported_modes: 65536 does not fit its wire field (largest: 65535)"]
        .assert_eq(&error.to_string());
    assert_eq!(
        (out.clone(), writer.serial()),
        (before, 3),
        "nothing is written, and no serial used"
    );
    let serials: Vec<u64> = FrameReader::new(HeaderForm::Full, &limits())
        .frames(&out)
        .map(|frame| frame.header.serial)
        .collect();
    assert_eq!(serials, [1, 2, 3]);
}

#[test]
fn acknowledgements() {
    let mut counter = AckCounter::new();
    for _ in 0..100 {
        assert_eq!(counter.received(), Acknowledge::Nothing);
    }
    counter.set(3);
    let due: Vec<bool> = (0..7).map(|_| counter.received() == Acknowledge::Ack).collect();
    assert_eq!(due, [false, false, true, false, false, true, false]);
    assert_eq!(counter.serial(), 107);
    counter.set(0);
    assert!((0..100).all(|_| counter.received() == Acknowledge::Nothing));

    let mut window = AckWindow::new();
    assert!(window.may_send());
    let generation = window.set(2);
    for _ in 0..4 {
        assert!(window.may_send());
        window.sent();
    }
    assert!(!window.may_send());
    window.ack();
    assert!(!window.may_send(), "an ACK before the ACK_SYNC has no effect");
    window.ack_sync(generation.wrapping_sub(1));
    assert!(!window.may_send(), "an older generation has no effect");
    window.ack_sync(generation);
    assert!(window.may_send());
    for _ in 0..4 {
        window.sent();
    }
    assert!(!window.may_send());
    window.ack();
    assert!(window.may_send());
    assert_ne!(window.set(2), generation);
}
