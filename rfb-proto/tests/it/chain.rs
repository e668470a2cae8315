//! A viewer, a bridge and a hypervisor in memory, with each other's bytes in pieces.

use core::time::Duration;

use bytes::Bytes;
use rfb_proto::Version;
use rfb_proto::handshake::bridge::{BridgeAction, BridgeError, BridgeOutcome, BridgeQuestion, Upstream};
use rfb_proto::handshake::client::{self, ClientOutcome};
use rfb_proto::handshake::server::{self, ClientCredentials, ServerOutcome};
use rfb_proto::handshake::{
    Action, Bridge, BridgeConfig, Buffers, ClientConfig, ClientHandshake, Event, Exchange, HandshakeError, Machine,
    Refusal, ServerConfig, ServerHandshake, Side, SideBuffers, Tls,
};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, Secret};

use crate::play::server_init;

/// What the viewer's user knows, and what the hypervisor wants. They have nothing in common.
pub(crate) const USER: &[u8] = b"tenant";
pub(crate) const PASSWORD: &[u8] = b"console!";
pub(crate) const OWN_USER: &[u8] = b"bridge";
pub(crate) const OWN_PASSWORD: &[u8] = b"hypervis";
pub(crate) const WRONG: &[u8] = b"wrong";
pub(crate) const TENANT_CHALLENGE: [u8; 16] = *b"tenant challenge";
pub(crate) const HYPERVISOR_CHALLENGE: [u8; 16] = *b"hyper- challenge";
/// What the hypervisor says of a wrong password; with a NUL, as QEMU.
pub(crate) const REASON: &[u8] = b"node17: no such key\0";
/// What the bridge's caller says of one.
pub(crate) const REFUSAL: &str = "Wrong token";

/// TLS on one end of a connection.
pub(crate) trait Session {
    /// Takes ciphertext from and to `socket`.
    fn process(&mut self, plain: &mut Buffers) -> Result<(), String>;
    fn socket(&mut self) -> &mut Buffers;
    /// Whether the machine has to wait.
    fn is_handshaking(&self) -> bool;
}

/// What begins TLS: the connection that it is on, the end, and the buffers. `None`: nothing is encrypted, and the
/// machines see the same bytes.
pub(crate) type Starter<'a> = dyn Fn(Side, &Tls, &mut Buffers) -> Option<Box<dyn Session>> + 'a;

/// A connection's end without its buffers.
#[derive(Default)]
struct End {
    tls: Option<Box<dyn Session>>,
    failed: Option<String>,
    /// Plaintext that was sent.
    sent: Vec<u8>,
}

impl End {
    fn process(&mut self, plain: &mut Buffers) {
        if let (Some(tls), None) = (&mut self.tls, &self.failed) {
            let before = plain.tx.clone();
            self.failed = tls.process(plain).err();
            self.sent.extend_from_slice(&before[..before.len() - plain.tx.len()]);
        }
    }

    fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    fn socket<'a>(&'a mut self, plain: &'a mut Buffers) -> &'a mut Buffers {
        match &mut self.tls {
            Some(tls) => tls.socket(),
            None => plain,
        }
    }
}

pub(crate) struct Chain {
    pub(crate) viewer: ClientHandshake,
    pub(crate) bridge: Bridge,
    pub(crate) hypervisor: ServerHandshake,
    /// What the viewer's user enters.
    pub(crate) entered: (&'static [u8], &'static [u8]),
    /// What the bridge shows the hypervisor.
    pub(crate) upstream: Option<Upstream>,
    /// What the hypervisor is asked to find.
    pub(crate) wanted: (&'static [u8], &'static [u8]),
    /// Whether the dial works.
    pub(crate) dials: bool,
    pub(crate) events: Vec<(Side, Event)>,
    viewer_events: Vec<Event>,
    viewer_wire: Buffers,
    sides: SideBuffers,
    hypervisor_wire: Buffers,
    /// Viewer, bridge towards it, bridge towards the hypervisor, hypervisor.
    ends: [End; 4],
    pub(crate) asked: Vec<&'static str>,
}

/// How the three ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) viewer: Result<ClientOutcome, HandshakeError>,
    pub(crate) bridge: Result<BridgeOutcome, BridgeError>,
    /// `None`: it was not connected to, or still waits.
    pub(crate) hypervisor: Option<Result<ServerOutcome, HandshakeError>>,
}

const NOW: Duration = Duration::ZERO;

/// The credentials of the bridge, for both kinds.
pub(crate) fn upstream(user: &[u8], password: &[u8]) -> Upstream {
    Upstream::default()
        .with_password(Password::new(password))
        .with_credentials(Credentials {
            user: Bytes::copy_from_slice(user),
            password: Secret::new(password),
        })
}

