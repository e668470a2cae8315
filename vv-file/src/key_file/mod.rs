//! GLib's key files (`GKeyFile`), byte for byte.
//!
//! [`KeyFile::parse`] accepts and refuses what GLib does, and each getter of [`Value`] gives what
//! GLib's getter of that type gives. Every line is kept as it stands in the file, so nothing is
//! lost between reading and writing.

mod alphanumeric;
mod edit;
mod parse;
mod utf16;
mod value;

use alloc::{collections::BTreeMap, vec::Vec};
use core::{cmp::Ordering, fmt, ops::Range};

use nom::Offset;

use self::parse::{Fault, Statement, Text};
pub(crate) use self::utf16::is_utf16;
pub use self::value::{BadEscapes, Value, encode_list, encode_string};
pub(crate) use self::value::{encode_item_into, encode_string_into, encoded_bound};
use crate::{
    document::Document,
    error::{ErrorCode, ParseError, ParseErrorKind},
    wiped::Wiped,
};

/// Limits on files from untrusted sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of the file. Default 1 MiB: a bundle of every public authority is a fifth of it.
    pub size: usize,
    /// Lines, blank ones and comments included. Default 16384: the longest known template has 40.
    pub lines: usize,
    /// Keys, repeated ones included. Default 4096.
    pub keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            size: 1 << 20,
            lines: 1 << 14,
            keys: 1 << 12,
        }
    }
}

impl Limits {
    /// Sets the limit on bytes.
    #[must_use]
    pub fn with_size(mut self, size: usize) -> Self {
        self.size = size;
        self
    }

    /// Sets the limit on lines.
    #[must_use]
    pub fn with_lines(mut self, lines: usize) -> Self {
        self.lines = lines;
        self
    }

    /// Sets the limit on keys.
    #[must_use]
    pub fn with_keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }
}

const COMMON_LINES: usize = 48;
/// Keys of a file from which on they are looked up by an index. A walk along so few is shorter than making one.
const INDEXED: usize = 64;

/// Groups up to which they are looked at one after the other.
const FEW_GROUPS: usize = 4;

/// A parsed key file.
///
/// It keeps the whole text, secrets included: `Debug` shows counts only, and the text is
/// overwritten when the file is dropped.
pub struct KeyFile {
    source: Wiped,
    limits: Limits,
    lines: Vec<Line>,
    /// Lines before the first group; only comments can stand there.
    preamble: Chain,
    /// In the order of their first line. A group that comes again continues the first.
    groups: Vec<Group>,
    /// The groups by index in the order of their names, so that a file of many takes no quadratic time.
    by_name: Vec<usize>,
    /// The keys in the order of the file.
    keys: Vec<Key>,
    /// In a file of many keys, all of them in the order of their groups, keys and places.
    by_key: Vec<Place>,
}

/// Where a key of a file of many is.
struct Place {
    /// Index of the group.
    group: usize,
    /// Of [`prefix`]: nearly always that alone tells two keys apart.
    prefix: u64,
    /// Index of the line.
    line: usize,
}

/// The first bytes of a key, in whose order keys are that differ in them.
fn prefix(key: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    for (byte, of_key) in bytes.iter_mut().zip(key) {
        *byte = *of_key;
    }
    u64::from_be_bytes(bytes)
}

/// A key of a file.
struct Key {
    /// Of [`mark`].
    mark: u32,
    /// Index of its group, and of its line.
    group: usize,
    line: usize,
}

/// What most keys differ in: the length, the first byte and the last two.
#[inline]
fn mark(key: &[u8]) -> u32 {
    let [length, ..] = key.len().to_le_bytes();
    match key {
        [first, .., third, last] => u32::from_le_bytes([length, *first, *third, *last]),
        [first, ..] => u32::from_le_bytes([length, *first, 0, 0]),
        [] => 0,
    }
}

/// What the lines of a file are, without their text.
struct Structure {
    lines: Vec<Line>,
    preamble: Chain,
    groups: Vec<Group>,
    by_name: Vec<usize>,
    keys: Vec<Key>,
}

/// A line of the source. INVARIANT: the spans of all lines together are the whole source.
struct Line {
    /// With its line end.
    span: Range<usize>,
    entry: Option<Entry>,
    /// The entry or comment behind this one under the same name, by index into the lines.
    next: Option<usize>,
}

/// Lines that belong together though others may stand between them.
#[derive(Clone, Copy, Default)]
struct Chain {
    /// The first and the last, by index into the lines.
    ends: Option<(usize, usize)>,
}

struct Entry {
    key: Range<usize>,
    value: Range<usize>,
}

struct Group {
    name: Range<usize>,
    /// The entries and comments under the name.
    lines: Chain,
}

