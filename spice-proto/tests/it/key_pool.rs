//! Keys that are ready, and what they may be used for.

use std::time::Duration;

use rsa::BigUint;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use spice_proto::link::ticket::TicketError;
use spice_proto::link::{Key, KeyHandle, KeyPool, KeyPoolConfig, PublicKey, SealedTicket};

use crate::pair::random;

const SECOND: Duration = Duration::from_secs(1);

fn config() -> KeyPoolConfig {
    KeyPoolConfig::default().with_stock(2)
}

/// With so many keys, made at time 0.
fn pool(config: KeyPoolConfig, keys: u64) -> KeyPool {
    let mut pool = KeyPool::new(config);
    for seed in 0..keys {
        pool.put(Duration::ZERO, Key::generate(&mut random(seed + 100)).unwrap());
    }
    pool
}

fn seal(handle: &KeyHandle, seed: u8) -> SealedTicket {
    handle.public().seal(b"token", [seed; 20]).unwrap()
}

fn open(pool: &mut KeyPool, handle: KeyHandle, sealed: SealedTicket) -> Result<Vec<u8>, TicketError> {
    let opened = pool.opening(handle, sealed)?.open(&mut random(7))?;
    Ok(opened.expose().to_vec())
}

#[test]
fn a_fresh_key_is_preferred_and_no_link_waits() {
    let mut pool = pool(config(), 2);
    assert_eq!(pool.fresh(), 2);
    let (one, two) = (pool.take(SECOND).unwrap(), pool.take(SECOND).unwrap());
    assert!(one.public() != two.public());
    // From here on they are shared, evenly.
    let mut shown: Vec<KeyHandle> = (0..100).map(|_| pool.take(SECOND).unwrap()).collect();
    let with_one = shown.iter().filter(|handle| handle.public() == one.public()).count();
    assert_eq!(with_one, 50);
    // A new one is preferred as soon as it is there.
    pool.put(SECOND, Key::generate(&mut random(5)).unwrap());
    let fresh = pool.take(SECOND).unwrap();
    assert!(![one.public(), two.public()].contains(&fresh.public()));
    // Each opens its own link's ticket.
    shown.extend([one, two, fresh]);
    for (n, handle) in shown.into_iter().enumerate() {
        let sealed = seal(&handle, n as u8);
        assert_eq!(open(&mut pool, handle, sealed), Ok(b"token".to_vec()));
    }
}

/// A link that hangs up gives its key back. A key without a link is shared before one of a link that is under way, and a key
/// whose tickets are all known before one whose link ended without a ticket.
#[test]
fn keys_come_back() {
    let mut pool = pool(config(), 3);
    let handles: Vec<KeyHandle> = (0..3).map(|_| pool.take(SECOND).unwrap()).collect();
    let keys: Vec<PublicKey> = handles.iter().map(KeyHandle::public).collect();
    let [stays, leaves, shows] = handles.try_into().unwrap();
    drop(leaves);
    let sealed = seal(&shows, 1);
    open(&mut pool, shows, sealed).unwrap();
    let next: Vec<KeyHandle> = (0..3).map(|_| pool.take(SECOND).unwrap()).collect();
    let order: Vec<PublicKey> = next.iter().map(KeyHandle::public).collect();
    assert_eq!(order[..2], [keys[2], keys[1]]);
    drop((stays, next));
    // Links that hang up consume nothing, however many they are.
    for _ in 0..900 {
        drop(pool.take(SECOND).unwrap());
    }
}

#[test]
fn a_ticket_opens_once_with_a_key() {
    let mut pool = pool(config(), 1);
    let (victim, attacker, other) = (
        pool.take(SECOND).unwrap(),
        pool.take(SECOND).unwrap(),
        pool.take(SECOND).unwrap(),
    );
    assert_eq!(victim.public(), attacker.public());
    let sealed = seal(&victim, 1);
    assert_eq!(open(&mut pool, victim, sealed.clone()), Ok(b"token".to_vec()));
    assert_eq!(open(&mut pool, attacker, sealed), Err(TicketError::Replayed));
    // The same password, sealed anew, is another ticket; what does not open is known as well.
    let sealed = seal(&other, 2);
    assert_eq!(open(&mut pool, other, sealed), Ok(b"token".to_vec()));
    for expected in [TicketError::Undecryptable, TicketError::Replayed] {
        let handle = pool.take(SECOND).unwrap();
        assert_eq!(open(&mut pool, handle, SealedTicket([1; 128])), Err(expected));
    }
}