fn is_good(claim: &ClientCredentials, (user, password): (&[u8], &[u8])) -> bool {
    match claim {
        ClientCredentials::None => true,
        ClientCredentials::Vnc { challenge, response } => Password::new(password).verify(challenge, response),
        ClientCredentials::Plain(shown) => shown.user[..] == *user && shown.password == Secret::new(password),
        #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
        other => crate::logins::opened(other, &crate::logins::SERVER)
            .is_some_and(|shown| shown.user[..] == *user && shown.password == Secret::new(password)),
        #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
        other => panic!("{other:?}"),
    }
}

impl Chain {
    pub(crate) fn new(viewer: ClientConfig, bridge: BridgeConfig, hypervisor: ServerConfig) -> Self {
        Self {
            viewer: ClientHandshake::new(NOW, viewer),
            bridge: Bridge::new(NOW, bridge),
            hypervisor: ServerHandshake::new(NOW, hypervisor),
            entered: (USER, PASSWORD),
            upstream: Some(upstream(OWN_USER, OWN_PASSWORD)),
            wanted: (OWN_USER, OWN_PASSWORD),
            dials: true,
            events: Vec::new(),
            viewer_events: Vec::new(),
            viewer_wire: Buffers::default(),
            sides: SideBuffers::default(),
            hypervisor_wire: Buffers::default(),
            ends: Default::default(),
            asked: Vec::new(),
        }
    }

    /// Without encryption: TLS is there for the machines only.
    pub(crate) fn run(self, chunk: usize) -> (Ended, Self) {
        self.run_with(chunk, &|_, _, _| None)
    }

    pub(crate) fn run_with(mut self, chunk: usize, start: &Starter<'_>) -> (Ended, Self) {
        let (mut viewer, mut bridge, mut hypervisor) = (None, None, None);
        let mut dialled = false;
        for _ in 0..100_000 {
            if viewer.is_none() {
                viewer = self.step_viewer(start);
            }
            if bridge.is_none() {
                bridge = self.step_bridge(start, &mut dialled);
            }
            if matches!(bridge, Some(Ok(_))) {
                self.copy();
            }
            if dialled && hypervisor.is_none() {
                hypervisor = self.step_hypervisor(start);
            }
            let moved = self.carry(chunk, dialled);
            if moved {
                continue;
            }
            // Nothing moves. A machine that has ended hangs up, and its peer sees the end of the stream.
            let before = (viewer.is_some(), bridge.is_some(), hypervisor.is_some());
            if bridge.is_none() && (matches!(viewer, Some(Err(_))) || self.ends[0].failed.is_some()) {
                bridge = self.hang_up(Side::Tenant);
            }
            if bridge.is_none() && (matches!(hypervisor, Some(Err(_))) || self.ends[3].failed.is_some()) {
                bridge = self.hang_up(Side::Hypervisor);
                dialled = false;
            }
            for (side, end) in [(Side::Tenant, 1), (Side::Hypervisor, 2)] {
                if bridge.is_none() && self.ends[end].failed.is_some() {
                    bridge = self.hang_up(side);
                }
            }
            // What the bridge says in the end is on its way.
            if before.1 != bridge.is_some() {
                continue;
            }
            if matches!(bridge, Some(Err(_))) {
                if viewer.is_none() {
                    viewer = Some(self.viewer.eof());
                }
                if dialled && hypervisor.is_none() {
                    hypervisor = Some(self.hypervisor.eof());
                }
            }
            let after = (viewer.is_some(), bridge.is_some(), hypervisor.is_some());
            if before != after {
                continue;
            }
            match (viewer.take(), bridge.take()) {
                (Some(viewer), Some(bridge)) => {
                    // An error is terminal, and the same again.
                    if let Err(error) = &bridge {
                        assert_eq!(self.bridge.step(NOW, &mut self.sides).as_ref(), Err(error));
                    }
                    let ended = Ended {
                        viewer,
                        bridge,
                        hypervisor,
                    };
                    return (ended, self);
                }
                // An end of the stream has given the bridge something to say.
                others => (viewer, bridge) = others,
            }
        }
        panic!("the three do not come to an end");
    }

    fn hang_up(&mut self, side: Side) -> Option<Result<BridgeOutcome, BridgeError>> {
        let ended = self.bridge.eof(&mut self.sides, side).err().map(Err);
        self.ends[1].process(&mut self.sides.tenant);
        ended
    }

