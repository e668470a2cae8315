//! SASL in the three roles: against each other, and against peers that misbehave.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use spice_proto::Limits;
use spice_proto::caps::{Capabilities, common};
use spice_proto::ids::{AuthMechanism, ChannelType, LinkErrorCode};
use spice_proto::link::client::{self, ClientOutcome};
use spice_proto::link::sasl::{MechList, SealedPacket};
use spice_proto::link::server::{SaslAnnouncement, ServerOutcome, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, Machine, Refusal, Secret, ServerLink, Stage,
};

use crate::link_values::{NOW, random, request};

const DENIED: LinkErrorCode = LinkErrorCode::PERMISSION_DENIED;
/// `PROTOCOL_AUTH_SELECTION`, `AUTH_SASL`, `MINI_HEADER`: what spice-gtk announces.
pub(crate) const OWN: u32 = 0xd;

pub(crate) fn asked() -> LinkMess {
    request(ChannelType::MAIN, OWN, 0xf)
}

pub(crate) fn shown(names: &[&str]) -> SaslAnnouncement {
    SaslAnnouncement {
        mechanisms: MechList::of(names),
        capabilities: Capabilities::spice_server(ChannelType::MAIN),
    }
}

/// What the two ends of a scripted mechanism say in turn; the server's last words are those of completion.
#[derive(Debug, Clone)]
struct Script {
    name: &'static str,
    client: Vec<Option<Vec<u8>>>,
    server: Vec<Option<Vec<u8>>>,
    layer: bool,
}

impl Script {
    /// So many rounds.
    fn rounds(rounds: usize, layer: bool) -> Self {
        let words = |who: u8| (0..rounds).map(|n| (n != 1).then(|| vec![who; n * 3])).collect();
        Self {
            name: "SCRAM-SHA-256",
            client: words(b'c'),
            server: words(b's'),
            layer,
        }
    }
}

/// The toy layer: packets of the real form around bytes that are changed.
fn seal(bytes: &mut BytesMut) -> BytesMut {
    let mut out = BytesMut::new();
    if !bytes.is_empty() {
        SealedPacket {
            length: bytes.len() as u32,
        }
        .encode(&mut out);
        out.extend(bytes.split().iter().map(|byte| byte ^ 0x55));
    }
    out
}

/// Opens the whole packets in front.
fn unseal(bytes: &mut BytesMut) -> BytesMut {
    let mut out = BytesMut::new();
    while let Ok(Some(SealedPacket { length })) = SealedPacket::decode(bytes, &Limits::default()) {
        let end = SealedPacket::LEN + length as usize;
        if bytes.len() < end {
            break;
        }
        out.extend(bytes.split_to(end)[SealedPacket::LEN..].iter().map(|byte| byte ^ 0x55));
    }
    out
}

/// One end of a connection: what the machine sees, and what is on the wire.
#[derive(Default)]
struct End {
    buffers: Buffers,
    layer: bool,
    raw: BytesMut,
    /// Sent before the layer began.
    clear: BytesMut,
}

impl End {
    fn send(&mut self) -> BytesMut {
        let mut out = self.clear.split();
        if self.layer {
            out.extend(seal(&mut self.buffers.tx));
        } else {
            out.extend(self.buffers.tx.split());
        }
        out
    }

    fn receive(&mut self, bytes: &[u8]) {
        if self.layer {
            self.raw.extend_from_slice(bytes);
            let opened = unseal(&mut self.raw);
            self.buffers.rx.extend_from_slice(&opened);
        } else {
            self.buffers.rx.extend_from_slice(bytes);
        }
    }

    fn begin_layer(&mut self) {
        self.clear.extend(self.buffers.tx.split());
        self.layer = true;
        self.raw = self.buffers.rx.split();
        self.buffers.rx = unseal(&mut self.raw);
    }
}

pub(crate) type ClientEnd = Result<ClientOutcome, HandshakeError>;
pub(crate) type ServerEnd = Result<ServerOutcome, HandshakeError>;

