//! TLS over buffers.

use std::sync::Arc;

use expect_test::expect;
use rfb_proto::handshake::Buffers;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use rfb_proto::tls::{BadFingerprint, ClientTls, Fingerprint, Identity, PeerName, ServerTls, TlsError, TlsSession};

use crate::certificates::{Authority, HOST};

/// Moves at most `chunk` bytes from one wire to the other.
fn carry(from: &mut Buffers, to: &mut Buffers, chunk: usize) -> bool {
    let taken = from.tx.split_to(chunk.min(from.tx.len()));
    to.rx.extend_from_slice(&taken);
    !taken.is_empty()
}

/// Both ends of a session, with the plaintext of each.
struct Pair {
    client: (TlsSession, Buffers),
    server: (TlsSession, Buffers),
}

impl Pair {
    fn new(client: &ClientTls, name: PeerName<'_>, server: &ServerTls) -> Self {
        let (mut plain_client, mut plain_server) = (Buffers::default(), Buffers::default());
        Self {
            client: (client.connect(name, &mut plain_client).unwrap(), plain_client),
            server: (server.accept(&mut plain_server).unwrap(), plain_server),
        }
    }

    /// With a server of [`unchecked`].
    fn with_unchecked(client: &ClientTls, name: PeerName<'_>, server: &Arc<rustls::ServerConfig>) -> Self {
        let session = rustls::server::UnbufferedServerConnection::new(server.clone()).unwrap();
        let (mut plain_client, mut plain_server) = (Buffers::default(), Buffers::default());
        Self {
            client: (client.connect(name, &mut plain_client).unwrap(), plain_client),
            server: (TlsSession::new(session, &mut plain_server), plain_server),
        }
    }

    /// Until nothing moves; the first error of each end.
    fn run(&mut self, chunk: usize) -> [Option<TlsError>; 2] {
        let mut errors = [None, None];
        loop {
            for ((tls, plain), error) in [&mut self.client, &mut self.server].into_iter().zip(&mut errors) {
                if error.is_none() {
                    *error = tls.process(plain).err();
                }
            }
            let to_server = carry(&mut self.client.0.socket, &mut self.server.0.socket, chunk);
            let to_client = carry(&mut self.server.0.socket, &mut self.client.0.socket, chunk);
            if !to_server && !to_client {
                return errors;
            }
        }
    }
}

/// A server that does not look at its own certificate and key, as [`ServerTls`] does.
fn unchecked(identity: Identity<'_>) -> Arc<rustls::ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from_pem_slice(identity.key).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(identity.chain).unwrap()];
    let key = CertifiedKey::new(chain, provider.key_provider.load_private_key(key).unwrap());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    Arc::new(config)
}

fn text(error: &Option<TlsError>) -> String {
    error.as_ref().map_or("none".to_owned(), ToString::to_string)
}

#[test]
fn bytes_in_any_chunks() {
    let authority = Authority::new();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let up: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for chunk in [1, 999, usize::MAX] {
        let mut pair = Pair::new(&client, PeerName::Named(HOST), &server);
        // Written before the handshake is over: it waits.
        let up = if chunk == 1 { &up[..1000] } else { &up[..] };
        pair.client.1.tx.extend_from_slice(up);
        pair.server.1.tx.extend_from_slice(b"down");
        assert_eq!(pair.run(chunk), [None, None]);
        assert!(!pair.client.0.is_handshaking());
        assert!(pair.server.1.rx == up);
        assert_eq!(pair.client.1.rx[..], b"down"[..]);
        assert!(pair.client.1.tx.is_empty() && pair.server.1.tx.is_empty());
    }
}

/// What the machine had written goes out in front of TLS, and what had come in is TLS.
#[test]
fn the_switch_is_exact() {
    let authority = Authority::new();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    let mut client_wire = Buffers::default();
    client_wire.tx.extend_from_slice(b"choice");
    let mut client_tls = client.connect(PeerName::Any, &mut client_wire).unwrap();
    client_wire.tx.extend_from_slice(b"inside");
    client_tls.process(&mut client_wire).unwrap();
    assert!(client_tls.socket.tx.starts_with(b"choice\x16\x03"));
    // The hello has come together with the choice.
    let mut server_wire = Buffers::default();
    server_wire.tx.extend_from_slice(b"\x01");
    server_wire.rx.extend_from_slice(&client_tls.socket.tx.split()[6..]);
    let mut server_tls = server.accept(&mut server_wire).unwrap();
    assert!(server_wire.rx.is_empty() && server_wire.tx.is_empty());
    server_tls.process(&mut server_wire).unwrap();
    assert!(server_tls.socket.tx.starts_with(b"\x01\x16\x03"));
}

