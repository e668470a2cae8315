//! What happened to tokens, as values for the caller's log: no secret is in them.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;

use crate::{
    Admitted, AttemptId, Fingerprint, Grant, LeaseTransition, Refusal, SessionId, StoreError, TokenHash, TokenSelector,
    Transition, UnixSeconds, VerifyContext,
};

/// An entry for the audit log: the request to the store, its author, its time and its result.
///
/// It names a token by its [`Fingerprint`], and never holds the token, its hash or its target (a
/// target can carry a ticket). What a peer may be told is [`Refusal::public`], not this.
///
/// The functions take the result as the store gave it:
///
/// ```
/// use console_token::{AttemptId, Event, VerifyContext, MemoryStore, Transition, TokenHash, UnixSeconds};
///
/// let store = MemoryStore::new(1);
/// let (hash, context) = (TokenHash::from_bytes([7; 32]), VerifyContext::at(UnixSeconds(5)));
/// let transition = Transition::Redeem(AttemptId([1; 16]));
/// let result = store.apply(&hash, &context, transition);
/// let event = Event::transition(&hash, &context, transition, &result);
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
    pub kind: EventKind,
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
pub enum EventKind {
    /// A new token was to be kept.
    Insert,
    /// What the token leads to was looked up.
    Check,
    /// A transition.
    Transition(Transition),
    /// The token was to be exchanged for this one.
    Exchange(Fingerprint),
    /// The token was to be replaced by this one.
    Replace(Fingerprint),
    /// Tokens were to be revoked.
    Revoke(EventSubject),
    /// Tokens were to lead elsewhere.
    Retarget(EventSubject),
    /// Tokens that are over were to be forgotten.
    Sweep,
    /// A change to the leases of this console.
    Leases(Box<str>, LeaseTransition),
}

