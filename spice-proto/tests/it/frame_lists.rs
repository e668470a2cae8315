//! Lists of sub-messages in frames: read, cut, bridged, held.

use bytes::{BufMut, Bytes, BytesMut};
use expect_test::expect;
use spice_proto::channel::common;
use spice_proto::frame::{
    Frame, FrameDecision, FrameForwarder, FrameReader, FrameRef, Header, HeaderForm, SubMessages,
};
use spice_proto::ids::ChannelType;

use crate::frames::{DISPLAY, limits, stream};

/// A draw message with two sub-messages as spice-server lays them out: the sizes are those of C structures
/// and overrun (8 + 16n for a list of 2 + 9n bytes, and for a wait list of 1 + 10n).
pub(crate) fn draw_with_list() -> (Header, Vec<u8>) {
    let own = vec![0xd0; 61];
    let mut body = own;
    let inval_at = body.len() as u32;
    body.extend(105_u16.to_le_bytes());
    body.extend(40_u32.to_le_bytes());
    body.extend(2_u16.to_le_bytes());
    body.extend([0x11; 18]);
    let wait_at = body.len() as u32;
    body.extend(5_u16.to_le_bytes());
    body.extend(24_u32.to_le_bytes());
    body.push(1);
    body.extend([0x22; 10]);
    let sub_list = body.len() as u32;
    body.extend(2_u16.to_le_bytes());
    body.extend(wait_at.to_le_bytes());
    body.extend(inval_at.to_le_bytes());
    (
        Header {
            serial: 9,
            number: 304,
            size: body.len() as u32,
            sub_list,
        },
        body,
    )
}

#[test]
fn sub_messages_with_overrunning_sizes() {
    let (header, body) = draw_with_list();
    let subs: Vec<_> = SubMessages::new(&body, header.sub_list)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let facts: Vec<_> = subs
        .iter()
        .map(|sub| (sub.number, sub.declared_size, sub.exact_data(DISPLAY).len()))
        .collect();
    assert_eq!(facts, [(5, 24, 11), (105, 40, 20)]);
    let wait = common::WaitForChannels::decode_slice(subs[0].data).unwrap();
    assert_eq!(wait.wait_list.len(), 1);

    let error = |body: &[u8], at| {
        SubMessages::new(body, at)
            .and_then(|mut subs| subs.next().transpose())
            .unwrap_err()
    };
    expect!["SubMessageList.count at byte 5: truncated: needs 2 bytes, 1 left"]
        .assert_eq(&error(&[0; 6], 5).to_string());
    expect!["SubMessageList.offsets at byte 2: truncated: needs 4 bytes, 3 left"]
        .assert_eq(&error(&[1, 0, 0, 0, 0], 0).to_string());
    expect!["SubMessageList.offsets at byte 2: offset 255 lies outside of the 6 bytes of the message"]
        .assert_eq(&error(&[1, 0, 255, 0, 0, 0], 0).to_string());
    expect!["SubMessageList.sub_message at byte 2: truncated: needs 6 bytes, 4 left"]
        .assert_eq(&error(&[1, 0, 2, 0, 0, 0], 0).to_string());
}

/// What a client would process, in order: sub-messages first, then the message itself.
fn processed(frame: &Frame, own: bool) -> Vec<(u16, Vec<u8>)> {
    let mut all = Vec::new();
    if frame.header.number == 8 || frame.header.sub_list != 0 {
        for sub in SubMessages::new(&frame.body, frame.header.sub_list).unwrap() {
            let sub = sub.unwrap();
            all.push((sub.number, sub.exact_data(DISPLAY).to_vec()));
        }
    }
    if own {
        all.push((frame.header.number, frame.body.to_vec()));
    }
    all
}

#[test]
fn a_list_stays_one_message_when_headers_are_bridged() {
    let (header, body) = draw_with_list();
    let mut rx = stream(HeaderForm::Full, &[(101, vec![1, 2])]);
    header.write(HeaderForm::Full, &mut rx);
    rx.put_slice(&body);
    rx.put_slice(&stream(HeaderForm::Full, &[(102, vec![3])]));
    let mut tx = BytesMut::new();
    let mut forwarder = FrameForwarder::new(DISPLAY, HeaderForm::Full, HeaderForm::Mini, &limits());
    let mut seen = Vec::new();
    forwarder
        .forward(&mut rx, &mut tx, |frame: FrameRef<'_>| {
            seen.push(frame.header.number);
            FrameDecision::Forward
        })
        .unwrap();
    assert_eq!(seen, [101, 304, 102]);
    let mut splitter = FrameReader::new(HeaderForm::Mini, &limits());
    let frames: Vec<Frame> = core::iter::from_fn(|| splitter.decode(&mut tx).unwrap()).collect();
    assert_eq!(
        frames.iter().map(|frame| frame.header.number).collect::<Vec<_>>(),
        [101, 8, 102]
    );
    let own = body[..61].to_vec();
    let before = processed(
        &Frame {
            header,
            body: Bytes::from(body),
        },
        false,
    );
    let after = processed(&frames[1], false);
    assert_eq!(after[..2], before);
    assert_eq!(
        after[2],
        (304, own),
        "the message itself comes last, without the bytes of the list"
    );

    // A LIST stays what it is, both ways.
    let list = frames[1].clone();
    for (from, to) in [
        (HeaderForm::Mini, HeaderForm::Full),
        (HeaderForm::Full, HeaderForm::Mini),
    ] {
        let mut rx = stream(from, &[(8, list.body.to_vec())]);
        let mut tx = BytesMut::new();
        FrameForwarder::new(DISPLAY, from, to, &limits())
            .forward(&mut rx, &mut tx, |_| FrameDecision::Forward)
            .unwrap();
        assert_eq!(tx, stream(to, &[(8, list.body.to_vec())]));
    }
}

