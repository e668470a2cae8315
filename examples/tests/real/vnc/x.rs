//! X servers as VNC servers: TigerVNC's Xvnc, and x11vnc in front of Xvfb.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{PASSWORD, USER, USER_PASSWORD};
use crate::picture::Picture;
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, Process, wait_for};
use crate::viewer::Desktop;

/// The configuration of PAM, in place of the machine's own files: a user is in a file, or is not.
const PAM_SERVICE: &str = "real-vnc";

/// Paints the root window of an X server with a tile that has no symmetry, in two colours that have
/// three different bytes each.
pub(crate) fn paint(folder: &Folder, display: &str) {
    let bits: Vec<_> = TILE.iter().map(|byte| format!("{byte:#04x}")).collect();
    let tile = format!(
        "#define tile_width 16\n#define tile_height {}\nstatic unsigned char tile_bits[] = {{\n{}}};\n",
        TILE.len() / 2,
        bits.join(", "),
    );
    let tile = folder.write("tile.xbm", tile);
    let colour = |[red, green, blue]: [u8; 3]| format!("#{red:02x}{green:02x}{blue:02x}");
    let (status, said) = Process::run(folder, "xsetroot", "xsetroot", |command| {
        command
            .args(["-fg", &colour(SET), "-bg", &colour(CLEAR), "-bitmap"])
            .arg(tile)
            .env("DISPLAY", display);
    });
    assert_eq!(status, Some(0), "xsetroot: {said}");
}

/// Changes something on the screen of an X server: all of it, in one of many colours.
pub(crate) fn stir(folder: &Folder, display: &str, turn: u32) {
    let [_, red, green, blue] = turn.wrapping_mul(0x9e37_79b1).to_be_bytes();
    let (status, said) = Process::run(folder, "stir", "xsetroot", |command| {
        command.args(["-mod", &(2 + turn % 15).to_string(), &(3 + turn % 11).to_string()]);
        command
            .args(["-fg", &format!("#{red:02x}{green:02x}{blue:02x}"), "-bg", "#204060"])
            .env("DISPLAY", display);
    });
    assert_eq!(status, Some(0), "xsetroot: {said}");
}

/// Owns the clipboard of an X server with this text, until it is dropped.
pub(crate) fn set_clipboard(folder: &Folder, display: &str, text: &str) -> Process {
    let file = folder.write("clipboard", text);
    Process::start(folder, "xclip-in", "xclip", |command| {
        command
            .args(["-selection", "clipboard", "-quiet", "-in"])
            .arg(file)
            .env("DISPLAY", display);
    })
}

/// What is in the clipboard of an X server.
pub(crate) fn clipboard(folder: &Folder, display: &str) -> Option<String> {
    let mut process = Process::start(folder, "xclip-out", "timeout", |command| {
        command
            .args(["2", "xclip", "-selection", "clipboard", "-out"])
            .env("DISPLAY", display);
    });
    wait_for("xclip", || (!process.runs()).then_some(()));
    Some(process.output()).filter(|text| !text.is_empty())
}

/// What [`paint`] has painted.
pub(crate) fn painted(width: usize, height: usize) -> Picture {
    Picture::new(width, height, |x, y| {
        let row = y % (TILE.len() / 2);
        let byte = TILE[2 * row + x % 16 / 8];
        if byte >> (x % 8) & 1 == 1 { SET } else { CLEAR }
    })
}

const SET: [u8; 3] = [0xe0, 0x80, 0x30];
const CLEAR: [u8; 3] = [0x10, 0x30, 0x70];

/// Two bytes a row; the lowest bit is the leftmost pixel.
#[rustfmt::skip]
const TILE: &[u8] = &[
    0x01, 0x00,
    0x03, 0x80,
    0x07, 0x00,
    0x0f, 0x00,
    0xff, 0x0f,
    0x00, 0x3c,
    0xaa, 0x00,
];

/// TigerVNC's server. It offers VncAuth, Plain, and both inside TLS.
pub(crate) struct Xvnc {
    pub(crate) address: SocketAddr,
    pub(crate) display: String,
    /// The authority of its certificate.
    pub(crate) authority: PathBuf,
    _process: Process,
}

impl Xvnc {
    pub(crate) const SIZE: (usize, usize) = (320, 200);

    /// Starts it, and paints its screen.
    pub(crate) fn start(folder: &Folder) -> Self {
        Self::offering(folder, "VncAuth,Plain,X509Vnc,X509Plain")
    }

    /// The same for everybody.
    pub(crate) fn open(folder: &Folder) -> Self {
        Self::offering(folder, "None")
    }

