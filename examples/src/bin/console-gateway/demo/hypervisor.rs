//! A simulated hypervisor: spice-server's part of the protocol, made of the library's server half.
//!
//! It has its own password, gives sessions random numbers, speaks on four kinds of channel, and writes down
//! what it sees. Like QEMU it does not survive a display link that ends before its first message; other than
//! QEMU it says so.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use console_token::spice::TicketKeys;
use rustls::ServerConfig;
use spice_proto::caps::Capabilities;
use spice_proto::channel::common::{self, Ping, SetAck};
use spice_proto::channel::main::{ChannelId, ChannelsList, ClientMessage, Init, MouseMode, Name, ServerMessage, Uuid};
use spice_proto::channel::{cursor, display};
use spice_proto::frame::AckWindow;
use spice_proto::ids::{ChannelType, LinkErrorCode, MouseModes};
use spice_proto::link::server::{Announcement, ServerOutcome, ServerQuestion};
use spice_proto::link::ticket::TicketError;
use spice_proto::link::{Buffers, KeyPoolConfig, LinkMess, Refusal, Secret, ServerLink};
use spice_proto::{Clock, Driven, Limits, drive};
use tokio::net::{TcpListener, TcpStream};

use super::DISPLAY_INIT;
use super::report::Outcome;
use super::talk::{End, Raw, Talk, Traffic, digest};
use super::{Cell, Channel};
use crate::front::tls::Stream;
use crate::random::{random, random_bytes};
use crate::sync::lock;

/// `SPICE_MSG_DISPLAY_MARK`: the last thing that is sent on a display channel here.
pub(super) const DISPLAY_MARK: u16 = display::ServerMessage::MARK;
/// `SPICE_MSG_CURSOR_RESET`: the same for a cursor channel.
pub(super) const CURSOR_RESET: u16 = cursor::ServerMessage::RESET;
/// Padding of the first PING, as spice-server sends it.
const PING: usize = 250 << 10;
/// Messages to one ACK, as spice-server has it.
const WINDOW: u32 = 20;
/// Channels that it has, but for the main one.
pub(super) const CHANNELS: [Channel; 4] = [
    (ChannelType::DISPLAY, 0),
    (ChannelType::DISPLAY, 1),
    (ChannelType::INPUTS, 0),
    (ChannelType::CURSOR, 0),
];

/// The hypervisor, running.
pub(super) struct Hypervisor {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
}

/// A link whose ticket it has seen.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) channel: Channel,
    pub(super) connection_id: u32,
    /// Digest of the ticket that was presented.
    pub(super) ticket: String,
    /// The session that it was made part of.
    pub(super) session: u32,
    pub(super) traffic: Arc<Mutex<Traffic>>,
    pub(super) open: bool,
    /// The display channel was closed before it began: a real QEMU would be gone.
    pub(super) fatal: bool,
}

struct Shared {
    /// Can be set by a monitor, as QEMU's.
    ticket: Cell,
    keys: TicketKeys,
    tls: Arc<ServerConfig>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: usize,
    links: Vec<Seen>,
}

impl Hypervisor {
    pub(super) async fn start(ticket: &Cell, tls: Arc<ServerConfig>) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            ticket: ticket.clone(),
            keys: TicketKeys::new(KeyPoolConfig::default().with_stock(8), random),
            tls,
            state: Mutex::default(),
        });
        let making = shared.keys.clone();
        tokio::spawn(async move { making.make().await });
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((tcp, from)) = listener.accept().await {
                lock(&serving.state).connections += 1;
                let serving = serving.clone();
                tokio::spawn(async move {
                    if let Err(error) = serving.serve(tcp, from.ip()).await {
                        tracing::info!(%error, "hypervisor: connection failed");
                    }
                });
            }
        });
        Ok(Self { address, shared })
    }

    /// TCP connections so far.
    pub(super) fn connections(&self) -> usize {
        lock(&self.shared.state).connections
    }

    /// Links so far, in the order of their tickets.
    pub(super) fn links(&self) -> Vec<Seen> {
        lock(&self.shared.state).links.clone()
    }

    /// The newest link of a channel.
    pub(super) fn newest(&self, channel: Channel) -> Outcome<Seen> {
        let newest = self.links().into_iter().rev().find(|link| link.channel == channel);
        newest.ok_or_else(|| format!("the hypervisor has seen no link for {} {}", channel.0, channel.1).into())
    }
}

