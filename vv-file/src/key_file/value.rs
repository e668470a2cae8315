//! Values: the escapes, and the readers for each type, with GLib's outcome for each input.
//!
//! ```text
//! string  = *( plain / "\s" / "\n" / "\t" / "\r" / "\\" )
//! list    = *( item ";" ) [ item ]        item: as string, and "\;"
//! boolean = ( "true" / "1" / "false" / "0" ) *blank
//! integer = *blank [ "+" / "-" ] 1*digit [ blank *any ]
//! ```
//! Only strings and lists know escapes; the other types look at the raw text.

use alloc::{borrow::Cow, string::String, vec::Vec};
use core::fmt;

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, take_while},
    character::complete::{anychar, char, digit1, one_of},
    combinator::{map, opt, rest},
    sequence::preceded,
};
use zeroize::Zeroizing;

use crate::error::ValueError;

/// Starts each escape.
const BACKSLASH: u8 = b'\\';
/// Ends each item of a list.
const SEPARATOR: u8 = b';';

/// Treatment of a backslash that starts no escape.
///
/// GLib changed it in 2.79.0 (December 2023): before, the getter reported an error *and* returned the text, which
/// virt-viewer used; since then it returns nothing. The same file has a title on one machine and none on another, so a
/// writer has to escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadEscapes {
    /// The value is an error (GLib 2.79.0 and later).
    #[default]
    Fatal,
    /// The backslash and what follows it stay; one at the very end is dropped (GLib before 2.79.0).
    Kept,
}

/// The raw text of a value: what follows the `=`, without leading blanks, as it stands in the file.
///
/// `Debug` shows the length only, since any value may be a password.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({} bytes)", self.0.len())
    }
}

impl<'a> Value<'a> {
    pub(super) fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The text as it stands in the file (`g_key_file_get_value`).
    pub fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The text with its escapes decoded, borrowed from the file where there are none.
    ///
    /// # Errors
    /// As for [`string`](Self::string).
    pub fn text(self) -> Result<Cow<'a, str>, ValueError> {
        self.text_with(BadEscapes::Fatal)
    }

    /// As [`text`](Self::text), with a choice of what becomes of bad escapes.
    ///
    /// # Errors
    /// As for [`string_with`](Self::string_with).
    pub fn text_with(self, bad_escapes: BadEscapes) -> Result<Cow<'a, str>, ValueError> {
        let text = self.utf8()?;
        match memchr::memchr(BACKSLASH, self.0) {
            None => Ok(Cow::Borrowed(text)),
            Some(_) => decode(text, bad_escapes).map(Cow::Owned),
        }
    }

    /// The text with its escapes decoded (`g_key_file_get_string`).
    ///
    /// # Errors
    /// [`ValueError::Encoding`] and, as current GLib has it, [`ValueError::Escape`].
    pub fn string(self) -> Result<String, ValueError> {
        self.string_with(BadEscapes::Fatal)
    }

    /// As [`string`](Self::string), with a choice of what becomes of bad escapes.
    ///
    /// # Errors
    /// [`ValueError::Encoding`]; [`ValueError::Escape`] only if bad escapes are fatal.
    pub fn string_with(self, bad_escapes: BadEscapes) -> Result<String, ValueError> {
        self.text_with(bad_escapes).map(Cow::into_owned)
    }

    /// The items of a list (`g_key_file_get_string_list`).
    ///
    /// Items are not trimmed. One separator at the end adds no item; `;;` has an empty one in it.
    ///
    /// # Errors
    /// [`ValueError::Encoding`] and [`ValueError::Escape`]; the latter was always fatal in lists.
    pub fn list(self) -> Result<Vec<String>, ValueError> {
        let mut items = Vec::new();
        let mut item = String::new();
        let mut input = self.utf8()?;
        while let Ok((left, piece)) = list_piece(input) {
            match piece {
                Piece::Plain(run) => item.push_str(run),
                Piece::Separator => items.push(core::mem::take(&mut item)),
                Piece::Escape(Escape::Good(character) | Escape::Bad(Some(character @ ';'))) => item.push(character),
                Piece::Escape(Escape::Bad(_)) => return Err(ValueError::Escape),
            }
            input = left;
        }
        if !item.is_empty() {
            items.push(item);
        }
        Ok(items)
    }

    /// `true`, `1`, `false` or `0`, with blanks after it if need be (`g_key_file_get_boolean`).
    ///
    /// # Errors
    /// [`ValueError::NotBoolean`] for anything else, `yes` and `True` among it.
    pub fn boolean(self) -> Result<bool, ValueError> {
        boolean(self.0)
    }

    /// A number of 32 bits (`g_key_file_get_integer`). What follows it after a blank is ignored.
    ///
    /// # Errors
    /// [`ValueError::NotInteger`] or [`ValueError::OutOfRange`].
    pub fn integer(self) -> Result<i32, ValueError> {
        integer(self.0)
    }

    /// A number of 64 bits (`g_key_file_get_int64`); one that does not fit saturates.
    ///
    /// # Errors
    /// [`ValueError::NotInteger`] also if anything follows the digits.
    pub fn int64(self) -> Result<i64, ValueError> {
        let number = Number::whole(self.0)?;
        let saturated = if number.negative { i64::MIN } else { i64::MAX };
        Ok(number
            .signed()
            .and_then(|value| i64::try_from(value).ok())
            .unwrap_or(saturated))
    }

    /// An unsigned number of 64 bits (`g_key_file_get_uint64`); one that does not fit saturates.
    /// A minus makes the number wrap round, as in C, unless it saturated.
    ///
    /// # Errors
    /// [`ValueError::NotInteger`] also if anything follows the digits.
    pub fn uint64(self) -> Result<u64, ValueError> {
        let number = Number::whole(self.0)?;
        Ok(match (number.magnitude, number.negative) {
            (Some(magnitude), true) => magnitude.wrapping_neg(),
            (Some(magnitude), false) => magnitude,
            (None, _) => u64::MAX,
        })
    }

    /// A list of 32 bit numbers (`g_key_file_get_integer_list`).
    ///
    /// # Errors
    /// Those of [`list`](Self::list) and of [`integer`](Self::integer).
    pub fn integer_list(self) -> Result<Vec<i32>, ValueError> {
        self.list()?.iter().map(|item| integer(item.as_bytes())).collect()
    }

    /// A list of booleans (`g_key_file_get_boolean_list`).
    ///
    /// # Errors
    /// Those of [`list`](Self::list) and of [`boolean`](Self::boolean).
    pub fn boolean_list(self) -> Result<Vec<bool>, ValueError> {
        self.list()?.iter().map(|item| boolean(item.as_bytes())).collect()
    }

    /// GLib looks at the encoding before it looks at escapes, so this error comes first.
    fn utf8(self) -> Result<&'a str, ValueError> {
        core::str::from_utf8(self.0).map_err(|_| ValueError::Encoding)
    }
}

