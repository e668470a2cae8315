//! Sessions through the relay: viewers and hypervisors in memory, the shipped driver between them, time that does not pass
//! by itself.

mod cuts;
mod ends;
mod moves;
mod policy;
mod steps;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use spice_proto::caps::{Capabilities, CapabilityWords};
use spice_proto::frame::{Header, HeaderForm};
use spice_proto::ids::ChannelType;
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, Question};
use spice_proto::link::{HandshakeError, LinkMess, Refusal, SealedTicket, Secret, ServerLink, Wire};
use spice_proto::session::migration::{Endpoint, Target};
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Config, Dial, End};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Host, Policy, Token};
use spice_proto::{Answers, Clock, DriveError, Driven, Hub, Limits, drive, drive_session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::pair::{TICKET, TOKEN, client, key, open, request};

const MAIN: ChannelType = ChannelType::MAIN;
const DISPLAY: ChannelType = ChannelType::DISPLAY;
const INPUTS: ChannelType = ChannelType::INPUTS;
const SESSION: Token = Token([7; 16]);
const ID: u32 = 0x1234;
/// Longer than anything takes that moves.
const LONG: Duration = Duration::from_secs(30);

/// How a hypervisor answers.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Behaviour {
    Accepts,
    /// Without mini headers.
    Full,
    Refuses,
    /// It cannot be reached.
    Gone,
    /// It never answers the link message.
    Silent,
}

/// What the author of this proxy decides, and what it was asked.
#[derive(Debug)]
struct Plan {
    bind: Duration,
    target: Duration,
    accept: bool,
    /// How the others than main behave on a host.
    hosts: Vec<(Behaviour, Behaviour)>,
    asked: Vec<String>,
}

/// One end of a connection in the data stage.
#[derive(Debug)]
struct Line {
    stream: DuplexStream,
    rx: BytesMut,
    form: HeaderForm,
}

/// A hypervisor's connection, as it arrived.
struct Arrived {
    host: Host,
    request: LinkMess,
    line: Line,
}

struct Site {
    hub: Arc<Hub>,
    config: Arc<Config>,
    plan: Arc<Mutex<Plan>>,
    hypervisors: mpsc::UnboundedReceiver<Arrived>,
    dialled: mpsc::UnboundedSender<Arrived>,
}

struct Author {
    plan: Arc<Mutex<Plan>>,
    dialled: mpsc::UnboundedSender<Arrived>,
}

impl Author {
    fn note(&self, what: impl Into<String>) {
        self.plan.lock().unwrap().asked.push(what.into());
    }
}

impl Answers for Author {
    type Hypervisor = DuplexStream;

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        Ok(Announcement {
            public_key: key().public(),
            capabilities: Capabilities::spice_server(request.channel_type),
        })
    }

    async fn token(&mut self, _: &LinkMess, sealed: SealedTicket) -> Result<Token, Refusal> {
        match open(&sealed) {
            Some(token) if token == TOKEN => Ok(SESSION),
            _ => Err(Refusal::Code(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED)),
        }
    }

    async fn dial(&mut self, dial: Dial) -> Option<(DuplexStream, Upstream)> {
        assert_eq!(dial.token, SESSION);
        assert_eq!(dial.target.is_some(), dial.host != Host(0));
        let (main, others) = self.plan.lock().unwrap().hosts[dial.host.0 as usize];
        let behaviour = if dial.request.channel_type == MAIN {
            main
        } else {
            others
        };
        if behaviour == Behaviour::Gone {
            return None;
        }
        let (near, far) = duplex(1 << 20);
        let dialled = self.dialled.clone();
        let host = dial.host;
        tokio::spawn(async move {
            if behaviour == Behaviour::Silent {
                return sleep(LONG * 10).await;
            }
            if let Some((line, request)) = serve(far, behaviour).await {
                let _ = dialled.send(Arrived { host, request, line });
            }
        });
        let upstream = Upstream {
            ticket: Secret::new(TICKET),
            oaep_seed: [4; 20],
        };
        Some((near, upstream))
    }

    async fn bind(&mut self, session_id: u32) -> bool {
        self.note(format!("bind {session_id:#x}"));
        let delay = self.plan.lock().unwrap().bind;
        sleep(delay).await;
        self.note("bound");
        session_id != 0xbad
    }

    async fn target(&mut self, target: &Target) -> bool {
        self.note(format!("target {:?}", target.kind));
        let (delay, accept) = {
            let plan = self.plan.lock().unwrap();
            (plan.target, plan.accept)
        };
        sleep(delay).await;
        self.note("accepted");
        accept
    }
}

/// The hypervisor's half of a link.
async fn serve(mut stream: DuplexStream, behaviour: Behaviour) -> Option<(Line, LinkMess)> {
    let clock = Clock::start();
    let (mut machine, mut wire) = (ServerLink::new(clock.now(), Limits::default()), Wire::default());
    loop {
        match drive(&mut machine, &mut wire, &mut stream, clock).await.ok()? {
            Driven::Ask(Question::Link(request)) => {
                let mut shown = Capabilities::spice_server(request.channel_type);
                if behaviour == Behaviour::Full {
                    shown.common = CapabilityWords::word(3);
                }
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities: shown,
                };
                machine.announce(&mut wire, shown).unwrap();
            }
            Driven::Ask(Question::Ticket { sealed, .. }) => {
                assert_eq!(open(&sealed).as_deref(), Some(TICKET));
                if behaviour == Behaviour::Refuses {
                    let why = Refusal::Code(spice_proto::ids::LinkErrorCode::PERMISSION_DENIED);
                    machine.refuse(&mut wire, why).unwrap();
                } else {
                    machine.accept(&mut wire).unwrap();
                }
            }
            Driven::Ask(question) => panic!("{question:?}"),
            Driven::Done(outcome) => {
                let line = Line {
                    stream,
                    rx: wire.rx,
                    form: outcome.header_form,
                };
                return Some((line, outcome.request));
            }
        }
    }
}

