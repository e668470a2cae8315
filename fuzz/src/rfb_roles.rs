//! The RFB handshake in its two roles.
//!
//! ```text
//! | mode u8 | config u8 | types u8 | answers u8 | mode 0: chunk u8 | length u16, bytes of the peer up to TLS | and so on |
//!                                               | mode 1: operations, each u8 and what it takes |
//! ```
//!
//! Mode 0 plays a handshake to its end, in different pieces. Mode 1 does anything at any time.

use std::collections::BTreeSet;
use std::time::Duration;

use rfb_proto::handshake::{
    Action, Buffers, ClientConfig, ClientHandshake, Event, HandshakeError, Machine, Misbehaviour, Misuse, Refusal,
    ServerConfig, ServerHandshake, Stage, TlsRole, client, server,
};
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::{Reason, SecurityType};
use rfb_proto::{Limits, Policy, ServerInit, Version};

use crate::Input;

/// The time for a handshake, in seconds; an operation takes up to a quarter of a second.
const SECONDS: u64 = 10;
/// A handshake ends in fewer steps than it has bytes, and these.
const STEPS: usize = 64;
/// What this side shows; a refusal never says it.
const PASSWORD: &[u8] = b"a password";
const KNOWN: [u8; 8] = [1, 2, 16, 18, 19, 20, 30, 5];

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default()
        .with_reason(32)
        .with_name(32)
        .with_user(16)
        .with_password(16)
        .with_sasl_mechanisms(32)
        .with_sasl_mechanism(16)
        .with_sasl_data(64)
        .with_tight_capabilities(4)
        .with_handshake_timeout(Duration::from_secs(SECONDS))
}

fn types(bits: u8) -> Vec<SecurityType> {
    let known = KNOWN.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 != 0);
    known.map(|(_, number)| SecurityType(*number)).collect()
}

fn subtypes() -> Vec<Subtype> {
    (256..=267).chain([1, 2, 20, 19]).map(Subtype).collect()
}

fn version(bits: u8) -> Version {
    [Version::V3_8, Version::V3_7, Version::V3_3, Version::V3_8][usize::from(bits & 3)]
}

fn policy(bits: u8) -> Policy {
    if bits & 4 == 0 { Policy::Lenient } else { Policy::Strict }
}

pub(crate) fn shown() -> ServerInit {
    ServerInit {
        width: 640,
        height: 480,
        format: rfb_proto::PixelFormat::RGB888,
        name: bytes::Bytes::from_static(b"fuzz"),
    }
}

/// A machine of either role, and what its caller does.
enum Role {
    Client(Box<ClientHandshake>),
    Server(Box<ServerHandshake>),
}

/// What a step came to.
#[derive(Debug, PartialEq)]
enum Now {
    Needs(usize),
    Tls,
    Answered,
    Waiting,
    Done(String),
    Failed(HandshakeError),
}

/// The first bytes of an input.
#[derive(Clone, Copy)]
struct Head {
    config: u8,
    types: u8,
    answers: u8,
}

impl Role {
    fn client(head: Head) -> Self {
        let Head {
            config, types: bits, ..
        } = head;
        let mut wanted = ClientConfig::new(&types(bits))
            .with_version(version(config))
            .with_policy(policy(config))
            .with_subtypes(&subtypes())
            .with_tight_types(&types(bits >> 1 | 1))
            .with_tls_types(&types(bits))
            .with_cleartext(config & 8 != 0)
            .with_ask_choice(config & 16 != 0)
            .with_init(config & 32 == 0)
            .with_limits(limits());
        if config & 64 != 0 {
            wanted = wanted.with_repeater(b"ID:1");
        }
        Self::Client(Box::new(ClientHandshake::new(Duration::ZERO, wanted)))
    }

    fn server(head: Head) -> Self {
        let Head {
            config, types: bits, ..
        } = head;
        let offered = ServerConfig::new(&types(bits))
            .with_version(version(config))
            .with_policy(policy(config))
            .with_subtypes(&subtypes())
            .with_tight_types(&types(bits >> 1 | 1))
            .with_tight_tunnel(config & 8 != 0)
            .with_tls_types(&types(bits))
            .with_sasl_mechanisms(b"PLAIN,EXTERNAL")
            .with_ask_offer(config & 16 != 0)
            .with_init(config & 32 == 0)
            .with_apple(config & 64 != 0)
            .with_limits(limits());
        Self::Server(Box::new(ServerHandshake::new(Duration::ZERO, offered)))
    }

    fn stage(&self) -> Stage {
        match self {
            Self::Client(machine) => machine.stage(),
            Self::Server(machine) => machine.stage(),
        }
    }

