//! A relay whose client goes on with another server: what is translated for it, and what a watch still decides.

use bytes::{Bytes, BytesMut};
use rfb_proto::Limits;
use rfb_proto::encoding::Encoding;
use rfb_proto::filter::{Filter, Guard};
use rfb_proto::framing::{HELD, Message, MoveFault, Relay, Verdict, Watch};
use rfb_proto::message::{
    ClientCutText, ClientFence, EnableContinuousUpdates, EndOfContinuousUpdates, FenceFlags, FramebufferUpdateRequest,
    KeyEvent, QemuClientMessage, QemuExtendedKeyEvent, ServerCutText, ServerFence, SetEncodings, Xvp, XvpCode,
};

use crate::framing_hostile::init;
use crate::session_relay::{client, server};

/// An update of one rectangle without a size.
fn mark(encoding: Encoding) -> Vec<u8> {
    [b"\0\0\0\x01\0\0\0\0\0\0\0\0", &encoding.0.to_be_bytes()[..]].concat()
}

/// An update of one pixel.
const PICTURE: &[u8] = b"\0\0\0\x01\0\0\0\0\0\x01\0\x01\0\0\0\0abcd";

fn asks(encodings: &[Encoding]) -> Vec<u8> {
    client(SetEncodings::new(encodings))
}

fn key(keysym: u32) -> Vec<u8> {
    let (down, padding) = (1, [0; 2]);
    client(KeyEvent { down, padding, keysym })
}

fn qemu_key() -> Vec<u8> {
    let (down, keysym, keycode) = (1, 0x61, 30);
    client(QemuClientMessage::ExtendedKeyEvent(QemuExtendedKeyEvent {
        down,
        keysym,
        keycode,
    }))
}

fn continuous() -> Vec<u8> {
    client(EnableContinuousUpdates {
        enable: 1,
        x: 0,
        y: 0,
        width: 64,
        height: 48,
    })
}

/// The whole picture, or what has changed of it.
fn request(incremental: u8) -> Vec<u8> {
    client(FramebufferUpdateRequest {
        incremental,
        x: 0,
        y: 0,
        width: 64,
        height: 48,
    })
}

fn fence(flags: FenceFlags, payload: &[u8]) -> Vec<u8> {
    client(ClientFence::new(flags, Bytes::copy_from_slice(payload)))
}

fn server_fence(flags: FenceFlags, payload: &[u8]) -> Vec<u8> {
    server(ServerFence::new(flags, Bytes::copy_from_slice(payload)))
}

const ASK: FenceFlags = FenceFlags::REQUEST;
const ANSWER: FenceFlags = FenceFlags(0);

/// A relay, and a watch over it.
struct Moving<W> {
    relay: Relay,
    watch: W,
}

impl<W: Watch> Moving<W> {
    fn new(watch: W) -> Self {
        let relay = Relay::new(&init(), &Limits::default()).with_moves(true);
        Self { relay, watch }
    }

    /// What the server hears when the client says this.
    fn client_says(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (mut rx, mut tx) = (BytesMut::from(bytes), BytesMut::new());
        self.relay.from_client(&mut rx, &mut tx, &mut self.watch).unwrap();
        assert!(rx.is_empty());
        tx.into()
    }

    /// What the client hears when the server says this.
    fn server_says(&mut self, bytes: &[u8]) -> Vec<u8> {
        let (mut rx, mut tx) = (BytesMut::from(bytes), BytesMut::new());
        self.relay.from_server(&mut rx, &mut tx, &mut self.watch).unwrap();
        assert!(rx.is_empty());
        tx.into()
    }

    /// What the relay says itself, to the server and to the client.
    fn own_words(&mut self) -> [Vec<u8>; 2] {
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        self.relay.own_words(&mut to_server, &mut to_client).unwrap();
        [to_server.into(), to_client.into()]
    }

    /// What the new server is told.
    fn moves(&mut self) -> Vec<u8> {
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        self.relay.moved(&init(), &mut to_server, &mut to_client).unwrap();
        to_server.into()
    }
}

