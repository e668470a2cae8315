//! Rows as the engines keep them, without an engine: for the fuzz targets of this project, and no part of its interface.

use alloc::string::String;

use super::row::{self, Row};
use crate::{Leases, Record};

/// The columns of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowText {
    /// JSON.
    pub grant: String,
    /// Revoked.
    pub revoked: bool,
    /// Uses.
    pub spent: u32,
    /// The number of the next session.
    pub next_session: u64,
    /// Attempts that are remembered.
    pub attempts: String,
    /// Sessions that are open.
    pub sessions: String,
    /// The token that has taken its place.
    pub replaced: String,
}

impl RowText {
    /// What is written. `None`: the grant cannot be.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let Row {
            grant,
            revoked,
            spent,
            next_session,
            attempts,
            sessions,
            replaced,
        } = Row::of(record).ok()?;
        Some(Self {
            grant,
            revoked,
            spent,
            next_session,
            attempts,
            sessions,
            replaced,
        })
    }

    /// What is read. `None`: it is damaged.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        let Self {
            grant,
            revoked,
            spent,
            next_session,
            attempts,
            sessions,
            replaced,
        } = self;
        let row = Row {
            grant,
            revoked,
            spent,
            next_session,
            attempts,
            sessions,
            replaced,
        };
        row.record().ok()
    }
}

/// Reads the column of leases. `None`: it is damaged.
#[must_use]
pub fn leases(text: &str) -> Option<Leases> {
    row::leases(text).ok()
}

/// Writes the column of leases, and when the last one ends.
#[must_use]
pub fn leases_text(leases: &Leases) -> (String, u64) {
    (row::leases_text(leases), row::leases_end(leases))
}

/// What a statement decides by: scope, audience, window, uses, and when no session is open any more.
#[must_use]
pub fn terms(record: &Record) -> (&'static str, String, [u64; 2], i64, u64) {
    let terms = row::Terms::of(record);
    let window = [terms.opens, terms.lapses];
    (terms.scope, terms.audience, window, terms.uses, terms.busy_until)
}
