//! SPICE clients from Debian: spicy-screenshot, and remote-viewer on a display without a screen.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::gateway::Vv;
use crate::picture::Picture;
use crate::process::{Folder, Process, wait_for};

/// The address that a viewer connects to, and the authority that it trusts.
pub(crate) struct Endpoint {
    address: SocketAddr,
    authority: Option<PathBuf>,
}

impl Endpoint {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        Self {
            address,
            authority: None,
        }
    }

    pub(crate) fn tls(address: SocketAddr, authority: PathBuf) -> Self {
        Self {
            address,
            authority: Some(authority),
        }
    }
}

/// What became of one run of spicy-screenshot.
pub(crate) struct Screenshot {
    status: Option<i32>,
    said: String,
    file: PathBuf,
}

/// Looks at a guest once.
pub(crate) fn screenshot(folder: &Folder, name: &str, endpoint: &Endpoint, password: &str) -> Screenshot {
    let file = folder.join(&format!("{name}.ppm"));
    let _ = fs::remove_file(&file);
    let (status, said) = Process::run(folder, &format!("spicy-{name}"), "spicy-screenshot", |command| {
        let port = if endpoint.authority.is_some() {
            "--secure-port"
        } else {
            "--port"
        };
        command
            .arg("--host")
            .arg(endpoint.address.ip().to_string())
            .arg(port)
            .arg(endpoint.address.port().to_string())
            .arg("--password")
            .arg(password)
            .arg("--out-file")
            .arg(&file)
            // Without it, what the server answered to the password is not said.
            .env("SPICE_DEBUG", "1");
        if let Some(authority) = &endpoint.authority {
            // This client has no option for the authority and takes what OpenSSL trusts.
            command.env("SSL_CERT_FILE", authority);
        }
    });
    Screenshot { status, said, file }
}

impl Screenshot {
    pub(crate) fn picture(&self) -> Picture {
        assert_eq!(self.status, Some(0), "no screenshot: {}", self.said);
        Picture::from_ppm(&fs::read(&self.file).expect("a screenshot"))
    }

    fn assert_failed(&self) {
        assert_eq!(self.status, Some(1), "{}", self.said);
        assert!(!self.file.exists(), "a screenshot of a session that was refused");
    }

    /// The client ended, and said that the link broke off: which is not the password's fault.
    pub(crate) fn assert_broken_off(&self) {
        self.assert_failed();
        // SPICE_CHANNEL_ERROR_LINK
        assert!(self.said.contains("main channel event: 22\n"), "{}", self.said);
    }

    /// The client ended, and said that it was the password.
    pub(crate) fn assert_refused(&self) {
        self.assert_failed();
        // SPICE_LINK_ERR_PERMISSION_DENIED, which becomes SPICE_CHANNEL_ERROR_AUTH.
        for words in ["main-1:0: link result: reply 7\n", "main channel event: 23\n"] {
            assert!(self.said.contains(words), "not {words:?}: {}", self.said);
        }
    }
}

/// An X server whose screen is a file.
pub(crate) struct Desktop<'a> {
    folder: &'a Folder,
    display: String,
    _process: Process,
}

impl<'a> Desktop<'a> {
    pub(crate) fn start(folder: &'a Folder) -> Self {
        let mut process = Process::start(folder, "xvfb", "Xvfb", |command| {
            command
                .args(["-displayfd", "1", "-screen", "0", "1024x768x24", "-fbdir"])
                .arg(folder.path())
                // The server would start anew when its last client has gone.
                .args(["-nolisten", "tcp", "-noreset"]);
        });
        let display = wait_for("the X server", || {
            assert!(process.runs(), "the X server ended");
            Some(format!(":{}", process.output().strip_suffix('\n')?))
        });
        let desktop = Self {
            folder,
            display,
            _process: process,
        };
        // The pointer is drawn too: out of the way with it.
        assert!(desktop.xdotool(&["mousemove", "1023", "767"]));
        desktop
    }

    /// By which name programs find it.
    pub(crate) fn display(&self) -> &str {
        &self.display
    }

    /// Starts a program that shows itself here.
    pub(crate) fn start_program(&self, name: &str, program: &str, prepare: impl FnOnce(&mut Command)) -> Process {
        Process::start(self.folder, name, program, |command| {
            command.env("DISPLAY", &self.display);
            prepare(command);
        })
    }

