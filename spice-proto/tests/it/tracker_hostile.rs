//! Many sessions, and many strangers that try to join one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::session::tracker::{Closed, Config, Expired, Link, Misuse, Peer, Reason, Request, ticket_text};
use spice_proto::session::{Host, SessionKey, TargetAccess, Tracker};

const NOW: Duration = Duration::ZERO;
/// A viewer's channels besides main.
const CHANNELS: [(u8, u8); 9] = [(2, 0), (2, 1), (3, 0), (4, 0), (4, 1), (5, 0), (6, 0), (9, 0), (9, 1)];

fn token(n: u32) -> SessionKey {
    SessionKey::new(n.into())
}

fn peer(n: u32) -> Peer {
    Peer {
        address: Ipv4Addr::from(0x0a00_0000 + n).into(),
        secure: true,
    }
}

fn request(connection_id: u32, (kind, id): (u8, u8)) -> Request {
    Request {
        connection_id,
        channel: ChannelId {
            channel_type: ChannelType(kind),
            id,
        },
        mechanism: AuthMechanism::SPICE,
    }
}

fn announced() -> Vec<ChannelId> {
    CHANNELS.iter().map(|&channel| request(0, channel).channel).collect()
}

/// Opens a whole session, and gives its main channel.
fn session(tracker: &mut Tracker, n: u32) -> Link {
    let main = tracker.accept(NOW, peer(n));
    tracker.admit(NOW, main, token(n), request(0, (1, 0))).unwrap();
    tracker.linked(main).unwrap();
    tracker.bind(main, n + 1).unwrap();
    tracker.announce(main, &announced()).unwrap();
    for channel in CHANNELS {
        let link = tracker.accept(NOW, peer(n));
        let admission = tracker.admit(NOW, link, token(n), request(n + 1, channel)).unwrap();
        assert_eq!((admission.host, admission.replaces), (Host(0), false));
        tracker.linked(link).unwrap();
    }
    main
}

#[test]
fn a_session_takes_less_than_two_kibibytes() {
    let mut bytes = 0.0;
    let info = allocation_counter::measure(|| {
        let mut tracker = Tracker::new(Config::default(), [7; 16]);
        for n in 0..10_000 {
            session(&mut tracker, n);
        }
        assert_eq!(tracker.counts().links, 100_000);
        std::mem::forget(tracker);
    });
    bytes += info.bytes_current as f64 / 10_000.0;
    println!("a session of 10 channels takes {bytes:.0} bytes, among 10,000");
    assert!(bytes < 2048.0, "{bytes}");
}

/// What a session costs from its first link to its end does not grow with the number of others.
#[test]
fn operations_do_not_grow_with_the_sessions() {
    let time = |others: u32| {
        let mut tracker = Tracker::new(Config::default(), [7; 16]);
        for n in 0..others {
            session(&mut tracker, n);
        }
        // The best of many rounds: other programs run beside this one.
        (0..40)
            .map(|_| {
                let start = Instant::now();
                for n in 20_000..20_050 {
                    let main = session(&mut tracker, n);
                    tracker.target_told(token(n)).unwrap();
                    assert_eq!(tracker.close(NOW, main), Ok(Closed::Session));
                    assert!(tracker.forget(token(n)));
                }
                start.elapsed()
            })
            .min()
            .unwrap()
    };
    let (few, many) = (time(100), time(10_000));
    println!("50 sessions among 100: {few:?}, among 10,000: {many:?}");
    // A hundred times as many sessions: what grew with them would take many times as long.
    assert!(many < few * 6, "{few:?} {many:?}");
}

