//! The machines against each other, out of order, out of time and beyond their limits.

use std::time::Duration;

use expect_test::expect;
use spice_proto::caps::{Capabilities, CapabilitySet, CapabilityWords, common, display};
use spice_proto::frame::HeaderForm;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, Incompatibility, LinkHeader, LinkMess, LinkReply,
    Machine, Misuse, Refusal, RelayConfig, RelayLink, Secret, ServerLink, Side, SideBuffers, Stage, Transport,
};
use spice_proto::{DecodeErrorKind, Limits};

use crate::pair::{NOW, Server, TICKET, client, key, request};

const DENIED: LinkErrorCode = LinkErrorCode::PERMISSION_DENIED;

fn server_caps(channel_type: ChannelType) -> Capabilities {
    Capabilities::spice_server(channel_type)
}

fn run_pair(request: LinkMess, shown: Capabilities, password: &[u8], chunk: usize) -> (ClientLinkEnd, Server) {
    let mut client = client(request, password);
    let mut buffers = Buffers::default();
    let mut server = Server::new(shown, b"Pa55-w0rd");
    let mut pending = bytes::BytesMut::new();
    loop {
        match client.step(NOW, &mut buffers) {
            Ok(Action::Receive { .. }) => {}
            Ok(Action::Done(outcome)) => return (Ok(outcome), server),
            Ok(_) => unreachable!(),
            Err(error) => return (Err(error), server),
        }
        let sent = buffers.tx.len().min(chunk);
        let up = buffers.tx.split_to(sent);
        pending.extend_from_slice(&server.turn(&up));
        let down = pending.split_to(pending.len().min(chunk));
        if up.is_empty() && down.is_empty() {
            return (client.eof(), server);
        }
        buffers.rx.extend_from_slice(&down);
    }
}

type ClientLinkEnd = Result<spice_proto::link::client::ClientOutcome, HandshakeError>;

#[test]
fn client_and_server_in_any_chunks() {
    for chunk in [1, 2, 3, 7, 16, 100, 10_000] {
        let (ended, server) = run_pair(
            request(ChannelType::MAIN, 0xd, 0xf),
            server_caps(ChannelType::MAIN),
            TICKET,
            chunk,
        );
        let outcome = ended.unwrap();
        assert_eq!(outcome.capabilities, server_caps(ChannelType::MAIN));
        assert_eq!(outcome.header_form, HeaderForm::Mini);
        let served = server.ended.unwrap().unwrap();
        assert_eq!(served.header_form, HeaderForm::Mini);
        assert_eq!(served.request, request(ChannelType::MAIN, 0xd, 0xf));

        let (ended, server) = run_pair(
            request(ChannelType::MAIN, 9, 0),
            server_caps(ChannelType::MAIN),
            b"wrong",
            chunk,
        );
        assert_eq!(ended, Err(HandshakeError::Rejected(DENIED)));
        assert_eq!(server.ended, Some(Err(HandshakeError::Refused(Refusal::Code(DENIED)))));
    }
}

#[test]
fn without_selection_the_ticket_stands_alone() {
    for (client_bits, server_bits) in [(8, 0xb), (9, 0xa), (8, 0xa)] {
        let shown = Capabilities {
            common: CapabilityWords::word(server_bits),
            ..Capabilities::default()
        };
        let (ended, server) = run_pair(request(ChannelType::CURSOR, client_bits, 0), shown, TICKET, 64);
        assert!(ended.is_ok(), "{client_bits:#x} {server_bits:#x}: {ended:?}");
        assert!(server.ended.unwrap().is_ok());
    }
}

#[test]
fn full_headers_unless_both_want_mini_ones() {
    for (own, shown, form) in [
        (9, 0xb, HeaderForm::Mini),
        (1, 0xb, HeaderForm::Full),
        (9, 3, HeaderForm::Full),
    ] {
        let shown = Capabilities {
            common: CapabilityWords::word(shown),
            ..Capabilities::default()
        };
        let (ended, server) = run_pair(request(ChannelType::CURSOR, own, 0), shown, TICKET, 64);
        assert_eq!(ended.unwrap().header_form, form);
        assert_eq!(server.ended.unwrap().unwrap().header_form, form);
    }
}

