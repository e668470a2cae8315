//! The handshake scripts of two connections: the bridge between a tenant (`t`, `T`) and a hypervisor (`h`, `H`).

use rfb_proto::handshake::bridge::{BridgeAction, BridgeError, BridgeOutcome, Coupling, Question, Upstream};
use rfb_proto::handshake::server::Claim;
use rfb_proto::handshake::{Bridge, BridgeConfig, HandshakeError, Refusal, Rejection, Side, Told, Wires};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, Secret, SecurityType};
use toml::{Table, Value};

use crate::data::{array, hex, text};
use crate::play::NOW;
use crate::scripts::{Pattern, error_word, limits, matches, patterns, subtypes, texts, to_hex, types};

const SIDES: [Side; 2] = [Side::Tenant, Side::Hypervisor];

/// A script, and a bridge that plays it.
struct Player<'a> {
    script: &'a Table,
    bridge: Bridge,
    wires: Wires,
    now: Now,
    /// What each side was sent.
    sent: [Vec<u8>; 2],
}

enum Now {
    Needs,
    Tls(Side),
    Done(Box<BridgeOutcome>),
    Failed(BridgeError),
}

/// Runs a script, if it is one of these.
pub(crate) fn run(script: &Table) -> bool {
    if text(script, "role") != "proxy" {
        return false;
    }
    for chunk in [usize::MAX, 1, 5] {
        play(script, chunk);
    }
    true
}

fn play(script: &Table, chunk: usize) {
    let id = text(script, "id");
    let mut player = Player::new(script);
    let also_ok: Vec<_> = texts(script.get("also_ok")).collect();
    let played = player.play(chunk);
    let word = player.word();
    if word != text(script, "outcome") {
        assert!(also_ok.contains(&word), "{id} by {chunk}: {word}: {:?}", player.error());
        return;
    }
    if let Err(what) = played {
        panic!("{id} by {chunk}: {what}; {:?}", player.error());
    }
    player.observe(id);
}

fn config<'a>(script: &'a Table, key: &str) -> Option<&'a Value> {
    script.get("config")?.get(key)
}

fn flag(script: &Table, key: &str) -> bool {
    config(script, key).is_some_and(|value| value.as_bool().unwrap())
}

fn bytes(script: &Table, key: &str) -> Option<Vec<u8>> {
    Some(config(script, key)?.as_str().unwrap().as_bytes().to_vec())
}

fn bridge_config(script: &Table) -> BridgeConfig {
    let order = config(script, "order").map(|order| order.as_str().unwrap());
    let nova = config(script, "preset").is_some_and(|preset| preset.as_str() == Some("nova"));
    let mut bridge = match (nova, flag(script, "passthrough")) {
        (true, _) => BridgeConfig::nova(),
        (false, true) => BridgeConfig::passthrough(),
        (false, false) => BridgeConfig::default(),
    };
    bridge.coupling = match order {
        Some("tenant-first") => Coupling::TenantFirst,
        Some("hypervisor-first") => Coupling::HypervisorFirst,
        Some(other) => panic!("order {other:?}"),
        None => bridge.coupling,
    };
    if config(script, "tenant_types").is_some() {
        bridge.tenant_types = types(config(script, "tenant_types"));
        if bridge.coupling == Coupling::Passthrough {
            bridge.hypervisor_types.extend(types(config(script, "tenant_types")));
        }
    }
    if config(script, "hypervisor_types").is_some() {
        bridge.hypervisor_types = types(config(script, "hypervisor_types"));
    }
    if config(script, "hypervisor_subtypes").is_some() {
        bridge.hypervisor_subtypes = subtypes(config(script, "hypervisor_subtypes"));
    }
    if let Some(text) = bytes(script, "generic_reason") {
        bridge.upstream_failure = Refusal::Failed(Reason { text: text.into() });
    }
    if config(script, "limits").is_some() {
        bridge.limits = limits(config(script, "limits"));
    }
    bridge.forward_reason = flag(script, "forward_reason");
    bridge
}

