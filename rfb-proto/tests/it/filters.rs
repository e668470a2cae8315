//! What a proxy lets through.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::filter::{Clipboard, Filter, Guard, InputRate, resize_refused};
use rfb_proto::framing::{Relay, Verdict};
use rfb_proto::message::pseudo::{Pseudo, ResizeReason, ResizeStatus};
use rfb_proto::message::{
    ClientCutText, ClientFence, ClientMessage, ClipboardFlags, EnableContinuousUpdates, ExtendedClipboard, Extension,
    Extensions, FenceFlags, FramebufferUpdateRequest, Gii, KeyEvent, PointerEvent, Provide, QemuClientMessage,
    QemuExtendedKeyEvent, Screen, ServerCutText, ServerMessage, SetDesktopSize, SetEncodings, SetPixelFormat, Xvp,
    XvpCode,
};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::interpreter::Interpreter;

fn key(down: u8, keysym: u32) -> ClientMessage {
    let padding = [0; 2];
    KeyEvent { down, padding, keysym }.into()
}

fn pointer(buttons: u16) -> ClientMessage {
    PointerEvent::new(buttons, 1, 2, &Extensions::NONE).into()
}

fn update_request() -> ClientMessage {
    let (incremental, x, y, width, height) = (1, 0, 0, 640, 480);
    FramebufferUpdateRequest {
        incremental,
        x,
        y,
        width,
        height,
    }
    .into()
}

fn text(text: &'static str) -> ClientMessage {
    ClientCutText::new(text.into()).into()
}

fn extended(message: &ExtendedClipboard) -> ClientMessage {
    ClientCutText::from_extended(message).unwrap().into()
}

fn provide(len: usize) -> ExtendedClipboard {
    ExtendedClipboard::Provide(Provide::pack(&[(ClipboardFlags::TEXT, &vec![b'a'; len])]).unwrap())
}

/// The messages that each have their own switch, and those that keep a session alive.
fn judged(filter: &Filter) -> Vec<(&'static str, Verdict)> {
    let flags = ClipboardFlags::TEXT;
    let caps = ExtendedClipboard::Caps {
        flags: flags.with(ClipboardFlags::CAPS),
        sizes: vec![100],
    };
    let messages = [
        ("key", key(1, 0x61)),
        (
            "qemu key",
            QemuClientMessage::ExtendedKeyEvent(QemuExtendedKeyEvent {
                down: 1,
                keysym: 0x61,
                keycode: 30,
            })
            .into(),
        ),
        ("pointer", pointer(1)),
        ("text", text("text")),
        ("caps", extended(&caps)),
        (
            "notify",
            extended(&ExtendedClipboard::Notify {
                flags: flags.with(ClipboardFlags::NOTIFY),
            }),
        ),
        (
            "request",
            extended(&ExtendedClipboard::Request {
                flags: flags.with(ClipboardFlags::REQUEST),
            }),
        ),
        ("provide", extended(&provide(10))),
        ("size", SetDesktopSize::new(10, 10, Vec::new()).into()),
        ("power", Xvp::new(XvpCode::RESET).into()),
        ("update request", update_request()),
        ("format", SetPixelFormat::new(PixelFormat::RGB888).into()),
        ("encodings", SetEncodings::new(&[Encoding::RAW]).into()),
        (
            "fence",
            ClientFence::new(FenceFlags::REQUEST, Bytes::from_static(b"f")).into(),
        ),
        (
            "continuous",
            EnableContinuousUpdates {
                enable: 1,
                x: 0,
                y: 0,
                width: 1,
                height: 1,
            }
            .into(),
        ),
    ];
    let limits = Limits::default();
    messages
        .iter()
        .map(|(name, message)| (*name, filter.client(message, &limits)))
        .collect()
}

fn withheld(filter: &Filter) -> Vec<&'static str> {
    let judged = judged(filter);
    let withheld = judged.iter().filter(|(_, verdict)| *verdict == Verdict::Withhold);
    withheld.map(|(name, _)| *name).collect()
}