#[test]
fn required_capabilities_are_checked_before_the_ticket_goes() {
    let required = Capabilities {
        channel: CapabilityWords::of(&[display::CODEC_H264]),
        ..Capabilities::default()
    };
    let config = ClientConfig::new(request(ChannelType::DISPLAY, 9, 0)).with_required(required);
    let mut client = ClientLink::new(NOW, config, Secret::new(TICKET), [0; 20]);
    let (mut buffers, mut server) = (
        Buffers::default(),
        Server::new(server_caps(ChannelType::DISPLAY), TICKET),
    );
    assert!(matches!(
        client.step(NOW, &mut buffers),
        Ok(Action::Receive { at_least: 4 })
    ));
    buffers.rx.extend_from_slice(&server.turn(&buffers.tx.split()));
    let missing = Incompatibility::MissingCapability {
        set: CapabilitySet::Channel,
        bit: display::CODEC_H264,
    };
    assert_eq!(
        client.step(NOW, &mut buffers),
        Err(HandshakeError::PeerIncompatible(missing))
    );
    assert!(buffers.tx.is_empty());
    assert_eq!(
        client.step(NOW, &mut buffers),
        Err(HandshakeError::PeerIncompatible(missing)),
        "an error is terminal"
    );
}

#[test]
fn a_server_with_sasl_alone_takes_no_tickets() {
    let mut reply = LinkReply::refusal(LinkErrorCode::OK);
    reply.capabilities.common = CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::AUTH_SASL]);
    let mut buffers = Buffers::default();
    let mut client = client(request(ChannelType::MAIN, 9, 0), TICKET);
    reply.encode(&mut buffers.rx).unwrap();
    assert_eq!(
        client.step(NOW, &mut buffers),
        Err(HandshakeError::PeerIncompatible(Incompatibility::NoTickets))
    );
}

/// Keys that a hostile hypervisor might send.
#[test]
fn a_key_that_is_none_is_refused() {
    let good = *key().public().as_der();
    let mut even = good;
    even[156] &= 0xfe;
    let mut zero = good;
    zero[29..157].fill(0);
    for bad in [[0; 162], [0xff; 162], even, zero] {
        let mut reply = LinkReply::refusal(LinkErrorCode::OK);
        reply.capabilities = server_caps(ChannelType::MAIN);
        reply.pub_key = bad;
        let mut buffers = Buffers::default();
        reply.encode(&mut buffers.rx).unwrap();
        let mut client = client(request(ChannelType::MAIN, 9, 0), TICKET);
        let error = client.step(NOW, &mut buffers).unwrap_err();
        assert!(matches!(error, HandshakeError::Crypto(_)), "{error:?}");
    }
}

#[test]
fn answers_out_of_order_are_misuse_and_change_nothing() {
    let mut buffers = Buffers::default();
    let mut server = ServerLink::new(NOW, Limits::default());
    let shown = || Announcement {
        public_key: key().public(),
        capabilities: server_caps(ChannelType::MAIN),
    };
    let code = Refusal::Code(DENIED);
    assert_eq!(server.announce(&mut buffers, shown()), Err(Misuse::NotAsked));
    assert_eq!(server.accept(&mut buffers), Err(Misuse::NotAsked));
    assert_eq!(server.refuse(&mut buffers, code), Err(Misuse::NotAsked));
    request(ChannelType::MAIN, 9, 0xf).encode(&mut buffers.rx).unwrap();
    assert!(matches!(
        server.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Link(_)))
    ));
    assert!(matches!(server.step(NOW, &mut buffers), Ok(Action::Waiting)));
    assert_eq!(server.accept(&mut buffers), Err(Misuse::NotAsked));
    assert_eq!(
        server.refuse(&mut buffers, Refusal::Code(LinkErrorCode::OK)),
        Err(Misuse::RefusalSaysOk)
    );
    assert!(buffers.tx.is_empty());
    server.announce(&mut buffers, shown()).unwrap();
    assert_eq!(server.announce(&mut buffers, shown()), Err(Misuse::NotAsked));
    assert!(matches!(
        server.step(NOW, &mut buffers),
        Ok(Action::Receive { at_least: 4 })
    ));
    buffers.rx.extend_from_slice(&[1, 0, 0, 0]);
    assert!(matches!(
        server.step(NOW, &mut buffers),
        Ok(Action::Receive { at_least: 128 })
    ));
    buffers.rx.extend_from_slice(&[9; 130]);
    assert!(matches!(
        server.step(NOW, &mut buffers),
        Ok(Action::Ask(ServerQuestion::Ticket { .. }))
    ));
    assert_eq!(
        server.refuse(&mut buffers, Refusal::Code(LinkErrorCode::OK)),
        Err(Misuse::RefusalSaysOk)
    );
    server.accept(&mut buffers).unwrap();
    assert_eq!(server.accept(&mut buffers), Err(Misuse::NotAsked));
    assert!(matches!(server.step(NOW, &mut buffers), Ok(Action::Done(_))));
    assert_eq!(
        server.step(NOW, &mut buffers),
        Err(HandshakeError::Misuse(Misuse::Ended))
    );
    assert_eq!(&buffers.rx[..], [9, 9], "the data stage is left");
}

