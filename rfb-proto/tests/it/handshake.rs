//! The machines against each other, out of order, out of time, beyond their limits, and after the mistakes of others.

use core::time::Duration;
use std::sync::Arc;

use expect_test::expect;
use rfb_proto::handshake::server::{Claim, Question};
use rfb_proto::handshake::{
    Action, ClientConfig, ClientHandshake, Event, HandshakeError, Incompatibility, Machine, Misbehaviour, Misuse,
    Refusal, Rejected, Rejection, ServerConfig, ServerHandshake, Stage, TlsKind, TlsRole, Told, Wire, client,
};
use rfb_proto::security::tight::{Capability, InteractionCapabilities};
use rfb_proto::security::vencrypt::{Exchange, Subtype};
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{ClientInit, DecodeErrorKind, Limits, Policy, ProtocolVersion, Version};

use crate::data::hex;
use crate::play::{Answers, NOW, Now, Outcome, Player, Role, server_init};

/// The greeting and the answer to it, or anything else in front of a type.
const V38: &[u8] = b"RFB 003.008\n";
const V33: &[u8] = b"RFB 003.003\n";

fn server(config: ServerConfig) -> Player {
    let answers = Answers {
        user: b"user".to_vec(),
        password: Some(b"secret".to_vec()),
        challenge: [9; 16],
        server_init: Some(server_init()),
        ..Answers::default()
    };
    Player::new(Role::Server(Box::new(ServerHandshake::new(NOW, config))), answers)
}

fn client_with(config: ClientConfig, password: &[u8]) -> Player {
    let answers = Answers {
        user: b"user".to_vec(),
        password: Some(password.to_vec()),
        ..Answers::default()
    };
    Player::new(Role::Client(Box::new(ClientHandshake::new(NOW, config))), answers)
}

fn client(config: ClientConfig) -> Player {
    client_with(config, b"secret")
}

/// A client that takes everything, `first` first.
fn anything(first: SecurityType, subtype: Subtype, inner: SecurityType) -> ClientConfig {
    ClientConfig::new(&[first])
        .with_subtypes(&[subtype])
        .with_tight_types(&[inner])
        .with_tls_types(&[inner])
        .with_cleartext(true)
}

/// A server that has everything.
fn everything() -> ServerConfig {
    let types = [2, 16, 18, 19, 20, 1].map(SecurityType);
    let subtypes: Vec<_> = (256..=267).chain([1, 2, 20]).map(Subtype).collect();
    let inside = [SecurityType::NONE, SecurityType::VNC, SecurityType::SASL];
    let interaction = InteractionCapabilities {
        encodings: vec![Capability::EXTERNAL],
        ..InteractionCapabilities::default()
    };
    ServerConfig::new(&types)
        .with_subtypes(&subtypes)
        .with_tight_types(&[1, 2, 19, 20].map(SecurityType))
        .with_tight_interaction(interaction)
        .with_tls_types(&inside)
        .with_sasl_mechanisms(b"EXTERNAL,PLAIN")
}

/// Carries bytes between the two in chunks until nothing moves; TLS is a pause for both.
fn connect(server: &mut Player, client: &mut Player, chunk: usize) {
    let (mut up, mut down) = (0, 0);
    loop {
        if let (Now::Tls(ours), Now::Tls(theirs)) = (&server.now, &client.now) {
            assert_eq!((ours.role, theirs.role), (TlsRole::Server, TlsRole::Client));
            assert_eq!(ours.kind, theirs.kind);
            assert_eq!((server.tls_is_up(), client.tls_is_up()), (vec![], vec![]));
        }
        let to_client = server.sent.len().min(down + chunk);
        let bytes = server.sent[down..to_client].to_vec();
        client.feed(&bytes);
        let to_server = client.sent.len().min(up + chunk);
        let bytes = client.sent[up..to_server].to_vec();
        server.feed(&bytes);
        let moved = (to_client, to_server) != (down, up);
        (down, up) = (to_client, to_server);
        if !moved && !matches!(server.now, Now::Tls(_)) {
            return;
        }
    }
}

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
                            Told::Reason(Reason::from_static("Authentication failed"))
                        }
                        _ => Told::Nothing,
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
    let mut wire = Wire::default();
    wire.rx.extend_from_slice(V33);
    assert_eq!(
        machine.step(NOW, &mut wire),
        Ok(Action::Ask(Question::Admit(Claim::None)))
    );
    assert_eq!(wire.tx.split(), V38, "the word lets the client in");
    machine.refuse(&mut wire, Refusal::default()).unwrap();
    assert_eq!(
        wire.tx.split(),
        [&[0, 0, 0, 0, 0, 0, 0, 21][..], b"Authentication failed"].concat()
    );
}

