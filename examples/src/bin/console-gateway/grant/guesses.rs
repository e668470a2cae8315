//! A brake on guesses: of tokens, by where they come from; and of a console's password behind a good token, by that token.
//!
//! Wrong ones are counted, and right ones are not, so that any number of viewers gets in behind one address. A source that
//! has guessed too often is refused without a look at what it shows: neither the store nor an RSA key has work with it.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::Mutex;

use console_token::{Rate, Refusal, Throttle, ThrottleRules, UnixSeconds};

use crate::sync::lock;

const fn rate(burst: u32, refill: u32) -> Rate {
    match (NonZeroU32::new(burst), NonZeroU32::new(refill)) {
        (Some(burst), Some(refill)) => Rate::new(burst, refill),
        _ => Rate::new(NonZeroU32::MIN, NonZeroU32::MIN),
    }
}

/// Wrong tokens of one source: 100 at once, and one back each second.
const TOKENS: Rate = rate(100, 1);
/// Wrong passwords behind one token, from wherever: 10 at once, and one back in 30 seconds.
const PASSWORDS: Rate = rate(10, 30);
/// For the count that is not used.
const ANY: Rate = rate(1_000_000, 1);
/// All sources are one, where the token counts.
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Wrong tokens and passwords so far.
pub(crate) struct Guesses {
    by_source: Mutex<Throttle>,
    by_grant: Mutex<Throttle>,
}

impl Default for Guesses {
    fn default() -> Self {
        let rules = ThrottleRules::default();
        let by_source = rules.with_per_account(ANY).with_per_source(TOKENS);
        let by_grant = rules.with_per_account(PASSWORDS).with_per_source(ANY);
        Self {
            by_source: Mutex::new(Throttle::new(by_source)),
            by_grant: Mutex::new(Throttle::new(by_grant)),
        }
    }
}

impl Guesses {
    /// Whether a token from there is looked at.
    pub(crate) fn may_guess(&self, from: IpAddr, now: UnixSeconds) -> Result<(), Refusal> {
        lock(&self.by_source).check(from, b"", now)
    }

    /// A token from there was none.
    pub(crate) fn guessed(&self, from: IpAddr, now: UnixSeconds) {
        // One too many is no more than too many.
        let _ = lock(&self.by_source).attempt(from, b"", now);
    }

    /// Whether a password behind the token with this fingerprint is looked at.
    pub(crate) fn may_guess_at(&self, fingerprint: &str, now: UnixSeconds) -> Result<(), Refusal> {
        lock(&self.by_grant).check(ANYWHERE, fingerprint.as_bytes(), now)
    }

    /// A password behind the token with this fingerprint was wrong.
    pub(crate) fn guessed_at(&self, fingerprint: &str, now: UnixSeconds) {
        let _ = lock(&self.by_grant).attempt(ANYWHERE, fingerprint.as_bytes(), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_and_each_grant_has_guesses_of_its_own() {
        let guesses = Guesses::default();
        let (one, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let now = UnixSeconds(1_800_000_000);
        for _ in 0..1000 {
            guesses.guessed(one, now);
        }
        assert!(guesses.may_guess(one, now).is_err());
        assert!(guesses.may_guess(other, now).is_ok());
        assert!(guesses.may_guess(one, now.saturating_add(1)).is_ok());
        for _ in 0..10 {
            assert!(guesses.may_guess_at("1122", now).is_ok());
            guesses.guessed_at("1122", now);
        }
        assert!(guesses.may_guess_at("1122", now.saturating_add(29)).is_err());
        assert!(guesses.may_guess_at("1122", now.saturating_add(30)).is_ok());
        assert!(guesses.may_guess_at("3344", now).is_ok());
    }
}
