#![cfg_attr(fuzzing, no_main)]
//! Keys, certificates and names that an operator or a peer gives, and TLS that a peer begins.
//!
//! ```text
//! | what u8 | ... |                      what modulo 7:
//! 0 key:         | DER |
//! 1 key:         | text |
//! 2 sealed:      | changes: length u8, each | place u8 | byte u8 | | content |
//! 3 certificate: | chain, of a server: length u16 | key: length u16 | authorities |
//! 4 fingerprint: | text |
//! 5 words:       | name: length u8 | bytes |
//! 6 TLS:         | chunk u8 | first bytes |
//! ```
//!
//! Not searched in CI: see LAWS.md.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use fuzz::Input;
use rfb_proto::handshake::Buffers;
use rfb_proto::security::rsa_aes::{Key, PublicKey, Strength};
use rfb_proto::security::sasl::Mechanisms;
use rfb_proto::security::{SecurityType, Seed};
use rfb_proto::tls::{ClientTls, Fingerprint, Identity, PeerName, ServerTls};
use rfb_proto::{FirstBytes, Limits, PixelFormat, PixelRules};

fuzz::target!(check);

/// An input of more bytes is no key: numbers of any size would only cost time.
const LONGEST: usize = 4096;

fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    let pem = include_str!("../../../rfb-proto/tests/data/logins/rsa-2048-pkcs8.pem");
    KEY.get_or_init(|| Key::from_pem(pem).expect("a key"))
}

/// A key that is taken opens what is sealed for it, and gives nothing away for anything else.
fn any_key(key: &Key) {
    assert!(!format!("{key:?}").contains("private: "));
    let strength = Strength::of(SecurityType::RA2).expect("its type");
    let opened = key.open(&[0; 256], strength, &Seed::new([1; 32]));
    assert_eq!(opened.expose().len(), strength.random_len());
    let mut wire = BytesMut::new();
    key.public().encode(&mut wire).expect("it fits");
    let public = PublicKey::decode(&wire.freeze(), &Limits::default());
    assert_eq!(public.as_ref(), Ok(key.public()));
}

fn sealed(mut input: Input<'_>) {
    let changes = input.short_blob();
    let mut bytes = [1; 256];
    for (place, byte) in bytes.iter_mut().zip(input.rest()) {
        *place = *byte;
    }
    for change in changes.chunks_exact(2) {
        bytes[usize::from(change[0])] ^= change[1];
    }
    for kind in [SecurityType::RA2, SecurityType::RA2_256] {
        let strength = Strength::of(kind).expect("its type");
        let seed = Seed::new([3; 32]);
        for sealed in [&bytes[..], &bytes[..255], &[]] {
            // What does not open gives as many bytes, which nobody knows: the log-in fails later, and the same way.
            let opened = key().open(sealed, strength, &seed);
            assert_eq!(opened.expose().len(), strength.random_len());
        }
    }
}

fn certificates(mut input: Input<'_>) {
    let (chain, own, authorities) = (input.blob(), input.blob(), input.rest());
    let identity = Identity { chain, key: own };
    assert_eq!(format!("{identity:?}"), "Identity(..)");
    for trusted in [None, Some(authorities)] {
        if let Ok(server) = ServerTls::new(identity, trusted) {
            server.accept(&mut Buffers::default()).expect("a session");
        }
    }
    let name = String::from_utf8_lossy(own);
    if let Ok(client) = ClientTls::new(authorities, None) {
        for peer in [
            PeerName::Any,
            PeerName::Named(&name),
            PeerName::Pinned(Fingerprint::of(chain)),
        ] {
            let connected = client.connect(peer, &mut Buffers::default());
            assert!(connected.is_ok() || matches!(peer, PeerName::Named(_)));
        }
    }
    let _ = ClientTls::pinned(Some(identity)).is_ok();
}

fn fingerprint(text: &str) {
    let Ok(read) = text.parse::<Fingerprint>() else { return };
    let digits = |text: &str| text.replace(':', "").to_lowercase();
    assert!(digits(text).contains(&digits(&read.to_string())));
    assert_eq!(read.to_string().parse(), Ok(read));
}

fn words(mut input: Input<'_>) {
    let name = input.short_blob();
    let bytes = input.rest();
    let first = FirstBytes::of(bytes);
    assert!(bytes.starts_with(first.bytes()));
    assert!(!first.to_string().is_empty() || bytes.is_empty());
    if bytes.starts_with(b"RFB 003.008\n") {
        assert!(first.looks_like().is_some());
    }
    let _ = PixelRules::recognised(bytes);
    let limits = Limits::default();
    if let Ok(mechanisms) = Mechanisms::decode_slice(bytes, &limits) {
        let listed = mechanisms.list.split(|byte| *byte == b',').any(|own| own == name);
        assert_eq!(
            mechanisms.offers(name),
            listed && !name.is_empty() && !name.contains(&b',')
        );
    }
    if let Ok(format) = PixelFormat::decode_slice(name, &limits) {
        let pixel = format.rgb(bytes);
        assert!(pixel.is_none() || usize::from(format.bits_per_pixel / 8) <= bytes.len());
    }
}

/// A server of TLS that anyone connects to.
fn tls(mut input: Input<'_>) {
    static SERVER: OnceLock<ServerTls> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let certificate = include_bytes!("../../../spice-proto/tests/data/certificates/self3.pem");
        let identity = Identity {
            chain: certificate,
            key: include_bytes!("../../../spice-proto/tests/data/certificates/server.key"),
        };
        ServerTls::new(identity, None).expect("a certificate and its key")
    });
    let chunk = usize::from(input.byte()).max(1);
    let mut buffers = Buffers::default();
    let mut session = server.accept(&mut buffers).expect("a session");
    for piece in input.rest().chunks(chunk) {
        session.socket.rx.extend_from_slice(piece);
        if let Err(error) = session.process(&mut buffers) {
            assert!(!error.to_string().is_empty());
            assert!(session.process(&mut buffers).is_err(), "an error is terminal");
            break;
        }
        assert!(buffers.rx.is_empty(), "nothing is received before the handshake");
    }
    // Nobody can finish a handshake without keys that only it has drawn.
    assert!(session.is_handshaking());
    session.close();
    let _ = (session.process(&mut buffers), session.is_closed(), Bytes::new());
}

fn check(data: &[u8]) {
    let mut input = Input::new(&data[..data.len().min(LONGEST)]);
    match input.byte() % 7 {
        0 => {
            if let Ok(key) = Key::from_der(input.rest()) {
                any_key(&key);
            }
        }
        1 => {
            if let Ok(key) = Key::from_pem(&String::from_utf8_lossy(input.rest())) {
                any_key(&key);
            }
        }
        2 => sealed(input),
        3 => certificates(input),
        4 => fingerprint(&String::from_utf8_lossy(input.rest())),
        5 => words(input),
        _ => tls(input),
    }
}
