//! Signed tokens.

use std::collections::BTreeSet;
use std::thread;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use console_token::signed::{Claims, KeyError, Keys, Rule, SignedError, SigningKey, VerifyingKey};
use console_token::web::target::TargetRule;
use console_token::{
    ConsoleType, Gate, JsonError, MemoryStore, Pepper, Refusal, Secret, SignedToken, Step, StoreError, Target,
    UnixSeconds, Uses,
};
use expect_test::expect;
use hmac::{Hmac, Mac};
use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use proptest::prelude::*;
use sha2::Sha256;

use crate::{at, attempt};

/// RFC 8037 appendix A.1.
const SEED: [u8; 32] = [
    0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49, 0xc5,
    0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
];
const PUBLIC: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const NOW: u64 = 1_800_000_000;
const AUDIENCE: &str = "https://gw.example/sf-console.vv";
const ISSUER: &str = "https://sf.example";

/// Signed by OpenSSL (`pkeyutl -sign -rawin`) with the key above, from the JSON of Python's `json.dumps`.
const BY_OPENSSL: &str = "eyJhbGciOiAiRWREU0EiLCAia2lkIjogImsxIiwgInR5cCI6ICJKV1QifQ.eyJpc3MiOiAiaHR0cHM6Ly9zZi5leGFtcGxlIiwgImF1ZC\
    I6ICJodHRwczovL2d3LmV4YW1wbGUvc2YtY29uc29sZS52diIsICJzdWIiOiAidm0tMSIsICJpYXQiOiAxODAwMDAwMDAwLCAiZXhwIjogMTgwMDAwMDMwMCwgImp0aSI6\
    ICI2ZjFjIn0.hsIy5hrVCaVlMIytqDu4eoaJhjA5z6rX5j3nFJ9k6Qx4QF5CYX2iYQVVlo4kOdnwiwRBtYMf_mXTQfmvjWUsBQ";

/// `openssl dgst -sha256 -hmac`, in the form that websockify's users make.
const WEBSOCKIFY_BY_OPENSSL: &str = "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJob3N0IjogIjE5Mi4wLjIuNyIsICJwb3J0IjogIjU5MDAiLCAiZXhwIjog\
    MTgwMDAwMDMwMH0.pExb2koVeGYPfAukD-mWQw4-49wfMmskbYyO8OhpBrU";

fn key() -> SigningKey {
    SigningKey::ed25519("k1", &SEED).unwrap()
}

fn keys() -> Keys {
    Keys::default()
        .with(key().verifying())
        .with(VerifyingKey::hs256("h1", SECRET).unwrap())
        .with_unnamed("h1")
}

fn rule() -> Rule {
    Rule::new(AUDIENCE).with_issuer(ISSUER)
}

fn claims() -> Claims {
    Claims::new(ISSUER, AUDIENCE, "vm-1", "6f1c", at(NOW), 300)
}

fn presented(text: &str) -> SignedToken {
    SignedToken::presented(text.as_bytes()).unwrap()
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Any header and claims, with the signature that the shared secret gives.
fn by_secret(secret: &[u8], header: &str, claims: &str) -> SignedToken {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(message.as_bytes());
    presented(&format!("{message}.{}", encoded(mac.finalize().into_bytes())))
}

const HS: &str = r#"{"alg":"HS256","kid":"h1"}"#;

fn kerbside(members: &str) -> String {
    format!(r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"vm-1","jti":"x",{members}}}"#)
}

fn verify_at(token: &SignedToken, now: u64) -> Result<(), SignedError> {
    keys().verify(token, &rule(), at(now)).map(|_| ())
}

