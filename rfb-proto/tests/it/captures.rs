//! Connections between programs of other projects: the machines, put in the place of one of them, say what it said.

use rfb_proto::handshake::{
    ClientConfig, ClientHandshake, HandshakeError, Incompatibility, Misbehaviour, Refusal, Rejected, Rejection,
    RejectionReason, ServerConfig, ServerHandshake, Stage,
};
use rfb_proto::security::tight::InteractionCapabilities;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{ClientInit, DecodeErrorKind, Limits, Policy, Version};

use crate::play::{Answers, NOW, Now, Outcome, Player, Role, Sasl};
use crate::recordings::{self, Connection, Rows, SOURCE};
use crate::walk::{End, Walk};

/// A chunking of a stream.
type Cut = fn(usize) -> usize;
const CUTS: [Cut; 3] = [|_| usize::MAX, |_| 1, |n| n % 7 + 1];

/// Feeds a stream, with TLS where it was, and the end.
fn feed(player: &mut Player, bytes: &[u8], tls_at: Option<usize>, cut: Cut) -> usize {
    let mut at = 0;
    for turn in 0.. {
        if let (Now::Tls(_), Some(tls_at)) = (&player.now, tls_at) {
            assert_eq!((at, player.buffers.rx.len()), (tls_at, 0), "TLS");
            player.tls_is_up();
        }
        let Now::Needs(_) = player.now else { break };
        let end = tls_at.filter(|&tls_at| at < tls_at).unwrap_or(bytes.len());
        let next = end.min(bytes.len()).min(at.saturating_add(cut(turn)));
        if next == at {
            player.eof();
            break;
        }
        player.feed(&bytes[at..next]);
        at = next;
    }
    at
}

/// The part that both have is the same.
fn same(ours: &[u8], recorded: &[u8]) {
    let len = ours.len().min(recorded.len());
    assert_eq!(ours[..len], recorded[..len]);
}

/// Types for a list that was not seen: one that can be followed, where that is what the choice needs.
fn types_or(types: &[u8], default: SecurityType) -> Vec<SecurityType> {
    match types {
        [] => vec![default],
        types => types.iter().copied().map(SecurityType).collect(),
    }
}

fn subtypes_or(subtypes: &[u32], default: Subtype) -> Vec<Subtype> {
    match subtypes {
        [] => vec![default],
        subtypes => subtypes.iter().copied().map(Subtype).collect(),
    }
}

fn told(reason: Option<&Vec<u8>>) -> RejectionReason {
    match reason {
        None => RejectionReason::Nothing,
        Some(text) if Limits::default().reason < text.len() as u32 => RejectionReason::TooLong(text.len() as u32),
        Some(text) => RejectionReason::Reason(Reason {
            text: text.clone().into(),
        }),
    }
}

/// The machine in the client's place.
pub(crate) fn as_client(connection: &Connection, walk: &Walk, cut: Cut) -> (Player, usize) {
    // A client that has hung up at the list wanted something else.
    let chosen = SecurityType(walk.choice.unwrap_or(1));
    let inner = [SecurityType(walk.inner.unwrap_or(1))];
    let config = ClientConfig::new(&[chosen])
        .with_version(rules(walk))
        .with_subtypes(&[Subtype(walk.subtype.unwrap_or(260))])
        .with_tight_types(&inner)
        .with_tls_types(&inner)
        .with_cleartext(true)
        .with_client_init(ClientInit {
            shared: walk.shared.unwrap_or_default(),
        });
    let known = walk.challenge.as_ref().zip(walk.response.as_ref());
    let known = known.and_then(|(challenge, response)| password(challenge, response));
    let mut answers = Answers {
        user: walk.user.clone().unwrap_or_default(),
        password: walk.password.clone().or_else(|| known.map(<[u8]>::to_vec)),
        // Any other response is said as it was.
        response: walk.response.filter(|_| known.is_none()),
        ..Answers::default()
    };
    if let Some((_, says)) = walk.sasl.as_ref().filter(|(_, says)| !says.is_empty()) {
        answers.sasl = Some(Sasl {
            mechanism: walk.mechanism.clone(),
            says: says.clone(),
            layer: walk.end == End::Layer,
            refused: false,
        });
    }
    let mut player = Player::new(Role::Client(Box::new(ClientHandshake::new(NOW, config))), answers);
    let at = feed(&mut player, &connection.s2c, connection.tls_at.map(|at| at.1), cut);
    (player, at)
}

