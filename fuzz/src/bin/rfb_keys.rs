#![cfg_attr(fuzzing, no_main)]
//! Keys, certificates and names that an operator or a peer gives, and TLS that a peer begins.
//!
//! ```text
//! | what u8 | ... |                      what modulo 8:
//! 0 key:         | DER |
//! 1 key:         | text |
//! 2 sealed:      | changes: length u8, each | place u8 | byte u8 | | content |
//! 3 certificate: | chain, of a server: length u16 | key: length u16 | authorities |
//! 4 fingerprint: | text |
//! 5 words:       | name: length u8 | bytes |
//! 6 TLS:         | chunk u8 | first bytes |
//! 7 log-ins:     | offered: length u8, bytes | wanted: length u8, bytes | challenge 16 bytes | password |
//! ```
//!
//! A choice is one of those that were offered; a password answers its own challenge, and no other password does; secrets are in
//! no text.
//!
//! Not searched in CI: see LAWS.md.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};
use fuzz::Input;
use rfb_proto::handshake::Buffers;
use rfb_proto::security::ard::ArdSecret;
use rfb_proto::security::ms_logon::{MsLogonIIISecret, MsLogonSecret, respond_iii};
use rfb_proto::security::rsa_aes::{Key, Pin, PublicKey, Strength};
use rfb_proto::security::sasl::Mechanisms;
use rfb_proto::security::tight::Capability;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{SecurityChoice, SecurityType, SecurityTypeWord, SecurityTypes, Seed};
use rfb_proto::tls::{ClientTls, Fingerprint, Identity, PeerName, ServerTls};
use rfb_proto::{FirstBytes, Limits, PixelFormat, PixelRules, ServerInit};

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
    pins(key.public());
}

