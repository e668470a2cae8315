//! Recipes: how the bytes of a seed are put together.

use std::fmt::{self, Write as _};
use std::ops::Range;

use super::source::Sources;

/// Bytes of a piece of hexadecimal digits on one line.
const LINE: usize = 32;

/// One seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The name of its file.
    pub name: String,
    /// What its bytes are put together from.
    pub pieces: Vec<Piece>,
}

/// Some bytes of a seed. Each stands on a line of its own:
///
/// ```text
/// 00 06 24 03                                                 bytes
/// 00 * 200                                                    the same byte so often
/// "RFB 003.003\n"                                             text, with the escapes of JSON
/// rfb-proto/captures/vnc-x11vnc-rfb-33/00.s2c.bin 0..24       a part of a source
/// vv-file/keyfile-oracle.jsonl:12.4:base64                    a source, whole
/// --                                                          the next case of the input
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The end of a case, and the beginning of the next one.
    NextCase,
    /// One byte, so often.
    Repeat(u8, usize),
    /// Bytes of a source, by its name.
    Source(String, Option<Range<usize>>),
    /// This text.
    Text(String),
}

impl Recipe {
    /// All recipes of a file. Lines that begin with `#` are comments.
    ///
    /// # Errors
    /// A line is no piece, or a piece stands before the first name.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let mut recipes: Vec<Self> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let name = name.to_owned();
                recipes.push(Self {
                    name,
                    pieces: Vec::new(),
                });
                continue;
            }
            let recipe = recipes.last_mut().ok_or("a piece stands before the first name")?;
            let piece = Piece::parse(line).ok_or_else(|| format!("line {}: no piece: {line}", number + 1))?;
            recipe.pieces.push(piece);
        }
        Ok(recipes)
    }

    /// The bytes of the seed.
    ///
    /// # Errors
    /// A source or a range of it is not there.
    pub fn make(&self, sources: &Sources) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Bytes(piece) => bytes.extend_from_slice(piece),
                Piece::NextCase => bytes.extend_from_slice(&crate::NEXT_CASE),
                Piece::Repeat(byte, count) => bytes.extend(std::iter::repeat_n(*byte, *count)),
                Piece::Source(name, range) => {
                    let source = sources.get(name).ok_or_else(|| format!("no source {name}"))?;
                    let range = range.clone().unwrap_or(0..source.len());
                    let part = source.get(range.clone());
                    bytes.extend_from_slice(part.ok_or_else(|| format!("{name} has no bytes {range:?}"))?);
                }
                Piece::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            }
        }
        Ok(bytes)
    }
}

impl Piece {
    fn parse(line: &str) -> Option<Self> {
        if line == "--" {
            return Some(Self::NextCase);
        }
        if line.starts_with('"') {
            return serde_json::from_str(line).ok().map(Self::Text);
        }
        if let Some((byte, count)) = line.split_once(" * ") {
            return Some(Self::Repeat(u8::from_str_radix(byte, 16).ok()?, count.parse().ok()?));
        }
        if line.contains('/') {
            let Some((name, range)) = line.split_once(' ') else {
                return Some(Self::Source(line.to_owned(), None));
            };
            let (start, end) = range.split_once("..")?;
            return Some(Self::Source(
                name.to_owned(),
                Some(start.parse().ok()?..end.parse().ok()?),
            ));
        }
        let bytes = line.split(' ').map(|byte| u8::from_str_radix(byte, 16).ok());
        bytes.collect::<Option<_>>().map(Self::Bytes)
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[{}]", self.name)?;
        self.pieces.iter().try_for_each(|piece| writeln!(f, "{piece}"))
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => {
                let lines = bytes.chunks(LINE).map(|line| {
                    line.iter().fold(String::new(), |mut line, byte| {
                        let space = if line.is_empty() { "" } else { " " };
                        // Writing into a string cannot fail.
                        let _ = write!(line, "{space}{byte:02x}");
                        line
                    })
                });
                f.write_str(&lines.collect::<Vec<_>>().join("\n"))
            }
            Self::NextCase => f.write_str("--"),
            Self::Repeat(byte, count) => write!(f, "{byte:02x} * {count}"),
            Self::Source(name, None) => f.write_str(name),
            Self::Source(name, Some(range)) => write!(f, "{name} {}..{}", range.start, range.end),
            Self::Text(text) => f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "[one]\n00 ff\n--\n00 * 3\n\"a\\n\\\"\"\na/b 1..2\na/c:1.2:hex\n[two]\n";

    #[test]
    fn what_is_printed_is_what_is_read() {
        let recipes = Recipe::parse_all(&format!("# a comment\n\n{ALL}")).unwrap();
        assert_eq!(recipes[0].pieces.len(), 6);
        let printed: String = recipes.iter().map(ToString::to_string).collect();
        assert_eq!(printed, ALL);
    }

    #[test]
    fn what_is_no_recipe_is_refused() {
        for text in [
            "00\n",
            "[a]\nfoo\n",
            "[a]\n100\n",
            "[a]\na/b 1\n",
            "[a]\n\"a\n",
            "[a]\nx * y\n",
        ] {
            Recipe::parse_all(text).unwrap_err();
        }
    }

    #[test]
    fn pieces_are_put_together() {
        let sources = Sources::new([("a/b".to_owned(), b"xyz".to_vec())]);
        let make = |text: &str| Recipe::parse_all(text).unwrap()[0].make(&sources);
        assert_eq!(make("[a]\n00\n41 * 2\n\"t\"\na/b\na/b 1..2").unwrap(), b"\0AAtxyzy");
        assert_eq!(crate::cases(&make("[a]\n00\n--\n01").unwrap()).count(), 2);
        assert_eq!(make("[a]\na/c").unwrap_err(), "no source a/c");
        assert_eq!(make("[a]\na/b 2..4").unwrap_err(), "a/b has no bytes 2..4");
        assert_eq!(make("[a]\na/b 2..1").unwrap_err(), "a/b has no bytes 2..1");
    }
}
