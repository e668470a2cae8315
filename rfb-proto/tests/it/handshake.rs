//! The machines against each other, in every version and way, out of order and out of time.

use core::time::Duration;
use std::sync::Arc;

use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, ClientHandshake, Event, HandshakeError, Incompatibility, Machine, Misbehaviour,
    Misuse, Refusal, Rejected, Rejection, RejectionReason, ServerConfig, ServerHandshake, Stage, TlsKind, client,
};
use rfb_proto::security::vencrypt::{Exchange, Subtype};
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{ClientInit, Limits, Version};

use crate::data::hex;
use crate::pair::{V33, V38, anything, client, client_with, connect, everything, server};
use crate::play::{NOW, Now, Outcome, server_init};

/// Every way that there is, in any chunks, with the right password and with a wrong one.
#[test]
fn client_and_server_in_all_ways() {
    let ordinary = [
        (1, 0, 1),
        (2, 0, 1),
        (20, 0, 1),
        (18, 0, 1),
        (18, 0, 2),
        (18, 0, 20),
        (16, 0, 1),
        (16, 0, 2),
        (16, 0, 20),
    ];
    let ways = ordinary
        .into_iter()
        .chain((256..=267).chain([1, 2, 20]).map(|subtype| (19, subtype, 1)));
    let ways = ways.chain([(16, 261, 19), (16, 262, 19)]);
    let mut count = 0;
    for (first, subtype, inner) in ways {
        for version in [Version::V3_3, Version::V3_7, Version::V3_8] {
            for chunk in [1, 3, 10_000] {
                for tight_tunnel in [false, true] {
                    let wanted =
                        anything(SecurityType(first), Subtype(subtype), SecurityType(inner)).with_version(version);
                    let config = everything().with_tight_tunnel(tight_tunnel);
                    let (mut server, mut client) = (server(config.clone()), client(wanted.clone()));
                    connect(&mut server, &mut client, chunk);
                    let way = format!(
                        "{version}: {first}, {subtype}, {inner}: {:?}, {:?}",
                        server.now, client.now
                    );
                    if version == Version::V3_3 && first != 2 {
                        // The server decides, and VNC is the first of its list that 3.3 has.
                        let offered = Incompatibility::Types(vec![SecurityType::VNC]);
                        assert_eq!(
                            client.now,
                            Now::Failed(HandshakeError::PeerIncompatible(offered)),
                            "{way}"
                        );
                        continue;
                    }
                    let (Now::Done(Outcome::Server(ours)), Now::Done(Outcome::Client(theirs))) =
                        (&server.now, &client.now)
                    else {
                        panic!("{way}");
                    };
                    assert_eq!((ours.rules, ours.security), (theirs.rules, theirs.security), "{way}");
                    assert_eq!(ours.rules, version);
                    assert_eq!(ours.security.security_type, SecurityType(first));
                    let tls = match first {
                        18 => Some(TlsKind::Anonymous),
                        _ => ours.security.subtype.and_then(Subtype::tls),
                    };
                    assert_eq!(ours.security.tls, tls, "{way}");
                    assert_eq!(theirs.init, Some(server_init()), "{way}");
                    assert_eq!(theirs.interaction.is_some(), first == 16, "{way}");
                    count += 1;

                    // The same with a wrong password, where one is shown.
                    let exchange = ours.security.exchange();
                    let (mut server, mut client) = (self::server(config), client_with(wanted, b"wrong"));
                    connect(&mut server, &mut client, chunk);
                    match exchange {
                        Some(Exchange::None | Exchange::Ident) => continue,
                        // As QEMU: closed in the middle of the exchange.
                        Some(Exchange::Sasl) => client.eof(),
                        _ => {}
                    }
                    let told = match (exchange, version) {
                        (Some(Exchange::Vnc | Exchange::Plain), Version::V3_8) => {
                            RejectionReason::Reason(Reason::from_static("Authentication failed"))
                        }
                        _ => RejectionReason::Nothing,
                    };
                    let rejection = Rejection {
                        of: Rejected::Authentication,
                        reason: told,
                    };
                    assert_eq!(client.now, Now::Failed(HandshakeError::Rejected(rejection)), "{way}");
                    assert!(matches!(server.now, Now::Failed(HandshakeError::Refused(_))), "{way}");
                }
            }
        }
    }
    assert_eq!(count, (26 + 26 + 1) * 3 * 2);
}

