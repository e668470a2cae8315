//! The RFB bridge between a tenant and a hypervisor.
//!
//! ```text
//! | mode u8 | config u8 | types u8 | answers u8 | mode 0: chunk u8 | length u16, bytes of the tenant | bytes of the hypervisor |
//!                                               | mode 1: operations, each u8 and what it takes |
//! ```
//!
//! Mode 0 plays both sides to their end, in different pieces. Mode 1 does anything at any time.

use std::time::Duration;

use rfb_proto::handshake::bridge::{AuthOrder, BridgeAction, BridgeError, BridgeQuestion, Upstream};
use rfb_proto::handshake::{Bridge, BridgeConfig, Event, HandshakeError, Misuse, Refusal, Side, SideBuffers};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Secret, SecurityType};
use rfb_proto::{Limits, Version};

use crate::Input;

/// The time for a handshake, in seconds; an operation takes up to a quarter of a second.
const SECONDS: u64 = 10;
/// A handshake ends in fewer steps than it has bytes, and these.
const STEPS: usize = 64;
const SIDES: [Side; 2] = [Side::Tenant, Side::Hypervisor];
/// Shown to the hypervisor only.
const USER: &[u8] = b"the bridge's own user";
const PASSWORD: &[u8] = b"the bridge's own password";

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default()
        .with_reason(64)
        .with_user(32)
        .with_password(32)
        .with_handshake_timeout(Duration::from_secs(SECONDS))
}

fn config(bits: u8, types: u8) -> BridgeConfig {
    let mut config = match bits & 3 {
        0 => BridgeConfig::default(),
        1 => BridgeConfig::default().with_auth_order(AuthOrder::HypervisorFirst),
        2 => BridgeConfig::passthrough(),
        _ => BridgeConfig::nova(),
    };
    if bits & 3 != 3 {
        let known = [SecurityType::VENCRYPT, SecurityType::VNC, SecurityType::NONE];
        let some = |bits: u8| {
            let chosen = known.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 != 0);
            chosen.map(|(_, known)| *known).collect::<Vec<_>>()
        };
        let subtypes: Vec<_> = (256..=267).chain([1, 2]).map(Subtype).collect();
        config = config
            .with_tenant_types(&some(types))
            .with_tenant_subtypes(&subtypes)
            .with_hypervisor_types(&some(types >> 3))
            .with_hypervisor_subtypes(&subtypes)
            .with_cleartext(bits & 4 != 0)
            .with_tenant_version([Version::V3_8, Version::V3_7, Version::V3_3, Version::V3_8][usize::from(types >> 6)]);
    }
    config.with_forward_reason(bits & 8 != 0).with_limits(limits())
}

fn upstream(answers: u8) -> Upstream {
    let mut upstream = Upstream::default();
    if answers & 1 != 0 {
        upstream = upstream.with_password(Password::new(PASSWORD));
    }
    if answers & 2 != 0 {
        upstream = upstream.with_credentials(Credentials {
            user: USER.into(),
            password: Secret::new(PASSWORD),
        });
    }
    upstream
}

/// The question of this number is refused.
fn refuses(answers: u8, question: &BridgeQuestion) -> bool {
    let bit = match question {
        BridgeQuestion::Challenge => 4,
        BridgeQuestion::Admit(_) => 8,
        BridgeQuestion::Connect => 16,
        _ => unreachable!("those of `rfb_logins`: no such type is offered here"),
    };
    answers & bit != 0
}

/// A bridge, and what it may say.
struct Watched {
    bridge: Bridge,
    sides: SideBuffers,
    answers: u8,
    now: Duration,
    told: [Vec<u8>; 2],
    accepted: bool,
    error: Option<BridgeError>,
    open: Option<BridgeQuestion>,
}

impl Watched {
    fn new(input: &mut Input<'_>) -> Self {
        let config = config(input.byte(), input.byte());
        Self {
            bridge: Bridge::new(Duration::ZERO, config),
            sides: SideBuffers::default(),
            answers: input.byte(),
            now: Duration::ZERO,
            told: [Vec::new(), Vec::new()],
            accepted: false,
            error: None,
            open: None,
        }
    }

    fn step(&mut self) -> Result<BridgeAction, BridgeError> {
        let action = self.bridge.step(self.now, &mut self.sides);
        self.look();
        match &action {
            Ok(BridgeAction::Receive { side, at_least }) => {
                assert!(0 < *at_least, "a machine that receives needs something");
                let held = self.sides.side(*side).rx.len();
                assert!(
                    held + at_least <= self.bridge.max_input(*side),
                    "a machine needs no more than it says"
                );
            }
            Ok(BridgeAction::Waiting) => assert!(self.open.is_some()),
            Ok(BridgeAction::Done(_)) => assert!(self.accepted),
            Ok(BridgeAction::StartTls { .. } | BridgeAction::Ask(_)) => assert!(self.open.is_none()),
            Err(error) => self.failed(error),
        }
        action
    }

    fn eof(&mut self, side: Side) -> Option<BridgeError> {
        let error = self.bridge.eof(&mut self.sides, side).err();
        self.look();
        if let Some(error) = &error {
            self.failed(error);
        }
        error
    }

    /// An error is the same from then on, unless the machine was only misused.
    fn failed(&mut self, error: &BridgeError) {
        match &self.error {
            Some(before) => assert_eq!(before, error, "an error is terminal"),
            None if matches!(error.error, HandshakeError::Misuse(Misuse::Ended)) => {}
            None => self.error = Some(error.clone()),
        }
        self.open = None;
    }

