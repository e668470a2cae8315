//! What became of a hypervisor's ticket, wherever its link breaks off; and links that ask and prove nothing.

use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::{Capabilities, CapabilitySet, CapabilityWords};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::{RelayQuestion, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, Event, HandshakeError, Incompatibility, LinkReply, Machine,
    Misbehaviour, RelayConfig, RelayLink, Secret, Side, SideBuffers, Stage, TicketOutcome, relay::RelayAction,
};

use crate::pair::{Chain, NOW, Server, TICKET, TOKEN, key, request};

const MAIN: ChannelType = ChannelType::MAIN;
const DENIED: LinkErrorCode = LinkErrorCode::PERMISSION_DENIED;

/// A relay whose hypervisor is connected and was told nothing yet.
fn admitted(channel: ChannelType, connection_id: u32) -> (RelayLink, SideBuffers) {
    let (mut relay, mut sides) = (RelayLink::new(NOW, RelayConfig::default()), SideBuffers::default());
    let mut asked = request(channel, 0xb, 0xf);
    asked.connection_id = connection_id;
    asked.encode(&mut sides.tenant.rx).unwrap();
    sides.tenant.rx.extend_from_slice(&1_u32.to_le_bytes());
    let sealed = key().public().seal(TOKEN, [7; 20]).unwrap();
    sides.tenant.rx.extend_from_slice(&sealed.0);
    loop {
        match relay.step(NOW, &mut sides).unwrap() {
            RelayAction::Ask(RelayQuestion::Tenant(ServerQuestion::Link(_))) => {
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities: Capabilities::spice_server(channel),
                };
                relay.tenant().announce(&mut sides.tenant, shown).unwrap();
            }
            RelayAction::Ask(RelayQuestion::Tenant(ServerQuestion::Ticket { .. })) => break,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(relay.ticket(), TicketOutcome::NotSent);
    let upstream = Upstream {
        ticket: Secret::new(TICKET),
        oaep_seed: [5; 20],
    };
    relay.admit(&mut sides, upstream).unwrap();
    (relay, sides)
}

fn reply(capabilities: Capabilities) -> BytesMut {
    let mut bytes = BytesMut::new();
    let reply = LinkReply {
        error: LinkErrorCode::OK,
        pub_key: *key().public().as_der(),
        capabilities,
    };
    reply.encode(&mut bytes).unwrap();
    bytes
}

/// How a link breaks off.
#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    HypervisorGoes,
    TenantGoes,
    TimeIsOver,
    GivenUp,
}

#[test]
fn a_ticket_at_every_byte_of_the_hypervisors_answer() {
    let head = reply(Capabilities::spice_server(MAIN));
    for code in [LinkErrorCode::OK, DENIED, LinkErrorCode::BAD_CONNECTION_ID] {
        let said = [&head[..], &code.0.to_le_bytes()].concat();
        for (cut, end) in (0..=said.len())
            .flat_map(|cut| [End::HypervisorGoes, End::TenantGoes, End::TimeIsOver, End::GivenUp].map(|end| (cut, end)))
        {
            let (mut relay, mut sides) = admitted(MAIN, 0);
            sides.hypervisor.rx.extend_from_slice(&said[..cut]);
            let stepped = relay.step(NOW, &mut sides);
            let sent = sides.hypervisor.tx.len() > 100 + 16 + 26;
            assert_eq!(sent, head.len() <= cut, "the ticket is in tx");
            let expected = match (sent, cut == said.len(), code) {
                (false, ..) => TicketOutcome::NotSent,
                (_, false, _) => TicketOutcome::Unknown,
                (_, _, LinkErrorCode::OK) => TicketOutcome::Accepted,
                (_, _, code) => TicketOutcome::Refused(code),
            };
            assert_eq!(relay.ticket(), expected, "{code} {cut}");
            match end {
                End::HypervisorGoes => drop(relay.eof(&mut sides, Side::Hypervisor)),
                End::TenantGoes => drop(relay.eof(&mut sides, Side::Tenant)),
                End::TimeIsOver => drop(relay.step(relay.deadline(), &mut sides)),
                End::GivenUp => {}
            }
            assert_eq!(relay.ticket(), expected, "{code} {cut} {end:?}");
            assert_eq!(stepped.is_err(), matches!(expected, TicketOutcome::Refused(_)));
            let spends = matches!(expected, TicketOutcome::Accepted | TicketOutcome::Unknown);
            assert_eq!(expected.spends(), spends);
        }
    }
}

