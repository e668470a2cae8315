//! The handshake scripts of `rfb-vectors.toml`: the comments at its top define the form.

use rfb_proto::handshake::{
    ClientConfig, Event, HandshakeError, Incompatibility, Misbehaviour, Refusal, Rejected, Rejection, RejectionReason,
    Security, ServerConfig, Stage, TlsKind,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::{ClientInit, Limits, Policy, ServerInit, Version};
use toml::{Table, Value};

use crate::data::{array, hex, text};
use crate::play::{Answers, Now, Outcome, Player, Start};

/// One script of one connection.
pub(crate) struct Script<'a> {
    pub(crate) id: &'a str,
    pub(crate) is_server: bool,
    table: &'a Table,
    pub(crate) steps: Vec<Step>,
}

pub(crate) enum Step {
    /// The peer sends.
    Peer(Vec<u8>),
    /// The peer closes.
    PeerCloses,
    /// The machine sends.
    Own(Vec<Pattern>, Optional),
    /// The machine has ended.
    OwnCloses,
    Tls,
}

type Optional = bool;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pattern {
    Bytes(Vec<u8>),
    /// A length above 0, and so many bytes.
    Reason,
    /// The same, and it repeats nothing that a hypervisor said.
    GenericReason,
    NonZero,
}

impl Pattern {
    /// How much of `bytes` it takes.
    fn takes(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Self::Bytes(expected) => bytes.starts_with(expected).then_some(expected.len()),
            Self::NonZero => (*bytes.first()? != 0).then_some(1),
            Self::Reason | Self::GenericReason => {
                let length = u32::from_be_bytes(*bytes.first_chunk()?) as usize;
                (0 < length && 4 + length <= bytes.len()).then_some(4 + length)
            }
        }
    }
}

/// The parts of a step of the machine's own.
pub(crate) fn patterns(hex_text: &str) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    let mut rest = hex_text;
    while !rest.is_empty() {
        let (bytes, after) = rest.split_once('<').unwrap_or((rest, ""));
        if !bytes.is_empty() {
            patterns.push(Pattern::Bytes(hex(bytes)));
        }
        let Some((name, after)) = after.split_once('>') else {
            break;
        };
        patterns.push(match name {
            "reason" => Pattern::Reason,
            "generic reason" => Pattern::GenericReason,
            "nonzero" => Pattern::NonZero,
            other => panic!("placeholder {other:?}"),
        });
        rest = after;
    }
    patterns
}

/// Whether the bytes are what the steps say, any of the optional ones left out.
pub(crate) fn matches(steps: &[(&[Pattern], Optional)], bytes: &[u8], open_end: bool) -> bool {
    let Some(((patterns, optional), others)) = steps.split_first() else {
        return open_end || bytes.is_empty();
    };
    let taken = patterns
        .iter()
        .try_fold(0, |at, pattern| Some(at + pattern.takes(bytes.get(at..)?)?));
    taken.is_some_and(|taken| matches(others, &bytes[taken..], open_end))
        || (*optional && matches(others, bytes, open_end))
}

/// How the peer's bytes are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Chunks {
    Steps,
    Bytes,
    Two,
}

impl<'a> Script<'a> {
    /// Of a script of one connection.
    pub(crate) fn new(table: &'a Table) -> Self {
        let (own, peer) = match text(table, "role") {
            "client" => ("c", "s"),
            "server" => ("s", "c"),
            other => panic!("role {other:?}"),
        };
        let optional: Vec<usize> = integers(table.get("optional_steps")).map(|n| n as usize).collect();
        let step = |(index, step): (usize, &Value)| {
            let (by, what) = (step[0].as_str().unwrap(), step[1].as_str().unwrap());
            match what {
                "TLS" => Step::Tls,
                "EOF" if by == peer => Step::PeerCloses,
                "EOF" => Step::OwnCloses,
                what if by == peer => Step::Peer(hex(what)),
                what if by == own => Step::Own(patterns(what), optional.contains(&index)),
                _ => panic!("sender {by:?}"),
            }
        };
        let steps = table["steps"]
            .as_array()
            .unwrap()
            .iter()
            .enumerate()
            .map(step)
            .collect();
        let id = text(table, "id");
        let is_server = own == "s";
        Self {
            id,
            is_server,
            table,
            steps,
        }
    }