/// A ticket has one sealed form: the number plus the modulus, which is the same to RSA, does not open.
#[test]
fn a_ticket_has_one_form() {
    let mut pool = pool(config(), 1);
    let handle = pool.take(SECOND).unwrap();
    let modulus = rsa::RsaPublicKey::from_public_key_der(handle.public().as_der())
        .unwrap()
        .n()
        .to_bytes_be();
    let modulus = BigUint::from_bytes_be(&modulus);
    let other_form = (0..=255).find_map(|seed| {
        let sum = BigUint::from_bytes_be(&seal(&handle, seed).0) + &modulus;
        <[u8; 128]>::try_from(sum.to_bytes_be()).ok()
    });
    let other_form = SealedTicket(other_form.expect("one of 256 is small enough"));
    assert_eq!(open(&mut pool, handle, other_form), Err(TicketError::Undecryptable));
}

#[test]
fn a_key_serves_so_many_links_tickets_and_seconds() {
    // Links, whether or not they show a ticket.
    let mut links = pool(config().with_links(3), 1);
    for _ in 0..3 {
        drop(links.take(SECOND).unwrap());
    }
    assert!(links.take(SECOND).is_none());
    // Tickets: those that may still come count, and give way when their link ends.
    let mut tickets = pool(config().with_openings(3), 1);
    let mut handles: Vec<KeyHandle> = (0..3).map(|_| tickets.take(SECOND).unwrap()).collect();
    assert!(tickets.take(SECOND).is_none());
    handles.pop();
    handles.push(tickets.take(SECOND).unwrap());
    for (n, handle) in handles.into_iter().enumerate() {
        let sealed = seal(&handle, n as u8);
        open(&mut tickets, handle, sealed).unwrap();
    }
    assert!(tickets.take(SECOND).is_none());
    // Seconds, from the first link on; a link that has the key still shows its ticket.
    let mut seconds = pool(config().with_lifetime(10 * SECOND), 1);
    let first = seconds.take(100 * SECOND).unwrap();
    let last = seconds.take(Duration::from_millis(109_999)).unwrap();
    assert!(seconds.take(110 * SECOND).is_none());
    for (n, handle) in [first, last].into_iter().enumerate() {
        let sealed = seal(&handle, n as u8);
        assert_eq!(open(&mut seconds, handle, sealed), Ok(b"token".to_vec()));
    }
}

#[test]
fn keys_are_wanted_at_a_pace() {
    let pause = Duration::from_millis(200);
    let mut pool = KeyPool::new(config());
    assert!(pool.take(SECOND).is_none());
    assert_eq!(pool.wants_key(SECOND), Some(Duration::ZERO), "the first at once");
    let key = || Key::generate(&mut random(9)).unwrap();
    pool.put(SECOND, key());
    assert_eq!(pool.wants_key(SECOND), Some(pause));
    assert_eq!(pool.wants_key(SECOND + pause / 2), Some(pause / 2));
    assert_eq!(pool.wants_key(2 * SECOND), Some(Duration::ZERO));
    pool.put(2 * SECOND, key());
    assert_eq!(pool.wants_key(3 * SECOND), None, "the stock is full");
    // However many come and go, no more are made.
    for _ in 0..500 {
        drop(pool.take(2 * SECOND).unwrap());
    }
    assert_eq!(pool.wants_key(2 * SECOND), Some(pause));
    // Where there is none that may be used there is no pause.
    let handles: Vec<KeyHandle> = std::iter::from_fn(|| pool.take(2 * SECOND)).collect();
    assert_eq!(handles.len(), 512, "what two keys may open");
    assert_eq!(pool.wants_key(2 * SECOND), Some(Duration::ZERO));
}

#[test]
fn a_handle_of_another_pool() {
    let (mut here, mut there) = (pool(config(), 1), pool(config(), 1));
    let (mine, theirs) = (here.take(SECOND).unwrap(), there.take(SECOND).unwrap());
    let sealed = seal(&theirs, 1);
    assert_eq!(open(&mut here, theirs, sealed), Err(TicketError::Undecryptable));
    drop(mine);
    let shown = format!("{here:?}");
    assert!(shown.contains("fresh: 0, served: 1"), "{shown}");
}
