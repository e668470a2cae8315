//! The attributes that OpenSSL takes in a name (`X509_NAME_add_entry_by_txt`).
//!
//! This file and its table stand in spice-proto and in vv-file, and are the same.

use alloc::borrow::Cow;
use alloc::string::String;
use core::cmp::Ordering;

/// OpenSSL 3.0's table of objects (`objects.txt`): an object identifier and a short or long name a line, in the order of
/// the names. Names without an identifier are left out: no certificate can hold them.
const NAMES: &str = include_str!("attributes.txt");

/// The characters that a value may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Characters {
    Any,
    /// `PrintableString` of X.680.
    Printable,
    /// ASCII (`IA5String`).
    Ascii,
    /// Digits and spaces (`NumericString`).
    Digits,
    /// Those of 16 bits (`BMPString`).
    Basic,
}

/// An attribute whose values OpenSSL bounds.
struct Bounded {
    names: [&'static str; 2],
    identifier: &'static str,
    /// Least and most characters.
    length: (usize, usize),
    characters: Characters,
}

/// No bound on the number of characters; a value is never empty.
const ANY: (usize, usize) = (1, usize::MAX);

/// OpenSSL's table of string types (`ASN1_STRING_TABLE`).
#[rustfmt::skip]
const BOUNDED: &[Bounded] = &[
    bounded(["CN", "commonName"], "2.5.4.3", (1, 64), Characters::Any),
    bounded(["O", "organizationName"], "2.5.4.10", (1, 64), Characters::Any),
    bounded(["OU", "organizationalUnitName"], "2.5.4.11", (1, 64), Characters::Any),
    bounded(["C", "countryName"], "2.5.4.6", (2, 2), Characters::Printable),
    bounded(["L", "localityName"], "2.5.4.7", (1, 128), Characters::Any),
    bounded(["ST", "stateOrProvinceName"], "2.5.4.8", (1, 128), Characters::Any),
    bounded(["DC", "domainComponent"], "0.9.2342.19200300.100.1.25", ANY, Characters::Ascii),
    bounded(["emailAddress", "emailAddress"], "1.2.840.113549.1.9.1", (1, 128), Characters::Ascii),
    bounded(["serialNumber", "serialNumber"], "2.5.4.5", (1, 64), Characters::Printable),
    bounded(["SN", "surname"], "2.5.4.4", (1, 32768), Characters::Any),
    bounded(["GN", "givenName"], "2.5.4.42", (1, 32768), Characters::Any),
    bounded(["initials", "initials"], "2.5.4.43", (1, 32768), Characters::Any),
    bounded(["name", "name"], "2.5.4.41", (1, 32768), Characters::Any),
    bounded(["dnQualifier", "dnQualifier"], "2.5.4.46", ANY, Characters::Printable),
    bounded(["c3", "countryCode3c"], "2.5.4.98", (3, 3), Characters::Printable),
    bounded(["n3", "countryCode3n"], "2.5.4.99", (3, 3), Characters::Digits),
    bounded(["mail", "rfc822Mailbox"], "0.9.2342.19200300.100.1.3", (1, 256), Characters::Ascii),
    bounded(["jurisdictionC", "jurisdictionCountryName"], "1.3.6.1.4.1.311.60.2.1.3", (2, 2), Characters::Printable),
    bounded(["INN", "INN"], "1.2.643.3.131.1.1", (1, 12), Characters::Digits),
    bounded(["OGRN", "OGRN"], "1.2.643.100.1", (1, 13), Characters::Digits),
    bounded(["SNILS", "SNILS"], "1.2.643.100.3", (1, 11), Characters::Digits),
    bounded(["friendlyName", "friendlyName"], "1.2.840.113549.1.9.20", ANY, Characters::Basic),
    bounded(["CSPName", "Microsoft CSP Name"], "1.3.6.1.4.1.311.17.1", ANY, Characters::Basic),
    bounded(["id-on-SmtpUTF8Mailbox", "Smtp UTF8 Mailbox"], "1.3.6.1.5.5.7.8.9", (1, 128), Characters::Any),
];

const fn bounded(
    names: [&'static str; 2],
    identifier: &'static str,
    length: (usize, usize),
    characters: Characters,
) -> Bounded {
    Bounded {
        names,
        identifier,
        length,
        characters,
    }
}

/// What OpenSSL takes as the value of an attribute.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    length: (usize, usize),
    characters: Characters,
}

impl Attribute {
    const UNBOUNDED: Self = Self {
        length: ANY,
        characters: Characters::Any,
    };

    fn of(bounded: &Bounded) -> Self {
        Self {
            length: bounded.length,
            characters: bounded.characters,
        }
    }

