//! The relay of a console, as a sequence of operations.
//!
//! ```text
//! | config u8 | filter u8 | operations, each u8 and what it takes |
//! ```
//!
//! Anything happens at any time: bytes of either side, ends, moves, answers that are right, wrong or late, and sides that
//! do not take what they get. Two operations say what a tenant and a hypervisor say up to ServerInit, so that a search
//! need not find it.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rfb_proto::filter::{Filter, InputRate};
use rfb_proto::framing::{ClientFramer, HELD};
use rfb_proto::handshake::bridge::{AuthOrder, BridgeQuestion, Upstream};
use rfb_proto::handshake::{BridgeConfig, Misuse, Refusal, Side, SideBuffers};
use rfb_proto::message::{ClientMessage, Extensions};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Action, Cause, Config, End, Move, SessionQuestion, Sharing};
use rfb_proto::session::{Relay, ViewerLimit};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::Input;

/// The time for a handshake, in seconds.
const SECONDS: u64 = 10;
const SIDES: [Side; 2] = [Side::Tenant, Side::Hypervisor];
/// Steps without anything to be moved.
const IDLE: usize = 64;
/// Shown to the hypervisor only.
const PASSWORD: &[u8] = b"own pass";
const CHALLENGE: [u8; 16] = [7; 16];
const TENANT: &[u8] = b"tenant";

fn config(bits: u8, filter: u8) -> Config {
    let limits = Limits::default()
        .with_reason(64)
        .with_name(64)
        .with_handshake_timeout(Duration::from_secs(SECONDS));
    let orders = [
        AuthOrder::TenantFirst,
        AuthOrder::HypervisorFirst,
        AuthOrder::Passthrough,
        AuthOrder::TenantFirst,
    ];
    let bridge = BridgeConfig::default()
        .with_auth_order(orders[usize::from(bits & 3)])
        .with_tenant_types(&[SecurityType::VNC, SecurityType::NONE])
        .with_hypervisor_types(&[SecurityType::VNC, SecurityType::VENCRYPT, SecurityType::NONE])
        .with_hypervisor_subtypes(&[Subtype::X509_VNC, Subtype::X509_NONE])
        .with_limits(limits);
    let rules = match filter & 1 {
        0 => Filter::default(),
        _ => Filter::view_only(),
    };
    let sharing = [Sharing::Tenant, Sharing::Shared, Sharing::Exclusive, Sharing::Tenant];
    let mut config = Config::new(bridge)
        .with_filter(rules.with_resize(filter & 2 != 0))
        .with_sharing(sharing[usize::from(bits >> 2 & 3)])
        .with_reconnect(bits & 16 != 0)
        .with_depth_24(bits & 32 != 0);
    if bits & 64 != 0 {
        config = config.with_viewers(Arc::new(ViewerLimit::new(u32::from(bits & 128 == 0))));
    }
    if filter & 4 != 0 {
        config = config.with_input_rate(InputRate::new(10, 2));
    }
    config
}

/// What a viewer says up to its ClientInit.
fn tenant_opening() -> Vec<u8> {
    let response = Password::new(TENANT).respond(&CHALLENGE);
    [b"RFB 003.008\n\x02", &response[..], &[1]].concat()
}

/// What a hypervisor says up to its ServerInit.
fn hypervisor_opening(kind: u8) -> Vec<u8> {
    let init = ServerInit {
        width: 16 << (kind & 3),
        height: 16,
        format: PixelFormat::RGB888,
        name: if kind & 4 == 0 { "console" } else { "QEMU" }.into(),
    };
    let mut bytes = BytesMut::from(&b"RFB 003.008\n\x01\x02"[..]);
    bytes.extend_from_slice(&CHALLENGE);
    bytes.extend_from_slice(&[0; 4]);
    init.encode(&mut bytes).unwrap();
    bytes.into()
}

