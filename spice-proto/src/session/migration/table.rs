//! The table of states and messages, made from the type and held against the documentation.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use core::num::NonZeroU16;
use core::time::Duration;

use bytes::Bytes;

use super::state::State;
use super::{Answer, ConnectionHandle, Endpoint, Kind, Lost, Migration, Pass, Target};
use crate::channel::common;
use crate::channel::main::{ChannelId, ClientMessage, ServerMessage};
use crate::frame::{FrameRef, Header};
use crate::ids::{AuthMechanism, ChannelType};
use crate::link::Side;
use crate::session::tracker::{Config, Peer, Request};
use crate::session::{SessionKey, Tracker};

const KEY: SessionKey = SessionKey::new(1);
const ID: u32 = 7;
const NOW: Duration = Duration::ZERO;
/// A source's state for a channel.
const STATE: [u8; 8] = [5; 8];

/// Main channels on the source and on the target.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Source,
    Target,
}

/// One session, moved as far as a state.
struct World {
    tracker: Tracker,
    migration: Migration,
    source: ConnectionHandle,
    target: Option<ConnectionHandle>,
}

impl State {
    /// Its place in the documentation.
    const fn at(&self) -> usize {
        match self {
            Self::Idle { .. } => 0,
            Self::Announced { .. } => 1,
            Self::Opening { .. } => 2,
            Self::Connected { .. } => 3,
            Self::Ending { .. } => 4,
            Self::Switch => 5,
            Self::End => 6,
        }
    }
}

const NAMES: [&str; 7] = ["Idle", "Announced", "Opening", "Connected", "Ending", "Switch", "End"];

fn target(kind: Kind) -> Bytes {
    let port = NonZeroU16::new(5900);
    let endpoint = Endpoint::new("proxy.example", port, None, None).unwrap();
    endpoint.body(&Target::new(kind, "node.example", port, None))
}

impl World {
    fn new() -> Self {
        let mut tracker = Tracker::new(Config::default(), [1; 16]);
        let endpoint = Endpoint::new("proxy.example", NonZeroU16::new(5900), None, None);
        let mut migration = Migration::new(KEY, endpoint.unwrap());
        let source = open(&mut tracker, &mut migration, 0, ChannelType::MAIN);
        let mut world = Self {
            tracker,
            migration,
            source,
            target: None,
        };
        let mut init = ID.to_le_bytes().to_vec();
        init.resize(32, 0);
        assert_eq!(world.server(At::Source, ServerMessage::INIT, &init), Pass::Bind(ID));
        world
    }

    /// Moved in this way as far as the state with this place.
    fn moved(kind: Kind, state: usize) -> Self {
        let mut world = Self::new();
        let steps = [Self::told, Self::opening, Self::connected, Self::ending];
        match state {
            5 => world.tell(Kind::SwitchHost, ServerMessage::MIGRATE_SWITCH_HOST),
            6 => assert_eq!(world.lose_main(), Lost::End),
            _ => steps.iter().take(state).for_each(|step| step(&mut world, kind)),
        }
        assert_eq!(world.state(), state);
        world
    }

    fn state(&self) -> usize {
        self.migration.state.at()
    }

    /// The session ends, and another connection of it is still there.
    fn lose_main(&mut self) -> Lost {
        let source = self.source;
        let channels = [1, 0, 0, 0, ChannelType::INPUTS.0, 0];
        assert_eq!(
            self.server(At::Source, ServerMessage::CHANNELS_LIST, &channels),
            Pass::Forward
        );
        self.source = open(&mut self.tracker, &mut self.migration, ID, ChannelType::INPUTS);
        self.migration.lost(NOW, &mut self.tracker, source, Side::Hypervisor)
    }

    fn tell(&mut self, kind: Kind, number: u16) {
        assert!(matches!(self.server(At::Source, number, &target(kind)), Pass::Ask(_)));
        self.migration.accept(NOW, &mut self.tracker).unwrap();
    }

    fn told(&mut self, kind: Kind) {
        let number = match kind {
            Kind::Seamless => ServerMessage::MIGRATE_BEGIN_SEAMLESS,
            _ => ServerMessage::MIGRATE_BEGIN,
        };
        self.tell(kind, number);
    }