/// The first that 3.3 has is decided on, and with None the word waits until the client is let in.
#[test]
fn the_server_decides_in_33() {
    for (types, expected) in [
        (&[19, 1][..], Some(SecurityType::NONE)),
        (&[2, 1], Some(SecurityType::VNC)),
        (&[19, 20, 16], None),
        (&[], None),
    ] {
        let types: Vec<_> = types.iter().copied().map(SecurityType).collect();
        let mut config = everything();
        config.types = types;
        let mut server = server(config);
        server.feed(V33);
        let told = server.sent[12..].to_vec();
        match expected {
            Some(SecurityType::NONE) => assert_eq!(told, [0, 0, 0, 1]),
            Some(_) => assert_eq!(told[..4], [0, 0, 0, 2]),
            None => {
                assert_eq!(told[..4], [0; 4]);
                let error = HandshakeError::PeerIncompatible(Incompatibility::NothingFor33);
                assert_eq!(server.now, Now::Failed(error));
            }
        }
    }
    let mut machine = ServerHandshake::new(NOW, ServerConfig::new(&[SecurityType::NONE]));
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(V33);
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Admit(ClientCredentials::None)))
    );
    assert_eq!(buffers.tx.split(), V38, "the word lets the client in");
    machine.refuse(&mut buffers, Refusal::default()).unwrap();
    assert_eq!(
        buffers.tx.split(),
        [&[0, 0, 0, 0, 0, 0, 0, 21][..], b"Authentication failed"].concat()
    );
}

#[test]
fn bytes_of_a_client_that_come_before_the_greeting_are_kept() {
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(b"RFB ");
    let mut machine = ServerHandshake::new(NOW, ServerConfig::new(&[SecurityType::NONE]));
    assert_eq!(machine.step(NOW, &mut buffers), Ok(Action::Receive { at_least: 8 }));
    assert_eq!(buffers.tx.split(), V38);
    buffers.rx.extend_from_slice(b"003.008\n\x01");
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Admit(ClientCredentials::None)))
    );
}

#[test]
fn a_repeater_is_told_where_to_go() {
    for target in [&b"ID:1234"[..], b"10.0.0.7:5901", &[b'x'; 250]] {
        let mut client = client(ClientConfig::new(&[SecurityType::NONE]).with_repeater(target));
        client.feed(b"RFB 000.000\n");
        assert_eq!((client.sent.len(), &client.sent[..target.len()]), (250, target));
        assert!(client.sent[target.len()..].iter().all(|&byte| byte == 0));
        client.feed(b"RFB 003.008\n\x01\x01\0\0\0\0");
        assert_eq!(client.sent[250..], *b"RFB 003.008\n\x01\x01");
        assert_eq!(client.events[0], Event::Repeater);

        // The second one is a loop.
        let mut client = self::client(ClientConfig::new(&[SecurityType::NONE]).with_repeater(target));
        client.feed(b"RFB 000.000\nRFB 000.000\n");
        let error = HandshakeError::PeerMisbehaved(Misbehaviour::SecondRepeater);
        assert_eq!(client.now, Now::Failed(error));
    }
    for config in [
        ClientConfig::new(&[SecurityType::NONE]),
        ClientConfig::default().with_repeater(&[0; 251]),
    ] {
        let mut client = client(config);
        client.feed(b"RFB 000.000\n");
        assert!(matches!(
            &client.now,
            Now::Failed(HandshakeError::PeerIncompatible(Incompatibility::Version(_)))
        ));
        assert!(client.sent.is_empty());
    }
}

