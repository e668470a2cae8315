//! Sessions through the relay: viewers and hypervisors in memory, the shipped driver between them, time that does not pass
//! by itself.

mod alike;
mod author;
mod cuts;
mod ends;
mod moves;
mod policy;
mod promises;
mod steps;
mod uses;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut as _, BytesMut};
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::ChannelId;
use spice_proto::frame::{Header, HeaderForm};
use spice_proto::ids::ChannelType;
use spice_proto::link::client::ClientOutcome;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, HandshakeError, LinkMess, SideBuffers};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Action, Config, End, SessionQuestion};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Host, Policy, Relay, Report, SessionKey};
use spice_proto::{Clock, DriveError, Driven, SessionManager, drive, drive_session};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use self::author::{After, Author, Behaviour, Older, Plan};
use crate::pair::{TOKEN, client, key, request};

const MAIN: ChannelType = ChannelType::MAIN;
const DISPLAY: ChannelType = ChannelType::DISPLAY;
const INPUTS: ChannelType = ChannelType::INPUTS;
/// The first session of a hub.
const SESSION: SessionKey = SessionKey::new(1);
const ID: u32 = 0x1234;
/// Longer than anything takes that moves.
const LONG: Duration = Duration::from_secs(30);

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
    /// From where the next connection comes.
    peer: Peer,
    hub: Arc<SessionManager>,
    config: Arc<Config>,
    plan: Arc<Mutex<Plan>>,
    reports: Option<mpsc::UnboundedReceiver<Report>>,
    hypervisors: mpsc::UnboundedReceiver<Arrived>,
    dialled: mpsc::UnboundedSender<Arrived>,
}

/// A listener whose viewers find the proxy there.
fn config(settings: &Settings, host: &str, plain: Option<u16>, tls: u16) -> Arc<Config> {
    let port = std::num::NonZeroU16::new;
    let endpoint = Endpoint::new(host, plain.and_then(port), port(tls), Some("CN=proxy"));
    Arc::new(Config::new(Arc::new(Policy::new(settings)), endpoint.unwrap()))
}

impl Site {
    fn new() -> Self {
        Self::with(&Settings::default())
    }

    fn with(settings: &Settings) -> Self {
        let (dialled, hypervisors) = mpsc::unbounded_channel();
        Self {
            peer: Peer {
                address: [127, 0, 0, 1].into(),
                secure: true,
            },
            hub: Arc::new(SessionManager::new(tracker::Config::default(), [1; 16])),
            config: config(settings, "proxy.example", None, 5910),
            plan: Arc::default(),
            reports: None,
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

    /// Keeps the uses, as [`SessionManager::report`] tells.
    fn keep(&mut self) {
        let (hub, plan, (told, reports)) = (self.hub.clone(), self.plan.clone(), mpsc::unbounded_channel());
        self.reports = Some(reports);
        tokio::spawn(async move {
            loop {
                let report = hub.report().await;
                if let Report::Ended { session, spent } = report {
                    let delay = plan.lock().unwrap().store;
                    sleep(delay).await;
                    let mut plan = plan.lock().unwrap();
                    plan.open.retain(|open| open.key != session);
                    plan.uses += u32::from(!spent);
                }
                if told.send(report).is_err() {
                    return;
                }
            }
        });
    }

    /// The next report about links and sessions.
    async fn report(&mut self) -> Report {
        let report = timeout(LONG * 20, self.reports.as_mut().unwrap().recv());
        report.await.expect("nothing is told").unwrap()
    }

    /// The next session whose end is reported, and whether its use is spent.
    async fn ended(&mut self) -> (SessionKey, bool) {
        loop {
            if let Report::Ended { session, spent } = self.report().await {
                return (session, spent);
            }
        }
    }

    /// A viewer's connection: the task that relays it, and its end of the line.
    fn connect(&mut self) -> (JoinHandle<End>, DuplexStream) {
        if self.reports.is_none() {
            self.keep();
        }
        let connection = self.hub.accept(self.peer, self.config.clone());
        let author = Author {
            hub: self.hub.clone(),
            plan: self.plan.clone(),
            dialled: self.dialled.clone(),
        };
        let (near, far) = duplex(1 << 20);
        let relayed = tokio::spawn(async move { drive_session(connection, far, author).await.0 });
        (relayed, near)
    }

    /// A viewer's link, up to its result.
    async fn link(&mut self, channel: ChannelType, id: u32) -> Result<(Line, JoinHandle<End>), HandshakeError> {
        let (line, relayed, _) = self.link_of(channel, id).await?;
        Ok((line, relayed))
    }

    /// The same, with what the viewer was shown.
    async fn link_of(
        &mut self,
        channel: ChannelType,
        id: u32,
    ) -> Result<(Line, JoinHandle<End>, ClientOutcome), HandshakeError> {
        let (relayed, mut stream) = self.connect();
        let mut asked = request(channel, 0xb, 0xffff);
        asked.connection_id = id;
        let (mut machine, mut buffers) = (client(asked, TOKEN), Buffers::default());
        match drive(&mut machine, &mut buffers, &mut stream, Clock::start()).await {
            Ok(Driven::Done(outcome)) => {
                let (rx, form) = (buffers.rx, outcome.header_form);
                Ok((Line { stream, rx, form }, relayed, outcome))
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

const fn channel(channel_type: ChannelType) -> ChannelId {
    ChannelId { channel_type, id: 0 }
}

/// A viewer's link, up to its result.
async fn say_hello(mut stream: DuplexStream, id: u32) -> Option<DuplexStream> {
    let mut asked = request(MAIN, 0xb, 0xffff);
    asked.connection_id = id;
    let (mut machine, mut buffers) = (client(asked, TOKEN), Buffers::default());
    let linked = drive(&mut machine, &mut buffers, &mut stream, Clock::start()).await;
    matches!(linked, Ok(Driven::Done(_))).then_some(stream)
}

/// What a viewer says up to its ticket, and a relay that was told all of it.
fn hello(channel: ChannelType, id: u32, relay: &mut Relay) -> SideBuffers {
    let mut sides = SideBuffers::default();
    let mut asked = request(channel, 0xb, 0xf);
    asked.connection_id = id;
    asked.encode(&mut sides.tenant.rx).unwrap();
    sides.tenant.rx.put_u32_le(1);
    let sealed = key().public().seal(TOKEN, [7; 20]).unwrap();
    sides.tenant.rx.extend_from_slice(&sealed.0);
    loop {
        match relay.step(Duration::ZERO, &mut sides) {
            Action::Ask(SessionQuestion::Tenant(ServerQuestion::Link(_))) => {
                let shown = Announcement {
                    public_key: key().public(),
                    capabilities: Capabilities::spice_server(channel),
                };
                relay.tenant().unwrap().announce(&mut sides.tenant, shown).unwrap();
            }
            Action::Ask(SessionQuestion::Tenant(ServerQuestion::Ticket { .. })) => return sides,
            other => panic!("{other:?}"),
        }
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
