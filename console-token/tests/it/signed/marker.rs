//! Each token is taken once.

use core::num::NonZeroU32;
use std::collections::BTreeSet;
use std::thread;

use console_token::signed::{Claims, Rule};
use console_token::{ConsoleType, MemoryStore, Pepper, Secret, StoreError, Target, Transition, Uses, VerifyContext};

use super::{AUDIENCE, HS, ISSUER, NOW, SECRET, WEBSOCKIFY_BY_OPENSSL, by_secret, claims, key, keys, presented, rule};
use crate::{at, attempt};

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
    let context = |now| VerifyContext::at(at(now)).with_audience(AUDIENCE);
    let redeem = |store: &MemoryStore, now: u64| -> bool {
        let Ok(verified) = keys.verify(&token, &rule, at(now)) else {
            return false;
        };
        let hash = verified.marker(&pepper());
        match store.insert(&hash, &verified.grant(target(), ConsoleType::NoVnc)) {
            Ok(()) | Err(StoreError::Duplicate) => {}
            Err(error) => panic!("{error}"),
        }
        store.apply(&hash, &context(now), Transition::Redeem(attempt())).is_ok()
    };
    for first in [NOW - 30, NOW, NOW + 299, NOW + 329] {
        // The right time goes on; each gateway's and the sweeper's clocks are off by the skew, either way.
        let store = MemoryStore::new(10);
        assert!(redeem(&store, first), "{first}");
        for right in NOW - 60..NOW + 400 {
            for off in [-30_i64, 0, 30] {
                let clock = right.checked_add_signed(off).unwrap();
                if first - 30 <= right {
                    store.sweep(at(clock), NonZeroU32::MAX);
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