#[test]
fn bytes_of_a_client_that_come_before_the_greeting_are_kept() {
    let mut wire = Wire::default();
    wire.rx.extend_from_slice(b"RFB ");
    let mut machine = ServerHandshake::new(NOW, ServerConfig::new(&[SecurityType::NONE]));
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Receive { at_least: 8 }));
    assert_eq!(wire.tx.split(), V38);
    wire.rx.extend_from_slice(b"003.008\n\x01");
    assert_eq!(
        machine.step(NOW, &mut wire),
        Ok(Action::Ask(Question::Admit(Claim::None)))
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
fn versions_of_servers() {
    for (line, lenient, strict) in [
        ("003.003", Some("003"), Some("003")),
        ("003.004", Some("003"), None),
        ("003.006", Some("003"), None),
        ("003.007", Some("007"), Some("007")),
        ("003.008", Some("008"), Some("008")),
        ("003.014", Some("003"), None),
        ("003.016", Some("003"), None),
        ("003.889", Some("008"), None),
        ("004.000", Some("008"), None),
        ("004.001", Some("008"), None),
        ("005.000", Some("008"), None),
        ("002.000", None, None),
        ("003.002", None, None),
    ] {
        for (policy, expected) in [(Policy::Lenient, lenient), (Policy::Strict, strict)] {
            let mut client = client(ClientConfig::new(&[SecurityType::VNC]).with_policy(policy));
            client.feed(format!("RFB {line}\n").as_bytes());
            let answer = expected.map(|minor| format!("RFB 003.{minor}\n")).unwrap_or_default();
            assert_eq!(client.sent, answer.as_bytes(), "{line} {policy:?}");
            assert_eq!(matches!(client.now, Now::Failed(_)), expected.is_none());
        }
    }
    // And one that wants no more than it says.
    let mut client = client(ClientConfig::new(&[SecurityType::VNC]).with_version(Version::V3_3));
    client.feed(V38);
    assert_eq!(client.sent, V33);
}

#[test]
fn versions_of_clients() {
    // What is told begins with a list (3.7 and 3.8), the word of VNC (3.3), or a refusal.
    for (greeting, line, lenient, strict) in [
        (Version::V3_8, "003.003", Some(Version::V3_3), Some(Version::V3_3)),
        (Version::V3_8, "003.005", Some(Version::V3_3), None),
        (Version::V3_8, "003.006", Some(Version::V3_3), None),
        (Version::V3_8, "003.007", Some(Version::V3_7), Some(Version::V3_7)),
        (Version::V3_8, "003.889", Some(Version::V3_8), None),
        (Version::V3_8, "004.000", None, None),
        (Version::V3_8, "002.000", None, None),
        (Version::V3_7, "003.008", None, None),
        (Version::V3_3, "003.008", None, None),
        (Version::V3_3, "003.003", Some(Version::V3_3), Some(Version::V3_3)),
    ] {
        for (policy, expected) in [(Policy::Lenient, lenient), (Policy::Strict, strict)] {
            let config = ServerConfig::new(&[SecurityType::VNC])
                .with_version(greeting)
                .with_policy(policy);
            let mut server = server(config);
            server.feed(format!("RFB {line}\n").as_bytes());
            let told = &server.sent[12..];
            match (expected, greeting) {
                (Some(Version::V3_3), _) => assert_eq!(told[..4], [0, 0, 0, 2], "{line}"),
                (Some(_), _) => assert_eq!(told, [1, 2], "{line}"),
                (None, Version::V3_3) => assert_eq!(told[..7], [0; 7], "{line}"),
                (None, _) => assert_eq!(told[..4], [0; 4], "{line}"),
            }
            assert_eq!(matches!(server.now, Now::Failed(_)), expected.is_none(), "{line}");
        }
    }
}

/// macOS clients that answer 3.889 and choose None expect no result and send no ClientInit.
#[test]
fn the_quirk_of_macos_is_for_none_alone() {
    for (types, line, apple, sent) in [
        (SecurityType::NONE, "003.889", true, server_init().encoded_len()),
        (SecurityType::NONE, "003.889", false, 4),
        (SecurityType::NONE, "003.008", true, 4),
        (SecurityType::VNC, "003.889", true, 16),
    ] {
        let mut server = server(ServerConfig::new(&[types]).with_apple(apple));
        server.feed(format!("RFB {line}\n").as_bytes());
        server.feed(&[types.0]);
        assert_eq!(server.sent.len() - 14, sent, "{types} {line} {apple}");
        if let Now::Done(Outcome::Server(outcome)) = &server.now {
            assert_eq!(outcome.init, Some(ClientInit::SHARED));
            assert_eq!(outcome.client_version, ProtocolVersion::APPLE);
        }
    }
}

#[test]
fn results_and_reasons() {
    let reason = |text: &'static str| Told::Reason(Reason::from_static(text));
    // version, what follows the response, whether the server then closes, what it means
    for (version, told, of, expected) in [
        (V38, "00000001 00000003 776879", Rejected::Authentication, reason("why")),
        (V38, "00000001 00000000", Rejected::Authentication, reason("")),
        (V38, "00000001", Rejected::Authentication, Told::Nothing),
        (V38, "00000001 000000", Rejected::Authentication, Told::Nothing),
        (V38, "00000001 00000009 7768", Rejected::Authentication, Told::Nothing),
        (
            V38,
            "00000002 00000003 776879",
            Rejected::TooManyAttempts,
            reason("why"),
        ),
        (V38, "00000002", Rejected::TooManyAttempts, Told::Nothing),
        (
            V38,
            "00000001 ffffffff",
            Rejected::Authentication,
            Told::TooLong(u32::MAX),
        ),
        (V38, "00000001 00001001", Rejected::Authentication, Told::TooLong(4097)),
        (V38, "", Rejected::Authentication, Told::Nothing),
        (b"RFB 003.007\n", "00000001", Rejected::Authentication, Told::Nothing),
        (b"RFB 003.007\n", "00000002", Rejected::TooManyAttempts, Told::Nothing),
        (V33, "00000001", Rejected::Authentication, Told::Nothing),
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
        let mut wire = Wire::default();
        wire.rx.extend_from_slice(version);
        wire.rx.extend_from_slice(&[2]);
        assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Ask(Question::Challenge)));
        wire.tx.clear();
        let why = Refusal::TooManyAttempts(Reason::from_static("later"));
        machine.refuse(&mut wire, why.clone()).unwrap();
        assert_eq!(wire.tx, told);
        assert_eq!(machine.step(NOW, &mut wire), Err(HandshakeError::Refused(why)));
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
fn vencrypt_acknowledgements_have_opposite_senses() {
    let to_ack = |bytes: &[u8]| {
        let mut client = client(ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]));
        client.feed(b"RFB 003.008\n\x01\x13\x00\x02");
        client.feed(bytes);
        client.now
    };
    for bad in [1, 2, 0xff] {
        let rejection = Rejection {
            of: Rejected::VeNCryptVersion,
            reason: Told::Nothing,
        };
        assert_eq!(to_ack(&[bad]), Now::Failed(HandshakeError::Rejected(rejection)));
    }
    for bad in [0, 2, 0xff] {
        let rejection = Rejection {
            of: Rejected::Subtype,
            reason: Told::Nothing,
        };
        assert_eq!(
            to_ack(&[0, 1, 0, 0, 1, 4, bad]),
            Now::Failed(HandshakeError::Rejected(rejection))
        );
    }
    assert!(matches!(to_ack(&[0, 1, 0, 0, 1, 4, 1]), Now::Tls(_)));
    let none = HandshakeError::PeerIncompatible(Incompatibility::Subtypes(vec![]));
    assert_eq!(
        to_ack(&[0, 0]),
        Now::Failed(none),
        "an empty list has no reason behind it"
    );

    // Other versions: 0.1 is told that there is none to speak, above 0.2 all that is there is 0.2.
    for (offered, answer) in [([0, 1], [0, 0]), ([0, 0], [0, 0]), ([0, 3], [0, 2]), ([1, 0], [0, 2])] {
        let mut client = client(ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]));
        client.feed(b"RFB 003.008\n\x01\x13");
        client.feed(&offered);
        assert_eq!(client.sent[13..], answer);
        assert_eq!(matches!(client.now, Now::Failed(_)), answer == [0, 0]);
    }
    // Peers that echo whatever the server said are taken at 0.2 only.
    for (version, acknowledgement) in [([0, 2], 0), ([0, 0], 1), ([0, 1], 1), ([1, 2], 1), ([2, 0], 1)] {
        let mut server = server(everything());
        server.feed(b"RFB 003.008\n\x13");
        let before = server.sent.len();
        server.feed(&version);
        assert_eq!(server.sent[before], acknowledgement, "{version:?}");
        assert_eq!(server.sent.len() == before + 1, acknowledgement == 1);
    }
}

