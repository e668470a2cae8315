//! Connections between programs of other projects: the machines, put in the place of one of them, say what it said.
//!
//! `RFB_CAPTURES` names a folder of recordings to use instead of the one in `tests/data`.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use rfb_proto::handshake::{
    ClientConfig, ClientHandshake, HandshakeError, Incompatibility, Refusal, Rejected, Rejection, ServerConfig,
    ServerHandshake, Stage, Told,
};
use rfb_proto::message::{ClientMessage, ClientMessages, Extensions, SetEncodings};
use rfb_proto::security::tight::InteractionCapabilities;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{ClientInit, Limits, Policy, ServerInit, Version};

use crate::play::{Answers, NOW, Now, Outcome, Player, Role, Sasl};

/// Made for the recording.
const PASSWORDS: [&[u8]; 8] = [
    b"s3cretpw",
    b"newpw",
    b"wrong",
    b"nope",
    b"badbad",
    b"nope12",
    b"nonono",
    b"wrong-pass",
];

/// One recorded connection.
pub(crate) struct Connection {
    pub(crate) name: String,
    pub(crate) c2s: Vec<u8>,
    pub(crate) s2c: Vec<u8>,
    /// Where TLS begins: bytes of the client, bytes of the server.
    pub(crate) tls_at: Option<(usize, usize)>,
    /// What was read from one side or the other, in this order: whether from the client, from where to where. Empty if
    /// the order was not kept.
    pub(crate) segments: Vec<(bool, Range<usize>)>,
    /// Whether the bytes of the client end, and those of the server, where a message does.
    pub(crate) whole: (bool, bool),
}

/// Every connection, in the order of scenarios and numbers.
pub(crate) fn all() -> Vec<Connection> {
    let folder = std::env::var_os("RFB_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures"),
        PathBuf::from,
    );
    let read_dir = |path: &Path| -> Vec<PathBuf> {
        let entries = path
            .read_dir()
            .unwrap_or_else(|error| panic!("RFB_CAPTURES: {}: {error}", path.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    };
    let mut connections = Vec::new();
    for scenario in read_dir(&folder) {
        let scenario_name = scenario.file_name().unwrap().to_string_lossy().into_owned();
        if !scenario_name.starts_with("vnc-") {
            continue;
        }
        for json in read_dir(&scenario) {
            let name = json.file_name().unwrap().to_string_lossy().into_owned();
            let Some(number) = name.strip_suffix(".json").filter(|n| n.parse::<u32>().is_ok()) else {
                continue;
            };
            let about: serde_json::Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
            let at = |direction: &str| about["tls"]["starts_at"][direction].as_u64().map(|at| at as usize);
            let whole = |direction: &str| about["cut"][direction] != "inside a message";
            let segments = about["segments"].as_array().map_or(&[][..], |segments| segments);
            let segments = segments.iter().map(|segment| {
                let [start, len] = [2, 3].map(|index| segment[index].as_u64().unwrap() as usize);
                (segment[1] == "c2s", start..start + len)
            });
            let bytes = |direction: &str| std::fs::read(scenario.join(format!("{number}.{direction}.bin"))).unwrap();
            connections.push(Connection {
                name: format!("{scenario_name}/{number}"),
                c2s: bytes("c2s"),
                s2c: bytes("s2c"),
                tls_at: at("c2s").zip(at("s2c")),
                segments: segments.collect(),
                whole: (whole("c2s"), whole("s2c")),
            });
        }
    }
    assert!(
        !connections.is_empty(),
        "RFB_CAPTURES: no connections in {}",
        folder.display()
    );
    connections
}

/// What one side of a SASL exchange says, step by step.
pub(crate) type Says = Vec<Option<Vec<u8>>>;

/// The handshake as this reader, which knows no more than the recordings have, finds it.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The client's line is one of the published, or 3.5.
    rules: Option<Version>,
    /// Nothing that was offered, or a line that this is not read behind.
    odd: bool,
    types: Vec<u8>,
    /// What the client chose; in 3.3 what the server decided.
    choice: Option<u8>,
    challenge: Option<[u8; 16]>,
    response: Option<[u8; 16]>,
    /// Blocks of SASL, those of the server and those of the client.
    pub(crate) sasl: Option<(Says, Says)>,
    result: Option<u32>,
    reason: Option<Vec<u8>>,
    shared: Option<u8>,
    pub(crate) init: Option<ServerInit>,
    interaction: Option<InteractionCapabilities>,
    /// Where the messages begin.
    pub(crate) c2s_at: usize,
    pub(crate) s2c_at: usize,
}