#[test]
fn each_switch_withholds_its_messages_and_no_others() {
    let all = Filter::default();
    assert!(judged(&all).iter().all(|(_, verdict)| *verdict == Verdict::Pass));
    assert_eq!(withheld(&all.clone().with_keyboard(false)), ["key", "qemu key"]);
    assert_eq!(withheld(&all.clone().with_pointer(false)), ["pointer"]);
    assert_eq!(withheld(&all.clone().with_resize(false)), ["size"]);
    assert_eq!(withheld(&all.clone().with_power(false)), ["power"]);
    let to_server = all.clone().with_clipboard_to_server(Clipboard::Withhold);
    assert_eq!(withheld(&to_server), ["text", "notify", "provide"]);
    // What the client asks the server for is the other direction.
    let to_client = all.clone().with_clipboard_to_client(Clipboard::Withhold);
    assert_eq!(withheld(&to_client), ["request"]);
    assert_eq!(
        withheld(&Filter::view_only()),
        [
            "key", "qemu key", "pointer", "text", "notify", "provide", "size", "power"
        ]
    );
    // Messages of an extension go with it.
    let without = all.with_withheld(&[Encoding::FENCE, Encoding::XVP]);
    assert_eq!(withheld(&without), ["power", "fence"]);
}

#[test]
fn what_the_server_has_on_its_clipboard() {
    let limits = Limits::default();
    let judge = |filter: &Filter, message: ServerMessage| filter.server(&message, &limits);
    let plain = || ServerCutText::new(Bytes::from_static(b"text")).into();
    let of = |message: &ExtendedClipboard| ServerCutText::from_extended(message).unwrap().into();
    let request = ExtendedClipboard::Request {
        flags: ClipboardFlags::REQUEST.with(ClipboardFlags::TEXT),
    };
    let no_output = Filter::default().with_clipboard_to_client(Clipboard::Withhold);
    assert_eq!(judge(&no_output, plain()), Verdict::Withhold);
    assert_eq!(judge(&no_output, of(&provide(1))), Verdict::Withhold);
    assert_eq!(judge(&no_output, of(&request)), Verdict::Pass);
    let no_input = Filter::view_only();
    assert_eq!(judge(&no_input, plain()), Verdict::Pass);
    assert_eq!(judge(&no_input, of(&provide(1))), Verdict::Pass);
    assert_eq!(judge(&no_input, of(&request)), Verdict::Withhold);
}

/// The length counts as it is when it is unpacked, whatever deflate makes of it.
#[test]
fn clipboards_up_to_a_size() {
    let limits = Limits::default();
    let filter = Filter::default().with_clipboard_to_server(Clipboard::AtMost(100_000));
    let judge = |message| filter.client(&message, &limits);
    for (len, verdict) in [(100_000, Verdict::Pass), (100_001, Verdict::Withhold)] {
        assert_eq!(judge(ClientCutText::new(vec![b'a'; len].into()).into()), verdict);
        let packed = extended(&provide(len));
        assert!(packed.encoded_len() < 1000);
        assert_eq!(judge(packed), verdict);
    }
    // Also above the limit on what is unpacked at all, and what does not unpack.
    assert_eq!(judge(extended(&provide(5 << 20))), Verdict::Withhold);
    let (flags, data) = (
        ClipboardFlags::PROVIDE.with(ClipboardFlags::TEXT),
        Bytes::from_static(b"?"),
    );
    assert_eq!(
        judge(extended(&ExtendedClipboard::Provide(Provide { flags, data }))),
        Verdict::Withhold
    );
}

#[test]
fn encodings_are_taken_out_in_their_order() {
    let filter = Filter::default().with_withheld(&[Encoding::TIGHT, Encoding::EXTENDED_CLIPBOARD]);
    let asked = [
        Encoding::TIGHT,
        Encoding::ZRLE,
        Encoding(-9999),
        Encoding::EXTENDED_CLIPBOARD,
        Encoding::RAW,
        Encoding::TIGHT,
    ];
    let mut set = SetEncodings::new(&asked);
    set.padding = 0x7f;
    let Verdict::Replace(bytes) = filter.client(&set.into(), &Limits::default()) else {
        panic!();
    };
    let rewritten = SetEncodings::decode(&bytes, &Limits::default()).unwrap();
    assert_eq!(rewritten.encodings, [Encoding::ZRLE, Encoding(-9999), Encoding::RAW]);
    assert_eq!(rewritten.padding, 0x7f);
}