/// Runs a client against a server, `chunk` bytes at a time. `admit` is the server's answer after SASL.
fn run_pair(script: &Script, admit: Option<Refusal>, chunk: usize) -> (ClientEnd, ServerEnd) {
    let mut client = ClientLink::sasl(NOW, ClientConfig::new(asked()));
    let mut server = ServerLink::new(NOW, Limits::default());
    let (mut near, mut far) = (End::default(), End::default());
    let (mut said, mut heard) = (script.client.iter(), script.server.iter());
    let mut answers = script.server.iter().enumerate();
    let (mut client_end, mut server_end) = (None, None);
    let (mut up, mut down) = (BytesMut::new(), BytesMut::new());
    for _ in 0..100_000 {
        while client_end.is_none() {
            match client.step(NOW, &mut near.buffers) {
                Ok(Action::Receive { at_least }) => {
                    assert!(0 < at_least && near.buffers.rx.len() + at_least <= client.max_input());
                    break;
                }
                Ok(Action::Ask(client::ClientQuestion::SaslStart { mechanisms })) => {
                    assert!(mechanisms.offers(script.name.as_bytes()));
                    let first = said.next().unwrap().as_deref();
                    client
                        .sasl_start(&mut near.buffers, script.name.as_bytes(), first)
                        .unwrap();
                }
                Ok(Action::Ask(client::ClientQuestion::SaslStep { data, complete })) => {
                    assert_eq!(data.as_ref().map(Secret::expose), heard.next().unwrap().as_deref());
                    match complete {
                        true => client.sasl_end(script.layer).unwrap(),
                        false => client
                            .sasl_step(&mut near.buffers, said.next().unwrap().as_deref())
                            .unwrap(),
                    }
                }
                Ok(Action::Ask(client::ClientQuestion::SaslLayer)) => {
                    near.begin_layer();
                    client.layered().unwrap();
                }
                Ok(Action::Waiting) => unreachable!(),
                Ok(Action::Done(outcome)) => client_end = Some(Ok(outcome)),
                Err(error) => client_end = Some(Err(error)),
            }
        }
        up.extend(near.send());
        let sent = up.len().min(chunk);
        let piece = up.split_to(sent);
        far.receive(&piece);
        let mut words = script.client.iter();
        while server_end.is_none() {
            let mut judge = |server: &mut ServerLink, buffers: &mut Buffers, data: Option<Secret>| {
                let (n, answer) = answers.next().unwrap();
                let word = words.nth(n).unwrap();
                words = script.client.iter();
                assert_eq!(data.as_ref().map(Secret::expose), word.as_deref());
                if n + 1 == script.server.len() {
                    server.sasl_complete(buffers, answer.as_deref(), script.layer).unwrap();
                } else {
                    server.sasl_reply(buffers, answer.as_deref()).unwrap();
                }
            };
            match server.step(NOW, &mut far.buffers) {
                Ok(Action::Receive { at_least }) => {
                    assert!(0 < at_least && far.buffers.rx.len() + at_least <= server.max_input());
                    break;
                }
                Ok(Action::Ask(ServerQuestion::Link(request))) => {
                    assert_eq!(request, asked());
                    server
                        .announce_sasl(&mut far.buffers, shown(&["PLAIN", script.name]))
                        .unwrap();
                }
                Ok(Action::Ask(ServerQuestion::SaslStart { mechanism, data })) => {
                    assert_eq!(mechanism, script.name);
                    judge(&mut server, &mut far.buffers, data);
                }
                Ok(Action::Ask(ServerQuestion::SaslStep { data })) => judge(&mut server, &mut far.buffers, data),
                Ok(Action::Ask(ServerQuestion::SaslLayer)) => {
                    far.begin_layer();
                    server.layered().unwrap();
                }
                Ok(Action::Ask(ServerQuestion::Admit { request })) => {
                    assert_eq!(request, asked());
                    match admit {
                        None => server.accept(&mut far.buffers).unwrap(),
                        Some(why) => server.refuse(&mut far.buffers, why).unwrap(),
                    }
                }
                Ok(Action::Ask(question)) => panic!("{question:?}"),
                Ok(Action::Waiting) => unreachable!(),
                Ok(Action::Done(outcome)) => server_end = Some(Ok(outcome)),
                Err(error) => server_end = Some(Err(error)),
            }
        }
        down.extend(far.send());
        let sent = down.len().min(chunk);
        let back = down.split_to(sent);
        near.receive(&back);
        if client_end.is_some() && server_end.is_some() {
            break;
        }
        if piece.is_empty() && back.is_empty() {
            client_end.get_or_insert_with(|| client.eof());
            server_end.get_or_insert_with(|| server.eof());
        }
    }
    (client_end.unwrap(), server_end.unwrap())
}