struct Cursor<'a>(&'a [u8], usize);

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let bytes = self.0.get(self.1..self.1 + count)?;
        self.1 += count;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn word(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn block(&mut self) -> Option<Vec<u8>> {
        let length = self.word()? as usize;
        self.take(length).map(<[u8]>::to_vec)
    }

    /// Data of SASL, its NUL taken off.
    fn data(&mut self) -> Option<Option<Vec<u8>>> {
        let mut block = self.block()?;
        Some(block.pop().map(|_| block))
    }
}

impl Connection {
    pub(crate) fn walk(&self) -> Walk {
        let mut walk = Walk::default();
        // What is not there ends the walk; what was found stays.
        let _ = self.walk_on(&mut walk);
        walk
    }

    fn walk_on(&self, walk: &mut Walk) -> Option<()> {
        let (mut c, mut s) = (Cursor(&self.c2s, 12), Cursor(&self.s2c, 12));
        let rules = match &self.c2s[..12] {
            b"RFB 003.003\n" | b"RFB 003.005\n" => Version::V3_3,
            b"RFB 003.007\n" => Version::V3_7,
            b"RFB 003.008\n" => Version::V3_8,
            _ => {
                walk.odd = true;
                return None;
            }
        };
        walk.rules = Some(rules);
        if rules == Version::V3_3 {
            let number = s.word()? as u8;
            walk.types = vec![number];
            walk.choice = Some(number);
        } else {
            let count = s.array::<1>()?[0];
            walk.types = s.take(count.into())?.to_vec();
            walk.choice = Some(c.array::<1>()?[0]);
        }
        let choice = walk.choice?;
        if !walk.types.contains(&choice) {
            walk.odd = true;
            walk.result = Some(s.word()?);
            return None;
        }
        let mut exchange = choice;
        if choice == 19 {
            assert_eq!(self.tls_at, Some((19, 23)), "{}", self.name);
            (c.1, s.1, exchange) = (19, 23, 1);
        }
        if choice == 16 {
            assert_eq!(s.word()?, 0, "{}: tunnels", self.name);
            let count = s.word()? as usize;
            s.take(16 * count)?;
            exchange = c.word()? as u8;
        }
        if exchange == 2 {
            walk.challenge = Some(s.array()?);
            walk.response = Some(c.array()?);
        }
        if exchange == 20 {
            s.block()?;
            c.block()?;
            let (mut server, mut client) = (Vec::new(), Vec::new());
            while let Some(data) = c.data() {
                client.push(data);
                let Some(data) = s.data() else { break };
                server.push(data);
                if s.array::<1>()? == [1] {
                    break;
                }
            }
            walk.sasl = Some((server, client));
        }
        if exchange != 1 || rules == Version::V3_8 || choice == 19 {
            let result = s.word()?;
            walk.result = Some(result);
            if result != 0 {
                walk.reason = s.block();
                return None;
            }
        }
        (walk.c2s_at, walk.s2c_at) = (c.1, s.1);
        if exchange == 20 {
            return None;
        }
        walk.shared = Some(c.array::<1>()?[0]);
        let limits = Limits::default();
        let init = ServerInit::decode_slice(&self.s2c[s.1..], &limits).unwrap();
        s.1 += init.encoded_len();
        walk.init = Some(init);
        if choice == 16 {
            let interaction = InteractionCapabilities::decode_slice(&self.s2c[s.1..], &limits).unwrap();
            s.1 += interaction.encoded_len();
            walk.interaction = Some(interaction);
        }
        (walk.c2s_at, walk.s2c_at) = (c.1, s.1);
        None
    }
}

/// A chunking of a stream.
type Cut = fn(usize) -> usize;
const CUTS: [Cut; 3] = [|_| usize::MAX, |_| 1, |n| n % 7 + 1];

