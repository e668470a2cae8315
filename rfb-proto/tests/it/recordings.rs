//! Loads recordings: the folder in `RFB_CAPTURES`, or the copy in `tests/data`. Any recording of that form is taken,
//! whatever its scenario holds; what is true of the copy only stands in `own_copy.rs`.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// The name of the source, as it stands in what is printed.
pub(crate) const SOURCE: &str = "RFB_CAPTURES";

/// One recorded connection.
pub(crate) struct Connection {
    pub(crate) name: String,
    pub(crate) c2s: Vec<u8>,
    pub(crate) s2c: Vec<u8>,
    /// Where TLS begins: bytes of the client, bytes of the server. The recorder ended it, so what follows is plaintext.
    pub(crate) tls_at: Option<(usize, usize)>,
    /// What was read from one side or the other, in this order: whether from the client, from where to where. Empty:
    /// not recorded.
    pub(crate) segments: Vec<(bool, Range<usize>)>,
    /// Whether the bytes of the client were kept up to the end of a message, and those of the server.
    pub(crate) whole: (bool, bool),
}

/// Every connection of the source, in the order of scenarios and numbers.
pub(crate) fn all() -> Vec<Connection> {
    load(&std::env::var_os(SOURCE).map_or_else(own_folder, PathBuf::from))
}

/// Every connection of the copy in `tests/data`, whatever the source is.
pub(crate) fn own() -> Vec<Connection> {
    load(&own_folder())
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures")
}

fn load(folder: &Path) -> Vec<Connection> {
    let mut connections = Vec::new();
    for scenario in read_dir(folder) {
        let name = scenario.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("vnc-") && scenario.is_dir() {
            connections.extend(
                numbers(&scenario)
                    .iter()
                    .map(|number| connection(&scenario, &name, number)),
            );
        }
    }
    assert!(
        !connections.is_empty(),
        "{SOURCE}: no connections in {}",
        folder.display()
    );
    connections
}

fn read_dir(path: &Path) -> Vec<PathBuf> {
    let entries = path
        .read_dir()
        .unwrap_or_else(|error| panic!("{SOURCE}: {}: {error}", path.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What stands in front of `.json` in the names of a scenario's connections.
fn numbers(scenario: &Path) -> Vec<String> {
    let names = read_dir(scenario).into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let number = name.strip_suffix(".json")?;
        number.parse::<u32>().is_ok().then(|| number.to_owned())
    });
    names.collect()
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{SOURCE}: {}: {error}", path.display()))
}

fn connection(scenario: &Path, name: &str, number: &str) -> Connection {
    let json = scenario.join(format!("{number}.json"));
    let about: serde_json::Value =
        serde_json::from_slice(&read(&json)).unwrap_or_else(|error| panic!("{SOURCE}: {}: {error}", json.display()));
    let bytes = |direction: &str| read(&scenario.join(format!("{number}.{direction}.bin")));
    let (c2s, s2c) = (bytes("c2s"), bytes("s2c"));
    let tls_at = |direction: &str| {
        let at = about["tls"]["starts_at"][direction].as_u64();
        at.map(|at| usize::try_from(at).unwrap())
    };
    // A cut that says where it is may be at the end of a message; bytes that are missing without a word may not.
    let whole = |direction: &str, kept: &[u8]| match about["cut"][direction].as_str() {
        Some(cut) => cut.contains("boundary"),
        None => about["on_wire"][direction]
            .as_u64()
            .is_none_or(|len| len <= kept.len() as u64),
    };
    Connection {
        name: format!("{name}/{number}"),
        tls_at: tls_at("c2s").zip(tls_at("s2c")),
        segments: about["segments"].as_array().map_or(Vec::new(), |list| segments(list)),
        whole: (whole("c2s", &c2s), whole("s2c", &s2c)),
        c2s,
        s2c,
    }
}

/// `[microseconds, direction, offset, length]`, one for each read.
fn segments(list: &[serde_json::Value]) -> Vec<(bool, Range<usize>)> {
    let mut segments: Vec<_> = list
        .iter()
        .map(|segment| {
            let from_client = match segment[1].as_str() {
                Some("c2s") => true,
                Some("s2c") => false,
                _ => panic!("{SOURCE}: no segment: {segment}"),
            };
            let number = |at: usize| segment[at].as_u64().unwrap();
            let [start, len] = [2, 3].map(|at| usize::try_from(number(at)).unwrap());
            (number(0), (from_client, start..start + len))
        })
        .collect();
    // The list is in the order of the reads; two in one microsecond stay as they stand.
    segments.sort_by_key(|(time, _)| *time);
    segments.into_iter().map(|(_, segment)| segment).collect()
}

/// What was tried, row by row: every row that fails is reported, not the first one only.
pub(crate) struct Rows {
    source: &'static str,
    rows: usize,
    failures: Vec<String>,
}

impl Rows {
    pub(crate) fn new(source: &'static str) -> Self {
        Self {
            source,
            rows: 0,
            failures: Vec::new(),
        }
    }

    /// A row. It has failed if it panics; gives what it came to.
    ///
    /// It runs in a thread of its own, so that one that has failed leaves nothing behind.
    pub(crate) fn row<T: Send>(&mut self, name: &str, row: impl FnOnce() -> T + Send) -> Option<T> {
        self.rows += 1;
        let ended = std::thread::scope(|scope| scope.spawn(row).join());
        ended
            .inspect_err(|panic| {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                self.failures
                    .push(format!("{name}: {}", text.unwrap_or_else(|| "panicked".into())));
            })
            .ok()
    }

    /// The sum, as the last line that a test prints.
    ///
    /// # Panics
    /// Rows have failed, or there were none.
    pub(crate) fn end(self) {
        let Self { source, rows, failures } = self;
        println!("{source}: {} of {rows} rows", rows - failures.len());
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
        assert!(0 < rows, "{source}: no rows");
    }
}

/// A row that fails does not hide the others, and none is lost in the sum.
#[test]
fn every_row_that_fails_is_reported() {
    let mut rows = Rows::new("test");
    assert_eq!(rows.row("a", || 7), Some(7));
    for name in ["b", "c"] {
        assert_eq!(rows.row(name, || assert_eq!(name, "a", "this one")), None);
    }
    assert_eq!((rows.rows, rows.failures.len()), (3, 2));
    assert!(rows.failures[0].starts_with("b: ") && rows.failures[1].contains("this one"));
    let reported = std::thread::spawn(|| rows.end()).join().unwrap_err();
    let reported = reported.downcast_ref::<String>().unwrap();
    assert!(reported.contains("\nb: ") && reported.contains("\nc: "), "{reported}");
    assert!(std::thread::spawn(|| Rows::new("test").end()).join().is_err());
}

/// A source that is not there, or has nothing in it, is a failure.
#[test]
fn a_source_without_recordings_fails() {
    let empty = std::env::temp_dir().join(format!("rfb-captures-{}", std::process::id()));
    for make in [false, true] {
        if make {
            std::fs::create_dir_all(empty.join("vnc-nothing")).unwrap();
            std::fs::create_dir_all(empty.join("spice-only")).unwrap();
        }
        let folder = empty.clone();
        assert!(std::thread::spawn(move || load(&folder)).join().is_err());
    }
    std::fs::remove_dir_all(empty).unwrap();
}