    /// Opens a connection file with remote-viewer.
    pub(crate) fn open(&'a self, name: &str, vv: &Vv) -> Viewer<'a> {
        let file = self.folder.write(&format!("{name}.vv"), &vv.text);
        let process = self.start_program(&format!("viewer-{name}"), "remote-viewer", |command| {
            command
                .args(["--debug", "--spice-debug"])
                .arg(&file)
                .env("GDK_BACKEND", "x11")
                .env("GSETTINGS_BACKEND", "memory")
                .env("NO_AT_BRIDGE", "1")
                // No bus, so that none is started that would stay behind.
                .env("DBUS_SESSION_BUS_ADDRESS", "disabled:");
        });
        Viewer {
            desktop: self,
            process,
            file,
        }
    }

    /// Connects with spicy. The subject is that which the server's certificate must have; without one, its name counts.
    pub(crate) fn spicy(
        &'a self,
        name: &str,
        endpoint: &Endpoint,
        subject: Option<&str>,
        password: &str,
    ) -> Viewer<'a> {
        let process = self.start_program(&format!("viewer-{name}"), "spicy", |command| {
            command
                .arg("--spice-debug")
                .args(["--host", &endpoint.address.ip().to_string()])
                .args(["--password", password])
                .env("GDK_BACKEND", "x11")
                .env("GSETTINGS_BACKEND", "memory")
                .env("NO_AT_BRIDGE", "1")
                .env("DBUS_SESSION_BUS_ADDRESS", "disabled:");
            let port = endpoint.address.port().to_string();
            match &endpoint.authority {
                Some(authority) => command
                    .args(["--secure-port", &port])
                    .arg("--spice-ca-file")
                    .arg(authority),
                None => command.args(["--port", &port]),
            };
            if let Some(subject) = subject {
                command.args(["--spice-host-subject", subject]);
            }
        });
        Viewer {
            desktop: self,
            process,
            file: PathBuf::new(),
        }
    }

    /// What is on the screen now.
    pub(crate) fn picture(&self) -> Picture {
        Picture::from_xwd(&fs::read(self.folder.join("Xvfb_screen0")).expect("the screen"))
    }

    /// Puts the pointer there.
    pub(crate) fn move_pointer(&self, x: u32, y: u32) {
        self.xdotool(&["mousemove", &x.to_string(), &y.to_string()]);
    }

    /// Presses a key and lets it go.
    pub(crate) fn press(&self, key: &str) {
        self.xdotool(&["key", key]);
    }

    /// Gives the keyboard to the window whose title ends like this. Without it a VNC viewer sends nothing.
    pub(crate) fn focus(&self, title: &str) {
        self.xdotool(&["search", "--onlyvisible", "--name", &format!("{title}$"), "windowfocus"]);
    }

    /// Makes the window whose title ends like this so wide, and as high as the screen.
    pub(crate) fn widen(&self, title: &str, width: usize) {
        let (title, width) = (format!("{title}$"), width.to_string());
        self.xdotool(&["search", "--onlyvisible", "--name", &title, "windowsize", &width, "768"]);
    }

    /// Whether there is a window whose title begins like this.
    pub(crate) fn shows_window(&self, title: &str) -> bool {
        self.xdotool(&["search", "--onlyvisible", "--name", &format!("^{title}")])
    }

    /// Presses the button in the lower right corner of the window whose title begins like this, if there is one.
    pub(crate) fn press_last_button(&self, title: &str) {
        let title = format!("^{title}");
        let (status, said) = Process::run(self.folder, "xdotool", "xdotool", |command| {
            command
                .args([
                    "search",
                    "--onlyvisible",
                    "--name",
                    &title,
                    "getwindowgeometry",
                    "--shell",
                    "%1",
                ])
                .env("DISPLAY", &self.display);
        });
        let value = |name: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(name)?.parse::<u32>().ok())
        };
        let place = (value("X="), value("Y="), value("WIDTH="), value("HEIGHT="));
        if let (Some(0), (Some(x), Some(y), Some(width), Some(height))) = (status, place) {
            let (x, y) = (x + width - 60, y + height - 25);
            self.xdotool(&["mousemove", &x.to_string(), &y.to_string(), "click", "1"]);
        }
    }

    fn xdotool(&self, arguments: &[&str]) -> bool {
        let (status, _) = Process::run(self.folder, "xdotool", "xdotool", |command| {
            command.args(arguments).env("DISPLAY", &self.display);
        });
        status == Some(0)
    }
}

/// A running remote-viewer.
pub(crate) struct Viewer<'a> {
    desktop: &'a Desktop<'a>,
    process: Process,
    file: PathBuf,
}

impl Viewer<'_> {
    pub(crate) fn wait_for_window(&self, title: &str) {
        wait_for(&format!("the window {title:?}"), || {
            self.desktop.shows_window(title).then_some(())
        });
        assert!(!Path::new(&self.file).exists(), "the connection file is still there");
    }

    /// Waits until the guest is shown, and returns where on the screen it is.
    pub(crate) fn wait_for_picture(&self, expected: &Picture) -> (usize, usize) {
        wait_for("the guest in the viewer", || self.desktop.picture().find(expected))
    }

    /// Whether it runs; it is not started again.
    pub(crate) fn runs(&mut self) -> bool {
        self.process.runs()
    }

    /// Waits until the viewer says that the password is not right, and asks for another.
    pub(crate) fn wait_for_refusal(&self) {
        wait_for("a word about the password", || {
            let words = "main channel: auth failure (wrong username/password?)";
            self.process.said().contains(words).then_some(())
        });
        self.wait_for_window("Authentication required$");
    }

    /// Ends the viewer, and waits until the guest is gone from the screen.
    pub(crate) fn end(mut self, guest: &Picture) {
        self.process.end();
        wait_for("an empty screen", || {
            self.desktop.picture().find(guest).is_none().then_some(())
        });
    }
}
