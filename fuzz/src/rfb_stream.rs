//! A server's stream behind the handshake: taken apart, and passed on with a client's beside it.
//!
//! ```text
//! | mode u8: 0, 4..: any, 1: made up, 2: a session | chunk u8 | format u8, bit 7: strict |
//! | any: the stream |
//! | made up: draws, from which updates are made |
//! | a session: operations, each u8 (bit 0: from the client, bits 1 to 3: what becomes of messages, bits 4 to 7: what a twin sees
//!   of requests, keys, the pointer, pictures), u8 length, bytes |
//! ```

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use rfb_proto::encoding::Encoding;
use rfb_proto::framing::{
    AmbiguousFormat, Bypass, Ends, FramingError, HELD, Message, Part, Piece, Relay, ServerFramer, Verdict, Watch,
};
use rfb_proto::message::pseudo::Pseudo;
use rfb_proto::message::{FramebufferUpdate, ServerMessage, SetEncodings};
use rfb_proto::{Limits, PixelFormat, PixelRules, Policy, ServerInit};

use crate::Input;

#[path = "../../rfb-proto/tests/it/rectangles.rs"]
mod rectangles;

/// Small enough to be reached.
const RECTANGLE: u32 = 1 << 14;

fn limits() -> Limits {
    Limits::default()
        .with_rectangle(RECTANGLE)
        .with_name(32)
        .with_cut_text(64)
}

fn format(bits: u8) -> (PixelFormat, rectangles::Sizes) {
    let rgb = PixelFormat::RGB888;
    let sizes = |pixel, cpixel, tpixel| rectangles::Sizes { pixel, cpixel, tpixel };
    match bits % 5 {
        0 => (rgb, sizes(4, 3, 3)),
        1 => (PixelFormat { depth: 32, ..rgb }, sizes(4, 4, 4)),
        2 => (
            PixelFormat {
                bits_per_pixel: 16,
                depth: 16,
                ..rgb
            },
            sizes(2, 2, 2),
        ),
        3 => (
            PixelFormat {
                bits_per_pixel: 8,
                depth: 8,
                ..rgb
            },
            sizes(1, 1, 1),
        ),
        _ => (
            PixelFormat {
                bits_per_pixel: bits,
                ..rgb
            },
            sizes(0, 0, 0),
        ),
    }
}

fn init(format: PixelFormat) -> ServerInit {
    ServerInit {
        width: 64,
        height: 64,
        format,
        name: Bytes::new(),
    }
}

fn framer(format: PixelFormat, strict: bool) -> ServerFramer {
    let policy = if strict { Policy::Strict } else { Policy::Lenient };
    let mut framer = ServerFramer::new(&init(format), &limits()).with_policy(policy);
    let mut encodings = BytesMut::new();
    SetEncodings::new(&[Encoding::TIGHT_WITHOUT_ZLIB])
        .encode(&mut encodings)
        .expect("one encoding");
    framer.client_sent(&encodings).expect("encodings are noted");
    framer
}

/// What came out of a stream, whatever the pieces.
#[derive(Debug, Default, PartialEq)]
struct Found {
    messages: Vec<(u8, u64)>,
    rectangles: Vec<(Encoding, Vec<u8>, bool)>,
    updates: usize,
    bytes: Vec<u8>,
    error: Option<FramingError>,
}

impl Found {
    fn add(&mut self, part: &Part<'_>) {
        match part {
            Part::Message(message) => {
                if message.offset == 0 {
                    self.messages.push((message.number, message.len));
                }
                self.bytes.extend_from_slice(message.bytes);
            }
            Part::Update(head) => {
                let mut bytes = BytesMut::new();
                head.encode(&mut bytes).expect("it was decoded");
                self.bytes.extend_from_slice(&bytes);
                self.updates += usize::from(head.rectangles == 0);
            }
            Part::Rectangle(piece) => {
                if piece.first {
                    self.rectangles.push((piece.rectangle.encoding, Vec::new(), false));
                    let mut bytes = BytesMut::new();
                    piece.rectangle.encode(&mut bytes).expect("it was decoded");
                    self.bytes.extend_from_slice(&bytes);
                }
                let (_, payload, ended) = self.rectangles.last_mut().expect("a first piece");
                assert_eq!((payload.len() as u64, *ended), (piece.offset, false));
                payload.extend_from_slice(piece.payload);
                *ended = piece.ends != Ends::Nothing;
                self.bytes.extend_from_slice(piece.payload);
                self.updates += usize::from(piece.ends == Ends::Update);
            }
        }
    }
}