/// TigerVNC lists Plain in front of TLS: what is sent in clear text has to be allowed.
#[test]
fn nothing_in_clear_text_inside_vencrypt_unless_allowed() {
    let subtypes = [Subtype::PLAIN, Subtype::IDENT, Subtype(2), Subtype(1), Subtype::TLS_VNC];
    for cleartext in [false, true] {
        let config = ClientConfig::new(&[SecurityType::VENCRYPT])
            .with_subtypes(&subtypes)
            .with_cleartext(cleartext);
        let mut client = client(config);
        client.feed(b"RFB 003.008\n\x01\x13\x00\x02\x00");
        client.feed(&hex("05 00000100 00000109 00000002 00000001 00000102"));
        let chosen = if cleartext { Subtype::PLAIN } else { Subtype::TLS_VNC };
        let answer = chosen.0.to_be_bytes();
        assert_eq!(client.sent[15..19], answer);
    }
}

/// 263 is X509SASL, 264 TLSSASL, as all programs have it and the specification has not.
#[test]
fn subtypes_263_and_264_are_as_deployed() {
    assert_eq!(
        (Subtype(263).tls(), Subtype(263).name()),
        (Some(TlsKind::X509), Some("X509SASL"))
    );
    assert_eq!(
        (Subtype(264).tls(), Subtype(264).name()),
        (Some(TlsKind::Anonymous), Some("TLSSASL"))
    );
}

