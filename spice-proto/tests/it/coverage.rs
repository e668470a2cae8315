//! Coverage against the table of the interface, by an interpreter that knows nothing of the crate.
//!
//! For every message of the sets that the crate has, it makes random valid bodies together with the value
//! of every field; the crate must decode these values, encode these bytes, and name the field that the
//! interpreter names when the body is cut.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use proptest::test_runner::{RngAlgorithm, TestRng};
use spice_proto::DecodeErrorKind;
use spice_proto::channel::{common, cursor, display, inputs, main, playback, port, record, smartcard, vmc};
use spice_proto::frame::{Frame, Header};

const BODIES: usize = 200;

/// One field of a body.
#[derive(Clone, Default)]
struct Item {
    name: String,
    at: usize,
    size: usize,
    /// Its value, if it is a number.
    value: Option<u64>,
    /// It decides what follows: a count, or what a condition asks for.
    control: bool,
    /// A pointer: where it leads to, and the fields there.
    target: Option<(usize, Vec<Item>)>,
}

/// A body, and what is in it.
#[derive(Default)]
struct Made {
    body: Vec<u8>,
    /// Every field in the order in which it is read: what a pointer leads to is read at the pointer.
    items: Vec<Item>,
    /// Bytes to the end are the last field, or bytes that no field counts: a cut there is not seen.
    open_end: Option<usize>,
}

/// What a pointer leads to.
#[derive(Clone)]
enum Target {
    /// So many bytes.
    Bytes(usize),
    /// A structure.
    Structure(String),
}

/// A pointer that waits for its target: where the item is (a way through the items), and what to put.
struct Waiting {
    way: Vec<usize>,
    at: usize,
    target: Target,
}

