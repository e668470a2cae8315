//! What the author of a proxy answers.

extern crate std;

use alloc::sync::Arc;
use core::future::Future;

use tokio::io::{AsyncRead, AsyncWrite};

use super::manager::ManagedClaim;
#[cfg(doc)]
use super::{drive_session, identify, inquire, manager::SessionManager};
use crate::caps::Capabilities;
use crate::ids::ChannelType;
use crate::link::relay::{RelayOutcome, Upstream};
use crate::link::server::Announcement;
use crate::link::{LinkMess, Refusal, SealedTicket};
use crate::session::policy::Policy;
use crate::session::relay::{Dial, GuestIdentity, Move};
use crate::session::tracker::Reason;
use crate::session::{Entry, SessionKey};
#[cfg(doc)]
use crate::session::{Report, migration::Kind};

/// What the author of a proxy knows: the answers for one connection.
///
/// None has to be quick: the connection's other direction, and all other connections, go on meanwhile. What comes after
/// [`Limits::link_timeout`](crate::Limits::link_timeout) is too late for a link. When the tenant goes while a question
/// is open, its future is dropped, but for that of [`ProxyHandler::token`], which takes uses: it is always run to its
/// end, unless the future of [`drive_session`] is itself dropped.
///
/// [`SessionManager::report`] says what became of each link and session, whatever became of these answers.
///
/// # Example
///
/// Tokens that are good for several sessions. Each use that is taken stands under the key of its own session, so that
/// two viewers with one token are two sessions, and a use is had again exactly if no hypervisor can have accepted for
/// it.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::{Arc, Mutex};
/// use spice_proto::ids::ChannelType;
/// use spice_proto::link::LinkMess;
/// use spice_proto::session::{Entry, Report, SessionKey};
/// use spice_proto::{SessionManager, ManagedClaim};
///
/// #[derive(Default)]
/// struct Store {
///     /// Uses that are left.
///     uses: HashMap<String, u32>,
///     /// The token of each session, and its id as soon as it is bound.
///     open: HashMap<SessionKey, (String, Option<u32>)>,
/// }
///
/// impl Store {
///     /// For `ProxyHandler::token`. `token`: what the ticket held.
///     fn enter(&mut self, hub: &Arc<SessionManager>, token: &str, request: &LinkMess) -> Option<Entry<ManagedClaim>> {
///         if (request.channel_type, request.connection_id) != (ChannelType::MAIN, 0) {
///             let mine = (token.to_owned(), Some(request.connection_id));
///             let found = self.open.iter().find(|(_, session)| **session == mine);
///             return found.map(|(key, _)| Entry::Join(*key));
///         }
///         let left = self.uses.get_mut(token).filter(|left| 0 < **left)?;
///         let claim = hub.claim();
///         *left -= 1;
///         self.open.insert(claim.key(), (token.to_owned(), None));
///         Some(Entry::Open(claim))
///     }
///
///     /// For `ProxyHandler::bind`.
///     fn bind(&mut self, session: SessionKey, id: u32) {
///         if let Some((_, bound)) = self.open.get_mut(&session) {
///             *bound = Some(id);
///         }
///     }
///
///     /// For each report of the hub, in one task.
///     fn heard(&mut self, report: Report) {
///         let Report::Ended { session, spent } = report else { return };
///         if let (Some((token, _)), false) = (self.open.remove(&session), spent) {
///             *self.uses.entry(token).or_default() += 1;
///         }
///     }
/// }
///
/// async fn keep(hub: Arc<SessionManager>, store: Arc<Mutex<Store>>) {
///     loop {
///         let report = hub.report().await;
///         store.lock().unwrap().heard(report);
///     }
/// }
/// # let hub = Arc::new(SessionManager::new(Default::default(), [0; 16]));
/// # let mut store = Store { uses: HashMap::from([("two".to_owned(), 2)]), open: HashMap::new() };
/// # let request = |connection_id| LinkMess {
/// #     connection_id, channel_type: ChannelType::MAIN, channel_id: 0, capabilities: Default::default(),
/// # };
/// # let claims = [0, 0].map(|id| store.enter(&hub, "two", &request(id)).unwrap());
/// # assert!(store.enter(&hub, "two", &request(0)).is_none());
/// # let Entry::Open(first) = &claims[0] else { panic!() };
/// # store.bind(first.key(), 7);
/// # assert_eq!(store.enter(&hub, "two", &request(7)), Some(Entry::Join(first.key())));
/// # assert_eq!(store.enter(&hub, "two", &request(8)), None);
/// # drop(claims);
/// # for _ in 0..2 {
/// #     let report = hub.with(|_, sessions| sessions.poll_report()).unwrap();
/// #     store.heard(report);
/// # }
/// # assert_eq!((store.uses["two"], store.open.len()), (2, 0));
/// ```
pub trait ProxyHandler: Send {
    /// A connection to a hypervisor.
    type Hypervisor: AsyncRead + AsyncWrite + Send + Unpin;

