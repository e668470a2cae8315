//! Ten thousand hostile connections, and honest sessions beside them that work and move all the time.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::link::Side;
use spice_proto::session::migration::{Answer, ConnectionHandle, Effect, Fault, Migration, Pass};
use spice_proto::session::tracker::{Config, Expired, Peer, Reason, Request, TicketFault, ticket_text};
use spice_proto::session::{Host, SessionKey, TargetAccess, Tracker};

use crate::migration::{begin, endpoint, frame, init};

const HONEST: u8 = 8;
const SESSIONS: usize = 24;
const LINKS: usize = 16;
const HALF_OPEN: usize = 48;
const LINK_TIMEOUT: Duration = Duration::from_secs(10);
/// Besides main: display, inputs, cursor, usbredir.
const CHANNELS: [(u8, u8); 4] = [(2, 0), (3, 0), (4, 0), (9, 0)];
const FORWARD: Pass = Pass::Forward;

fn config() -> Config {
    Config::default()
        .with_sessions(SESSIONS)
        .with_links(LINKS)
        .with_channels(8)
        .with_link_timeout(LINK_TIMEOUT)
        .with_one_address(true)
}

fn channel((kind, id): (u8, u8)) -> ChannelId {
    ChannelId {
        channel_type: ChannelType(kind),
        id,
    }
}

fn request(connection_id: u32, pair: (u8, u8)) -> Request {
    Request {
        connection_id,
        channel: channel(pair),
        mechanism: AuthMechanism::SPICE,
    }
}

fn peer(n: u8) -> Peer {
    Peer {
        address: Ipv4Addr::new(10, 0, 0, n).into(),
        secure: true,
    }
}

/// A session that does nothing wrong.
struct Honest {
    n: u8,
    token: SessionKey,
    id: u32,
    migration: Migration,
    main: ConnectionHandle,
    others: Vec<ConnectionHandle>,
    moves: usize,
    messages: usize,
}

impl Honest {
    fn open(&mut self, tracker: &mut Tracker, now: Duration, id: u32, pair: (u8, u8)) -> (ConnectionHandle, Host) {
        let link = tracker.accept(now, peer(self.n));
        let admitted = self.migration.admit(now, tracker, link, request(id, pair));
        let (seat, admission) = admitted.unwrap_or_else(|reason| panic!("{}: {reason}", self.n));
        assert_eq!(self.migration.dialled(now, tracker, seat, true), Answer::Accept);
        (seat, admission.host)
    }

    fn open_others(&mut self, tracker: &mut Tracker, now: Duration, host: Host) -> Vec<ConnectionHandle> {
        CHANNELS
            .map(|pair| {
                let (seat, at) = self.open(tracker, now, self.id, pair);
                assert_eq!(at, host);
                seat
            })
            .into()
    }

    fn new(tracker: &mut Tracker, now: Duration, n: u8) -> Self {
        let token = SessionKey::new(n.into());
        let mut migration = Migration::new(token, endpoint());
        let link = tracker.accept(now, peer(n));
        let main = migration.admit(now, tracker, link, request(0, (1, 0))).unwrap().0;
        assert_eq!(migration.dialled(now, tracker, main, true), Answer::Accept);
        let mut honest = Self {
            n,
            token,
            id: 0x1000 + u32::from(n),
            migration,
            main,
            others: Vec::new(),
            moves: 0,
            messages: 0,
        };
        let id = honest.id;
        assert_eq!(honest.server(tracker, now, honest.main, 103, &init(id)), Pass::Bind(id));
        honest.list(tracker, now);
        honest.others = honest.open_others(tracker, now, Host(0));
        assert_eq!(honest.client(tracker, now, honest.others[0], 101, &[0; 14]), FORWARD);
        honest
    }

    fn list(&mut self, tracker: &mut Tracker, now: Duration) {
        let mut list = vec![CHANNELS.len() as u8, 0, 0, 0];
        list.extend(CHANNELS.iter().flat_map(|(kind, id)| [*kind, *id]));
        // Announced again: it counts once.
        assert_eq!(self.server(tracker, now, self.main, 104, &list), FORWARD);
    }

    fn server(
        &mut self,
        tracker: &mut Tracker,
        now: Duration,
        seat: ConnectionHandle,
        number: u16,
        body: &[u8],
    ) -> Pass {
        self.messages += 1;
        self.migration.server_message(now, tracker, seat, &frame(number, body))
    }

    fn client(
        &mut self,
        tracker: &mut Tracker,
        now: Duration,
        seat: ConnectionHandle,
        number: u16,
        body: &[u8],
    ) -> Pass {
        self.messages += 1;
        self.migration.client_message(now, tracker, seat, &frame(number, body))
    }

