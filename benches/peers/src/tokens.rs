//! Tokens: redeemed in a store, beside signed ones that need none; and signed ones verified.

use std::collections::HashMap;
use std::iter;

use bytes::BytesMut;
use console_token::signed::{Keys, Rule, VerifyingKey};
use console_token::{
    AttemptId, ConsoleType, Grant, MemoryStore, Pepper, Secret, SignedToken, Target, TokenHash, Transition,
    UnixSeconds, Uses, VerifyContext,
};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::contest::{Contest, Peer, Run, keep, run};

const NOW: UnixSeconds = UnixSeconds(4_000_000_000);
const SECRET: &[u8; 32] = b"a secret of issuer and gateways.";
const AUDIENCE: &str = "gateway.example.org";
const ISSUER: &str = "issuer.example.org";
const KEY_ID: &str = "2026-11";
/// Tokens that are presented in turn.
const TOKENS: u32 = 4000;
/// Grants in the store.
const LIVE: u32 = 100_000;

/// What both sides read of a signed token.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
}

pub fn contests() -> Vec<Contest> {
    vec![redeemed(), verified()]
}

/// 32 bytes that no other number gives.
fn bytes(number: u32) -> [u8; 32] {
    Sha256::digest(number.to_le_bytes()).into()
}

fn tokens() -> Vec<Secret> {
    (0..TOKENS).map(|number| Secret::base64url(&bytes(number))).collect()
}

/// Gives the next of these, again from the first on behind the last.
fn in_turn<T>(values: Vec<T>, mut operation: impl FnMut(&T) + 'static) -> Run
where
    T: 'static,
{
    let mut next = 0;
    run(move || {
        operation(&values[next]);
        next = (next + 1) % values.len();
    })
}

fn redeemed() -> Contest {
    Contest {
        operation: "token redeemed for its target",
        sample: "4,000 of 256 bits, among 100,000 grants".into(),
        bytes: 43,
        count: 1,
        unit: "token",
        ours: redeem(),
        limit: Some(("bare SHA-256 and one look-up in a map", look_up())),
        peers: vec![Peer::new("jsonwebtoken, without a store", jsonwebtoken(signed()))],
    }
}

/// In the store of console-token, whose grants may be used again, as the tokens come round.
fn redeem() -> Run {
    let pepper = Pepper::new(b"the pepper of this deployment 0123456789").expect("it is long enough");
    let store = MemoryStore::new(LIVE as usize);
    let target = Target::Host {
        host: "hypervisor-7.example.org".into(),
        port: Some(5900),
        tls_port: None,
    };
    let grant = Grant::new(target, ConsoleType::NoVnc, NOW, 600).with_uses(Uses::Unlimited);
    let known = tokens();
    let others = (TOKENS..LIVE).map(|number| TokenHash::from_bytes(bytes(number)));
    for hash in known.iter().map(|token| pepper.hash(token)).chain(others) {
        store.insert(&hash, &grant).expect("there is room");
    }
    let mut attempt = 0_u128;
    in_turn(known, move |token| {
        attempt += 1;
        let step = Transition::Redeem(AttemptId(attempt.to_le_bytes()));
        keep(
            store
                .apply(&pepper.hash(token), &VerifyContext::at(NOW), step)
                .expect("it is live"),
        );
    })
}

fn look_up() -> Run {
    let key = |token: &Secret| -> [u8; 32] { Sha256::digest(token.expose()).into() };
    let known = tokens();
    let others = (TOKENS..LIVE).map(bytes);
    let map: HashMap<[u8; 32], u32> = known.iter().map(key).chain(others).zip(0..).collect();
    in_turn(known, move |token| keep(map.get(&key(token)).expect("it is there")))
}

/// Tokens that say where they lead to, signed with HS256.
fn signed() -> Vec<String> {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(KEY_ID.into());
    let key = EncodingKey::from_secret(SECRET).expect("it is long enough");
    let token = |number| {
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: format!("hypervisor-{}.example.org:5900", number % 500),
            iat: NOW.0,
            exp: NOW.0 + 600,
            jti: Secret::base64url(&bytes(number)).expose().to_owned(),
        };
        jsonwebtoken::encode(&header, &claims, &key).expect("claims are signed")
    };
    (0..TOKENS).map(token).collect()
}

fn rules() -> (DecodingKey, Validation) {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let key = DecodingKey::from_secret(SECRET).expect("it is long enough");
    (key, validation)
}

fn jsonwebtoken(tokens: Vec<String>) -> Run {
    let (key, validation) = rules();
    in_turn(tokens, move |token| {
        keep(jsonwebtoken::decode::<Claims>(token, &key, &validation).expect("it is valid"));
    })
}

/// The same signed tokens, by both.
fn verified() -> Contest {
    let tokens = signed();
    let keys = Keys::default().with(VerifyingKey::hs256(KEY_ID, SECRET).expect("it is long enough"));
    let rule = Rule::new(AUDIENCE).with_issuer(ISSUER);
    let (key, validation) = rules();
    let read = move |token: &String| {
        let token = SignedToken::presented(token.as_bytes()).expect("three parts");
        keys.verify(&token, &rule, NOW).expect("it is valid")
    };
    for token in &tokens {
        let theirs = jsonwebtoken::decode::<Claims>(token, &key, &validation).expect("it is valid");
        let verified = read(token);
        let ours = verified.claims();
        let ours = Claims {
            iss: ours.issuer.clone(),
            aud: ours.audience.clone(),
            sub: ours.subject.clone(),
            iat: ours.issued_at.0,
            exp: ours.expires.0,
            jti: ours.id.clone(),
        };
        assert_eq!(ours, theirs.claims);
    }
    let len = tokens[0].len();
    Contest {
        operation: "signed token (HS256) verified, and its claims read",
        sample: "4,000 tokens".into(),
        bytes: len,
        count: 1,
        unit: "token",
        limit: Some(("bare SHA-256 of its text", bare_hash(len))),
        peers: vec![Peer::new("jsonwebtoken", jsonwebtoken(tokens.clone()))],
        ours: in_turn(tokens, move |token| keep(read(token))),
    }
}

fn bare_hash(len: usize) -> Run {
    let text: BytesMut = iter::repeat_n(b'x', len).collect();
    run(move || keep(Sha256::digest(&text)))
}
