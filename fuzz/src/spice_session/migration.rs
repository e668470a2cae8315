//! One session that moves, with a policy in the path of its messages.
//!
//! The world plays viewer, hypervisors and driver as the input says, in any order. What it knows is small: which
//! connections there are, what was said on them, and [`TABLE`], the states of a session with what leads from
//! one to the next. What passes is held against that: nothing that was not asked for reaches a hypervisor, and what a
//! viewer is told of a target is, byte for byte, what is written here from the proxy's own endpoint.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::link::Side;
use spice_proto::link::watch::Sender;
use spice_proto::session::migration::{Answer, Effect, Endpoint, Fault, Kind, Lost, Migration, Pass, Seat};
use spice_proto::session::policy::{Replacement, Settings, Verdict, Withheld};
use spice_proto::session::tracker::{Config, Expired, Misuse, Peer, Request};
use spice_proto::session::{Gate, Host, Phase, Policy, Reason, Snapshot, Token, Tracker};

use super::{frame, name};
use crate::Input;

/// A session of two hosts needs about forty.
const OPERATIONS: usize = 400;
const TOKEN: Token = Token([7; 16]);
/// Of main and of other channels; the last is announced in no list that is made here.
const CHANNELS: [(u8, u8); 8] = [(1, 0), (2, 0), (3, 0), (4, 0), (9, 0), (11, 0), (2, 1), (1, 1)];
const LINKS: usize = 12;
const MAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a session is, what happens, where it is then: the table of states, line by line. Whatever else happens
/// leaves it where it is.
#[rustfmt::skip]
pub(super) const TABLE: &[(&str, &str, &str)] = &[
    ("Fresh",     "main with id 0",        "Idle"),
    ("Idle",      "INIT",                  "Idle"),
    ("Idle",      "101 accepted",          "Told"),
    ("Idle",      "116 accepted",          "Told"),
    ("Idle",      "101 refused",           "Told"),
    ("Idle",      "116 refused",           "Told"),
    ("Idle",      "111 accepted",          "Switch"),
    ("Idle",      "111 refused",           "End"),
    ("Idle",      "S main lost",           "End"),
    ("Told",      "T main accepted",       "Opening"),
    ("Told",      "T main refused",        "Told"),
    ("Told",      "c2s 103",               "Idle"),
    ("Told",      "8 s",                   "Told"),
    ("Told",      "S main lost",           "End"),
    ("Opening",   "T link accepted",       "Opening"),
    ("Opening",   "T link pretended",      "Opening"),
    ("Opening",   "c2s 110",               "Opening"),
    ("Opening",   "s2c 117",               "Opening"),
    ("Opening",   "s2c 118",               "Opening"),
    ("Opening",   "c2s 103",               "Idle"),
    ("Opening",   "c2s 102",               "Connected"),
    ("Opening",   "c2s 111",               "Connected"),
    ("Opening",   "c2s 102, poisoned",     "Idle"),
    ("Opening",   "c2s 111, poisoned",     "Idle"),
    ("Opening",   "8 s",                   "Opening"),
    ("Opening",   "S main lost",           "End"),
    ("Connected", "s2c 102",               "Idle"),
    ("Connected", "101 accepted",          "Told"),
    ("Connected", "116 accepted",          "Told"),
    ("Connected", "101 refused",           "Told"),
    ("Connected", "116 refused",           "Told"),
    ("Connected", "111 accepted",          "Switch"),
    ("Connected", "111 refused",           "End"),
    ("Connected", "s2c 112",               "Ending"),
    ("Connected", "s2c 1",                 "Ending"),
    ("Connected", "S main lost",           "Connected"),
    ("Connected", "main timeout",          "End"),
    ("Ending",    "S main lost",           "Ending"),
    ("Ending",    "S link lost",           "Ending"),
    ("Ending",    "c2s 109",               "Idle"),
    ("Ending",    "c2s 5",                 "Idle"),
    ("Ending",    "10 s",                  "End"),
    ("Switch",    "s2c 102",               "Switch"),
    ("Switch",    "c2s 102",               "Switch"),
    ("Switch",    "c2s 103",               "Switch"),
    ("Switch",    "c2s 111",               "Switch"),
    ("Switch",    "S main lost",           "Switch"),
    ("Switch",    "main with id 0",        "Idle"),
    ("Switch",    "main timeout",          "End"),
];

/// A connection.
#[derive(Debug)]
struct Place {
    seat: Seat,
    channel: ChannelId,
    host: Host,
    /// It was opened while its host was a target.
    target: bool,
    /// The hypervisor was dialled, and what came of it is known.
    dialled: bool,
    linked: bool,
    pretended: bool,
    /// Messages of the client on it, while it stood.
    said: u32,
    initialised: bool,
    mark_due: bool,
    data_due: bool,
    gates: [Gate; 2],
}