    /// Pictures, keys, a channel that closes and comes again.
    fn work(&mut self, tracker: &mut Tracker, now: Duration) {
        let host = tracker.host(self.token).unwrap();
        assert_eq!(self.server(tracker, now, self.others[0], 304, &[0; 60]), FORWARD);
        assert_eq!(self.client(tracker, now, self.others[1], 101, &[0; 4]), FORWARD);
        let usb = self.others[3];
        self.migration.lost(now, tracker, usb, Side::Tenant);
        self.list(tracker, now);
        let (seat, at) = self.open(tracker, now, self.id, CHANNELS[3]);
        assert_eq!(at, host);
        self.others[3] = seat;
    }

    /// The guest moves, and the viewer with it.
    fn travel(&mut self, tracker: &mut Tracker, now: Duration) {
        let (number, body) = begin(false);
        let before = tracker.host(self.token).unwrap();
        assert!(matches!(
            self.server(tracker, now, self.main, number, &body),
            Pass::Ask(_)
        ));
        self.migration.accept(now, tracker).unwrap();
        let (main, host) = self.open(tracker, now, self.id, (1, 0));
        assert!(before < host);
        let others = self.open_others(tracker, now, host);
        let (old, leaving) = (self.main, std::mem::replace(&mut self.others, others));
        assert_eq!(self.client(tracker, now, old, 102, &[]), FORWARD);
        assert_eq!(self.server(tracker, now, old, 112, &[]), FORWARD);
        assert_eq!(self.client(tracker, now, main, 109, &[]), FORWARD);
        for seat in leaving.into_iter().chain([old]) {
            self.migration.lost(now, tracker, seat, Side::Hypervisor);
        }
        self.main = main;
        assert_eq!(tracker.host(self.token), Some(host));
        self.moves += 1;
    }
}

/// An attacker with stolen tokens, at the addresses that these are used from, and with tokens of its own.
struct Hostile {
    /// A session of its own, whose hypervisor is hostile as well.
    own: Honest,
    counts: BTreeMap<String, usize>,
}

impl Hostile {
    fn refused(&mut self, why: impl std::fmt::Debug) {
        *self.counts.entry(format!("{why:?}")).or_default() += 1;
    }

    /// One connection, and what it is refused with.
    fn link(&mut self, tracker: &mut Tracker, now: Duration, turn: usize, victim: &Honest) {
        let secure = peer(victim.n);
        let plain = Peer {
            secure: false,
            ..secure
        };
        let (id, token) = (victim.id, victim.token);
        let sasl = Request {
            mechanism: AuthMechanism::SASL,
            ..request(id, (2, 0))
        };
        let fresh = SessionKey::new(0xf0);
        let (from, token, asks, reason) = match turn % 12 {
            0 => (secure, token, request(0, (1, 0)), Reason::Replayed),
            1 => (
                secure,
                token,
                request(id ^ 1 << (turn % 31), (2, 0)),
                Reason::WrongConnectionId,
            ),
            2 => (secure, token, request(0, (2, 0)), Reason::NoConnectionId),
            3 => (secure, token, request(id, (11, 0)), Reason::NotAnnounced),
            4 => (secure, token, request(id, CHANNELS[turn / 12 % 4]), Reason::Duplicate),
            5 => (secure, token, request(id, (1, 0)), Reason::NoMigration),
            6 => (plain, token, request(id, (2, 0)), Reason::Downgrade),
            7 => (peer(200), token, request(id, (2, 0)), Reason::OtherAddress),
            8 => (secure, token, sasl, Reason::Sasl),
            9 => (peer(201), fresh, request(id, (2, 0)), Reason::NotBound),
            10 => (peer(201), SessionKey::new(0xee), request(0, (1, 0)), Reason::Ended),
            // The tracker is full of sessions that were begun and left.
            _ => (peer(202), fresh, request(0, (1, 0)), Reason::TooManySessions),
        };
        let link = tracker.accept(now, from);
        assert_eq!(tracker.admit(now, link, token, asks), Err(reason), "{asks:?}");
        self.refused(reason);
    }

    /// Tickets that no viewer sends.
    fn ticket(&mut self, turn: usize) {
        let (ticket, fault): (&[u8], _) = match turn % 3 {
            0 => (&[b'x'; 61], TicketFault::TooLong),
            1 => (b"token\0else", TicketFault::Nul),
            _ => (b"tok\xffen", TicketFault::NotUtf8),
        };
        assert_eq!(ticket_text(ticket), Err(fault));
        self.refused(Reason::Ticket(fault));
    }

