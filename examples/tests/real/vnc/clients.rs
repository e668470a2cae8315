//! Viewers from Debian: TigerVNC's vncviewer, and gvnccapture of gtk-vnc.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Login, USER, tigervnc};
use crate::picture::Picture;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;

/// Shows a server in a window of vncviewer, until this is dropped.
pub(crate) fn vncviewer(desktop: &Desktop, name: &str, server: SocketAddr, login: &Login) -> Process {
    vncviewer_with("ZRLE", desktop, name, server, login)
}

/// The same without packing: as many bytes as there can be.
pub(crate) fn vncviewer_raw(desktop: &Desktop, name: &str, server: SocketAddr, login: &Login) -> Process {
    vncviewer_with("Raw", desktop, name, server, login)
}

/// Gives each key to the server: older TigerVNC has one key for its menu, 1.16 has keys that are held for it.
fn without_menu() -> Option<&'static str> {
    let help = Command::new("xtigervncviewer")
        .arg("-h")
        .output()
        .expect("xtigervncviewer");
    let help = String::from_utf8_lossy(&help.stdout) + String::from_utf8_lossy(&help.stderr);
    let options = [("MenuKey", "-MenuKey="), ("ShortcutModifiers", "-ShortcutModifiers=")];
    options
        .into_iter()
        .find_map(|(name, option)| help.contains(name).then_some(option))
}

pub(crate) fn vncviewer_with(
    encoding: &str,
    desktop: &Desktop,
    name: &str,
    server: SocketAddr,
    login: &Login,
) -> Process {
    desktop.start_program(&format!("vncviewer-{name}"), "xtigervncviewer", |command| {
        command
            .args(["-SecurityTypes", tigervnc(login.method), "-Log", "*:stderr:30"])
            // It says on its standard error what it would say in a dialogue, and ends.
            .args(["-AlertOnFatalError=0", "-ReconnectOnError=0"])
            // Every pixel as it is.
            .args([
                "-AutoSelect=0",
                &format!("-PreferredEncoding={encoding}"),
                "-FullColor=1",
                "-NoJPEG=1",
                "-DotWhenNoCursor=0",
            ])
            .args(without_menu())
            .arg(format!("{}::{}", server.ip(), server.port()))
            .env("VNC_PASSWORD", login.password.unwrap_or_default());
        if login.method.needs().tls {
            command.arg("-X509CA").arg(&login.authority);
        }
        if login.method.needs().user {
            command.env("VNC_USERNAME", USER);
        }
    })
}

/// Shows a server that takes everybody in a window of gvncviewer, until this is dropped.
pub(crate) fn gvncviewer(desktop: &Desktop, name: &str, server: SocketAddr, _: &Login) -> Process {
    desktop.start_program(name, "gvncviewer", |command| {
        let display = server.port().checked_sub(5900).expect("a port above those of VNC");
        command
            .arg(format!("{}:{display}", server.ip()))
            .env("GDK_BACKEND", "x11")
            .env("NO_AT_BRIDGE", "1");
    })
}

/// vncviewer shows the picture.
pub(crate) fn vncviewer_shows(desktop: &Desktop, name: &str, server: SocketAddr, login: &Login, expected: &Picture) {
    let mut viewer = vncviewer(desktop, name, server, login);
    wait_for(&format!("the picture in vncviewer {name}"), || {
        assert!(viewer.runs(), "vncviewer {name} ended");
        desktop.picture().find(expected)
    });
    viewer.end();
    wait_for("an empty screen", || {
        desktop.picture().find(expected).is_none().then_some(())
    });
}

/// vncviewer ends, and says why. Returns that, in the words of TigerVNC 1.12: 1.16 says "Authentication failed".
pub(crate) fn vncviewer_is_refused(desktop: &Desktop, name: &str, server: SocketAddr, login: &Login) -> String {
    let mut viewer = vncviewer(desktop, name, server, login);
    wait_for(&format!("the end of vncviewer {name}"), || {
        (!viewer.runs()).then_some(())
    });
    // It breaks its lines at 80 columns.
    let said = viewer.said().split_whitespace().collect::<Vec<_>>().join(" ");
    let words = ["Authentication failure: ", "Authentication failed: "];
    let why = words.into_iter().find_map(|words| said.split_once(words));
    let (_, why) = why.unwrap_or_else(|| panic!("vncviewer {name} was not refused: {said}"));
    let why = why.split(" DecodeManager:").next().unwrap_or_default();
    format!("Authentication failure: {why}")
}

/// What became of one run of gvnccapture.
pub(crate) struct Capture {
    picture: Option<Picture>,
    said: String,
}

/// Looks at a server once.
pub(crate) fn gvnccapture(folder: &Folder, name: &str, server: SocketAddr, login: &Login) -> Capture {
    let file = folder.join(&format!("{name}.png"));
    let _ = fs::remove_file(&file);
    let mut process = Process::start(folder, &format!("gvnccapture-{name}"), "script", |command| {
        // It reads passwords from nothing but a terminal.
        let display = server.port().checked_sub(5900).expect("a port above those of VNC");
        let run = format!("exec gvnccapture --debug {}:{display} {name}.png", server.ip());
        command
            .args(["--quiet", "--return", "--command", &run, "/dev/null"])
            .stdin(Stdio::piped());
        authority(folder, login, command);
    });
    let mut keyboard = process.stdin();
    // Asking for a password throws away what was typed before the terminal stopped to echo.
    let (mut asked_for_user, mut typed) = (false, Instant::now());
    wait_for(&format!("the end of gvnccapture {name}"), || {
        let said = process.output();
        // What is typed when the program has just ended goes nowhere.
        if said.contains("Username: ") && !asked_for_user {
            asked_for_user = true;
            let _ = writeln!(keyboard, "{USER}");
        }
        if said.contains("Password: ") && Duration::from_millis(200) < typed.elapsed() {
            typed = Instant::now();
            let _ = writeln!(keyboard, "{}", login.password.unwrap_or_default());
        }
        (!process.runs()).then_some(())
    });
    let picture = fs::read(file).ok().map(|png| Picture::from_png(&png));
    let said = process.said();
    Capture { picture, said }
}

/// gtk-vnc looks for the authority in the home that the user database tells.
fn authority(folder: &Folder, login: &Login, command: &mut Command) {
    let place = folder.join("gtk-vnc/.pki/CA");
    fs::create_dir_all(&place).expect("a home");
    fs::copy(&login.authority, place.join("cacert.pem")).expect("the authority");
    let user = fs::metadata(&place).expect("a folder of ours");
    let (uid, gid, home) = (user.uid(), user.gid(), folder.join("gtk-vnc"));
    let users = folder.write("users", format!("viewer:x:{uid}:{gid}::{}:/bin/sh\n", home.display()));
    let groups = folder.write("groups", format!("viewer:x:{gid}:\n"));
    command
        .env("LD_PRELOAD", "libnss_wrapper.so")
        .env("NSS_WRAPPER_PASSWD", users)
        .env("NSS_WRAPPER_GROUP", groups);
}

impl Capture {
    pub(crate) fn picture(self) -> Picture {
        self.picture.unwrap_or_else(|| panic!("no capture: {}", self.said))
    }

    /// There is no picture. Returns what gvnccapture says.
    pub(crate) fn refused(self) -> String {
        assert!(self.picture.is_none(), "a capture of a session that was refused");
        assert!(self.said.contains("Unable to connect to"), "{}", self.said);
        self.said
    }
}
