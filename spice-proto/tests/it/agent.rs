//! Agent messages one by one, and the streams that they come in.

use bytes::{Bytes, BytesMut};
use expect_test::{Expect, expect};
use spice_proto::agent::chunk::Chunk;
use spice_proto::agent::{
    Agreed, AnnounceCapabilities, Announced, Assembler, AudioVolumeSync, Clipboard, ClipboardGrab, ClipboardRelease,
    ClipboardRequest, DeviceDisplayInfo, DisplayConfig, FileXferData, FileXferDetail, FileXferStart, FileXferStatus,
    Frame, GraphicsDeviceInfo, MAX_DATA, MaxClipboard, Message, MessageHeader, MonConfig, MonitorMm, MonitorsConfig,
    MouseState, Pieces, Receiver, Reply, Stream, caps,
};
use spice_proto::caps::CapabilityWords;
use spice_proto::ids::{
    AgentMessageType, AgentMouseButtons, AgentPort, ClipboardSelection, ClipboardType, DisplayConfigFlags,
    FileXferResult, MonitorsFlags, ReplyError,
};
use spice_proto::{DecodeError, Limits};

/// What spice-gtk 0.42 and spice-vdagent 0.22 agree on.
pub(crate) fn modern() -> Agreed {
    Agreed::between(&CapabilityWords::word(0x0003_5077), &CapabilityWords::word(0x0003_8de7))
}

/// Before that.
const OLD: Agreed = Agreed::NOTHING;

