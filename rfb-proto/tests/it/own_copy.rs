//! What is true of the recordings in `tests/data`, and need not be of others: how much they hold, and how their programs
//! behave. With fewer of them the tests over recordings would show less.

use std::collections::BTreeMap;

use bytes::BytesMut;
use rfb_proto::handshake::{HandshakeError, Incompatibility, Rejected, Rejection, RejectionReason, Stage};
use rfb_proto::message::{ClientMessage, ClientMessages, Extensions, SetEncodings};
use rfb_proto::security::SecurityType;
use rfb_proto::{Limits, Policy};

use crate::captures::{as_client, as_server, password};
use crate::framing_captures::{Session, changed};
use crate::play::Now;
use crate::recordings::{self, Connection};
use crate::walk::{End, Walk};

fn walked() -> Vec<(Connection, Walk)> {
    let walked = recordings::own().into_iter().map(|connection| {
        let walk = connection.walk();
        (connection, walk)
    });
    walked.collect()
}

#[test]
fn handshakes_of_every_end_are_in_it() {
    let mut ends = BTreeMap::<String, usize>::new();
    for (_, walk) in walked() {
        *ends.entry(format!("{:?}", walk.end)).or_default() += 1;
    }
    let expected = [
        ("ClientSilent", 5),
        ("Layer", 1),
        ("NotOffered", 2),
        ("OddLine", 5),
        ("RefusedAuthentication", 9),
        ("ServerSilent", 3),
        ("Whole", 74),
    ];
    let expected: BTreeMap<_, usize> = expected.map(|(end, count)| (end.to_owned(), count)).into();
    assert_eq!(ends, expected);
}

/// The password that the scenario's client had gives the response. Only the hand-made client sends responses that no
/// password gives, hangs up at a question, and says lines that are none.
#[test]
fn only_the_hand_made_client_in_it_is_odd() {
    for (connection, walk) in walked() {
        let name = &connection.name;
        let unknown = match (&walk.challenge, &walk.response) {
            (Some(challenge), Some(response)) => password(challenge, response).is_none(),
            _ => false,
        };
        let odd = matches!(walk.end, End::OddLine | End::NotOffered);
        let silent = walk.end == End::ClientSilent && walk.choice.is_some();
        assert!(
            name.starts_with("vnc-errors-") || !(unknown || odd || silent),
            "{name}: {:?}",
            walk.end
        );
    }
}

