//! Tokens: what it costs to redeem one, and to refuse a guess.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::num::NonZeroU32;

use console_token::{
    AttemptId, ConsoleType, Grant, MemoryStore, Pepper, Secret, Target, TokenHash, Transition, UnixSeconds, Uses,
    VerifyContext,
};

use sha2::{Digest as _, Sha256};

use crate::draw::Draw;
use crate::{Case, keep};

/// What is counted here beside what `CASES` of the library has.
pub(crate) const CASES: &[Case] = &[
    Case::new(
        "token: bare SHA-256 of a token and one map look-up (the limit)",
        1000,
        1,
        || bare_look_up((0..KNOWN).map(token).collect()),
    ),
    Case::new(
        "token: redeem, mixed tokens of 36 to 60 characters, grants of 1 to 3 uses",
        1000,
        1,
        redeem_mixed,
    ),
    Case::new(
        "token: bare SHA-256 of a mixed token and one map look-up (the limit)",
        1000,
        1,
        || bare_look_up(mixed_tokens()),
    ),
];

/// Grants that are alive.
const LIVE: u32 = 100_000;
/// Of these the tokens are known, the others fill the store.
const KNOWN: u32 = 4000;
const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

fn pepper() -> Pepper {
    Pepper::new(b"the pepper of this deployment 0123456789").unwrap()
}

/// 32 bytes that look random.
fn bytes(seed: u64) -> [u8; 32] {
    let mut draw = Draw::new(seed);
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        part.copy_from_slice(&draw.number().to_le_bytes());
    }
    bytes
}

fn token(number: u32) -> Secret {
    Secret::base64url(&bytes(u64::from(number) << 32))
}

/// The hashes of all tokens: those that are known, and others.
fn hashes(pepper: &Pepper) -> impl Iterator<Item = TokenHash> {
    let known = (0..KNOWN).map(|number| pepper.hash(&token(number)));
    known.chain((KNOWN..LIVE).map(|number| TokenHash::from_bytes(bytes(u64::from(number) << 32))))
}

fn store(pepper: &Pepper) -> MemoryStore {
    let store = MemoryStore::new(LIVE as usize);
    let target = Target::Host {
        host: "192.0.2.7".into(),
        port: Some(5900),
        tls_port: None,
    };
    let grant = Grant::new(target, ConsoleType::NoVnc, NOW, 600);
    hashes(pepper).for_each(|hash| store.insert(&hash, &grant).unwrap());
    store
}

/// The least that it can cost: the keyed hash of what was presented, and a look-up in a map.
pub fn look_up() -> Box<dyn FnMut()> {
    let pepper = pepper();
    let map: HashMap<[u8; 32], u32, BuildHasherDefault<DefaultHasher>> =
        hashes(&pepper).map(|hash| *hash.as_bytes()).zip(0..).collect();
    let tokens: Vec<Secret> = (0..KNOWN).map(token).collect();
    let mut tokens = tokens.into_iter();
    Box::new(move || {
        let hash = pepper.hash(&tokens.next().unwrap());
        keep(map.get(hash.as_bytes()).unwrap());
    })
}

/// Less than any store can do with: SHA-256 of each token without a key, and a look-up in a map.
fn bare_look_up(tokens: Vec<Secret>) -> Box<dyn FnMut()> {
    let key = |token: &Secret| -> [u8; 32] { Sha256::digest(token.expose()).into() };
    let others = (KNOWN..LIVE).map(|number| bytes(u64::from(number) << 32));
    let map: HashMap<[u8; 32], u32, BuildHasherDefault<DefaultHasher>> =
        tokens.iter().map(key).chain(others).zip(0..).collect();
    let mut tokens = tokens.into_iter();
    Box::new(move || keep(map.get(&key(&tokens.next().unwrap())).unwrap()))
}

/// A third each of UUIDs, of this library's own and of those of another issuer.
fn mixed_tokens() -> Vec<Secret> {
    let mut draw = Draw::new(7);
    let mut mixed = || match draw.between(0, 2) {
        0 => Secret::uuid4(draw.bytes(16).as_slice().try_into().unwrap()),
        1 => Secret::base64url(&bytes(draw.number())),
        _ => {
            let text = Secret::base64url(&bytes(draw.number()));
            let prefix = &"issuer-4.example."[..draw.between(5, 17) as usize];
            Secret::presented(format!("{prefix}{}", text.expose()).as_bytes()).unwrap()
        }
    };
    (0..KNOWN).map(|_| mixed()).collect()
}