impl fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyFile")
            .field("bytes", &self.source.len())
            .field("lines", &self.lines.len())
            .field("groups", &self.groups.len())
            .finish()
    }
}

impl KeyFile {
    /// Reads a file with the default [`Limits`].
    ///
    /// # Errors
    /// The first line that GLib would refuse, or a limit.
    pub fn parse(input: &[u8]) -> Result<Self, ParseError> {
        Self::parse_with(input, &Limits::default())
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The first line that GLib would refuse, or a limit.
    pub fn parse_with(input: &[u8], limits: &Limits) -> Result<Self, ParseError> {
        let structure = Self::structure(input, limits)?;
        Ok(Self::new(Wiped::new(input.to_vec()), limits, structure))
    }

    fn new(source: Wiped, limits: &Limits, structure: Structure) -> Self {
        let mut file = Self {
            source,
            limits: *limits,
            lines: structure.lines,
            preamble: structure.preamble,
            groups: structure.groups,
            by_name: structure.by_name,
            keys: structure.keys,
            by_key: Vec::new(),
        };
        if INDEXED < file.keys.len() {
            file.by_key = file.index();
        }
        file
    }

    #[cold]
    fn index(&self) -> Vec<Place> {
        let sortable = |key: &Key| {
            let name = self.key_of(key.line);
            (key.group, prefix(name), name, key.line)
        };
        let mut keys: Vec<_> = self.keys.iter().map(sortable).collect();
        keys.sort_unstable();
        let place = |(group, prefix, _, line)| Place { group, prefix, line };
        keys.into_iter().map(place).collect()
    }

    fn key_of(&self, line: usize) -> &[u8] {
        let entry = self.lines.get(line).and_then(|line| line.entry.as_ref());
        entry.map_or(&[], |entry| self.slice(&entry.key))
    }

    fn structure(input: &[u8], limits: &Limits) -> Result<Structure, ParseError> {
        if limits.size < input.len() {
            let kind = ParseErrorKind::TooLarge { limit: limits.size };
            return Err(ParseError {
                line: 1,
                column: 1,
                kind,
            });
        }
        let mut reader = Reader::new(input, limits);
        let mut left = input;
        while !left.is_empty() {
            let (text, next) = parse::split_line(left);
            reader.line(left, next, text).map_err(|fault| ParseError {
                line: reader.lines.len().saturating_add(1),
                column: left.offset(fault.at).saturating_add(1),
                kind: kind_for(input, fault.kind),
            })?;
            left = next;
        }
        Ok(Structure {
            lines: reader.lines,
            preamble: reader.preamble,
            groups: reader.groups,
            by_name: reader.by_name.into_values().collect(),
            keys: reader.keys,
        })
    }

    /// The file as it was read.
    pub fn as_bytes(&self) -> &[u8] {
        &self.source
    }

    /// Each line with its line end; together they are [`as_bytes`](Self::as_bytes).
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.lines.iter().map(|line| self.slice(&line.span))
    }

    /// A line by its number, from 1, with its line end.
    pub fn line(&self, number: usize) -> Option<&[u8]> {
        let line = self.lines.get(number.checked_sub(1)?)?;
        Some(self.slice(&line.span))
    }

    /// The names of the groups, in the order of their first line.
    pub fn groups(&self) -> impl Iterator<Item = &[u8]> {
        self.groups.iter().map(|group| self.slice(&group.name))
    }

    /// Whether the group is there, be it empty.
    pub fn has_group(&self, group: impl AsRef<[u8]>) -> bool {
        self.group(group.as_ref()).is_some()
    }

    /// The keys of a group, one for each line: a repeated key comes repeatedly.
    pub fn keys(&self, group: impl AsRef<[u8]>) -> impl Iterator<Item = &[u8]> {
        self.entries(group.as_ref()).map(|(_, entry)| self.slice(&entry.key))
    }

    /// The value of a key. Of a repeated key it is the last one.
    ///
    /// A key with a locale is a key of its own: `title[de]` is no `title`.
    pub fn get(&self, group: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Option<Value<'_>> {
        let entry = self.find(group.as_ref(), key.as_ref())?;
        Some(Value::new(self.slice(&entry.value)))
    }

