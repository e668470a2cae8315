//! A world of viewers, and what the model knows of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::session::tracker::{Closed, Expired, Link, Misuse, Peer, Reason, Request, Snapshot, ticket_text};
use spice_proto::session::{Host, TargetAccess, Tracker};

use super::table::{
    Attempt, CHANNEL_MAIN, CHANNELS, FROM_ADDRESS, HALF_OPEN, Line, MAIN_TIMEOUT, SESSIONS, Session, Stage, TABLE,
    TIMEOUT, address, channel, config, token,
};

/// Where the choices come from.
struct Random<'a>(Box<dyn FnMut(usize) -> usize + 'a>);

impl Random<'_> {
    fn below(&mut self, n: usize) -> usize {
        (self.0)(n)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A half-open connection of the model: which one, from where, until when.
struct HalfOpen {
    number: usize,
    peer: Peer,
    deadline: Duration,
}

pub(super) struct World<'a> {
    random: Random<'a>,
    tracker: Tracker,
    now: Duration,
    sessions: Vec<Session>,
    half_open: Vec<HalfOpen>,
    /// All handles ever given out, by number.
    handles: Vec<Link>,
    pub(super) verdicts: BTreeMap<String, usize>,
    pub(super) steps: BTreeMap<&'static str, usize>,
}

impl<'a> World<'a> {
    /// `draw`: a number below the one that it is asked for, from wherever the sequence comes.
    pub(super) fn new(draw: impl FnMut(usize) -> usize + 'a) -> Self {
        Self {
            random: Random(Box::new(draw)),
            tracker: Tracker::new(config(), [3; 16]),
            now: Duration::ZERO,
            sessions: vec![Session::fresh(); SESSIONS + 2],
            half_open: Vec::new(),
            handles: Vec::new(),
            verdicts: BTreeMap::new(),
            steps: BTreeMap::new(),
        }
    }

    /// One operation, which the table judges as well.
    pub(super) fn turn(&mut self) {
        match self.random.below(20) {
            0..=4 => self.accept(),
            5..=10 => self.admit(),
            11 | 12 => self.main_says(),
            13 | 14 => self.migrate(),
            15 if self.random.one_in(2) => self.close(),
            16 if self.random.one_in(3) => self.time(),
            17 => self.forget(),
            _ => {}
        }
    }

    fn known(&self) -> usize {
        self.sessions.iter().filter(|session| session.known()).count()
    }

    fn count(&mut self, letter: char, reason: Reason) {
        *self.verdicts.entry(format!("({letter}) {reason:?}")).or_default() += 1;
    }

    fn accept(&mut self) {
        let peer = Peer {
            address: address(self.random.below(30).saturating_sub(24) as u32),
            secure: !self.random.one_in(12),
        };
        let from_address = self
            .half_open
            .iter()
            .filter(|open| open.peer.address == peer.address)
            .count();
        // The caller's limiter would not let it come.
        if HALF_OPEN <= self.half_open.len() || FROM_ADDRESS <= from_address {
            return;
        }
        let link = self.tracker.accept(self.now, peer);
        self.half_open.push(HalfOpen {
            number: self.handles.len(),
            peer,
            deadline: self.now + TIMEOUT,
        });
        self.handles.push(link);
    }

    /// A request that mostly fits the session, and sometimes is of each other kind.
    fn request(&mut self, session: &Session) -> Request {
        let other = self.random.below(self.sessions.len());
        let connection_id = match self.random.below(10) {
            0 => 0,
            1 => session.id ^ 1,
            2 => self.sessions[other].id,
            _ => session.id,
        };
        let kinds = [
            channel(2, 0),
            channel(3, 0),
            channel(4, 0),
            channel(5, 0),
            channel(9, 1),
            channel(2, 1),
        ];
        let (connection_id, channel) = match self.random.below(if session.id == 0 { 4 } else { 12 }) {
            0 => (0, channel(1, 0)),
            1 => (connection_id, channel(1, u8::from(self.random.one_in(3)))),
            2 => (connection_id, channel(11, self.random.below(3) as u8)),
            _ => (connection_id, kinds[self.random.below(kinds.len())]),
        };
        let (connection_id, channel) = match session.phase {
            TargetAccess::MainOnly | TargetAccess::AllChannels if self.random.one_in(4) => (session.id, CHANNEL_MAIN),
            TargetAccess::NewSession if self.random.one_in(4) => (0, CHANNEL_MAIN),
            _ => (connection_id, channel),
        };
        let mechanism = if self.random.one_in(25) {
            AuthMechanism::SASL
        } else {
            AuthMechanism::SPICE
        };
        Request {
            connection_id,
            channel,
            mechanism,
        }
    }

