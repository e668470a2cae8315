//! What a proxy runs on: several relays that share their sessions, as a sequence of operations.
//!
//! ```text
//! | settings u8 | chunk u8 | operations, each u8 (bits 0 to 3: what, 4 and 5: which connection, 6: which side) and what it takes |
//! ```
//!
//! Viewers, hypervisors and the caller do anything at any time. Two operations say what a viewer and a hypervisor say in
//! the link stage, and some what they say behind it, so that a search need not find it.
//!
//! The laws: a relay comes to rest, and then waits for something; its end is its end; no side is kept more bytes than the
//! limits let; a connection that was entered is reported once, and so is each claim, in the end; when all connections are
//! closed nothing is left in the tracker; and how the bytes come in pieces changes nothing.

mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use spice_proto::Limits;
use spice_proto::caps::Capabilities;
use spice_proto::frame::HeaderForm;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{PublicKey, Refusal, Secret, Side, SideBuffers};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Action, Config, End, NotEntered, Report, SessionQuestion};
use spice_proto::session::tracker::{self, Link, Peer};
use spice_proto::session::{Entry, Policy, Relay, SessionKey, Sessions};

use self::said::{hypervisor_opening, migration, viewer_opening};
use crate::Input;

const CONNECTIONS: usize = 4;
const OPERATIONS: usize = 300;
const SIDES: [Side; 2] = [Side::Tenant, Side::Hypervisor];
/// Main, display, inputs, cursor.
const CHANNELS: [u8; 4] = [1, 2, 3, 4];
/// The session is another proxy's, in place of a number.
const ELSEWHERE: u8 = 63;
/// Larger than a message that is let through, and what is read ahead.
const MOST: usize = 256 << 10;

fn limits() -> Limits {
    Limits::default()
        .with_link_message(256)
        .with_link_reply(512)
        .with_frame_body(32 << 10)
        .with_passed_body(64 << 10)
        .with_agent_message(4096)
        .with_link_timeout(Duration::from_secs(10))
}

fn config(settings: u8) -> Arc<Config> {
    let port = if settings & 1 == 0 { None } else { NonZeroU16::new(5910) };
    let endpoint = Endpoint::new("proxy.example", port, NonZeroU16::new(5911), Some("CN=proxy"));
    let policy = Settings::default().with_view_only(settings & 2 != 0);
    let mut config =
        Config::new(Arc::new(Policy::new(&policy)), endpoint.expect("a host and a port")).with_limits(limits());
    if settings & 4 != 0 {
        config = config.with_waived(Capabilities::spice_server(ChannelType::MAIN));
    }
    Arc::new(config)
}

fn public_key() -> PublicKey {
    PublicKey::from_der(*include_bytes!("../public-key.der"))
}

/// One connection, with what its peers have not been read of yet.
struct Line {
    relay: Relay,
    sides: SideBuffers,
    reads: [bool; 2],
    pending: [Vec<u8>; 2],
    told: [Vec<u8>; 2],
    question: Option<SessionQuestion>,
    /// The hypervisor's connection stands.
    hypervisor: bool,
    link: Link,
    entered: bool,
    woken: bool,
    end: Option<End>,
}

/// What is compared between two runs.
#[derive(Debug, PartialEq)]
struct Outcome {
    ends: Vec<Option<End>>,
    told: Vec<[Vec<u8>; 2]>,
    reports: Vec<Report>,
}

struct World {
    sessions: Sessions,
    config: Arc<Config>,
    now: Duration,
    chunk: usize,
    lines: Vec<Line>,
    /// Those that were made, and how often each was reported to have ended.
    claims: BTreeMap<u64, usize>,
    latest: SessionKey,
    /// By which hypervisors name the sessions.
    id: u32,
    entered: usize,
    reports: Vec<Report>,
    reached: BTreeSet<String>,
}

fn key_of(key: SessionKey) -> u64 {
    key.number()
}

