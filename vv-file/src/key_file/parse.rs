//! The grammar of one line.
//!
//! ```text
//! line    = comment / group / entry
//! comment = *blank [ "#" *any ]
//! group   = *blank "[" 1*name-char "]" *( " " / TAB )
//! entry   = *blank key *blank "=" *blank value
//! key     = 1*key-char [ "[" *locale-char "]" ]
//! ```
//! A blank is a space, tab, form feed or carriage return. Lines are bytes: names and values need
//! not be UTF-8. GLib handles a line as a C string, so for all that follows it ends at a NUL.
//!
//! GLib walks through names by whole UTF-8 characters, and thereby passes over continuation bytes
//! that belong to none (`80` to `BF`). Where that decides what is accepted, the grammar says
//! `stray`.

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{take, take_till, take_till1, take_while},
    character::complete::{char, one_of},
    combinator::{all_consuming, map, map_opt, opt, recognize, rest, verify},
    multi::many0_count,
    sequence::{delimited, terminated},
};

use super::alphanumeric::is_alphanumeric;
use crate::error::ParseErrorKind;

/// What a line says, as slices of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement<'a> {
    /// A comment or a blank line.
    Comment,
    Group(&'a [u8]),
    /// The key is not checked yet: a key before the first group is the more important error.
    Entry {
        key: &'a [u8],
        value: &'a [u8],
    },
}

/// Why a line is refused, and what is left of it at that place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault<'a> {
    pub(super) kind: ParseErrorKind,
    pub(super) at: &'a [u8],
}

/// A line without its line end.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// What GLib sees of it: the bytes before the first NUL.
    pub(super) seen: &'a [u8],
    /// The NUL and what stands behind it.
    unseen: &'a [u8],
}

impl Text<'_> {
    /// Whether GLib sees all of it: there is no NUL.
    pub(super) fn is_seen(self) -> bool {
        self.unseen.is_empty()
    }
}

/// The next line of a file, and what follows.
///
/// One carriage return before the newline belongs to the line end; one at the end of the file
/// does not.
pub(super) fn split_line(input: &[u8]) -> (Text<'_>, &[u8]) {
    // Almost no file has a NUL, so one search finds the end of almost every line.
    let end = memchr::memchr2(b'\n', 0, input);
    let (seen, rest) = split_at(input, end.unwrap_or(input.len()));
    if let [b'\n', left @ ..] = rest {
        let seen = seen.strip_suffix(b"\r").unwrap_or(seen);
        return (Text { seen, unseen: &[] }, left);
    }
    let (unseen, rest) = split_at(rest, memchr::memchr(b'\n', rest).unwrap_or(rest.len()));
    (Text { seen, unseen }, rest.get(1..).unwrap_or_default())
}

/// Reads one line.
pub(super) fn statement(line: Text<'_>) -> Result<Statement<'_>, Fault<'_>> {
    let text = line.seen.trim_ascii_start();
    match text.first() {
        None | Some(b'#') => Ok(Statement::Comment),
        Some(b'[') => bracketed(text, line.unseen),
        // Nearly all lines are entries, and only a bracket can begin anything else.
        Some(_) => match split_entry(text) {
            Some((key, value)) => Ok(Statement::Entry { key, value }),
            None => Err(unknown(text)),
        },
    }
}

/// A line that begins with a bracket: a group, or an entry whose key is refused later.
#[cold]
fn bracketed<'a>(text: &'a [u8], unseen: &[u8]) -> Result<Statement<'a>, Fault<'a>> {
    let grammar = alt((
        map(all_consuming(group), Statement::Group),
        map(entry, |(key, value)| Statement::Entry { key, value }),
    ));
    match all_consuming(grammar).parse(text).finish() {
        Ok((_, Statement::Group(name))) => check_group_name(name, unseen),
        Ok((_, statement)) => Ok(statement),
        Err(_) => Err(unknown(text)),
    }
}

#[cold]
fn unknown(text: &[u8]) -> Fault<'_> {
    Fault {
        kind: ParseErrorKind::UnknownLine,
        at: text,
    }
}

