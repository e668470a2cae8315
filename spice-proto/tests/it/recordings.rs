//! Loads recordings: the folder in `SPICE_CAPTURES`, or the copy in `tests/data`. Any recording of that form is taken,
//! whatever its scenario holds; what is true of the copy only stands in `own_copy.rs`.

use std::path::{Path, PathBuf};

use bytes::BytesMut;
use spice_proto::frame::{Frame, FrameReader, HeaderForm};
use spice_proto::ids::{AuthMechanism, LinkErrorCode};
use spice_proto::link::Sender;
use spice_proto::link::messages::{MAGIC, SEALED_TICKET_LEN};
use spice_proto::link::{LinkHeader, LinkMess, LinkReply};
use spice_proto::{Limits, caps};

/// The name of the source, as it stands in what is printed.
const SOURCE: &str = "SPICE_CAPTURES";

/// One recorded connection.
pub(crate) struct Connection {
    pub(crate) name: String,
    pub(crate) c2s: Vec<u8>,
    pub(crate) s2c: Vec<u8>,
    /// The stream was cut, so its last message need not be whole.
    pub(crate) c2s_cut: bool,
    pub(crate) s2c_cut: bool,
    /// The recorder ended TLS.
    tls: bool,
    /// What the recorder read, in its order: the sender, and how many bytes. `None`: not recorded.
    reads: Option<Vec<(Sender, usize)>>,
}

/// What the link stage of a connection says, read without a machine.
pub(crate) struct Linked {
    pub(crate) request: LinkMess,
    pub(crate) reply: LinkReply,
    /// The client's choice; `None`: it is not asked for one, or has not made it.
    pub(crate) mechanism: Option<AuthMechanism>,
    pub(crate) sasl: bool,
    /// The result, if there is one that can be read.
    pub(crate) result: Option<Result<LinkErrorCode, LateReply>>,
    /// Where the data stage begins, or would; 0 where a SASL exchange is not seen to its end, or ends sealed.
    pub(crate) c2s_at: usize,
    pub(crate) s2c_at: usize,
    pub(crate) form: HeaderForm,
}

/// A link reply where a result was due: a server's refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct LateReply {
    /// What it says; `None`: it is not whole.
    pub(crate) code: Option<LinkErrorCode>,
}

/// The frames of a connection whose link stands, behind its link stage.
pub(crate) struct Data<'a> {
    pub(crate) linked: Linked,
    pub(crate) c2s: &'a [u8],
    pub(crate) s2c: &'a [u8],
}

