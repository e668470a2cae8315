//! What a name check needs of a certificate (RFC 5280): its subject and its subject alternative names.
//!
//! Read only after the chain was judged, or the key was the pinned one.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use nom::bytes::complete::{tag, take};
use nom::combinator::{all_consuming, opt, verify};
use nom::multi::many0;
use nom::number::complete::u8;
use nom::sequence::preceded;
use nom::{Finish as _, IResult, Parser as _};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
/// subjectAltName.
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];
/// commonName.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

/// One attribute of a name.
#[derive(Debug)]
pub(super) struct Attribute<'a> {
    pub(super) oid: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

impl Attribute<'_> {
    /// Its value, if it is one of the string types that OpenSSL compares as text.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        let wide = |size: usize| -> Option<String> {
            let characters = self.value.chunks(size).map(|bytes| {
                let whole = bytes.len() == size;
                let number = bytes.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
                char::from_u32(number).filter(|_| whole)
            });
            characters.collect()
        };
        match self.kind {
            // UTF8String, PrintableString, IA5String, VisibleString.
            0x0c | 0x13 | 0x16 | 0x1a => core::str::from_utf8(self.value).ok().map(Cow::Borrowed),
            // T61String, which everyone writes as Latin-1.
            0x14 => Some(self.value.iter().map(|byte| char::from(*byte)).collect()),
            // BMPString, UniversalString.
            0x1e => wide(2).map(Cow::Owned),
            0x1c => wide(4).map(Cow::Owned),
            _ => None,
        }
    }
}

/// The names in a certificate.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Sets of attributes, mostly of one each.
    pub(super) subject: Vec<Vec<Attribute<'a>>>,
    /// Alternative names: DNS names and addresses.
    dns: Vec<&'a [u8]>,
    addresses: Vec<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let (_, body) = all_consuming(element(SEQUENCE)).parse(der).finish().ok()?;
        let (_, tbs) = element(SEQUENCE).parse(body).finish().ok()?;
        // version, serialNumber, signature, issuer, validity; subject; key, unique ids; extensions.
        let mut before = (
            opt(element(0xa0)),
            element(0x02),
            element(SEQUENCE),
            element(SEQUENCE),
            element(SEQUENCE),
        );
        let (rest, _) = before.parse(tbs).finish().ok()?;
        let (rest, subject) = element(SEQUENCE).parse(rest).finish().ok()?;
        let mut behind = (element(SEQUENCE), opt(element(0x81)), opt(element(0x82)));
        let (rest, _) = behind.parse(rest).finish().ok()?;
        let (_, extensions) = all_consuming(opt(element(0xa3))).parse(rest).finish().ok()?;
        let (_, subject) = all_consuming(many0(relative_name)).parse(subject).finish().ok()?;
        let mut certificate = Self {
            subject,
            dns: Vec::new(),
            addresses: Vec::new(),
        };
        if let Some(extensions) = extensions {
            let (_, list) = all_consuming(element(SEQUENCE)).parse(extensions).finish().ok()?;
            let (_, list) = all_consuming(many0(extension)).parse(list).finish().ok()?;
            for (_, value) in list.into_iter().filter(|(oid, _)| *oid == ALTERNATIVE_NAMES) {
                let (_, names) = all_consuming(element(SEQUENCE)).parse(value).finish().ok()?;
                let (_, names) = all_consuming(many0(any)).parse(names).finish().ok()?;
                for (kind, name) in names {
                    match kind {
                        0x82 => certificate.dns.push(name),
                        0x87 => certificate.addresses.push(name),
                        _ => {}
                    }
                }
            }
        }
        Some(certificate)
    }

    /// Whether the certificate is for this host: by its alternative names, if it has any that are DNS names or
    /// addresses, else by its common names.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        if self.dns.is_empty() && self.addresses.is_empty() {
            let common = self
                .subject
                .iter()
                .flatten()
                .filter(|attribute| attribute.oid == COMMON_NAME);
            return common.filter_map(Attribute::text).any(|name| match address {
                // An address is no pattern.
                Some(address) => name.parse() == Ok(address),
                None => name_fits(&name, host),
            });
        }
        match address {
            Some(IpAddr::V4(address)) => self.addresses.contains(&address.octets().as_slice()),
            Some(IpAddr::V6(address)) => self.addresses.contains(&address.octets().as_slice()),
            None => {
                let names = self.dns.iter().filter_map(|name| core::str::from_utf8(name).ok());
                names.into_iter().any(|name| name_fits(name, host))
            }
        }
    }
}

/// Whether a host name fits a pattern: label by label, small and capital letters alike; `*` stands for any
/// characters of one label. A pattern with a NUL fits nothing.
fn name_fits(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if pattern.contains('\0') || host.is_empty() {
        return false;
    }
    let mut names = host.split('.');
    let all = pattern.split('.').all(|label| {
        names
            .next()
            .is_some_and(|name| label_fits(label.as_bytes(), name.as_bytes()))
    });
    all && names.next().is_none()
}