/// Takes a stream apart that comes in pieces.
fn frame(framer: &mut ServerFramer, stream: &[u8], chunk: usize) -> Found {
    let (mut found, mut rx) = (Found::default(), Vec::new());
    for piece in stream.chunks(chunk) {
        rx.extend_from_slice(piece);
        let mut left = &rx[..];
        loop {
            let before = left.len();
            match framer.next_part(&mut left) {
                Ok(Some(part)) => {
                    // A piece without a byte is the end of a rectangle whose last byte was a control byte of another.
                    let ended = matches!(part, Part::Rectangle(piece) if piece.ends != Ends::Nothing);
                    assert!(left.len() < before || ended, "progress");
                    found.add(&part);
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(framer.next_part(&mut left), Err(error), "an error is terminal");
                    found.error = Some(error);
                    assert!(framer.taken() <= error.offset);
                    assert!(stream.starts_with(&found.bytes));
                    return found;
                }
            }
        }
        let taken = rx.len() - left.len();
        rx.drain(..taken);
        assert!(0 < framer.missing().bytes);
        // A message waits until it is whole; of a rectangle control bytes do, and a new format.
        let most = if framer.is_between_messages() { HELD } else { 12 + 16 };
        assert!(rx.len() <= most, "no more waits than it must");
        assert_eq!(framer.taken(), found.bytes.len() as u64);
    }
    assert!(stream.starts_with(&found.bytes) && stream.len() == found.bytes.len() + rx.len());
    found
}

/// Checks one input.
pub fn check(data: &[u8]) {
    reached(data);
}

/// What seeds are to reach: the encodings that can be framed, and the messages of a server.
#[must_use]
pub fn everything() -> BTreeSet<i64> {
    // Those that stand for many are not made up there.
    let bulk = [Encoding::XZ, Encoding::XZYW].map(|encoding| i64::from(encoding.0));
    let encodings = rectangles::FRAMED.iter().map(|(number, _)| i64::from(*number));
    let messages = ServerMessage::TABLE.iter().filter(|(number, _)| *number != 0);
    encodings
        .chain(bulk)
        .chain(messages.map(|(number, _)| as_message(*number)))
        .collect()
}

/// Apart from the numbers of encodings.
fn as_message(number: u8) -> i64 {
    1 << 40 | i64::from(number)
}

/// Checks one input, and gives the encodings of whole rectangles and the messages in it.
pub fn reached(data: &[u8]) -> BTreeSet<i64> {
    let mut input = Input::new(data);
    let (mode, chunk, bits) = (input.byte(), usize::from(input.byte()).max(1), input.byte());
    let ((format, sizes), strict) = (format(bits & 0x7f), bits & 0x80 != 0);
    match mode {
        1 => {
            made_up(input, chunk, format, sizes);
            BTreeSet::new()
        }
        2 => session(input, format, bits),
        _ => any(input.rest(), chunk, format, strict),
    }
}

fn any(stream: &[u8], chunk: usize, format: PixelFormat, strict: bool) -> BTreeSet<i64> {
    let whole = frame(&mut framer(format, strict), stream, stream.len().max(1));
    let mut parts = frame(&mut framer(format, strict), stream, chunk);
    if whole.error.is_some() {
        // What stood in front of the error has gone out in pieces.
        assert_eq!(parts.error, whole.error);
        assert!(parts.bytes.starts_with(&whole.bytes) && parts.messages == whole.messages);
        parts.rectangles.truncate(whole.rectangles.len());
    } else {
        assert_eq!(parts, whole);
    }
    assert!(
        parts
            .rectangles
            .iter()
            .map(|(encoding, ..)| encoding)
            .eq(whole.rectangles.iter().map(|(e, ..)| e))
    );
    let ended = whole.rectangles.iter().filter(|(_, _, ended)| *ended);
    let messages = whole.messages.iter().map(|(number, _)| as_message(*number));
    ended
        .map(|(encoding, ..)| i64::from(encoding.0))
        .chain(messages)
        .collect()
}

