//! The attributes of names that OpenSSL knows, and what it takes as their values.

use alloc::vec::Vec;

/// Last number, short name, long name.
type Attribute = (u8, &'static str, &'static str);

/// The arc of X.500 attributes.
const X500: &[u8] = &[0x55, 4];

/// Attributes by their arc, DER without tag and length.
const ARCS: &[(&[u8], &[Attribute])] = &[
    (
        X500,
        &[
            (3, "CN", "commonName"),
            (4, "SN", "surname"),
            (5, "serialNumber", "serialNumber"),
            (6, "C", "countryName"),
            (7, "L", "localityName"),
            (8, "ST", "stateOrProvinceName"),
            (9, "street", "streetAddress"),
            (10, "O", "organizationName"),
            (11, "OU", "organizationalUnitName"),
            (12, "title", "title"),
            (13, "description", "description"),
            (14, "searchGuide", "searchGuide"),
            (15, "businessCategory", "businessCategory"),
            (16, "postalAddress", "postalAddress"),
            (17, "postalCode", "postalCode"),
            (18, "postOfficeBox", "postOfficeBox"),
            (19, "physicalDeliveryOfficeName", "physicalDeliveryOfficeName"),
            (20, "telephoneNumber", "telephoneNumber"),
            (21, "telexNumber", "telexNumber"),
            (22, "teletexTerminalIdentifier", "teletexTerminalIdentifier"),
            (23, "facsimileTelephoneNumber", "facsimileTelephoneNumber"),
            (24, "x121Address", "x121Address"),
            (25, "internationaliSDNNumber", "internationaliSDNNumber"),
            (26, "registeredAddress", "registeredAddress"),
            (27, "destinationIndicator", "destinationIndicator"),
            (28, "preferredDeliveryMethod", "preferredDeliveryMethod"),
            (29, "presentationAddress", "presentationAddress"),
            (30, "supportedApplicationContext", "supportedApplicationContext"),
            (31, "member", "member"),
            (32, "owner", "owner"),
            (33, "roleOccupant", "roleOccupant"),
            (34, "seeAlso", "seeAlso"),
            (35, "userPassword", "userPassword"),
            (36, "userCertificate", "userCertificate"),
            (37, "cACertificate", "cACertificate"),
            (38, "authorityRevocationList", "authorityRevocationList"),
            (39, "certificateRevocationList", "certificateRevocationList"),
            (40, "crossCertificatePair", "crossCertificatePair"),
            (41, "name", "name"),
            (42, "GN", "givenName"),
            (43, "initials", "initials"),
            (44, "generationQualifier", "generationQualifier"),
            (45, "x500UniqueIdentifier", "x500UniqueIdentifier"),
            (46, "dnQualifier", "dnQualifier"),
            (47, "enhancedSearchGuide", "enhancedSearchGuide"),
            (48, "protocolInformation", "protocolInformation"),
            (49, "distinguishedName", "distinguishedName"),
            (50, "uniqueMember", "uniqueMember"),
            (51, "houseIdentifier", "houseIdentifier"),
            (52, "supportedAlgorithms", "supportedAlgorithms"),
            (53, "deltaRevocationList", "deltaRevocationList"),
            (54, "dmdName", "dmdName"),
            (65, "pseudonym", "pseudonym"),
            (72, "role", "role"),
            (97, "organizationIdentifier", "organizationIdentifier"),
            (98, "c3", "countryCode3c"),
            (99, "n3", "countryCode3n"),
            (100, "dnsName", "dnsName"),
        ],
    ),
    (
        PILOT,
        &[
            (1, "UID", "userId"),
            (2, "textEncodedORAddress", "textEncodedORAddress"),
            (3, "mail", "rfc822Mailbox"),
            (4, "info", "info"),
            (5, "favouriteDrink", "favouriteDrink"),
            (6, "roomNumber", "roomNumber"),
            (7, "photo", "photo"),
            (8, "userClass", "userClass"),
            (9, "host", "host"),
            (10, "manager", "manager"),
            (11, "documentIdentifier", "documentIdentifier"),
            (12, "documentTitle", "documentTitle"),
            (13, "documentVersion", "documentVersion"),
            (14, "documentAuthor", "documentAuthor"),
            (15, "documentLocation", "documentLocation"),
            (20, "homeTelephoneNumber", "homeTelephoneNumber"),
            (21, "secretary", "secretary"),
            (22, "otherMailbox", "otherMailbox"),
            (23, "lastModifiedTime", "lastModifiedTime"),
            (24, "lastModifiedBy", "lastModifiedBy"),
            (25, "DC", "domainComponent"),
            (26, "aRecord", "aRecord"),
            (27, "pilotAttributeType27", "pilotAttributeType27"),
            (28, "mXRecord", "mXRecord"),
            (29, "nSRecord", "nSRecord"),
            (30, "sOARecord", "sOARecord"),
            (31, "cNAMERecord", "cNAMERecord"),
            (37, "associatedDomain", "associatedDomain"),
            (38, "associatedName", "associatedName"),
            (39, "homePostalAddress", "homePostalAddress"),
            (40, "personalTitle", "personalTitle"),
            (41, "mobileTelephoneNumber", "mobileTelephoneNumber"),
            (42, "pagerTelephoneNumber", "pagerTelephoneNumber"),
            (43, "friendlyCountryName", "friendlyCountryName"),
            (44, "uid", "uniqueIdentifier"),
            (45, "organizationalStatus", "organizationalStatus"),
            (46, "janetMailbox", "janetMailbox"),
            (47, "mailPreferenceOption", "mailPreferenceOption"),
            (48, "buildingName", "buildingName"),
            (49, "dSAQuality", "dSAQuality"),
            (50, "singleLevelQuality", "singleLevelQuality"),
            (51, "subtreeMinimumQuality", "subtreeMinimumQuality"),
            (52, "subtreeMaximumQuality", "subtreeMaximumQuality"),
            (53, "personalSignature", "personalSignature"),
            (54, "dITRedirect", "dITRedirect"),
            (55, "audio", "audio"),
            (56, "documentPublisher", "documentPublisher"),
        ],
    ),
    (
        PKCS9,
        &[
            (1, "emailAddress", "emailAddress"),
            (2, "unstructuredName", "unstructuredName"),
            (7, "challengePassword", "challengePassword"),
            (8, "unstructuredAddress", "unstructuredAddress"),
            (20, "friendlyName", "friendlyName"),
        ],
    ),
    (
        JURISDICTION,
        &[
            (1, "jurisdictionL", "jurisdictionLocalityName"),
            (2, "jurisdictionST", "jurisdictionStateOrProvinceName"),
            (3, "jurisdictionC", "jurisdictionCountryName"),
        ],
    ),
    (&[0x2a, 0x85, 0x03, 0x03, 0x81, 0x03, 1], &[(1, "INN", "INN")]),
    (
        RUSSIAN,
        &[(1, "OGRN", "OGRN"), (3, "SNILS", "SNILS"), (5, "OGRNIP", "OGRNIP")],
    ),
];