/// As long as the server is the first one, the client speaks for itself, also in words that nobody has agreed on.
#[test]
fn nothing_is_translated_before_a_move() {
    let mut moving = Moving::new(());
    let said = [
        asks(&[Encoding::ULTRA_ZIP, Encoding::ZSTD, Encoding::RAW]),
        fence(ASK, b"f"),
        client(Xvp::new(XvpCode::RESET)),
        qemu_key(),
        continuous(),
        fence(ANSWER, b"f"),
    ];
    for message in said {
        assert_eq!(moving.client_says(&message), message);
    }
    assert_eq!(moving.own_words(), [b"", b""]);
}

/// What a watch withholds stays withheld when it would be translated, and what is translated is what it has put in place.
#[test]
fn a_watch_decides_behind_a_move_too() {
    let filter = Filter::view_only().with_withheld(&[Encoding::TIGHT]);
    let mut moving = Moving::new(Guard::new(filter, &Limits::default()));
    let wanted = [
        Encoding::TIGHT,
        Encoding::ZSTD,
        Encoding::ZRLE,
        Encoding::QEMU_EXTENDED_KEY,
    ];
    assert_eq!(moving.client_says(&asks(&wanted)), asks(&wanted[1..]));
    moving.server_says(&mark(Encoding::QEMU_EXTENDED_KEY));
    moving.server_says(b"\0\0\0\x01\0\0\0\0\0\x01\0\x01\0\0\0\x19\0\0\0\x01z");
    let left = [Encoding::ZRLE, Encoding::QEMU_EXTENDED_KEY];
    assert!(
        moving
            .moves()
            .windows(asks(&left).len())
            .any(|told| told == asks(&left))
    );
    assert_eq!(moving.client_says(&asks(&wanted)), asks(&left));
    assert_eq!(moving.client_says(&[qemu_key(), key(0x61)].concat()), b"");
}

/// Of an extension that the new server has not announced nothing reaches it, until it has.
#[test]
fn messages_of_an_extension_wait_for_the_new_server() {
    let mut moving = Moving::new(());
    let reset = client(Xvp::new(XvpCode::RESET));
    moving.client_says(&asks(&[Encoding::XVP]));
    moving.server_says(&server(Xvp::new(XvpCode::INIT)));
    assert_eq!(moving.client_says(&reset), reset);
    moving.moves();
    assert_eq!(moving.client_says(&reset), b"");
    moving.server_says(&server(Xvp::new(XvpCode::INIT)));
    assert_eq!(moving.client_says(&reset), reset);
}

/// As many answers are kept from the new server as the one before had fences that were not answered.
#[test]
fn late_answers_to_fences_are_counted() {
    for (answered, late) in [(0, 0), (2, 0), (0, 1), (1, 2)] {
        let mut moving = Moving::new(());
        moving.client_says(&asks(&[Encoding::FENCE]));
        for _ in 0..answered + late {
            moving.server_says(&server_fence(ASK, b"old"));
        }
        for _ in 0..answered {
            moving.client_says(&fence(ANSWER, b"old"));
        }
        moving.moves();
        moving.server_says(&server_fence(ASK, b"new"));
        for _ in 0..late {
            assert_eq!(moving.client_says(&fence(ANSWER, b"old")), b"", "{answered}, {late}");
        }
        let answer = fence(ANSWER, b"new");
        assert_eq!(moving.client_says(&answer), answer, "{answered}, {late}");
    }
}

/// Withholds the server's fences.
struct NoFences;

impl Watch for NoFences {
    fn server(&mut self, message: &Message<'_>) -> Verdict {
        match message.bytes.first() {
            Some(248) => Verdict::Withhold,
            _ => Verdict::Pass,
        }
    }
}

/// A fence that the client never saw is not one that it still has to answer.
#[test]
fn fences_that_were_withheld_are_not_waited_for() {
    let mut moving = Moving::new(NoFences);
    moving.client_says(&asks(&[Encoding::FENCE]));
    assert_eq!(moving.server_says(&server_fence(ASK, b"old")), b"");
    moving.moves();
    moving.server_says(&server_fence(ASK, b"new"));
    let answer = fence(ANSWER, b"new");
    assert_eq!(moving.client_says(&answer), answer);
}