/// A relay refuses a link before anything is shown with the same method as a ticket: the code is in a link reply.
#[test]
fn a_relay_refuses_at_every_question() {
    for (why, told) in [
        (
            Refusal::Code(LinkErrorCode::CHANNEL_NOT_AVAILABLE),
            16 + LinkReply::MIN_LEN,
        ),
        (Refusal::Close, 0),
    ] {
        let mut sides = SideBuffers::default();
        let mut relay = RelayLink::new(NOW, RelayConfig::default());
        assert_eq!(relay.refuse(&mut sides, why), Err(Misuse::NotAsked));
        request(ChannelType::DISPLAY, 9, 0xf)
            .encode(&mut sides.tenant.rx)
            .unwrap();
        relay.step(NOW, &mut sides).unwrap();
        let ok = Refusal::Code(LinkErrorCode::OK);
        assert_eq!(relay.refuse(&mut sides, ok), Err(Misuse::RefusalSaysOk));
        relay.refuse(&mut sides, why).unwrap();
        assert_eq!(sides.tenant.tx.len(), told);
        if let Refusal::Code(code) = why {
            let reply = LinkReply::decode_slice(&sides.tenant.tx[16..], &Limits::default()).unwrap();
            assert_eq!(reply.error, code);
        }
        let error = relay.step(NOW, &mut sides).unwrap_err();
        assert_eq!(error.error, HandshakeError::Refused(why));
        assert!(sides.hypervisor.tx.is_empty());
    }
}

#[test]
fn relay_answers_out_of_order_are_misuse() {
    let mut sides = SideBuffers::default();
    let mut relay = RelayLink::new(NOW, RelayConfig::default());
    let upstream = || Upstream {
        ticket: Secret::new(TICKET),
        oaep_seed: [0; 20],
    };
    assert_eq!(relay.admit(&mut sides, upstream()), Err(Misuse::NotAsked));
    request(ChannelType::MAIN, 9, 0xf).encode(&mut sides.tenant.rx).unwrap();
    relay.step(NOW, &mut sides).unwrap();
    assert_eq!(
        relay.admit(&mut sides, upstream()),
        Err(Misuse::NotAsked),
        "the open question is another one"
    );
    let shown = Announcement {
        public_key: key().public(),
        capabilities: server_caps(ChannelType::MAIN),
    };
    relay.tenant().announce(&mut sides.tenant, shown).unwrap();
    sides.tenant.rx.extend_from_slice(&[1, 0, 0, 0]);
    sides.tenant.rx.extend_from_slice(&[9; 128]);
    relay.step(NOW, &mut sides).unwrap();
    let tx = sides.tenant.tx.len();
    assert_eq!(
        relay.tenant().accept(&mut sides.tenant),
        Err(Misuse::NotAsked),
        "the hypervisor has not accepted"
    );
    assert_eq!(
        relay.tenant().refuse(&mut sides.tenant, Refusal::Close),
        Err(Misuse::NotAsked),
        "the relay refuses"
    );
    assert_eq!(sides.tenant.tx.len(), tx);
    relay.admit(&mut sides, upstream()).unwrap();
    assert_eq!(relay.admit(&mut sides, upstream()), Err(Misuse::NotAsked));
    assert_eq!(relay.refuse(&mut sides, Refusal::Close), Err(Misuse::NotAsked));
}

