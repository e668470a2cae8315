//! remote-viewer opens files that were built, and the server sees it connect.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use vv_file::{Builder, Document};

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

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

/// One command of QEMU's control socket.
fn qmp(socket: &mut BufReader<UnixStream>, command: &Value) -> Value {
    writeln!(socket.get_mut(), "{command}").unwrap();
    loop {
        let mut line = String::new();
        assert_ne!(
            socket.read_line(&mut line).unwrap(),
            0,
            "QEMU closed its control socket"
        );
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        if !answer["return"].is_null() {
            return answer["return"].clone();
        }
    }
}

/// A machine with SPICE and VNC on the loopback, a display, and remote-viewer on a file. `connected` looks at
/// what QEMU says about its clients.
fn opens(
    name: &str,
    build: impl FnOnce(u16, u16) -> Document,
    query: &str,
    connected: impl Fn(&Value) -> bool,
    good: bool,
) {
    let folder = Folder(std::env::temp_dir().join(format!("vv-real-{name}-{}", std::process::id())));
    fs::create_dir_all(&folder.0).unwrap();
    let (spice, vnc) = (free_port(), free_port());
    let control = folder.0.join("qmp");
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
        &format!("unix:{},server=on,wait=off", control.display()),
    ]));
    let socket = until("QEMU", || UnixStream::connect(&control).ok());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut socket = BufReader::new(socket);
    qmp(&mut socket, &json!({ "execute": "qmp_capabilities" }));
    for protocol in ["spice", "vnc"] {
        let arguments = json!({ "protocol": protocol, "password": "s3 \\cret" });
        qmp(
            &mut socket,
            &json!({ "execute": "set_password", "arguments": arguments }),
        );
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
    fs::write(&file, build(spice, vnc).as_bytes()).unwrap();
    let viewer = Program::start(
        Command::new("timeout")
            .args(["100", "remote-viewer", file.to_str().unwrap()])
            .env("DISPLAY", format!(":{}", number.trim()))
            .env("HOME", &folder.0)
            .env("XDG_RUNTIME_DIR", &folder.0)
            .stdout(Stdio::null()),
    );
    let mut look = || connected(&qmp(&mut socket, &json!({ "execute": query }))).then_some(());
    // The file is removed after it was read, before the viewer connects.
    until("the file to be removed", || (!file.exists()).then_some(()));
    if good {
        until("the viewer to connect", look);
    } else {
        thread::sleep(Duration::from_secs(3));
        assert_eq!(look(), None, "the viewer is in with a wrong password");
    }
    drop((viewer, screen, machine));
}

fn spice(password: &'static str) -> impl FnOnce(u16, u16) -> Document {
    move |port, _| {
        Builder::spice("127.0.0.1")
            .port(port)
            .password(password)
            .title("a \\ b")
            .build()
            .unwrap()
    }
}

fn vnc(password: &'static str) -> impl FnOnce(u16, u16) -> Document {
    move |_, port| {
        Builder::vnc("127.0.0.1")
            .port(port)
            .password(password)
            .title("a \\ b")
            .build()
            .unwrap()
    }
}

fn has_channels(answer: &Value) -> bool {
    answer["channels"]
        .as_array()
        .is_some_and(|channels| 2 <= channels.len())
}

fn has_clients(answer: &Value) -> bool {
    answer["clients"].as_array().is_some_and(|clients| !clients.is_empty())
}

#[test]
#[ignore = "needs remote-viewer"]
fn remote_viewer_opens_spice() {
    opens("spice", spice("s3 \\cret"), "query-spice", has_channels, true);
    opens("spice-wrong", spice("s3 cret"), "query-spice", has_channels, false);
}

#[test]
#[ignore = "needs remote-viewer"]
fn remote_viewer_opens_vnc() {
    opens("vnc", vnc("s3 \\cret"), "query-vnc", has_clients, true);
}
