//! Any agent message survives, in any pieces; and a filter leaves out exactly what it was told to.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use spice_proto::Limits;
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{
    Agreed, AnnounceCapabilities, Assembler, AudioVolumeSync, Clipboard, ClipboardGrab, ClipboardRelease,
    ClipboardRequest, DeviceDisplayInfo, DisplayConfig, FileXferData, FileXferStart, FileXferStatus, Filter,
    FilterDecision, Frame, GraphicsDeviceInfo, MAX_DATA, MaxClipboard, Message, MessageHeader, MonConfig, MonitorMm,
    MonitorsConfig, MouseState, Passage, Pieces, Receiver, Reply, Selection, Stream, caps,
};
use spice_proto::ids::{
    AgentMessageType, AgentMouseButtons, AgentPort, ClipboardSelection, ClipboardType, DisplayConfigFlags,
    FileXferResult, MonitorsFlags, ReplyError,
};

use crate::agent::{bytes_of, frame};

fn blob() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..100).prop_map(Bytes::from)
}

fn monitors() -> impl Strategy<Value = MonitorsConfig> {
    let monitor = any::<(u32, u32, u32, i32, i32)>().prop_map(|(height, width, depth, x, y)| MonConfig {
        height,
        width,
        depth,
        x,
        y,
    });
    let size = any::<(u16, u16)>().prop_map(|(height, width)| MonitorMm { height, width });
    (
        prop::collection::vec((monitor, size), 0..9),
        any::<u32>(),
        any::<bool>(),
    )
        .prop_map(|(all, flags, sized)| {
            let (monitors, sizes): (Vec<_>, Vec<_>) = all.into_iter().unzip();
            let flags = MonitorsFlags(if sized { flags | 2 } else { flags & !2 });
            let physical_sizes = sized.then_some(sizes);
            MonitorsConfig {
                flags,
                monitors,
                physical_sizes,
            }
        })
}

fn graphics() -> impl Strategy<Value = GraphicsDeviceInfo> {
    let info = (any::<[u32; 3]>(), blob()).prop_map(|([channel_id, monitor_id, device_display_id], device_address)| {
        DeviceDisplayInfo {
            channel_id,
            monitor_id,
            device_display_id,
            device_address,
        }
    });
    prop::collection::vec(info, 0..6).prop_map(|display_info| GraphicsDeviceInfo { display_info })
}

/// A message of any type, in the form of an agreement.
fn message() -> impl Strategy<Value = (Agreed, Message)> {
    let agreed = any::<(bool, bool)>().prop_map(|(selection, serial)| {
        let bits = [
            (selection, caps::CLIPBOARD_SELECTION),
            (serial, caps::CLIPBOARD_GRAB_SERIAL),
        ];
        let bits: Vec<u32> = bits.into_iter().filter(|bit| bit.0).map(|bit| bit.1).collect();
        Agreed::of(&bits)
    });
    let numbers = any::<([u32; 3], u8, i32, u64)>();
    let lists = (
        prop::collection::vec(any::<u32>(), 0..9),
        prop::collection::vec(any::<u16>(), 0..9),
    );
    let parts = (agreed, 0..17_u8, numbers, blob(), lists, monitors(), graphics());
    parts.prop_map(
        |(agreed, kind, ([a, b, c], byte, max, opaque), data, (words, volume), monitors, graphics)| {
            let selection = agreed.has(caps::CLIPBOARD_SELECTION).then_some(Selection {
                selection: ClipboardSelection(byte),
                reserved: [byte, 1, 2],
            });
            let message = match kind {
                1 => Message::MouseState(MouseState {
                    x: a,
                    y: b,
                    buttons: AgentMouseButtons(c),
                    display_id: byte,
                }),
                2 => Message::MonitorsConfig(monitors),
                3 => Message::Reply(Reply {
                    r#type: AgentMessageType(a),
                    error: ReplyError(b),
                }),
                4 => Message::Clipboard(Clipboard {
                    selection,
                    r#type: ClipboardType(a),
                    data,
                }),
                5 => Message::DisplayConfig(DisplayConfig {
                    flags: DisplayConfigFlags(a),
                    depth: b,
                }),
                6 => Message::AnnounceCapabilities(AnnounceCapabilities {
                    request: a,
                    caps: words.into_iter().collect(),
                }),
                7 => Message::ClipboardGrab(ClipboardGrab {
                    selection,
                    serial: agreed.serial(a),
                    types: words.into_iter().map(ClipboardType).collect(),
                }),
                8 => Message::ClipboardRequest(ClipboardRequest {
                    selection,
                    r#type: ClipboardType(a),
                }),
                9 => Message::ClipboardRelease(ClipboardRelease { selection }),
                10 => Message::FileXferStart(FileXferStart { id: a, data }),
                11 => Message::FileXferStatus(FileXferStatus {
                    id: a,
                    result: FileXferResult(b),
                    data,
                }),
                12 => Message::FileXferData(FileXferData { id: a, data }),
                13 => Message::ClientDisconnected,
                14 => Message::MaxClipboard(MaxClipboard { max }),
                15 => Message::AudioVolumeSync(AudioVolumeSync {
                    is_playback: byte,
                    mute: byte,
                    volume,
                }),
                16 => Message::GraphicsDeviceInfo(graphics),
                _ => {
                    let mut unknown = frame(AgentMessageType(a | 0x100), &data);
                    unknown.header.opaque = opaque;
                    Message::Unknown(unknown)
                }
            };
            (agreed, message)
        },
    )
}