#[test]
fn deadlines() {
    let limits = Limits::default().with_link_timeout(Duration::from_secs(3));
    let start = Duration::from_secs(100);
    let late = start + Duration::from_secs(3);
    let just_before = late - Duration::from_nanos(1);

    let mut server = ServerLink::new(start, limits.clone());
    let mut buffers = Buffers::default();
    assert_eq!(server.deadline(), late);
    assert!(matches!(
        server.step(just_before, &mut buffers),
        Ok(Action::Receive { .. })
    ));
    assert_eq!(
        server.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::LinkMess))
    );
    assert!(buffers.tx.is_empty(), "nothing is told");

    // Also while the caller looks for an answer.
    let mut server = ServerLink::new(start, limits.clone());
    request(ChannelType::MAIN, 9, 0xf).encode(&mut buffers.rx).unwrap();
    assert!(matches!(server.step(just_before, &mut buffers), Ok(Action::Ask(_))));
    assert!(matches!(server.step(just_before, &mut buffers), Ok(Action::Waiting)));
    assert_eq!(
        server.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::Answer))
    );

    let config = ClientConfig::new(request(ChannelType::MAIN, 9, 0)).with_limits(limits.clone());
    let mut client = ClientLink::new(start, config, Secret::new(TICKET), [0; 20]);
    assert!(client.step(just_before, &mut buffers).is_ok());
    assert_eq!(
        client.step(late, &mut buffers),
        Err(HandshakeError::TimedOut(Stage::LinkReply))
    );

    // The hypervisor's time begins when the tenant is admitted.
    let mut sides = SideBuffers::default();
    let mut relay = RelayLink::new(start, RelayConfig::default().with_limits(limits));
    request(ChannelType::MAIN, 9, 0xf).encode(&mut sides.tenant.rx).unwrap();
    relay.step(start, &mut sides).unwrap();
    let shown = Announcement {
        public_key: key().public(),
        capabilities: server_caps(ChannelType::MAIN),
    };
    relay.tenant().announce(&mut sides.tenant, shown).unwrap();
    sides.tenant.rx.extend_from_slice(&[1, 0, 0, 0]);
    sides.tenant.rx.extend_from_slice(&[9; 128]);
    relay.step(just_before, &mut sides).unwrap();
    relay
        .admit(
            &mut sides,
            Upstream {
                ticket: Secret::new(TICKET),
                oaep_seed: [0; 20],
            },
        )
        .unwrap();
    relay.step(just_before, &mut sides).unwrap();
    assert_eq!(relay.deadline(), just_before + Duration::from_secs(3));
    sides.tenant.tx.clear();
    let error = relay
        .step(just_before + Duration::from_secs(3), &mut sides)
        .unwrap_err();
    assert_eq!(
        (error.side, error.error),
        (Side::Hypervisor, HandshakeError::TimedOut(Stage::LinkReply))
    );
    assert!(sides.tenant.tx.is_empty(), "the tenant is told nothing");
}

#[test]
fn hanging_up_is_an_error_at_every_stage() {
    let mut buffers = Buffers::default();
    let mut server = ServerLink::new(NOW, Limits::default());
    assert_eq!(server.eof(), Err(HandshakeError::Closed(Stage::LinkMess)));
    assert_eq!(
        server.step(NOW, &mut buffers),
        Err(HandshakeError::Closed(Stage::LinkMess))
    );
    let mut client = client(request(ChannelType::MAIN, 9, 0), TICKET);
    client.step(NOW, &mut buffers).unwrap();
    assert_eq!(client.eof(), Err(HandshakeError::Closed(Stage::LinkReply)));
    let mut relay = RelayLink::new(NOW, RelayConfig::default());
    let error = relay.eof(&mut SideBuffers::default(), Side::Tenant).unwrap_err();
    assert_eq!(
        (error.side, error.error),
        (Side::Tenant, HandshakeError::Closed(Stage::LinkMess))
    );
}