/// Whole link replies in the place of a result, bytes that are none, and a key that seals nothing.
#[test]
fn answers_that_are_no_result() {
    let after = |bytes: &[u8]| {
        let (mut relay, mut sides) = admitted(MAIN, 0);
        sides
            .hypervisor
            .rx
            .extend_from_slice(&reply(Capabilities::spice_server(MAIN)));
        sides.hypervisor.rx.extend_from_slice(bytes);
        (relay.step(NOW, &mut sides).unwrap_err().error, relay.ticket())
    };
    let mut refusal = BytesMut::new();
    LinkReply::refusal(LinkErrorCode::INVALID_DATA)
        .encode(&mut refusal)
        .unwrap();
    let refused = (
        HandshakeError::Rejected(LinkErrorCode::INVALID_DATA),
        TicketOutcome::Refused(LinkErrorCode::INVALID_DATA),
    );
    assert_eq!(after(&refusal), refused);
    let second = after(&reply(Capabilities::spice_server(MAIN)));
    let misbehaved = HandshakeError::PeerMisbehaved(Misbehaviour::SecondReply);
    assert_eq!(second, (misbehaved, TicketOutcome::Unknown));
    refusal[4] = 9;
    assert_eq!(after(&refusal).1, TicketOutcome::Unknown);
    // In the place of the first reply, a refusal is one of the channel: nothing was sent.
    refusal[4] = 2;
    for bytes in [&refusal[..], &[0; 200], b"RFB 003.008\n....", &{
        let mut none = reply(Capabilities::spice_server(MAIN));
        none[20..182].fill(0);
        none
    }] {
        let (mut relay, mut sides) = admitted(MAIN, 0);
        sides.hypervisor.rx.extend_from_slice(bytes);
        relay.step(NOW, &mut sides).unwrap_err();
        assert_eq!(relay.ticket(), TicketOutcome::NotSent);
    }
}

/// Everything that a hypervisor announced is learnt of a link that failed, and nothing of one that came not so far.
#[test]
fn all_that_is_announced_is_learnt() {
    let announced = Capabilities {
        common: CapabilityWords::word(3),
        channel: [0x12, 5].into_iter().collect(),
    };
    let (mut relay, mut sides) = admitted(ChannelType::DISPLAY, 7);
    assert_eq!(relay.learnt(), None);
    sides.hypervisor.rx.extend_from_slice(&reply(announced.clone()));
    let error = relay.step(NOW, &mut sides).unwrap_err().error;
    assert!(matches!(
        error,
        HandshakeError::PeerIncompatible(Incompatibility::MissingCapability { .. })
    ));
    assert_eq!(
        (relay.learnt(), relay.ticket()),
        (Some(&announced), TicketOutcome::NotSent)
    );
    let (mut relay, mut sides) = admitted(ChannelType::DISPLAY, 7);
    relay.eof(&mut sides, Side::Hypervisor).unwrap_err();
    assert_eq!(relay.learnt(), None);
}

/// A main channel that begins a session is promised everything. At a target the viewer speaks first, so nothing may be missing.
#[test]
fn what_is_missing_on_a_main_channel() {
    for (connection_id, bits) in [(0, 0), (0, 0b110), (0, 0xf), (7, 0b111), (7, 0xf)] {
        let server = Capabilities {
            channel: CapabilityWords::word(bits),
            ..Capabilities::spice_server(MAIN)
        };
        let mut asked = request(MAIN, 9, 0xf);
        asked.connection_id = connection_id;
        let (ended, mut chain) = Chain::new(asked, server, RelayConfig::default()).run(1000);
        if connection_id != 0 && bits != 0xf {
            let (set, bit) = (CapabilitySet::Channel, 3);
            let missing = Incompatibility::MissingCapability { set, bit };
            assert_eq!(
                ended.relay.unwrap_err().error,
                HandshakeError::PeerIncompatible(missing)
            );
            continue;
        }
        assert_eq!(ended.relay.unwrap().hypervisor.channel, CapabilityWords::word(bits));
        ended.tenant.unwrap();
        let waived =
            core::iter::from_fn(|| chain.relay.poll_event()).filter(|event| matches!(event, Event::Waived { .. }));
        assert_eq!(waived.count(), (0xf & !bits).count_ones() as usize);
    }
}