/// One message of each type and form with its data. Those marked "recorded" are from
/// `spice-agent-filexfer-clipboard`, the others by hand from the table.
pub(crate) fn vectors() -> Vec<(Agreed, Vec<u8>, Message)> {
    let primary = modern().selection(ClipboardSelection::PRIMARY);
    let clipboard = modern().selection(ClipboardSelection::CLIPBOARD);
    let types = vec![ClipboardType::UTF8_TEXT, ClipboardType::IMAGE_PNG];
    let monitor = MonConfig {
        height: 700,
        width: 900,
        depth: 32,
        x: -1,
        y: 0,
    };
    vec![
        (
            OLD,
            vec![
                0x2a, 0x00, 0x00, 0x00, // x
                0x07, 0x00, 0x00, 0x00, // y
                0x0a, 0x00, 0x00, 0x00, // buttons: left, right
                0x01, // display_id
            ],
            Message::MouseState(MouseState {
                x: 42,
                y: 7,
                buttons: AgentMouseButtons(2 | 8),
                display_id: 1,
            }),
        ),
        (
            OLD,
            vec![
                0x01, 0x00, 0x00, 0x00, // num_of_monitors
                0x03, 0x00, 0x00, 0x00, // flags: positions, physical sizes
                0xbc, 0x02, 0x00, 0x00, // height
                0x84, 0x03, 0x00, 0x00, // width
                0x20, 0x00, 0x00, 0x00, // depth
                0xff, 0xff, 0xff, 0xff, // x
                0x00, 0x00, 0x00, 0x00, // y
                0xc8, 0x00, // height in millimetres
                0x2c, 0x01, // width in millimetres
            ],
            Message::MonitorsConfig(MonitorsConfig {
                flags: MonitorsFlags(3),
                monitors: vec![monitor.clone()],
                physical_sizes: Some(vec![MonitorMm {
                    height: 200,
                    width: 300,
                }]),
            }),
        ),
        (
            OLD,
            vec![
                0x01, 0x00, 0x00, 0x00, // num_of_monitors
                0x00, 0x00, 0x00, 0x00, // flags
                0xbc, 0x02, 0x00, 0x00, // height
                0x84, 0x03, 0x00, 0x00, // width
                0x20, 0x00, 0x00, 0x00, // depth
                0xff, 0xff, 0xff, 0xff, // x
                0x00, 0x00, 0x00, 0x00, // y
            ],
            Message::MonitorsConfig(MonitorsConfig {
                flags: MonitorsFlags(0),
                monitors: vec![monitor],
                physical_sizes: None,
            }),
        ),
        (
            OLD,
            vec![
                0x02, 0x00, 0x00, 0x00, // type: monitors_config
                0x01, 0x00, 0x00, 0x00, // error: success
            ],
            Message::Reply(Reply {
                r#type: AgentMessageType::MONITORS_CONFIG,
                error: ReplyError::SUCCESS,
            }),
        ),
        // Recorded, with the text made shorter.
        (
            modern(),
            vec![
                0x00, 0x00, 0x00, 0x00, // selection: clipboard, reserved
                0x01, 0x00, 0x00, 0x00, // type: UTF-8
                0x74, 0x65, 0x78, 0x74, 0x0a, // "text\n"
            ],
            Message::Clipboard(Clipboard {
                selection: clipboard.clone(),
                r#type: ClipboardType::UTF8_TEXT,
                data: Bytes::from_static(b"text\n"),
            }),
        ),
        (
            OLD,
            vec![
                0x00, 0x00, 0x00, 0x00, // type: none
            ],
            Message::Clipboard(Clipboard {
                selection: None,
                r#type: ClipboardType::NONE,
                data: Bytes::new(),
            }),
        ),
        (
            OLD,
            vec![
                0x09, 0x00, 0x00, 0x00, // flags: wallpaper, colour depth
                0x10, 0x00, 0x00, 0x00, // depth
            ],
            Message::DisplayConfig(DisplayConfig {
                flags: DisplayConfigFlags(9),
                depth: 16,
            }),
        ),
        // Recorded.
        (
            OLD,
            vec![
                0x01, 0x00, 0x00, 0x00, // request
                0x77, 0x50, 0x03, 0x00, // caps
            ],
            Message::AnnounceCapabilities(AnnounceCapabilities {
                request: 1,
                caps: CapabilityWords::word(0x0003_5077),
            }),
        ),
        // Recorded.
        (
            modern(),
            vec![
                0x00, 0x00, 0x00, 0x00, // selection: clipboard, reserved
                0x00, 0x00, 0x00, 0x00, // serial
                0x01, 0x00, 0x00, 0x00, // UTF-8
                0x02, 0x00, 0x00, 0x00, // PNG
            ],
            Message::ClipboardGrab(ClipboardGrab {
                selection: clipboard.clone(),
                serial: Some(0),
                types: types.clone(),
            }),
        ),
        (
            OLD,
            vec![
                0x01, 0x00, 0x00, 0x00, // UTF-8
                0x02, 0x00, 0x00, 0x00, // PNG
            ],
            Message::ClipboardGrab(ClipboardGrab {
                selection: None,
                serial: None,
                types,
            }),
        ),
        // Recorded.
        (
            modern(),
            vec![
                0x00, 0x00, 0x00, 0x00, // selection: clipboard, reserved
                0x01, 0x00, 0x00, 0x00, // type: UTF-8
            ],
            Message::ClipboardRequest(ClipboardRequest {
                selection: clipboard,
                r#type: ClipboardType::UTF8_TEXT,
            }),
        ),
        // Recorded.
        (
            modern(),
            vec![
                0x01, 0x00, 0x00, 0x00, // selection: primary, reserved
            ],
            Message::ClipboardRelease(ClipboardRelease { selection: primary }),
        ),
        (
            OLD,
            vec![],
            Message::ClipboardRelease(ClipboardRelease { selection: None }),
        ),
        // Recorded.
        (
            OLD,
            [
                &[0x01, 0x00, 0x00, 0x00][..], // id
                b"[vdagent-file-xfer]\nname=small.txt\nsize=25\n\0",
            ]
            .concat(),
            Message::FileXferStart(FileXferStart {
                id: 1,
                data: Bytes::from_static(b"[vdagent-file-xfer]\nname=small.txt\nsize=25\n\0"),
            }),
        ),
        // Recorded.
        (
            OLD,
            vec![
                0x03, 0x00, 0x00, 0x00, // id
                0x03, 0x00, 0x00, 0x00, // result: success
            ],
            Message::FileXferStatus(FileXferStatus {
                id: 3,
                result: FileXferResult::SUCCESS,
                data: Bytes::new(),
            }),
        ),
        // Recorded, with the piece made shorter.
        (
            OLD,
            vec![
                0x01, 0x00, 0x00, 0x00, // id
                0x03, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // size
                0x00, 0x07, 0x0e, // data
            ],
            Message::FileXferData(FileXferData {
                id: 1,
                data: Bytes::from_static(&[0, 7, 14]),
            }),
        ),
        (OLD, vec![], Message::ClientDisconnected),
        // Recorded.
        (
            OLD,
            vec![
                0x00, 0x00, 0x40, 0x06, // max: 100 MiB
            ],
            Message::MaxClipboard(MaxClipboard { max: 100 << 20 }),
        ),
        // Recorded.
        (
            OLD,
            vec![
                0x01, // is_playback
                0x00, // mute
                0x02, // nchannels
                0x00, 0x00, 0x00, 0x00, // volume
            ],
            Message::AudioVolumeSync(AudioVolumeSync {
                is_playback: 1,
                mute: 0,
                volume: vec![0, 0],
            }),
        ),
        (
            OLD,
            vec![
                0x01, 0x00, 0x00, 0x00, // count
                0x00, 0x00, 0x00, 0x00, // channel_id
                0x01, 0x00, 0x00, 0x00, // monitor_id
                0x02, 0x00, 0x00, 0x00, // device_display_id
                0x05, 0x00, 0x00, 0x00, // device_address_len
                0x70, 0x63, 0x69, 0x2f, 0x00, // device_address "pci/"
            ],
            Message::GraphicsDeviceInfo(GraphicsDeviceInfo {
                display_info: vec![DeviceDisplayInfo {
                    channel_id: 0,
                    monitor_id: 1,
                    device_display_id: 2,
                    device_address: Bytes::from_static(b"pci/\0"),
                }],
            }),
        ),
    ]
}

