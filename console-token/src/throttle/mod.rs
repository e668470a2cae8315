//! A brake on wrong passwords and tokens.

mod table;

use core::{
    net::IpAddr,
    num::{NonZeroU32, NonZeroUsize},
};

use self::table::{Key, Table};
use crate::{Refusal, Source, UnixSeconds};

/// So many attempts at once, and one more every so many seconds (a token bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    /// How many attempts can be made at once.
    pub burst: NonZeroU32,
    /// After how many seconds one of them comes back.
    pub refill: NonZeroU32,
}

impl Rate {
    /// `burst` attempts at once, one back every `refill` seconds.
    #[must_use]
    pub const fn new(burst: NonZeroU32, refill: NonZeroU32) -> Self {
        Self { burst, refill }
    }

    /// After how many seconds without attempts all of them are back.
    fn whole(self) -> u64 {
        u64::from(self.burst.get()).saturating_mul(u64::from(self.refill.get()))
    }

    /// When all attempts will be back if one more is made; `None` if it cannot be made.
    fn spend(self, full_at: UnixSeconds, now: UnixSeconds) -> Option<UnixSeconds> {
        // Never further ahead than an empty count is: a clock that was set back must not lock a client out.
        let full_at = full_at.max(now).min(now.saturating_add(self.whole()));
        let next = full_at.saturating_add(u64::from(self.refill.get()));
        // At the end of time `next` saturates.
        (next <= now.saturating_add(self.whole()) && next != full_at).then_some(next)
    }
}

/// The limits of a [`Throttle`].
///
/// ```
/// use core::num::NonZeroU32;
/// use console_token::{Rate, Throttle, ThrottleRules};
///
/// let number = |number| NonZeroU32::new(number).unwrap();
/// let rules = ThrottleRules::default().with_per_account(Rate::new(number(3), number(60)));
/// let throttle = Throttle::new(rules);
/// assert!(throttle.is_empty());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ThrottleRules {
    /// Wrong attempts of one source at one account. Default: 5 at once, one back every 30 seconds.
    pub per_account: Rate,
    /// Wrong attempts of one source at all accounts together. Default: 50 at once, one back every 3 seconds.
    pub per_source: Rate,
    /// How many counts are kept: one for each source, and one for each account that a source has tried.
    /// Default: 65,536, which take at most 15 MB.
    pub limit: NonZeroUsize,
}

impl Default for ThrottleRules {
    fn default() -> Self {
        const PER_ACCOUNT: Rate = Rate::new(NonZeroU32::new(5).unwrap(), NonZeroU32::new(30).unwrap());
        const PER_SOURCE: Rate = Rate::new(NonZeroU32::new(50).unwrap(), NonZeroU32::new(3).unwrap());
        const LIMIT: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
        Self {
            per_account: PER_ACCOUNT,
            per_source: PER_SOURCE,
            limit: LIMIT,
        }
    }
}

impl ThrottleRules {
    /// Sets the rate of one source at one account.
    #[must_use]
    pub const fn with_per_account(mut self, rate: Rate) -> Self {
        self.per_account = rate;
        self
    }

    /// Sets the rate of one source at all accounts together.
    #[must_use]
    pub const fn with_per_source(mut self, rate: Rate) -> Self {
        self.per_source = rate;
        self
    }

    /// Sets how many counts are kept.
    #[must_use]
    pub const fn with_limit(mut self, counts: NonZeroUsize) -> Self {
        self.limit = counts;
        self
    }
}