    fn opening(&mut self, _: Kind) {
        self.target = Some(open(&mut self.tracker, &mut self.migration, ID, ChannelType::MAIN));
    }

    fn connected(&mut self, kind: Kind) {
        let number = match kind {
            Kind::Seamless => {
                let said = self.client(At::Target, ClientMessage::MIGRATE_DST_DO_SEAMLESS, &[0; 4]);
                assert_eq!(said, Pass::Forward);
                ClientMessage::MIGRATE_CONNECTED_SEAMLESS
            }
            _ => ClientMessage::MIGRATE_CONNECTED,
        };
        assert_eq!(self.client(At::Source, number, &[]), Pass::Forward);
    }

    fn ending(&mut self, kind: Kind) {
        match kind {
            Kind::Seamless => {
                let flags = [3, 0, 0, 0];
                let migrate = self.server(At::Source, common::ServerMessage::MIGRATE, &flags);
                let data = self.server(At::Source, common::ServerMessage::MIGRATE_DATA, &STATE);
                assert_eq!((migrate, data), (Pass::Forward, Pass::Forward));
            }
            _ => assert_eq!(self.server(At::Source, ServerMessage::MIGRATE_END, &[]), Pass::Forward),
        }
    }

    fn seat(&self, at: At) -> Option<ConnectionHandle> {
        match at {
            At::Source => Some(self.source),
            At::Target => self.target,
        }
    }

    fn server(&mut self, at: At, number: u16, body: &[u8]) -> Pass {
        let seat = self.seat(at).unwrap();
        self.migration
            .server_message(NOW, &mut self.tracker, seat, &frame(number, body))
    }

    fn client(&mut self, at: At, number: u16, body: &[u8]) -> Pass {
        let seat = self.seat(at).unwrap();
        self.migration
            .client_message(NOW, &mut self.tracker, seat, &frame(number, body))
    }
}

/// A main channel, linked on both sides.
fn open(
    tracker: &mut Tracker,
    migration: &mut Migration,
    connection_id: u32,
    channel_type: ChannelType,
) -> ConnectionHandle {
    let peer = Peer {
        address: Ipv4Addr::LOCALHOST.into(),
        secure: true,
    };
    let link = tracker.accept(NOW, peer);
    let request = Request {
        connection_id,
        channel: ChannelId { channel_type, id: 0 },
        mechanism: AuthMechanism::SPICE,
    };
    let (seat, _) = migration.admit(NOW, tracker, link, request).unwrap();
    assert_eq!(migration.dialled(NOW, tracker, seat, true), Answer::Accept);
    seat
}

fn frame(number: u16, body: &[u8]) -> FrameRef<'_> {
    let header = Header {
        serial: 0,
        number,
        size: u32::try_from(body.len()).unwrap(),
        sub_list: 0,
    };
    FrameRef { header, body }
}

/// A message, by its sender.
#[derive(Clone, Copy)]
enum Said {
    Server(u16),
    Client(u16),
}

impl Said {
    fn name(self) -> &'static str {
        let (number, tables) = match self {
            Self::Server(number) => (number, [common::ServerMessage::TABLE, ServerMessage::TABLE]),
            Self::Client(number) => (number, [common::ClientMessage::TABLE, ClientMessage::TABLE]),
        };
        let mut named = tables.into_iter().flatten();
        named.find(|(other, _)| *other == number).map_or("", |(_, name)| name)
    }

    fn body(self) -> Bytes {
        match self {
            Self::Server(ServerMessage::MIGRATE_BEGIN) => target(Kind::SemiSeamless),
            Self::Server(ServerMessage::MIGRATE_BEGIN_SEAMLESS) => target(Kind::Seamless),
            Self::Server(ServerMessage::MIGRATE_SWITCH_HOST) => target(Kind::SwitchHost),
            Self::Server(common::ServerMessage::MIGRATE_DATA) | Self::Client(common::ClientMessage::MIGRATE_DATA) => {
                Bytes::from_static(&STATE)
            }
            Self::Server(common::ServerMessage::MIGRATE) | Self::Client(ClientMessage::MIGRATE_DST_DO_SEAMLESS) => {
                Bytes::from_static(&[0; 4])
            }
            _ => Bytes::new(),
        }
    }
}

