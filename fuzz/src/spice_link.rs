//! The SPICE link stage in its three roles, with tickets and with SASL, and watched from outside.
//!
//! ```text
//! | role u8 | answers u8 | chunk u8 | roles 2, 3 and 6: length u16, bytes of the tenant | bytes of the peer |
//! ```
//!
//! Roles: 0 server, 1 client, 2 relay, 3 watched; 4, 5 and 6 are the first three with SASL.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::{Capabilities, CapabilityWords};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::client;
use spice_proto::link::relay::{self, RelayAction, Upstream};
use spice_proto::link::sasl::MechList;
use spice_proto::link::server::{Announcement, SaslAnnouncement, ServerQuestion};
use spice_proto::link::watch::{Part, WatchedLink};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, Incompatibility, LinkMess, Machine, PublicKey, Refusal,
    RelayConfig, RelayLink, Secret, ServerLink, Side, SideBuffers,
};
use spice_proto::link::{Event, Sender};

use crate::Input;
use crate::shown::logged;

const NOW: Duration = Duration::ZERO;
/// A link of any size ends in fewer steps than this: byte by byte, with a question for every few of them.
fn steps(input: usize) -> usize {
    2 * input + 64
}

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default()
        .with_link_message(256)
        .with_link_reply(512)
        .with_capability_words(8)
        .with_sasl_mechanisms(16)
        .with_sasl_data(64)
}

/// A key that can be sealed with. Its private half is nowhere needed: tickets are not opened here.
fn public_key() -> PublicKey {
    PublicKey::from_der(*include_bytes!("public-key.der"))
}

/// How a run ended, and what the peers were told.
#[derive(Debug, PartialEq)]
struct Ended {
    /// The questions that were asked.
    asked: BTreeSet<&'static str>,
    error: Option<HandshakeError>,
    side: Option<Side>,
    told: [Vec<u8>; 2],
    left: [Vec<u8>; 2],
}

/// Checks one input.
pub fn check(data: &[u8]) {
    stages(data);
}

/// Checks one input, and names what it reached: `role: question`, and `role: how it ended`.
pub fn stages(data: &[u8]) -> BTreeSet<String> {
    let mut input = Input::new(data);
    let (role, answers, chunk) = (input.byte() % 7, input.byte(), usize::from(input.byte()));
    if role == 3 {
        let client = input.blob();
        let reached = watch(client, input.rest(), chunk.max(1));
        return reached.iter().map(|part| format!("watched: {part}")).collect();
    }
    let run: fn(u8, &[u8], &[u8], usize) -> Ended = match role {
        0 => |answers, _, peer, chunk| serve(answers, peer, chunk, false),
        1 => |answers, _, peer, chunk| connect(answers, peer, chunk, false),
        2 => |answers, tenant, peer, chunk| relay(answers, tenant, peer, chunk, false),
        4 => |answers, _, peer, chunk| serve(answers, peer, chunk, true),
        5 => |answers, _, peer, chunk| connect(answers, peer, chunk, true),
        _ => |answers, tenant, peer, chunk| relay(answers, tenant, peer, chunk, true),
    };
    let tenant = if matches!(role, 2 | 6) { input.blob() } else { &[] };
    let peer = input.rest();
    let whole = run(answers, tenant, peer, usize::MAX);
    // Any chunking gives the same.
    for chunk in [1, chunk.max(2)] {
        assert_eq!(run(answers, tenant, peer, chunk), whole);
    }
    for told in &whole.told {
        // An exchange of SASL has as many answers as the peer wants, each smaller than what it answers.
        assert!(told.len() < 1024 + data.len());
    }
    let name = [
        "server",
        "client",
        "relay",
        "watched",
        "server with SASL",
        "client with SASL",
        "relay with SASL",
    ][usize::from(role)];
    let end = match whole.error {
        Some(error) => ending(error, whole.side),
        None => "done".to_owned(),
    };
    let asked = whole.asked.iter().map(|question| format!("{name}: asked {question}"));
    asked.chain([format!("{name}: {end}")]).collect()
}