#[test]
fn tunnels_and_capabilities_of_tight() {
    let start = |policy| {
        let config = ClientConfig::new(&[SecurityType::TIGHT]).with_tight_types(&[SecurityType::VNC]);
        let mut client = client(config.with_policy(policy));
        client.feed(b"RFB 003.008\n\x01\x10");
        client
    };
    let none = "00000000 54474854 4e4f54554e4e454c";
    let other = "00000001 4f544852 534f4d45544e4e4c";
    let siemens = "00000001 53494352 534348414e4e454c";
    let odd_none = "00000007 54474854 4e4f54554e4e454c";
    for (policy, tunnels, answer) in [
        (Policy::Strict, format!("00000001 {none}"), Some("00000000")),
        (Policy::Strict, format!("00000002 {other} {none}"), Some("00000000")),
        (Policy::Strict, "00000000".into(), Some("")),
        (Policy::Strict, format!("00000001 {odd_none}"), None),
        (Policy::Lenient, format!("00000001 {odd_none}"), Some("00000007")),
        (Policy::Strict, format!("00000001 {siemens}"), None),
        (Policy::Lenient, format!("00000001 {siemens}"), Some("00000000")),
        (Policy::Lenient, format!("00000001 {other}"), None),
    ] {
        let mut client = start(policy);
        client.feed(&hex(&tunnels));
        match answer {
            Some(answer) => assert_eq!(client.sent[13..], hex(answer), "{tunnels}"),
            None => {
                let Now::Failed(HandshakeError::PeerIncompatible(Incompatibility::Tunnels(list))) = &client.now else {
                    panic!("{tunnels}: {:?}", client.now);
                };
                assert_eq!(list.len(), 1);
            }
        }
    }
    // VNC authentication under a code of the server's own; the lists as they are.
    let own_code = "00000001 00000077 53544456 564e43415554485f";
    let mut client = start(Policy::Lenient);
    client.feed(&hex(&format!("00000000 {own_code}")));
    assert_eq!(client.sent[13..], hex("00000077"));
    let mut client = start(Policy::Strict);
    client.feed(&hex(&format!("00000000 {own_code}")));
    let Now::Failed(error) = &client.now else { panic!() };
    expect!["peer incompatible: no common Tight authentication; offered: STDV VNCAUTH_ (119)"]
        .assert_eq(&error.to_string());
    // Nothing listed means nobody has to authenticate, which is not what this client wants.
    let mut client = start(Policy::Lenient);
    client.feed(&[0; 8]);
    assert!(matches!(
        &client.now,
        Now::Failed(HandshakeError::PeerIncompatible(Incompatibility::Authentication(_)))
    ));
    let mut client = self::client(ClientConfig::new(&[SecurityType::TIGHT]).with_tight_types(&[SecurityType::NONE]));
    client.feed(b"RFB 003.008\n\x01\x10");
    client.feed(&[0; 12]);
    assert_eq!(client.sent[13..], [1], "ClientInit: let in without a choice");

    // The choices of clients.
    for (tunnel, code, good) in [(0_i32, 2_i32, true), (1, 2, false), (0, 3, false), (0, -1, false)] {
        let config = ServerConfig::new(&[SecurityType::TIGHT])
            .with_tight_types(&[SecurityType::VNC])
            .with_tight_tunnel(true);
        let mut server = server(config);
        server.feed(b"RFB 003.008\n\x10");
        server.feed(&tunnel.to_be_bytes());
        server.feed(&code.to_be_bytes());
        match (&server.now, good) {
            (Now::Needs(16), true) => {}
            (Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::CapabilityNotOffered(_))), false) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// What has a name here and no machine is reported when it is offered, by number and name.
#[test]
fn types_that_are_known_by_name_only() {
    let mut client = client(ClientConfig::new(&[SecurityType::RA2, SecurityType::VNC]));
    client.feed(b"RFB 003.008\n\x09\x0d\x85\x05\x06\x1e\x21\x71\x16\x4d");
    let Now::Failed(error) = &client.now else { panic!() };
    expect!["peer incompatible: no common security type; offered: RA2r two-step (13), RA2r_256 two-step (133), RA2 (5), RA2ne (6), Diffie-Hellman (30), Apple RSA host key (33), MSLogonII (113), xvp (22), 77"]
        .assert_eq(&error.to_string());
    assert_eq!(client.sent, V38, "nothing is chosen");
    assert!(matches!(&client.events[1], Event::Types(types) if types.len() == 9));
}

/// Lists as servers send them: duplicates, 255 entries, 0 in the middle.
#[test]
fn odd_lists() {
    for list in [&[3, 19, 19, 2][..], &[3, 0, 2, 0], &[1, 2]] {
        let mut client = client(ClientConfig::new(&[SecurityType::INVALID, SecurityType::VNC]));
        client.feed(V38);
        client.feed(list);
        assert_eq!(client.sent[12..], [2], "{list:?}");
    }
    // A configuration with more than a list can hold, and with things that there is nothing for.
    let types = [SecurityType::VNC; 300];
    let mut server = server(ServerConfig::new(&types));
    server.feed(V38);
    assert_eq!((server.sent.len(), server.sent[12]), (12 + 256, 255));
    let mut server = self::server(ServerConfig::new(&[0, 5, 16, 18, 19, 20, 30, 77, 2].map(SecurityType)));
    server.feed(V38);
    assert_eq!(server.sent[12..], [1, 2], "what cannot be followed is not offered");
}

#[test]
fn asked_for_the_offer_and_the_choice() {
    let mut machine = ServerHandshake::new(NOW, everything().with_ask_offer(true));
    let mut wire = Wire::default();
    wire.rx.extend_from_slice(V38);
    let rules = Version::V3_8;
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Ask(Question::Offer { rules })));
    wire.tx.clear();
    machine.offer(&mut wire, &[5, 19].map(SecurityType)).unwrap();
    assert_eq!(wire.tx, [1, 19][..]);
    // What the configuration has and the answer has not.
    wire.rx.extend_from_slice(&[1]);
    let error = machine.step(NOW, &mut wire).unwrap_err();
    assert_eq!(
        error,
        HandshakeError::PeerMisbehaved(Misbehaviour::TypeNotOffered(SecurityType::NONE))
    );

    let mut machine = ServerHandshake::new(NOW, everything().with_ask_offer(true));
    let mut wire = Wire::default();
    wire.rx.extend_from_slice(V38);
    machine.step(NOW, &mut wire).unwrap();
    wire.tx.clear();
    machine
        .refuse(&mut wire, Refusal::Failed(Reason::from_static("no")))
        .unwrap();
    assert_eq!(wire.tx, b"\0\0\0\0\x02no"[..]);

    let mut machine = ClientHandshake::new(NOW, ClientConfig::default().with_ask_choice(true));
    let mut wire = Wire::default();
    wire.rx.extend_from_slice(b"RFB 003.008\n\x03\x05\x02\x01");
    let offered = [5, 2, 1].map(SecurityType).to_vec();
    assert_eq!(
        machine.step(NOW, &mut wire),
        Ok(Action::Ask(client::Question::Choose(offered)))
    );
    assert_eq!(
        machine.choose(&mut wire, SecurityType::VENCRYPT),
        Err(Misuse::NotOffered)
    );
    assert_eq!(
        machine.choose(&mut wire, SecurityType::RA2),
        Err(Misuse::NotOffered),
        "nothing follows it here"
    );
    machine.choose(&mut wire, SecurityType::VNC).unwrap();
    assert_eq!(wire.tx, b"RFB 003.008\n\x02"[..]);
}

