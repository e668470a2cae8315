//! SASL with peers and callers that do what they must not.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use expect_test::expect;
use spice_proto::Limits;
use spice_proto::caps::{Capabilities, CapabilitySet, CapabilityWords, common};
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use spice_proto::link::client;
use spice_proto::link::sasl::{MechList, StartClient, StepServer};
use spice_proto::link::server::ServerQuestion;
use spice_proto::link::watch::Part;
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, Incompatibility, LinkReply, Machine, Misbehaviour,
    Misuse, Refusal, ServerLink, Stage,
};

use crate::changed::changed;
use crate::pair::{NOW, Server, TICKET, request};
use crate::sasl::{ClientEnd, OWN, ServerEnd, asked, shown};

const DENIED: LinkErrorCode = LinkErrorCode::PERMISSION_DENIED;

/// A server that has come as far as the client's choice of a mechanism.
fn served() -> (ServerLink, Buffers) {
    let (mut server, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
    asked().encode(&mut buffers.rx).unwrap();
    assert!(matches!(
        server.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Link(_)))
    ));
    server.announce_sasl(&mut buffers, shown(&["PLAIN"])).unwrap();
    buffers.rx.extend_from_slice(&AuthMechanism::SASL.0.to_le_bytes());
    assert_eq!(server.step(NOW, &mut buffers), Ok(Action::Receive { at_least: 4 }));
    (server, buffers)
}

fn start(name: &[u8], data: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    StartClient {
        mechname: Bytes::copy_from_slice(name),
        data: Bytes::copy_from_slice(data),
    }
    .encode(&mut bytes)
    .unwrap();
    bytes
}

/// A server's words up to where a client is to choose, and the client there.
fn chosen(limits: Limits) -> (ClientLink, Buffers) {
    let config = ClientConfig::new(asked()).with_limits(limits);
    let (mut client, mut buffers) = (ClientLink::sasl(NOW, config), Buffers::default());
    client.step(NOW, &mut buffers).unwrap();
    let mut reply = LinkReply::refusal(LinkErrorCode::OK);
    reply.capabilities.common = CapabilityWords::word(OWN);
    reply.encode(&mut buffers.rx).unwrap();
    (client, buffers)
}

pub(crate) fn told(tx: &mut BytesMut) -> Option<LinkErrorCode> {
    let reply = LinkReply::decode_slice(tx.get(16..)?, &Limits::default()).ok()?;
    tx.clear();
    Some(reply.error)
}

