//! The tracker against the table of its tests, by sequences that the input chooses; and after a snapshot.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{AuthMechanism, ChannelType};
use spice_proto::session::tracker::{Config, Misuse, Peer, Request};
use spice_proto::session::{SessionKey, Snapshot, Tracker};

use crate::Input;

#[path = "../../../spice-proto/tests/it/tracker/table.rs"]
mod table;
#[path = "../../../spice-proto/tests/it/tracker/world.rs"]
mod world;

/// The model looks at everything after every operation.
const OPERATIONS: usize = 1000;

/// Every choice of the model's world is taken from the input.
pub(super) fn sequence(input: Input<'_>) -> BTreeSet<String> {
    let input = Cell::new(input);
    let draw = |n: usize| {
        let mut rest = input.get();
        let low = usize::from(rest.byte());
        let high = if 256 < n { usize::from(rest.byte()) } else { 0 };
        input.set(rest);
        (high << 8 | low) % n
    };
    let mut world = world::World::new(draw);
    for _ in 0..OPERATIONS {
        if input.get().is_empty() {
            break;
        }
        world.turn();
        world.compare();
    }
    let verdicts = world.verdicts.keys().map(|verdict| format!("tracker: {verdict}"));
    let steps = world.steps.keys().map(|step| format!("tracker: {step}"));
    verdicts.chain(steps).collect()
}

const TOKEN: SessionKey = SessionKey::new(7);

/// A tracker goes on with what another process wrote, whatever that is.
pub(super) fn restored(mut input: Input<'_>) -> BTreeSet<String> {
    let Ok(snapshot) = Snapshot::decode_slice(input.short_blob()) else {
        return BTreeSet::from(["snapshot: refused".to_owned()]);
    };
    let mut bytes = BytesMut::new();
    snapshot.encode(&mut bytes).expect("what was decoded fits");
    assert_eq!(Snapshot::decode_slice(&bytes).as_ref(), Ok(&snapshot));
    let config = Config::default().with_channels(4).with_links(3);
    let mut tracker = Tracker::new(config.clone(), [1; 16]);
    tracker.restore(TOKEN, &snapshot).expect("there is room");
    let kept = tracker.snapshot(TOKEN).expect("it was restored");
    assert!(kept.pairs.len() <= config.channels);
    assert_eq!((kept.stage, kept.session_id), (snapshot.stage, snapshot.session_id));
    let mut reached = BTreeSet::from([format!("snapshot: {:?}", snapshot.stage)]);
    let now = Duration::ZERO;
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let (operation, kind, id) = (input.byte(), input.byte(), input.byte());
        let peer = Peer {
            address: Ipv4Addr::LOCALHOST.into(),
            secure: operation & 0x80 == 0,
        };
        let before = tracker.snapshot(TOKEN);
        let done = match operation % 8 {
            0..=2 => {
                let joining = tracker.accept(now, peer);
                let request = Request {
                    connection_id: if operation & 0x40 == 0 {
                        kept.session_id
                    } else {
                        id.into()
                    },
                    channel: ChannelId {
                        channel_type: ChannelType(kind),
                        id: id & 1,
                    },
                    mechanism: AuthMechanism::SPICE,
                };
                let admitted = tracker.admit(now, joining, TOKEN, request);
                // Another process with the same snapshot says the same, but for what only this one counts.
                let mut other = Tracker::new(config.clone().with_links(usize::MAX), [2; 16]);
                other
                    .restore(TOKEN, before.as_ref().expect("it is never forgotten"))
                    .expect("there is room");
                let link = other.accept(now, peer);
                let there = other.admit(now, link, TOKEN, request);
                if admitted != Err(spice_proto::session::Reason::TooManyLinks) {
                    assert_eq!(admitted, there, "{request:?} in {before:?}");
                }
                if admitted.is_ok_and(|admission| admission.replaces) {
                    let others: Vec<_> = tracker.links(TOKEN).map(|(other, ..)| other).collect();
                    for other in others.into_iter().filter(|other| *other != joining) {
                        tracker.close(now, other).expect("it is there");
                    }
                }
                admitted.map(drop).map_err(|_| ())
            }
            3 => tracker.target_told(TOKEN).map(drop).map_err(|_| ()),
            4 => tracker.target_answered(TOKEN, id & 1 == 0).map_err(|_| ()),
            5 => tracker.target_dropped(TOKEN).map_err(|_| ()),
            6 => tracker.moved(TOKEN).map_err(|_| ()),
            _ => tracker.switch_told(TOKEN).map(drop).map_err(|_| ()),
        };
        // What has ended refuses everything, and stays as it was.
        if before
            .as_ref()
            .is_some_and(|before| before.stage == spice_proto::session::tracker::Stage::Ended)
        {
            assert_eq!((done, tracker.target_access(TOKEN)), (Err(()), None));
            assert_eq!(tracker.target_told(TOKEN), Err(Misuse::NoSession));
            reached.insert("snapshot: refused after the end".to_owned());
        }
        assert!(tracker.links(TOKEN).count() <= config.links);
    }
    reached
}
