//! Recorded SASL exchanges, repeated: both roles say byte for byte what the real programs said, as far as these went.

use bytes::{Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::ids::{AuthMechanism, LinkErrorCode};
use spice_proto::link::Sender;
use spice_proto::link::client;
use spice_proto::link::sasl::{MechList, SaslResult, StartClient, StepServer};
use spice_proto::link::server::{SaslAnnouncement, ServerQuestion};
use spice_proto::link::watch::{Part, WatchedLink, WatchedOutcome};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, HandshakeError, LinkMess, LinkReply, Machine, Misuse, Refusal, Secret,
    ServerLink,
};

use crate::pair::{NOW, TICKET};
use crate::recordings::{self, Connection, Rows};

/// The parts of a recorded exchange, as far as it went.
struct Recorded {
    request: LinkMess,
    reply: LinkReply,
    list: Option<MechList>,
    start: Option<StartClient>,
    servers: Vec<StepServer>,
    clients: Vec<Bytes>,
    verdict: Option<SaslResult>,
    result: Option<LinkErrorCode>,
    outcome: Option<WatchedOutcome>,
    /// Bytes of client and server that these parts take.
    taken: [usize; 2],
}

impl Recorded {
    /// Reads a connection from outside. `None`: its client does not choose SASL.
    fn of(connection: &Connection) -> Option<Self> {
        let linked = connection.linked().filter(|linked| linked.sasl)?;
        let mut recorded = Self {
            request: linked.request,
            reply: linked.reply,
            list: None,
            start: None,
            servers: Vec::new(),
            clients: Vec::new(),
            verdict: None,
            result: None,
            outcome: None,
            taken: [0, 0],
        };
        let mut link = WatchedLink::new(Limits::default());
        let streams = [&connection.c2s, &connection.s2c];
        // The side that is due; a server may refuse at any time.
        while link.outcome().is_none() {
            let due = usize::from(link.due().0 == Sender::Server);
            let part = [due, 1].into_iter().find_map(|side| {
                if link.outcome().is_some() {
                    return None;
                }
                let sender = [Sender::Client, Sender::Server][side];
                let left = &streams[side][recorded.taken[side]..];
                let (part, len) = link.step(sender, left).unwrap()?;
                recorded.taken[side] += len;
                Some(part)
            });
            match part {
                Some(part) => recorded.add(part),
                None => break,
            }
        }
        recorded.outcome = link.outcome().cloned();
        Some(recorded)
    }

    fn add(&mut self, part: Part) {
        match part {
            Part::AuthMechanism(mechanism) => assert_eq!(mechanism, AuthMechanism::SASL),
            Part::SaslMechList(list) => self.list = Some(list),
            Part::SaslStartClient(start) => self.start = Some(start),
            Part::SaslStepServer(step) => self.servers.push(step),
            Part::SaslStepClient(step) => self.clients.push(step.data),
            Part::SaslVerdict(verdict) => self.verdict = Some(verdict),
            Part::LinkResult(code) => self.result = Some(code),
            _ => {}
        }
    }

    /// The start of a mechanism that the server offers.
    fn offered(&self) -> Option<&StartClient> {
        let list = self.list.as_ref()?;
        self.start.as_ref().filter(|start| list.offers(&start.mechname))
    }

    fn is_sealed(&self) -> bool {
        matches!(self.outcome, Some(WatchedOutcome::Sealed(_)))
    }
}

/// Data without the NUL that stands behind it on the wire.
fn said(data: &Bytes) -> Option<&[u8]> {
    data.split_last().map(|(_, said)| said)
}

/// What a repeated exchange came to.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Came {
    /// The link stands; both directions are in a layer.
    Layer,
    /// The link stands, in clear.
    Link,
    /// It was refused, or one side went.
    Nowhere,
}