/// 0.9.2342.19200300.100.1.
const PILOT: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1];
/// 1.2.840.113549.1.9.
const PKCS9: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9];
/// 1.3.6.1.4.1.311.60.2.1.
const JURISDICTION: &[u8] = &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 60, 2, 1];
/// 1.2.643.100.
const RUSSIAN: &[u8] = &[0x2a, 0x85, 0x03, 0x64];

/// The object identifier that a key names: a name of OpenSSL's, or numbers.
pub(super) fn identifier(key: &str) -> Option<Vec<u8>> {
    let named = ARCS.iter().find_map(|(arc, attributes)| {
        let known = |(_, short, long): &&Attribute| key == *short || key == *long;
        let (last, ..) = attributes.iter().find(known)?;
        Some([arc, &[*last][..]].concat())
    });
    named.or_else(|| numbers(key))
}

/// An object identifier as OpenSSL reads it: the first number has one digit, blanks separate numbers as dots do, and a
/// number that is left out is 0, but none at the end. Numbers have 32 bits here, and the arc of the attributes itself is
/// none of them: no certificate has such.
fn numbers(key: &str) -> Option<Vec<u8>> {
    let mut parts = key.split(['.', ' ']);
    let first = match parts.next()? {
        "0" => 0_u32,
        "1" => 1,
        "2" => 2,
        _ => return None,
    };
    let mut arcs = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() && parts.peek().is_none() {
            break;
        }
        arcs.push(number(part)?);
    }
    let (second, others) = arcs.split_first()?;
    if first < 2 && 39 < *second {
        return None;
    }
    let mut oid = Vec::new();
    put_arc(first.checked_mul(40)?.checked_add(*second)?, &mut oid);
    for arc in others {
        put_arc(*arc, &mut oid);
    }
    (oid != X500).then_some(oid)
}

/// Digits only: `parse` alone would take a plus.
fn number(digits: &str) -> Option<u32> {
    match digits {
        "" => Some(0),
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok(),
        _ => None,
    }
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

/// What OpenSSL takes as a value: of how many characters, and which.
struct Rule {
    shortest: usize,
    longest: usize,
    takes: fn(char) -> bool,
}

const fn rule(shortest: usize, longest: usize, takes: fn(char) -> bool) -> Rule {
    Rule {
        shortest,
        longest,
        takes,
    }
}

/// Of a `PrintableString`.
fn is_printable(character: char) -> bool {
    character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character)
}

/// Of a `NumericString`.
fn is_numeric(character: char) -> bool {
    character.is_ascii_digit() || character == ' '
}

fn is_ascii(character: char) -> bool {
    character.is_ascii()
}

const fn is_any(_: char) -> bool {
    true
}

/// Whether OpenSSL takes this as the value of the attribute, so that a subject can have it.
pub(super) fn takes(oid: &[u8], value: &str) -> bool {
    let Some((last, arc)) = oid.split_last() else {
        return false;
    };
    let rule = match (arc, *last) {
        (X500, 3 | 10 | 11) => rule(1, 64, is_any),
        (X500, 5) => rule(1, 64, is_printable),
        (X500, 6) => rule(2, 2, is_printable),
        (X500, 7 | 8) => rule(1, 128, is_any),
        (X500, 4 | 41..=43) => rule(1, 32_768, is_any),
        (X500, 46) => rule(1, usize::MAX, is_printable),
        (X500, 98) => rule(3, 3, is_printable),
        (X500, 99) => rule(3, 3, is_numeric),
        (PILOT, 3 | 25) => rule(1, usize::MAX, is_ascii),
        (PKCS9, 1) => rule(1, 128, is_ascii),
        (PKCS9, 20) => rule(1, usize::MAX, |character| u16::try_from(u32::from(character)).is_ok()),
        (RUSSIAN, 1) => rule(1, 13, is_numeric),
        (RUSSIAN, 3) => rule(1, 11, is_numeric),
        (&[0x2a, 0x85, 0x03, 0x03, 0x81, 0x03, 1], 1) => rule(1, 12, is_numeric),
        _ => rule(1, usize::MAX, is_any),
    };
    let len = value.chars().count();
    rule.shortest <= len && len <= rule.longest && value.chars().all(rule.takes)
}
