//! The relay as one piece: a main channel with everything switched on, and a channel that needs no looking.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{Destination, MigrateBegin};
use spice_proto::frame::{FrameReader, FrameRef, Header, HeaderForm};
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Buffers, LinkMess, LinkReply, Secret, SideBuffers};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::{Directions, Settings, Withheld};
use spice_proto::session::relay::{Action, Config, SessionQuestion};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Entry, Policy, Relay, SessionKey, Sessions};

use crate::frames::{MAIN_CHANNEL, MAIN_CHANNEL_AT, small_frames};
use crate::keep;
use crate::links::{MAIN_CHANNEL_C2S, MAIN_CHANNEL_C2S_AT, key};

const NOW: Duration = Duration::ZERO;
/// What is read at once.
const READ: usize = 32 << 10;
/// Bytes of a picture: what a screen of some colours takes.
const PICTURE: usize = 300_000;
/// Messages in the recording of a main channel, both directions, with the two of a migration that is called off.
pub const RECORDED: u32 = 128 + 46 + 2;
/// Short messages of a main channel's server, with INIT, CHANNELS_LIST and the two of a migration that is called off.
pub const SHORT: u32 = 4000 + 4;
/// One connection, and the sessions that it belongs to.
pub(crate) struct Bench {
    sessions: Sessions,
    relay: Relay,
    sides: SideBuffers,
}

/// `clipboard`: it may pass, so that agent data need not be looked into.
fn config(clipboard: bool) -> Arc<Config> {
    let settings = Settings::default()
        .with_withheld(vec![Withheld::Kind(ChannelType::USBREDIR)])
        .with_clipboard(Directions {
            to_guest: true,
            from_guest: clipboard,
        });
    let port = NonZeroU16::new(5901);
    let endpoint = Endpoint::new("proxy.example", None, port, Some("CN=proxy"));
    Arc::new(Config::new(Arc::new(Policy::new(&settings)), endpoint.unwrap()))
}