impl<'a> Player<'a> {
    fn new(script: &'a Table) -> Self {
        let mut player = Self {
            bridge: Bridge::new(NOW, bridge_config(script)),
            script,
            wires: Wires::default(),
            now: Now::Needs,
            sent: [Vec::new(), Vec::new()],
        };
        player.step();
        player
    }

    fn upstream(&self) -> Upstream {
        let Some(password) = bytes(self.script, "hypervisor_password") else {
            return Upstream::default();
        };
        let user = bytes(self.script, "hypervisor_username").unwrap_or_default();
        let own = Upstream::default().with_password(Password::new(&password));
        own.with_credentials(Credentials {
            user: user.into(),
            password: Secret::new(&password),
        })
    }

    fn is_good(&self, claim: &Claim) -> bool {
        let user = bytes(self.script, "username").unwrap_or_default();
        let password = bytes(self.script, "password");
        match (claim, &password) {
            (Claim::None, _) => true,
            (Claim::Vnc { challenge, response }, Some(password)) => Password::new(password).verify(challenge, response),
            (Claim::Plain(shown), Some(password)) => shown.user == user && shown.password == Secret::new(password),
            _ => false,
        }
    }

    /// As far as it goes. Behind the handshake both directions are copied.
    fn step(&mut self) {
        while matches!(self.now, Now::Needs) {
            let action = self.bridge.step(NOW, &mut self.wires);
            let answered = match action {
                Ok(BridgeAction::Receive { .. }) => {
                    self.now = Now::Needs;
                    break;
                }
                Ok(BridgeAction::StartTls { side, .. }) => {
                    self.now = Now::Tls(side);
                    break;
                }
                Ok(BridgeAction::Waiting) => panic!("no question is open"),
                Ok(BridgeAction::Ask(Question::Challenge)) => {
                    let challenge =
                        config(self.script, "challenge").map_or([0; 16], |v| array(&hex(v.as_str().unwrap())));
                    self.bridge.challenge(&mut self.wires, challenge)
                }
                Ok(BridgeAction::Ask(Question::Admit(claim))) => match self.is_good(&claim) {
                    true => self.bridge.admit(&mut self.wires),
                    false => self.bridge.refuse(&mut self.wires, Refusal::default()),
                },
                Ok(BridgeAction::Ask(Question::Connect)) => self.bridge.connect(self.upstream()),
                Ok(BridgeAction::Done(outcome)) => {
                    self.now = Now::Done(Box::new(outcome));
                    break;
                }
                Err(error) => {
                    self.now = Now::Failed(error);
                    break;
                }
            };
            answered.unwrap();
        }
        let Wires { tenant, hypervisor } = &mut self.wires;
        if let Now::Done(_) = self.now {
            hypervisor.tx.unsplit(tenant.rx.split());
            tenant.tx.unsplit(hypervisor.rx.split());
        }
        for (sent, wire) in self.sent.iter_mut().zip([tenant, hypervisor]) {
            sent.extend_from_slice(&wire.tx.split());
        }
    }

