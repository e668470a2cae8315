//! Any value survives: every flat message from random fields, through bytes and back.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use spice_proto::caps::{Capabilities, CapabilityWords};
use spice_proto::channel::{common, main};
use spice_proto::ids::{ChannelType, LinkErrorCode, MouseModes, NotifySeverity, NotifyVisibility};
use spice_proto::link::{LinkMess, LinkReply};
use spice_proto::{DecodeError, Limits};

fn blob() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from)
}

fn words() -> impl Strategy<Value = CapabilityWords> {
    prop::collection::vec(any::<u32>(), 0..9).prop_map(|words| words.into_iter().collect())
}

fn capabilities() -> impl Strategy<Value = Capabilities> {
    (words(), words()).prop_map(|(common, channel)| Capabilities { common, channel })
}

fn destination() -> impl Strategy<Value = main::Destination> {
    (any::<u16>(), any::<u16>(), blob(), blob()).prop_map(|(port, sport, host, cert_subject)| main::Destination {
        port,
        sport,
        host,
        cert_subject,
    })
}

/// Through bytes and back; exact length; garbage in front is left alone, garbage behind is ignored.
macro_rules! survives {
    ($message:expr, $ty:ty) => {{
        let message: $ty = $message;
        let mut out = BytesMut::from(&b"in front"[..]);
        message.encode(&mut out).unwrap();
        prop_assert_eq!(&out[..8], b"in front");
        prop_assert_eq!(out.len() - 8, message.encoded_len());
        let bytes = out.split_off(8).freeze();
        prop_assert_eq!(<$ty>::decode(&bytes).unwrap(), message.clone());
        prop_assert_eq!(<$ty>::decode_slice(&bytes).unwrap(), message);
        bytes
    }};
}

proptest! {
    #[test]
    fn counted(name in blob(), ids in prop::collection::vec(any::<(u8, u8)>(), 0..20), waits in prop::collection::vec(any::<(u8, u8, u64)>(), 0..20)) {
        let bytes = survives!(main::Name { name }, main::Name);
        let behind = Bytes::from([&bytes[..], b"behind"].concat());
        prop_assert!(main::Name::decode(&behind).is_ok());
        let channels = ids.into_iter().map(|(kind, id)| main::ChannelId { channel_type: ChannelType(kind), id }).collect();
        survives!(main::ChannelsList { channels }, main::ChannelsList);
        let wait_list = waits
            .into_iter()
            .map(|(kind, channel_id, message_serial)| common::ChannelWait { channel_type: ChannelType(kind), channel_id, message_serial })
            .collect();
        survives!(common::WaitForChannels { wait_list }, common::WaitForChannels);
    }

    #[test]
    fn pointed(destination in destination(), src_mig_version: u32) {
        survives!(main::MigrateBegin { destination: destination.clone() }, main::MigrateBegin);
        survives!(main::MigrateSwitchHost { destination: destination.clone() }, main::MigrateSwitchHost);
        survives!(main::MigrateBeginSeamless { destination, src_mig_version }, main::MigrateBeginSeamless);
    }

    #[test]
    fn texts_and_modes(time_stamp: u64, a: u32, b: u32, what: u32, message in blob(), modes: (u16, u16)) {
        let (severity, visibility) = (NotifySeverity(a), NotifyVisibility(b));
        survives!(common::Notify { time_stamp, severity, visibility, what, message }, common::Notify);
        let (supported_modes, current_mode) = (MouseModes(modes.0.into()), MouseModes(modes.1.into()));
        survives!(main::MouseMode { supported_modes, current_mode }, main::MouseMode);
    }

    #[test]
    fn link_messages(connection_id: u32, kind: u8, channel_id: u8, capabilities in capabilities(), error: u32, gap in 0..40_usize) {
        let mess = LinkMess { connection_id, channel_type: ChannelType(kind), channel_id, capabilities: capabilities.clone() };
        let mut out = BytesMut::new();
        mess.encode(&mut out).unwrap();
        let body = &out[16..];
        prop_assert_eq!(LinkMess::decode_slice(body, &Limits::default()), Ok(mess.clone()));
        // The words may stand further behind.
        let mut moved = body[..18].to_vec();
        moved[14..18].copy_from_slice(&(18 + gap as u32).to_le_bytes());
        moved.extend(vec![0xee; gap]);
        moved.extend(&body[18..]);
        moved.extend(b"behind");
        prop_assert_eq!(LinkMess::decode_slice(&moved, &Limits::default()), Ok(mess));
        for cut in 0..body.len() {
            let cut: Result<LinkMess, DecodeError> = LinkMess::decode_slice(&body[..cut], &Limits::default());
            prop_assert!(cut.is_err());
        }
        let reply = LinkReply { error: LinkErrorCode(error), pub_key: [7; 162], capabilities };
        let mut out = BytesMut::new();
        reply.encode(&mut out).unwrap();
        prop_assert_eq!(LinkReply::decode_slice(&out[16..], &Limits::default()), Ok(reply));
    }

    #[test]
    fn capability_words(words in words(), bit in 0..400_u32) {
        prop_assert!(words.clone().with(bit).has(bit));
        prop_assert!(!words.clone().without(bit).has(bit));
        prop_assert_eq!(words.clone().without(bit).words().len(), words.words().len());
        let bits: Vec<u32> = words.bits().collect();
        prop_assert_eq!(bits.len() as u32, words.words().iter().map(|word| word.count_ones()).sum::<u32>());
        prop_assert!(bits.iter().all(|bit| words.has(*bit)));
        prop_assert!(CapabilityWords::of(&bits).bits().eq(bits));
    }
}

