//! How many of each, and their bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::capture::Sender;

/// The name of what encrypts, in sums and lines: SASL's security layer.
pub const SASL: &str = "sasl";
/// The name of what encrypts: TLS.
pub const TLS: &str = "tls";

/// What a dissector counts, one value for each row.
pub trait Sums: Ord + Sized {
    /// A row as JSON, and as columns.
    type Row: Serialize;
    /// The sums of all.
    type Total: Serialize;

    /// The rows, in order.
    fn rows(tally: &Tally<Self>) -> Vec<Self::Row>;
    /// The sums of all.
    fn total(tally: &Tally<Self>) -> Self::Total;
    /// The rows for people, and what stands over them.
    ///
    /// # Errors
    /// They cannot be written.
    fn table(rows: Vec<Self::Row>, out: &mut impl Write) -> io::Result<()>;
    /// All on one line.
    fn summary(total: Self::Total) -> String;
}

/// What was counted.
#[derive(Debug)]
pub struct Tally<S> {
    /// By its kind and its sender.
    pub rows: BTreeMap<(S, Sender), Sum>,
    /// How many connections.
    pub connections: u64,
}

/// One row.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    /// How many.
    pub count: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

impl<S> Default for Tally<S> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            connections: 0,
        }
    }
}

impl<S: Sums> Tally<S> {
    pub(super) fn add(&mut self, sender: Sender, entry: S, bytes: u64) {
        let sum = self.rows.entry((entry, sender)).or_default();
        sum.count += 1;
        sum.bytes += bytes;
    }

    /// Further bytes of what was counted already.
    pub(super) fn more(&mut self, sender: Sender, entry: S, bytes: u64) {
        self.rows.entry((entry, sender)).or_default().bytes += bytes;
    }

    /// A line for each, and one with the sums.
    pub(super) fn json(&self, out: &mut impl Write) -> io::Result<()> {
        for row in S::rows(self) {
            serde_json::to_writer(&mut *out, &row)?;
            writeln!(out)?;
        }
        serde_json::to_writer(&mut *out, &serde_json::json!({ "total": S::total(self) }))?;
        writeln!(out)
    }

    pub(super) fn table(&self, out: &mut impl Write) -> io::Result<()> {
        S::table(S::rows(self), out)?;
        writeln!(out, "{}", self.summary())
    }

    pub(super) fn summary(&self) -> String {
        S::summary(S::total(self))
    }
}
