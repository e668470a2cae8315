//! What a viewer is shown of a hypervisor that has less than spice-server 0.15: no more than that one has, on every channel.

use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::ChannelType;
use spice_proto::link::client::ClientOutcome;
use spice_proto::session::Host;

use super::{Behaviour, DISPLAY, ID, INPUTS, Line, MAIN, Older, Site, init, moves::begin};

/// A viewer's channels besides main.
const KINDS: [ChannelType; 8] = [
    DISPLAY,
    INPUTS,
    ChannelType::CURSOR,
    ChannelType::PLAYBACK,
    ChannelType::RECORD,
    ChannelType::SMARTCARD,
    ChannelType::USBREDIR,
    ChannelType::PORT,
];

/// Servers that announce less: common words with and without each of `AUTH_SELECTION` (1) and `MINI_HEADER` (8), and every
/// set of channel bits.
fn older() -> Vec<Behaviour> {
    let common = [0xb, 3, 0xa, 2];
    let channel = [Older::Nothing, Older::Zero, Older::Some];
    let all = common
        .iter()
        .flat_map(|common| channel.map(|channel| Behaviour::Older(*common, channel)));
    all.collect()
}

/// Whether what was shown is what the server has, as far as a viewer makes use of it.
fn is_kept(outcome: &ClientOutcome, server: &Capabilities) -> bool {
    let shown = &outcome.capabilities;
    let more = shown.channel.bits().any(|bit| !server.has(bit));
    !more && shown.has_common(common::MINI_HEADER) && shown.has_common(common::PROTOCOL_AUTH_SELECTION)
}

/// A session with all kinds of channels.
async fn session(site: &mut Site) -> (Line, Line) {
    let (mut viewer, mut source, _) = site.open(MAIN, 0, 0).await;
    source.say(103, &init(ID)).await;
    let mut list = vec![KINDS.len() as u8, 0, 0, 0];
    list.extend(KINDS.iter().flat_map(|kind| [kind.0, 0]));
    source.say(104, &list).await;
    assert_eq!(viewer.hear().await, Some((103, init(ID))));
    assert_eq!(viewer.hear().await, Some((104, list)));
    (viewer, source)
}

/// The first viewer that comes to such a server has every channel at once, and the server is asked once a kind.
#[tokio::test(start_paused = true)]
async fn an_older_server_costs_no_viewer_a_channel() {
    for behaviour in older() {
        let mut site = Site::new();
        site.plan(|plan| (plan.inquires, plan.hosts[0]) = (true, (behaviour, behaviour)));
        for viewer in 0..2 {
            let (main, source) = session(&mut site).await;
            let mut held = Vec::new();
            for kind in KINDS {
                let linked = site.link_of(kind, ID).await;
                let (mut line, _, outcome) = linked.unwrap_or_else(|error| panic!("{behaviour:?} {kind}: {error}"));
                let mut arrived = site.hypervisors.recv().await.unwrap();
                assert_eq!(
                    (arrived.request.channel_type, arrived.request.connection_id),
                    (kind, ID)
                );
                let server = site.plan.lock().unwrap().known[&(Host(0), kind)].clone();
                assert!(
                    is_kept(&outcome, &server),
                    "{behaviour:?} {kind}: {outcome:?} of {server:?}"
                );
                arrived.line.passes(&mut line, 7, &[0; 24]).await;
                held.push((line, arrived.line));
            }
            let asked = std::mem::take(&mut site.plan.lock().unwrap().inquiries);
            let expected = if viewer == 0 { KINDS.to_vec() } else { Vec::new() };
            assert_eq!(asked, expected.iter().map(|kind| (Host(0), *kind)).collect::<Vec<_>>());
            drop((main, source, held));
            site.ended().await;
        }
    }
}

/// The same at a migration target, whose main channel is asked as well: a viewer that is promised a seamless move speaks first
/// there.
#[tokio::test(start_paused = true)]
async fn an_older_target_is_asked_too() {
    for behaviour in older() {
        let mut site = Site::new();
        site.plan(|plan| (plan.inquires, plan.hosts[1]) = (true, (behaviour, behaviour)));
        let (mut viewer, mut source) = session(&mut site).await;
        let (number, body) = begin(true);
        source.say(number, &body).await;
        assert_eq!(viewer.hear().await.unwrap().0, 116);
        for kind in [MAIN].iter().chain(&KINDS) {
            let (_line, _, outcome) = site.link_of(*kind, ID).await.unwrap();
            let arrived = site.hypervisors.recv().await.unwrap();
            assert_eq!((arrived.host, arrived.request.channel_type), (Host(1), *kind));
            let server = site.plan.lock().unwrap().known[&(Host(1), *kind)].clone();
            assert!(
                is_kept(&outcome, &server),
                "{behaviour:?} {kind}: {outcome:?} of {server:?}"
            );
            std::mem::forget((arrived, _line));
        }
    }
}

