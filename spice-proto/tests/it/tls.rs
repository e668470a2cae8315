//! Which server a client accepts: real certificates, and handshakes in memory.

use std::io::Write as _;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, DnValue, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, ClientConnection, ServerConfig, ServerConnection};
use spice_proto::tls::{Expected, HostSubject, SubjectError, TlsError, Verifier, server_name};

/// A text, and the entries that it holds; `None`: refused.
type Text = (&'static str, Option<&'static [(&'static str, &'static str)]>);

/// Texts of spice-gtk's own test, and some more.
const UPSTREAM: &[Text] = &[
    ("C=UK,    A=B", Some(&[("C", "UK"), ("A", "B")])),
    ("", Some(&[])),
    ("a=b,", Some(&[("a", "b")])),
    ("a=", None),
    (r"\,=a", Some(&[(",", "a")])),
    (r"a=\,b,c=d", Some(&[("a", ",b"), ("c", "d")])),
    (",", None),
    (r"a\w=x", None),
    ("a", None),
    ("a,b=c", None),
    // Spaces are skipped before a key only, and no other blanks, and a value may have an equals sign.
    (" O= Test  Bed ,  CN=a=b", Some(&[("O", " Test  Bed "), ("CN", "a=b")])),
    ("O=a,\tCN=b", Some(&[("O", "a"), ("\tCN", "b")])),
    ("O=a,  ", Some(&[("O", "a")])),
    ("  ", Some(&[])),
    (r"a\\=\\", Some(&[(r"a\", r"\")])),
    (r"a=b\", None),
    ("a=b,,", None),
    ("=a", None),
];

#[test]
fn subjects_are_read_as_upstream() {
    for (text, expected) in UPSTREAM {
        let entries = HostSubject::parse(text).ok();
        let entries: Option<Vec<(&str, &str)>> = entries
            .as_ref()
            .map(|subject| subject.entries().iter().map(|(k, v)| (&**k, &**v)).collect());
        assert_eq!(entries.as_deref(), *expected, "{text:?}");
    }
    println!("{} host subjects", UPSTREAM.len());
    assert_eq!(HostSubject::parse("CN=a,b"), Err(SubjectError::Grammar { column: 7 }));
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = subject(&[(DnType::CommonName, name.into())]);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        pem,
        issuer: Issuer::new(params, key),
    }
}

fn subject(entries: &[(DnType, DnValue)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in entries {
        name.push(kind.clone(), value.clone());
    }
    name
}

struct Server {
    config: Arc<ServerConfig>,
    /// `SubjectPublicKeyInfo`.
    key: Vec<u8>,
}

fn server(by: &Authority, entries: &[(DnType, DnValue)], names: &[SanType]) -> Server {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name = subject(entries);
    params.subject_alt_names = names.to_vec();
    params.serial_number = Some(SerialNumber::from(7));
    let certificate = params.signed_by(&key, &by.issuer).unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(certificate.der().to_vec())], private)
        .unwrap();
    Server {
        config: Arc::new(config),
        key: rcgen::PublicKeyData::subject_public_key_info(&key),
    }
}

/// A handshake; what the client makes of the server.
fn handshake(server: &Server, verifier: Verifier, host: &str) -> Result<(), rustls::Error> {
    let config = Arc::new(verifier.client_config().unwrap());
    let mut client = ClientConnection::new(config, server_name(host).unwrap()).unwrap();
    let mut server = ServerConnection::new(server.config.clone()).unwrap();
    client.writer().write_all(b"REDQ").unwrap();
    for _ in 0..20 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        if !bytes.is_empty() {
            server.read_tls(&mut bytes.as_slice()).unwrap();
            // An alert of the client's is the server's error, and not what is asked here.
            let _ = server.process_new_packets();
        }
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        if bytes.is_empty() && !client.is_handshaking() {
            return Ok(());
        }
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    panic!("the handshake does not end");
}

fn by_subject(text: &str) -> Expected {
    Expected::Subject(HostSubject::parse(text).unwrap())
}

fn by_host(host: &str) -> Expected {
    Expected::Host(host.into())
}

fn verifier(by: &Authority, expected: Expected) -> Verifier {
    Verifier::new(by.pem.as_bytes(), expected).unwrap()
}

/// What is wrong with a name.
fn not_valid() -> rustls::Error {
    CertificateError::NotValidForName.into()
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[test]
fn a_subject_is_compared_as_openssl_compares() {
    let ca = authority("CA");
    let test_bed = [
        (DnType::OrganizationName, DnValue::from("Test  Bed")),
        (DnType::CommonName, "127.0.0.1".into()),
    ];
    // A name that a subject makes meaningless.
    let server = server(&ca, &test_bed, &[dns("other.example")]);
    let fits = [
        "O=Test Bed,CN=127.0.0.1",
        "O= test   BED  ,  CN=127.0.0.1,",
        "organizationName=Test Bed,commonName=127.0.0.1",
        "2.5.4.10=Test Bed,2.5.4.3=127.0.0.1",
    ];
    for text in fits {
        assert_eq!(
            handshake(&server, verifier(&ca, by_subject(text)), "host.example"),
            Ok(()),
            "{text}"
        );
    }
    let other = [
        "CN=127.0.0.1,O=Test Bed",
        "O=Test Bed",
        "CN=127.0.0.1",
        "O=Test Bed,CN=127.0.0.1,CN=127.0.0.1",
        "O=TestBed,CN=127.0.0.1",
        "O=Test Bed,CN=127.0.0.2",
        "OU=Test Bed,CN=127.0.0.1",
    ];
    for text in other {
        assert_eq!(
            handshake(&server, verifier(&ca, by_subject(text)), "other.example"),
            Err(not_valid()),
            "{text}"
        );
    }
}

#[test]
fn strings_of_all_types_are_text() {
    let ca = authority("CA");
    let organization = |value: DnValue| [(DnType::OrganizationName, value), (DnType::CommonName, "h".into())];
    let values: [(DnValue, &str); 5] = [
        (DnValue::Utf8String("Überall".into()), "Überall"),
        (DnValue::PrintableString("Test Bed".try_into().unwrap()), "test bed"),
        (DnValue::Ia5String("Test Bed".try_into().unwrap()), "Test Bed"),
        (
            DnValue::BmpString(rcgen::string::BmpString::try_from("Überall").unwrap()),
            "Überall",
        ),
        (DnValue::TeletexString("Test Bed".try_into().unwrap()), "Test Bed"),
    ];
    for (value, text) in values {
        let server = server(&ca, &organization(value), &[]);
        let expected = by_subject(&format!("O={text},CN=h"));
        assert_eq!(handshake(&server, verifier(&ca, expected), "h"), Ok(()), "{text}");
        assert_eq!(
            handshake(&server, verifier(&ca, by_subject("O=Else,CN=h")), "h"),
            Err(not_valid())
        );
    }
}

#[test]
fn a_host_is_looked_for_in_alternative_names_first() {
    let ca = authority("CA");
    let common = [(DnType::CommonName, DnValue::from("common.example"))];
    let bare = server(&ca, &common, &[]);
    let names = [
        dns("host.example"),
        dns("*.wild.example"),
        SanType::IpAddress([127, 0, 0, 2].into()),
        SanType::IpAddress("::1".parse().unwrap()),
    ];
    let named = server(&ca, &common, &names);
    let only_mail = server(&ca, &common, &[SanType::Rfc822Name("a@b".try_into().unwrap())]);
    let address = [(DnType::CommonName, DnValue::from("127.0.0.1"))];
    let address = server(&ca, &address, &[]);
    let ok = Ok(());
    let no = Err(not_valid());
    let cases = [
        (&bare, "common.example", ok.clone()),
        (&bare, "COMMON.example", ok.clone()),
        (&bare, "host.example", no.clone()),
        (&named, "host.example", ok.clone()),
        (&named, "a.wild.example", ok.clone()),
        (&named, "a.b.wild.example", no.clone()),
        (&named, "common.example", no.clone()),
        (&named, "127.0.0.2", ok.clone()),
        (&named, "::1", ok.clone()),
        (&named, "127.0.0.3", no.clone()),
        (&only_mail, "common.example", ok.clone()),
        (&address, "127.0.0.1", ok),
        (&address, "127.0.0.2", no),
    ];
    for (server, host, expected) in cases {
        assert_eq!(
            handshake(server, verifier(&ca, by_host(host)), host),
            expected,
            "{host}"
        );
    }
}

#[test]
fn only_the_given_authorities_count() {
    let (ca, other) = (authority("CA"), authority("CA"));
    let names = [(DnType::CommonName, DnValue::from("host.example"))];
    let server = server(&other, &names, &[dns("host.example")]);
    for expected in [by_subject("CN=host.example"), by_host("host.example")] {
        let refused = handshake(&server, verifier(&ca, expected.clone()), "host.example");
        assert!(
            matches!(refused, Err(rustls::Error::InvalidCertificate(ref why)) if *why != CertificateError::NotValidForName),
            "{refused:?}"
        );
        // Several, in one text.
        let both = format!("{}\n{}", ca.pem, other.pem);
        let verifier = Verifier::new(both.as_bytes(), expected).unwrap();
        assert_eq!(handshake(&server, verifier, "host.example"), Ok(()));
    }
}

#[test]
fn revoked_certificates_are_refused() {
    let ca = authority("CA");
    let names = [(DnType::CommonName, DnValue::from("host.example"))];
    let server = server(&ca, &names, &[]);
    let list = |serial: u64| {
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2020, 1, 1),
            next_update: rcgen::date_time_ymd(2090, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: rcgen::date_time_ymd(2020, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        format!("{}\n{}", ca.pem, params.signed_by(&ca.issuer).unwrap().pem().unwrap())
    };
    for (serial, expected) in [(8, Ok(())), (7, Err(CertificateError::Revoked.into()))] {
        let verifier = Verifier::new(list(serial).as_bytes(), by_host("host.example")).unwrap();
        assert_eq!(handshake(&server, verifier, "host.example"), expected);
    }
}

#[test]
fn a_pinned_key_is_that_key_and_no_other() {
    let (ca, other) = (authority("CA"), authority("Other"));
    let names = [(DnType::CommonName, DnValue::from("host.example"))];
    let server = server(&other, &names, &[]);
    let pinned = |key: &[u8]| verifier(&ca, by_host("else.example")).with_public_key(key);
    assert_eq!(handshake(&server, pinned(&server.key), "host.example"), Ok(()));
    // Another key of the same type, one of another type, and less than a key.
    let ecdsa = KeyPair::generate().unwrap();
    let edwards = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let keys = [ecdsa, edwards].map(|key| rcgen::PublicKeyData::subject_public_key_info(&key));
    for key in keys
        .iter()
        .map(Vec::as_slice)
        .chain([&[][..], &server.key[..server.key.len() - 1]])
    {
        assert!(handshake(&server, pinned(key), "host.example").is_err());
    }
    // With the right authority another key falls back to the other rules.
    let right = Verifier::new(other.pem.as_bytes(), by_host("host.example"))
        .unwrap()
        .with_public_key(&keys[0]);
    assert_eq!(handshake(&server, right, "host.example"), Ok(()));
}

#[test]
fn what_no_verifier_is_made_of() {
    let ca = authority("CA");
    let made = |pem: &str, expected| Verifier::new(pem.as_bytes(), expected).map(drop);
    let subject = |text: &str| made(&ca.pem, by_subject(text));
    assert_eq!(made("", by_host("a")), Err(TlsError::NoCertificate));
    assert_eq!(
        made(
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            by_host("a")
        ),
        Err(TlsError::BadCertificate)
    );
    assert_eq!(made(&ca.pem, by_host("not a name")), Err(TlsError::BadName));
    assert_eq!(made(&ca.pem, by_host("")), Err(TlsError::BadName));
    assert_eq!(subject(""), Err(SubjectError::Empty.into()));
    for key in [
        "A",
        "cn",
        "CN ",
        "\tCN",
        "2",
        "2.",
        "2.+5",
        "3.1",
        "1.40",
        "02.5",
        "OID.2.5.4.3",
    ] {
        let unknown = SubjectError::UnknownKey { entry: 2 };
        assert_eq!(subject(&format!("CN=a,{key}=b")), Err(unknown.into()), "{key}");
    }
    for key in [
        "2.5.4.3",
        "2 5 4 3",
        "2.5.4.",
        "2.5.4.99999999999",
        "2.999.1",
        "1.3.6.1.4.1.311.60.2.1.2",
        "0.9.2342.19200300.100.1.25",
        "DC",
        "emailAddress",
    ] {
        assert_eq!(subject(&format!("CN=a,{key}=b")), Ok(()), "{key}");
    }
    for entry in [
        "C=ISR",
        "C=i!",
        "2.5.4.6=ISR",
        "DC=é",
        "serialNumber=a_b",
        "n3=27a",
        "mail=é",
    ] {
        let value = SubjectError::Value { entry: 2 };
        assert_eq!(subject(&format!("CN=a,{entry}")), Err(value.into()), "{entry}");
    }
    for (key, most) in [("CN", 64), ("2.5.4.10", 64), ("L", 128)] {
        assert_eq!(subject(&format!("{key}={}", "é".repeat(most))), Ok(()), "{key}");
        let value = SubjectError::Value { entry: 1 };
        assert_eq!(
            subject(&format!("{key}={}", "é".repeat(most + 1))),
            Err(value.into()),
            "{key}"
        );
    }
}
