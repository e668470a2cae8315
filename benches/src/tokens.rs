//! Tokens: what it costs to redeem one, and to refuse a guess.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use console_token::{
    AttemptId, ConsoleType, Grant, MemoryStore, Pepper, Secret, Target, TokenHash, Transition, UnixSeconds,
    VerifyContext,
};

use crate::keep;

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
    let mut state = seed;
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        part.copy_from_slice(&(mixed ^ (mixed >> 27)).to_le_bytes());
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