    fn step_viewer(&mut self, start: &Starter<'_>) -> Option<Result<ClientOutcome, HandshakeError>> {
        self.ends[0].process(&mut self.viewer_wire);
        loop {
            if self.ends[0].is_handshaking() {
                break;
            }
            let action = self.viewer.step(NOW, &mut self.viewer_wire);
            while let Some(event) = self.viewer.poll_event() {
                self.viewer_events.push(event);
            }
            self.check_order();
            let buffers = &mut self.viewer_wire;
            let answered = match action {
                Ok(Action::Receive { .. }) => break,
                Ok(Action::StartTls(tls)) => {
                    self.ends[0].tls = start(Side::Tenant, &tls, buffers);
                    break;
                }
                Ok(Action::Ask(client::ClientQuestion::Vnc { challenge })) => {
                    let response = Password::new(self.entered.1).respond(&challenge);
                    self.viewer.respond(buffers, response)
                }
                Ok(Action::Ask(client::ClientQuestion::Plain)) => {
                    self.viewer.plain(buffers, self.entered.0, self.entered.1)
                }
                #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
                Ok(Action::Ask(other)) => {
                    use crate::logins::{CLIENT, LayerSession, answer_server};
                    match answer_server(&mut self.viewer, buffers, other, self.entered, &CLIENT) {
                        Ok(Some(keys)) => {
                            self.ends[0].tls = Some(Box::new(LayerSession::new(keys, buffers)));
                            self.ends[0].process(buffers);
                            self.viewer.layered()
                        }
                        answered => answered.map(drop),
                    }
                }
                #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
                Ok(Action::Ask(other)) => panic!("{other:?}"),
                Ok(Action::Waiting) => panic!("no question is open"),
                Ok(Action::Done(outcome)) => return Some(Ok(outcome)),
                Err(error) => return Some(Err(error)),
            };
            answered.unwrap();
        }
        self.ends[0].process(&mut self.viewer_wire);
        None
    }

    /// The tenant is accepted after the hypervisor. In 3.7 it does not wait to be after type None.
    fn check_order(&self) {
        let is = |matches: fn(&Event) -> bool| self.viewer_events.iter().any(matches);
        let never_waits = is(|event| {
            matches!(
                event,
                Event::Version {
                    rules: Version::V3_7,
                    ..
                }
            )
        }) && is(
            |event| matches!(event, Event::Chosen(chosen) if chosen.exchange() == Some(Exchange::None) && chosen.tls.is_none()),
        );
        if !never_waits && is(|event| *event == Event::Authenticated) {
            let accepted = (Side::Hypervisor, Event::Authenticated);
            assert!(
                self.events.contains(&accepted),
                "accepted before the hypervisor had accepted"
            );
        }
    }

    fn step_bridge(&mut self, start: &Starter<'_>, dialled: &mut bool) -> Option<Result<BridgeOutcome, BridgeError>> {
        self.ends[1].process(&mut self.sides.tenant);
        self.ends[2].process(&mut self.sides.hypervisor);
        let ended = loop {
            if self.ends[1].is_handshaking() || self.ends[2].is_handshaking() {
                break None;
            }
            let action = self.bridge.step(NOW, &mut self.sides);
            self.note();
            let sides = &mut self.sides;
            let answered = match action {
                Ok(BridgeAction::Receive { side, at_least }) => {
                    assert!(0 < at_least && sides.side(side).rx.len() + at_least <= self.bridge.max_input(side));
                    break None;
                }
                Ok(BridgeAction::StartTls { side, tls }) => {
                    let end = if side == Side::Tenant { 1 } else { 2 };
                    self.ends[end].tls = start(side, &tls, sides.side(side));
                    break None;
                }
                Ok(BridgeAction::Waiting) => panic!("no question is open"),
                Ok(BridgeAction::Ask(BridgeQuestion::Challenge)) => {
                    self.asked.push("challenge");
                    self.bridge.challenge(sides, TENANT_CHALLENGE)
                }
                Ok(BridgeAction::Ask(BridgeQuestion::Admit(claim))) => {
                    self.asked.push("admit");
                    match is_good(&claim, (USER, PASSWORD)) {
                        true => self.bridge.admit(sides),
                        false => self.bridge.refuse(sides, Refusal::Failed(Reason::from_static(REFUSAL))),
                    }
                }
                Ok(BridgeAction::Ask(BridgeQuestion::Connect)) => {
                    self.asked.push("connect");
                    assert!(sides.hypervisor.tx.is_empty());
                    *dialled = self.dials;
                    match self.dials {
                        true => self.bridge.connect(self.upstream.take().unwrap()),
                        false => self
                            .bridge
                            .refuse(sides, Refusal::Failed(Reason::from_static("No such console"))),
                    }
                }
                #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
                Ok(BridgeAction::Ask(BridgeQuestion::RsaAesLayer { side, keys })) => {
                    let end = &mut self.ends[if side == Side::Tenant { 1 } else { 2 }];
                    let buffers = sides.side(side);
                    end.tls = Some(Box::new(crate::logins::LayerSession::new(keys, buffers)));
                    end.process(buffers);
                    self.bridge.layered()
                }
                #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
                Ok(BridgeAction::Ask(other)) => {
                    crate::logins::answer_bridge(&mut self.bridge, sides, other, &crate::logins::SERVER)
                }
                #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
                Ok(BridgeAction::Ask(other)) => panic!("{other:?}"),
                Ok(BridgeAction::Done(outcome)) => break Some(Ok(outcome)),
                Err(error) => break Some(Err(error)),
            };
            answered.unwrap();
        };
        self.note();
        self.ends[1].process(&mut self.sides.tenant);
        self.ends[2].process(&mut self.sides.hypervisor);
        ended
    }