#[test]
fn what_a_bad_client_is_told() {
    let cases: [(&[u8], HandshakeError); 5] = [
        (
            &start(b"PLAI", b"x\0"),
            HandshakeError::PeerMisbehaved(Misbehaviour::SaslMechanismNotOffered),
        ),
        (
            &start(b"", b"x\0"),
            HandshakeError::PeerMisbehaved(Misbehaviour::SaslMechanismNotOffered),
        ),
        (
            &start(b"PLAIN,", b""),
            HandshakeError::PeerMisbehaved(Misbehaviour::SaslMechanismNotOffered),
        ),
        (&[0x2d, 1, 0, 0], decode("SaslStartClient", "mech_len", 0, 301, 300)),
        (
            &[1, 0, 0, 0, b'A', 1, 0, 0x10, 0],
            decode("SaslStartClient", "data_len", 5, 0x10_0001, 0x10_0000),
        ),
    ];
    for (bytes, expected) in cases {
        let (mut server, mut buffers) = served();
        buffers.tx.clear();
        buffers.rx.extend_from_slice(bytes);
        assert_eq!(server.step(NOW, &mut buffers), Err(expected));
        assert_eq!(told(&mut buffers.tx), Some(LinkErrorCode::INVALID_DATA));
        assert_eq!(server.step(NOW, &mut buffers), Err(expected), "an error is terminal");
    }
    // A ticket where SASL is all there is.
    let (mut server, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
    asked().encode(&mut buffers.rx).unwrap();
    server.step(NOW, &mut buffers).unwrap();
    server.announce_sasl(&mut buffers, shown(&["PLAIN"])).unwrap();
    buffers.tx.clear();
    buffers.rx.extend_from_slice(&AuthMechanism::SPICE.0.to_le_bytes());
    let misbehaved = HandshakeError::PeerMisbehaved(Misbehaviour::MechanismNotOffered(1));
    assert_eq!(server.step(NOW, &mut buffers), Err(misbehaved));
    assert_eq!(told(&mut buffers.tx), Some(LinkErrorCode::INVALID_DATA));
    // A client that cannot select: the reply, and a second one. A real client without the bit sends its ticket.
    let (mut server, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
    request(ChannelType::MAIN, 8, 0).encode(&mut buffers.rx).unwrap();
    server.step(NOW, &mut buffers).unwrap();
    server.announce_sasl(&mut buffers, shown(&["PLAIN"])).unwrap();
    let missing = HandshakeError::PeerIncompatible(Incompatibility::MissingCapability {
        set: CapabilitySet::Common,
        bit: common::PROTOCOL_AUTH_SELECTION,
    });
    assert_eq!(server.step(NOW, &mut buffers), Err(missing));
    let mut replies = buffers.tx.split();
    replies.advance(16 + 178 + 4 + 4);
    assert_eq!(told(&mut replies), Some(LinkErrorCode::VERSION_MISMATCH));
}

fn decode(message: &'static str, field: &'static str, offset: usize, value: u64, limit: u64) -> HandshakeError {
    let kind = spice_proto::DecodeErrorKind::TooLarge { value, limit };
    HandshakeError::Decode(spice_proto::DecodeError {
        message,
        field,
        offset,
        kind,
    })
}

#[test]
fn what_a_bad_server_is() {
    // No mechanism, in every form.
    for list in [&b",,"[..], b"", b","] {
        let (mut client, mut buffers) = chosen(Limits::default());
        buffers.rx.extend_from_slice(&(list.len() as u32).to_le_bytes());
        buffers.rx.extend_from_slice(list);
        let error = HandshakeError::PeerIncompatible(Incompatibility::NoMechanism);
        assert_eq!(client.step(NOW, &mut buffers), Err(error));
    }
    // Lengths at the limit are waited for; one beyond is refused when the length is there.
    let limits = Limits::default().with_sasl_data(100).with_sasl_mechanisms(20);
    let list = |len: u32| [&len.to_le_bytes()[..], &[b','; 20]].concat();
    let (mut client, mut buffers) = chosen(limits.clone());
    buffers.rx.extend_from_slice(&list(21)[..4]);
    let error = decode("SaslMechList", "len", 0, 21, 20);
    assert_eq!(client.step(NOW, &mut buffers), Err(error));
    for (len, expected) in [
        (100_u32, Ok(Action::Receive { at_least: 100 })),
        (101, Err(decode("SaslStepServer", "data_len", 0, 101, 100))),
        (
            u32::MAX,
            Err(decode("SaslStepServer", "data_len", 0, u64::from(u32::MAX), 100)),
        ),
    ] {
        let (mut client, mut buffers) = chosen(limits.clone());
        buffers.rx.extend_from_slice(b"\x01\0\0\0X");
        client.step(NOW, &mut buffers).unwrap();
        client.sasl_start(&mut buffers, b"X", None).unwrap();
        buffers.rx.extend_from_slice(&len.to_le_bytes());
        let capacity = buffers.rx.capacity();
        assert_eq!(client.step(NOW, &mut buffers), expected);
        assert_eq!(
            buffers.rx.capacity(),
            capacity,
            "nothing is allocated for a declared length"
        );
    }
    // A server that only takes tickets, to a client that has none.
    let config = ClientConfig::new(request(ChannelType::MAIN, 8, 0));
    let (mut client, mut buffers) = (ClientLink::sasl(NOW, config), Buffers::default());
    client.step(NOW, &mut buffers).unwrap();
    let sent = buffers.tx.split();
    assert_eq!(sent[34..38], (OWN).to_le_bytes(), "the bits that it takes are set");
    let mut reply = LinkReply::refusal(LinkErrorCode::OK);
    reply.capabilities = Capabilities::spice_server(ChannelType::MAIN);
    reply.encode(&mut buffers.rx).unwrap();
    let error = client.step(NOW, &mut buffers).unwrap_err();
    expect!["peer incompatible: lacks capability 2 of the common set (AUTH_SASL)"].assert_eq(&error.to_string());
    assert!(buffers.tx.is_empty());
}

/// The server's words, and what the client says to the questions in between.
fn server_words() -> Vec<BytesMut> {
    let part = |part: Part| {
        let mut bytes = BytesMut::new();
        part.encode(&mut bytes).unwrap();
        bytes
    };
    let step = |complete| {
        let data = Bytes::from_static(b"words\0");
        part(Part::SaslStepServer(StepServer { data, complete }))
    };
    let verdict = spice_proto::link::sasl::SaslResult::Accept;
    vec![
        part(Part::SaslMechList(MechList::of(&["PLAIN"]))),
        step(0),
        step(1),
        part(Part::SaslVerdict(verdict)),
        part(Part::LinkResult(LinkErrorCode::OK)),
    ]
}

/// Answers whatever a client asks; a mechanism that is not there is not chosen.
pub(crate) fn answer_client(
    machine: &mut ClientLink,
    buffers: &mut Buffers,
    question: client::ClientQuestion,
) -> Option<()> {
    match question {
        client::ClientQuestion::SaslStart { mechanisms } => {
            let name = mechanisms.names().next()?;
            machine.sasl_start(buffers, name, Some(b"hunter2")).unwrap();
        }
        client::ClientQuestion::SaslStep { complete: false, .. } => machine.sasl_step(buffers, None).unwrap(),
        client::ClientQuestion::SaslStep { complete: true, .. } => machine.sasl_end(false).unwrap(),
        client::ClientQuestion::SaslLayer => machine.layered().unwrap(),
    }
    Some(())
}

fn connect(input: &[u8]) -> ClientEnd {
    let (mut client, mut buffers) = chosen(Limits::default());
    buffers.rx.extend_from_slice(input);
    for _ in 0..4 + input.len() {
        match client.step(NOW, &mut buffers) {
            Ok(Action::Receive { at_least }) => {
                assert!(0 < at_least && buffers.rx.len() + at_least <= client.max_input());
                return client.eof();
            }
            Ok(Action::Ask(question)) => answer_client(&mut client, &mut buffers, question).unwrap(),
            Ok(Action::Waiting) => panic!("nothing is open"),
            Ok(Action::Done(outcome)) => return Ok(outcome),
            Err(error) => return Err(error),
        }
    }
    panic!("the client does not end");
}

/// A server may refuse with a whole link reply wherever something else is due; one that accepts there misbehaves.
#[test]
fn a_second_reply_at_every_point() {
    let words = server_words();
    assert!(connect(&words.concat()).is_ok());
    for end in 0..words.len() {
        for code in [LinkErrorCode::INVALID_DATA, LinkErrorCode::OK] {
            let mut input = BytesMut::from(&words[..end].concat()[..]);
            LinkReply::refusal(code).encode(&mut input).unwrap();
            let expected = match code {
                LinkErrorCode::OK => HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply),
                code => HandshakeError::Rejected(code),
            };
            assert_eq!(connect(&input), Err(expected), "behind {end} parts");
        }
    }
    // And where a ticket's result is due: a server with SASL alone, whose client did not select.
    let mut server = Server::new(Capabilities::spice_server(ChannelType::MAIN), TICKET);
    let (mut client, mut buffers) = (
        crate::pair::client(request(ChannelType::MAIN, 8, 0), TICKET),
        Buffers::default(),
    );
    client.step(NOW, &mut buffers).unwrap();
    buffers.rx.extend_from_slice(&server.turn(&buffers.tx.split()));
    LinkReply::refusal(LinkErrorCode::VERSION_MISMATCH)
        .encode(&mut buffers.rx)
        .unwrap();
    let error = HandshakeError::Rejected(LinkErrorCode::VERSION_MISMATCH);
    assert_eq!(client.step(NOW, &mut buffers), Err(error));
}

#[test]
fn the_verdict_that_rejects() {
    let (mut server, mut buffers) = served();
    buffers.tx.clear();
    buffers.rx.extend_from_slice(&start(b"PLAIN", b"x\0"));
    server.step(NOW, &mut buffers).unwrap();
    let long = "x".repeat(1 << 20);
    assert_eq!(server.sasl_reject(&mut buffers, None, &long), Err(Misuse::TooLong));
    assert!(buffers.tx.is_empty());
    server.sasl_reject(&mut buffers, Some(b"end"), "too weak").unwrap();
    assert_eq!(&buffers.tx[..], b"\x04\0\0\0end\0\x01\x01\0\0\0\x09\0\0\0too weak\0");
    assert_eq!(
        server.step(NOW, &mut buffers),
        Err(HandshakeError::Refused(Refusal::Code(DENIED)))
    );
    let words = server_words();
    let rejected = [&words[0][..], &buffers.tx].concat();
    assert_eq!(connect(&rejected), Err(HandshakeError::Rejected(DENIED)));
    for end in words[0].len()..rejected.len() {
        assert_eq!(
            connect(&rejected[..end]),
            Err(HandshakeError::Closed(Stage::Sasl)),
            "cut at {end}"
        );
    }
}

#[test]
fn answers_out_of_order_are_misuse_and_change_nothing() {
    let not_asked = Err(Misuse::NotAsked);
    let (mut server, mut buffers) = served();
    buffers.tx.clear();
    assert_eq!(server.sasl_reply(&mut buffers, None), not_asked);
    assert_eq!(server.sasl_complete(&mut buffers, None, false), not_asked);
    assert_eq!(server.sasl_reject(&mut buffers, None, ""), not_asked);
    assert_eq!(server.layered(), not_asked);
    assert_eq!(server.announce_sasl(&mut buffers, shown(&["PLAIN"])), not_asked);
    assert_eq!(server.refuse(&mut buffers, Refusal::Close), not_asked);
    buffers.rx.extend_from_slice(&start(b"PLAIN", b""));
    let Ok(Action::Ask(ServerQuestion::SaslStart { mechanism, data: None })) = server.step(NOW, &mut buffers) else {
        panic!("no start");
    };
    assert_eq!(mechanism, "PLAIN");
    assert_eq!(server.step(NOW, &mut buffers), Ok(Action::Waiting));
    assert_eq!(server.stage(), Stage::Answer);
    assert_eq!(server.accept(&mut buffers), not_asked);
    assert_eq!(
        server.refuse(&mut buffers, Refusal::Code(LinkErrorCode::OK)),
        Err(Misuse::RefusalSaysOk)
    );
    assert_eq!(
        server.sasl_reply(&mut buffers, Some(&[0; 1 << 20])),
        Err(Misuse::TooLong)
    );
    assert!(buffers.tx.is_empty());
    server.sasl_complete(&mut buffers, Some(&[]), true).unwrap();
    assert_eq!(&buffers.tx[..], b"\x01\0\0\0\0\x01\0\0\0\0", "empty data have a NUL");
    assert_eq!(server.accept(&mut buffers), not_asked, "the layer comes first");
    assert_eq!(
        server.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::SaslLayer))
    );
    assert_eq!(server.sasl_reply(&mut buffers, None), not_asked);
    server.layered().unwrap();
    assert!(matches!(
        server.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Admit { .. }))
    ));
    server.accept(&mut buffers).unwrap();

    // In the middle of the exchange the server sends a refusal's code in a link reply.
    let (mut server, mut buffers) = served();
    buffers.tx.clear();
    buffers.rx.extend_from_slice(&start(b"PLAIN", b"x\0"));
    server.step(NOW, &mut buffers).unwrap();
    server.refuse(&mut buffers, Refusal::Code(DENIED)).unwrap();
    assert_eq!(told(&mut buffers.tx), Some(DENIED));

    // A list that its length cannot say.
    let mut server = ServerLink::new(NOW, Limits::default().with_sasl_mechanisms(6));
    let mut buffers = Buffers::default();
    asked().encode(&mut buffers.rx).unwrap();
    server.step(NOW, &mut buffers).unwrap();
    assert_eq!(
        server.announce_sasl(&mut buffers, shown(&["PLAIN"])),
        Err(Misuse::TooLong)
    );
    assert!(buffers.tx.is_empty());
    server.announce_sasl(&mut buffers, shown(&["PLAN"])).unwrap();

    let (mut client, mut buffers) = chosen(Limits::default());
    assert_eq!(client.sasl_start(&mut buffers, b"PLAIN", None), not_asked);
    let words = server_words();
    buffers.rx.extend_from_slice(&words[0]);
    assert!(matches!(client.step(NOW, &mut buffers), Ok(Action::Ask(_))));
    assert_eq!(client.step(NOW, &mut buffers), Ok(Action::Waiting));
    buffers.tx.clear();
    assert_eq!(client.sasl_start(&mut buffers, b"PLAI", None), Err(Misuse::NotOffered));
    assert_eq!(
        client.sasl_start(&mut buffers, b"PLAIN", Some(&[0; 1 << 20])),
        Err(Misuse::TooLong)
    );
    assert_eq!(client.sasl_step(&mut buffers, None), not_asked);
    assert_eq!(client.sasl_end(false), not_asked);
    assert_eq!(client.layered(), not_asked);
    assert!(buffers.tx.is_empty());
    client.sasl_start(&mut buffers, b"PLAIN", None).unwrap();
    buffers.rx.extend_from_slice(&words[1]);
    client.step(NOW, &mut buffers).unwrap();
    assert_eq!(client.sasl_end(false), Err(Misuse::NotComplete));
    client.sasl_step(&mut buffers, None).unwrap();
    buffers.rx.extend_from_slice(&words[2]);
    client.step(NOW, &mut buffers).unwrap();
    assert_eq!(client.sasl_step(&mut buffers, None), Err(Misuse::NotComplete));
    client.sasl_end(true).unwrap();
    buffers.rx.extend_from_slice(&words[3]);
    assert_eq!(
        client.step(NOW, &mut buffers),
        Ok(Action::Ask(client::ClientQuestion::SaslLayer))
    );
    client.layered().unwrap();
    assert_eq!(client.layered(), not_asked);
}

