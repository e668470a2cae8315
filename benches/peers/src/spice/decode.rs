//! Messages decoded and encoded, of each sample those that both crates have a type for.

use std::rc::Rc;

use benches::mix::{MixedFrame, walk_body};
use bytes::BytesMut;
use spice_proto::channel::{ClientMessage, ServerMessage};

use super::theirs::Message;
use super::{SHAKENFIST, SPICE_CLIENT, Sample, bodies, borrowed, samples};
use crate::contest::{Contest, Peer, Run, keep, run};

/// What spice-client lacks, for the messages of which it has a part (see `by_spice_client`).
const NOT_ALL: &str = "has padding of C and pointers of 64 bits in what is drawn, which the wire has not; makes keys and pointer in its channel, over a socket";

pub fn contests() -> Vec<Contest> {
    let contests = samples().into_iter().map(|Sample { name, frames }| {
        let all = frames.len();
        let frames: Rc<[MixedFrame]> = frames.into_iter().filter(is_same).collect();
        let sample = format!(
            "{name}: {} of {all} messages, those of which shakenfist has a type",
            frames.len()
        );
        [decoded(sample.clone(), &frames), encoded(sample, &frames)]
    });
    contests.flatten().collect()
}

/// Whether they have it too; then both must write what was read.
fn is_same(mixed: &MixedFrame) -> bool {
    let Some(theirs) = Message::decode(mixed) else {
        return false;
    };
    let (mut by_them, mut by_us) = (Vec::new(), BytesMut::new());
    theirs.expect("shakenfist reads it").write(&mut by_them);
    mixed.decode().encode(&mut by_us);
    assert_eq!(by_them, mixed.frame.body);
    assert_eq!(by_us, mixed.frame.body);
    true
}

fn decoded(sample: String, frames: &Rc<[MixedFrame]>) -> Contest {
    let each = |look: fn(&MixedFrame)| {
        let frames = Rc::clone(frames);
        run(move || frames.iter().for_each(look))
    };
    let is_walked = |mixed: &MixedFrame| walk_body(mixed).is_some();
    let limit = match frames.iter().all(is_walked) {
        true => ("a walk by hand that borrows", each(|mixed| keep(walk_body(mixed)))),
        false => ("bodies copied", copied(frames)),
    };
    Contest {
        operation: "SPICE message decoded, any channel",
        sample,
        bytes: bodies(frames),
        count: frames.len() as u32,
        unit: "message",
        ours: each(|mixed| match mixed.from_server {
            true => keep(
                ServerMessage::decode(mixed.channel, &mixed.frame)
                    .as_ref()
                    .expect("read before"),
            ),
            false => keep(
                ClientMessage::decode(mixed.channel, &mixed.frame)
                    .as_ref()
                    .expect("read before"),
            ),
        }),
        limit: Some(limit),
        peers: vec![
            Peer::new(SHAKENFIST, each(|mixed| keep(&Message::decode(mixed)))),
            Peer::new(
                "shakenfist-spice-protocol, borrowing",
                each(|mixed| borrowed::look(mixed).expect("read before")),
            ),
            Peer::cannot(SPICE_CLIENT, NOT_ALL),
        ],
    }
}

/// The bodies, copied one behind the other.
fn copied(frames: &Rc<[MixedFrame]>) -> Run {
    let (frames, mut out) = (Rc::clone(frames), Vec::with_capacity(bodies(frames)));
    run(move || {
        out.clear();
        for mixed in frames.iter() {
            out.extend_from_slice(&mixed.frame.body);
        }
        keep(out.len());
    })
}

fn encoded(sample: String, frames: &Rc<[MixedFrame]>) -> Contest {
    let ours: Vec<_> = frames.iter().map(MixedFrame::decode).collect();
    let theirs: Vec<_> = frames
        .iter()
        .map(|mixed| Message::decode(mixed).expect("a type").expect("read before"))
        .collect();
    let (mut by_us, mut by_them) = (BytesMut::new(), Vec::new());
    Contest {
        operation: "SPICE message encoded, into a buffer with room",
        sample,
        bytes: bodies(frames),
        count: frames.len() as u32,
        unit: "message",
        ours: run(move || {
            by_us.clear();
            ours.iter().for_each(|message| message.encode(&mut by_us));
        }),
        limit: Some(("bodies copied", copied(frames))),
        peers: vec![
            Peer::new(
                SHAKENFIST,
                run(move || {
                    by_them.clear();
                    theirs.iter().for_each(|message| message.write(&mut by_them));
                }),
            ),
            Peer::cannot(SPICE_CLIENT, NOT_ALL),
        ],
    }
}
