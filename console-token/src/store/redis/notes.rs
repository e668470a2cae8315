//! Notes in Redis: a hash each, their names in a set that is sorted by bytes, their ends in another.

use alloc::{boxed::Box, format, string::String, vec::Vec};

use ::redis::cmd;

use super::{PAGE, RedisStore, damaged, moment, score};
use crate::{BackendError, Note, NoteChange, UnixSeconds};

/// How many notes are asked for at once: their values can be large.
const NOTES: usize = PAGE / 10;

fn until(text: &str) -> Result<UnixSeconds, BackendError> {
    text.parse().map(UnixSeconds).map_err(|_| damaged())
}

fn version(text: &str) -> Result<u64, BackendError> {
    text.parse().map_err(|_| damaged())
}

fn text(bytes: &[u8]) -> Result<&str, BackendError> {
    core::str::from_utf8(bytes).map_err(|_| damaged())
}

impl RedisStore {
    fn note_names(&self) -> String {
        self.key("note-names", "")
    }

    pub(super) fn note_ends(&self) -> String {
        self.key("note-ends", "")
    }

    pub(super) async fn read_note(&self, name: &str, now: UnixSeconds) -> Result<Option<Note>, BackendError> {
        let mut load = cmd("HMGET");
        load.arg(self.key("note:", name)).arg(&["version", "until", "value"]);
        let found: (Option<String>, Option<String>, Option<Vec<u8>>) = self.ask(&load).await?;
        let (Some(of), Some(at), Some(value)) = found else {
            return Ok(None);
        };
        let note = Note {
            value,
            version: version(&of)?,
            until: until(&at)?,
        };
        Ok(Some(note).filter(|note| !note.is_over(now)))
    }

    pub(super) async fn list_notes(
        &self,
        prefix: &str,
        now: UnixSeconds,
    ) -> Result<Vec<(Box<str>, Note)>, BackendError> {
        let mut notes = Vec::new();
        let mut from = format!("[{prefix}").into_bytes();
        // No name has this byte: names are UTF-8.
        let to = [b"(", prefix.as_bytes(), &[0xff]].concat();
        loop {
            let mut script = self.scripts.list_notes.prepare_invoke();
            script
                .key(self.note_names())
                .arg(self.key("note:", ""))
                .arg(&from[..])
                .arg(&to[..])
                .arg(NOTES)
                .arg(moment(now.0));
            let mut found = self.run::<Vec<Vec<u8>>>(&script).await?.into_iter();
            let (Some(looked), Some(last)) = (found.next(), found.next()) else {
                return Err(damaged());
            };
            while let (Some(name), Some(of), Some(at), Some(value)) =
                (found.next(), found.next(), found.next(), found.next())
            {
                let note = Note {
                    value,
                    version: version(text(&of)?)?,
                    until: until(text(&at)?)?,
                };
                notes.push((text(&name)?.into(), note));
            }
            if version(text(&looked)?)? < NOTES as u64 || Note::LISTED_MAX <= notes.len() {
                notes.truncate(Note::LISTED_MAX);
                return Ok(notes);
            }
            from = [b"(", &last[..]].concat();
        }
    }

    pub(super) async fn write_note(
        &self,
        name: &str,
        now: UnixSeconds,
        change: &NoteChange<'_>,
    ) -> Result<bool, BackendError> {
        let expected = change.expected.map_or_else(String::new, |version| format!("{version}"));
        let mut script = self.scripts.set_note.prepare_invoke();
        script
            .key(self.key("note:", name))
            .key(self.note_names())
            .key(self.note_ends())
            .key(self.key("note-version", ""));
        script
            .arg(name)
            .arg(moment(now.0))
            .arg(expected)
            .arg(score(change.until.0));
        if let Some(value) = change.value {
            script.arg(moment(change.until.0)).arg(value);
        }
        self.run(&script).await
    }

    pub(super) async fn sweep_notes(&self, now: u64, limit: u32) -> Result<usize, BackendError> {
        let mut script = self.scripts.sweep_notes.prepare_invoke();
        script.key(self.note_ends()).key(self.note_names());
        script.arg(self.key("note:", "")).arg(now).arg(limit);
        self.run(&script).await
    }
}
