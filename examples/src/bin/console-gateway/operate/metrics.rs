//! Figures, in the form that Prometheus reads.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::gateway::Gateway;
use crate::sync::lock;

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    opened: Mutex<BTreeMap<String, u64>>,
    moves: Mutex<BTreeMap<&'static str, u64>>,
    bytes_to_guests: AtomicU64,
    bytes_from_guests: AtomicU64,
}

impl Metrics {
    pub(crate) fn refused(&self, reason: &'static str) {
        *lock(&self.refusals).entry(reason).or_default() += 1;
    }

    pub(crate) fn opened(&self, protocol: &str) {
        *lock(&self.opened).entry(protocol.to_owned()).or_default() += 1;
    }

    pub(crate) fn moved(&self, outcome: &'static str) {
        *lock(&self.moves).entry(outcome).or_default() += 1;
    }

    /// A session is over that has moved so many bytes.
    pub(crate) fn passed(&self, (to_guest, from_guest): (u64, u64)) {
        self.bytes_to_guests.fetch_add(to_guest, Ordering::Relaxed);
        self.bytes_from_guests.fetch_add(from_guest, Ordering::Relaxed);
    }

    /// All figures.
    pub(crate) fn text(&self, gateway: &Gateway) -> String {
        let mut text = String::new();
        let mut family = |name: &str, kind: &str, help: &str, rows: &[(String, u64)]| {
            let _ = write!(
                text,
                "# HELP console_gateway_{name} {help}\n# TYPE console_gateway_{name} {kind}\n"
            );
            for (labels, value) in rows {
                let _ = writeln!(text, "console_gateway_{name}{labels} {value}");
            }
        };
        let mut open: BTreeMap<String, u64> = BTreeMap::new();
        let (mut to, mut from) = (
            self.bytes_to_guests.load(Ordering::Relaxed),
            self.bytes_from_guests.load(Ordering::Relaxed),
        );
        for session in gateway.book.own() {
            *open.entry(session.about.protocol.to_string()).or_default() += 1;
            let bytes = session.bytes();
            to += bytes.0;
            from += bytes.1;
        }
        let by = |label: &str, of: Vec<(String, u64)>| -> Vec<_> {
            of.into_iter()
                .map(|(name, value)| (format!("{{{label}=\"{name}\"}}"), value))
                .collect()
        };
        let owned = |of: &Mutex<BTreeMap<&'static str, u64>>| -> Vec<_> {
            lock(of)
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value))
                .collect()
        };
        family(
            "sessions",
            "gauge",
            "Open sessions, by protocol.",
            &by("protocol", open.into_iter().collect()),
        );
        let opened = lock(&self.opened).clone().into_iter().collect();
        family(
            "sessions_total",
            "counter",
            "Sessions that were opened, by protocol.",
            &by("protocol", opened),
        );
        family(
            "refusals_total",
            "counter",
            "Connections and requests that were refused, by reason.",
            &by("reason", owned(&self.refusals)),
        );
        family(
            "moves_total",
            "counter",
            "Moves of guests with open consoles, by outcome.",
            &by("outcome", owned(&self.moves)),
        );
        family(
            "bytes_to_guests_total",
            "counter",
            "Bytes from viewers to guests.",
            &[(String::new(), to)],
        );
        family(
            "bytes_from_guests_total",
            "counter",
            "Bytes from guests to viewers.",
            &[(String::new(), from)],
        );
        text
    }
}
