//! Nothing that is shown of a machine, of its buffers or of what it asks depends on a secret, at any stage.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::agent::{
    Assembler, Conversation, Filter, Frame as AgentFrame, MessageHeader, Pieces, Receiver, Stream,
};
use spice_proto::channel::main::{AgentData, AgentToken, ClientMessage, ServerMessage};
use spice_proto::frame::{
    Frame, FrameDecision, FrameForwarder, FrameReader, Header, HeaderForm, RecordSplitter, SubMessages,
};
use spice_proto::ids::{AgentMessageType, AuthMechanism, ChannelType};
use spice_proto::link::Sender;
use spice_proto::link::relay::{self, RelayAction, Upstream};
use spice_proto::link::sasl::MechList;
use spice_proto::link::server::{Announcement, SaslAnnouncement, ServerQuestion};
use spice_proto::link::watch::{Part, WatchedLink};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, Machine, Refusal, RelayConfig, RelayLink, Secret,
    ServerLink, Side, SideBuffers, client,
};

use crate::pair::{self, NOW, key, random};
use crate::sasl::asked;

/// Two secrets of one length. A letter of one stands nowhere in the other.
const SECRETS: [&[u8]; 2] = [b"hunter2hunter2", b"QXQXQXQXQXQXQX"];

/// All that was shown.
#[derive(Default)]
struct Shown(Vec<String>);

impl Shown {
    fn take(&mut self, shown: &dyn Debug) {
        self.0.push(format!("{shown:?}"));
        self.0.push(format!("{shown:#?}"));
    }
}

/// What is shown is the same whatever the secret is, and has none of its letters in any form.
fn holds_nothing(show: impl Fn(&[u8], &mut Shown)) {
    let [one, other] = SECRETS.map(|secret| {
        let mut shown = Shown::default();
        show(secret, &mut shown);
        shown.0
    });
    assert!(4 < one.len());
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one, other);
        let plain = one.to_lowercase();
        for trace in ["hunter2", "104, 117, 110", "68756e74", "68, 75, 6e"] {
            assert!(!plain.contains(trace), "{trace} in {one}");
        }
    }
    assert_eq!(one.len(), other.len());
}

fn announcement() -> Announcement {
    Announcement {
        public_key: key().public(),
        capabilities: spice_proto::caps::Capabilities::spice_server(ChannelType::MAIN),
    }
}

fn mechanisms() -> SaslAnnouncement {
    SaslAnnouncement {
        mechanisms: MechList::of(&["PLAIN"]),
        capabilities: spice_proto::caps::Capabilities::spice_server(ChannelType::MAIN),
    }
}

/// What a client with a password says to SASL.
fn plain(secret: &[u8]) -> Vec<u8> {
    [b"\0alice\0", secret].concat()
}

/// Answers of a client, which uses its secret in every one.
fn client_answers(machine: &mut ClientLink, buffers: &mut Buffers, question: client::ClientQuestion, secret: &[u8]) {
    match question {
        client::ClientQuestion::SaslStart { .. } => {
            machine.sasl_start(buffers, b"PLAIN", Some(&plain(secret))).unwrap();
        }
        client::ClientQuestion::SaslStep { complete: false, .. } => machine.sasl_step(buffers, Some(secret)).unwrap(),
        client::ClientQuestion::SaslStep { complete: true, .. } => machine.sasl_end(false).unwrap(),
        client::ClientQuestion::SaslLayer => unreachable!(),
    }
}

/// Answers of a server that says the secret back, as a mechanism might.
fn server_answers(
    machine: &mut ServerLink,
    buffers: &mut Buffers,
    question: &ServerQuestion,
    sasl: bool,
    secret: &[u8],
) {
    match question {
        ServerQuestion::Link(_) if sasl => machine.announce_sasl(buffers, mechanisms()).unwrap(),
        ServerQuestion::Link(_) => machine.announce(buffers, announcement()).unwrap(),
        ServerQuestion::SaslStart { .. } => machine.sasl_reply(buffers, Some(secret)).unwrap(),
        ServerQuestion::SaslStep { .. } => machine.sasl_complete(buffers, Some(secret), false).unwrap(),
        ServerQuestion::Ticket { .. } | ServerQuestion::Admit { .. } => machine.accept(buffers).unwrap(),
        ServerQuestion::SaslLayer => unreachable!(),
    }
}

/// The client of a link: by SASL or by its ticket.
fn client(sasl: bool, secret: &[u8]) -> ClientLink {
    let config = ClientConfig::new(asked());
    match sasl {
        true => ClientLink::sasl(NOW, config),
        false => ClientLink::new(NOW, config, Secret::new(secret), [5; 20]),
    }
}