/// A string with its escapes decoded.
fn decode(text: &str, bad_escapes: BadEscapes) -> Result<String, ValueError> {
    // Decoding only shrinks, so the buffer never moves and leaves no copy of a secret behind.
    let mut decoded = Zeroizing::new(String::with_capacity(text.len()));
    let mut input = text;
    while let Some((run, behind)) = before_backslash(input) {
        decoded.push_str(run);
        // Line ends of certificates are what most escapes stand for.
        if let Some(left) = behind.strip_prefix('n') {
            decoded.push('\n');
            input = left;
            continue;
        }
        let mut behind = behind.chars();
        match (Escape::of(behind.next()), bad_escapes) {
            (Escape::Good(character), _) => decoded.push(character),
            (Escape::Bad(_), BadEscapes::Fatal) => return Err(ValueError::Escape),
            (Escape::Bad(Some(character)), BadEscapes::Kept) => decoded.extend(['\\', character]),
            (Escape::Bad(None), BadEscapes::Kept) => {}
        }
        input = behind.as_str();
    }
    decoded.push_str(input);
    Ok(core::mem::take(&mut *decoded))
}

/// The raw text for a string (`g_key_file_set_string`).
///
/// Blanks are escaped where they lead, for a reader would drop them; line ends and backslashes
/// everywhere. Nothing else is: trailing blanks, `#`, `;` and quotes stand as they are.
pub fn encode_string(text: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(encoded_bound(text));
    encode_into(text, None, &mut raw);
    raw
}

/// The raw text for a list (`g_key_file_set_string_list`): each item ends with a `;`.
pub fn encode_list<T: AsRef<[u8]>>(items: &[T]) -> Vec<u8> {
    let mut raw = Vec::new();
    for item in items {
        encode_item_into(item.as_ref(), &mut raw);
    }
    raw
}

/// The most bytes that a string, or an item with its separator, can take: so a buffer can be made
/// large enough for it never to move.
pub(crate) fn encoded_bound(text: &[u8]) -> usize {
    text.len().saturating_mul(2).saturating_add(1)
}

pub(crate) fn encode_string_into(text: &[u8], raw: &mut Vec<u8>) {
    encode_into(text, None, raw);
}

