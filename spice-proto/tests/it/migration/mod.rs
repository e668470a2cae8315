//! Sessions that move: each row of the table of states, what must not happen, and recordings of real moves.

mod harm;
mod recorded;
mod rows;

use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spice_proto::channel::main::{ChannelId, Destination, MigrateBegin, MigrateBeginSeamless};
use spice_proto::frame::{FrameRef, Header};
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::link::Side;
use spice_proto::session::migration::{Answer, ConnectionHandle, Effect, Endpoint, Lost, Migration, Pass, Target};
use spice_proto::session::tracker::{Admission, Config, Peer, Reason, Request};
use spice_proto::session::{Host, SessionKey, TargetAccess, Tracker};

const TOKEN: SessionKey = SessionKey::new(7);
const ID: u32 = 0x1234;
/// Besides main: display, inputs, cursor, usbredir.
const CHANNELS: [(u8, u8); 4] = [(2, 0), (3, 0), (4, 0), (9, 0)];

fn port(number: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(number)
}

pub(crate) fn endpoint() -> Endpoint {
    Endpoint::new("proxy.example", None, port(5910), Some("CN=proxy")).unwrap()
}

/// One session and everything around it.
struct World {
    tracker: Tracker,
    migration: Migration,
    now: Duration,
}

impl World {
    fn new() -> Self {
        Self {
            tracker: Tracker::new(Config::default(), [1; 16]),
            migration: Migration::new(TOKEN, endpoint()),
            now: Duration::ZERO,
        }
    }

    /// A session with all its channels, and their seats; main is the first.
    fn running() -> (Self, Vec<ConnectionHandle>) {
        let mut world = Self::new();
        let main = world.open(0, (1, 0)).unwrap().0;
        assert_eq!(world.dial(main, true), Answer::Accept);
        assert_eq!(world.server(main, 103, &init(ID)), Pass::Bind(ID));
        let mut list = vec![CHANNELS.len() as u8, 0, 0, 0];
        list.extend(CHANNELS.iter().flat_map(|(kind, id)| [*kind, *id]));
        assert_eq!(world.server(main, 104, &list), Pass::Forward);
        let mut seats = vec![main];
        seats.extend(world.open_others(Host(0)));
        assert_eq!(world.client(seats[1], 101, &[0; 14]), Pass::Forward);
        (world, seats)
    }

    /// The same, with the viewer told of a target.
    fn told(seamless: bool) -> (Self, Vec<ConnectionHandle>) {
        let (mut world, seats) = Self::running();
        world.begin(seats[0], seamless);
        (world, seats)
    }

    /// The same, with all connections to the target; they are the second half of the seats.
    fn opened(seamless: bool) -> (Self, Vec<ConnectionHandle>) {
        let (mut world, mut seats) = Self::told(seamless);
        let main = world.open(ID, (1, 0)).unwrap().0;
        assert_eq!(world.dial(main, true), Answer::Accept);
        seats.push(main);
        seats.extend(world.open_others(Host(1)));
        if seamless {
            assert_eq!(world.client(main, 110, &[1, 0, 0, 0]), Pass::Forward);
            assert_eq!(world.server(main, 117, &[]), Pass::Forward);
        }
        (world, seats)
    }

    /// The same, with the viewer's word that it is connected.
    fn connected(seamless: bool) -> (Self, Vec<ConnectionHandle>) {
        let (mut world, seats) = Self::opened(seamless);
        assert!(!world.migration.reads(&world.tracker, seats[0]));
        let number = if seamless { 111 } else { 102 };
        assert_eq!(world.client(seats[0], number, &[]), Pass::Forward);
        assert!(world.migration.reads(&world.tracker, seats[0]));
        (world, seats)
    }

    fn open_others(&mut self, host: Host) -> Vec<ConnectionHandle> {
        let seats = CHANNELS.map(|channel| {
            let (seat, admission) = self.open(ID, channel).unwrap();
            assert_eq!(admission.host, host);
            seat
        });
        for seat in seats {
            assert_eq!(self.dial(seat, true), Answer::Accept);
        }
        seats.into()
    }

