//! What happened to tokens, as values for the caller's log: no secret is in them.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;

use crate::{
    Admitted, AttemptId, Fingerprint, Gate, Grant, Refusal, SeatStep, SessionId, Step, StoreError, TokenHash,
    UnixSeconds, Which,
};

/// An entry for the audit log: the request to the store, its author, its time and its result.
///
/// It names a token by its [`Fingerprint`], and never holds the token, its hash or its target (a
/// target can carry a ticket). What a peer may be told is [`Refusal::public`], not this.
///
/// The functions take the result as the store gave it:
///
/// ```
/// use console_token::{AttemptId, Event, Gate, MemoryStore, Step, TokenHash, UnixSeconds};
///
/// let store = MemoryStore::new(1);
/// let (hash, gate) = (TokenHash::from_bytes([7; 32]), Gate::at(UnixSeconds(5)));
/// let step = Step::Redeem(AttemptId([1; 16]));
/// let result = store.apply(&hash, &gate, step);
/// let event = Event::step(&hash, &gate, step, &result);
/// assert_eq!(event.to_string(), "5 token 0707070707070707 redeem: unknown token");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The time that the gateway gave.
    pub at: UnixSeconds,
    /// The token, where it was about one.
    pub token: Option<Fingerprint>,
    /// Whose token, where that is known: after a refusal it is not.
    pub owner: Option<Owner>,
    /// What was asked.
    pub what: What,
    /// What came of it.
    pub outcome: Outcome,
}

/// Whose token it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// [`Grant::vm`].
    pub vm: Option<Box<str>>,
    /// [`Grant::user`].
    pub user: Option<Box<str>>,
    /// [`Grant::issuer`].
    pub issuer: Option<Box<str>>,
}

/// What was asked of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A new token was to be kept.
    Insert,
    /// What the token leads to was looked up.
    Check,
    /// A transition.
    Step(Step),
    /// The token was to be exchanged for this one.
    Exchange(Fingerprint),
    /// Tokens were to be revoked.
    Revoke(Whose),
    /// Tokens were to lead elsewhere.
    Retarget(Whose),
    /// Tokens that are over were to be forgotten.
    Sweep,
    /// A change to the seats of this console.
    Seats(Box<str>, SeatStep),
}

/// Which tokens it was about; [`Which`] without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Whose {
    /// The one that the event names.
    Token,
    /// Those of a virtual machine.
    Vm(Box<str>),
    /// Those of a user.
    User(Box<str>),
    /// Those of an issuer.
    Issuer(Box<str>),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was done, and was about this use or session.
    Session(SessionId),
    /// It was done to so many tokens.
    Tokens(usize),
    /// It was done, and these lost their seat.
    Unseated(Vec<AttemptId>),
    /// It was refused; nothing has changed.
    Refused(Refusal),
    /// The store is full.
    Full,
    /// The store has the token already.
    Duplicate,
    /// The store failed; whether it was done is not known.
    Failed,
}