pub(crate) fn frame(kind: AgentMessageType, data: &[u8]) -> Frame {
    let header = MessageHeader {
        protocol: 1,
        r#type: kind,
        opaque: 0,
        size: data.len() as u32,
    };
    let data = Bytes::copy_from_slice(data);
    Frame { header, data }
}

pub(crate) fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes).unwrap();
    assert_eq!(bytes.len(), frame.encoded_len());
    bytes.to_vec()
}

#[test]
fn vectors_both_ways() {
    let mut types = std::collections::BTreeSet::new();
    for (agreed, data, message) in vectors() {
        let kind = message.message_type();
        types.insert(kind);
        assert_eq!(Message::decode(&frame(kind, &data), agreed), Ok(message.clone()));
        let mut out = BytesMut::from(&b"garbage"[..]);
        message.encode(&mut out).unwrap();
        assert_eq!(out[7..], data, "{message:?}");
        assert_eq!(message.encoded_len(), data.len());
        assert_eq!(message.to_frame().unwrap(), frame(kind, &data));
        assert_eq!(Some(message.name()), kind.name().map(str::to_lowercase).as_deref());
    }
    assert_eq!(types.len(), 16);
}

#[test]
fn the_head() {
    let header = MessageHeader {
        protocol: 1,
        r#type: AgentMessageType::ANNOUNCE_CAPABILITIES,
        opaque: 0,
        size: 8,
    };
    let bytes = [
        0x01, 0x00, 0x00, 0x00, // protocol
        0x06, 0x00, 0x00, 0x00, // type
        0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // opaque
        0x08, 0x00, 0x00, 0x00, // size
    ];
    assert_eq!(MessageHeader::decode_slice(&bytes), Ok(header));
    let mut out = BytesMut::new();
    header.encode(&mut out).unwrap();
    assert_eq!(out[..], bytes);
    // The opaque number is kept, and the size is that of the data.
    let whole = Frame {
        header: MessageHeader { opaque: 5, ..header },
        data: Bytes::from_static(b"abc"),
    };
    assert_eq!(
        bytes_of(&whole)[8..],
        [5, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0x61, 0x62, 0x63]
    );
}

