//! Without a driver: any cut of the input gives the same output, and no input makes it panic.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use spice_proto::caps::Capabilities;
use spice_proto::frame::{Header, HeaderForm};
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::relay::Upstream;
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{LinkReply, Secret, Side, SideBuffers};
use spice_proto::session::policy::{Directions, Settings};
use spice_proto::session::relay::{Action, End, SessionQuestion};
use spice_proto::session::tracker::{Config, Peer};
use spice_proto::session::{Entry, Relay, Sessions};

use super::{ID, MAIN, Site, init, moves::begin};
use crate::pair::{NOW, TICKET, TOKEN, key, request};

/// A main channel in the data stage, and what came out of it.
struct Bare {
    sessions: Sessions,
    relay: Relay,
    sides: SideBuffers,
    said: [Vec<u8>; 2],
}

impl Bare {
    fn new(form: HeaderForm) -> Self {
        let settings = Settings::default().with_clipboard(Directions::NONE);
        let config = Site::with(&settings).config;
        let mut sessions = Sessions::new(Config::default(), [1; 16]);
        let peer = Peer {
            address: [127, 0, 0, 1].into(),
            secure: true,
        };
        let relay = Relay::new(NOW, &mut sessions, peer, Arc::clone(&config));
        let mut sides = SideBuffers::default();
        request(MAIN, 0xb, 0xf).encode(&mut sides.tenant.rx).unwrap();
        sides.tenant.rx.extend_from_slice(&1_u32.to_le_bytes());
        let sealed = key().public().seal(TOKEN, [7; 20]).unwrap();
        sides.tenant.rx.extend_from_slice(&sealed.0);
        let mut bare = Self {
            sessions,
            relay,
            sides,
            said: [Vec::new(), Vec::new()],
        };
        bare.run(form);
        assert!(bare.relay.outcome().is_some());
        bare.said = [Vec::new(), Vec::new()];
        bare
    }

    fn run(&mut self, form: HeaderForm) -> Option<End> {
        let Self {
            sessions,
            relay,
            sides,
            said,
        } = self;
        for _ in 0..100_000 {
            match relay.step(NOW, sides) {
                Action::Synchronize => relay.synchronize(NOW, sessions, sides),
                Action::Ask(SessionQuestion::Tenant(ServerQuestion::Link(_))) => {
                    let shown = Announcement {
                        public_key: key().public(),
                        capabilities: Capabilities::spice_server(MAIN),
                    };
                    relay.tenant().unwrap().announce(&mut sides.tenant, shown).unwrap();
                }
                Action::Ask(SessionQuestion::Tenant(_)) => {
                    let claim = sessions.claim();
                    relay.enter(NOW, sessions, Entry::Open(claim)).unwrap();
                }
                Action::Ask(SessionQuestion::Dial(_)) => {
                    let mut capabilities = Capabilities::spice_server(MAIN);
                    if form == HeaderForm::Full {
                        capabilities.common = capabilities.common.without(3);
                    }
                    let reply = LinkReply {
                        error: LinkErrorCode::OK,
                        pub_key: *key().public().as_der(),
                        capabilities,
                    };
                    reply.encode(&mut sides.hypervisor.rx).unwrap();
                    sides.hypervisor.rx.extend_from_slice(&[0; 4]);
                    let upstream = Upstream {
                        ticket: Secret::new(TICKET),
                        oaep_seed: [4; 20],
                    };
                    relay.dialled(sides, upstream).unwrap();
                }
                Action::Ask(SessionQuestion::BindSession { .. }) => relay.bound(sides).unwrap(),
                Action::Ask(SessionQuestion::Elsewhere(_)) => unreachable!("the session is here"),
                Action::Ask(SessionQuestion::Target(_)) => relay.accept_target(NOW, sessions, sides).unwrap(),
                Action::Ask(SessionQuestion::Identity(_)) => relay.accept_identity().unwrap(),
                Action::Hangup => {}
                action => {
                    let drained = sides.tenant.tx.len() + sides.hypervisor.tx.len();
                    said[0].extend_from_slice(&sides.tenant.tx.split());
                    said[1].extend_from_slice(&sides.hypervisor.tx.split());
                    match action {
                        Action::Done(end) => return Some(end),
                        _ if drained == 0 => return None,
                        _ => {}
                    }
                }
            }
            while sessions.poll_wake().is_some() {
                relay.wake();
            }
        }
        panic!("it does not come to rest");
    }