impl Bench {
    /// A link that stands on both sides.
    fn linked(mut sessions: Sessions, channel_type: ChannelType, connection_id: u32, clipboard: bool) -> Self {
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            secure: true,
        };
        let relay = Relay::new(NOW, &mut sessions, peer, config(clipboard));
        let mut bench = Self {
            sessions,
            relay,
            sides: SideBuffers::default(),
        };
        let shown = Capabilities::spice_server(channel_type);
        let request = LinkMess {
            connection_id,
            channel_type,
            channel_id: 0,
            capabilities: shown.clone(),
        };
        request.encode(&mut bench.sides.tenant.rx).unwrap();
        let sealed = key().public().seal(b"token", [7; 20]).unwrap();
        bench.sides.tenant.rx.extend_from_slice(&1_u32.to_le_bytes());
        bench.sides.tenant.rx.extend_from_slice(&sealed.0);
        while bench.relay.outcome().is_none() {
            match bench.step() {
                Action::Ask(SessionQuestion::Tenant(ServerQuestion::Link(_))) => {
                    let shown = Announcement {
                        public_key: key().public(),
                        capabilities: shown.clone(),
                    };
                    bench
                        .relay
                        .tenant()
                        .unwrap()
                        .announce(&mut bench.sides.tenant, shown)
                        .unwrap();
                }
                Action::Ask(SessionQuestion::Tenant(ServerQuestion::Ticket { .. })) => {
                    let entry = match connection_id {
                        0 => Entry::Open(bench.sessions.claim()),
                        _ => Entry::Join(SessionKey::new(1)),
                    };
                    bench.relay.enter(NOW, &mut bench.sessions, entry).unwrap();
                }
                Action::Ask(SessionQuestion::Dial(_)) => {
                    let upstream = Upstream {
                        ticket: Secret::new(b"ticket"),
                        oaep_seed: [9; 20],
                    };
                    bench.relay.dialled(&mut bench.sides, upstream).unwrap();
                    let reply = LinkReply {
                        error: LinkErrorCode::OK,
                        pub_key: *key().public().as_der(),
                        capabilities: shown.clone(),
                    };
                    reply.encode(&mut bench.sides.hypervisor.rx).unwrap();
                    bench.sides.hypervisor.rx.extend_from_slice(&[0; 4]);
                }
                Action::Receive { .. } if bench.relay.outcome().is_some() => {}
                other => panic!("{other:?}"),
            }
        }
        bench.sides.tenant.tx.clear();
        bench.sides.hypervisor.tx.clear();
        bench
    }

    /// The next action that is not for the sessions.
    fn step(&mut self) -> Action {
        loop {
            match self.relay.step(NOW, &mut self.sides) {
                Action::Synchronize => {
                    self.relay.synchronize(NOW, &mut self.sessions, &mut self.sides);
                    while self.sessions.poll_wake().is_some() {
                        self.relay.wake();
                    }
                }
                action => return action,
            }
        }
    }

    /// Moves what is in both `rx`, and answers what is asked.
    fn run(&mut self) {
        loop {
            match self.step() {
                Action::Ask(SessionQuestion::BindSession { .. }) => self.relay.bound(&mut self.sides).unwrap(),
                Action::Ask(SessionQuestion::Elsewhere(_)) => unreachable!("the session is here"),
                Action::Ask(SessionQuestion::Identity(_)) => self.relay.accept_identity().unwrap(),
                Action::Ask(SessionQuestion::Target(target)) => {
                    keep(target);
                    let (relay, sides) = (&mut self.relay, &mut self.sides);
                    relay.accept_target(NOW, &mut self.sessions, sides).unwrap();
                }
                Action::Receive { .. } => {
                    drop(self.sides.tenant.tx.split());
                    drop(self.sides.hypervisor.tx.split());
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn feed(&mut self, buffers: fn(&mut SideBuffers) -> &mut Buffers, bytes: &[u8]) {
        self.feed_in(buffers, bytes, READ);
    }

    fn feed_in(&mut self, buffers: fn(&mut SideBuffers) -> &mut Buffers, bytes: &[u8], read: usize) {
        for chunk in bytes.chunks(read) {
            let rx = &mut buffers(&mut self.sides).rx;
            rx.reserve(read);
            rx.extend_from_slice(chunk);
            self.run();
        }
    }

    /// A main channel of which USB channels are withheld.
    pub(crate) fn main() -> Self {
        Self::linked(sessions(), ChannelType::MAIN, 0, true)
    }

    /// A display channel.
    pub(crate) fn display() -> Self {
        other(ChannelType::DISPLAY)
    }

    /// The hypervisor says this, in reads of this size.
    pub(crate) fn feed_server(&mut self, bytes: &[u8], read: usize) {
        self.feed_in(|sides| &mut sides.hypervisor, bytes, read);
    }
}

fn sessions() -> Sessions {
    Sessions::new(tracker::Config::default(), [3; 16])
}

/// What a source sends in front of a migration.
fn begin() -> Bytes {
    let destination = Destination {
        port: 5900,
        sport: 5901,
        host: Bytes::from_static(b"node2.example\0"),
        cert_subject: Bytes::from_static(b"CN=node2.example\0"),
    };
    let mut body = BytesMut::new();
    MigrateBegin { destination }.encode(&mut body).unwrap();
    message(101, &body)
}

fn message(number: u16, body: &[u8]) -> Bytes {
    let mut bytes = BytesMut::new();
    let header = Header {
        serial: 0,
        number,
        size: body.len() as u32,
        sub_list: 0,
    };
    header.write(HeaderForm::Mini, &mut bytes);
    bytes.put_slice(body);
    bytes.freeze()
}

/// Short messages of a main channel: a channel withheld, a migration announced, rewritten and called off.
pub(crate) fn short() -> Box<dyn FnMut()> {
    let splitter = FrameReader::new(HeaderForm::Mini, &Limits::default());
    let recorded: Vec<_> = splitter.frames(&MAIN_CHANNEL[MAIN_CHANNEL_AT..]).collect();
    let bytes = |frame: &FrameRef<'_>| message(frame.header.number, frame.body);
    let (named, short): (Vec<_>, Vec<_>) = recorded
        .into_iter()
        .filter(|frame| frame.header.size <= 64)
        .partition(|frame| matches!(frame.header.number, 103 | 104 | 113 | 114));
    let short = short.iter().cycle().take(4000);
    let said = named.iter().chain(short).map(bytes).collect::<Vec<_>>().concat();
    let mut bench = Bench::linked(sessions(), ChannelType::MAIN, 0, true);
    let (begin, error) = (begin(), message(103, &[]));
    Box::new(move || {
        bench.feed(|sides| &mut sides.hypervisor, &said);
        bench.feed(|sides| &mut sides.hypervisor, &begin);
        bench.feed(|sides| &mut sides.tenant, &error);
    })
}

/// The recorded main channel, in both directions, with the same.
pub(crate) fn recorded(clipboard: bool) -> Box<dyn FnMut()> {
    let mut bench = Bench::linked(sessions(), ChannelType::MAIN, 0, clipboard);
    let (begin, error) = (begin(), message(103, &[]));
    Box::new(move || {
        bench.feed(|sides| &mut sides.hypervisor, &MAIN_CHANNEL[MAIN_CHANNEL_AT..]);
        bench.feed(|sides| &mut sides.tenant, &MAIN_CHANNEL_C2S[MAIN_CHANNEL_C2S_AT..]);
        bench.feed(|sides| &mut sides.hypervisor, &begin);
        bench.feed(|sides| &mut sides.tenant, &error);
    })
}

/// The same bytes, copied from buffer to buffer.
pub(crate) fn copied() -> Box<dyn FnMut()> {
    let (begin, error, mut rx) = (begin(), message(103, &[]), BytesMut::new());
    Box::new(move || {
        copy(&mut rx, &MAIN_CHANNEL[MAIN_CHANNEL_AT..]);
        copy(&mut rx, &MAIN_CHANNEL_C2S[MAIN_CHANNEL_C2S_AT..]);
        copy(&mut rx, &begin);
        copy(&mut rx, &error);
    })
}

/// A channel beside main of a session that has it.
fn other(channel_type: ChannelType) -> Bench {
    let mut main = Bench::linked(sessions(), ChannelType::MAIN, 0, true);
    let list = [1, 0, 0, 0, channel_type.0, 0];
    let mut init = 7_u32.to_le_bytes().to_vec();
    init.resize(32, 0);
    main.feed(|sides| &mut sides.hypervisor, &message(103, &init));
    main.feed(|sides| &mut sides.hypervisor, &message(104, &list));
    Bench::linked(main.sessions, channel_type, 7, true)
}

/// Small messages of an inputs channel.
pub(crate) fn inputs() -> Box<dyn FnMut()> {
    let bytes = small_frames();
    let mut bench = other(ChannelType::INPUTS);
    Box::new(move || bench.feed(|sides| &mut sides.tenant, &bytes))
}

/// DRAW_COPY with a body that the relay does not have to decode.
fn picture() -> Bytes {
    message(304, &vec![7; PICTURE])
}

/// Pictures of a display channel.
pub(crate) fn pictures() -> Box<dyn FnMut()> {
    let (bytes, mut bench) = (picture(), other(ChannelType::DISPLAY));
    Box::new(move || bench.feed(|sides| &mut sides.hypervisor, &bytes))
}

pub(crate) fn pictures_copied() -> Box<dyn FnMut()> {
    let (bytes, mut rx) = (picture(), BytesMut::new());
    Box::new(move || copy(&mut rx, &bytes))
}

/// What a relay does that looks at nothing.
fn copy(rx: &mut BytesMut, bytes: &[u8]) {
    for chunk in bytes.chunks(READ) {
        rx.reserve(READ);
        rx.extend_from_slice(chunk);
        keep(rx.split());
    }
}
