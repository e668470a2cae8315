//! Three gateways behind haproxy and before two QEMUs: SPICE and VNC of one guest, whose connections are dealt out in turn.

use super::gets_a_key;
use super::vnc::login;
use crate::engines::Kind::Redis;
use crate::migration::host::Host;
use crate::migration::{Kind, Leg, Program, Row, goes_along_as_one_session};
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;
use crate::vnc::clients::{vncviewer, vncviewer_is_refused};

/// vncviewer, on a screen of its own.
struct Vnc<'a> {
    desktop: &'a Desktop<'a>,
    process: Process,
}

impl Vnc<'_> {
    /// Shows the guest as it is now, and types.
    fn goes_on(&mut self, host: &mut Host<'_>) {
        wait_for("the picture in vncviewer", || {
            assert!(self.process.runs(), "vncviewer ended: {}", self.process.said());
            self.desktop.picture().find(&host.picture())
        });
        gets_a_key(host, || {
            self.desktop.focus("TigerVNC");
            self.desktop.press("v");
        });
    }
}

/// remote-viewer has its channels at all gateways and is one session, before its guest moves and after; vncviewer is at another
/// gateway than the one that moves that session, and goes along.
#[test]
#[ignore = "needs QEMU, twice, remote-viewer, vncviewer, haproxy and Redis"]
fn three_gateways_behind_haproxy() {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let row = Row {
        gateways: 3,
        balanced: Some(Redis),
        vnc: true,
        ..Row::new(Kind::SemiSeamless, Program::RemoteViewer, Leg::Tls, Leg::Tls)
    };
    row.play(|scene| {
        let (door, authority) = scene.vnc();
        let token = scene.gateways()[0].access("machine", "vnc", "novnc").token;
        vncviewer_is_refused(&desktop, "wrong", door, &login(&authority, &crate::altered(&token)));
        let shown = login(&authority, &token);
        let mut vnc = Vnc {
            desktop: &desktop,
            process: vncviewer(&desktop, "balanced", door, &shown),
        };
        vnc.goes_on(scene.current());
        let owner = scene.session()["gateway"].clone();
        let at = wait_for("the session of vncviewer", || {
            let shown = scene.sessions("vnc");
            let is_one = |sessions: &Vec<_>| sessions.len() == 1;
            shown.iter().all(is_one).then(|| shown[0][0]["gateway"].clone())
        });
        assert_ne!(at, owner, "both are at one gateway");
        for name in ["first", "second", "third"] {
            vncviewer_is_refused(&desktop, name, door, &shown);
        }
        // In turn, behind the one that showed another token; haproxy itself connects to each twice a second, and is not refused.
        scene.has_refused(&[1, 2, 1]);
        goes_along_as_one_session(row.kind, scene);
        vnc.goes_on(scene.current());
        let after = scene.sessions("vnc");
        assert!(
            after
                .iter()
                .all(|sessions| sessions.len() == 1 && sessions[0]["gateway"] == at)
        );
        scene.shows();
    });
}
