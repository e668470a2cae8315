//! The store in memory: what its bounds, its sweeps and its threads do. What every store does is in `conformance`.

use core::num::NonZeroU32;
use std::sync::{Arc, Barrier};

use console_token::{Gate, Grant, MemoryStore, Refusal, SeatRules, SeatStep, Step, StoreError, TokenHash, Uses, Which};

use crate::{at, attempt, gate, spice, vnc};

const ALL: NonZeroU32 = NonZeroU32::MAX;

fn hash(first: u8, last: u8) -> TokenHash {
    let mut bytes = [0; 32];
    bytes[0] = first;
    bytes[31] = last;
    TokenHash::from_bytes(bytes)
}

fn redeem(store: &MemoryStore, hash: &TokenHash, now: u64) -> Result<Arc<Grant>, StoreError> {
    let admitted = store.apply(hash, &gate(now), Step::Redeem(attempt()));
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
    let take = SeatStep::Take(attempt());
    let seats = none.seats("console", at(0), &SeatRules::EXCLUSIVE, take);
    assert_eq!(seats, Err(StoreError::Full { limit: 0 }));
}

#[test]
fn an_exchange_that_finds_no_room_spends_nothing() {
    for last in [0, 9] {
        let store = MemoryStore::new(1);
        let url = vnc().with_scope(console_token::Scope::Exchange);
        store.insert(&hash(1, 0), &url).unwrap();
        let exchange = || store.exchange(&hash(1, 0), &gate(1000), &hash(2, last), 20);
        assert_eq!(exchange(), Err(StoreError::Full { limit: 1 }));
        assert_eq!(store.record(&hash(1, 0)).unwrap().uses_left(), Some(1));
        assert_eq!(
            store.exchange(&hash(1, 0), &gate(1000), &hash(1, 0), 20),
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
fn race(n: usize, uses: u32, grant: Grant, step: fn() -> Step) -> (usize, Vec<StoreError>) {
    let store = MemoryStore::new(1);
    let grant = grant.with_uses(Uses::Limited(NonZeroU32::new(uses).unwrap()));
    store.insert(&hash(1, 0), &grant).unwrap();
    let barrier = Barrier::new(n);
    let results: Vec<_> = std::thread::scope(|scope| {
        let thread = || {
            barrier.wait();
            store.apply(&hash(1, 0), &gate(1000), step()).map(drop)
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
            for (grant, step) in [
                (vnc(), (|| Step::Redeem(attempt())) as fn() -> Step),
                (spice(), || Step::Claim(attempt())),
            ] {
                let (accepted, refused) = race(8, uses, grant, step);
                assert_eq!(accepted, usize::try_from(uses).unwrap());
                assert_eq!(refused, vec![StoreError::Refused(Refusal::Spent); 8 - accepted]);
            }
        }
    }
}

/// Exchanges across shards in both directions at once: nobody waits for ever.
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
                    let gate = Gate::at(at(1000));
                    store.exchange(&from, &gate, &TokenHash::from_bytes(bytes), 20).unwrap();
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
                        redeem(store, &hash, 1000).unwrap();
                    }
                    if number % 100 == 99 {
                        store.revoke(&Which::Vm("vm2"));
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

#[test]
fn debug_shows_counts_only() {
    let store = MemoryStore::new(3);
    store.insert(&hash(1, 0), &vnc()).unwrap();
    assert_eq!(format!("{store:?}"), "MemoryStore { len: 1, limit: 3, .. }");
}
