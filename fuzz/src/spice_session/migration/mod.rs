//! One session that moves, with a policy in the path of its messages.
//!
//! The world plays viewer, hypervisors and driver as the input says, in any order. What it knows is small: which
//! connections there are, what was said on them, and [`TABLE`], the states of a session with what leads from
//! one to the next. What passes is held against that: nothing that was not asked for reaches a hypervisor, and what a
//! viewer receives about a target is, byte for byte, what is written here from the proxy's own endpoint.

mod said;
mod table;

pub(super) use table::TABLE;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::num::NonZeroU16;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::link::Sender;
use spice_proto::link::Side;
use spice_proto::session::migration::{Answer, ConnectionHandle, Effect, Endpoint, Kind, Lost, Migration};
use spice_proto::session::policy::{Settings, Withheld};
use spice_proto::session::tracker::{Config, Expired, Misuse, Peer, Request};
use spice_proto::session::{Host, Policy, PolicyFilter, Reason, SessionKey, Snapshot, TargetAccess, Tracker};

use self::table::{Held, PROXY, Said};
use super::name;
use crate::Input;

/// A session of two hosts needs about forty.
const OPERATIONS: usize = 400;
const TOKEN: SessionKey = SessionKey::new(7);
/// Of main and of other channels; the last is announced in no list that is made here.
const CHANNELS: [(u8, u8); 8] = [(1, 0), (2, 0), (3, 0), (4, 0), (9, 0), (11, 0), (2, 1), (1, 1)];
const LINKS: usize = 12;
const MAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection.
#[derive(Debug)]
struct Place {
    seat: ConnectionHandle,
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
    gates: [PolicyFilter; 2],
}

impl Place {
    fn main(&self) -> bool {
        self.channel.channel_type == ChannelType::MAIN
    }
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
    /// The target was refused: its connections are, too.
    dead: bool,
    poisoned: bool,
    ending: bool,
    /// The host that a seamless move comes from.
    from: Option<Host>,
    states: Vec<(ChannelId, Vec<u8>)>,
    reached: BTreeSet<String>,
}

pub(super) fn sequence(mut input: Input<'_>) -> BTreeSet<String> {
    let settings = input.byte();
    let port = |port: u16| NonZeroU16::new(port);
    let endpoint = Said {
        port: if settings & 1 == 0 { 0 } else { 5910 },
        tls_port: 5911,
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
    let told = Endpoint::new(PROXY, port(endpoint.port), port(endpoint.tls_port), endpoint.subject);
    let config = Config::default()
        .with_links(LINKS)
        .with_channels(6)
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
        match self.tracker.target_access(TOKEN) {
            None if self.begun => "End",
            None => "Fresh",
            Some(TargetAccess::NoTarget) => "Idle",
            Some(TargetAccess::MainOnly) => "Told",
            Some(TargetAccess::AllChannels) => "Opening",
            Some(TargetAccess::Closed) if self.ending => "Ending",
            Some(TargetAccess::Closed) => "Connected",
            Some(TargetAccess::NewSession) => "Switch",
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
        if !matches!(self.tracker.target_access(TOKEN), Some(TargetAccess::Closed)) {
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
        let link = self.tracker.accept(self.now, peer);
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
                let gate = |sender| PolicyFilter::new(channel.channel_type, sender, &Limits::default());
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
        let link = other.accept(self.now, peer);
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
            Answer::Refuse | Answer::Close => {
                self.places.remove(at);
                self.held = self.held.take().filter(|_| !main || at_target);
            }
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
                assert_eq!(body, self.endpoint.body(&held), "the viewer is told of the proxy only");
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
        let newest = self
            .tracker
            .snapshot(TOKEN)
            .is_some_and(|snapshot| snapshot.last_host == place.host);
        let fails = place.linked && !place.pretended && at_target && newest && before == "Opening";
        let stays = side == Side::Hypervisor && (place.pretended || fails);
        let lost = self.migration.lost(self.now, &mut self.tracker, seat, side);
        self.reach(format!("Lost {lost:?}"));
        assert_eq!(lost == Lost::Pretend, stays, "in {before}");
        assert_eq!(
            lost == Lost::InitThenClose,
            silent && !stays && !matches!(lost, Lost::End | Lost::Wait)
        );
        if stays {
            self.poisoned |= fails;
            self.places[at].pretended = true;
            return self.row(before, "T link pretended");
        }
        self.places.remove(at);
        self.held = self.held.take().filter(|_| !main || at_target);
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
        let running = self.tracker.target_access(TOKEN).is_some();
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

    /// Does what the machine asks a driver to do.
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