    /// Every key of a group with its own value and place, repeated ones included.
    pub fn entries_of(&self, group: impl AsRef<[u8]>) -> impl Iterator<Item = EntryRef<'_>> {
        self.entries(group.as_ref()).filter_map(|(index, entry)| {
            let start = self.lines.get(index)?.span.start;
            Some(EntryRef {
                key: self.slice(&entry.key),
                value: Value::new(self.slice(&entry.value)),
                line: index.saturating_add(1),
                column: entry.value.start.saturating_sub(start).saturating_add(1),
            })
        })
    }

    /// The line of a group's first name, from 1.
    pub(crate) fn line_of_group(&self, group: &[u8]) -> Option<usize> {
        let name = &self.group(group)?.name;
        let index = self.lines.partition_point(|line| line.span.end <= name.start);
        Some(index.saturating_add(1))
    }

    /// The file as GLib 2.74 writes it after reading it (`g_key_file_to_data`).
    ///
    /// Comments stay; groups that came in parts are put together, an empty line goes before each
    /// group that has none, and the blanks round `=` and the carriage returns of line ends go. A
    /// value that ends with a carriage return of its own loses it at the next load, as in GLib.
    pub fn to_data(&self) -> Document {
        // No line grows by more than a newline, and no group by more than an empty line.
        let bound = self.source.len().saturating_add(self.lines.len().saturating_mul(2));
        let mut data = Wiped::with_capacity(bound);
        self.write_lines(self.preamble, &mut data);
        for group in &self.groups {
            if !matches!(data.as_slice(), [] | [_] | [.., b'\n', _]) {
                data.push(b'\n');
            }
            data.push(b'[');
            data.extend_from_slice(self.slice(&group.name));
            data.extend_from_slice(b"]\n");
            self.write_lines(group.lines, &mut data);
        }
        Document::new(data)
    }

    fn write_lines(&self, chain: Chain, data: &mut Vec<u8>) {
        for (_, line) in self.chain(chain) {
            match &line.entry {
                Some(entry) => {
                    data.extend_from_slice(self.slice(&entry.key));
                    data.push(b'=');
                    data.extend_from_slice(self.slice(&entry.value));
                }
                None => {
                    let (text, _) = parse::split_line(self.slice(&line.span));
                    data.extend_from_slice(text.seen);
                }
            }
            data.push(b'\n');
        }
    }

    fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(self.group_index(name)?)
    }

    #[inline]
    fn group_index(&self, name: &[u8]) -> Option<usize> {
        if self.groups.len() <= FEW_GROUPS {
            return self.groups.iter().position(|group| self.slice(&group.name) == name);
        }
        self.group_by_name(name)
    }

    fn group_by_name(&self, name: &[u8]) -> Option<usize> {
        let named = |index: &usize| self.groups.get(*index).map(|group| self.slice(&group.name));
        let place = self
            .by_name
            .binary_search_by(|index| named(index).cmp(&Some(name)))
            .ok()?;
        self.by_name.get(place).copied()
    }

    /// The entry that counts: of a repeated key the last.
    fn find(&self, group: &[u8], key: &[u8]) -> Option<&Entry> {
        if !self.by_key.is_empty() {
            return self.find_by_index(group, key);
        }
        let (group, mark) = (self.group_index(group)?, mark(key));
        let mut marked = self
            .keys
            .iter()
            .rev()
            .filter(|found| found.mark == mark && found.group == group);
        marked.find_map(|found| {
            let entry = self.lines.get(found.line)?.entry.as_ref()?;
            (self.slice(&entry.key) == key).then_some(entry)
        })
    }

    #[cold]
    fn find_by_index(&self, group: &[u8], key: &[u8]) -> Option<&Entry> {
        let group = self.group_index(group)?;
        let wanted = (group, prefix(key));
        let is_up_to = |place: &Place| match (place.group, place.prefix).cmp(&wanted) {
            Ordering::Equal => self.key_of(place.line) <= key,
            order => order.is_lt(),
        };
        let last = self.by_key.partition_point(is_up_to).checked_sub(1)?;
        let place = self.by_key.get(last)?;
        let entry = self.lines.get(place.line)?.entry.as_ref()?;
        (place.group == group && self.slice(&entry.key) == key).then_some(entry)
    }

    fn entries<'a>(&'a self, group: &[u8]) -> impl Iterator<Item = (usize, &'a Entry)> + use<'a> {
        let chain = self.group(group).map_or(Chain::default(), |group| group.lines);
        self.chain(chain)
            .filter_map(|(index, line)| Some((index, line.entry.as_ref()?)))
    }

    fn chain<'a>(&'a self, chain: Chain) -> impl Iterator<Item = (usize, &'a Line)> + use<'a> {
        let mut next = chain.ends.map(|(first, _)| first);
        core::iter::from_fn(move || {
            let index = next?;
            let line = self.lines.get(index)?;
            next = line.next;
            Some((index, line))
        })
    }

    /// Spans are made from slices of the source, so they are always in it.
    fn slice(&self, span: &Range<usize>) -> &[u8] {
        self.source.get(span.clone()).unwrap_or_default()
    }
}

