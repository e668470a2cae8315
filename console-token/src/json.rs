//! JSON of others, within limits, and JSON with secrets in it.

use alloc::{borrow::Cow, string::String};
use core::fmt::{self, Write as _};

use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

/// How deep objects and arrays may lie in each other. The forms that are read here have three levels.
const MAX_DEPTH: usize = 16;

/// Why a text is not the JSON that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JsonError {
    /// It is longer than such a text can be.
    #[error("more than {limit} bytes")]
    TooLong {
        /// The most bytes.
        limit: usize,
    },
    /// Objects and arrays lie too deep in each other.
    #[error("more than {limit} levels")]
    TooDeep {
        /// The most levels.
        limit: usize,
    },
    /// It is no JSON.
    #[error("not JSON")]
    Syntax,
    /// It is JSON, but a member is missing, unknown, there twice, or has another type or value.
    #[error("not the members that are expected")]
    Schema,
}

/// Reads a text of at most so many bytes.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8], limit: usize) -> Result<T, JsonError> {
    if limit < json.len() {
        return Err(JsonError::TooLong { limit });
    }
    if MAX_DEPTH < depth(json) {
        return Err(JsonError::TooDeep { limit: MAX_DEPTH });
    }
    // What is not looked at would not be checked for this.
    let json = core::str::from_utf8(json).map_err(|_| JsonError::Syntax)?;
    serde_json::from_str(json).map_err(|error| {
        if error.is_data() {
            JsonError::Schema
        } else {
            JsonError::Syntax
        }
    })
}

/// The most brackets that are open at once. Of what is no JSON, it may be wrong.
fn depth(json: &[u8]) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                open = open.saturating_add(1);
                most = open.max(most);
            }
            b'}' | b']' if !in_string => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// A secret that was read. If it had escapes in it, it is a copy, which is wiped.
pub(crate) fn wiped(text: Cow<'_, str>) -> Zeroizing<String> {
    Zeroizing::new(text.into_owned())
}

/// A text as JSON (RFC 8259 section 7).
pub(crate) struct Quoted<'a>(pub(crate) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\0'..='\x1f' => write!(f, "\\u{:04x}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        f.write_char('"')
    }
}

/// A value, or `null`.
pub(crate) struct OrNull<T>(pub(crate) Option<T>);

impl<T: fmt::Display> fmt::Display for OrNull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(value) => value.fmt(f),
            None => f.write_str("null"),
        }
    }
}

/// A value, or nothing at all.
pub(crate) struct OrNothing<T>(pub(crate) Option<T>);

impl<T: fmt::Display> fmt::Display for OrNothing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

/// Counts what is written.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 = self.0.saturating_add(text.len());
        Ok(())
    }
}

/// The JSON in one buffer that does not grow, so that no stale copy of a secret stays in the heap.
pub(crate) fn write(json: fmt::Arguments<'_>) -> Zeroizing<String> {
    let mut length = Length(0);
    // Neither of them fails.
    let _ = length.write_fmt(json);
    let mut written = Zeroizing::new(String::with_capacity(length.0));
    let _ = written.write_fmt(json);
    written
}
