//! The subject that a server's certificate must have, as spice-gtk reads it from `host-subject`, from
//! `--spice-host-subject` and from migration messages.
//!
//! ```text
//! subject = [ entry *( "," entry ) [ "," ] ] *" "
//! entry   = *" " key "=" value
//! key     = 1*( any but "=" "," "\" / "\," / "\\" )      a name that OpenSSL knows, or numbers with dots
//! value   = 1*( any but "," "\" / "\," / "\\" )          one that OpenSSL takes for that attribute
//! ```
//!
//! The same grammar, names and values are those of spice-gtk with OpenSSL 3.0: `tests/data/host-subjects.jsonl`. A name that
//! OpenSSL has for something else than an attribute leads to no certificate there and is unknown here.

use alloc::string::String;
use alloc::vec::Vec;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while};
use nom::combinator::{all_consuming, opt, value};
use nom::multi::{fold_many1, separated_list1};
use nom::sequence::{separated_pair, terminated};
use nom::{Finish as _, IResult, Parser as _};
use x509_cert::attr::AttributeTypeAndValue;

use super::attributes;
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
    /// A key that is neither a name that OpenSSL knows nor numbers with dots.
    #[error("entry {entry}: unknown attribute")]
    UnknownKey {
        /// Which entry, from 1.
        entry: usize,
    },
    /// A value that OpenSSL does not take for its attribute: `C` has two letters, `CN` up to 64.
    #[error("entry {entry}: no value for this attribute")]
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
pub struct HostSubject {
    entries: Vec<(String, String)>,
    /// The first entry, from 1, with a tab or a line end in front of its key: OpenSSL knows no such key.
    indented: Option<usize>,
}

impl HostSubject {
    /// Reads a subject. The empty text has no entries. Whether OpenSSL knows the keys is not looked at here, but by
    /// [`Verifier::new`](super::Verifier::new).
    ///
    /// # Errors
    /// [`SubjectError::Grammar`].
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let list = opt(terminated(separated_list1(tag(","), entry), opt(tag(","))));
        let list = terminated(list, take_while(|character| character == ' '));
        let entries = match all_consuming(list).parse(text).finish() {
            Ok((_, entries)) => entries.unwrap_or_default(),
            Err(error) => {
                return Err(SubjectError::Grammar {
                    column: text.len().saturating_sub(error.input.len()).saturating_add(1),
                });
            }
        };
        let indented = entries
            .iter()
            .position(|(blanks, _)| blanks.contains(|blank| blank != ' '));
        Ok(Self {
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            indented: indented.map(|at| at.saturating_add(1)),
        })
    }

    /// Keys and values, without escapes.
    #[must_use]
    pub fn entries(&self) -> &[(String, String)] {
        &self.entries
    }

    /// With the object identifiers of the keys, for comparing.
    pub(super) fn resolve(&self) -> Result<Resolved, SubjectError> {
        if self.entries.is_empty() {
            return Err(SubjectError::Empty);
        }
        let entries = self.entries.iter().zip(1..).map(|((key, value), entry)| {
            let known = attributes::identifier(key).filter(|_| self.indented != Some(entry));
            let oid = known.ok_or(SubjectError::UnknownKey { entry })?;
            if !attributes::takes(&oid, value) {
                return Err(SubjectError::Value { entry });
            }
            Ok((oid, canonical(value)))
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

/// The blanks in front of a key, the key, and its value.
fn entry(input: &str) -> IResult<&str, (&str, (String, String))> {
    let pair = separated_pair(text("=,\\\0"), tag("="), text(",\\\0"));
    (take_while(is_blank), pair).parse(input)
}

/// At least one character that is not in `but`, or escaped.
fn text<'a>(but: &'static str) -> impl nom::Parser<&'a str, Output = String, Error = nom::error::Error<&'a str>> {
    let piece = alt((is_not(but), value(",", tag(r"\,")), value(r"\", tag(r"\\"))));
    fold_many1(piece, String::new, |mut text, piece| {
        text.push_str(piece);
        text
    })
}