#[test]
fn answers_out_of_order_are_misuse_and_change_nothing() {
    let mut machine = ServerHandshake::new(NOW, Arc::new(ServerConfig::new(&[SecurityType::VNC])));
    let mut wire = Wire::default();
    let all_unasked = |machine: &mut ServerHandshake, wire: &mut Wire, but: &str| {
        let check = |name, answer: Result<(), Misuse>| assert_eq!(answer, Err(Misuse::NotAsked), "{name}");
        let shown = server_init();
        check("offer", machine.offer(wire, &[]));
        check("sasl_reply", machine.sasl_reply(wire, None));
        check("sasl_complete", machine.sasl_complete(wire, None, true));
        check("layered", machine.layered());
        if but != "challenge" {
            check("challenge", machine.challenge(wire, [0; 16]));
        }
        if but != "admit" {
            check("accept", machine.accept(wire));
        }
        if but != "init" {
            check("init", machine.init(wire, &shown));
        }
        if but.is_empty() {
            check("refuse", machine.refuse(wire, Refusal::Close));
        }
        assert!(wire.tx.is_empty());
    };
    all_unasked(&mut machine, &mut wire, "");
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Receive { at_least: 12 }));
    wire.tx.clear();
    wire.rx.extend_from_slice(b"RFB 003.008\n\x02");
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Ask(Question::Challenge)));
    wire.tx.clear();
    all_unasked(&mut machine, &mut wire, "challenge");
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Waiting));
    machine.challenge(&mut wire, [1; 16]).unwrap();
    wire.tx.clear();
    all_unasked(&mut machine, &mut wire, "");
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Receive { at_least: 16 }));
    wire.rx.extend_from_slice(&[2; 17]);
    let claim = Claim::Vnc {
        challenge: [1; 16],
        response: [2; 16],
    };
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Ask(Question::Admit(claim))));
    all_unasked(&mut machine, &mut wire, "admit");
    machine.accept(&mut wire).unwrap();
    wire.tx.clear();
    all_unasked(&mut machine, &mut wire, "");
    assert_eq!(
        machine.step(NOW, &mut wire),
        Ok(Action::Ask(Question::Init(ClientInit { shared: 2 })))
    );
    all_unasked(&mut machine, &mut wire, "init");
    machine.init(&mut wire, &server_init()).unwrap();
    wire.tx.clear();
    all_unasked(&mut machine, &mut wire, "");
    assert!(matches!(machine.step(NOW, &mut wire), Ok(Action::Done(_))));
    assert_eq!(machine.step(NOW, &mut wire), Err(HandshakeError::Misuse(Misuse::Ended)));
    assert_eq!(machine.eof(), Err(HandshakeError::Misuse(Misuse::Ended)));

    let mut machine = ClientHandshake::new(NOW, ClientConfig::new(&[SecurityType::SASL]));
    let mut wire = Wire::default();
    wire.rx
        .extend_from_slice(b"RFB 003.008\n\x01\x14\0\0\0\x0cEXTERNAL,ANY");
    assert!(matches!(
        machine.step(NOW, &mut wire),
        Ok(Action::Ask(client::Question::SaslStart { .. }))
    ));
    wire.tx.clear();
    for unasked in [
        machine.choose(&mut wire, SecurityType::SASL),
        machine.respond(&mut wire, [0; 16]),
        machine.plain(&mut wire, b"", b""),
        machine.ident(&mut wire, b""),
        machine.sasl_step(&mut wire, None),
        machine.sasl_end(false),
        machine.layered(),
    ] {
        assert_eq!(unasked, Err(Misuse::NotAsked));
    }
    // A part of a name is none, nor is the empty one.
    for name in [&b"EXTERN"[..], b"NAL", b"", b"EXTERNAL,ANY", b"external"] {
        assert_eq!(machine.sasl_start(&mut wire, name, None), Err(Misuse::NotOffered));
    }
    assert!(wire.tx.is_empty());
    assert_eq!(machine.step(NOW, &mut wire), Ok(Action::Waiting));
    machine.sasl_start(&mut wire, b"ANY", Some(b"")).unwrap();
    assert_eq!(
        wire.tx,
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
    let mut wire = Wire::default();
    assert_eq!(machine.deadline(), late);
    wire.rx.extend_from_slice(b"RFB 003.008\n\x02");
    assert_eq!(
        machine.step(just_before, &mut wire),
        Ok(Action::Ask(Question::Challenge))
    );
    assert_eq!(machine.step(just_before, &mut wire), Ok(Action::Waiting));
    wire.tx.clear();
    let error = HandshakeError::TimedOut(Stage::Answer);
    assert_eq!(machine.step(late, &mut wire), Err(error.clone()));
    assert!(wire.tx.is_empty(), "nothing is told");
    assert_eq!(machine.step(start, &mut wire), Err(error), "an error is terminal");
    assert_eq!(machine.challenge(&mut wire, [0; 16]), Err(Misuse::NotAsked));

    let mut machine = ClientHandshake::new(start, ClientConfig::default().with_limits(limits));
    assert_eq!(
        machine.step(just_before, &mut wire),
        Ok(Action::Receive { at_least: 12 })
    );
    assert_eq!(
        machine.step(late, &mut wire),
        Err(HandshakeError::TimedOut(Stage::Version))
    );
}

