//! What passes a relay without being shown: the same bytes go on, and the relay knows the same behind them.

use bytes::BytesMut;
use rfb_proto::filter::{Filter, Guard, InputRate};
use rfb_proto::framing::{Bypass, FramingError, Message, Piece, Relay, Verdict, Watch};
use rfb_proto::message::FramebufferUpdate;
use rfb_proto::{Limits, PixelFormat};

use crate::framing_captures::Session;
use crate::framing_hostile::init;
use crate::recordings::{Rows, SOURCE};

/// What is shown, with some of it passing unseen.
#[derive(Default)]
struct Shown {
    bypass: Bypass,
    client: Vec<u8>,
    server: Vec<u8>,
    updates: usize,
    rectangles: usize,
}

impl Watch for Shown {
    fn bypass(&self) -> Bypass {
        self.bypass
    }

    fn client(&mut self, message: &Message<'_>) -> Verdict {
        self.client.push(message.number);
        Verdict::Pass
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        self.server.push(message.number);
        Verdict::Pass
    }

    fn update(&mut self, _: FramebufferUpdate) {
        self.updates += 1;
    }

    fn rectangle(&mut self, piece: &Piece<'_>) {
        self.rectangles += usize::from(piece.first);
    }
}

/// A relay, what it has read and what it has passed on.
struct Played {
    relay: Relay,
    rx: [BytesMut; 2],
    out: [BytesMut; 2],
}

impl Played {
    fn new(relay: Relay) -> Self {
        Self {
            relay,
            rx: Default::default(),
            out: Default::default(),
        }
    }

    fn reads(&mut self, from_client: bool, bytes: &[u8], watch: &mut impl Watch) -> Result<(), FramingError> {
        let (rx, out) = (
            &mut self.rx[usize::from(from_client)],
            &mut self.out[usize::from(from_client)],
        );
        rx.extend_from_slice(bytes);
        let mut tx = BytesMut::new();
        let passed = match from_client {
            true => self.relay.from_client(rx, &mut tx, watch),
            false => self.relay.from_server(rx, &mut tx, watch),
        };
        out.extend_from_slice(&tx);
        passed
    }

    /// All that can be asked of it.
    fn knows(&self) -> impl PartialEq + core::fmt::Debug {
        let (client, server) = (self.relay.client(), self.relay.server());
        (
            (client.taken(), client.is_between_messages(), client.missing()),
            (server.taken(), server.is_between_messages(), server.missing()),
            (*server.format(), server.pending_format().copied(), *server.extensions()),
            server.framebuffer(),
            (self.rx.clone(), self.out.each_ref().map(BytesMut::len)),
        )
    }
}

fn relay(init: &rfb_proto::ServerInit) -> Relay {
    Relay::new(init, &Limits::default()).with_moves(true)
}

/// Recorded sessions, whole, in pieces and with each of their first bytes changed.
#[test]
fn recorded_sessions_pass_unseen_as_they_do_when_shown() {
    let mut rows = Rows::new(SOURCE);
    for session in Session::all() {
        rows.row(session.name(), || {
            for chunk in [1, 33, 4096, usize::MAX] {
                let mut unseen = Played::new(relay(&session.init));
                let mut seen = Played::new(relay(&session.init));
                for (from_client, bytes) in session.reads() {
                    for bytes in bytes.chunks(chunk) {
                        unseen.reads(from_client, bytes, &mut ()).unwrap();
                        seen.reads(from_client, bytes, &mut Shown::default()).unwrap();
                        assert_eq!(unseen.knows(), seen.knows(), "by {chunk}");
                    }
                }
                assert_eq!(unseen.out, seen.out, "by {chunk}");
            }
            changed(&session);
        });
    }
    rows.end();
}

fn changed(session: &Session) {
    let reads = session.reads();
    let first: usize = reads.iter().take(8).map(|(_, bytes)| bytes.len().min(200)).sum();
    for at in (0..first).step_by(3) {
        let mut unseen = Played::new(relay(&session.init));
        let mut seen = Played::new(relay(&session.init));
        let mut before = at;
        for (from_client, bytes) in reads.iter().take(8) {
            let mut bytes = bytes[..bytes.len().min(200)].to_vec();
            if let Some(byte) = bytes.get_mut(before) {
                *byte ^= 1 << (at % 8);
            }
            before = before.wrapping_sub(bytes.len());
            let ends = [
                unseen.reads(*from_client, &bytes, &mut ()),
                seen.reads(*from_client, &bytes, &mut Shown::default()),
            ];
            assert_eq!(ends[0], ends[1], "byte {at}");
            assert_eq!((unseen.knows(), &unseen.out), (seen.knows(), &seen.out), "byte {at}");
            if ends[0].is_err() {
                break;
            }
        }
    }
}

const REQUEST: &[u8] = b"\x03\x01\0\0\0\0\x02\x80\x01\xe0";
const KEY: &[u8] = b"\x04\x01\0\0\0\0\0\x61";
const POINTER: &[u8] = b"\x05\x01\0\x02\0\x03";
const TEXT: &[u8] = b"\x06\0\0\0\0\0\0\x01x";

