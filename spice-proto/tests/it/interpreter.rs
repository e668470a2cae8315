//! An interpreter of the table of the interface (`spice-messages.toml`). It knows nothing of the crate.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::test_runner::{RngAlgorithm, TestRng};

/// One field of a body.
#[derive(Clone, Default)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) size: usize,
    /// Its value, if it is a number.
    pub(crate) value: Option<u64>,
    /// It decides what follows: a count, or what a condition asks for.
    pub(crate) control: bool,
    /// A pointer: where it leads to, and the fields there.
    pub(crate) target: Option<(usize, Vec<Item>)>,
}

/// A body, and what is in it.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) body: Vec<u8>,
    /// Every field in the order in which it is read: what a pointer leads to is read at the pointer.
    pub(crate) items: Vec<Item>,
    /// Bytes to the end are the last field, or bytes that no field counts: a cut there is not seen.
    pub(crate) open_end: Option<usize>,
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

/// The fields of a structure, as the table lists them.
type Fields = Rc<Vec<toml::Table>>;

pub(crate) struct Interpreter {
    table: toml::Table,
    /// The fields of structures that were asked for.
    structures: RefCell<BTreeMap<String, Fields>>,
    rng: TestRng,
    /// Names of the capabilities that both sides have, which conditions of agent messages ask for.
    pub(crate) capabilities: Vec<String>,
}

impl Interpreter {
    pub(crate) fn new() -> Self {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/spice-messages.toml"));
        Self {
            table: text.unwrap().parse().unwrap(),
            structures: RefCell::default(),
            rng: TestRng::from_seed(RngAlgorithm::ChaCha, b"spice-proto coverage seed 000001"),
            capabilities: Vec::new(),
        }
    }

    pub(crate) fn random(&mut self, below: u64) -> u64 {
        proptest::prelude::RngCore::next_u64(&mut self.rng) % below
    }

    pub(crate) fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a toml::Table> {
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

    fn structure(&self, name: &str) -> Fields {
        if let Some(known) = self.structures.borrow().get(name) {
            return known.clone();
        }
        let found = self
            .of_kind("struct")
            .find(|entry| entry["name"].as_str() == Some(name))
            .unwrap();
        let fields = Rc::new(self.fields(found));
        self.structures.borrow_mut().insert(name.to_owned(), fields.clone());
        fields
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

    pub(crate) fn make(&mut self, message: &toml::Table) -> Made {
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
            let (name, mut ty) = (text(field, "name"), text(field, "type"));
            if field.contains_key("constants") && Self::width(&ty).is_some() {
                ty = format!("{ty}:{}", text(field, "constants"));
            }
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
                        let named: Vec<u64> = self.values_of(ty).values().map(Self::number).collect();
                        let pick = self.random(named.len() as u64 + 1) as usize;
                        named.get(pick).copied().unwrap_or(0)
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
    fn values_of(&self, ty: &str) -> &toml::Table {
        let name = ty.split(':').nth(1).unwrap();
        let entry = self
            .of_kind("enum")
            .chain(self.of_kind("flags"))
            .chain(self.of_kind("constants"))
            .find(|e| e["name"].as_str() == Some(name));
        entry.unwrap()["values"].as_table().unwrap()
    }

    fn number(value: &toml::Value) -> u64 {
        value.as_integer().unwrap() as u64
    }

    /// Whether a condition holds: `field == NAME`, `(field & NAME) != 0` or `== 0`, `cap NAME`.
    fn holds(&self, when: &str, values: &BTreeMap<String, (u64, String)>) -> bool {
        if let Some(capability) = when.strip_prefix("cap ") {
            return self.capabilities.iter().any(|name| name == capability);
        }
        let word = |c: char| !c.is_alphanumeric() && c != '_' && c != '.';
        let words: Vec<&str> = when.split(word).filter(|word| !word.is_empty()).collect();
        let (value, ty) = &values[words[0]];
        let named = Self::number(&self.values_of(ty)[words[1]]);
        if when.contains('&') {
            (value & named != 0) == when.contains("!=")
        } else {
            *value == named
        }
    }
}