    /// Gives both sides' bytes in pieces, until the end of one.
    fn feed(&mut self, form: HeaderForm, streams: [&[u8]; 2], pieces: &[usize]) -> Option<End> {
        let mut left = streams;
        let mut pieces = pieces.iter().cycle();
        while left.iter().any(|left| !left.is_empty()) {
            for (n, left) in left.iter_mut().enumerate() {
                let (piece, rest) = left.split_at((*pieces.next().unwrap()).min(left.len()));
                *left = rest;
                let side = [Side::Tenant, Side::Hypervisor][n];
                self.sides.side(side).rx.extend_from_slice(piece);
                if let Some(end) = self.run(form) {
                    return Some(end);
                }
            }
        }
        None
    }
}

fn messages(form: HeaderForm, said: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for (serial, (number, body)) in (1..).zip(said) {
        let header = Header {
            serial,
            number: *number,
            size: body.len() as u32,
            sub_list: 0,
        };
        header.write(form, &mut bytes);
        bytes.extend_from_slice(body);
    }
    bytes.to_vec()
}

/// An agent message of the clipboard, whole, as one body.
fn clipboard() -> Vec<u8> {
    let mut body = [1_u32, 4, 0, 0, 9].map(u32::to_le_bytes).concat();
    body.extend([1, 0, 0, 0, 1, 2, 3, 4, 5]);
    body
}

fn server() -> Vec<(u16, Vec<u8>)> {
    vec![
        (103, init(ID)),
        (104, vec![2, 0, 0, 0, 2, 0, 3, 0]),
        (4, vec![1; 100_000]),
        (109, clipboard()),
        (106, vec![1, 0, 0, 0]),
        (4, vec![2; 70_000]),
        (250, vec![1; 90]),
        begin(true),
    ]
}

fn client() -> Vec<(u16, Vec<u8>)> {
    vec![
        (104, vec![]),
        (3, vec![0; 12]),
        (107, clipboard()),
        (1, vec![0; 4]),
        (101, vec![0; 8]),
    ]
}

/// What was said but for agent tokens, and how many of these: they are put in wherever there is room.
fn heard(form: HeaderForm, said: &[u8]) -> (Vec<(u16, &[u8])>, usize) {
    let (mut rest, mut all) = (said, Vec::new());
    while let Some(header) = Header::read(form, rest) {
        let (message, left) = rest.split_at(form.len() + header.size as usize);
        all.push((header.number, &message[form.len()..]));
        if form == HeaderForm::Full {
            assert_eq!(header.serial, all.len() as u64);
        }
        rest = left;
    }
    let messages = all.len();
    all.retain(|(number, _)| !matches!(number, 108 | 110));
    let tokens = messages - all.len();
    (all, tokens)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_cut_gives_the_same(pieces in proptest::collection::vec(1_usize..40_000, 1..20), full in any::<bool>()) {
        let form = if full { HeaderForm::Full } else { HeaderForm::Mini };
        let streams = [messages(HeaderForm::Mini, &client()), messages(form, &server())];
        let streams = [&streams[0][..], &streams[1][..]];
        let (mut whole, mut cut) = (Bare::new(form), Bare::new(form));
        prop_assert_eq!(whole.feed(form, streams, &[usize::MAX]), None);
        prop_assert_eq!(cut.feed(form, streams, &pieces), None);
        for (side, form) in [HeaderForm::Mini, form].into_iter().enumerate() {
            prop_assert_eq!(heard(form, &whole.said[side]), heard(form, &cut.said[side]));
        }
    }

    #[test]
    fn nothing_makes_it_panic(
        to_hypervisor in proptest::collection::vec(any::<u8>(), 0..300),
        to_viewer in proptest::collection::vec(any::<u8>(), 0..300),
        pieces in proptest::collection::vec(1_usize..50, 1..5),
        full in any::<bool>(),
    ) {
        let form = if full { HeaderForm::Full } else { HeaderForm::Mini };
        let mut bare = Bare::new(form);
        bare.feed(form, [&to_hypervisor, &to_viewer], &pieces);
        bare.relay.eof(&mut bare.sides, Side::Hypervisor);
        bare.run(form);
        bare.relay.eof(&mut bare.sides, Side::Tenant);
        prop_assert!(bare.run(form).is_some());
        bare.relay.close(Duration::from_secs(1), &mut bare.sessions);
        prop_assert_eq!(bare.sessions.tracker().counts().links, 0);
    }
}
