//! The relay between a tenant and a hypervisor.

use expect_test::expect;
use spice_proto::caps::{Capabilities, CapabilitySet, CapabilityWords, display};
use spice_proto::frame::HeaderForm;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::{Event, HandshakeError, Incompatibility, Refusal, RelayConfig, Side, Stage};

use crate::pair::{Chain, TICKET, TOKEN, client, request};

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
    expect!["hypervisor: peer incompatible: lacks capability 12 of the channel's set"].assert_eq(&error.to_string());

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
