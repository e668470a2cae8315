//! What a token allows: a target, for a time, so many times.

use alloc::boxed::Box;
use core::num::{NonZeroU8, NonZeroU32};

use crate::{ConsoleType, Protocol, Refusal, Target};

/// How many sessions of one token can be open at the same time: 32. A session is one of SPICE, or a connection whose end the
/// store learns ([`Record::open`](crate::Record::open)).
///
/// Without a limit an unlimited token lets its holder make a record, and the number of links on
/// the hypervisor, as large as wanted (OSSN-0008). A person has one session, a class room 30.
pub const MAX_OPEN_SESSIONS: NonZeroU8 = NonZeroU8::new(32).unwrap();

/// A moment of the wall clock: whole seconds since 1970-01-01 00:00 UTC.
///
/// Integers only. Kerbside kept an expiry in a single-precision float, which is off by a minute
/// and more today, and so forgot markers of tokens that could still be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(transparent))]
pub struct UnixSeconds(pub u64);

impl UnixSeconds {
    /// The moment that lies `seconds` later, or the last one there is.
    ///
    /// Saturating is safe for an expiry: a token that expires at `u64::MAX` is dead at `u64::MAX`.
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The moment that lies `seconds` earlier, or 1970-01-01.
    #[must_use]
    pub const fn saturating_sub(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }
}

/// How often a token can be used before it is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
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
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Scope {
    /// Each connection is one use: VNC, serial, WebMKS.
    Connection,
    /// Each logical SPICE session is one use. Its main channel claims it; its other channels,
    /// which are TCP connections of their own and present the same token, join it.
    SpiceSession,
    /// Each exchange for another token is one use; the token itself opens no console.
    ///
    /// For tokens that travel in URLs, and so end in histories and logs of proxies: the first to
    /// present it gets a token for the connection, and what was logged is worth nothing.
    Exchange,
}

/// The name that a gateway gives to one attempt to use a token: 16 random bytes.
///
/// An answer can get lost between the store and the gateway. The gateway then asks again with
/// the same id and gets the first answer: the use is spent once, and is not lost. Another
/// attempt, also of the same tenant, has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub [u8; 16]);

/// The gateway that asks, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyContext<'a> {
    /// What the gateway's clock says.
    pub now: UnixSeconds,
    /// The name under which grants are made out to this gateway.
    pub audience: Option<&'a str>,
    /// Of a session that it begins now: from when on its viewer may come again, and when the session is over, unless the
    /// gateway says something else meanwhile.
    pub lease: Option<(UnixSeconds, UnixSeconds)>,
}

impl<'a> VerifyContext<'a> {
    /// A gateway without a name: grants that are made out to one are refused.
    #[must_use]
    pub const fn at(now: UnixSeconds) -> Self {
        Self {
            now,
            audience: None,
            lease: None,
        }
    }

    /// Names the gateway.
    #[must_use]
    pub const fn with_audience(mut self, audience: &'a str) -> Self {
        self.audience = Some(audience);
        self
    }