impl Site {
    fn new() -> Self {
        Self::with(&Settings::default())
    }

    fn with(settings: &Settings) -> Self {
        let port = |number| std::num::NonZeroU16::new(number);
        let endpoint = Endpoint::new("proxy.example", None, port(5910), Some("CN=proxy"), port(9).unwrap());
        let (dialled, hypervisors) = mpsc::unbounded_channel();
        Self {
            hub: Arc::new(Hub::new(tracker::Config::default(), [1; 16])),
            config: Arc::new(Config::new(Arc::new(Policy::new(settings)), endpoint.unwrap())),
            plan: Arc::new(Mutex::new(Plan {
                bind: Duration::ZERO,
                target: Duration::ZERO,
                accept: true,
                hosts: vec![(Behaviour::Accepts, Behaviour::Accepts); 4],
                asked: Vec::new(),
            })),
            hypervisors,
            dialled,
        }
    }

    fn plan(&self, change: impl FnOnce(&mut Plan)) {
        change(&mut self.plan.lock().unwrap());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.plan.lock().unwrap().asked)
    }

    /// A viewer's connection: the task that relays it, and its end of the line.
    fn connect(&self) -> (JoinHandle<End>, DuplexStream) {
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            secure: true,
        };
        let connection = self.hub.accept(peer, self.config.clone()).unwrap();
        let author = Author {
            plan: self.plan.clone(),
            dialled: self.dialled.clone(),
        };
        let (near, far) = duplex(1 << 20);
        let relayed = tokio::spawn(async move { drive_session(connection, far, author).await.0 });
        (relayed, near)
    }

    /// A viewer's link, up to its result.
    async fn link(&self, channel: ChannelType, id: u32) -> Result<(Line, JoinHandle<End>), HandshakeError> {
        let (relayed, mut stream) = self.connect();
        let mut asked = request(channel, 0xb, 0xffff);
        asked.connection_id = id;
        let (mut machine, mut wire) = (client(asked, TOKEN), Wire::default());
        match drive(&mut machine, &mut wire, &mut stream, Clock::start()).await {
            Ok(Driven::Done(outcome)) => {
                let (rx, form) = (wire.rx, outcome.header_form);
                Ok((Line { stream, rx, form }, relayed))
            }
            Ok(other) => panic!("{other:?}"),
            Err(DriveError::Protocol(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        }
    }

    /// Both ends of a channel.
    async fn open(&mut self, channel: ChannelType, id: u32, host: u32) -> (Line, Line, JoinHandle<End>) {
        let (viewer, relayed) = self.link(channel, id).await.unwrap();
        let arrived = self.hypervisors.recv().await.unwrap();
        assert_eq!((arrived.host, arrived.request.channel_type), (Host(host), channel));
        assert_eq!(arrived.request.connection_id, id);
        (viewer, arrived.line, relayed)
    }

    /// A session with its main channel, display and inputs announced.
    async fn session(&mut self) -> (Line, Line, JoinHandle<End>) {
        let (mut viewer, mut source, relayed) = self.open(MAIN, 0, 0).await;
        source.say(103, &init(ID)).await;
        source.say(104, &LIST).await;
        assert_eq!(viewer.hear().await, Some((103, init(ID))));
        assert_eq!(viewer.hear().await, Some((104, LIST.to_vec())));
        self.asked();
        (viewer, source, relayed)
    }
}

/// CHANNELS_LIST with a display and inputs.
const LIST: [u8; 8] = [2, 0, 0, 0, 2, 0, 3, 0];

fn init(id: u32) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(32, 0);
    body
}

impl Line {
    async fn say(&mut self, number: u16, body: &[u8]) {
        let mut bytes = BytesMut::new();
        let header = Header {
            serial: 1,
            number,
            size: body.len() as u32,
            sub_list: 0,
        };
        header.write(self.form, &mut bytes);
        bytes.put_slice(body);
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The next message, or the end.
    async fn hear(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            if let Some(header) = Header::read(self.form, &self.rx) {
                let end = self.form.len() + header.size as usize;
                if end <= self.rx.len() {
                    let frame = self.rx.split_to(end);
                    return Some((header.number, frame[self.form.len()..].to_vec()));
                }
            }
            if self.stream.read_buf(&mut self.rx).await.unwrap_or(0) == 0 {
                assert!(self.rx.is_empty(), "ends in a message: {:?}", self.rx);
                return None;
            }
        }
    }

    /// Nothing comes, and the line stays open, for a while.
    async fn is_silent(&mut self, how_long: Duration) -> bool {
        timeout(how_long, self.hear()).await.is_err()
    }

    /// Says something and hears it at the other end.
    async fn passes(&mut self, other: &mut Self, number: u16, body: &[u8]) {
        self.say(number, body).await;
        assert_eq!(other.hear().await, Some((number, body.to_vec())));
    }
}