/// Updates that were made up end where they were made to.
fn made_up(mut input: Input<'_>, chunk: usize, format: PixelFormat, sizes: rectangles::Sizes) {
    if sizes.pixel == 0 {
        return;
    }
    let mut draw = |below: usize| {
        let drawn = usize::from(u16::from_le_bytes([input.byte(), input.byte()]));
        drawn % below.max(1)
    };
    let (mut stream, mut expected) = (Vec::new(), Found::default());
    for _ in 0..1 + draw(3) {
        let count = draw(5);
        let last = draw(2) == 0;
        let said = if last {
            u16::MAX
        } else {
            u16::try_from(count).expect("under 5")
        };
        stream.extend_from_slice(&[0, 7]);
        stream.extend_from_slice(&said.to_be_bytes());
        for _ in 0..count {
            let (number, drawn) = rectangles::FRAMED[draw(rectangles::FRAMED.len())];
            // The one ends the update, the other changes the format.
            let number = if [-224, 0x574d_5669].contains(&number) {
                1
            } else {
                number
            };
            let side = if drawn { 40 } else { 300 };
            let (width, height) = (draw(side) as u16, draw(side) as u16);
            let payload = rectangles::payload(number, width, height, sizes, true, &mut draw).expect("a known number");
            stream.extend_from_slice(&head(number, width, height));
            stream.extend_from_slice(&payload.bytes);
            let large = RECTANGLE as usize <= payload.bytes.len();
            expected.rectangles.push((Encoding(number), payload.bytes, true));
            if large {
                return;
            }
        }
        if last {
            stream.extend_from_slice(&head(-224, 0, 0));
            expected.rectangles.push((Encoding::LAST_RECT, Vec::new(), true));
        }
        expected.updates += 1;
        stream.push(2);
        expected.messages.push((2, 1));
    }
    expected.bytes = stream.clone();
    // Texts are short there, and other lengths are below the limit.
    assert_eq!(frame(&mut framer(format, false), &stream, stream.len()), expected);
    assert_eq!(frame(&mut framer(format, false), &stream, chunk), expected);
    let limits = Limits::default();
    for (encoding, payload, _) in expected.rectangles {
        let rectangle = rfb_proto::encoding::Rectangle {
            x: 0,
            y: 0,
            width: 0,
            height: 0,
            encoding,
        };
        // What is found can be looked into, or not: it does not panic.
        let _ = Pseudo::decode(&rectangle, &payload.into(), &format, &limits);
    }
}

fn head(number: i32, width: u16, height: u16) -> [u8; 12] {
    let [w1, w0] = width.to_be_bytes();
    let [h1, h0] = height.to_be_bytes();
    let [e3, e2, e1, e0] = number.to_be_bytes();
    [0, 1, 0, 2, w1, w0, h1, h0, e3, e2, e1, e0]
}

/// Withholds the messages that the input names.
struct Judge {
    bits: u8,
    /// On the message that goes in pieces, of the client and of the server.
    long: [Verdict; 2],
    passed: usize,
    withheld: usize,
    reached: BTreeSet<i64>,
}

impl Judge {
    fn judge(&mut self, message: &Message<'_>, side: usize) -> Verdict {
        let verdict = match self.bits >> 1 & 7 {
            // The verdict on the first piece holds.
            _ if message.offset != 0 => self.long[side].clone(),
            1 => Verdict::Withhold,
            2 if message.number == 6 || message.number == 3 => Verdict::Withhold,
            3 => Verdict::Replace(Bytes::copy_from_slice(message.bytes)),
            _ => Verdict::Pass,
        };
        match verdict {
            Verdict::Withhold => self.withheld += message.bytes.len(),
            _ => self.passed += message.bytes.len(),
        }
        self.long[side] = match verdict {
            Verdict::Pass => Verdict::Pass,
            _ => Verdict::Withhold,
        };
        verdict
    }
}

impl Watch for Judge {
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        self.judge(message, 0)
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        self.judge(message, 1)
    }

    fn update(&mut self, _: FramebufferUpdate) {
        self.passed += 4;
    }

    fn rectangle(&mut self, piece: &Piece<'_>) {
        self.passed += piece.payload.len() + if piece.first { 12 } else { 0 };
        self.reached.insert(piece.rectangle.encoding.0.into());
    }
}