#[test]
fn wrong_authority() {
    let (one, other) = (Authority::new(), Authority::new());
    let server = ServerTls::new(one.server().identity(), None).unwrap();
    let client = ClientTls::new(other.pem.as_bytes(), None).unwrap();
    for name in [PeerName::Named(HOST), PeerName::Any] {
        let mut pair = Pair::new(&client, name, &server);
        pair.client.1.tx.extend_from_slice(b"password");
        let [at_client, at_server] = pair.run(usize::MAX);
        expect!["invalid peer certificate: BadSignature"].assert_eq(&text(&at_client));
        expect!["received fatal alert: DecryptError"].assert_eq(&text(&at_server));
        assert!(pair.server.1.rx.is_empty());
        // An error is terminal.
        assert_eq!(pair.client.0.process(&mut pair.client.1).err(), at_client);
    }
}

#[test]
fn names() {
    let authority = Authority::new();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    for (certificate, name, good) in [
        (authority.server(), PeerName::Named(HOST), true),
        (authority.server(), PeerName::Named("other.example"), false),
        (authority.server(), PeerName::Named("127.0.0.1"), false),
        (authority.server(), PeerName::Any, true),
        (authority.nameless_server(), PeerName::Named(HOST), false),
        (authority.nameless_server(), PeerName::Any, true),
        // A certificate for clients does not make a server.
        (authority.client(), PeerName::Any, false),
    ] {
        let server = ServerTls::new(certificate.identity(), None).unwrap();
        let mut pair = Pair::new(&client, name, &server);
        let [at_client, _] = pair.run(usize::MAX);
        assert_eq!(at_client.is_none(), good, "{name:?}: {at_client:?}");
    }
    let error = client
        .connect(PeerName::Named("no name"), &mut Buffers::default())
        .unwrap_err();
    assert_eq!(error, TlsError::BadName);
}

#[test]
fn client_certificates() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = ServerTls::new(authority.server().identity(), Some(authority.pem.as_bytes())).unwrap();
    let (mine, theirs, a_server) = (authority.client(), other.client(), authority.server());
    for (identity, good) in [
        (Some(mine.identity()), true),
        (Some(theirs.identity()), false),
        (Some(a_server.identity()), false),
        (None, false),
    ] {
        let client = ClientTls::new(authority.pem.as_bytes(), identity).unwrap();
        let mut pair = Pair::new(&client, PeerName::Named(HOST), &server);
        pair.client.1.tx.extend_from_slice(b"up");
        let [_, at_server] = pair.run(usize::MAX);
        assert_eq!(at_server.is_none(), good, "{at_server:?}");
        assert_eq!(pair.server.1.rx == b"up"[..], good);
    }
}

#[test]
fn farewell() {
    let authority = Authority::new();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let mut pair = Pair::new(&client, PeerName::Any, &server);
    assert_eq!(pair.run(usize::MAX), [None, None]);
    assert!(!pair.server.0.is_closed());
    pair.client.1.tx.extend_from_slice(b"last words");
    pair.client.0.close(&mut pair.client.1).unwrap();
    // Nothing behind it is read.
    pair.client.0.socket.tx.extend_from_slice(b"\x17\x03\x03\x00\x01x");
    assert_eq!(pair.run(usize::MAX), [None, None]);
    assert!(pair.server.0.is_closed());
    assert_eq!(pair.server.1.rx[..], b"last words"[..]);
}

/// A server could send behind its own part of the handshake. It does not know the client there, and what it says may be for a
/// client with a certificate only.
#[test]
fn a_server_says_nothing_before_the_client_has_finished() {
    let authority = Authority::new();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let mut pair = Pair::new(&client, PeerName::Any, &server);
    pair.server.1.tx.extend_from_slice(b"for those that are known");
    let ((client, plain_client), (server, plain_server)) = (&mut pair.client, &mut pair.server);
    client.process(plain_client).unwrap();
    carry(&mut client.socket, &mut server.socket, usize::MAX);
    server.process(plain_server).unwrap();
    assert!(server.is_handshaking() && !plain_server.tx.is_empty());
    carry(&mut server.socket, &mut client.socket, usize::MAX);
    client.process(plain_client).unwrap();
    assert!(!client.is_handshaking() && plain_client.rx.is_empty());
    // Nor does it say farewell.
    server.close(plain_server).unwrap();
    assert!(server.socket.tx.is_empty());
    assert_eq!(pair.run(usize::MAX), [None, None]);
    assert_eq!(pair.client.1.rx[..], b"for those that are known"[..]);
}

