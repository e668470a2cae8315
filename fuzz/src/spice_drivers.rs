//! The driver loops over scripted streams, whose capacities and buffers the input draws, under paused time.
//!
//! ```text
//! | role u8 | capacity u16 | inner u8 | piece u8 | bits u8 | relay, session: length u16, bytes of the tenant | bytes of the peer |
//! ```
//!
//! Roles: 0 server, 1 client, 2 relay, 3 inquiry, 4 session, 5 a buffered stream. Bits: what is answered; bit 4: peers
//! stay when they have said all; bit 6: the proxy stops.
//!
//! The law: whatever the stream, a driver ends as the machine ends that is stepped by hand with the same bytes, and its
//! peer hears the same. Nothing waits for ever: time passes only when no task can go on, and the peers have said all
//! that they will.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link::relay::{RelayAction, RelayQuestion, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{
    Action, Buffers, ClientConfig, ClientLink, LinkMess, Machine, PublicKey, Refusal, RelayConfig, RelayLink,
    SealedTicket, Secret, ServerLink, Side, SideBuffers,
};
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Config, Dial, Move};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Entry, Policy, SessionKey, migration::Endpoint};
use spice_proto::{
    BufferedStream, Clock, DriveError, Driven, Limits, ManagedClaim, ProxyHandler, SessionManager, drive, drive_relay,
    drive_session, inquire, while_both_connected, while_connected,
};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::time::{sleep, timeout};

use self::streams::{Inner, Stream, line};
use crate::Input;

#[expect(dead_code, reason = "the tests use more of it")]
#[path = "../../spice-proto/tests/it/drivers/streams.rs"]
mod streams;

/// What an input costs is bounded.
const LONGEST: usize = 4096;
/// Longer than all that has a deadline.
const NEVER: Duration = Duration::from_secs(3600);

fn limits() -> Limits {
    Limits::default()
        .with_link_message(256)
        .with_link_reply(512)
        .with_link_timeout(Duration::from_secs(10))
}

fn public_key() -> PublicKey {
    PublicKey::from_der(*include_bytes!("public-key.der"))
}

fn shown(channel: ChannelType) -> Announcement {
    Announcement {
        public_key: public_key(),
        capabilities: Capabilities::spice_server(channel),
    }
}

fn upstream() -> Upstream {
    Upstream {
        ticket: Secret::new(b"ticket"),
        oaep_seed: [1; 20],
    }
}

fn request() -> LinkMess {
    LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: Capabilities::spice_server(ChannelType::MAIN),
    }
}

/// How a run ended, as text, and what each peer heard.
type Ended = (String, Vec<Vec<u8>>);

/// A driver ends as the machine does. A peer that goes may miss what was said to it last, and is missed while an answer is
/// looked for.
fn assert_alike((end, heard): Ended, (expected, all): Ended, hangs_up: bool) {
    let (end, expected) = (quoting_nothing(end), quoting_nothing(expected));
    let gone = hangs_up && (end.contains("Closed") || end.starts_with("io: "));
    assert!(gone || end == expected, "{end}, not {expected}");
    let late = end.contains("TimedOut");
    for (at, (heard, all)) in heard.iter().zip(&all).enumerate() {
        // A hypervisor that is left gets no more bytes, not even those that are under way to it.
        let left = at == 1 && end.starts_with("RelayError");
        let alike = if hangs_up || late || left {
            all.starts_with(heard)
        } else {
            all == heard
        };
        assert!(alike, "{end}: {heard:?}, not {all:?}");
    }
}

/// An error tells as much of a stranger's first bytes as came with the first wrong one.
fn quoting_nothing(mut end: String) -> String {
    if let Some(at) = end.find("OtherProtocol(") {
        end.truncate(at);
    }
    end
}

/// A network, as the input draws it.
#[derive(Debug, Clone, Copy)]
struct Network {
    capacity: usize,
    inner: Inner,
    piece: usize,
    /// Its peers hang up when they have said all, and else stay until the driver is done.
    hangs_up: bool,
}

impl Network {
    fn line(self) -> (Stream, Stream) {
        line(self.capacity, self.inner)
    }

    /// Says all of it, then ends; hears everything.
    async fn peer(self, far: Stream, says: &[u8]) -> Vec<u8> {
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
        let hears = read.read_to_end(&mut heard);
        let _ = tokio::join!(says, hears);
        heard
    }
}