#[test]
fn ten_thousand_hostile_links_do_not_disturb_a_session() {
    let mut tracker = Tracker::new(Config::default(), [7; 16]);
    let main = session(&mut tracker, 1);
    // The tracker refuses none of them: the caller decides which one gives way.
    let half_open: Vec<_> = (0..10_000_u32)
        .map(|n| tracker.accept(NOW, peer(100 + n % 50)))
        .collect();
    assert_eq!(tracker.counts().half_open, 10_000);
    // One that gave way is forgotten, and its place is used again.
    let (gone, half_open) = half_open.split_last().unwrap();
    assert_eq!(tracker.close(NOW, *gone), Ok(Closed::Link));
    assert_eq!(tracker.counts().half_open, 9_999);
    assert_ne!(tracker.accept(NOW, peer(5)), *gone);
    let half_open = half_open.to_vec();
    // They never say anything, and their time runs out, in their order.
    let later = Duration::from_secs(10);
    assert_eq!(tracker.deadline(), Some(later));
    for link in half_open {
        assert_eq!(tracker.expire(later), Some(Expired::Link(link)));
        let late = tracker.admit(later, link, token(1), request(2, (2, 0)));
        assert_eq!(late, Err(Reason::Late));
    }
    assert!(matches!(tracker.expire(later), Some(Expired::Link(_))));
    assert_eq!((tracker.expire(later), tracker.counts().half_open), (None, 0));
    // The session goes on: a device is plugged.
    tracker.announce(main, &[request(0, (9, 2)).channel]).unwrap();
    let link = tracker.accept(later, peer(1));
    assert!(tracker.admit(later, link, token(1), request(2, (9, 2))).is_ok());
}

#[test]
fn ids_are_not_guessed_and_tokens_are_not_shared() {
    let mut tracker = Tracker::new(Config::default(), [7; 16]);
    let main = session(&mut tracker, 1);
    session(&mut tracker, 2);
    tracker.announce(main, &[request(0, (11, 0)).channel]).unwrap();
    for id in 3..10_000 {
        let link = tracker.accept(NOW, peer(9));
        assert_eq!(
            tracker.admit(NOW, link, token(1), request(id, (11, 0))),
            Err(Reason::WrongConnectionId)
        );
    }
    // The other session's id is as wrong as any; with its token it is the other session's.
    let link = tracker.accept(NOW, peer(9));
    assert_eq!(
        tracker.admit(NOW, link, token(1), request(3, (11, 0))),
        Err(Reason::WrongConnectionId)
    );
    let link = tracker.accept(NOW, peer(9));
    assert_eq!(
        tracker.admit(NOW, link, token(2), request(3, (11, 0))),
        Err(Reason::NotAnnounced)
    );
}

#[test]
fn links_out_of_order_are_refused() {
    let mut tracker = Tracker::new(Config::default(), [7; 16]);
    let accept = |tracker: &mut Tracker| tracker.accept(NOW, peer(1));
    // A channel before its session, a target before its source.
    let link = accept(&mut tracker);
    assert_eq!(
        tracker.admit(NOW, link, token(1), request(5, (2, 0))),
        Err(Reason::NotBound)
    );
    let link = accept(&mut tracker);
    assert_eq!(
        tracker.admit(NOW, link, token(1), request(5, (1, 0))),
        Err(Reason::NoMigration)
    );
    // What was refused is gone.
    assert_eq!(tracker.close(NOW, link), Err(Misuse::NoLink));
    let main = accept(&mut tracker);
    tracker.admit(NOW, main, token(1), request(0, (1, 0))).unwrap();
    // Before INIT there is no id that one could have.
    let link = accept(&mut tracker);
    assert_eq!(
        tracker.admit(NOW, link, token(1), request(5, (2, 0))),
        Err(Reason::NotBound)
    );
    assert_eq!(
        tracker.target_told(token(1)),
        Err(Misuse::OutOfOrder(TargetAccess::NoTarget))
    );
    tracker.bind(main, 5).unwrap();
    let link = accept(&mut tracker);
    assert_eq!(
        tracker.admit(NOW, link, token(1), request(5, (2, 0))),
        Err(Reason::NotAnnounced)
    );
    // A list of all channels that a number can name: as many as there is room for, each once.
    let all: Vec<ChannelId> = (0..=255).chain(0..=255).map(|id| request(0, (9, id)).channel).collect();
    assert_eq!(tracker.announce(main, &all), Ok(2 * (256 - 64)));
    assert_eq!(tracker.announce(main, &announced()), Ok(7));
    let link = accept(&mut tracker);
    tracker.admit(NOW, link, token(1), request(5, (9, 63))).unwrap();
    // The session's end ends its token.
    assert_eq!(tracker.close(NOW, main), Ok(Closed::Session));
    let link = accept(&mut tracker);
    assert_eq!(
        tracker.admit(NOW, link, token(1), request(0, (1, 0))),
        Err(Reason::Ended)
    );
    assert_eq!(tracker.links(token(1)).count(), 1);
    assert!(tracker.forget(token(1)));
    assert_eq!(tracker.counts().links, 0);
}

