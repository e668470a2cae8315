//! Certificates as operators make them with openssl: of version 1, signed by themselves, out of their time. Those that the
//! viewers accept are accepted, the others refused in words.

use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::{default_provider, sign};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConnection, ServerConfig, ServerConnection, SupportedProtocolVersion, version};
use spice_proto::tls::{Expected, HostSubject, TlsError, Verifier, in_words, server_name};

/// The certificates, by their names in `tests/data/certificates`.
fn pem(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/certificates");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

fn der(name: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&pem(&format!("{name}.pem"))).unwrap()
}

/// When all but two of them are valid.
#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0)))
    }
}

const NOW: u64 = 1_900_000_000;

/// Shows its certificate, whether its key is that of it or not.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A handshake with a server that has these certificates and this key: what the client makes of it.
fn handshake_with(
    chain: Vec<CertificateDer<'static>>,
    key: &str,
    verifier: Verifier,
    version: &'static SupportedProtocolVersion,
) -> Result<(), rustls::Error> {
    let key = PrivateKeyDer::from_pem_slice(&pem(key)).unwrap();
    let key = CertifiedKey::new(chain, sign::any_supported_type(&key).unwrap());
    let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(Arc::new(key))));
    let mut config = verifier.client_config().unwrap();
    config.time_provider = Arc::new(At(NOW));
    let mut client = ClientConnection::new(Arc::new(config), server_name("host.example").unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
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

/// A handshake with a server of this certificate, in both versions of TLS.
fn handshake(leaf: &str, verifier: impl Fn() -> Verifier) -> Result<(), String> {
    let key = if leaf == "v1-ec" { "server-ec.key" } else { "server.key" };
    let [new, old] = [&version::TLS13, &version::TLS12]
        .map(|version| handshake_with(vec![der(leaf)], key, verifier(), version).map_err(|error| error.to_string()));
    assert_eq!(new, old, "{leaf}");
    new
}

const SUBJECT: &str = "O=Test Bed,CN=host.example";

fn by_subject(text: &str) -> Expected {
    Expected::Subject(HostSubject::parse(text).unwrap())
}

fn by_host(host: &str) -> Expected {
    Expected::Host(host.into())
}

fn verifier(authorities: &[&str], expected: Expected) -> Verifier {
    let text: Vec<u8> = authorities
        .iter()
        .flat_map(|name| pem(&format!("{name}.pem")))
        .collect();
    Verifier::new(&text, expected).unwrap()
}

#[test]
fn what_the_viewers_accept_is_accepted() {
    for (leaf, authority, host) in [
        ("v1", "ca3", "host.example"),
        ("v1-ec", "ca3", "host.example"),
        ("v1-by-v1", "ca1", "host.example"),
        ("v3-by-v1", "ca1", "other.example"),
        ("self1", "self1", "host.example"),
        ("self3", "self3", "host.example"),
        ("authority", "ca3", "host.example"),
    ] {
        for expected in [by_subject(SUBJECT), by_host(host)] {
            let ended = handshake(leaf, || verifier(&[authority], expected.clone()));
            assert_eq!(ended, Ok(()), "{leaf} by {authority}, {expected:?}");
        }
        // Among others, and whatever comes first.
        let all = ["ca1", "leafca", "ca3", "self1", "self3"];
        assert_eq!(
            handshake(leaf, || verifier(&all, by_subject(SUBJECT))),
            Ok(()),
            "{leaf}"
        );
        // And with the name that it has, not with another.
        for expected in [by_subject("O=Test Bed,CN=else"), by_host("else.example")] {
            let ended = handshake(leaf, || verifier(&[authority], expected.clone()));
            assert_eq!(
                ended,
                Err("invalid peer certificate: NotValidForName".to_owned()),
                "{leaf}: {expected:?}"
            );
        }
    }
}

#[test]
fn what_the_viewers_refuse_is_refused_in_words() {
    let not_direct = "X.509 version 1, and none of the given authorities has signed it itself; sign it anew as version 3 \
        (openssl x509 -req -extfile), or pin its key";
    let authority = "an authority's certificate (CA:TRUE) that none of the given authorities has signed itself; \
        name it as an authority, make one with CA:FALSE, or pin its key";
    let algorithm = "signed with an algorithm that is not accepted; sign it anew (openssl x509 -req -sha256)";
    for (leaf, authorities, words) in [
        ("v1", &["ca1"][..], not_direct),
        ("v1", &["self1", "self3"], not_direct),
        ("v1-by-sub", &["ca3"], not_direct),
        ("v1-by-no-ca", &["leafca"], not_direct),
        ("self1", &["ca3"], not_direct),
        ("v1-sha1", &["ca3"], algorithm),
        ("v1-expired", &["ca3"], "certificate expired"),
        ("v1-early", &["ca3"], "certificate not valid yet"),
        ("self-client", &["self-client"], "InvalidPurpose"),
        ("self3", &["ca3"], authority),
        ("authority", &["ca1"], authority),
        ("authority-expired", &["ca3"], "certificate expired"),
    ] {
        let error = handshake(leaf, || verifier(authorities, by_subject(SUBJECT))).unwrap_err();
        assert!(error.contains(words), "{leaf}: {error}");
        assert!(
            !error.contains("UnsupportedCertVersion") && !error.contains("EndEntity"),
            "{leaf}: {error}"
        );
    }
    // An authority below the given one: the chain is there, but a certificate of version 1 has to be signed directly.
    let chain = vec![der("v1-by-sub"), der("sub")];
    let verifier = verifier(&["ca3"], by_subject(SUBJECT));
    let error = handshake_with(chain, "server.key", verifier, &version::TLS13).unwrap_err();
    assert!(error.to_string().contains(not_direct), "{error}");
}

#[test]
fn a_pinned_key_needs_no_version() {
    let key = sign::any_supported_type(&PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap()).unwrap();
    let key = key.public_key().unwrap().to_vec();
    for leaf in ["v1", "v1-expired", "v1-by-sub", "v1-sha1", "self1", "self3", "v3-by-v1"] {
        let pinned = || verifier(&["ca1"], by_host("else.example")).with_public_key(&key);
        assert_eq!(handshake(leaf, pinned), Ok(()), "{leaf}");
        let other = || verifier(&["leafca"], by_host("else.example")).with_public_key(&key[..key.len() - 1]);
        handshake(leaf, other).unwrap_err();
    }
}

#[test]
fn revoked_certificates_are_refused() {
    let text = [pem("ca3.pem"), pem("ca3.crl.pem")].concat();
    let verifier = || Verifier::new(&text, by_subject(SUBJECT)).unwrap();
    assert_eq!(handshake("v1", verifier), Ok(()));
    let error = handshake("revoked", verifier).unwrap_err();
    assert_eq!(error, "invalid peer certificate: Revoked");
    let no_list = || Verifier::new(&pem("ca3.pem"), by_subject(SUBJECT)).unwrap();
    assert_eq!(handshake("revoked", no_list), Ok(()));
}

/// A server that has a certificate and not its key is refused.
#[test]
fn the_key_has_to_be_that_of_the_certificate() {
    for version in [&version::TLS13, &version::TLS12] {
        for (leaf, key) in [("v1-ec", "server.key"), ("v1", "server-ec.key")] {
            let verifier = verifier(&["ca3"], by_subject(SUBJECT));
            handshake_with(vec![der(leaf)], key, verifier, version).unwrap_err();
        }
        // Another certificate's key of the same kind.
        let verifier = verifier(&["ca3"], by_subject("O=Test Bed,CN=CA 3"));
        handshake_with(vec![der("ca3")], "server.key", verifier, version).unwrap_err();
    }
}

/// No bit of a certificate of version 1 can be changed.
#[test]
fn a_changed_certificate_is_refused() {
    let whole = der("v1");
    let judge = |der: &[u8]| {
        use rustls::client::danger::ServerCertVerifier as _;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        let name = server_name("host.example").unwrap();
        verifier(&["ca3"], by_subject(SUBJECT)).verify_server_cert(&CertificateDer::from(der), &[], &name, &[], now)
    };
    assert!(judge(&whole).is_ok());
    for at in (0..whole.len()).step_by(3) {
        let mut changed = whole.to_vec();
        changed[at] ^= 1 << (at % 8);
        assert!(judge(&changed).is_err(), "byte {at}");
    }
    for end in (0..whole.len()).step_by(17) {
        assert!(judge(&whole[..end]).is_err(), "{end} bytes");
    }
    assert!(judge(&[&whole[..], &[0]].concat()).is_err(), "a byte behind it");
}

/// What spice-gtk with OpenSSL 3.0 accepts as a host subject, and what it refuses.
#[test]
fn host_subjects_are_those_of_spice_gtk() {
    let vectors = include_str!("../data/host-subjects.jsonl");
    let ca = pem("ca3.pem");
    let (mut accepted, mut refused, mut wrong) = (0, 0, Vec::new());
    for line in vectors.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = row["subject"].as_str().unwrap();
        let subject = HostSubject::parse(text);
        let entries = subject.as_ref().ok().map(|subject| subject.entries().to_vec());
        let made = subject
            .map_err(TlsError::from)
            .and_then(|subject| Verifier::new(&ca, Expected::Subject(subject)));
        let expected: Option<Vec<(String, String)>> = serde_json::from_value(row["entries"].clone()).unwrap();
        let same = match &expected {
            // The subject of no certificate is nothing to compare with here.
            Some(expected) if expected.is_empty() => entries.as_ref() == Some(expected),
            Some(expected) => made.is_ok() && entries.as_ref() == Some(expected),
            None => made.is_err(),
        };
        match expected {
            Some(_) => accepted += 1,
            None => refused += 1,
        }
        if !same {
            wrong.push(format!("{text:?}: {expected:?}, not {entries:?} ({:?})", made.err()));
        }
    }
    println!("{accepted} host subjects accepted, {refused} refused");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(100 < accepted && 200 < refused);
}

#[test]
fn errors_of_tls_have_words() {
    let config = Arc::new(verifier(&["ca3"], by_subject(SUBJECT)).client_config().unwrap());
    // What a SPICE server without TLS answers, and what a VNC server says.
    for bytes in [
        &b"REDQ\x02\0\0\0\x02\0\0\0"[..],
        b"RFB 003.008\n",
        b"HTTP/1.0 400 Bad Request\r\n",
    ] {
        let mut client = ClientConnection::new(config.clone(), server_name("host.example").unwrap()).unwrap();
        client.read_tls(&mut { bytes }).unwrap();
        let error = client.process_new_packets().unwrap_err();
        let words = in_words(&error).unwrap();
        assert!(words.contains("does not speak TLS"), "{error}: {words}");
    }
    assert_eq!(in_words(&rustls::Error::DecryptError), None);
}