#[test]
fn unknown_messages_pass_through() {
    let strange = frame(AgentMessageType(99), b"abc");
    let mut other_protocol = frame(AgentMessageType::CLIENT_DISCONNECTED, b"abc");
    (other_protocol.header.protocol, other_protocol.header.opaque) = (2, 7);
    for unknown in [strange, other_protocol] {
        let message = Message::decode(&unknown, modern()).unwrap();
        assert!(message.is_unknown());
        assert_eq!(message.message_type(), unknown.header.r#type);
        assert_eq!((message.name(), message.encoded_len()), ("unknown", 3));
        assert_eq!(message.to_frame().unwrap(), unknown);
    }
}

#[test]
fn details_of_a_failed_transfer() {
    let detailed = Agreed::of(&[caps::FILE_XFER_DETAILED_ERRORS]);
    let space = FileXferDetail::NotEnoughSpace {
        disk_free_space: 0x0102_0304,
    };
    let error = FileXferDetail::Error {
        error_type: 0,
        error_code: 14,
    };
    for (detail, result, data) in [
        (
            space,
            FileXferResult::NOT_ENOUGH_SPACE,
            &[4_u8, 3, 2, 1, 0, 0, 0, 0][..],
        ),
        (error, FileXferResult::ERROR, &[0, 14, 0, 0, 0]),
    ] {
        let status = FileXferStatus::with_detail(3, detail, detailed);
        assert_eq!((status.id, status.result, &status.data[..]), (3, result, data));
        assert_eq!(status.detail(detailed), Ok(Some(detail)));
        // Without the capability nothing is said, and what is there is not looked at.
        assert_eq!(status.detail(OLD), Ok(None));
        let plain = FileXferStatus::with_detail(3, detail, OLD);
        assert_eq!((plain.result, plain.data.len()), (result, 0));
        assert_eq!(plain.detail(detailed), Ok(None));
        let short = FileXferStatus {
            data: status.data.slice(..status.data.len() - 1),
            ..status.clone()
        };
        assert!(short.detail(detailed).is_err());
        let other = FileXferStatus {
            result: FileXferResult::DISABLED,
            ..status
        };
        assert_eq!(other.detail(detailed), Ok(None));
    }
}

#[test]
fn agreement() {
    let announce = |bits: &[u32]| AnnounceCapabilities {
        request: 0,
        caps: CapabilityWords::of(bits),
    };
    let mut announced = Announced::new();
    assert_eq!(announced.agreed(), Agreed::NOTHING);
    announced.by_client(&announce(&[caps::CLIPBOARD_SELECTION, 40, 64]));
    assert_eq!(announced.agreed(), Agreed::NOTHING);
    announced.by_agent(&announce(&[
        caps::CLIPBOARD_SELECTION,
        caps::CLIPBOARD_GRAB_SERIAL,
        40,
        64,
    ]));
    let agreed = announced.agreed();
    assert!(agreed.has(caps::CLIPBOARD_SELECTION) && !agreed.has(caps::CLIPBOARD_GRAB_SERIAL));
    assert!(agreed.has(40) && !agreed.has(64) && !agreed.has(u32::MAX));
    assert_eq!(agreed, Agreed::of(&[caps::CLIPBOARD_SELECTION, 40]));
    assert_eq!(agreed.serial(1), None);
    announced.agent_gone();
    assert_eq!(announced.agreed(), Agreed::NOTHING);
    assert_eq!(caps::name(18), None);
}

#[track_caller]
fn refused(agreed: Agreed, kind: AgentMessageType, data: &[u8], text: Expect) {
    text.assert_eq(&Message::decode(&frame(kind, data), agreed).unwrap_err().to_string());
}

#[test]
fn errors_name_the_field() {
    refused(
        modern(),
        AgentMessageType::CLIPBOARD,
        &[0, 0],
        expect!["Clipboard.reserved at byte 1: truncated: needs 3 bytes, 1 left"],
    );
    refused(
        modern(),
        AgentMessageType::CLIPBOARD_GRAB,
        &[0; 6],
        expect!["ClipboardGrab.serial at byte 4: truncated: needs 4 bytes, 2 left"],
    );
    refused(
        OLD,
        AgentMessageType::CLIPBOARD_REQUEST,
        &[],
        expect!["ClipboardRequest.type at byte 0: truncated: needs 4 bytes, 0 left"],
    );
    refused(
        OLD,
        AgentMessageType::MONITORS_CONFIG,
        &[0xff; 48],
        expect!["MonitorsConfig.monitors at byte 8: truncated: needs 85899345900 bytes, 40 left"],
    );
    refused(
        OLD,
        AgentMessageType::FILE_XFER_DATA,
        &[0xff; 20],
        expect!["FileXferData.data at byte 12: truncated: needs 18446744073709551615 bytes, 8 left"],
    );
    refused(
        OLD,
        AgentMessageType::GRAPHICS_DEVICE_INFO,
        &[&[2, 0, 0, 0][..], &[0; 20]].concat(),
        expect!["GraphicsDeviceInfo.monitor_id at byte 24: truncated: needs 4 bytes, 0 left"],
    );
}

#[test]
fn sizes_go_with_monitors() {
    let config = MonitorsConfig {
        flags: MonitorsFlags(0),
        monitors: vec![],
        physical_sizes: Some(vec![MonitorMm { height: 1, width: 2 }]),
    };
    let mut out = BytesMut::from(&b"before"[..]);
    let error = config.encode(&mut out).unwrap_err();
    assert_eq!((error.field, error.value, error.limit), ("physical_sizes", 1, 0));
    assert_eq!(out[..], b"before"[..]);
}

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
}

/// A message in one body is a slice of it; one in several takes no more than its own size and the half that
/// it outgrew.
#[test]
fn what_is_held() {
    let body = Bytes::from(bytes_of(&frame(AgentMessageType::CLIPBOARD, &[7; 1000])));
    let mut assembler = Assembler::new(Receiver::Server, &Limits::default());
    let frame_of = |assembler: &mut Assembler, body: &Bytes| assembler.frames(body).last().unwrap().unwrap();
    let whole = frame_of(&mut assembler, &body);
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
    let mut announced = bytes_of(&frame(AgentMessageType::CLIPBOARD, &[]));
    announced[16..20].copy_from_slice(&(16_u32 << 20).to_le_bytes());
    let announced = Bytes::from(announced);
    let allocated = allocation_counter::measure(|| assert_eq!(assembler.frames(&announced).count(), 0));
    assert_eq!(allocated.bytes_total, 0);
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
