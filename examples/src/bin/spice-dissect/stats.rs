//! How many of each, and their bytes.

use std::io::{self, Write};

use examples::dissect::{Sums, Tally};
use serde::Serialize;

use crate::lines::Channel;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// A step of the link stage.
    Link(&'static str),
    /// A message of a channel.
    Message {
        channel: Channel,
        number: u32,
        name: &'static str,
        known: bool,
        layer: Layer,
    },
    /// Bytes that cannot be read.
    Encrypted(&'static str),
    /// Bytes that the server refused.
    Refused,
    /// Bytes of what was not whole.
    Incomplete,
}

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layer {
    /// In the stream.
    Channel,
    /// In the list of another message, whose bytes hold it.
    SubMessage,
    /// In the bodies of AGENT_DATA.
    Agent,
}

/// A row as JSON, and as columns.
#[derive(Serialize)]
pub(crate) struct Row {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    stage: &'static str,
    direction: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<Layer>,
    message: &'static str,
    known: bool,
    count: u64,
    bytes: u64,
}

/// The last line.
#[derive(Serialize)]
pub(crate) struct Total {
    connections: u64,
    messages: u64,
    sub_messages: u64,
    agent_messages: u64,
    unknown: u64,
    /// Of all three.
    known_share: f64,
    /// All that were placed.
    bytes: u64,
    encrypted_bytes: u64,
}

impl Sums for Entry {
    type Row = Row;
    type Total = Total;

    /// The rows, by channel, direction and number.
    fn rows(tally: &Tally<Self>) -> Vec<Row> {
        let mut rows: Vec<_> = tally.rows.iter().collect();
        rows.sort_by_key(|((entry, sender), _)| match entry {
            Entry::Message {
                channel, layer, number, ..
            } => (1, Some(*channel), *sender, Some((*layer, *number))),
            Entry::Link(_) => (0, None, *sender, None),
            Entry::Encrypted(_) | Entry::Refused | Entry::Incomplete => (2, None, *sender, None),
        });
        let rows = rows.into_iter().map(|((entry, sender), sum)| {
            let row = Row {
                channel: None,
                stage: "link",
                direction: sender.to_string(),
                number: None,
                layer: None,
                message: "",
                known: true,
                count: sum.count,
                bytes: sum.bytes,
            };
            match entry {
                Entry::Link(name) => Row { message: name, ..row },
                Entry::Message {
                    channel,
                    number,
                    name,
                    known,
                    layer,
                } => Row {
                    channel: Some(channel.to_string()),
                    stage: "data",
                    number: Some(*number),
                    layer: Some(*layer),
                    message: name,
                    known: *known,
                    ..row
                },
                Entry::Encrypted(by) => Row {
                    stage: "encrypted",
                    message: by,
                    known: false,
                    ..row
                },
                Entry::Refused => Row {
                    stage: "refused",
                    known: false,
                    ..row
                },
                Entry::Incomplete => Row {
                    stage: "incomplete",
                    known: false,
                    ..row
                },
            }
        });
        rows.collect()
    }

    fn total(tally: &Tally<Self>) -> Total {
        let mut total = Total {
            connections: tally.connections,
            messages: 0,
            sub_messages: 0,
            agent_messages: 0,
            unknown: 0,
            known_share: 1.0,
            bytes: 0,
            encrypted_bytes: 0,
        };
        for ((entry, _), sum) in &tally.rows {
            // What lies in other messages has its bytes there.
            let mut bytes = sum.bytes;
            match entry {
                Entry::Message { known, layer, .. } => {
                    let count = match layer {
                        Layer::Channel => &mut total.messages,
                        Layer::SubMessage => &mut total.sub_messages,
                        Layer::Agent => &mut total.agent_messages,
                    };
                    *count += sum.count;
                    total.unknown += if *known { 0 } else { sum.count };
                    if *layer != Layer::Channel {
                        bytes = 0;
                    }
                }
                Entry::Encrypted(_) => total.encrypted_bytes += bytes,
                Entry::Link(_) | Entry::Refused | Entry::Incomplete => {}
            }
            total.bytes += bytes;
        }
        let all = total.messages + total.sub_messages + total.agent_messages;
        if 0 < all {
            total.known_share = (all - total.unknown) as f64 / all as f64;
        }
        total
    }

    fn table(rows: Vec<Row>, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:<10} {:<9} {:>6}  {:<26} {:>9} {:>12}",
            "channel", "direction", "number", "message", "count", "bytes"
        )?;
        for row in rows {
            let channel = row.channel.unwrap_or_else(|| format!("({})", row.stage));
            let number = row.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let message = match row.layer {
                Some(Layer::SubMessage) => format!("  in a list: {}", row.message),
                Some(Layer::Agent) => format!("  agent: {}", row.message),
                _ => row.message.to_owned(),
            };
            let (direction, count, bytes) = (row.direction, row.count, row.bytes);
            writeln!(
                out,
                "{channel:<10} {direction:<9} {number:>6}  {message:<26} {count:>9} {bytes:>12}"
            )?;
        }
        Ok(())
    }

    fn summary(total: Total) -> String {
        let Total {
            connections,
            messages,
            sub_messages,
            agent_messages,
            unknown,
            known_share,
            bytes,
            encrypted_bytes,
        } = total;
        let share = known_share * 100.0;
        let inner = match (sub_messages, agent_messages) {
            (0, 0) => String::new(),
            (subs, agents) => format!(" with {subs} in lists and {agents} of the agent"),
        };
        let encrypted = match encrypted_bytes {
            0 => String::new(),
            bytes => format!(" ({bytes} of them encrypted)"),
        };
        format!(
            "{connections} connections, {messages} messages{inner}, {unknown} unknown ({share:.3} % known), \
            {bytes} bytes placed{encrypted}"
        )
    }
}