#[test]
fn a_tracker_stays_at_its_size() {
    let mut tracker = Tracker::new(Config::default().with_sessions(3), [7; 16]);
    for n in 0..3 {
        session(&mut tracker, n);
    }
    for n in 3..1000 {
        let link = tracker.accept(NOW, peer(n));
        assert_eq!(
            tracker.admit(NOW, link, token(n), request(0, (1, 0))),
            Err(Reason::TooManySessions)
        );
    }
    let snapshot = tracker.snapshot(token(0)).unwrap();
    assert_eq!(tracker.restore(token(9), &snapshot), Err(Misuse::TooManySessions));
    assert!(tracker.end(token(0)));
    // An ended session still keeps its token from being fresh.
    let link = tracker.accept(NOW, peer(7));
    assert_eq!(
        tracker.admit(NOW, link, token(0), request(0, (1, 0))),
        Err(Reason::Ended)
    );
    assert_eq!(tracker.counts().sessions, 3);
}

#[test]
fn a_lost_main_channel_is_waited_for() {
    let mut tracker = Tracker::new(Config::default(), [7; 16]);
    let main = session(&mut tracker, 1);
    assert_eq!(tracker.switch_told(token(1)), Ok(Host(1)));
    assert_eq!(tracker.close(NOW, main), Ok(Closed::Main));
    let soon = Duration::from_secs(9);
    assert_eq!(
        (tracker.deadline(), tracker.expire(soon)),
        (Some(Duration::from_secs(10)), None)
    );
    // It comes again as a new session, which has another id.
    let link = tracker.accept(soon, peer(1));
    let admission = tracker.admit(soon, link, token(1), request(0, (1, 0))).unwrap();
    assert_eq!((admission.host, admission.replaces), (Host(1), true));
    assert_eq!(tracker.links(token(1)).count(), 10);
    tracker.bind(link, 77).unwrap();
    assert_eq!(tracker.expire(Duration::from_secs(60)), None);
    // The next time the viewer does not come again.
    tracker.switch_told(token(1)).unwrap();
    assert_eq!(tracker.close(soon, link), Ok(Closed::Main));
    assert_eq!(tracker.expire(Duration::from_secs(18)), None);
    assert_eq!(
        tracker.expire(Duration::from_secs(19)),
        Some(Expired::Session(token(1)))
    );
}

#[test]
fn addresses_of_both_kinds_come_back_from_a_snapshot() {
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        let mut tracker = Tracker::new(Config::default(), [7; 16]);
        let link = tracker.accept(NOW, Peer { address, secure: true });
        tracker.admit(NOW, link, token(1), request(0, (1, 0))).unwrap();
        tracker.bind(link, 0x0403_0201).unwrap();
        tracker.announce(link, &[request(0, (2, 3)).channel]).unwrap();
        let snapshot = tracker.snapshot(token(1)).unwrap();
        let mut bytes = bytes::BytesMut::new();
        snapshot.encode(&mut bytes).unwrap();
        // version, stage, phase, flags
        assert_eq!(bytes[..4], [1, 1, 0, 1]);
        // session_id, host, last_host, count, one channel that is not connected
        assert_eq!(bytes[20..], [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 3, 0]);
        let mut other = Tracker::new(Config::default(), [8; 16]);
        other
            .restore(token(1), &spice_proto::session::Snapshot::decode_slice(&bytes).unwrap())
            .unwrap();
        assert_eq!(other.snapshot(token(1)).unwrap().peer.address, address);
    }
}

#[test]
fn a_ticket_is_one_token_or_none() {
    assert_eq!(ticket_text(b"token\0"), Ok("token"));
    assert_eq!(ticket_text(b"token"), Ok("token"));
    assert_eq!(ticket_text(b"\0"), Ok(""));
    assert!(ticket_text(b"token\0\0").is_err());
    assert!(ticket_text(b"token\0else").is_err());
    assert!(ticket_text(&[b'x'; 60]).is_ok() && ticket_text(&[b'x'; 61]).is_err());
    assert!(ticket_text(b"caf\xe9").is_err());
}