/// Takes so many bytes from one end to the other.
fn move_bytes(from: &mut Buffers, to: &mut Buffers, most: usize) {
    let len = from.tx.len().min(most);
    to.rx.extend_from_slice(&from.tx.split_to(len));
}

/// A link between the two roles, five bytes at a time.
fn link(sasl: bool, secret: &[u8], shown: &mut Shown) {
    let (mut near, mut far) = (client(sasl, secret), ServerLink::new(NOW, Limits::default()));
    let (mut up, mut down) = (Buffers::default(), Buffers::default());
    let mut stood = [false; 2];
    for _ in 0..500 {
        match near.step(NOW, &mut up) {
            Ok(Action::Ask(question)) => {
                shown.take(&question);
                client_answers(&mut near, &mut up, question, secret);
            }
            Ok(Action::Done(outcome)) => {
                shown.take(&outcome);
                stood[0] = true;
            }
            action => shown.take(&action),
        }
        shown.take(&(&near, &up));
        match far.step(NOW, &mut down) {
            Ok(Action::Ask(question)) => {
                shown.take(&question);
                server_answers(&mut far, &mut down, &question, sasl, secret);
            }
            Ok(Action::Done(outcome)) => {
                shown.take(&outcome);
                stood[1] = true;
            }
            action => shown.take(&action),
        }
        shown.take(&(&far, &down));
        move_bytes(&mut up, &mut down, 5);
        move_bytes(&mut down, &mut up, 5);
    }
    assert_eq!(stood, [true; 2]);
}

#[test]
fn roles_show_no_secret() {
    for sasl in [false, true] {
        holds_nothing(|secret, shown| link(sasl, secret, shown));
    }
}

/// A relay: the tenant's token, and the hypervisor's ticket or the secrets for its SASL.
fn relayed(tenant_sasl: bool, upstream_sasl: bool, secret: &[u8], shown: &mut Shown) {
    let config = RelayConfig::default().with_upstream_sasl(upstream_sasl);
    let mut relay = RelayLink::new(NOW, config);
    let (mut tenant, mut far) = (client(tenant_sasl, secret), ServerLink::new(NOW, Limits::default()));
    let (mut up, mut down, mut sides) = (Buffers::default(), Buffers::default(), SideBuffers::default());
    let mut stood = false;
    for _ in 0..900 {
        if let Ok(Action::Ask(question)) = tenant.step(NOW, &mut up) {
            client_answers(&mut tenant, &mut up, question, secret);
        }
        match relay.step(NOW, &mut sides) {
            Ok(RelayAction::Ask(question)) => {
                shown.take(&question);
                let upstream = Upstream {
                    ticket: Secret::new(secret),
                    oaep_seed: [9; 20],
                };
                shown.take(&upstream);
                match question {
                    relay::RelayQuestion::Tenant(ServerQuestion::Link(_)) if tenant_sasl => {
                        relay.tenant().announce_sasl(&mut sides.tenant, mechanisms()).unwrap();
                    }
                    relay::RelayQuestion::Tenant(ServerQuestion::Link(_)) => {
                        relay.tenant().announce(&mut sides.tenant, announcement()).unwrap()
                    }
                    relay::RelayQuestion::Tenant(ServerQuestion::SaslStart { .. }) => {
                        relay.tenant().sasl_reply(&mut sides.tenant, Some(secret)).unwrap();
                    }
                    relay::RelayQuestion::Tenant(ServerQuestion::SaslStep { .. }) => {
                        relay
                            .tenant()
                            .sasl_complete(&mut sides.tenant, Some(secret), false)
                            .unwrap();
                    }
                    relay::RelayQuestion::Tenant(_) => relay.admit(&mut sides, upstream).unwrap(),
                    relay::RelayQuestion::Hypervisor(question) => {
                        let client = relay.hypervisor().unwrap();
                        client_answers(client, &mut sides.hypervisor, question, secret);
                    }
                    relay::RelayQuestion::Redial(_) => unreachable!(),
                }
            }
            Ok(action) => {
                stood |= matches!(action, RelayAction::Done(_));
                shown.take(&action);
            }
            Err(error) => shown.take(&error),
        }
        shown.take(&(&relay, &sides));
        if let Ok(Action::Ask(question)) = far.step(NOW, &mut down) {
            server_answers(&mut far, &mut down, &question, upstream_sasl, secret);
        }
        move_bytes(&mut sides.tenant, &mut up, 7);
        move_bytes(&mut sides.hypervisor, &mut down, 7);
        move_bytes(&mut up, &mut sides.tenant, 7);
        move_bytes(&mut down, &mut sides.hypervisor, 7);
    }
    assert!(stood);
}

