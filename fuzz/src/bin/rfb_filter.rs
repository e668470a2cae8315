#![cfg_attr(fuzzing, no_main)]
//! What a proxy lets through: a filter, its rate and its guard in a relay; and the pixels of raw rectangles.
//!
//! ```text
//! | what u8 | ... |                                      what modulo 3:
//! 0 relay: | rules u16 | rate u8 | operations, each | bit 0: from the client, 1 to 7: time | length u8, bytes | |
//! 1 rate:  | per second u8 | burst u8 | events, each | what u8 | key or buttons u8 | time u8 | |
//! 2 raw:   | rectangle: four u16 | framebuffer: two u16 | bits u8 | chunk u8 | pixels |
//! ```
//!
//! No message that the rules forbid goes to the server; what is pressed on the server can always be let go; no more than
//! twice what the rate says passes; a rectangle takes as many bytes as it has, in any pieces.
//!
//! Not searched in CI: see LAWS.md.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fuzz::Input;
use rfb_proto::encoding::{Encoding, Raw, Rectangle};
use rfb_proto::filter::{Clipboard, Filter, Guard, InputRate, resize_refused};
use rfb_proto::framing::{Bypass, Message, Piece, Relay, Verdict, Watch};
use rfb_proto::message::{ClientMessage, Extensions, FramebufferUpdate, KeyEvent, PointerEvent, Screen};
use rfb_proto::{Limits, PixelFormat, ServerInit};

fuzz::target!(check);

fn limits() -> Limits {
    Limits::default().with_cut_text(64).with_clipboard(256).with_name(32)
}

/// Clipboards that go in pieces are within them.
fn long() -> Limits {
    limits().with_cut_text(1 << 20)
}

fn rules(bits: u16) -> Filter {
    let bit = |at: u16| bits >> at & 1 == 0;
    let clipboard = |at: u16| match bits >> at & 3 {
        0 | 3 => Clipboard::Pass,
        1 => Clipboard::AtMost(8),
        _ => Clipboard::Withhold,
    };
    let mut filter = Filter::default()
        .with_keyboard(bit(0))
        .with_pointer(bit(1))
        .with_resize(bit(2))
        .with_power(bit(3))
        .with_files(!bit(4))
        .with_chat(bit(5))
        .with_clipboard_to_server(clipboard(6))
        .with_clipboard_to_client(clipboard(8));
    if !bit(10) {
        filter = filter.with_withheld(&[Encoding::FENCE, Encoding::EXTENDED_CLIPBOARD, Encoding::ZRLE]);
    }
    if !bit(11) {
        filter = Filter::view_only();
    }
    filter
}

/// The types of a client's messages that the rules forbid, by their numbers in the protocol.
fn forbidden(filter: &Filter) -> BTreeSet<u8> {
    let rules = [
        (4, filter.keyboard),
        (5, filter.pointer),
        (250, filter.power),
        (251, filter.resize),
        (7, filter.files),
        (11, filter.chat),
    ];
    rules
        .iter()
        .filter(|(_, passes)| !passes)
        .map(|(number, _)| *number)
        .collect()
}

/// A guard, and what is known without it.
struct Watched {
    guard: Guard,
    filter: Filter,
    forbidden: BTreeSet<u8>,
    extensions: Extensions,
    /// Messages that were withheld or replaced.
    withheld: u64,
}

impl Watch for Watched {
    fn bypass(&self) -> Bypass {
        self.guard.bypass()
    }

    fn client(&mut self, message: &Message<'_>) -> Verdict {
        let verdict = self.guard.client(message);
        if message.offset == 0 {
            if self.forbidden.contains(&message.number) {
                assert_eq!(verdict, Verdict::Withhold, "type {}", message.number);
            }
            self.withheld += u64::from(verdict != Verdict::Pass);
        }
        if let (Verdict::Replace(bytes), Some(whole)) = (&verdict, message.whole()) {
            replaced(whole, bytes, &self.filter, &self.extensions);
        }
        verdict
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        let verdict = self.guard.server(message);
        if message.offset == 0 && message.number == 7 && !self.filter.files {
            assert_eq!(verdict, Verdict::Withhold, "a file");
        }
        self.withheld += u64::from(verdict != Verdict::Pass && message.offset == 0);
        verdict
    }