/// CVE-2006-2369 (RealVNC), CVE-2006-2450 (LibVNCServer), CVE-2024-42458 (neatvnc): the client says None, which was
/// not offered, and is let in.
#[test]
fn cve_2006_2369_choice_not_offered() {
    for number in (0..=255_u8).filter(|&number| number != 2) {
        for (version, told) in [(V38, 1 + 4), (b"RFB 003.007\n", 1)] {
            let mut server = server(ServerConfig::new(&[SecurityType::VNC]));
            server.feed(version);
            server.feed(&[number, 0, 0, 0, 0]);
            let error = HandshakeError::PeerMisbehaved(Misbehaviour::TypeNotOffered(SecurityType(number)));
            assert_eq!(server.now, Now::Failed(error));
            assert_eq!(server.sent[14..18], [0, 0, 0, 1], "a failed result");
            assert!(told <= server.sent.len() - 14);
        }
    }
    // The same inside VeNCrypt, in the second list of TLS, and in the lists of Tight.
    for subtype in (0..300).filter(|&subtype| subtype != 262) {
        let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_PLAIN]);
        let mut server = server(config);
        server.feed(b"RFB 003.008\n\x13\x00\x02");
        server.feed(&u32::to_be_bytes(subtype));
        let error = HandshakeError::PeerMisbehaved(Misbehaviour::SubtypeNotOffered(Subtype(subtype)));
        assert_eq!(server.now, Now::Failed(error));
        assert_eq!(server.sent.last(), Some(&0));
    }
    for number in (0..=255).filter(|&number| number != 2) {
        let mut server = server(ServerConfig::new(&[SecurityType::TLS]).with_tls_types(&[SecurityType::VNC]));
        server.feed(b"RFB 003.008\n\x12");
        server.tls_is_up();
        server.feed(&[number]);
        let error = HandshakeError::PeerMisbehaved(Misbehaviour::TypeNotOffered(SecurityType(number)));
        assert_eq!(server.now, Now::Failed(error));
    }
}

/// CVE-2011-0011 (QEMU): an empty password turned authentication off. Here it is a password as any other, and the
/// caller is asked about it.
#[test]
fn cve_2011_0011_an_empty_password_is_a_password() {
    let config = ServerConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::PLAIN]);
    let mut machine = ServerHandshake::new(NOW, config);
    let mut wire = Wire::default();
    wire.rx
        .extend_from_slice(b"RFB 003.008\n\x13\x00\x02\0\0\x01\0\0\0\0\0\0\0\0\0");
    let Ok(Action::Ask(Question::Admit(Claim::Plain(shown)))) = machine.step(NOW, &mut wire) else {
        panic!();
    };
    assert_eq!((&shown.user[..], shown.password.expose()), (&b""[..], &b""[..]));
    // And nothing to choose from is nobody let in, in Tight as well.
    let mut server = server(ServerConfig::new(&[
        SecurityType::TIGHT,
        SecurityType::VENCRYPT,
        SecurityType::TLS,
    ]));
    server.feed(V38);
    assert_eq!(server.sent[12..], [0], "an empty list");
}