#[test]
fn results_and_reasons() {
    let reason = |text: &'static str| RejectionReason::Reason(Reason::from_static(text));
    // version, what follows the response, whether the server then closes, what it means
    for (version, told, of, expected) in [
        (V38, "00000001 00000003 776879", Rejected::Authentication, reason("why")),
        (V38, "00000001 00000000", Rejected::Authentication, reason("")),
        (V38, "00000001", Rejected::Authentication, RejectionReason::Nothing),
        (
            V38,
            "00000001 000000",
            Rejected::Authentication,
            RejectionReason::Nothing,
        ),
        (
            V38,
            "00000001 00000009 7768",
            Rejected::Authentication,
            RejectionReason::Nothing,
        ),
        (
            V38,
            "00000002 00000003 776879",
            Rejected::TooManyAttempts,
            reason("why"),
        ),
        (V38, "00000002", Rejected::TooManyAttempts, RejectionReason::Nothing),
        (
            V38,
            "00000001 ffffffff",
            Rejected::Authentication,
            RejectionReason::TooLong(u32::MAX),
        ),
        (
            V38,
            "00000001 00001001",
            Rejected::Authentication,
            RejectionReason::TooLong(4097),
        ),
        (V38, "", Rejected::Authentication, RejectionReason::Nothing),
        (
            b"RFB 003.007\n",
            "00000001",
            Rejected::Authentication,
            RejectionReason::Nothing,
        ),
        (
            b"RFB 003.007\n",
            "00000002",
            Rejected::TooManyAttempts,
            RejectionReason::Nothing,
        ),
        (V33, "00000001", Rejected::Authentication, RejectionReason::Nothing),
    ] {
        let mut client = client(ClientConfig::new(&[SecurityType::VNC]));
        client.feed(version);
        client.feed(if version == V33 { &[0, 0, 0, 2] } else { &[1, 2] });
        client.feed(&[7; 16]);
        client.feed(&hex(told));
        if !matches!(client.now, Now::Failed(_)) {
            client.eof();
        }
        let rejection = Rejection { of, reason: expected };
        assert_eq!(client.now, Now::Failed(HandshakeError::Rejected(rejection)), "{told}");
    }
    // UltraVNC's further values, and what a 32-bit zero is not: an error, never success.
    for status in [3, 255, 256, 0x0100_0000, u32::MAX] {
        let mut client = client(ClientConfig::new(&[SecurityType::NONE]));
        client.feed(b"RFB 003.008\n\x01\x01");
        client.feed(&status.to_be_bytes());
        let error = HandshakeError::PeerMisbehaved(Misbehaviour::UnknownResult(status));
        assert_eq!(client.now, Now::Failed(error));
    }
    // A server that has a limit for tries says so.
    for (version, told) in [
        (V38, &b"\0\0\0\x02\0\0\0\x05later"[..]),
        (b"RFB 003.007\n", b"\0\0\0\x02"),
    ] {
        let mut machine = ServerHandshake::new(NOW, ServerConfig::new(&[SecurityType::VNC]));
        let mut buffers = Buffers::default();
        buffers.rx.extend_from_slice(version);
        buffers.rx.extend_from_slice(&[2]);
        assert_eq!(
            machine.step(NOW, &mut buffers),
            Ok(Action::Ask(ServerQuestion::Challenge))
        );
        buffers.tx.clear();
        let why = Refusal::TooManyAttempts(Reason::from_static("later"));
        machine.refuse(&mut buffers, why.clone()).unwrap();
        assert_eq!(buffers.tx, told);
        assert_eq!(machine.step(NOW, &mut buffers), Err(HandshakeError::Refused(why)));
    }
}

/// In all versions a result follows subtypes with TLS, also None; and an ordinary None inside goes on as outside.
#[test]
fn results_after_none() {
    for (version, types, subtype, result) in [
        (Version::V3_8, 1, 0, true),
        (Version::V3_7, 1, 0, false),
        (Version::V3_3, 1, 0, false),
        (Version::V3_7, 19, 260, true),
        (Version::V3_7, 19, 257, true),
        (Version::V3_7, 19, 1, false),
        (Version::V3_8, 19, 1, true),
    ] {
        let config = ServerConfig::new(&[SecurityType(types)]).with_subtypes(&[Subtype(subtype)]);
        let wanted = anything(SecurityType(types), Subtype(subtype), SecurityType::NONE).with_version(version);
        let (mut server, mut client) = (server(config.with_init(false)), client(wanted.with_init(false)));
        connect(&mut server, &mut client, 1000);
        assert!(matches!((&server.now, &client.now), (Now::Done(_), Now::Done(_))));
        assert_eq!(
            server.sent.ends_with(&[0, 0, 0, 0]),
            result,
            "{version} {types} {subtype}"
        );
    }
}