#[test]
fn a_refused_change_of_the_size_is_answered() {
    let screen = Screen {
        id: 7,
        x: 0,
        y: 0,
        width: 640,
        height: 480,
        flags: 0,
    };
    let answer = resize_refused((640, 480), &[screen]).unwrap();
    assert_eq!(answer[..4], [0, 0, 0, 1]);
    let limits = Limits::default();
    let rectangle = Rectangle::decode(&answer.slice(4..), &limits).unwrap();
    assert_eq!(ResizeReason(rectangle.x), ResizeReason::THIS_CLIENT);
    assert_eq!(ResizeStatus(rectangle.y), ResizeStatus::PROHIBITED);
    let payload = answer.slice(16..);
    let Ok(Some(Pseudo::ExtendedDesktopSize(size))) =
        Pseudo::decode(&rectangle, &payload, &PixelFormat::RGB888, &limits)
    else {
        panic!();
    };
    assert_eq!(size.screens, [screen]);
    assert!(resize_refused((1, 1), &[screen; 256]).is_err());
}

/// In a relay: what is withheld is not there, and everything else is as it was, in any chunks.
#[test]
fn a_guard_in_a_relay() {
    let limits = Limits::default();
    let init = ServerInit {
        width: 640,
        height: 480,
        format: PixelFormat::RGB888,
        name: Bytes::new(),
    };
    let encoded = |messages: &[ClientMessage]| {
        let mut bytes = BytesMut::new();
        messages.iter().for_each(|message| message.encode(&mut bytes).unwrap());
        bytes
    };
    let long = ClientCutText::new(vec![b'x'; 300_000].into()).into();
    let sent = encoded(&[
        SetEncodings::new(&[Encoding::ZRLE, Encoding::EXTENDED_DESKTOP_SIZE]).into(),
        key(1, 0x61),
        update_request(),
        long,
        SetDesktopSize::new(1, 1, Vec::new()).into(),
        pointer(0x81),
        update_request(),
    ]);
    let arrives = encoded(&[
        SetEncodings::new(&[Encoding::ZRLE]).into(),
        update_request(),
        update_request(),
    ]);
    let filter = Filter::view_only().with_withheld(&[Encoding::EXTENDED_DESKTOP_SIZE]);
    for chunk in [1, 7, 1000, usize::MAX] {
        let mut relay = Relay::new(&init, &limits);
        let mut guard = Guard::new(filter.clone(), &limits);
        let (mut from_client, mut to_server) = (BytesMut::new(), BytesMut::new());
        for bytes in sent.chunks(chunk.min(sent.len())) {
            from_client.extend_from_slice(bytes);
            relay.from_client(&mut from_client, &mut to_server, &mut guard).unwrap();
        }
        assert_eq!((&to_server, from_client.len()), (&arrives, 0), "{chunk}");
        assert_eq!(guard.withheld(), 5);
        assert!(guard.take_resize_refused() && !guard.take_resize_refused());
        // A clipboard from the server, and what keeps the session alive.
        let mut from_server = BytesMut::from(&b"\x03\0\0\0\0\0\0\x02ab\x02\0\0\0\0"[..]);
        let mut to_client = BytesMut::new();
        let mut quiet = Guard::new(Filter::default().with_clipboard_to_client(Clipboard::Withhold), &limits);
        relay.from_server(&mut from_server, &mut to_client, &mut quiet).unwrap();
        assert_eq!(to_client, b"\x02\0\0\0\0"[..]);
    }
}

/// A time, with a few millionths between one and the next.
fn later(now: &mut Duration, micros: u64) -> Duration {
    *now += Duration::from_micros(micros);
    *now
}

#[test]
fn buttons_are_let_go_when_nothing_else_passes() {
    let mut rate = InputRate::new(1, 1);
    let zero = Duration::ZERO;
    assert_eq!(rate.judge(zero, &pointer(0b101)), Verdict::Pass);
    assert_eq!(rate.judge(zero, &pointer(0b101)), Verdict::Withhold, "only moved");
    assert_eq!(rate.judge(zero, &pointer(0b111)), Verdict::Withhold, "pressed");
    let mut expected = BytesMut::new();
    pointer(0b001).encode(&mut expected).unwrap();
    assert_eq!(rate.judge(zero, &pointer(0b011)), Verdict::Replace(expected.freeze()));
    assert_eq!(rate.judge(zero, &pointer(0)), Verdict::Pass);
    assert_eq!(rate.judge(zero, &pointer(0)), Verdict::Withhold);
    assert_eq!(rate.judge(zero, &update_request()), Verdict::Pass);
    let gii = Gii {
        endian_and_subtype: 0,
        body: Bytes::new(),
    };
    assert_eq!(rate.judge(zero, &gii.into()), Verdict::Withhold);
    let mut none = InputRate::new(0, 100);
    assert_eq!(none.judge(Duration::MAX, &key(1, 1)), Verdict::Withhold);
    // A clock that goes back does no harm.
    assert_eq!(rate.judge(Duration::from_secs(9), &pointer(1)), Verdict::Pass);
    assert_eq!(rate.judge(Duration::from_secs(1), &pointer(1)), Verdict::Withhold);
}

