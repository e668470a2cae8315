//! The relay between a tenant and a hypervisor.

use expect_test::expect;
use spice_proto::caps::{Capabilities, CapabilitySet, CapabilityWords, display};
use spice_proto::frame::HeaderForm;
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use spice_proto::link::relay::{self, RelayAction, Upstream};
use spice_proto::link::server::ServerQuestion;
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, Event, HandshakeError, Incompatibility, Machine, Misbehaviour, Misuse,
    Refusal, RelayConfig, RelayLink, Secret, Side, SideBuffers, Stage,
};

use crate::hostile_sasl::{answer_client, told};
use crate::pair::{Chain, NOW, Server, TICKET, TOKEN, client, request};
use crate::sasl::{asked, shown};

const DENIED: LinkErrorCode = LinkErrorCode::PERMISSION_DENIED;

fn server_caps(channel_type: ChannelType) -> Capabilities {
    Capabilities::spice_server(channel_type)
}

#[test]
fn relay_in_any_chunks() {
    for chunk in [1, 5, 128, 10_000] {
        let chain = Chain::new(
            request(ChannelType::MAIN, 0xd, 0xf),
            server_caps(ChannelType::MAIN),
            RelayConfig::default(),
        );
        let (ended, mut chain) = chain.run(chunk);
        let outcome = ended.relay.unwrap();
        assert_eq!(ended.tenant.unwrap().header_form, HeaderForm::Mini);
        assert_eq!(ended.hypervisor.unwrap().unwrap().header_form, HeaderForm::Mini);
        assert_eq!(
            (outcome.tenant_form, outcome.hypervisor_form),
            (HeaderForm::Mini, HeaderForm::Mini)
        );
        // SASL (bit 2) is cleared and AUTH_SPICE (bit 1) set: 0xd becomes 0xb.
        let asked = chain.hypervisor.request.unwrap();
        assert_eq!(asked, request(ChannelType::MAIN, 0xb, 0xf));
        assert!(!chain.to_hypervisor.windows(TOKEN.len()).any(|bytes| bytes == TOKEN));
        assert!(!chain.to_tenant.windows(TICKET.len()).any(|bytes| bytes == TICKET));
        let events: Vec<Event> = core::iter::from_fn(|| chain.relay.poll_event()).collect();
        let requested = Event::Requested {
            connection_id: 0,
            channel_type: ChannelType::MAIN,
            channel_id: 0,
        };
        assert_eq!(events, [requested, Event::Linked]);
    }
}

#[test]
fn all_words_of_the_tenant_reach_the_hypervisor() {
    let mut asked = request(ChannelType::DISPLAY, 0xd, 0xffff);
    asked.connection_id = 0xdead_beef;
    asked.channel_id = 3;
    asked.capabilities.common = [0xd, 0xaaaa, 5, 6, 7].into_iter().collect();
    asked.capabilities.channel = [1, 2, 3].into_iter().collect();
    let chain = Chain::new(asked.clone(), server_caps(ChannelType::DISPLAY), RelayConfig::default());
    let (ended, chain) = chain.run(1000);
    ended.relay.unwrap();
    asked.capabilities.common = [0xb, 0xaaaa, 5, 6, 7].into_iter().collect();
    assert_eq!(chain.hypervisor.request.unwrap(), asked);
}

#[test]
fn a_hypervisor_without_mini_header_is_bridged() {
    let shown = Capabilities {
        common: CapabilityWords::word(3),
        ..server_caps(ChannelType::DISPLAY)
    };
    let (ended, mut chain) =
        Chain::new(request(ChannelType::DISPLAY, 9, 0xffff), shown, RelayConfig::default()).run(1000);
    assert_eq!(ended.tenant.unwrap().header_form, HeaderForm::Mini);
    assert_eq!(ended.hypervisor.unwrap().unwrap().header_form, HeaderForm::Full);
    let outcome = ended.relay.unwrap();
    assert_eq!(
        (outcome.tenant_form, outcome.hypervisor_form),
        (HeaderForm::Mini, HeaderForm::Full)
    );
    assert!(core::iter::from_fn(|| chain.relay.poll_event()).any(|event| event == Event::HeadersBridged));
}

