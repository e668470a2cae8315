//! What is true of the recordings in `tests/data`, and need not be of others: how much they hold, and how their programs
//! behave. With fewer of them the tests over recordings would show less.

use std::collections::BTreeSet;

use spice_proto::ids::ChannelType;
use spice_proto::link::watch::WatchedOutcome;
use spice_proto::link::{HandshakeError, Incompatibility};

use crate::recordings::{self, Connection};
use crate::sasl_captures::Came;
use crate::{agent_captures, captures, heads, hostile, link_captures, policy, sasl_captures, watch};

/// How many connections this holds for.
fn count(connections: &[Connection], holds: impl Fn(&Connection) -> bool) -> usize {
    connections.iter().filter(|connection| holds(connection)).count()
}

#[test]
fn links_of_every_end_are_in_it() {
    let all = recordings::own();
    assert_eq!(all.len(), 140);
    let (mut requests, mut replies) = (0, 0);
    for connection in &all {
        let [request, reply] = captures::link_messages(connection);
        (requests, replies) = (requests + usize::from(request), replies + usize::from(reply));
    }
    assert!(100 < requests && 100 < replies, "{requests} {replies}");
    let ended: Vec<_> = all.iter().map(watch::read).collect();
    let ended = |holds: fn(&WatchedOutcome) -> bool| ended.iter().flatten().filter(|end| holds(end)).count();
    assert!(0 < ended(|end| matches!(end, WatchedOutcome::Linked(_))));
    assert!(0 < ended(|end| matches!(end, WatchedOutcome::Refused(_))));
    assert!(0 < ended(|end| matches!(end, WatchedOutcome::Sealed(_))));
    assert!(0 < count(&all, |connection| watch::read(connection).is_none()));
}

#[test]
fn machines_accept_and_refuse_in_it() {
    let all = recordings::own();
    let server: Vec<_> = all.iter().filter_map(link_captures::as_server).collect();
    assert!(server.contains(&Ok(())));
    for incompatible in [
        Incompatibility::Version { major: 3, minor: 2 },
        Incompatibility::WebSocket,
    ] {
        let error = HandshakeError::PeerIncompatible(incompatible);
        assert!(server.contains(&Err(error)), "{error} is not among {server:?}");
    }
    assert!(server.iter().any(|end| matches!(end, Err(HandshakeError::Closed(_)))));
    assert!(server.iter().any(|end| matches!(end, Err(HandshakeError::Refused(_)))));
    let linked = all
        .iter()
        .filter(|connection| connection.linked().is_some_and(|linked| !linked.sasl));
    let client: Vec<_> = linked.map(link_captures::as_client).collect();
    assert!(client.contains(&Ok(())));
    assert!(client.iter().any(|end| matches!(end, Err(HandshakeError::Rejected(_)))));
    assert!(10 < hostile::handshakes(&all).len());
    assert!(hostile::handshakes(&all).iter().any(|one| one.s2c.ends_with(&[0; 4])));
    let sasl: Vec<_> = all.iter().filter_map(sasl_captures::repeat).collect();
    assert!(sasl.contains(&Came::Layer) && sasl.contains(&Came::Nowhere));
}

#[test]
fn nearly_all_messages_in_it_have_a_layout() {
    let all = recordings::own();
    let counts: Vec<_> = all.iter().filter_map(captures::streams).collect();
    let sum = |n: usize| counts.iter().map(|counts| counts[n]).sum::<usize>();
    assert!(1000 < sum(0) && 0.999 <= sum(1) as f64 / sum(0) as f64, "{counts:?}");
    // No stream that was not cut ends inside of a message.
    for connection in &all {
        let Some(data) = connection.data() else { continue };
        for (cut, bytes) in [(connection.s2c_cut, data.s2c), (connection.c2s_cut, data.c2s)] {
            let frames = spice_proto::frame::FrameReader::new(data.linked.form, &recordings::limits());
            let mut frames = frames.frames(bytes);
            frames.by_ref().for_each(drop);
            assert!(cut || frames.taken() == bytes.len(), "{}", connection.name);
        }
    }
    // Its clients go when they have answered all but the last window.
    let acknowledgements: Vec<_> = all.iter().filter_map(captures::acknowledgements).collect();
    assert!(acknowledgements.iter().any(|[_, sent]| 0 < *sent));
    assert!(
        acknowledgements
            .iter()
            .all(|[due, sent]| sent <= due && *due <= sent + 1)
    );
    // Bodies of enough kinds to be changed.
    let kinds: BTreeSet<_> = all
        .iter()
        .filter_map(|connection| Some(connection.data()?.linked.request.channel_type))
        .collect();
    assert!(kinds.contains(&ChannelType::DISPLAY) && 8 < kinds.len(), "{kinds:?}");
}

#[test]
fn images_and_clipboards_are_in_it() {
    let all = recordings::own();
    assert!(
        all.iter()
            .flat_map(heads::recorded)
            .any(|image| image.head() != Ok(None))
    );
    let passed: Vec<_> = all.iter().filter_map(policy::passes).collect();
    assert!(passed.iter().any(|[messages, _]| 0 < *messages));
    assert!(passed.iter().any(|[_, struck]| 0 < *struck));
}

/// The agent and the clients in it say nothing that is not known, end no message early, and cut as is done here.
#[test]
fn agents_in_it_keep_to_what_is_known() {
    let mut messages = 0;
    for main in agent_captures::own_main_channels() {
        let stream = agent_captures::streams(&main);
        assert_eq!(stream.unknown, 0, "{}", main.name);
        assert!(!stream.ends_inside && !stream.cut_otherwise, "{}", main.name);
        messages += stream.counts.values().sum::<usize>();
        // spice-server filters what it sends as strictly as what it receives, so every receiver can read either.
        use spice_proto::agent::Receiver::{Client, Guest, Server};
        for bodies in [main.of_server(), main.of_client()] {
            let [client, guest, server] =
                [Client, Guest, Server].map(|receiver| agent_captures::frames(&bodies, receiver));
            assert!(client == server && client == guest, "{}", main.name);
        }
    }
    assert!(0 < messages);
}
