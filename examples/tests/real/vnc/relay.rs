//! The framing relay in the path of real sessions.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use examples::vnc::Method;
use rfb_proto::encoding::Encoding;
use rfb_proto::filter::Filter;

use super::Login;
use super::clients::{gvncviewer, vncviewer};
use super::middle::{Middle, Seen};
use super::qemu::Qemu;
use super::x::{X11vnc, Xvnc, clipboard, paint, painted, set_clipboard, stir};
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;

/// How long each pair is busy, in all.
const BUSY: Duration = Duration::from_secs(20);
/// What is asked for, one after the other; every viewer here knows them.
const PREFERRED: [Encoding; 4] = [Encoding::HEXTILE, Encoding::ZRLE, Encoding::RAW, Encoding::TIGHT];

fn nobody() -> Login {
    Login {
        method: Method::None,
        password: None,
        authority: "nobody".into(),
        rsa_key: None,
    }
}

/// A viewer on a desktop of its own, through the relay.
fn watch(
    name: &str,
    server: SocketAddr,
    viewer: fn(&Desktop, &str, SocketAddr, &Login) -> Process,
    still: bool,
) -> Seen {
    let folder = Folder::new();
    let desktop = Desktop::start(&folder);
    let middle = Middle::start(server);
    let mut viewer = viewer(&desktop, name, middle.address, &nobody());
    wait_for(&format!("a picture on the way to {name}"), || {
        assert!(viewer.runs(), "{name} ended: {}", viewer.said());
        middle
            .seen()
            .counts
            .keys()
            .any(|what| what.ends_with(')'))
            .then_some(())
    });
    let start = Instant::now();
    let mut turns = 0_u32;
    while start.elapsed() < BUSY {
        if turns.is_multiple_of(5) {
            middle.prefer(PREFERRED[turns as usize / 5 % PREFERRED.len()]);
        }
        desktop.focus("(TigerVNC|VncViewer)");
        desktop.move_pointer(20 + 13 * turns % 200, 20 + 7 * turns % 150);
        desktop.press(["a", "Shift_L", "Down", "space"][turns as usize % 4]);
        assert!(viewer.runs(), "{name} ended: {}", viewer.said());
        turns += 1;
        thread::sleep(Duration::from_millis(250));
    }
    if still {
        // What came through is what the server shows.
        let (width, height) = Xvnc::SIZE;
        let expected = painted(width, height);
        desktop.move_pointer(1023, 767);
        wait_for(&format!("the picture in {name}"), || desktop.picture().find(&expected));
    }
    let seen = middle.account(name);
    viewer.end();
    seen
}

/// vncviewer and gvncviewer, each at QEMU, Xvnc and x11vnc, all at the same time, for 20 seconds. The screens change, the
/// preferred encoding changes, keys and the pointer are used. Nothing is lost, nothing is changed, every byte is placed.
#[test]
#[ignore = "needs QEMU, Xvnc, x11vnc, vncviewer and gvncviewer"]
fn the_relay_between_real_viewers_and_servers() {
    let folder = Folder::new();
    let qemu = Qemu::moving(&folder);
    let xvnc = Xvnc::open(&folder);
    let shown_folder = Folder::new();
    let shown = Desktop::start(&shown_folder);
    paint(&shown_folder, shown.display());
    let x11vnc = X11vnc::start(&shown_folder, &shown, None);
    let servers = [
        ("qemu", qemu.address(Method::None), false),
        ("xvnc", xvnc.address, true),
        ("x11vnc", x11vnc.address, false),
    ];
    thread::scope(|scope| {
        let mut pairs = Vec::new();
        for (server, address, still) in servers {
            pairs.push((
                format!("vncviewer-{server}"),
                vncviewer as fn(&Desktop, &str, SocketAddr, &Login) -> Process,
                address,
                still,
            ));
            pairs.push((format!("gvncviewer-{server}"), gvncviewer, address, still));
        }
        let running: Vec<_> = pairs
            .into_iter()
            .map(|(name, viewer, address, still)| {
                scope.spawn(move || {
                    let seen = watch(&name, address, viewer, still);
                    (name, seen)
                })
            })
            .collect();
        // The screens change for the first three quarters, and end as they were.
        let start = Instant::now();
        while start.elapsed() < BUSY * 3 / 4 {
            for display in [&xvnc.display, shown.display()] {
                stir(&folder, display, start.elapsed().subsec_millis());
            }
            thread::sleep(Duration::from_millis(300));
        }
        paint(&folder, &xvnc.display);
        paint(&folder, shown.display());
        let seen: Vec<_> = running.into_iter().map(|pair| pair.join().expect("a pair")).collect();
        for (name, seen) in &seen {
            println!("{name}: {:?}", seen.counts);
        }
        for (name, seen) in seen {
            let pictures = seen
                .counts
                .keys()
                .filter(|what| what.ends_with(')') && !what.contains("(-"));
            assert!(2 <= pictures.count(), "{name}: the encoding never changed");
            let has = |what: &str| seen.counts.contains_key(what);
            assert!(has("client KeyEvent") || has("client QEMU"), "{name}: no input");
        }
    });
}

/// What a viewer's user types, points at and copies does not reach the server, and the picture still reaches the viewer;
/// without the filter it all does.
#[test]
#[ignore = "needs Xvnc, vncviewer and xclip"]
fn input_and_clipboard_of_a_viewer_are_withheld() {
    for (filtered, text) in [(false, "copied in the open"), (true, "copied in vain")] {
        let folder = Folder::new();
        let xvnc = Xvnc::open(&folder);
        let desktop = Desktop::start(&folder);
        let middle = Middle::filtering(
            xvnc.address,
            if filtered {
                Filter::view_only()
            } else {
                Filter::default()
            },
        );
        let _viewer = vncviewer(&desktop, "filtered", middle.address, &nobody());
        let (width, height) = Xvnc::SIZE;
        let place = wait_for("the picture", || desktop.picture().find(&painted(width, height)));
        let before = xvnc.pointer(&folder);
        let _owner = set_clipboard(&folder, desktop.display(), text);
        let (x, y) = (place.0 as u32 + 50, place.1 as u32 + 60);
        let mut seen = Seen::default();
        wait_for("input on the way", || {
            desktop.move_pointer(x - 1, y - 1);
            desktop.move_pointer(x, y);
            desktop.focus("TigerVNC");
            desktop.press("a");
            seen = middle.seen();
            let has = |what: &str| seen.counts.contains_key(what);
            (has("client PointerEvent") && has("client QEMU") && has("client ClientCutText")).then_some(())
        });
        if filtered {
            assert!(3 <= seen.withheld);
            thread::sleep(Duration::from_secs(2));
            assert_eq!(xvnc.pointer(&folder), before, "the pointer");
            assert_ne!(
                clipboard(&folder, &xvnc.display).as_deref(),
                Some(text),
                "the clipboard"
            );
            assert!(!middle.account("filtered").counts.is_empty());
        } else {
            // The viewer leaves out what comes too fast, and may have left out the last pixel.
            let near = |(x, y): &(u32, u32)| (49..=50).contains(x) && (59..=60).contains(y);
            wait_for("the pointer", || xvnc.pointer(&folder).filter(near));
            wait_for("the clipboard", || {
                (clipboard(&folder, &xvnc.display).as_deref() == Some(text)).then_some(())
            });
            middle.account("open");
        }
    }
}