#[test]
fn vectors() {
    assert_eq!(key().public(), &PUBLIC);
    let keys = Keys::default().with(VerifyingKey::ed25519("k1", &PUBLIC).unwrap());
    let verified = keys.verify(&presented(BY_OPENSSL), &rule(), at(NOW)).unwrap();
    assert_eq!(verified.claims(), &claims());
    // Ed25519 gives one signature for one message, and the JSON here has no spaces.
    let ours = key().sign(&claims()).unwrap();
    let parts: Vec<&str> = ours.expose().split('.').collect();
    assert_eq!(
        URL_SAFE_NO_PAD.decode(parts[0]).unwrap(),
        br#"{"typ":"JWT","alg":"EdDSA","kid":"k1"}"#
    );
    let expected = format!(
        r#"{{"iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"vm-1","iat":1800000000,"exp":1800000300,"jti":"6f1c"}}"#
    );
    assert_eq!(URL_SAFE_NO_PAD.decode(parts[1]).unwrap(), expected.as_bytes());
    assert_eq!(keys.verify(&ours, &rule(), at(NOW)).unwrap().claims(), &claims());
    assert!(!format!("{ours:?} {:?} {keys:?}", key()).contains(parts[2]));

    let verified = self::keys()
        .verify_websockify(&presented(WEBSOCKIFY_BY_OPENSSL), &rule(), at(NOW))
        .unwrap();
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    assert_eq!(verified.claims().target, target);
    assert_eq!(
        (verified.claims().not_before, verified.claims().expires),
        (None, at(NOW + 300))
    );
}