/// Both directions through a relay, in any order.
fn session(mut input: Input<'_>, format: PixelFormat, bits: u8) -> BTreeSet<i64> {
    let doubt = [
        AmbiguousFormat::Pending,
        AmbiguousFormat::Current,
        AmbiguousFormat::Refuse,
    ][usize::from(bits >> 5 & 3) % 3];
    let mut relay = Relay::new(&init(format), &limits())
        .with_ambiguous_format(doubt)
        .with_stripping(bits & 0x10 == 0);
    if bits & 0x80 != 0 {
        relay = relay.with_policy(Policy::Strict).with_pixel_rules(PixelRules::Qemu);
    }
    let mut rx = [BytesMut::new(), BytesMut::new()];
    let mut judge = Judge {
        bits: 0,
        long: [Verdict::Pass, Verdict::Pass],
        passed: 0,
        withheld: 0,
        reached: BTreeSet::new(),
    };
    let mut twins = Twins::new(&relay);
    while !input.is_empty() {
        let operation = input.byte();
        let bytes = input.short_blob();
        let from_client = operation & 1 != 0;
        twins.read(operation, bytes);
        let (rx, mut tx) = (&mut rx[usize::from(from_client)], BytesMut::new());
        rx.extend_from_slice(bytes);
        let before = rx.len();
        (judge.bits, judge.passed, judge.withheld) = (operation, 0, 0);
        let passed = match from_client {
            true => relay.from_client(rx, &mut tx, &mut judge),
            false => relay.from_server(rx, &mut tx, &mut judge),
        };
        if passed.is_ok() {
            assert_eq!(
                before,
                rx.len() + judge.passed + judge.withheld,
                "every byte has its place"
            );
            // A client asks for less than it would have.
            assert!(tx.len() == judge.passed || from_client && tx.len() < judge.passed);
        }
        if passed.is_err() {
            break;
        }
    }
    judge.reached
}

/// Is not shown what the upper bits of an operation do not name.
struct Unshown(u8);

impl Watch for Unshown {
    fn bypass(&self) -> Bypass {
        let passes = |bit: u8| self.0 >> bit & 1 == 0;
        Bypass::NOTHING
            .with_requests(passes(4))
            .with_keys(passes(5))
            .with_pointer(passes(6))
            .with_pictures(passes(7))
    }
}

/// What passes without being shown passes as it does when it is shown.
struct Twins {
    relays: [Relay; 2],
    rx: [[BytesMut; 2]; 2],
    failed: bool,
}

impl Twins {
    fn new(relay: &Relay) -> Self {
        let relay = relay.clone().with_moves(true);
        Self {
            relays: [relay.clone(), relay],
            rx: Default::default(),
            failed: false,
        }
    }

    fn read(&mut self, operation: u8, bytes: &[u8]) {
        if self.failed {
            return;
        }
        let from_client = operation & 1 != 0;
        let mut unshown = Unshown(operation);
        let mut all = Judge {
            bits: 0,
            long: [Verdict::Pass, Verdict::Pass],
            passed: 0,
            withheld: 0,
            reached: BTreeSet::new(),
        };
        let [shown, unseen] = &mut self.relays;
        let rx = &mut self.rx[usize::from(from_client)];
        rx.iter_mut().for_each(|rx| rx.extend_from_slice(bytes));
        let [shown_rx, unseen_rx] = rx;
        let mut tx = [BytesMut::new(), BytesMut::new()];
        let [shown_tx, unseen_tx] = &mut tx;
        let ends = match from_client {
            true => [
                shown.from_client(shown_rx, shown_tx, &mut all),
                unseen.from_client(unseen_rx, unseen_tx, &mut unshown),
            ],
            false => [
                shown.from_server(shown_rx, shown_tx, &mut all),
                unseen.from_server(unseen_rx, unseen_tx, &mut unshown),
            ],
        };
        assert_eq!((&ends[0], &*shown_rx, &*shown_tx), (&ends[1], &*unseen_rx, &*unseen_tx));
        let knows = |relay: &Relay| {
            let (client, server) = (relay.client(), relay.server());
            (
                (client.taken(), client.is_between_messages()),
                (server.taken(), server.is_between_messages(), server.framebuffer()),
                (*server.format(), server.pending_format().copied(), *server.extensions()),
            )
        };
        assert_eq!(knows(shown), knows(unseen));
        self.failed = ends[0].is_err();
    }
}
