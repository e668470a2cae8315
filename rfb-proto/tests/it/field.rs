//! What failed in the field: streams that real programs send and that were lost, or taken for something else.

use bytes::{Bytes, BytesMut};
use expect_test::expect;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::filter::{Filter, Guard};
use rfb_proto::framing::{ClientFramer, Ends, Part, Relay, ServerFramer};
use rfb_proto::handshake::bridge::{Bridge, BridgeAction, Upstream};
use rfb_proto::handshake::{
    BridgeConfig, ClientConfig, ClientHandshake, HandshakeError, ServerConfig, ServerHandshake, Side, SideBuffers,
};
use rfb_proto::message::pseudo::Pseudo;
use rfb_proto::message::{
    ClientCutText, ClientMessage, ClientMessages, Extension, Extensions, Ntp, ServerCutText, ServerMessage,
    SetEncodings, SetPixelFormat,
};
use rfb_proto::security::SecurityType;
use rfb_proto::{Limits, PixelFormat, PixelRules, Policy, ServerInit};

use crate::data::hex;
use crate::encodings::{Found, frame, head, random};
use crate::play::{Answers, NOW, Now, Player, Role, server_init};
use crate::rectangles::{self, Sizes};

fn init(name: &str, format: PixelFormat) -> ServerInit {
    ServerInit {
        width: 720,
        height: 400,
        format,
        name: Bytes::copy_from_slice(name.as_bytes()),
    }
}

fn message(message: impl Into<ClientMessage>) -> BytesMut {
    let mut bytes = BytesMut::new();
    message.into().encode(&mut bytes).unwrap();
    bytes
}

fn with(change: impl FnOnce(&mut PixelFormat)) -> PixelFormat {
    let mut format = PixelFormat::RGB888;
    change(&mut format);
    format
}

/// A format, and the bytes of a TPIXEL in it, to the specification and to QEMU.
fn formats() -> Vec<(PixelFormat, usize, usize)> {
    let depths = (0..=32).map(|depth| {
        let format = with(|format| format.depth = depth);
        (format, if depth == 24 { 3 } else { 4 }, 3)
    });
    let maxima = |max: u16| {
        with(|format| {
            (format.red_max, format.green_max, format.blue_max) = (max, max, max);
        })
    };
    let small = with(|format| {
        (format.bits_per_pixel, format.depth) = (16, 16);
        (format.red_max, format.green_max, format.blue_max) = (31, 63, 31);
    });
    let others = [
        (with(|format| (format.depth, format.big_endian) = (32, 1)), 4, 3),
        (
            with(|format| {
                format.depth = 32;
                (format.red_shift, format.green_shift, format.blue_shift) = (24, 16, 8);
            }),
            4,
            3,
        ),
        // QEMU keeps maxima in a byte, and takes none for 255.
        (maxima(1023), 4, 3),
        (maxima(511), 4, 3),
        (maxima(0), 4, 3),
        (maxima(127), 4, 4),
        (maxima(256), 4, 4),
        (with(|format| format.green_max = 127), 4, 4),
        (small, 2, 2),
        (
            with(|format| (format.bits_per_pixel, format.depth, format.true_colour) = (8, 8, 0)),
            1,
            1,
        ),
        // QEMU has no colour maps but those of 8 bits.
        (with(|format| format.true_colour = 0), 4, 1),
    ];
    depths.chain(others).collect()
}

/// Rectangles of Tight and TightPNG in a format, with the bytes that a server of these rules makes of it.
fn made_up(format: &PixelFormat, tpixel: usize, seed: u64) -> (Vec<u8>, usize) {
    let pixel = match (tpixel, format.bits_per_pixel) {
        (1, _) => 1,
        (_, bits) => usize::from(bits / 8),
    };
    let sizes = Sizes {
        pixel,
        cpixel: pixel,
        tpixel,
    };
    let mut draw = random(seed);
    let mut stream = vec![0, 0, 0, 6];
    for number in [7, -260, 7, -260, 26, 7] {
        let (w, h) = (1 + draw(6) as u16, 1 + draw(6) as u16);
        let payload = rectangles::payload(number, w, h, sizes, false, &mut draw).unwrap();
        stream.extend_from_slice(&head(number, w, h));
        stream.extend_from_slice(&payload.bytes);
    }
    stream.push(2);
    (stream, 6)
}