#[test]
fn a_hypervisor_with_fewer_bits_is_refused_before_the_tenant_is_accepted() {
    // 0x1052 is promised; PREF_VIDEO_CODEC_TYPE (bit 12) is missing.
    let fewer = Capabilities {
        channel: CapabilityWords::word(0x0052),
        ..server_caps(ChannelType::DISPLAY)
    };
    let asked = request(ChannelType::DISPLAY, 9, 0xffff);
    let (ended, chain) = Chain::new(asked.clone(), fewer.clone(), RelayConfig::default()).run(1000);
    let error = ended.relay.unwrap_err();
    let bit = display::PREF_VIDEO_CODEC_TYPE;
    let missing = Incompatibility::MissingCapability {
        set: CapabilitySet::Channel,
        bit,
    };
    assert_eq!(
        (error.side, error.error),
        (Side::Hypervisor, HandshakeError::PeerIncompatible(missing))
    );
    assert_eq!(
        ended.tenant,
        Err(HandshakeError::Closed(Stage::LinkResult)),
        "no result: the connection is closed"
    );
    assert_eq!(chain.hypervisor.ended, None, "no ticket was sent");
    expect!["hypervisor: peer incompatible: lacks capability 12 of the channel's set (display PREF_VIDEO_CODEC_TYPE)"]
        .assert_eq(&error.to_string());

    let waived = Capabilities {
        channel: CapabilityWords::of(&[bit]),
        ..Capabilities::default()
    };
    let (ended, mut chain) = Chain::new(asked.clone(), fewer, RelayConfig::default().with_waived(waived)).run(1000);
    ended.relay.unwrap();
    ended.tenant.unwrap();
    let waived = Event::Waived {
        set: CapabilitySet::Channel,
        bit,
    };
    assert!(core::iter::from_fn(|| chain.relay.poll_event()).any(|event| event == waived));

    // A bit that was never promised may be missing.
    let (ended, _) = Chain {
        shown: Capabilities {
            channel: CapabilityWords::word(2),
            ..server_caps(ChannelType::DISPLAY)
        },
        ..Chain::new(
            asked,
            Capabilities {
                channel: CapabilityWords::word(2),
                ..server_caps(ChannelType::DISPLAY)
            },
            RelayConfig::default(),
        )
    }
    .run(1000);
    ended.relay.unwrap();
}

#[test]
fn a_hypervisor_with_more_bits_is_fine() {
    let more = Capabilities {
        common: [0xb, 1].into_iter().collect(),
        channel: [0x7fff, 0xffff_ffff].into_iter().collect(),
    };
    let (ended, _) = Chain::new(request(ChannelType::DISPLAY, 9, 0xffff), more, RelayConfig::default()).run(1000);
    let outcome = ended.relay.unwrap();
    assert_eq!(outcome.announced, server_caps(ChannelType::DISPLAY));
    assert_eq!(
        ended.tenant.unwrap().capabilities,
        server_caps(ChannelType::DISPLAY),
        "the tenant sees the promise"
    );
}

#[test]
fn a_wrong_token_never_reaches_the_hypervisor() {
    let mut chain = Chain::new(
        request(ChannelType::MAIN, 9, 0xf),
        server_caps(ChannelType::MAIN),
        RelayConfig::default(),
    );
    chain.tenant = client(request(ChannelType::MAIN, 9, 0xf), b"another token");
    let (ended, chain) = chain.run(1000);
    let error = ended.relay.unwrap_err();
    assert_eq!(
        (error.side, error.error),
        (Side::Tenant, HandshakeError::Refused(Refusal::Code(DENIED)))
    );
    assert_eq!(ended.tenant, Err(HandshakeError::Rejected(DENIED)));
    assert!(chain.to_hypervisor.is_empty());
}

#[test]
fn what_the_tenant_is_told_when_the_hypervisor_refuses() {
    for (told, seen) in [
        (Refusal::Close, HandshakeError::Closed(Stage::LinkResult)),
        (
            Refusal::Code(LinkErrorCode::ERROR),
            HandshakeError::Rejected(LinkErrorCode::ERROR),
        ),
        // A configured OK does not accept the tenant.
        (
            Refusal::Code(LinkErrorCode::OK),
            HandshakeError::Closed(Stage::LinkResult),
        ),
    ] {
        let config = RelayConfig::default().with_upstream_failure(told);
        let mut chain = Chain::new(
            request(ChannelType::MAIN, 9, 0xf),
            server_caps(ChannelType::MAIN),
            config,
        );
        chain.hypervisor.password = b"another ticket".to_vec();
        let (ended, _) = chain.run(1000);
        let error = ended.relay.unwrap_err();
        assert_eq!(
            (error.side, error.error),
            (Side::Hypervisor, HandshakeError::Rejected(DENIED))
        );
        assert_eq!(ended.tenant, Err(seen));
    }
}