fn rules(walk: &Walk) -> Version {
    walk.rules.or(walk.greeted).unwrap_or(Version::V3_8)
}

/// What the client said, with the line that the machine says in its place: some clients say 3.5 or 3.889.
fn client_said(connection: &Connection, walk: &Walk) -> Vec<u8> {
    let mut said = connection.c2s.clone();
    let line = rules(walk).to_bytes();
    let len = line.len().min(said.len());
    said[..len].copy_from_slice(&line[..len]);
    said
}

/// Holds the machine in the client's place against the recording.
fn check_client(connection: &Connection, walk: &Walk, player: &Player, at: usize) {
    let rest = connection.s2c.len() - at + player.buffers.rx.len();
    let here = (player.sent.len(), rest);
    let messages = (walk.c2s_at, connection.s2c.len() - walk.s2c_at);
    let said = client_said(connection, walk);
    match walk.end {
        // No server goes on then.
        End::NotOffered => assert!(
            matches!(&connection.s2c[walk.s2c_at..], [] | [0] | [0, 0, 0, 1 | 2, ..]),
            "the choice was not offered"
        ),
        End::AboveOffer => same(&player.sent, &said[..12]),
        _ => same(&player.sent, &said),
    }
    match (walk.end, &player.now) {
        (End::Whole, Now::Done(Outcome::Client(outcome))) => {
            assert_eq!(here, messages, "the messages are left");
            assert_eq!(outcome.init, walk.init);
            assert_eq!(outcome.interaction, walk.interaction);
        }
        (End::Layer, Now::Unanswered("a SASL layer")) => assert_eq!(here, messages, "the layer is left"),
        (end, Now::Failed(HandshakeError::Rejected(Rejection { of, reason }))) => {
            let expected = match (end, walk.result) {
                (End::RefusedConnection, _) => *of == Rejected::Connection,
                (End::RefusedVeNCrypt, _) => matches!(of, Rejected::Subtype | Rejected::VeNCryptVersion),
                (End::RefusedAuthentication, Some(2)) => *of == Rejected::TooManyAttempts,
                (End::RefusedAuthentication, _) => *of == Rejected::Authentication,
                (End::ServerSilent | End::ClientSilent, _) => *reason == RejectionReason::Nothing,
                (End::OddLine | End::AboveOffer | End::NotOffered, _) => true,
                _ => false,
            };
            assert!(expected, "{end:?}: {of}");
            if matches!(end, End::RefusedConnection | End::RefusedAuthentication) {
                assert_eq!(*reason, told(walk.reason.as_ref()));
                assert_eq!(player.sent.len(), walk.c2s_at);
            }
            if end == End::OddLine {
                assert_eq!(*reason, told(odd_reason(connection).as_ref()));
            }
        }
        (End::ServerSilent | End::ClientSilent, Now::Failed(HandshakeError::Closed(_))) => {}
        // What is announced and does not come may be above a limit.
        (End::ServerSilent, Now::Failed(HandshakeError::Decode(error))) => {
            assert!(matches!(error.kind, DecodeErrorKind::TooLarge { .. }), "{error}");
        }
        (End::OddLine, Now::Failed(HandshakeError::Decode(_))) if walk.greeted.is_none() => {}
        // The client had no answer, or wanted something else than what was offered.
        (End::ClientSilent, Now::Unanswered(_)) => assert_eq!(player.sent.len(), walk.c2s_at),
        (
            End::ClientSilent | End::Foreign | End::OddLine | End::NotOffered,
            Now::Failed(HandshakeError::PeerIncompatible(incompatible)),
        ) => {
            if let (Incompatibility::Types(offered), None) = (incompatible, walk.inner) {
                let numbers: Vec<_> = offered.iter().map(|offered| offered.0).collect();
                let listed = if walk.types.is_empty() {
                    odd_types(connection)
                } else {
                    walk.types.clone()
                };
                assert_eq!(numbers, listed);
            }
        }
        (
            End::Foreign,
            Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::TypeOf33(_) | Misbehaviour::UnknownResult(_))),
        ) => {}
        // The machine says a line that is not odd, so it is at another place than the client was.
        (End::OddLine, Now::Failed(HandshakeError::Closed(Stage::Version | Stage::SecurityTypes))) => {
            assert!(odd_reason(connection).is_none());
        }
        (End::OddLine, Now::Failed(_) | Now::Unanswered(_)) if 12 < connection.s2c.len() => {}
        // The machine says the server's version, and the server answered to another one.
        (End::AboveOffer, now) => assert!(!matches!(now, Now::Needs(_)), "{now:?}"),
        (End::Sealed, Now::Tls(_)) => assert_eq!(here, messages, "TLS is left"),
        (end, now) => panic!("{end:?}: {now:?}"),
    }
}

