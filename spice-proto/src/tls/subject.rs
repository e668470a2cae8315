//! The subject that a server's certificate must have, as spice-gtk reads it from `host-subject`, from
//! `--spice-host-subject` and from migration messages.
//!
//! ```text
//! subject = [ entry *( "," entry ) [ "," ] ]
//! entry   = *blank key "=" value
//! key     = 1*( any but "=" "," "\" / "\," / "\\" )
//! value   = 1*( any but "," "\" / "\," / "\\" )
//! ```

use alloc::string::String;
use alloc::vec::Vec;

use nom::branch::alt;
use nom::bytes::complete::{is_not, tag, take_while};
use nom::combinator::{all_consuming, opt, value};
use nom::multi::{fold_many1, separated_list1};
use nom::sequence::{preceded, separated_pair, terminated};
use nom::{Finish as _, IResult, Parser as _};

use super::certificate::{Attribute, Certificate};

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
    /// Reads a subject. The empty text has no entries.
    ///
    /// # Errors
    /// [`SubjectError::Grammar`].
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        let entries = opt(terminated(separated_list1(tag(","), entry), opt(tag(","))));
        match all_consuming(entries).parse(text).finish() {
            Ok((_, entries)) => Ok(Self(entries.unwrap_or_default())),
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
            let oid = identifier(key).ok_or(SubjectError::UnknownKey {
                entry: at.saturating_add(1),
            })?;
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
        let same = |((oid, value), set): (&(Vec<u8>, String), &Vec<Attribute<'_>>)| match set.as_slice() {
            [attribute] => {
                attribute.oid == oid.as_slice() && attribute.text().is_some_and(|text| canonical(&text) == *value)
            }
            _ => false,
        };
        self.0.len() == certificate.subject.len() && self.0.iter().zip(&certificate.subject).all(same)
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

fn entry(input: &str) -> IResult<&str, (String, String)> {
    preceded(
        take_while(is_blank),
        separated_pair(text(r"=,\"), tag("="), text(r",\")),
    )
    .parse(input)
}

/// At least one character that is not in `but`, or escaped.
fn text<'a>(but: &'static str) -> impl nom::Parser<&'a str, Output = String, Error = nom::error::Error<&'a str>> {
    let piece = alt((is_not(but), value(",", tag(r"\,")), value(r"\", tag(r"\\"))));
    fold_many1(piece, String::new, |mut text, piece| {
        text.push_str(piece);
        text
    })
}

/// The attributes that OpenSSL knows in names: short name, long name, object identifier as DER has it.
#[rustfmt::skip]
const ATTRIBUTES: &[(&str, &str, &[u8])] = &[
    ("CN", "commonName", &[0x55, 4, 3]),
    ("SN", "surname", &[0x55, 4, 4]),
    ("serialNumber", "serialNumber", &[0x55, 4, 5]),
    ("C", "countryName", &[0x55, 4, 6]),
    ("L", "localityName", &[0x55, 4, 7]),
    ("ST", "stateOrProvinceName", &[0x55, 4, 8]),
    ("street", "streetAddress", &[0x55, 4, 9]),
    ("O", "organizationName", &[0x55, 4, 10]),
    ("OU", "organizationalUnitName", &[0x55, 4, 11]),
    ("title", "title", &[0x55, 4, 12]),
    ("description", "description", &[0x55, 4, 13]),
    ("businessCategory", "businessCategory", &[0x55, 4, 15]),
    ("postalCode", "postalCode", &[0x55, 4, 17]),
    ("name", "name", &[0x55, 4, 41]),
    ("GN", "givenName", &[0x55, 4, 42]),
    ("initials", "initials", &[0x55, 4, 43]),
    ("generationQualifier", "generationQualifier", &[0x55, 4, 44]),
    ("dnQualifier", "dnQualifier", &[0x55, 4, 46]),
    ("pseudonym", "pseudonym", &[0x55, 4, 65]),
    ("UID", "userId", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1]),
    ("DC", "domainComponent", &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25]),
    ("emailAddress", "emailAddress", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1]),
    ("unstructuredName", "unstructuredName", &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2]),
];

/// The object identifier that a key names.
fn identifier(key: &str) -> Option<Vec<u8>> {
    let named = ATTRIBUTES.iter().find(|(short, long, _)| key == *short || key == *long);
    if let Some((_, _, oid)) = named {
        return Some(oid.to_vec());
    }
    let mut arcs = key.split('.').map(|arc| {
        // No sign, no blank: `parse` alone would take a plus.
        arc.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| arc.parse::<u32>().ok())?
    });
    let (first, second) = (arcs.next()??, arcs.next()??);
    if 2 < first || (first < 2 && 39 < second) {
        return None;
    }
    let mut oid = Vec::new();
    put_arc(first.checked_mul(40)?.checked_add(second)?, &mut oid);
    for arc in arcs {
        put_arc(arc?, &mut oid);
    }
    Some(oid)
}

/// Seven bits a byte, the highest first.
fn put_arc(arc: u32, oid: &mut Vec<u8>) {
    for shift in [28, 21, 14, 7] {
        if arc >> shift != 0 {
            // INVARIANT: masked to seven bits.
            oid.push(u8::try_from((arc >> shift) & 0x7f).unwrap_or(0) | 0x80);
        }
    }
    oid.push(u8::try_from(arc & 0x7f).unwrap_or(0));
}