#[test]
fn client_and_server_in_any_chunks() {
    for chunk in [1, 3, 17, 10_000] {
        for rounds in 1..5 {
            for layer in [false, true] {
                let script = Script::rounds(rounds, layer);
                let (client, server) = run_pair(&script, None, chunk);
                let (client, server) = (client.unwrap(), server.unwrap());
                assert_eq!(
                    (client.mechanism, server.mechanism),
                    (AuthMechanism::SASL, AuthMechanism::SASL)
                );
                assert_eq!((client.sasl_layer, server.sasl_layer), (layer, layer));
                assert_eq!(client.header_form, server.header_form);
                assert_eq!(client.version, (2, 2));
                assert!(client.capabilities.has_common(common::AUTH_SASL));
                assert!(!client.capabilities.has_common(common::AUTH_SPICE));
                assert_eq!(server.announced, client.capabilities);

                // The server may still refuse a client that SASL has shown; the result says so inside of the layer.
                let (client, server) = run_pair(&script, Some(Refusal::Code(DENIED)), chunk);
                assert_eq!(client, Err(HandshakeError::Rejected(DENIED)));
                assert_eq!(server, Err(HandshakeError::Refused(Refusal::Code(DENIED))));
                let (client, _) = run_pair(&script, Some(Refusal::Close), chunk);
                assert_eq!(client, Err(HandshakeError::Closed(Stage::LinkResult)));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any words arrive as they were said, nothing and empty words told apart.
    #[test]
    fn any_words_arrive(
        words in prop::collection::vec((prop::option::of(prop::collection::vec(any::<u8>(), 0..40)),
            prop::option::of(prop::collection::vec(any::<u8>(), 0..40))), 1..5),
        layer: bool,
        chunk in 1..60_usize,
    ) {
        let (client, server) = words.into_iter().unzip();
        let script = Script { name: "X", client, server, layer };
        let (client, server) = run_pair(&script, None, chunk);
        prop_assert!(client.is_ok() && server.is_ok());
    }
}

/// Words of 1 MiB, one byte less than a wire length that is over the limit.
#[test]
fn the_longest_words() {
    let words = vec![7; (1 << 20) - 1];
    let script = Script {
        name: "X",
        client: vec![Some(words.clone())],
        server: vec![Some(words)],
        layer: false,
    };
    let (client, server) = run_pair(&script, None, usize::MAX);
    assert!(client.is_ok() && server.is_ok());
}

#[test]
fn lists_are_written_as_spice_server_writes_them() {
    for (names, text) in [(&["PLAIN"][..], ",PLAIN,"), (&["A", "B"], ",A,B,"), (&[], ",,")] {
        let list = MechList::of(names);
        assert_eq!(list.mechlist, text);
        assert!(list.names().eq(names.iter().map(|name| name.as_bytes())));
    }
    let list = MechList {
        mechlist: Bytes::from_static(b"PLAIN,SCRAM-SHA-1"),
    };
    assert!(list.offers(b"PLAIN") && list.offers(b"SCRAM-SHA-1"));
    assert!(!list.offers(b"SCRAM") && !list.offers(b"") && !list.offers(b"PLAIN,SCRAM-SHA-1"));
    // Random names are never offered by chance.
    let mut name = [0; 9];
    random(3)(&mut name);
    assert!(!list.offers(&name));
}