fn check(found: &Found, stream: &[u8], count: usize, what: &str) {
    assert_eq!((found.rectangles.len(), found.updates), (count, 1), "{what}");
    assert_eq!((&found.messages, &found.bytes[..]), (&vec![vec![2]], stream), "{what}");
}

/// Every depth and some formats more: a framer that knows the server, or recognises it, and a relay.
#[test]
fn tight_in_any_depth() {
    let mut cases = 0;
    for (format, specification, qemu) in formats() {
        for (rules, name, tpixel) in [
            (PixelRules::Specification, "x:0", specification),
            (PixelRules::Qemu, "QEMU", qemu),
            (PixelRules::Qemu, "QEMU (web-1)", qemu),
        ] {
            for seed in 0..2 {
                let (stream, count) = made_up(&format, tpixel, seed);
                let what = format!("{name} {format:?} {seed}");
                // The client sets it; or the server has it, where that is not read otherwise.
                let set = message(SetPixelFormat::new(format));
                let mut framers = vec![ServerFramer::new(&init(name, PixelFormat::RGB888), &Limits::default())];
                let told = ServerFramer::new(&init("renamed", PixelFormat::RGB888), &Limits::default());
                framers.push(told.with_pixel_rules(rules));
                for mut framer in framers {
                    assert_eq!(framer.pixel_rules(), rules);
                    framer.client_sent(&set).unwrap();
                    for chunk in [stream.len(), 7] {
                        check(&frame(&mut framer.clone(), stream.chunks(chunk)), &stream, count, &what);
                    }
                }
                if format.is_true_colour() {
                    let mut framer = ServerFramer::new(&init(name, format), &Limits::default());
                    check(&frame(&mut framer, [&stream[..]].into_iter()), &stream, count, &what);
                }
                let mut relay = Relay::new(&init(name, PixelFormat::RGB888), &Limits::default());
                let (mut from_client, mut to_server) = (set.clone(), BytesMut::new());
                relay.from_client(&mut from_client, &mut to_server, &mut ()).unwrap();
                assert_eq!(to_server, set, "as it came");
                let (mut from_server, mut to_client) = (BytesMut::from(&stream[..]), BytesMut::new());
                relay.from_server(&mut from_server, &mut to_client, &mut ()).unwrap();
                assert!(relay.server().is_between_messages(), "{what}");
                assert_eq!(to_client, stream, "{what}");
                cases += 1;
            }
        }
    }
    println!("{cases} streams");
    assert_eq!(cases, formats().len() * 3 * 2);
}

/// The bytes that were measured: UltraVNC's depth 32 towards QEMU, TigerVNC and libvncserver.
#[test]
fn fills_at_depth_32() {
    let client = hex("000000002020000100ff00ff00ff100800000000 0200000100000007 03000000000002d00190");
    let qemu = hex("00000002 0000000000100010 00000007 80aabbcc 0010000000100010 00000007 80ddeeff");
    let others = hex("00000002 0000000000100010 00000007 80aabbcc00 0010000000100010 00000007 80ddeeff00");
    for (name, stream, len) in [("QEMU", qemu, 4), ("test desktop", others, 5)] {
        let mut relay = Relay::new(&init(name, PixelFormat::RGB888), &Limits::default());
        let (mut rx, mut tx) = (BytesMut::from(&client[..]), BytesMut::new());
        relay.from_client(&mut rx, &mut tx, &mut ()).unwrap();
        let mut framer = relay.server().clone();
        let found = frame(&mut framer, [&stream[..]].into_iter());
        let lens: Vec<usize> = found.rectangles.iter().map(|(_, payload)| payload.len()).collect();
        assert_eq!((lens, found.updates), (vec![len, len], 1), "{name}");
    }
}

/// A relay that writes depth 24 needs to know no server.
#[test]
fn a_relay_writes_depth_24() {
    let mut changed = 0;
    for (format, ..) in formats() {
        for name in ["QEMU", "x:0"] {
            let mut relay = Relay::new(&init(name, PixelFormat::RGB888), &Limits::default()).with_depth_24(true);
            let set = message(SetPixelFormat::new(format));
            let (mut rx, mut tx) = (set.clone(), BytesMut::new());
            relay.from_client(&mut rx, &mut tx, &mut ()).unwrap();
            let maxima = [format.red_max, format.green_max, format.blue_max];
            let same_pixels = format.bits_per_pixel == 32 && format.is_true_colour() && maxima == [255; 3];
            let mut expected = set.clone();
            if same_pixels {
                expected[5] = 24;
                changed += usize::from(format.depth != 24);
                let (stream, _) = made_up(&format, 3, 1);
                let (mut rx, mut tx) = (BytesMut::from(&stream[..]), BytesMut::new());
                relay.from_server(&mut rx, &mut tx, &mut ()).unwrap();
                assert!(relay.server().is_between_messages() && tx == stream);
            }
            assert_eq!(tx, expected, "{format:?}");
        }
    }
    assert_eq!(changed, 2 * 34);
}

