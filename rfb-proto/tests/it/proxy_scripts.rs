//! The handshake scripts of two connections: the bridge between a tenant (`t`, `T`) and a hypervisor (`h`, `H`).

use rfb_proto::handshake::bridge::{AuthOrder, BridgeAction, BridgeError, BridgeQuestion, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{
    Bridge, BridgeConfig, Event, HandshakeError, Refusal, Rejected, Rejection, RejectionReason, Security, Side,
    SideBuffers, TlsKind,
};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, Secret, SecurityType};
use rfb_proto::{Limits, Policy, ServerInit};
use toml::{Table, Value};

use crate::data::{array, hex, text};
use crate::play::NOW;
use crate::scripts::{Pattern, error_word, is_bytewise, limits, matches, patterns, subtypes, texts, to_hex, types};

const SIDES: [Side; 2] = [Side::Tenant, Side::Hypervisor];

/// A script, and a bridge that plays it.
struct Player<'a> {
    script: &'a Table,
    bridge: Bridge,
    sides: SideBuffers,
    now: Now,
    /// What each side was sent.
    sent: [Vec<u8>; 2],
    /// What of it is the other side's, behind the handshake.
    copied: [Vec<u8>; 2],
    events: Vec<(Side, Event)>,
    /// What was in `rx` where TLS began.
    surplus: Option<Vec<u8>>,
}

/// A step of the script, on the connection that it is of.
#[derive(Debug)]
enum Step {
    /// The peer sends; `None`: it closes.
    Peer(Option<Vec<u8>>),
    /// The bridge sends, or need not.
    Own(Vec<Pattern>, bool),
    /// The bridge has ended.
    OwnCloses,
    Tls,
}

enum Now {
    Needs,
    Tls(Side),
    Done,
    Failed(BridgeError),
}

/// Runs a script; with its lenience taken away as well, if it has any.
pub(crate) fn run(script: &Table) {
    let chunks = match is_bytewise(script) {
        true => &[1][..],
        false => &[usize::MAX, 1, 5],
    };
    for &chunk in chunks {
        play(script, chunk);
        if let Some(strict) = script.get("strict_ok") {
            let mut player = Player::new(script, Policy::Strict);
            let _ = player.play(chunk);
            let word = player.word();
            assert!(
                texts(Some(strict)).any(|ok| ok == word),
                "{word} in strict mode: {:?}",
                player.error()
            );
        }
    }
}

