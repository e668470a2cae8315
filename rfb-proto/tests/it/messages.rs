//! Initialisation, pixel formats, messages and Raw rectangles.

use bytes::BytesMut;
use expect_test::expect;
use rfb_proto::encoding::{Encoding, Raw, Rectangle, RectangleError};
use rfb_proto::message::{
    Bell, ClientCutText, ClientMessage, Colour, Extensions, FramebufferUpdate, FramebufferUpdateRequest, KeyEvent,
    PointerEvent, ServerCutText, ServerMessage, SetColourMapEntries, SetEncodings, SetPixelFormat,
};
use rfb_proto::{ClientInit, Limits, PixelFormat, Policy, ServerInit};

use crate::data::{each, hex, own};

/// What QEMU 7.2 sends: 720 x 400, its pixel format with the byte order of the host, "QEMU".
const SERVER_INIT: &str = "02d0 0190  20 18 00 01 00ff 00ff 00ff 10 08 00 000000  00000004 51454d55";
/// An update with one Raw rectangle of two pixels, then a bell.
const UPDATE: &str = "00 00 0001  0001 0002 0002 0001 00000000  03020100 06050400  02";

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut dst = BytesMut::from(&b"garbage"[..]);
    encode(&mut dst);
    dst[7..].to_vec()
}

/// `$message` decodes to `$value`, and that encodes to the same bytes.
macro_rules! both_ways {
    (ClientMessage, $hex:expr, $value:expr) => {
        both_ways!(ClientMessage, $hex, $value, &Extensions::ALL)
    };
    (ServerMessage, $hex:expr, $value:expr) => {
        both_ways!(ServerMessage, $hex, $value, &Extensions::ALL)
    };
    ($message:ty, $hex:expr, $value:expr $(, $extensions:expr)?) => {{
        let (bytes, value): (Vec<u8>, $message) = (hex($hex), $value);
        let decoded = <$message>::decode_slice(&bytes, $($extensions,)? &Limits::default());
        assert_eq!(decoded.unwrap(), value);
        assert_eq!(encoded(|dst| value.encode(dst).unwrap()), bytes);
    }};
}

#[test]
fn initialisation() {
    both_ways!(ClientInit, "01", ClientInit::SHARED);
    assert!(!ClientInit::EXCLUSIVE.is_shared());
    assert!(ClientInit { shared: 255 }.is_shared());
    let (width, height, format) = (720, 400, PixelFormat::RGB888);
    let init = ServerInit {
        width,
        height,
        format,
        name: (&b"QEMU"[..]).into(),
    };
    assert_eq!(init.name_text(), "QEMU");
    both_ways!(ServerInit, SERVER_INIT, init);
}

/// InitialiseRFBConnection of TightVNC believed the length of the name (CVE-2019-15679 and others).
#[test]
fn a_name_is_held_against_its_limit() {
    let limits = Limits::default().with_name(4);
    let mut bytes = hex(SERVER_INIT);
    assert_eq!(ServerInit::missing(&bytes, &limits), Ok(0));
    bytes[23] = 5;
    let expected = expect!["ServerInit.name_length at byte 20: 5 is above the limit of 4"];
    expected.assert_eq(&ServerInit::missing(&bytes, &limits).unwrap_err().to_string());
    bytes[20..24].fill(0xff);
    assert!(ServerInit::decode_slice(&bytes, &Limits::default()).is_err());
}

/// A field inside of a structure is named, not the structure.
#[test]
fn a_cut_names_the_inner_field() {
    let bytes = hex(SERVER_INIT);
    let error = ServerInit::decode_slice(&bytes[..9], &Limits::default()).unwrap_err();
    expect!["ServerInit.red_max at byte 8: truncated: needs 2 bytes, 1 left"].assert_eq(&error.to_string());
}

#[test]
fn client_messages() {
    both_ways!(
        ClientMessage,
        "00 000000 20 18 00 01 00ff 00ff 00ff 10 08 00 000000",
        SetPixelFormat::new(PixelFormat::RGB888).into()
    );
    // xtightvncviewer 1.3.10 leaves a byte in the padding.
    let mut encodings = SetEncodings::new(&[Encoding::TIGHT, Encoding(-239), Encoding(0x5742)]);
    encodings.padding = 0x7f;
    both_ways!(ClientMessage, "02 7f 0003 00000007 ffffff11 00005742", encodings.into());
    both_ways!(ClientMessage, "02 00 0000", SetEncodings::new(&[]).into());
    let request = FramebufferUpdateRequest {
        incremental: 1,
        x: 2,
        y: 3,
        width: 4,
        height: 5,
    };
    both_ways!(ClientMessage, "03 01 0002 0003 0004 0005", request.into());
    let (down, padding, keysym) = (1, [0; 2], 0xff0d);
    both_ways!(
        ClientMessage,
        "04 01 0000 0000ff0d",
        KeyEvent { down, padding, keysym }.into()
    );
    let pointer = |buttons| PointerEvent::new(buttons, 0x102, 0x304, &Extensions::ALL);
    both_ways!(ClientMessage, "05 04 0102 0304", pointer(4).into());
    let text = ClientCutText {
        padding: [0; 3],
        extended: false,
        text: (&b"cut"[..]).into(),
    };
    both_ways!(ClientMessage, "06 000000 00000003 637574", text.into());
}