/// QEMU sends BasicCompression under TightPNG where it has no PNG: here at 8 bits, then the filters that its source has.
#[test]
fn basic_compression_under_tight_png() {
    let small = with(|format| {
        (format.bits_per_pixel, format.depth) = (8, 8);
        (format.red_max, format.green_max, format.blue_max) = (7, 7, 3);
        (format.red_shift, format.green_shift, format.blue_shift) = (0, 3, 6);
    });
    let medium = with(|format| {
        (format.bits_per_pixel, format.depth) = (16, 16);
        (format.red_max, format.green_max, format.blue_max) = (31, 63, 31);
    });
    for (format, size, payload) in [
        (small, (16, 8), "50 01 01 00ff 06 787878787878"),
        (small, (16, 8), "00 06 787878787878"),
        (small, (3, 3), "00 010203040506070809"),
        (small, (16, 8), "40 00 06 787878787878"),
        (medium, (16, 8), "70 02 06 787878787878"),
        (medium, (2, 2), "70 02 0102030405060708"),
        (PixelFormat::RGB888, (16, 8), "70 02 06 787878787878"),
        (PixelFormat::RGB888, (2, 2), "70 02 010203040506070809101112 0000"),
        (PixelFormat::RGB888, (1, 1), "70 02 010203"),
        (
            PixelFormat::RGB888,
            (16, 8),
            "60 01 02 010203040506070809 06 787878787878",
        ),
        (PixelFormat::RGB888, (16, 8), "a0 06 787878787878"),
    ] {
        let payload = match payload {
            // Twelve bytes are counted.
            "70 02 010203040506070809101112 0000" => hex("70 02 02 0102"),
            other => hex(other),
        };
        let stream = [&[0, 0, 0, 1], &head(-260, size.0, size.1)[..], &payload, &[2]].concat();
        for policy in [Policy::Lenient, Policy::Strict] {
            for chunk in [stream.len(), 1] {
                let mut framer = ServerFramer::new(&init("QEMU", format), &Limits::default()).with_policy(policy);
                let found = frame(&mut framer, stream.chunks(chunk));
                assert_eq!(found.rectangles, [(Encoding::TIGHT_PNG, payload.clone())]);
                check(&found, &stream, 1, "TightPNG");
            }
        }
    }
}

/// Caps of a client that does not wait for those of the server.
const CAPS: &str = "06000000 fffffff8 01000001 00a00000";

/// Every reader of a client's messages takes them once the client has asked, and not before.
#[test]
fn an_extended_clipboard_in_front_of_the_caps() {
    let (caps, limits) = (hex(CAPS), Limits::default());
    let asks = SetEncodings::new(&[Encoding::RAW, Encoding::EXTENDED_CLIPBOARD]);
    let stream = [&message(asks.clone())[..], &caps].concat();
    let mut extensions = Extensions::default();
    let mut messages = ClientMessages::new(&stream, &mut extensions, &limits);
    assert_eq!(messages.next(), Some(asks.clone().into()));
    let Some(ClientMessage::ClientCutText(text)) = messages.next() else {
        panic!("a clipboard");
    };
    assert!(text.extended && text.text.len() == 8);
    assert_eq!(messages.finish(), Ok(stream.len()));
    assert!(extensions.allow(&text.clone().into()) && !extensions.agreed(Extension::ExtendedClipboard));
    assert!(!Extensions::NONE.allow(&text.into()));

    let mut framer = ClientFramer::new(&limits);
    let found = framer.next_message(&mut &caps[..], &extensions).unwrap().unwrap();
    assert_eq!(found.len, 16);

    // Through a relay in one read, in many, and where the server is not shown that the client has asked.
    for chunk in [stream.len(), 1, 5] {
        for withheld in [false, true] {
            let filter = match withheld {
                true => Filter::default().with_withheld(&[Encoding::EXTENDED_CLIPBOARD]),
                false => Filter::default(),
            };
            let mut relay = Relay::new(&init("x", PixelFormat::RGB888), &limits);
            let mut guard = Guard::new(filter, &limits);
            let (mut rx, mut tx) = (BytesMut::new(), BytesMut::new());
            for piece in stream.chunks(chunk) {
                rx.extend_from_slice(piece);
                relay.from_client(&mut rx, &mut tx, &mut guard).unwrap();
            }
            let asked = message(SetEncodings::new(&[Encoding::RAW]));
            let expected = if withheld { &asked[..] } else { &stream[..] };
            assert_eq!(tx, expected, "by {chunk}");
            assert!(rx.is_empty());
        }
    }
}