    fn open(&mut self, connection_id: u32, (kind, id): (u8, u8)) -> Result<(ConnectionHandle, Admission), Reason> {
        let peer = Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            secure: true,
        };
        let link = self.tracker.accept(self.now, peer);
        let request = Request {
            connection_id,
            channel: ChannelId {
                channel_type: ChannelType(kind),
                id,
            },
            mechanism: AuthMechanism::SPICE,
        };
        self.migration.admit(self.now, &mut self.tracker, link, request)
    }

    fn dial(&mut self, seat: ConnectionHandle, accepted: bool) -> Answer {
        self.migration.dialled(self.now, &mut self.tracker, seat, accepted)
    }

    fn server(&mut self, seat: ConnectionHandle, number: u16, body: &[u8]) -> Pass {
        let frame = frame(number, body);
        self.migration.server_message(self.now, &mut self.tracker, seat, &frame)
    }

    fn client(&mut self, seat: ConnectionHandle, number: u16, body: &[u8]) -> Pass {
        let frame = frame(number, body);
        self.migration.client_message(self.now, &mut self.tracker, seat, &frame)
    }

    fn lost(&mut self, seat: ConnectionHandle, side: Side) -> Lost {
        self.migration.lost(self.now, &mut self.tracker, seat, side)
    }

    fn accept(&mut self) -> Bytes {
        self.migration.accept(self.now, &mut self.tracker).unwrap()
    }

    /// The source announces a move of the guest, and the announcement reaches the viewer.
    fn begin(&mut self, main: ConnectionHandle, seamless: bool) {
        let (number, body) = begin(seamless);
        assert!(matches!(self.server(main, number, &body), Pass::Ask(_)));
        self.accept();
        assert_eq!(self.phase(), Some(TargetAccess::MainOnly));
    }

    fn phase(&self) -> Option<TargetAccess> {
        self.tracker.target_access(TOKEN)
    }

    fn host(&self) -> Host {
        self.tracker.host(TOKEN).unwrap()
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.migration.poll_effect()).collect()
    }

    /// Time passes up to the next deadline.
    fn wait(&mut self) -> Vec<Effect> {
        self.now = self.migration.deadline().unwrap();
        self.migration.expire(self.now, &mut self.tracker);
        self.effects()
    }
}

pub(crate) fn frame(number: u16, body: &[u8]) -> FrameRef<'_> {
    FrameRef {
        header: Header {
            serial: 0,
            number,
            size: body.len() as u32,
            sub_list: 0,
        },
        body,
    }
}

pub(crate) fn init(id: u32) -> Vec<u8> {
    let mut body = id.to_le_bytes().to_vec();
    body.resize(32, 0);
    body
}

fn destination(port: u16, sport: u16, subject: &'static [u8]) -> Destination {
    Destination {
        port,
        sport,
        host: Bytes::from_static(b"10.1.2.3\0"),
        cert_subject: Bytes::from_static(subject),
    }
}

/// Number and body of a message that names a target.
pub(crate) fn begin(seamless: bool) -> (u16, Vec<u8>) {
    let destination = destination(5900, u16::MAX, b"CN=hypervisor\0");
    let mut body = BytesMut::new();
    if seamless {
        let begin = MigrateBeginSeamless {
            destination,
            src_mig_version: 1,
        };
        begin.encode(&mut body).unwrap();
        (116, body.to_vec())
    } else {
        MigrateBegin { destination }.encode(&mut body).unwrap();
        (101, body.to_vec())
    }
}

/// `MIGRATE_SWITCH_HOST` has the body of `MIGRATE_BEGIN`.
fn switch_host() -> (u16, Vec<u8>) {
    (111, begin(false).1)
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn asked(pass: Pass) -> Target {
    match pass {
        Pass::Ask(target) => target,
        other => panic!("{other:?}"),
    }
}