    fn ticket(&mut self) -> Vec<u8> {
        let mut ticket = b"0123456789abcdef".to_vec();
        match self.random.below(60) {
            0 => ticket.resize(61, b'x'),
            1 => ticket[7] = 0,
            2 => ticket[7] = 0xff,
            3 => ticket.resize(60, b'x'),
            _ => {}
        }
        ticket.push(0);
        ticket
    }

    fn admit(&mut self) {
        // An old handle now and then.
        let stale = self.random.one_in(40) && !self.handles.is_empty();
        let number = match (stale, self.half_open.len()) {
            (true, _) => self.random.below(self.handles.len()),
            (false, 0) => return self.accept(),
            (false, len) => self.half_open[self.random.below(len)].number,
        };
        let at = self.half_open.iter().position(|open| open.number == number);
        let (peer, late) = match at {
            Some(at) => (self.half_open[at].peer, self.half_open[at].deadline <= self.now),
            None => (
                Peer {
                    address: address(0),
                    secure: true,
                },
                true,
            ),
        };
        let n = self.random.below(self.sessions.len());
        let session = self.sessions[n].clone();
        let request = self.request(&session);
        // Mostly from where the session is.
        let ticket = self.ticket();
        let attempt = Attempt {
            token: &session,
            request,
            peer,
            ticket: &ticket,
            late,
            sessions: self.known(),
        };
        let verdict = TABLE.iter().find(|(_, applies, _)| applies(&attempt));
        let link = self.handles[number];
        let answer = ticket_text(&ticket).map_err(Reason::from);
        if answer.is_err() {
            let closed = self.tracker.close(self.now, link);
            if at.is_none() {
                // An old handle that names a connection in a session must not be closed here unseen.
                return self.closed(number, closed);
            }
        } else if session.known() {
            self.elsewhere(&attempt, n, verdict);
        }
        let answer = answer.and_then(|_| self.tracker.admit(self.now, link, token(n), request));
        assert_eq!(
            answer.err(),
            verdict.map(|(_, _, reason)| *reason),
            "{request:?} from {peer:?} in {session:?}"
        );
        if let Some(at) = at {
            self.half_open.remove(at);
        }
        if let Some((letter, _, reason)) = verdict {
            return self.count(*letter, *reason);
        }
        let admission = answer.unwrap();
        let (host, replaces) = if session.known() {
            (attempt.place().0, attempt.replaces())
        } else {
            (Host(0), false)
        };
        assert_eq!((admission.host, admission.replaces), (host, replaces));
        let session = &mut self.sessions[n];
        if replaces {
            *session = Session {
                stage: Stage::Claimed,
                address: session.address,
                secure: session.secure,
                links: session.links.clone(),
                host,
                target: host,
                ..Session::fresh()
            };
        }
        if !session.known() {
            *session = Session {
                stage: Stage::Claimed,
                address: peer.address,
                secure: peer.secure,
                ..Session::fresh()
            };
        }
        session.links.insert(number, (request.channel, host));
        if request.channel.channel_type == ChannelType::MAIN {
            if host == session.host {
                session.main = Some(number);
            } else {
                (session.target_main, session.target_used) = (Some(number), true);
            }
        }
    }

    /// Another process that was told of the session gives the same verdict.
    fn elsewhere(&mut self, attempt: &Attempt<'_>, n: usize, verdict: Option<&Line>) {
        let counted = matches!(verdict, Some((_, _, Reason::Late | Reason::TooManyLinks)));
        if counted || !self.random.one_in(4) {
            return;
        }
        let snapshot = self.tracker.snapshot(token(n)).unwrap();
        let mut bytes = BytesMut::from(&b"before"[..]);
        snapshot.encode(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 6 + snapshot.encoded_len());
        assert_eq!(Snapshot::decode_slice(&bytes[6..]).as_ref(), Ok(&snapshot));
        for cut in 0..snapshot.encoded_len() {
            assert!(Snapshot::decode_slice(&bytes[6..6 + cut]).is_err());
        }
        let mut other = Tracker::new(config(), [4; 16]);
        other.restore(token(n), &snapshot).unwrap();
        assert_eq!(other.snapshot(token(n)), Some(snapshot));
        let link = other.accept(self.now, attempt.peer);
        let answer = other.admit(self.now, link, token(n), attempt.request);
        assert_eq!(answer.err(), verdict.map(|(_, _, reason)| *reason));
        if let Ok(admission) = answer {
            assert_eq!(admission.host, attempt.place().0);
        }
        self.step("restored elsewhere");
    }