    fn note(&mut self) {
        self.events.extend(core::iter::from_fn(|| self.bridge.poll_event()));
    }

    /// The plaintext that the bridge sent to this side.
    pub(crate) fn told(&self, side: Side) -> &[u8] {
        match side {
            Side::Tenant => &self.ends[1].sent,
            Side::Hypervisor => &self.ends[2].sent,
        }
    }

    /// Copies what comes behind the handshake.
    fn copy(&mut self) {
        let SideBuffers { tenant, hypervisor } = &mut self.sides;
        hypervisor.tx.unsplit(tenant.rx.split());
        tenant.tx.unsplit(hypervisor.rx.split());
        self.ends[1].process(&mut self.sides.tenant);
        self.ends[2].process(&mut self.sides.hypervisor);
    }

    fn step_hypervisor(&mut self, start: &Starter<'_>) -> Option<Result<ServerOutcome, HandshakeError>> {
        self.ends[3].process(&mut self.hypervisor_wire);
        let ended = loop {
            if self.ends[3].is_handshaking() {
                break None;
            }
            let buffers = &mut self.hypervisor_wire;
            let answered = match self.hypervisor.step(NOW, buffers) {
                Ok(Action::Receive { .. }) => break None,
                Ok(Action::StartTls(tls)) => {
                    self.ends[3].tls = start(Side::Hypervisor, &tls, buffers);
                    break None;
                }
                Ok(Action::Ask(server::ServerQuestion::Challenge)) => {
                    self.hypervisor.challenge(buffers, HYPERVISOR_CHALLENGE)
                }
                Ok(Action::Ask(server::ServerQuestion::Admit(claim))) => match is_good(&claim, self.wanted) {
                    true => self.hypervisor.accept(buffers),
                    false => {
                        let text = Bytes::from_static(REASON);
                        self.hypervisor.refuse(buffers, Refusal::Failed(Reason { text }))
                    }
                },
                Ok(Action::Ask(server::ServerQuestion::Init(_))) => self.hypervisor.init(buffers, &server_init()),
                #[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
                Ok(Action::Ask(other)) => {
                    use crate::logins::{LayerSession, SERVER, answer_client};
                    match answer_client(&mut self.hypervisor, buffers, other, &SERVER) {
                        Ok(Some(keys)) => {
                            self.ends[3].tls = Some(Box::new(LayerSession::new(keys, buffers)));
                            self.ends[3].process(buffers);
                            self.hypervisor.layered()
                        }
                        answered => answered.map(drop),
                    }
                }
                #[cfg(not(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon")))]
                Ok(Action::Ask(other)) => panic!("{other:?}"),
                Ok(Action::Waiting) => panic!("no question is open"),
                Ok(Action::Done(outcome)) => break Some(Ok(outcome)),
                Err(error) => break Some(Err(error)),
            };
            answered.unwrap();
        };
        self.ends[3].process(&mut self.hypervisor_wire);
        ended
    }

    /// Moves a piece of what each side has to send.
    fn carry(&mut self, chunk: usize, dialled: bool) -> bool {
        let [viewer, tenant, upper, hypervisor] = &mut self.ends;
        let near = (viewer, &mut self.viewer_wire, tenant, &mut self.sides.tenant);
        let far = (upper, &mut self.sides.hypervisor, hypervisor, &mut self.hypervisor_wire);
        let mut moved = false;
        for (index, (left, left_wire, right, right_wire)) in [near, far].into_iter().enumerate() {
            if index == 0 || dialled {
                moved |= piece((left, left_wire), (right, right_wire), chunk);
                moved |= piece((right, right_wire), (left, left_wire), chunk);
            }
        }
        moved
    }
}

fn piece(from: (&mut End, &mut Buffers), to: (&mut End, &mut Buffers), chunk: usize) -> bool {
    let (end, buffers) = from;
    let tx = &mut end.socket(buffers).tx;
    let bytes = tx.split_to(chunk.min(tx.len()));
    if end.tls.is_none() {
        end.sent.extend_from_slice(&bytes);
    }
    to.0.socket(to.1).rx.extend_from_slice(&bytes);
    !bytes.is_empty()
}