/// An error without the details that differ from input to input.
fn ending(error: HandshakeError, side: Option<Side>) -> String {
    let text = format!("{error:?}");
    let whole = match error {
        HandshakeError::PeerMisbehaved(_) | HandshakeError::PeerIncompatible(_) | HandshakeError::Closed(_) => {
            text.split([' ', '(']).take(2).collect::<Vec<_>>().join(" ")
        }
        _ => text.split([' ', '(']).take(1).collect(),
    };
    let side = side.map(|side| format!(" of the {side:?}")).unwrap_or_default();
    format!("{}{side}", whole.trim_end_matches(')'))
}

/// A client of another protocol is left alone: nothing is sent to it, and its bytes stay for a server of that protocol.
fn assert_left_alone(error: HandshakeError, buffers: &Buffers) {
    if error == HandshakeError::PeerIncompatible(Incompatibility::WebSocket) {
        assert!(
            buffers.tx.is_empty() && buffers.rx.starts_with(b"GET "),
            "a WebSocket was touched"
        );
    }
}

/// What is kept for a log is short.
fn told(poll: impl FnMut() -> Option<Event>) {
    for event in core::iter::from_fn(poll) {
        logged(&event, 0);
    }
}

/// Both directions of a link, as they come in pieces. What is taken off comes back from its encoder; a link
/// message may have had bytes behind its capability words.
fn watch(client: &[u8], server: &[u8], chunk: usize) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut watched = WatchedLink::new(limits());
    let mut streams = [(Sender::Client, client, 0), (Sender::Server, server, 0)];
    let mut quiet = 0;
    while quiet < 2 && watched.outcome().is_none() {
        quiet = 0;
        for (sender, stream, came) in &mut streams {
            let before = *came;
            *came = (*came + chunk).min(stream.len());
            let mut moved = before < *came;
            loop {
                if watched.outcome().is_some() {
                    reached.insert("done".to_owned());
                    return reached;
                }
                let (part, len) = match watched.step(*sender, &stream[..*came]) {
                    Ok(Some(taken)) => taken,
                    Ok(None) => break,
                    Err(error) => {
                        reached.insert(ending(error, None));
                        return reached;
                    }
                };
                assert!(!part.name().is_empty());
                // The server may still say why.
                if let Some(error) = watched.unreadable() {
                    reached.insert(format!("unreadable: {error:?}"));
                }
                assert!(0 < len && len <= *came);
                moved = true;
                let name = format!("{part:?}");
                reached.extend(name.split([' ', '(', ',']).next().map(str::to_owned));
                let mut out = BytesMut::new();
                part.encode(&mut out).expect("what was decoded fits");
                match part {
                    Part::LinkMess(..) | Part::LinkReply(..) => assert!(out.len() <= len),
                    _ => assert_eq!(out, stream[..len]),
                }
                *stream = &stream[len..];
                *came -= len;
            }
            quiet += usize::from(!moved);
        }
    }
    if watched.outcome().is_some() {
        reached.insert("done".to_owned());
    }
    reached
}

fn server_question(question: &ServerQuestion) -> &'static str {
    match question {
        ServerQuestion::Link(_) => "Link",
        ServerQuestion::Ticket { .. } => "Ticket",
        ServerQuestion::SaslStart { .. } => "SaslStart",
        ServerQuestion::SaslStep { .. } => "SaslStep",
        ServerQuestion::SaslLayer => "SaslLayer",
        ServerQuestion::Admit { .. } => "Admit",
    }
}

fn client_question(question: &client::ClientQuestion) -> &'static str {
    match question {
        client::ClientQuestion::SaslStart { .. } => "SaslStart",
        client::ClientQuestion::SaslStep { .. } => "SaslStep",
        client::ClientQuestion::SaslLayer => "SaslLayer",
    }
}

fn relay_question(question: &relay::RelayQuestion) -> &'static str {
    use client::ClientQuestion::{SaslLayer, SaslStart, SaslStep};
    match question {
        relay::RelayQuestion::Tenant(question) => server_question(question),
        relay::RelayQuestion::Hypervisor(SaslStart { .. }) => "SaslStart of the Hypervisor",
        relay::RelayQuestion::Hypervisor(SaslStep { .. }) => "SaslStep of the Hypervisor",
        relay::RelayQuestion::Hypervisor(SaslLayer) => "SaslLayer of the Hypervisor",
        relay::RelayQuestion::Redial(_) => "Redial",
    }
}

