//! Running a program, and what it said.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

/// A program of these examples, not yet started.
pub(crate) fn program(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs a program of these examples to its end, with this on its standard input.
pub(crate) fn run(path: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = program(path, arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A program that does not read its input closes it, which is no failure.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The lines, each of which must be JSON.
pub(crate) fn lines(output: &Output) -> Vec<Value> {
    output
        .stdout
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            assert!(line.ends_with(b"\n"), "a line ends");
            serde_json::from_slice(line).unwrap()
        })
        .collect()
}

/// What was told of all connections, which may be opened in another order: without their numbers and times.
pub(crate) fn told(output: &Output) -> Vec<String> {
    let mut told: Vec<String> = lines(output)
        .into_iter()
        .filter(|line| line["kind"] != "open" && line["kind"] != "close")
        .map(|mut line| {
            let fields = line.as_object_mut().unwrap();
            fields.remove("connection");
            fields.remove("time");
            line.to_string()
        })
        .collect();
    told.sort();
    told
}

/// The most memory that a process has used, in KiB.
pub(crate) fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The folders of recordings whose names begin so: those of `variable`, or of the library's tests.
pub(crate) fn scenarios(variable: &str, library: &str, prefix: &str) -> Vec<PathBuf> {
    let folder = std::env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{library}/tests/data/captures")),
        PathBuf::from,
    );
    let entries = folder
        .read_dir()
        .unwrap_or_else(|error| panic!("{variable}: {}: {error}", folder.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(prefix))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{variable}: no {prefix}* in {}", folder.display());
    found
}

/// Whether the recordings are those of the library's tests, of which more is known.
pub(crate) fn is_own(variable: &str) -> bool {
    std::env::var_os(variable).is_none()
}

/// What was tried of a source of recordings, row by row: every row that fails is reported, not the first one only.
pub(crate) struct Rows {
    source: &'static str,
    rows: usize,
    failures: Vec<String>,
}

impl Rows {
    /// `source`: the variable that names it.
    pub(crate) fn new(source: &'static str) -> Self {
        Self {
            source,
            rows: 0,
            failures: Vec::new(),
        }
    }

    /// A row. It has failed if it panics; gives what it came to.
    pub(crate) fn row<T: Send>(&mut self, name: &str, row: impl FnOnce() -> T + Send) -> Option<T> {
        self.rows += 1;
        // In a thread of its own, so that one that has failed leaves nothing behind.
        let ended = std::thread::scope(|scope| scope.spawn(row).join());
        let failed = |panic: &Box<dyn std::any::Any + Send>| {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            self.failures
                .push(format!("{name}: {}", text.as_deref().unwrap_or("panicked")));
        };
        ended.inspect_err(failed).ok()
    }

    /// A row for each of these folders, by its name.
    pub(crate) fn each<T: Send>(&mut self, folders: &[PathBuf], row: impl Fn(&Path) -> T + Sync) -> Vec<T> {
        let row = &row;
        let name = |folder: &Path| folder.file_name().unwrap().to_string_lossy().into_owned();
        let ended = folders.iter().map(|folder| self.row(&name(folder), || row(folder)));
        ended.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    /// The sum, as the last line that a test prints.
    ///
    /// # Panics
    /// Rows have failed, or there were none.
    pub(crate) fn end(self) {
        let Self { source, rows, failures } = self;
        println!("{source}: {} of {rows} rows", rows - failures.len());
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
        assert_ne!(rows, 0, "{source}: nothing to try");
    }
}

/// A row that fails does not hide the others, and a source without rows is a failure.
#[test]
fn every_row_that_fails_is_reported() {
    let mut rows = Rows::new("ROWS");
    let folders = ["a", "b", "c"].map(PathBuf::from);
    let ended = rows.each(&folders, |folder| {
        assert_eq!(folder, Path::new("b"), "this one");
        7
    });
    assert_eq!((ended, rows.rows, rows.failures.len()), (vec![7], 3, 2));
    let told = std::thread::spawn(|| rows.end()).join().unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(
        told.contains("\na: ") && told.contains("\nc: ") && told.contains("this one"),
        "{told}"
    );
    assert!(std::thread::spawn(|| Rows::new("ROWS").end()).join().is_err());
}

/// A folder that goes away with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("tool-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Writes a pair: the names of its files.
    pub(crate) fn files(&self, client: &[u8], server: &[u8]) -> [String; 2] {
        [self.file("made.c2s.bin", client), self.file("made.s2c.bin", server)]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
