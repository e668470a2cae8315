//! Coverage against the table of the interface, by an interpreter that knows nothing of the crate.
//!
//! For every message of the sets that the crate has, it makes random valid bodies together with the value
//! of every field; the crate must decode these values, encode these bytes, and name the field that the
//! interpreter names when the body is cut.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use proptest::test_runner::{RngAlgorithm, TestRng};
use spice_proto::DecodeErrorKind;
use spice_proto::channel::{common, main};
use spice_proto::frame::{Frame, Header};

const BODIES: usize = 200;

/// A body, and what is in it.
#[derive(Default)]
struct Made {
    body: Vec<u8>,
    /// Every part in the order in which it is read: name, offset, size, value if it is a number.
    parts: Vec<(String, usize, usize, Option<u64>)>,
    /// From here on a cut is not seen: bytes to the end, or bytes that no field counts.
    open_end: usize,
}

struct Interpreter {
    table: toml::Table,
    rng: TestRng,
}

impl Interpreter {
    fn new() -> Self {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/spice-messages.toml"));
        Self {
            table: text.unwrap().parse().unwrap(),
            rng: TestRng::from_seed(RngAlgorithm::ChaCha, b"spice-proto coverage seed 000001"),
        }
    }

    fn random(&mut self, below: u64) -> u64 {
        proptest::prelude::RngCore::next_u64(&mut self.rng) % below
    }

    fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a toml::Table> {
        self.table[kind]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry.as_table().unwrap())
    }

    /// Width in bytes of a number.
    fn width(ty: &str) -> Option<usize> {
        let digits = ty.split(':').next()?.trim_start_matches(|c: char| !c.is_ascii_digit());
        let number = ["u", "i", "enum", "flags"]
            .iter()
            .any(|p| ty.starts_with(p) && !digits.is_empty());
        number.then(|| digits.parse::<usize>().unwrap() / 8)
    }

    fn fields(&self, owner: &toml::Table) -> Vec<toml::Table> {
        owner["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field.as_table().unwrap().clone())
            .collect()
    }

    fn structure(&self, name: &str) -> Vec<toml::Table> {
        let found = self
            .of_kind("struct")
            .find(|entry| entry["name"].as_str() == Some(name))
            .unwrap();
        self.fields(found)
    }

    /// All fields in the order of the wire, structures taken apart.
    fn flatten(&self, fields: Vec<toml::Table>) -> Vec<toml::Table> {
        let mut flat = Vec::new();
        for field in fields {
            match field["type"].as_str().unwrap().strip_prefix("struct:") {
                Some(name) => flat.extend(self.flatten(self.structure(name))),
                None => flat.push(field),
            }
        }
        flat
    }

    fn element_size(&self, of: &str) -> usize {
        match of.strip_prefix("struct:") {
            Some(name) => self
                .structure(name)
                .iter()
                .map(|f| Self::width(f["type"].as_str().unwrap()).unwrap())
                .sum(),
            None => Self::width(of).unwrap(),
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.random(256) as u8).collect()
    }

    fn make(&mut self, message: &toml::Table) -> Made {
        let fields = self.flatten(self.fields(message));
        // Counts first: 0, 1, or many, within the width of the counting field.
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for field in &fields {
            if let Some(count) = field
                .get("count")
                .and_then(|count| count.as_str())
                .filter(|count| *count != "rest")
            {
                let many = self.random(60) as usize + 2;
                counts.insert(count.into(), [0, 1, many][self.random(3) as usize]);
            }
        }
        let mut made = Made::default();
        let mut targets: Vec<(String, usize, usize)> = Vec::new();
        let mut rest = false;
        for field in &fields {
            let name = field["name"].as_str().unwrap().to_owned();
            let at = made.body.len();
            match field["type"].as_str().unwrap() {
                "ptr32" => {
                    targets.push((name.clone(), at, counts[field["count"].as_str().unwrap()]));
                    made.body.extend([0; 4]);
                    made.parts.push((name, at, 4, None));
                }
                "array" => {
                    let size = self.element_size(field["of"].as_str().unwrap());
                    let count = match &field["count"] {
                        toml::Value::Integer(count) => *count as usize,
                        toml::Value::String(count) if count == "rest" => {
                            rest = true;
                            self.random(50) as usize
                        }
                        count => counts[count.as_str().unwrap()],
                    };
                    let bytes = self.bytes(count * size);
                    made.body.extend(bytes);
                    if !rest {
                        made.parts.push((name, at, count * size, None));
                    }
                }
                ty => {
                    let width = Self::width(ty).unwrap_or_else(|| panic!("type {ty}"));
                    let value = match counts.get(&name) {
                        Some(count) => *count as u64,
                        None => self.random(u64::MAX) & (u64::MAX >> (64 - 8 * width)),
                    };
                    made.body.extend(&value.to_le_bytes()[..width]);
                    made.parts.push((name, at, width, Some(value)));
                }
            }
        }
        // Targets behind the fixed part, in the order of their pointers; nothing for nothing.
        for (name, pointer, count) in targets {
            if 0 < count {
                let at = made.body.len();
                made.body[pointer..pointer + 4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
                let bytes = self.bytes(count);
                made.body.extend(bytes);
                made.parts.push((name, at, count, None));
            }
        }
        made.open_end = made.parts.last().map_or(0, |(_, at, size, _)| at + size);
        if message["name"].as_str() == Some("notify") {
            // One NUL that no field counts.
            made.body.push(0);
        }
        made
    }
}

/// The four message enums behind one face.
trait Any: Sized + std::fmt::Debug {
    fn table() -> &'static [(u16, &'static str)];
    fn decode(frame: &Frame) -> Result<Self, spice_proto::DecodeError>;
    fn encode(&self, dst: &mut BytesMut);
    fn facts(&self) -> (u16, &'static str, usize, bool);
}

