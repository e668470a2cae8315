#![cfg_attr(fuzzing, no_main)]
//! What a hypervisor's certificate is, and what it is held against.
//!
//! ```text
//! | what u8 | ... |                      what modulo 5:
//! 0 subject:     | text |
//! 1 authorities: | is a host u8 | PEM |
//! 2 certificate: | pinned, host u8 | changes: length u8, each | place u16 | byte u8 | | certificate, PEM |
//! 3 signature:   | scheme and signature, as on the wire: length u8 | message: length u8 | certificate, PEM |
//! 4 itself:      | host: length u8 | authorities and the certificate last, PEM |
//! ```
//!
//! Not searched in CI: see LAWS.md.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use fuzz::Input;
use rustls::DigitallySignedStruct;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::internal::msgs::codec::{Codec as _, Reader};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use spice_proto::tls::{Expected, HostSubject, Verifier, in_words, server_name};

fuzz::target!(check);

const AUTHORITY: &[u8] = include_bytes!("../../../spice-proto/tests/data/certificates/ca3.pem");
const SUBJECT: &str = "O=Test Bed,CN=host.example";

/// Of the same authority, which has revoked the second.
const LEAVES: [&[u8]; 2] = [
    include_bytes!("../../../spice-proto/tests/data/certificates/v1.pem"),
    include_bytes!("../../../spice-proto/tests/data/certificates/revoked.pem"),
];

/// Between the first and the last day of the certificates of the tests: the year 2030.
fn now() -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(1_900_000_000))
}

fn verifiers() -> &'static [Arc<Verifier>; 2] {
    static VERIFIERS: OnceLock<[Arc<Verifier>; 2]> = OnceLock::new();
    VERIFIERS.get_or_init(|| {
        let subject = HostSubject::parse(SUBJECT).expect("a subject");
        [Expected::Subject(subject), Expected::Host("host.example".to_owned())]
            .map(|expected| Arc::new(Verifier::new(AUTHORITY, expected).expect("an authority")))
    })
}

/// What can be read is written in a form that reads as the same.
fn subject(text: &str) {
    let name = server_name(text);
    if let Ok(name) = &name {
        assert!(!name.to_str().is_empty());
    }
    let host = Verifier::new(AUTHORITY, Expected::Host(text.to_owned()));
    assert_eq!(host.is_ok(), name.is_ok());
    let Ok(subject) = HostSubject::parse(text) else { return };
    let escaped = |text: &str| {
        let mut out = String::new();
        for character in text.chars() {
            if matches!(character, '\\' | ',') {
                out.push('\\');
            }
            out.push(character);
        }
        out
    };
    // Blanks around a value are not part of it, and there is no other way to write them.
    let plain = |text: &String| text.trim() == text && !text.contains('=');
    if subject
        .entries()
        .iter()
        .all(|(key, value)| plain(key) && plain(value) && !key.is_empty())
    {
        let written: Vec<String> = subject
            .entries()
            .iter()
            .map(|(key, value)| format!("{}={}", escaped(key), escaped(value)))
            .collect();
        let again = HostSubject::parse(&written.join(",")).expect("it was one");
        assert_eq!(again.entries(), subject.entries());
    }
    let _ = Verifier::new(AUTHORITY, Expected::Subject(subject)).is_ok();
}

/// A refusal has a reason.
fn explained(refusal: Option<rustls::Error>) {
    if let Some(error) = refusal {
        assert!(!error.to_string().is_empty() && in_words(&error).is_none_or(|words| !words.is_empty()));
    }
}

fn authorities(mut input: Input<'_>) {
    let expected = match input.byte() & 1 {
        0 => Expected::Subject(HostSubject::parse(SUBJECT).expect("a subject")),
        _ => Expected::Host("192.0.2.1".to_owned()),
    };
    let pem = input.rest();
    if let Ok(verifier) = Verifier::new(pem, expected) {
        assert!(CertificateDer::pem_slice_iter(pem).any(|certificate| certificate.is_ok()));
        assert!(!verifier.supported_verify_schemes().is_empty());
        let certificate = CertificateDer::from(b"no certificate".to_vec());
        let name = ServerName::try_from("host.example").expect("a name");
        assert!(
            verifier
                .verify_server_cert(&certificate, &[], &name, &[], now())
                .is_err()
        );
        let leaves = LEAVES.map(|pem| CertificateDer::from_pem_slice(pem).expect("a certificate"));
        for judged in leaves.map(|leaf| verifier.verify_server_cert(&leaf, &[], &name, &[], now())) {
            explained(judged.err());
        }
        let _ = verifier.client_config().expect("a configuration");
    }
}