impl Place {
    fn main(&self) -> bool {
        self.channel.channel_type == ChannelType::MAIN
    }
}

/// A target that was named and not answered for.
#[derive(Debug)]
struct Held {
    number: u16,
    version: u32,
}

struct World<'a> {
    input: Input<'a>,
    tracker: Tracker,
    migration: Migration,
    endpoint: Said,
    policy: Option<Policy>,
    /// The driver delivers what it should not read.
    careless: bool,
    now: Duration,
    places: Vec<Place>,
    begun: bool,
    id: u32,
    held: Option<Held>,
    /// How the session moves, or has moved last.
    kind: Option<Kind>,
    version: u32,
    /// What was told is a closed port.
    dead: bool,
    poisoned: bool,
    ending: bool,
    /// The host that a seamless move comes from.
    from: Option<Host>,
    states: Vec<(ChannelId, Vec<u8>)>,
    reached: BTreeSet<String>,
}

/// What the proxy says of itself.
struct Said {
    port: u16,
    tls_port: u16,
    closed: u16,
    subject: Option<&'static str>,
}

const PROXY: &str = "proxy.example";

impl Said {
    /// The only body that the viewer may be told, in the layout of the three messages.
    fn body(&self, held: &Held, open: bool) -> Vec<u8> {
        let (port, tls_port) = if open {
            (self.port, self.tls_port)
        } else {
            (self.closed, 0)
        };
        let seamless = held.number == 116;
        let with_nul = |text: &str| [text.as_bytes(), b"\0"].concat();
        let (host, subject) = (with_nul(PROXY), self.subject.map(with_nul).unwrap_or_default());
        let host_at = if seamless { 24 } else { 20 };
        let subject_at = if subject.is_empty() { 0 } else { host_at + host.len() };
        let mut body = [port.to_le_bytes(), tls_port.to_le_bytes()].concat();
        for field in [host.len(), host_at, subject.len(), subject_at] {
            body.extend(u32::try_from(field).expect("small").to_le_bytes());
        }
        if seamless {
            body.extend(held.version.to_le_bytes());
        }
        [body, host, subject].concat()
    }
}

pub(super) fn sequence(mut input: Input<'_>) -> BTreeSet<String> {
    let settings = input.byte();
    let port = |port: u16| NonZeroU16::new(port);
    let endpoint = Said {
        port: if settings & 1 == 0 { 0 } else { 5910 },
        tls_port: 5911,
        closed: 9,
        subject: (settings & 2 == 0).then_some("CN=proxy"),
    };
    let policy = match settings >> 2 & 3 {
        0 | 1 => None,
        2 => Some(Settings::default()),
        _ => Some(
            Settings::default()
                .with_view_only(true)
                .with_withheld(vec![Withheld::Kind(ChannelType::CURSOR)]),
        ),
    };
    let told = Endpoint::new(
        PROXY,
        port(endpoint.port),
        port(endpoint.tls_port),
        endpoint.subject,
        port(endpoint.closed).expect("9 is not 0"),
    );
    let config = Config::default()
        .with_links(LINKS)
        .with_channels(6)
        .with_half_open(4)
        .with_main_timeout(MAIN_TIMEOUT);
    let mut world = World {
        input,
        tracker: Tracker::new(config, [1; 16]),
        migration: Migration::new(TOKEN, told.expect("a host and a port")),
        endpoint,
        policy: policy.as_ref().map(Policy::new),
        careless: settings & 0x10 != 0,
        now: Duration::ZERO,
        places: Vec::new(),
        begun: false,
        id: 0,
        held: None,
        kind: None,
        version: 0,
        dead: false,
        poisoned: false,
        ending: false,
        from: None,
        states: Vec::new(),
        reached: BTreeSet::new(),
    };
    for _ in 0..OPERATIONS {
        if world.input.is_empty() {
            break;
        }
        world.operation();
        world.effects();
        world.look();
    }
    world.reached
}

