//! Figures, in the form that Prometheus reads.
//!
//! Names are stable: dashboards and alarms hang on them. [`FAMILIES`] is the list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use examples::places::Count;

use crate::gateway::Gateway;
use crate::sync::lock;

/// The upper ends of the buckets of durations, in seconds.
const BUCKETS: [f64; 8] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// Name, kind and meaning of each family, without the prefix `console_gateway_`.
const FAMILIES: [(&str, &str, &str); 19] = [
    ("info", "gauge", "1, with the version and the id of the gateway."),
    (
        "accepted_total",
        "counter",
        "Connections that were accepted, by listener.",
    ),
    (
        "connections",
        "gauge",
        "Open connections, by state: half-open ones have shown no good token yet.",
    ),
    ("connections_limit", "gauge", "The most connections, by state."),
    (
        "waiting",
        "gauge",
        "Half-open connections, by kind and stage: accepted ones have said nothing yet, linked ones what they want.",
    ),
    (
        "waiting_limit",
        "gauge",
        "The most half-open connections, by kind and stage.",
    ),
    (
        "turns_waiting",
        "gauge",
        "Half-open connections that wait for a turn at a processor.",
    ),
    (
        "links_total",
        "counter",
        "SPICE channels that were linked to a hypervisor, by outcome.",
    ),
    ("sessions", "gauge", "Open sessions, by protocol."),
    ("sessions_total", "counter", "Sessions that were opened, by protocol."),
    (
        "refusals_total",
        "counter",
        "Connections and requests that were refused, by reason.",
    ),
    (
        "moves_total",
        "counter",
        "Moves of guests with open consoles, by outcome.",
    ),
    (
        "move_seconds",
        "histogram",
        "Time from the announcement of a move to its end.",
    ),
    ("bytes_to_guests_total", "counter", "Bytes from viewers to guests."),
    ("bytes_from_guests_total", "counter", "Bytes from guests to viewers."),
    ("ticket_keys", "gauge", "RSA keys in stock, for links of SPICE."),
    (
        "tasks",
        "gauge",
        "Tasks that run: connections, and what goes on beside them.",
    ),
    (
        "store_failures_total",
        "counter",
        "Requests that the store did not answer, by operation.",
    ),
    (
        "store_seconds",
        "histogram",
        "Time that the store took to answer, by operation.",
    ),
];

/// What is counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    accepted: Counters,
    links: Counters,
    refusals: Counters,
    opened: Counters,
    moves: Counters,
    move_seconds: Mutex<Histogram>,
    store_failures: Counters,
    store_seconds: Mutex<BTreeMap<&'static str, Histogram>>,
    bytes_to_guests: AtomicU64,
    bytes_from_guests: AtomicU64,
}