    /// Connections that say nothing until they are late.
    fn half_open(&mut self, tracker: &mut Tracker, now: &mut Duration, turn: usize) {
        let mut waiting = Vec::new();
        for n in 0..2 * HALF_OPEN {
            let from = peer(210 + (turn % 2 * n % 7) as u8);
            waiting.push(tracker.accept(*now, from));
        }
        *now += LINK_TIMEOUT;
        for (n, link) in waiting.into_iter().enumerate() {
            if n % 2 == 0 {
                let late = tracker.admit(*now, link, SessionKey::new(1), request(0, (2, 0)));
                assert_eq!(late, Err(Reason::Late));
                self.refused(Reason::Late);
            } else {
                assert_eq!(tracker.expire(*now), Some(Expired::Link(link)));
                self.refused("Expired");
            }
        }
        assert_eq!(tracker.expire(*now), None);
    }

    /// What a viewer and a hypervisor say that have agreed to be bad.
    fn say(&mut self, tracker: &mut Tracker, now: Duration, turn: usize) {
        let own = &mut self.own;
        let (main, display) = (own.main, own.others[0]);
        let (number, body) = begin(true);
        let pass = match turn % 8 {
            0 => own.client(tracker, now, display, 4, &[]),
            1 => own.client(tracker, now, main, 110, &[1, 0, 0, 0]),
            2 => own.client(tracker, now, display, 5, &[1, 2, 3]),
            3 => own.client(tracker, now, main, 109, &[]),
            4 => own.server(tracker, now, display, 2, &[0; 50]),
            5 => own.server(tracker, now, main, 8, &[1, 0, 6, 0, 0, 0, 101, 0, 0, 0, 0, 0]),
            6 => own.server(tracker, now, main, 112, &[]),
            _ => own.server(tracker, now, main, number, &body[..19]),
        };
        let Pass::Refuse(fault) = pass else {
            panic!("{turn}: {pass:?}")
        };
        self.refused(fault);
    }

    /// A migration to a forbidden target: the viewer gets the proxy's address as the target, and is refused there.
    fn forbidden(&mut self, tracker: &mut Tracker, now: Duration) {
        let own = &mut self.own;
        let (number, body) = begin(true);
        assert!(matches!(
            own.server(tracker, now, own.main, number, &body),
            Pass::Ask(_)
        ));
        own.migration.refuse(now, tracker).unwrap().unwrap();
        let link = tracker.accept(now, peer(own.n));
        let refused = own.migration.admit(now, tracker, link, request(own.id, (1, 0)));
        assert_eq!(refused.unwrap_err(), Reason::NoMigration);
        assert_eq!(own.client(tracker, now, own.main, 103, &[]), FORWARD);
        assert_eq!(tracker.target_access(own.token), Some(TargetAccess::NoTarget));
        self.refused("a forbidden target");
    }

    /// A move, with a state that the source did not send.
    fn forge(&mut self, tracker: &mut Tracker, now: Duration) {
        let own = &mut self.own;
        let (number, body) = begin(true);
        assert!(matches!(
            own.server(tracker, now, own.main, number, &body),
            Pass::Ask(_)
        ));
        own.migration.accept(now, tracker).unwrap();
        let (main, host) = own.open(tracker, now, own.id, (1, 0));
        assert_eq!(own.client(tracker, now, main, 110, &[1, 0, 0, 0]), FORWARD);
        let (display, _) = own.open(tracker, now, own.id, CHANNELS[0]);
        assert_eq!(own.client(tracker, now, own.main, 111, &[]), FORWARD);
        for (seat, state) in [(own.others[0], [1; 40]), (own.main, [2; 40])] {
            assert_eq!(own.server(tracker, now, seat, 1, &[3, 0, 0, 0]), FORWARD);
            assert_eq!(own.server(tracker, now, seat, 2, &state), FORWARD);
        }
        // Another channel's, and one that was changed by a bit.
        let mut changed = [1; 40];
        changed[39] ^= 1;
        for (seat, state) in [(display, changed), (main, [1; 40])] {
            let pass = own.client(tracker, now, seat, 5, &state);
            assert_eq!(pass, Pass::Refuse(Fault::Forged));
        }
        // A viewer that forges a state loses the connection; without its main channel the move comes to nothing.
        own.migration.lost(now, tracker, main, Side::Tenant);
        let left: Vec<ConnectionHandle> = own.others.drain(..).chain([display, own.main]).collect();
        for seat in left {
            own.migration.lost(now, tracker, seat, Side::Tenant);
        }
        assert_eq!(own.migration.poll_effect(), Some(Effect::End));
        assert!(tracker.target_access(own.token).is_none() && Host(0) < host);
        // A new token, since the attacker's is dead.
        assert!(tracker.forget(own.token));
        let n = own.n;
        self.own = Honest::new(tracker, now, n);
        self.refused(Fault::Forged);
        self.refused(Fault::Forged);
    }
}