/// Limits that no recording reaches.
pub(crate) fn limits() -> Limits {
    Limits::default().with_frame_body(64 << 20)
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// A link message at the front of a stream: where it ends, and what follows its header.
pub(crate) fn link_message(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let header = LinkHeader::decode_slice(bytes).ok()?;
    let end = LinkHeader::LEN.checked_add(header.size as usize)?;
    let body = bytes.get(LinkHeader::LEN..end)?;
    (header.magic == MAGIC).then_some((end, body))
}

/// A SASL exchange that both sides call complete: how many bytes of each it takes.
fn sasl_exchange(c2s: &[u8], s2c: &[u8]) -> Option<[usize; 2]> {
    fn counted(bytes: &[u8], at: usize) -> Option<usize> {
        let end = at.checked_add(4)?.checked_add(word(bytes.get(at..)?)? as usize)?;
        (end <= bytes.len()).then_some(end)
    }
    let (mut client, mut server) = (counted(c2s, counted(c2s, 0)?)?, counted(s2c, 0)?);
    loop {
        server = counted(s2c, server)? + 1;
        match s2c.get(server - 1)? {
            0 => client = counted(c2s, client)?,
            _ => break,
        }
    }
    (word(s2c.get(server..)?)? == 0).then_some([client, server + 4])
}

impl Connection {
    /// The link stage; `None` when no reply accepted it.
    pub(crate) fn linked(&self) -> Option<Linked> {
        let (c2s_end, body) = link_message(&self.c2s)?;
        let request = LinkMess::decode_slice(body, &Limits::default()).ok()?;
        let (s2c_end, body) = link_message(&self.s2c)?;
        let reply = LinkReply::decode_slice(body, &Limits::default()).ok()?;
        if reply.error != LinkErrorCode::OK {
            return None;
        }
        let both = |bit| request.capabilities.has_common(bit) && reply.capabilities.has_common(bit);
        let selects = both(caps::common::PROTOCOL_AUTH_SELECTION);
        let mini = both(caps::common::MINI_HEADER);
        let mechanism = word(&self.c2s[c2s_end..]).filter(|_| selects).map(AuthMechanism);
        let sasl = mechanism == Some(AuthMechanism::SASL);
        let proof = c2s_end + usize::from(selects) * 4;
        // With TLS no layer of SASL is used.
        let proved = match sasl {
            true => sasl_exchange(self.c2s.get(proof..)?, &self.s2c[s2c_end..]).filter(|_| self.tls),
            false => Some([SEALED_TICKET_LEN, 0]),
        };
        let behind = self.s2c.get(s2c_end + proved.map_or(0, |proved| proved[1])..)?;
        let result = word(behind).filter(|_| proved.is_some());
        Some(Linked {
            form: HeaderForm::agreed(mini, mini),
            sasl,
            result: result.map(|code| match behind.starts_with(&MAGIC) {
                true => Err(LateReply {
                    code: link_message(behind).and_then(|(_, body)| word(body)).map(LinkErrorCode),
                }),
                false => Ok(LinkErrorCode(code)),
            }),
            c2s_at: proved.map_or(0, |proved| proof + proved[0]),
            s2c_at: proved.map_or(0, |proved| s2c_end + proved[1] + 4),
            mechanism,
            request,
            reply,
        })
    }

    /// The frames, of a link that stands and whose data are in clear.
    pub(crate) fn data(&self) -> Option<Data<'_>> {
        let linked = self.linked()?;
        if linked.result != Some(Ok(LinkErrorCode::OK)) {
            return None;
        }
        Some(Data {
            c2s: self.c2s.get(linked.c2s_at..).unwrap_or_default(),
            s2c: self.s2c.get(linked.s2c_at..).unwrap_or_default(),
            linked,
        })
    }

    /// Whether the order between the directions was recorded.
    pub(crate) fn has_order(&self) -> bool {
        self.reads.is_some()
    }

    /// The frames of both directions, in the order in which somebody between the two sees them whole.
    ///
    /// Where no order was recorded: first those of the server, then those of the client.
    pub(crate) fn frames(&self) -> Option<Vec<(Sender, Frame)>> {
        let data = self.data()?;
        let one = |sender: Sender| (sender, usize::MAX);
        let in_a_row = vec![one(Sender::Server), one(Sender::Client)];
        let reads = self.reads.as_ref().unwrap_or(&in_a_row);
        let mut sides = [(Sender::Server, data.s2c), (Sender::Client, data.c2s)].map(|(sender, bytes)| {
            let stage = match sender {
                Sender::Server => data.linked.s2c_at,
                Sender::Client => data.linked.c2s_at,
            };
            let stage = if self.reads.is_some() { stage } else { 0 };
            (sender, bytes, stage, BytesMut::new())
        });
        let mut splitter = FrameReader::new(data.linked.form, &limits());
        let mut all = Vec::new();
        for (sender, len) in reads {
            let (_, left, stage, rx) = sides.iter_mut().find(|side| side.0 == *sender).unwrap();
            let skipped = (*stage).min(*len);
            *stage -= skipped;
            let (read, rest) = left.split_at((len - skipped).min(left.len()));
            *left = rest;
            rx.extend_from_slice(read);
            while let Some(frame) = splitter.decode(rx).unwrap() {
                all.push((*sender, frame));
            }
        }
        Some(all)
    }
}

/// The folder of the source.
fn folder() -> PathBuf {
    std::env::var_os(SOURCE).map_or_else(own_folder, PathBuf::from)
}

fn own_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/captures")
}

/// Every connection of the source, in the order of scenarios and numbers.
pub(crate) fn all() -> Vec<Connection> {
    load(&folder())
}

/// Every connection of the copy in `tests/data`, whatever the source is.
pub(crate) fn own() -> Vec<Connection> {
    load(&own_folder())
}

