//! Notes in SQL.
//!
//! Names are kept in hexadecimal digits, which every collation sorts as their bytes, and values in base64: what
//! the driver for any engine can carry.

use alloc::{boxed::Box, string::String, vec::Vec};
use core::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use sqlx::{any::AnyRow, query};

use super::{SqlStore, moment, number, text};
use crate::{BackendError, Note, NoteChange, UnixSeconds, store::row};

const LOAD: &str = "SELECT name, value, version, until FROM console_notes WHERE name = $1 AND $2 < until";

/// `g` comes behind all digits.
const LIST: &str = "SELECT name, value, version, until FROM console_notes
    WHERE name >= $1 AND name < $1 || 'g' AND $2 < until ORDER BY name LIMIT $3";

/// A number for a write that no other write gets.
const VERSION: &str = "UPDATE console_note_version SET version = version + 1 RETURNING version";

/// `$1` name, `$2` value, `$3` version, `$4` until.
const WRITE: &str = "INSERT INTO console_notes (name, value, version, until) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, until = excluded.until";

/// If there is none; `$5` now.
const FIRST: &str = "INSERT INTO console_notes (name, value, version, until) VALUES ($1, $2, $3, $4)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, version = excluded.version, until = excluded.until
    WHERE console_notes.until <= $5";

/// If it has the version `$6`; `$5` now.
const SWAP: &str = "UPDATE console_notes SET value = $2, version = $3, until = $4
    WHERE name = $1 AND version = $6 AND $5 < until";

const REMOVE: &str = "DELETE FROM console_notes WHERE name = $1";

/// `$2` now, `$3` the version that it has to have.
const REMOVE_ONE: &str = "DELETE FROM console_notes WHERE name = $1 AND version = $3 AND $2 < until";

/// `$1` now, `$2` how many at most.
const SWEEP: &str = "DELETE FROM console_notes WHERE name IN
    (SELECT name FROM console_notes WHERE until <= $1 LIMIT $2) AND until <= $1";

fn name_of(name: &str) -> String {
    row::hex(name.as_bytes())
}

fn damaged() -> BackendError {
    BackendError::new("a note that was kept cannot be read")
}

fn note(row: &AnyRow) -> Result<(Box<str>, Note), BackendError> {
    let name = base16ct::lower::decode_vec(text(row, "name")?).map_err(|_| damaged())?;
    let name = String::from_utf8(name).map_err(|_| damaged())?;
    let note = Note {
        value: STANDARD_NO_PAD.decode(text(row, "value")?).map_err(|_| damaged())?,
        version: number(row, "version")?,
        until: UnixSeconds(number(row, "until")?),
    };
    Ok((name.into(), note))
}

impl SqlStore {
    pub(super) async fn read_note(&self, name: &str, now: UnixSeconds) -> Result<Option<Note>, BackendError> {
        let load = query(LOAD).bind(name_of(name)).bind(moment(now.0));
        let row = load.fetch_optional(&self.pool).await.map_err(BackendError::new)?;
        row.map(|row| note(&row).map(|(_, note)| note)).transpose()
    }

    pub(super) async fn list_notes(
        &self,
        prefix: &str,
        now: UnixSeconds,
    ) -> Result<Vec<(Box<str>, Note)>, BackendError> {
        let limit = i64::try_from(Note::LISTED_MAX).unwrap_or(i64::MAX);
        let list = query(LIST).bind(name_of(prefix)).bind(moment(now.0)).bind(limit);
        let rows = list.fetch_all(&self.pool).await.map_err(BackendError::new)?;
        rows.iter().map(note).collect()
    }

    pub(super) async fn write_note(
        &self,
        name: &str,
        now: UnixSeconds,
        change: &NoteChange<'_>,
    ) -> Result<bool, BackendError> {
        let Some(value) = change.value else {
            return self.remove_note(name, now, change.expected).await;
        };
        let version = query(VERSION).fetch_one(&self.pool).await.map_err(BackendError::new)?;
        let statement = match change.expected {
            None => WRITE,
            Some(0) => FIRST,
            Some(_) => SWAP,
        };
        let mut write = query(statement)
            .bind(name_of(name))
            .bind(STANDARD_NO_PAD.encode(value))
            .bind(number::<i64>(&version, "version")?)
            .bind(moment(change.until.0));
        if let Some(expected) = change.expected {
            write = write.bind(moment(now.0));
            if expected != 0 {
                write = write.bind(moment(expected));
            }
        }
        Ok(self.change(write).await? == 1)
    }

    /// `now` as it stands in a column.
    pub(super) async fn sweep_notes(&self, now: i64, limit: NonZeroU32) -> Result<usize, BackendError> {
        self.change(query(SWEEP).bind(now).bind(i64::from(limit.get()))).await
    }

    async fn remove_note(&self, name: &str, now: UnixSeconds, expected: Option<u64>) -> Result<bool, BackendError> {
        match expected {
            None => {
                self.change(query(REMOVE).bind(name_of(name))).await?;
                Ok(true)
            }
            Some(0) => Ok(self.read_note(name, now).await?.is_none()),
            Some(version) => {
                let remove = query(REMOVE_ONE).bind(name_of(name)).bind(moment(now.0));
                Ok(self.change(remove.bind(moment(version))).await? == 1)
            }
        }
    }
}