#[test]
fn deadlines_and_hanging_up() {
    let late = Limits::default().link_timeout;
    let (mut server, mut buffers) = served();
    buffers.tx.clear();
    assert_eq!(
        server.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::Sasl))
    );
    assert!(buffers.tx.is_empty());
    let (mut server, mut buffers) = served();
    buffers.rx.extend_from_slice(&start(b"PLAIN", b""));
    server.step(NOW, &mut buffers).unwrap();
    let before = late - Duration::from_nanos(1);
    assert_eq!(server.step(before, &mut buffers), Ok(Action::Waiting));
    assert_eq!(
        server.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::Answer))
    );

    let (mut client, mut buffers) = chosen(Limits::default());
    client.step(NOW, &mut buffers).unwrap();
    assert_eq!(
        client.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::Sasl))
    );
    let (mut client, mut buffers) = chosen(Limits::default());
    buffers.rx.extend_from_slice(&server_words()[0]);
    client.step(NOW, &mut buffers).unwrap();
    assert_eq!(client.step(before, &mut buffers), Ok(Action::Waiting));
    assert_eq!(
        client.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::Answer))
    );

    // Every cut of what a server says is a connection that was closed.
    let whole = server_words().concat();
    for end in 0..whole.len() {
        let error = connect(&whole[..end]).unwrap_err();
        assert!(
            matches!(error, HandshakeError::Closed(Stage::Sasl | Stage::LinkResult)),
            "{error:?}"
        );
    }
}