    fn config(&self, key: &str) -> Option<&'a Value> {
        self.table.get("config")?.get(key)
    }

    fn flag(&self, key: &str) -> bool {
        self.config(key).is_some_and(|value| value.as_bool().unwrap())
    }

    fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        Some(self.config(key)?.as_str().unwrap().as_bytes().to_vec())
    }

    fn types(&self, key: &str) -> Vec<SecurityType> {
        types(self.config(key))
    }

    fn subtypes(&self, key: &str) -> Vec<Subtype> {
        subtypes(self.config(key))
    }

    fn player(&self, policy: Policy) -> Player {
        let (start, answers) = self.start(policy);
        start.player(&answers)
    }

    /// The machine as the script's table has it, and what its caller knows.
    pub(crate) fn start(&self, policy: Policy) -> (Start, Answers) {
        let answers = Answers {
            user: self.bytes("username").unwrap_or_default(),
            password: self.bytes("password"),
            challenge: self
                .config("challenge")
                .map_or([0; 16], |v| array(&hex(v.as_str().unwrap()))),
            server_init: self
                .config("server_init")
                .map(|v| ServerInit::decode_slice(&hex(v.as_str().unwrap()), &Limits::default()).unwrap()),
            ..Answers::default()
        };
        // What stands inside of TLS (18) and Tight has no key of its own for a server.
        let shown = [if answers.password.is_some() {
            SecurityType::VNC
        } else {
            SecurityType::NONE
        }];
        let start = if self.is_server {
            let version = match self.config("server_version").map_or("3.8", |v| v.as_str().unwrap()) {
                "3.3" => Version::V3_3,
                "3.7" => Version::V3_7,
                "3.8" => Version::V3_8,
                other => panic!("{}: a greeting of {other}", self.id),
            };
            let config = ServerConfig::new(&self.types("offer_types"))
                .with_version(version)
                .with_policy(policy)
                .with_subtypes(&self.subtypes("offer_subtypes"))
                .with_tight_types(&shown)
                .with_tls_types(&shown)
                .with_sasl_mechanisms(b"PLAIN")
                .with_apple(self.flag("quirk_apple_889"))
                .with_limits(limits(self.config("limits")));
            Start::Server(config)
        } else {
            let types = self.types("allow_types");
            let mut config = ClientConfig::new(&types)
                .with_policy(policy)
                .with_subtypes(&self.subtypes("allow_subtypes"))
                .with_tight_types(&self.types("allow_tight_auth"))
                .with_tls_types(&types)
                .with_cleartext(self.flag("allow_cleartext"))
                .with_client_init(if self.flag("shared") {
                    ClientInit::SHARED
                } else {
                    ClientInit::EXCLUSIVE
                })
                .with_limits(limits(self.config("limits")));
            if let Some(target) = self.bytes("repeater_id") {
                config = config.with_repeater(&target);
            }
            Start::Client(config)
        };
        (start, answers)
    }

    /// Runs it as it is written; with its lenience taken away as well, if it has any.
    pub(crate) fn run(&self) {
        let mut cuts = vec![Chunks::Steps, Chunks::Bytes, Chunks::Two];
        if is_bytewise(self.table) {
            cuts = vec![Chunks::Bytes];
        }
        let outcome = text(self.table, "outcome");
        let also_ok: Vec<_> = texts(self.table.get("also_ok")).collect();
        // The default, which is lenient.
        for &chunks in &cuts {
            self.run_as(Policy::Lenient, chunks, outcome, &also_ok);
        }
        if let Some(strict) = self.table.get("strict_ok") {
            let strict: Vec<_> = texts(Some(strict)).collect();
            for chunks in cuts {
                let mut player = self.player(Policy::Strict);
                let _ = self.play(&mut player, chunks);
                let word = word(&player, self.is_server);
                assert!(
                    strict.contains(&word),
                    "{}: {word} in strict mode: {:?}",
                    self.id,
                    player.now
                );
            }
        }
    }

    fn run_as(&self, policy: Policy, chunks: Chunks, outcome: &str, also_ok: &[&str]) {
        let id = self.id;
        let mut player = self.player(policy);
        let played = self.play(&mut player, chunks);
        let word = word(&player, self.is_server);
        if word != outcome {
            assert!(
                also_ok.contains(&word),
                "{id} ({chunks:?}): {word}, {outcome} expected: {:?}",
                player.now
            );
            return;
        }
        match played {
            Ok(surplus) => self.observe(&player, surplus),
            Err(what) => panic!("{id} ({chunks:?}): {what}; {:?}", player.now),
        }
    }

    /// Feeds the steps. Gives what was in `rx` where TLS began; the error is what was not as the script has it.
    fn play(&self, player: &mut Player, chunks: Chunks) -> Result<Option<Vec<u8>>, String> {
        let mut surplus = None;
        let mut own: Vec<(&[Pattern], Optional)> = Vec::new();
        let open_end = self.table.get("open_end").is_some_and(|open| open.as_bool().unwrap());
        for (index, step) in self.steps.iter().enumerate() {
            let is_peer = matches!(step, Step::Peer(_) | Step::PeerCloses | Step::Tls);
            if is_peer && !matches(&own, &player.sent, false) {
                return Err(format!("in front of step {index}: {:02x?} sent", player.sent));
            }
            match step {
                Step::Own(patterns, optional) => own.push((patterns, *optional)),
                Step::Peer(bytes) => match chunks {
                    Chunks::Steps => player.feed(bytes),
                    Chunks::Bytes => bytes.iter().for_each(|byte| player.feed(&[*byte])),
                    Chunks::Two => bytes
                        .chunks(bytes.len().div_ceil(2).max(1))
                        .for_each(|half| player.feed(half)),
                },
                Step::PeerCloses => player.eof(),
                Step::OwnCloses => {
                    // A caller that has no answer closes.
                    if !matches!(player.now, Now::Failed(_) | Now::Done(_) | Now::Unanswered(_)) {
                        return Err(format!("step {index}: not ended"));
                    }
                }
                Step::Tls => {
                    let Now::Tls(_) = player.now else {
                        return Err(format!("step {index}: no TLS"));
                    };
                    surplus = Some(player.tls_is_up());
                }
            }
        }
        if !matches(&own, &player.sent, open_end) {
            return Err(format!("{:02x?} sent", player.sent));
        }
        // TLS that is begun, or refused, in the last step has a surplus as well.
        let begun = matches!(
            player.now,
            Now::Tls(_) | Now::Failed(HandshakeError::PeerMisbehaved(Misbehaviour::BytesBeforeTls))
        );
        Ok(surplus.or_else(|| begun.then(|| player.buffers.rx.to_vec())))
    }

    fn observe(&self, player: &Player, surplus: Option<Vec<u8>>) {
        let id = self.id;
        let Some(observe) = self.table.get("observe").and_then(Value::as_table) else {
            return;
        };
        let rejection = match &player.now {
            Now::Failed(HandshakeError::Rejected(Rejection { of, reason })) => Some((*of, reason)),
            _ => None,
        };
        let security = player.events.iter().rev().find_map(|event| match event {
            Event::Chosen(security) => Some(*security),
            _ => None,
        });
        let events = &player.events;
        let integer = |number: u32| Value::Integer(number.into());
        let list = |numbers: Vec<u32>| Value::Array(numbers.into_iter().map(integer).collect());
        let init = match &player.now {
            Now::Done(Outcome::Client(outcome)) => outcome.init.clone(),
            _ => None,
        };
        for (key, expected) in observe {
            let found = match key.as_str() {
                "negotiated" => events.iter().find_map(|event| match event {
                    Event::Version { rules, .. } => Some(Value::String(rules.to_string())),
                    _ => None,
                }),
                "type" => security.map(|Security { security_type, .. }| integer(security_type.0.into())),
                "subtype" => security
                    .and_then(|security| security.subtype)
                    .map(|subtype| integer(subtype.0)),
                "offered" => events.iter().find_map(|event| match event {
                    Event::Types(types) => Some(list(types.iter().map(|t| t.0.into()).collect())),
                    _ => None,
                }),
                "offered_subtypes" => events.iter().find_map(|event| match event {
                    Event::Subtypes(subtypes) => Some(list(subtypes.iter().map(|t| t.0).collect())),
                    _ => None,
                }),
                "tls" => self.tls(player).map(|kind| Value::String(kind.into())),
                "width" => init.as_ref().map(|init| integer(init.width.into())),
                "height" => init.as_ref().map(|init| integer(init.height.into())),
                "name" => init.as_ref().map(|init| Value::String(init.name_text())),
                "shared" => match &player.now {
                    Now::Done(Outcome::Server(outcome)) => outcome.init.map(|init| Value::Boolean(init.is_shared())),
                    _ => None,
                },
                "too_many" => rejection.map(|(of, _)| Value::Boolean(of == Rejected::TooManyAttempts)),
                "reason_hex" => rejection.and_then(|(_, reason)| match reason {
                    RejectionReason::Reason(reason) => Some(Value::String(to_hex(&reason.text))),
                    _ => None,
                }),
                "reason_absent" => rejection.map(|(_, reason)| Value::Boolean(*reason == RejectionReason::Nothing)),
                "reason_too_long" => {
                    rejection.map(|(_, reason)| Value::Boolean(matches!(reason, RejectionReason::TooLong(_))))
                }
                "leftover_hex" => Some(Value::String(to_hex(&player.buffers.rx))),
                "tls_surplus_hex" => surplus.as_ref().map(|bytes| Value::String(to_hex(bytes))),
                other => panic!("{id}: observe {other:?}"),
            };
            assert_eq!(
                found.as_ref(),
                Some(expected),
                "{id}: {key}: {:?} {:?}",
                player.now,
                player.events
            );
        }
    }

    /// The TLS that was begun.
    fn tls(&self, player: &Player) -> Option<&'static str> {
        let kind = match &player.now {
            Now::Done(Outcome::Client(outcome)) => outcome.security.tls,
            Now::Done(Outcome::Server(outcome)) => outcome.security.tls,
            Now::Tls(tls) => Some(tls.kind),
            _ => self.steps.iter().any(|step| matches!(step, Step::Tls)).then(|| {
                let chosen = player.events.iter().rev().find_map(|event| match event {
                    Event::Chosen(security) => security.subtype?.tls(),
                    _ => None,
                });
                chosen.unwrap_or(TlsKind::Anonymous)
            }),
        };
        Some(match kind? {
            TlsKind::X509 => "x509",
            TlsKind::Anonymous => "anonymous",
        })
    }

    /// All that the peer sends up to its next end or TLS, part by part.
    pub(crate) fn peer_streams(&self) -> Vec<Vec<u8>> {
        let mut streams = vec![Vec::new()];
        for step in &self.steps {
            match step {
                Step::Peer(bytes) => streams.last_mut().unwrap().extend_from_slice(bytes),
                Step::Tls => streams.push(Vec::new()),
                Step::PeerCloses => break,
                Step::Own(..) | Step::OwnCloses => {}
            }
        }
        streams
    }
}

