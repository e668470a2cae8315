//! A relay: what is held back, what is stripped, and sides that are lost.

use bytes::{Bytes, BytesMut};
use expect_test::expect;
use rfb_proto::encoding::Encoding;
use rfb_proto::filter::{Filter, Guard};
use rfb_proto::framing::{ClientFramer, HELD, Message, Piece, Relay, Verdict, Watch};
use rfb_proto::message::{ClientCutText, Extensions, KeyEvent, SetEncodings, SetPixelFormat};
use rfb_proto::{Limits, PixelFormat};

use crate::framing_hostile::init;
use crate::rectangles::FRAMED;

/// Sees which messages come, and holds back those of one type.
#[derive(Default)]
struct Seen {
    withhold: Option<u8>,
    replace: Option<(u8, Bytes)>,
    client: Vec<(u8, u64, usize)>,
    server: Vec<(u8, u64, usize)>,
    payload: usize,
}

impl Seen {
    fn verdict(&self, number: u8) -> Verdict {
        match &self.replace {
            _ if self.withhold == Some(number) => Verdict::Withhold,
            Some((replaced, bytes)) if *replaced == number => Verdict::Replace(bytes.clone()),
            _ => Verdict::Pass,
        }
    }
}

impl Watch for Seen {
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        self.client.push((message.number, message.offset, message.bytes.len()));
        self.verdict(message.number)
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        self.server.push((message.number, message.offset, message.bytes.len()));
        self.verdict(message.number)
    }

    fn rectangle(&mut self, piece: &Piece<'_>) {
        self.payload += piece.payload.len();
    }
}

fn encoded(encode: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut dst = BytesMut::new();
    encode(&mut dst);
    dst
}

#[test]
fn a_relay_holds_back_what_it_is_told_to() {
    let key = encoded(|dst| {
        KeyEvent {
            down: 1,
            padding: [0; 2],
            keysym: 97,
        }
        .encode(dst)
        .unwrap()
    });
    let text = b"\x06\0\0\0\0\0\0\x06secret";
    let asked = b"\x03\x01\0\0\0\0\0\x40\0\x30";
    let stream = [&key[..], text, asked, text, &key].concat();
    let play = |seen: &mut Seen, chunk: usize| {
        let mut relay = Relay::new(&init(), &Limits::default());
        let (mut rx, mut out) = (BytesMut::new(), Vec::new());
        for piece in stream.chunks(chunk) {
            let mut tx = BytesMut::new();
            rx.extend_from_slice(piece);
            relay.from_client(&mut rx, &mut tx, seen).unwrap();
            out.extend_from_slice(&tx);
        }
        assert!(rx.is_empty() && relay.client().is_between_messages());
        out
    };
    for chunk in [1, 5, 1000] {
        let mut seen = Seen::default();
        assert_eq!(play(&mut seen, chunk), stream);
        assert_eq!(seen.client.len(), 5);
        let mut seen = Seen {
            withhold: Some(6),
            ..Seen::default()
        };
        assert_eq!(play(&mut seen, chunk), [&key[..], asked, &key].concat());
        assert_eq!(seen.client.len(), 5, "what is held back is seen");
        let other = Bytes::from_static(b"\x06\0\0\0\0\0\0\0");
        let mut seen = Seen {
            replace: Some((6, other.clone())),
            ..Seen::default()
        };
        assert_eq!(play(&mut seen, chunk), [&key[..], &other, asked, &other, &key].concat());
        let mut seen = Seen {
            withhold: Some(6),
            replace: Some((4, Bytes::new())),
            ..Seen::default()
        };
        assert_eq!(play(&mut seen, chunk), asked);
    }
}

