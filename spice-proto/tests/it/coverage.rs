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
use spice_proto::channel::{common, cursor, inputs, main, playback, port, record, smartcard, vmc};
use spice_proto::frame::{Frame, Header};

const BODIES: usize = 200;

/// A body, and what is in it.
#[derive(Default)]
struct Made {
    body: Vec<u8>,
    /// Every part in the order in which it is read: name, offset, size, value if it is a number.
    parts: Vec<(String, usize, usize, Option<u64>)>,
    /// Offsets of the numbers that decide what follows: counts, and what conditions ask for.
    controls: Vec<usize>,
    /// Wire pointers: name, where the pointer is, bytes that it leads to.
    targets: Vec<(String, usize, usize)>,
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
        let mut made = Made::default();
        let fields = self.fields(message);
        let rest = self.put(&fields, &mut made);
        // Targets behind the fixed part, in the order of their pointers; nothing for nothing.
        for (name, pointer, count) in core::mem::take(&mut made.targets) {
            if 0 < count {
                let at = made.body.len();
                made.body[pointer..pointer + 4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
                let bytes = self.bytes(count);
                made.body.extend(bytes);
                made.parts.push((name, at, count, None));
            }
        }
        assert!(!rest || message["name"].as_str() != Some("notify"));
        made.open_end = made.parts.last().map_or(0, |(_, at, size, _)| at + size);
        if message["name"].as_str() == Some("notify") {
            // One NUL that no field counts.
            made.body.push(0);
        }
        made
    }

    /// Writes the fields of one structure. Tells whether the last of them goes on to the end.
    fn put(&mut self, fields: &[toml::Table], made: &mut Made) -> bool {
        let text = |field: &toml::Table, key: &str| field.get(key).and_then(|v| v.as_str()).unwrap_or("").to_owned();
        let asked = |name: &str| {
            fields.iter().any(|f| {
                text(f, "when")
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|w| w == name)
            })
        };
        let counted = |name: &str| fields.iter().any(|f| text(f, "count") == name);
        let mut values: BTreeMap<String, (u64, String)> = BTreeMap::new();
        let mut taken: Vec<String> = Vec::new();
        let mut rest = false;
        for field in fields {
            let (name, ty) = (text(field, "name"), text(field, "type"));
            let (when, switch) = (text(field, "when"), text(field, "switch"));
            let holds = match when.as_str() {
                "" => true,
                "else" => !taken.contains(&switch),
                when => self.holds(when, &values),
            };
            if !holds {
                continue;
            }
            taken.push(switch);
            let at = made.body.len();
            if let Some(structure) = ty.strip_prefix("struct:") {
                let fields = self.structure(structure);
                rest |= self.put(&fields, made);
                continue;
            }
            let count = |values: &BTreeMap<String, (u64, String)>| values[&text(field, "count")].0 as usize;
            match ty.as_str() {
                "empty" => {}
                "ptr32" => {
                    made.targets.push((name.clone(), at, count(&values)));
                    made.body.extend([0; 4]);
                    made.parts.push((name, at, 4, None));
                }
                "array" => {
                    let size = self.element_size(&text(field, "of"));
                    rest = text(field, "count") == "rest";
                    let count = match &field["count"] {
                        toml::Value::Integer(count) => *count as usize,
                        _ if rest => self.random(50) as usize,
                        _ => count(&values),
                    };
                    let bytes = self.bytes(count * size);
                    made.body.extend(bytes);
                    if !rest {
                        made.parts.push((name, at, count * size, None));
                    }
                }
                ty => {
                    let width = Self::width(ty).unwrap_or_else(|| panic!("type {ty}"));
                    let many = self.random(60) + 2;
                    let value = if counted(&name) {
                        [0, 1, many][self.random(3) as usize]
                    } else if asked(&name) {
                        // Every arm of a switch, and values without a name.
                        let named = self.values_of(ty);
                        let pick = self.random(named.len() as u64 + 1) as usize;
                        named.get(pick).map_or(0, |(_, value)| *value)
                    } else {
                        self.random(u64::MAX) & (u64::MAX >> (64 - 8 * width))
                    };
                    if counted(&name) || asked(&name) {
                        made.controls.push(at);
                    }
                    made.body.extend(&value.to_le_bytes()[..width]);
                    values.insert(name.clone(), (value, ty.to_owned()));
                    made.parts.push((name, at, width, Some(value)));
                }
            }
        }
        rest
    }

    /// The named values of an enumeration or a set of flags.
    fn values_of(&self, ty: &str) -> Vec<(String, u64)> {
        let name = ty.split(':').nth(1).unwrap();
        let entry = self
            .of_kind("enum")
            .chain(self.of_kind("flags"))
            .find(|e| e["name"].as_str() == Some(name));
        let values = entry.unwrap()["values"].as_table().unwrap();
        values
            .iter()
            .map(|(name, value)| (name.clone(), value.as_integer().unwrap() as u64))
            .collect()
    }

    /// Whether a condition holds: `field == NAME`, `(field & NAME) != 0` or `== 0`.
    fn holds(&self, when: &str, values: &BTreeMap<String, (u64, String)>) -> bool {
        let words: Vec<&str> = when
            .split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .collect();
        let (value, ty) = &values[words[0]];
        let named = self
            .values_of(ty)
            .into_iter()
            .find(|(name, _)| name == words[1])
            .unwrap()
            .1;
        if when.contains('&') {
            (value & named != 0) == when.contains("!=")
        } else {
            *value == named
        }
    }
}

/// The message enums behind one face.
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
any!(
    inputs::ServerMessage,
    inputs::ClientMessage,
    cursor::ServerMessage,
    playback::ServerMessage
);
any!(
    record::ServerMessage,
    record::ClientMessage,
    smartcard::ServerMessage,
    smartcard::ClientMessage
);
any!(
    vmc::ServerMessage,
    vmc::ClientMessage,
    port::ServerMessage,
    port::ClientMessage
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
    for (field, offset, _, value) in &made.parts {
        let Some(value) = value else { continue };
        // Shown as a signed number.
        if ["x", "y", "dx", "dy"].contains(&field.as_str()) {
            continue;
        }
        let Some(shown) = text.split(&format!(" {field}: ")).nth(1) else {
            // Counts are no fields of the message.
            assert!(made.controls.contains(offset), "{field}");
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
        if value.is_none() || made.controls.contains(offset) {
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
        cover::<inputs::ServerMessage>("inputs", "s2c"),
        cover::<inputs::ClientMessage>("inputs", "c2s"),
        cover::<cursor::ServerMessage>("cursor", "s2c"),
        cover::<playback::ServerMessage>("playback", "s2c"),
        cover::<record::ServerMessage>("record", "s2c"),
        cover::<record::ClientMessage>("record", "c2s"),
        cover::<smartcard::ServerMessage>("smartcard", "s2c"),
        cover::<smartcard::ClientMessage>("smartcard", "c2s"),
        cover::<vmc::ServerMessage>("spicevmc", "s2c"),
        cover::<vmc::ClientMessage>("spicevmc", "c2s"),
        cover::<port::ServerMessage>("port", "s2c"),
        cover::<port::ClientMessage>("port", "c2s"),
    ];
    let count: usize = counts.iter().sum();
    println!("spice-messages.toml: {count} messages, {BODIES} bodies each");
    assert_eq!(count, 87);
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