#[test]
fn asked_for_the_offer_and_the_choice() {
    let mut machine = ServerHandshake::new(NOW, everything().with_ask_offer(true));
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(V38);
    let rules = Version::V3_8;
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Offer { rules }))
    );
    buffers.tx.clear();
    machine.offer(&mut buffers, &[7, 19].map(SecurityType)).unwrap();
    assert_eq!(buffers.tx, [1, 19][..]);
    // What the configuration has and the answer has not.
    buffers.rx.extend_from_slice(&[1]);
    let error = machine.step(NOW, &mut buffers).unwrap_err();
    assert_eq!(
        error,
        HandshakeError::PeerMisbehaved(Misbehaviour::TypeNotOffered(SecurityType::NONE))
    );

    let mut machine = ServerHandshake::new(NOW, everything().with_ask_offer(true));
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(V38);
    machine.step(NOW, &mut buffers).unwrap();
    buffers.tx.clear();
    machine
        .refuse(&mut buffers, Refusal::Failed(Reason::from_static("no")))
        .unwrap();
    assert_eq!(buffers.tx, b"\0\0\0\0\x02no"[..]);

    let mut machine = ClientHandshake::new(NOW, ClientConfig::default().with_ask_choice(true));
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(b"RFB 003.008\n\x03\x07\x02\x01");
    let offered = [7, 2, 1].map(SecurityType).to_vec();
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(client::ClientQuestion::Choose(offered)))
    );
    assert_eq!(
        machine.choose(&mut buffers, SecurityType::VENCRYPT),
        Err(Misuse::NotOffered)
    );
    assert_eq!(
        machine.choose(&mut buffers, SecurityType::SSPI),
        Err(Misuse::NotOffered),
        "nothing follows it here"
    );
    machine.choose(&mut buffers, SecurityType::VNC).unwrap();
    assert_eq!(buffers.tx, b"RFB 003.008\n\x02"[..]);
}

#[test]
fn answers_out_of_order_are_misuse_and_change_nothing() {
    let mut machine = ServerHandshake::new(NOW, Arc::new(ServerConfig::new(&[SecurityType::VNC])));
    let mut buffers = Buffers::default();
    let all_unasked = |machine: &mut ServerHandshake, buffers: &mut Buffers, but: &str| {
        let check = |name, answer: Result<(), Misuse>| assert_eq!(answer, Err(Misuse::NotAsked), "{name}");
        let shown = server_init();
        check("offer", machine.offer(buffers, &[]));
        check("sasl_reply", machine.sasl_reply(buffers, None));
        check("sasl_complete", machine.sasl_complete(buffers, None, true));
        check("layered", machine.layered());
        if but != "challenge" {
            check("challenge", machine.challenge(buffers, [0; 16]));
        }
        if but != "admit" {
            check("accept", machine.accept(buffers));
        }
        if but != "init" {
            check("init", machine.init(buffers, &shown));
        }
        if but.is_empty() {
            check("refuse", machine.refuse(buffers, Refusal::Close));
        }
        assert!(buffers.tx.is_empty());
    };
    all_unasked(&mut machine, &mut buffers, "");
    assert_eq!(machine.step(NOW, &mut buffers), Ok(Action::Receive { at_least: 12 }));
    buffers.tx.clear();
    buffers.rx.extend_from_slice(b"RFB 003.008\n\x02");
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Challenge))
    );
    buffers.tx.clear();
    all_unasked(&mut machine, &mut buffers, "challenge");
    assert_eq!(machine.step(NOW, &mut buffers), Ok(Action::Waiting));
    machine.challenge(&mut buffers, [1; 16]).unwrap();
    buffers.tx.clear();
    all_unasked(&mut machine, &mut buffers, "");
    assert_eq!(machine.step(NOW, &mut buffers), Ok(Action::Receive { at_least: 16 }));
    buffers.rx.extend_from_slice(&[2; 17]);
    let claim = ClientCredentials::Vnc {
        challenge: [1; 16],
        response: [2; 16],
    };
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Admit(claim)))
    );
    all_unasked(&mut machine, &mut buffers, "admit");
    machine.accept(&mut buffers).unwrap();
    buffers.tx.clear();
    all_unasked(&mut machine, &mut buffers, "");
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Init(ClientInit { shared: 2 })))
    );
    all_unasked(&mut machine, &mut buffers, "init");
    machine.init(&mut buffers, &server_init()).unwrap();
    buffers.tx.clear();
    all_unasked(&mut machine, &mut buffers, "");
    assert!(matches!(machine.step(NOW, &mut buffers), Ok(Action::Done(_))));
    assert_eq!(
        machine.step(NOW, &mut buffers),
        Err(HandshakeError::Misuse(Misuse::Ended))
    );
    assert_eq!(machine.eof(), Err(HandshakeError::Misuse(Misuse::Ended)));

    let mut machine = ClientHandshake::new(NOW, ClientConfig::new(&[SecurityType::SASL]));
    let mut buffers = Buffers::default();
    buffers
        .rx
        .extend_from_slice(b"RFB 003.008\n\x01\x14\0\0\0\x0cEXTERNAL,ANY");
    assert!(matches!(
        machine.step(NOW, &mut buffers),
        Ok(Action::Ask(client::ClientQuestion::SaslStart { .. }))
    ));
    buffers.tx.clear();
    for unasked in [
        machine.choose(&mut buffers, SecurityType::SASL),
        machine.respond(&mut buffers, [0; 16]),
        machine.plain(&mut buffers, b"", b""),
        machine.ident(&mut buffers, b""),
        machine.sasl_step(&mut buffers, None),
        machine.sasl_end(false),
        machine.layered(),
    ] {
        assert_eq!(unasked, Err(Misuse::NotAsked));
    }
    // A part of a name is none, nor is the empty one.
    for name in [&b"EXTERN"[..], b"NAL", b"", b"EXTERNAL,ANY", b"external"] {
        assert_eq!(machine.sasl_start(&mut buffers, name, None), Err(Misuse::NotOffered));
    }
    assert!(buffers.tx.is_empty());
    assert_eq!(machine.step(NOW, &mut buffers), Ok(Action::Waiting));
    machine.sasl_start(&mut buffers, b"ANY", Some(b"")).unwrap();
    assert_eq!(
        buffers.tx,
        b"\0\0\0\x03ANY\0\0\0\x01\0"[..],
        "no data is not the same as data of no bytes"
    );
}