/// A session at rest holds keys, and of a record that has come in part that part.
#[test]
fn a_session_has_no_buffers_of_its_own() {
    let authority = Authority::new();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let mut pair = Pair::new(&client, PeerName::Any, &server);
    pair.client.1.tx.extend_from_slice(&[7; 100_000]);
    assert_eq!(pair.run(usize::MAX), [None, None]);
    assert_eq!(pair.server.1.rx[..], [7; 100_000]);
    for (tls, _) in [&pair.client, &pair.server] {
        assert!(tls.socket.rx.is_empty() && tls.socket.tx.is_empty());
    }
    let ((client, plain_client), (server, plain_server)) = (&mut pair.client, &mut pair.server);
    plain_client.tx.extend_from_slice(b"in two parts");
    client.process(plain_client).unwrap();
    plain_server.rx.clear();
    carry(&mut client.socket, &mut server.socket, 9);
    server.process(plain_server).unwrap();
    assert_eq!((server.socket.rx.len(), plain_server.rx.len()), (9, 0));
    carry(&mut client.socket, &mut server.socket, usize::MAX);
    server.process(plain_server).unwrap();
    assert_eq!(
        (server.socket.rx.len(), &plain_server.rx[..]),
        (0, &b"in two parts"[..])
    );
}

/// Bytes that are no TLS end the session; nothing of them is read.
#[test]
fn plaintext_in_front_of_tls() {
    let authority = Authority::new();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let mut buffers = Buffers::default();
    buffers.rx.extend_from_slice(b"RFB 003.008\n");
    let mut tls = server.accept(&mut buffers).unwrap();
    let error = tls.process(&mut buffers).unwrap_err();
    expect!["the peer does not speak TLS: it sent RFB"].assert_eq(&error.to_string());
    assert!(buffers.rx.is_empty());
}

#[test]
fn pem_texts() {
    let (authority, certificate) = (Authority::new(), Authority::new().server());
    let good = certificate.identity();
    let pem = authority.pem.as_bytes();
    let client = |authorities: &[u8], identity| ClientTls::new(authorities, identity).unwrap_err().to_string();
    expect!["no certificate in PEM"].assert_eq(&client(b"", None));
    expect!["a certificate cannot be read"].assert_eq(&client(
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        None,
    ));
    let keyless = Identity { key: pem, ..good };
    expect!["no private key in PEM"].assert_eq(&client(pem, Some(keyless)));
    let other = Authority::new().server();
    let mixed = Identity {
        key: other.identity().key,
        ..good
    };
    expect!["keys may not be consistent: KeyMismatch"].assert_eq(&client(pem, Some(mixed)));
    assert_eq!(format!("{good:?}"), "Identity(..)");
}

/// A certificate without extensions, as `openssl x509 -req` makes one: what is wrong with it, and what helps.
#[test]
fn certificates_of_version_1() {
    let ca = include_bytes!("../data/tls/ca.pem");
    let old = || Identity {
        chain: include_bytes!("../data/tls/v1.pem"),
        key: include_bytes!("../data/tls/v1-key.pem"),
    };
    let config = unchecked(old());
    let client = ClientTls::new(ca, None).unwrap();
    for name in [PeerName::Named("host.example"), PeerName::Any] {
        let mut pair = Pair::with_unchecked(&client, name, &config);
        pair.client.1.tx.extend_from_slice(b"password");
        let [at_client, at_server] = pair.run(usize::MAX);
        assert_eq!(at_client, Some(TlsError::OldCertificate));
        expect!["a certificate of X.509 version 1: sign it again with extensions, a subjectAltName for one"]
            .assert_eq(&text(&at_client));
        assert!(at_server.is_some() && pair.server.1.rx.is_empty());
    }
    // One's own.
    assert_eq!(ClientTls::new(ca, Some(old())).unwrap_err(), TlsError::OldCertificate);
    assert_eq!(ServerTls::new(old(), None).unwrap_err(), TlsError::OldCertificate);
}