/// A length of 2^31 and above is never that of a plain text, whichever side sends it, whatever was agreed on, however high
/// the limit is.
#[test]
fn no_plain_text_has_two_gigabytes() {
    let limits = Limits::default().with_cut_text(u32::MAX);
    let mut asked = Extensions::default();
    asked.client_asked(&[Encoding::EXTENDED_CLIPBOARD]);
    let mut agreed = asked;
    let caps = ServerMessage::decode_slice(&hex("03000000 fffffff8 01000001 00a00000"), &asked, &limits).unwrap();
    agreed.server_sent(&caps);
    let mut over = agreed;
    over.client_asked(&[]);
    for length in [1_u32 << 31, (1 << 31) + 1, u32::MAX - 7, u32::MAX - 3] {
        for (extensions, client, server) in [
            (Extensions::NONE, false, false),
            (asked, true, true),
            (agreed, true, true),
            // The client no longer asks; the server may not know yet.
            (over, false, true),
            (Extensions::ALL, true, true),
        ] {
            let text = |number: u8| [&[number, 0, 0, 0], &length.to_be_bytes()[..]].concat();
            let missing = usize::try_from(length.wrapping_neg()).unwrap();
            let from_client = ClientCutText::missing(&text(6), &extensions, &limits);
            let from_server = ServerCutText::missing(&text(3), &extensions, &limits);
            assert_eq!(from_client.ok(), client.then_some(missing), "{length:x} {extensions:?}");
            assert_eq!(from_server.ok(), server.then_some(missing), "{length:x} {extensions:?}");
            // Nor in a framer, which would wait for it.
            let mut framer = ClientFramer::new(&limits);
            let is_error = framer.next_message(&mut &text(6)[..], &extensions).is_err();
            assert_eq!(is_error, !client);
            let mut framer = ServerFramer::new(&init("x", PixelFormat::RGB888), &limits).with_extensions(extensions);
            let is_error = framer.next_part(&mut &text(3)[..]).is_err();
            assert_eq!(is_error, !server);
        }
    }
    let error = ClientMessage::decode_slice(&hex(CAPS), &Extensions::NONE, &Limits::default()).unwrap_err();
    expect!["ClientCutText.length at byte 4: 4294967288 is above the limit of 1048576"].assert_eq(&error.to_string());
}

/// UltraVNC sends the number of DesktopName with a size and nothing behind it, asked for or not.
#[test]
fn an_ext_view_size_has_no_payload() {
    let stream = [
        &hex("00000001")[..],
        &hex("0100 0000 0780 0438 fffffecd"),
        // What came to harm: the head of the next update, and a name.
        &hex("00000001"),
        &hex("0000 0000 0000 0000 fffffecd"),
        &hex("00000003 61 62 63"),
        &[2],
    ]
    .concat();
    for chunk in 1..stream.len() {
        let mut framer = ServerFramer::new(&init("x", PixelFormat::RGB888), &Limits::default());
        let found = frame(&mut framer, stream.chunks(chunk));
        let expected = [
            (Encoding::DESKTOP_NAME, vec![]),
            (Encoding::DESKTOP_NAME, hex("00000003 616263")),
        ];
        assert_eq!((&found.rectangles[..], found.updates), (&expected[..], 2));
        assert_eq!(found.messages, [[2]]);
    }
    for (width, height) in [(1920, 1080), (1, 0), (0, 1)] {
        let (x, y, encoding) = (256, 0, Encoding::DESKTOP_NAME);
        let rectangle = Rectangle {
            x,
            y,
            width,
            height,
            encoding,
        };
        let decoded = Pseudo::decode(&rectangle, &Bytes::new(), &PixelFormat::RGB888, &Limits::default());
        assert_eq!(decoded, Ok(Some(Pseudo::ExtViewSize)));
        assert_eq!(Pseudo::ExtViewSize.encoding(), Encoding::DESKTOP_NAME);
    }
}