/// A client that goes on asking while the server is in an update gets 4096 bytes of answers, and none for the rest.
#[test]
fn answers_in_the_relays_name_are_bounded() {
    let mut moving = Moving::new(());
    moving.client_says(&asks(&[Encoding::FENCE]));
    moving.moves();
    let payload = [b'f'; 55];
    let answer = server_fence(ANSWER, &payload);
    assert_eq!(answer.len(), 64);
    for _ in 0..2 {
        moving.server_says(&PICTURE[..17]);
        assert_eq!(moving.client_says(&fence(ASK, &payload).repeat(100)), b"");
        assert_eq!(moving.own_words(), [b"", b""]);
        moving.server_says(&PICTURE[17..]);
        assert_eq!(moving.own_words(), [vec![], answer.repeat(64)]);
    }
}

/// What the relay asks for in the client's place does not stand in the middle of a message of the client, unless nothing of
/// that goes on.
#[test]
fn own_words_wait_for_the_clients_message() {
    let text = client(ClientCutText::new(vec![b'x'; HELD + 1000].into()));
    let (first, rest) = text.split_at(HELD);
    for filter in [Filter::default(), Filter::view_only()] {
        let passes = filter.keyboard;
        let mut moving = Moving::new(Guard::new(filter, &Limits::default()));
        moving.client_says(&asks(&[Encoding::CONTINUOUS_UPDATES]));
        moving.server_says(&server(EndOfContinuousUpdates {}));
        moving.client_says(&continuous());
        moving.moves();
        let expected = |part: &[u8]| if passes { part.to_vec() } else { vec![] };
        assert_eq!(moving.client_says(first), expected(first));
        // The new server has no continuous updates, so it is asked for the next one.
        moving.server_says(PICTURE);
        let waits = if passes { vec![] } else { request(1) };
        assert_eq!(moving.own_words(), [waits, vec![]], "{passes}");
        assert_eq!(moving.client_says(rest), expected(rest));
        let waited = if passes { request(1) } else { vec![] };
        assert_eq!(moving.own_words(), [waited, vec![]], "{passes}");
    }
}

/// UltraVNC's decoders of these have a dictionary that goes on, so another server is not asked for them, whether they were
/// used or not.
#[test]
fn encodings_of_ultravnc_are_not_asked_for_again() {
    let all = [
        Encoding::QUEUE_ZIP,
        Encoding::ULTRA_ZIP,
        Encoding::QUEUE_ZSTD,
        Encoding::RAW,
    ];
    let mut moving = Moving::new(());
    assert_eq!(moving.client_says(&asks(&all)), asks(&all));
    let told = moving.moves();
    assert!(told[20..].starts_with(&asks(&[Encoding::RAW])));
    assert_eq!(moving.client_says(&asks(&all)), asks(&[Encoding::RAW]));
}

/// Of an update that the server leaves, 4096 rectangles are made up and no more; a message cannot be made up.
#[test]
fn what_a_server_leaves() {
    for (missing, made_up) in [(1, true), (4096, true), (4097, false)] {
        let mut moving = Moving::new(());
        let [high, low] = u16::to_be_bytes(missing);
        moving.server_says(&[0, 0, high, low]);
        let mut to_client = BytesMut::new();
        let left = moving.relay.leave(&mut to_client);
        match made_up {
            true => {
                assert_eq!((left, to_client.len()), (Ok(()), 12 * usize::from(missing)));
                // Another server can go on.
                moving.moves();
                assert_eq!(moving.server_says(PICTURE), PICTURE);
            }
            false => assert_eq!((left, to_client.len()), (Err(MoveFault::InsideMessage), 0)),
        }
    }
    let text = server(ServerCutText::new(vec![b'x'; HELD].into()));
    for (bytes, fault) in [
        (&PICTURE[..17], MoveFault::InsideRectangle),
        (&text[..HELD], MoveFault::InsideMessage),
    ] {
        let mut moving = Moving::new(());
        moving.server_says(bytes);
        let mut to_client = BytesMut::new();
        assert_eq!(moving.relay.leave(&mut to_client), Err(fault));
        assert!(to_client.is_empty());
    }
}
