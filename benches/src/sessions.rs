//! Sessions: what one costs beside few and beside many others.

use std::net::Ipv4Addr;
use std::time::Duration;

use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::session::tracker::{Closed, Config, Link, Peer, Request};
use spice_proto::session::{SessionKey, Tracker};

use crate::keep;

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

/// Opens a whole session, and gives its main channel.
fn open(tracker: &mut Tracker, n: u32) -> Link {
    let main = tracker.accept(NOW, peer(n));
    tracker.admit(NOW, main, token(n), request(0, (1, 0))).unwrap();
    tracker.linked(main).unwrap();
    tracker.bind(main, n + 1).unwrap();
    tracker.announce(main, &CHANNELS.map(channel)).unwrap();
    for pair in CHANNELS {
        link(tracker, n, pair);
    }
    main
}

fn link(tracker: &mut Tracker, n: u32, pair: (u8, u8)) -> Link {
    let link = tracker.accept(NOW, peer(n));
    tracker.admit(NOW, link, token(n), request(n + 1, pair)).unwrap();
    tracker.linked(link).unwrap();
    link
}

fn among(others: u32) -> Tracker {
    let mut tracker = Tracker::new(Config::default(), [7; 16]);
    for n in 0..others {
        open(&mut tracker, n);
    }
    tracker
}

/// A session of ten channels begins and ends, in a tracker with so many others.
pub fn session(others: u32) -> Box<dyn FnMut()> {
    let mut tracker = among(others);
    let mut n = others;
    Box::new(move || {
        n += 1;
        let main = open(&mut tracker, n);
        assert_eq!(tracker.close(NOW, main), Ok(Closed::Session));
        keep(tracker.forget(token(n)));
    })
}

/// A channel of a session joins and leaves, another session each time.
pub fn channel_among(others: u32) -> Box<dyn FnMut()> {
    let mut tracker = among(others);
    for n in 0..others {
        let usb = tracker.links(token(n)).last().expect("a session has ten").0;
        tracker.close(NOW, usb).unwrap();
    }
    let mut n = 0;
    Box::new(move || {
        // Not in the order in which they came.
        n = (n + 37) % others;
        let link = link(&mut tracker, n, (9, 1));
        keep(tracker.close(NOW, link).unwrap());
    })
}

/// A guess with a stolen token is refused.
pub fn refuse(others: u32) -> Box<dyn FnMut()> {
    let mut tracker = among(others);
    let mut n = 0;
    Box::new(move || {
        n = (n + 37) % others;
        let link = tracker.accept(NOW, peer(n));
        keep(
            tracker
                .admit(NOW, link, token(n), request(0x00ff_ffff, (2, 0)))
                .unwrap_err(),
        );
    })
}

/// So many sessions of ten channels begin, and then end.
pub(crate) fn many(count: u32) -> Box<dyn FnMut()> {
    let mut tracker = Tracker::new(Config::default(), [7; 16]);
    let mut first = 0;
    Box::new(move || {
        let mains: Vec<Link> = (first..first + count).map(|n| open(&mut tracker, n)).collect();
        for (n, main) in (first..).zip(mains) {
            assert_eq!(tracker.close(NOW, main), Ok(Closed::Session));
            keep(tracker.forget(token(n)));
        }
        first += count;
    })
}