pub(crate) fn is_bytewise(script: &Table) -> bool {
    script.get("feed").is_some_and(|feed| feed.as_str() == Some("bytewise"))
}

pub(crate) fn types(value: Option<&Value>) -> Vec<SecurityType> {
    integers(value).map(|n| SecurityType(n.try_into().unwrap())).collect()
}

pub(crate) fn subtypes(value: Option<&Value>) -> Vec<Subtype> {
    integers(value).map(|n| Subtype(n.try_into().unwrap())).collect()
}

pub(crate) fn limits(value: Option<&Value>) -> Limits {
    let mut limits = Limits::default();
    for (key, value) in value.and_then(Value::as_table).into_iter().flatten() {
        let value = value.as_integer().unwrap().try_into().unwrap();
        limits = match key.as_str() {
            "reason" => limits.with_reason(value),
            "username" => limits.with_user(value),
            "password" => limits.with_password(value),
            "tight_caps" => limits.with_tight_capabilities(value),
            other => panic!("limit {other:?}"),
        };
    }
    limits
}

pub(crate) fn integers(value: Option<&Value>) -> impl Iterator<Item = i64> {
    let list = value.map_or(&[][..], |value| value.as_array().unwrap());
    list.iter().map(|value| value.as_integer().unwrap())
}