    fn step(&mut self, name: &'static str) {
        *self.steps.entry(name).or_default() += 1;
    }

    /// A connection of a random session, and which one.
    fn some_link(&mut self, n: usize) -> Option<usize> {
        let numbers: Vec<usize> = self.sessions[n].links.keys().copied().collect();
        (!numbers.is_empty()).then(|| numbers[self.random.below(numbers.len())])
    }

    fn close(&mut self) {
        let n = self.random.below(self.sessions.len());
        let number = match self.random.below(8) {
            0 if self.random.one_in(4) => self.sessions[n].main,
            1 => self.sessions[n].target_main,
            _ => self.some_link(n),
        };
        let Some(number) = number else { return };
        let closed = self.tracker.close(self.now, self.handles[number]);
        self.closed(number, closed);
    }

    /// The model's own view of the end of a connection.
    fn closed(&mut self, number: usize, answer: Result<Closed, Misuse>) {
        let Some(session) = self
            .sessions
            .iter_mut()
            .find(|session| session.links.contains_key(&number))
        else {
            assert_eq!(answer, Err(Misuse::NoLink));
            return;
        };
        session.links.remove(&number);
        let (main, target) = (session.main == Some(number), session.target_main == Some(number));
        session.main = session.main.filter(|_| !main);
        session.target_main = session.target_main.filter(|_| !target);
        let moving = match session.phase {
            TargetAccess::Closed => session.target_main.is_some(),
            TargetAccess::NewSession => true,
            _ => false,
        };
        let ends = (main && !moving) || (target && session.main.is_none());
        let closed = match (ends && session.running(), main && session.running()) {
            (true, _) => {
                session.end();
                Closed::Session
            }
            (false, true) => {
                session.lost = Some(self.now + MAIN_TIMEOUT);
                Closed::Main
            }
            _ => Closed::Link,
        };
        assert_eq!(answer, Ok(closed));
    }

    /// What the main channel says.
    fn main_says(&mut self) {
        let n = self.random.below(self.sessions.len());
        let number = match self.random.below(6) {
            0 => self.some_link(n),
            _ => self.sessions[n].main,
        };
        let Some(number) = number else { return };
        let link = self.handles[number];
        let id = if self.random.one_in(20) {
            0
        } else {
            2 + 2 * self.random.below(4) as u32
        };
        let init = self.random.one_in(2);
        let channels: Vec<ChannelId> = (0..self.random.below(12))
            .map(|_| {
                [
                    channel(2, 0),
                    channel(3, 0),
                    channel(4, 0),
                    channel(5, 0),
                    channel(9, 1),
                    channel(9, 1),
                    channel(11, 0),
                    channel(11, 1),
                ][self.random.below(8)]
            })
            .collect();
        let session = &mut self.sessions[n];
        let expected = match session {
            _ if !session.running() => Err(Misuse::NoSession),
            _ if session.main != Some(number) => Err(Misuse::NotMain),
            _ if init && id == 0 => Err(Misuse::ZeroId),
            _ => Ok(()),
        };
        if init {
            assert_eq!(self.tracker.bind(link, id), expected);
            if expected.is_ok() {
                (session.stage, session.id) = (Stage::Bound, id);
            }
            return;
        }
        let mut left_out = 0;
        let mut announced = session.announced.clone();
        for channel in &channels {
            let known = announced.contains(channel);
            if !known && announced.len() < CHANNELS {
                announced.push(*channel);
            } else {
                left_out += usize::from(!known);
            }
        }
        assert_eq!(self.tracker.announce(link, &channels), expected.map(|()| left_out));
        if expected.is_ok() {
            session.announced = announced;
        }
    }