/// Moves the next piece of an input.
fn feed(input: &mut &[u8], rx: &mut BytesMut, chunk: usize, at_least: usize, most: usize) -> bool {
    assert!(0 < at_least, "a machine that receives needs something");
    assert!(rx.len() + at_least <= most, "a machine needs no more than it says");
    let (piece, rest) = input.split_at(chunk.min(input.len()));
    rx.extend_from_slice(piece);
    *input = rest;
    !piece.is_empty()
}

/// What is left for the data stage.
fn left(rx: &BytesMut, input: &[u8]) -> Vec<u8> {
    [rx, input].concat()
}

fn refusal(answers: u8) -> Refusal {
    match answers % 4 {
        0 => Refusal::Close,
        code => Refusal::Code(LinkErrorCode(u32::from(code) + 5)),
    }
}

fn announcement(answers: u8) -> Announcement {
    let capabilities = match answers & 0x30 {
        0x00 => Capabilities::spice_server(ChannelType::MAIN),
        0x10 => Capabilities::spice_server(ChannelType::DISPLAY),
        0x20 => Capabilities {
            common: CapabilityWords::word(2),
            ..Capabilities::default()
        },
        _ => Capabilities::default(),
    };
    Announcement {
        public_key: public_key(),
        capabilities,
    }
}

/// What a mechanism answers: bits 0 and 1 are the rounds before it is complete, bit 2 a layer, bit 3 that it is too
/// weak in the end.
enum Judged {
    Reply,
    Complete { layer: bool },
    Reject,
}

fn judge(answers: u8, rounds: &mut u8) -> Judged {
    if *rounds < answers & 3 {
        *rounds += 1;
        return Judged::Reply;
    }
    match answers & 8 {
        0 => Judged::Complete {
            layer: answers & 4 != 0,
        },
        _ => Judged::Reject,
    }
}

fn sasl_announcement(answers: u8) -> SaslAnnouncement {
    SaslAnnouncement {
        mechanisms: MechList::of(&["PLAIN", "X"]),
        capabilities: announcement(answers).capabilities,
    }
}

/// Whether a tenant was told OK in a link result: four zero bytes behind a link reply that says OK.
fn accepted(told: &[u8]) -> bool {
    let Some((header, body)) = told.split_first_chunk::<16>() else {
        return false;
    };
    let size = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
    body.starts_with(&[0; 4]) && body.get(size..) == Some(&[0; 4])
}

/// The link question is answered with yes unless bit 7 is set, the ticket's unless bit 6 is.
const REJECT: u8 = 0x80;
const REFUSE: u8 = 0x40;

fn serve(answers: u8, mut input: &[u8], chunk: usize, sasl: bool) -> Ended {
    let mut rounds = 0;
    let mut machine = ServerLink::new(NOW, limits());
    let mut buffers = Buffers::default();
    let mut asked = BTreeSet::new();
    for _ in 0..steps(input.len()) {
        let action = machine.step(NOW, &mut buffers);
        told(|| machine.poll_event());
        if let Ok(Action::Ask(question)) = &action {
            asked.insert(server_question(question));
        }
        let error = match action {
            Ok(Action::Receive { at_least }) => {
                if feed(&mut input, &mut buffers.rx, chunk, at_least, machine.max_input()) {
                    continue;
                }
                machine.eof().err()
            }
            Ok(Action::Ask(ServerQuestion::Link(_))) => {
                assert!(matches!(machine.step(NOW, &mut buffers), Ok(Action::Waiting)));
                match answers & REJECT {
                    0 if sasl => machine.announce_sasl(&mut buffers, sasl_announcement(answers)).unwrap(),
                    0 => machine.announce(&mut buffers, announcement(answers)).unwrap(),
                    _ => machine.refuse(&mut buffers, refusal(answers)).unwrap(),
                }
                continue;
            }
            Ok(Action::Ask(ServerQuestion::SaslStart { .. } | ServerQuestion::SaslStep { .. })) => {
                assert!(sasl && matches!(machine.step(NOW, &mut buffers), Ok(Action::Waiting)));
                match judge(answers, &mut rounds) {
                    Judged::Reply => machine.sasl_reply(&mut buffers, Some(b"")).unwrap(),
                    Judged::Complete { layer } => machine.sasl_complete(&mut buffers, None, layer).unwrap(),
                    Judged::Reject => machine.sasl_reject(&mut buffers, None, "weak").unwrap(),
                }
                continue;
            }
            // This layer changes nothing.
            Ok(Action::Ask(ServerQuestion::SaslLayer)) => {
                machine.layered().unwrap();
                continue;
            }
            Ok(Action::Ask(ServerQuestion::Ticket { .. } | ServerQuestion::Admit { .. })) => {
                match answers & REFUSE {
                    0 => machine.accept(&mut buffers).unwrap(),
                    _ => machine.refuse(&mut buffers, refusal(answers)).unwrap(),
                }
                continue;
            }
            Ok(Action::Waiting) => panic!("no question is open"),
            Ok(Action::Done(_)) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            assert_eq!(machine.step(NOW, &mut buffers), Err(error), "an error is terminal");
            assert_left_alone(error, &buffers);
        }
        let left = if error.is_none() {
            left(&buffers.rx, input)
        } else {
            Vec::new()
        };
        return Ended {
            asked,
            error,
            side: None,
            told: [buffers.tx.to_vec(), Vec::new()],
            left: [left, Vec::new()],
        };
    }
    panic!("the server does not end");
}