#[test]
fn relays_show_no_secret() {
    for (tenant, upstream) in [(false, false), (true, false), (false, true), (true, true)] {
        holds_nothing(|secret, shown| relayed(tenant, upstream, secret, shown));
    }
}

/// A ticket, or words of SASL, that have come in part when the link fails are overwritten; so are those that are too long.
#[test]
fn what_had_come_of_a_secret_is_overwritten() {
    let secret = SECRETS[0];
    let start = |sasl: bool| {
        let (mut server, mut buffers) = (ServerLink::new(NOW, Limits::default()), Buffers::default());
        asked().encode(&mut buffers.rx).unwrap();
        let Ok(Action::Ask(question)) = server.step(NOW, &mut buffers) else {
            panic!("nothing is asked");
        };
        server_answers(&mut server, &mut buffers, &question, sasl, secret);
        let mechanism = if sasl {
            AuthMechanism::SASL
        } else {
            AuthMechanism::SPICE
        };
        buffers.rx.extend_from_slice(&mechanism.0.to_le_bytes());
        server.step(NOW, &mut buffers).unwrap();
        (server, buffers)
    };
    let holds = |buffers: &Buffers| {
        buffers
            .rx
            .windows(4)
            .any(|bytes| secret.windows(4).any(|other| bytes == other))
    };
    for (sasl, words) in [
        (false, secret.to_vec()),
        (
            true,
            [
                &5_u32.to_le_bytes()[..],
                b"PLAIN",
                &100_u32.to_le_bytes(),
                &plain(secret),
            ]
            .concat(),
        ),
    ] {
        let (mut server, mut buffers) = start(sasl);
        buffers.rx.extend_from_slice(&words);
        assert!(matches!(server.step(NOW, &mut buffers), Ok(Action::Receive { .. })));
        assert!(holds(&buffers), "it has come");
        let late = NOW + Limits::default().link_timeout;
        assert!(matches!(
            server.step(late, &mut buffers),
            Err(HandshakeError::TimedOut(_))
        ));
        assert!(!holds(&buffers), "{sasl}");
    }
    let (mut server, mut buffers) = start(true);
    let long = [
        &5_u32.to_le_bytes()[..],
        b"PLAIN",
        &u32::MAX.to_le_bytes(),
        &plain(secret),
    ]
    .concat();
    buffers.rx.extend_from_slice(&long);
    assert!(matches!(server.step(NOW, &mut buffers), Err(HandshakeError::Decode(_))));
    assert!(!holds(&buffers), "too long");
    // The link's time is over for a relay's tenant, too.
    let (mut relay, mut sides) = (RelayLink::new(NOW, RelayConfig::default()), SideBuffers::default());
    asked().encode(&mut sides.tenant.rx).unwrap();
    relay.step(NOW, &mut sides).unwrap();
    relay.tenant().announce(&mut sides.tenant, announcement()).unwrap();
    sides.tenant.rx.extend_from_slice(&AuthMechanism::SPICE.0.to_le_bytes());
    sides.tenant.rx.extend_from_slice(secret);
    relay.step(NOW, &mut sides).unwrap();
    assert!(holds(&sides.tenant));
    relay.eof(&mut sides, Side::Tenant).unwrap_err();
    assert!(!holds(&sides.tenant), "the tenant is gone");
}

/// What a refused client sends is not kept either: the refusal is the last word.
#[test]
fn parts_of_a_watched_link_show_no_secret() {
    holds_nothing(|secret, shown| {
        let mut streams = [BytesMut::new(), BytesMut::new()];
        let (mut near, mut far) = (client(true, secret), ServerLink::new(NOW, Limits::default()));
        let (mut up, mut down) = (Buffers::default(), Buffers::default());
        for _ in 0..20 {
            if let Ok(Action::Ask(question)) = near.step(NOW, &mut up) {
                client_answers(&mut near, &mut up, question, secret);
            }
            if let Ok(Action::Ask(question)) = far.step(NOW, &mut down) {
                server_answers(&mut far, &mut down, &question, true, secret);
            }
            streams[0].extend_from_slice(&up.tx);
            streams[1].extend_from_slice(&down.tx);
            move_bytes(&mut up, &mut down, usize::MAX);
            move_bytes(&mut down, &mut up, usize::MAX);
        }
        let mut link = WatchedLink::new(Limits::default());
        let mut parts = 0;
        while link.outcome().is_none() {
            let side = usize::from(link.due().0 == Sender::Server);
            let sender = [Sender::Client, Sender::Server][side];
            let (part, len): (Part, usize) = link.step(sender, &streams[side]).unwrap().unwrap();
            parts += 1;
            shown.take(&(&part, &link));
            let _ = streams[side].split_to(len);
        }
        assert_eq!(parts, 10);
    });
}

