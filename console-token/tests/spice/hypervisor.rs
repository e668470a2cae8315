//! A hypervisor with a password, which names its sessions and says on its main channels what the test wants.

use std::sync::{Arc, Mutex, OnceLock};

use bytes::BytesMut;
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{ChannelId, ChannelsList, Init};
use spice_proto::ids::{ChannelType, LinkErrorCode, MouseModes};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, Key, Refusal, ServerLink};
use spice_proto::{Clock, Driven, Limits, drive};
use tokio::sync::broadcast;

use crate::line::{Line, Stream};
use crate::{DISPLAY, INPUTS, MAIN, random};

const INIT: u16 = 103;
const CHANNELS_LIST: u16 = 104;
const ATTACH_CHANNELS: u16 = 104;

/// A message for all main channels.
type Order = (u16, Vec<u8>);

pub(crate) struct Hypervisor {
    password: Vec<u8>,
    /// The first session gets this number plus one.
    base: u32,
    /// Channels that were let in, with their connection id.
    pub(crate) links: Mutex<Vec<(ChannelType, u32)>>,
    sessions: Mutex<u32>,
    orders: broadcast::Sender<Order>,
}

/// One key for all of them: making one takes a while.
fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::generate(&mut random).unwrap())
}

impl Hypervisor {
    pub(crate) fn new(password: &[u8], base: u32) -> Arc<Self> {
        let (orders, _) = broadcast::channel(16);
        Arc::new(Self {
            password: password.to_vec(),
            base,
            links: Mutex::default(),
            sessions: Mutex::default(),
            orders,
        })
    }

    /// Says this on all main channels. There may be none.
    pub(crate) fn say(&self, number: u16, body: &[u8]) {
        let _ = self.orders.send((number, body.to_vec()));
    }

    pub(crate) fn count(&self, channel: ChannelType) -> usize {
        let links = self.links.lock().unwrap();
        links.iter().filter(|(kind, _)| *kind == channel).count()
    }

    /// Serves a connection to its end.
    pub(crate) async fn serve(self: Arc<Self>, mut stream: Stream) {
        let orders = self.orders.subscribe();
        let (clock, mut buffers) = (Clock::start(), Buffers::default());
        let mut link = ServerLink::new(clock.now(), Limits::default());
        let mut asked = None;
        let outcome = loop {
            match drive(&mut link, &mut buffers, &mut stream, clock).await {
                Ok(Driven::Ask(ServerQuestion::Link(request))) => {
                    let shown = Announcement {
                        public_key: key().public(),
                        capabilities: Capabilities::spice_server(request.channel_type),
                    };
                    link.announce(&mut buffers, shown).unwrap();
                }
                Ok(Driven::Ask(ServerQuestion::Ticket { request, sealed })) => {
                    let shown = key().open(&sealed, &mut random).unwrap();
                    if shown.expose() == &self.password[..] {
                        asked = Some((request.channel_type, request.connection_id));
                        link.accept(&mut buffers).unwrap();
                    } else {
                        let denied = Refusal::Code(LinkErrorCode::PERMISSION_DENIED);
                        link.refuse(&mut buffers, denied).unwrap();
                    }
                }
                Ok(Driven::Ask(_)) => panic!("SASL was not announced"),
                Ok(Driven::Done(outcome)) => break outcome,
                // An inquiry, or a refused ticket.
                Err(_) => return,
            }
        };
        let (channel, id) = asked.unwrap();
        self.links.lock().unwrap().push((channel, id));
        let line = Line {
            stream,
            rx: buffers.rx,
            form: outcome.header_form,
        };
        if channel == MAIN {
            self.main(line, id, orders).await;
        } else {
            let mut line = line;
            line.has_ended().await;
        }
    }

    async fn main(&self, mut line: Line, id: u32, mut orders: broadcast::Receiver<Order>) {
        if id == 0 {
            let session_id = {
                let mut sessions = self.sessions.lock().unwrap();
                *sessions += 1;
                self.base + *sessions
            };
            line.say(INIT, &init(session_id)).await;
        }
        loop {
            tokio::select! {
                heard = line.hear() => match heard {
                    Some((ATTACH_CHANNELS, _)) => line.say(CHANNELS_LIST, &channels()).await,
                    Some(_) => {}
                    None => return,
                },
                Ok((number, body)) = orders.recv() => line.say(number, &body).await,
            }
        }
    }
}

fn init(session_id: u32) -> Vec<u8> {
    let mut body = BytesMut::new();
    let init = Init {
        session_id,
        display_channels_hint: 1,
        supported_mouse_modes: MouseModes(3),
        current_mouse_mode: MouseModes::SERVER,
        agent_connected: 0,
        agent_tokens: 10,
        multi_media_time: 1,
        ram_hint: 0,
    };
    init.encode(&mut body).unwrap();
    body.to_vec()
}

fn channels() -> Vec<u8> {
    let mut body = BytesMut::new();
    let channel = |channel_type| ChannelId { channel_type, id: 0 };
    let list = ChannelsList {
        channels: vec![channel(DISPLAY), channel(INPUTS)],
    };
    list.encode(&mut body).unwrap();
    body.to_vec()
}

/// The number of a session, from the body of INIT.
pub(crate) fn session_id(init: &[u8]) -> u32 {
    Init::decode_slice(init).unwrap().session_id
}
