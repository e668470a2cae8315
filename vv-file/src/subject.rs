//! The subject that a server's certificate must have, as SPICE viewers read it.
//!
//! ```text
//! subject = *blank entry *( "," *blank entry )
//! entry   = key "=" value
//! key     = 1*( any but "=" "," )
//! value   = 1*( plain / "\," / "\\" )
//! ```
//! Order and number of the entries have to be those of the certificate. Blanks are skipped before a key and
//! nowhere else. The backslash is one of this grammar: in the file each is doubled, as in every string.

use alloc::{string::String, vec::Vec};
use core::fmt;

use nom::{
    Finish, IResult, Parser,
    branch::alt,
    bytes::complete::{is_not, tag, take_while},
    combinator::{all_consuming, map, value, verify},
    multi::{fold_many1, separated_list1},
    sequence::{preceded, separated_pair},
};

use crate::error::SubjectError;

/// A distinguished name, entry by entry in the order of the certificate.
///
/// ```
/// use vv_file::subject::HostSubject;
/// let subject = HostSubject::parse(r"O=Example\, Inc, CN=host")?;
/// assert_eq!(subject.entries()[0], ("O".into(), "Example, Inc".into()));
/// assert_eq!(subject.to_string(), r"O=Example\, Inc,CN=host");
/// # Ok::<(), vv_file::error::SubjectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSubject(Vec<(String, String)>);

impl HostSubject {
    /// Reads the text of the key `host-subject`, after the escapes of the file are decoded.
    ///
    /// # Errors
    /// Where the grammar above ends. A viewer that meets such a subject refuses every certificate, or does not
    /// look at the subject at all.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        match all_consuming(separated_list1(tag(","), entry)).parse(text).finish() {
            Ok((_, entries)) => Ok(Self(entries)),
            Err(error) => Err(SubjectError {
                column: text.len().saturating_sub(error.input.len()).saturating_add(1),
            }),
        }
    }

    /// Makes a subject of its entries, as `("CN", "host")`.
    ///
    /// # Errors
    /// The first entry that cannot be written: a key or value is empty, a key has a `,` or `=` in it or a blank
    /// in front. The place is the number of the entry, from 1.
    pub fn from_entries<K: Into<String>, V: Into<String>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, SubjectError> {
        let entries: Vec<(String, String)> = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        let bad = entries.iter().position(|(key, value)| {
            key.is_empty() || value.is_empty() || key.contains(['=', ',']) || key.starts_with(is_blank)
        });
        match bad {
            Some(index) => Err(SubjectError {
                column: index.saturating_add(1),
            }),
            None if entries.is_empty() => Err(SubjectError { column: 1 }),
            None => Ok(Self(entries)),
        }
    }

    /// The entries, unescaped.
    pub fn entries(&self) -> &[(String, String)] {
        &self.0
    }
}

impl fmt::Display for HostSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            write!(f, "{key}=")?;
            for character in value.chars() {
                if matches!(character, ',' | '\\') {
                    f.write_str("\\")?;
                }
                write!(f, "{character}")?;
            }
        }
        Ok(())
    }
}

fn is_blank(character: char) -> bool {
    character.is_ascii_whitespace()
}

fn entry(input: &str) -> IResult<&str, (String, String)> {
    preceded(
        take_while(is_blank),
        separated_pair(map(is_not("=,"), String::from), tag("="), text),
    )
    .parse(input)
}

fn text(input: &str) -> IResult<&str, String> {
    let piece = alt((
        verify(is_not("\\,"), |text: &str| !text.is_empty()),
        value(",", tag("\\,")),
        value("\\", tag("\\\\")),
    ));
    fold_many1(piece, String::new, |mut text, piece| {
        text.push_str(piece);
        text
    })
    .parse(input)
}