const SAID: [Said; 18] = {
    use Said::{Client, Server};
    [
        Server(ServerMessage::MIGRATE_BEGIN),
        Server(ServerMessage::MIGRATE_BEGIN_SEAMLESS),
        Server(ServerMessage::MIGRATE_SWITCH_HOST),
        Server(ServerMessage::MIGRATE_CANCEL),
        Server(ServerMessage::MIGRATE_END),
        Server(common::ServerMessage::MIGRATE),
        Server(common::ServerMessage::MIGRATE_DATA),
        Server(ServerMessage::MIGRATE_DST_SEAMLESS_ACK),
        Server(ServerMessage::MIGRATE_DST_SEAMLESS_NACK),
        Server(ServerMessage::NAME),
        Client(ClientMessage::MIGRATE_CONNECTED),
        Client(ClientMessage::MIGRATE_CONNECTED_SEAMLESS),
        Client(ClientMessage::MIGRATE_CONNECT_ERROR),
        Client(ClientMessage::MIGRATE_END),
        Client(ClientMessage::MIGRATE_DST_DO_SEAMLESS),
        Client(common::ClientMessage::MIGRATE_FLUSH_MARK),
        Client(common::ClientMessage::MIGRATE_DATA),
        Client(ClientMessage::ATTACH_CHANNELS),
    ]
};

/// What becomes of a message, and the state behind it if that is another.
fn outcome(kind: Kind, state: usize, at: At, said: Said) -> Option<String> {
    let mut world = World::moved(kind, state);
    world.seat(at)?;
    let body = said.body();
    let pass = match said {
        Said::Server(number) => world.server(at, number, &body),
        Said::Client(number) => world.client(at, number, &body),
    };
    let word = match pass {
        Pass::Forward => "pass",
        Pass::Bind(_) => "bind",
        Pass::Ask(_) => "ask",
        Pass::Instead(_) => "instead",
        Pass::Drop => "drop",
        Pass::Refuse(_) => "refuse",
    };
    let next = world.state();
    Some(match next == state {
        true => word.into(),
        false => format!("{word}, {}", NAMES.get(next)?),
    })
}

/// In a semi-seamless move, and behind a slash in a seamless one where that is something else.
fn cell(state: usize, at: At, said: Said) -> String {
    let [one, other] = [Kind::SemiSeamless, Kind::Seamless].map(|kind| outcome(kind, state, at, said));
    let [one, other] = [one, other].map(|outcome| outcome.unwrap_or_default());
    if one == other { one } else { format!("{one} / {other}") }
}

fn row(at: At, said: Said) -> String {
    let place = match at {
        At::Source => 'S',
        At::Target => 'T',
    };
    let way = match said {
        Said::Server(_) => "s2c",
        Said::Client(_) => "c2s",
    };
    let cells: Vec<String> = (0..NAMES.len()).map(|state| cell(state, at, said)).collect();
    format!(
        "//! | {place} {way} `{}` | {} |",
        said.name().to_ascii_uppercase(),
        cells.join(" | ")
    )
}

#[test]
fn the_documentation_has_the_table() {
    let head = [
        format!("//! | Main channel's | {} |", NAMES.join(" | ")),
        String::from("//! |---|---|---|---|---|---|---|---|"),
    ];
    let rows = [At::Source, At::Target].into_iter();
    let rows = rows.flat_map(|at| SAID.map(|said| row(at, said)));
    let made: Vec<String> = head.into_iter().chain(rows).collect();
    let documentation = include_str!("mod.rs");
    let written = documentation
        .lines()
        .skip_while(|line| !line.starts_with("//! | Main channel's |"));
    let written: Vec<&str> = written.take_while(|line| line.starts_with("//! |")).collect();
    assert_eq!(written, made, "the table is\n{}", made.join("\n"));
}