/// The relay ends SASL towards the tenant and gives the hypervisor its ticket.
#[test]
fn the_relay_ends_sasl() {
    for (layer, admit, password) in [
        (false, true, TICKET),
        (true, true, TICKET),
        (false, false, TICKET),
        (false, true, b"other"),
    ] {
        let mut relay = RelayLink::new(NOW, RelayConfig::default());
        let mut sides = SideBuffers::default();
        let mut tenant = ClientLink::sasl(NOW, ClientConfig::new(asked()));
        let mut near = Buffers::default();
        let mut hypervisor = Server::new(Capabilities::spice_server(ChannelType::MAIN), TICKET);
        let (mut tenant_end, mut relay_end) = (None, None);
        for _ in 0..20 {
            while tenant_end.is_none() {
                match tenant.step(NOW, &mut near) {
                    Ok(Action::Receive { .. }) => break,
                    Ok(Action::Ask(spice_proto::link::client::ClientQuestion::SaslStep { complete: true, .. })) => {
                        tenant.sasl_end(layer).unwrap()
                    }
                    Ok(Action::Ask(question)) => answer_client(&mut tenant, &mut near, question).unwrap(),
                    Ok(Action::Waiting) => unreachable!(),
                    Ok(Action::Done(outcome)) => tenant_end = Some(Ok(outcome)),
                    Err(error) => tenant_end = Some(Err(error)),
                }
            }
            sides.tenant.rx.extend(near.tx.split());
            while relay_end.is_none() {
                match relay.step(NOW, &mut sides) {
                    Ok(RelayAction::Receive { .. }) => break,
                    Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(question))) => {
                        assert!(sides.hypervisor.tx.is_empty(), "the hypervisor hears nothing yet");
                        match question {
                            ServerQuestion::Link(_) => relay
                                .tenant()
                                .announce_sasl(&mut sides.tenant, shown(&["PLAIN"]))
                                .unwrap(),
                            ServerQuestion::SaslStart { data: Some(data), .. } => {
                                assert_eq!(data.expose(), b"hunter2");
                                relay.tenant().sasl_reply(&mut sides.tenant, Some(b"more")).unwrap();
                            }
                            ServerQuestion::SaslStep { data: None } => {
                                relay.tenant().sasl_complete(&mut sides.tenant, None, layer).unwrap()
                            }
                            ServerQuestion::SaslLayer => {
                                // The toy layer of this test changes nothing.
                                relay.tenant().layered().unwrap();
                            }
                            ServerQuestion::Admit { request } if admit => {
                                assert_eq!(request, asked());
                                assert_eq!(
                                    relay.refuse(&mut sides, Refusal::Code(LinkErrorCode::OK)),
                                    Err(Misuse::RefusalSaysOk)
                                );
                                let upstream = Upstream {
                                    ticket: Secret::new(password),
                                    oaep_seed: [5; 20],
                                };
                                relay.admit(&mut sides, upstream).unwrap();
                            }
                            ServerQuestion::Admit { .. } => relay.refuse(&mut sides, Refusal::Code(DENIED)).unwrap(),
                            other => panic!("{other:?}"),
                        }
                    }
                    Ok(RelayAction::Ask(_) | RelayAction::Waiting) => unreachable!(),
                    Ok(RelayAction::Done(outcome)) => relay_end = Some(Ok(outcome)),
                    Err(error) => relay_end = Some(Err(error)),
                }
            }
            let down = hypervisor.turn(&sides.hypervisor.tx.split());
            sides.hypervisor.rx.extend(down);
            near.rx.extend(sides.tenant.tx.split());
            if relay_end.is_some() && near.rx.is_empty() {
                break;
            }
        }
        let tenant_end = tenant_end.unwrap_or_else(|| tenant.eof());
        match (admit, password == TICKET) {
            (true, true) => {
                assert_eq!(tenant_end.unwrap().mechanism, AuthMechanism::SASL);
                relay_end.unwrap().unwrap();
                // 0xd of the tenant is 0xb for the hypervisor: it is given a ticket.
                assert_eq!(hypervisor.request, Some(request(ChannelType::MAIN, 0xb, 0xf)));
                assert_eq!(hypervisor.ended.unwrap().unwrap().mechanism, AuthMechanism::SPICE);
            }
            (false, _) => {
                assert_eq!(tenant_end, Err(HandshakeError::Rejected(DENIED)));
                assert_eq!(relay_end.unwrap().unwrap_err().side, Side::Tenant);
                assert_eq!(hypervisor.request, None);
            }
            (true, false) => {
                assert_eq!(tenant_end, Err(HandshakeError::Closed(Stage::LinkResult)));
                assert_eq!(relay_end.unwrap().unwrap_err().side, Side::Hypervisor);
            }
        }
    }
    // Not announced, SASL is refused.
    let mut relay = RelayLink::new(NOW, RelayConfig::default());
    let mut sides = SideBuffers::default();
    asked().encode(&mut sides.tenant.rx).unwrap();
    relay.step(NOW, &mut sides).unwrap();
    let shown = spice_proto::link::server::Announcement {
        public_key: crate::pair::key().public(),
        capabilities: Capabilities::spice_server(ChannelType::MAIN),
    };
    relay.tenant().announce(&mut sides.tenant, shown).unwrap();
    sides.tenant.tx.clear();
    sides.tenant.rx.extend_from_slice(&AuthMechanism::SASL.0.to_le_bytes());
    let error = relay.step(NOW, &mut sides).unwrap_err();
    assert_eq!(
        error.error,
        HandshakeError::PeerMisbehaved(Misbehaviour::MechanismNotOffered(2))
    );
    assert_eq!(told(&mut sides.tenant.tx), Some(LinkErrorCode::INVALID_DATA));
}