#[test]
fn deadlines() {
    let limits = Limits::default().with_handshake_timeout(Duration::from_secs(3));
    let start = Duration::from_secs(100);
    let late = start + Duration::from_secs(3);
    let just_before = late - Duration::from_nanos(1);

    let config = ServerConfig::new(&[SecurityType::VNC]).with_limits(limits.clone());
    let mut machine = ServerHandshake::new(start, config);
    let mut buffers = Buffers::default();
    assert_eq!(machine.deadline(), late);
    buffers.rx.extend_from_slice(b"RFB 003.008\n\x02");
    assert_eq!(
        machine.step(just_before, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Challenge))
    );
    assert_eq!(machine.step(just_before, &mut buffers), Ok(Action::Waiting));
    buffers.tx.clear();
    let error = HandshakeError::TimedOut(Stage::Answer);
    assert_eq!(machine.step(late, &mut buffers), Err(error.clone()));
    assert!(buffers.tx.is_empty(), "nothing is told");
    assert_eq!(machine.step(start, &mut buffers), Err(error), "an error is terminal");
    assert_eq!(machine.challenge(&mut buffers, [0; 16]), Err(Misuse::NotAsked));

    let mut machine = ClientHandshake::new(start, ClientConfig::default().with_limits(limits));
    assert_eq!(
        machine.step(just_before, &mut buffers),
        Ok(Action::Receive { at_least: 12 })
    );
    assert_eq!(
        machine.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::Version))
    );
}

/// A server with one configuration for many clients allocates nothing for VNC authentication of 3.8.
#[test]
fn a_servers_handshake_allocates_nothing() {
    let config = Arc::new(ServerConfig::new(&[SecurityType::NONE, SecurityType::VNC]));
    let mut buffers = Buffers::default();
    buffers.rx.reserve(100);
    buffers.tx.reserve(100);
    let shown = server_init();
    let mut is_over = false;
    let allocated = allocation_counter::measure(|| {
        let mut machine = ServerHandshake::new(NOW, Arc::clone(&config));
        buffers.rx.extend_from_slice(b"RFB 003.008\n\x02sixteen  random!\x01");
        is_over = loop {
            match machine.step(NOW, &mut buffers) {
                Ok(Action::Ask(ServerQuestion::Challenge)) => machine.challenge(&mut buffers, [3; 16]).unwrap(),
                Ok(Action::Ask(ServerQuestion::Admit(_))) => machine.accept(&mut buffers).unwrap(),
                Ok(Action::Ask(ServerQuestion::Init(_))) => machine.init(&mut buffers, &shown).unwrap(),
                other => break matches!(other, Ok(Action::Done(_))),
            }
        };
    });
    assert!(is_over);
    assert_eq!(allocated.count_total, 0);
}