/// An update of two rectangles, Raw of one pixel and CopyRect.
fn update() -> Vec<u8> {
    let raw = b"\0\0\0\0\0\x01\0\x01\0\0\0\0abcd";
    let copied = b"\0\0\0\0\0\x01\0\x01\0\0\0\x01\0\x07\0\x08";
    [&b"\0\0\0\x02"[..], raw, copied].concat()
}

/// Each kind passes unseen when it is named, and only then.
#[test]
fn what_is_not_named_is_shown() {
    let stream = [REQUEST, KEY, POINTER, TEXT, POINTER, KEY, REQUEST].concat();
    let shown = |bypass: Bypass| {
        let (mut played, mut shown) = (
            Played::new(relay(&init())),
            Shown {
                bypass,
                ..Shown::default()
            },
        );
        played.reads(true, &stream, &mut shown).unwrap();
        assert_eq!(played.out[1], stream);
        let updates = [update(), b"\x02".to_vec(), update()].concat();
        played.reads(false, &updates, &mut shown).unwrap();
        assert_eq!(played.out[0], updates);
        (shown.client, shown.server, shown.updates, shown.rectangles)
    };
    let all = Bypass::NOTHING;
    assert_eq!(all, Bypass::default());
    assert_eq!(shown(all), ([3, 4, 5, 6, 5, 4, 3].to_vec(), vec![2], 2, 4));
    let client = |bypass| shown(bypass).0;
    assert_eq!(client(all.with_requests(true)), [4, 5, 6, 5, 4]);
    assert_eq!(client(all.with_keys(true)), [3, 5, 6, 5, 3]);
    assert_eq!(client(all.with_pointer(true)), [3, 4, 6, 4, 3]);
    assert_eq!(shown(all.with_pictures(true)).1, [2]);
    assert_eq!(shown(all.with_pictures(true)).2, 0);
    assert_eq!(shown(all.with_pictures(true)).3, 0);
    assert_eq!(shown(Bypass::EVERYTHING), (vec![6], vec![2], 0, 0));
}

/// Rectangles pass unseen too where the head of their update has come before them.
#[test]
fn rectangles_behind_a_head_that_has_passed() {
    for cut in [4, 20] {
        let (mut played, mut shown) = (
            Played::new(relay(&init())),
            Shown {
                bypass: Bypass::EVERYTHING,
                ..Shown::default()
            },
        );
        let update = update();
        played.reads(false, &update[..cut], &mut shown).unwrap();
        played.reads(false, &update[cut..], &mut shown).unwrap();
        assert_eq!(
            (&played.out[0][..], shown.updates, shown.rectangles),
            (&update[..], 0, 0)
        );
    }
}

/// Requests that pass unseen count: a format that is set behind them is in force only behind their updates.
#[test]
fn requests_that_pass_unseen_are_outstanding() {
    let mut played = Played::new(relay(&init()));
    let set = |format: PixelFormat| {
        let mut set = BytesMut::new();
        rfb_proto::message::SetPixelFormat::new(format)
            .encode(&mut set)
            .unwrap();
        set.to_vec()
    };
    let eight = PixelFormat {
        bits_per_pixel: 8,
        depth: 8,
        red_max: 7,
        green_max: 7,
        blue_max: 3,
        ..PixelFormat::RGB888
    };
    let stream = [REQUEST, KEY, REQUEST, &set(eight)].concat();
    played.reads(true, &stream, &mut ()).unwrap();
    assert_eq!(played.relay.server().pending_format(), Some(&eight));
    // Two updates were asked for before the format: CopyRect has the same length in each.
    let copied = b"\0\0\0\x01\0\0\0\0\0\x01\0\x01\0\0\0\x01\0\x07\0\x08";
    played.reads(false, copied, &mut ()).unwrap();
    assert_eq!(played.relay.server().pending_format(), Some(&eight));
    played.reads(false, copied, &mut ()).unwrap();
    assert_eq!(played.relay.server().pending_format(), None);
    // And updates that pass unseen answer requests.
    played.reads(true, &[REQUEST, REQUEST].concat(), &mut ()).unwrap();
    played.reads(false, &[&copied[..], copied].concat(), &mut ()).unwrap();
    played.reads(true, &set(PixelFormat::RGB888), &mut ()).unwrap();
    assert_eq!(
        played.relay.server().pending_format(),
        None,
        "no request was outstanding"
    );
}

/// A guard has everything shown that it could withhold or has to count.
#[test]
fn a_guard_looks_at_what_it_may_withhold() {
    let guard = |filter: Filter| Guard::new(filter, &Limits::default());
    assert_eq!(guard(Filter::default()).bypass(), Bypass::EVERYTHING);
    let looks = Bypass::EVERYTHING.with_keys(false).with_pointer(false);
    assert_eq!(guard(Filter::view_only()).bypass(), looks);
    assert_eq!(guard(Filter::default()).with_rate(InputRate::new(1, 1)).bypass(), looks);
    let keys = guard(Filter::default().with_pointer(false)).bypass();
    assert_eq!(keys, Bypass::EVERYTHING.with_pointer(false));
}
