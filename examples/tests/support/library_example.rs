//! The example programs of spice-proto, built and run.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// How long a program has for whatever is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// An example of spice-proto, as cargo builds it. It is there already if all of the workspace was built with all
/// features.
pub(crate) fn example(name: &str) -> PathBuf {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let beside = Path::new(env!("CARGO_BIN_EXE_spice-picture")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // The features of the whole workspace, so that nothing is built a second time; without the crate whose examples
    // have names that are here, too.
    cargo.args([
        "build",
        "--quiet",
        "--workspace",
        "--exclude",
        "rfb-proto",
        "--all-features",
        "--example",
        name,
    ]);
    if beside.ends_with("release") {
        cargo.arg("--release");
    }
    cargo.arg("--target-dir").arg(beside.parent().unwrap());
    // What cargo says of this package to its tests: ring's build script would run again because of it, here and in the next
    // build, and with it everything that has TLS.
    let said = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in said.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
        cargo.env_remove(name);
    }
    let built = cargo.stdin(Stdio::null()).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    // By a name that no other package builds.
    let folder = beside.join("examples");
    let [fresh, own] = ["fresh", "own"].map(|kind| folder.join(format!("spice-proto-{name}-{kind}")));
    let _ = fs::remove_file(&fresh);
    fs::hard_link(folder.join(name), &fresh).unwrap();
    fs::rename(&fresh, &own).unwrap();
    // A rename does nothing where both are links to one file.
    let _ = fs::remove_file(&fresh);
    own
}

/// A program that runs until this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    /// Starts it. Standard input is closed.
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| send.send(line))
        });
        Self { child, lines }
    }

    /// The next line of its output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program says nothing")
    }

    /// Its lines up to the first that holds this, and that one.
    pub(crate) fn lines_to(&self, wanted: &str) -> Vec<String> {
        let mut lines = vec![self.line()];
        while !lines.last().unwrap().contains(wanted) {
            lines.push(self.line());
        }
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a program to end by itself, and tells whether it was content, and what it has printed.
pub(crate) fn ended(command: &mut Command) -> (bool, Vec<String>) {
    let mut running = Running::start(command);
    let mut lines = Vec::new();
    loop {
        match running.lines.recv_timeout(PATIENCE) {
            Ok(line) => lines.push(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => return (running.child.wait().unwrap().success(), lines),
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {lines:?}"),
        }
    }
}
