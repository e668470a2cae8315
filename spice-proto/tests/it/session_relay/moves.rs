//! Targets that fail, are refused, or are not waited for.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use spice_proto::channel::main::{Destination, MigrateBegin, MigrateBeginSeamless};
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::HandshakeError;
use spice_proto::session::Host;
use spice_proto::session::migration::Kind;
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{End, GuestIdentity};
use tokio::time::{Instant, sleep};

use super::{Behaviour, DISPLAY, ID, INPUTS, Line, MAIN, SESSION, Site, init};

/// A message that names a target.
pub(super) fn begin(seamless: bool) -> (u16, Vec<u8>) {
    let destination = Destination {
        port: 5900,
        sport: u16::MAX,
        host: Bytes::from_static(b"10.1.2.3\0"),
        cert_subject: Bytes::from_static(b"CN=hypervisor\0"),
    };
    let mut body = BytesMut::new();
    if seamless {
        let src_mig_version = 1;
        MigrateBeginSeamless {
            destination,
            src_mig_version,
        }
        .encode(&mut body)
        .unwrap();
        return (116, body.to_vec());
    }
    MigrateBegin { destination }.encode(&mut body).unwrap();
    (101, body.to_vec())
}

fn told(body: &[u8]) -> Destination {
    MigrateBegin::decode_slice(body).unwrap().destination
}

/// Whether the viewer is sent to the proxy, and nothing of the target is left.
pub(super) fn is_rewritten(body: &[u8]) -> bool {
    let to = told(body);
    let holds = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    (to.port, to.sport) == (0, 5910) && &to.host[..] == b"proxy.example\0" && !holds(b"10.1.2.3") && !holds(b"hyperv")
}

/// A session whose viewer was told of a target.
async fn moving(site: &mut Site) -> (Line, Line) {
    let (mut viewer, mut source, _) = site.session().await;
    let (number, body) = begin(false);
    source.say(number, &body).await;
    assert!(is_rewritten(&viewer.hear().await.unwrap().1));
    (viewer, source)
}

/// A channel that cannot be had at the target is pretended, and the move called off on both sides.
#[tokio::test(start_paused = true)]
async fn a_channel_that_fails_is_covered_up() {
    for behaviour in [Behaviour::Gone, Behaviour::Refuses, Behaviour::Silent] {
        let mut site = Site::new();
        site.plan(|plan| plan.hosts[1] = (Behaviour::Accepts, behaviour));
        let (mut viewer, mut source) = moving(&mut site).await;
        let (mut there, mut target, there_end) = site.open(MAIN, ID, 1).await;
        let began = Instant::now();
        let (mut inputs, inputs_end) = site.link(INPUTS, ID).await.unwrap();
        if behaviour == Behaviour::Silent {
            assert_eq!(
                began.elapsed(),
                Duration::from_secs(8),
                "the deadline of the whole move"
            );
        }
        inputs.say(103, &[1, 0]).await;
        assert!(inputs.is_silent(Duration::from_millis(500)).await);
        viewer.say(102, &[]).await;
        assert_eq!(source.hear().await, Some((103, vec![])));
        assert_eq!(viewer.hear().await, Some((102, vec![])));
        // What is left at the target is closed a second later, if the viewer does not.
        assert!(there.is_silent(Duration::from_millis(900)).await);
        assert_eq!(
            (there.hear().await, inputs.hear().await, target.hear().await),
            (None, None, None)
        );
        assert_eq!(there_end.await.unwrap(), End::Session);
        assert_eq!(inputs_end.await.unwrap(), End::Session);
        source.passes(&mut viewer, 106, &[1, 0, 0, 0]).await;
        // Another move works, to another target.
        let (number, body) = begin(true);
        source.say(number, &body).await;
        assert_eq!(viewer.hear().await.unwrap().0, 116);
        site.open(MAIN, ID, 2).await;
    }
}

