//! The store in memory: what its bounds, its sweeps and its threads do. What every store does is in `conformance`.

use core::num::NonZeroU32;
use std::sync::{Arc, Barrier};

use console_token::{
    Grant, LeaseRules, LeaseTransition, MemoryStore, Refusal, StoreError, TokenHash, TokenSelector, Transition, Uses,
    VerifyContext,
};

use crate::{at, attempt, context, spice, vnc};

const ALL: NonZeroU32 = NonZeroU32::MAX;

fn hash(first: u8, last: u8) -> TokenHash {
    let mut bytes = [0; 32];
    bytes[0] = first;
    bytes[31] = last;
    TokenHash::from_bytes(bytes)
}

fn redeem(store: &MemoryStore, hash: &TokenHash, now: u64) -> Result<Arc<Grant>, StoreError> {
    let admitted = store.apply(hash, &context(now), Transition::Redeem(attempt()));
    admitted.map(|admitted| admitted.grant)
}

#[test]
fn full_and_duplicate() {
    let store = MemoryStore::new(2);
    assert!(store.is_empty());
    store.insert(&hash(1, 0), &vnc()).unwrap();
    assert_eq!(store.insert(&hash(1, 0), &spice()), Err(StoreError::Duplicate));
    store.insert(&hash(2, 0), &vnc()).unwrap();
    assert_eq!(store.insert(&hash(3, 0), &vnc()), Err(StoreError::Full { limit: 2 }));
    assert_eq!(store.insert(&hash(1, 0), &vnc()), Err(StoreError::Duplicate));
    assert_eq!(store.len(), 2);
    let first = redeem(&store, &hash(1, 0), 1000);
    assert_eq!(*first.unwrap(), vnc(), "the first insert counts");
    assert_eq!(store.sweep(at(1599), ALL), 0);
    assert_eq!(store.sweep(at(1600), ALL), 2);
    assert!(store.is_empty());
    store.insert(&hash(3, 0), &vnc()).unwrap();

    let none = MemoryStore::new(0);
    assert_eq!(none.insert(&hash(1, 0), &vnc()), Err(StoreError::Full { limit: 0 }));
    let take = LeaseTransition::Take(attempt());
    let leases = none.leases("console", at(0), &LeaseRules::EXCLUSIVE, take);
    assert_eq!(leases, Err(StoreError::Full { limit: 0 }));
}

#[test]
fn an_exchange_that_finds_no_room_spends_nothing() {
    for last in [0, 9] {
        let store = MemoryStore::new(1);
        let url = vnc().with_scope(console_token::Scope::Exchange);
        store.insert(&hash(1, 0), &url).unwrap();
        let exchange = || store.exchange(&hash(1, 0), &context(1000), &hash(2, last), 20);
        assert_eq!(exchange(), Err(StoreError::Full { limit: 1 }));
        assert_eq!(store.record(&hash(1, 0)).unwrap().uses_left(), Some(1));
        assert_eq!(
            store.exchange(&hash(1, 0), &context(1000), &hash(1, 0), 20),
            Err(StoreError::Duplicate)
        );
    }
}

#[test]
fn sweeps_in_batches_reach_everything() {
    let store = MemoryStore::new(1000);
    for number in 0..1000_u16 {
        let [high, low] = number.to_be_bytes();
        store.insert(&hash(high, low), &vnc()).unwrap();
    }
    let batch = NonZeroU32::new(100).unwrap();
    let mut sweeps = Vec::new();
    loop {
        let swept = store.sweep(at(1600), batch);
        sweeps.push(swept);
        if swept < 100 {
            break;
        }
    }
    assert_eq!(sweeps.iter().sum::<usize>(), 1000);
    assert!(
        9 <= sweeps.len(),
        "{sweeps:?}: a batch goes on from where the last one stopped"
    );
    assert!(store.is_empty());
}

