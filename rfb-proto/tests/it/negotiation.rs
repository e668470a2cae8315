//! What is negotiated inside of security types, and the lists that it is chosen from.

use std::iter;
use std::time::Duration;

use expect_test::expect;
use rfb_proto::Policy;
use rfb_proto::handshake::server::ServerQuestion;
use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, Event, HandshakeError, Incompatibility, Machine as _, Misbehaviour, Rejected,
    Rejection, RejectionReason, ServerConfig, ServerHandshake, TlsKind,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;

use crate::data::hex;
use crate::pair::{V38, client, everything, server};
use crate::play::Now;

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
            reason: RejectionReason::Nothing,
        };
        assert_eq!(to_ack(&[bad]), Now::Failed(HandshakeError::Rejected(rejection)));
    }
    for bad in [0, 2, 0xff] {
        let rejection = Rejection {
            of: Rejected::Subtype,
            reason: RejectionReason::Nothing,
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

    // Other versions: to 0.1 the client answers that there is none to speak, to those above 0.2 with 0.2.
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
    // An empty list means that no client has to authenticate, which is not what this client wants.
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
    let mut client = client(ClientConfig::new(&[SecurityType::RA2R, SecurityType::VNC]));
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
    let mut server = self::server(ServerConfig::new(&[0, 7, 16, 18, 19, 20, 31, 77, 2].map(SecurityType)));
    server.feed(V38);
    assert_eq!(server.sent[12..], [1, 2], "what cannot be followed is not offered");
}

/// What a server tells about a choice is what was known then, also if it is fetched at the end.
#[test]
fn events_wait_for_whoever_fetches_them() {
    let vencrypt: &[u8] = b"\x10\x00\x00\x00\x13\x00\x02\x00\x00\x01\x02sixteen bytes...";
    let tight = ServerConfig::new(&[SecurityType::NONE, SecurityType::VNC, SecurityType::TIGHT])
        .with_tight_types(&[SecurityType::VENCRYPT])
        .with_subtypes(&[Subtype::TLS_VNC]);
    let tls: &[u8] = b"\x12\x02sixteen bytes...";
    let type_18 = ServerConfig::new(&[SecurityType::TLS]).with_tls_types(&[SecurityType::VNC]);
    for (config, choices, chosen) in [(tight, vencrypt, 3), (type_18, tls, 2)] {
        let run = |at_once: bool| {
            let mut machine = ServerHandshake::new(Duration::ZERO, config.clone().with_init(false));
            let mut buffers = Buffers::default();
            let mut events = Vec::new();
            let mut input = [V38, choices].concat().into_iter();
            loop {
                let action = machine.step(Duration::ZERO, &mut buffers).unwrap();
                if at_once {
                    events.extend(iter::from_fn(|| machine.poll_event()));
                }
                match action {
                    Action::Receive { at_least } => buffers.rx.extend(input.by_ref().take(at_least)),
                    Action::StartTls(_) => {}
                    Action::Ask(ServerQuestion::Challenge) => machine.challenge(&mut buffers, [7; 16]).unwrap(),
                    Action::Ask(_) => machine.accept(&mut buffers).unwrap(),
                    Action::Done(_) => break,
                    Action::Waiting => panic!("every question was answered"),
                }
            }
            events.extend(iter::from_fn(|| machine.poll_event()));
            events
        };
        let events = run(true);
        let choices = events.iter().filter(|event| matches!(event, Event::Chosen(_)));
        assert_eq!((choices.count(), events.len()), (chosen, chosen + 2));
        assert_eq!(run(false), events);
    }
}