/// A grant at one of many hosts or at a socket, of 1 to 3 uses.
fn mixed_grant(number: u32, draw: &mut Draw) -> Grant {
    let target = match draw.between(0, 2) {
        0 => Target::Unix {
            path: format!("/run/consoles/{number}.sock"),
        },
        _ => Target::Host {
            host: format!("hypervisor-{}.example.org", number % 500),
            port: Some(5900),
            tls_port: Some(5901),
        },
    };
    let uses = NonZeroU32::new(draw.between(1, 3)).unwrap();
    let grant = Grant::new(target, ConsoleType::NoVnc, NOW, 600);
    grant
        .with_uses(Uses::Limited(uses))
        .with_user(&format!("user-{}", number % 2000))
}

/// Each such token once.
fn redeem_mixed() -> Box<dyn FnMut()> {
    let (pepper, store, mut draw) = (pepper(), MemoryStore::new(LIVE as usize), Draw::new(8));
    let tokens = mixed_tokens();
    let known = tokens.iter().map(|token| pepper.hash(token));
    let others = (KNOWN..LIVE).map(|number| TokenHash::from_bytes(bytes(u64::from(number) << 32)));
    for (hash, number) in known.chain(others).zip(0..) {
        store.insert(&hash, &mixed_grant(number, &mut draw)).unwrap();
    }
    let mut tokens = tokens.into_iter().zip(0_u128..);
    Box::new(move || {
        let (token, attempt) = tokens.next().unwrap();
        let step = Transition::Redeem(AttemptId(attempt.to_le_bytes()));
        keep(
            store
                .apply(&pepper.hash(&token), &VerifyContext::at(NOW), step)
                .unwrap(),
        );
    })
}

/// A token of so many bytes, checked and hashed.
pub fn hash_of(length: usize) -> Box<dyn FnMut()> {
    let (pepper, text) = (pepper(), vec![b'x'; length]);
    Box::new(move || keep(pepper.hash(&Secret::presented(std::hint::black_box(&text)).unwrap())))
}

/// One token of unlimited uses, redeemed again and again, among all others.
pub fn redeem_again() -> Box<dyn FnMut()> {
    let pepper = pepper();
    let store = store(&pepper);
    let token = Secret::base64url(&[0x5a; 32]);
    let grant = mixed_grant(0, &mut Draw::new(1)).with_uses(Uses::Unlimited);
    store.insert(&pepper.hash(&token), &grant).unwrap();
    let mut attempt = 0_u128;
    Box::new(move || {
        attempt += 1;
        let step = Transition::Redeem(AttemptId(attempt.to_le_bytes()));
        keep(
            store
                .apply(&pepper.hash(&token), &VerifyContext::at(NOW), step)
                .unwrap(),
        );
    })
}

/// Each token once.
pub fn redeem() -> Box<dyn FnMut()> {
    let pepper = pepper();
    let store = store(&pepper);
    let tokens: Vec<Secret> = (0..KNOWN).map(token).collect();
    let mut tokens = tokens.into_iter().zip(0_u128..);
    Box::new(move || {
        let (token, attempt) = tokens.next().unwrap();
        let hash = pepper.hash(&token);
        let step = Transition::Redeem(AttemptId(attempt.to_le_bytes()));
        keep(store.apply(&hash, &VerifyContext::at(NOW), step).unwrap());
    })
}

/// What is presented has the first `right` characters of a live token, another one each time, and differs
/// in the next.
pub fn guess(right: usize) -> Box<dyn FnMut()> {
    let pepper = pepper();
    let store = store(&pepper);
    let mut guesses = (0..KNOWN).map(|number| {
        let mut guess = token(number).expose().as_bytes().to_vec();
        let other = Secret::base64url(&bytes(u64::from(number) + 1));
        guess[right..].copy_from_slice(&other.expose().as_bytes()[right..]);
        // The last character of 43 holds 4 bits, and is one of 16.
        let wrong = if right == 42 { b"AE" } else { b"AB" };
        guess[right] = if token(number).expose().as_bytes()[right] == wrong[0] {
            wrong[1]
        } else {
            wrong[0]
        };
        guess
    });
    let mut guesses: Vec<Vec<u8>> = guesses.by_ref().collect();
    Box::new(move || {
        let guess = guesses.pop().unwrap();
        let refused = Secret::presented(&guess).map(|secret| {
            let step = Transition::Redeem(AttemptId([0; 16]));
            store
                .apply(&pepper.hash(&secret), &VerifyContext::at(NOW), step)
                .map(drop)
                .unwrap_err()
        });
        keep(refused.unwrap().public());
    })
}