    fn update(&mut self, head: FramebufferUpdate) {
        self.guard.update(head);
    }

    fn rectangle(&mut self, piece: &Piece<'_>) {
        self.guard.rectangle(piece);
    }
}

/// What is said in place of a client's message is a message of the same type that the rules let through.
fn replaced(message: &[u8], bytes: &Bytes, filter: &Filter, extensions: &Extensions) {
    assert_eq!(message.first(), bytes.first());
    let decoded = ClientMessage::decode(bytes, extensions, &limits()).expect("it can be read");
    let judged = filter.client(&decoded, &limits());
    assert!(matches!(judged, Verdict::Pass), "{judged:?} of what was said instead");
}

fn relay(mut input: Input<'_>) {
    let rules = u16::from_le_bytes([input.byte(), input.byte()]);
    let filter = self::rules(rules);
    let rate = input.byte();
    let limits = if rules & 1 << 12 == 0 { limits() } else { long() };
    let init = ServerInit {
        width: 64,
        height: 64,
        format: PixelFormat::RGB888,
        name: Bytes::new(),
    };
    let mut guard = Guard::new(filter.clone(), &limits);
    if rate != 0 {
        guard = guard.with_rate(InputRate::new(rate.into(), u32::from(rate & 15)));
    }
    let mut watched = Watched {
        guard,
        forbidden: forbidden(&filter),
        filter,
        extensions: Extensions::ALL,
        withheld: 0,
    };
    let mut relay = Relay::new(&init, &limits);
    let (mut rx, mut now) = ([BytesMut::new(), BytesMut::new()], Duration::ZERO);
    while !input.is_empty() {
        let operation = input.byte();
        let from_client = operation & 1 != 0;
        now += Duration::from_millis(u64::from(operation >> 1) * 10);
        watched.guard.at(now);
        watched.extensions = *relay.server().extensions();
        let rx = &mut rx[usize::from(from_client)];
        rx.extend_from_slice(input.short_blob());
        let mut tx = BytesMut::new();
        let before = rx.len();
        let passed = match from_client {
            true => relay.from_client(rx, &mut tx, &mut watched),
            false => relay.from_server(rx, &mut tx, &mut watched),
        };
        assert_eq!(watched.guard.withheld(), watched.withheld, "each is counted once");
        if watched.guard.take_resize_refused() {
            assert!(!watched.filter.resize);
            let screen = Screen {
                id: 1,
                x: 0,
                y: 0,
                width: 64,
                height: 64,
                flags: 0,
            };
            refused(&[screen], relay.server().framebuffer());
        }
        if passed.is_err() {
            break;
        }
        assert!(tx.len() <= before - rx.len(), "no more goes out than came");
    }
}

/// The answer to a client that may not resize: an update of one rectangle.
fn refused(screens: &[Screen], framebuffer: (u16, u16)) {
    let answer = resize_refused(framebuffer, screens).expect("few screens");
    assert_eq!(answer[..4], [0, 0, 0, 1]);
    assert_eq!(answer.len(), 4 + 12 + 4 + 16 * screens.len());
}