/// Cuts bytes at random places, into bodies that may be empty.
fn cut(bytes: &[u8], at: &[prop::sample::Index]) -> Vec<Bytes> {
    let mut places: Vec<usize> = at.iter().map(|index| index.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| Bytes::copy_from_slice(&bytes[pair[0]..pair[1]]))
        .collect()
}

fn collect(receiver: Receiver, bodies: &[Bytes]) -> Vec<Frame> {
    let mut assembler = Assembler::new(receiver, &Limits::default());
    let mut frames = Vec::new();
    for body in bodies {
        frames.extend(assembler.frames(body).map(Result::unwrap));
    }
    assert!(!assembler.is_inside());
    frames
}

proptest! {
    #[test]
    fn any_message_survives((agreed, message) in message()) {
        let frame = message.to_frame().unwrap();
        prop_assert_eq!(frame.data.len(), message.encoded_len());
        prop_assert_eq!(Message::decode(&frame, agreed), Ok(message.clone()));
        // Bytes behind are ignored, where the message does not go to the end.
        let longer = Frame { data: [&frame.data[..], b"behind"].concat().into(), ..frame.clone() };
        let decoded = Message::decode(&longer, agreed).unwrap();
        if !matches!(message.message_type().0, 4 | 6 | 7 | 10 | 11) && !message.is_unknown() {
            prop_assert_eq!(&decoded, &message);
        }
        // Every cut is an error, or a message that is shorter by what was cut off its end.
        for cut in 0..frame.data.len() {
            let short = Frame { data: frame.data.slice(..cut), ..frame.clone() };
            if let Ok(decoded) = Message::decode(&short, agreed) {
                prop_assert!(matches!(decoded.message_type().0, 4 | 6 | 7 | 10 | 11) || decoded.is_unknown());
                prop_assert!(decoded.encoded_len() <= cut);
            }
        }
    }

    #[test]
    fn any_bodies_give_the_same_messages(
        messages in prop::collection::vec(message(), 0..6),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let frames: Vec<Frame> = messages.iter().map(|(_, message)| message.to_frame().unwrap()).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        prop_assert_eq!(collect(Receiver::Client, &cut(&bytes, &at)), frames.clone());
        let single: Vec<Bytes> = bytes.chunks(1).map(Bytes::copy_from_slice).collect();
        prop_assert_eq!(collect(Receiver::Client, &single), frames.clone());
        prop_assert_eq!(collect(Receiver::Guest, &single), frames.clone());
        let pieces: Vec<Bytes> = messages.iter().flat_map(|(_, message)| Pieces::new(message).unwrap()).collect();
        for receiver in [Receiver::Server, Receiver::Client, Receiver::Guest] {
            prop_assert_eq!(collect(receiver, &pieces), frames.clone());
        }
        // The same through chunks of two ports that take turns.
        let mut port = BytesMut::new();
        for data in &pieces {
            for (port_number, data) in [(AgentPort::CLIENT, data.clone()), (AgentPort::SERVER, data.clone())] {
                Chunk { port: port_number, data }.encode(&mut port).unwrap();
            }
        }
        let mut of_client = Vec::new();
        while let Some(chunk) = Chunk::decode(&mut port).unwrap() {
            if chunk.port == AgentPort::CLIENT {
                of_client.push(chunk.data);
            }
        }
        prop_assert_eq!(of_client, pieces);
    }

    #[test]
    fn parts_add_up(
        messages in prop::collection::vec(message(), 0..6),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let frames: Vec<Frame> = messages.iter().map(|(_, message)| message.to_frame().unwrap()).collect();
        let bytes: Vec<u8> = frames.iter().flat_map(bytes_of).collect();
        let mut stream = Stream::new(Receiver::Client, &Limits::default());
        let mut seen: Vec<(MessageHeader, Vec<u8>)> = Vec::new();
        for body in cut(&bytes, &at) {
            for part in stream.parts(&body) {
                let part = part.unwrap();
                prop_assert_eq!(&body[part.at..part.at + part.data.len()], part.data);
                if part.starts {
                    prop_assert!(seen.last().is_none_or(|(header, data)| data.len() == header.size as usize));
                    seen.push((part.header, Vec::new()));
                }
                let (header, data) = seen.last_mut().unwrap();
                prop_assert_eq!((*header, data.len()), (part.header, part.offset as usize));
                data.extend(part.data);
                prop_assert_eq!(part.missing() as usize, header.size as usize - data.len());
            }
        }
        let expected: Vec<_> = frames.iter().map(|frame| (frame.header, frame.data.to_vec())).collect();
        prop_assert_eq!(seen, expected);
        prop_assert!(!stream.is_inside());
    }

    #[test]
    fn a_filter_leaves_out_what_it_was_told_to(
        messages in prop::collection::vec((message(), any::<bool>()), 0..8),
        at in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        let all: Vec<(Vec<u8>, bool)> = messages
            .iter()
            .map(|((_, message), pass)| (bytes_of(&message.to_frame().unwrap()), *pass))
            .collect();
        let expected: Vec<u8> = all.iter().filter(|(_, pass)| *pass).flat_map(|(bytes, _)| bytes.clone()).collect();
        let bytes: Vec<u8> = all.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let pieces: Vec<Bytes> = messages.iter().flat_map(|((_, message), _)| Pieces::new(message).unwrap()).collect();
        for (receiver, bodies) in [(Receiver::Client, cut(&bytes, &at)), (Receiver::Server, pieces)] {
            let mut filter = Filter::new(receiver, &Limits::default());
            let mut verdicts = all.iter().map(|(_, pass)| *pass);
            let mut passed: Vec<u8> = Vec::new();
            for body in &bodies {
                let mut dst = BytesMut::from(&b"in front"[..]);
                let passage = filter
                    .pass(body, &mut dst, |_| if verdicts.next().unwrap() { FilterDecision::Pass } else { FilterDecision::Drop })
                    .unwrap();
                let put = &dst[8..];
                match passage {
                    Passage::Whole => {
                        prop_assert!(put.is_empty());
                        passed.extend(body);
                    }
                    Passage::Part => {
                        prop_assert!(receiver == Receiver::Client && !put.is_empty());
                        passed.extend(put);
                    }
                    Passage::Nothing => prop_assert!(put.is_empty()),
                }
            }
            prop_assert_eq!(verdicts.next(), None);
            prop_assert_eq!(&passed, &expected);
        }
    }
}

