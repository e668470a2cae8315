//! Programs that end with the test, and the folder with everything they write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest that any single wait takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The longest that a program runs, whatever becomes of the test.
const LIFETIME: &str = "400";

/// Asks again and again, until there is an answer. Panics with `what` when there is none in time.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A folder of one test. It goes when the test ends; when the test failed, what the programs wrote is printed.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("real-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).expect("a file of the test");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut logs: Vec<_> = fs::read_dir(&self.0)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path())
                .collect();
            logs.retain(|path| {
                path.extension()
                    .is_some_and(|extension| extension == "log" || extension == "out")
            });
            logs.sort();
            for path in logs {
                let text = fs::read(&path).unwrap_or_default();
                if !text.is_empty() {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    eprintln!("--- {name}\n{}", String::from_utf8_lossy(&text));
                }
            }
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running program. It is ended when this is dropped.
///
/// It runs under `timeout`, which passes a TERM on and follows it with a KILL.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    out: PathBuf,
}

impl Process {
    /// Starts a program, whose logs are called `name`. `prepare` adds arguments and environment.
    pub(crate) fn start(folder: &Folder, name: &str, program: &str, prepare: impl FnOnce(&mut Command)) -> Self {
        let log = folder.join(&format!("{name}.log"));
        let out = folder.join(&format!("{name}.out"));
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=3", LIFETIME, program])
            .current_dir(folder.path())
            .env("LC_ALL", "C")
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(&out).expect("a file for the output"))
            .stderr(File::create(&log).expect("a file for the log"));
        prepare(&mut command);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program} cannot be run: {error}"));
        Self { child, log, out }
    }

    /// Runs a program to its end. Returns the exit status, and both outputs as one text.
    pub(crate) fn run(
        folder: &Folder,
        name: &str,
        program: &str,
        prepare: impl FnOnce(&mut Command),
    ) -> (Option<i32>, String) {
        let mut process = Self::start(folder, name, program, prepare);
        let status = wait_for(&format!("the end of {name}"), || {
            process.child.try_wait().expect("a child")
        });
        (status.code(), process.said())
    }

    /// Where the program reads from, if `prepare` has made it a pipe.
    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().expect("a piped standard input")
    }

    /// Whether the program still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// What the program has written to its standard error.
    pub(crate) fn logged(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// What the program has written to its standard output.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.out).unwrap_or_default()).into_owned()
    }

    /// Both outputs.
    pub(crate) fn said(&self) -> String {
        self.output() + &self.logged()
    }

    /// Ends the program and waits until it is gone.
    pub(crate) fn end(&mut self) {
        if let Ok(Some(_)) = self.child.try_wait() {
            return;
        }
        // Killing `timeout` itself would leave the program behind.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill {}", self.child.id())])
            .status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