fn protocol<T: std::fmt::Debug + std::fmt::Display>(error: DriveError<T>) -> String {
    match error {
        DriveError::Protocol(error) if format!("{error:?}").contains("TimedOut") => format!("{:?}", Some(error)),
        DriveError::Protocol(error) => format!("{error:?}"),
        // The peer went without a word that anything waits for.
        other => format!("io: {other}"),
    }
}

/// Answers what a machine asks, by the same rule in both runs.
trait Answers: Machine {
    fn answer(&mut self, buffers: &mut Buffers, question: Self::Question, bits: u8);
}

impl Answers for ServerLink {
    fn answer(&mut self, buffers: &mut Buffers, question: ServerQuestion, bits: u8) {
        let answered = match question {
            ServerQuestion::Link(request) if bits & 1 == 0 => self.announce(buffers, shown(request.channel_type)),
            ServerQuestion::Ticket { .. } if bits & 2 == 0 => self.accept(buffers),
            _ => self.refuse(buffers, Refusal::DENIED),
        };
        answered.expect("it was asked");
    }
}

impl Answers for ClientLink {
    fn answer(&mut self, _: &mut Buffers, _: Self::Question, _: u8) {
        unreachable!("there is no SASL");
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
            Ok(Action::Ask(question)) => machine.answer(&mut buffers, question, bits),
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
                    if bits & 4 != 0 {
                        let look_up = sleep(Duration::from_millis(3));
                        match while_connected(&mut machine, &mut buffers, &mut near, clock, look_up).await {
                            Ok(()) => {}
                            Err(error) => break protocol(error),
                        }
                    }
                    machine.answer(&mut buffers, question, bits);
                }
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

fn relayed_by_hand(bits: u8, tenant: &[u8], hypervisor: &[u8], hangs_up: bool) -> Ended {
    let mut relay = RelayLink::new(Duration::ZERO, RelayConfig::default().with_limits(limits()));
    let (mut sides, mut says) = (SideBuffers::default(), [tenant, hypervisor]);
    let (mut heard, mut dialled) = (vec![Vec::new(), Vec::new()], false);
    let end = loop {
        let action = relay.step(Duration::ZERO, &mut sides);
        heard[0].extend_from_slice(&sides.tenant.tx.split());
        heard[1].extend_from_slice(&sides.hypervisor.tx.split());
        match action {
            Ok(RelayAction::Receive { side, .. }) => {
                let from = &mut says[usize::from(side == Side::Hypervisor)];
                match from.split_first() {
                    Some((byte, rest)) => {
                        sides.side(side).rx.extend_from_slice(&[*byte]);
                        *from = rest;
                    }
                    None if hangs_up => match relay.eof(&mut sides, side) {
                        Ok(_) => break "io: unexpected end of file".to_owned(),
                        Err(error) => break format!("{error:?}"),
                    },
                    None => {
                        let late = relay.step(relay.deadline(), &mut sides);
                        break format!("{:?}", late.err());
                    }
                }
            }
            Ok(RelayAction::Ask(question)) => dialled |= answer_relay(&mut relay, &mut sides, question, bits),
            Ok(RelayAction::Waiting) => unreachable!("it was answered"),
            Ok(RelayAction::Done(outcome)) => break format!("{outcome:?}"),
            Err(error) => break format!("{error:?}"),
        }
    };
    heard[0].extend_from_slice(&sides.tenant.tx.split());
    if !dialled {
        heard[1].clear();
    }
    (end, heard)
}

/// Whether a hypervisor is dialled.
fn answer_relay(relay: &mut RelayLink, sides: &mut SideBuffers, question: RelayQuestion, bits: u8) -> bool {
    let answered = match question {
        RelayQuestion::Tenant(ServerQuestion::Link(request)) if bits & 1 == 0 => {
            relay.tenant().announce(&mut sides.tenant, shown(request.channel_type))
        }
        RelayQuestion::Tenant(ServerQuestion::Ticket { .. }) if bits & 2 == 0 => {
            relay.admit(sides, upstream()).expect("it was asked");
            return true;
        }
        _ => relay.refuse(sides, Refusal::DENIED),
    };
    answered.expect("it was asked");
    false
}

async fn relayed(network: Network, bits: u8, tenant: &[u8], hypervisor: &[u8]) -> Ended {
    let ((mut near, viewer), (second, far)) = (network.line(), network.line());
    let mut second = Some(second);
    let closing = async {
        let clock = Clock::start();
        let mut relay = RelayLink::new(clock.now(), RelayConfig::default().with_limits(limits()));
        let (mut sides, mut dialled) = (SideBuffers::default(), None);
        let end = loop {
            match drive_relay(&mut relay, &mut sides, &mut near, dialled.as_mut(), clock).await {
                Ok(Driven::Ask(question)) => {
                    if bits & 4 != 0 {
                        let (look_up, far) = (sleep(Duration::from_millis(3)), dialled.as_mut());
                        match while_both_connected(&mut relay, &mut sides, &mut near, far, clock, look_up).await {
                            Ok(()) => {}
                            Err(error) => break protocol(error),
                        }
                    }
                    if answer_relay(&mut relay, &mut sides, question, bits) {
                        dialled = second.take();
                    }
                }
                Ok(Driven::Done(outcome)) => break format!("{outcome:?}"),
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
    manager: Arc<SessionManager>,
    hypervisor: Option<Stream>,
    bits: u8,
}

impl ProxyHandler for Handler {
    type Hypervisor = Stream;

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        match self.bits & 1 {
            0 => Ok(shown(request.channel_type)),
            _ => Err(Refusal::DENIED),
        }
    }

    async fn capabilities(&mut self, _: &Dial) -> Option<Capabilities> {
        None
    }

    async fn token(&mut self, _: &LinkMess, _: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        match self.bits & 2 {
            0 => Ok(Entry::Open(self.manager.claim())),
            _ => Ok(Entry::Join(SessionKey::new(9))),
        }
    }

    async fn dial(&mut self, _: Dial) -> Option<(Stream, Upstream)> {
        Some((self.hypervisor.take()?, upstream()))
    }

    async fn target(&mut self, _: &Move) -> bool {
        self.bits & 8 != 0
    }
}

/// A console from its first byte to its last: it ends, and so does all that it had.
async fn session(network: Network, bits: u8, tenant: &[u8], hypervisor: &[u8]) {
    let endpoint = Endpoint::new("proxy.example", None, std::num::NonZeroU16::new(5911), None);
    let policy = Arc::new(Policy::new(&Settings::default().with_view_only(bits & 16 != 0)));
    let config = Arc::new(Config::new(policy, endpoint.expect("a host and a port")).with_limits(limits()));
    let manager = Arc::new(SessionManager::new(tracker::Config::default(), [1; 16]));
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        secure: true,
    };
    let ((near, viewer), (second, far)) = (network.line(), network.line());
    let connection = manager.accept(peer, config);
    let counts = connection.counts();
    let handler = Handler {
        manager: manager.clone(),
        hypervisor: (bits & 32 == 0).then_some(second),
        bits,
    };
    // A proxy that is stopped ends what it has.
    let stops = async {
        if bits & 64 != 0 {
            sleep(Duration::from_millis(network.piece as u64)).await;
            manager.stop();
        }
    };
    let (end, to_viewer, _, ()) = tokio::join!(
        async {
            let (end, handler) = drive_session(connection, near, handler).await;
            drop(handler);
            end
        },
        network.peer(viewer, tenant),
        network.peer(far, hypervisor),
        stops
    );
    assert!(!end.to_string().is_empty());
    let mut reports = 0;
    while let Ok(report) = timeout(Duration::from_secs(1), manager.report()).await {
        // A link, its claim, and the end of the session: each once.
        reports += 1;
        assert!(reports <= 3, "{report:?}");
    }
    assert!(counts.to_viewer() as usize <= to_viewer.len());
    manager.with(|_, sessions| {
        let counts = sessions.tracker().counts();
        assert_eq!((counts.links, counts.half_open), (0, 0), "{end}");
    });
}

/// A buffer in front of a stream: what was written arrives, whole and in order.
async fn buffered(network: Network, bits: u8, bytes: &[u8]) {
    // Below it is a socket, which sends what it takes.
    let (near, far) = line(network.capacity, Inner::Nothing);
    let mut near = BufferedStream::new(near);
    let writes = async {
        for piece in bytes.chunks(network.piece) {
            if bits & 1 == 0 {
                near.write_all(piece).await.expect("the peer is there");
            } else {
                in_two(&mut near, piece).await;
            }
            assert!(near.unsent() <= BufferedStream::<Stream>::CAPACITY);
        }
        near.shutdown().await.expect("the peer is there");
        assert_eq!(near.unsent(), 0);
        let mut back = Vec::new();
        near.read_to_end(&mut back).await.expect("the peer says it all");
        back
    };
    let (back, heard) = tokio::join!(writes, network.peer(far, bytes));
    assert!(heard == bytes && back == bytes);
    // What it holds is not shown.
    let mut held = BufferedStream::new(tokio::io::sink());
    held.write_all(bytes).await.expect("a sink takes everything");
    let (sink, unsent) = (held.get_ref(), held.unsent());
    let shown = format!("BufferedStream {{ stream: {sink:?}, unsent: {unsent}, received: 0 }}");
    assert_eq!(format!("{held:?}"), shown);
}

/// All of it, from two places at once.
async fn in_two(near: &mut BufferedStream<Stream>, piece: &[u8]) {
    assert!(AsyncWrite::is_write_vectored(near));
    let (mut one, mut other) = piece.split_at(piece.len() / 2);
    while !one.is_empty() || !other.is_empty() {
        let both = [IoSlice::new(one), IoSlice::new(other)];
        let written = near.write_vectored(&both).await.expect("the peer is there");
        let first = written.min(one.len());
        assert!(0 < written);
        (one, other) = (&one[first..], &other[written - first..]);
    }
}

async fn ends<F: Future>(run: F) -> F::Output {
    timeout(NEVER, run).await.expect("it waits for ever")
}

/// Checks one input.
pub fn check(data: &[u8]) {
    let mut input = Input::new(&data[..data.len().min(LONGEST)]);
    let role = input.byte() % 6;
    let capacity = usize::from(u16::from_le_bytes([input.byte(), input.byte()])).max(1);
    let inner = input.byte();
    let size = 1 << (inner >> 2 & 15);
    let network = Network {
        capacity,
        inner: [
            Inner::Nothing,
            Inner::Buffer(size),
            Inner::Flushed(size),
            Inner::Eager(size),
        ][usize::from(inner & 3)],
        piece: usize::from(input.byte()).max(1),
        hangs_up: true,
    };
    let bits = input.byte();
    let hangs_up = bits & 16 == 0;
    let alone = Network { hangs_up, ..network };
    let tenant = if matches!(role, 2 | 4) { input.blob() } else { &[] };
    let peer = input.rest();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(ends(async {
        match role {
            0 => {
                let machine = |now| ServerLink::new(now, limits());
                let by_hand = stepped(machine(Duration::ZERO), bits, peer, hangs_up);
                assert_alike(driven(machine, alone, bits, peer).await, by_hand, hangs_up);
            }
            1 => {
                let config = ClientConfig::new(request()).with_limits(limits());
                let machine = |now| ClientLink::new(now, config.clone(), Secret::new(b"ticket"), [1; 20]);
                let by_hand = stepped(machine(Duration::ZERO), bits, peer, hangs_up);
                assert_alike(driven(machine, alone, bits, peer).await, by_hand, hangs_up);
            }
            2 => {
                let by_hand = relayed_by_hand(bits, tenant, peer, hangs_up);
                assert_alike(relayed(alone, bits, tenant, peer).await, by_hand, hangs_up);
            }
            3 => {
                let (near, far) = network.line();
                let (asked, limits) = (request(), limits());
                let (known, _) = tokio::join!(inquire(near, &asked, &limits), network.peer(far, peer));
                let config = ClientConfig::new(asked).with_limits(limits);
                let (end, _) = stepped(ClientLink::inquiry(Duration::ZERO, config), bits, peer, true);
                match known {
                    Ok(known) => assert!(end.contains(&format!("{known:?}"))),
                    Err(error) => assert_eq!(quoting_nothing(protocol(error)), quoting_nothing(end)),
                }
            }
            4 => session(network, bits, tenant, peer).await,
            _ => buffered(network, bits, peer).await,
        }
    }));
}