/// A link that asks what a server has ends with the server's reply, in any chunks, and has sent nothing but its request.
#[test]
fn an_inquiry() {
    let shown = Capabilities {
        common: CapabilityWords::word(0xb),
        channel: CapabilityWords::word(0x52),
    };
    for (chunk, common) in [1, 7, 1000]
        .into_iter()
        .flat_map(|chunk| [0xd, 9, 0xb, 0].map(|common| (chunk, common)))
    {
        let asked = request(ChannelType::DISPLAY, common, 0xffff);
        let mut link = ClientLink::inquiry(NOW, ClientConfig::new(asked.clone()));
        let (mut buffers, mut server) = (Buffers::default(), Server::new(shown.clone(), TICKET));
        let mut sent = BytesMut::new();
        let outcome = 'ended: loop {
            let action = link.step(NOW, &mut buffers).unwrap();
            sent.extend_from_slice(&buffers.tx);
            let answer = server.turn(&buffers.tx.split());
            match action {
                Action::Done(outcome) => break outcome,
                Action::Receive { .. } => {}
                other => panic!("{other:?}"),
            }
            for piece in answer.chunks(chunk) {
                buffers.rx.extend_from_slice(piece);
                if let Action::Done(outcome) = link.step(NOW, &mut buffers).unwrap() {
                    break 'ended outcome;
                }
            }
        };
        assert!(buffers.tx.is_empty() && !link.ticket_sent());
        assert_eq!(
            (outcome.capabilities.clone(), link.announced()),
            (shown.clone(), Some(&shown))
        );
        let mut request = BytesMut::new();
        asked.encode(&mut request).unwrap();
        assert_eq!(sent, request);
        assert_eq!(server.request, Some(asked));
        assert!(link.step(NOW, &mut buffers).is_err(), "once");
    }
    // A server with SASL only can be asked, too.
    let mut link = ClientLink::inquiry(NOW, ClientConfig::new(request(MAIN, 0xd, 0xf)));
    let mut buffers = Buffers::default();
    link.step(NOW, &mut buffers).unwrap();
    let sasl = Capabilities {
        common: CapabilityWords::word(0xd),
        ..Capabilities::default()
    };
    buffers.rx.extend_from_slice(&reply(sasl.clone()));
    let Action::Done(outcome) = link.step(NOW, &mut buffers).unwrap() else {
        panic!()
    };
    assert_eq!(outcome.capabilities, sasl);
    // One that refuses, is silent, or goes.
    let mut link = ClientLink::inquiry(NOW, ClientConfig::new(request(MAIN, 0xd, 0xf)));
    let mut buffers = Buffers::default();
    link.step(NOW, &mut buffers).unwrap();
    LinkReply::refusal(LinkErrorCode::ERROR)
        .encode(&mut buffers.rx)
        .unwrap();
    assert_eq!(
        link.step(NOW, &mut buffers),
        Err(HandshakeError::Rejected(LinkErrorCode::ERROR))
    );
    let (mut link, mut buffers) = (
        ClientLink::inquiry(NOW, ClientConfig::new(request(MAIN, 0xd, 0xf))),
        Buffers::default(),
    );
    assert_eq!(link.deadline(), Limits::default().link_timeout);
    link.step(NOW, &mut buffers).unwrap();
    let late = link.step(Duration::from_secs(60), &mut buffers);
    assert_eq!(late, Err(HandshakeError::TimedOut(Stage::LinkReply)));
    let mut link = ClientLink::inquiry(NOW, ClientConfig::new(request(MAIN, 0xd, 0xf)));
    link.step(NOW, &mut buffers).unwrap();
    assert_eq!(link.eof(), Err(HandshakeError::Closed(Stage::LinkReply)));
}