impl Shared {
    async fn serve(&self, tcp: TcpStream, from: IpAddr) -> Outcome<()> {
        tcp.set_nodelay(true)?;
        let mut stream: Stream = Box::new(examples::tls::server(tcp, self.tls.clone()).await?);
        let (clock, mut buffers, mut key, mut link) = (Clock::start(), Buffers::default(), None, 0);
        let mut server = ServerLink::new(clock.now(), Limits::default());
        let outcome = loop {
            match drive(&mut server, &mut buffers, &mut stream, clock).await? {
                Driven::Ask(ServerQuestion::Link(request)) => {
                    let fresh = self.keys.take(from).await;
                    let shown = Announcement {
                        public_key: fresh.public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    server.announce(&mut buffers, shown)?;
                    key = Some(fresh);
                }
                Driven::Ask(ServerQuestion::Ticket { request, sealed }) => {
                    let key = key.take().ok_or("no key")?;
                    let opened = self.keys.open(from, key, sealed).await.ok_or("stopping")?;
                    match self.admit(&request, opened) {
                        Ok(number) => {
                            link = number;
                            server.accept(&mut buffers)?;
                        }
                        Err(code) => server.refuse(&mut buffers, Refusal::Code(code))?,
                    }
                }
                Driven::Ask(_) => return Err("SASL was not announced".into()),
                Driven::Done(outcome) => break outcome,
            }
        };
        let spoken = self.speak(link, stream, buffers, outcome).await;
        if let Some(seen) = lock(&self.state).links.get_mut(link) {
            seen.open = false;
        }
        spoken
    }

    /// Checks ticket and session; the place in `links`, or the error code for the client.
    fn admit(&self, request: &LinkMess, opened: Result<Secret, TicketError>) -> Result<usize, LinkErrorCode> {
        let ticket = opened.map_err(|_| LinkErrorCode::PERMISSION_DENIED)?;
        let mut state = lock(&self.state);
        let main = request.channel_type == ChannelType::MAIN;
        let id = request.connection_id;
        let known = state.links.iter().any(|link| link.open && link.session == id);
        state.links.push(Seen {
            channel: (request.channel_type, request.channel_id),
            connection_id: id,
            ticket: digest(ticket.expose()),
            session: if main {
                u32::from_le_bytes(random_bytes()) | 1
            } else {
                id
            },
            traffic: Arc::default(),
            open: true,
            fatal: false,
        });
        let good = ticket.expose() == lock(&self.ticket).as_bytes();
        let code = match (good, main, known) {
            (false, ..) => LinkErrorCode::PERMISSION_DENIED,
            (true, false, false) => LinkErrorCode::BAD_CONNECTION_ID,
            _ => return Ok(state.links.len() - 1),
        };
        if let Some(refused) = state.links.last_mut() {
            refused.open = false;
        }
        Err(code)
    }

    async fn speak(&self, link: usize, stream: Stream, buffers: Buffers, outcome: ServerOutcome) -> Outcome<()> {
        let seen = lock(&self.state).links.get(link).cloned().ok_or("no link")?;
        let talk = Talk::new(stream, buffers.rx, outcome.header_form, End::Hypervisor);
        let mut talk = talk.counted(seen.traffic);
        match seen.channel.0 {
            ChannelType::MAIN => main_channel(&mut talk, seen.session).await,
            ChannelType::INPUTS => inputs(&mut talk).await,
            ChannelType::CURSOR => cursor(&mut talk).await,
            ChannelType::DISPLAY => match talk.expect(DISPLAY_INIT).await {
                Ok(_) => display(&mut talk).await,
                Err(error) => {
                    if let Some(seen) = lock(&self.state).links.get_mut(link) {
                        seen.fatal = true;
                    }
                    Err(error)
                }
            },
            _ => Ok(()),
        }
    }
}

/// Names the session, measures the line, and answers until the viewer leaves.
async fn main_channel(talk: &mut Talk, session_id: u32) -> Outcome<()> {
    let init = Init {
        session_id,
        display_channels_hint: 2,
        supported_mouse_modes: MouseModes(3),
        current_mouse_mode: MouseModes::SERVER,
        agent_connected: 0,
        agent_tokens: 10,
        multi_media_time: 1,
        ram_hint: 0,
    };
    talk.send(&ServerMessage::Init(init)).await?;
    let name = Bytes::from_static(b"demo\0");
    talk.send(&ServerMessage::Name(Name { name })).await?;
    let uuid = random_bytes();
    talk.send(&ServerMessage::Uuid(Uuid { uuid })).await?;
    let mut data = vec![0; PING];
    random(&mut data);
    let ping = Ping {
        id: 1,
        timestamp: 1,
        data: data.into(),
    };
    talk.send(&common::ServerMessage::Ping(ping)).await?;
    while let Some(frame) = talk.receive().await? {
        match ClientMessage::decode(&frame)? {
            ClientMessage::AttachChannels => {
                let channels = CHANNELS
                    .iter()
                    .map(|&(channel_type, id)| ChannelId { channel_type, id });
                let channels = channels.collect();
                talk.send(&ServerMessage::ChannelsList(ChannelsList { channels }))
                    .await?;
            }
            ClientMessage::MouseModeRequest(request) => {
                let mode = MouseMode {
                    supported_modes: MouseModes(3),
                    current_mode: request.mode,
                };
                talk.send(&ServerMessage::MouseMode(mode)).await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Draws a little, one picture too large to be held by a relay among it.
async fn display(talk: &mut Talk) -> Outcome<()> {
    let mut flow = Flow::start(talk).await?;
    // SURFACE_CREATE: surface 0, 1024 x 768, 32 bits, primary.
    let surface: Vec<u8> = [0, 1024, 768, 32, 1]
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    flow.send(talk, Raw(314, &surface)).await?;
    for n in 0..60 {
        let mut picture = vec![0; if n == 30 { 300_000 } else { 100 + n }];
        random(&mut picture);
        flow.send(talk, Raw(304, &picture)).await?; // DRAW_COPY, as far as a gateway cares
    }
    flow.send(talk, Raw(DISPLAY_MARK, &[])).await?;
    flow.until_the_end(talk).await
}

async fn cursor(talk: &mut Talk) -> Outcome<()> {
    let mut flow = Flow::start(talk).await?;
    // INIT: at 0/0, no trail, visible, no shape.
    flow.send(talk, Raw(101, &[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0])).await?;
    for n in 0..45_u8 {
        flow.send(talk, Raw(104, &[n, 0, n, 0])).await?; // MOVE
    }
    flow.send(talk, Raw(CURSOR_RESET, &[])).await?;
    flow.until_the_end(talk).await
}

/// Answers changes of the modifier keys; takes key presses as they come.
async fn inputs(talk: &mut Talk) -> Outcome<()> {
    talk.send(&Raw(101, &[0, 0])).await?; // INIT
    while let Some(frame) = talk.receive().await? {
        if frame.header.number == 103 {
            talk.send(&Raw(102, &frame.body)).await?; // KEY_MODIFIERS, both ways
        }
    }
    Ok(())
}

/// Flow control by acknowledgements.
struct Flow {
    window: AckWindow,
}

impl Flow {
    async fn start(talk: &mut Talk) -> Outcome<Self> {
        let mut window = AckWindow::new();
        let generation = window.set(WINDOW);
        let window_size = SetAck {
            generation,
            window: WINDOW,
        };
        talk.send(&common::ServerMessage::SetAck(window_size)).await?;
        Ok(Self { window })
    }

    /// Sends, as soon as the viewer has acknowledged enough.
    async fn send(&mut self, talk: &mut Talk, message: Raw<'_>) -> Outcome<()> {
        while !self.window.may_send() {
            match talk.receive().await? {
                Some(frame) => self.take(&common::ClientMessage::decode(&frame)?),
                None => return Err("the viewer left".into()),
            }
        }
        self.window.sent();
        talk.send(&message).await
    }

    fn take(&mut self, message: &common::ClientMessage) {
        match message {
            common::ClientMessage::AckSync(sync) => self.window.ack_sync(sync.generation),
            common::ClientMessage::Ack => self.window.ack(),
            _ => {}
        }
    }

    async fn until_the_end(mut self, talk: &mut Talk) -> Outcome<()> {
        while let Some(frame) = talk.receive().await? {
            self.take(&common::ClientMessage::decode(&frame)?);
        }
        Ok(())
    }
}

/// How long the demo waits for something that is on its way.
pub(super) const SOON: Duration = Duration::from_secs(3);