/// A target that is lost while others are opened is covered up as well.
#[tokio::test(start_paused = true)]
async fn a_channel_that_is_lost_early_is_covered_up() {
    let mut site = Site::new();
    let (mut viewer, mut source) = moving(&mut site).await;
    let (_there, _target, _) = site.open(MAIN, ID, 1).await;
    let (mut inputs, at_target, _) = site.open(INPUTS, ID, 1).await;
    drop(at_target);
    assert!(inputs.is_silent(Duration::from_secs(2)).await);
    viewer.say(102, &[]).await;
    assert_eq!(source.hear().await, Some((103, vec![])));
    assert_eq!(viewer.hear().await, Some((102, vec![])));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_there_is_refused_at_its_main_channel() {
    for behaviour in [Behaviour::Gone, Behaviour::Refuses] {
        let mut site = Site::new();
        site.plan(|plan| plan.hosts[1].0 = behaviour);
        let (mut viewer, mut source) = moving(&mut site).await;
        let refused = site.link(MAIN, ID).await.unwrap_err();
        assert_eq!(refused, HandshakeError::Rejected(LinkErrorCode::ERROR));
        viewer.passes(&mut source, 103, &[]).await;
        source.passes(&mut viewer, 106, &[1, 0, 0, 0]).await;
    }
    // One that says nothing is closed at the deadline.
    let mut site = Site::new();
    site.plan(|plan| plan.hosts[1].0 = Behaviour::Silent);
    let (mut viewer, mut source) = moving(&mut site).await;
    let began = Instant::now();
    assert!(site.link(MAIN, ID).await.is_err());
    assert!(began.elapsed() <= Duration::from_secs(10), "{:?}", began.elapsed());
    viewer.passes(&mut source, 103, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_not_allowed_is_not_gone_to() {
    let mut site = Site::new();
    site.plan(|plan| plan.accept = false);
    let (mut viewer, mut source, _) = site.session().await;
    let (number, body) = begin(false);
    source.say(number, &body).await;
    assert!(is_rewritten(&viewer.hear().await.unwrap().1), "of the proxy, as ever");
    // The viewer's link is refused there, as often as it comes, and it says so.
    for _ in 0..2 {
        let refused = site.link(MAIN, ID).await.map(drop);
        assert_eq!(refused, Err(HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED)));
    }
    assert!(site.hypervisors.try_recv().is_err(), "nothing is dialled");
    viewer.passes(&mut source, 103, &[]).await;
    source.passes(&mut viewer, 106, &[1, 0, 0, 0]).await;
    // A later move, to a target that is good.
    site.plan(|plan| plan.accept = true);
    source.say(number, &begin(false).1).await;
    assert!(is_rewritten(&viewer.hear().await.unwrap().1));
    let (mut there, mut target, _) = site.open(MAIN, ID, 2).await;
    viewer.passes(&mut source, 102, &[]).await;
    source.passes(&mut viewer, 112, &[]).await;
    there.passes(&mut target, 109, &[]).await;
    drop((viewer, source));
    target.say(103, &init(ID)).await;
    assert_eq!(there.hear().await, Some((103, init(ID))));
    // What was asked: of this session, from where it was.
    let moves = core::mem::take(&mut site.plan.lock().unwrap().moves);
    for asked in &moves {
        assert_eq!(
            (asked.session, asked.host, asked.target.kind),
            (SESSION, Host(0), Kind::SemiSeamless)
        );
        assert_eq!(
            (&asked.target.host[..], asked.target.port),
            (&b"10.1.2.3"[..], NonZeroU16::new(5900))
        );
        assert_eq!(
            (asked.target.tls_port, asked.target.subject.as_deref()),
            (None, Some(&b"CN=hypervisor"[..]))
        );
    }
    assert_eq!(moves.len(), 2);
    let (mut viewer, mut source) = (there, target);
    site.plan(|plan| plan.accept = false);
    // Where the guest is gone already, the session ends.
    let (mut display, mut at_source, _) = site.open(DISPLAY, ID, 2).await;
    display.passes(&mut at_source, 101, &[0; 14]).await;
    at_source.passes(&mut display, 3, &[0; 8]).await;
    source.say(111, &begin(false).1).await;
    assert_eq!(viewer.hear().await, None);
    assert_eq!(display.hear().await, None);
    assert_eq!(site.ended().await, (SESSION, true));
}

/// Each listener has public ports of its own, which are not those that it is bound to: a viewer gets those of the one that
/// its main channel came to, also when that has moved to another one.
#[tokio::test(start_paused = true)]
async fn a_viewer_is_told_the_public_address_of_its_listener() {
    let listeners = [("public.example", Some(15900), 15901), ("198.51.100.7", None, 443)];
    for (first, second) in [(0, 1), (1, 0)] {
        let config = |n: usize| {
            let (host, plain, tls) = listeners[n];
            super::config(&Settings::default(), host, plain, tls)
        };
        let is_told = |body: &[u8], n: usize| {
            let (host, plain, tls) = listeners[n];
            let to = told(body);
            assert_eq!((to.port, to.sport), (plain.unwrap_or(0), tls));
            assert_eq!(to.host[..], [host.as_bytes(), b"\0"].concat());
            assert_eq!(&to.cert_subject[..], b"CN=proxy\0");
        };
        let mut site = Site::new();
        site.config = config(first);
        let (mut viewer, mut source, _) = site.session().await;
        // Another channel's listener does not count.
        site.config = config(second);
        let (mut inputs, mut at_source, _) = site.open(INPUTS, ID, 0).await;
        inputs.passes(&mut at_source, 103, &[1, 0]).await;
        for (host, accept) in [(1, false), (2, true)] {
            site.plan(|plan| plan.accept = accept);
            source.say(101, &begin(false).1).await;
            is_told(&viewer.hear().await.unwrap().1, first);
            if !accept {
                viewer.passes(&mut source, 103, &[]).await;
                continue;
            }
            let (mut there, mut target, _) = site.open(MAIN, ID, host).await;
            viewer.passes(&mut source, 102, &[]).await;
            source.passes(&mut viewer, 112, &[]).await;
            there.passes(&mut target, 109, &[]).await;
            target.say(103, &init(ID)).await;
            assert_eq!(there.hear().await, Some((103, init(ID))));
            (viewer, source) = (there, target);
        }
        for seamless in [true, false] {
            let (number, body) = begin(seamless);
            source.say(if seamless { number } else { 111 }, &body).await;
            is_told(&viewer.hear().await.unwrap().1, second);
            if seamless {
                viewer.passes(&mut source, 103, &[]).await;
            }
        }
    }
}

/// MIGRATE_SWITCH_HOST: the viewer comes again as a new session, with another id.
#[tokio::test(start_paused = true)]
async fn a_session_comes_again_elsewhere() {
    let mut site = Site::new();
    let (mut viewer, mut source, _) = site.session().await;
    let (mut inputs, mut at_source, _) = site.open(INPUTS, ID, 0).await;
    inputs.passes(&mut at_source, 103, &[1, 0]).await;
    source.say(111, &begin(false).1).await;
    let (number, body) = viewer.hear().await.unwrap();
    assert!(number == 111 && is_rewritten(&body));
    drop((viewer, source));
    sleep(Duration::from_secs(9)).await;
    let (mut viewer, mut target, _) = site.open(MAIN, 0, 1).await;
    assert_eq!(inputs.hear().await, None, "the old session's connections are closed");
    target.say(103, &init(77)).await;
    assert_eq!(viewer.hear().await, Some((103, init(77))));
    target.passes(&mut viewer, 104, &super::LIST).await;
    site.open(INPUTS, 77, 1).await;
    assert!(site.link(INPUTS, ID).await.is_err());
}

/// The session waits for its viewer for as long as a source waits, and then ends, though no connection is left to notice.
#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_come_again_ends() {
    let mut site = Site::new();
    let (mut viewer, mut source, _) = site.session().await;
    source.say(111, &begin(false).1).await;
    assert_eq!(viewer.hear().await.unwrap().0, 111);
    let began = Instant::now();
    drop((viewer, source));
    assert_eq!(site.ended().await, (SESSION, true));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
}

/// MIGRATE and MIGRATE_DATA stay together, and the state is what the source sent.
#[tokio::test(start_paused = true)]
async fn a_seamless_move() {
    for forged in [false, true] {
        let mut site = Site::new();
        let (mut viewer, mut source, _) = site.session().await;
        let (number, body) = begin(true);
        source.say(number, &body).await;
        assert_eq!(viewer.hear().await.unwrap().0, 116);
        let (mut there, mut target, end) = site.open(MAIN, ID, 1).await;
        there.passes(&mut target, 110, &[1, 0, 0, 0]).await;
        target.passes(&mut there, 117, &[]).await;
        viewer.passes(&mut source, 111, &[]).await;
        source.passes(&mut viewer, 1, &[3, 0, 0, 0]).await;
        viewer.passes(&mut source, 4, &[]).await;
        let state = vec![5; 100_000];
        source.passes(&mut viewer, 2, &state).await;
        let mut said = state.clone();
        said[99_999] ^= u8::from(forged);
        there.say(5, &said).await;
        let expected = (!forged).then_some((5, state));
        assert_eq!(target.hear().await, expected);
        if forged {
            assert!(matches!(end.await.unwrap(), End::Fault { .. }));
        } else {
            drop(source);
            target.passes(&mut there, 106, &[1, 0, 0, 0]).await;
        }
    }
}

/// NAME, as it is sent.
fn name(name: &str) -> Vec<u8> {
    let length = u32::try_from(name.len() + 1).unwrap();
    [&length.to_le_bytes(), name.as_bytes(), b"\0"].concat()
}

/// What a hypervisor says of its guest goes on when it is accepted, and in the order in which it was said.
#[tokio::test(start_paused = true)]
async fn the_guests_name_and_uuid_are_asked_about() {
    let mut site = Site::new();
    let (mut viewer, mut source, _) = site.session().await;
    source.say(113, &name("own")).await;
    source.say(114, &[7; 16]).await;
    source.say(106, &[1, 0, 0, 0]).await;
    assert_eq!(viewer.hear().await, Some((113, name("own"))));
    assert_eq!(viewer.hear().await, Some((114, vec![7; 16])));
    assert_eq!(viewer.hear().await, Some((106, vec![1, 0, 0, 0])));
    assert_eq!(site.asked().len(), 2);
    // Refused at the source, the session ends.
    site.plan(|plan| {
        plan.other = Some(GuestIdentity {
            uuid: Some([8; 16]),
            ..GuestIdentity::default()
        });
    });
    source.say(114, &[8; 16]).await;
    assert_eq!((viewer.hear().await, source.hear().await), (None, None));
}

/// A target with another guest is left, and its viewer gets nothing of it: the session stays where it is.
#[tokio::test(start_paused = true)]
async fn a_target_with_another_guest_is_left() {
    for by_name in [true, false] {
        let mut site = Site::new();
        let (number, body) = if by_name {
            (113, name("other"))
        } else {
            (114, vec![9; 16])
        };
        site.plan(|plan| {
            plan.other = Some(GuestIdentity {
                name: by_name.then(|| Bytes::from_static(b"other")),
                uuid: (!by_name).then_some([9; 16]),
            });
        });
        let (mut viewer, mut source) = moving(&mut site).await;
        let (mut there, mut target, _) = site.open(MAIN, ID, 1).await;
        target.say(number, &body).await;
        assert_eq!(target.hear().await, None, "it was not left");
        assert!(there.is_silent(Duration::from_secs(1)).await);
        viewer.say(102, &[]).await;
        assert_eq!(source.hear().await, Some((103, vec![])));
        assert_eq!(viewer.hear().await, Some((102, vec![])));
        source.passes(&mut viewer, 106, &[1, 0, 0, 0]).await;
    }
}