    fn eof(&mut self) -> HandshakeError {
        match self {
            Self::Client(machine) => machine.eof().unwrap_err(),
            Self::Server(machine) => machine.eof().unwrap_err(),
        }
    }

    fn max_input(&self) -> usize {
        match self {
            Self::Client(machine) => machine.max_input(),
            Self::Server(machine) => machine.max_input(),
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        match self {
            Self::Client(machine) => machine.poll_event(),
            Self::Server(machine) => machine.poll_event(),
        }
    }

    /// A step, and the answer if it asks and there is one.
    fn step(&mut self, now: Duration, buffers: &mut Buffers, answers: Option<u8>) -> Now {
        match self {
            Self::Client(machine) => match machine.step(now, buffers) {
                Ok(Action::Ask(question)) => {
                    if let Some(bits) = answers {
                        answer_server(machine, buffers, question, bits);
                    }
                    Now::Answered
                }
                other => common(other, TlsRole::Client, buffers),
            },
            Self::Server(machine) => match machine.step(now, buffers) {
                Ok(Action::Ask(question)) => {
                    if let Some(bits) = answers {
                        answer_client(machine, buffers, question, bits);
                    }
                    Now::Answered
                }
                other => common(other, TlsRole::Server, buffers),
            },
        }
    }

    /// Gives an answer, whether it was asked for or not. Those that were not change nothing.
    fn answer(&mut self, buffers: &mut Buffers, which: u8, bits: u8) {
        let sent = buffers.tx.len();
        let stage = self.stage();
        let data = (bits & 1 != 0).then_some(PASSWORD);
        let answered = match self {
            Self::Client(machine) => match which % 7 {
                0 => machine.choose(buffers, SecurityType(KNOWN[usize::from(bits & 7)])),
                1 => machine.respond(buffers, [bits; 16]),
                2 => machine.plain(buffers, b"user", PASSWORD),
                3 => machine.ident(buffers, b"user"),
                4 => machine.sasl_start(buffers, if bits & 2 == 0 { b"PLAIN" } else { b"EXTERNAL" }, data),
                5 => machine.sasl_step(buffers, data),
                _ if bits & 1 == 0 => machine.sasl_end(bits & 2 != 0),
                _ => machine.layered(),
            },
            Self::Server(machine) => match which % 8 {
                0 => machine.offer(buffers, &types(bits)),
                1 => machine.challenge(buffers, [bits; 16]),
                2 => machine.accept(buffers),
                3 => machine.refuse(buffers, refusal(bits)),
                4 => machine.sasl_reply(buffers, data),
                5 => machine.sasl_complete(buffers, data, bits & 2 != 0),
                6 => machine.init(buffers, &shown()),
                _ => machine.layered(),
            },
        };
        if let Err(misuse) = answered {
            assert_ne!(misuse, Misuse::Ended);
            assert_eq!(
                (buffers.tx.len(), self.stage()),
                (sent, stage),
                "an answer that was not asked for"
            );
        }
    }
}

fn refusal(bits: u8) -> Refusal {
    let reason = Reason::from_static("no");
    match bits & 3 {
        0 => Refusal::Close,
        1 => Refusal::TooManyAttempts(reason),
        _ => Refusal::Failed(reason),
    }
}

fn common<Q, O: core::fmt::Debug>(
    action: Result<Action<Q, O>, HandshakeError>,
    role: TlsRole,
    buffers: &Buffers,
) -> Now {
    match action {
        Ok(Action::Receive { at_least }) => Now::Needs(at_least),
        Ok(Action::StartTls(tls)) => {
            assert_eq!(tls.role, role);
            assert!(
                role == TlsRole::Server || buffers.rx.is_empty(),
                "bytes in front of TLS"
            );
            Now::Tls
        }
        Ok(Action::Ask(_)) => unreachable!(),
        Ok(Action::Waiting) => Now::Waiting,
        Ok(Action::Done(outcome)) => Now::Done(format!("{outcome:?}")),
        Err(error) => Now::Failed(error),
    }
}

/// The client's caller.
fn answer_server(machine: &mut ClientHandshake, buffers: &mut Buffers, question: client::ClientQuestion, bits: u8) {
    let data = (bits & 1 != 0).then_some(PASSWORD);
    match question {
        client::ClientQuestion::Choose(offered) => {
            // One that cannot be followed is misuse, and then the first that can is taken.
            if !offered.iter().any(|offered| machine.choose(buffers, *offered).is_ok()) {
                machine.eof().unwrap_err();
            }
        }
        client::ClientQuestion::Vnc { challenge } => machine.respond(buffers, challenge).unwrap(),
        client::ClientQuestion::Plain => machine.plain(buffers, b"user", PASSWORD).unwrap(),
        client::ClientQuestion::Ident => machine.ident(buffers, b"user").unwrap(),
        client::ClientQuestion::SaslStart { mechanisms } => {
            let name = mechanisms
                .list
                .split(|&byte| byte == b',')
                .find(|name| !name.is_empty());
            match name {
                Some(name) => machine.sasl_start(buffers, name, data).unwrap(),
                None => drop(machine.eof()),
            }
        }
        client::ClientQuestion::SaslStep { complete: false, .. } => machine.sasl_step(buffers, data).unwrap(),
        client::ClientQuestion::SaslStep { complete: true, .. } => machine.sasl_end(bits & 2 != 0).unwrap(),
        client::ClientQuestion::SaslLayer => machine.layered().unwrap(),
        // Those of `rfb_logins`.
        _ => drop(machine.eof()),
    }
}

/// The server's caller.
fn answer_client(machine: &mut ServerHandshake, buffers: &mut Buffers, question: server::ServerQuestion, bits: u8) {
    let data = (bits & 1 != 0).then_some(PASSWORD);
    match question {
        server::ServerQuestion::Offer { .. } if bits & 4 != 0 => machine.refuse(buffers, refusal(bits)).unwrap(),
        server::ServerQuestion::Offer { .. } => machine.offer(buffers, &types(bits | 2)).unwrap(),
        server::ServerQuestion::Challenge => machine.challenge(buffers, [7; 16]).unwrap(),
        server::ServerQuestion::Admit(_) if bits & 8 != 0 => machine.refuse(buffers, refusal(bits)).unwrap(),
        server::ServerQuestion::Admit(_) => machine.accept(buffers).unwrap(),
        server::ServerQuestion::SaslStart { .. } if bits & 16 != 0 => machine.sasl_reply(buffers, data).unwrap(),
        server::ServerQuestion::SaslStep { .. } if bits & 32 != 0 => machine.refuse(buffers, refusal(bits)).unwrap(),
        server::ServerQuestion::SaslStart { .. } | server::ServerQuestion::SaslStep { .. } => {
            machine.sasl_complete(buffers, data, bits & 2 != 0).unwrap();
        }
        server::ServerQuestion::SaslLayer => machine.layered().unwrap(),
        server::ServerQuestion::Init(_) => machine.init(buffers, &shown()).unwrap(),
        // Those of `rfb_logins`.
        _ => machine.refuse(buffers, refusal(bits)).unwrap(),
    }
}

/// How a handshake ended.
#[derive(Debug, PartialEq)]
struct Ended {
    now: Now,
    sent: Vec<u8>,
    left: Vec<u8>,
    events: Vec<Event>,
}

/// The stages that an input reached.
type Stages = BTreeSet<String>;

/// Feeds the parts, each up to TLS, in pieces of `chunk`; then the peer hangs up.
fn play(mut role: Role, head: Head, mut input: Input<'_>, chunk: usize, stages: &mut Stages) -> Ended {
    let mut buffers = Buffers::default();
    let mut part = input.blob();
    let mut events = Vec::new();
    // A step for each byte, and one for each answer: a round of SASL takes five bytes of a server.
    let budget = STEPS + 2 * (input.rest().len() + part.len());
    for _ in 0..budget {
        stages.insert(format!("{:?}", role.stage()));
        let now = role.step(Duration::ZERO, &mut buffers, Some(head.answers));
        stages.insert(format!("{:?}", role.stage()));
        events.extend(core::iter::from_fn(|| role.poll_event()));
        let surplus = buffers.rx.len() + part.len();
        let now = match now {
            Now::Answered => continue,
            Now::Needs(at_least) => {
                assert!(0 < at_least && buffers.rx.len() + at_least <= role.max_input());
                if !part.is_empty() {
                    let (now, later) = part.split_at(chunk.min(part.len()));
                    buffers.rx.extend_from_slice(now);
                    part = later;
                    continue;
                }
                Now::Failed(role.eof())
            }
            // What stands in front of TLS is an error for a client if it is there already, and else TLS input.
            Now::Tls if matches!(role, Role::Client(_)) && 0 < surplus => Now::Tls,
            Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::BytesBeforeTls)) => Now::Tls,
            Now::Tls => {
                buffers.rx.clear();
                part = input.blob();
                continue;
            }
            Now::Waiting => panic!("nothing is open"),
            now => now,
        };
        // What was left is the same however it was cut. It is not compared at TLS, and behind a failure, which overwrites
        // what may be a secret.
        let left = if now == Now::Tls || matches!(now, Now::Failed(_)) {
            Vec::new()
        } else {
            [&buffers.rx[..], part].concat()
        };
        check_end(&mut role, &mut buffers, &now);
        return Ended {
            now,
            sent: buffers.tx.to_vec(),
            left,
            events,
        };
    }
    panic!("the handshake does not end");
}

