//! Where records are kept.

mod memory;

pub use memory::MemoryStore;

use crate::{Grant, SessionId, StoreError, TokenHash, UnixSeconds};

/// Where a SPICE channel was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The session that it belongs to.
    pub session: SessionId,
    /// What the token allows; above all the target.
    pub grant: Grant,
}

/// A place that keeps records under the hash of their token.
///
/// Each method applies the transition of [`Record`](crate::Record) of the same name, with its
/// rules and its refusals, and adds [`Refusal::Unknown`](crate::Refusal::Unknown). A store
/// decides nothing; it owes only this:
/// - **Atomicity**: of two calls on one token, one sees what the other has done. Two claims of a
///   one-time token, at the same moment in two places, must not both succeed.
/// - A refused transition changes nothing.
/// - The token itself never gets here, only its hash.
///
/// ```
/// use console_token::{Grant, Pepper, Secret, Store, StoreError, UnixSeconds};
///
/// /// A VNC gateway: what the token that was presented leads to, or what the tenant is told.
/// fn admit<S: Store>(
///     store: &mut S, pepper: &Pepper, presented: &[u8], now: UnixSeconds,
/// ) -> Result<Grant, &'static str> {
///     let token = Secret::presented(presented).map_err(|refusal| refusal.public())?;
///     store.redeem(&pepper.hash(&token), now).map_err(|error| error.public())
/// }
/// ```
pub trait Store {
    /// How the engine behind the store fails; [`Infallible`](core::convert::Infallible) if it cannot.
    type Backend;

    /// Keeps a new token.
    ///
    /// # Errors
    ///
    /// [`StoreError::Duplicate`], [`StoreError::Full`] or [`StoreError::Backend`].
    fn insert(&mut self, hash: TokenHash, grant: Grant) -> Result<(), StoreError<Self::Backend>>;

    /// [`Record::check`](crate::Record::check): what the token leads to, without spending a use.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn check(&mut self, hash: &TokenHash, now: UnixSeconds) -> Result<Grant, StoreError<Self::Backend>>;

    /// [`Record::redeem`](crate::Record::redeem): a connection.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn redeem(&mut self, hash: &TokenHash, now: UnixSeconds) -> Result<Grant, StoreError<Self::Backend>>;

    /// [`Record::claim`](crate::Record::claim): the main channel of a new SPICE session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn claim(&mut self, hash: &TokenHash, now: UnixSeconds) -> Result<Admitted, StoreError<Self::Backend>>;

    /// [`Record::bind`](crate::Record::bind): the hypervisor named the session. Before INIT is forwarded.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn bind(
        &mut self,
        hash: &TokenHash,
        session: SessionId,
        connection_id: u32,
    ) -> Result<(), StoreError<Self::Backend>>;

    /// [`Record::release`](crate::Record::release): the target was not ready, the use is given back.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn release(&mut self, hash: &TokenHash, session: SessionId) -> Result<(), StoreError<Self::Backend>>;

    /// [`Record::join`](crate::Record::join): a later channel of a SPICE session.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn join(
        &mut self,
        hash: &TokenHash,
        now: UnixSeconds,
        connection_id: u32,
    ) -> Result<Admitted, StoreError<Self::Backend>>;

    /// [`Record::close`](crate::Record::close): the main channel has ended.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] or [`StoreError::Backend`].
    fn close(&mut self, hash: &TokenHash, session: SessionId) -> Result<(), StoreError<Self::Backend>>;
}