    /// A session that this transition begins ([`Record::claim`](crate::Record::claim), [`Record::open`](crate::Record::open)) or
    /// takes up ([`Record::resume`](crate::Record::resume)) is held until `from`, as by
    /// [`Record::suspend`](crate::Record::suspend): if the gateway stops before it says anything else, the viewer may come again
    /// then, and `until` then the session is over. Without it, a gateway that stops in its first moments leaves a session that
    /// no viewer can take up.
    #[must_use]
    pub const fn with_lease(mut self, from: UnixSeconds, until: UnixSeconds) -> Self {
        self.lease = Some((from, until));
        self
    }
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
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(deny_unknown_fields)
)]
#[non_exhaustive]
pub struct Grant {
    /// Where the console listens.
    pub target: Target,
    /// The type of the console.
    #[cfg_attr(feature = "serde", serde(with = "console_text"))]
    pub console: ConsoleType,
    /// The first second in which the token is accepted.
    pub not_before: UnixSeconds,
    /// The first second in which the token is no longer accepted (Nova: valid while `expires > now`).
    pub expires: UnixSeconds,
    /// By how many seconds the clocks of issuer and gateway may differ: the token is accepted so
    /// much earlier than `not_before` and so much later than `expires` says. Default: 0.
    pub skew: u32,
    /// How often it can be used. Default: once.
    pub uses: Uses,
    /// What counts as one use. Default: [`Scope::SpiceSession`] for SPICE, else [`Scope::Connection`].
    pub scope: Scope,
    /// The one audience whose gateways accept the token, compared byte by byte. Default: `None`, all do.
    pub audience: Option<Box<str>>,
    /// The virtual machine, to revoke and retarget by.
    pub vm: Option<Box<str>>,
    /// The user that asked for the token, to revoke by.
    pub user: Option<Box<str>>,
    /// Which service made it, to revoke by.
    pub issuer: Option<Box<str>>,
    /// How many sessions can be open at the same time; more than
    /// [`MAX_OPEN_SESSIONS`], the default, count as that.
    pub max_sessions: NonZeroU8,
    /// For how many seconds after its claim a session takes further channels, or a connection goes on.
    ///
    /// Default: `None`, until it is closed. A limit also ends the sessions of a gateway that
    /// stopped without closing them, which would otherwise keep their record for ever.
    pub session_limit: Option<u64>,
    /// The first second in which no session is open any more, however long its limit.
    ///
    /// Default: `None`. The value of `expires` ends sessions with their token (Nova's
    /// `enforce_session_timeout`).
    pub session_end: Option<UnixSeconds>,
    /// What the gateway wants to know again when the token comes back, in a form of its own: a policy, say, or a title.
    /// Nothing here looks into it, and [`Record::exchange`](crate::Record::exchange) hands it on. Default: `None`.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Option::is_none"))]
    pub context: Option<Box<str>>,
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
            skew: 0,
            uses: Uses::ONCE,
            scope: Self::scope_of(console),
            audience: None,
            vm: None,
            user: None,
            issuer: None,
            max_sessions: MAX_OPEN_SESSIONS,
            session_limit: None,
            session_end: None,
            context: None,
        }
    }

    const fn scope_of(console: ConsoleType) -> Scope {
        match console.protocol() {
            Protocol::Spice => Scope::SpiceSession,
            _ => Scope::Connection,
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

    /// Sets by how many seconds clocks may differ.
    #[must_use]
    pub fn with_skew(mut self, seconds: u32) -> Self {
        self.skew = seconds;
        self
    }

    /// Makes the token out to the gateways of one audience.
    #[must_use]
    pub fn with_audience(mut self, audience: &str) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Says which virtual machine the token is for.
    #[must_use]
    pub fn with_vm(mut self, vm: &str) -> Self {
        self.vm = Some(vm.into());
        self
    }

    /// Sets the user that asked for the token.
    #[must_use]
    pub fn with_user(mut self, user: &str) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Says which service made the token.
    #[must_use]
    pub fn with_issuer(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Sets how many sessions can be open at the same time.
    #[must_use]
    pub fn with_max_sessions(mut self, sessions: NonZeroU8) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sets for how many seconds after its claim a session takes further channels, or a connection goes on.
    #[must_use]
    pub fn with_session_limit(mut self, seconds: u64) -> Self {
        self.session_limit = Some(seconds);
        self
    }

    /// Sets when all sessions end.
    #[must_use]
    pub fn with_session_end(mut self, end: UnixSeconds) -> Self {
        self.session_end = Some(end);
        self
    }

    /// Sets what the gateway wants to know again.
    #[must_use]
    pub fn with_context(mut self, context: &str) -> Self {
        self.context = Some(context.into());
        self
    }

    /// The grant of the connection token that a token of [`Scope::Exchange`] is exchanged for:
    /// the same console, audience, owners and limits, once, for `ttl` seconds.
    #[must_use]
    pub fn exchanged(&self, now: UnixSeconds, ttl: u64) -> Self {
        Self {
            not_before: now,
            expires: now.saturating_add(ttl),
            uses: Uses::ONCE,
            scope: Self::scope_of(self.console),
            ..self.clone()
        }
    }

    /// The first second in which the token is accepted, and the first in which it no longer is: skew included.
    ///
    /// Skew does not make a token valid that never is.
    #[must_use]
    pub fn window(&self) -> (UnixSeconds, UnixSeconds) {
        if self.expires <= self.not_before {
            return (self.not_before, self.expires);
        }
        let skew = u64::from(self.skew);
        (self.not_before.saturating_sub(skew), self.expires.saturating_add(skew))
    }

    /// Whether `now` lies in the time of the grant: `not_before - skew <= now < expires + skew`.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotYetValid`] or [`Refusal::Expired`].
    pub fn admits(&self, now: UnixSeconds) -> Result<(), Refusal> {
        let (opens, lapses) = self.window();
        if now < opens {
            Err(Refusal::NotYetValid)
        } else if lapses <= now {
            Err(Refusal::Expired)
        } else {
            Ok(())
        }
    }

    /// When a session that was claimed at this moment is over; `None` if only its close ends it.
    ///
    /// For connections of the other scopes too, whose gateway sets a timer for it.
    #[must_use]
    pub fn session_ends(&self, claimed: UnixSeconds) -> Option<UnixSeconds> {
        let by_limit = self.session_limit.map(|seconds| claimed.saturating_add(seconds));
        match (by_limit, self.session_end) {
            (Some(limit), Some(end)) => Some(limit.min(end)),
            (limit, end) => limit.or(end),
        }
    }
}

/// The console type by Nova's text.
#[cfg(feature = "serde")]
mod console_text {
    use alloc::string::String;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::ConsoleType;

    pub(super) fn serialize<S: Serializer>(console: &ConsoleType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(console.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ConsoleType, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