fn play(script: &Table, chunk: usize) {
    let id = text(script, "id");
    let mut player = Player::new(script, Policy::Lenient);
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
    bridge.auth_order = match order {
        Some("tenant-first") => AuthOrder::TenantFirst,
        Some("hypervisor-first") => AuthOrder::HypervisorFirst,
        Some(other) => panic!("order {other:?}"),
        None => bridge.auth_order,
    };
    if config(script, "tenant_types").is_some() {
        bridge.tenant_types = types(config(script, "tenant_types"));
        if bridge.auth_order == AuthOrder::Passthrough {
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
    fn new(script: &'a Table, policy: Policy) -> Self {
        let mut player = Self {
            bridge: Bridge::new(NOW, bridge_config(script).with_policy(policy)),
            script,
            sides: SideBuffers::default(),
            now: Now::Needs,
            sent: [Vec::new(), Vec::new()],
            copied: [Vec::new(), Vec::new()],
            events: Vec::new(),
            surplus: None,
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

    fn is_good(&self, claim: &ClientCredentials) -> bool {
        let user = bytes(self.script, "username").unwrap_or_default();
        let password = bytes(self.script, "password");
        match (claim, &password) {
            (ClientCredentials::None, _) => true,
            (ClientCredentials::Vnc { challenge, response }, Some(password)) => {
                Password::new(password).verify(challenge, response)
            }
            (ClientCredentials::Plain(shown), Some(password)) => {
                shown.user == user && shown.password == Secret::new(password)
            }
            _ => false,
        }
    }

    /// As far as it goes. Behind the handshake both directions are copied.
    fn step(&mut self) {
        while matches!(self.now, Now::Needs) {
            let action = self.bridge.step(NOW, &mut self.sides);
            self.events.extend(core::iter::from_fn(|| self.bridge.poll_event()));
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
                Ok(BridgeAction::Ask(BridgeQuestion::Challenge)) => {
                    let challenge =
                        config(self.script, "challenge").map_or([0; 16], |v| array(&hex(v.as_str().unwrap())));
                    self.bridge.challenge(&mut self.sides, challenge)
                }
                Ok(BridgeAction::Ask(BridgeQuestion::Admit(claim))) => match self.is_good(&claim) {
                    true => self.bridge.admit(&mut self.sides),
                    false => self.bridge.refuse(&mut self.sides, Refusal::default()),
                },
                Ok(BridgeAction::Ask(BridgeQuestion::Connect)) => self.bridge.connect(self.upstream()),
                Ok(BridgeAction::Ask(other)) => panic!("{other:?}"),
                Ok(BridgeAction::Done(_)) => {
                    self.now = Now::Done;
                    break;
                }
                Err(error) => {
                    self.now = Now::Failed(error);
                    break;
                }
            };
            answered.unwrap();
        }
        let SideBuffers { tenant, hypervisor } = &mut self.sides;
        if let Now::Done = self.now {
            self.copied[1].extend_from_slice(&tenant.rx);
            self.copied[0].extend_from_slice(&hypervisor.rx);
            hypervisor.tx.unsplit(tenant.rx.split());
            tenant.tx.unsplit(hypervisor.rx.split());
        }
        for (sent, buffers) in self.sent.iter_mut().zip([tenant, hypervisor]) {
            sent.extend_from_slice(&buffers.tx.split());
        }
    }

    /// The steps of each connection.
    fn steps(&self) -> Vec<(usize, Step)> {
        let optional: Vec<_> = crate::scripts::integers(self.script.get("optional_steps")).collect();
        let steps = self.script["steps"].as_array().unwrap().iter().enumerate();
        let step = |(index, step): (usize, &Value)| {
            let (by, what) = (step[0].as_str().unwrap(), step[1].as_str().unwrap());
            let side = match by {
                "t" | "T" => 0,
                "h" | "H" => 1,
                other => panic!("sender {other:?}"),
            };
            let is_own = by.chars().all(char::is_uppercase);
            let step = match (is_own, what) {
                (_, "TLS") => Step::Tls,
                (true, "EOF") => Step::OwnCloses,
                (true, what) => Step::Own(patterns(what), optional.contains(&i64::try_from(index).unwrap())),
                (false, "EOF") => Step::Peer(None),
                (false, what) => Step::Peer(Some(hex(what))),
            };
            (side, step)
        };
        steps.map(step).collect()
    }

    /// Per connection the order is strict; between the two only cause and effect counts. So of the steps that are next
    /// on their connection the first one that can be done is done.
    fn play(&mut self, chunk: usize) -> Result<(), String> {
        let steps = self.steps();
        let open_end = self.script.get("open_end").is_some_and(|open| open.as_bool().unwrap());
        let mut own: [Vec<&Step>; 2] = Default::default();
        let mut left: Vec<_> = steps.iter().collect();
        while !left.is_empty() {
            let first = |side| left.iter().position(|(of, _)| *of == side);
            let mut next: Vec<_> = [0, 1].into_iter().filter_map(first).collect();
            next.sort_unstable();
            let ready = next.into_iter().find(|&at| {
                let (side, step) = left[at];
                self.is_ready(step, *side, &own[*side])
            });
            let Some(at) = ready else {
                return Err(format!("in front of {:02x?}: {:02x?} sent", left[0], self.sent));
            };
            let (side, step) = left.remove(at);
            match step {
                Step::Own(..) => own[*side].push(step),
                step => self.do_step(step, *side, chunk),
            }
        }
        for (own, sent) in own.iter().zip(&self.sent) {
            if !self.is_said(own, sent, open_end) {
                return Err(format!("{sent:02x?} sent"));
            }
        }
        self.repeats_nothing(&steps)
    }

    /// A generic reason has none of the hypervisor's own words.
    fn repeats_nothing(&self, steps: &[(usize, Step)]) -> Result<(), String> {
        let is_generic =
            |step: &Step| matches!(step, Step::Own(patterns, _) if patterns.contains(&Pattern::GenericReason));
        if !steps.iter().any(|(_, step)| is_generic(step)) {
            return Ok(());
        }
        let said = steps.iter().filter_map(|(side, step)| match (side, step) {
            (1, Step::Peer(Some(bytes))) => Some(bytes),
            _ => None,
        });
        let words = said.flat_map(|bytes| bytes.split(|byte| !matches!(byte, b' '..=b'~')));
        let mut words = words.filter(|word| 6 <= word.len() && !word.starts_with(b"RFB "));
        match words.find(|word| self.sent[0].windows(word.len()).any(|sent| sent == *word)) {
            Some(word) => Err(format!("{} was repeated", word.escape_ascii())),
            None => Ok(()),
        }
    }

    /// Whether this is what was sent.
    fn is_said(&self, own: &[&Step], sent: &[u8], open_end: bool) -> bool {
        let steps = own.iter().filter_map(|step| match step {
            Step::Own(patterns, optional) => Some((&patterns[..], *optional)),
            _ => None,
        });
        matches(&steps.collect::<Vec<_>>(), sent, open_end)
    }

    fn is_ready(&self, step: &Step, side: usize, own: &[&Step]) -> bool {
        let is_said = self.is_said(own, &self.sent[side], false);
        match step {
            Step::Own(..) => true,
            Step::Peer(_) => is_said,
            Step::Tls => is_said && matches!(self.now, Now::Tls(begun) if begun == SIDES[side]),
            Step::OwnCloses => matches!(self.now, Now::Failed(_)),
        }
    }

    fn do_step(&mut self, step: &Step, side: usize, chunk: usize) {
        match step {
            Step::Own(..) | Step::OwnCloses => {}
            Step::Tls => {
                self.surplus = Some(self.sides.side(SIDES[side]).rx.split().to_vec());
                self.now = Now::Needs;
                self.step();
            }
            Step::Peer(None) => {
                if let Err(error) = self.bridge.eof(&mut self.sides, SIDES[side]) {
                    self.now = Now::Failed(error);
                }
                self.step();
            }
            Step::Peer(Some(bytes)) => {
                for piece in bytes.chunks(chunk.min(bytes.len()).max(1)) {
                    self.sides.side(SIDES[side]).rx.extend_from_slice(piece);
                    self.step();
                }
            }
        }
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
            Now::Done => "connected",
            // For a bridge a version that it does not pass on is a refusal of its own.
            Now::Failed(BridgeError { error, .. }) => error_word(error, true),
        }
    }

    /// What the hypervisor offered and what was chosen from it.
    fn of_hypervisor<T>(&self, find: impl Fn(&Event) -> Option<T>) -> Option<T> {
        let events = self.events.iter().rev().filter(|(side, _)| *side == Side::Hypervisor);
        events.into_iter().find_map(|(_, event)| find(event))
    }

    fn security(&self) -> Option<Security> {
        self.of_hypervisor(|event| match event {
            Event::Chosen(security) => Some(*security),
            _ => None,
        })
    }

    /// The version that a side follows.
    fn rules(&self, of: Side) -> Option<Value> {
        let events = self.events.iter().filter(|(side, _)| *side == of);
        events.into_iter().find_map(|(_, event)| match event {
            Event::Version { rules, .. } => Some(Value::String(rules.to_string())),
            _ => None,
        })
    }

    fn tls(&self) -> Option<Value> {
        let security = self.security()?;
        let kind = match security.subtype {
            Some(subtype) => subtype.tls()?,
            None => security.tls?,
        };
        Some(Value::String(
            match kind {
                TlsKind::X509 => "x509",
                TlsKind::Anonymous => "anonymous",
            }
            .into(),
        ))
    }

    /// The ServerInit that was copied to the tenant.
    fn init(&self) -> Option<ServerInit> {
        ServerInit::decode_slice(&self.copied[0], &Limits::default()).ok()
    }

    fn observe(&self, id: &str) {
        let Some(observe) = self.script.get("observe").and_then(Value::as_table) else {
            return;
        };
        for (key, expected) in observe {
            let found = self.observed(id, key);
            assert_eq!(found.as_ref(), Some(expected), "{id}: {key}: {:?}", self.error());
        }
    }

    /// What stands for the connection is the hypervisor's: the tenant's lists are the bridge's own.
    fn observed(&self, id: &str, key: &str) -> Option<Value> {
        let (of, reason) = match self.error().map(|error| &error.error) {
            Some(HandshakeError::Rejected(Rejection { of, reason })) => (Some(*of), Some(reason)),
            _ => (None, None),
        };
        let integer = |number: u32| Value::Integer(number.into());
        let list = |numbers: Vec<u32>| Value::Array(numbers.into_iter().map(integer).collect());
        match key {
            "tenant_version" => self.rules(Side::Tenant),
            "hypervisor_version" | "negotiated" => self.rules(Side::Hypervisor),
            "type" => self.security().map(|security| number(security.security_type)),
            "subtype" => self.security()?.subtype.map(|subtype| integer(subtype.0)),
            "offered" => self.of_hypervisor(|event| match event {
                Event::Types(types) => Some(list(types.iter().map(|t| t.0.into()).collect())),
                _ => None,
            }),
            "offered_subtypes" => self.of_hypervisor(|event| match event {
                Event::Subtypes(subtypes) => Some(list(subtypes.iter().map(|t| t.0).collect())),
                _ => None,
            }),
            "tls" => self.tls(),
            "width" => self.init().map(|init| integer(init.width.into())),
            "height" => self.init().map(|init| integer(init.height.into())),
            "name" => self.init().map(|init| Value::String(init.name_text())),
            "shared" => self.copied[1].first().map(|shared| Value::Boolean(*shared != 0)),
            "too_many" => of.map(|of| Value::Boolean(of == Rejected::TooManyAttempts)),
            "reason_hex" => match reason? {
                RejectionReason::Reason(Reason { text }) => Some(Value::String(to_hex(text))),
                _ => None,
            },
            "reason_absent" => reason.map(|reason| Value::Boolean(*reason == RejectionReason::Nothing)),
            "reason_too_long" => reason.map(|reason| Value::Boolean(matches!(reason, RejectionReason::TooLong(_)))),
            // Everything behind the handshake is copied.
            "leftover_hex" => Some(Value::String(to_hex(&self.sides.hypervisor.rx))),
            "tls_surplus_hex" => {
                let begun = |side: Side| match side {
                    Side::Tenant => &self.sides.tenant.rx,
                    Side::Hypervisor => &self.sides.hypervisor.rx,
                };
                let surplus = match (&self.surplus, &self.now) {
                    (Some(surplus), _) => surplus,
                    (None, Now::Tls(side) | Now::Failed(BridgeError { side, .. })) => &begun(*side).to_vec(),
                    _ => return None,
                };
                Some(Value::String(to_hex(surplus)))
            }
            other => panic!("{id}: observe {other:?}"),
        }
    }
}

fn number(SecurityType(number): SecurityType) -> Value {
    Value::Integer(number.into())
}
