//! What happens in the cases.

use super::links::{to_client, to_server};
use super::scene::{Kind, Row, Scene};
use spice_proto::ids::ChannelType;

const SOURCE: usize = 0;
const TARGET: usize = 1;

/// The guest moves, the viewer follows, the source ends.
pub(crate) fn moves(row: &Row) {
    row.play(|scene| {
        let channels = scene.channels();
        scene.announce(TARGET);
        if row.kind != Kind::SwitchHost {
            scene.answers_with(1, scene.connected());
        }
        scene.types("b");
        scene.move_guest(TARGET);
        scene.arrives();
        scene.has_all_channels(&channels);
        scene.source_has_done(SOURCE);
        scene.end_host(SOURCE);
        scene.types("xyz");
        let sent = match row.kind {
            Kind::SemiSeamless => to_client::MIGRATE_BEGIN,
            Kind::Seamless => to_client::MIGRATE_BEGIN_SEAMLESS,
            Kind::SwitchHost => to_client::MIGRATE_SWITCH_HOST,
        };
        if !row.gateway {
            return;
        }
        assert_eq!(scene.only_the_gateway_is_told(), [sent]);
        followed(row, scene);
    });
}

/// The links of a viewer that has moved once.
fn followed(row: &Row, scene: &Scene<'_>) {
    let links = scene.links();
    let mains: Vec<_> = links.iter().filter(|link| link.is(ChannelType::MAIN)).collect();
    let [source, target] = mains[..] else { panic!("{} main links", mains.len()) };
    let ids = [source.session_id(), target.session_id()];
    assert_eq!(source.request.connection_id, 0);
    match row.kind {
        Kind::SemiSeamless => {
            assert_eq!(source.heard(to_client::MIGRATE_END), 1);
            assert_eq!(target.said(to_server::MIGRATE_END), 1);
            assert_eq!(ids[0], ids[1], "the session's id");
        }
        Kind::Seamless => {
            assert_eq!(target.heard(to_client::INIT), 0, "a new INIT");
            assert_eq!(source.heard(to_client::MIGRATE), 1);
            let first = links.iter().position(|link| std::ptr::eq(link, target)).expect("a link of these");
            for link in &links[first..] {
                if link.is(ChannelType::DISPLAY) {
                    assert_eq!(link.heard(to_client::DISPLAY_RESET), 0, "a reset");
                    assert_eq!(link.heard(to_client::SURFACE_CREATE), 0, "a new surface");
                }
            }
            for kind in [ChannelType::MAIN, ChannelType::DISPLAY, ChannelType::INPUTS] {
                let mut moved = links[first..].iter().filter(|link| link.is(kind));
                assert!(moved.any(|link| link.said(to_server::MIGRATE_DATA) == 1), "{kind:?} did not go on");
            }
        }
        Kind::SwitchHost => {
            assert_eq!(target.request.connection_id, 0);
            assert_ne!(ids[0], ids[1], "the session's id");
        }
    }
}
