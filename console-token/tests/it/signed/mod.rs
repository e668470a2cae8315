//! Signed tokens.

mod claims;
mod keys;
mod marker;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use console_token::signed::{Claims, KeyError, Keys, Rule, SignedError, SigningKey, VerifyingKey};
use console_token::{JsonError, Refusal, SignedToken, Target, UnixSeconds};
use expect_test::expect;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use sha2::Sha256;

use crate::at;

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
        valid for longer than the gateway admits"#]]
    .assert_eq(&errors.map(|error| error.to_string()).join("\n"));
    let errors = [
        KeyError::Id,
        KeyError::Key,
        KeyError::TooShort { len: 3 },
        KeyError::TooLong,
    ];
    expect![[r#"
        not the id of a key: 1 to 128 visible ASCII characters
        not a key of this algorithm
        a secret of 3 bytes, at least 32 are needed
        the token would have more than 4096 bytes"#]]
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

    /// No text causes a panic, and none is accepted without the key.
    #[test]
    fn any_text(parts in proptest::array::uniform3(proptest::collection::vec(any::<u8>(), 1..60)), header in "[ -~]{1,40}") {
        for first in [parts[0].as_slice(), header.as_bytes(), br#"{"alg":"EdDSA","kid":"k1"}"#] {
            let token = presented(&format!("{}.{}.{}", encoded(first), encoded(&parts[1]), encoded(&parts[2])));
            prop_assert!(verify_at(&token, NOW).is_err());
            prop_assert!(keys().verify_websockify(&token, &rule(), at(NOW)).is_err());
        }
    }
}
