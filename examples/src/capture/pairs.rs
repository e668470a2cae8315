//! Pairs of byte files: `NAME.c2s.bin` holds what the client sent, `NAME.s2c.bin` what the server sent.
//!
//! A file `NAME.json` beside them may tell when (`segments`, each `[microseconds, "c2s" or "s2c", offset,
//! length]`, counted from `start_s` seconds) and that a stream was cut (`cut`). Without times the two
//! directions are read by turns.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::{CaptureError, CaptureErrorKind, End, Event, EventKind, Origin, Sender};

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;
/// Most bytes of a description: a segment has about 25.
const DESCRIPTION: u64 = 64 << 20;

/// Pairs, one after another.
#[derive(Debug)]
pub struct Pairs {
    waiting: VecDeque<[PathBuf; 2]>,
    current: Option<Pair>,
    /// Number of the current pair.
    number: u64,
}

impl Pairs {
    /// One pair.
    ///
    /// # Errors
    /// One of them cannot be opened.
    pub fn files(client: &Path, server: &Path) -> Result<Self, CaptureError> {
        let mut pairs = Self {
            waiting: VecDeque::new(),
            current: None,
            number: 0,
        };
        pairs.current = Some(Pair::open([client.to_path_buf(), server.to_path_buf()])?);
        Ok(pairs)
    }

    /// All pairs of a folder, in the order of their names.
    ///
    /// # Errors
    /// The folder cannot be read, or has none.
    pub fn folder(folder: &Path) -> Result<Self, CaptureError> {
        let error = |error: std::io::Error| CaptureErrorKind::from(error).of(folder);
        let mut found = Vec::new();
        for entry in folder.read_dir().map_err(error)? {
            let client = entry.map_err(error)?.path();
            let name = client.file_name().and_then(|name| name.to_str());
            let Some(name) = name.and_then(|name| name.strip_suffix(SUFFIXES[0])) else {
                continue;
            };
            let server = client.with_file_name(format!("{name}{}", SUFFIXES[1]));
            if server.exists() {
                found.push([client, server]);
            }
        }
        if found.is_empty() {
            return Err(CaptureErrorKind::NoPairs.of(folder));
        }
        found.sort();
        Ok(Self {
            waiting: found.into(),
            current: None,
            number: 0,
        })
    }

    /// See [`super::Capture::event`].
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn event(&mut self, due: Option<Sender>) -> Result<Option<Event>, CaptureError> {
        if self.current.is_none() {
            let Some(paths) = self.waiting.pop_front() else {
                return Ok(None);
            };
            self.current = Some(Pair::open(paths)?);
        }
        let Some(pair) = &mut self.current else {
            return Ok(None);
        };
        let (time, kind) = pair.event(due)?;
        let connection = self.number;
        if kind == EventKind::Closed {
            self.current = None;
            self.number += 1;
        }
        Ok(Some(Event { connection, time, kind }))
    }
}

/// How the names of a pair end.
const SUFFIXES: [&str; 2] = [".c2s.bin", ".s2c.bin"];

/// What is read of a description.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Description {
    start_s: f64,
    segments: VecDeque<(u64, String, u64, u64)>,
    cut: BTreeMap<String, serde_json::Value>,
}

impl Description {
    /// The one that belongs to a client's file; empty if there is none.
    fn beside(client: &Path) -> Result<Self, CaptureError> {
        let name = client.file_name().and_then(|name| name.to_str());
        let Some(name) = name.and_then(|name| name.strip_suffix(SUFFIXES[0])) else {
            return Ok(Self::default());
        };
        let path = client.with_file_name(format!("{name}.json"));
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CaptureErrorKind::from(error).of(&path)),
        };
        let reader = std::io::BufReader::new(file.take(DESCRIPTION));
        serde_json::from_reader(reader).map_err(|error| CaptureErrorKind::Description(error).of(&path))
    }
}

/// One pair.
struct Pair {
    name: String,
    streams: [Stream; 2],
    description: Description,
    ordered: bool,
    opened: bool,
    turn: Sender,
    time: Option<Duration>,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One direction.
struct Stream {
    path: PathBuf,
    file: Box<dyn Read + Send>,
    ended: bool,
}

impl Pair {
    fn open(paths: [PathBuf; 2]) -> Result<Self, CaptureError> {
        let [client, server] = paths;
        let name = client.display().to_string();
        let description = Description::beside(&client)?;
        let stream = |path: PathBuf| {
            Ok(Stream {
                file: super::open(&path)?,
                path,
                ended: false,
            })
        };
        Ok(Self {
            name: name.strip_suffix(SUFFIXES[0]).unwrap_or(&name).to_owned(),
            streams: [stream(client)?, stream(server)?],
            ordered: !description.segments.is_empty(),
            description,
            opened: false,
            turn: Sender::Client,
            time: None,
        })
    }

    fn event(&mut self, due: Option<Sender>) -> Result<(Option<Duration>, EventKind), CaptureError> {
        if !self.opened {
            self.opened = true;
            let start = Duration::try_from_secs_f64(self.description.start_s).unwrap_or_default();
            self.time = self.ordered.then_some(start);
            let origin = Origin::Pair {
                name: self.name.clone(),
                ordered: self.ordered,
            };
            return Ok((self.time, EventKind::Opened(origin)));
        }
        while let Some((micros, direction, _, length)) = self.description.segments.front_mut() {
            let sender = match direction.as_str() {
                "c2s" => Sender::Client,
                _ => Sender::Server,
            };
            let start = Duration::try_from_secs_f64(self.description.start_s).unwrap_or_default();
            self.time = Some(start.saturating_add(Duration::from_micros(*micros)));
            let want = usize::try_from(*length).unwrap_or(usize::MAX).min(CHUNK);
            let bytes = self.streams[sender as usize].read(want)?;
            *length = length.saturating_sub(bytes.len() as u64);
            // The streams may be shorter than what went through.
            if *length == 0 || bytes.is_empty() {
                self.description.segments.pop_front();
            }
            if !bytes.is_empty() {
                return Ok((self.time, EventKind::Data(sender, bytes)));
            }
        }
        // By turns, but first what is waited for.
        let sender = due
            .filter(|due| !self.streams[*due as usize].ended)
            .unwrap_or(self.turn);
        self.turn = sender.other();
        for sender in [sender, sender.other()] {
            let stream = &mut self.streams[sender as usize];
            if stream.ended {
                continue;
            }
            let bytes = stream.read(CHUNK)?;
            if !bytes.is_empty() {
                return Ok((self.time, EventKind::Data(sender, bytes)));
            }
            stream.ended = true;
            let cut = self.description.cut.get(&sender.to_string());
            let end = match cut {
                Some(serde_json::Value::String(_)) => End::Cut,
                _ => End::Closed,
            };
            return Ok((self.time, EventKind::Ended(sender, end)));
        }
        Ok((self.time, EventKind::Closed))
    }
}

impl Stream {
    /// Bytes, at most so many; none at the end.
    fn read(&mut self, most: usize) -> Result<Bytes, CaptureError> {
        let mut bytes = vec![0; most.min(CHUNK)];
        let read = loop {
            match self.file.read(&mut bytes) {
                Ok(read) => break read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(CaptureErrorKind::from(error).of(&self.path)),
            }
        };
        bytes.truncate(read);
        Ok(bytes.into())
    }
}
