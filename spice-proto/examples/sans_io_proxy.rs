//! A SPICE proxy without a runtime: one thread, sockets that do not block, and `Relay`s that are stepped by hand.
//!
//! ```text
//! cargo run -p spice-proto --example sans_io_proxy -- LISTEN HYPERVISOR TOKEN PASSWORD
//! ```
//!
//! A viewer that shows TOKEN as its password gets the hypervisor's session, with PASSWORD there. Everything that keeps
//! such a proxy alive is here, under the names that the library has for it: new, wake, ended, expire, deadline, close.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    reason = "a program, with std"
)]

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::Buf as _;
use spice_proto::caps::Capabilities;
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{self, Buffers, ClientConfig, ClientLink, Key, LinkMess, Machine as _};
use spice_proto::link::{Misuse, Refusal, Secret, Side, SideBuffers};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::{Policy, Settings};
use spice_proto::session::relay::{Action, Config, NotEntered, SessionQuestion};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Entry, Relay, Sessions};

/// For the last words on a connection.
const GOODBYE: Duration = Duration::from_secs(1);
/// How long a hypervisor has for a connection, and for an inquiry.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the operator says.
struct Proxy {
    start: Instant,
    hypervisor: SocketAddr,
    token: Secret,
    password: Secret,
    config: Arc<Config>,
}

/// One side's connection.
struct Socket {
    stream: TcpStream,
    ended: bool,
}