/// Checks a key with its locale suffix.
pub(super) fn check_key(key: &[u8]) -> Result<(), Fault<'_>> {
    // The backslash is between the two brackets: one comparison for the three. No equals sign is in a key.
    let is_plain = |byte: &u8| !matches!(byte, b'['..=b']');
    match key {
        // No locale, and nothing that a name cannot have: nearly all keys.
        [_, ..] if key.last() != Some(&b' ') && key.iter().all(is_plain) => Ok(()),
        _ => check_any_key(key),
    }
}

/// The same for any key.
fn check_any_key(key: &[u8]) -> Result<(), Fault<'_>> {
    match all_consuming((key_name, opt(locale))).parse(key).finish() {
        Ok(_) => Ok(()),
        Err(error) => Err(Fault {
            kind: ParseErrorKind::KeyName,
            at: error.input,
        }),
    }
}

fn split_at(input: &[u8], at: usize) -> (&[u8], &[u8]) {
    input.split_at_checked(at).unwrap_or((input, &[]))
}

/// What stands before a byte, or everything.
fn until<'a>(byte: u8) -> impl Parser<&'a [u8], Output = &'a [u8], Error = nom::error::Error<&'a [u8]>> {
    move |input: &'a [u8]| {
        let (before, rest) = split_at(input, memchr::memchr(byte, input).unwrap_or(input.len()));
        Ok((rest, before))
    }
}

fn group(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let blanks = take_while(|byte| matches!(byte, b' ' | b'\t') || is_stray(byte));
    delimited(char('['), until(b']'), (char(']'), blanks)).parse(input)
}

/// Such a line is a group and nothing else, so a bad name is an error of its own.
///
/// GLib looks for the closing bracket from the end of the whole line, a NUL notwithstanding; if
/// there is one behind the NUL, the name it finds has a bracket in it.
fn check_group_name<'a>(name: &'a [u8], after_nul: &[u8]) -> Result<Statement<'a>, Fault<'a>> {
    let allowed = take_till(|byte: u8| byte == b'[' || byte.is_ascii_control());
    let parsed: IResult<_, &[u8]> = verify(all_consuming(allowed), |name: &[u8]| !name.is_empty()).parse(name);
    match parsed.finish() {
        Ok((_, name)) if !after_nul.contains(&b']') => Ok(Statement::Group(name)),
        Ok(_) => Err(Fault {
            kind: ParseErrorKind::GroupName,
            at: name,
        }),
        Err(error) => Err(Fault {
            kind: ParseErrorKind::GroupName,
            at: error.input,
        }),
    }
}

fn entry(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    map_opt(rest, split_entry).parse(input)
}

/// The key and the value of an entry; `None` if there is no equals sign, or nothing before it.
fn split_entry(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, rest) = text.split_at_checked(memchr::memchr(b'=', text)?)?;
    let value = rest.get(1..)?;
    (!key.is_empty()).then(|| (key.trim_ascii_end(), value.trim_ascii_start()))
}

/// Blanks, control characters and quotes are all allowed; only a space at the end is not, because
/// it would be lost when the file is written and read again.
fn key_name(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let name = take_till1(|byte| matches!(byte, b'=' | b'[' | b']'));
    verify(name, |name: &[u8]| name.last() != Some(&b' ')).parse(input)
}

fn locale(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let character = alt((recognize(one_of("-_.@")), alphanumeric));
    let characters = many0_count(terminated(character, take_while(is_stray)));
    recognize(delimited(char('['), characters, char(']'))).parse(input)
}

/// One letter or digit of any script.
fn alphanumeric(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let head = input.get(..4).unwrap_or(input);
    let valid = match core::str::from_utf8(head) {
        Ok(text) => Some(text),
        Err(error) => head
            .get(..error.valid_up_to())
            .and_then(|valid| core::str::from_utf8(valid).ok()),
    };
    let character = valid.and_then(|text| text.chars().next());
    let length = character.map_or(1, char::len_utf8);
    verify(take(length), |_: &[u8]| character.is_some_and(is_alphanumeric)).parse(input)
}

/// A continuation byte; see the head of this file.
fn is_stray(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}