/// A certificate of which a byte was changed is not the authority's, unless its key is the pinned one.
fn certificate(mut input: Input<'_>) {
    let (how, changes) = (input.byte(), input.short_blob());
    let Ok(whole) = CertificateDer::from_pem_slice(input.rest()) else {
        return;
    };
    let mut changed = whole.to_vec();
    for change in changes.chunks_exact(3) {
        let len = changed.len();
        if let Some(byte) = changed.get_mut(usize::from(u16::from_le_bytes([change[0], change[1]])) % len.max(1)) {
            *byte ^= change[2];
        }
    }
    let same = changed == whole.as_ref();
    let certificate = CertificateDer::from(changed);
    let name = ServerName::try_from("host.example").expect("a name");
    let verifier = &verifiers()[usize::from(how & 1)];
    let taken = verifier
        .verify_server_cert(&certificate, &[], &name, &[], now())
        .is_ok();
    if taken && !same {
        // The identifier of the signature's algorithm stands twice, and its copy is not signed.
        assert!(
            verifier.verify_server_cert(&whole, &[], &name, &[], now()).is_ok(),
            "a changed certificate is taken, and the one that was signed is not"
        );
    }
    // A pin that is no public key, or has a byte more, fits no certificate.
    let subject = HostSubject::parse(SUBJECT).expect("a subject");
    let pinned = Verifier::new(AUTHORITY, Expected::Subject(subject))
        .expect("an authority")
        .with_public_key(input.rest());
    if how & 1 == 0 {
        let with_pin = pinned.verify_server_cert(&certificate, &[], &name, &[], now()).is_ok();
        assert_eq!(with_pin, taken);
    }
}

/// Whatever the authorities are, a certificate is taken for a host that stands in it only.
fn itself(mut input: Input<'_>) {
    let host = String::from_utf8_lossy(input.short_blob()).into_owned();
    let pem = input.rest();
    let Ok(verifier) = Verifier::new(pem, Expected::Host(host.clone())) else {
        return;
    };
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    let Some(certificate) = certificates.last() else { return };
    let name = ServerName::try_from("host.example").expect("a name");
    let judged = verifier.verify_server_cert(&certificate, &[], &name, &[], now());
    if judged.is_err() {
        return explained(judged.err());
    }
    let has = |part: &[u8]| {
        let alike = |window: &[u8]| window.eq_ignore_ascii_case(part);
        !part.is_empty() && certificate.windows(part.len()).any(alike)
    };
    let is_named = match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => has(&address.octets()) || has(host.as_bytes()),
        Ok(IpAddr::V6(address)) => has(&address.octets()) || has(host.as_bytes()),
        Err(_) => {
            let host = host.trim_end_matches('.');
            // BMPString.
            let wide: Vec<u8> = host.encode_utf16().flat_map(u16::to_be_bytes).collect();
            has(host.as_bytes()) || has(&wide) || has(b"*")
        }
    };
    assert!(is_named, "{host}");
}

fn signature(mut input: Input<'_>) {
    let (signed, message) = (input.short_blob(), input.short_blob());
    let Ok(certificate) = CertificateDer::from_pem_slice(input.rest()) else {
        return;
    };
    let Ok(signed) = DigitallySignedStruct::read(&mut Reader::init(signed)) else {
        return;
    };
    for verifier in verifiers() {
        let old = verifier.verify_tls12_signature(message, &certificate, &signed);
        let new = verifier.verify_tls13_signature(message, &certificate, &signed);
        // The input has no keys of these certificates.
        assert!(old.is_err() && new.is_err());
    }
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 5 {
        0 => subject(&String::from_utf8_lossy(input.rest())),
        1 => authorities(input),
        2 => certificate(input),
        3 => signature(input),
        _ => itself(input),
    }
}