impl World<'_> {
    fn operation(&mut self) {
        match self.input.byte() % 12 {
            0 | 1 => self.open(),
            2 => self.dial(),
            3..=5 => self.server(),
            6 | 7 => self.client(),
            8 => self.answer(),
            9 => self.lose(),
            10 => self.time(),
            _ => self.end(),
        }
    }

    fn state(&self) -> &'static str {
        match self.tracker.phase(TOKEN) {
            None if self.begun => "End",
            None => "Fresh",
            Some(Phase::Idle) => "Idle",
            Some(Phase::Told) => "Told",
            Some(Phase::Opening) => "Opening",
            Some(Phase::Connected) if self.ending => "Ending",
            Some(Phase::Connected) => "Connected",
            Some(Phase::Switch) => "Switch",
        }
    }

    fn current(&self) -> Option<Host> {
        self.tracker.host(TOKEN)
    }

    fn at_target(&self, host: Host) -> bool {
        self.current().is_some_and(|current| current < host)
    }

    fn reach(&mut self, what: impl Into<String>) {
        self.reached.insert(format!("move: {}", what.into()));
    }

    /// What has happened stands in the table, or has changed nothing.
    fn row(&mut self, before: &'static str, event: &str) {
        if !matches!(self.tracker.phase(TOKEN), Some(Phase::Connected)) {
            self.ending = false;
        }
        let after = self.state();
        let line = TABLE
            .iter()
            .find(|(from, what, to)| *from == before && *what == event && *to == after);
        match line {
            Some((from, what, to)) => self.reach(format!("{from}, {what}: {to}")),
            None => assert_eq!(before, after, "{event}"),
        }
    }

    fn place(&mut self) -> Option<usize> {
        let byte = usize::from(self.input.byte() & 0x7f);
        (!self.places.is_empty()).then(|| byte % self.places.len())
    }

    /// The viewer opens a connection.
    fn open(&mut self) {
        let byte = self.input.byte();
        let (kind, number) = CHANNELS[usize::from(byte & 7)];
        let channel = ChannelId {
            channel_type: ChannelType(kind),
            id: number,
        };
        let main = channel.channel_type == ChannelType::MAIN;
        let connection_id = match byte >> 3 & 3 {
            0 => self.id,
            1 => 0,
            2 => self.id ^ 1,
            _ => u32::from(byte),
        };
        let request = Request {
            connection_id,
            channel,
            mechanism: if byte & 0xe0 == 0xe0 {
                AuthMechanism::SASL
            } else {
                AuthMechanism::SPICE
            },
        };
        let peer = Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            secure: byte & 0x40 == 0,
        };
        let before = self.state();
        let Ok(link) = self.tracker.accept(self.now, peer) else {
            panic!("no more than one is half open");
        };
        let here = |host: Host| {
            let same = |place: &&Place| place.channel == channel && place.host == host;
            self.places.iter().any(|place| same(&place))
        };
        let target = self.tracker.snapshot(TOKEN).map(|snapshot| snapshot.last_host);
        let expected = match (before, target, self.current()) {
            (_, None, _) => Some(Host(0)),
            ("Told" | "Opening" | "Switch", Some(target), _) if main => Some(target),
            (_, _, _) if main => None,
            ("Opening", Some(target), _) if !here(target) => Some(target),
            (_, _, Some(current)) if !here(current) => Some(current),
            _ => None,
        };
        let known = self.current();
        let elsewhere = self.elsewhere(peer, request);
        match self.migration.admit(self.now, &mut self.tracker, link, request) {
            Ok((seat, admission)) => {
                assert_eq!(Some(admission.host), expected, "{request:?} in {before}");
                assert_eq!(admission.replaces, before == "Switch" && main);
                if let Some(there) = elsewhere {
                    assert_eq!(there, Ok(admission), "{request:?}");
                }
                if main && admission.host != Host(0) && connection_id != 0 {
                    assert!(!self.dead, "nothing is dialled behind a refused target");
                }
                if admission.replaces || known.is_none() {
                    (self.begun, self.id) = (true, 0);
                    (self.dead, self.poisoned, self.from) = (false, false, None);
                    self.states.clear();
                    self.held = self.held.take().filter(|_| !admission.replaces);
                    self.row(before, "main with id 0");
                }
                let dialled = admission.host == Host(0) || self.migration.target(admission.host).is_some();
                assert!(dialled, "nobody knows where {:?} is", admission.host);
                let gate = |sender| Gate::new(channel.channel_type, sender, &Limits::default());
                self.places.push(Place {
                    seat,
                    channel,
                    host: admission.host,
                    target: !admission.replaces && known.is_some_and(|known| known != admission.host),
                    dialled: false,
                    linked: false,
                    pretended: false,
                    said: 0,
                    initialised: false,
                    mark_due: false,
                    data_due: false,
                    gates: [gate(Sender::Client), gate(Sender::Server)],
                });
            }
            Err(reason) => {
                if let (Some(there), false) = (elsewhere, self.dead || reason == Reason::TooManyLinks) {
                    assert_eq!(there, Err(reason), "{request:?}");
                }
                if before == "End" {
                    assert!(matches!(reason, Reason::Ended | Reason::Sasl), "{reason:?}");
                }
                // What was refused is gone.
                assert_eq!(self.tracker.close(self.now, link), Err(Misuse::NoLink));
                self.reach(format!("{reason:?}"));
                self.row(before, "refused");
            }
        }
    }

    /// What another process would say, that has read the snapshot.
    fn elsewhere(
        &self,
        peer: Peer,
        request: Request,
    ) -> Option<Result<spice_proto::session::tracker::Admission, Reason>> {
        let snapshot = self.tracker.snapshot(TOKEN)?;
        let mut bytes = BytesMut::new();
        snapshot.encode(&mut bytes).expect("it has few channels");
        assert_eq!(Snapshot::decode_slice(&bytes).as_ref(), Ok(&snapshot));
        let mut other = Tracker::new(Config::default(), [2; 16]);
        other.restore(TOKEN, &snapshot).expect("there is room");
        let link = other.accept(self.now, peer).expect("none is half open");
        Some(other.admit(self.now, link, TOKEN, request))
    }

    /// A hypervisor was dialled.
    fn dial(&mut self) {
        let accepted = self.input.byte() & 1 == 0;
        let Some(at) = self.place().filter(|at| !self.places[*at].dialled) else {
            return;
        };
        let before = self.state();
        let place = &mut self.places[at];
        place.dialled = true;
        let (seat, main, host, pretended) = (place.seat, place.main(), place.host, place.pretended);
        let at_target = self.at_target(host);
        let answer = self.migration.dialled(self.now, &mut self.tracker, seat, accepted);
        self.reach(format!("Answer {answer:?}"));
        let expected = match (accepted, main, at_target) {
            _ if pretended => Answer::Pretended,
            (true, ..) => Answer::Accept,
            (false, false, true) if before == "Opening" => Answer::Pretend,
            (false, true, false) => Answer::Close,
            (false, ..) => Answer::Refuse,
        };
        assert_eq!(answer, expected, "in {before}");
        match answer {
            Answer::Accept => self.places[at].linked = true,
            Answer::Pretend => {
                self.places[at].pretended = true;
                self.poisoned = true;
            }
            Answer::Pretended => {}
            Answer::Refuse | Answer::Close => drop(self.places.remove(at)),
        }
        let event = match (answer, main, at_target) {
            (Answer::Accept, true, true) => "T main accepted",
            (Answer::Refuse, true, true) => "T main refused",
            (Answer::Accept, false, true) => "T link accepted",
            (Answer::Pretend, false, true) => "T link pretended",
            (Answer::Close, true, false) => "S main lost",
            (_, true, true) => "T main lost",
            _ => "dialled",
        };
        self.lost_row(before, event);
    }

    /// A session that waits for one main channel, and loses that too, has ended: no line of the table, where the other is
    /// always there.
    fn lost_row(&mut self, before: &'static str, event: &str) {
        let main = matches!(event, "S main lost" | "T main lost" | "T main refused");
        let hosts = self
            .tracker
            .snapshot(TOKEN)
            .map(|snapshot| [snapshot.host, snapshot.last_host]);
        let here = |place: &Place| place.main() && hosts.is_some_and(|hosts| hosts.contains(&place.host));
        let left = self.places.iter().any(here);
        if main && !left && matches!(before, "Connected" | "Ending") && self.state() == "End" {
            self.ending = false;
            return;
        }
        self.row(before, event);
    }

    /// Whether a policy lets a message pass; what the viewer does not get the migration does not see.
    fn judged(&mut self, at: usize, sender: Sender, number: u16, body: &[u8]) -> Option<Vec<u8>> {
        let Some(policy) = &self.policy else {
            return Some(body.to_vec());
        };
        let message = frame(number, 0, body);
        let place = &mut self.places[at];
        let main = place.main();
        let gate = &mut place.gates[usize::from(sender == Sender::Server)];
        let mut dst = BytesMut::new();
        let mut verdict = gate.header(policy, self.now, &message.header);
        if verdict == Verdict::Inspect {
            verdict = gate.body(policy, &message, &mut dst);
        }
        if main && !(1..=118).contains(&number) {
            assert_ne!(verdict, Verdict::Forward, "{number} on a main channel");
        }
        match verdict {
            Verdict::Forward => Some(body.to_vec()),
            Verdict::Replace(Replacement::Body) => Some(dst.to_vec()),
            _ => None,
        }
    }

    /// A body that names a target, as text or as any bytes.
    fn target(&mut self, number: u16) -> (Vec<u8>, u32) {
        let (shape, version) = (self.input.byte(), u32::from(self.input.byte() & 3));
        if shape & 0x80 != 0 {
            return (self.input.short_blob().to_vec(), version);
        }
        let hosts: [&[u8]; 4] = [b"10.1.2.3\0", b"hypervisor.internal\0", b"h", b""];
        let subjects: [&[u8]; 4] = [b"CN=hypervisor\0", b"\0", b"", b"C=DE, CN=h"];
        let ports = [0, 5900, 5901, u16::MAX];
        let pick = |by: u8| usize::from(shape >> by & 3);
        let (host, subject) = (hosts[pick(0)], subjects[pick(2)]);
        let seamless = number == 116;
        let host_at = if seamless { 24 } else { 20 };
        let mut body = [ports[pick(4)].to_le_bytes(), ports[3 - pick(4)].to_le_bytes()].concat();
        for field in [host.len(), host_at, subject.len(), host_at + host.len()] {
            body.extend(u32::try_from(field).expect("small").to_le_bytes());
        }
        if seamless {
            body.extend(version.to_le_bytes());
        }
        ([&body, host, subject].concat(), version)
    }

    /// A hypervisor says something.
    fn server(&mut self) {
        const NUMBERS: [u16; 16] = [101, 116, 111, 103, 104, 1, 2, 102, 112, 117, 118, 8, 4, 304, 106, 0];
        let Some(at) = self.place() else { return };
        let choice = self.input.byte();
        let number = match NUMBERS[usize::from(choice & 15)] {
            0 => u16::from(self.input.byte()),
            number => number,
        };
        let mut version = 0;
        let body = match number {
            101 | 111 | 116 => {
                let (body, told) = self.target(number);
                version = told;
                body
            }
            103 if choice & 0x80 == 0 => {
                let mut body = u32::from(self.input.byte() & 3)
                    .wrapping_mul(0x0101_0101)
                    .to_le_bytes()
                    .to_vec();
                body.resize(32, 0);
                body
            }
            104 if choice & 0x80 == 0 => {
                let wanted = self.input.byte();
                let listed = CHANNELS[..7].iter().enumerate();
                let listed: Vec<_> = listed
                    .filter(|(bit, _)| wanted >> bit & 1 == 1)
                    .map(|(_, pair)| pair)
                    .collect();
                let mut body = u32::try_from(listed.len()).expect("few").to_le_bytes().to_vec();
                body.extend(listed.iter().flat_map(|(kind, id)| [*kind, *id]));
                body
            }
            1 if choice & 0x80 == 0 => vec![self.input.byte() & 3, 0, 0, 0],
            2 => vec![self.input.byte(); usize::from(choice >> 6)],
            102 | 112 | 117 | 118 if choice & 0x80 == 0 => Vec::new(),
            // One message in a list.
            8 if choice & 0x80 == 0 => [&[1, 0, 6, 0, 0, 0][..], &[self.input.byte(), 0], &[0; 4]].concat(),
            _ => self.input.short_blob().to_vec(),
        };
        let seat = self.places[at].seat;
        if !self.careless && !self.migration.reads(&self.tracker, seat) {
            return;
        }
        let linked = self.places[at].linked && !self.places[at].pretended;
        let Some(body) = self
            .judged(at, Sender::Server, number, &body)
            .filter(|_| linked || self.careless)
        else {
            return;
        };
        let before = self.state();
        let place = &self.places[at];
        let (main, host, data_due) = (place.main(), place.host, place.data_due);
        let (at_target, channel) = (self.at_target(host), place.channel);
        let sub_list = if choice & 0x70 == 0x70 { u32::from(choice) } else { 0 };
        let message = frame(number, sub_list, &body);
        let pass = self
            .migration
            .server_message(self.now, &mut self.tracker, seat, &message);
        self.passed("s2c", &pass);
        let forwarded = matches!(pass, Pass::Forward | Pass::Bind(_));
        assert!(
            !matches!(pass, Pass::Drop | Pass::Instead(_)),
            "one message stays one message: {pass:?}"
        );
        if before == "End" {
            assert_eq!(pass, Pass::Refuse(Fault::Ended));
        } else if !linked {
            assert_eq!(pass, Pass::Refuse(Fault::OutOfOrder));
        } else if data_due && number != 2 {
            assert_eq!(pass, Pass::Refuse(Fault::NotAdjacent));
        }
        if main && (number == 8 || sub_list != 0) {
            assert!(
                !forwarded && !matches!(pass, Pass::Ask(_)),
                "{number} hides what is in it"
            );
        }
        let moves = matches!(before, "Idle" | "Connected");
        match (number, &pass) {
            (101 | 111 | 116, Pass::Ask(target)) if main => {
                assert!(moves && !at_target, "in {before}");
                assert!(!target.host.contains(&0) && target.subject.as_ref().is_none_or(|subject| !subject.is_empty()));
                let ports = [target.port, target.tls_port];
                assert!(ports.iter().flatten().all(|port| port.get() != u16::MAX));
                self.reach(format!("{:?}", target.kind));
                self.held = Some(Held { number, version });
                if let (116, Some(field)) = (number, body.get(20..24)) {
                    let version = field.try_into().expect("four bytes");
                    self.held = Some(Held {
                        number,
                        version: u32::from_le_bytes(version),
                    });
                }
            }
            (101 | 111 | 116, _) if main => assert!(!forwarded, "an address reaches the viewer"),
            (_, Pass::Ask(_)) => panic!("nothing is asked about {number}"),
            (103, Pass::Bind(id)) => {
                assert!(main && !at_target);
                assert_eq!(body.first_chunk(), Some(&id.to_le_bytes()));
                let known = self.tracker.snapshot(TOKEN).expect("it has begun");
                assert_eq!(known.session_id, *id, "the id is known before it is passed on");
                self.id = *id;
                self.row(before, "INIT");
            }
            (103, Pass::Forward) => assert!(!main),
            (_, Pass::Bind(_)) => panic!("an id in {number}"),
            (1, Pass::Forward) => {
                let source = self.current() == Some(host) && matches!(before, "Connected" | "Ending");
                assert!(
                    self.kind == Some(Kind::Seamless) && (source || self.from == Some(host)),
                    "in {before}"
                );
                if before == "Connected" {
                    (self.ending, self.from) = (true, Some(host));
                }
                let flags = body.first().copied().unwrap_or_default();
                let place = &mut self.places[at];
                (place.mark_due, place.data_due) = (flags & 1 != 0, flags & 2 != 0);
                self.row(before, "s2c 1");
            }
            (2, Pass::Forward) => {
                assert!(data_due);
                self.places[at].data_due = false;
                self.states.retain(|(other, _)| *other != channel);
                self.states.push((channel, body));
            }
            (102, Pass::Forward) if main => {
                assert!(!at_target && (moves || before == "Switch"), "in {before}");
                self.row(before, "s2c 102");
            }
            (112, Pass::Forward) if main => {
                let told = before == "Connected" && self.kind == Some(Kind::SemiSeamless);
                assert!(!at_target && told, "in {before}");
                self.ending = true;
                self.row(before, "s2c 112");
            }
            (117 | 118, Pass::Forward) if main => {
                assert!(at_target && before == "Opening" && self.kind == Some(Kind::Seamless));
                self.row(before, &format!("s2c {number}"));
            }
            _ => self.row(before, "s2c"),
        }
    }

    fn passed(&mut self, from: &str, pass: &Pass) {
        match pass {
            Pass::Refuse(fault) => self.reach(format!("{from} Refuse {fault:?}")),
            other => self.reach(format!("{from} {}", name(other))),
        }
    }

    /// The viewer says something.
    fn client(&mut self) {
        const NUMBERS: [u16; 12] = [102, 111, 103, 109, 110, 5, 4, 101, 3, 112, 1, 0];
        let Some(at) = self.place() else { return };
        let choice = self.input.byte();
        let number = match NUMBERS[usize::from(choice & 15) % 12] {
            0 => u16::from(self.input.byte()),
            number => number,
        };
        let channel = self.places[at].channel;
        let state = self.states.iter().find(|(other, _)| *other == channel);
        let body = match (number, state) {
            (5, Some((_, state))) if choice & 0x80 == 0 => state.clone(),
            (110, _) if choice & 0x80 == 0 => self.version.to_le_bytes().to_vec(),
            (101 | 3, _) => vec![0; if number == 3 { 12 } else { 14 }],
            (102 | 103 | 109 | 111 | 4, _) => Vec::new(),
            _ => self.input.short_blob().to_vec(),
        };
        let Some(body) = self.judged(at, Sender::Client, number, &body) else {
            return;
        };
        let before = self.state();
        let place = &mut self.places[at];
        let stands = place.linked && !place.pretended;
        let (seat, main, host, said) = (place.seat, place.main(), place.host, place.said);
        let (target, mark_due) = (place.target, place.mark_due);
        if stands && before != "End" {
            place.said += 1;
            place.mark_due &= number != 4;
            place.initialised |= number == 101 && channel.channel_type == ChannelType::DISPLAY;
        }
        let at_target = self.at_target(host);
        let message = frame(number, 0, &body);
        let pass = self
            .migration
            .client_message(self.now, &mut self.tracker, seat, &message);
        self.passed("c2s", &pass);
        assert!(!matches!(pass, Pass::Ask(_) | Pass::Bind(_)), "{pass:?} of a viewer's");
        if before == "End" {
            return assert_eq!(pass, Pass::Refuse(Fault::Ended));
        }
        if !stands {
            return assert_eq!(pass, Pass::Drop, "what is said to nobody");
        }
        let forwarded = pass == Pass::Forward;
        match number {
            4 => assert_eq!(forwarded, mark_due),
            5 => {
                let at = self.states.iter().position(|other| *other == (channel, body.clone()));
                let in_order = target
                    && said == u32::from(main)
                    && self.kind == Some(Kind::Seamless)
                    && self.from.is_some()
                    && (!(main && at_target) || matches!(before, "Connected" | "Ending"));
                assert_eq!(forwarded, in_order && at.is_some(), "in {before}");
                if let Some(at) = at.filter(|_| forwarded) {
                    self.states.swap_remove(at);
                    self.row(before, "c2s 5");
                }
            }
            109 if main => {
                let asked = before == "Ending" && at_target && self.kind == Some(Kind::SemiSeamless);
                assert_eq!(forwarded, asked, "in {before}");
                self.row(before, "c2s 109");
            }
            110 if main => {
                let asked = before == "Opening"
                    && at_target
                    && said == 0
                    && self.kind == Some(Kind::Seamless)
                    && body.first_chunk() == Some(&self.version.to_le_bytes());
                assert_eq!(forwarded, asked, "in {before}");
                self.row(before, "c2s 110");
            }
            102 | 103 | 111 if main => self.answered(before, number, at_target, &pass),
            _ => {
                assert!(forwarded, "{number}: {pass:?}");
                self.row(before, "c2s");
            }
        }
    }

    /// What a viewer says of a target: once for each that it was told.
    fn answered(&mut self, before: &'static str, number: u16, at_target: bool, pass: &Pass) {
        let succeeded = number != 103;
        let expected = match before {
            _ if at_target => Pass::Refuse(Fault::Unasked),
            "Switch" => Pass::Forward,
            "Told" if succeeded => Pass::Refuse(Fault::Unasked),
            "Opening" if number == 111 && self.kind != Some(Kind::Seamless) => Pass::Refuse(Fault::Unasked),
            "Opening" if succeeded && self.poisoned => Pass::Instead(103),
            "Told" | "Opening" => Pass::Forward,
            _ => Pass::Drop,
        };
        assert_eq!(*pass, expected, "{number} in {before}");
        let poisoned = if *pass == Pass::Instead(103) { ", poisoned" } else { "" };
        if number == 102 && before == "Opening" && *pass == Pass::Forward {
            self.kind = Some(Kind::SemiSeamless);
        }
        self.row(before, &format!("c2s {number}{poisoned}"));
        if matches!(before, "Told" | "Opening") && matches!(pass, Pass::Forward | Pass::Instead(_)) {
            assert!(
                matches!(self.state(), "Idle" | "Connected" | "End"),
                "it is answered for"
            );
            (self.dead, self.poisoned) = (false, false);
        }
    }

    /// The caller says whether the viewer may go there.
    fn answer(&mut self) {
        let (before, accepts) = (self.state(), self.input.byte() & 3 != 0);
        let held = self.held.take();
        let told = match accepts {
            true => self.migration.accept(self.now, &mut self.tracker).map(Some),
            false => self.migration.refuse(self.now, &mut self.tracker),
        };
        let Some(held) = held else {
            assert!(
                matches!(told, Err(Misuse::OutOfOrder(_))),
                "nothing was asked: {told:?}"
            );
            return self.row(before, "answer");
        };
        let word = if accepts { "accepted" } else { "refused" };
        match told {
            Ok(Some(body)) => {
                assert_eq!(
                    body,
                    self.endpoint.body(&held, accepts),
                    "the viewer is told of the proxy only"
                );
                self.kind = Some(match held.number {
                    101 => Kind::SemiSeamless,
                    116 => Kind::Seamless,
                    _ => Kind::SwitchHost,
                });
                (self.dead, self.poisoned) = (!accepts, false);
                (self.from, self.version, self.ending) = (None, held.version, false);
                self.states.clear();
            }
            Ok(None) => assert!(!accepts && held.number == 111),
            Err(error) => assert!(matches!(error, Misuse::NoSession | Misuse::OutOfOrder(_)), "{error}"),
        }
        self.row(before, &format!("{} {word}", held.number));
    }

    fn lose(&mut self) {
        let byte = self.input.byte();
        let Some(at) = self.place() else { return };
        let side = if byte & 1 == 0 { Side::Tenant } else { Side::Hypervisor };
        self.lost(at, side);
    }

    fn lost(&mut self, at: usize, side: Side) {
        let before = self.state();
        let place = &self.places[at];
        let at_target = self.at_target(place.host);
        let silent = place.linked
            && !place.pretended
            && place.channel.channel_type == ChannelType::DISPLAY
            && !place.target
            && !place.initialised
            && side == Side::Tenant;
        let (seat, main) = (place.seat, place.main());
        let stays = side == Side::Hypervisor && (place.pretended || (place.linked && at_target && before == "Opening"));
        let lost = self.migration.lost(self.now, &mut self.tracker, seat, side);
        self.reach(format!("Lost {lost:?}"));
        assert_eq!(lost == Lost::Pretend, stays, "in {before}");
        assert_eq!(
            lost == Lost::InitThenClose,
            silent && !stays && !matches!(lost, Lost::End | Lost::Wait)
        );
        if stays {
            self.poisoned |= at_target && before == "Opening";
            self.places[at].pretended = true;
            return self.row(before, "T link pretended");
        }
        self.places.remove(at);
        let event = match (main, at_target) {
            (true, false) => "S main lost",
            (true, true) => "T main lost",
            (false, false) => "S link lost",
            (false, true) => "T link lost",
        };
        match lost {
            Lost::End => assert_eq!(self.state(), "End"),
            Lost::Wait => assert!(matches!(before, "Connected" | "Ending" | "Switch"), "in {before}"),
            _ => {}
        }
        self.lost_row(before, event);
    }

    /// Time passes, by tenths of a second or up to the next deadline.
    fn time(&mut self) {
        let byte = self.input.byte();
        let deadlines = [self.migration.deadline(), self.tracker.deadline()];
        self.now = match (byte, deadlines.into_iter().flatten().min()) {
            (0xff, Some(deadline)) => self.now.max(deadline),
            _ => self.now + Duration::from_millis(u64::from(byte) * 100),
        };
        let before = self.state();
        while let Some(expired) = self.tracker.expire(self.now) {
            assert_eq!(expired, Expired::Session(TOKEN), "none is half open for long");
            self.row(before, if before == "Ending" { "10 s" } else { "main timeout" });
            self.close_all();
        }
        let before = self.state();
        let due = self.migration.deadline().is_some_and(|deadline| deadline <= self.now);
        self.migration.expire(self.now, &mut self.tracker);
        assert!(
            self.migration.deadline().is_none_or(|deadline| self.now < deadline),
            "what is due is done"
        );
        let event = match (due, before) {
            (true, "Told" | "Opening") => "8 s",
            (true, "Ending") => "10 s",
            _ => "time",
        };
        self.row(before, event);
    }

    /// The operator ends the session, now and then.
    fn end(&mut self) {
        if self.input.byte() != 0xee {
            return;
        }
        let running = self.tracker.phase(TOKEN).is_some();
        assert_eq!(self.tracker.end(TOKEN), running);
        self.ending = false;
        // What it would have answered is answered no more.
        for refused in [self.tracker.target_told(TOKEN), self.tracker.switch_told(TOKEN)] {
            assert_eq!(refused, Err(Misuse::NoSession));
        }
        for refused in [
            self.tracker.target_answered(TOKEN, true),
            self.tracker.target_dropped(TOKEN),
            self.tracker.moved(TOKEN),
        ] {
            assert_eq!(refused, Err(Misuse::NoSession));
        }
        self.reach("ended by the operator");
        if self.input.byte() & 1 == 0 {
            self.close_all();
        }
    }

    fn close_all(&mut self) {
        while !self.places.is_empty() {
            self.lost(0, Side::Tenant);
        }
    }

    /// A driver does what it is told.
    fn effects(&mut self) {
        let mut count = 0;
        while let Some(effect) = self.migration.poll_effect() {
            count += 1;
            assert!(count < 1000, "there is always more to do: {effect:?}");
            self.reach(format!("Effect {}", name(&effect)));
            let at = |seat| self.places.iter().position(|place| place.seat == seat);
            match effect {
                Effect::Close(seat) => {
                    if let Some(at) = at(seat) {
                        self.lost(at, Side::Tenant);
                    }
                }
                Effect::Pretend(seat) => {
                    let at = at(seat).expect("it was asked for");
                    let place = &mut self.places[at];
                    assert!(!place.dialled && !place.linked, "it has its result already");
                    place.pretended = true;
                    self.poisoned = true;
                }
                Effect::Cancel(seat) => {
                    let at = at(seat).expect("it was asked for");
                    assert!(self.places[at].main() && !self.at_target(self.places[at].host));
                }
                Effect::End => {
                    assert_eq!(self.state(), "End");
                    self.close_all();
                }
            }
        }
    }

    /// What holds at any time.
    fn look(&mut self) {
        let counts = self.tracker.counts();
        assert_eq!(counts.half_open, 0);
        assert_eq!(counts.links, self.places.len());
        assert!(counts.links <= LINKS && counts.sessions <= 1);
        let mut pairs: Vec<_> = self
            .tracker
            .links(TOKEN)
            .map(|(_, channel, host)| (channel.channel_type, channel.id, host))
            .collect();
        pairs.sort();
        pairs.dedup();
        assert_eq!(pairs.len(), counts.links, "a channel was placed twice");
        for place in &self.places {
            assert_eq!(self.migration.may_insert(place.seat), !place.data_due);
        }
        let answer_due = matches!(self.state(), "Told" | "Opening") || self.held.is_some();
        for place in self
            .places
            .iter()
            .filter(|place| place.main() && !self.at_target(place.host))
        {
            assert_eq!(self.migration.reads(&self.tracker, place.seat), !answer_due);
        }
    }
}
