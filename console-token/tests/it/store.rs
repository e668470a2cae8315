//! The store in memory: look-up, bounds, purge, and two claims at once.

use std::sync::{Arc, Barrier, Mutex};

use console_token::{Admitted, MemoryStore, Refusal, SessionId, Store, StoreError, TokenHash, UnixSeconds};

use crate::{at, spice, vnc};

fn hash(first: u8, last: u8) -> TokenHash {
    let mut bytes = [0; 32];
    bytes[0] = first;
    bytes[31] = last;
    TokenHash::from_bytes(bytes)
}

#[test]
fn every_method_needs_a_record() {
    let mut store = MemoryStore::new(1);
    let (unknown, session) = (hash(1, 1), SessionId::new(0));
    let refused = StoreError::Refused(Refusal::Unknown);
    // The second round has a record with the same fingerprint, which must not be taken for it.
    for _ in 0..2 {
        assert_eq!(store.check(&unknown, at(1000)), Err(refused));
        assert_eq!(store.redeem(&unknown, at(1000)), Err(refused));
        assert_eq!(store.claim(&unknown, at(1000)), Err(refused));
        assert_eq!(store.bind(&unknown, session, 1), Err(refused));
        assert_eq!(store.release(&unknown, session), Err(refused));
        assert_eq!(store.join(&unknown, at(1000), 1), Err(refused));
        assert_eq!(store.close(&unknown, session), Err(refused));
        assert!(store.record(&unknown).is_none());
        let _ = store.insert(hash(1, 2), spice());
    }
}

#[test]
fn same_fingerprint_other_token() {
    let mut store = MemoryStore::new(3);
    let (one, other) = (hash(1, 1), hash(1, 2));
    assert_eq!(one.fingerprint(), other.fingerprint());
    store.insert(one, vnc()).unwrap();
    store.insert(other, spice()).unwrap();
    assert_eq!(store.len(), 2);
    assert_eq!(store.redeem(&one, at(1000)), Ok(vnc()));
    assert_eq!(
        store.claim(&other, at(1000)).map(|admitted| admitted.grant),
        Ok(spice())
    );
    assert_eq!(store.redeem(&one, at(1000)), Err(StoreError::Refused(Refusal::Spent)));

    // One of the two has an open session and stays.
    assert_eq!(store.purge(at(1600)), 1);
    assert!(store.record(&one).is_none());
    assert!(store.record(&other).is_some());
}

#[test]
fn full_and_duplicate() {
    let mut store = MemoryStore::new(2);
    assert!(store.is_empty());
    store.insert(hash(1, 0), vnc()).unwrap();
    assert_eq!(store.insert(hash(1, 0), spice()), Err(StoreError::Duplicate));
    store.insert(hash(2, 0), vnc()).unwrap();
    assert_eq!(store.insert(hash(3, 0), vnc()), Err(StoreError::Full { limit: 2 }));
    assert_eq!(store.insert(hash(1, 0), vnc()), Err(StoreError::Duplicate));
    assert_eq!(store.len(), 2);
    assert_eq!(
        store.redeem(&hash(1, 0), at(1000)),
        Ok(vnc()),
        "the first insert counts"
    );
    assert_eq!(store.purge(at(1599)), 0);
    assert_eq!(store.purge(at(1600)), 2);
    assert!(store.is_empty());
    store.insert(hash(3, 0), vnc()).unwrap();

    assert_eq!(
        MemoryStore::new(0).insert(hash(1, 0), vnc()),
        Err(StoreError::Full { limit: 0 })
    );
}

#[test]
fn check_spends_nothing() {
    let mut store = MemoryStore::new(1);
    store.insert(hash(1, 0), vnc()).unwrap();
    let before = store.record(&hash(1, 0)).cloned();
    assert_eq!(store.check(&hash(1, 0), at(1000)), Ok(vnc()));
    assert_eq!(store.check(&hash(1, 0), at(1600)), Err(Refusal::Expired.into()));
    assert_eq!(store.record(&hash(1, 0)).cloned(), before);
}

#[test]
fn purge_waits_for_sessions() {
    let mut store = MemoryStore::new(1);
    let token = hash(1, 0);
    store.insert(token, spice()).unwrap();
    let Admitted { session, .. } = store.claim(&token, at(1000)).unwrap();
    assert_eq!(store.purge(at(u64::MAX)), 0, "claimed");
    store.bind(&token, session, 5).unwrap();
    assert_eq!(store.purge(at(u64::MAX)), 0, "bound");
    store.close(&token, session).unwrap();
    assert_eq!(store.purge(at(1599)), 0, "closed, spent, not expired");
    assert_eq!(store.purge(at(1600)), 1);
    assert_eq!(store.join(&token, at(1600), 5), Err(Refusal::Unknown.into()));
}

/// A gateway chooses its store when it starts, so the trait has to work behind a pointer.
#[test]
fn the_trait_is_dyn_compatible() {
    let mut memory = MemoryStore::new(1);
    let store: &mut dyn Store<Backend = core::convert::Infallible> = &mut memory;
    store.insert(hash(1, 0), vnc()).unwrap();
    store.redeem(&hash(1, 0), at(1000)).unwrap();
}

/// Starts `n` threads at once; how many of them succeed, and why the others do not.
fn race<T: 'static>(
    n: usize,
    store: MemoryStore,
    act: fn(&mut MemoryStore, UnixSeconds) -> Result<T, StoreError>,
) -> (usize, Vec<StoreError>) {
    let store = Arc::new(Mutex::new(store));
    let barrier = Arc::new(Barrier::new(n));
    let threads: Vec<_> = (0..n)
        .map(|_| {
            let (store, barrier) = (Arc::clone(&store), Arc::clone(&barrier));
            std::thread::spawn(move || {
                barrier.wait();
                act(&mut store.lock().unwrap(), at(1000)).map(|_| ())
            })
        })
        .collect();
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let refused: Vec<_> = results.iter().filter_map(|result| result.err()).collect();
    (n - refused.len(), refused)
}

#[test]
fn one_of_many_succeeds() {
    for _ in 0..20 {
        let mut store = MemoryStore::new(1);
        store.insert(hash(1, 0), spice()).unwrap();
        let (accepted, refused) = race(8, store, |store, now| store.claim(&hash(1, 0), now));
        assert_eq!(accepted, 1);
        assert_eq!(refused, [StoreError::Refused(Refusal::Spent); 7]);

        let mut store = MemoryStore::new(1);
        store.insert(hash(1, 0), vnc()).unwrap();
        let (accepted, refused) = race(8, store, |store, now| store.redeem(&hash(1, 0), now));
        assert_eq!(accepted, 1);
        assert_eq!(refused, [StoreError::Refused(Refusal::Spent); 7]);
    }
}
