//! Any value survives: values of every message, made by the feature `arbitrary`, through bytes and back.

use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use spice_proto::channel::{ClientMessage, ServerMessage, display};
use spice_proto::frame::{Body, Frame, Header};
use spice_proto::ids::ChannelType;
use spice_proto::{DecodeError, channel};

fn frame(number: u16, body: Bytes) -> Frame {
    let header = Header {
        serial: 0,
        number,
        size: body.len() as u32,
        sub_list: 0,
    };
    Frame { header, body }
}

fn bytes_of(message: &impl Body, front: &[u8]) -> Bytes {
    let mut out = BytesMut::from(front);
    message.encode(&mut out).unwrap();
    assert_eq!(&out[..front.len()], front, "what stands in front is left alone");
    let bytes = out.split_off(front.len()).freeze();
    assert_eq!(bytes.len(), message.encoded_len(), "the length is exact");
    bytes
}

/// Through bytes and back; garbage behind is ignored or is part of an open end; no cut gives another value.
fn survives<M: Body + PartialEq + core::fmt::Debug>(
    message: &M,
    decode: impl Fn(&Frame) -> Result<M, DecodeError>,
) -> Result<(), TestCaseError> {
    let number = message.number();
    let bytes = bytes_of(message, b"in front");
    let back = decode(&frame(number, bytes.clone()));
    prop_assert_eq!(back.as_ref(), Ok(message));
    let behind = decode(&frame(number, Bytes::from([&bytes[..], b"behind"].concat()))).unwrap();
    prop_assert!(behind == *message || bytes_of(&behind, b"")[..] == [&bytes[..], b"behind"].concat());
    // A cut is an error, unless the end is open or only a NUL that no length counts is cut off: the rest is a value.
    for cut in 0..bytes.len().min(600) {
        match decode(&frame(number, bytes.slice(..cut))) {
            Err(error) => prop_assert!(error.offset <= cut, "{error}"),
            Ok(less) => prop_assert!(
                bytes_of(&less, b"").starts_with(&bytes[..cut]),
                "{message:?} cut at {cut}"
            ),
        }
    }
    Ok(())
}

macro_rules! any_value {
    ($($test:ident: $message:ty;)*) => {
        proptest! { $(
            #[test]
            fn $test(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
                for (number, _) in <$message>::TABLE {
                    let message = <$message>::arbitrary_body(*number, &mut Unstructured::new(&bytes)).unwrap();
                    prop_assert_eq!(message.number(), *number);
                    survives(&message, <$message>::decode)?;
                }
            }
        )* }
    };
}

any_value! {
    common_from_server: channel::common::ServerMessage;
    common_from_client: channel::common::ClientMessage;
    main_from_server: channel::main::ServerMessage;
    main_from_client: channel::main::ClientMessage;
    display_from_server: display::ServerMessage;
    display_from_client: display::ClientMessage;
    inputs_from_server: channel::inputs::ServerMessage;
    inputs_from_client: channel::inputs::ClientMessage;
    cursor_from_server: channel::cursor::ServerMessage;
    playback_from_server: channel::playback::ServerMessage;
    record_from_server: channel::record::ServerMessage;
    record_from_client: channel::record::ClientMessage;
    smartcard_from_server: channel::smartcard::ServerMessage;
    smartcard_from_client: channel::smartcard::ClientMessage;
    vmc_from_server: channel::vmc::ServerMessage;
    vmc_from_client: channel::vmc::ClientMessage;
    port_from_server: channel::port::ServerMessage;
    port_from_client: channel::port::ClientMessage;
}

/// The type of the channel that a message belongs to.
fn channel_of(message: &ServerMessage) -> ChannelType {
    match message {
        ServerMessage::Main(_) => ChannelType::MAIN,
        ServerMessage::Display(_) => ChannelType::DISPLAY,
        ServerMessage::Inputs(_) => ChannelType::INPUTS,
        ServerMessage::Cursor(_) => ChannelType::CURSOR,
        ServerMessage::Playback(_) => ChannelType::PLAYBACK,
        ServerMessage::Record(_) => ChannelType::RECORD,
        ServerMessage::Smartcard(_) => ChannelType::SMARTCARD,
        ServerMessage::Usbredir(_) => ChannelType::USBREDIR,
        ServerMessage::Port(_) => ChannelType::WEBDAV,
        _ => ChannelType(200),
    }
}

proptest! {
    /// What has no layout, too; and the sets joined give the channel's own message.
    #[test]
    fn of_any_channel(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let message = ServerMessage::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
        survives(&message, |frame| ServerMessage::decode(channel_of(&message), frame))?;
        let message = ClientMessage::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
        let kinds = (0..12).map(ChannelType);
        let body = bytes_of(&message, b"");
        let back = |kind| ClientMessage::decode(kind, &frame(message.number(), body.clone())).ok();
        prop_assert!(kinds.into_iter().any(|kind| back(kind).as_ref() == Some(&message)));
    }
}

/// The values are not all empty ones: every switch of a picture, and every number, is made.
#[test]
fn values_of_every_kind_are_made() {
    let mut seed = 1_u64;
    let mut next = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    let mut numbers = BTreeMap::<_, usize>::new();
    let mut payloads = BTreeMap::<_, usize>::new();
    for _ in 0..20_000 {
        let bytes: Vec<u8> = (0..300).map(|_| next()).collect();
        let message = display::ServerMessage::arbitrary(&mut Unstructured::new(&bytes)).unwrap();
        *numbers.entry(message.name()).or_default() += 1;
        if let display::ServerMessage::DrawCopy(copy) = &message {
            if let Some(image) = &copy.src_bitmap {
                *payloads.entry(image.descriptor.r#type.name()).or_default() += 1;
            }
        }
    }
    assert_eq!(
        numbers.len(),
        display::ServerMessage::TABLE.len() + channel::common::ServerMessage::TABLE.len() + 1
    );
    assert_eq!(payloads.len(), 12, "{payloads:?}");
}
