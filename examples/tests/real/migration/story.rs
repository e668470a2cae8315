//! What happens in the cases.

use super::front::Fault;
use super::links::{to_client, to_server};
use super::row::{Kind, Row};
use super::scene::Scene;
use crate::process::wait_for;
use spice_proto::ids::ChannelType;

const SOURCE: usize = 0;
const TARGET: usize = 1;
const OTHER: usize = 2;

/// The guest moves, the viewer follows, the source ends.
pub(crate) fn moves(row: &Row) {
    row.play(|scene| goes_along(row.kind, scene));
}

fn goes_along(kind: Kind, scene: &mut Scene<'_>) {
    let channels = scene.channels();
    scene.announce(TARGET);
    if kind != Kind::SwitchHost {
        scene.answers_with(1, scene.connected());
    }
    scene.types("b");
    scene.move_guest(TARGET);
    scene.arrives();
    scene.has_all_channels(&channels);
    scene.source_ends(SOURCE);
    scene.types("xyz");
    assert_eq!(scene.only_the_gateway_is_told(), [kind.message()]);
    followed(kind, scene);
}

/// The same with gateways behind haproxy: all of them show one session, before and after, with all channels that the hypervisor
/// has, at one of them; its token was used once, and no other viewer gets in with it.
pub(crate) fn moves_as_one_session(row: &Row) {
    row.play(|scene| goes_along_as_one_session(row.kind, scene));
}

pub(crate) fn goes_along_as_one_session(kind: Kind, scene: &mut Scene<'_>) {
    let before = scene.session();
    assert_eq!(before["peer"], scene.peer(), "the balancer's own address is shown");
    scene.lets_nobody_else_in();
    let handed_on = scene.handed_on();
    goes_along(kind, scene);
    let after = scene.session();
    for what in ["id", "gateway", "fingerprint", "since"] {
        assert_eq!(before[what], after[what], "{what}: {before} and {after}");
    }
    assert_ne!(before["place"], after["place"]);
    // Its channels at the target have come to all gateways, too.
    let since: Vec<_> = scene.handed_on().into_iter().zip(handed_on).collect();
    let is_in_use = |(now, then): &(usize, usize)| now != then || *now == 0;
    assert!(since.iter().all(is_in_use), "{since:?}");
    scene.lets_nobody_else_in();
    assert_eq!(scene.uses(), 1, "uses of the token");
}

/// The links of a viewer that has moved once.
fn followed(kind: Kind, scene: &Scene<'_>) {
    let links = scene.links();
    let mains: Vec<_> = (0..links.len())
        .filter(|&index| links[index].is(ChannelType::MAIN))
        .collect();
    let [source, first] = mains[..] else {
        panic!("{} main links", mains.len());
    };
    let (source, target) = (&links[source], &links[first]);
    let ids = [source.session_id(), target.session_id()];
    assert_eq!(source.request.connection_id, 0);
    match kind {
        Kind::SemiSeamless => {
            assert_eq!(source.heard(to_client::MIGRATE_END), 1);
            assert_eq!(target.said(to_server::MIGRATE_END), 1);
            assert_eq!(ids[0], ids[1], "the session's id");
        }
        Kind::Seamless => {
            assert_eq!(ids[1], None, "a new INIT");
            assert_eq!(source.heard(to_client::MIGRATE), 1);
            for link in links[first..].iter().filter(|link| link.is(ChannelType::DISPLAY)) {
                assert_eq!(link.heard(to_client::DISPLAY_RESET), 0, "a reset");
                assert_eq!(link.heard(to_client::SURFACE_CREATE), 0, "a new surface");
            }
            for kind in [ChannelType::MAIN, ChannelType::DISPLAY, ChannelType::INPUTS] {
                let mut moved = links[first..].iter().filter(|link| link.is(kind));
                assert!(
                    moved.any(|link| link.said(to_server::MIGRATE_DATA) == 1),
                    "{kind:?} did not go on"
                );
            }
        }
        Kind::SwitchHost => {
            assert_eq!(target.request.connection_id, 0);
            assert_ne!(ids[0], ids[1], "the session's id");
        }
    }
}

/// To the target, back to where it was, and to the target again.
pub(crate) fn moves_three_times(row: &Row) {
    row.play(|scene| {
        let (stuck, mut answers) = (scene.keeps_links(), 0);
        for (hop, to) in [TARGET, SOURCE, TARGET].into_iter().enumerate() {
            let from = scene.here();
            scene.announce(to);
            if !stuck || hop == 0 {
                scene.answers_with(answers + 1, scene.connected());
            }
            scene.move_guest(to);
            scene.arrives();
            answers = scene.said().len();
            scene.source_ends(from);
            scene.start_host(from);
        }
        let sent = scene.only_the_gateway_is_told();
        assert_eq!(sent.contains(&to_client::MIGRATE_SWITCH_HOST), stuck);
        assert!(3 <= sent.len() + usize::from(stuck), "{sent:?}");
    });
}

/// The guest begins to move and stays, and moves later.
pub(crate) fn moves_after_a_cancelled_move(row: &Row) {
    row.play(|scene| {
        cancelled(scene);
        scene.start_host(TARGET);
        moves_the_second_time(scene);
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message(); 2]);
    });
}

/// The guest begins to move and stays, and the viewer gets one more channel.
pub(crate) fn gets_a_channel_after_a_cancelled_move(row: &Row) {
    row.play(|scene| {
        cancelled(scene);
        let mut channels = scene.channels();
        channels.push(scene.plug());
        scene.has_all_channels(&channels);
        scene.types("bc");
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message()]);
    });
}

