//! What a check needs of a certificate (RFC 5280): its subject, its subject alternative names, its key.
//!
//! Read only after the chain was judged, or the key was the pinned one; or else judged in [`direct`](super::direct).

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::certificate::{CertificateInner, Raw, TbsCertificateInner, Version};
use x509_cert::der::asn1::{Any, BitStringRef, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber, Tagged as _};
use x509_cert::ext::Extension;

/// subjectAltName.
const ALTERNATIVE_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// commonName.
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Which of the alternative names (`GeneralName`) are looked at.
const DNS_NAME: TagNumber = TagNumber::N2;
const IP_ADDRESS: TagNumber = TagNumber::N7;

/// The value of an attribute, if it is one of the string types that OpenSSL compares as text.
pub(super) fn text(attribute: &AttributeTypeAndValue) -> Option<Cow<'_, str>> {
    let bytes = attribute.value.value();
    match attribute.value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::VisibleString => {
            core::str::from_utf8(bytes).ok().map(Cow::Borrowed)
        }
        // T61String, which everyone writes as Latin-1.
        Tag::TeletexString => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let characters = bytes.chunks(2).map(|unit| {
                let unit = <[u8; 2]>::try_from(unit).ok()?;
                char::from_u32(u16::from_be_bytes(unit).into())
            });
            characters.collect::<Option<String>>().map(Cow::Owned)
        }
        _ => None,
    }
}

/// A certificate.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    pub(super) der: &'a [u8],
    inner: CertificateInner<Raw>,
    /// Alternative names: DNS names and addresses.
    dns: Vec<Any>,
    addresses: Vec<Any>,
}

impl<'a> Certificate<'a> {
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let inner = CertificateInner::<Raw>::from_der(der).ok()?;
        let (mut dns, mut addresses) = (Vec::new(), Vec::new());
        let extensions = inner.tbs_certificate.extensions.iter().flatten();
        for extension in extensions.filter(|extension| extension.extn_id == ALTERNATIVE_NAMES) {
            for name in Vec::<Any>::from_der(extension.extn_value.as_bytes()).ok()? {
                match name.tag() {
                    Tag::ContextSpecific {
                        constructed: false,
                        number: DNS_NAME,
                    } => dns.push(name),
                    Tag::ContextSpecific {
                        constructed: false,
                        number: IP_ADDRESS,
                    } => addresses.push(name),
                    _ => {}
                }
            }
        }
        Some(Self {
            der,
            inner,
            dns,
            addresses,
        })
    }

    /// What is signed, as it was read.
    pub(super) fn contents(&self) -> &TbsCertificateInner<Raw> {
        &self.inner.tbs_certificate
    }

    /// Whether it is of version 3, the only one that webpki judges.
    pub(super) fn is_modern(&self) -> bool {
        self.contents().version == Version::V3
    }

    /// An extension.
    pub(super) fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        let mut extensions = self.contents().extensions.iter().flatten();
        extensions.find(|extension| extension.extn_id == oid)
    }

    /// Its public key, as DER (`SubjectPublicKeyInfo`).
    pub(super) fn public_key(&self) -> Option<Vec<u8>> {
        self.contents().subject_public_key_info.to_der().ok()
    }

    /// The subject: sets of attributes, mostly of one each.
    pub(super) fn subject(&self) -> impl ExactSizeIterator<Item = &[AttributeTypeAndValue]> {
        self.contents().subject.0.iter().map(|set| set.0.as_slice())
    }

    /// What is signed, as bytes; what it is signed with, as the contents of the `AlgorithmIdentifier`; the signature.
    pub(super) fn signed(&self) -> Option<(&'a [u8], &'a [u8], &'a [u8])> {
        let mut reader = SliceReader::new(self.der).ok()?;
        let parts = reader.sequence(|reader| {
            let contents = reader.tlv_bytes()?;
            let algorithm = reader.tlv_bytes()?;
            let signature = BitStringRef::decode(reader)?;
            Ok((contents, algorithm, signature.raw_bytes()))
        });
        let (contents, algorithm, signature) = parts.ok()?;
        Some((contents, value(algorithm)?, signature))
    }

    /// Whether the certificate is for this host: by its alternative names, if it has any that are DNS names or
    /// addresses, else by its common names.
    pub(super) fn is_for(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        if self.dns.is_empty() && self.addresses.is_empty() {
            let common = self
                .subject()
                .flatten()
                .filter(|attribute| attribute.oid == COMMON_NAME);
            return common.filter_map(text).any(|name| match address {
                // An address is no pattern.
                Some(address) => name.parse() == Ok(address),
                None => name_fits(&name, host),
            });
        }
        let has = |octets: &[u8]| self.addresses.iter().any(|address| address.value() == octets);
        match address {
            Some(IpAddr::V4(address)) => has(&address.octets()),
            Some(IpAddr::V6(address)) => has(&address.octets()),
            None => {
                let names = self
                    .dns
                    .iter()
                    .filter_map(|name| core::str::from_utf8(name.value()).ok());
                names.into_iter().any(|name| name_fits(name, host))
            }
        }
    }
}

/// The contents of one element.
pub(super) fn value(element: &[u8]) -> Option<&[u8]> {
    let element = x509_cert::der::asn1::AnyRef::from_der(element).ok()?;
    Some(element.value())
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
                    let _: usize = read.subject().flatten().filter_map(super::text).count();
                }
            }
        }
    }
}