#[test]
fn server_messages() {
    let (padding, rectangles) = (0, 1);
    both_ways!(
        ServerMessage,
        "00 00 0001",
        FramebufferUpdate { padding, rectangles }.into()
    );
    let (red, green, blue) = (0xffff, 0x8000, 1);
    let entries = SetColourMapEntries {
        padding: 0,
        first: 7,
        colours: vec![Colour { red, green, blue }],
    };
    both_ways!(ServerMessage, "01 00 0007 0001 ffff 8000 0001", entries.into());
    both_ways!(ServerMessage, "02", Bell {}.into());
    let text = ServerCutText {
        padding: [0, 0, 9],
        extended: true,
        text: vec![1, 0, 0, 0, 5].into(),
    };
    both_ways!(ServerMessage, "03 000009 fffffffb 01000000 05", text.into());
}

/// The numbers of `rfb-messages.toml`.
#[test]
fn encodings_have_the_names_of_the_table() {
    let table = own("rfb-messages.toml");
    let mut named = 0;
    for row in each(&table, "encoding").chain(each(&table, "pseudo")) {
        // Numbers with the highest bit are there with and without a sign.
        let number = row["number"].as_integer().unwrap();
        let number = i32::try_from(number).unwrap_or_else(|_| u32::try_from(number).unwrap().cast_signed());
        let name = row["name"].as_str().unwrap();
        if let Some(own) = Encoding(number).name() {
            assert!(name.starts_with(own), "{number}: {own}, {name}");
            named += 1;
        }
    }
    assert_eq!(named, 55);
}

/// LibVNCServer took any length of a cut text (CVE-2018-7225), QEMU looped over one (CVE-2015-5239) and
/// counted one of the extended clipboard below zero (CVE-2022-3165).
#[test]
fn lengths_of_cut_texts() {
    let limits = Limits::default();
    let read = |hex_text: &str| {
        ClientMessage::missing(&hex(hex_text), &Extensions::ALL, &limits).map_err(|error| error.to_string())
    };
    assert_eq!(read("06 000000 00100000"), Ok(1 << 20));
    let expected = expect!["ClientCutText.length at byte 4: 1048577 is above the limit of 1048576"];
    expected.assert_eq(&read("06 000000 00100001").unwrap_err());
    let expected = expect!["ClientCutText.length at byte 4: 2147483648 is above the limit of 1048576"];
    expected.assert_eq(&read("06 000000 80000000").unwrap_err());
    let expected = expect!["ClientCutText.length at byte 4: the extended clipboard needs 4 bytes"];
    expected.assert_eq(&read("06 000000 fffffffd").unwrap_err());
    assert_eq!(read("06 000000 fffffffc"), Ok(4));
    let short = ServerCutText {
        padding: [0; 3],
        extended: true,
        text: vec![1].into(),
    };
    assert!(short.encode(&mut BytesMut::new()).is_err());
}

#[test]
fn another_type_is_not_read() {
    let error = Bell::decode_slice(&[3], &Limits::default()).unwrap_err();
    expect!["Bell.type at byte 0: the type of another message"].assert_eq(&error.to_string());
}

