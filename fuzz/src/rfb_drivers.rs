//! The driver loops over scripted streams, whose capacities and buffers the input draws, under paused time.
//!
//! ```text
//! | role u8 | capacity u16 | shape u8 | piece u8 | bits u8 | bridge, session: length u16, bytes of the tenant | bytes of the peer |
//! ```
//!
//! Roles: 0 server, 1 client, 2 bridge, 3 session, 4 TLS of a server, 5 of a client. Bits: what is offered and
//! answered; bit 4: peers stay when they have said all.
//!
//! The law: whatever the stream, a driver ends as the machine ends that is stepped by hand with the same bytes, and its
//! peer hears the same. Nothing waits for ever.

use std::sync::Arc;
use std::time::Duration;

use rfb_proto::filter::Filter;
use rfb_proto::handshake::bridge::{BridgeAction, BridgeQuestion, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{
    Action, Bridge, BridgeConfig, Buffers, ClientConfig, ClientHandshake, Machine, Refusal, ServerConfig,
    ServerHandshake, Side, SideBuffers, client, server,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Config, Dial};
use rfb_proto::tls::{ClientTls, Identity, ServerTls};
use rfb_proto::{
    BridgeDriven, Clock, Connection, DriveError, Driven, Limits, NotDialled, ProxyHandler, TlsStream, drive,
    drive_bridge, drive_session, while_both_connected, while_connected,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::time::{sleep, timeout};

use self::slow::{Shape, Slow, connection};
use crate::Input;
use crate::rfb_roles::shown;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../rfb-proto/tests/it/slow.rs"]
mod slow;

/// What an input costs is bounded.
const LONGEST: usize = 4096;
/// Longer than all that has a deadline.
const NEVER: Duration = Duration::from_secs(3600);

fn limits() -> Limits {
    Limits::default()
        .with_reason(32)
        .with_name(32)
        .with_user(16)
        .with_password(16)
        .with_handshake_timeout(Duration::from_secs(NEVER.as_secs() / 2))
}

/// Types without TLS, which would be a stream of its own.
fn types(bits: u8) -> Vec<SecurityType> {
    let all = [
        SecurityType::VNC,
        SecurityType::NONE,
        SecurityType::TIGHT,
        SecurityType::SASL,
    ];
    let some = all.iter().enumerate().filter(|(at, _)| *at == 0 || bits >> at & 1 == 1);
    some.map(|(_, kind)| *kind).collect()
}

fn upstream() -> Upstream {
    Upstream::default().with_password(Password::new(b"own pass"))
}

/// How a run ended, as text, and what each peer heard.
type Ended = (String, Vec<Vec<u8>>);

/// A driver ends as the machine does. A peer that goes may miss what was said to it last, and is missed while an answer is
/// looked for.
fn assert_alike((end, heard): Ended, (expected, all): Ended, hangs_up: bool) {
    let gone = hangs_up && (end.contains("Closed") || end.starts_with("io: "));
    assert!(gone || end == expected, "{end}, not {expected}");
    let late = end.contains("TimedOut");
    for (at, (heard, all)) in heard.iter().zip(&all).enumerate() {
        // A hypervisor that is left gets no more bytes, not even those that are under way to it.
        let left = at == 1 && end.starts_with("BridgeError");
        let alike = if hangs_up || late || left {
            all.starts_with(heard)
        } else {
            all == heard
        };
        assert!(alike, "{end}: {heard:?}, not {all:?}");
    }
}

/// A network, as the input draws it.
#[derive(Debug, Clone, Copy)]
struct Network {
    capacity: usize,
    shape: Shape,
    piece: usize,
    /// Its peers hang up when they have said all, and else stay until the driver is done.
    hangs_up: bool,
}

impl Network {
    fn line(self) -> (Slow, Slow) {
        let plain = Shape::new(false, false);
        connection(self.capacity, self.shape, plain)
    }

    /// Says all of it, then ends; hears everything.
    async fn peer(self, far: Slow, says: &[u8]) -> Vec<u8> {
        let (mut read, mut write) = split(far);
        let mut heard = Vec::new();
        let says = async {
            for piece in says.chunks(self.piece) {
                // The driver may have gone.
                if write.write_all(piece).await.is_err() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            if self.hangs_up {
                let _ = write.shutdown().await;
            }
        };
        let _ = tokio::join!(says, read.read_to_end(&mut heard));
        heard
    }
}

fn protocol<T: std::fmt::Debug + std::fmt::Display>(error: DriveError<T>) -> String {
    match error {
        DriveError::Protocol(error) if format!("{error:?}").contains("TimedOut") => format!("{:?}", Some(error)),
        // What the driver tells of a stranger depends on what came with the first wrong byte.
        DriveError::Protocol(error) | DriveError::NotRfb { error, .. } => format!("{error:?}"),
        // The peer went without a word that anything waits for.
        other => format!("io: {other}"),
    }
}

/// Answers what a machine asks, by the same rule in both runs.
trait Answers: Machine {
    fn answer(&mut self, buffers: &mut Buffers, question: Self::Question, bits: u8) -> bool;
}

impl Answers for ServerHandshake {
    fn answer(&mut self, buffers: &mut Buffers, question: server::ServerQuestion, bits: u8) -> bool {
        let answered = match question {
            server::ServerQuestion::Challenge => self.challenge(buffers, [7; 16]),
            server::ServerQuestion::Admit(_) if bits & 64 == 0 => self.accept(buffers),
            server::ServerQuestion::Init(_) => self.init(buffers, &shown()),
            server::ServerQuestion::SaslStart { .. } => self.sasl_complete(buffers, None, false),
            _ => self.refuse(buffers, Refusal::Close),
        };
        answered.is_ok()
    }
}

impl Answers for ClientHandshake {
    fn answer(&mut self, buffers: &mut Buffers, question: client::ClientQuestion, _: u8) -> bool {
        let answered = match question {
            client::ClientQuestion::Vnc { challenge } => self.respond(buffers, challenge),
            client::ClientQuestion::Plain => self.plain(buffers, b"user", b"a password"),
            client::ClientQuestion::SaslStart { .. } => self.sasl_start(buffers, b"PLAIN", None),
            client::ClientQuestion::SaslStep { complete: true, .. } => self.sasl_end(false),
            client::ClientQuestion::SaslStep { .. } => self.sasl_step(buffers, None),
            _ => return false,
        };
        answered.is_ok()
    }
}

/// By hand.
fn stepped<M: Answers>(mut machine: M, bits: u8, mut says: &[u8], hangs_up: bool) -> Ended
where
    M::Outcome: std::fmt::Debug,
{
    let (mut buffers, mut heard) = (Buffers::default(), Vec::new());
    let end = loop {
        let action = machine.step(Duration::ZERO, &mut buffers);
        heard.extend_from_slice(&buffers.tx.split());
        match action {
            Ok(Action::Receive { .. }) => match says.split_first() {
                Some((byte, rest)) => {
                    buffers.rx.extend_from_slice(&[*byte]);
                    says = rest;
                }
                None if hangs_up => match machine.eof() {
                    Ok(_) => break "io: unexpected end of file".to_owned(),
                    Err(error) => break format!("{error:?}"),
                },
                None => {
                    let late = machine.step(machine.deadline(), &mut buffers);
                    break format!("{:?}", late.err());
                }
            },
            Ok(Action::Ask(question)) => {
                if !machine.answer(&mut buffers, question, bits) {
                    break "not answered".to_owned();
                }
            }
            Ok(Action::StartTls(_)) => break "TLS".to_owned(),
            Ok(Action::Waiting) => unreachable!("it was answered"),
            Ok(Action::Done(outcome)) => break format!("{outcome:?}"),
            Err(error) => break format!("{error:?}"),
        }
    };
    heard.extend_from_slice(&buffers.tx.split());
    (end, vec![heard])
}

async fn driven<M: Answers>(machine: impl FnOnce(Duration) -> M, network: Network, bits: u8, says: &[u8]) -> Ended
where
    M::Outcome: std::fmt::Debug,
{
    let (mut near, far) = network.line();
    let closing = async {
        let clock = Clock::start();
        let (mut machine, mut buffers) = (machine(clock.now()), Buffers::default());
        let end = loop {
            match drive(&mut machine, &mut buffers, &mut near, clock).await {
                Ok(Driven::Ask(question)) => {
                    // Half of the answers take a while.
                    if bits & 128 != 0 {
                        let look_up = sleep(Duration::from_millis(3));
                        match while_connected(&mut machine, &mut buffers, &mut near, clock, look_up).await {
                            Ok(()) => {}
                            Err(error) => break protocol(error),
                        }
                    }
                    if !machine.answer(&mut buffers, question, bits) {
                        break "not answered".to_owned();
                    }
                }
                Ok(Driven::StartTls(_)) => break "TLS".to_owned(),
                Ok(Driven::Done(outcome)) => break format!("{outcome:?}"),
                Err(error) => break protocol(error),
            }
        };
        drop(near);
        end
    };
    let (end, heard) = tokio::join!(closing, network.peer(far, says));
    (end, vec![heard])
}

fn bridge_config(bits: u8) -> BridgeConfig {
    BridgeConfig::default()
        .with_tenant_types(&types(bits))
        .with_hypervisor_types(&types(bits >> 2))
        .with_limits(limits())
}

/// Whether it was answered, and whether a hypervisor is there now.
fn answer_bridge(bridge: &mut Bridge, sides: &mut SideBuffers, question: BridgeQuestion, bits: u8) -> (bool, bool) {
    let (answered, dialled) = match question {
        BridgeQuestion::Challenge => (bridge.challenge(sides, [7; 16]), false),
        BridgeQuestion::Admit(_) if bits & 64 == 0 => (bridge.admit(sides), false),
        BridgeQuestion::Connect => (bridge.connect(upstream()), true),
        _ => (bridge.refuse(sides, Refusal::Close), false),
    };
    (answered.is_ok(), dialled)
}

fn bridged_by_hand(bits: u8, tenant: &[u8], hypervisor: &[u8], hangs_up: bool) -> Ended {
    let mut bridge = Bridge::new(Duration::ZERO, bridge_config(bits));
    let (mut sides, mut says) = (SideBuffers::default(), [tenant, hypervisor]);
    let mut heard = vec![Vec::new(), Vec::new()];
    let end = loop {
        let action = bridge.step(Duration::ZERO, &mut sides);
        heard[0].extend_from_slice(&sides.tenant.tx.split());
        heard[1].extend_from_slice(&sides.hypervisor.tx.split());
        match action {
            Ok(BridgeAction::Receive { side, .. }) => {
                let from = &mut says[usize::from(side == Side::Hypervisor)];
                match from.split_first() {
                    Some((byte, rest)) => {
                        sides.side(side).rx.extend_from_slice(&[*byte]);
                        *from = rest;
                    }
                    None if hangs_up => match bridge.eof(&mut sides, side) {
                        Ok(()) => break "io: unexpected end of file".to_owned(),
                        Err(error) => break format!("{error:?}"),
                    },
                    None => {
                        let late = bridge.step(bridge.deadline(), &mut sides);
                        break format!("{:?}", late.err());
                    }
                }
            }
            Ok(BridgeAction::Ask(question)) => {
                if !answer_bridge(&mut bridge, &mut sides, question, bits).0 {
                    break "not answered".to_owned();
                }
            }
            Ok(BridgeAction::StartTls { .. }) => break "TLS".to_owned(),
            Ok(BridgeAction::Waiting) => unreachable!("it was answered"),
            Ok(BridgeAction::Done(outcome)) => break format!("{outcome:?}"),
            Err(error) => break format!("{error:?}"),
        }
    };
    heard[0].extend_from_slice(&sides.tenant.tx.split());
    heard[1].extend_from_slice(&sides.hypervisor.tx.split());
    (end, heard)
}

async fn bridged(network: Network, bits: u8, tenant: &[u8], hypervisor: &[u8]) -> Ended {
    let ((mut near, viewer), (second, far)) = (network.line(), network.line());
    let mut second = Some(second);
    let closing = async {
        let clock = Clock::start();
        let mut bridge = Bridge::new(clock.now(), bridge_config(bits));
        let (mut sides, mut dialled) = (SideBuffers::default(), None);
        let end = loop {
            match drive_bridge(&mut bridge, &mut sides, &mut near, dialled.as_mut(), clock).await {
                Ok(BridgeDriven::Ask(question)) => {
                    if bits & 128 != 0 {
                        let (look_up, far) = (sleep(Duration::from_millis(3)), dialled.as_mut());
                        match while_both_connected(&mut bridge, &mut sides, &mut near, far, clock, look_up).await {
                            Ok(()) => {}
                            Err(error) => break protocol(error),
                        }
                    }
                    let (answered, connected) = answer_bridge(&mut bridge, &mut sides, question, bits);
                    if !answered {
                        break "not answered".to_owned();
                    }
                    if connected {
                        dialled = second.take();
                    }
                }
                Ok(BridgeDriven::StartTls { .. }) => break "TLS".to_owned(),
                Ok(BridgeDriven::Done(outcome)) => break format!("{outcome:?}"),
                Err(error) => break protocol(error),
            }
        };
        drop((dialled, second.take(), near));
        end
    };
    let (end, one, other) = tokio::join!(closing, network.peer(viewer, tenant), network.peer(far, hypervisor));
    (end, vec![one, other])
}

/// A proxy's decisions, from the bits.
struct Handler {
    hypervisor: Option<Slow>,
    bits: u8,
}

impl ProxyHandler for Handler {
    type Hypervisor = Slow;

    fn challenge(&mut self) -> [u8; 16] {
        [7; 16]
    }

    async fn admit(&mut self, _: ClientCredentials) -> Result<(), Refusal> {
        match self.bits & 64 {
            0 => Ok(()),
            _ => Err(Refusal::default()),
        }
    }

    async fn dial(&mut self, _: Dial) -> Result<(Slow, Upstream), NotDialled> {
        let hypervisor = self.hypervisor.take().ok_or(NotDialled::Unreachable)?;
        Ok((hypervisor, upstream()))
    }

    fn filter(&mut self) -> Option<Filter> {
        (self.bits & 32 != 0).then(Filter::view_only)
    }
}

/// A console from its first byte to its last: it ends.
async fn session(network: Network, bits: u8, tenant: &[u8], hypervisor: &[u8]) {
    let config = Arc::new(Config::new(bridge_config(bits)).with_reconnect(bits & 128 != 0));
    let ((near, viewer), (second, far)) = (network.line(), network.line());
    let handler = Handler {
        hypervisor: Some(second),
        bits,
    };
    let (end, ..) = tokio::join!(
        async {
            let (end, handler) = drive_session(Connection::new(config), near, handler).await;
            drop(handler);
            end
        },
        network.peer(viewer, tenant),
        network.peer(far, hypervisor)
    );
    assert!(!end.to_string().is_empty());
}

/// TLS that the peer begins with anything: it fails, or waits for more until the peer goes.
async fn tls(network: Network, is_client: bool, says: &[u8]) {
    let identity = Identity {
        chain: include_bytes!("../../spice-proto/tests/data/certificates/self3.pem"),
        key: include_bytes!("../../spice-proto/tests/data/certificates/server.key"),
    };
    let (near, far) = network.line();
    let mut buffers = Buffers::default();
    let accepted = async {
        if is_client {
            let tls = ClientTls::new(identity.chain, None).expect("an authority");
            let tls = tls.config(rfb_proto::tls::PeerName::Any).expect("a configuration");
            let session = rustls::client::UnbufferedClientConnection::new(tls.0, tls.1).expect("a session");
            let session = rfb_proto::tls::TlsSession::new(session, &mut buffers);
            let mut stream = TlsStream::new(near, session);
            // The first bytes that are read want the handshake.
            let mut none = [0];
            stream.read(&mut none).await.map(|read| read != 0)
        } else {
            let tls = ServerTls::new(identity, None).expect("a certificate and its key");
            TlsStream::accept(near, &tls, &mut buffers).await.map(|_| true)
        }
    };
    let (stands, _) = tokio::join!(accepted, network.peer(far, says));
    assert!(!matches!(stands, Ok(true)), "nobody knows the keys");
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(&data[..data.len().min(LONGEST)]);
    let role = input.byte() % 6;
    let capacity = usize::from(u16::from_le_bytes([input.byte(), input.byte()])).max(1);
    let shape = input.byte();
    let network = Network {
        capacity,
        shape: Shape {
            buffered: shape & 1 != 0,
            read: Duration::from_millis(u64::from(shape >> 1 & 7)),
            write: Duration::from_millis(u64::from(shape >> 4 & 7)),
        },
        piece: usize::from(input.byte()).max(1),
        hangs_up: true,
    };
    let bits = input.byte();
    let hangs_up = bits & 16 == 0;
    let alone = Network { hangs_up, ..network };
    let tenant = if matches!(role, 2 | 3) { input.blob() } else { &[] };
    let peer = input.rest();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let run = async {
        match role {
            0 => {
                let config = ServerConfig::new(&types(bits))
                    .with_sasl_mechanisms(b"PLAIN")
                    .with_limits(limits());
                let machine = |now| ServerHandshake::new(now, config.clone());
                let by_hand = stepped(machine(Duration::ZERO), bits, peer, hangs_up);
                assert_alike(driven(machine, alone, bits, peer).await, by_hand, hangs_up);
            }
            1 => {
                let config = ClientConfig::new(&types(bits))
                    .with_cleartext(true)
                    .with_limits(limits());
                let machine = |now| ClientHandshake::new(now, config.clone());
                let by_hand = stepped(machine(Duration::ZERO), bits, peer, hangs_up);
                assert_alike(driven(machine, alone, bits, peer).await, by_hand, hangs_up);
            }
            2 => {
                let by_hand = bridged_by_hand(bits, tenant, peer, hangs_up);
                assert_alike(bridged(alone, bits, tenant, peer).await, by_hand, hangs_up);
            }
            3 => session(network, bits, tenant, peer).await,
            _ => tls(network, role == 5, peer).await,
        }
    };
    runtime.block_on(async { timeout(4 * NEVER, run).await.expect("it waits for ever") });
}