/// What a hand-made client did no machine of ours does; but what the server answered means something to it as well.
#[test]
fn refusals_in_it_are_read_by_the_client() {
    let odd = |walk: &Walk| matches!(walk.end, End::OddLine | End::NotOffered);
    for (connection, walk) in walked().iter().filter(|(_, walk)| odd(walk)) {
        let name = &connection.name;
        let mut without_choice = Walk {
            rules: walk.rules,
            ..Walk::default()
        };
        without_choice.choice = Some(walk.choice.unwrap_or(2));
        let (player, _) = as_client(connection, &without_choice, |_| usize::MAX);
        let Now::Failed(error) = &player.now else {
            panic!("{name}: {:?}", player.now);
        };
        match (error, &connection.s2c[12..]) {
            (HandshakeError::Closed(Stage::SecurityTypes), []) => {}
            // QEMU's four zero bytes: an empty list, and a reason that does not come.
            (
                HandshakeError::Rejected(Rejection {
                    of: Rejected::Connection,
                    reason: RejectionReason::Nothing,
                }),
                [0, 0, 0, 0],
            ) => {}
            (HandshakeError::PeerIncompatible(Incompatibility::Types(offered)), [1, 2, ..]) => {
                assert_eq!(offered[..], [SecurityType::VNC], "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// QEMU's answers to a hand-made client, and ours.
#[test]
fn refusals_in_it_are_ours_where_they_can_be() {
    let odd = |walk: &Walk| matches!(walk.end, End::OddLine | End::NotOffered);
    for (connection, walk) in walked().iter().filter(|(_, walk)| odd(walk)) {
        let name = &connection.name;
        let (player, _) = as_server(connection, walk, |_| usize::MAX);
        let (ours, qemu) = (&player.sent[12..], &connection.s2c[12..]);
        assert!(matches!(player.now, Now::Failed(_)), "{name}: {:?}", player.now);
        match (walk.choice, qemu) {
            // Lines that are none.
            (None, []) => assert!(ours.is_empty(), "{name}"),
            // Here `3.0x8` is no line; QEMU's `scanf` reads it as 3.0.
            (None, [0, 0, 0, 0]) if connection.c2s.contains(&b'x') => assert!(ours.is_empty(), "{name}"),
            // Versions that are refused: QEMU's four bytes are what a 3.3 client expects, without a reason. Ours are
            // what one of the greeted version expects.
            (None, [0, 0, 0, 0]) => assert!(ours.starts_with(&[0, 0, 0, 0]) && 5 < ours.len(), "{name}: {ours:02x?}"),
            // The result is the same, the text is not.
            (Some(_), [1, 2, 0, 0, 0, 1, 0, 0, 0, 22, ..]) => assert!(ours.starts_with(&qemu[..6]), "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// No server in it sends what only a lenient reader takes, and only what was cut ends inside of a message.
#[test]
fn sessions_in_it_end_with_a_message_and_need_no_lenience() {
    let mut counts = BTreeMap::new();
    for session in Session::own() {
        let name = session.name();
        for chunk in [97, usize::MAX] {
            let strict = session.play(chunk, Policy::Strict);
            let lenient = session.play(chunk, Policy::Lenient);
            assert_eq!(strict.counts, lenient.counts, "{name}");
            let (client, server) = session.connection.whole;
            assert!((lenient.ended.0 || !client) && (lenient.ended.1 || !server), "{name}");
        }
        for (what, count) in session.play(usize::MAX, Policy::Lenient).counts {
            *counts.entry(what).or_insert(0) += count;
        }
    }
    let recorded = [
        "CoRRE (4)",
        "CopyRect (1)",
        "Cursor (-239)",
        "Cursor With Alpha (-314)",
        "DesktopSize (-223)",
        "ExtendedDesktopSize (-308)",
        "Hextile (5)",
        "LastRect (-224)",
        "PointerPos (-232)",
        "QEMU Audio (-259)",
        "QEMU Extended Key Event (-258)",
        "QEMU LED State (-261)",
        "QEMU Pointer Motion Change (-257)",
        "RRE (2)",
        "Raw (0)",
        "Tight (7)",
        "TightPNG (-260)",
        "VMware Cursor Position (1464686182)",
        "VMware Display Mode Change (1464686185)",
        "X Cursor (-240)",
        "ZRLE (16)",
        "zlib (6)",
    ];
    let encodings: Vec<_> = counts.keys().filter(|what| what.ends_with(')')).collect();
    assert_eq!(encodings, recorded, "every encoding that was recorded");
}

#[test]
fn changed_sessions_in_it_fail_and_go_on() {
    let [errors, parts] = Session::own().iter().map(changed).fold([0, 0], add);
    assert!(100 < errors && 100 < parts, "{errors} {parts}");
}

fn add(a: [usize; 2], b: [usize; 2]) -> [usize; 2] {
    [a[0] + b[0], a[1] + b[1]]
}

#[cfg(feature = "tokio")]
#[test]
fn messages_in_it_go_through_both_codecs() {
    let [messages, items] = Session::own().iter().map(crate::codec::through_both).fold([0, 0], add);
    assert!(0 < messages && 0 < items);
}

/// Every client's stream, message by message: decoded, and encoded back to the same bytes.
#[test]
fn messages_of_clients_in_it_come_back() {
    let (mut odd, mut counts) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for session in Session::own() {
        let (name, stream) = (session.name(), session.client());
        // What the servers announced is not looked at here, so everything may come. None of these clients has the
        // buttons that this would misread.
        let (mut extensions, mut again) = (Extensions::ALL, BytesMut::new());
        let limits = Limits::default();
        let mut read = ClientMessages::new(stream, &mut extensions, &limits);
        for message in read.by_ref() {
            message.encode(&mut again).unwrap();
            *counts.entry(message.name()).or_default() += 1;
            if let ClientMessage::SetEncodings(SetEncodings { padding: 1.., .. }) = message {
                odd.push(name.to_owned());
            }
        }
        let taken = read.finish().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(again, stream[..taken], "{name}");
        // Only what was cut ends inside of a message.
        assert!(
            taken == stream.len() || !session.connection.whole.0,
            "{name}: {taken} of {}",
            stream.len()
        );
    }
    println!("{counts:?}; padding that is not zero: {odd:?}");
    assert!(5 < counts.len());
}