    /// Where its pointer is.
    pub(crate) fn pointer(&self, folder: &Folder) -> Option<(u32, u32)> {
        let (_, said) = Process::run(folder, "pointer", "xdotool", |command| {
            command
                .args(["getmouselocation", "--shell"])
                .env("DISPLAY", &self.display);
        });
        let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.parse().ok());
        value("X=").zip(value("Y="))
    }

    /// The same with types that need a key of RSA.
    pub(crate) fn with_rsa_key(folder: &Folder, types: &str, key: &Path) -> Self {
        Self::with(folder, types, |command| {
            command.arg("-RSAKey").arg(key);
        })
    }

    /// Listens to its keyboard from now on.
    pub(crate) fn keys(&self, folder: &Folder) -> Keys {
        Keys(Process::start(folder, "xev", "xev", |command| {
            command
                .args(["-root", "-event", "keyboard"])
                .env("DISPLAY", &self.display);
        }))
    }

    fn offering(folder: &Folder, types: &str) -> Self {
        Self::with(folder, types, |_| {})
    }

    fn with(folder: &Folder, types: &str, prepare: impl Fn(&mut Command)) -> Self {
        let pki = pki::authority(folder, "xvnc");
        let password_file = folder.write("xvnc-password", obfuscated(folder));
        let (width, height) = Self::SIZE;
        // Between choosing the port and taking it, another program may have got it.
        for attempt in 0..5 {
            let address = free_port();
            let mut process = Process::start(folder, &format!("xvnc-{attempt}"), "Xtigervnc", |command| {
                command
                    .args(["-displayfd", "1", "-nolisten", "tcp", "-noreset", "-localhost=1"])
                    .args(["-rfbport", &address.port().to_string()])
                    .args(["-geometry", &format!("{width}x{height}"), "-depth", "24"])
                    // Each test has its wrong password.
                    .args(["-UseBlacklist=0", "-AlwaysShared=1", "-SecurityTypes", types])
                    .arg("-PasswordFile")
                    .arg(&password_file)
                    .args(["-PlainUsers", USER, "-pam_service", PAM_SERVICE])
                    .arg("-X509Cert")
                    .arg(pki.join("server-cert.pem"))
                    .arg("-X509Key")
                    .arg(pki.join("server-key.pem"));
                prepare(command);
                pam(folder, command);
            });
            let display = wait_for("Xvnc", || match process.output().strip_suffix('\n') {
                Some(number) => Some(Some(format!(":{number}"))),
                None => (!process.runs()).then_some(None),
            });
            if let Some(display) = display {
                paint(folder, &display);
                return Self {
                    address,
                    display,
                    authority: pki.join("ca-cert.pem"),
                    _process: process,
                };
            }
            assert!(process.logged().contains("in use"), "Xvnc ended");
        }
        panic!("Xvnc finds no port");
    }
}

/// What was typed at an X server.
pub(crate) struct Keys(Process);

impl Keys {
    /// Whether a key was.
    pub(crate) fn pressed(&self) -> bool {
        self.0.output().contains("KeyPress")
    }
}

/// Gives a program a PAM of its own, so that no file of the machine is touched.
fn pam(folder: &Folder, command: &mut Command) {
    let services = folder.join("pam");
    fs::create_dir_all(&services).expect("a folder for PAM");
    let users = folder.write("pam-users", format!("{USER}:{USER_PASSWORD}:{PAM_SERVICE}\n"));
    let module = pam_module();
    let stack = ["auth", "account"]
        .map(|kind| format!("{kind} required {} passdb={}\n", module.display(), users.display()))
        .concat();
    fs::write(services.join(PAM_SERVICE), stack).expect("a service for PAM");
    command
        .env("LD_PRELOAD", "libpam_wrapper.so")
        .env("PAM_WRAPPER", "1")
        .env("PAM_WRAPPER_SERVICE_DIR", services);
}

/// `pam_matrix.so`, which is wherever the libraries of this architecture are.
fn pam_module() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("the libraries");
    let modules = folders
        .flatten()
        .map(|folder| folder.path().join("pam_wrapper/pam_matrix.so"));
    let mut found = modules.filter(|module| module.exists());
    found.next().expect("pam_matrix.so of libpam-wrapper")
}

/// The password as Xvnc keeps it.
fn obfuscated(folder: &Folder) -> Vec<u8> {
    let plain = folder.write("password", format!("{PASSWORD}\n"));
    let (status, _) = Process::run(folder, "tigervncpasswd", "tigervncpasswd", |command| {
        command.arg("-f").stdin(fs::File::open(plain).expect("the password"));
    });
    assert_eq!(status, Some(0), "tigervncpasswd");
    fs::read(folder.join("tigervncpasswd.out")).expect("the obfuscated password")
}

/// x11vnc, which shows the screen of another X server.
pub(crate) struct X11vnc {
    pub(crate) address: SocketAddr,
    _process: Process,
}

impl X11vnc {
    /// Starts it for a painted desktop. Without a password file it takes everybody.
    pub(crate) fn start(folder: &Folder, desktop: &Desktop, password_file: Option<&Path>) -> Self {
        let name = if password_file.is_some() {
            "x11vnc-password"
        } else {
            "x11vnc"
        };
        for attempt in 0..5 {
            let address = free_port();
            let mut process = Process::start(folder, &format!("{name}-{attempt}"), "x11vnc", |command| {
                command
                    .args(["-display", desktop.display(), "-rfbport", &address.port().to_string()])
                    .args([
                        "-localhost",
                        "-no6",
                        "-forever",
                        "-shared",
                        "-noxdamage",
                        "-nocursor",
                        "-quiet",
                    ]);
                match password_file {
                    Some(file) => command.arg("-passwdfile").arg(file),
                    None => command.arg("-nopw"),
                };
            });
            let ready = format!("PORT={}\n", address.port());
            let listens = wait_for("x11vnc", || match process.output().contains(&ready) {
                true => Some(true),
                false => (!process.runs()).then_some(false),
            });
            if listens {
                return Self {
                    address,
                    _process: process,
                };
            }
        }
        panic!("x11vnc finds no port");
    }
}
