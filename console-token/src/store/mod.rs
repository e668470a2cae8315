//! Where records are kept.

#[cfg(any(feature = "redis", feature = "sql"))]
mod engine;
#[cfg(feature = "std")]
mod exchange;
#[cfg(feature = "std")]
mod memory;
#[cfg(feature = "std")]
mod notes;
#[cfg(feature = "redis")]
mod redis;
#[cfg(any(feature = "redis", feature = "sql", all(feature = "arbitrary", feature = "serde")))]
mod row;
#[cfg(all(feature = "arbitrary", feature = "serde"))]
pub mod rows;
#[cfg(feature = "sql")]
mod sql;

#[cfg(feature = "std")]
pub use memory::MemoryStore;
#[cfg(feature = "redis")]
pub use redis::RedisStore;
#[cfg(feature = "sql")]
pub use sql::SqlStore;

use alloc::{boxed::Box, string::ToString as _, sync::Arc, vec::Vec};
use core::{error::Error, fmt, num::NonZeroU32, pin::Pin};

use crate::{
    Admitted, AttemptId, ConsoleType, Fingerprint, Grant, LeaseRules, LeaseTransition, Note, NoteChange, Record,
    StoreError, Target, TokenHash, Transition, UnixSeconds, VerifyContext,
};

/// Tokens to be revoked or retargeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSelector<'a> {
    /// One.
    Token(&'a TokenHash),
    /// Those with this fingerprint: one, or hardly ever two.
    Fingerprint(&'a Fingerprint),
    /// Those whose [`Grant::vm`] this is.
    Vm(&'a str),
    /// Those whose [`Grant::user`] this is.
    User(&'a str),
    /// Those whose [`Grant::issuer`] this is.
    Issuer(&'a str),
}

impl TokenSelector<'_> {
    /// Whether this token is one of them.
    #[cfg(feature = "std")]
    fn names(&self, own: &TokenHash, grant: &Grant) -> bool {
        match *self {
            TokenSelector::Token(hash) => own == hash,
            TokenSelector::Fingerprint(fingerprint) => own.fingerprint() == *fingerprint,
            TokenSelector::Vm(name) => grant.vm.as_deref() == Some(name),
            TokenSelector::User(name) => grant.user.as_deref() == Some(name),
            TokenSelector::Issuer(name) => grant.issuer.as_deref() == Some(name),
        }
    }
}

/// What the engine behind a store says when it fails. Not for the peer.
///
/// `Display` tells all of it: the engine's own error, and behind it each of its sources that it does not tell itself.
/// [`source`](Error::source) is therefore `None`, so that a log that walks sources says nothing twice.
#[derive(Debug)]
pub struct BackendError(Box<dyn Error + Send + Sync>);

impl BackendError {
    /// Takes the engine's own error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// The engine's own error, such as `sqlx::Error` or `redis::RedisError`.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = self.0.to_string();
        f.write_str(&told)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !told.contains(&text) {
                write!(f, ": {text}")?;
                told = text;
            }
            source = error.source();
        }
        Ok(())
    }
}

impl Error for BackendError {}

/// What a store is going to answer.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError<BackendError>>> + Send + 'a>>;

/// A place that keeps records under the hash of their token, for one gateway or for many.
///
/// A store applies the transitions of [`Record`](crate::Record), with their rules and their
/// refusals, and adds [`Refusal::Unknown`](crate::Refusal::Unknown). It decides nothing; it owes only this:
/// - **Atomicity**: of two transitions on one token, one sees what the other has done. Two claims of a
///   one-time token, at the same moment in two places, must not both succeed.
/// - A refused transition changes nothing.
/// - What was answered is kept: a token that was spent stays so when the engine is killed and comes
///   back (as far as the engine is set up to keep what it confirmed).
/// - The token itself never gets here, only its hash.
///
/// After [`StoreError::Backend`] it is not known whether a transition was applied. Asked again with the same
/// [`AttemptId`], the store gives the first answer; all other transitions can be asked again as they are.
///
/// The trait works behind a pointer, so that a gateway can choose its store when it starts.
///
/// ```
/// use console_token::{AttemptId, VerifyContext, Grant, Pepper, Secret, Transition, Store};
///
/// /// A VNC gateway: what the token that was presented leads to, or the answer to the tenant.
/// async fn admit(
///     store: &dyn Store, pepper: &Pepper, presented: &[u8], context: VerifyContext<'_>, attempt: AttemptId,
/// ) -> Result<std::sync::Arc<Grant>, &'static str> {
///     let token = Secret::presented(presented).map_err(|refusal| refusal.public())?;
///     let hash = pepper.hash(&token);
///     let admitted = store.apply(&hash, context, Transition::Redeem(attempt)).await;
///     admitted.map(|admitted| admitted.grant).map_err(|error| error.public())
/// }
/// ```
///
/// # Errors
///
/// Every method: [`StoreError::Backend`], and what else it says.
pub trait Store: Send + Sync {
    /// Keeps a new token, or gives [`StoreError::Duplicate`] or [`StoreError::Full`].
    fn insert<'a>(&'a self, hash: &'a TokenHash, grant: &'a Grant) -> Answer<'a, ()>;

    /// The record of a token, to be looked at; for operators, not for gateways.
    fn record<'a>(&'a self, hash: &'a TokenHash) -> Answer<'a, Option<Record>>;

    /// The token of this fingerprint and its record; for operators, who know no more of a token than logs say.
    fn find<'a>(&'a self, fingerprint: &'a Fingerprint) -> Answer<'a, Option<(TokenHash, Record)>>;

    /// [`Record::check`](crate::Record::check): what the token leads to, without spending a use; or
    /// [`StoreError::Refused`].
    fn check<'a>(&'a self, hash: &'a TokenHash, context: VerifyContext<'a>) -> Answer<'a, Arc<Grant>>;

    /// [`Record::apply`](crate::Record::apply): a transition; or [`StoreError::Refused`]. Of a token that was
    /// [replaced](Self::replace), to its sessions under the new one, which the answer names.
    fn apply<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        transition: Transition,
    ) -> Answer<'a, Admitted>;

    /// [`Record::exchange`](crate::Record::exchange): spends a use of the token and keeps a new one in
    /// its place ([`Grant::exchanged`]), both or neither; or [`StoreError::Refused`],
    /// [`StoreError::Duplicate`], [`StoreError::Full`].
    ///
    /// The new token names the attempt: the same exchange again, with the same new token, gets the first
    /// answer.
    fn exchange<'a>(
        &'a self,
        hash: &'a TokenHash,
        context: VerifyContext<'a>,
        new: &'a TokenHash,
        ttl: u64,
    ) -> Answer<'a, Arc<Grant>>;

    /// [`Record::replace`](crate::Record::replace): the new token takes over the grant, the spent uses and the open
    /// sessions of the old one, which is revoked; both or neither; or [`StoreError::Refused`],
    /// [`StoreError::Duplicate`], [`StoreError::Full`]. The same again gets the first answer.
    fn replace<'a>(&'a self, old: &'a TokenHash, new: &'a TokenHash, now: UnixSeconds) -> Answer<'a, Arc<Grant>>;

    /// [`Record::revoke`](crate::Record::revoke): how many were not revoked before. Each is revoked on
    /// its own: one that is made at the same moment may be missed.
    fn revoke<'a>(&'a self, selector: TokenSelector<'a>) -> Answer<'a, usize>;

    /// [`Record::retarget`](crate::Record::retarget) for those of this type of console: how many there were.
    fn retarget<'a>(
        &'a self,
        selector: TokenSelector<'a>,
        console: ConsoleType,
        target: &'a Target,
    ) -> Answer<'a, usize>;

    /// Forgets tokens that are [over](crate::Record::is_over), consoles without a lease that is held, and notes that are over:
    /// about as many as `batch` says, so that it never holds up the others for long. Fewer than that
    /// means that there are no more. By a clock past 2^52 seconds it may leave some of them.
    fn sweep(&self, now: UnixSeconds, batch: NonZeroU32) -> Answer<'_, usize>;

    /// [`Leases::apply`](crate::Leases::apply) to the leases of the console of this name; or [`StoreError::Refused`].
    fn leases<'a>(
        &'a self,
        console: &'a str,
        now: UnixSeconds,
        rules: &'a LeaseRules,
        transition: LeaseTransition,
    ) -> Answer<'a, Vec<AttemptId>>;

    /// The note of this name, if there is one that is not over.
    fn note<'a>(&'a self, name: &'a str, now: UnixSeconds) -> Answer<'a, Option<Note>>;

    /// The notes whose names begin so, in the order of the bytes of their names: the first
    /// [`Note::LISTED_MAX`] of them. Each is read on its own: of several that are written at the same moment some may be
    /// read before and some after.
    fn notes<'a>(&'a self, prefix: &'a str, now: UnixSeconds) -> Answer<'a, Vec<(Box<str>, Note)>>;

    /// Compare and set: writes or removes a note if what is there is what the change expects. `false`: it was not, and
    /// nothing was written. Or [`StoreError::NoteTooLong`], [`StoreError::Full`].
    ///
    /// A change that expects a version and is asked again after [`StoreError::Backend`] may find what it has written
    /// itself: `false` then means to read again.
    fn set_note<'a>(&'a self, name: &'a str, now: UnixSeconds, change: NoteChange<'a>) -> Answer<'a, bool>;
}