/// A pinned key is the one that was pinned, however that was done.
fn pins(key: &PublicKey) {
    let other = self::key().public();
    assert_eq!(key.bits().div_ceil(8) as usize, key.modulus().len());
    assert_eq!(key.exponent().len(), key.modulus().len());
    assert_eq!(key.fingerprint() == other.fingerprint(), key == other);
    for pin in [Pin::Key(other.clone()), Pin::Sha256(other.sha256())] {
        assert!(pin.is_of(other) && pin.is_of(key) == (key == other));
    }
    assert!(Pin::Any.is_of(key));
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
            // What does not open gives as many bytes, which no peer knows: the log-in fails later, and the same way.
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
    assert!(!format!("{first:?}").contains(['\n', '\r', '\u{1b}']));
    if bytes.starts_with(b"RFB 003.008\n") {
        assert!(first.looks_like().is_some());
    }
    let _ = PixelRules::recognised(bytes);
    let init = ServerInit {
        width: 0,
        height: 0,
        format: PixelFormat::RGB888,
        name: Bytes::copy_from_slice(bytes),
    };
    assert!(!init.name_text().chars().any(char::is_control));
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

fn types(offered: &[u8], wanted: &[u8]) {
    let [offered, wanted] = [offered, wanted].map(|types| types.iter().copied().map(SecurityType).collect::<Vec<_>>());
    let offer = SecurityTypes::from(&offered[..]);
    assert_eq!(offer.is_refusal(), offered.is_empty());
    // Type 0 is none.
    let is_offered = |wanted: &SecurityType| wanted.0 != 0 && offered.contains(wanted);
    let expected = wanted.iter().copied().find(is_offered);
    assert_eq!(offer.choose(&wanted).map(|choice| choice.security_type), expected);
    for security_type in wanted {
        let choice = SecurityChoice { security_type };
        match offer.check(choice) {
            Ok(checked) => assert!(checked == security_type && is_offered(&checked)),
            Err(error) => assert!(error.security_type == security_type && !is_offered(&security_type)),
        }
        let (word, subtype) = (SecurityTypeWord::from(security_type), Subtype::from(security_type));
        assert_eq!(
            [word.security_type(), subtype.security_type()],
            [Some(security_type); 2]
        );
        assert_eq!(word.is_refusal(), security_type.0 == 0);
        assert_eq!(
            (word.name(), word.to_string()),
            (security_type.name(), security_type.to_string())
        );
        if let Some(capability) = Capability::for_type(security_type) {
            assert!(capability.same_name(&capability) && capability.to_string().is_ascii());
        }
        assert!(subtype.tls().is_none_or(|tls| !tls.to_string().is_empty()));
    }
}

fn passwords(challenge: [u8; 16], given: &[u8]) {
    let password = Password::new(given);
    let response = password.respond(&challenge);
    assert!(password.verify(&challenge, &response));
    assert_eq!(password.truncated(), 8 < given.len());
    let kept = Password::from_obfuscated(&password.to_obfuscated());
    assert_eq!(kept.to_obfuscated(), password.to_obfuscated());
    assert_eq!(kept.respond(&challenge), response);
    // The highest bit of each byte is the parity of DES, which reads them from the other end.
    let counts = |byte: &u8| byte & 0x7f != 0;
    assert_eq!(password.is_empty(), !given.iter().take(8).any(counts));
    assert_eq!(Password::new(b"").verify(&challenge, &response), password.is_empty());
    assert_eq!(format!("{password:?}"), "Password(..)");
}

/// What a log-in shows is opened by the secret that it was made for, and by no other; none of it is in a text.
fn secrets(seed: [u8; 32], password: &[u8]) {
    let (own, other) = (Seed::new(seed), Seed::new([0x5a; 32]));
    let named = |text: String| assert!(text.ends_with("(..)"), "{text}");
    named(format!("{own:?}"));
    let user = b"alice";
    let hidden = |text: String| assert!(!text.contains("alice") && text.contains("(..)"), "{text}");
    let secret = MsLogonSecret::new(&own);
    named(format!("{secret:?}"));
    let parameters = secret.parameters();
    assert!(parameters.public() < parameters.modulus() && 1 < parameters.generator());
    if let Ok(response) = parameters.respond(user, password, &other) {
        hidden(format!("{response:?}"));
        let opened = secret.open(&response).expect("it was made for it");
        assert_eq!((&opened.user[..], opened.password.expose()), (&user[..], password));
    }
    let secret = MsLogonIIISecret::new(&own);
    named(format!("{secret:?}"));
    if let Ok(response) = respond_iii(&secret.public(), user, password, &other) {
        hidden(format!("{response:?}"));
        let opened = secret.open(&response).expect("it was made for it");
        assert_eq!((&opened.user[..], opened.password.expose()), (&user[..], password));
        let stranger = MsLogonIIISecret::new(&Seed::new([0x77; 32])).open(&response);
        assert!(stranger.is_none_or(|shown| &shown.user[..] != user));
    }
}

/// The group has 1024 bits: one is enough.
fn diffie_hellman(password: &[u8]) {
    static SECRET: OnceLock<ArdSecret> = OnceLock::new();
    let secret = SECRET.get_or_init(|| ArdSecret::new(&Seed::new([9; 32])));
    let parameters = secret.parameters();
    assert!(1 < parameters.generator() && parameters.public().len() == parameters.prime().len());
    if let Ok(response) = parameters.respond(b"alice", password, &Seed::new([8; 32])) {
        assert!(
            [format!("{secret:?}"), format!("{response:?}")]
                .iter()
                .all(|text| text.ends_with("(..)"))
        );
        let opened = secret.open(&response).expect("it was made for it");
        assert!(password.contains(&0) || opened.password.expose() == password);
    }
}

fn log_ins(mut input: Input<'_>) {
    let (offered, wanted) = (input.short_blob(), input.short_blob());
    types(offered, wanted);
    let challenge: [u8; 16] = std::array::from_fn(|_| input.byte());
    let password = input.rest();
    passwords(challenge, password);
    let mut seed = [0x3c; 32];
    seed[..16].copy_from_slice(&challenge);
    secrets(seed, password);
    // A power of 2048 bits takes its time.
    if !password.is_empty() {
        diffie_hellman(password);
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
    // The input cannot finish a handshake: that takes keys that only the session has drawn.
    assert!(session.is_handshaking());
    let _ = session.close(&mut buffers);
    let _ = (session.process(&mut buffers), session.is_closed(), Bytes::new());
}

fn check(data: &[u8]) {
    let mut input = Input::new(&data[..data.len().min(LONGEST)]);
    match input.byte() % 8 {
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
        6 => tls(input),
        _ => log_ins(input),
    }
}