impl Event {
    fn new<T, B>(
        at: UnixSeconds,
        what: What,
        result: &Result<T, StoreError<B>>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Self {
        let outcome = match result {
            Ok(done) => outcome(done),
            Err(StoreError::Refused(refusal)) => Outcome::Refused(*refusal),
            Err(StoreError::Full { .. }) => Outcome::Full,
            Err(StoreError::Duplicate) => Outcome::Duplicate,
            Err(StoreError::Backend(_)) => Outcome::Failed,
        };
        Self {
            at,
            token: None,
            owner: None,
            what,
            outcome,
        }
    }

    fn about(mut self, hash: &TokenHash, grant: Option<&Grant>) -> Self {
        self.token = Some(hash.fingerprint());
        self.owner = grant.map(|grant| Owner {
            vm: grant.vm.clone(),
            user: grant.user.clone(),
            issuer: grant.issuer.clone(),
        });
        self
    }

    /// [`insert`](crate::Store::insert).
    #[must_use]
    pub fn insert<B>(now: UnixSeconds, hash: &TokenHash, grant: &Grant, result: &Result<(), StoreError<B>>) -> Self {
        Self::new(now, What::Insert, result, |()| Outcome::Done).about(hash, Some(grant))
    }

    /// [`check`](crate::Store::check).
    #[must_use]
    pub fn check<B>(hash: &TokenHash, gate: &Gate<'_>, result: &Result<Arc<Grant>, StoreError<B>>) -> Self {
        let grant = result.as_ref().ok().map(|grant| &**grant);
        Self::new(gate.now, What::Check, result, |_| Outcome::Done).about(hash, grant)
    }

    /// [`apply`](crate::Store::apply).
    #[must_use]
    pub fn step<B>(hash: &TokenHash, gate: &Gate<'_>, step: Step, result: &Result<Admitted, StoreError<B>>) -> Self {
        let grant = result.as_ref().ok().map(|admitted| &*admitted.grant);
        let outcome = |admitted: &Admitted| Outcome::Session(admitted.session);
        Self::new(gate.now, What::Step(step), result, outcome).about(hash, grant)
    }

    /// [`exchange`](crate::Store::exchange).
    #[must_use]
    pub fn exchange<B>(
        hash: &TokenHash,
        gate: &Gate<'_>,
        new: &TokenHash,
        result: &Result<Arc<Grant>, StoreError<B>>,
    ) -> Self {
        let grant = result.as_ref().ok().map(|grant| &**grant);
        let what = What::Exchange(new.fingerprint());
        Self::new(gate.now, what, result, |_| Outcome::Done).about(hash, grant)
    }

    /// [`revoke`](crate::Store::revoke).
    #[must_use]
    pub fn revoke<B>(now: UnixSeconds, which: &Which<'_>, result: &Result<usize, StoreError<B>>) -> Self {
        Self::many(now, which, What::Revoke, result)
    }

    /// [`retarget`](crate::Store::retarget).
    #[must_use]
    pub fn retarget<B>(now: UnixSeconds, which: &Which<'_>, result: &Result<usize, StoreError<B>>) -> Self {
        Self::many(now, which, What::Retarget, result)
    }

    fn many<B>(
        now: UnixSeconds,
        which: &Which<'_>,
        what: fn(Whose) -> What,
        result: &Result<usize, StoreError<B>>,
    ) -> Self {
        let (whose, hash) = match *which {
            Which::Token(hash) => (Whose::Token, Some(hash)),
            Which::Vm(name) => (Whose::Vm(name.into()), None),
            Which::User(name) => (Whose::User(name.into()), None),
            Which::Issuer(name) => (Whose::Issuer(name.into()), None),
        };
        let mut event = Self::new(now, what(whose), result, |tokens| Outcome::Tokens(*tokens));
        event.token = hash.map(TokenHash::fingerprint);
        event
    }

    /// [`sweep`](crate::Store::sweep).
    #[must_use]
    pub fn sweep<B>(now: UnixSeconds, result: &Result<usize, StoreError<B>>) -> Self {
        Self::new(now, What::Sweep, result, |tokens| Outcome::Tokens(*tokens))
    }

    /// [`seats`](crate::Store::seats).
    #[must_use]
    pub fn seats<B>(
        now: UnixSeconds,
        console: &str,
        step: SeatStep,
        result: &Result<Vec<AttemptId>, StoreError<B>>,
    ) -> Self {
        let what = What::Seats(console.into(), step);
        Self::new(now, what, result, |gone| Outcome::Unseated(gone.clone()))
    }
}

impl fmt::Display for Event {
    /// One line. Names of others' making are quoted and escaped, so that they cannot forge a second one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.at.0)?;
        if let Some(token) = self.token {
            write!(f, " token {token}")?;
        }
        if let Some(owner) = &self.owner {
            for (kind, name) in [("vm", &owner.vm), ("user", &owner.user), ("issuer", &owner.issuer)] {
                if let Some(name) = name {
                    write!(f, " {kind} {name:?}")?;
                }
            }
        }
        write!(f, " {}: {}", self.what, self.outcome)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert => f.write_str("insert"),
            Self::Check => f.write_str("check"),
            Self::Step(step) => step.fmt(f),
            Self::Exchange(new) => write!(f, "exchange for {new}"),
            Self::Revoke(whose) => write!(f, "revoke{whose}"),
            Self::Retarget(whose) => write!(f, "retarget{whose}"),
            Self::Sweep => f.write_str("sweep"),
            Self::Seats(console, SeatStep::Take(_)) => write!(f, "take a seat at {console:?}"),
            Self::Seats(console, SeatStep::Keep { .. }) => write!(f, "keep a seat at {console:?}"),
            Self::Seats(console, SeatStep::Leave(_)) => write!(f, "leave a seat at {console:?}"),
            Self::Seats(console, SeatStep::Clear) => write!(f, "clear the seats at {console:?}"),
        }
    }
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token => Ok(()),
            Self::Vm(name) => write!(f, " by vm {name:?}"),
            Self::User(name) => write!(f, " by user {name:?}"),
            Self::Issuer(name) => write!(f, " by issuer {name:?}"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Session(session) => write!(f, "done, use {session}"),
            Self::Tokens(tokens) => write!(f, "done, {tokens} tokens"),
            Self::Unseated(gone) => write!(f, "done, {} unseated", gone.len()),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Full => f.write_str("the store is full"),
            Self::Duplicate => f.write_str("the store has it already"),
            Self::Failed => f.write_str("the store failed"),
        }
    }
}