macro_rules! any {
    ($($ty:ty),*) => {$(
        impl Any for $ty {
            fn table() -> &'static [(u16, &'static str)] { <$ty>::TABLE }
            fn decode(frame: &Frame) -> Result<Self, spice_proto::DecodeError> { <$ty>::decode(frame) }
            fn encode(&self, dst: &mut BytesMut) { <$ty>::encode(self, dst).unwrap() }
            fn facts(&self) -> (u16, &'static str, usize, bool) {
                (self.number(), self.name(), self.encoded_len(), self.is_unknown())
            }
        }
    )*};
}

any!(
    common::ServerMessage,
    common::ClientMessage,
    main::ServerMessage,
    main::ClientMessage
);

fn frame(number: u16, body: &[u8]) -> Frame {
    let header = Header {
        serial: 0,
        number,
        size: u32::try_from(body.len()).unwrap(),
        sub_list: 0,
    };
    Frame {
        header,
        body: Bytes::copy_from_slice(body),
    }
}

fn cover<M: Any>(channel: &str, direction: &str) -> usize {
    let mut interpreter = Interpreter::new();
    let messages: Vec<toml::Table> = interpreter
        .of_kind("message")
        .filter(|m| m["channel"].as_str() == Some(channel) && m["direction"].as_str() == Some(direction))
        .cloned()
        .collect();
    let listed: Vec<(u16, &str)> = messages
        .iter()
        .map(|m| (m["number"].as_integer().unwrap() as u16, m["name"].as_str().unwrap()))
        .collect();
    assert_eq!(listed, M::table(), "numbers and names of {channel} {direction}");
    for message in &messages {
        let (number, name) = (
            message["number"].as_integer().unwrap() as u16,
            message["name"].as_str().unwrap().to_owned(),
        );
        for _ in 0..BODIES {
            let made = interpreter.make(message);
            check::<M>(number, &name, &made);
        }
    }
    messages.len()
}

