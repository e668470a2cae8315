//! The relay towards hypervisors that want SASL, or another of their ports.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use spice_proto::link::relay::{RelayAction, RelayError, RelayOutcome, RelayQuestion, Upstream};
use spice_proto::link::server::{self, ServerOutcome};
use spice_proto::link::{
    Action, Buffers, ClientLink, HandshakeError, Incompatibility, LinkMess, LinkReply, Machine, Misuse, Refusal,
    RelayConfig, RelayLink, Secret, ServerLink, Side, SideBuffers, Stage, Transport, client,
};

use crate::pair::{NOW, TICKET, TOKEN, client as tenant_of, key, open, request};
use crate::sasl::shown;

const DENIED: LinkErrorCode = LinkErrorCode::PERMISSION_DENIED;
const USER: &[u8] = b"\0relay\0hunter2";

/// A hypervisor that takes SASL only: PLAIN, and one round more.
struct Hypervisor {
    machine: ServerLink,
    buffers: Buffers,
    layer: bool,
    ended: Option<Result<ServerOutcome, HandshakeError>>,
}

impl Hypervisor {
    fn new(layer: bool) -> Self {
        Self {
            machine: ServerLink::new(NOW, Limits::default()),
            buffers: Buffers::default(),
            layer,
            ended: None,
        }
    }

    fn turn(&mut self, bytes: &[u8]) -> BytesMut {
        self.buffers.rx.extend_from_slice(bytes);
        while self.ended.is_none() {
            let (machine, buffers) = (&mut self.machine, &mut self.buffers);
            match machine.step(NOW, buffers) {
                Ok(Action::Receive { .. }) => break,
                Ok(Action::Ask(question)) => match question {
                    server::ServerQuestion::Link(_) => machine.announce_sasl(buffers, shown(&["PLAIN"])).unwrap(),
                    server::ServerQuestion::SaslStart { data: Some(data), .. } if data.expose() == USER => {
                        machine.sasl_reply(buffers, Some(b"more")).unwrap()
                    }
                    // As spice-server does after a wrong password.
                    server::ServerQuestion::SaslStart { .. } => machine.refuse(buffers, Refusal::Close).unwrap(),
                    server::ServerQuestion::SaslStep { .. } => {
                        machine.sasl_complete(buffers, Some(b"done"), self.layer).unwrap()
                    }
                    server::ServerQuestion::SaslLayer => machine.layered().unwrap(),
                    server::ServerQuestion::Admit { .. } => machine.accept(buffers).unwrap(),
                    server::ServerQuestion::Ticket { .. } => unreachable!(),
                },
                Ok(Action::Waiting) => unreachable!(),
                Ok(Action::Done(outcome)) => self.ended = Some(Ok(outcome)),
                Err(error) => self.ended = Some(Err(error)),
            }
        }
        self.buffers.tx.split()
    }

    fn hung_up(&self) -> bool {
        matches!(self.ended, Some(Err(_)))
    }
}

fn upstream() -> Upstream {
    Upstream {
        ticket: Secret::new(TICKET),
        oaep_seed: [5; 20],
    }
}

/// A tenant and the relay: what happens until the relay asks about its hypervisor, needs bytes of it, or ends.
struct Near {
    tenant: ClientLink,
    buffers: Buffers,
    relay: RelayLink,
    sides: SideBuffers,
}

enum Turn {
    Receive,
    Ask(RelayQuestion),
    Ended(Result<RelayOutcome, RelayError>),
}

impl Near {
    fn new(asked: LinkMess, config: RelayConfig) -> Self {
        Self {
            tenant: tenant_of(asked, TOKEN),
            buffers: Buffers::default(),
            relay: RelayLink::new(NOW, config),
            sides: SideBuffers::default(),
        }
    }