fn serve(input: &[u8]) -> (ServerEnd, BytesMut) {
    let (mut server, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
    buffers.rx.extend_from_slice(input);
    let mut steps = 0;
    for _ in 0..4 + input.len() {
        match server.step(NOW, &mut buffers) {
            Ok(Action::Receive { at_least }) => {
                assert!(0 < at_least && buffers.rx.len() + at_least <= server.max_input());
                return (server.eof(), buffers.tx);
            }
            Ok(Action::Ask(ServerQuestion::Link(_))) => server.announce_sasl(&mut buffers, shown(&["PLAIN"])).unwrap(),
            Ok(Action::Ask(ServerQuestion::SaslStart { .. } | ServerQuestion::SaslStep { .. })) => {
                steps += 1;
                match steps {
                    3 => server.sasl_complete(&mut buffers, None, false).unwrap(),
                    _ => server.sasl_reply(&mut buffers, Some(b"go on")).unwrap(),
                }
            }
            Ok(Action::Ask(ServerQuestion::Admit { .. })) => server.accept(&mut buffers).unwrap(),
            Ok(Action::Ask(question)) => panic!("{question:?}"),
            Ok(Action::Waiting) => panic!("nothing is open"),
            Ok(Action::Done(outcome)) => return (Ok(outcome), buffers.tx),
            Err(error) => return (Err(error), buffers.tx),
        }
    }
    panic!("the server does not end");
}

/// Every prefix, every byte in every value, and random changes, in both roles.
#[test]
fn hostile_exchanges() {
    let (mut runs, mut stood) = (0, [0, 0]);
    let mut client = BytesMut::new();
    asked().encode(&mut client).unwrap();
    client.extend_from_slice(&AuthMechanism::SASL.0.to_le_bytes());
    client.extend_from_slice(&start(b"PLAIN", b"words\0"));
    client.extend_from_slice(b"\x03\0\0\0ab\0\0\0\0\0");
    assert!(serve(&client).0.is_ok());
    changed(&client, true, 5000, |what, bytes| {
        let mut ended = None;
        let allocated = allocation_counter::measure(|| ended = Some(serve(bytes)));
        assert!(allocated.bytes_max < 8 << 10, "{what}: {} bytes", allocated.bytes_max);
        let (ended, sent) = ended.unwrap();
        assert!(sent.len() < 1000, "{what}");
        stood[0] += usize::from(ended.is_ok());
        runs += 1;
    });
    let whole = server_words().concat();
    changed(&whole, true, 5000, |what, bytes| {
        let mut ended = None;
        let allocated = allocation_counter::measure(|| ended = Some(connect(bytes)));
        assert!(allocated.bytes_max < 8 << 10, "{what}: {} bytes", allocated.bytes_max);
        stood[1] += usize::from(ended.unwrap().is_ok());
        runs += 1;
    });
    println!("{runs} hostile exchanges, {stood:?} links stood");
    assert!(20_000 < runs && 0 < stood[0] && 0 < stood[1]);
}

#[test]
fn secrets_are_not_shown() {
    let (mut server, mut buffers) = served();
    buffers.rx.extend_from_slice(&start(b"PLAIN", b"\0alice\0hunter2\0"));
    let Ok(Action::Ask(question)) = server.step(NOW, &mut buffers) else {
        panic!("no question");
    };
    let text = format!("{question:?} {server:?}");
    assert!(!text.contains("hunter2") && !text.contains("104, 117, 110"), "{text}");
    let ServerQuestion::SaslStart { data: Some(data), .. } = question else {
        panic!("no words");
    };
    assert_eq!(data.expose(), b"\0alice\0hunter2");
    assert!(buffers.rx.is_empty());

    let (mut client, mut buffers) = chosen(Limits::default());
    let words = server_words();
    buffers.rx.extend_from_slice(&words[0]);
    client.step(NOW, &mut buffers).unwrap();
    client.sasl_start(&mut buffers, b"PLAIN", Some(b"hunter2")).unwrap();
    buffers.rx.extend_from_slice(&words[1]);
    let Ok(Action::Ask(question)) = client.step(NOW, &mut buffers) else {
        panic!("no question");
    };
    let text = format!("{question:?} {client:?}");
    assert!(!text.contains("\"words") && !text.contains("hunter2"), "{text}");
}
