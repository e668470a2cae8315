//! The answers for one connection.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::net::IpAddr;

use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link::relay::{RelayOutcome, Upstream};
use spice_proto::link::server::Announcement;
use spice_proto::link::{KeyHandle, LinkMess, Refusal, SealedTicket, Secret};
use spice_proto::session::migration::Kind;
use spice_proto::session::relay::{Dial, GuestIdentity, Move};
use spice_proto::session::tracker::Reason;
use spice_proto::session::{Entry, Policy, SessionKey};
use spice_proto::{Limits, ManagedClaim, ProxyHandler, inquire};
use tokio::time::{Instant, sleep, timeout};

use super::books::Entered;
use super::{Console, ConsoleBackend, Denial, Event, TokenSessions};

/// What answers for one connection: tokens by [`TokenSessions`], all else by the [`ConsoleBackend`].
///
/// A viewer that is refused learns nothing but that: tokens that are unknown, expired, spent, revoked or malformed,
/// tickets that do not open, and channels that may not come get the same answer, the same time after the ticket.
///
/// [`TokenSessions::proxy`] makes it. [`drive_session`](spice_proto::drive_session) gives it back at the end, unless a
/// question was open.
pub struct TokenProxy<B> {
    sessions: Arc<TokenSessions>,
    from: IpAddr,
    backend: B,
    /// The key that the viewer was shown.
    key: Option<KeyHandle>,
    asked: Instant,
    session: Option<SessionKey>,
    /// Where this connection goes.
    console: Option<Console>,
    /// The gateway that has its session, and the token for that one.
    owner: Option<(Box<str>, Secret)>,
    denial: Option<Denial>,
}

impl TokenSessions {
    /// What answers for one connection from this address; for [`drive_session`](spice_proto::drive_session).
    #[must_use]
    pub fn proxy<B: ConsoleBackend>(self: &Arc<Self>, from: IpAddr, backend: B) -> TokenProxy<B> {
        TokenProxy::new(self.clone(), from, backend)
    }
}

impl<B: ConsoleBackend> TokenProxy<B> {
    fn new(sessions: Arc<TokenSessions>, from: IpAddr, backend: B) -> Self {
        Self {
            sessions,
            from,
            backend,
            key: None,
            asked: Instant::now(),
            session: None,
            console: None,
            owner: None,
            denial: None,
        }
    }

    /// The backend.
    pub const fn backend(&self) -> &B {
        &self.backend
    }

    /// Its session, once its token was accepted.
    #[must_use]
    pub const fn session(&self) -> Option<SessionKey> {
        self.session
    }

    /// Why it was refused, if it was.
    #[must_use]
    pub const fn denial(&self) -> Option<&Denial> {
        self.denial.as_ref()
    }

    /// For the log: why it is refused. For the viewer: that it is.
    async fn refuse(&mut self, denial: Denial) -> Refusal {
        let told = self.backend.refused(&denial);
        self.denial = Some(denial);
        let rest = self.sessions.settings.refuse_after.saturating_sub(self.asked.elapsed());
        sleep(rest).await;
        told
    }

    /// The session that the token opens or belongs to, if its console is admitted here.
    ///
    /// Dropped, a claim is given back, and so is its use.
    async fn enter(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Option<Denial>> {
        let key = self.key.take().ok_or(None)?;
        let opened = self.sessions.keys.open(self.from, key, sealed).await.ok_or(None)?;
        let is_empty = opened.as_ref().is_ok_and(|text| text.expose().is_empty());
        // For the gateway that has the session, if that is another one.
        let (presented, token) = match self.backend.shown().filter(|_| is_empty) {
            Some(token) => {
                let text = Secret::new(token.expose().as_bytes());
                (self.sessions.shown(&token), Some(text))
            }
            None => {
                let text = opened.as_ref().ok().map(|text| Secret::new(text.expose()));
                (self.sessions.presented(opened), text)
            }
        };
        if let Some(fingerprint) = presented.fingerprint() {
            self.backend.event(Event::Presented(fingerprint));
        }
        let Entered { entry, grant, gateway } = self.sessions.enter(presented, request).await.map_err(Some)?;
        if !self.backend.admits(&grant) {
            return Err(Some(Denial::NotAdmitted));
        }
        let key = match &entry {
            Entry::Open(claim) => Some(claim.key()),
            Entry::Join(key) => Some(*key),
            Entry::Elsewhere => None,
        };
        self.session = key;
        if let Some(key) = key {
            self.backend.event(Event::Entered(key));
        }
        if let Some((name, token)) = gateway.zip(token) {
            self.backend.event(Event::HandedOn(&name));
            self.owner = Some((name, token));
        }
        Ok(entry)
    }

    /// What may be promised for this channel, if its session may be another gateway's.
    async fn announced_elsewhere(&mut self, request: &LinkMess) -> Capabilities {
        let mut promised = Capabilities::spice_server(request.channel_type);
        let within = self.sessions.settings.inquiry_timeout;
        let asked = async {
            for name in self.sessions.named_elsewhere(request.connection_id).await {
                if let Some(announced) = self.sessions.heard(&name, request) {
                    promised = promised.kept_by(&announced);
                    continue;
                }
                let Some(gateway) = self.backend.gateway(&name).await else {
                    continue;
                };
                if let Ok(announced) = inquire(gateway, request, &Limits::default()).await {
                    promised = promised.kept_by(&announced);
                    self.sessions.hears(name, request, &announced);
                }
            }
        };
        // Those that have not answered by then will not take the channel either.
        let _ = timeout(within, asked).await;
        promised
    }

    /// Whether the session may move there.
    async fn moves(&mut self, asked: &Move) -> bool {
        let Some(console) = &self.console else { return false };
        if console.is_at(&asked.target) {
            return false;
        }
        match self.sessions.current(asked.session).await {
            Ok(grant) => self.backend.may_move(&grant, asked).await,
            Err(_) => false,
        }
    }
}

impl<B: ConsoleBackend> ProxyHandler for TokenProxy<B> {
    type Hypervisor = B::Hypervisor;

    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        self.backend.requested(request)?;
        let capabilities = self.announced_elsewhere(request).await;
        let key = self.sessions.keys.take(self.from).await;
        let shown = Announcement {
            public_key: key.public(),
            capabilities,
        };
        self.key = Some(key);
        Ok(shown)
    }