fn cancelled(scene: &mut Scene<'_>) {
    scene.announce(TARGET);
    scene.answers_with(1, scene.connected());
    scene.move_in_vain(TARGET);
    wait_for("word that the guest stays", || (scene.cancelled() == 1).then_some(()));
    scene.gives_up(TARGET);
    scene.types("b");
}

/// Whatever became of the first announcement, the second leads to the target.
fn moves_the_second_time(scene: &mut Scene<'_>) {
    scene.announce(TARGET);
    scene.answers_with(2, scene.connected());
    goes_on_at_the_target(scene);
}

/// The guest moves, and its viewer with it, which needs the source no more.
fn goes_on_at_the_target(scene: &mut Scene<'_>) {
    scene.move_guest(TARGET);
    scene.arrives();
    scene.source_ends(SOURCE);
    scene.types("xyz");
}

/// The guest has moved before the viewer is connected to the target.
pub(crate) fn follows_late(row: &Row) {
    row.play(|scene| {
        let channels = scene.channels();
        scene.announce_and_move(TARGET);
        scene.arrives();
        scene.has_all_channels(&channels);
        scene.source_ends(SOURCE);
        scene.types("xyz");
        let told = scene.only_the_gateway_is_told();
        assert_eq!(told.first(), Some(&row.kind.message()));
        let last = *told.last().expect("a message");
        assert!(last == row.kind.message() || last == to_client::MIGRATE_SWITCH_HOST);
    });
}

/// The viewer is connected to one target when another is announced.
pub(crate) fn moves_to_the_second_target(row: &Row) {
    row.play(|scene| {
        scene.start_host(OTHER);
        scene.announce(OTHER);
        scene.answers_with(1, scene.connected());
        scene.announce(TARGET);
        scene.answers_with(2, scene.connected());
        assert_eq!(scene.cancelled(), 1);
        goes_on_at_the_target(scene);
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message(); 2]);
    });
}

/// The target cannot be used; the viewer stays where it is, and moves when the target is well.
pub(crate) fn stays_and_moves_later(row: &Row) {
    row.play(|scene| {
        fails(row, scene);
        scene.mend();
        moves_the_second_time(scene);
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message(); 2]);
    });
}

/// The same, but the guest moves without another word; by then the target is well.
pub(crate) fn stays_and_is_sent_later(row: &Row) {
    row.play(|scene| {
        fails(row, scene);
        scene.mend();
        goes_on_at_the_target(scene);
        let sent = [row.kind.message(), to_client::MIGRATE_SWITCH_HOST];
        assert_eq!(scene.only_the_gateway_is_told(), sent);
    });
}

/// The same, and the target is as it was: there is nothing left to show.
pub(crate) fn stays_and_ends_with_the_move(row: &Row) {
    row.play(|scene| {
        fails(row, scene);
        scene.move_guest(TARGET);
        scene.shows_nothing();
        scene.only_the_gateway_is_told();
    });
}

/// The first target is none that the guest may go to: the viewer is refused there, stays where it is, and follows to the
/// second one.
pub(crate) fn is_refused_and_moves_elsewhere(row: &Row) {
    row.play(|scene| {
        fails(row, scene);
        scene.start_host(OTHER);
        scene.announce(OTHER);
        scene.answers_with(2, scene.connected());
        scene.move_guest(OTHER);
        scene.arrives();
        scene.source_ends(SOURCE);
        scene.types("xyz");
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message(); 2]);
    });
}

/// An announcement that comes to nothing. A target is refused at its main link; a viewer that has it learns of what
/// fails later when all its links stand.
fn fails(row: &Row, scene: &mut Scene<'_>) {
    let main = match row.fault {
        Some(Fault::Closed(kind) | Fault::Silent(kind)) => kind == ChannelType::MAIN,
        _ => true,
    };
    scene.announce(TARGET);
    if main {
        scene.answers_with(1, to_server::MIGRATE_CONNECT_ERROR);
        assert_eq!(scene.cancelled(), 0);
    } else {
        scene.answers_with(1, scene.connected());
        wait_for("word that the guest stays", || (scene.cancelled() == 1).then_some(()));
    }
    scene.goes_on();
}

/// The target ends when the viewer is connected to it.
pub(crate) fn outlives_the_target(row: &Row) {
    row.play(|scene| {
        scene.announce(TARGET);
        scene.answers_with(1, scene.connected());
        scene.end_host(TARGET);
        scene.goes_on();
        scene.start_host(TARGET);
        moves_the_second_time(scene);
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message(); 2]);
    });
}

/// The source ends before the guest has moved.
pub(crate) fn ends_with_the_source(row: &Row) {
    row.play(|scene| {
        scene.announce(TARGET);
        scene.answers_with(1, scene.connected());
        assert!(!scene.is_left(TARGET));
        scene.end_host(SOURCE);
        scene.shows_nothing();
        wait_for("the end of the target's links", || scene.is_left(TARGET).then_some(()));
        assert_eq!(scene.only_the_gateway_is_told(), [row.kind.message()]);
    });
}

/// Without the gateway: what the other cases must not find is there.
pub(crate) fn is_told_of_the_target(row: &Row) {
    assert!(!row.gateway);
    row.play(|scene| {
        scene.announce(TARGET);
        scene.answers_with(1, scene.connected());
        goes_on_at_the_target(scene);
        assert!(scene.tells_of(TARGET));
    });
}