/// Against a model of what is down on the server.
fn rate(mut input: Input<'_>) {
    let (per_second, burst) = (input.byte(), input.byte());
    let mut rate = InputRate::new(per_second.into(), burst.into());
    let (mut now, mut keys, mut buttons, mut passed) = (Duration::ZERO, BTreeSet::new(), 0_u16, 0_u64);
    while !input.is_empty() {
        let (what, which) = (input.byte(), input.byte());
        now += Duration::from_millis(input.byte().into());
        if what & 1 == 0 {
            let event = KeyEvent {
                down: what >> 1 & 1,
                padding: [0; 2],
                keysym: u32::from(which),
            };
            let verdict = rate.judge(now, &event.into());
            if event.down == 0 && keys.contains(&which) {
                assert_eq!(verdict, Verdict::Pass, "what is down can be let go");
            }
            if verdict == Verdict::Pass {
                passed += 1;
                match event.down {
                    0 => keys.remove(&which),
                    _ => keys.insert(which),
                };
            }
            assert!(keys.len() <= 32, "nobody has as many fingers");
        } else {
            let event = PointerEvent {
                buttons: u16::from(which),
                x: 1,
                y: 1,
                extended: false,
            };
            let before = buttons;
            match rate.judge(now, &event.into()) {
                Verdict::Pass => (buttons, passed) = (event.buttons, passed + 1),
                Verdict::Withhold => assert_eq!(before & !event.buttons, 0, "what is down can be let go"),
                Verdict::Replace(bytes) => {
                    let said = ClientMessage::decode(&bytes, &Extensions::NONE, &limits()).expect("it can be read");
                    let ClientMessage::PointerEvent(said) = said else {
                        panic!("{said:?}")
                    };
                    assert_eq!(said.buttons, before & event.buttons);
                    (buttons, passed) = (said.buttons, passed + 1);
                }
            }
        }
        // The last event may have pressed eight buttons.
        let most = u64::from(burst) + now.as_millis() as u64 * u64::from(per_second) / 1000 + 8;
        assert!(passed <= 2 * most, "{passed} of {most}");
    }
}

fn raw(mut input: Input<'_>) {
    let mut word = || u16::from_be_bytes([input.byte(), input.byte()]);
    let rectangle = Rectangle {
        x: word(),
        y: word(),
        width: word(),
        height: word(),
        encoding: Encoding::RAW,
    };
    let (width, height) = (word(), word());
    let (bits, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    let format = PixelFormat {
        bits_per_pixel: bits,
        ..PixelFormat::RGB888
    };
    let stream = input.rest();
    let most = Limits::default().with_rectangle(1 << 20);
    let Ok(raw) = Raw::new(&rectangle, &format, (width, height), &most) else {
        return;
    };
    let size = raw.left();
    let (right, bottom) = (
        u32::from(rectangle.x) + u32::from(rectangle.width),
        u32::from(rectangle.y) + u32::from(rectangle.height),
    );
    assert!(right <= width.into() && bottom <= height.into() && size <= 1 << 20);
    assert_eq!(
        size,
        u64::from(rectangle.width) * u64::from(rectangle.height) * u64::from(bits) / 8
    );
    let (mut whole, mut rx) = (raw.clone(), BytesMut::from(stream));
    let all = whole.take(&mut rx);
    assert_eq!(all.len() as u64, size.min(stream.len() as u64));
    assert_eq!([&all[..], &rx].concat(), stream);
    let (mut parts, mut rx, mut taken) = (raw, BytesMut::new(), Vec::new());
    for piece in stream.chunks(chunk) {
        rx.extend_from_slice(piece);
        taken.extend_from_slice(&parts.take(&mut rx));
    }
    assert_eq!((&taken[..], parts), (&all[..], whole));
    let pixel = usize::from(bits / 8).max(1);
    if let Some(first) = all.get(..pixel) {
        assert!(format.rgb(first).is_none() || bits <= 32);
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => relay(input),
        1 => rate(input),
        _ => raw(input),
    }
}

/// Both judge the same way: what is taken out of a list of encodings is what is not asked for.
#[test]
fn encodings_that_are_withheld_are_not_asked_for() {
    let filter = rules(1 << 10);
    let asked = [Encoding::ZRLE, Encoding::RAW, Encoding::FENCE];
    use rfb_proto::message::{Bell, ServerMessage, SetEncodings};
    let wish: ClientMessage = SetEncodings::new(&asked).into();
    let Verdict::Replace(bytes) = filter.client(&wish, &limits()) else {
        panic!("it passes");
    };
    replaced(&[2], &bytes, &filter, &Extensions::NONE);
    assert!(filter.encodings(&asked).eq([Encoding::RAW]));
    let bell = ServerMessage::Bell(Bell {});
    assert_eq!(filter.server(&bell, &limits()), Verdict::Pass);
}