    async fn capabilities(&mut self, of: &Dial) -> Option<Capabilities> {
        let console = Console {
            grant: self.sessions.grant(of.session)?,
            dial: of.clone(),
        };
        let (place, kind) = (console.place(), of.request.channel_type);
        if let Some(known) = place.as_ref().and_then(|place| self.sessions.known(place, kind)) {
            return Some(known);
        }
        let asked = timeout(self.sessions.settings.inquiry_timeout, self.backend.inquire(&console));
        let announced = asked.await.ok()??;
        if let Some(place) = place {
            self.sessions.learn(place, kind, &announced);
        }
        Some(announced)
    }

    fn learnt(&mut self, channel: ChannelType, announced: &Capabilities) {
        if let Some(place) = self.console.as_ref().and_then(Console::place) {
            self.sessions.learn(place, channel, announced);
        }
    }

    async fn token(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        self.asked = Instant::now();
        match self.enter(request, sealed).await {
            Ok(entry) => {
                self.sessions.keys.let_in(self.from);
                Ok(entry)
            }
            Err(Some(denial)) => Err(self.refuse(denial).await),
            // The runtime goes down.
            Err(None) => Err(Refusal::Close),
        }
    }

    fn policy(&mut self) -> Option<Arc<Policy>> {
        let grant = self.sessions.grant(self.session?)?;
        self.backend.policy(&grant)
    }

    async fn refused(&mut self, _: ChannelType, reason: Reason) -> Refusal {
        self.refuse(reason.into()).await
    }

    async fn dial(&mut self, dial: Dial) -> Option<(B::Hypervisor, Upstream)> {
        let console = Console {
            grant: self.sessions.grant(dial.session)?,
            dial,
        };
        let console = self.console.insert(console);
        let hypervisor = self.backend.connect(console).await?;
        let ticket = self.backend.ticket(console).await?;
        let oaep_seed = self.sessions.gate.random_bytes();
        Some((hypervisor, Upstream { ticket, oaep_seed }))
    }

    async fn elsewhere(&mut self, _: &LinkMess) -> Option<(B::Hypervisor, Upstream)> {
        let (name, ticket) = self.owner.take()?;
        let gateway = self.backend.gateway(&name).await?;
        let oaep_seed = self.sessions.gate.random_bytes();
        Some((gateway, Upstream { ticket, oaep_seed }))
    }

    fn linked(&mut self, _: &RelayOutcome) {
        if let Some(key) = self.session {
            self.backend.event(Event::Linked(key));
        }
    }

    async fn bind(&mut self, session: SessionKey, id: u32) -> bool {
        match self.sessions.bind(session, id).await {
            Ok(()) => {
                self.backend.event(Event::Bound(id));
                true
            }
            Err(denial) => {
                self.backend.event(Event::NotBound(&denial));
                false
            }
        }
    }

    async fn identity(&mut self, said: &GuestIdentity) -> bool {
        self.backend.identity(said).await
    }

    async fn target(&mut self, asked: &Move) -> bool {
        let accepted = self.moves(asked).await;
        if accepted {
            if asked.target.kind == Kind::SwitchHost {
                self.sessions.switch(asked.session).await;
            }
            self.backend.event(Event::Moves(asked));
        } else {
            self.backend.event(Event::MoveRefused(asked));
        }
        accepted
    }
}

impl<B> fmt::Debug for TokenProxy<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenProxy")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
