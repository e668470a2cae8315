//! How many of each, and their bytes.

use std::io::{self, Write};

use examples::dissect::{Sums, Tally};
use rfb_proto::encoding::Encoding;
use serde::Serialize;

/// What is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Entry {
    /// A step of the handshake.
    Handshake(&'static str),
    /// A message.
    Message { number: u8, name: &'static str },
    /// A rectangle.
    Rectangle(Encoding),
    /// Bytes that cannot be read.
    Encrypted(&'static str),
    /// Bytes that the server refused.
    Refused,
    /// Bytes of what was not whole.
    Incomplete,
}

/// A row as JSON, and as columns.
#[derive(Serialize)]
pub(crate) struct Row {
    kind: &'static str,
    direction: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    name: String,
    count: u64,
    bytes: u64,
}

/// The last line.
#[derive(Serialize, Default)]
pub(crate) struct Total {
    connections: u64,
    messages: u64,
    rectangles: u64,
    /// All that were placed.
    bytes: u64,
    encrypted_bytes: u64,
}

impl Sums for Entry {
    type Row = Row;
    type Total = Total;

    fn rows(tally: &Tally<Self>) -> Vec<Row> {
        let rows = tally.rows.iter().map(|((entry, sender), sum)| {
            let (kind, number, name) = match entry {
                Entry::Handshake(name) => ("handshake", None, (*name).to_owned()),
                Entry::Message { number, name } => ("message", Some((*number).into()), (*name).to_owned()),
                Entry::Rectangle(encoding) => {
                    let name = encoding.name().map_or_else(String::new, str::to_owned);
                    ("rectangle", Some(encoding.0.into()), name)
                }
                Entry::Encrypted(by) => ("encrypted", None, (*by).to_owned()),
                Entry::Refused => ("refused", None, String::new()),
                Entry::Incomplete => ("incomplete", None, String::new()),
            };
            Row {
                kind,
                direction: sender.to_string(),
                number,
                name,
                count: sum.count,
                bytes: sum.bytes,
            }
        });
        rows.collect()
    }

    fn total(tally: &Tally<Self>) -> Total {
        let mut total = Total {
            connections: tally.connections,
            ..Total::default()
        };
        for ((entry, _), sum) in &tally.rows {
            total.bytes += sum.bytes;
            match entry {
                Entry::Message { .. } => total.messages += sum.count,
                Entry::Rectangle(_) => total.rectangles += sum.count,
                Entry::Encrypted(_) => total.encrypted_bytes += sum.bytes,
                Entry::Handshake(_) | Entry::Refused | Entry::Incomplete => {}
            }
        }
        total
    }

    fn table(rows: Vec<Row>, out: &mut impl Write) -> io::Result<()> {
        let columns = ["kind", "direction", "number", "name", "count", "bytes"];
        let [kind, direction, number, name, count, bytes] = columns;
        writeln!(
            out,
            "{kind:<10} {direction:<9} {number:>11}  {name:<28} {count:>9} {bytes:>12}"
        )?;
        for row in rows {
            let number = row.number.map_or_else(|| "-".to_owned(), |number| number.to_string());
            let Row {
                kind,
                direction,
                name,
                count,
                bytes,
                ..
            } = row;
            writeln!(
                out,
                "{kind:<10} {direction:<9} {number:>11}  {name:<28} {count:>9} {bytes:>12}"
            )?;
        }
        Ok(())
    }

    fn summary(total: Total) -> String {
        let Total {
            connections,
            messages,
            rectangles,
            bytes,
            encrypted_bytes,
        } = total;
        let encrypted = match encrypted_bytes {
            0 => String::new(),
            bytes => format!(" ({bytes} of them encrypted)"),
        };
        format!(
            "{connections} connections, {messages} messages, {rectangles} rectangles, {bytes} bytes placed{encrypted}"
        )
    }
}