/// The reason of a refusal, where the client's line was odd: that of a list of no types, or of 3.3.
fn odd_reason(connection: &Connection) -> Option<Vec<u8>> {
    let rest = connection.s2c.get(12..)?.strip_prefix(&[0])?;
    let (length, text) = rest.split_first_chunk::<4>()?;
    text.get(..u32::from_be_bytes(*length) as usize).map(<[u8]>::to_vec)
}

fn odd_types(connection: &Connection) -> Vec<u8> {
    let list = connection.s2c.get(12..).and_then(<[u8]>::split_first);
    list.map_or(Vec::new(), |(count, list)| list[..usize::from(*count)].to_vec())
}

#[test]
fn client_handshake_says_what_the_real_clients_said() {
    let mut rows = Rows::new(SOURCE);
    for connection in recordings::all() {
        rows.row(&connection.name, || {
            let walk = connection.walk();
            for cut in CUTS {
                let (player, at) = as_client(&connection, &walk, cut);
                check_client(&connection, &walk, &player, at);
            }
        });
    }
    rows.end();
}

/// Made for the recordings in `tests/data`; those of other recordings need not be known.
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

/// The one that gives the response.
pub(crate) fn password(challenge: &[u8; 16], response: &[u8; 16]) -> Option<&'static [u8]> {
    let gives = |password: &&&[u8]| Password::new(password).respond(challenge) == *response;
    PASSWORDS.iter().find(gives).copied()
}

/// The machine in the server's place.
pub(crate) fn as_server(connection: &Connection, walk: &Walk, cut: Cut) -> (Player, usize) {
    let inner_types = types_or(&walk.inner_types, SecurityType::VNC);
    let mechanisms = match &walk.mechanisms[..] {
        [] => b"PLAIN",
        listed => listed,
    };
    let config = ServerConfig::new(&types_or(&walk.types, SecurityType::VNC))
        .with_version(walk.greeted.unwrap_or(Version::V3_8))
        .with_policy(match walk.end {
            End::OddLine => Policy::Strict,
            _ => Policy::Lenient,
        })
        .with_subtypes(&subtypes_or(&walk.subtypes, Subtype::X509_NONE))
        .with_tight_tunnel(walk.tunnel)
        .with_tight_types(&inner_types)
        .with_tls_types(&inner_types)
        .with_tight_interaction(interaction(walk))
        .with_sasl_mechanisms(mechanisms);
    let reason = Reason {
        text: walk.reason.clone().unwrap_or_default().into(),
    };
    let mut answers = Answers {
        challenge: walk.challenge.unwrap_or_default(),
        server_init: walk.init.clone(),
        verdict: Some(walk.result.unwrap_or_default() == 0),
        refusal: match walk.result {
            Some(2) => Refusal::TooManyAttempts(reason),
            _ => Refusal::Failed(reason),
        },
        ..Answers::default()
    };
    if let Some((says, _)) = &walk.sasl {
        answers.sasl = Some(Sasl {
            mechanism: Vec::new(),
            says: says.clone(),
            layer: walk.end == End::Layer,
            refused: !walk.sasl_complete,
        });
    }
    let role = Role::Server(Box::new(ServerHandshake::new(NOW, config)));
    let mut player = Player::new(role, answers);
    let at = feed(&mut player, &connection.c2s, connection.tls_at.map(|at| at.0), cut);
    (player, at)
}

fn interaction(walk: &Walk) -> InteractionCapabilities {
    walk.interaction.clone().unwrap_or_default()
}