    /// What was said and done.
    fn look(&mut self) {
        for (told, side) in self.told.iter_mut().zip(SIDES) {
            told.extend_from_slice(&self.sides.side(side).tx.split());
            assert!(told.len() < 1024, "the {side} is told more than there is to say");
        }
        while let Some((side, event)) = self.bridge.poll_event() {
            let accepted = event == Event::Authenticated;
            assert!(
                side == Side::Hypervisor || !accepted || self.accepted,
                "accepted before the hypervisor had"
            );
            self.accepted |= accepted;
        }
        let [to_tenant, _] = &self.told;
        for secret in [USER, PASSWORD] {
            assert!(!to_tenant.windows(secret.len()).any(|window| window == secret));
        }
    }

    fn answer(&mut self, question: BridgeQuestion) {
        let Self { bridge, sides, .. } = self;
        let answered = if refuses(self.answers, &question) {
            bridge.refuse(sides, Refusal::default())
        } else {
            match question {
                BridgeQuestion::Challenge => bridge.challenge(sides, [7; 16]),
                BridgeQuestion::Admit(_) => bridge.admit(sides),
                BridgeQuestion::Connect => bridge.connect(upstream(self.answers)),
                other => unreachable!("{other:?}"),
            }
        };
        answered.unwrap();
        self.look();
    }

    /// Answers without a question change nothing; `refuse` is one to any question.
    fn answer_wrongly(&mut self) {
        let Self { bridge, sides, .. } = self;
        let open = self.open.as_ref();
        if !matches!(open, Some(BridgeQuestion::Challenge)) {
            assert_eq!(bridge.challenge(sides, [0; 16]), Err(Misuse::NotAsked));
        }
        if !matches!(open, Some(BridgeQuestion::Admit(_))) {
            assert_eq!(bridge.admit(sides), Err(Misuse::NotAsked));
        }
        if !matches!(open, Some(BridgeQuestion::Connect)) {
            assert_eq!(bridge.connect(Upstream::default()), Err(Misuse::NotAsked));
        }
        if open.is_none() {
            assert_eq!(bridge.refuse(sides, Refusal::Close), Err(Misuse::NotAsked));
        }
    }
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 2 {
        0 => streams(input),
        _ => operations(input),
    }
}

/// How a run ended.
#[derive(Debug, PartialEq)]
struct Ended {
    error: Option<BridgeError>,
    told: [Vec<u8>; 2],
    left: [Vec<u8>; 2],
}

fn streams(input: Input<'_>) {
    let run = |chunk: Option<usize>| {
        let mut input = input;
        let mut watched = Watched::new(&mut input);
        let own = usize::from(input.byte()).max(2);
        let tenant = input.blob();
        play(&mut watched, [tenant, input.rest()], chunk.unwrap_or(own))
    };
    let one = run(Some(1));
    assert_eq!(run(None), one, "any chunking gives the same");
}

/// Plays both sides to their end. A piece is no longer than what is asked for, so that none goes beyond TLS.
fn play(watched: &mut Watched, mut inputs: [&[u8]; 2], chunk: usize) -> Ended {
    let length = inputs.iter().map(|input| input.len()).sum::<usize>();
    for _ in 0..length + STEPS {
        let error = match watched.step() {
            Ok(BridgeAction::Receive { side, at_least }) => {
                let input = &mut inputs[usize::from(side == Side::Hypervisor)];
                let (piece, rest) = input.split_at(chunk.min(at_least).min(input.len()));
                watched.sides.side(side).rx.extend_from_slice(piece);
                *input = rest;
                if piece.is_empty() { watched.eof(side) } else { None }
            }
            Ok(BridgeAction::StartTls { side, .. }) => {
                assert!(watched.sides.side(side).rx.is_empty());
                None
            }
            Ok(BridgeAction::Ask(question)) => {
                watched.answer(question);
                None
            }
            Ok(BridgeAction::Waiting) => panic!("no question is open"),
            Ok(BridgeAction::Done(_)) => {
                let left = [0, 1].map(|side| [&watched.sides.side(SIDES[side]).rx, inputs[side]].concat());
                let told = core::mem::take(&mut watched.told);
                return Ended {
                    error: None,
                    told,
                    left,
                };
            }
            Err(error) => Some(error),
        };
        if error.is_some() {
            assert_eq!(watched.step().err(), error);
            let told = core::mem::take(&mut watched.told);
            return Ended {
                error,
                told,
                left: [Vec::new(), Vec::new()],
            };
        }
    }
    panic!("the bridge does not end");
}

fn operations(mut input: Input<'_>) {
    let mut watched = Watched::new(&mut input);
    while !input.is_empty() {
        let operation = input.byte();
        match operation & 7 {
            0 | 1 => {
                let side = SIDES[usize::from(operation & 1)];
                let piece = input.short_blob();
                watched.sides.side(side).rx.extend_from_slice(piece);
            }
            2 | 3 => match watched.open.take() {
                Some(question) => watched.answer(question),
                None => {
                    let _ = watched.eof(SIDES[usize::from(operation & 1)]);
                }
            },
            4 => watched.answer_wrongly(),
            5 => watched.now += Duration::from_millis(u64::from(operation)),
            _ => {}
        }
        // Most operations want to be followed by a step, some inputs that one is left out.
        if operation & 0x80 != 0 {
            continue;
        }
        if let Ok(BridgeAction::Ask(question)) = watched.step() {
            watched.open = Some(question);
        }
        assert!(watched.bridge.deadline() <= watched.now + Duration::from_secs(2 * SECONDS));
    }
}