/// CVE-2013-5745 (vino): requests of a client that was still to authenticate made an endless loop. CVE-2016-10207
/// (TigerVNC): the end of a stream in the TLS handshake. In every state a step makes progress or says what it needs,
/// and the end of the stream and more bytes than are due do no harm.
#[test]
fn cve_2013_5745_and_2016_10207_the_end_and_more_bytes_in_every_state() {
    let mut stages = std::collections::BTreeSet::new();
    let mut look = |mut player: Player, extra: &[u8]| {
        let stage = match &player.role {
            Role::Client(machine) => machine.stage(),
            Role::Server(machine) => machine.stage(),
        };
        stages.insert(format!("{stage:?}"));
        player.feed(extra);
        let ended = matches!(player.now, Now::Failed(_) | Now::Done(_));
        player.eof();
        assert!(
            ended || matches!(player.now, Now::Failed(_)),
            "{stage}: {:?}",
            player.now
        );
        let before = player.now.clone();
        player.feed(&[0; 100]);
        assert_eq!(player.now, before, "the end is the end");
        let step = match &mut player.role {
            Role::Client(machine) => machine.step(NOW, &mut player.wire).map(drop),
            Role::Server(machine) => machine.step(NOW, &mut player.wire).map(drop),
        };
        match before {
            Now::Failed(error) => assert_eq!(step, Err(error)),
            _ => assert_eq!(step, Err(HandshakeError::Misuse(Misuse::Ended))),
        }
    };
    let floods = [&[][..], &[0; 5000], &[0xff; 5000], &[1; 5000]];
    let ways = [
        (1, 0, 1),
        (2, 0, 1),
        (20, 0, 1),
        (16, 0, 2),
        (18, 0, 2),
        (19, 261, 1),
        (19, 262, 1),
        (19, 267, 1),
        (19, 263, 1),
    ];
    for (first, subtype, inner) in ways {
        let wanted = || anything(SecurityType(first), Subtype(subtype), SecurityType(inner));
        let (mut whole_server, mut whole_client) = (server(everything()), client(wanted()));
        connect(&mut whole_server, &mut whole_client, 1);
        let (down, up) = (whole_server.sent, whole_client.sent);
        for flood in floods {
            // Both, each cut at every byte; TLS is up at once where it is asked for.
            for (stream, is_server) in [(&up, true), (&down, false)] {
                for end in 0..stream.len() {
                    for tls_is_up in [true, false] {
                        let mut player = if is_server {
                            server(everything())
                        } else {
                            client(wanted())
                        };
                        for byte in &stream[..end] {
                            if tls_is_up && matches!(player.now, Now::Tls(_)) {
                                player.tls_is_up();
                            }
                            player.feed(&[*byte]);
                        }
                        look(player, flood);
                    }
                }
            }
        }
    }
    let expected = [
        "Answer",
        "ClientInit",
        "Credentials",
        "Ended",
        "Sasl",
        "SecurityChoice",
        "SecurityResult",
        "SecurityTypes",
        "ServerInit",
        "Tight",
        "Tls",
        "VeNCrypt",
        "Version",
        "Vnc",
    ];
    stages.insert("Ended".into());
    for stage in expected {
        assert!(
            stages.contains(stage) || stage == "Answer",
            "{stage} was not reached: {stages:?}"
        );
    }
}

/// neatvnc PR 151, CVE-2023-3354 (QEMU): a connection that had failed was gone on with. An error is the end.
#[test]
fn cve_2023_3354_an_error_is_the_end() {
    let mut server = server(ServerConfig::new(&[SecurityType::VNC]));
    server.feed(b"RFB 003.008\n\x4d");
    let (now, sent) = (server.now.clone(), server.sent.clone());
    server.feed(b"\x02");
    server.run();
    server.eof();
    assert_eq!((server.now, server.sent), (now, sent), "nothing more is said");
}

/// LibVNC issue 247 (CVE-2018-20748 and others): a length of 0xffffffff, to which 1 was added. CVE-2008-0610: signed
/// lengths. Nothing is allocated for a length, whatever it says, and limits are held before the bytes are there.
#[test]
fn cve_2018_20748_lengths_are_held_against_their_limits_first() {
    let limit = |error: &HandshakeError| match error {
        HandshakeError::Decode(error) => match error.kind {
            DecodeErrorKind::TooLarge { limit, .. } => (error.field, limit),
            _ => panic!("{error}"),
        },
        other => panic!("{other}"),
    };
    let limits = Limits::default();
    // The servers' lengths.
    let to_server_init =
        b"RFB 003.008\n\x01\x01\0\0\0\0\x02\x80\x01\xe0\x20\x18\0\x01\0\xff\0\xff\0\xff\x10\x08\0\0\0\0";
    for (types, prefix, field, limit_is) in [
        (20, &b"RFB 003.008\n\x01\x14"[..], "length", limits.sasl_mechanisms),
        (20, b"RFB 003.008\n\x01\x14\0\0\0\x05PLAIN", "length", limits.sasl_data),
        (16, b"RFB 003.008\n\x01\x10", "count", limits.tight_capabilities),
        (16, b"RFB 003.008\n\x01\x10\0\0\0\0", "count", limits.tight_capabilities),
        (1, to_server_init, "name_length", limits.name),
    ] {
        for value in [limit_is, limit_is + 1, i32::MAX as u32, u32::MAX] {
            let mut player = client(anything(SecurityType(types), Subtype::PLAIN, SecurityType::VNC));
            player.feed(prefix);
            let allocated = allocation_counter::measure(|| player.feed(&value.to_be_bytes()));
            assert!(
                allocated.bytes_max < 2000,
                "{types} {field} {value}: {}",
                allocated.bytes_max
            );
            match &player.now {
                Now::Needs(_) => assert_eq!(value, limit_is),
                Now::Failed(error) => assert_eq!(limit(error), (field, limit_is.into()), "{value}"),
                other => panic!("{other:?}"),
            }
        }
    }
    // The clients'.
    for (prefix, after, field, limit_is) in [
        (
            &b"RFB 003.008\n\x13\0\x02\0\0\x01\0"[..],
            &[][..],
            "user_length",
            limits.user,
        ),
        (
            b"RFB 003.008\n\x13\0\x02\0\0\x01\0\0\0\0\0",
            &[],
            "password_length",
            limits.password,
        ),
        (b"RFB 003.008\n\x13\0\x02\0\0\x01\x09", &[], "length", limits.user),
        (b"RFB 003.008\n\x14", &[], "length", limits.sasl_mechanism),
        (b"RFB 003.008\n\x14\0\0\0\x05PLAIN", &[], "length", limits.sasl_data),
    ] {
        for value in [limit_is, limit_is + 1, i32::MAX as u32, u32::MAX] {
            let mut player = server(everything());
            player.feed(prefix);
            let bytes = [&value.to_be_bytes()[..], after].concat();
            let allocated = allocation_counter::measure(|| player.feed(&bytes));
            assert!(allocated.bytes_max < 2000, "{field} {value}: {}", allocated.bytes_max);
            match &player.now {
                Now::Needs(_) => assert_eq!(value, limit_is),
                Now::Failed(error) => assert_eq!(limit(error), (field, limit_is.into()), "{value}"),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// CVE-2018-20023, CVE-2019-15681 (LibVNC): memory that was never written went out, in a repeater's 250 bytes and in
/// padding. The bytes of each message are those of the scripts; the 250 are zero behind the text.
#[test]
fn cve_2018_20023_what_is_sent_was_written() {
    let mut client = client(ClientConfig::default().with_repeater(b"ID:7"));
    client.wire.tx.extend_from_slice(&[0xaa; 600]);
    client.wire.tx.clear();
    client.feed(b"RFB 000.000\n");
    assert_eq!(client.sent, [&b"ID:7"[..], &[0; 246]].concat());
}

/// The STARTTLS injections: what stands behind the last byte in clear text is never read as part of what is inside.
#[test]
fn bytes_in_front_of_tls_are_not_read_as_what_is_inside() {
    let config = || ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]);
    let mut client = client(config());
    client.feed(b"RFB 003.008\n\x01\x13\0\x02\0\x01\0\0\x01\x04\x01\0\0\0\0");
    assert_eq!(
        client.now,
        Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::BytesBeforeTls))
    );
    let mut client = self::client(ClientConfig::new(&[SecurityType::TLS]).with_tls_types(&[SecurityType::NONE]));
    client.feed(b"RFB 003.008\n\x01\x12\x01");
    assert_eq!(
        client.now,
        Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::BytesBeforeTls))
    );
    // A client may send its hello at once: it is left, whatever it is.
    let mut server = server(everything());
    server.feed(b"RFB 003.008\n\x13\0\x02\0\0\x01\x04\x16\x03\x01");
    assert!(matches!(server.now, Now::Tls(_)));
    assert_eq!(server.tls_is_up(), [0x16, 3, 1]);
    assert_eq!(server.now, Now::Needs(1));
}