impl World {
    fn new(settings: u8, chunk: usize) -> Self {
        let config = config(settings);
        let limits = tracker::Config::default()
            .with_sessions(3)
            .with_links(6)
            .with_channels(8)
            .with_link_timeout(Duration::from_secs(10))
            .with_main_timeout(Duration::from_secs(20));
        Self {
            sessions: Sessions::new(limits, [1; 16]),
            config,
            now: Duration::ZERO,
            chunk,
            lines: Vec::new(),
            claims: BTreeMap::new(),
            latest: SessionKey::new(0),
            id: 0x1234,
            entered: 0,
            reports: Vec::new(),
            reached: BTreeSet::new(),
        }
    }

    fn accept(&mut self) {
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            secure: true,
        };
        let relay = Relay::new(self.now, &mut self.sessions, peer, self.config.clone());
        let link = relay.link();
        self.lines.push(Line {
            relay,
            sides: SideBuffers::default(),
            reads: [false; 2],
            pending: [Vec::new(), Vec::new()],
            told: [Vec::new(), Vec::new()],
            question: None,
            hypervisor: false,
            link,
            entered: false,
            woken: true,
            end: None,
        });
    }

    /// Steps all connections until none has anything to do.
    fn run(&mut self) {
        for _ in 0..64 {
            self.polls();
            let Some(at) = self.lines.iter().position(|line| line.woken && line.end.is_none()) else {
                return;
            };
            self.lines[at].woken = false;
            self.step(at);
        }
        panic!("the connections wake each other for ever");
    }

    /// What the sessions have to say.
    fn polls(&mut self) {
        while let Some(link) = self.sessions.poll_wake() {
            for line in self.lines.iter_mut().filter(|line| line.link == link) {
                line.relay.wake();
                line.woken = true;
            }
        }
        while let Some(report) = self.sessions.poll_report() {
            if let Report::Ended { session, .. } = report {
                let ended = self.claims.get_mut(&key_of(session)).expect("it was claimed");
                *ended += 1;
                assert_eq!(*ended, 1, "an end is reported once");
            }
            self.reports.push(report);
        }
    }

    fn step(&mut self, at: usize) {
        let waiting: usize = self.lines[at].pending.iter().map(Vec::len).sum();
        for _ in 0..64 + 4 * waiting {
            let (now, line) = (self.now, &mut self.lines[at]);
            match line.relay.step(now, &mut line.sides) {
                Action::Synchronize => {
                    line.relay.synchronize(now, &mut self.sessions, &mut line.sides);
                    if line.relay.take_learnt().is_some() {
                        self.reached.insert("learnt".to_owned());
                    }
                    self.polls();
                    // It is stepped here.
                    self.lines[at].woken = false;
                }
                Action::Ask(question) => {
                    self.reached.insert(format!("asked: {}", name(&question)));
                    let before = line.question.replace(question);
                    assert!(before.is_none(), "one question at a time");
                }
                Action::Hangup => {
                    line.hypervisor = false;
                    line.pending[1].clear();
                    line.sides.hypervisor.rx.clear();
                }
                Action::Done(end) => {
                    self.ended(at, end);
                    return;
                }
                Action::Receive { tenant, hypervisor } => {
                    line.reads = [tenant, hypervisor];
                    if hypervisor && !line.hypervisor {
                        // A driver has nothing to read there: it is the end.
                        line.relay.eof(&mut line.sides, Side::Hypervisor);
                        continue;
                    }
                    if !line.moves(self.chunk) {
                        return;
                    }
                }
            }
            self.lines[at].look();
        }
        panic!("connection {at} does not come to rest");
    }

    fn ended(&mut self, at: usize, end: End) {
        let (now, line) = (self.now, &mut self.lines[at]);
        assert_eq!(
            line.relay.step(now, &mut line.sides),
            Action::Done(end),
            "an end is an end"
        );
        line.moves(0);
        line.relay.close(now, &mut self.sessions);
        let text = end.to_string();
        assert!(!text.is_empty());
        self.reached.insert(format!("end: {}", name(&end)));
        (line.end, line.question) = (Some(end), None);
        self.polls();
    }

    fn answer(&mut self, at: usize, how: u8) {
        let Some(line) = self.lines.get_mut(at).filter(|line| line.end.is_none()) else {
            return;
        };
        let Some(question) = line.question.take() else {
            return line.answer_wrongly(self.now, &mut self.sessions);
        };
        line.woken = true;
        let (relay, sides) = (&mut line.relay, &mut line.sides);
        let yes = how & 3 != 0;
        let answered = match question {
            SessionQuestion::Tenant(ServerQuestion::Link(request)) if yes => {
                let dials = self.sessions.inquiries(&request);
                assert!(dials.len() <= 4);
                let shown = Announcement {
                    public_key: public_key(),
                    capabilities: Capabilities::spice_server(request.channel_type),
                };
                relay
                    .tenant()
                    .and_then(|tenant| tenant.announce(&mut sides.tenant, shown))
            }
            SessionQuestion::Tenant(ServerQuestion::Ticket { .. }) if yes => return self.enter(at, how),
            SessionQuestion::Tenant(_) => relay.refuse(sides, Refusal::Code(LinkErrorCode::PERMISSION_DENIED)),
            SessionQuestion::Dial(_) | SessionQuestion::Elsewhere(_) if yes => {
                let upstream = Upstream {
                    ticket: Secret::new(b"ticket"),
                    oaep_seed: [1; 20],
                };
                let dialled = relay.dialled(sides, upstream);
                line.hypervisor = dialled.is_ok();
                dialled
            }
            SessionQuestion::Dial(_) | SessionQuestion::Elsewhere(_) => relay.unreachable(),
            SessionQuestion::BindSession { session, id } => {
                assert!(self.sessions.named(id).contains(&session));
                if yes { relay.bound(sides) } else { relay.not_bound() }
            }
            SessionQuestion::Target(_) if yes => relay.accept_target(self.now, &mut self.sessions, sides),
            SessionQuestion::Target(_) => relay.refuse_target(self.now, &mut self.sessions, sides),
            SessionQuestion::Identity(_) if yes => relay.accept_identity(),
            SessionQuestion::Identity(_) => relay.refuse_identity(),
        };
        // Its time may be over, or what it was about: no other way to be refused.
        if answered.is_err() {
            self.reached.insert("answered too late".to_owned());
        }
    }

    fn enter(&mut self, at: usize, how: u8) {
        let entry = match how & 3 {
            1 => {
                let claim = self.sessions.claim();
                self.latest = claim.key();
                self.claims.insert(key_of(claim.key()), 0);
                Entry::Open(claim)
            }
            2 => Entry::Join(self.latest),
            _ if how >> 2 == ELSEWHERE => Entry::Elsewhere,
            _ => Entry::Join(SessionKey::new(u64::from(how >> 2))),
        };
        let is_here = !matches!(entry, Entry::Elsewhere);
        let (now, line) = (self.now, &mut self.lines[at]);
        match line.relay.enter(now, &mut self.sessions, entry) {
            // Of what another proxy has there is no report here.
            Ok(()) if !is_here => assert!(line.relay.session().is_none(), "it is in none of these sessions"),
            Ok(()) => {
                line.entered = true;
                self.entered += 1;
            }
            Err(NotEntered::Reason(reason)) => {
                self.reached.insert(format!("not entered: {}", name(&reason)));
                line.relay
                    .refuse(&mut line.sides, Refusal::DENIED)
                    .expect("the question is open");
            }
            Err(NotEntered::Misuse(_)) => {}
        }
    }

    /// What a side says. It is delivered as the connection reads.
    fn says(&mut self, at: usize, side: usize, bytes: &[u8]) {
        if let Some(line) = self.lines.get_mut(at).filter(|line| line.end.is_none())
            && (side == 0 || line.hypervisor)
        {
            line.pending[side].extend_from_slice(bytes);
            line.woken = true;
        }
    }

    /// A message of the data stage.
    fn message(&mut self, at: usize, side: usize, number: u16, body: &[u8]) {
        let Some(outcome) = self.lines.get(at).and_then(|line| line.relay.outcome()) else {
            return;
        };
        let form = [outcome.tenant_form, outcome.hypervisor_form][side];
        let size = u32::try_from(body.len()).expect("small").to_le_bytes();
        let bytes = match form {
            HeaderForm::Mini => [&number.to_le_bytes()[..], &size, body].concat(),
            HeaderForm::Full => [&[0; 8][..], &number.to_le_bytes(), &size, &[0; 4], body].concat(),
        };
        self.says(at, side, &bytes);
    }

    /// A whole link, as it goes without trouble; `how` as for [`enter`](Self::enter).
    fn link(&mut self, at: usize, channel: u8, how: u8) {
        let id = if channel == 1 && how & 3 == 1 { 0 } else { self.id };
        self.says(at, 0, &viewer_opening(channel, id));
        for answer in [1, how, 1] {
            self.run();
            self.answer(at, answer);
        }
        self.says(at, 1, &hypervisor_opening(channel, 0));
        self.run();
        if channel == 1 {
            let mut init = self.id.to_le_bytes().to_vec();
            init.resize(32, 0);
            self.message(at, 1, 103, &init);
            self.run();
            self.answer(at, 1);
            let list = [&[4, 0, 0, 0][..], &[2, 0, 3, 0, 4, 0, 9, 0]].concat();
            self.message(at, 1, 104, &list);
        }
    }

    fn finish(&mut self) {
        for at in 0..self.lines.len() {
            let line = &mut self.lines[at];
            if line.end.is_none() {
                line.relay.stop(self.now, &mut self.sessions, &mut line.sides);
                line.woken = true;
            }
        }
        self.run();
        for line in self.lines.iter_mut().filter(|line| line.end.is_none()) {
            line.relay.close(self.now, &mut self.sessions);
        }
        self.polls();
        let links = self
            .reports
            .iter()
            .filter(|report| matches!(report, Report::Link { .. }));
        assert_eq!(links.count(), self.entered, "what was entered is reported once");
        self.sessions.end_all();
        self.sessions.expire(self.now + Duration::from_secs(3600));
        self.polls();
        assert!(self.claims.values().all(|ended| *ended == 1), "{:?}", self.claims);
        let counts = self.sessions.tracker().counts();
        assert_eq!((counts.links, counts.half_open), (0, 0), "nothing is left");
    }
}