/// A text that is longer than what is held goes in pieces, and is held back by its first.
#[test]
fn long_messages_go_in_pieces() {
    let len = HELD + 1000;
    let cut_text = ClientCutText {
        padding: [0; 3],
        extended: false,
        text: vec![b'x'; len].into(),
    };
    let mut client = encoded(|dst| cut_text.encode(dst).unwrap());
    let mut server = client.clone();
    server[0] = 3;
    client.extend_from_slice(b"\x03\x01\0\0\0\0\0\x40\0\x30");
    server.extend_from_slice(&[2]);
    for withhold in [None, Some(6), Some(3)] {
        let mut relay = Relay::new(&init(), &Limits::default());
        let mut seen = Seen {
            withhold,
            ..Seen::default()
        };
        let mut out = [Vec::new(), Vec::new()];
        let (mut rx, mut most) = ([BytesMut::new(), BytesMut::new()], 0);
        for at in (0..server.len().max(client.len())).step_by(5000) {
            for (side, stream) in [&client, &server].into_iter().enumerate() {
                let mut tx = BytesMut::new();
                rx[side].extend_from_slice(&stream[at.min(stream.len())..stream.len().min(at + 5000)]);
                match side {
                    0 => relay.from_client(&mut rx[0], &mut tx, &mut seen).unwrap(),
                    _ => relay.from_server(&mut rx[1], &mut tx, &mut seen).unwrap(),
                }
                most = most.max(rx[side].len());
                out[side].extend_from_slice(&tx);
            }
        }
        assert_eq!(most, 0, "nothing of it waits");
        let expected = match withhold {
            // Of the client that is the request.
            Some(3) => [&client[..8 + len], &server[8 + len..]],
            Some(_) => [&client[8 + len..], &server[..]],
            None => [&client[..], &server[..]],
        };
        assert!(out == expected.map(<[u8]>::to_vec), "{withhold:?}");
        // The observer sees all of it.
        let pieces = seen.client.iter().filter(|(number, ..)| *number == 6);
        assert_eq!(pieces.map(|(.., len)| len).sum::<usize>(), 8 + len);
        assert_eq!(
            seen.client
                .iter()
                .filter(|(number, offset, _)| *number == 6 && *offset == 0)
                .count(),
            1
        );
    }
    // Up to that size they go whole.
    let cut_text = ClientCutText {
        padding: [0; 3],
        extended: false,
        text: vec![b'x'; HELD - 8].into(),
    };
    let whole = encoded(|dst| cut_text.encode(dst).unwrap());
    let (mut relay, mut seen) = (Relay::new(&init(), &Limits::default()), Seen::default());
    let (mut rx, mut tx) = (BytesMut::from(&whole[..HELD - 1]), BytesMut::new());
    relay.from_client(&mut rx, &mut tx, &mut seen).unwrap();
    assert_eq!((tx.len(), relay.client().missing().bytes), (0, 1));
    rx.extend_from_slice(b"x");
    relay.from_client(&mut rx, &mut tx, &mut seen).unwrap();
    assert_eq!((tx.len(), seen.client), (HELD, vec![(6, 0, HELD)]));
}

/// What cannot be framed is not asked for; everything else that a client wants stays, in its order.
#[test]
fn encodings_that_cannot_be_framed_are_not_asked_for() {
    let framed = FRAMED.map(|(number, _)| Encoding(number));
    let wishes = [
        -23,
        -32,
        -247,
        -256,
        -305,
        -309,
        -312,
        -313,
        -317,
        -412,
        -512,
        -763,
        -768,
        -0x3f5e_1a32,
        -0xfff5,
        -0x8000,
        -0x7fff,
        -0x7ffd,
        -0x7ffc,
        -0x7ffb,
        -0x7ffa,
    ];
    let strange = [
        // UltraVNC's files.
        -0x7ffe,
        -0x7ff9,
        3,
        10,
        20,
        22,
        1000,
        1105,
        -65_530,
        -65536,
        -32769,
        0x4832_3634,
        -0x3f5e_1a31,
        -225,
        -311,
        -1,
        -999,
    ];
    let mut asked: Vec<Encoding> = framed.to_vec();
    asked.extend(wishes.iter().chain(&strange).map(|number| Encoding(*number)));
    asked.rotate_left(20);
    let mut set = SetEncodings::new(&asked);
    // xtightvncviewer's padding.
    set.padding = 0x7f;
    let stream = encoded(|dst| set.encode(dst).unwrap());
    let pass = |relay: &mut Relay| {
        let (mut rx, mut tx) = (stream.clone(), BytesMut::new());
        relay.from_client(&mut rx, &mut tx, &mut ()).unwrap();
        SetEncodings::decode_slice(&tx, &Limits::default()).unwrap()
    };
    let passed = pass(&mut Relay::new(&init(), &Limits::default()));
    set.encodings.retain(|encoding| !strange.contains(&encoding.0));
    assert_eq!(passed, set);
    assert_eq!(passed.encodings.len(), FRAMED.len() + wishes.len() - 2);
    let passed = pass(&mut Relay::new(&init(), &Limits::default()).with_stripping(false));
    assert_eq!(passed.encodings, asked);
}

/// A watch and the relay both take something out of what a client asks for.
#[test]
fn encodings_are_taken_out_of_what_a_watch_has_left() {
    let filter = Filter::default().with_withheld(&[Encoding::TIGHT]);
    let mut guard = Guard::new(filter, &Limits::default());
    let mut relay = Relay::new(&init(), &Limits::default());
    let ask = |encodings: &[i32]| {
        let encodings: Vec<_> = encodings.iter().map(|number| Encoding(*number)).collect();
        encoded(|dst| SetEncodings::new(&encodings).encode(dst).unwrap())
    };
    // Tight, JRLE, ZRLE.
    let (mut rx, mut tx) = (ask(&[7, 22, 16]), BytesMut::new());
    relay.from_client(&mut rx, &mut tx, &mut guard).unwrap();
    assert_eq!(tx, ask(&[16]));
}