/// Feeds a stream, with TLS where it was, and the end.
fn feed(player: &mut Player, bytes: &[u8], tls_at: Option<usize>, cut: Cut) -> usize {
    let mut at = 0;
    for turn in 0.. {
        if let Now::Tls(_) = player.now {
            assert_eq!((Some(at), player.wire.rx.len()), (tls_at, 0), "TLS");
            player.tls_is_up();
        }
        let Now::Needs(_) = player.now else { break };
        let end = tls_at.filter(|&tls_at| at < tls_at).unwrap_or(bytes.len());
        let next = end.min(at.saturating_add(cut(turn)));
        if next == at {
            player.eof();
            break;
        }
        player.feed(&bytes[at..next]);
        at = next;
    }
    at
}

/// The password that gives the response, or the response.
fn known(challenge: &[u8; 16], response: &[u8; 16]) -> Result<&'static [u8], [u8; 16]> {
    let gives = |password: &&&[u8]| Password::new(password).respond(challenge) == *response;
    PASSWORDS.iter().find(gives).copied().ok_or(*response)
}

#[test]
fn client_handshake_says_what_the_real_clients_said() {
    let (mut stood, mut refused, mut odd) = (0, 0, 0);
    for connection in all() {
        let name = &connection.name;
        let walk = connection.walk();
        if walk.odd {
            odd += 1;
            odd_client(&connection, &walk);
            continue;
        }
        for cut in CUTS {
            // A client that has hung up at the list wanted something else.
            let chosen = walk.choice.map_or(SecurityType::NONE, SecurityType);
            let shared = walk.shared.unwrap_or_default();
            let config = ClientConfig::new(&[chosen])
                .with_version(walk.rules.unwrap())
                .with_subtypes(&[Subtype::X509_NONE])
                .with_tight_types(&[SecurityType::NONE, SecurityType::VNC])
                .with_client_init(ClientInit { shared });
            let mut answers = Answers::default();
            if let (Some(challenge), Some(response)) = (walk.challenge, walk.response) {
                match known(&challenge, &response) {
                    Ok(password) => answers.password = Some(password.to_vec()),
                    Err(response) => {
                        assert!(
                            name.starts_with("vnc-errors-"),
                            "{name}: no password gives the response"
                        );
                        answers.response = Some(response);
                    }
                }
            }
            if let Some((_, says)) = &walk.sasl {
                answers.sasl = Some(Sasl {
                    mechanism: b"DIGEST-MD5".to_vec(),
                    says: says.clone(),
                    layer: true,
                    refused: false,
                });
            }
            let mut player = Player::new(Role::Client(Box::new(ClientHandshake::new(NOW, config))), answers);
            let at = feed(&mut player, &connection.s2c, connection.tls_at.map(|at| at.1), cut);
            // The hand-made client said 3.5 once, which the server took for the 3.3 that is said here.
            let mut said = connection.c2s[..player.sent.len()].to_vec();
            if said.starts_with(b"RFB 003.005\n") {
                said[10] = b'3';
            }
            assert_eq!(player.sent, said, "{name}: {:?}", player.now);
            let rest = connection.s2c.len() - at + player.wire.rx.len();
            match &player.now {
                Now::Done(Outcome::Client(outcome)) => {
                    assert_eq!(player.sent.len(), walk.c2s_at, "{name}");
                    assert_eq!(
                        rest,
                        connection.s2c.len() - walk.s2c_at,
                        "{name}: the messages are left"
                    );
                    assert_eq!(outcome.init, walk.init, "{name}");
                    assert_eq!(outcome.interaction, walk.interaction, "{name}");
                    stood += 1;
                }
                Now::Unanswered("a SASL layer") => {
                    assert_eq!(player.sent.len(), walk.c2s_at, "{name}");
                    assert_eq!(rest, connection.s2c.len() - walk.s2c_at, "{name}: the layer is left");
                    stood += 1;
                }
                Now::Failed(HandshakeError::Rejected(Rejection {
                    of: Rejected::Authentication,
                    reason,
                })) => {
                    assert_eq!(player.sent, connection.c2s, "{name}");
                    assert_ne!(walk.result, Some(0), "{name}");
                    let told = walk
                        .reason
                        .clone()
                        .map_or(Told::Nothing, |text| Told::Reason(Reason { text: text.into() }));
                    assert_eq!(*reason, told, "{name}");
                    refused += 1;
                }
                // The hand-made client hung up itself when it had the challenge.
                Now::Unanswered("a password") => {
                    assert!(name.starts_with("vnc-errors-") && walk.response.is_none(), "{name}");
                    refused += 1;
                }
                // And at the list, as did a client that wanted something else.
                Now::Failed(HandshakeError::PeerIncompatible(Incompatibility::Types(offered))) => {
                    let numbers: Vec<_> = offered.iter().map(|offered| offered.0).collect();
                    assert_eq!(
                        (player.sent.len(), numbers, walk.choice),
                        (12, walk.types.clone(), None),
                        "{name}"
                    );
                    refused += 1;
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    println!("RFB_CAPTURES: as the client: {stood} handshakes stood, {refused} were refused, {odd} clients were odd");
    assert!(0 < stood && 0 < refused);
}

/// What a hand-made client did no machine of ours does; but what the server answered means something to it as well.
fn odd_client(connection: &Connection, walk: &Walk) {
    let name = &connection.name;
    let config = match walk.choice {
        Some(choice) => ClientConfig::new(&[SecurityType(choice)]),
        None => ClientConfig::new(&[SecurityType::VNC]),
    };
    let mut player = Player::new(
        Role::Client(Box::new(ClientHandshake::new(NOW, config))),
        Answers::default(),
    );
    feed(&mut player, &connection.s2c, None, |_| usize::MAX);
    let Now::Failed(error) = &player.now else {
        panic!("{name}: {:?}", player.now);
    };
    match (error, &connection.s2c[12..]) {
        (HandshakeError::Closed(Stage::SecurityTypes), []) => {}
        // QEMU's four zero bytes: an empty list, and a reason that does not come.
        (
            HandshakeError::Rejected(Rejection {
                of: Rejected::Connection,
                reason: Told::Nothing,
            }),
            [0, 0, 0, 0],
        ) => {}
        (HandshakeError::PeerIncompatible(Incompatibility::Types(offered)), [1, 2, ..]) => {
            assert_eq!(offered[..], [SecurityType::VNC], "{name}");
        }
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn server_handshake_says_what_the_real_servers_said() {
    let (mut stood, mut refused, mut differ) = (0, 0, 0);
    for connection in all() {
        let name = &connection.name;
        let walk = connection.walk();
        for cut in CUTS {
            let version = match &connection.s2c[..12] {
                b"RFB 003.003\n" => Version::V3_3,
                b"RFB 003.008\n" => Version::V3_8,
                other => panic!("{name}: {other:?}"),
            };
            let types: Vec<_> = walk.types.iter().copied().map(SecurityType).collect();
            // Where the client's line is odd, the type that all the others of that scenario were offered.
            let types = if types.is_empty() {
                vec![SecurityType::VNC]
            } else {
                types
            };
            let config = ServerConfig::new(&types)
                .with_version(version)
                // QEMU takes 3.5, and none of the other odd ones.
                .with_policy(if walk.odd { Policy::Strict } else { Policy::Lenient })
                .with_subtypes(&[Subtype::X509_NONE])
                .with_tight_types(&[SecurityType::VNC])
                .with_tight_interaction(walk.interaction.clone().unwrap_or_default())
                .with_sasl_mechanisms(b"DIGEST-MD5");
            let reason = Bytes::from(walk.reason.clone().unwrap_or_default());
            let mut answers = Answers {
                challenge: walk.challenge.unwrap_or_default(),
                server_init: walk.init.clone(),
                verdict: Some(walk.result.unwrap_or_default() == 0),
                refusal: Refusal::Failed(Reason { text: reason }),
                ..Answers::default()
            };
            if let Some((says, _)) = &walk.sasl {
                answers.sasl = Some(Sasl {
                    mechanism: Vec::new(),
                    says: says.clone(),
                    layer: true,
                    refused: walk.result.is_none(),
                });
            }
            let role = Role::Server(Box::new(ServerHandshake::new(NOW, config)));
            let mut player = Player::new(role, answers);
            let at = feed(&mut player, &connection.c2s, connection.tls_at.map(|at| at.0), cut);
            let rest = connection.c2s.len() - at + player.wire.rx.len();
            if walk.odd {
                differ += 1;
                odd_server(&connection, &walk, &player);
                continue;
            }
            match &player.now {
                Now::Done(Outcome::Server(outcome)) => {
                    assert_eq!(player.sent, connection.s2c[..walk.s2c_at], "{name}");
                    assert_eq!(
                        rest,
                        connection.c2s.len() - walk.c2s_at,
                        "{name}: the messages are left"
                    );
                    assert_eq!(outcome.init.map(|init| init.shared), walk.shared, "{name}");
                    stood += 1;
                }
                Now::Unanswered("a SASL layer") => {
                    assert_eq!(player.sent, connection.s2c[..walk.s2c_at], "{name}");
                    assert_eq!(rest, connection.c2s.len() - walk.c2s_at, "{name}: the layer is left");
                    stood += 1;
                }
                Now::Failed(HandshakeError::Refused(_)) => {
                    assert_eq!(player.sent, connection.s2c, "{name}");
                    refused += 1;
                }
                Now::Failed(HandshakeError::Closed(_)) => {
                    // The challenge is the record's, and it is not there if the client hung up in front of it.
                    let same = connection.s2c.len().min(player.sent.len());
                    assert_eq!(player.sent[..same], connection.s2c[..same], "{name}");
                    refused += 1;
                }
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    println!(
        "RFB_CAPTURES: as the server: {stood} handshakes stood, {refused} were refused, {differ} answers differ from QEMU's"
    );
    assert!(0 < stood && 0 < refused);
}

/// QEMU's answers to a hand-made client, and ours.
fn odd_server(connection: &Connection, walk: &Walk, player: &Player) {
    let name = &connection.name;
    let (ours, qemu) = (&player.sent[12..], &connection.s2c[12..]);
    assert!(matches!(player.now, Now::Failed(_)), "{name}: {:?}", player.now);
    match (walk.choice, qemu) {
        // Lines that are none.
        (None, []) => assert!(ours.is_empty(), "{name}"),
        // Here `3.0x8` is no line; QEMU's `scanf` reads it as 3.0.
        (None, [0, 0, 0, 0]) if connection.c2s.contains(&b'x') => assert!(ours.is_empty(), "{name}"),
        // Versions that are refused: QEMU's four bytes are what a 3.3 client expects, without a reason. Ours are what
        // one of the greeted version expects.
        (None, [0, 0, 0, 0]) => assert!(ours.starts_with(&[0, 0, 0, 0]) && 5 < ours.len(), "{name}: {ours:02x?}"),
        // The result is the same, the text is not.
        (Some(_), [1, 2, 0, 0, 0, 1, 0, 0, 0, 22, ..]) => assert!(ours.starts_with(&qemu[..6]), "{name}"),
        other => panic!("{name}: {other:?}"),
    }
}

/// Every client's stream, message by message: decoded, and encoded back to the same bytes.
#[test]
fn client_messages_say_what_the_real_clients_said() {
    let (mut messages, mut odd, mut counts) = (0, Vec::new(), BTreeMap::<&str, usize>::new());
    for connection in all() {
        let walk = connection.walk();
        if walk.init.is_none() {
            continue;
        }
        let stream = &connection.c2s[walk.c2s_at..];
        // What the servers announced is not looked at here, so everything may come. None of these clients has the
        // buttons that this would misread.
        let (mut extensions, mut again) = (Extensions::ALL, BytesMut::new());
        let limits = Limits::default();
        let mut read = ClientMessages::new(stream, &mut extensions, &limits);
        for message in read.by_ref() {
            message.encode(&mut again).unwrap();
            *counts.entry(message.name()).or_default() += 1;
            messages += 1;
            if let ClientMessage::SetEncodings(SetEncodings { padding: 1.., .. }) = message {
                odd.push(connection.name.clone());
            }
        }
        let taken = read
            .finish()
            .unwrap_or_else(|error| panic!("{}: {error}", connection.name));
        assert_eq!(again, stream[..taken], "{}", connection.name);
        // Only what was cut ends inside of a message.
        assert!(
            taken == stream.len() || !connection.whole.0,
            "{}: {taken} of {}",
            connection.name,
            stream.len()
        );
    }
    println!("RFB_CAPTURES: {messages} messages of clients: {counts:?}; padding that is not zero: {odd:?}");
    assert!(5 < counts.len() && 0 < messages);
}