    fn migrate(&mut self) {
        let n = self.random.below(self.sessions.len());
        let name = token(n);
        let session = &mut self.sessions[n];
        let phase = session.phase;
        let order = |fits| match session.running() {
            false => Err(Misuse::NoSession),
            true if fits => Ok(()),
            true => Err(Misuse::OutOfOrder(phase)),
        };
        let bound = session.stage == Stage::Bound;
        match self.random.below(9) {
            0 | 1 => {
                let expected = order(bound && matches!(phase, TargetAccess::NoTarget | TargetAccess::Closed));
                let answer = self.tracker.target_told(name);
                assert_eq!(answer.map(drop), expected);
                if expected.is_ok() {
                    assert_eq!(answer, Ok(session.next_target(TargetAccess::MainOnly)));
                    self.step("target told");
                }
            }
            2 | 3 if session.target_main.is_some() => {
                self.tracker.linked(self.handles[session.target_main.unwrap()]).unwrap();
                if phase == TargetAccess::MainOnly {
                    session.phase = TargetAccess::AllChannels;
                    self.step("target's main linked");
                }
            }
            4 => {
                let expected = order(phase == TargetAccess::AllChannels);
                assert_eq!(self.tracker.target_answered(name, true), expected);
                if expected.is_ok() {
                    session.phase = TargetAccess::Closed;
                    self.step("connected");
                }
            }
            5 if self.random.one_in(8) => {
                let expected = order(matches!(phase, TargetAccess::MainOnly | TargetAccess::AllChannels));
                assert_eq!(self.tracker.target_answered(name, false), expected);
                if expected.is_ok() {
                    session.drop_target();
                    self.step("connect error");
                }
            }
            6 if self.random.one_in(12) => {
                let expected = order(matches!(
                    phase,
                    TargetAccess::MainOnly | TargetAccess::AllChannels | TargetAccess::Closed
                ));
                assert_eq!(self.tracker.target_dropped(name), expected);
                if expected.is_ok() {
                    session.drop_target();
                    self.step("cancelled");
                }
            }
            7 => {
                let expected = order(phase == TargetAccess::Closed && session.target_main.is_some());
                assert_eq!(self.tracker.moved(name), expected);
                if expected.is_ok() {
                    (session.main, session.host, session.lost) = (session.target_main, session.target, None);
                    session.drop_target();
                    self.step("moved");
                }
            }
            8 if self.random.one_in(8) => {
                let expected = order(bound);
                let answer = self.tracker.switch_told(name);
                assert_eq!(answer.map(drop), expected);
                if expected.is_ok() {
                    assert_eq!(answer, Ok(session.next_target(TargetAccess::NewSession)));
                    self.step("switch told");
                }
            }
            _ => {}
        }
    }

    fn time(&mut self) {
        self.now += Duration::from_millis(self.random.below(400) as u64);
        if self.random.one_in(6) {
            return;
        }
        let due = |deadline: &Duration| *deadline <= self.now;
        let mut expected: Vec<String> = Vec::new();
        self.half_open.retain(|open| {
            let late = due(&open.deadline);
            if late {
                expected.push(format!("{:?}", Expired::Link(self.handles[open.number])));
            }
            !late
        });
        for (n, session) in self.sessions.iter_mut().enumerate() {
            if session.running() && session.lost.as_ref().is_some_and(due) {
                session.end();
                expected.push(format!("{:?}", Expired::Session(token(n))));
            }
        }
        let mut expired: Vec<String> = std::iter::from_fn(|| self.tracker.expire(self.now))
            .map(|expired| format!("{expired:?}"))
            .collect();
        expired.sort();
        expected.sort();
        assert_eq!(expired, expected);
        assert!(self.tracker.deadline().is_none_or(|deadline| self.now < deadline));
    }

    fn forget(&mut self) {
        let n = self.random.below(self.sessions.len());
        // Mostly those that are of no use any more.
        if self.sessions[n].running() && !self.random.one_in(300) {
            return;
        }
        let known = self.sessions[n].known();
        if self.random.one_in(12) {
            assert_eq!(self.tracker.end(token(n)), self.sessions[n].running());
            if known {
                self.sessions[n].end();
            }
            return;
        }
        assert_eq!(self.tracker.forget(token(n)), known);
        self.sessions[n] = Session::fresh();
    }

    /// The tracker holds what the model holds, within what it is configured for.
    pub(super) fn compare(&self) {
        let counts = self.tracker.counts();
        assert!(counts.sessions <= SESSIONS && counts.half_open <= HALF_OPEN);
        let links = self.sessions.iter().map(|session| session.links.len()).sum();
        assert_eq!((counts.sessions, counts.links), (self.known(), links));
        assert_eq!(counts.half_open, self.half_open.len());
        for (n, session) in self.sessions.iter().enumerate() {
            let phase = session.running().then_some(session.phase);
            assert_eq!(self.tracker.target_access(token(n)), phase);
            if session.known() {
                assert_eq!(self.tracker.host(token(n)), Some(session.host));
            }
            let mut here: Vec<_> = self
                .tracker
                .links(token(n))
                .map(|(_, channel, host)| (channel.channel_type, channel.id, host))
                .collect();
            let mut expected: Vec<_> = session
                .links
                .values()
                .map(|(channel, host)| (channel.channel_type, channel.id, *host))
                .collect();
            here.sort();
            expected.sort();
            assert_eq!(here, expected);
            // No channel stands on one host twice.
            here.dedup();
            assert_eq!(here.len(), expected.len(), "{here:?}");
        }
    }
}