impl Line {
    /// What is to be sent goes out, and the next piece comes in. Whether anything was moved.
    fn moves(&mut self, chunk: usize) -> bool {
        let mut moved = false;
        for (at, side) in SIDES.into_iter().enumerate() {
            let buffers = self.sides.side(side);
            moved |= !buffers.tx.is_empty();
            self.told[at].extend_from_slice(&buffers.tx.split());
            if self.reads[at] && chunk != 0 {
                let piece = chunk.min(self.pending[at].len());
                buffers.rx.extend(self.pending[at].drain(..piece));
                moved |= piece != 0;
            }
        }
        moved
    }

    fn look(&self) {
        let SideBuffers { tenant, hypervisor } = &self.sides;
        for held in [&tenant.rx, &tenant.tx, &hypervisor.rx, &hypervisor.tx] {
            assert!(held.len() <= MOST, "it keeps {} bytes", held.len());
        }
    }

    /// It waits for a peer, for an answer, or for a time.
    fn waits(&self) -> bool {
        self.end.is_some()
            || self.question.is_some()
            || self.reads != [false; 2]
            || self.relay.deadline() != Duration::MAX
    }

    /// Answers without a question change nothing.
    fn answer_wrongly(&mut self, now: Duration, sessions: &mut Sessions) {
        let (relay, sides) = (&mut self.relay, &mut self.sides);
        assert!(relay.unreachable().is_err() && relay.bound(sides).is_err() && relay.not_bound().is_err());
        assert!(relay.accept_target(now, sessions, sides).is_err());
        assert!(relay.refuse_target(now, sessions, sides).is_err());
    }
}