/// What speaks something else where TLS is due is named, without its bytes; and TLS that is broken is not.
#[test]
fn not_tls() {
    let authority = Authority::new();
    let server = ServerTls::new(authority.server().identity(), None).unwrap();
    let client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    for (says, name) in [
        (&b"RFB 003.008\n"[..], Some("RFB")),
        (b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0", Some("SPICE")),
        (b"GET / HTTP/1.1\r\n", Some("an HTTP request")),
        // User and password in the clear.
        (b"\0\0\0\x04\0\0\0\x08userpassword", None),
        (b"secretpw", None),
        (b"\x16\x03\x01\0\x04\x01\0\0\0", None),
        (b"\x17\x03\x03\xff\xff", None),
    ] {
        for is_server in [true, false] {
            for chunk in [1, says.len()] {
                let mut plain = Buffers::default();
                let mut tls = match is_server {
                    true => server.accept(&mut plain),
                    false => client.connect(PeerName::Named(HOST), &mut plain),
                }
                .unwrap();
                let mut error = None;
                for piece in says.chunks(chunk) {
                    tls.socket.rx.extend_from_slice(piece);
                    error = error.or(tls.process(&mut plain).err());
                }
                let error = error.unwrap();
                match name {
                    // The first byte is too few to tell.
                    Some(_) if chunk == 1 => assert!(!plain.tx.starts_with(says), "{error}"),
                    Some(name) => assert_eq!(
                        error.to_string(),
                        format!("the peer does not speak TLS: it sent {name}")
                    ),
                    None => assert!(matches!(error, TlsError::Rustls(_)), "{error}"),
                }
                assert!(!error.to_string().contains("secret") && plain.rx.is_empty());
            }
        }
    }
}

/// A certificate that is pinned is taken with any signer, name and use; every other one is not.
#[test]
fn pinned_certificates() {
    let (one, other) = (Authority::new(), Authority::new());
    for certificate in [one.server(), one.nameless_server(), one.client(), one.expired()] {
        let server = ServerTls::new(certificate.identity(), None).unwrap();
        let right = certificate.fingerprint();
        let mut wrong = right;
        wrong.0[31] ^= 1;
        for (fingerprint, good) in [(right, true), (wrong, false), (other.server().fingerprint(), false)] {
            for client in [
                ClientTls::pinned(None).unwrap(),
                ClientTls::new(other.pem.as_bytes(), None).unwrap(),
                // What the authority says does not help a certificate that is not the pinned one.
                ClientTls::new(one.pem.as_bytes(), None).unwrap(),
            ] {
                let mut pair = Pair::new(&client, PeerName::Pinned(fingerprint), &server);
                pair.client.1.tx.extend_from_slice(b"password");
                let [at_client, _] = pair.run(usize::MAX);
                assert_eq!(at_client.is_none(), good, "{at_client:?}");
                assert_eq!(pair.server.1.rx == b"password"[..], good);
            }
        }
    }
    // Without authorities, nothing else will do.
    let server = ServerTls::new(one.server().identity(), None).unwrap();
    for name in [PeerName::Named(HOST), PeerName::Any] {
        let [at_client, _] = Pair::new(&ClientTls::pinned(None).unwrap(), name, &server).run(usize::MAX);
        at_client.unwrap();
    }
}

/// A server that shows the pinned certificate without having its key is not taken.
#[test]
fn a_pinned_certificate_needs_its_key() {
    let authority = Authority::new();
    let (certificate, other) = (authority.server(), authority.server());
    let fingerprint = certificate.fingerprint();
    let client = ClientTls::pinned(None).unwrap();
    for (pair, good) in [(certificate.with_key_of(&other), false), (certificate, true)] {
        let server = unchecked(pair.identity());
        let mut pair = Pair::with_unchecked(&client, PeerName::Pinned(fingerprint), &server);
        pair.client.1.tx.extend_from_slice(b"password");
        let [at_client, _] = pair.run(usize::MAX);
        assert_eq!(at_client.is_none(), good, "{at_client:?}");
        assert_eq!(pair.server.1.rx.is_empty(), !good);
    }
}

/// A client's own certificate is shown to a pinned server as to any.
#[test]
fn a_pinned_server_sees_the_clients_certificate() {
    let authority = Authority::new();
    let certificate = authority.server();
    let server = ServerTls::new(certificate.identity(), Some(authority.pem.as_bytes())).unwrap();
    let mine = authority.client();
    for (identity, good) in [(Some(mine.identity()), true), (None, false)] {
        let client = ClientTls::pinned(identity).unwrap();
        let mut pair = Pair::new(&client, PeerName::Pinned(certificate.fingerprint()), &server);
        pair.client.1.tx.extend_from_slice(b"up");
        let [_, at_server] = pair.run(usize::MAX);
        assert_eq!(at_server.is_none(), good, "{at_server:?}");
    }
}

#[test]
fn fingerprints_as_text() {
    let fingerprint = Fingerprint([0xab; 32]);
    let colons = ["AB"; 32].join(":");
    assert_eq!(fingerprint.to_string(), colons);
    for text in [colons.clone(), colons.to_lowercase(), "ab".repeat(32)] {
        assert_eq!(text.parse(), Ok(fingerprint), "{text}");
    }
    let (short, long) = (&colons[3..], format!("{colons}:AB"));
    for text in [
        "",
        ":",
        short,
        &long,
        &colons.replace("AB", "A+"),
        &colons.replace("AB", "Ä"),
        &format!(":{colons}"),
    ] {
        assert_eq!(text.parse::<Fingerprint>(), Err(BadFingerprint), "{text}");
    }
}