/// Buttons that are pressed in one event and let go one by one are as many events as those that are pressed one by one.
#[test]
fn buttons_pressed_at_once_count_each() {
    let mut rate = InputRate::new(10, 2);
    let mut passed = 0;
    for tick in 0..=600_u16 {
        let now = Duration::from_millis(u64::from(tick) * 100 / 6);
        let held = 0xff_u16.checked_shl(u32::from(tick % 9)).unwrap_or(0) & 0xff;
        passed += u32::from(rate.judge(now, &pointer(held)) != Verdict::Withhold);
    }
    // Ten seconds.
    assert!(passed <= 2 * (2 + 100 + 7), "{passed}");
    assert!(100 <= passed, "{passed}");
}

proptest! {
    /// In any second no more than the rate, the burst and as many releases pass, and no key stays down that was let go.
    #[test]
    fn the_rate_is_held(seed in any::<[u8; 16]>(), per_second in 1..200_u32, burst in 1..20_u32) {
        let mut rate = InputRate::new(per_second, burst);
        let (mut now, mut passed, mut releases) = (Duration::ZERO, 0_u64, 0_u64);
        let mut down: Vec<u32> = Vec::new();
        for round in 0..400_u32 {
            let byte = seed[round as usize % 16].wrapping_mul(round as u8 | 1);
            let now = later(&mut now, u64::from(byte) * 40);
            let (is_down, keysym) = (byte & 1, u32::from(byte >> 5));
            let verdict = rate.judge(now, &key(is_down, keysym));
            let was_down = down.contains(&keysym);
            match (is_down, verdict) {
                (1, Verdict::Pass) => {
                    passed += 1;
                    down.retain(|key| *key != keysym);
                    down.push(keysym);
                }
                (0, Verdict::Pass) if was_down => {
                    releases += 1;
                    down.retain(|key| *key != keysym);
                }
                (0, Verdict::Pass) => passed += 1,
                (0, _) => prop_assert!(!was_down, "a key that is down can be let go"),
                _ => {}
            }
        }
        let allowed = u64::from(burst) + (now.as_micros() as u64 * u64::from(per_second)) / 1_000_000 + 1;
        prop_assert!(passed <= allowed, "{} of {}", passed, allowed);
        prop_assert!(releases <= passed);
    }

    /// Whatever it says, a message passes whole, is withheld, or is replaced by one that decodes and asks for less.
    #[test]
    fn any_message_has_a_verdict(pick in any::<usize>(), rounds in 1..4_usize) {
        let mut interpreter = Interpreter::new();
        let rows = interpreter.rows("client_message");
        let rows: Vec<_> = rows.iter().filter(|row| row["framing"].as_str() != Some("unknown")).collect();
        let row = rows[pick % rows.len()];
        let limits = Limits::default();
        let filter = Filter::view_only().with_withheld(&[Encoding(0), Encoding::FENCE]);
        for _ in 0..rounds {
            let bytes = Bytes::from(interpreter.make(row).bytes);
            let message = ClientMessage::decode(&bytes, &Extensions::ALL, &limits).unwrap();
            match filter.client(&message, &limits) {
                Verdict::Pass => prop_assert_ne!(Extension::of_message(&message), Some(Extension::Fence)),
                Verdict::Withhold => {
                    prop_assert!(!matches!(message, ClientMessage::FramebufferUpdateRequest(_)));
                }
                Verdict::Replace(other) => {
                    prop_assert!(other.len() < bytes.len());
                    prop_assert!(ClientMessage::decode(&other, &Extensions::ALL, &limits).is_ok());
                }
            }
        }
    }
}