    pub(super) fn takes(self, value: &str) -> bool {
        let (least, most) = self.length;
        (least..=most).contains(&value.chars().count()) && value.chars().all(|character| self.characters.has(character))
    }
}

impl Characters {
    fn has(self, character: char) -> bool {
        match self {
            Self::Any => true,
            Self::Printable => character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character),
            Self::Ascii => character.is_ascii(),
            Self::Digits => character.is_ascii_digit() || character == ' ',
            Self::Basic => character <= '\u{ffff}',
        }
    }
}

/// The object identifier that a key stands for, in numbers with dots, and what its values may be. A key is a name of
/// OpenSSL's, in its case, or an identifier in numbers.
pub(super) fn find(key: &str) -> Option<(Cow<'static, str>, Attribute)> {
    if let Some(bounded) = BOUNDED.iter().find(|bounded| bounded.names.contains(&key)) {
        return Some((bounded.identifier.into(), Attribute::of(bounded)));
    }
    if let Some(identifier) = listed(key) {
        return Some((identifier.into(), Attribute::UNBOUNDED));
    }
    let identifier = identifier(key)?;
    let bounded = BOUNDED.iter().find(|bounded| bounded.identifier == identifier);
    let attribute = bounded.map_or(Attribute::UNBOUNDED, Attribute::of);
    Some((identifier.into(), attribute))
}

/// The identifier of a name in the table, by halves of its text.
fn listed(name: &str) -> Option<&'static str> {
    let mut left = NAMES;
    while !left.is_empty() {
        let half = left.get(..left.len() / 2)?;
        let (before, rest) = left.split_at_checked(half.rfind('\n').map_or(0, |end| end.saturating_add(1)))?;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let (found, identifier) = name_and_identifier(line)?;
        left = match found.cmp(name) {
            Ordering::Equal => return Some(identifier),
            Ordering::Less => after,
            Ordering::Greater => before,
        };
    }
    None
}

fn name_and_identifier(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (identifier, name) = line.split_once(' ')?;
    Some((name, identifier))
}

/// An object identifier in numbers, brought into its usual form, as OpenSSL reads it (`a2d_ASN1_OBJECT`).
///
/// ```text
/// identifier = ( "0" / "1" / "2" ) separator *DIGIT *( separator *DIGIT )
/// separator  = "." / " "
/// ```
/// An empty number in between is 0, and one at the end is none. The second is below 40 behind a 0 or 1.
fn identifier(key: &str) -> Option<String> {
    let separators = ['.', ' '];
    let (first, rest) = key.split_once(separators)?;
    if !matches!(first, "0" | "1" | "2") || rest.is_empty() {
        return None;
    }
    let rest = rest.strip_suffix(separators).unwrap_or(rest);
    let mut identifier = String::from(first);
    for (index, digits) in rest.split(separators).enumerate() {
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let number = digits.trim_start_matches('0');
        let is_small = number.len() < 2 || (number.len() == 2 && number < "40");
        if index == 0 && first != "2" && !is_small {
            return None;
        }
        identifier.push('.');
        identifier.push_str(if number.is_empty() { "0" } else { number });
    }
    Some(identifier)
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn names_are_in_order_and_none_stands_twice() {
        let names: Vec<_> = NAMES.lines().map(|line| name_and_identifier(line).unwrap()).collect();
        assert!(NAMES.is_ascii() && names.is_sorted_by(|a, b| a.0 < b.0));
        for (name, number) in &names {
            assert_eq!(listed(name), Some(*number));
            assert_eq!(listed(&format!("{name} ")), None);
            assert_eq!(
                listed(name.get(1..).unwrap()).is_some(),
                names.iter().any(|other| Some(other.0) == name.get(1..))
            );
            assert_eq!(identifier(number).as_deref(), Some(*number), "{name}");
        }
        // The bounded are names of the table, too.
        for bounded in BOUNDED {
            let has = |name: &&'static str| names.contains(&(*name, bounded.identifier));
            assert!(bounded.names.iter().all(has), "{}", bounded.identifier);
        }
    }

    #[test]
    fn identifiers_are_brought_into_one_form() {
        for (key, expected) in [
            ("2.5.4.3", "2.5.4.3"),
            ("2 5 4 3", "2.5.4.3"),
            ("2.05.4.3.", "2.5.4.3"),
            ("2..5", "2.0.5"),
            ("2..", "2.0"),
            ("2.5..", "2.5.0"),
            ("0.039", "0.39"),
            ("1.39", "1.39"),
            ("2.99999999999999999999999", "2.99999999999999999999999"),
        ] {
            assert_eq!(identifier(key).as_deref(), Some(expected), "{key}");
        }
        for key in [
            "", "2", "2.", "3.1", "1.40", "02.5", " 2.5", "2.5.x", "2.+5", "2.5\t4", "OID.2.5", ".5",
        ] {
            assert_eq!(identifier(key), None, "{key}");
        }
    }
}
