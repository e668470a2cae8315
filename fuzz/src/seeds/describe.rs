//! The recipe of an input: which of its bytes stand in the test data, and the rest as they are.

use super::recipe::{Piece, Recipe};
use super::source::Sources;

/// Fewer bytes that are alike are an accident.
const MATCH: usize = 12;
/// So many different bytes at the least are in them.
const VARIETY: usize = 5;
/// So many bytes tell where a source is like an input; behind them each place is tried.
const KEY: usize = 64;
/// So many places with the same key are tried at the most.
const TRIED: usize = 64;
/// A run of one byte is one piece from this length on.
const RUN: usize = 8;
/// A text is one piece from this length on.
const TEXT: usize = 4;

/// Finds the bytes of inputs in the sources.
#[derive(Debug)]
pub struct Finder<'a> {
    names: Vec<&'a str>,
    sources: Vec<&'a [u8]>,
    /// Every place in every source, in the order of the bytes that stand there.
    places: Vec<(u32, u32)>,
}

impl<'a> Finder<'a> {
    /// Sorts the sources.
    #[must_use]
    pub fn new(sources: &'a Sources) -> Self {
        let (names, sources): (Vec<_>, Vec<_>) = sources.iter().unzip();
        let mut places = Vec::new();
        for (index, source) in (0..).zip(&sources) {
            let windows = (0..)
                .zip(source.windows(MATCH))
                .filter(|(_, window)| is_various(window));
            places.extend(windows.map(|(at, _)| (index, at)));
        }
        places.sort_by_key(|place| key(rest(&sources, *place)));
        Self { names, sources, places }
    }

    /// The recipe that makes this input.
    #[must_use]
    pub fn describe(&self, name: &str, input: &[u8]) -> Recipe {
        let cases = crate::cases(input).map(|case| self.case(case)).collect::<Vec<_>>();
        Recipe {
            name: name.to_owned(),
            pieces: cases.join(&Piece::NextCase),
        }
    }

    fn case(&self, case: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let (mut at, mut literal) = (0, 0);
        while at < case.len() {
            let Some((piece, len)) = self.longest(&case[at..]) else {
                at += 1;
                continue;
            };
            pieces.extend(literals(&case[literal..at]));
            pieces.push(piece);
            at += len;
            literal = at;
        }
        pieces.extend(literals(&case[literal..]));
        pieces
    }

    /// The longest beginning of `input` that stands in a source.
    fn longest(&self, input: &[u8]) -> Option<(Piece, usize)> {
        if !is_various(input.get(..MATCH)?) {
            return None;
        }
        let wanted = key(input);
        let after = self
            .places
            .partition_point(|place| key(rest(&self.sources, *place)) < wanted);
        // The longest beginning stands beside the place where the input would stand.
        let before = self.places[..after].last();
        let behind = self.places[after..].iter().take(TRIED);
        let behind = behind.take_while(|place| key(rest(&self.sources, **place)) == wanted);
        let candidates = before.into_iter().chain(self.places.get(after)).chain(behind);
        let (place, len) = candidates
            .map(|place| (place, alike(rest(&self.sources, *place), input)))
            .max_by_key(|(_, len)| *len)?;
        if len < MATCH {
            return None;
        }
        let (source, start) = (place.0 as usize, place.1 as usize);
        let is_whole = len == self.sources[source].len();
        let range = (!is_whole).then_some(start..start + len);
        Some((Piece::Source(self.names[source].to_owned(), range), len))
    }
}

fn rest<'a>(sources: &[&'a [u8]], (source, at): (u32, u32)) -> &'a [u8] {
    &sources[source as usize][at as usize..]
}

fn key(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(KEY)]
}

fn alike(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// Whether the first bytes of a match are more than a run of the same few.
fn is_various(bytes: &[u8]) -> bool {
    let mut seen = [0; VARIETY];
    let mut count = 0;
    for byte in bytes {
        if !seen[..count].contains(byte) {
            seen[count] = *byte;
            count += 1;
            if count == VARIETY {
                return true;
            }
        }
    }
    false
}

/// Bytes that stand in no source: texts, runs, and bytes.
fn literals(mut bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    while let Some(first) = bytes.first() {
        let run = bytes.iter().take_while(|byte| *byte == first).count();
        let text = bytes.iter().take_while(|byte| is_text(**byte)).count();
        let (piece, len) = if RUN <= run {
            (Piece::Repeat(*first, run), run)
        } else if TEXT <= text {
            (Piece::Text(String::from_utf8_lossy(&bytes[..text]).into_owned()), text)
        } else {
            let starts = (1..bytes.len()).find(|&at| starts_a_piece(&bytes[at..]));
            let len = starts.unwrap_or(bytes.len());
            (Piece::Bytes(bytes[..len].to_vec()), len)
        };
        pieces.push(piece);
        bytes = &bytes[len..];
    }
    pieces
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

fn starts_a_piece(bytes: &[u8]) -> bool {
    let is_run = bytes
        .get(..RUN)
        .is_some_and(|run| run.iter().all(|byte| *byte == run[0]));
    let is_text = bytes
        .get(..TEXT)
        .is_some_and(|text| text.iter().all(|byte| is_text(*byte)));
    is_run || is_text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_makes_the_input_again() {
        let source = b"the bytes of a recording, which are many".to_vec();
        let sources = Sources::new([
            ("a/b".to_owned(), source.clone()),
            ("a/c".to_owned(), b"bytes of a zoo".to_vec()),
        ]);
        let finder = Finder::new(&sources);
        let mut input = b"\x01\x02text".to_vec();
        input.extend([0; 20]);
        input.extend(&source[4..30]);
        input.extend(b"\xff\xfebytes of a zoo");
        let recipe = finder.describe("name", &input);
        assert_eq!(recipe.make(&sources).unwrap(), input);
        let pieces = "[name]\n01 02\n\"text\"\n00 * 20\na/b 4..30\nff fe\na/c\n";
        assert_eq!(recipe.to_string(), pieces);
        let two = [&source[..], &crate::NEXT_CASE, b"two"].concat();
        for input in [&b""[..], b"\0", &two, b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0", &source] {
            assert_eq!(finder.describe("name", input).make(&sources).unwrap(), input);
        }
    }
}