/// Many rectangles at once: the place is their number, the size the length of the data, and the update counts them all.
#[test]
fn many_rectangles_at_once() {
    for encoding in [Encoding::XZ, Encoding::XZYW] {
        let number = encoding.0.to_be_bytes();
        // Three rectangles in 70,000 bytes, a copy, and a bell.
        let data = vec![7; 70_000];
        let stream = [
            &hex("00000004 0000 0003 0001 1170")[..],
            &number,
            &data,
            &hex("0001000200030004 00000001 00050006"),
            &[2],
        ]
        .concat();
        for chunk in [stream.len(), 1000, 13] {
            for policy in [Policy::Lenient, Policy::Strict] {
                let mut framer = ServerFramer::new(&init("x", PixelFormat::RGB888), &Limits::default());
                framer = framer.with_policy(policy);
                let found = frame(&mut framer, stream.chunks(chunk));
                let expected = [(encoding, data.clone()), (Encoding::COPY_RECT, hex("00050006"))];
                assert!(found.rectangles == expected && found.updates == 1);
                assert_eq!(found.messages, [[2]]);
            }
        }
        // More of them than the update has: it ends. None at all: they do not count.
        for (head, left) in [
            ("0001 0000 0000 0000", 0),
            ("0000 0000 0000 0000", 2),
            ("0000 0001 0000 0000", 1),
        ] {
            let stream = [&hex("00000002")[..], &hex(head), &number].concat();
            let mut framer = ServerFramer::new(&init("x", PixelFormat::RGB888), &Limits::default());
            let found = frame(&mut framer, [&stream[..]].into_iter());
            assert_eq!((found.rectangles.len(), framer.is_between_messages()), (1, left == 0));
        }
        let stream = [&hex("00000001 0000 0001 ffff ffff")[..], &number].concat();
        let mut framer = ServerFramer::new(&init("x", PixelFormat::RGB888), &Limits::default());
        let mut rx = &stream[..];
        framer.next_part(&mut rx).unwrap();
        let error = framer.next_part(&mut rx).unwrap_err().to_string();
        let expected = format!(
            "byte 8: {}.length at byte 4: 4294967295 is above the limit of 268435456",
            encoding.name().unwrap()
        );
        assert_eq!(error, expected);
    }
    // None of it can be the shape of a pointer.
    let stream = [&hex("00000001 0000 0001 0001 0001 fffffec6")[..], &hex("00000012")].concat();
    let mut framer = ServerFramer::new(&init("x", PixelFormat::RGB888), &Limits::default());
    let mut rx = &stream[..];
    framer.next_part(&mut rx).unwrap();
    expect!["byte 16: Cursor With Alpha.encoding at byte 12: a cursor is not made of this"]
        .assert_eq(&framer.next_part(&mut rx).unwrap_err().to_string());
}