fn load(folder: &Path) -> Vec<Connection> {
    let mut connections = Vec::new();
    for scenario in read_dir(folder) {
        let name = scenario.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("spice-") && scenario.is_dir() {
            connections.extend(numbers(&scenario).map(|number| connection(&scenario, &name, &number)));
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
fn numbers(scenario: &Path) -> impl Iterator<Item = String> {
    let names = read_dir(scenario).into_iter().filter_map(|path| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let number = name.strip_suffix(".json")?;
        number.parse::<u32>().is_ok().then(|| number.to_owned())
    });
    names.collect::<Vec<_>>().into_iter()
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
    // The number of bytes that went over the wire stands in one of two places.
    let cut = |direction: &str, kept: &[u8]| {
        let on_wire = about["on_wire"][direction].as_u64();
        let on_wire = on_wire.or_else(|| about[format!("{direction}_bytes")].as_u64());
        about["cut"][direction].is_string() || on_wire.is_some_and(|len| (kept.len() as u64) < len)
    };
    Connection {
        name: format!("{name}/{number}"),
        c2s_cut: cut("c2s", &c2s),
        s2c_cut: cut("s2c", &s2c),
        tls: about["tls"].is_object() || about["mode"] == "tls",
        reads: about["segments"].as_array().map(|segments| reads(segments)),
        c2s,
        s2c,
    }
}

/// `[microseconds, direction, offset, length]`, one for each read.
fn reads(segments: &[serde_json::Value]) -> Vec<(Sender, usize)> {
    let mut reads: Vec<_> = segments
        .iter()
        .map(|segment| {
            let sender = match segment[1].as_str() {
                Some("c2s") => Sender::Client,
                Some("s2c") => Sender::Server,
                _ => panic!("{SOURCE}: no segment: {segment}"),
            };
            let number = |at: usize| segment[at].as_u64().unwrap();
            (number(0), (sender, usize::try_from(number(3)).unwrap()))
        })
        .collect();
    // The list is in the order of the reads; two in one microsecond stay as they stand.
    reads.sort_by_key(|(time, _)| *time);
    reads.into_iter().map(|(_, read)| read).collect()
}

/// What was tried, row by row: every row that fails is reported, not the first one only.
#[derive(Default)]
pub(crate) struct Rows {
    rows: usize,
    failures: Vec<String>,
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A row. It has failed if it panics; gives what it came to.
    ///
    /// It runs in a thread of its own, so that one that has failed leaves nothing behind.
    pub(crate) fn row<T: Send>(&mut self, name: &str, row: impl FnOnce() -> T + Send) -> Option<T> {
        let ended = self.part(name, row);
        self.rows += usize::from(ended.is_some());
        ended
    }

    /// What a row needs, and the row itself if that fails.
    pub(crate) fn part<T: Send>(&mut self, name: &str, row: impl FnOnce() -> T + Send) -> Option<T> {
        let ended = std::thread::scope(|scope| scope.spawn(row).join());
        ended
            .inspect_err(|panic| {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                self.rows += 1;
                self.failures
                    .push(format!("{name}: {}", text.unwrap_or_else(|| "panicked".into())));
            })
            .ok()
    }

    /// The sum, as the last line that a test prints.
    ///
    /// # Panics
    /// Rows have failed.
    pub(crate) fn end(self) {
        let Self { rows, failures } = self;
        println!("{SOURCE}: {} of {rows} rows", rows - failures.len());
        assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    }
}

/// A row that fails does not hide the others, and none is lost in the sum.
#[test]
fn every_row_that_fails_is_told() {
    let mut rows = Rows::new();
    assert_eq!(rows.row("a", || 7), Some(7));
    for name in ["b", "c"] {
        assert_eq!(rows.row(name, || assert_eq!(name, "a", "this one")), None);
    }
    assert_eq!((rows.rows, rows.failures.len()), (3, 2));
    assert!(rows.failures[0].starts_with("b: ") && rows.failures[1].contains("this one"));
    let told = std::thread::spawn(|| rows.end()).join().unwrap_err();
    let told = told.downcast_ref::<String>().unwrap();
    assert!(told.contains("\nb: ") && told.contains("\nc: "), "{told}");
}

/// A source that is not there, or has nothing in it, is a failure.
#[test]
fn a_source_without_recordings_fails() {
    let empty = std::env::temp_dir().join(format!("spice-captures-{}", std::process::id()));
    for make in [false, true] {
        if make {
            std::fs::create_dir_all(empty.join("vnc-only")).unwrap();
        }
        let folder = empty.clone();
        assert!(std::thread::spawn(move || load(&folder)).join().is_err());
    }
    std::fs::remove_dir_all(empty).unwrap();
}