/// A body that is refused takes nothing along, not even what stood in front of the error.
#[test]
fn a_filter_stops_at_an_error() {
    let small = Limits::default().with_agent_message(100).with_passed_body(100);
    let good = bytes_of(&frame(AgentMessageType::MAX_CLIPBOARD, &[0; 4]));
    let mut large = good.clone();
    large[16] = 101;
    let body = [&good[..], &good, &large].concat();
    let mut filter = Filter::new(Receiver::Client, &small);
    let mut dst = BytesMut::new();
    let mut turn = 0;
    let error = filter
        .pass(&body, &mut dst, |_| {
            turn += 1;
            if turn == 1 {
                FilterDecision::Drop
            } else {
                FilterDecision::Pass
            }
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "MessageHeader.size at byte 64: 101 is above the limit of 100"
    );
    assert!(dst.is_empty());
    assert_eq!(filter.pass(&good, &mut dst, |_| FilterDecision::Pass), Err(error));
}

/// A clipboard of 100 MiB streams by, or is left out, without being held.
#[test]
fn a_large_message_is_judged_by_its_head() {
    let mut body = bytes_of(&frame(AgentMessageType::CLIPBOARD, &[0; MAX_DATA - 20]));
    let size: u32 = 100 << 20;
    body[16..20].copy_from_slice(&size.to_le_bytes());
    for (verdict, passage) in [
        (FilterDecision::Pass, Passage::Whole),
        (FilterDecision::Drop, Passage::Nothing),
    ] {
        let mut filter = Filter::new(Receiver::Server, &Limits::default());
        let mut dst = BytesMut::new();
        let mut judged = 0;
        let allocated = allocation_counter::measure(|| {
            let mut judge = |header: &MessageHeader| {
                judged += 1;
                assert_eq!((header.r#type, header.size), (AgentMessageType::CLIPBOARD, size));
                verdict
            };
            assert_eq!(filter.pass(&body, &mut dst, &mut judge), Ok(passage));
            let mut left = size as usize - (MAX_DATA - 20);
            while 0 < left {
                let len = left.min(MAX_DATA);
                assert_eq!(filter.pass(&[7; MAX_DATA][..len], &mut dst, &mut judge), Ok(passage));
                left -= len;
            }
        });
        assert_eq!((allocated.bytes_total, judged), (0, 1));
        // The next message is judged anew.
        let next = bytes_of(&frame(AgentMessageType::MAX_CLIPBOARD, &[0; 4]));
        assert_eq!(
            filter.pass(&next, &mut dst, |_| FilterDecision::Pass),
            Ok(Passage::Whole)
        );
    }
}