/// Starts `n` threads at once; how many of them succeed, and why the others do not.
fn race(n: usize, uses: u32, grant: Grant, transition: fn() -> Transition) -> (usize, Vec<StoreError>) {
    let store = MemoryStore::new(1);
    let grant = grant.with_uses(Uses::Limited(NonZeroU32::new(uses).unwrap()));
    store.insert(&hash(1, 0), &grant).unwrap();
    let barrier = Barrier::new(n);
    let results: Vec<_> = std::thread::scope(|scope| {
        let thread = || {
            barrier.wait();
            store.apply(&hash(1, 0), &context(1000), transition()).map(drop)
        };
        let threads: Vec<_> = (0..n).map(|_| scope.spawn(thread)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let refused: Vec<_> = results.iter().filter_map(|result| result.err()).collect();
    (n - refused.len(), refused)
}

#[test]
fn as_many_as_there_are_uses_succeed() {
    for uses in [1, 3] {
        for _ in 0..20 {
            for (grant, transition) in [
                (vnc(), (|| Transition::Redeem(attempt())) as fn() -> Transition),
                (spice(), || Transition::Claim(attempt())),
            ] {
                let (accepted, refused) = race(8, uses, grant, transition);
                assert_eq!(accepted, usize::try_from(uses).unwrap());
                assert_eq!(refused, vec![StoreError::Refused(Refusal::Spent); 8 - accepted]);
            }
        }
    }
}

/// Exchanges across shards in both directions at once: none waits for ever.
#[test]
fn exchanges_do_not_block_each_other() {
    let store = MemoryStore::new(10_000);
    let url = vnc()
        .with_scope(console_token::Scope::Exchange)
        .with_uses(Uses::Unlimited);
    let (one, other) = (hash(1, 1), hash(2, 200));
    store.insert(&one, &url).unwrap();
    store.insert(&other, &url).unwrap();
    std::thread::scope(|scope| {
        for (from, first, last) in [(one, 10, 200), (other, 20, 1)] {
            let store = &store;
            scope.spawn(move || {
                for number in 0..2000_u16 {
                    let mut bytes = *hash(first, last).as_bytes();
                    bytes[1..3].copy_from_slice(&number.to_be_bytes());
                    let context = VerifyContext::at(at(1000));
                    store
                        .exchange(&from, &context, &TokenHash::from_bytes(bytes), 20)
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(store.len(), 4002);
}

/// Of tokens that come, go and are revoked at the same time, none is counted wrongly.
#[test]
fn threads_that_come_and_go() {
    let store = MemoryStore::new(500);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..500_u16 {
                    let mut bytes = [thread; 32];
                    bytes[1..3].copy_from_slice(&number.to_be_bytes());
                    bytes[31] = bytes[2];
                    let hash = TokenHash::from_bytes(bytes);
                    if store.insert(&hash, &vnc().with_vm("vm1")) == Ok(()) {
                        // Another thread may just have swept it.
                        let redeemed = redeem(store, &hash, 1000).map(drop);
                        assert!(matches!(redeemed, Ok(()) | Err(StoreError::Refused(Refusal::Unknown))));
                    }
                    if number % 100 == 99 {
                        store.revoke(&TokenSelector::Vm("vm2"));
                        store.sweep(at(1600 - u64::from(number % 200 == 99)), ALL);
                    }
                }
            });
        }
    });
    assert!(store.len() <= 500);
    store.sweep(at(1600), ALL);
    assert_eq!(store.len(), 0);
    assert!(store.is_empty());
}

/// The `number`th of many, spread as keyed hashes are.
fn spread(number: u64) -> TokenHash {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    bytes[24..].copy_from_slice(&(mixed >> 7).to_le_bytes());
    TokenHash::from_bytes(bytes)
}

#[test]
fn a_redeem_allocates_nothing() {
    let store = MemoryStore::new(1000);
    for uses in [1, 2, 32, 33, u32::MAX] {
        let hash = spread(uses.into());
        let uses = Uses::Limited(NonZeroU32::new(uses).unwrap());
        store.insert(&hash, &vnc().with_uses(uses)).unwrap();
        let (mut accepted, mut refused) = (0, 0);
        let allocated = allocation_counter::measure(|| {
            for _ in 0..100 {
                match redeem(&store, &hash, 1000) {
                    Ok(_) => accepted += 1,
                    Err(_) => refused += 1,
                }
            }
            assert!(redeem(&store, &spread(0), 1000).is_err());
        });
        assert_eq!(
            allocated.count_total, 0,
            "{uses:?}: {accepted} accepted, {refused} refused"
        );
        assert!(0 < accepted);
    }
}

/// What `MemoryStore` says of its memory, at a million grants; and a sweep gives all of it back.
#[test]
fn memory_of_a_grant() {
    const GRANTS: u64 = 1_000_000;
    let grant = named();
    let store = MemoryStore::new(1_000_000);
    let filled = allocation_counter::measure(|| {
        for number in 0..GRANTS {
            store.insert(&spread(number), &grant).unwrap();
        }
    });
    let each = filled.bytes_current / i64::try_from(GRANTS).unwrap();
    println!("{each} bytes a grant, {} at most", filled.bytes_max / GRANTS);
    assert!((390..=580).contains(&each), "{each}");
    let swept = allocation_counter::measure(|| assert_eq!(store.sweep(at(1600), ALL), 1_000_000));
    assert_eq!(filled.bytes_current + swept.bytes_current, 0, "all is given back");
}

/// The same for grants of many uses: room for 32 attempts more, whatever of it is used.
#[test]
fn memory_of_a_grant_of_many_uses() {
    const GRANTS: u64 = 100_000;
    for (uses, least, most) in [(2, 390 + 48, 580 + 64), (32, 1160, 1350), (1000, 1160, 1350)] {
        let grant = named().with_uses(Uses::Limited(NonZeroU32::new(uses).unwrap()));
        let store = MemoryStore::new(100_000);
        let filled = allocation_counter::measure(|| {
            for number in 0..GRANTS {
                store.insert(&spread(number), &grant).unwrap();
            }
        });
        let redeemed = allocation_counter::measure(|| {
            for number in 0..GRANTS {
                redeem(&store, &spread(number), 1000).unwrap();
            }
        });
        let each = filled.bytes_current / i64::try_from(GRANTS).unwrap();
        println!("{each} bytes a grant of {uses} uses");
        assert!((least..=most).contains(&each), "{uses} uses: {each}");
        assert_eq!(redeemed.count_total, 0, "{uses} uses");
    }
}

/// A grant with the names that most have.
fn named() -> Grant {
    vnc()
        .with_vm("9d9d3a8e-6f5c-4b0a-9a77-0d2a5f6d9e11")
        .with_user("4b825dc642cb6eb9a060e54bf8d69288")
        .with_issuer("nova")
}

#[test]
fn debug_shows_counts_only() {
    let store = MemoryStore::new(3);
    store.insert(&hash(1, 0), &vnc()).unwrap();
    assert_eq!(format!("{store:?}"), "MemoryStore { len: 1, limit: 3, .. }");
}