/// A relay, and what it may do.
struct Watched {
    relay: Relay,
    sides: SideBuffers,
    now: Duration,
    view_only: bool,
    reads: [bool; 2],
    question: Option<SessionQuestion>,
    /// TLS is to be done on this side: from there on nothing that comes in can be made up here.
    secured: bool,
    end: Option<End>,
    /// What the hypervisor of now gets behind its ClientInit.
    input: BytesMut,
    /// Bytes of that so far, to all hypervisors.
    counted: u64,
    framer: Option<ClientFramer>,
    dials: u32,
}

impl Watched {
    fn new(bits: u8, filter: u8) -> Self {
        Self {
            relay: Relay::new(Duration::ZERO, Arc::new(config(bits, filter))),
            sides: SideBuffers::default(),
            now: Duration::ZERO,
            view_only: filter & 1 != 0,
            reads: [false; 2],
            question: None,
            secured: false,
            end: None,
            input: BytesMut::new(),
            counted: 0,
            framer: None,
            dials: 0,
        }
    }

    /// Steps until there is something to wait for.
    fn run(&mut self) {
        for _ in 0..IDLE {
            let before = self.sizes();
            match self.relay.step(self.now, &mut self.sides) {
                Action::Receive { tenant, hypervisor } => {
                    self.reads = [tenant, hypervisor];
                    self.look();
                    if before == self.sizes() {
                        return;
                    }
                }
                Action::Ask(question) => {
                    assert!(self.question.is_none(), "one question at a time");
                    if let SessionQuestion::Dial(dial) = &question {
                        assert_eq!(
                            (dial.before, dial.before == 0),
                            (self.dials, dial.cause == Cause::Entered)
                        );
                        self.dials += 1;
                    }
                    self.question = Some(question);
                }
                Action::StartTls { .. } => self.secured = true,
                Action::Hangup => {
                    assert_eq!(self.sides.hypervisor.rx.len() + self.sides.hypervisor.tx.len(), 0);
                    (self.input, self.framer) = (BytesMut::new(), None);
                }
                Action::Done(end) => {
                    self.ended(end);
                    return;
                }
            }
            self.look();
        }
        panic!("a step that moves nothing");
    }

    fn ended(&mut self, end: End) {
        let _ = end.to_string();
        match &self.end {
            Some(before) => assert_eq!(*before, end, "an end is an end"),
            None => self.end = Some(end),
        }
        self.question = None;
    }

    fn sizes(&self) -> [usize; 4] {
        let SideBuffers { tenant, hypervisor } = &self.sides;
        [
            tenant.rx.len(),
            tenant.tx.len(),
            hypervisor.rx.len(),
            hypervisor.tx.len(),
        ]
    }

    fn look(&self) {
        assert!(self.sizes().iter().all(|held| *held <= 2 * HELD), "it keeps too much");
        // What is withheld is a message, and comes behind ServerInit.
        assert!(self.relay.withheld() == 0 || self.relay.server_init().is_some());
    }

    /// The bytes come as a driver would bring them.
    fn says(&mut self, side: usize, bytes: &[u8]) {
        if self.reads[side] && self.end.is_none() {
            self.sides.side(SIDES[side]).rx.extend_from_slice(bytes);
        }
    }

    fn takes(&mut self, side: usize) {
        let sent = self.sides.side(SIDES[side]).tx.split();
        if side == 1 {
            self.heard(&sent);
        }
    }

    /// A viewer that may only look does not press keys.
    fn heard(&mut self, sent: &[u8]) {
        // What was sent up to ClientInit is not counted, and may be taken together with what follows.
        let counted = self.relay.counts().to_hypervisor();
        let behind = usize::try_from(counted - self.counted).unwrap().min(sent.len());
        self.counted = counted;
        if !self.view_only || self.question.is_some() || self.dials != 1 {
            return;
        }
        self.input.extend_from_slice(&sent[sent.len() - behind..]);
        let framer = self.framer.get_or_insert_with(|| ClientFramer::new(&Limits::default()));
        let mut left = &self.input[..];
        while let Ok(Some(message)) = framer.next_message(&mut left, &Extensions::ALL) {
            let forbidden = [ClientMessage::KEY_EVENT, ClientMessage::POINTER_EVENT];
            assert!(!forbidden.contains(&message.number), "it may only look");
        }
        let rest = left.len();
        let _ = self.input.split_to(self.input.len() - rest);
    }