/// Repeats the exchange of a connection in every role and chunking. `None`: its client does not choose SASL.
pub(crate) fn repeat(connection: &Connection) -> Option<Came> {
    let known = Recorded::of(connection)?;
    let whole = known.outcome.is_some();
    let mut came = Came::Nowhere;
    for chunk in [1, 7, usize::MAX] {
        let mut client = Played::new(&connection.s2c, chunk);
        play_client(&known, &mut client);
        let said = &connection.c2s[..known.taken[0]];
        assert!(said.starts_with(&client.sent), "the client");
        let mut server = Played::new(&connection.c2s, chunk);
        play_server(&known, &mut server);
        let answered = &connection.s2c[..known.taken[1]];
        // A server that has said no more than it was recorded with would have gone on.
        assert!(server.sent.starts_with(answered), "the server");
        if whole {
            assert_eq!(server.sent, answered, "the server");
        }
        if known.is_sealed() || matches!(known.outcome, Some(WatchedOutcome::Linked(_))) {
            assert_eq!(client.sent, said, "the client");
            assert_eq!(client.left.as_deref(), Some(&connection.s2c[known.taken[1]..]));
            assert_eq!(server.left.as_deref(), Some(&connection.c2s[known.taken[0]..]));
            came = if known.is_sealed() { Came::Layer } else { Came::Link };
        } else {
            assert_eq!((client.left, server.left), (None, None));
        }
    }
    Some(came)
}

#[test]
fn recorded_exchanges_are_repeated() {
    let mut rows = Rows::new();
    for connection in recordings::all() {
        if connection.linked().is_some_and(|linked| linked.sasl) {
            rows.row(&connection.name, || repeat(&connection));
        }
    }
    rows.end();
}

/// One side of an exchange, played: what it hears, what it has sent, and what lies behind its link stage if it came so
/// far.
struct Played<'a> {
    buffers: Buffers,
    input: &'a [u8],
    chunk: usize,
    sent: BytesMut,
    left: Option<Vec<u8>>,
}

impl<'a> Played<'a> {
    fn new(input: &'a [u8], chunk: usize) -> Self {
        Self {
            buffers: Buffers::default(),
            input,
            chunk,
            sent: BytesMut::new(),
            left: None,
        }
    }

    /// Hears more. `false`: the other side has said all.
    fn receive(&mut self) -> bool {
        let (piece, rest) = self.input.split_at(self.chunk.min(self.input.len()));
        self.buffers.rx.extend_from_slice(piece);
        self.input = rest;
        !piece.is_empty()
    }

    /// The link stands here: what follows is not of the link stage.
    fn stands(&mut self) {
        self.left = Some([&self.buffers.rx[..], self.input].concat());
    }

    fn flush(&mut self) {
        let tx = self.buffers.tx.split();
        self.sent.extend_from_slice(&tx);
    }
}

fn play_client(known: &Recorded, played: &mut Played<'_>) {
    let config = ClientConfig::new(known.request.clone());
    let mut machine = ClientLink::new(NOW, config, Secret::new(TICKET), [1; 20]);
    let (mut clients, mut servers) = (known.clients.iter(), known.servers.iter());
    loop {
        let action = machine.step(NOW, &mut played.buffers);
        played.flush();
        match action {
            Ok(Action::Receive { .. }) => {
                if !played.receive() {
                    // QEMU hangs up on a wrong password; or the recording ends.
                    assert!(matches!(machine.eof(), Err(HandshakeError::Closed(_))));
                    return;
                }
            }
            Ok(Action::Ask(client::ClientQuestion::SaslStart { mechanisms })) => {
                assert_eq!(Some(mechanisms), known.list);
                let buffers = &mut played.buffers;
                assert_eq!(machine.sasl_start(buffers, b"NO SUCH", None), Err(Misuse::NotOffered));
                let Some(start) = known.offered() else { return };
                machine.sasl_start(buffers, &start.mechname, said(&start.data)).unwrap();
            }
            Ok(Action::Ask(client::ClientQuestion::SaslStep { data, complete })) => {
                let step = servers.next().unwrap();
                assert_eq!(data.as_ref().map(Secret::expose), said(&step.data));
                assert_eq!(complete, step.complete != 0);
                if complete {
                    machine.sasl_end(known.is_sealed()).unwrap();
                } else {
                    let Some(words) = clients.next() else { return };
                    machine.sasl_step(&mut played.buffers, said(words)).unwrap();
                }
            }
            Ok(Action::Ask(client::ClientQuestion::SaslLayer)) => {
                played.stands();
                // The test has no keys of the layer. It supplies what is inside, and the link stands.
                played.buffers.rx = BytesMut::from(&[0; 4][..]);
                machine.layered().unwrap();
                let Ok(Action::Done(outcome)) = machine.step(NOW, &mut played.buffers) else {
                    panic!("the link does not stand");
                };
                assert!(outcome.sasl_layer);
                assert_eq!(outcome.capabilities, known.reply.capabilities);
                return;
            }
            Ok(Action::Done(outcome)) => {
                assert_eq!((outcome.mechanism, outcome.sasl_layer), (AuthMechanism::SASL, false));
                return played.stands();
            }
            Ok(Action::Waiting) => panic!("nothing is open"),
            Err(error) => {
                let Some(WatchedOutcome::Refused(code)) = &known.outcome else {
                    panic!("{error}");
                };
                return assert_eq!(error, HandshakeError::Rejected(*code));
            }
        }
    }
}