/// Tries the last `*` again with one character more whenever what follows it does not fit: no more than
/// (length of the label) x (length of the pattern) steps.
fn label_fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut from) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                at = at.saturating_add(1);
                star = Some((at, from));
            }
            Some(expected) if expected.eq_ignore_ascii_case(character) => {
                (at, from) = (at.saturating_add(1), from.saturating_add(1));
            }
            _ => match &mut star {
                Some((behind, taken)) => {
                    *taken = taken.saturating_add(1);
                    (at, from) = (*behind, *taken);
                }
                None => return false,
            },
        }
    }
    let left = pattern.get(at..).unwrap_or_default();
    !name.is_empty() && left.iter().all(|byte| *byte == b'*')
}

/// Any element: its tag and its content. Lengths of up to four bytes, as DER has them.
fn any(input: &[u8]) -> IResult<&[u8], (u8, &[u8])> {
    // Tags above 30 take several bytes; no certificate has them here.
    let (input, kind) = verify(u8, |kind| kind & 0x1f != 0x1f).parse(input)?;
    let (input, first) = u8(input)?;
    let (input, length) = match first {
        0..=0x7f => (input, u32::from(first)),
        0x81..=0x84 => {
            let (input, bytes) = take(first & 0x7f).parse(input)?;
            (
                input,
                bytes.iter().fold(0, |length, byte| length << 8 | u32::from(*byte)),
            )
        }
        _ => {
            return Err(nom::Err::Error(nom::error::make_error(
                input,
                nom::error::ErrorKind::LengthValue,
            )));
        }
    };
    let (input, content) = take(length).parse(input)?;
    Ok((input, (kind, content)))
}

/// An element with this tag: its content.
fn element<'a>(kind: u8) -> impl nom::Parser<&'a [u8], Output = &'a [u8], Error = nom::error::Error<&'a [u8]>> {
    verify(any, move |(found, _): &(u8, &[u8])| *found == kind).map(|(_, content)| content)
}

/// A set of attributes.
fn relative_name(input: &[u8]) -> IResult<&[u8], Vec<Attribute<'_>>> {
    let (input, set) = element(SET).parse(input)?;
    let (_, attributes) = all_consuming(many0(attribute)).parse(set)?;
    Ok((input, attributes))
}

fn attribute(input: &[u8]) -> IResult<&[u8], Attribute<'_>> {
    let (input, body) = element(SEQUENCE).parse(input)?;
    let (_, (oid, (kind, value))) = all_consuming((element(OID), any)).parse(body)?;
    Ok((input, Attribute { oid, kind, value }))
}

/// An extension: its identifier and its value.
fn extension(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let (input, body) = element(SEQUENCE).parse(input)?;
    let critical = opt(preceded(tag(&[BOOLEAN][..]), (u8, u8)));
    let (_, (oid, _, value)) = all_consuming((element(OID), critical, element(OCTETS))).parse(body)?;
    Ok((input, (oid, value)))
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests run on values that they made"
)]
mod tests {
    use super::{Certificate, name_fits};

    #[test]
    fn names_fit_patterns() {
        let fit = [
            ("host.example", "host.example"),
            ("HOST.example", "host.EXAMPLE"),
            ("host.example", "host.example."),
            ("*.example", "host.example"),
            ("h*t.example", "host.example"),
            ("*o*t*.example", "host.example"),
            ("a*b*ab.example", "abaab.example"),
            ("*", "host"),
        ];
        for (pattern, host) in fit {
            assert!(name_fits(pattern, host), "{pattern} {host}");
        }
        let other = [
            ("*.example", "a.host.example"),
            ("*.example", ".example"),
            ("*.example", "example"),
            ("host.example\0.evil", "host.example"),
            ("host.example", "host.example\0.evil"),
            ("host.*", "host"),
            ("h*x.example", "host.example"),
            ("", ""),
            ("*", ""),
        ];
        for (pattern, host) in other {
            assert!(!name_fits(pattern, host), "{pattern} {host}");
        }
        // What takes a careless matcher for ever.
        let (pattern, host) = ("*a".repeat(200) + "b", "a".repeat(2000));
        assert!(!name_fits(&pattern, &host));
    }

    /// A certificate that is cut or changed anywhere is read otherwise or not at all.
    #[test]
    fn no_certificate_is_a_surprise() {
        let key = rcgen::KeyPair::generate().unwrap();
        let names = ["host.example".into(), "127.0.0.1".into()];
        let made = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let der: &[u8] = made.der();
        let read = Certificate::read(der).unwrap();
        assert!(read.is_for("host.example") && read.is_for("127.0.0.1") && !read.is_for("::1"));
        for at in 0..der.len() {
            assert!(Certificate::read(&der[..at]).is_none());
            for bit in 0..8 {
                let mut changed = der.to_vec();
                changed[at] ^= 1 << bit;
                if let Some(read) = Certificate::read(&changed) {
                    let _ = read.is_for("host.example");
                    let _: usize = read.subject.iter().flatten().filter_map(super::Attribute::text).count();
                }
            }
        }
    }
}
