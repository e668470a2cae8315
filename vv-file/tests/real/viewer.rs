//! remote-viewer opens files that were built, and the server sees it connect.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use vv_file::Builder;

use self::ports::free_port;

#[path = "../../../examples/tests/support/ports.rs"]
mod ports;

const PATIENCE: Duration = Duration::from_secs(40);

/// A program that ends with the test.
struct Program(Child);

impl Program {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // `timeout` passes this signal on to its program, and could not pass on a SIGKILL.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(Duration::from_millis(200));
    }
    panic!("{what}: not within {} s", PATIENCE.as_secs());
}

/// QEMU's control socket, and the names of the events that came over it.
struct Control {
    socket: BufReader<UnixStream>,
    events: Vec<String>,
}

impl Control {
    fn connect(path: &Path) -> Self {
        let socket = until("QEMU", || UnixStream::connect(path).ok());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut control = Self {
            socket: BufReader::new(socket),
            events: Vec::new(),
        };
        control.ask(&json!({ "execute": "qmp_capabilities" }));
        control
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.socket.get_mut(), "{command}").unwrap();
        loop {
            let mut line = String::new();
            let length = self.socket.read_line(&mut line).unwrap();
            assert_ne!(length, 0, "QEMU closed its control socket");
            let answer: Value = serde_json::from_str(&line).unwrap();
            assert!(answer["error"].is_null(), "{answer}");
            self.events
                .extend(answer["event"].as_str().map(|event| event.to_owned()));
            if !answer["return"].is_null() {
                return answer["return"].clone();
            }
        }
    }

    /// Whether an event has come.
    fn saw(&mut self, event: &str) -> bool {
        self.ask(&json!({ "execute": "query-status" }));
        self.events.iter().any(|name| name == event)
    }
}

/// A machine with SPICE and VNC on the loopback, a display, and remote-viewer on a file.
///
/// With the right password QEMU says that the session has begun; with a wrong one that it hung up before that, and
/// the viewer asks for another.
fn opens(protocol: &str, password: &str, is_right: bool) {
    let name = format!("vv-real-{protocol}-{is_right}-{}", std::process::id());
    let folder = Folder(std::env::temp_dir().join(name));
    fs::create_dir_all(&folder.0).unwrap();
    let [spice, vnc] = [(); 2].map(|()| free_port().port());
    let path = folder.0.join("qmp");
    // VNC takes a display, which is the port less 5900; ports that the system hands out lie above.
    let vnc_display = vnc - 5900;
    let machine = Program::start(Command::new("timeout").args([
        "120",
        "qemu-system-x86_64",
        "-nodefaults",
        "-machine",
        "accel=tcg",
        "-m",
        "16",
        "-vga",
        "std",
        "-display",
        "none",
        "-S",
        "-spice",
        &format!("addr=127.0.0.1,port={spice}"),
        "-vnc",
        &format!("127.0.0.1:{vnc_display},password=on"),
        "-qmp",
        &format!("unix:{},server=on,wait=off", path.display()),
    ]));
    let mut control = Control::connect(&path);
    for protocol in ["spice", "vnc"] {
        let arguments = json!({ "protocol": protocol, "password": PASSWORD });
        control.ask(&json!({ "execute": "set_password", "arguments": arguments }));
    }

    let mut screen = Program(
        Command::new("timeout")
            .args([
                "120",
                "Xvfb",
                "-displayfd",
                "1",
                "-screen",
                "0",
                "800x600x24",
                "-nolisten",
                "tcp",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut number = String::new();
    BufReader::new(screen.0.stdout.take().unwrap())
        .read_line(&mut number)
        .unwrap();

    let file = folder.0.join("console.vv");
    let builder = match protocol {
        "spice" => Builder::spice("127.0.0.1").port(spice),
        _ => Builder::vnc("127.0.0.1").port(vnc),
    };
    let document = builder.password(password).title("a \\ b").build().unwrap();
    fs::write(&file, document.as_bytes()).unwrap();
    let display = format!(":{}", number.trim());
    let viewer = Program::start(
        Command::new("timeout")
            .args(["100", "remote-viewer", file.to_str().unwrap()])
            .env("DISPLAY", &display)
            .env("HOME", &folder.0)
            .env("XDG_RUNTIME_DIR", &folder.0)
            .stdout(Stdio::null()),
    );
    // The file is removed after it was read, before the viewer connects.
    until("the file to be removed", || (!file.exists()).then_some(()));
    let event = |name: &str| format!("{}_{name}", protocol.to_uppercase());
    let mut saw = |name: &str| control.saw(&event(name)).then_some(());
    let shows = |text: &str| windows(&display).contains(text).then_some(());
    if is_right {
        until("the session", || saw("INITIALIZED"));
        // The title has been through the file, escaped and back.
        until("the window", || shows("\"a \\ b"));
        assert_eq!(shows(REFUSED[0]).or(shows(REFUSED[1])), None, "the viewer complains");
    } else {
        until("the refusal", || saw("DISCONNECTED"));
        assert_eq!(saw("INITIALIZED"), None, "the viewer is in with a wrong password");
        until("the viewer to say so", || {
            shows(REFUSED[usize::from(protocol == "vnc")])
        });
    }
    println!("{protocol}, {password:?}: {:?}", control.events);
    drop((viewer, screen, machine));
}

/// The windows of a display, with title and class.
fn windows(display: &str) -> String {
    let output = Command::new("timeout")
        .args(["10", "xwininfo", "-display", display, "-root", "-children"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The windows that the viewer opens on a wrong password. With SPICE it asks for another one; with VNC it asks
/// whether to try again, in a box without a title.
const REFUSED: [&str; 2] = ["\"Authentication required\"", "(has no name): (\"remote-viewer\""];

/// Of the length that VNC takes, with a blank and a backslash.
const PASSWORD: &str = "s3 \\cret";

#[test]
#[ignore = "needs remote-viewer"]
fn remote_viewer_opens_spice() {
    opens("spice", PASSWORD, true);
    opens("spice", "s3 cret", false);
}

#[test]
#[ignore = "needs remote-viewer"]
fn remote_viewer_opens_vnc() {
    opens("vnc", PASSWORD, true);
    opens("vnc", "s3 cret", false);
}