/// Holds the machine in the server's place against the recording.
fn check_server(connection: &Connection, walk: &Walk, player: &Player, at: usize) {
    let rest = connection.c2s.len() - at + player.buffers.rx.len();
    let messages = connection.c2s.len() - walk.c2s_at;
    // A recorded server that lists no way to authenticate gets no choice; our list is never empty.
    if walk.choice == Some(16) && walk.inner_types.is_empty() && walk.inner.is_some() {
        return;
    }
    same(&player.sent, &walk.expected);
    match (walk.end, &player.now) {
        (End::Whole, Now::Done(Outcome::Server(outcome))) => {
            assert_eq!(player.sent, walk.expected);
            assert_eq!(rest, messages, "the messages are left");
            assert_eq!(outcome.init.map(|init| init.shared), walk.shared);
        }
        (End::Layer, Now::Unanswered("a SASL layer")) => {
            assert_eq!(player.sent, walk.expected);
            assert_eq!(rest, messages, "the layer is left");
        }
        (End::RefusedAuthentication, Now::Failed(HandshakeError::Refused(_))) => {
            assert_eq!(player.sent, walk.expected);
        }
        (End::ClientSilent, Now::Failed(HandshakeError::Closed(_) | HandshakeError::Refused(_))) => {}
        // What is announced and does not come may be above a limit.
        (End::ClientSilent, Now::Failed(HandshakeError::Decode(error))) => {
            assert!(matches!(error.kind, DecodeErrorKind::TooLarge { .. }), "{error}");
        }
        // The server had said no more, for reasons of its own.
        (End::ServerSilent | End::RefusedConnection | End::RefusedVeNCrypt | End::Foreign, now) => {
            assert!(!matches!(now, Now::Needs(_)), "{now:?}");
        }
        (End::NotOffered, Now::Failed(HandshakeError::PeerMisbehaved(_))) => {}
        // Nothing is said to what is no line; a refusal of another version begins with a list of no types.
        (End::OddLine | End::AboveOffer, Now::Failed(_)) => assert!(matches!(&player.sent[12..], [] | [0, ..])),
        (End::Sealed, Now::Tls(_)) => {}
        (end, now) => panic!("{end:?}: {now:?}"),
    }
}

#[test]
fn server_handshake_says_what_the_real_servers_said() {
    let mut rows = Rows::new(SOURCE);
    for connection in recordings::all() {
        rows.row(&connection.name, || {
            let walk = connection.walk();
            for cut in CUTS {
                let (player, at) = as_server(&connection, &walk, cut);
                check_server(&connection, &walk, &player, at);
            }
        });
    }
    rows.end();
}

/// The scripts of `rfb-vectors.toml` as recordings: ends and types that were never recorded. A script whose machine says
/// what is its own to choose, or which leaves bytes open, is left out.
#[test]
fn scripts_are_recordings_too() {
    let vectors = crate::data::own("rfb-vectors.toml");
    let mut rows = Rows::new("scripts");
    for script in crate::data::each(&vectors, "transcript") {
        let Some(connection) = scripted(script) else { continue };
        rows.row(&connection.name, || {
            let walk = connection.walk();
            for cut in CUTS {
                let (player, at) = as_client(&connection, &walk, cut);
                check_client(&connection, &walk, &player, at);
                let (player, at) = as_server(&connection, &walk, cut);
                check_server(&connection, &walk, &player, at);
            }
        });
    }
    rows.end();
}

fn scripted(script: &toml::Table) -> Option<Connection> {
    let mut connection = Connection {
        name: crate::data::text(script, "id").to_owned(),
        c2s: Vec::new(),
        s2c: Vec::new(),
        tls_at: None,
        segments: Vec::new(),
        whole: (true, true),
    };
    for step in script["steps"].as_array().unwrap() {
        let (by, what) = (step[0].as_str().unwrap(), step[1].as_str().unwrap());
        match (by, what) {
            (_, "EOF") => {}
            (_, "TLS") => connection.tls_at = Some((connection.c2s.len(), connection.s2c.len())),
            ("c" | "s", what) if what.contains('<') => return None,
            ("c", what) => connection.c2s.extend(crate::data::hex(what)),
            ("s", what) => connection.s2c.extend(crate::data::hex(what)),
            _ => return None,
        }
    }
    Some(connection)
}