/// Counters of one family, by the value of their label.
#[derive(Debug, Default)]
struct Counters(Mutex<BTreeMap<&'static str, u64>>);

impl Counters {
    fn count(&self, label: &'static str) {
        *lock(&self.0).entry(label).or_default() += 1;
    }

    fn rows(&self, name: &str) -> Vec<Row> {
        let counted = lock(&self.0);
        let rows = counted.iter().map(|(label, value)| Row::by(name, label, *value));
        rows.collect()
    }
}

/// How long something took, by [`BUCKETS`].
#[derive(Debug, Default, Clone)]
struct Histogram {
    /// Each counts what took at most so long, and longer than the one before.
    buckets: [u64; BUCKETS.len()],
    seconds: f64,
    count: u64,
}

impl Histogram {
    fn observe(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        let bucket = BUCKETS.iter().position(|most| took <= *most);
        if let Some(bucket) = bucket.and_then(|index| self.buckets.get_mut(index)) {
            *bucket += 1;
        }
        self.seconds += took;
        self.count += 1;
    }

    /// Its rows; `label` is empty, or ends with a comma.
    fn rows(&self, label: &str) -> Vec<Row> {
        let mut below = 0;
        let mut rows = Vec::new();
        for (most, count) in BUCKETS.iter().zip(self.buckets) {
            below += count;
            rows.push(Row::new(format!("_bucket{{{label}le=\"{most}\"}}"), below));
        }
        rows.push(Row::new(format!("_bucket{{{label}le=\"+Inf\"}}"), self.count));
        let label = match label.strip_suffix(',') {
            Some(label) => format!("{{{label}}}"),
            None => String::new(),
        };
        rows.push(Row::new(format!("_sum{label}"), self.seconds));
        rows.push(Row::new(format!("_count{label}"), self.count));
        rows
    }
}

/// A line: what stands behind the name of its family, and its value.
struct Row(String, String);

impl Row {
    fn new(behind: String, value: impl ToString) -> Self {
        Self(behind, value.to_string())
    }

    fn one(value: impl ToString) -> Vec<Self> {
        vec![Self::new(String::new(), value)]
    }

    fn by(name: &str, label: &str, value: impl ToString) -> Self {
        Self::new(format!("{{{name}=\"{label}\"}}"), value)
    }
}

impl Metrics {
    /// A listener has accepted a connection.
    pub(crate) fn accepted(&self, listener: &'static str) {
        self.accepted.count(listener);
    }

    /// A link to a hypervisor has ended so.
    pub(crate) fn linked(&self, outcome: &'static str) {
        self.links.count(outcome);
    }

    pub(crate) fn refused(&self, reason: &'static str) {
        self.refusals.count(reason);
    }

    pub(crate) fn opened(&self, protocol: &'static str) {
        self.opened.count(protocol);
    }

    /// A move has come to an end, so long after it was announced.
    pub(crate) fn moved(&self, outcome: &'static str, took: Option<Duration>) {
        self.moves.count(outcome);
        if let Some(took) = took {
            lock(&self.move_seconds).observe(took);
        }
    }

    /// The store has answered, or failed.
    pub(crate) fn stored(&self, operation: &'static str, took: Duration, failed: bool) {
        lock(&self.store_seconds).entry(operation).or_default().observe(took);
        if failed {
            self.store_failures.count(operation);
        }
    }

    /// A session is over that has moved so many bytes.
    pub(crate) fn passed(&self, (to_guest, from_guest): (u64, u64)) {
        self.bytes_to_guests.fetch_add(to_guest, Ordering::Relaxed);
        self.bytes_from_guests.fetch_add(from_guest, Ordering::Relaxed);
    }

    /// All figures.
    pub(crate) fn text(&self, gateway: &Gateway) -> String {
        let mut text = String::new();
        for (name, kind, help) in FAMILIES {
            let name = format!("console_gateway_{name}");
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for Row(behind, value) in self.rows(&name["console_gateway_".len()..], gateway) {
                let _ = writeln!(text, "{name}{behind} {value}");
            }
        }
        text
    }

    fn rows(&self, family: &str, gateway: &Gateway) -> Vec<Row> {
        match family {
            "info" => {
                let id = gateway
                    .id
                    .replace('\\', "\\\\")
                    .replace('"', "\\\"")
                    .replace('\n', "\\n");
                let version = env!("CARGO_PKG_VERSION");
                vec![Row::new(format!("{{version=\"{version}\",gateway=\"{id}\"}}"), 1)]
            }
            "accepted_total" => self.accepted.rows("listener"),
            "connections" => by_state(gateway, |count| count.now as u64),
            "connections_limit" => by_state(gateway, |count| count.most.into()),
            "waiting" => by_stage(gateway, |count| count.now as u64),
            "waiting_limit" => by_stage(gateway, |count| count.most.into()),
            "turns_waiting" => Row::one(gateway.turns.waiting()),
            "links_total" => self.links.rows("outcome"),
            "sessions" => {
                let mut open: BTreeMap<String, u64> = BTreeMap::new();
                for session in gateway.book.own() {
                    *open.entry(session.about.protocol.to_string()).or_default() += 1;
                }
                let rows = open
                    .iter()
                    .map(|(protocol, count)| Row::by("protocol", protocol, count));
                rows.collect()
            }
            "sessions_total" => self.opened.rows("protocol"),
            "refusals_total" => self.refusals.rows("reason"),
            "moves_total" => self.moves.rows("outcome"),
            "move_seconds" => lock(&self.move_seconds).rows(""),
            "bytes_to_guests_total" => Row::one(self.bytes(gateway).0),
            "bytes_from_guests_total" => Row::one(self.bytes(gateway).1),
            "ticket_keys" => Row::one(gateway.spice.keys().stock()),
            "tasks" => Row::one(gateway.tasks.len()),
            "store_failures_total" => self.store_failures.rows("operation"),
            "store_seconds" => {
                let taken = lock(&self.store_seconds);
                let rows = taken
                    .iter()
                    .flat_map(|(operation, taken)| taken.rows(&format!("operation=\"{operation}\",")));
                rows.collect()
            }
            _ => Vec::new(),
        }
    }

    /// Of the sessions that are over, and of those that are open.
    fn bytes(&self, gateway: &Gateway) -> (u64, u64) {
        let over = (
            self.bytes_to_guests.load(Ordering::Relaxed),
            self.bytes_from_guests.load(Ordering::Relaxed),
        );
        let open = gateway.book.own();
        open.iter().map(|session| session.bytes()).fold(over, |sum, bytes| {
            (sum.0.saturating_add(bytes.0), sum.1.saturating_add(bytes.1))
        })
    }
}

/// Of connections to consoles: half-open ones of each kind and stage together, and open ones.
fn by_state(gateway: &Gateway, figure: fn(Count) -> u64) -> Vec<Row> {
    let budgets = &gateway.budgets;
    let waiting = [&budgets.web, &budgets.consoles].map(|places| {
        let counts = places.counts();
        figure(counts.accepted) + figure(counts.linked)
    });
    vec![
        Row::by("state", "half_open", waiting.iter().sum::<u64>()),
        Row::by("state", "open", figure(budgets.open.count())),
    ]
}

fn by_stage(gateway: &Gateway, figure: fn(Count) -> u64) -> Vec<Row> {
    let kinds = gateway.budgets.kinds().into_iter();
    let rows = kinds.flat_map(|(kind, places)| {
        let counts = places.counts();
        let stages = [("accepted", counts.accepted), ("linked", counts.linked)];
        stages.map(|(stage, count)| Row::new(format!("{{kind=\"{kind}\",stage=\"{stage}\"}}"), figure(count)))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_what_took_at_most_so_long() {
        let mut taken = Histogram::default();
        for milliseconds in [1, 2, 250, 5000] {
            taken.observe(Duration::from_millis(milliseconds));
        }
        let rows = taken.rows("operation=\"note\",");
        let lines: Vec<_> = rows
            .iter()
            .map(|Row(behind, value)| format!("{behind} {value}"))
            .collect();
        assert_eq!(
            lines.first().map(String::as_str),
            Some("_bucket{operation=\"note\",le=\"0.001\"} 1")
        );
        for line in [
            "_bucket{operation=\"note\",le=\"0.1\"} 2",
            "_bucket{operation=\"note\",le=\"0.3\"} 3",
            "_bucket{operation=\"note\",le=\"3\"} 3",
            "_bucket{operation=\"note\",le=\"+Inf\"} 4",
            "_sum{operation=\"note\"} 5.253",
            "_count{operation=\"note\"} 4",
        ] {
            assert!(lines.iter().any(|own| own == line), "{line}: {lines:?}");
        }
        assert_eq!(
            Histogram::default().rows("").last().map(|row| row.0.clone()),
            Some("_count".to_owned())
        );
    }
}