/// The tracker holds no more than it is configured for, and everyone honest is where they were.
fn all_is_well(tracker: &Tracker, honest: &[Honest]) {
    let counts = tracker.counts();
    assert!(counts.sessions <= SESSIONS && counts.half_open <= HALF_OPEN);
    assert!(counts.links <= SESSIONS * LINKS);
    for session in honest {
        assert_eq!(tracker.target_access(session.token), Some(TargetAccess::NoTarget));
        assert!(tracker.links(session.token).count() <= LINKS);
    }
}

#[test]
fn ten_thousand_hostile_links_beside_sessions_that_work_and_move() {
    let mut now = Duration::ZERO;
    let mut tracker = Tracker::new(config(), [7; 16]);
    let mut honest: Vec<Honest> = (1..=HONEST).map(|n| Honest::new(&mut tracker, now, n)).collect();
    let mut hostile = Hostile {
        own: Honest::new(&mut tracker, now, 100),
        counts: BTreeMap::new(),
    };
    // One that has ended, and others that were begun and left, until there is no room.
    let mut begin_and_leave = |token: SessionKey| {
        let main = tracker.accept(now, peer(201));
        tracker.admit(now, main, token, request(0, (1, 0))).map(drop)
    };
    assert_eq!(begin_and_leave(SessionKey::new(0xee)), Ok(()));
    let begun = (0x80..0xee)
        .map(SessionKey::new)
        .take_while(|token| begin_and_leave(*token).is_ok())
        .count();
    assert!(tracker.end(SessionKey::new(0xee)));
    assert_eq!(tracker.counts().sessions, SESSIONS);
    assert_eq!(begun, SESSIONS - usize::from(HONEST) - 2);
    let mut storm = |hostile: &mut Hostile, turns: std::ops::Range<usize>| {
        let (mut most, mut links) = (0, 0);
        for turn in turns {
            let victim = &honest[turn % honest.len()];
            hostile.link(&mut tracker, now, turn, victim);
            hostile.ticket(turn);
            hostile.say(&mut tracker, now, turn);
            links += 1;
            if turn % 500 == 0 {
                hostile.half_open(&mut tracker, &mut now, turn / 500);
                links += 2 * HALF_OPEN;
            }
            if turn % 50 == 0 {
                hostile.forbidden(&mut tracker, now);
            }
            if turn % 100 == 0 {
                hostile.forge(&mut tracker, now);
            }
            if turn % 10 == 0 {
                let at = turn / 10 % honest.len();
                honest[at].work(&mut tracker, now);
                if turn % 30 == 0 {
                    honest[at].travel(&mut tracker, now);
                }
            }
            most = most.max(tracker.counts().links);
            all_is_well(&tracker, &honest);
        }
        (most, links)
    };
    let mut links = 0;
    // What there is room for is there after the first half; the second half leaves nothing behind.
    let first = allocation_counter::measure(|| links += storm(&mut hostile, 0..5_000).1);
    let mut most = 0;
    let second = allocation_counter::measure(|| {
        let (at_once, came) = storm(&mut hostile, 5_000..10_000);
        (most, links) = (at_once, links + came);
    });
    println!(
        "{links} hostile connections; {} bytes are left of the first half, {} of the second; {most} admitted at once",
        first.bytes_current, second.bytes_current
    );
    assert!(10_000 <= links);
    assert!(first.bytes_current < 64 << 10, "{}", first.bytes_current);
    assert!(second.bytes_current < 4 << 10, "{}", second.bytes_current);
    for (why, count) in &hostile.counts {
        println!("{count:>8} {why}");
        assert!(100 <= *count, "{why}: {count}");
    }
    let expected = 12 + 3 + 2 + 6;
    assert!(
        expected <= hostile.counts.len(),
        "{} of {expected}",
        hostile.counts.len()
    );
    for session in &honest {
        assert!(
            10 < session.moves && 400 < session.messages,
            "{}: {}",
            session.moves,
            session.messages
        );
    }
    let moves: usize = honest.iter().map(|session| session.moves).sum();
    println!("{HONEST} honest sessions beside them have moved {moves} times");
}
