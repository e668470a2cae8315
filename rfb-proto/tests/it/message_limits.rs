//! Bad input for messages: lengths at every limit and beyond it, and every byte of a stream changed.

use bytes::{Bytes, BytesMut};
use expect_test::expect;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::message::pseudo::{DesktopName, Pseudo};
use rfb_proto::message::{
    ChatEvent, ClientMessage, ClientMessages, Extensions, FenceFlags, Gii, PointerEvent, ServerFence, ServerMessage,
    SetDesktopSize, SetEncodings, TextChat,
};
use rfb_proto::{DecodeError, DecodeErrorKind, Limits, PixelFormat};

use crate::interpreter::Interpreter;

/// A length that a peer declares: what is in front of it, its field and its limit.
struct Length {
    head: &'static [u8],
    field: &'static str,
    limit: u32,
    is_client: bool,
}

fn lengths(limits: &Limits) -> Vec<Length> {
    let both = |head: &'static [u8], field, limit| {
        [true, false].map(|is_client| Length {
            head,
            field,
            limit,
            is_client,
        })
    };
    let mut lengths = Vec::new();
    lengths.extend(both(&[7, 0, 0, 0, 0, 0, 0, 9], "length", limits.file_transfer));
    lengths.extend(both(&[11, 0, 0, 0], "length", limits.text_chat));
    for (number, is_client) in [(&[6, 0, 0, 0][..], true), (&[3, 0, 0, 0], false)] {
        lengths.push(Length {
            head: number,
            field: "length",
            limit: limits.cut_text,
            is_client,
        });
    }
    lengths.push(Length {
        head: &[255, 1, 0, 2],
        field: "length",
        limit: limits.audio,
        is_client: false,
    });
    lengths
}

/// Nothing is allocated before the bytes are there, and a length above its limit is refused when it is read.
#[test]
fn lengths_at_their_limits_and_above() {
    let limits = Limits::default();
    for Length {
        head,
        field,
        limit,
        is_client,
    } in lengths(&limits)
    {
        let missing = |bytes: &[u8]| -> Result<usize, DecodeError> {
            match is_client {
                true => ClientMessage::missing(bytes, &Extensions::NONE, &limits),
                false => ServerMessage::missing(bytes, &Extensions::NONE, &limits),
            }
        };
        let decode = |bytes: &[u8]| -> Result<(), DecodeError> {
            match is_client {
                true => ClientMessage::decode_slice(bytes, &Extensions::NONE, &limits).map(drop),
                false => ServerMessage::decode_slice(bytes, &Extensions::NONE, &limits).map(drop),
            }
        };
        for value in [0, 1, limit - 1, limit, limit + 1, 1 << 31, u32::MAX - 3] {
            let bytes = [head, &value.to_be_bytes()].concat();
            let mut results = None;
            let allocated = allocation_counter::measure(|| results = Some((missing(&bytes), decode(&bytes))));
            assert!(allocated.bytes_max < 100, "{head:?}: {}", allocated.bytes_max);
            let (missing, decoded) = results.unwrap();
            if value <= limit {
                assert_eq!(missing, Ok(value as usize), "{head:?}");
                assert_eq!(decoded.is_ok(), value == 0, "{head:?}");
                continue;
            }
            let error = missing.unwrap_err();
            let (value, limit) = (value.into(), limit.into());
            assert_eq!((error.field, error.offset), (field, head.len()), "{error}");
            assert_eq!(error.kind, DecodeErrorKind::TooLarge { value, limit });
            assert_eq!(decoded, Err(error));
        }
    }
}

/// A desktop's name of 4 GiB is refused before a byte is reserved for it.
#[test]
fn a_name_of_4_gib() {
    let limits = Limits::default();
    for (value, expected) in [
        (4096_u32, Ok(4096)),
        (
            4097,
            Err("DesktopName.length at byte 0: 4097 is above the limit of 4096"),
        ),
        (
            u32::MAX,
            Err("DesktopName.length at byte 0: 4294967295 is above the limit of 4096"),
        ),
    ] {
        let mut result = None;
        let bytes = value.to_be_bytes();
        let allocated = allocation_counter::measure(|| result = Some(DesktopName::missing(&bytes, &limits)));
        assert_eq!(allocated.bytes_max, 0);
        let text = result.unwrap().map_err(|error| error.to_string());
        assert_eq!(text.as_ref().map_err(String::as_str).copied(), expected);
    }
}