    fn answer(&mut self, how: u8) {
        let Some(question) = self.question.take() else {
            return self.answer_wrongly();
        };
        let (relay, sides) = (&mut self.relay, &mut self.sides);
        let answered = match (how & 3, question) {
            (0, _) => relay.refuse(sides, Refusal::default()),
            (1, SessionQuestion::Dial(_)) => relay.unreachable(sides),
            (_, SessionQuestion::Dial(_)) => {
                let mut upstream = Upstream::default();
                if how & 4 == 0 {
                    upstream = upstream.with_password(Password::new(PASSWORD));
                }
                relay.dialled(self.now, upstream)
            }
            (_, SessionQuestion::Tenant(BridgeQuestion::Challenge)) => {
                relay.bridge().and_then(|bridge| bridge.challenge(sides, CHALLENGE))
            }
            (1, SessionQuestion::Name(_)) => relay.refuse_name(),
            (_, SessionQuestion::Name(_)) => relay.accept_name(),
            (_, SessionQuestion::Tenant(_)) => relay.bridge().and_then(|bridge| bridge.admit(sides)),
        };
        answered.unwrap();
    }

    /// Answers without a question change nothing.
    fn answer_wrongly(&mut self) {
        let (relay, sides) = (&mut self.relay, &mut self.sides);
        assert_eq!(relay.refuse(sides, Refusal::Close), Err(Misuse::NotAsked));
        assert_eq!(relay.unreachable(sides), Err(Misuse::NotAsked));
        assert_eq!(relay.dialled(self.now, Upstream::default()), Err(Misuse::NotAsked));
        assert_eq!(relay.accept_name(), Err(Misuse::NotAsked));
        assert_eq!(relay.refuse_name(), Err(Misuse::NotAsked));
        if let Ok(bridge) = relay.bridge() {
            assert_eq!(bridge.admit(sides), Err(Misuse::NotAsked));
        }
    }
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let _ = reached(data);
}

/// The same. Gives how it ended, and how many hypervisors were asked for.
pub fn reached(data: &[u8]) -> (Option<End>, u32) {
    let mut input = Input::new(data);
    let mut watched = Watched::new(input.byte(), input.byte());
    watched.run();
    while !input.is_empty() && !watched.secured {
        let operation = input.byte();
        let side = usize::from(operation >> 4 & 1);
        match operation & 15 {
            0..=2 => {
                let bytes = input.short_blob();
                watched.says(side, bytes);
            }
            3 => {
                let bytes = match side {
                    0 => tenant_opening(),
                    _ => hypervisor_opening(operation >> 5),
                };
                watched.says(side, &bytes);
            }
            4 | 5 => watched.takes(side),
            6 => {
                watched.takes(0);
                watched.takes(1);
            }
            7 | 8 => watched.answer(operation >> 4),
            9 => watched.relay.eof(&mut watched.sides, SIDES[side]),
            10 => watched.relay.moved([Move::Follow, Move::End][side]),
            11 => watched.now += Duration::from_millis(u64::from(input.byte()) * 50),
            12 => watched.relay.stop(),
            // All of it as it goes without trouble.
            13 => {
                for (side, bytes) in [(0, tenant_opening()), (1, hypervisor_opening(operation >> 4))] {
                    watched.says(side, &bytes);
                    for _ in 0..8 {
                        watched.run();
                        watched.takes(0);
                        watched.takes(1);
                        if watched.question.is_some() {
                            watched.answer(2);
                        }
                    }
                }
            }
            _ => {
                let bytes = input.blob();
                watched.says(side, bytes);
            }
        }
        watched.run();
        assert!(
            watched.end.is_some()
                || watched.question.is_some()
                || watched.reads != [false; 2]
                || watched.relay.deadline() != Duration::MAX
                || watched.sizes() != [0; 4],
            "it waits for nothing"
        );
    }
    (watched.end, watched.dials)
}