/// Depth 24 is for formats that need it: others with a depth of their own keep it.
#[test]
fn other_formats_keep_their_depth() {
    let set = |format| encoded(|dst| SetPixelFormat::new(format).encode(dst).unwrap());
    let deep = PixelFormat {
        depth: 32,
        ..PixelFormat::RGB888
    };
    let more_colours = PixelFormat {
        depth: 30,
        red_max: 1023,
        green_max: 1023,
        blue_max: 1023,
        ..deep
    };
    let mapped = PixelFormat {
        depth: 8,
        true_colour: 0,
        ..deep
    };
    // No server has these, but a client can say so.
    let narrow = PixelFormat {
        bits_per_pixel: 16,
        depth: 16,
        ..deep
    };
    let narrow_and_mapped = PixelFormat {
        true_colour: 0,
        ..narrow
    };
    let passed = |format| {
        let mut relay = Relay::new(&init(), &Limits::default()).with_depth_24(true);
        let (mut rx, mut tx) = (set(format), BytesMut::new());
        relay.from_client(&mut rx, &mut tx, &mut ()).unwrap();
        tx
    };
    assert_eq!(passed(deep), set(PixelFormat::RGB888));
    for format in [more_colours, mapped, narrow, narrow_and_mapped, PixelFormat::RGB888] {
        assert_eq!(passed(format), set(format), "{format:?}");
    }
}

/// An error that lies in a message counts from the first byte of the stream, and the framer has taken what stands there.
#[test]
fn an_error_says_where_in_the_stream_it_is() {
    let asked = b"\x03\x01\0\0\0\0\0\x40\0\x30";
    let set = encoded(|dst| SetPixelFormat::new(PixelFormat::RGB888).encode(dst).unwrap());
    // With a request under way none of them is known to be in force, and four are kept.
    let stream = [&asked[..], &set.repeat(5)].concat();
    let mut relay = Relay::new(&init(), &Limits::default());
    let (mut rx, mut tx) = (BytesMut::from(&stream[..]), BytesMut::new());
    let error = relay.from_client(&mut rx, &mut tx, &mut ()).unwrap_err();
    expect!["byte 94: SetPixelFormat.format at byte 4: 5 is above the limit of 4"].assert_eq(&error.to_string());
    assert_eq!(tx[..], stream[..10 + 4 * 20], "what stands in front of it has gone");
    assert_eq!(relay.client().taken(), stream.len() as u64);
}

/// A press of one of the buttons behind the seventh, and nothing else: its first byte is only the mark of the long form.
#[test]
fn the_long_form_of_the_mouse_is_one_message() {
    let stream = b"\x05\x80\0\x01\0\x02\x01\x04\x01\0\0\0\0\0\x61";
    for (extensions, lens) in [(Extensions::ALL, [7, 8]), (Extensions::NONE, [6, 1])] {
        let mut framer = ClientFramer::new(&Limits::default());
        let mut left = &stream[..];
        let mut found = Vec::new();
        while let Ok(Some(message)) = framer.next_message(&mut left, &extensions) {
            found.push(message.bytes.len());
            assert_eq!(framer.taken(), found.iter().sum::<usize>() as u64);
        }
        assert_eq!(found[0], lens[0]);
        assert!(extensions == Extensions::NONE || found[..] == lens);
    }
}

/// An error is of the side that made it; the other one goes on.
#[test]
fn a_side_that_is_lost() {
    let mut relay = Relay::new(&init(), &Limits::default());
    let (mut rx, mut tx) = (
        BytesMut::from(&b"\x03\x01\0\0\0\0\0\x40\0\x30\x7f"[..]),
        BytesMut::new(),
    );
    let error = relay.from_client(&mut rx, &mut tx, &mut ()).unwrap_err();
    expect!["byte 10: ClientMessage.type at byte 0: 127 is not known"].assert_eq(&error.to_string());
    assert_eq!(
        (tx.len(), &rx[..]),
        (10, &[0x7f][..]),
        "what stands in front of it has gone"
    );
    assert_eq!(relay.from_client(&mut rx, &mut tx, &mut ()), Err(error));
    let (mut rx, mut tx) = (BytesMut::from(&[2][..]), BytesMut::new());
    relay.from_server(&mut rx, &mut tx, &mut ()).unwrap();
    assert_eq!(tx[..], [2]);
}