/// The back end is fixed by the code: what a program installs for the whole process, or fails to install, is not
/// reached by any call. This installs one that panics whatever it is asked, for all tests of this binary.
#[test]
fn no_call_reaches_the_provider_of_the_process() {
    static PANICS: CryptoProvider = CryptoProvider {
        signer_factory: |_, _| panic!("a signer of the process was asked for"),
        verifier_factory: |_, _| panic!("a verifier of the process was asked for"),
        key_utils: KeyUtils::new_unimplemented(),
    };
    PANICS.install_default().unwrap();
    // It is reached by what the library itself offers, or this would prove nothing.
    let reached = std::panic::catch_unwind(|| {
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
        jsonwebtoken::crypto::sign(b"x", &key, jsonwebtoken::Algorithm::HS256)
    });
    assert!(reached.is_err());

    let key = SigningKey::ed25519("k1", &SEED).unwrap();
    let token = key.sign(&claims()).unwrap();
    let keys = Keys::default()
        .with(VerifyingKey::ed25519("k1", key.public()).unwrap())
        .with(VerifyingKey::hs256("h1", SECRET).unwrap())
        .with_unnamed("h1");
    assert!(keys.verify(&token, &rule(), at(NOW)).is_ok());
    assert!(
        keys.verify_websockify(&presented(WEBSOCKIFY_BY_OPENSSL), &rule(), at(NOW))
            .is_ok()
    );
    let broken = by_secret(b"another", HS, &kerbside(r#""iat":1,"exp":2"#));
    assert_eq!(keys.verify(&broken, &rule(), at(NOW)), Err(SignedError::BadSignature));
}

#[test]
fn keys_and_their_ids() {
    let long = "k".repeat(128);
    for id in ["k", "2027-01", "https://sf.example/keys#1", &long, "a\"b\\"] {
        let key = SigningKey::ed25519(id, &SEED).unwrap();
        assert_eq!(key.verifying().id(), id);
        let token = key.sign(&claims()).unwrap();
        assert!(
            Keys::default()
                .with(key.verifying())
                .verify(&token, &rule(), at(NOW))
                .is_ok(),
            "{id}"
        );
    }
    for id in ["", &"k".repeat(129), "a b", "a\n", "é"] {
        assert_eq!(SigningKey::ed25519(id, &SEED).unwrap_err(), KeyError::Id, "{id}");
        assert_eq!(VerifyingKey::ed25519(id, &PUBLIC).unwrap_err(), KeyError::Id, "{id}");
        assert_eq!(VerifyingKey::hs256(id, SECRET).unwrap_err(), KeyError::Id, "{id}");
    }
    // y = 2 is on no point of the curve.
    let mut no_point = [0; 32];
    no_point[0] = 2;
    assert_eq!(VerifyingKey::ed25519("k", &no_point).unwrap_err(), KeyError::Key);
    assert_eq!(
        VerifyingKey::hs256("k", &SECRET[..31]).unwrap_err(),
        KeyError::TooShort { len: 31 }
    );
    let id = "x".repeat(4096);
    let too_long = Claims::new(ISSUER, AUDIENCE, &id, "x", at(NOW), 300);
    assert_eq!(key().sign(&too_long).unwrap_err(), KeyError::TooLong);
}

/// The issuer signs with the new key; what the old one has signed is accepted until the old one is forgotten.
#[test]
fn rotation() {
    let (old, new) = (key(), SigningKey::ed25519("k2", &[9; 32]).unwrap());
    let mut keys = Keys::default().with(old.verifying()).with(new.verifying());
    let (of_old, of_new) = (old.sign(&claims()).unwrap(), new.sign(&claims()).unwrap());
    let verify = |keys: &Keys, token| keys.verify(token, &rule(), at(NOW)).map(|_| ());
    assert_eq!((verify(&keys, &of_old), verify(&keys, &of_new)), (Ok(()), Ok(())));
    assert!(keys.remove("k1") && !keys.remove("k1"));
    assert_eq!(
        (verify(&keys, &of_old), verify(&keys, &of_new)),
        (Err(SignedError::UnknownKey), Ok(()))
    );
    // Another key under the same id takes its place.
    keys.insert(SigningKey::ed25519("k2", &[10; 32]).unwrap().verifying());
    assert_eq!(verify(&keys, &of_new), Err(SignedError::BadSignature));
    assert_eq!(verify(&Keys::default(), &of_new), Err(SignedError::UnknownKey));
}

/// What others have believed of a header.
#[test]
fn the_key_fixes_the_algorithm() {
    let good = kerbside(r#""iat":1800000000,"exp":1800000300"#);
    assert_eq!(verify_at(&by_secret(SECRET, HS, &good), NOW), Ok(()));
    // The public key as a shared secret, under its own id and under none.
    for header in [r#"{"alg":"HS256","kid":"k1"}"#, r#"{"alg":"HS512","kid":"k1"}"#] {
        assert_eq!(
            verify_at(&by_secret(&PUBLIC, header, &good), NOW),
            Err(SignedError::WrongAlgorithm),
            "{header}"
        );
    }
    for alg in [
        "none", "None", "", "hs256", "HS384", "EdDSA", "RS256", "ES256", "HS256 ", "dir",
    ] {
        let header = format!(r#"{{"alg":"{alg}","kid":"h1"}}"#);
        assert_eq!(
            verify_at(&by_secret(SECRET, &header, &good), NOW),
            Err(SignedError::WrongAlgorithm),
            "{alg}"
        );
    }
    let eddsa = by_secret(SECRET, r#"{"alg":"EdDSA","kid":"k1"}"#, &good);
    assert_eq!(verify_at(&eddsa, NOW), Err(SignedError::BadSignature));
    for (header, error) in [
        (r#"{"alg":"HS256","kid":"h2"}"#, SignedError::UnknownKey),
        (r#"{"alg":"HS256","kid":""}"#, SignedError::UnknownKey),
        (r#"{"alg":"HS256","kid":"../../dev/null"}"#, SignedError::UnknownKey),
        (r#"{"alg":"HS256","kid":1}"#, SignedError::Header),
        (r#"{"alg":"HS256","kid":"h1","kid":"k1"}"#, SignedError::Header),
        (r#"{"kid":"h1"}"#, SignedError::Header),
        (r#"{"alg":null,"kid":"h1"}"#, SignedError::Header),
        (r#"{"alg":["HS256"],"kid":"h1"}"#, SignedError::Header),
        ("[]", SignedError::Header),
        ("x", SignedError::Header),
        (r#"{"alg":"HS256","kid":"h1","crit":["exp"]}"#, SignedError::Extension),
        (r#"{"alg":"HS256","kid":"h1","crit":[]}"#, SignedError::Extension),
        (
            r#"{"alg":"HS256","kid":"h1","crit":["b64"],"b64":false}"#,
            SignedError::Extension,
        ),
        (r#"{"alg":"dir","enc":"A256GCM"}"#, SignedError::Extension),
        (r#"{"alg":"HS256","kid":"h1","zip":"DEF"}"#, SignedError::Extension),
    ] {
        assert_eq!(
            verify_at(&by_secret(SECRET, header, &good), NOW),
            Err(error),
            "{header}"
        );
    }
    // A key in the token is nobody's.
    let own = format!(
        r#"{{"alg":"HS256","kid":"h1","jwk":{{"kty":"oct","k":"{}"}},"jku":"https://evil.example"}}"#,
        encoded("x")
    );
    assert_eq!(
        verify_at(&by_secret(b"x", &own, &good), NOW),
        Err(SignedError::BadSignature)
    );
    // Without an id it is for the one key that is named for that, or for none.
    let unnamed = by_secret(SECRET, r#"{"alg":"HS256"}"#, &good);
    assert_eq!(verify_at(&unnamed, NOW), Ok(()));
    let without = Keys::default().with(VerifyingKey::hs256("h1", SECRET).unwrap());
    assert_eq!(without.verify(&unnamed, &rule(), at(NOW)), Err(SignedError::UnknownKey));
}

#[test]
fn signatures() {
    let token = key().sign(&claims()).unwrap();
    let text = token.expose();
    // Every bit of all three parts.
    for at_byte in 0..text.len() {
        for bit in 0..8 {
            let mut changed = text.as_bytes().to_vec();
            changed[at_byte] ^= 1 << bit;
            if let Ok(changed) = SignedToken::presented(&changed) {
                let error = verify_at(&changed, NOW).unwrap_err();
                let expected = matches!(
                    error,
                    SignedError::Header
                        | SignedError::UnknownKey
                        | SignedError::WrongAlgorithm
                        | SignedError::BadSignature
                );
                assert!(expected, "{at_byte} {bit} {error}");
            }
        }
    }
    let (message, signature) = text.rsplit_once('.').unwrap();
    for signature in ["A", "AA", &signature[..84], &format!("{signature}AA"), &"A".repeat(86)] {
        assert_eq!(
            verify_at(&presented(&format!("{message}.{signature}")), NOW),
            Err(SignedError::BadSignature)
        );
    }
    for text in [
        "", "a", "a.b", "a.b.", ".b.c", "a..c", "a.b.c.d", "a.b.c\n", "a.b.c=", " a.b.c", "a.b.é", "a.b.c+",
    ] {
        assert_eq!(
            SignedToken::presented(text.as_bytes()),
            Err(Refusal::Malformed),
            "{text:?}"
        );
    }
    assert!(SignedToken::presented(format!("a.b.{}", "c".repeat(4092)).as_bytes()).is_ok());
    assert_eq!(
        SignedToken::presented(format!("a.b.{}", "c".repeat(4093)).as_bytes()),
        Err(Refusal::Malformed)
    );
}

/// Integers at the edges, times before 1970, and what is no claim.
#[test]
fn claims_that_are_none() {
    let schema = SignedError::Claims(JsonError::Schema);
    for members in [
        r#""iat":1800000000"#,
        r#""exp":1800000300"#,
        r#""iat":-1,"exp":1800000300"#,
        r#""iat":1800000000,"exp":-1"#,
        r#""iat":1800000000,"exp":1800000300.5"#,
        r#""iat":1800000000.0,"exp":1800000300"#,
        r#""iat":1.8e9,"exp":1800000300"#,
        r#""iat":"1800000000","exp":1800000300"#,
        r#""iat":1800000000,"exp":18446744073709551616"#,
        r#""iat":1800000000,"exp":null"#,
        r#""iat":1800000000,"exp":true"#,
        r#""iat":1800000000,"exp":1800000300,"exp":1900000000"#,
        r#""iat":1800000000,"exp":1800000300,"nbf":-5"#,
        r#""iat":1800000000,"exp":1800000300,"sub":"twice""#,
    ] {
        assert_eq!(
            verify_at(&by_secret(SECRET, HS, &kerbside(members)), NOW),
            Err(schema),
            "{members}"
        );
    }
    let good = kerbside(r#""iat":1800000000,"exp":1800000300"#);
    for (from, to) in [
        ("iss", "x"),
        ("aud", "x"),
        ("sub", "x"),
        ("jti", "x"),
        (r#""sub":"vm-1""#, r#""sub":1"#),
        (r#""jti":"x""#, r#""jti":["x"]"#),
    ] {
        assert_eq!(
            verify_at(&by_secret(SECRET, HS, &good.replace(from, to)), NOW),
            Err(schema),
            "{from}"
        );
    }
    // More than one audience is none: each gateway has its own token.
    let list = good.replace(&format!("\"{AUDIENCE}\""), &format!("[\"{AUDIENCE}\"]"));
    assert_eq!(verify_at(&by_secret(SECRET, HS, &list), NOW), Err(schema));
    for (claims, error) in [
        ("", JsonError::Syntax),
        ("x", JsonError::Syntax),
        ("[]", JsonError::Schema),
        ("1", JsonError::Schema),
        ("{}", JsonError::Schema),
        (&format!("{good} x"), JsonError::Syntax),
        (
            &format!("{}{}", "[".repeat(17), "]".repeat(17)),
            JsonError::TooDeep { limit: 16 },
        ),
    ] {
        // An empty part is not even a token.
        if !claims.is_empty() {
            assert_eq!(
                verify_at(&by_secret(SECRET, HS, claims), NOW),
                Err(SignedError::Claims(error)),
                "{claims}"
            );
        }
    }
    for (jti, expected) in [
        ("", Err(SignedError::Claim("jti"))),
        (&*"x".repeat(256), Ok(())),
        (&*"x".repeat(257), Err(SignedError::Claim("jti"))),
    ] {
        let claims = good.replace(r#""jti":"x""#, &format!(r#""jti":"{jti}""#));
        assert_eq!(verify_at(&by_secret(SECRET, HS, &claims), NOW), expected);
    }
    // More claims are not looked at, a target least of all.
    let more = kerbside(r#""iat":1800000000,"exp":1800000300,"host":"evil.example","port":1,"x":{"y":[1]}"#);
    assert_eq!(verify_at(&by_secret(SECRET, HS, &more), NOW), Ok(()));
}

#[test]
fn audience_and_issuer() {
    let token = key().sign(&claims()).unwrap();
    let verify = |rule: Rule| keys().verify(&token, &rule, at(NOW)).map(|_| ());
    assert_eq!(verify(Rule::new(AUDIENCE)), Ok(()));
    for other in [
        "",
        "https://gw.example",
        "https://gw.example/sf-console.vv/",
        "https://GW.example/sf-console.vv",
        "*",
    ] {
        assert_eq!(verify(Rule::new(other)), Err(SignedError::WrongAudience), "{other}");
    }
    assert_eq!(
        verify(rule().with_issuer("https://sf.example/")),
        Err(SignedError::WrongIssuer)
    );
}

/// `not_before - skew <= now < expires + skew`, to the second.
#[test]
fn times() {
    let expired = Err(SignedError::Expired);
    let early = Err(SignedError::NotYetValid);
    let verify = |claims: &Claims, skew, now| {
        let token = key().sign(claims).unwrap();
        keys().verify(&token, &rule().with_skew(skew), at(now)).map(|_| ())
    };
    for (skew, now, expected) in [
        (0, NOW - 1, early),
        (0, NOW, Ok(())),
        (0, NOW + 299, Ok(())),
        (0, NOW + 300, expired),
        (5, NOW - 6, early),
        (5, NOW - 5, Ok(())),
        (5, NOW + 304, Ok(())),
        (5, NOW + 305, expired),
        // The clock set back or forward by hours, years, and to the ends of time.
        (5, NOW - 7200, early),
        (5, NOW + 7200, expired),
        (5, 0, early),
        (5, u64::MAX, expired),
        (u32::MAX, u64::MAX, expired),
    ] {
        assert_eq!(verify(&claims(), skew, now), expected, "{skew} {now}");
    }
    let later = claims().with_not_before(at(NOW + 60));
    assert_eq!(verify(&later, 0, NOW + 59), early);
    assert_eq!(verify(&later, 0, NOW + 60), Ok(()));
    // Made in the future, it is not yet valid, whatever `nbf` says.
    assert_eq!(verify(&claims().with_not_before(at(0)), 0, NOW - 1), early);
    // One that ends before it begins never is.
    let mut never = claims();
    never.expires = at(NOW);
    assert_eq!(verify(&never, 60, NOW), expired);
    let last = Claims::new(ISSUER, AUDIENCE, "vm", "x", at(u64::MAX - 10), 300);
    assert_eq!(last.expires, at(u64::MAX));
    assert_eq!(verify(&last, 0, u64::MAX - 1), Ok(()));
    assert_eq!(verify(&last, 5, u64::MAX), expired);
    let too_long = |life| {
        let claims = Claims::new(ISSUER, AUDIENCE, "vm", "x", at(NOW), life);
        keys()
            .verify(&key().sign(&claims).unwrap(), &rule().with_max_life(600), at(NOW))
            .map(|_| ())
    };
    assert_eq!((too_long(600), too_long(601)), (Ok(()), Err(SignedError::TooLong)));
}

#[test]
fn of_websockify() {
    let verify = |claims: &str, now| {
        let verified = keys().verify_websockify(&by_secret(SECRET, HS, claims), &rule().with_skew(2), at(now));
        verified.map(|verified| verified.claims().target.clone())
    };
    let claims = r#"{"host":"::1","port":5900,"nbf":1800000000,"exp":1800000300}"#;
    let target = Target::Host {
        host: "::1".into(),
        port: Some(5900),
        tls_port: None,
    };
    assert_eq!(verify(claims, NOW), Ok(target.clone()));
    assert_eq!(verify(claims, NOW + 301), Ok(target));
    // Its own proxy would take it for one second more, and one without an end for ever.
    assert_eq!(verify(claims, NOW + 302), Err(SignedError::Expired));
    assert_eq!(verify(claims, NOW - 3), Err(SignedError::NotYetValid));
    let schema = SignedError::Claims(JsonError::Schema);
    for (claims, error) in [
        (r#"{"host":"h","port":1}"#, schema),
        (r#"{"host":"h","port":1,"exp":1800000300.5}"#, schema),
        (r#"{"port":1,"exp":1800000300}"#, SignedError::Claim("host")),
        (r#"{"host":"h","port":0,"exp":1800000300}"#, SignedError::Claim("host")),
        (
            r#"{"host":"127.1","port":1,"exp":1800000300}"#,
            SignedError::Claim("host"),
        ),
        (r#"{"host":"h","port":1,"exp":9000000000}"#, SignedError::TooLong),
        (
            r#"{"host":"h","port":1,"exp":18446744073709551615}"#,
            SignedError::TooLong,
        ),
    ] {
        assert_eq!(verify(claims, NOW), Err(error), "{claims}");
    }
    // One form is not taken for the other.
    assert_eq!(verify_at(&by_secret(SECRET, HS, claims), NOW), Err(schema));
    assert_eq!(
        keys().verify_websockify(&key().sign(&self::claims()).unwrap(), &rule(), at(NOW)),
        Err(SignedError::Claim("host"))
    );
    // The target is for the allow-list to judge.
    let loopback = verify(r#"{"host":"127.0.0.1","port":1,"exp":1800000300}"#, NOW).unwrap();
    let Target::Host { host, .. } = loopback else {
        unreachable!()
    };
    assert!(TargetRule::default().admit(host.parse().unwrap()).is_err());
}

fn pepper() -> Pepper {
    Pepper::new(&[1; 32]).unwrap()
}

fn target() -> Target {
    Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    }
}

#[test]
fn markers() {
    let mark = |issuer: &str, id: &str| {
        let claims = Claims::new(issuer, AUDIENCE, "vm", id, at(NOW), 300);
        let verified = keys()
            .verify(&key().sign(&claims).unwrap(), &Rule::new(AUDIENCE), at(NOW))
            .unwrap();
        *verified.marker(&pepper()).as_bytes()
    };
    // Of the issuer and the id, where neither can take from the other; and never a token's.
    let marks: BTreeSet<_> = [("a", "bc"), ("ab", "c"), ("", "abc"), ("a", "bcd")]
        .map(|(issuer, id)| mark(issuer, id))
        .into();
    assert_eq!(marks.len(), 4);
    assert_eq!(mark("a", "bc"), mark("a", "bc"));
    for text in ["abc", "bc", "jti"] {
        let hash = pepper().hash(&Secret::presented(text.as_bytes()).unwrap());
        assert!(!marks.contains(hash.as_bytes()));
    }
    let verified = keys()
        .verify_websockify(&presented(WEBSOCKIFY_BY_OPENSSL), &rule(), at(NOW))
        .unwrap();
    let other = by_secret(SECRET, HS, r#"{"host":"192.0.2.7","port":"5900","exp":1800000300}"#);
    let other = keys().verify_websockify(&other, &rule(), at(NOW)).unwrap();
    assert!(verified.marker(&pepper()) != other.marker(&pepper()));
    assert!(!format!("{verified:?}").contains("eyJ"), "{verified:?}");

    let verified = keys()
        .verify(&key().sign(&claims()).unwrap(), &rule().with_skew(5), at(NOW))
        .unwrap();
    let grant = verified.grant(target(), ConsoleType::NoVnc);
    assert_eq!(
        (grant.uses, grant.not_before, grant.window().1),
        (Uses::ONCE, at(NOW), at(NOW + 315))
    );
    let owners = [&grant.audience, &grant.vm, &grant.issuer].map(|owner| owner.as_deref());
    assert_eq!(owners, [Some(AUDIENCE), Some("vm-1"), Some(ISSUER)]);
    assert_eq!(other.grant(ConsoleType::Serial).window().1, at(NOW + 300));
}

/// One token, many gateways, clocks that are wrong by all that they may be, and a sweep whenever one likes.
#[test]
fn a_token_is_taken_once() {
    const SKEW: u32 = 30;
    let rule = rule().with_skew(SKEW);
    let token = key().sign(&claims()).unwrap();
    let keys = keys();
    let gate = |now| Gate::at(at(now)).with_audience(AUDIENCE);
    let redeem = |store: &MemoryStore, now: u64| -> bool {
        let Ok(verified) = keys.verify(&token, &rule, at(now)) else {
            return false;
        };
        let hash = verified.marker(&pepper());
        match store.insert(&hash, &verified.grant(target(), ConsoleType::NoVnc)) {
            Ok(()) | Err(StoreError::Duplicate) => {}
            Err(error) => panic!("{error}"),
        }
        store.apply(&hash, &gate(now), Step::Redeem(attempt())).is_ok()
    };
    for first in [NOW - 30, NOW, NOW + 299, NOW + 329] {
        // The right time goes on; each gateway's and the sweeper's clocks are off by the skew, either way.
        let store = MemoryStore::new(10);
        assert!(redeem(&store, first), "{first}");
        for right in NOW - 60..NOW + 400 {
            for off in [-30_i64, 0, 30] {
                let clock = right.checked_add_signed(off).unwrap();
                if first - 30 <= right {
                    store.sweep(at(clock), core::num::NonZeroU32::MAX);
                }
            }
            for off in [30, 0, -30_i64] {
                assert!(
                    !redeem(&store, right.checked_add_signed(off).unwrap()),
                    "{first} {right} {off}"
                );
            }
        }
        assert!(store.is_empty());
    }
    // At the same moment, on many.
    for _ in 0..20 {
        let store = MemoryStore::new(10);
        let won = thread::scope(|scope| {
            let attempts: Vec<_> = (0..8).map(|_| scope.spawn(|| redeem(&store, NOW))).collect();
            attempts
                .into_iter()
                .map(|attempt| usize::from(attempt.join().unwrap()))
                .sum::<usize>()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn texts() {
    let errors = [
        SignedError::Header,
        SignedError::Extension,
        SignedError::UnknownKey,
        SignedError::WrongAlgorithm,
        SignedError::BadSignature,
        SignedError::Claims(JsonError::Schema),
        SignedError::Claim("jti"),
        SignedError::WrongIssuer,
        SignedError::WrongAudience,
        SignedError::NotYetValid,
        SignedError::Expired,
        SignedError::TooLong,
    ];
    // Outside, all are one.
    assert!(errors.iter().all(|error| error.public() == Refusal::Expired.public()));
    expect![[r#"
        not the header of a signed token
        a header with extensions
        unknown key
        not the algorithm of the key
        wrong signature
        invalid claims: not the members that are expected
        invalid claim jti
        another issuer
        for another audience
        not yet valid
        expired
        valid for too long"#]]
    .assert_eq(&errors.map(|error| error.to_string()).join("\n"));
    let errors = [
        KeyError::Id,
        KeyError::Key,
        KeyError::TooShort { len: 3 },
        KeyError::TooLong,
    ];
    expect![[r#"
        not the id of a key
        not a key
        a secret of 3 bytes
        the token would be too long"#]]
    .assert_eq(&errors.map(|error| error.to_string()).join("\n"));
}

proptest! {
    /// Whatever is in the claims comes back.
    #[test]
    fn what_is_signed_is_read(texts in proptest::array::uniform3("\\PC{0,40}"), id in "\\PC{1,20}", life in 1..86_400_u64, nbf: Option<u16>) {
        let [issuer, audience, subject] = &texts;
        let mut claims = Claims::new(issuer, audience, subject, &id, at(NOW), life);
        if let Some(nbf) = nbf {
            claims = claims.with_not_before(UnixSeconds(NOW - u64::from(nbf)));
        }
        let token = key().sign(&claims).unwrap();
        let rule = Rule::new(audience).with_issuer(issuer);
        let verified = keys().verify(&token, &rule, at(NOW)).unwrap();
        prop_assert_eq!(verified.claims(), &claims);
    }

    /// No text can do harm, and nobody's is accepted.
    #[test]
    fn any_text(parts in proptest::array::uniform3(proptest::collection::vec(any::<u8>(), 1..60)), header in "[ -~]{1,40}") {
        for first in [parts[0].as_slice(), header.as_bytes(), br#"{"alg":"EdDSA","kid":"k1"}"#] {
            let token = presented(&format!("{}.{}.{}", encoded(first), encoded(&parts[1]), encoded(&parts[2])));
            prop_assert!(verify_at(&token, NOW).is_err());
            prop_assert!(keys().verify_websockify(&token, &rule(), at(NOW)).is_err());
        }
    }
}