    fn turn(&mut self) -> Turn {
        loop {
            let _ = self.tenant.step(NOW, &mut self.buffers);
            self.sides.tenant.rx.extend(self.buffers.tx.split());
            let action = self.relay.step(NOW, &mut self.sides);
            let ended = match action {
                Ok(RelayAction::Receive {
                    side: Side::Hypervisor, ..
                }) => return Turn::Receive,
                Ok(RelayAction::Receive { .. }) => None,
                Ok(RelayAction::Ask(RelayQuestion::Tenant(server::ServerQuestion::Link(request)))) => {
                    let announcement = server::Announcement {
                        public_key: key().public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    self.relay
                        .tenant()
                        .announce(&mut self.sides.tenant, announcement)
                        .unwrap();
                    None
                }
                Ok(RelayAction::Ask(RelayQuestion::Tenant(server::ServerQuestion::Ticket { sealed, .. }))) => {
                    assert_eq!(open(&sealed).as_deref(), Some(TOKEN));
                    self.relay.admit(&mut self.sides, upstream()).unwrap();
                    assert_eq!(self.relay.admit(&mut self.sides, upstream()), Err(Misuse::NotAsked));
                    None
                }
                Ok(RelayAction::Ask(question)) => return Turn::Ask(question),
                Ok(RelayAction::Waiting) => panic!("a question is open"),
                Ok(RelayAction::Done(outcome)) => Some(Ok(outcome)),
                Err(error) => Some(Err(error)),
            };
            self.buffers.rx.extend(self.sides.tenant.tx.split());
            if let Some(ended) = ended {
                return Turn::Ended(ended);
            }
        }
    }

    /// How the tenant's link has ended.
    fn tenant(&mut self) -> Result<(), HandshakeError> {
        match self.tenant.step(NOW, &mut self.buffers) {
            Ok(Action::Done(_)) => Ok(()),
            Ok(_) => self.tenant.eof().map(drop),
            Err(error) => Err(error),
        }
    }

    /// Answers as a mechanism would that knows this password.
    fn answer(&mut self, question: client::ClientQuestion, password: &[u8], layer: bool) {
        let buffers = &mut self.sides.hypervisor;
        let link = self.relay.hypervisor().unwrap();
        match question {
            client::ClientQuestion::SaslStart { mechanisms } => {
                assert!(mechanisms.offers(b"PLAIN"));
                assert_eq!(link.sasl_start(buffers, b"LOGIN", None), Err(Misuse::NotOffered));
                link.sasl_start(buffers, b"PLAIN", Some(password)).unwrap();
            }
            client::ClientQuestion::SaslStep { complete: false, data } => {
                assert_eq!(data.unwrap().expose(), b"more");
                link.sasl_step(buffers, None).unwrap();
            }
            client::ClientQuestion::SaslStep { complete: true, data } => {
                assert_eq!(data.unwrap().expose(), b"done");
                link.sasl_end(layer).unwrap();
            }
            // The toy layer of this test changes nothing.
            client::ClientQuestion::SaslLayer => link.layered().unwrap(),
        }
    }

    /// To the end, with a hypervisor that wants SASL.
    fn run(&mut self, hypervisor: &mut Hypervisor, password: &[u8], chunk: usize) -> Result<RelayOutcome, RelayError> {
        let mut down = BytesMut::new();
        for _ in 0..10_000 {
            match self.turn() {
                Turn::Receive if down.is_empty() && hypervisor.hung_up() => {
                    return self.relay.eof(&mut self.sides, Side::Hypervisor);
                }
                Turn::Receive => {}
                Turn::Ask(RelayQuestion::Hypervisor(question)) => {
                    assert!(matches!(
                        self.relay.step(NOW, &mut self.sides),
                        Ok(RelayAction::Waiting)
                    ));
                    self.answer(question, password, hypervisor.layer);
                }
                Turn::Ask(question) => panic!("{question:?}"),
                Turn::Ended(ended) => return ended,
            }
            let up = self.sides.hypervisor.tx.split();
            for piece in up.chunks(chunk) {
                down.extend(hypervisor.turn(piece));
            }
            let some = down.len().min(chunk);
            self.sides.hypervisor.rx.extend(down.split_to(some));
        }
        panic!("no end");
    }
}

/// What spice-gtk announces, and a client of old that cannot select a mechanism.
fn tenants() -> [LinkMess; 2] {
    [request(ChannelType::MAIN, 0xd, 0xf), request(ChannelType::MAIN, 8, 0xf)]
}

#[test]
fn a_hypervisor_is_shown_sasl() {
    for asked in tenants() {
        for (chunk, layer) in [(1, false), (7, true), (10_000, false)] {
            let mut near = Near::new(asked.clone(), RelayConfig::default().with_upstream_sasl(true));
            let mut hypervisor = Hypervisor::new(layer);
            let outcome = near.run(&mut hypervisor, USER, chunk).unwrap();
            near.tenant().unwrap();
            assert!(outcome.hypervisor.has_common(common::AUTH_SASL));
            let reached = hypervisor.ended.unwrap().unwrap();
            assert_eq!((reached.mechanism, reached.sasl_layer), (AuthMechanism::SASL, layer));
            // Bits of authentication are the relay's own.
            assert_eq!(reached.request, request(ChannelType::MAIN, 0xf, 0xf));
        }
    }
}

/// One that takes tickets gets the ticket also from a relay that could do more.
#[test]
fn a_hypervisor_with_tickets_is_shown_its_ticket() {
    let config = RelayConfig::default().with_upstream_sasl(true);
    let caps = Capabilities::spice_server(ChannelType::MAIN);
    let (ended, chain) = crate::pair::Chain::new(request(ChannelType::MAIN, 0xd, 0xf), caps, config).run(1000);
    ended.relay.unwrap();
    ended.tenant.unwrap();
    assert_eq!(ended.hypervisor.unwrap().unwrap().mechanism, AuthMechanism::SPICE);
    assert_eq!(
        chain.hypervisor.request.unwrap().capabilities.common,
        CapabilityWords::word(0xf)
    );
}

#[test]
fn a_hypervisor_that_does_not_know_the_relay() {
    let mut near = Near::new(
        request(ChannelType::MAIN, 0xd, 0xf),
        RelayConfig::default().with_upstream_sasl(true),
    );
    let error = near
        .run(&mut Hypervisor::new(false), b"\0relay\0other", 1000)
        .unwrap_err();
    assert_eq!(
        (error.side, error.error),
        (Side::Hypervisor, HandshakeError::Closed(Stage::Sasl))
    );
    assert_eq!(near.tenant(), Err(HandshakeError::Closed(Stage::LinkResult)));
}

/// Without leave a hypervisor that wants SASL is given up, with the reason, and hears no ticket.
#[test]
fn sasl_that_was_not_allowed() {
    for asked in tenants() {
        let mut near = Near::new(asked, RelayConfig::default());
        let mut hypervisor = Hypervisor::new(false);
        let error = near.run(&mut hypervisor, USER, 1000).unwrap_err();
        let why = HandshakeError::PeerIncompatible(Incompatibility::NoTickets);
        // To a request that cannot select, the hypervisor sends a second reply and does not wait for a ticket.
        let second = HandshakeError::Rejected(LinkErrorCode::VERSION_MISMATCH);
        assert_eq!(error.side, Side::Hypervisor);
        assert!([why, second].contains(&error.error), "{error}");
        assert_eq!(near.tenant(), Err(HandshakeError::Closed(Stage::LinkResult)));
    }
}

/// A mechanism that is not content ends the link in the middle of the exchange; the tenant gets the caller's refusal.
#[test]
fn refused_while_the_hypervisor_waits() {
    let mut near = Near::new(
        request(ChannelType::MAIN, 0xd, 0xf),
        RelayConfig::default().with_upstream_sasl(true),
    );
    let mut hypervisor = Hypervisor::new(false);
    let question = loop {
        match near.turn() {
            Turn::Ask(question) => break question,
            Turn::Receive => {
                // Nothing is asked now.
                let why = Refusal::Code(DENIED);
                assert_eq!(near.relay.refuse(&mut near.sides, why), Err(Misuse::NotAsked));
                assert_eq!(near.relay.admit(&mut near.sides, upstream()), Err(Misuse::NotAsked));
                let up = near.sides.hypervisor.tx.split();
                near.sides.hypervisor.rx.extend(hypervisor.turn(&up));
            }
            Turn::Ended(ended) => panic!("{ended:?}"),
        }
    };
    assert!(matches!(
        question,
        RelayQuestion::Hypervisor(client::ClientQuestion::SaslStart { .. })
    ));
    let ok = Refusal::Code(LinkErrorCode::OK);
    assert_eq!(near.relay.refuse(&mut near.sides, ok), Err(Misuse::RefusalSaysOk));
    near.relay.refuse(&mut near.sides, Refusal::Code(DENIED)).unwrap();
    assert!(near.relay.hypervisor().is_none());
    match near.turn() {
        Turn::Ended(Err(error)) => assert_eq!(error.error, HandshakeError::Refused(Refusal::Code(DENIED))),
        _ => panic!("refused"),
    }
    assert_eq!(near.tenant(), Err(HandshakeError::Rejected(DENIED)));
}

/// The relay is to come to another port once; that the next one says so too is an error.
#[test]
fn another_port_is_asked_for_once() {
    let refuse = |code| {
        let mut reply = BytesMut::new();
        LinkReply::refusal(code).encode(&mut reply).unwrap();
        // What came behind it is gone with the connection.
        reply.extend_from_slice(b"more");
        reply
    };
    let redial = |code| {
        let mut near = Near::new(request(ChannelType::INPUTS, 0xd, 0), RelayConfig::default());
        assert!(matches!(near.turn(), Turn::Receive));
        let first = near.sides.hypervisor.tx.split();
        near.sides.hypervisor.rx.extend(refuse(code));
        match near.turn() {
            Turn::Ask(RelayQuestion::Redial(transport)) => (near, transport, first),
            _ => panic!("no other port is asked for"),
        }
    };
    for (code, wanted) in [
        (LinkErrorCode::NEED_SECURED, Transport::Tls),
        (LinkErrorCode::NEED_UNSECURED, Transport::Plain),
    ] {
        // It is there.
        let (mut near, transport, first) = redial(code);
        assert_eq!(transport, wanted);
        assert!(near.sides.hypervisor.rx.is_empty());
        assert!(matches!(
            near.relay.step(NOW, &mut near.sides),
            Ok(RelayAction::Waiting)
        ));
        near.relay.admit(&mut near.sides, upstream()).unwrap();
        let mut hypervisor = crate::pair::Server::new(Capabilities::spice_server(ChannelType::INPUTS), TICKET);
        let mut said = BytesMut::new();
        let ended = loop {
            match near.turn() {
                Turn::Receive => {
                    let up = near.sides.hypervisor.tx.split();
                    said.extend_from_slice(&up);
                    near.sides.hypervisor.rx.extend(hypervisor.turn(&up));
                }
                Turn::Ask(question) => panic!("{question:?}"),
                Turn::Ended(ended) => break ended,
            }
        };
        ended.unwrap();
        near.tenant().unwrap();
        assert!(said.starts_with(&first), "the same request");

        // It is not.
        let (mut near, ..) = redial(code);
        near.relay
            .refuse(&mut near.sides, Refusal::Code(LinkErrorCode::ERROR))
            .unwrap();
        assert!(matches!(
            near.turn(),
            Turn::Ended(Err(RelayError { side: Side::Tenant, .. }))
        ));
        assert_eq!(near.tenant(), Err(HandshakeError::Rejected(LinkErrorCode::ERROR)));

        // It is as the first.
        for second in [LinkErrorCode::NEED_SECURED, LinkErrorCode::NEED_UNSECURED] {
            let (mut near, ..) = redial(code);
            near.relay.admit(&mut near.sides, upstream()).unwrap();
            assert!(matches!(near.turn(), Turn::Receive));
            near.sides.hypervisor.rx.extend(refuse(second));
            match near.turn() {
                Turn::Ended(Err(error)) => {
                    assert_eq!(
                        (error.side, error.error),
                        (Side::Hypervisor, HandshakeError::Rejected(second))
                    );
                }
                _ => panic!("a second time"),
            }
            assert_eq!(near.tenant(), Err(HandshakeError::Closed(Stage::LinkResult)));
        }
    }
}

/// Behind the ticket the same code is nothing but a refusal.
#[test]
fn a_result_asks_for_no_other_port() {
    let mut near = Near::new(request(ChannelType::INPUTS, 0xd, 0), RelayConfig::default());
    assert!(matches!(near.turn(), Turn::Receive));
    LinkReply {
        error: LinkErrorCode::OK,
        pub_key: *key().public().as_der(),
        capabilities: Capabilities::spice_server(ChannelType::INPUTS),
    }
    .encode(&mut near.sides.hypervisor.rx)
    .unwrap();
    let code = LinkErrorCode::NEED_SECURED;
    near.sides.hypervisor.rx.extend_from_slice(&code.0.to_le_bytes());
    match near.turn() {
        Turn::Ended(Err(error)) => assert_eq!(error.error, HandshakeError::Rejected(code)),
        _ => panic!("no refusal"),
    }
}