fn check<M: Any>(number: u16, name: &str, made: &Made) {
    let at = |what: &str| format!("{name}: {what}: {:02x?}", made.body);
    let message = M::decode(&frame(number, &made.body)).unwrap_or_else(|error| panic!("{}", at(&error.to_string())));
    assert_eq!(
        message.facts(),
        (number, name_in_table::<M>(number), made.body.len(), false),
        "{}",
        at("facts")
    );
    let mut out = BytesMut::from(&b"garbage"[..]);
    message.encode(&mut out);
    assert_eq!(out[7..], made.body, "{}", at("encoded"));

    // The values, as the message's own text form shows them.
    let mut text = String::new();
    write!(text, "{message:?}").unwrap();
    for (field, _, _, value) in &made.parts {
        let Some(value) = value else { continue };
        let Some(shown) = text.split(&format!(" {field}: ")).nth(1) else {
            // Counts are no fields of the message.
            assert!(
                ["_len", "_size", "_count", "num_of_channels"]
                    .iter()
                    .any(|s| field.ends_with(s)),
                "{field}"
            );
            continue;
        };
        let number_shown = shown.split([',', ' ', '}']).next().unwrap();
        let named = number_shown.contains("::");
        assert!(
            named || number_shown == value.to_string() || number_shown.ends_with(&format!("({value})")),
            "{}",
            at(&format!("{field} is {value}, shown as {number_shown}"))
        );
    }

    // Every scalar changed: seen in the new bytes at its offset, and nothing else.
    for (field, offset, size, value) in &made.parts {
        let counted = ["_len", "_size", "_count", "num_of_channels"]
            .iter()
            .any(|s| field.ends_with(s));
        if value.is_none() || counted {
            continue;
        }
        let mut changed = made.body.clone();
        changed[*offset] ^= 0x5a;
        changed[offset + size - 1] ^= 0x81;
        let message = M::decode(&frame(number, &changed)).unwrap();
        let mut out = BytesMut::new();
        message.encode(&mut out);
        assert_eq!(out, changed, "{}", at(field));
    }

    // Every cut.
    for cut in 0..made.open_end {
        let error = M::decode(&frame(number, &made.body[..cut])).expect_err(&at(&format!("cut at {cut}")));
        let (field, offset, ..) = made
            .parts
            .iter()
            .find(|(_, offset, size, _)| cut < offset + size)
            .unwrap();
        assert_eq!(
            (error.field, error.offset),
            (field.as_str(), *offset),
            "{}",
            at(&format!("cut at {cut}: {error}"))
        );
        assert!(
            matches!(
                error.kind,
                DecodeErrorKind::Truncated { .. } | DecodeErrorKind::OutOfBounds { .. }
            ),
            "{error}"
        );
    }
}

fn name_in_table<M: Any>(number: u16) -> &'static str {
    M::table().iter().find(|entry| entry.0 == number).unwrap().1
}

#[test]
fn every_message_of_the_table() {
    let counts = [
        cover::<common::ServerMessage>("base", "s2c"),
        cover::<common::ClientMessage>("base", "c2s"),
        cover::<main::ServerMessage>("main", "s2c"),
        cover::<main::ClientMessage>("main", "c2s"),
    ];
    let count: usize = counts.iter().sum();
    println!("spice-messages.toml: {count} messages, {BODIES} bodies each");
    assert_eq!(count, 45);
}

#[test]
fn capability_names_of_the_table() {
    use spice_proto::caps::{CapabilitySet, name};
    use spice_proto::ids::ChannelType;
    let interpreter = Interpreter::new();
    let mut checked = 0;
    for entry in interpreter.of_kind("capabilities") {
        let (set, channel) = match entry["set"].as_str().unwrap() {
            "common" => (CapabilitySet::Common, ChannelType::MAIN),
            "main" => (CapabilitySet::Channel, ChannelType::MAIN),
            "display" => (CapabilitySet::Channel, ChannelType::DISPLAY),
            "inputs" => (CapabilitySet::Channel, ChannelType::INPUTS),
            "playback" => (CapabilitySet::Channel, ChannelType::PLAYBACK),
            "record" => (CapabilitySet::Channel, ChannelType::RECORD),
            "spicevmc" => (CapabilitySet::Channel, ChannelType::USBREDIR),
            // The agent has capabilities of its own, which are not those of a link.
            "vd_agent" => continue,
            other => panic!("set {other}"),
        };
        for (bit_name, bit) in entry["bits"].as_table().unwrap() {
            assert_eq!(
                name(set, channel, bit.as_integer().unwrap() as u32),
                Some(bit_name.as_str())
            );
            checked += 1;
        }
    }
    assert!(30 < checked);
}