fn agent_frame(secret: &[u8]) -> AgentFrame {
    AgentFrame {
        header: MessageHeader {
            protocol: 1,
            r#type: AgentMessageType::CLIPBOARD,
            opaque: 0,
            size: secret.len() as u32,
        },
        data: Bytes::copy_from_slice(secret),
    }
}

#[test]
fn agent_streams_show_no_secret() {
    holds_nothing(|secret, shown| {
        let mut pieces = Pieces::of(&agent_frame(secret)).unwrap();
        shown.take(&pieces);
        let body = pieces.next().unwrap();
        let tokens = AgentToken { num_tokens: 9 };
        let mut conversation = Conversation::new(&Limits::default());
        conversation
            .server_message(&ServerMessage::AgentConnectedTokens(tokens.clone()), |_, _| ())
            .unwrap();
        conversation
            .client_message(&ClientMessage::AgentStart(tokens), |_, _| ())
            .unwrap();
        let limits = Limits::default();
        // In the middle of the head, and in the middle of the data.
        for end in [10, body.len() - 3] {
            let part = body.slice(..end);
            let mut assembler = Assembler::new(Receiver::Client, &limits);
            let mut stream = Stream::new(Receiver::Client, &limits);
            let mut filter = Filter::new(Receiver::Client, &limits);
            shown.take(&assembler.frames(&part));
            shown.take(&stream.parts(&part));
            let _ = filter.pass(&part, &mut BytesMut::new(), |_| {
                spice_proto::agent::FilterDecision::Pass
            });
            shown.take(&(&assembler, &stream, &filter));
            let data = AgentData { data: part };
            conversation
                .server_message(&ServerMessage::AgentData(data), |_, _| ())
                .unwrap();
            shown.take(&conversation);
            conversation.server_message(&gone(), |_, _| ()).unwrap();
            conversation
                .server_message(&ServerMessage::AgentConnected, |_, _| ())
                .unwrap();
            conversation
                .client_message(&ClientMessage::AgentStart(AgentToken { num_tokens: 9 }), |_, _| ())
                .unwrap();
        }
    });
}

fn gone() -> ServerMessage {
    ServerMessage::AgentDisconnected(spice_proto::channel::main::AgentDisconnected {
        error_code: spice_proto::ids::LinkErrorCode(0),
    })
}

#[test]
fn frames_in_a_buffer_show_no_secret() {
    holds_nothing(|secret, shown| {
        for form in [HeaderForm::Mini, HeaderForm::Full] {
            let mut bytes = BytesMut::new();
            let header = Header {
                serial: 1,
                number: 107,
                size: secret.len() as u32,
                sub_list: 0,
            };
            header.write(form, &mut bytes);
            bytes.extend_from_slice(secret);
            let mut splitter = FrameReader::new(form, &Limits::default());
            shown.take(&splitter.frames(&bytes));
            let mut forwarder = FrameForwarder::new(ChannelType::MAIN, form, HeaderForm::Mini, &Limits::default());
            let mut dst = BytesMut::new();
            forwarder
                .forward(&mut bytes.clone(), &mut dst, |_| FrameDecision::Forward)
                .unwrap();
            let mut cutter = RecordSplitter::new(form, 0);
            // Bytes of one message in place of the header of the next.
            let _ = cutter.take(&bytes);
            let _ = cutter.take(secret.get(..3).unwrap());
            shown.take(&(&splitter, &forwarder, &cutter));
            shown.take(&splitter.split(&mut bytes).unwrap());
        }
        let body = [&[1, 0, 6, 0, 0, 0, 5, 0, 14, 0, 0, 0], secret].concat();
        shown.take(&SubMessages::new(&body, 0).unwrap());
        let frame = Frame {
            header: Header {
                serial: 0,
                number: 8,
                size: body.len() as u32,
                sub_list: 0,
            },
            body: body.into(),
        };
        shown.take(&SubMessages::of(&frame));
    });
}

#[test]
fn keys_and_tickets_show_no_secret() {
    holds_nothing(|secret, shown| {
        let sealed = key().public().seal(secret, [1; 20]).unwrap();
        let opened = key().open(&sealed, &mut random(4)).unwrap();
        assert_eq!(opened.expose(), secret);
        shown.take(&(&sealed, &opened, key(), key().public(), pair::client(asked(), secret)));
        shown.take(&Refusal::Close);
        shown.take(&Announcement { ..announcement() });
    });
}