fn connect(answers: u8, mut input: &[u8], chunk: usize, sasl: bool) -> Ended {
    let request = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::word(u32::from(answers)),
            ..Capabilities::default()
        },
    };
    let config = ClientConfig::new(request).with_limits(limits());
    let mut machine = match sasl {
        true => ClientLink::sasl(NOW, config),
        false => ClientLink::new(NOW, config, Secret::new(b"ticket"), [1; 20]),
    };
    let mut buffers = Buffers::default();
    let mut asked = BTreeSet::new();
    for _ in 0..steps(input.len()) {
        let action = machine.step(NOW, &mut buffers);
        if let Ok(Action::Ask(question)) = &action {
            asked.insert(client_question(question));
        }
        let error = match action {
            Ok(Action::Receive { at_least }) => {
                if feed(&mut input, &mut buffers.rx, chunk, at_least, machine.max_input()) {
                    continue;
                }
                machine.eof().err()
            }
            Ok(Action::Ask(question)) => {
                assert!(matches!(machine.step(NOW, &mut buffers), Ok(Action::Waiting)));
                answer(&mut machine, &mut buffers, question, answers & 4 != 0);
                continue;
            }
            Ok(Action::Waiting) => panic!("no question is open"),
            Ok(Action::Done(_)) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            assert_eq!(machine.step(NOW, &mut buffers), Err(error), "an error is terminal");
        }
        let left = if error.is_none() {
            left(&buffers.rx, input)
        } else {
            Vec::new()
        };
        return Ended {
            asked,
            error,
            side: None,
            told: [buffers.tx.to_vec(), Vec::new()],
            left: [left, Vec::new()],
        };
    }
    panic!("the client does not end");
}

/// What a client's mechanism says; `layer`: it agrees on one.
fn answer(machine: &mut ClientLink, buffers: &mut Buffers, question: client::ClientQuestion, layer: bool) {
    match question {
        client::ClientQuestion::SaslStart { mechanisms } => {
            let name = mechanisms.names().next().expect("a list has a name");
            machine.sasl_start(buffers, name, Some(b"ticket")).unwrap();
        }
        client::ClientQuestion::SaslStep { complete: false, .. } => machine.sasl_step(buffers, None).unwrap(),
        client::ClientQuestion::SaslStep { complete: true, .. } => machine.sasl_end(layer).unwrap(),
        client::ClientQuestion::SaslLayer => machine.layered().unwrap(),
    }
}