/// Width and height as large as they can be, with pixels of any size.
#[test]
fn cursors_as_large_as_they_can_be() {
    let limits = Limits::default();
    let head = |width, height, encoding| Rectangle {
        x: 0,
        y: 0,
        width,
        height,
        encoding,
    };
    let decode = |head: &Rectangle, payload: &'static [u8]| {
        let decoded = Pseudo::decode(head, &Bytes::from_static(payload), &PixelFormat::RGB888, &limits);
        decoded.unwrap_err().to_string()
    };
    let largest = |encoding| head(u16::MAX, u16::MAX, encoding);
    expect!["Cursor.pixels at byte 0: 17179344900 is above the limit of 268435456"]
        .assert_eq(&decode(&largest(Encoding::CURSOR), b""));
    expect!["X Cursor.bitmap at byte 6: 536862720 is above the limit of 268435456"]
        .assert_eq(&decode(&largest(Encoding::X_CURSOR), b"\0\0\0\0\0\0"));
    expect!["VMware Cursor.and_mask at byte 2: 17179344900 is above the limit of 268435456"]
        .assert_eq(&decode(&largest(Encoding::VMWARE_CURSOR), b"\0\0"));
    expect!["VMware Cursor.kind at byte 0: 2 is not known"]
        .assert_eq(&decode(&largest(Encoding::VMWARE_CURSOR), b"\x02\0"));
    expect!["SupportedEncodings.encodings at byte 0: four bytes each expected"]
        .assert_eq(&decode(&head(3, 1, Encoding::SUPPORTED_ENCODINGS), b"abc"));
    let strange = PixelFormat {
        bits_per_pixel: 24,
        ..PixelFormat::RGB888
    };
    let error = Pseudo::decode(&head(1, 1, Encoding::CURSOR), &Bytes::new(), &strange, &limits).unwrap_err();
    expect!["Cursor.pixels at byte 0: a pixel format of 8, 16 or 32 bits expected"].assert_eq(&error.to_string());
    let empty = Pseudo::decode(
        &head(0, 9, Encoding::CURSOR),
        &Bytes::new(),
        &PixelFormat::RGB888,
        &limits,
    );
    assert!(matches!(empty, Ok(Some(Pseudo::Cursor(_)))));
}

/// What has no place on the wire is an error, and nothing is written.
#[test]
fn values_that_do_not_fit() {
    let mut dst = BytesMut::from(&b"before"[..]);
    let mut fails = |message: ClientMessage| {
        let error = message.encode(&mut dst).unwrap_err();
        assert_eq!(dst, b"before"[..]);
        error.to_string()
    };
    let screen = rfb_proto::message::Screen {
        id: 0,
        x: 0,
        y: 0,
        width: 0,
        height: 0,
        flags: 0,
    };
    expect!["SetDesktopSize.count: 256 does not fit its wire field (largest: 255)"]
        .assert_eq(&fails(SetDesktopSize::new(1, 1, vec![screen; 256]).into()));
    expect!["SetEncodings.count: 65536 does not fit its wire field (largest: 65535)"]
        .assert_eq(&fails(SetEncodings::new(&vec![Encoding::RAW; 65536]).into()));
    let gii = Gii {
        endian_and_subtype: 0,
        body: vec![0; 65536].into(),
    };
    expect!["Gii.length: 65536 does not fit its wire field (largest: 65535)"].assert_eq(&fails(gii.into()));
    let pointer = |buttons, extended| PointerEvent {
        buttons,
        x: 0,
        y: 0,
        extended,
    };
    expect!["PointerEvent.buttons: 256 does not fit its wire field (largest: 255)"]
        .assert_eq(&fails(pointer(256, false).into()));
    expect!["PointerEvent.buttons: 32768 does not fit its wire field (largest: 32767)"]
        .assert_eq(&fails(pointer(0x8000, true).into()));
    let fence = ServerFence::new(FenceFlags(0), vec![0; 256].into());
    let mut dst = BytesMut::new();
    assert!(fence.encode(&mut dst).is_err() && dst.is_empty());
    // What means something else is read as that.
    let chat = TextChat::decode_slice(&[11, 0, 0, 0, 255, 255, 255, 254], &Limits::default()).unwrap();
    assert_eq!(chat.event, ChatEvent::Close);
}

/// A stream of every message there is, each byte changed in turn: messages that encode to what they were read from, an
/// error, or the wait for more; in one piece and in two.
#[test]
fn every_byte_of_a_stream_changed() {
    let mut interpreter = Interpreter::new();
    let mut stream = Vec::new();
    for row in interpreter.rows("client_message") {
        if row["framing"].as_str() != Some("unknown") {
            stream.extend(interpreter.make(&row).bytes);
        }
    }
    let limits = Limits::default();
    let (mut errors, mut whole) = (0, 0);
    for at in 0..stream.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = stream.clone();
            changed[at] ^= change;
            let (mut extensions, mut again) = (Extensions::ALL, BytesMut::new());
            let mut messages = ClientMessages::new(&changed, &mut extensions, &limits);
            for message in messages.by_ref() {
                message.encode(&mut again).unwrap();
            }
            assert_eq!(messages.next(), None, "it stays the end");
            let finished = messages.finish();
            let taken = finished.unwrap_or(again.len());
            assert_eq!(taken, again.len(), "byte {at}");
            assert_eq!(again, changed[..again.len()], "byte {at}");
            // The same with a buffer that messages are taken off, in two pieces.
            let (mut rx, mut extensions) = (BytesMut::new(), Extensions::ALL);
            let mut result = Ok(());
            for piece in [&changed[..at], &changed[at..]] {
                rx.extend_from_slice(piece);
                while result.is_ok() {
                    match ClientMessage::take(&mut rx, &extensions, &limits) {
                        Ok(Some(message)) => extensions.client_sent(&message),
                        Ok(None) => break,
                        Err(error) => result = Err(error),
                    }
                }
            }
            let failed = finished.err();
            assert_eq!((result.err(), changed.len() - rx.len()), (failed, taken), "byte {at}");
            errors += u32::from(failed.is_some());
            whole += u32::from(taken == changed.len());
        }
    }
    println!(
        "{} bytes changed: {errors} errors, {whole} read to the end",
        3 * stream.len()
    );
    assert!(0 < errors && 0 < whole);
}
