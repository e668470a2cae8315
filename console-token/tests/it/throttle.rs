//! The brake on wrong passwords and tokens.

use core::{
    net::{IpAddr, Ipv4Addr},
    num::{NonZeroU32, NonZeroUsize},
};
use std::collections::BTreeMap;

use console_token::{Rate, Refusal, Throttle, ThrottleRules};
use proptest::{collection::vec, prelude::*};

use crate::at;

fn rate(burst: u32, refill: u32) -> Rate {
    Rate::new(NonZeroU32::new(burst).unwrap(), NonZeroU32::new(refill).unwrap())
}

/// `burst` at once and one back every `refill` seconds at each account, and so much more for each source.
fn throttle(burst: u32, refill: u32, source: Rate, limit: usize) -> Throttle {
    let rules = ThrottleRules::default()
        .with_per_account(rate(burst, refill))
        .with_per_source(source)
        .with_limit(NonZeroUsize::new(limit).unwrap());
    Throttle::new(rules)
}

const WIDE: Rate = Rate::new(NonZeroU32::new(1_000_000).unwrap(), NonZeroU32::MIN);

fn source(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn numbered(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

/// How many wrong passwords of a source are looked at before one is refused.
fn admitted(throttle: &mut Throttle, source: IpAddr, account: &str, now: u64) -> usize {
    (0..1000)
        .take_while(|_| throttle.attempt(source, account.as_bytes(), at(now)).is_ok())
        .count()
}

#[test]
fn a_burst_then_one_by_one() {
    let mut throttle = throttle(5, 10, WIDE, 100);
    let one = source("192.0.2.1");
    assert_eq!(admitted(&mut throttle, one, "db-7", 1000), 5);
    assert_eq!(throttle.attempt(one, b"db-7", at(1009)), Err(Refusal::TooManyAttempts));
    assert_eq!(admitted(&mut throttle, one, "db-7", 1010), 1);
    assert_eq!(admitted(&mut throttle, one, "db-7", 1030), 2);
    assert_eq!(
        admitted(&mut throttle, one, "db-7", 9999),
        5,
        "never more than the burst"
    );
}

#[test]
fn sources_and_accounts_count_on_their_own() {
    let mut throttle = throttle(2, 10, WIDE, 100);
    for (text, account, rest) in [
        ("192.0.2.1", "a", 2),
        ("::ffff:192.0.2.1", "a", 0),
        ("192.0.2.1", "b", 2),
        ("192.0.2.2", "a", 2),
        ("2001:db8::1", "a", 2),
        ("2001:db8::ffff:1:2", "a", 0),
        ("2001:db8:0:1::1", "a", 2),
        ("192.0.2.1", "", 2),
    ] {
        assert_eq!(
            admitted(&mut throttle, source(text), account, 1000),
            rest,
            "{text} {account}"
        );
    }
    assert_eq!(throttle.len(), 10, "4 sources, 6 accounts");
}

/// What a success gives back is at the account whose password was right.
#[test]
fn a_right_password() {
    let mut throttle = throttle(3, 10, rate(6, 10), 100);
    let one = source("192.0.2.1");
    // 1000 right ones in a row: none of them counts.
    for _ in 0..1000 {
        throttle.attempt(one, b"own", at(1000)).unwrap();
        throttle.succeeded(one, b"own");
    }
    assert_eq!(admitted(&mut throttle, one, "victim", 1000), 3);
    throttle.attempt(one, b"own", at(1000)).unwrap();
    throttle.succeeded(one, b"own");
    assert_eq!(
        admitted(&mut throttle, one, "victim", 1000),
        0,
        "an attacker with an account gains nothing"
    );
    // Wrong ones before the right one are forgotten at the account, and count at the source.
    assert_eq!(throttle.attempt(one, b"own", at(1000)), Ok(()));
    assert_eq!(throttle.attempt(one, b"own", at(1000)), Ok(()));
    throttle.succeeded(one, b"own");
    assert_eq!(
        admitted(&mut throttle, one, "own", 1000),
        2,
        "6 of the source less 3 and 1"
    );
    throttle.succeeded(source("192.0.2.9"), b"own");
    throttle.succeeded(one, b"never tried");
}

#[test]
fn one_password_at_many_accounts() {
    let mut throttle = throttle(5, 10, rate(20, 3), 1000);
    let one = source("192.0.2.1");
    let spray = |throttle: &mut Throttle, now| {
        (0..1000_u32)
            .filter(|account| throttle.attempt(one, &account.to_le_bytes(), at(now)).is_ok())
            .count()
    };
    assert_eq!(spray(&mut throttle, 1000), 20);
    assert_eq!(throttle.len(), 21, "what is refused is not kept");
    assert_eq!(spray(&mut throttle, 1009), 3);
}

/// 1000 addresses guess at the account of a user, who comes from another one.
#[test]
fn guesses_of_strangers_lock_no_user_out() {
    let mut throttle = Throttle::new(ThrottleRules::default());
    let user = source("198.51.100.7");
    for now in 1000..1010 {
        for stranger in 0..1000 {
            for _ in 0..10 {
                let _ = throttle.attempt(numbered(stranger), b"db-7", at(now));
            }
        }
        // Mistypes twice.
        for _ in 0..2 {
            assert_eq!(throttle.attempt(user, b"db-7", at(now)), Ok(()));
        }
        assert_eq!(throttle.attempt(user, b"db-7", at(now)), Ok(()));
        throttle.succeeded(user, b"db-7");
    }
}

/// A flood fills the table: newcomers have all of their attempts, and a count that is in use is kept.
#[test]
fn a_full_table_locks_no_user_out() {
    let mut throttle = throttle(3, 1000, rate(100, 1000), 64);
    let guesser = source("192.0.2.1");
    assert_eq!(admitted(&mut throttle, guesser, "db-7", 1000), 3);
    for stranger in 0..10_000 {
        assert_eq!(
            admitted(&mut throttle, numbered(stranger), "db-7", 1000),
            3,
            "{stranger}"
        );
        assert!(throttle.len() <= 64);
        assert_eq!(admitted(&mut throttle, guesser, "db-7", 1000), 0, "{stranger}");
    }
    // 32 others in between, and the count is forgotten: for its owner's good.
    for stranger in 0..32 {
        admitted(&mut throttle, numbered(stranger), "db-7", 1000);
    }
    assert_eq!(admitted(&mut throttle, guesser, "db-7", 1000), 3);
}

#[test]
fn what_is_over_is_forgotten() {
    let mut throttle = throttle(3, 10, rate(3, 10), 10_000);
    for stranger in 0..3000 {
        throttle.attempt(numbered(stranger), b"", at(1000)).unwrap();
    }
    assert_eq!(throttle.len(), 6000);
    for _ in 0..6000 {
        throttle.attempt(source("192.0.2.1"), b"", at(1100)).ok();
    }
    assert_eq!(throttle.len(), 2);
    assert!(!throttle.is_empty());
    assert!(Throttle::new(ThrottleRules::default()).is_empty());
}

#[test]
fn memory_is_bounded() {
    let rules = ThrottleRules::default();
    let info = allocation_counter::measure(|| {
        let mut throttle = Throttle::new(rules);
        for stranger in 0..50_000 {
            throttle.attempt(numbered(stranger), &[0; 300], at(1000)).unwrap();
        }
        assert_eq!(throttle.len(), 65_536);
    });
    assert!(info.bytes_max < 15_000_000, "{} bytes", info.bytes_max);
}

#[test]
fn clocks_that_jump() {
    let mut throttle = throttle(5, 10, WIDE, 100);
    let one = source("192.0.2.1");
    assert_eq!(admitted(&mut throttle, one, "", 100_000), 5);
    // Hours back: the count starts as if it had just been used up, not hours ahead.
    assert_eq!(admitted(&mut throttle, one, "", 1000), 0);
    assert_eq!(
        admitted(&mut throttle, one, "", 1050),
        0,
        "the refused ones have not moved the clock"
    );
    throttle.succeeded(one, b"");
    for now in [0, u64::MAX - 1, u64::MAX, 5] {
        let _ = throttle.attempt(one, b"", at(now));
        let _ = throttle.attempt(source("2001:db8::1"), b"", at(now));
    }
}

#[test]
fn the_largest_numbers() {
    let mut throttle = throttle(u32::MAX, u32::MAX, rate(u32::MAX, u32::MAX), 1);
    throttle.attempt(source("192.0.2.1"), b"", at(0)).unwrap();
    throttle.attempt(source("192.0.2.1"), b"", at(u64::MAX)).unwrap_err();
}

/// Failures only are counted: what is looked at and not counted takes nothing from anybody.
#[test]
fn a_look_counts_nothing() {
    let mut throttle = throttle(2, 10, WIDE, 100);
    let one = source("192.0.2.1");
    for _ in 0..1000 {
        throttle.check(one, b"", at(0)).unwrap();
    }
    assert!(throttle.is_empty());
    assert_eq!(admitted(&mut throttle, one, "", 0), 2);
    throttle.check(one, b"", at(9)).unwrap_err();
    throttle.check(one, b"", at(10)).unwrap();
    throttle.check(one, b"other", at(0)).unwrap();
}

/// Seconds until a count is back at its start, by the second.
type Debts<K> = BTreeMap<K, u64>;

proptest! {
    /// Against counts that run down second by second.
    #[test]
    fn the_throttle_does_what_counters_do(
        account in (1_u32..5, 1_u32..5), all in (1_u32..9, 1_u32..4),
        transitions in vec((0_u64..4, 0_u32..3, 0_u8..3, any::<bool>()), 0..80),
    ) {
        let mut tested = throttle(account.0, account.1, rate(all.0, all.1), 1000);
        let (mut accounts, mut sources) = (Debts::new(), Debts::new());
        let mut now = 0;
        for (later, source, name, is_right) in transitions {
            now += later;
            for debt in accounts.values_mut().chain(sources.values_mut()) {
                *debt = debt.saturating_sub(later);
            }
            let by_account = accounts.entry((source, name)).or_insert(0);
            let by_source = sources.entry(source).or_insert(0);
            let fits = |debt: u64, (burst, refill): (u32, u32)| debt + u64::from(refill) <= u64::from(burst * refill);
            let expected = if fits(*by_account, account) && fits(*by_source, all) {
                *by_account += u64::from(account.1);
                *by_source += u64::from(all.1);
                Ok(())
            } else {
                Err(Refusal::TooManyAttempts)
            };
            let looked = tested.check(numbered(source), &[name], at(now));
            prop_assert_eq!(looked, expected, "{} {}", source, name);
            let answer = tested.attempt(numbered(source), &[name], at(now));
            prop_assert_eq!(answer, expected, "{} {}", source, name);
            if answer.is_ok() && is_right {
                *by_account = 0;
                *by_source = by_source.saturating_sub(u64::from(all.1));
                tested.succeeded(numbered(source), &[name]);
            }
        }
    }
}