/// The item at the end of a way: an index in each list of fields.
fn item<'a>(items: &'a mut [Item], way: &[usize]) -> &'a mut Item {
    match way {
        [last] => &mut items[*last],
        [first, rest @ ..] => item(&mut items[*first].target.as_mut().unwrap().1, rest),
        [] => unreachable!(),
    }
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
        if ty == "fixed28_4" {
            return Some(4);
        }
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
            Some(name) => {
                let fields = self.structure(name);
                fields
                    .iter()
                    .map(|f| Self::width(f["type"].as_str().unwrap()).unwrap_or(0))
                    .sum()
            }
            None => Self::width(of).unwrap(),
        }
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.random(256) as u8).collect()
    }

    fn make(&mut self, message: &toml::Table) -> Made {
        let mut made = Made::default();
        let mut waiting = Vec::new();
        let fields = self.fields(message);
        let rest = self.put(&fields, &[], &mut made.body, &mut made.items, &mut waiting);
        // Targets behind the fixed part, in the order of their pointers, and targets of targets behind all that
        // are known by then.
        let mut next = 0;
        while next < waiting.len() {
            let Waiting {
                way,
                at: pointer,
                target,
            } = &waiting[next];
            let (way, pointer, target) = (way.clone(), *pointer, target.clone());
            next += 1;
            let at = made.body.len();
            let mut inner = Vec::new();
            let mut found = Vec::new();
            match target {
                Target::Bytes(0) => continue,
                Target::Bytes(count) => {
                    let bytes = self.bytes(count);
                    made.body.extend(bytes);
                    let name = item(&mut made.items, &way).name.clone();
                    inner.push(Item {
                        name,
                        at,
                        size: count,
                        ..Item::default()
                    });
                }
                Target::Structure(name) => {
                    let fields = self.structure(&name);
                    self.put(&fields, &[], &mut made.body, &mut inner, &mut found);
                }
            }
            made.body[pointer..pointer + 4].copy_from_slice(&u32::try_from(at).unwrap().to_le_bytes());
            item(&mut made.items, &way).target = Some((at, inner));
            for mut pointer in found {
                pointer.way.splice(0..0, way.iter().copied());
                waiting.push(pointer);
            }
        }
        if rest {
            made.open_end = made.items.iter().map(|item| item.at + item.size).max().or(Some(0));
        }
        if message["name"].as_str() == Some("notify") {
            // One NUL that no field counts.
            made.open_end = Some(made.body.len());
            made.body.push(0);
        }
        made
    }

    /// Writes the fields of one structure, whose enclosing one asks for the fields `asked_outside`. Tells
    /// whether the last of them goes on to the end.
    fn put(
        &mut self,
        fields: &[toml::Table],
        asked_outside: &[String],
        body: &mut Vec<u8>,
        items: &mut Vec<Item>,
        waiting: &mut Vec<Waiting>,
    ) -> bool {
        let mut values = BTreeMap::new();
        self.put_into(fields, asked_outside, body, items, waiting, &mut values)
    }

    fn put_into(
        &mut self,
        fields: &[toml::Table],
        asked_outside: &[String],
        body: &mut Vec<u8>,
        items: &mut Vec<Item>,
        waiting: &mut Vec<Waiting>,
        values: &mut BTreeMap<String, (u64, String)>,
    ) -> bool {
        let text = |field: &toml::Table, key: &str| field.get(key).and_then(|v| v.as_str()).unwrap_or("").to_owned();
        let words = |text: String| -> Vec<String> {
            text.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
                .map(str::to_owned)
                .collect()
        };
        let asked: Vec<String> = fields.iter().flat_map(|field| words(text(field, "when"))).collect();
        let counting: Vec<String> = fields.iter().flat_map(|field| words(text(field, "count"))).collect();
        let mut taken: Vec<String> = Vec::new();
        let mut rest = false;
        for field in fields {
            let (name, ty) = (text(field, "name"), text(field, "type"));
            let (when, switch) = (text(field, "when"), text(field, "switch"));
            let holds = match when.as_str() {
                "" => true,
                "else" => !taken.contains(&switch),
                when => when.split("||").any(|when| self.holds(when, values)),
            };
            if !holds {
                continue;
            }
            taken.push(switch);
            let at = body.len();
            if let Some(structure) = ty.strip_prefix("struct:") {
                let prefix = format!("{name}.");
                let outside: Vec<String> = asked
                    .iter()
                    .filter_map(|a| a.strip_prefix(&prefix))
                    .map(str::to_owned)
                    .collect();
                let fields = self.structure(structure);
                let mut inner = BTreeMap::new();
                rest |= self.put_into(&fields, &outside, body, items, waiting, &mut inner);
                values.extend(inner.into_iter().map(|(name, value)| (prefix.clone() + &name, value)));
                continue;
            }
            match ty.as_str() {
                "empty" | "fd" => {}
                "ptr32" => {
                    let to = text(field, "to");
                    let target = match to.strip_prefix("struct:") {
                        Some(structure) => Some(Target::Structure(structure.to_owned())),
                        None => {
                            let size = self.element_size(&text(field, "of"));
                            Some(Target::Bytes(values[&text(field, "count")].0 as usize * size))
                        }
                    };
                    // What may be absent is absent in one of three.
                    let absent = !to.starts_with("array") && text(field, "null") == "allowed" && self.random(3) == 0;
                    if let Some(target) = target.filter(|_| !absent) {
                        waiting.push(Waiting {
                            way: vec![items.len()],
                            at,
                            target,
                        });
                    }
                    body.extend([0; 4]);
                    items.push(Item {
                        name,
                        at,
                        size: 4,
                        ..Item::default()
                    });
                }
                "array" => {
                    let (of, count) = (text(field, "of"), text(field, "count"));
                    rest = count == "rest";
                    let count = match &field["count"] {
                        toml::Value::Integer(count) => *count as usize,
                        _ if rest => self.random(50) as usize,
                        _ if count.starts_with("image_size") => Self::image_size(&count, values),
                        _ => values[&count].0 as usize,
                    };
                    let structure = of.strip_prefix("struct:").map(|name| self.structure(name));
                    if let Some(fields) = structure.filter(|fields| {
                        fields
                            .iter()
                            .any(|f| Self::width(&text(f, "type")).is_none() && text(f, "type") != "fd")
                    }) {
                        // Elements of different sizes are read one after the other.
                        for _ in 0..count {
                            self.put(&fields, &[], body, items, waiting);
                        }
                    } else {
                        let size = count * self.element_size(&of);
                        let bytes = self.bytes(size);
                        body.extend(bytes);
                        if !rest {
                            items.push(Item {
                                name,
                                at,
                                size,
                                ..Item::default()
                            });
                        }
                    }
                }
                ty => {
                    let width = Self::width(ty).unwrap_or_else(|| panic!("type {ty}"));
                    let many = self.random(12) + 2;
                    let decides = asked.contains(&name) || asked_outside.contains(&name);
                    let value = if counting.contains(&name) {
                        [0, 1, many][self.random(3) as usize]
                    } else if decides {
                        // Every arm of a switch, and values without a name.
                        let named = self.values_of(ty);
                        let pick = self.random(named.len() as u64 + 1) as usize;
                        named.get(pick).map_or(0, |(_, value)| *value)
                    } else {
                        self.random(u64::MAX) & (u64::MAX >> (64 - 8 * width))
                    };
                    body.extend(&value.to_le_bytes()[..width]);
                    values.insert(name.clone(), (value, ty.to_owned()));
                    let control = decides || counting.contains(&name);
                    items.push(Item {
                        name,
                        at,
                        size: width,
                        value: Some(value),
                        control,
                        target: None,
                    });
                }
            }
        }
        rest
    }

    /// `image_size(bpp=N,width=FIELD,rows=FIELD)`: whole bytes a row.
    fn image_size(expression: &str, values: &BTreeMap<String, (u64, String)>) -> usize {
        let argument = |name: &str| {
            let text = expression.split(&format!("{name}=")).nth(1).unwrap();
            text.split([',', ')']).next().unwrap().to_owned()
        };
        let bits = argument("bpp").parse::<u64>().unwrap() * values[&argument("width")].0;
        (bits.div_ceil(8) * values[&argument("rows")].0) as usize
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
        let word = |c: char| !c.is_alphanumeric() && c != '_' && c != '.';
        let words: Vec<&str> = when.split(word).filter(|word| !word.is_empty()).collect();
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

any!(display::ServerMessage, display::ClientMessage);

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

    let items = flat(&made.items);
    // The values, as the message's own text form shows them, for names that stand once.
    let text = format!("{message:?}");
    for item in &items {
        // Signed numbers look otherwise.
        let signed = ["x", "y", "dx", "dy", "top", "left", "bottom", "right"].contains(&item.name.as_str())
            || ["pixmap_cache_size", "glz_dictionary_window_size", "last_frame_delay"].contains(&item.name.as_str());
        let (Some(value), false) = (item.value, signed) else {
            continue;
        };
        let key = format!(" {}: ", item.name);
        if items.iter().filter(|other| other.name == item.name).count() != 1 || text.matches(&key).count() != 1 {
            continue;
        }
        let shown = text.split(&key).nth(1).unwrap().split([',', ' ', '}']).next().unwrap();
        let right = shown.contains("::") || shown == value.to_string() || shown.ends_with(&format!("({value})"));
        assert!(right, "{}", at(&format!("{} is {value}, shown as {shown}", item.name)));
    }

    // Every scalar changed: seen in the new bytes at its offset, and nothing else.
    for item in items.iter().filter(|item| item.value.is_some() && !item.control) {
        let mut changed = made.body.clone();
        changed[item.at] ^= 0x5a;
        changed[item.at + item.size - 1] ^= 0x81;
        let message = M::decode(&frame(number, &changed)).unwrap();
        let mut out = BytesMut::new();
        message.encode(&mut out);
        assert_eq!(out, changed, "{}", at(&item.name));
    }

    // Every cut.
    for cut in 0..made.open_end.unwrap_or(made.body.len()) {
        let error = M::decode(&frame(number, &made.body[..cut])).expect_err(&at(&format!("cut at {cut}")));
        // A flat fixed part is read as one block, before its pointers are followed.
        let expected = [first_cut(&made.items, cut), first_cut_of_block(&made.items, cut)];
        assert!(
            expected.contains(&Some((error.field, error.offset))),
            "{}",
            at(&format!("cut at {cut}: {error}, expected {expected:?}"))
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

/// All fields, those behind pointers with them.
fn flat(items: &[Item]) -> Vec<&Item> {
    items
        .iter()
        .flat_map(|item| core::iter::once(item).chain(item.target.iter().flat_map(|(_, inner)| flat(inner))))
        .collect()
}

/// The first field that a body of so many bytes does not hold, in the order of reading, and where it begins.
/// A pointer that leads beyond the end is itself what is wrong.
fn first_cut(items: &[Item], cut: usize) -> Option<(&str, usize)> {
    items.iter().find_map(|item| match &item.target {
        _ if cut < item.at + item.size => Some((item.name.as_str(), item.at)),
        Some((at, _)) if cut < *at => Some((item.name.as_str(), item.at)),
        Some((_, inner)) => first_cut(inner, cut),
        None => None,
    })
}

/// The same when the whole fixed part is read first.
fn first_cut_of_block(items: &[Item], cut: usize) -> Option<(&str, usize)> {
    let short = items.iter().find(|item| cut < item.at + item.size);
    short
        .map(|item| (item.name.as_str(), item.at))
        .or_else(|| first_cut(items, cut))
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
        cover::<display::ServerMessage>("display", "s2c"),
        cover::<display::ClientMessage>("display", "c2s"),
    ];
    let count: usize = counts.iter().sum();
    println!("spice-messages.toml: {count} messages, {BODIES} bodies each");
    assert_eq!(count, 127);
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