#[test]
fn limits_and_one_beyond() {
    // The declared size, before anything is received.
    for (size, fits) in [(17, false), (18, true), (4096, true), (4097, false), (u32::MAX, false)] {
        let mut server = ServerLink::new(NOW, Limits::default());
        let mut buffers = Buffers::default();
        LinkHeader::new(size).encode(&mut buffers.rx).unwrap();
        let capacity = buffers.rx.capacity();
        let stepped = server.step(NOW, &mut buffers);
        assert_eq!(
            matches!(stepped, Ok(Action::Receive { .. })),
            fits,
            "{size}: {stepped:?}"
        );
        assert_eq!(
            buffers.rx.capacity(),
            capacity,
            "nothing is allocated for a declared size"
        );
        let told = LinkReply::decode_slice(buffers.tx.get(16..).unwrap_or_default(), &Limits::default());
        assert_eq!(
            told.map(|reply| reply.error).ok(),
            (!fits).then_some(LinkErrorCode::INVALID_DATA)
        );
    }
    // Counts of capability words.
    let limits = Limits::default().with_capability_words(3);
    for (common, channel, field) in [
        (3, 3, None),
        (4, 0, Some("num_common_caps")),
        (0, 4, Some("num_channel_caps")),
    ] {
        let mut message = request(ChannelType::MAIN, 0, 0);
        message.capabilities.common = (0..common).collect();
        message.capabilities.channel = (0..channel).collect();
        let mut bytes = bytes::BytesMut::new();
        message.encode(&mut bytes).unwrap();
        let decoded = LinkMess::decode_slice(&bytes[16..], &limits);
        match field {
            None => assert_eq!(decoded, Ok(message)),
            Some(field) => {
                let error = decoded.unwrap_err();
                assert_eq!(
                    (error.field, error.kind),
                    (field, DecodeErrorKind::TooLarge { value: 4, limit: 3 })
                );
            }
        }
    }
    // CVE-2016-9578: counts whose sum wraps to a small number.
    let mut bytes = bytes::BytesMut::new();
    request(ChannelType::MAIN, 0, 0).encode(&mut bytes).unwrap();
    bytes[22..26].copy_from_slice(&0x8000_0000_u32.to_le_bytes());
    bytes[26..30].copy_from_slice(&0x8000_0000_u32.to_le_bytes());
    let error = LinkMess::decode_slice(&bytes[16..], &Limits::default().with_capability_words(u32::MAX)).unwrap_err();
    expect!["LinkMess.capability words at byte 18: truncated: needs 17179869184 bytes, 8 left"]
        .assert_eq(&error.to_string());
}

