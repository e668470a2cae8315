//! The subject that a server's certificate must have, as SPICE viewers read it.
//!
//! ```text
//! subject = *SP [ entry *( "," *SP entry ) [ "," *SP ] ]
//! entry   = key "=" value
//! key     = 1*( any but "=" "," "\" / "\," / "\\" )
//! value   = 1*( any but "," "\" / "\," / "\\" )
//! ```
//! Order and number of the entries have to be those of the certificate. Spaces are skipped before a key and nowhere
//! else: `C = IL` has the key `C` with a space behind it. The backslash is one of this grammar: in the file each is
//! doubled, as in every string.
//!
//! spice-gtk gives each entry to OpenSSL, which knows the [attributes](HostSubject::check) that can stand there. A text
//! that spice-gtk cannot read, or with an entry that OpenSSL does not take, fits no certificate.

mod attribute;

use alloc::{string::String, vec::Vec};
use core::fmt;

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, take_while},
    combinator::{all_consuming, cut, eof, not, value},
    multi::{fold_many1, many0},
    sequence::{preceded, separated_pair, terminated},
};

use crate::error::SubjectError;

/// A distinguished name, entry by entry in the order of the certificate.
///
/// ```
/// use vv_file::subject::HostSubject;
/// let subject = HostSubject::parse(r"O=Example\, Inc, CN=host")?;
/// assert_eq!(subject.entries()[0], ("O".into(), "Example, Inc".into()));
/// assert_eq!(subject.to_string(), r"O=Example\, Inc,CN=host");
/// subject.check()?;
/// # Ok::<(), vv_file::error::SubjectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSubject(Vec<(String, String)>);

impl HostSubject {
    /// Reads the text of the key `host-subject`, after the escapes of the file are decoded. A text of nothing but
    /// spaces has no entries.
    ///
    /// # Errors
    /// [`SubjectError::Grammar`]. A viewer that meets such a subject refuses every certificate.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        match all_consuming(entries).parse(text).finish() {
            Ok((_, entries)) => Ok(Self(entries)),
            Err(error) => Err(SubjectError::Grammar {
                column: text.len().saturating_sub(error.input.len()).saturating_add(1),
            }),
        }
    }

    /// Makes a subject of its entries, as `("CN", "host")`.
    ///
    /// # Errors
    /// [`SubjectError::Empty`] without entries, and [`SubjectError::Entry`] for the first one that cannot be written:
    /// a key or value is empty, or a key has a `=` in it or a space in front.
    pub fn from_entries<K: Into<String>, V: Into<String>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SubjectError> {
        let entries: Vec<(String, String)> = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let bad = entries.iter().position(|(key, value)| {
            key.is_empty() || value.is_empty() || key.contains('=') || key.starts_with(is_space)
        });
        match bad {
            Some(index) => Err(SubjectError::Entry { entry: number(index) }),
            None if entries.is_empty() => Err(SubjectError::Empty),
            None => Ok(Self(entries)),
        }
    }

    /// The entries, unescaped.
    pub fn entries(&self) -> &[(String, String)] {
        &self.0
    }

    /// Checks that a certificate can have the subject: OpenSSL knows each key and takes each value.
    ///
    /// Keys are the short and long names of OpenSSL's table of objects, in its own case (`CN` and `commonName`, but
    /// not `cn`), and object identifiers in numbers (`2.5.4.3`). For some attributes OpenSSL bounds the number of
    /// characters (a `C` has two) or the characters (an `emailAddress` is ASCII).
    ///
    /// # Errors
    /// The first entry that OpenSSL does not take; [`SubjectError::Empty`] without entries, because only a certificate
    /// without a subject has that one.
    pub fn check(&self) -> Result<(), SubjectError> {
        if self.0.is_empty() {
            return Err(SubjectError::Empty);
        }
        for (index, (key, value)) in self.0.iter().enumerate() {
            let entry = number(index);
            let (_, attribute) = attribute::find(key).ok_or(SubjectError::UnknownKey { entry })?;
            if !attribute.takes(value) {
                return Err(SubjectError::Value { entry });
            }
        }
        Ok(())
    }
}

impl fmt::Display for HostSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write_escaped(key, f)?;
            f.write_str("=")?;
            write_escaped(value, f)?;
        }
        Ok(())
    }
}

fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in text.chars() {
        if matches!(character, ',' | '\\') {
            f.write_str("\\")?;
        }
        write!(f, "{character}")?;
    }
    Ok(())
}

/// The number of an entry, from 1.
fn number(index: usize) -> usize {
    index.saturating_add(1)
}

fn is_space(character: char) -> bool {
    character == ' '
}

fn entries(input: &str) -> IResult<&str, Vec<(String, String)>> {
    let spaces = || take_while(is_space);
    let end = alt((tag(","), eof));
    // An error inside an entry is the error of the whole, so that it has its place.
    let entry = preceded((spaces(), not(eof)), cut(terminated(entry, end)));
    terminated(many0(entry), spaces()).parse(input)
}

fn entry(input: &str) -> IResult<&str, (String, String)> {
    separated_pair(text(r"=,\"), tag("="), text(r",\")).parse(input)
}

/// At least one character that is not in `but`, or escaped.
fn text<'a>(but: &'static str) -> impl Parser<&'a str, Output = String, Error = nom::error::Error<&'a str>> {
    let piece = alt((is_not(but), value(",", tag(r"\,")), value(r"\", tag(r"\\"))));
    fold_many1(piece, String::new, |mut text, piece| {
        text.push_str(piece);
        text
    })
}
