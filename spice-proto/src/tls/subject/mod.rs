//! The subject that a server's certificate must have, as spice-gtk reads it from `host-subject`, from
//! `--spice-host-subject` and from migration messages.
//!
//! ```text
//! subject = *SP [ entry *( "," *SP entry ) [ "," *SP ] ]
//! entry   = key "=" value
//! key     = 1*( any but "=" "," "\" / "\," / "\\" )
//! value   = 1*( any but "," "\" / "\," / "\\" )
//! ```
//! spice-gtk gives each entry to OpenSSL, which knows the attributes that can stand there: a text with another one fits
//! no certificate.

mod attribute;

use alloc::string::String;
use alloc::vec::Vec;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while};
use nom::combinator::{all_consuming, cut, eof, not, value};
use nom::multi::{fold_many1, many0};
use nom::sequence::{preceded, separated_pair, terminated};
use nom::{Finish as _, IResult, Parser as _};
use x509_cert::attr::AttributeTypeAndValue;

use super::certificate::{Certificate, text as text_of};

/// Why a text is no subject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// The grammar ends here, counted from 1 in bytes.
    #[error("column {column}: not a host subject")]
    Grammar {
        /// Where.
        column: usize,
    },
    /// A key that is neither a name that OpenSSL knows, in its case, nor numbers with dots.
    #[error("entry {entry}: unknown attribute")]
    UnknownKey {
        /// Which entry, from 1.
        entry: usize,
    },
    /// A value has more or fewer characters than OpenSSL takes for its key, or other ones.
    #[error("entry {entry}: a value that the attribute cannot have")]
    Value {
        /// Which entry, from 1.
        entry: usize,
    },
    /// There are no entries. Such a subject would be that of no certificate, or of any that has none.
    #[error("an empty subject")]
    Empty,
}

/// A distinguished name, entry by entry in the order of the certificate.
///
/// ```
/// use spice_proto::tls::HostSubject;
/// let subject = HostSubject::parse(r"O=Example\, Inc,  CN=host")?;
/// assert_eq!(subject.entries()[0], ("O".into(), "Example, Inc".into()));
/// # Ok::<(), spice_proto::tls::SubjectError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSubject(Vec<(String, String)>);

impl HostSubject {
    /// Reads a subject. A text of nothing but spaces has no entries.
    ///
    /// # Errors
    /// [`SubjectError::Grammar`].
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        match all_consuming(entries).parse(text).finish() {
            Ok((_, entries)) => Ok(Self(entries)),
            Err(error) => Err(SubjectError::Grammar {
                column: text.len().saturating_sub(error.input.len()).saturating_add(1),
            }),
        }
    }

    /// Keys and values, without escapes.
    #[must_use]
    pub fn entries(&self) -> &[(String, String)] {
        &self.0
    }

    /// With the object identifiers of the keys, for comparing.
    pub(super) fn resolve(&self) -> Result<Resolved, SubjectError> {
        if self.0.is_empty() {
            return Err(SubjectError::Empty);
        }
        let entries = self.0.iter().enumerate().map(|(at, (key, value))| {
            let entry = at.saturating_add(1);
            let found = attribute::find(key).and_then(|(oid, of)| Some((encoded(&oid)?, of)));
            let (oid, attribute) = found.ok_or(SubjectError::UnknownKey { entry })?;
            match attribute.takes(value) {
                true => Ok((oid, canonical(value))),
                false => Err(SubjectError::Value { entry }),
            }
        });
        entries.collect::<Result<_, _>>().map(Resolved)
    }
}

/// A subject that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved(Vec<(Vec<u8>, String)>);

impl Resolved {
    /// Whether a certificate has this subject: the same number of entries, in this order, each alone in its set, and
    /// the values alike but for case and blanks, as OpenSSL compares names.
    pub(super) fn is_of(&self, certificate: &Certificate<'_>) -> bool {
        let same = |((oid, value), set): (&(Vec<u8>, String), &[AttributeTypeAndValue])| match set {
            [attribute] => {
                attribute.oid.as_bytes() == oid.as_slice()
                    && text_of(attribute).is_some_and(|text| canonical(&text) == *value)
            }
            _ => false,
        };
        let subject = certificate.subject();
        self.0.len() == subject.len() && self.0.iter().zip(subject).all(same)
    }
}

/// A value without blanks around it, with one for each run of them inside, and small ASCII letters.
fn canonical(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split(is_blank).filter(|word| !word.is_empty()) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().map(|character| character.to_ascii_lowercase()));
    }
    out
}

/// What C calls a space.
fn is_blank(character: char) -> bool {
    character.is_ascii_whitespace() || character == '\u{b}'
}

fn entries(input: &str) -> IResult<&str, Vec<(String, String)>> {
    let spaces = || take_while(|character| character == ' ');
    let end = alt((tag(","), eof));
    // An error inside an entry is the error of the whole, so that it has its place.
    let entry = preceded((spaces(), not(eof)), cut(terminated(entry, end)));
    terminated(many0(entry), spaces()).parse(input)
}

fn entry(input: &str) -> IResult<&str, (String, String)> {
    separated_pair(text(r"=,\"), tag("="), text(r",\")).parse(input)
}

/// At least one character that is not in `but`, or escaped.
fn text<'a>(but: &'static str) -> impl nom::Parser<&'a str, Output = String, Error = nom::error::Error<&'a str>> {
    let piece = alt((is_not(but), value(",", tag(r"\,")), value(r"\", tag(r"\\"))));
    fold_many1(piece, String::new, |mut text, piece| {
        text.push_str(piece);
        text
    })
}

/// An object identifier in numbers as DER has it. No certificate has numbers of more than 128 bits.
fn encoded(identifier: &str) -> Option<Vec<u8>> {
    let mut arcs = identifier.split('.').map(|arc| arc.parse::<u128>().ok());
    let (first, second) = (arcs.next()??, arcs.next()??);
    let mut oid = Vec::new();
    put_arc(first.checked_mul(40)?.checked_add(second)?, &mut oid);
    for arc in arcs {
        put_arc(arc?, &mut oid);
    }
    Some(oid)
}

/// Seven bits a byte, the highest first.
fn put_arc(arc: u128, oid: &mut Vec<u8>) {
    for shift in (7..u128::BITS).step_by(7).rev() {
        if arc >> shift != 0 {
            // INVARIANT: masked to seven bits.
            oid.push(u8::try_from((arc >> shift) & 0x7f).unwrap_or(0) | 0x80);
        }
    }
    oid.push(u8::try_from(arc & 0x7f).unwrap_or(0));
}