#[test]
fn errors_tell_where() {
    let mut body = vec![0; 18];
    let error = |body: &[u8]| {
        LinkMess::decode_slice(body, &Limits::default())
            .unwrap_err()
            .to_string()
    };
    expect!["LinkMess.num_common_caps at byte 6: truncated: needs 4 bytes, 3 left"].assert_eq(&error(&body[..9]));
    body[6] = 1;
    expect!["LinkMess.caps_offset at byte 14: 0 is below the minimum of 18"].assert_eq(&error(&body));
    body[14] = 19;
    expect!["LinkMess.caps_offset at byte 14: offset 19 lies outside of the 18 bytes of the message"]
        .assert_eq(&error(&body));
    body[14] = 18;
    expect!["LinkMess.capability words at byte 18: truncated: needs 4 bytes, 0 left"].assert_eq(&error(&body));

    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(b"RFB 003.008\n");
    let error = ServerLink::new(NOW, Limits::default())
        .step(NOW, &mut buffers)
        .unwrap_err();
    expect![[r#"LinkHeader.magic at byte 0: expected "REDQ", found "RFB ": RFB (VNC)"#]].assert_eq(&error.to_string());
}

#[test]
fn a_websocket_is_named_and_left_to_others() {
    let hello = b"GET /websockify HTTP/1.1\r\n";
    for end in 4..=hello.len() {
        let mut buffers = Buffers::default();
        let mut server = ServerLink::new(NOW, Limits::default());
        buffers.rx.extend_from_slice(&hello[..3]);
        assert_eq!(server.step(NOW, &mut buffers), Ok(Action::Receive { at_least: 1 }));
        buffers.rx.extend_from_slice(&hello[3..end]);
        let error = server.step(NOW, &mut buffers).unwrap_err();
        assert_eq!(error, HandshakeError::PeerIncompatible(Incompatibility::WebSocket));
        assert_eq!(
            (&buffers.rx[..], &buffers.tx[..]),
            (&hello[..end], &[][..]),
            "all is left, and nothing was said"
        );
    }
    let mut sides = SideBuffers::default();
    sides.tenant.rx.extend_from_slice(hello);
    let error = RelayLink::new(NOW, RelayConfig::default())
        .step(NOW, &mut sides)
        .unwrap_err();
    expect!["tenant: peer incompatible: speaks HTTP, not SPICE: a WebSocket client?"].assert_eq(&error.to_string());
    // Four letters, and no others.
    for other in [b"GET/", b"get ", b"HEAD", b"POST"] {
        let mut buffers = Buffers::default();
        buffers.rx.extend_from_slice(other);
        let error = ServerLink::new(NOW, Limits::default())
            .step(NOW, &mut buffers)
            .unwrap_err();
        assert!(matches!(error, HandshakeError::Decode(_)), "{error:?}");
        assert_eq!(buffers.tx[16..20], LinkErrorCode::INVALID_MAGIC.0.to_le_bytes());
    }
}

/// TLS where there is none, and the other way round: a server says so before it asks for anything.
#[test]
fn the_wrong_port_is_told_by_its_code() {
    for (code, wanted) in [
        (LinkErrorCode::NEED_SECURED, Some(Transport::Tls)),
        (LinkErrorCode::NEED_UNSECURED, Some(Transport::Plain)),
        (LinkErrorCode::ERROR, None),
    ] {
        let (mut server, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
        let mut client = client(request(ChannelType::MAIN, 9, 0xf), TICKET);
        let mut clients = Buffers::default();
        client.step(NOW, &mut clients).unwrap();
        buffers.rx = clients.tx.split();
        assert!(matches!(
            server.step(NOW, &mut buffers),
            Ok(Action::Ask(ServerQuestion::Link(_)))
        ));
        server.refuse(&mut buffers, Refusal::Code(code)).unwrap();
        clients.rx = buffers.tx.split();
        let error = client.step(NOW, &mut clients).unwrap_err();
        assert_eq!(
            (error, error.wanted_transport()),
            (HandshakeError::Rejected(code), wanted)
        );
        assert!(clients.tx.is_empty(), "the ticket stays here");
        assert_eq!(
            server.step(NOW, &mut buffers),
            Err(HandshakeError::Refused(Refusal::Code(code)))
        );
    }
}

#[test]
fn secrets_are_not_shown() {
    let config = ClientConfig::new(request(ChannelType::MAIN, 9, 0));
    let client = ClientLink::new(NOW, config, Secret::new(b"hunter2"), *b"seed-seed-seed-seed-");
    let upstream = Upstream {
        ticket: Secret::new(b"hunter2"),
        oaep_seed: *b"seed-seed-seed-seed-",
    };
    let text = format!("{client:?} {upstream:?} {:?}", key());
    assert!(!text.contains("hunter2") && !text.contains("104, 117, 110"), "{text}");
    assert!(!text.contains("115, 101, 101, 100"), "{text}");
}

/// Real programs send one word a set; up to four take no memory of their own.
#[test]
fn link_messages_with_few_words_allocate_nothing() {
    let limits = Limits::default();
    for words in 0..=5_u32 {
        let set: CapabilityWords = (1..=words).collect();
        let capabilities = Capabilities {
            common: set.clone(),
            channel: set.clone(),
        };
        let mess = LinkMess {
            connection_id: 7,
            channel_type: ChannelType::MAIN,
            channel_id: 0,
            capabilities: capabilities.clone(),
        };
        let reply = LinkReply {
            capabilities,
            ..LinkReply::refusal(LinkErrorCode::OK)
        };
        let (mut asked, mut answered) = (bytes::BytesMut::new(), bytes::BytesMut::new());
        mess.encode(&mut asked).unwrap();
        reply.encode(&mut answered).unwrap();
        let info = allocation_counter::measure(|| {
            assert_eq!(LinkMess::decode_slice(&asked[16..], &limits), Ok(mess));
            assert_eq!(LinkReply::decode_slice(&answered[16..], &limits), Ok(reply));
        });
        assert_eq!(info.count_total == 0, words <= 4, "{words} words: {info:?}");
    }
}
