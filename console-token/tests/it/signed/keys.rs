//! Keys, algorithms and signatures.

use console_token::signed::{Claims, KeyError, Keys, SignedError, SigningKey, VerifyingKey};
use console_token::{Refusal, SignedToken};

use super::{
    AUDIENCE, HS, ISSUER, NOW, PUBLIC, SECRET, SEED, by_secret, claims, encoded, kerbside, key, presented, rule,
    verify_at,
};
use crate::at;

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
    // The neutral element, and the other points of small order: for them anybody can sign.
    for y in [
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    ] {
        let bytes = base16ct::lower::decode_vec(y).unwrap();
        let weak = VerifyingKey::ed25519("k", &bytes.try_into().unwrap());
        assert_eq!(weak.unwrap_err(), KeyError::Key, "{y}");
    }
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
    // A key in the token is not used.
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