/// The message types 252 and 254 are UltraVNC's where the client has asked for monitors, and unknown elsewhere.
#[test]
fn monitors_are_asked_for() {
    let limits = Limits::default();
    let mut extensions = Extensions::default();
    let (info, set) = (hex("fc020000"), hex("fe010000"));
    let refused = [
        ServerMessage::decode_slice(&info, &extensions, &limits)
            .unwrap_err()
            .to_string(),
        ServerMessage::missing(&info[..1], &extensions, &limits)
            .unwrap_err()
            .to_string(),
        ClientMessage::decode_slice(&set, &extensions, &limits)
            .unwrap_err()
            .to_string(),
        ClientMessage::missing(&set[..1], &extensions, &limits)
            .unwrap_err()
            .to_string(),
    ];
    expect![[r#"
        ServerMessage.type at byte 0: 252 is not known
        ServerMessage.type at byte 0: 252 is not known
        ClientMessage.type at byte 0: 254 is not known
        ClientMessage.type at byte 0: 254 is not known"#]]
    .assert_eq(&refused.join("\n"));
    extensions.client_asked(&[Encoding::MONITOR_INFO]);
    assert_eq!(ServerMessage::missing(&info[..1], &extensions, &limits), Ok(3));
    let decoded = ServerMessage::decode_slice(&info, &extensions, &limits).unwrap();
    let ServerMessage::MonitorInfo(monitors) = &decoded else {
        panic!("{decoded:?}");
    };
    assert_eq!(monitors.monitor, 2);
    extensions.server_sent(&decoded);
    assert!(extensions.agreed(Extension::MonitorInfo));
    let set = ClientMessage::decode_slice(&set, &extensions, &limits).unwrap();
    assert_eq!(Extension::of_message(&set), Some(Extension::MonitorInfo));
    // A viewer that may only look does not choose for the others.
    let seen = |filter: Filter| filter.client(&set, &limits) == rfb_proto::framing::Verdict::Pass;
    assert!(seen(Filter::default()) && !seen(Filter::view_only()));
    assert!(!seen(Filter::default().with_withheld(&[Encoding::MONITOR_INFO])));
}

/// neatvnc's times: a rectangle of eight bytes, and a message both ways that is announced by a rectangle.
#[test]
fn times() {
    let stream = hex("00000002 0000000000000000 fffffc18 0000000000000102 0000000000000000 fffffc17");
    let mut framer = ServerFramer::new(&init("wayvnc", PixelFormat::RGB888), &Limits::default());
    framer = framer.with_extensions(Extensions::NONE);
    framer
        .client_sent(&message(SetEncodings::new(&[Encoding::PTS, Encoding::NTP])))
        .unwrap();
    let mut rx = &stream[..];
    let mut payloads = Vec::new();
    while let Some(part) = framer.next_part(&mut rx).unwrap() {
        if let Part::Rectangle(piece) = part {
            let payload = Bytes::copy_from_slice(piece.payload);
            let decoded = Pseudo::decode(&piece.rectangle, &payload, &PixelFormat::RGB888, &Limits::default());
            payloads.push((decoded.unwrap().unwrap(), piece.ends));
        }
    }
    assert_eq!(
        payloads,
        [(Pseudo::Pts(258), Ends::Rectangle), (Pseudo::Ntp, Ends::Update)]
    );
    let asked = Ntp {
        padding: [0; 3],
        asked: 1,
        received: 2,
        answered: 3,
        returned: 4,
    };
    assert!(framer.extensions().allow(&asked.into()));
    let bytes = message(asked);
    assert_eq!(bytes, hex("a0000000 00000001 00000002 00000003 00000004")[..]);
    let both = ServerMessage::decode_slice(&bytes, &Extensions::NONE, &Limits::default());
    assert_eq!(both, Ok(asked.into()));
}

/// A greeting, or an answer, that ends in a carriage return.
#[test]
fn a_version_line_that_ends_in_a_carriage_return() {
    let answers = Answers {
        password: Some(b"s3cretpw".to_vec()),
        server_init: Some(server_init()),
        ..Answers::default()
    };
    for (end, is_taken) in [(b'\r', true), (b'\n', true), (b' ', true), (b'x', false)] {
        for policy in [Policy::Lenient, Policy::Strict] {
            let is_taken = is_taken && (policy == Policy::Lenient || end == b'\n');
            for version in ["003", "007", "008"] {
                let line = [&b"RFB 003."[..], version.as_bytes(), &[end]].concat();
                let config = ClientConfig::new(&[SecurityType::VNC]).with_policy(policy);
                let client = Role::Client(Box::new(ClientHandshake::new(NOW, config)));
                let config = ServerConfig::new(&[SecurityType::VNC]).with_policy(policy);
                let server = Role::Server(Box::new(ServerHandshake::new(NOW, config)));
                for role in [client, server] {
                    let mut player = Player::new(role, answers.clone());
                    for byte in &line {
                        player.feed(&[*byte]);
                    }
                    let is_refused =
                        matches!(&player.now, Now::Failed(HandshakeError::Decode(error)) if error.field == "end");
                    assert_eq!(is_refused, !is_taken, "{line:?} {policy:?} {:?}", player.now);
                }
            }
        }
    }
    let mut bridge = Bridge::new(NOW, BridgeConfig::nova());
    let mut sides = SideBuffers::default();
    bridge.step(NOW, &mut sides).unwrap();
    bridge.connect(Upstream::default()).unwrap();
    sides.hypervisor.rx.extend_from_slice(b"RFB 003.008\r");
    sides.tenant.rx.extend_from_slice(b"RFB 003.008\r");
    let action = bridge.step(NOW, &mut sides).unwrap();
    assert!(
        matches!(
            action,
            BridgeAction::Receive {
                side: Side::Hypervisor,
                ..
            }
        ),
        "{action:?}"
    );
    assert_eq!(sides.hypervisor.tx, b"RFB 003.008\n"[..]);
}
