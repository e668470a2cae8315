//! Starts the program and ends it again.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longest time for anything here.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const BEARER: &str = "bearer-of-this-test";
pub(crate) const TICKET: &str = "hypervisors-own-ticket";

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_console-gateway"));
    command.stdin(Stdio::null());
    command
}

/// Runs it to its end.
pub(crate) fn run(arguments: &[&str]) -> Output {
    command().args(arguments).output().expect("the program starts")
}

/// A folder of its own for a test, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("gateway-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        let folder = Self(path);
        folder.write("api.token", BEARER);
        folder.write("vm1.ticket", format!("{TICKET}\n"));
        folder
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

impl Folder {
    /// Of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A configuration with a plain listener and one guest on the loopback.
pub(crate) fn configuration(port: u16) -> String {
    format!(
        "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n\
         [public]\nhost = \"127.0.0.1\"\nspice_port = \"bound\"\n\
         [listen]\nspice = \"127.0.0.1:0\"\nweb_plain = \"127.0.0.1:0\"\n\
         [tokens]\nttl_seconds = 60\n\
         [[guest]]\nid = \"vm1\"\n[[guest.console]]\nprotocol = \"spice\"\n\
         [[guest.console.place]]\nhost = \"127.0.0.1\"\nport = {port}\nticket_file = \"vm1.ticket\"\n"
    )
}

/// `serve`, running.
pub(crate) struct Service {
    child: Child,
    log: Option<JoinHandle<String>>,
    /// The line that it prints.
    pub(crate) line: String,
    folder: Folder,
}

impl Service {
    pub(crate) fn start(configuration: &str) -> Self {
        Self::start_in(Folder::new(), configuration)
    }

    pub(crate) fn start_in(folder: Folder, configuration: &str) -> Self {
        Self::start_by(command(), folder, configuration)
    }

    /// With so many file descriptors, and no more.
    pub(crate) fn start_with_descriptors(folder: Folder, configuration: &str, descriptors: u32) -> Self {
        let mut shell = Command::new("sh");
        let limited = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        shell.arg("-c").arg(limited).arg(env!("CARGO_BIN_EXE_console-gateway"));
        Self::start_by(shell, folder, configuration)
    }

    /// With the log that an operator has.
    pub(crate) fn start_quiet(folder: Folder, configuration: &str) -> Self {
        Self::start_with(command(), folder, configuration, "info")
    }

    /// As a service manager does, which listens there.
    pub(crate) fn start_notifying(configuration: &str, socket: &Path) -> Self {
        let mut command = command();
        command.env("NOTIFY_SOCKET", socket);
        Self::start_by(command, Folder::new(), configuration)
    }

    fn start_by(command: Command, folder: Folder, configuration: &str) -> Self {
        Self::start_with(command, folder, configuration, "trace")
    }

    fn start_with(mut command: Command, folder: Folder, configuration: &str, log: &str) -> Self {
        let path = folder.write("gateway.toml", configuration);
        let mut child = command
            .stdin(Stdio::null())
            .args(["serve", "--log", log, "--config"])
            .arg(path)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stderr = child.stderr.take().expect("standard error");
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log);
            log
        });
        let mut line = String::new();
        let stdout = child.stdout.take().expect("standard output");
        let _ = BufReader::new(stdout).read_line(&mut line);
        Self {
            child,
            log: Some(log),
            line,
            folder,
        }
    }

    /// Where its configuration is.
    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An address out of the line.
    pub(crate) fn address(&self, name: &str) -> Option<SocketAddr> {
        let line: serde_json::Value = serde_json::from_str(&self.line).expect("one line of JSON");
        Some(line.get(name)?.as_str()?.parse().expect("an address"))
    }

    pub(crate) fn api(&self) -> SocketAddr {
        self.address("api").expect("an address of the API")
    }

    pub(crate) fn web(&self) -> SocketAddr {
        self.address("web_plain").expect("an address of the web listener")
    }

    pub(crate) fn plain(&self) -> SocketAddr {
        self.address("spice").expect("an address of the plain listener")
    }

    /// Waits for the end of one that does not start: everything it said.
    pub(crate) fn ended(mut self) -> String {
        if !self.line.is_empty() {
            return String::new();
        }
        let _ = self.child.wait();
        self.log.take().expect("only waited for once").join().expect("the log")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill")
            .args(["-s", signal, &self.child.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Sends a signal, and waits: how it ended, how long that took, and everything it logged.
    pub(crate) fn stop(mut self, signal: &str) -> (ExitStatus, Duration, String) {
        let began = Instant::now();
        self.signal(signal);
        let status = loop {
            match self.child.try_wait().expect("a status") {
                Some(status) => break status,
                None if PATIENCE < began.elapsed() => panic!("it does not stop"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let took = began.elapsed();
        let log = self.log.take().expect("only stopped once").join().expect("the log");
        (status, took, log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