/// Which tokens it was about; [`TokenSelector`] without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventSubject {
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
    /// It was done, and these lost their lease.
    LeasesLost(Vec<AttemptId>),
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
        kind: EventKind,
        result: &Result<T, StoreError<B>>,
        outcome: impl FnOnce(&T) -> Outcome,
    ) -> Self {
        let outcome = match result {
            Ok(done) => outcome(done),
            Err(StoreError::Refused(refusal)) => Outcome::Refused(*refusal),
            Err(StoreError::Full { .. }) => Outcome::Full,
            Err(StoreError::Duplicate) => Outcome::Duplicate,
            // INVARIANT: none of these is about a note.
            Err(StoreError::NoteTooLong | StoreError::Backend(_)) => Outcome::Failed,
        };
        Self {
            at,
            token: None,
            owner: None,
            kind,
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
        Self::new(now, EventKind::Insert, result, |()| Outcome::Done).about(hash, Some(grant))
    }

    /// [`check`](crate::Store::check).
    #[must_use]
    pub fn check<B>(hash: &TokenHash, context: &VerifyContext<'_>, result: &Result<Arc<Grant>, StoreError<B>>) -> Self {
        let grant = result.as_ref().ok().map(|grant| &**grant);
        Self::new(context.now, EventKind::Check, result, |_| Outcome::Done).about(hash, grant)
    }

    /// [`apply`](crate::Store::apply).
    #[must_use]
    pub fn transition<B>(
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        transition: Transition,
        result: &Result<Admitted, StoreError<B>>,
    ) -> Self {
        let grant = result.as_ref().ok().map(|admitted| &*admitted.grant);
        let outcome = |admitted: &Admitted| Outcome::Session(admitted.session);
        Self::new(context.now, EventKind::Transition(transition), result, outcome).about(hash, grant)
    }

    /// [`exchange`](crate::Store::exchange).
    #[must_use]
    pub fn exchange<B>(
        hash: &TokenHash,
        context: &VerifyContext<'_>,
        new: &TokenHash,
        result: &Result<Arc<Grant>, StoreError<B>>,
    ) -> Self {
        let grant = result.as_ref().ok().map(|grant| &**grant);
        let kind = EventKind::Exchange(new.fingerprint());
        Self::new(context.now, kind, result, |_| Outcome::Done).about(hash, grant)
    }

    /// [`replace`](crate::Store::replace).
    #[must_use]
    pub fn replace<B>(
        now: UnixSeconds,
        old: &TokenHash,
        new: &TokenHash,
        result: &Result<Arc<Grant>, StoreError<B>>,
    ) -> Self {
        let grant = result.as_ref().ok().map(|grant| &**grant);
        let kind = EventKind::Replace(new.fingerprint());
        Self::new(now, kind, result, |_| Outcome::Done).about(old, grant)
    }

    /// [`revoke`](crate::Store::revoke).
    #[must_use]
    pub fn revoke<B>(now: UnixSeconds, selector: &TokenSelector<'_>, result: &Result<usize, StoreError<B>>) -> Self {
        Self::many(now, selector, EventKind::Revoke, result)
    }

    /// [`retarget`](crate::Store::retarget).
    #[must_use]
    pub fn retarget<B>(now: UnixSeconds, selector: &TokenSelector<'_>, result: &Result<usize, StoreError<B>>) -> Self {
        Self::many(now, selector, EventKind::Retarget, result)
    }

    fn many<B>(
        now: UnixSeconds,
        selector: &TokenSelector<'_>,
        kind: fn(EventSubject) -> EventKind,
        result: &Result<usize, StoreError<B>>,
    ) -> Self {
        let (subject, token) = match *selector {
            TokenSelector::Token(hash) => (EventSubject::Token, Some(hash.fingerprint())),
            TokenSelector::Fingerprint(fingerprint) => (EventSubject::Token, Some(*fingerprint)),
            TokenSelector::Vm(name) => (EventSubject::Vm(name.into()), None),
            TokenSelector::User(name) => (EventSubject::User(name.into()), None),
            TokenSelector::Issuer(name) => (EventSubject::Issuer(name.into()), None),
        };
        let mut event = Self::new(now, kind(subject), result, |tokens| Outcome::Tokens(*tokens));
        event.token = token;
        event
    }

    /// [`sweep`](crate::Store::sweep).
    #[must_use]
    pub fn sweep<B>(now: UnixSeconds, result: &Result<usize, StoreError<B>>) -> Self {
        Self::new(now, EventKind::Sweep, result, |tokens| Outcome::Tokens(*tokens))
    }

    /// [`leases`](crate::Store::leases).
    #[must_use]
    pub fn leases<B>(
        now: UnixSeconds,
        console: &str,
        transition: LeaseTransition,
        result: &Result<Vec<AttemptId>, StoreError<B>>,
    ) -> Self {
        let kind = EventKind::Leases(console.into(), transition);
        Self::new(now, kind, result, |gone| Outcome::LeasesLost(gone.clone()))
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
        write!(f, " {}: {}", self.kind, self.outcome)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Insert => f.write_str("insert"),
            Self::Check => f.write_str("check"),
            Self::Transition(transition) => transition.fmt(f),
            Self::Exchange(new) => write!(f, "exchange for {new}"),
            Self::Replace(new) => write!(f, "replace by {new}"),
            Self::Revoke(whose) => write!(f, "revoke{whose}"),
            Self::Retarget(whose) => write!(f, "retarget{whose}"),
            Self::Sweep => f.write_str("sweep"),
            Self::Leases(console, LeaseTransition::Take(_)) => write!(f, "take a lease of {console:?}"),
            Self::Leases(console, LeaseTransition::Keep { .. }) => write!(f, "keep a lease of {console:?}"),
            Self::Leases(console, LeaseTransition::Leave(_)) => write!(f, "end a lease of {console:?}"),
            Self::Leases(console, LeaseTransition::Clear) => write!(f, "clear the leases of {console:?}"),
        }
    }
}

impl fmt::Display for EventSubject {
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
            Self::LeasesLost(gone) => write!(f, "done, {} ended", gone.len()),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Full => f.write_str("the store is full"),
            Self::Duplicate => f.write_str("the store has it already"),
            Self::Failed => f.write_str("the store failed"),
        }
    }
}