/// Without an inquiry, all that is missing is learnt of the first link.
#[tokio::test(start_paused = true)]
async fn everything_is_learnt_at_once() {
    for behaviour in older() {
        let mut site = Site::new();
        let (_viewer, _source) = session(&mut site).await;
        site.plan(|plan| plan.hosts[0].1 = behaviour);
        for kind in KINDS {
            site.plan(|plan| plan.learnt.clear());
            let promised = Capabilities::spice_server(kind).channel;
            let first = site.link_of(kind, ID).await;
            let learnt = std::mem::take(&mut site.plan.lock().unwrap().learnt);
            let [(learnt_of, announced)] = &learnt[..] else {
                panic!("{learnt:?}")
            };
            assert_eq!(*learnt_of, kind);
            let missing: Vec<u32> = promised.bits().filter(|bit| !announced.has(*bit)).collect();
            assert_eq!(first.is_err(), !missing.is_empty(), "{behaviour:?} {kind}: {missing:?}");
            if first.is_ok() {
                continue;
            }
            // Known from now on, and the next link stands.
            let announced = announced.clone();
            site.plan(|plan| drop(plan.known.insert((Host(0), kind), announced)));
            site.link_of(kind, ID).await.unwrap();
        }
    }
}

/// Hypervisors that gave the same id: what is promised is what all of them have, since the token comes later.
#[tokio::test(start_paused = true)]
async fn an_id_of_several_sessions_is_promised_what_all_have() {
    let mut site = Site::new();
    let (_first, _source) = session(&mut site).await;
    let promised = |site: &Site, kind: ChannelType| {
        let asked = crate::pair::request(kind, 0xb, 0);
        let asked = spice_proto::link::LinkMess {
            connection_id: ID,
            ..asked
        };
        site.hub.with(|_, sessions| sessions.inquiries(&asked))
    };
    assert_eq!(promised(&site, DISPLAY).len(), 1);
    let (_second, second) = session(&mut site).await;
    let dials = promised(&site, DISPLAY);
    assert_eq!(dials.len(), 2);
    assert_ne!(dials[0].session, dials[1].session);
    // Not announced, or no main channel that is waited for: there is no hypervisor to ask.
    assert_eq!(
        (promised(&site, ChannelType::WEBDAV).len(), promised(&site, MAIN).len()),
        (0, 0)
    );
    drop((_second, second));
    site.ended().await;
    assert_eq!(promised(&site, DISPLAY).len(), 1);
    for _ in 0..20 {
        let (viewer, source) = session(&mut site).await;
        std::mem::forget((viewer, source));
    }
    assert!(promised(&site, DISPLAY).len() <= 4, "as many are asked as is cheap");
}

/// The sets of capabilities that a relay can keep.
#[test]
fn what_can_be_promised() {
    let promised = Capabilities::spice_server(DISPLAY);
    for (common, channel) in [
        (0, 0),
        (0xb, 0x1052),
        (0xffff_ffff, 0x52),
        (4, 0xffff_ffff),
        (0x10, 0x1000),
    ] {
        let server = Capabilities {
            common: CapabilityWords::word(common),
            channel: CapabilityWords::word(channel),
        };
        let kept = promised.kept_by(&server);
        assert_eq!(kept.common, CapabilityWords::word(0xb), "the relay's own");
        assert_eq!(kept.channel, CapabilityWords::word(0x1052 & channel));
    }
    let many = Capabilities {
        common: [0x1b, 0xf0].into_iter().collect(),
        channel: [0x1052, 7].into_iter().collect(),
    };
    let kept = many.kept_by(&promised);
    assert_eq!(
        (kept.common.words(), kept.channel.words()),
        (&[0xb, 0][..], &[0x1052, 0][..])
    );
    assert_eq!(many.kept_by(&many), many);
}