/// What is wrong with a whole file that has something wrong with a line of it.
#[cold]
fn kind_for(input: &[u8], of_line: ParseErrorKind) -> ParseErrorKind {
    match of_line.code() {
        Some(ErrorCode::Parse) if is_utf16(input) => ParseErrorKind::Utf16,
        _ => of_line,
    }
}

/// A key of a file, with the value of its own line and where that stands.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct EntryRef<'a> {
    /// Name of the key, with its locale.
    pub key: &'a [u8],
    /// What stands behind the `=` of this line.
    pub value: Value<'a>,
    /// Line of the file, from 1.
    pub line: usize,
    /// Byte of the line at which the value begins, from 1.
    pub column: usize,
}

/// The state of parsing a file.
struct Reader<'a> {
    input: &'a [u8],
    limits: &'a Limits,
    lines: Vec<Line>,
    keys: Vec<Key>,
    preamble: Chain,
    groups: Vec<Group>,
    /// Where each group is, so that a file of many groups takes no quadratic time.
    by_name: BTreeMap<&'a [u8], usize>,
    current: Option<usize>,
}

impl<'a> Reader<'a> {
    fn new(input: &'a [u8], limits: &'a Limits) -> Self {
        Self {
            input,
            limits,
            // A common file has about so many; more are allocated as they come.
            lines: Vec::with_capacity(COMMON_LINES),
            keys: Vec::with_capacity(COMMON_LINES),
            preamble: Chain::default(),
            groups: Vec::new(),
            by_name: BTreeMap::new(),
            current: None,
        }
    }

    /// Takes the line that lies between `from` and `next`, whose text is `text`.
    fn line(&mut self, from: &'a [u8], next: &'a [u8], text: Text<'a>) -> Result<(), Fault<'a>> {
        let index = self.lines.len();
        if self.limits.lines <= index {
            let kind = ParseErrorKind::TooManyLines {
                limit: self.limits.lines,
            };
            return Err(Fault { kind, at: text.seen });
        }
        let entry = match parse::statement(text)? {
            Statement::Comment => None,
            Statement::Group(name) => {
                self.open(name);
                self.push(from, next, None);
                return Ok(());
            }
            Statement::Entry { key, value } => Some(self.entry(key, value, text.is_seen())?),
        };
        let chain = match self.current.and_then(|current| self.groups.get_mut(current)) {
            Some(group) => &mut group.lines,
            None => &mut self.preamble,
        };
        let previous = chain.ends.map(|(_, last)| last);
        chain.ends = Some((chain.ends.map_or(index, |(first, _)| first), index));
        if let Some(line) = previous.and_then(|previous| self.lines.get_mut(previous)) {
            line.next = Some(index);
        }
        self.push(from, next, entry);
        Ok(())
    }

    fn push(&mut self, from: &[u8], next: &[u8], entry: Option<Entry>) {
        let start = self.input.offset(from);
        let end = self.input.len().saturating_sub(next.len());
        self.lines.push(Line {
            span: start..end,
            entry,
            next: None,
        });
    }

    fn open(&mut self, name: &'a [u8]) {
        let new = self.groups.len();
        let index = *self.by_name.entry(name).or_insert(new);
        if index == new {
            self.groups.push(Group {
                name: self.span(name),
                lines: Chain::default(),
            });
        }
        self.current = Some(index);
    }

    /// `is_seen`: GLib sees the whole line, which has no NUL.
    fn entry(&mut self, key: &'a [u8], value: &'a [u8], is_seen: bool) -> Result<Entry, Fault<'a>> {
        let Some(current) = self.current else {
            return Err(Fault {
                kind: ParseErrorKind::KeyBeforeGroup,
                at: key,
            });
        };
        parse::check_key(key)?;
        if self.limits.keys <= self.keys.len() {
            let kind = ParseErrorKind::TooManyKeys {
                limit: self.limits.keys,
            };
            return Err(Fault { kind, at: key });
        }
        self.keys.push(Key {
            mark: mark(key),
            group: current,
            line: self.lines.len(),
        });
        // GLib compares up to the end of the line: here a NUL is part of the value.
        let is_utf8 = || is_seen && value.eq_ignore_ascii_case(b"UTF-8");
        if current == 0 && key == b"Encoding" && !is_utf8() {
            return Err(Fault {
                kind: ParseErrorKind::Encoding,
                at: value,
            });
        }
        Ok(Entry {
            key: self.span(key),
            value: self.span(value),
        })
    }

    /// Where a slice of the input lies in it.
    fn span(&self, part: &[u8]) -> Range<usize> {
        let start = self.input.offset(part);
        start..start.saturating_add(part.len())
    }
}