#[test]
fn an_update_in_any_chunks() {
    let (limits, bytes) = (Limits::default(), hex(UPDATE));
    for chunk in 1..=bytes.len() {
        let mut rx = BytesMut::new();
        let (mut pixels, mut raw, mut heads, mut bells) = (Vec::new(), None::<Raw>, 0, 0);
        for piece in bytes.chunks(chunk) {
            rx.extend_from_slice(piece);
            while !rx.is_empty() {
                if let Some(raw) = raw.as_mut().filter(|raw| 0 < raw.left()) {
                    pixels.extend_from_slice(&raw.take(&mut rx));
                } else if heads == 1 && raw.is_none() {
                    if Rectangle::missing(&rx, &limits) != Ok(0) {
                        break;
                    }
                    let rectangle = Rectangle::decode_slice(&rx, &limits).unwrap();
                    let _ = rx.split_to(rectangle.encoded_len());
                    raw = Some(Raw::new(&rectangle, &PixelFormat::RGB888, (3, 3), &limits).unwrap());
                } else {
                    if ServerMessage::missing(&rx, &Extensions::NONE, &limits) != Ok(0) {
                        break;
                    }
                    let message = ServerMessage::decode_slice(&rx, &Extensions::NONE, &limits).unwrap();
                    let _ = rx.split_to(message.encoded_len());
                    match message {
                        ServerMessage::FramebufferUpdate(_) => heads += 1,
                        ServerMessage::Bell(_) => bells += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        assert_eq!((heads, bells, rx.len()), (1, 1, 0));
        let colours: Vec<_> = pixels.chunks(4).map(|p| PixelFormat::RGB888.rgb(p).unwrap()).collect();
        assert_eq!(colours, [[1, 2, 3], [4, 5, 6]]);
    }
}

/// Width times height times the bytes of a pixel is what clients have multiplied in 32 bits
/// (CVE-2019-15690), and a rectangle outside of the framebuffer what they have written (CVE-2019-15691).
#[test]
fn rectangles_are_checked_before_anything_is_read() {
    let rectangle = |x, y, width, height| Rectangle {
        x,
        y,
        width,
        height,
        encoding: Encoding::RAW,
    };
    let limits = Limits::default();
    let format = PixelFormat::RGB888;
    let raw = |r: &Rectangle, size| Raw::new(r, &format, size, &limits).map(|raw| raw.left());
    assert_eq!(raw(&rectangle(1, 2, 3, 4), (4, 6)), Ok(48));
    assert_eq!(raw(&rectangle(0, 0, 0, 0), (0, 0)), Ok(0));
    for outside in [
        rectangle(2, 2, 3, 4),
        rectangle(1, 3, 3, 4),
        rectangle(0xffff, 0, 0xffff, 1),
    ] {
        let error = raw(&outside, (4, 6)).unwrap_err();
        assert!(matches!(error, RectangleError::Outside { .. }), "{error}");
    }
    let error = raw(&rectangle(0, 0, 0xffff, 0xffff), (0xffff, 0xffff)).unwrap_err();
    expect!["rectangle of 17179344900 bytes is above the limit of 268435456"].assert_eq(&error.to_string());
    let limits = Limits::default().with_rectangle(47);
    assert!(Raw::new(&rectangle(1, 2, 3, 4), &format, (4, 6), &limits).is_err());
}

/// QEMU divided by maxima of zero and believed any number of bits (CVE-2014-7815, CVE-2015-8504).
#[test]
fn pixel_formats() {
    use Policy::{Lenient, Strict};
    let good = PixelFormat::RGB888;
    let check = |format: PixelFormat| {
        [Lenient, Strict].map(|policy| match format.validate(policy) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        })
    };
    let cases = [
        (good, "", ""),
        // x11vnc and RealVNC say true.
        (
            PixelFormat {
                true_colour: 255,
                ..good
            },
            "",
            "",
        ),
        (PixelFormat { depth: 32, ..good }, "", ""),
        (
            PixelFormat {
                bits_per_pixel: 24,
                ..good
            },
            "24 bits per pixel",
            "24 bits per pixel",
        ),
        (
            PixelFormat {
                bits_per_pixel: 0,
                ..good
            },
            "0 bits per pixel",
            "0 bits per pixel",
        ),
        (
            PixelFormat { depth: 0, ..good },
            "depth 0 in 32 bits per pixel",
            "depth 0 in 32 bits per pixel",
        ),
        (
            PixelFormat { depth: 33, ..good },
            "depth 33 in 32 bits per pixel",
            "depth 33 in 32 bits per pixel",
        ),
        (PixelFormat { depth: 23, ..good }, "", "depth 23 in 32 bits per pixel"),
        (
            PixelFormat { green_max: 0, ..good },
            "maximum 0 of green",
            "maximum 0 of green",
        ),
        (
            PixelFormat { blue_max: 254, ..good },
            "maximum 254 of blue",
            "maximum 254 of blue",
        ),
        (PixelFormat { red_max: 0x3ff, ..good }, "", "maximum 1023 of red"),
        (
            PixelFormat {
                red_max: 0xffff,
                red_shift: 17,
                ..good
            },
            "shift 17 of red",
            "maximum 65535 of red",
        ),
        (
            PixelFormat { red_shift: 255, ..good },
            "shift 255 of red",
            "shift 255 of red",
        ),
        (PixelFormat { blue_shift: 1, ..good }, "", "shift 1 of blue"),
        (
            PixelFormat {
                true_colour: 0,
                red_max: 0,
                depth: 16,
                ..good
            },
            "",
            "depth 16 in 32 bits per pixel",
        ),
        (
            PixelFormat {
                true_colour: 0,
                bits_per_pixel: 8,
                depth: 8,
                ..good
            },
            "",
            "",
        ),
    ];
    for (format, lenient, strict) in cases {
        assert_eq!(check(format), [lenient, strict], "{format:?}");
    }
}

#[test]
fn pixels() {
    let small = PixelFormat {
        bits_per_pixel: 16,
        depth: 16,
        red_max: 31,
        green_max: 63,
        blue_max: 31,
        red_shift: 11,
        green_shift: 5,
        ..PixelFormat::RGB888
    };
    assert_eq!(small.rgb(&[0x1f, 0xf8]), Some([255, 0, 255]));
    let big = PixelFormat { big_endian: 1, ..small };
    assert_eq!(big.rgb(&[0x07, 0xe0]), Some([0, 255, 0]));
    assert_eq!(big.rgb(&[0x07]), None);
    assert_eq!(PixelFormat { red_max: 0, ..big }.rgb(&[1, 2]), None);
    assert_eq!(PixelFormat { true_colour: 0, ..big }.rgb(&[1, 2]), None);
    assert_eq!(PixelFormat { red_shift: 200, ..big }.rgb(&[1, 2]), None);
}
