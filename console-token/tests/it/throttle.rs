//! Attempts by source.

use core::{net::IpAddr, num::NonZeroU32};

use console_token::{Refusal, Throttle};

use crate::at;

fn throttle(burst: u32, refill: u32, limit: usize) -> Throttle {
    Throttle::new(NonZeroU32::new(burst).unwrap(), NonZeroU32::new(refill).unwrap(), limit)
}

fn source(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// How many attempts of a source are admitted before one is refused.
fn admitted(throttle: &mut Throttle, source: IpAddr, now: u64) -> usize {
    (0..1000)
        .take_while(|_| throttle.admit(source, at(now)).is_ok())
        .count()
}

#[test]
fn a_burst_then_one_by_one() {
    let mut throttle = throttle(5, 10, 100);
    let one = source("192.0.2.1");
    assert_eq!(admitted(&mut throttle, one, 1000), 5);
    assert_eq!(throttle.admit(one, at(1009)), Err(Refusal::TooManyAttempts));
    assert_eq!(admitted(&mut throttle, one, 1010), 1);
    assert_eq!(admitted(&mut throttle, one, 1030), 2);
    assert_eq!(admitted(&mut throttle, one, 9999), 5, "never more than the burst");
    throttle.forgive(one);
    assert_eq!(admitted(&mut throttle, one, 9999), 1);
}

#[test]
fn sources_count_on_their_own() {
    let mut throttle = throttle(2, 10, 100);
    for (text, rest) in [
        ("192.0.2.1", 2),
        ("::ffff:192.0.2.1", 0),
        ("192.0.2.2", 2),
        ("2001:db8::1", 2),
        ("2001:db8::ffff:1:2", 0),
        ("2001:db8:0:1::1", 2),
    ] {
        assert_eq!(admitted(&mut throttle, source(text), 1000), rest, "{text}");
    }
    assert_eq!(throttle.len(), 4);
}

#[test]
fn a_full_table_shares_one_count() {
    let mut throttle = throttle(3, 10, 2);
    assert_eq!(admitted(&mut throttle, source("192.0.2.1"), 1000), 3);
    assert_eq!(admitted(&mut throttle, source("192.0.2.2"), 1000), 3);
    assert_eq!(admitted(&mut throttle, source("192.0.2.3"), 1000), 3);
    assert_eq!(admitted(&mut throttle, source("192.0.2.4"), 1000), 0);
    assert_eq!(throttle.len(), 2);
    // Those that have all of their attempts back are forgotten.
    assert_eq!(admitted(&mut throttle, source("192.0.2.4"), 1030), 3);
    assert_eq!(throttle.len(), 1);
    assert!(!throttle.is_empty());
}

#[test]
fn clocks_that_jump() {
    let mut throttle = throttle(5, 10, 100);
    let one = source("192.0.2.1");
    assert_eq!(admitted(&mut throttle, one, 100_000), 5);
    // Hours back: the count starts as if it had just been used up, not hours ahead.
    assert_eq!(admitted(&mut throttle, one, 1000), 0);
    assert_eq!(
        admitted(&mut throttle, one, 1050),
        0,
        "the refused ones have not moved the clock"
    );
    throttle.forgive(one);
    for now in [0, u64::MAX - 1, u64::MAX, 5] {
        let _ = throttle.admit(one, at(now));
        let _ = throttle.admit(source("2001:db8::1"), at(now));
    }
}

#[test]
fn the_largest_numbers() {
    let mut throttle = throttle(u32::MAX, u32::MAX, 1);
    throttle.admit(source("192.0.2.1"), at(0)).unwrap();
    throttle.admit(source("192.0.2.1"), at(u64::MAX)).unwrap_err();
}
