//! The extended clipboard: packing, unpacking, and what a peer can make of it.

use bytes::{Bytes, BytesMut};
use expect_test::expect;
use proptest::collection::vec;
use proptest::prelude::*;
use rfb_proto::message::{
    ClientCutText, ClipboardFlags, ExtendedClipboard, Extension, Extensions, Provide, ServerCutText, ServerMessage,
    SetEncodings,
};
use rfb_proto::{DecodeErrorKind, Limits};

use crate::data::hex;

/// What Xtigervnc 1.12 and its viewer provided when a text was copied on either side. The streams are flushed and never
/// ended.
const FROM_SERVER: &str = "10000001 789c626060902b4e2d2a4b2d5248cec92c48ca4f2c4a5138bce4f0b6c37b141e35ade1e5620000\
    0000ffff";
const FROM_CLIENT: &str = "10000001 789c626060904ccec94ccd2b512849ad285138bce4f0b6c37b141e35ade1e56200000000ffff";

fn provide(bytes: &[u8]) -> Provide {
    match ExtendedClipboard::decode_slice(bytes, &Limits::default()).unwrap() {
        ExtendedClipboard::Provide(provide) => provide,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_is_never_ended_is_unpacked() {
    for (recorded, text) in [
        (FROM_SERVER, "server clipboard äöü €\r\n\0"),
        (FROM_CLIENT, "client text äöü €\r\n\0"),
    ] {
        let data = provide(&hex(recorded)).unpack(&Limits::default()).unwrap();
        assert_eq!(data, [(ClipboardFlags::TEXT, Bytes::from(text))]);
    }
    let recorded = hex(FROM_CLIENT);
    let provided = provide(&recorded);
    // It really has no end: zlib's own check is not there.
    let whole = miniz_oxide::inflate::decompress_to_vec_zlib(&provided.data);
    assert!(whole.is_err());
    // Each cut of the bytes that are needed is an error.
    let needed = (1..recorded.len() - 4)
        .find(|len| {
            let data = provided.data.slice(..*len);
            let flags = provided.flags;
            Provide { flags, data }.unpack(&Limits::default()).is_ok()
        })
        .unwrap();
    for len in 0..needed {
        let cut = Provide {
            flags: provided.flags,
            data: provided.data.slice(..len),
        };
        let error = cut.unpack(&Limits::default()).unwrap_err();
        assert!(
            matches!(error.kind, DecodeErrorKind::Truncated { .. }),
            "{len}: {error}"
        );
    }
}

/// A megabyte of zeros in a thousand bytes, and a size of 4 GiB: neither is allocated.
#[test]
fn what_unpacks_to_too_much_is_refused() {
    let limits = Limits::default().with_clipboard(100_000);
    let bomb = Provide::pack(&[(ClipboardFlags::TEXT, &vec![0; 1 << 20])]).unwrap();
    assert!(bomb.data.len() < 2000);
    let mut result = None;
    let allocated = allocation_counter::measure(|| result = Some(bomb.unpack(&limits)));
    let expected = expect!["Provide.data at byte 20: 1048580 is above the limit of 100000"];
    expected.assert_eq(&result.unwrap().unwrap_err().to_string());
    assert!(allocated.bytes_max < 60_000, "{}", allocated.bytes_max);
    for size in [99_996, 99_997, u32::MAX] {
        let data = miniz_oxide::deflate::compress_to_vec_zlib(&size.to_be_bytes(), 6).into();
        let flags = ClipboardFlags::PROVIDE.with(ClipboardFlags::TEXT);
        let error = Provide { flags, data }.unpack(&limits).unwrap_err();
        let is_above = matches!(error.kind, DecodeErrorKind::TooLarge { .. });
        assert_eq!(is_above, 99_996 < size, "{error}");
    }
    let just = Provide::pack(&[(ClipboardFlags::TEXT, &vec![0; 99_996])]).unwrap();
    assert_eq!(just.unpack(&limits).unwrap()[0].1.len(), 99_996);
}

/// The capabilities of TigerVNC's server: they carry every action that it takes.
#[test]
fn caps_carry_actions() {
    let caps = ExtendedClipboard::decode_slice(&hex("1f000001 00000000"), &Limits::default()).unwrap();
    let ExtendedClipboard::Caps { flags, sizes } = caps else {
        panic!("{caps:?}");
    };
    assert!(flags.contains(ClipboardFlags::PROVIDE.with(ClipboardFlags::NOTIFY)));
    assert_eq!(
        (flags.formats().collect::<Vec<_>>(), sizes),
        (vec![ClipboardFlags::TEXT], vec![0])
    );
    let decode = |text: &str| {
        let decoded = ExtendedClipboard::decode_slice(&hex(text), &Limits::default());
        decoded.map(drop).map_err(|error| error.to_string())
    };
    expect!["ExtendedClipboard.flags at byte 0: one action expected"].assert_eq(&decode("0a000001").unwrap_err());
    expect!["ExtendedClipboard.end at byte 4: bytes behind the message"].assert_eq(&decode("02000001 00").unwrap_err());
    expect!["ExtendedClipboard.sizes at byte 4: truncated: needs 8 bytes, 4 left"]
        .assert_eq(&decode("01000003 00000000").unwrap_err());
    let caps = ExtendedClipboard::Caps {
        flags: ClipboardFlags::CAPS,
        sizes: vec![1],
    };
    assert!(caps.encode(&mut BytesMut::new()).is_err());
    assert!(Provide::pack(&[(ClipboardFlags::CAPS, b"")]).is_err());
    assert!(Provide::pack(&[(ClipboardFlags(3), b"")]).is_err());
}

/// The length is signed once the client has asked; before that a negative one is no length.
#[test]
fn a_negative_length_needs_an_agreement() {
    let caps = hex("03 000000 fffffff8 1f000001 00000000");
    let limits = Limits::default();
    let mut extensions = Extensions::default();
    let error = ServerMessage::missing(&caps, &extensions, &limits).unwrap_err();
    expect!["ServerCutText.length at byte 4: 4294967288 is above the limit of 1048576"].assert_eq(&error.to_string());
    let asks = SetEncodings::new(&[Extension::ExtendedClipboard.encoding()]);
    extensions.client_asked(&asks.encodings);
    let message = ServerMessage::decode_slice(&caps, &extensions, &limits).unwrap();
    assert!(!extensions.agreed(Extension::ExtendedClipboard));
    extensions.server_sent(&message);
    assert!(extensions.agreed(Extension::ExtendedClipboard));
    // The client no longer asks; an answer may still be on its way.
    extensions.client_asked(&[]);
    assert!(ServerMessage::decode_slice(&caps, &extensions, &limits).is_ok());
    let from_client = hex("06 000000 fffffff8 1f000001 00000000");
    assert!(ClientCutText::decode_slice(&from_client, &extensions, &limits).is_err());
    assert!(ClientCutText::decode_slice(&from_client, &Extensions::ALL, &limits).is_ok());
    // The longest there is.
    let longest = ServerCutText::missing(
        &hex("03 000000 80000000"),
        &Extensions::ALL,
        &limits.with_cut_text(1 << 31),
    );
    assert_eq!(longest, Ok(1 << 31));
}

proptest! {
    #[test]
    fn what_is_packed_unpacks(data in vec((0..16_u32, vec(any::<u8>(), 0..300)), 0..6)) {
        let data: Vec<_> = data.iter().map(|(bit, bytes)| (ClipboardFlags(1 << bit), &bytes[..])).collect();
        let packed = Provide::pack(&data).unwrap();
        let mut first: Vec<(ClipboardFlags, Bytes)> = Vec::new();
        for (format, bytes) in data {
            if first.iter().all(|(known, _)| *known != format) {
                first.push((format, Bytes::copy_from_slice(bytes)));
            }
        }
        first.sort_by_key(|(format, _)| *format);
        prop_assert_eq!(packed.unpack(&Limits::default()), Ok(first));
        // In a cut text, both ways.
        let message = ExtendedClipboard::Provide(packed);
        let text = ClientCutText::from_extended(&message).unwrap();
        prop_assert_eq!(text.extended(&Limits::default()), Some(Ok(message)));
    }

    /// Any bytes: an error or data within the limit, and memory within reason.
    #[test]
    fn any_bytes_unpack_within_the_limit(data in vec(any::<u8>(), 0..200), limit in 0..5000_u32, formats in any::<u16>()) {
        let flags = ClipboardFlags(u32::from(formats)).with(ClipboardFlags::PROVIDE);
        let zlib = [&[0x78, 0x9c][..], &data].concat();
        for data in [data, zlib] {
            let provide = Provide { flags, data: data.into() };
            if let Ok(unpacked) = provide.unpack(&Limits::default().with_clipboard(limit)) {
                let sum: usize = unpacked.iter().map(|(_, data)| data.len() + 4).sum();
                prop_assert!(sum <= limit as usize);
            }
        }
    }
}