pub(crate) fn encode_item_into(item: &[u8], raw: &mut Vec<u8>) {
    encode_into(item, Some(SEPARATOR), raw);
    raw.push(SEPARATOR);
}

fn encode_into(text: &[u8], separator: Option<u8>, raw: &mut Vec<u8>) {
    let mut leading = true;
    for &byte in text {
        match byte {
            b' ' if leading => raw.extend_from_slice(b"\\s"),
            b'\t' if leading => raw.extend_from_slice(b"\\t"),
            b'\n' => raw.extend_from_slice(b"\\n"),
            b'\r' => raw.extend_from_slice(b"\\r"),
            b'\\' => {
                raw.extend_from_slice(b"\\\\");
                leading = false;
            }
            _ if Some(byte) == separator => {
                raw.extend_from_slice(&[b'\\', byte]);
                leading = true;
            }
            _ => {
                raw.push(byte);
                leading = false;
            }
        }
    }
}

/// A backslash with what follows it.
enum Escape {
    /// The character that is meant.
    Good(char),
    /// One that means nothing, or the end of the text.
    Bad(Option<char>),
}

impl Escape {
    /// That with this letter behind the backslash.
    fn of(letter: Option<char>) -> Self {
        match letter {
            Some('s') => Self::Good(' '),
            Some('n') => Self::Good('\n'),
            Some('t') => Self::Good('\t'),
            Some('r') => Self::Good('\r'),
            Some('\\') => Self::Good('\\'),
            other => Self::Bad(other),
        }
    }
}

/// A part of the raw text of a list.
enum Piece<'a> {
    Plain(&'a str),
    Separator,
    Escape(Escape),
}

/// What stands before the first backslash, and behind it.
fn before_backslash(input: &str) -> Option<(&str, &str)> {
    let end = memchr::memchr(BACKSLASH, input.as_bytes())?;
    Some((input.get(..end)?, input.get(end.checked_add(1)?..)?))
}

fn escape(input: &str) -> IResult<&str, Escape> {
    preceded(char('\\'), map(opt(anychar), Escape::of)).parse(input)
}

fn list_piece(input: &str) -> IResult<&str, Piece<'_>> {
    alt((
        map(is_not("\\;"), Piece::Plain),
        map(char(';'), |_| Piece::Separator),
        map(escape, Piece::Escape),
    ))
    .parse(input)
}

fn boolean(text: &[u8]) -> Result<bool, ValueError> {
    match text.trim_ascii_end() {
        b"true" | b"1" => Ok(true),
        b"false" | b"0" => Ok(false),
        _ => Err(ValueError::NotBoolean),
    }
}

fn integer(text: &[u8]) -> Result<i32, ValueError> {
    // C's strtol gives 0 and consumes nothing when it meets no digits; GLib then looks only at
    // the byte where it stopped. So a blank item reads 0, while an empty one is refused.
    let (number, left) = match Number::parse(text) {
        Ok((left, number)) => (number, left),
        Err(_) => (Number::ZERO, text),
    };
    let ends = left.first().is_none_or(u8::is_ascii_whitespace);
    if text.is_empty() || !ends {
        return Err(ValueError::NotInteger);
    }
    number
        .signed()
        .and_then(|value| i32::try_from(value).ok())
        .ok_or(ValueError::OutOfRange)
}

/// A decimal number of any length.
struct Number {
    negative: bool,
    /// `None`: more than 64 bits.
    magnitude: Option<u64>,
}

impl Number {
    const ZERO: Self = Self {
        negative: false,
        magnitude: Some(0),
    };

    /// What C's `strtol` takes: blanks of C (vertical tab too), a sign, digits.
    fn parse(input: &[u8]) -> IResult<&[u8], Self> {
        let blank = |byte: u8| byte.is_ascii_whitespace() || byte == b'\x0b';
        let sign = map(opt(one_of("+-")), |sign| sign == Some('-'));
        map(
            (take_while(blank), sign, digit1),
            |(_, negative, digits): (_, _, &[u8])| Self {
                negative,
                magnitude: magnitude(digits),
            },
        )
        .parse(input)
    }

    fn whole(input: &[u8]) -> Result<Self, ValueError> {
        match (Self::parse, rest).parse(input) {
            Ok((_, (number, b""))) => Ok(number),
            _ => Err(ValueError::NotInteger),
        }
    }

    fn signed(&self) -> Option<i128> {
        let magnitude = i128::from(self.magnitude?);
        if self.negative {
            magnitude.checked_neg()
        } else {
            Some(magnitude)
        }
    }
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.checked_sub(b'0')?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