fn relay(answers: u8, tenant: &[u8], hypervisor: &[u8], chunk: usize, sasl: bool) -> Ended {
    let mut rounds = 0;
    let waived = match answers & 8 {
        0 => Capabilities::default(),
        _ => Capabilities {
            channel: CapabilityWords::word(u32::MAX),
            ..Capabilities::default()
        },
    };
    let config = RelayConfig::default()
        .with_limits(limits())
        .with_waived(waived)
        .with_upstream_failure(refusal(answers))
        .with_upstream_sasl(sasl);
    let mut machine = RelayLink::new(NOW, config);
    let mut sides = SideBuffers::default();
    let (mut tenant, mut hypervisor) = (tenant, hypervisor);
    let mut asked = BTreeSet::new();
    for _ in 0..steps(tenant.len() + hypervisor.len()) {
        let action = machine.step(NOW, &mut sides);
        told(|| machine.poll_event());
        if let Ok(RelayAction::Ask(question)) = &action {
            asked.insert(relay_question(question));
        }
        let error = match action {
            Ok(RelayAction::Receive { side, at_least }) => {
                let most = machine.max_input(side);
                let input = if side == Side::Tenant {
                    &mut tenant
                } else {
                    &mut hypervisor
                };
                if feed(input, &mut sides.side(side).rx, chunk, at_least, most) {
                    continue;
                }
                machine.eof(&mut sides, side).err()
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Link(_)))) => {
                match answers & REJECT {
                    0 if sasl => machine
                        .tenant()
                        .announce_sasl(&mut sides.tenant, sasl_announcement(answers))
                        .unwrap(),
                    0 => machine
                        .tenant()
                        .announce(&mut sides.tenant, announcement(answers))
                        .unwrap(),
                    _ => machine.refuse(&mut sides, refusal(answers)).unwrap(),
                }
                continue;
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(
                ServerQuestion::SaslStart { .. } | ServerQuestion::SaslStep { .. },
            ))) => {
                match judge(answers, &mut rounds) {
                    Judged::Reply => machine.tenant().sasl_reply(&mut sides.tenant, Some(b"")).unwrap(),
                    Judged::Complete { layer } => {
                        machine.tenant().sasl_complete(&mut sides.tenant, None, layer).unwrap()
                    }
                    Judged::Reject => machine.tenant().sasl_reject(&mut sides.tenant, None, "weak").unwrap(),
                }
                continue;
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::SaslLayer))) => {
                machine.tenant().layered().unwrap();
                continue;
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Tenant(
                ServerQuestion::Ticket { .. } | ServerQuestion::Admit { .. },
            ))) => {
                assert!(
                    sides.hypervisor.tx.is_empty(),
                    "the hypervisor hears nothing before the token is known"
                );
                let upstream = Upstream {
                    ticket: Secret::new(b"ticket"),
                    oaep_seed: [1; 20],
                };
                match answers & REFUSE {
                    0 => machine.admit(&mut sides, upstream).unwrap(),
                    _ => machine.refuse(&mut sides, refusal(answers)).unwrap(),
                }
                continue;
            }
            Ok(RelayAction::Ask(relay::RelayQuestion::Hypervisor(question))) => {
                let client = machine.hypervisor().expect("it asks");
                answer(client, &mut sides.hypervisor, question, answers & 4 != 0);
                continue;
            }
            // The other port is silent.
            Ok(RelayAction::Ask(relay::RelayQuestion::Redial(_))) => {
                hypervisor = &[];
                let upstream = Upstream {
                    ticket: Secret::new(b"ticket"),
                    oaep_seed: [1; 20],
                };
                machine.admit(&mut sides, upstream).unwrap();
                continue;
            }
            Ok(RelayAction::Waiting) => panic!("no question is open"),
            Ok(RelayAction::Done(_)) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            assert_eq!(machine.step(NOW, &mut sides), Err(error), "an error is terminal");
            if error.side == Side::Tenant {
                assert_left_alone(error.error, &sides.tenant);
            }
            assert!(
                !accepted(&sides.tenant.tx),
                "the tenant is not accepted when the link fails"
            );
        }
        let left = match error {
            None => [left(&sides.tenant.rx, tenant), left(&sides.hypervisor.rx, hypervisor)],
            Some(_) => [Vec::new(), Vec::new()],
        };
        let told = [sides.tenant.tx.to_vec(), sides.hypervisor.tx.to_vec()];
        return Ended {
            asked,
            error: error.map(|error| error.error),
            side: error.map(|error| error.side),
            told,
            left,
        };
    }
    panic!("the relay does not end");
}
