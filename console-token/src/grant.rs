//! What a token allows: a target, for a time, so many times.

use core::num::NonZeroU32;

use crate::{ConsoleType, Protocol, Refusal, Target};

/// A moment of the wall clock: whole seconds since 1970-01-01 00:00 UTC.
///
/// Integers only. Kerbside kept an expiry in a single-precision float, which is off by a minute
/// and more today, and so forgot markers of tokens that could still be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The moment that lies `seconds` later, or the last one there is.
    ///
    /// Saturating is safe for an expiry: a token that expires at `u64::MAX` is dead at `u64::MAX`.
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }
}

/// How often a token can be used before it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Uses {
    /// Any number of times until it expires, as Nova's tokens.
    Unlimited,
    /// So many times.
    Limited(NonZeroU32),
}

impl Uses {
    /// A one-time token.
    pub const ONCE: Self = Self::Limited(NonZeroU32::MIN);
}

/// What counts as one use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each connection is one use: VNC, serial, WebMKS.
    Connection,
    /// Each logical SPICE session is one use. Its main channel claims it; its other channels,
    /// which are TCP connections of their own and present the same token, join it.
    SpiceSession,
}

/// What a token allows.
///
/// ```
/// use core::num::NonZeroU32;
/// use console_token::{ConsoleType, Grant, Scope, Target, UnixSeconds, Uses};
///
/// let target = Target::Host { host: "192.0.2.7".into(), port: Some(5900), tls_port: None };
/// let grant = Grant::new(target, ConsoleType::NoVnc, UnixSeconds(1_800_000_000), 600)
///     .with_uses(Uses::Limited(NonZeroU32::new(3).unwrap()));
/// assert_eq!(grant.expires, UnixSeconds(1_800_000_600));
/// assert_eq!(grant.scope, Scope::Connection);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Grant {
    /// Where the console listens.
    pub target: Target,
    /// The type of the console.
    pub console: ConsoleType,
    /// The first second in which the token is accepted.
    pub not_before: UnixSeconds,
    /// The first second in which the token is no longer accepted (Nova: valid while `expires > now`).
    pub expires: UnixSeconds,
    /// How often it can be used. Default: once.
    pub uses: Uses,
    /// What counts as one use. Default: [`Scope::SpiceSession`] for SPICE, else [`Scope::Connection`].
    pub scope: Scope,
    /// For how many seconds after its claim a SPICE session takes further channels.
    ///
    /// Default: `None`, until it is closed. A limit also ends the sessions of a gateway that
    /// stopped without closing them, which would otherwise keep their record for ever.
    pub session_limit: Option<u64>,
}

impl Grant {
    /// A one-time grant for `ttl` seconds from `not_before` on, with the scope that fits the console.
    ///
    /// A `ttl` of 0 gives a token that is never valid (as in Nova). A `ttl` past the end of time
    /// ends there.
    #[must_use]
    pub fn new(target: Target, console: ConsoleType, not_before: UnixSeconds, ttl: u64) -> Self {
        Self {
            target,
            console,
            not_before,
            expires: not_before.saturating_add(ttl),
            uses: Uses::ONCE,
            scope: match console.protocol() {
                Protocol::Spice => Scope::SpiceSession,
                _ => Scope::Connection,
            },
            session_limit: None,
        }
    }

    /// Sets how often the token can be used.
    #[must_use]
    pub fn with_uses(mut self, uses: Uses) -> Self {
        self.uses = uses;
        self
    }

    /// Sets what counts as one use.
    #[must_use]
    pub fn with_scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sets for how many seconds after its claim a SPICE session takes further channels.
    #[must_use]
    pub fn with_session_limit(mut self, seconds: u64) -> Self {
        self.session_limit = Some(seconds);
        self
    }

    /// Whether `now` lies in the time of the grant: `not_before <= now < expires`.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotYetValid`] or [`Refusal::Expired`].
    pub fn admits(&self, now: UnixSeconds) -> Result<(), Refusal> {
        if now < self.not_before {
            Err(Refusal::NotYetValid)
        } else if self.expires <= now {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }
}