pub(crate) fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = value.map_or(&[][..], |value| value.as_array().unwrap());
    list.iter().map(|value| value.as_str().unwrap())
}

pub(crate) fn to_hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

/// How it ended, in the words of the scripts.
fn word(player: &Player, is_server: bool) -> &'static str {
    match &player.now {
        Now::Done(_) => "connected",
        Now::Needs(_) | Now::Tls(_) => "pending",
        // The caller has nothing to show: it declines.
        Now::Unanswered("a password" | "a SASL mechanism" | "a SASL step") => "refused",
        Now::Unanswered(_) => "pending",
        Now::Failed(error) => error_word(error, is_server),
    }
}

/// The same for an error.
pub(crate) fn error_word(error: &HandshakeError, is_server: bool) -> &'static str {
    match error {
        HandshakeError::Rejected(Rejection { of, .. }) => match of {
            Rejected::Authentication | Rejected::TooManyAttempts => "auth-failed",
            Rejected::Connection | Rejected::VeNCryptVersion | Rejected::Subtype => "refused",
        },
        HandshakeError::Refused(Refusal::Failed(_) | Refusal::TooManyAttempts(_) | Refusal::Close) => "auth-failed",
        HandshakeError::PeerIncompatible(Incompatibility::Version(_)) if !is_server => "protocol-error",
        HandshakeError::PeerIncompatible(_) => "refused",
        HandshakeError::PeerMisbehaved(
            Misbehaviour::TypeNotOffered(_) | Misbehaviour::SubtypeNotOffered(_) | Misbehaviour::MechanismNotOffered,
        ) => "refused",
        HandshakeError::Closed(Stage::SecurityResult) => "auth-failed",
        HandshakeError::Closed(Stage::SecurityTypes | Stage::SecurityChoice | Stage::VeNCrypt) => "refused",
        _ => "protocol-error",
    }
}