fn name(value: &impl std::fmt::Debug) -> String {
    let text = format!("{value:?}");
    text.split([' ', '{', ')']).next().unwrap_or_default().to_owned()
}

/// One run, and whether it may be compared with another: pieces do not matter only where no time passes and no peer hangs
/// up, since what is read by then differs.
fn run(data: &[u8], settings: u8, chunk: usize) -> (Outcome, bool, BTreeSet<String>) {
    let mut input = Input::new(data);
    let mut world = World::new(settings, chunk);
    let mut alike = true;
    for _ in 0..OPERATIONS {
        if input.is_empty() {
            break;
        }
        let operation = input.byte();
        let (at, side) = (usize::from(operation >> 4 & 3), usize::from(operation >> 6 & 1));
        match operation & 15 {
            0 if world.lines.len() < CONNECTIONS => world.accept(),
            0 | 1 => world.says(at, side, input.short_blob()),
            2 => {
                let (channel, which) = (CHANNELS[usize::from(input.byte() & 3)], input.byte());
                let bytes = match side {
                    0 => viewer_opening(channel, if which & 1 == 0 { 0 } else { world.id }),
                    _ => hypervisor_opening(channel, u32::from(which & 7)),
                };
                world.says(at, side, &bytes);
            }
            3 | 4 => world.answer(at, input.byte()),
            5 => {
                let channel = CHANNELS[usize::from(input.byte() & 3)];
                world.link(at, channel, input.byte());
            }
            6 => {
                let number = u16::from_le_bytes([input.byte(), input.byte() & 3]);
                world.message(at, side, number, input.short_blob());
            }
            7 => {
                let (number, body) = migration(input.byte() & 1 == 1);
                world.message(at, 1, number, &body);
            }
            8 => {
                // What a move consists of, and the first words of a channel.
                let (number, body): (u16, &[u8]) = [
                    (112, &[][..]),
                    (102, &[]),
                    (103, &[]),
                    (109, &[]),
                    (111, &[]),
                    (1, &[3, 0, 0, 0]),
                    (101, &[0; 14]),
                ][usize::from(input.byte() % 7)];
                world.message(at, side, number, body);
            }
            9 => {
                alike = false;
                if let Some(line) = world.lines.get_mut(at) {
                    line.pending[side].clear();
                    line.relay.eof(&mut line.sides, SIDES[side]);
                    line.woken = true;
                }
            }
            10 => {
                alike = false;
                world.now += Duration::from_millis(u64::from(input.byte()) * 50);
                world.sessions.expire(world.now);
                world.lines.iter_mut().for_each(|line| line.woken = true);
            }
            11 => {
                let _ = world.sessions.end(world.latest);
            }
            12 => {
                let claim = world.sessions.claim();
                world.claims.insert(key_of(claim.key()), 0);
                world.sessions.give_back(claim);
            }
            13 => {
                alike = false;
                if let Some(line) = world.lines.get_mut(at).filter(|line| line.end.is_none()) {
                    if side == 0 {
                        line.relay.stop(world.now, &mut world.sessions, &mut line.sides);
                        line.woken = true;
                    } else {
                        // A driver that is dropped.
                        line.relay.close(world.now, &mut world.sessions);
                        (line.end, line.question) = (Some(End::Session), None);
                    }
                }
            }
            14 => world.id = u32::from(input.byte()) + 1,
            _ => {
                if let Some(line) = world.lines.get_mut(at) {
                    line.relay
                        .restrict(Arc::new(Policy::new(&Settings::default().with_view_only(true))));
                }
            }
        }
        world.run();
        assert!(world.lines.iter().all(Line::waits), "one waits for nothing");
    }
    world.finish();
    let outcome = Outcome {
        ends: world.lines.iter().map(|line| line.end).collect(),
        told: world.lines.into_iter().map(|line| line.told).collect(),
        reports: world.reports,
    };
    (outcome, alike, world.reached)
}

/// Checks one input.
pub fn check(data: &[u8]) {
    reached(data);
}

/// Checks one input, and names what it reached: questions, ends, reasons.
pub fn reached(data: &[u8]) -> BTreeSet<String> {
    let mut input = Input::new(data);
    let (settings, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    let (whole, alike, reached) = run(input.rest(), settings, usize::MAX);
    if alike {
        assert_eq!(run(input.rest(), settings, chunk).0, whole);
    }
    reached
}