    fn play(&mut self, chunk: usize) -> Result<(), String> {
        let steps = self.script["steps"].as_array().unwrap();
        let optional: Vec<_> = crate::scripts::integers(self.script.get("optional_steps")).collect();
        let open_end = self.script.get("open_end").is_some_and(|open| open.as_bool().unwrap());
        let mut own: [Vec<(Vec<Pattern>, bool)>; 2] = Default::default();
        let check = |own: &Vec<(Vec<Pattern>, bool)>, sent: &[u8], open_end| {
            let steps: Vec<_> = own
                .iter()
                .map(|(patterns, optional)| (&patterns[..], *optional))
                .collect();
            matches(&steps, sent, open_end)
        };
        for (index, step) in steps.iter().enumerate() {
            let (by, what) = (step[0].as_str().unwrap(), step[1].as_str().unwrap());
            let side = match by {
                "t" | "T" => 0,
                "h" | "H" => 1,
                other => panic!("sender {other:?}"),
            };
            let is_own = by.chars().all(char::is_uppercase);
            if (!is_own || what == "TLS") && !check(&own[side], &self.sent[side], false) {
                return Err(format!("in front of step {index}: {:02x?} sent", self.sent[side]));
            }
            match (is_own, what) {
                (_, "TLS") => match self.now {
                    Now::Tls(begun) if begun == SIDES[side] => {
                        self.now = Now::Needs;
                        self.step();
                    }
                    _ => return Err(format!("step {index}: no TLS")),
                },
                (true, "EOF") if !matches!(self.now, Now::Failed(_)) => {
                    return Err(format!("step {index}: not ended"));
                }
                (true, "EOF") => {}
                (true, what) => {
                    let is_optional = optional.contains(&i64::try_from(index).unwrap());
                    own[side].push((patterns(what), is_optional));
                }
                (false, "EOF") => {
                    if let Err(error) = self.bridge.eof(&mut self.wires, SIDES[side]) {
                        self.now = Now::Failed(error);
                    }
                    self.step();
                }
                (false, what) => {
                    let bytes = hex(what);
                    for piece in bytes.chunks(chunk.min(bytes.len()).max(1)) {
                        self.wires.side(SIDES[side]).rx.extend_from_slice(piece);
                        self.step();
                    }
                }
            }
        }
        for (own, sent) in own.iter().zip(&self.sent) {
            if !check(own, sent, open_end) {
                return Err(format!("{sent:02x?} sent"));
            }
        }
        Ok(())
    }

    fn error(&self) -> Option<&BridgeError> {
        match &self.now {
            Now::Failed(error) => Some(error),
            _ => None,
        }
    }

    fn word(&self) -> &'static str {
        match &self.now {
            Now::Needs | Now::Tls(_) => "pending",
            Now::Done(_) => "connected",
            // For a bridge a version that it does not pass on is a refusal of its own.
            Now::Failed(BridgeError { error, .. }) => error_word(error, true),
        }
    }

    fn observe(&self, id: &str) {
        let Some(observe) = self.script.get("observe").and_then(Value::as_table) else {
            return;
        };
        let outcome = match &self.now {
            Now::Done(outcome) => Some(outcome),
            _ => None,
        };
        let rejection = match self.error().map(|error| &error.error) {
            Some(HandshakeError::Rejected(Rejection { reason, .. })) => Some(reason),
            _ => None,
        };
        for (key, expected) in observe {
            let found = match key.as_str() {
                "tenant_version" => outcome.map(|outcome| Value::String(outcome.tenant.rules.to_string())),
                "hypervisor_version" => outcome.map(|outcome| Value::String(outcome.hypervisor.rules.to_string())),
                "type" => outcome.map(|outcome| number(outcome.hypervisor.security.security_type)),
                "subtype" => outcome
                    .and_then(|outcome| outcome.hypervisor.security.subtype)
                    .map(|subtype| Value::Integer(subtype.0.into())),
                "reason_hex" => rejection.and_then(|reason| match reason {
                    Told::Reason(Reason { text }) => Some(Value::String(to_hex(text))),
                    _ => None,
                }),
                "reason_absent" => rejection.map(|reason| Value::Boolean(*reason == Told::Nothing)),
                "reason_too_long" => rejection.map(|reason| Value::Boolean(matches!(reason, Told::TooLong(_)))),
                other => panic!("{id}: observe {other:?}"),
            };
            assert_eq!(found.as_ref(), Some(expected), "{id}: {key}: {:?}", self.error());
        }
    }
}

fn number(SecurityType(number): SecurityType) -> Value {
    Value::Integer(number.into())
}