/// The number of INVAL_LIST is that of another message on every other channel: there its first bytes are no count, and
/// nothing of it is lost when a frame with a list becomes a LIST.
#[test]
fn only_lists_of_a_display_channel_are_cut_by_their_counts() {
    let data: Vec<u8> = [&[0, 0][..], &[7; 28]].concat();
    for number in [common::WaitForChannels::NUMBER, 105] {
        let mut body = vec![1, 2, 3];
        body.extend(number.to_le_bytes());
        body.extend(30_u32.to_le_bytes());
        body.extend_from_slice(&data);
        let sub_list = body.len() as u32;
        body.extend([1, 0, 3, 0, 0, 0]);
        let header = Header {
            serial: 1,
            number: 101,
            size: body.len() as u32,
            sub_list,
        };
        let mut whole = BytesMut::new();
        header.write(HeaderForm::Full, &mut whole);
        whole.put_slice(&body);
        for channel in (0..=12).map(ChannelType) {
            let sub = SubMessages::new(&body, sub_list).unwrap().next().unwrap().unwrap();
            let expected: &[u8] = match (channel, number) {
                (DISPLAY, 105) => &data[..2],
                (DISPLAY, _) => &data[..1],
                _ => &data,
            };
            assert_eq!(sub.exact_data(channel), expected, "{channel} {number}");
            let mut tx = BytesMut::new();
            FrameForwarder::new(channel, HeaderForm::Full, HeaderForm::Mini, &limits())
                .forward(&mut whole.clone(), &mut tx, |_| FrameDecision::Forward)
                .unwrap();
            let list = FrameReader::new(HeaderForm::Mini, &limits())
                .decode(&mut tx)
                .unwrap()
                .unwrap();
            let subs: Vec<_> = SubMessages::of(&list).unwrap().unwrap().map(Result::unwrap).collect();
            let subs: Vec<_> = subs.iter().map(|sub| (sub.number, sub.data)).collect();
            assert_eq!(subs, [(number, expected), (101, &[1, 2, 3][..])], "{channel}");
        }
    }
}

#[test]
fn a_list_cannot_be_made_to_grow() {
    // 1000 offsets that all lead to the same 4000 bytes.
    let mut body = vec![0_u8; 4000];
    body[0..2].copy_from_slice(&200_u16.to_le_bytes());
    body[2..6].copy_from_slice(&3994_u32.to_le_bytes());
    let sub_list = body.len() as u32;
    body.extend(1000_u16.to_le_bytes());
    body.extend([0; 4000]);
    let mut rx = BytesMut::new();
    Header {
        serial: 1,
        number: 304,
        size: body.len() as u32,
        sub_list,
    }
    .write(HeaderForm::Full, &mut rx);
    rx.put_slice(&body);
    let mut tx = BytesMut::new();
    let error = FrameForwarder::new(DISPLAY, HeaderForm::Full, HeaderForm::Mini, &limits())
        .forward(&mut rx, &mut tx, |_| FrameDecision::Forward)
        .unwrap_err();
    assert_eq!((error.message, error.field), ("SubMessageList", "offsets"));
    assert!(tx.is_empty());
}

#[test]
fn a_large_body_with_a_list_is_held_whole() {
    let mut body = vec![7; 100_000];
    let at = body.len() as u32;
    body.extend([5, 0, 1, 0, 0, 0, 0]);
    let sub_list = body.len() as u32;
    body.extend([1, 0]);
    body.extend(at.to_le_bytes());
    let header = Header {
        serial: 1,
        number: 304,
        size: body.len() as u32,
        sub_list,
    };
    let mut whole = BytesMut::new();
    header.write(HeaderForm::Full, &mut whole);
    whole.put_slice(&body);
    let mut forwarder = FrameForwarder::new(DISPLAY, HeaderForm::Full, HeaderForm::Mini, &limits());
    let (mut rx, mut tx) = (BytesMut::new(), BytesMut::new());
    for chunk in whole.chunks(30_000) {
        assert!(tx.is_empty());
        rx.extend_from_slice(chunk);
        forwarder.forward(&mut rx, &mut tx, |_| FrameDecision::Forward).unwrap();
    }
    let frame = FrameReader::new(HeaderForm::Mini, &limits())
        .decode(&mut tx)
        .unwrap()
        .unwrap();
    assert_eq!(processed(&frame, false), [(5, vec![0]), (304, vec![7; 100_000])]);
    // Above the limit of what is held it is refused, and not collected first.
    let mut rx = BytesMut::new();
    Header {
        size: 200_001,
        ..header
    }
    .write(HeaderForm::Full, &mut rx);
    let mut forwarder = FrameForwarder::new(DISPLAY, HeaderForm::Full, HeaderForm::Mini, &limits());
    assert!(forwarder.forward(&mut rx, &mut tx, |_| FrameDecision::Forward).is_err());
}