    /// A tenant asks for a channel: the key that it is shown, and the capabilities at most. Whether it may have the
    /// channel depends on its token, which comes next.
    ///
    /// For the first main channel of a session, [`Capabilities::spice_server`] does: a hypervisor may lack any of
    /// them. For all that come behind it the hypervisor is known, and no more is shown than what it has: see
    /// [`ProxyHandler::capabilities`].
    fn announce(&mut self, request: &LinkMess) -> impl Future<Output = Result<Announcement, Refusal>> + Send;

    /// What the hypervisor of this dial announces for the channel, so that no more is promised to the tenant: a
    /// promise that it does not keep costs the viewer the channel. Best remembered by place and kind of channel, from
    /// [`ProxyHandler::learnt`]; if it is not known yet, asked for with [`inquire`], on a connection that is made as
    /// for [`ProxyHandler::dial`], without a ticket. `None`: it cannot be known, and what [`ProxyHandler::announce`]
    /// said is promised.
    ///
    /// The tenant has not shown its token yet: it knows the session's id and no more.
    fn capabilities(&mut self, of: &Dial) -> impl Future<Output = Option<Capabilities>> + Send;

    /// The hypervisor that was dialled announces all of these for this kind of channel, whether or not the link stands.
    fn learnt(&mut self, channel: ChannelType, announced: &Capabilities) {
        let _ = (channel, announced);
    }

    /// The tenant's ticket, sealed with that key: which session does it open or belong to?
    ///
    /// A main channel with `connection_id` 0 opens one, with a [`SessionManager::claim`] that is made **before** a use
    /// is taken for it; or, if the token's session was told to come again ([`Kind::SwitchHost`]), belongs to that one.
    /// Any other channel belongs to the session that was opened with this token **and** is bound to this
    /// `connection_id`: neither names a session by itself, since a token can open several, and hypervisors repeat ids.
    ///
    /// A token that is unknown, spent, expired or revoked, and a ticket that does not open, are all refused alike, with
    /// [`Refusal::DENIED`], after the same time.
    fn token(
        &mut self,
        request: &LinkMess,
        sealed: SealedTicket,
    ) -> impl Future<Output = Result<Entry<ManagedClaim>, Refusal>> + Send;

    /// What may pass on this connection, in place of the [`Config`](crate::session::relay::Config)'s policy: asked when
    /// the token was accepted, and to be the same for all connections of a session. `None`: that.
    fn policy(&mut self) -> Option<Arc<Policy>> {
        None
    }

    /// The token is good, and the connection may not join its session all the same. The refusal is sent to the tenant.
    /// It is [`Refusal::DENIED`] whatever the reason is, and should be the same as for a token that is not good. A
    /// claim that was made for it is given back.
    fn refused(&mut self, channel: ChannelType, reason: Reason) -> impl Future<Output = Refusal> + Send {
        let _ = (channel, reason);
        core::future::ready(Refusal::DENIED)
    }

    /// A connection to the hypervisor, and its ticket. `None`: there is none.
    fn dial(&mut self, dial: Dial) -> impl Future<Output = Option<(Self::Hypervisor, Upstream)>> + Send;

    /// The token's session is another proxy's ([`Entry::Elsewhere`]): a connection to that one, and the tenant's token
    /// as the ticket for it. What the other proxy is must be known for certain, by TLS, since it gets the token. `None`:
    /// it is not reached; as it stands, none ever is.
    ///
    /// The other proxy sees a viewer that comes from this one. So that it knows the tenant's address, and whether the
    /// tenant came by TLS, tell it both before the link, as in a header of the PROXY protocol.
    ///
    /// Such a connection can be promised no more than the other proxy announces for it, as that one takes care of its
    /// hypervisors: see to it in [`ProxyHandler::announce`], with [`inquire`] at those that may have the session.
    fn elsewhere(&mut self, request: &LinkMess) -> impl Future<Output = Option<(Self::Hypervisor, Upstream)>> + Send {
        let _ = request;
        core::future::ready(None)
    }

    /// The link stands on both sides.
    fn linked(&mut self, outcome: &RelayOutcome) {
        let _ = outcome;
    }

    /// The hypervisor has named the session: record the id wherever [`ProxyHandler::token`] looks for it. `false`: that
    /// cannot be done, and the session ends. Without a record of the handler's own it is `true`:
    /// [`SessionManager::named`] knows the ids of its sessions.
    fn bind(&mut self, session: SessionKey, id: u32) -> impl Future<Output = bool> + Send {
        let _ = (session, id);
        core::future::ready(true)
    }

    /// Accept a move only to a place of the guest that the session is of; any other is refused with `false`, and so is
    /// every move by default. [`Move`] has an example.
    fn target(&mut self, asked: &Move) -> impl Future<Output = bool> + Send {
        let _ = asked;
        core::future::ready(false)
    }

    /// The hypervisor says which guest it has: `false` if that is another one than the session is of, and the hypervisor
    /// is left. Name and UUID are said in two messages. A target that the viewer follows to without a break says
    /// neither: where several guests may be at a target, ask it with [`identify`] before a [`Move`] is accepted.
    fn identity(&mut self, said: &GuestIdentity) -> impl Future<Output = bool> + Send {
        let _ = said;
        core::future::ready(true)
    }
}