/// An end is an end.
fn check_end(role: &mut Role, buffers: &mut Buffers, now: &Now) {
    let sent = buffers.tx.len();
    match now {
        Now::Failed(error) => {
            assert_eq!(role.step(Duration::ZERO, buffers, None), Now::Failed(error.clone()));
            assert_eq!(role.eof(), *error);
            // A reason is the peer's text and can say anything.
            let is_told = matches!(error, HandshakeError::Rejected(_));
            assert!(is_told || !error.to_string().contains("a password"), "{error}");
        }
        Now::Done(_) => {
            assert_eq!(
                role.step(Duration::ZERO, buffers, None),
                Now::Failed(HandshakeError::Misuse(Misuse::Ended))
            );
        }
        _ => {}
    }
    assert_eq!(buffers.tx.len(), sent, "nothing is said behind the end");
}

/// Does anything at any time.
fn operate(mut role: Role, mut input: Input<'_>, stages: &mut Stages) {
    let mut buffers = Buffers::default();
    let (mut now, mut failed, mut tls) = (Duration::ZERO, None::<HandshakeError>, false);
    while !input.is_empty() {
        let operation = input.byte();
        match operation & 7 {
            0 | 1 => {
                let count = usize::from(input.byte());
                for _ in 0..count.min(64) {
                    buffers.rx.extend_from_slice(&[input.byte()]);
                }
            }
            2 => role.answer(&mut buffers, operation >> 3, input.byte()),
            3 => now += Duration::from_millis(u64::from(input.byte())),
            4 if operation & 8 != 0 => {
                let error = role.eof();
                assert!(
                    failed.as_ref().is_none_or(|failed| *failed == error),
                    "an error is terminal"
                );
                // The end of a handshake that had gone well is no failure.
                if error != HandshakeError::Misuse(Misuse::Ended) {
                    failed = Some(error);
                }
            }
            4 => buffers.tx.clear(),
            5 => while role.poll_event().is_some() {},
            _ => {
                let answers = (operation & 8 == 0).then(|| input.byte());
                if core::mem::take(&mut tls) {
                    buffers.rx.clear();
                }
                let step = role.step(now, &mut buffers, answers);
                match &step {
                    Now::Failed(error) => {
                        assert!(
                            failed.as_ref().is_none_or(|failed| failed == error),
                            "an error is terminal"
                        );
                        if *error != HandshakeError::Misuse(Misuse::Ended) {
                            failed = Some(error.clone());
                        }
                    }
                    other => assert!(failed.is_none(), "{other:?} after {failed:?}"),
                }
                if let Now::Needs(at_least) = step {
                    assert!(0 < at_least && buffers.rx.len() + at_least <= role.max_input());
                    assert!(now < Duration::from_secs(SECONDS), "out of time");
                }
                tls = step == Now::Tls;
            }
        }
        stages.insert(format!("{:?}", role.stage()));
    }
}

fn check(data: &[u8], make: fn(Head) -> Role) -> Stages {
    let mut input = Input::new(data);
    let mode = input.byte();
    let head = Head {
        config: input.byte(),
        types: input.byte(),
        answers: input.byte(),
    };
    let mut stages = Stages::new();
    if mode & 1 != 0 {
        operate(make(head), input, &mut stages);
        return stages;
    }
    let chunk = usize::from(input.byte());
    let whole = play(make(head), head, input, usize::MAX, &mut stages);
    for chunk in [1, chunk.max(1)] {
        assert_eq!(
            play(make(head), head, input, chunk, &mut stages),
            whole,
            "chunks of {chunk}"
        );
    }
    stages
}

/// The client's role.
pub fn client(data: &[u8]) {
    check(data, Role::client);
}

/// The server's role.
pub fn server(data: &[u8]) {
    check(data, Role::server);
}

/// The stages that the client reaches with an input.
pub fn client_stages(data: &[u8]) -> BTreeSet<String> {
    check(data, Role::client)
}

/// The stages that the server reaches with an input.
pub fn server_stages(data: &[u8]) -> BTreeSet<String> {
    check(data, Role::server)
}