fn play_server(known: &Recorded, played: &mut Played<'_>) {
    let mut machine = ServerLink::new(NOW, Limits::default());
    let (mut servers, mut clients) = (known.servers.iter(), known.clients.iter());
    loop {
        let action = machine.step(NOW, &mut played.buffers);
        played.flush();
        let buffers = &mut played.buffers;
        let data = match action {
            Ok(Action::Receive { .. }) => {
                if !played.receive() {
                    machine.eof().unwrap_err();
                    return;
                }
                continue;
            }
            Ok(Action::Ask(ServerQuestion::Link(request))) => {
                assert_eq!(request, known.request);
                let shown = SaslAnnouncement {
                    mechanisms: known.list.clone().unwrap_or_else(|| MechList::of(&[])),
                    capabilities: known.reply.capabilities.clone(),
                };
                machine.announce_sasl(buffers, shown).unwrap();
                continue;
            }
            Ok(Action::Ask(ServerQuestion::SaslLayer)) => {
                played.stands();
                machine.layered().unwrap();
                let Ok(Action::Ask(ServerQuestion::Admit { .. })) = machine.step(NOW, &mut played.buffers) else {
                    panic!("nothing is asked");
                };
                machine.accept(&mut played.buffers).unwrap();
                return assert_eq!(&played.buffers.tx[..], [0; 4], "the result, to be sealed");
            }
            Ok(Action::Ask(ServerQuestion::Admit { request })) => {
                assert_eq!(request, known.request);
                match known.result {
                    Some(LinkErrorCode::OK) => machine.accept(buffers).unwrap(),
                    Some(code) => machine.refuse(buffers, Refusal::Code(code)).unwrap(),
                    None => machine.refuse(buffers, Refusal::Close).unwrap(),
                }
                continue;
            }
            Ok(Action::Ask(ServerQuestion::SaslStart { mechanism, data })) => {
                let start = known.start.as_ref().unwrap();
                assert_eq!(mechanism, start.mechname);
                (data, said(&start.data))
            }
            Ok(Action::Ask(ServerQuestion::SaslStep { data })) => (data, said(clients.next().unwrap())),
            Ok(Action::Done(outcome)) => {
                assert_eq!((outcome.mechanism, outcome.sasl_layer), (AuthMechanism::SASL, false));
                return played.stands();
            }
            Ok(other) => panic!("{other:?}"),
            // Refused by the machine, or by what is said in place of the recorded server.
            Err(_) => return,
        };
        assert_eq!(data.0.as_ref().map(Secret::expose), data.1);
        next_words(known, &mut machine, buffers, servers.next());
    }
}

/// What the recorded server says next.
fn next_words(known: &Recorded, machine: &mut ServerLink, buffers: &mut Buffers, step: Option<&StepServer>) {
    let Some(step) = step else {
        let why = match &known.outcome {
            Some(WatchedOutcome::Refused(code)) => Refusal::Code(*code),
            _ => Refusal::Close,
        };
        return machine.refuse(buffers, why).unwrap();
    };
    match (step.complete, &known.verdict) {
        (0, _) => machine.sasl_reply(buffers, said(&step.data)).unwrap(),
        (_, Some(SaslResult::Reject { reason })) => {
            let reason = std::str::from_utf8(said(reason).unwrap_or_default()).unwrap();
            machine.sasl_reject(buffers, said(&step.data), reason).unwrap();
        }
        _ => machine
            .sasl_complete(buffers, said(&step.data), known.is_sealed())
            .unwrap(),
    }
}
