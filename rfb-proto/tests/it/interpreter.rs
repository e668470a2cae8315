//! An interpreter of the table of the protocol (`rfb-messages.toml`). It knows nothing of the crate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::test_runner::{RngAlgorithm, TestRng};
use toml::{Table, Value};

use crate::data::{each, own};

/// One field of a message.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) size: usize,
    /// Its value, if it is a number.
    pub(crate) value: Option<u64>,
    /// It decides what follows.
    pub(crate) control: bool,
}

/// A message, and what is in it.
#[derive(Default, Debug)]
pub(crate) struct Made {
    pub(crate) bytes: Vec<u8>,
    pub(crate) items: Vec<Item>,
    /// The last field goes to the end: a cut behind this is not seen.
    pub(crate) open_end: Option<usize>,
}

impl Made {
    /// Appends a field.
    fn put(&mut self, name: &str, bytes: &[u8], value: Option<u64>, control: bool) {
        self.items.push(Item {
            name: name.to_owned(),
            at: self.bytes.len(),
            size: bytes.len(),
            value,
            control,
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// The first field that so many bytes do not hold, and where it begins.
    pub(crate) fn first_cut(&self, cut: usize) -> (&str, usize) {
        let short = self.items.iter().find(|item| cut < item.at + item.size);
        short.map(|item| (item.name.as_str(), item.at)).unwrap()
    }
}

pub(crate) struct Interpreter {
    table: &'static Table,
    rng: TestRng,
}

impl Interpreter {
    pub(crate) fn new() -> Self {
        // A property test makes an interpreter for each of its cases.
        static TABLE: LazyLock<Table> = LazyLock::new(|| own("rfb-messages.toml"));
        Self {
            table: &TABLE,
            rng: TestRng::from_seed(RngAlgorithm::ChaCha, b"rfb-proto coverage seed 00000001"),
        }
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        proptest::prelude::RngCore::next_u64(&mut self.rng) % below
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.random(256) as u8).collect()
    }

    /// None, one, many, or as many as a byte can count.
    pub(crate) fn count(&mut self) -> u64 {
        let (many, more) = (self.random(12) + 2, 255 - self.random(190));
        [0, 1, many, many, more][self.random(5) as usize]
    }

    pub(crate) fn rows(&self, kind: &str) -> Vec<Table> {
        each(self.table, kind).cloned().collect()
    }

    pub(crate) fn structure(&self, name: &str) -> Table {
        self.table[name].as_table().unwrap().clone()
    }

    /// A list of fields: type, name, remark.
    fn fields(owner: &Table, key: &str) -> Vec<[String; 3]> {
        let text = |field: &[Value], index: usize| field.get(index).map_or("", |v| v.as_str().unwrap()).to_owned();
        let fields = owner[key].as_array().unwrap().iter();
        let fields = fields.map(|field| field.as_array().unwrap().as_slice());
        fields
            .map(|field| [text(field, 0), text(field, 1), text(field, 2)])
            .collect()
    }

    fn width(ty: &str) -> Option<usize> {
        match ty {
            "u8" => Some(1),
            "u16" | "eu16" => Some(2),
            "u32" | "s32" => Some(4),
            _ => None,
        }
    }

    /// Bytes of an element of an array.
    fn element(&self, ty: &str) -> usize {
        Self::width(ty).unwrap_or_else(|| {
            let length = self.structure(ty)["length"].as_integer().unwrap();
            usize::try_from(length).unwrap()
        })
    }

    /// `name`, `6*name` or `abs(name)`.
    fn size(expression: &str, values: &BTreeMap<String, u64>) -> usize {
        let value = |name: &str| values[name] as usize;
        if let Some((factor, name)) = expression.split_once('*') {
            factor.parse::<usize>().unwrap() * value(name)
        } else if let Some(name) = expression.strip_prefix("abs(") {
            let length = values[name.trim_end_matches(')')] as u32;
            if length >> 31 == 1 {
                length.wrapping_neg() as usize
            } else {
                length as usize
            }
        } else {
            value(expression)
        }
    }

    /// A structure of fixed fields, `pf` and `screen` and so on, as one item a field.
    fn put_structure(&mut self, fields: &[[String; 3]], made: &mut Made) {
        for [ty, name, _] in fields {
            if let Some(count) = ty.strip_prefix("pad:") {
                self.put_padding(count.parse().unwrap(), made);
            } else {
                let width = Self::width(ty).unwrap();
                let bytes = self.bytes(width);
                let value = bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
                made.put(name, &bytes, Some(value), false);
            }
        }
    }

    /// Zero mostly; real programs leave anything there.
    fn put_padding(&mut self, count: usize, made: &mut Made) {
        let bytes = match self.random(3) {
            0 => self.bytes(count),
            _ => vec![0; count],
        };
        made.put("padding", &bytes, None, false);
    }

    /// One of the messages of the table.
    pub(crate) fn make(&mut self, message: &Table) -> Made {
        let text = |key: &str| message.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        // QEMU's message from the client has a list of fields for each subtype.
        let subtype = if message.contains_key("sub0") {
            self.random(2)
        } else {
            u64::from(text("rule").contains("subtype 1 only"))
        };
        let key = match message.contains_key("fields") {
            true => "fields".to_owned(),
            false => format!("sub{subtype}"),
        };
        let fields = Self::fields(message, &key);
        // Lengths that stand for something else.
        let total = text("total");
        let instead: Vec<u64> = total
            .split("0x")
            .skip(1)
            .map(|rest| u64::from_str_radix(&rest[..8], 16).unwrap())
            .collect();
        let expressions: Vec<&str> = fields
            .iter()
            .filter_map(|[ty, ..]| {
                ty.strip_prefix("bytes:")
                    .or_else(|| ty.split_once('*').map(|(_, count)| count))
            })
            .collect();
        let signed = expressions.iter().any(|expression| expression.starts_with("abs("));
        let counts = |name: &str| {
            expressions
                .iter()
                .any(|e| e.split(['(', ')', '*']).any(|word| word == name))
        };

        let (mut made, mut values) = (Made::default(), BTreeMap::new());
        for [ty, name, note] in &fields {
            let left_out = match note.as_str() {
                note if note.starts_with("op 2") => values["operation"] != 2,
                "only in the 7-byte form" => values["buttons"] & 0x80 == 0,
                _ => false,
            };
            if left_out {
                continue;
            }
            if let Some(count) = ty.strip_prefix("pad:") {
                self.put_padding(count.parse().unwrap(), &mut made);
            } else if ty == "pf" {
                let fields = Self::fields(&self.structure("pixel_format"), "fields");
                self.put_structure(&fields, &mut made);
            } else if let Some(expression) = ty.strip_prefix("bytes:") {
                if !values.get(expression).is_some_and(|length| instead.contains(length)) {
                    let bytes = self.bytes(Self::size(expression, &values));
                    made.put(name, &bytes, None, false);
                }
            } else if let Some((element, count)) = ty.split_once('*') {
                // Rectangles are read one by one, and are no part of the message here.
                if element != "rect" {
                    let bytes = self.bytes(self.element(element) * Self::size(count, &values));
                    made.put(name, &bytes, None, false);
                }
            } else {
                let width = Self::width(ty).unwrap_or_else(|| panic!("type {ty}"));
                let (value, control) = match name.as_str() {
                    "type" => (message["number"].as_integer().unwrap() as u64, true),
                    "subtype" => (subtype, true),
                    "operation" => (self.random(3), true),
                    "endian_and_subtype" => (self.random(4) | self.random(2) << 7, true),
                    name if counts(name) => {
                        let pick = self.random(4 * instead.len() as u64 + 8) as usize;
                        let length = self.count();
                        let value = match instead.get(pick) {
                            Some(special) => *special,
                            None if signed && 4 <= length && self.random(2) == 0 => {
                                u64::from((length as u32).wrapping_neg())
                            }
                            None => length,
                        };
                        (value, true)
                    }
                    "buttons" if text("framing") == "conditional" => (self.random(256), true),
                    _ => (self.random(1 << (8 * width)), false),
                };
                values.insert(name.clone(), value);
                let is_little = ty.starts_with('e') && values["endian_and_subtype"] & 0x80 == 0;
                let mut bytes = value.to_be_bytes()[8 - width..].to_vec();
                if is_little {
                    bytes.reverse();
                }
                made.put(name, &bytes, Some(value), control);
            }
        }
        made
    }

    /// A structure of the table by itself.
    pub(crate) fn make_structure(&mut self, name: &str) -> Made {
        let fields = Self::fields(&self.structure(name), "fields");
        let mut made = Made::default();
        self.put_structure(&fields, &mut made);
        made
    }
}

/// What is no table of fields.
impl Interpreter {
    /// A number, in so many bytes.
    fn put_number(made: &mut Made, name: &str, width: usize, value: u64, control: bool) {
        made.put(name, &value.to_be_bytes()[8 - width..], Some(value), control);
    }

    /// Data of the extended clipboard, as `[extended_clipboard]` says in words.
    pub(crate) fn make_clipboard(&mut self, action: &str) -> Made {
        let clipboard = self.structure("extended_clipboard");
        let flag = |name: &str| clipboard["actions"][name].as_integer().unwrap() as u64;
        // Formats, also those without a name. Caps say which actions their sender takes.
        let mut flags = flag(action) | self.random(1 << 16) & self.random(1 << 16);
        if action == "caps" {
            flags |= self.random(16) << 25;
        }
        let mut made = Made::default();
        Self::put_number(&mut made, "flags", 4, flags, true);
        match action {
            "caps" => {
                let sizes = self.bytes(4 * (flags & 0xffff).count_ones() as usize);
                made.put("sizes", &sizes, None, false);
            }
            "provide" => {
                let count = self.random(50) as usize;
                made.open_end = Some(4);
                made.bytes.extend(self.bytes(count));
            }
            _ => {}
        }
        made
    }

    /// The value of a sum of products of numbers and of these names.
    fn sum(expression: &str, names: &[(&str, u64)]) -> u64 {
        let factor = |word: &str| {
            let named = names.iter().find(|(name, _)| *name == word).map(|(_, value)| *value);
            named.unwrap_or_else(|| word.parse().unwrap_or_else(|_| panic!("{word:?} in {expression:?}")))
        };
        let product = |term: &str| term.split(" * ").map(factor).product::<u64>();
        expression.split(" + ").map(product).sum()
    }

    /// The payload of a rectangle that is no picture.
    pub(crate) fn make_pseudo(&mut self, row: &Table, w: u64, h: u64, bpp: u64) -> Made {
        let names = [("w", w), ("h", h), ("bpp", bpp), ("mask_row", w.div_ceil(8))];
        let mut made = Made::default();
        let length = row.get("length").map_or("", |length| length.as_str().unwrap());
        let text = |interpreter: &mut Self, made: &mut Made, name: &str| {
            let count = interpreter.count();
            Self::put_number(made, "length", 4, count, true);
            let bytes = interpreter.bytes(count as usize);
            made.put(name, &bytes, None, false);
        };
        match (row["rect"].as_str().unwrap(), length) {
            ("none", "") => {}
            ("fixed", length) => {
                let expression = match length.split_once(" is 0, else ") {
                    Some((if_zero, _)) if Self::sum(if_zero.trim_start_matches("0 if "), &names) == 0 => "0",
                    Some((_, otherwise)) => otherwise,
                    None => length.split(" bytes").next().unwrap(),
                };
                let bytes = self.bytes(Self::sum(expression, &names) as usize);
                made.put("data", &bytes, None, false);
            }
            ("counted", "4 + n (UTF-8)") => text(self, &mut made, "name"),
            ("counted", "4 + 16 * n (u8 n, 3 padding, screens)") => {
                let count = self.count();
                Self::put_number(&mut made, "count", 1, count, true);
                self.put_padding(3, &mut made);
                let screens = self.bytes(16 * count as usize);
                made.put("screens", &screens, None, false);
            }
            ("counted", "u16 port, u32 n + host, u32 n + x509 subject") => {
                let port = self.random(1 << 16);
                Self::put_number(&mut made, "port", 2, port, false);
                text(self, &mut made, "host");
                text(self, &mut made, "x509_subject");
            }
            ("counted", length) if length.starts_with("u8 kind, u8 pad") => {
                let kind = self.random(2);
                Self::put_number(&mut made, "kind", 1, kind, true);
                self.put_padding(1, &mut made);
                let (_, size) = length.split_once(&format!("kind {kind}: + ")).unwrap();
                let bytes = self.bytes(Self::sum(size.split(';').next().unwrap(), &names) as usize);
                made.put("pixels", &bytes, None, false);
            }
            ("nested", length) if length.starts_with("s32 encoding, then that encoding") => {
                let encoding = self.random(1 << 32);
                Self::put_number(&mut made, "encoding", 4, encoding, true);
                made.open_end = Some(4);
                let count = self.random(50) as usize;
                made.bytes.extend(self.bytes(count));
            }
            other => panic!("{other:?}"),
        }
        made
    }
}