#[test]
fn null_pointers_and_empty_texts() {
    // An empty text has size 0 and pointer 0; a pointer without size is not followed; a size without
    // pointer is an error.
    let destination = main::Destination {
        port: 1,
        sport: 2,
        host: Bytes::new(),
        cert_subject: Bytes::new(),
    };
    let mut out = BytesMut::new();
    main::MigrateBegin { destination }.encode(&mut out).unwrap();
    assert_eq!(out[..], [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    out[8] = 0xff;
    assert!(main::MigrateBegin::decode_slice(&out).is_ok());
    out[4] = 1;
    let error = main::MigrateBegin::decode_slice(&out).unwrap_err().to_string();
    assert_eq!(
        error,
        "MigrateBegin.host_data at byte 8: offset 255 lies outside of the 20 bytes of the message"
    );
    out[8] = 0;
    let error = main::MigrateBegin::decode_slice(&out).unwrap_err().to_string();
    assert_eq!(
        error,
        "MigrateBegin.host_data at byte 8: null pointer to a field that has a size"
    );
}

#[test]
fn unknown_numbers_pass_through() {
    let header = spice_proto::frame::Header {
        serial: 5,
        number: 999,
        size: 3,
        sub_list: 0,
    };
    let frame = spice_proto::frame::Frame {
        header,
        body: Bytes::from_static(b"abc"),
    };
    let message = main::ServerMessage::decode(&frame).unwrap();
    assert_eq!(
        (message.number(), message.name(), message.is_unknown()),
        (999, "unknown", true)
    );
    let mut out = BytesMut::new();
    message.encode(&mut out).unwrap();
    assert_eq!(&out[..], b"abc");
}

/// Payloads are slices of what was received, not copies.
#[test]
fn payloads_are_not_copied() {
    let body = Bytes::from(vec![1; 100]);
    let ping = common::Ping::decode(&body).unwrap();
    assert_eq!(ping.data.as_ptr(), body[12..].as_ptr());
    let allocated = allocation_counter::measure(|| {
        assert_eq!(common::Ping::decode(&body).unwrap().data.len(), 88);
    });
    assert_eq!(allocated.count_total, 0);
}

/// A number has its name where the tables have it, and a body knows that of its message.
#[test]
fn numbers_have_names() {
    use spice_proto::channel::{cursor, display, inputs, playback, port, record, smartcard, vmc};
    assert_eq!(main::ServerMessage::INIT, 103);
    assert_eq!(main::Init::NUMBER, main::ServerMessage::INIT);
    assert_eq!(common::List::NUMBER, common::ServerMessage::LIST);
    assert_eq!(
        (common::ServerMessage::MIGRATE_DATA, common::ClientMessage::MIGRATE_DATA),
        (2, 5)
    );
    assert_eq!(display::Init::NUMBER, display::ClientMessage::INIT);
    assert_eq!(display::GlScanout2Unix::NUMBER, 323);
    assert_eq!(
        (playback::ServerMessage::VOLUME, record::ServerMessage::VOLUME),
        (105, 103)
    );
    let tables = [
        common::ServerMessage::TABLE,
        common::ClientMessage::TABLE,
        main::ServerMessage::TABLE,
        main::ClientMessage::TABLE,
        display::ServerMessage::TABLE,
        display::ClientMessage::TABLE,
        inputs::ServerMessage::TABLE,
        inputs::ClientMessage::TABLE,
        cursor::ServerMessage::TABLE,
        playback::ServerMessage::TABLE,
        record::ServerMessage::TABLE,
        record::ClientMessage::TABLE,
        smartcard::ServerMessage::TABLE,
        vmc::ServerMessage::TABLE,
        port::ServerMessage::TABLE,
    ];
    for (number, name) in tables.into_iter().flatten() {
        assert!(0 < *number && !name.is_empty(), "{number}");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
    }
    assert!(main::ServerMessage::TABLE.contains(&(main::ServerMessage::AGENT_TOKEN, "agent_token")));
    assert_eq!(spice_proto::ids::ScanCode::EXTENDED.0, 0xe0);
}