/// A brake on guessing: it counts wrong attempts by source and by the account that they are for.
///
/// - **Per source and account.** A source that has guessed wrong too often at an account has to wait. Guesses from
///   other sources do not count, so strangers cannot lock a user out of the user's own account.
/// - **Per source.** A second count covers all accounts together, so that one source cannot try one password at many
///   accounts. It also bounds how many accounts of one source are kept.
/// - **Bounded.** At most [`ThrottleRules::limit`] counts are kept. When there are more, the one that was looked at
///   longest ago is forgotten: a flood from many sources takes nothing from newcomers. To have its own count
///   forgotten, an attacker needs as many other sources and accounts as the limit.
///
/// A [`Source`] is an IPv4 address or an IPv6 /64. Users behind one NAT are one source, and an attacker among them
/// can make the others wait. An attacker with `n` sources has `n` times the rate: a password that must
/// hold against many sources has to be long. (VNC's has at most 8 bytes. A token of this crate holds against any rate.)
///
/// An attempt is counted before the password is looked at, so that attempts at the same moment cannot exceed the
/// rate. The right password gives the attempt back. An attempt that is refused must be answered like a wrong one,
/// without a look at the password. All operations take time in proportion to the logarithm of the number of counts.
/// The type belongs to one gateway, whose threads share it under the caller's mutex.
///
/// # Example
///
/// ```
/// use std::{net::IpAddr, sync::{Mutex, PoisonError}};
/// use console_token::{Throttle, ThrottleRules, UnixSeconds};
///
/// struct Gateway { wrong_passwords: Mutex<Throttle> }
///
/// impl Gateway {
///     fn with<R>(&self, f: impl FnOnce(&mut Throttle) -> R) -> R {
///         f(&mut self.wrong_passwords.lock().unwrap_or_else(PoisonError::into_inner))
///     }
///
///     /// Called when the peer has answered, not when it connects.
///     ///
///     /// `account`: what the password is for, such as a user or a console. Where there is only one: `b""`.
///     fn admits(&self, peer: IpAddr, account: &[u8], is_right: impl FnOnce() -> bool, now: UnixSeconds) -> bool {
///         if self.with(|throttle| throttle.attempt(peer, account, now)).is_err() {
///             return false; // The same words as for a wrong password.
///         }
///         let is_right = is_right(); // Without the lock: it can take long.
///         if is_right {
///             self.with(|throttle| throttle.succeeded(peer, account));
///         }
///         is_right
///     }
/// }
///
/// let gateway = Gateway { wrong_passwords: Mutex::new(Throttle::new(ThrottleRules::default())) };
/// let (stranger, user) = ("203.0.113.9".parse().unwrap(), "198.51.100.7".parse().unwrap());
/// let now = UnixSeconds(1_800_000_000);
/// for _ in 0..1000 {
///     gateway.admits(stranger, b"db-7", || false, now);
/// }
/// assert!(!gateway.admits(stranger, b"db-7", || true, now), "the guesses of this source are used up");
/// assert!(gateway.admits(user, b"db-7", || true, now));
/// assert!(gateway.admits(stranger, b"db-7", || true, now.saturating_add(30)));
/// ```
#[derive(Clone, Debug)]
pub struct Throttle {
    rules: ThrottleRules,
    table: Table,
}

impl Throttle {
    /// A brake with these limits, which has seen no attempt.
    #[must_use]
    pub const fn new(rules: ThrottleRules) -> Self {
        Self {
            rules,
            table: Table::new(),
        }
    }

    /// Counts an attempt from this address at this account. An account is any name, of any length, that the caller
    /// chooses; what is kept is a hash of 16 bytes.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyAttempts`]: to be refused without a look at the password or token. Refused attempts are not
    /// counted, so that the wait does not grow.
    pub fn attempt(&mut self, address: IpAddr, account: &[u8], now: UnixSeconds) -> Result<(), Refusal> {
        self.table.forget_full(now);
        let spent = self.spent(Source::of(address), account, now)?;
        for (key, full_at) in spent {
            self.table.set(key, full_at, self.rules.limit);
        }
        Ok(())
    }

    /// Whether [`attempt`](Self::attempt) would count an attempt now. Nothing is counted.
    ///
    /// For a caller that counts wrong attempts only, when they have turned out to be wrong: many right ones at the same
    /// moment, such as the channels of many viewers behind one NAT, then take nothing from each other. Wrong ones at the
    /// same moment can exceed the rate by their number.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyAttempts`], as for [`attempt`](Self::attempt).
    pub fn check(&mut self, address: IpAddr, account: &[u8], now: UnixSeconds) -> Result<(), Refusal> {
        self.table.forget_full(now);
        self.spent(Source::of(address), account, now).map(drop)
    }

    /// Both counts with one more attempt.
    fn spent(&mut self, source: Source, account: &[u8], now: UnixSeconds) -> Result<[(Key, UnixSeconds); 2], Refusal> {
        let account = (Key::of_account(source, account), self.rules.per_account);
        let source = (Key::of_source(source), self.rules.per_source);
        let mut spend = |(key, rate): (Key, Rate)| {
            let full_at = rate.spend(self.table.look(key).unwrap_or(now), now);
            full_at.map(|full_at| (key, full_at)).ok_or(Refusal::TooManyAttempts)
        };
        // Both are looked at, so that neither is forgotten before the other.
        match [spend(account), spend(source)] {
            [Ok(account), Ok(source)] => Ok([account, source]),
            _ => Err(Refusal::TooManyAttempts),
        }
    }

    /// The attempt was a right one: it does not count, and wrong ones of this source at this account before it are
    /// forgotten. Those at other accounts still count.
    pub fn succeeded(&mut self, address: IpAddr, account: &[u8]) {
        let source = Source::of(address);
        self.table.remove(Key::of_account(source, account));
        self.table
            .give_back(Key::of_source(source), u64::from(self.rules.per_source.refill.get()));
    }

    /// How many counts are kept: one for each source, and one for each account that a source has tried. Counts that
    /// are back at their start are forgotten with later attempts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no count is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
