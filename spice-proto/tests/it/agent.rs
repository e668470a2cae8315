//! Agent messages one by one.

use bytes::{Bytes, BytesMut};
use expect_test::{Expect, expect};
use spice_proto::agent::{
    Agreed, AnnounceCapabilities, Announced, AudioVolumeSync, Clipboard, ClipboardGrab, ClipboardRelease,
    ClipboardRequest, DeviceDisplayInfo, DisplayConfig, FileXferData, FileXferDetail, FileXferStart, FileXferStatus,
    Frame, GraphicsDeviceInfo, MaxClipboard, Message, MessageHeader, MonConfig, MonitorMm, MonitorsConfig, MouseState,
    Reply, caps,
};
use spice_proto::caps::CapabilityWords;
use spice_proto::ids::{
    AgentMessageType, AgentMouseButtons, ClipboardSelection, ClipboardType, DisplayConfigFlags, FileXferResult,
    MonitorsFlags, ReplyError,
};

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