impl Socket {
    fn new(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, ended: false })
    }

    /// Moves what can be moved without waiting. Whether anything was; a peer that hangs up sets `ended`.
    fn pump(&mut self, buffers: &mut Buffers, read: bool) -> bool {
        let mut moved = false;
        while !self.ended && !buffers.tx.is_empty() {
            match self.stream.write(&buffers.tx) {
                Ok(n) => {
                    buffers.tx.advance(n);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.ended = true,
            }
        }
        let mut bytes = [0; 16 << 10];
        if !self.ended && read {
            match self.stream.read(&mut bytes) {
                Ok(0) => self.ended = true,
                Ok(n) => {
                    buffers.rx.extend_from_slice(&bytes[..n]);
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.ended = true,
            }
        }
        moved || self.ended
    }
}

/// A viewer's connection, and the one to the hypervisor behind it.
struct Connection {
    relay: Relay,
    sides: SideBuffers,
    tenant: Socket,
    hypervisor: Option<Socket>,
    /// The sides that are to be read from: the tenant, the hypervisor.
    reads: (bool, bool),
    key: Option<Key>,
    /// It has ended, and this is when its last words must have left.
    over: Option<Duration>,
}

impl Connection {
    /// **new**: a viewer has connected.
    fn new(
        now: Duration,
        proxy: &Proxy,
        sessions: &mut Sessions,
        peer: Peer,
        stream: TcpStream,
    ) -> std::io::Result<Self> {
        Ok(Self {
            tenant: Socket::new(stream)?,
            relay: Relay::new(now, sessions, peer, proxy.config.clone()),
            sides: SideBuffers::default(),
            hypervisor: None,
            reads: (true, false),
            key: None,
            over: None,
        })
    }

    /// Moves bytes and steps. Whether anything happened.
    fn turn(&mut self, now: Duration, proxy: &Proxy, sessions: &mut Sessions) -> bool {
        let ended = |socket: &Socket| socket.ended;
        let before = (self.tenant.ended, self.hypervisor.as_ref().is_some_and(ended));
        let mut moved = !before.0 && self.tenant.pump(&mut self.sides.tenant, self.reads.0);
        if let (Some(socket), false) = (&mut self.hypervisor, before.1) {
            moved |= socket.pump(&mut self.sides.hypervisor, self.reads.1);
        }
        if self.over.is_some() {
            return moved;
        }
        if self.tenant.ended && !before.0 {
            self.relay.eof(&mut self.sides, Side::Tenant);
        }
        // A hypervisor that is to be read from and is not there has hung up.
        let gone = self.hypervisor.as_ref().map_or(self.reads.1, ended);
        if gone && !before.1 {
            self.relay.eof(&mut self.sides, Side::Hypervisor);
        }
        self.step(now, proxy, sessions) || moved
    }

    /// Steps up to where bytes have to be moved. Whether the connection has ended.
    fn step(&mut self, now: Duration, proxy: &Proxy, sessions: &mut Sessions) -> bool {
        loop {
            match self.relay.step(now, &mut self.sides) {
                Action::Synchronize => self.relay.synchronize(now, sessions, &mut self.sides),
                Action::Ask(question) => {
                    let answered = self.answer(now, proxy, sessions, question);
                    answered.expect("an answer to the question that is open");
                }
                Action::Hangup => self.hypervisor = None,
                Action::Receive { tenant, hypervisor } => {
                    self.reads = (tenant, hypervisor);
                    return false;
                }
                Action::Done(end) => {
                    println!("connection: {end}");
                    // **close**: what the session has to know does not wait for the last words.
                    self.relay.close(now, sessions);
                    self.over = Some(now + GOODBYE);
                    return true;
                }
            }
        }
    }

    /// Each question has its answer. One that takes longer can be given later: step on meanwhile.
    fn answer(
        &mut self,
        now: Duration,
        proxy: &Proxy,
        sessions: &mut Sessions,
        question: SessionQuestion,
    ) -> Result<(), Misuse> {
        let (relay, sides) = (&mut self.relay, &mut self.sides);
        match question {
            SessionQuestion::Tenant(ServerQuestion::Link(request)) => {
                let Ok(key) = Key::generate(&mut random) else {
                    return relay.refuse(sides, Refusal::Close);
                };
                let mut shown = Announcement::spice_server(key.public(), request.channel_type);
                // No more is promised than the hypervisor of that session has.
                for dial in sessions.inquiries(&request) {
                    if let Ok(known) = inquire(proxy, dial.request) {
                        shown.capabilities = shown.capabilities.kept_by(&known);
                    }
                }
                self.key = Some(key);
                relay.tenant()?.announce(&mut sides.tenant, shown)
            }
            SessionQuestion::Tenant(ServerQuestion::Ticket { request, sealed }) => {
                let shown = self.key.take().and_then(|key| key.open(&sealed, &mut random).ok());
                let entry = match (request.connection_id, sessions.named(request.connection_id).first()) {
                    _ if shown.as_ref() != Some(&proxy.token) => return relay.refuse(sides, Refusal::DENIED),
                    (0, _) => Entry::Open(sessions.claim()),
                    (_, Some(session)) => Entry::Join(*session),
                    (_, None) => return relay.refuse(sides, Refusal::DENIED),
                };
                match relay.enter(now, sessions, entry) {
                    Ok(()) => Ok(()),
                    Err(NotEntered::Reason(_)) => relay.refuse(sides, Refusal::DENIED),
                    Err(NotEntered::Misuse(misuse)) => Err(misuse),
                }
            }
            SessionQuestion::Tenant(_) => relay.refuse(sides, Refusal::Close), // SASL was not announced
            // No other proxy has sessions.
            SessionQuestion::Elsewhere(_) => relay.unreachable(),
            SessionQuestion::Dial(_) => {
                let stream = TcpStream::connect_timeout(&proxy.hypervisor, PATIENCE);
                match stream.and_then(Socket::new) {
                    Ok(socket) => {
                        self.hypervisor = Some(socket);
                        let password = Secret::new(proxy.password.expose());
                        relay.dialled(sides, Upstream::new(password, &mut random))
                    }
                    Err(_) => relay.unreachable(),
                }
            }
            // `Sessions::named` knows it; a proxy of several processes writes it down first.
            SessionQuestion::BindSession { .. } => relay.bound(sides),
            SessionQuestion::Target(_) => relay.refuse_target(now, sessions, sides),
            SessionQuestion::Identity(_) => relay.accept_identity(),
        }
    }

    /// Whether the last words have left, or their time is over.
    fn is_gone(&mut self, now: Duration) -> bool {
        let Some(until) = self.over else { return false };
        let mut sent = self.tenant.ended || self.sides.tenant.tx.is_empty();
        if let Some(hypervisor) = &self.hypervisor {
            sent &= hypervisor.ended || self.sides.hypervisor.tx.is_empty();
        }
        if sent {
            let _ = self.tenant.stream.shutdown(Shutdown::Write);
        }
        // What a viewer has sent is read up to its end: a connection with something unread is reset.
        (self.reads, self.hypervisor) = ((true, false), self.hypervisor.take().filter(|_| !sent));
        self.sides.tenant.rx.clear();
        until <= now || sent && self.tenant.ended
    }
}

/// What the hypervisor announces for a channel, on a connection of its own. A machine on one connection is driven like
/// this.
fn inquire(proxy: &Proxy, request: LinkMess) -> Result<Capabilities, Box<dyn Error>> {
    let mut stream = TcpStream::connect_timeout(&proxy.hypervisor, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let config = ClientConfig::new(request);
    let mut machine = ClientLink::inquiry(proxy.start.elapsed(), config);
    let (mut buffers, mut bytes) = (Buffers::default(), [0; 4 << 10]);
    loop {
        let action = machine.step(proxy.start.elapsed(), &mut buffers);
        stream.write_all(&buffers.tx.split())?; // also when the step failed
        match action? {
            link::Action::Done(outcome) => return Ok(outcome.capabilities),
            link::Action::Receive { .. } => match stream.read(&mut bytes)? {
                0 => drop(machine.eof()?),
                n => buffers.rx.extend_from_slice(&bytes[..n]),
            },
            link::Action::Ask(_) | link::Action::Waiting => return Err("an inquiry asks nothing".into()),
        }
    }
}

fn random(bytes: &mut [u8]) {
    let source = File::open("/dev/urandom").and_then(|mut source| source.read_exact(bytes));
    source.expect("random bytes");
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [listen, hypervisor, token, password] = &args[..] else {
        return Err("usage: sans_io_proxy LISTEN HYPERVISOR TOKEN PASSWORD".into());
    };
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    println!("{local}");
    let endpoint = Endpoint::new(&local.ip().to_string(), local.port().try_into().ok(), None, None)?;
    let proxy = Proxy {
        start: Instant::now(),
        hypervisor: hypervisor.parse()?,
        token: Secret::new(token.as_bytes()),
        password: Secret::new(password.as_bytes()),
        config: Arc::new(Config::new(Arc::new(Policy::new(&Settings::default())), endpoint)),
    };
    let mut hash_key = [0; 16];
    random(&mut hash_key);
    run(&proxy, &listener, Sessions::new(tracker::Config::default(), hash_key))
}

fn run(proxy: &Proxy, listener: &TcpListener, mut sessions: Sessions) -> Result<(), Box<dyn Error>> {
    let mut connections: Vec<Connection> = Vec::new();
    loop {
        let (now, mut busy) = (proxy.start.elapsed(), false);
        while let Ok((stream, from)) = listener.accept() {
            let peer = Peer::new(from.ip(), false);
            connections.extend(Connection::new(now, proxy, &mut sessions, peer, stream));
            busy = true;
        }
        // **expire**: also without any connection that could do it.
        if sessions.deadline().is_some_and(|deadline| deadline <= now) {
            sessions.expire(now);
        }
        for connection in &mut connections {
            busy |= connection.turn(now, proxy, &mut sessions);
        }
        // **wake**: what happened on one connection concerns others, which are stepped again.
        while let Some(link) = sessions.poll_wake() {
            let woken = connections
                .iter_mut()
                .find(|connection| connection.relay.link() == link);
            woken.into_iter().for_each(|connection| connection.relay.wake());
            busy = true;
        }
        // **ended**: what became of links and sessions, and so of the uses that were taken for them.
        while let Some(report) = sessions.poll_report() {
            println!("{report:?}");
        }
        connections.retain_mut(|connection| !connection.is_gone(now));
        if !busy {
            // **deadline**: every relay is stepped again then. With a poller in the place of this sleep, that is its
            // timeout, and only those are stepped that have moved bytes, were woken or answered, or are due.
            let due = connections.iter().map(|connection| connection.relay.deadline());
            let next = due.chain(sessions.deadline()).min().unwrap_or(Duration::MAX);
            sleep(next.saturating_sub(now).min(Duration::from_millis(2)));
        }
    }
}
