//! The audit log: what happened to tokens and sessions, a line of JSON each, without secrets.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use console_token::{Event, UnixSeconds};
use serde_json::{Map, Value};
use tracing::error;

use crate::grant::clock::{Clock, rfc3339};
use crate::sync::lock;

/// Refusals, and moves, that the page for operators shows.
const RECENT: usize = 20;

/// Where the lines go.
pub(crate) struct Audit {
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
    clock: Arc<Clock>,
    /// The last refusals, the newest first.
    refusals: Mutex<VecDeque<Map<String, Value>>>,
    /// The last moves, the newest first.
    moves: Mutex<VecDeque<Map<String, Value>>>,
}

impl Audit {
    /// Opens the file, if there is to be one.
    pub(crate) fn open(path: Option<PathBuf>, clock: Arc<Clock>) -> std::io::Result<Self> {
        let audit = Self {
            path,
            file: Mutex::default(),
            clock,
            refusals: Mutex::default(),
            moves: Mutex::default(),
        };
        audit.reopen()?;
        Ok(audit)
    }

    /// Opens the file anew: it may have been moved away.
    pub(crate) fn reopen(&self) -> std::io::Result<()> {
        if let Some(path) = &self.path {
            *lock(&self.file) = Some(OpenOptions::new().create(true).append(true).open(path)?);
        }
        Ok(())
    }

    /// Whether there is a file.
    pub(crate) const fn is_kept(&self) -> bool {
        self.path.is_some()
    }

    /// The time that lines have.
    pub(crate) fn now(&self) -> UnixSeconds {
        self.clock.now()
    }

    /// The last refusals, the newest first.
    pub(crate) fn refusals(&self) -> Vec<Map<String, Value>> {
        lock(&self.refusals).iter().cloned().collect()
    }

    /// The last moves, those that were refused included, the newest first.
    pub(crate) fn moves(&self) -> Vec<Map<String, Value>> {
        lock(&self.moves).iter().cloned().collect()
    }

    /// Writes a line: what has happened, and more of it.
    pub(crate) fn log(&self, event: &str, more: Value) {
        let mut line = Map::new();
        line.insert("at".to_owned(), rfc3339(self.clock.now()).into());
        line.insert("event".to_owned(), event.into());
        if let Value::Object(more) = more {
            line.extend(more);
        }
        let recent = match event {
            "refused" => Some(&self.refusals),
            "move" => Some(&self.moves),
            _ => None,
        };
        if let Some(recent) = recent {
            let mut recent = lock(recent);
            recent.truncate(RECENT - 1);
            recent.push_front(line.clone());
        }
        self.write(line);
    }

    /// Writes a line of the event of a token.
    pub(crate) fn token(&self, event: Event) {
        let mut line = Map::new();
        line.insert("at".to_owned(), rfc3339(event.at).into());
        line.insert("event".to_owned(), "token".into());
        line.insert("what".to_owned(), event.kind.to_string().into());
        line.insert("outcome".to_owned(), event.outcome.to_string().into());
        line.insert("token".to_owned(), event.token.map(|token| token.to_string()).into());
        if let Some(owner) = event.owner {
            line.insert("guest".to_owned(), owner.vm.as_deref().into());
            line.insert("user".to_owned(), owner.user.as_deref().into());
        }
        self.write(line);
    }

    fn write(&self, line: Map<String, Value>) {
        let mut file = lock(&self.file);
        let Some(file) = file.as_mut() else { return };
        let mut text = Value::Object(line).to_string();
        text.push('\n');
        if let Err(error) = file.write_all(text.as_bytes()) {
            error!(%error, "the audit log cannot be written");
        }
    }
}