/// CVE-2020-26117 (TigerVNC): whom a certificate is for has to be known to whoever looks at it.
#[test]
fn cve_2020_26117_the_name_goes_with_the_request_for_tls() {
    let config = ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]);
    let mut client = client(config.with_server_name("host.example"));
    client.feed(b"RFB 003.008\n\x01\x13\0\x02\0\x01\0\0\x01\x04\x01");
    let Now::Tls(tls) = &client.now else { panic!() };
    assert_eq!(tls.server_name.as_deref(), Some("host.example"));
    assert_eq!((tls.role, tls.kind), (TlsRole::Client, TlsKind::X509));
}

#[test]
fn error_texts() {
    let mut texts = String::new();
    let mut say = |player: &Player| {
        let Now::Failed(error) = &player.now else {
            panic!("{:?}", player.now)
        };
        texts.push_str(&error.to_string());
        texts.push('\n');
    };
    let mut player = client(ClientConfig::default());
    player.feed(b"HTTP/1.1 400");
    say(&player);
    let mut player = client(ClientConfig::default());
    player.feed(b"RFB 003.003\n\0\0\0\x13");
    say(&player);
    let mut player = client(ClientConfig::default());
    player.feed(b"RFB 003.008\n\0\0\0\0\x13Too many connections\n");
    say(&player);
    let mut player = client(ClientConfig::default());
    player.feed(b"RFB 003.008\n\0\0\x10\0\0");
    say(&player);
    let mut player = client(ClientConfig::new(&[SecurityType::VENCRYPT]).with_subtypes(&[Subtype::X509_NONE]));
    player.feed(b"RFB 003.008\n\x01\x13\0\x02\0\x02\0\0\x01\x02\0\0\x02\0");
    say(&player);
    let mut player = client(ClientConfig::new(&[SecurityType::VNC]));
    player.feed(b"RFB 003.008\n\x01\x02sixteen  random!\0\0\0\x01\0\0\0\x16Authentication failed\0");
    say(&player);
    let mut player = client(ClientConfig::new(&[SecurityType::NONE]));
    player.feed(b"RFB 003.008\n\x01\x01\0\0\0\x07");
    say(&player);
    let mut player = server(ServerConfig::new(&[SecurityType::VNC]));
    player.feed(b"RFB 003.008\n\x01");
    say(&player);
    let mut player = server(everything());
    player.feed(b"RFB 003.008\n\x13\0\x01");
    say(&player);
    let mut player = server(everything());
    player.feed(b"RFB 002.000\n");
    say(&player);
    let mut player = server(everything());
    player.feed(b"RFB 003.008\n\x13\0\x02\0\0\x01\0\0\0\x04\x01");
    say(&player);
    let mut player = server(everything());
    player.eof();
    say(&player);
    expect![[r#"
        ProtocolVersion.signature at byte 0: `RFB ` expected
        peer misbehaved: security type VeNCrypt (19) is not one of 3.3
        connection refused: Too many connection
        connection refused, with a reason of 1048576 bytes
        peer incompatible: no common VeNCrypt subtype; offered: TLSVnc (258), 512
        authentication failed: Authentication failed
        peer misbehaved: security result 7
        peer misbehaved: security type None (1) was not offered
        peer incompatible: VeNCrypt 0.1
        peer incompatible: version 2.0 is not supported
        Credentials.user_length at byte 0: 1025 is above the limit of 1024
        closed by the peer while waiting for the version line
    "#]]
    .assert_eq(&texts);
}
