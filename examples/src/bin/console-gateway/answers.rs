//! The answers for one connection: its token, its target, and its moves.
//!
//! A tenant that is refused learns nothing but that: unknown, expired, spent, malformed and undecryptable
//! tokens, and channels that may not come, all get `PERMISSION_DENIED`, the same time after the ticket.

use std::sync::Arc;
use std::time::Duration;

use console_token::Refusal as TokenRefusal;
use examples::places::Place;
use spice_proto::caps::Capabilities;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::{RelayOutcome, Upstream};
use spice_proto::link::server::Announcement;
use spice_proto::link::{KeyHandle, LinkMess, Refusal, SealedTicket, Secret};
use spice_proto::session::migration::Kind;
use spice_proto::session::relay::{Counts, Dial, Move};
use spice_proto::session::tracker::Reason;
use spice_proto::session::{Entry, SessionKey};
use spice_proto::{Limits, ManagedClaim, ProxyHandler, inquire};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::Span;
use tracing::field::display;

use crate::gateway::Shared;
use crate::guest::{DialError, PlaceAddress};
use crate::keys::random_bytes;
use crate::rules::Rules;
use crate::sessions::{Channel, Refused, Session};
use crate::tls::Stream;
use crate::tokens::Flaw;

/// When a refusal is sent, counted from the ticket: later than any look-up takes, so that its time tells
/// nothing, and soon enough for a person.
const REFUSED_AFTER: Duration = Duration::from_millis(50);

/// How long a hypervisor is asked for its capabilities. One that is silent must not use up the time of the link: a viewer
/// that follows its guest to it gives up, and the move would fail.
const INQUIRY: Duration = Duration::from_secs(2);

/// What is known of a connection, and what went wrong with it.
pub(crate) struct Tenant {
    shared: Arc<Shared>,
    place: Arc<Place>,
    counts: Arc<Counts>,
    /// It came over TLS.
    secure: bool,
    /// The key that the tenant was shown.
    key: Option<KeyHandle>,
    asked: Instant,
    session: Option<Arc<Session>>,
    channel: Option<Channel>,
    at: Option<PlaceAddress>,
    pub(crate) refused: Option<Refused>,
    pub(crate) unreached: Option<DialError>,
    pub(crate) linked: bool,
}

impl Tenant {
    pub(crate) fn new(shared: Arc<Shared>, place: Arc<Place>, counts: Arc<Counts>, secure: bool) -> Self {
        Self {
            shared,
            place,
            counts,
            secure,
            key: None,
            asked: Instant::now(),
            session: None,
            channel: None,
            at: None,
            refused: None,
            unreached: None,
            linked: false,
        }
    }

    /// For our own log: why it was refused. For the tenant: that it was.
    async fn refuse(&mut self, refused: Refused) -> Refusal {
        self.refused = Some(refused);
        sleep_until(self.asked + REFUSED_AFTER).await;
        Refusal::Code(told(self.shared.rules, refused))
    }

    /// Where a connection goes.
    fn place_of(session: &Session, dial: &Dial) -> Option<PlaceAddress> {
        match &dial.target {
            None => Some(session.first.clone()),
            Some(target) => session.guest.console.place_at(target),
        }
    }
}

impl ProxyHandler for Tenant {
    type Hypervisor = Stream;

    /// A tenant asks for a channel. It is shown a key and capabilities whatever it asks for: whether it may
    /// have the channel depends on the token, which comes next.
    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        let span = Span::current();
        span.record("channel", display(request.channel_type));
        span.record("number", request.channel_id);
        span.record("connection_id", request.connection_id);
        if !self.secure && self.shared.sessions.all_require_tls() {
            return Err(Refusal::Code(LinkErrorCode::NEED_SECURED));
        }
        let key = self.shared.keys.take().await;
        let shown = Announcement {
            public_key: key.public(),
            capabilities: Capabilities::spice_server(request.channel_type),
        };
        self.key = Some(key);
        Ok(shown)
    }

    /// A hypervisor is asked once for each kind of channel.
    async fn capabilities(&mut self, of: &Dial) -> Option<Capabilities> {
        let session = self.shared.sessions.session(of.session)?;
        let at = Self::place_of(&session, of)?;
        let kind = of.request.channel_type;
        if let Some(known) = at.place.announces(kind) {
            return Some(known);
        }
        let asked = async {
            let hypervisor = at.dial(None).await.ok()?;
            inquire(hypervisor, &of.request, &Limits::default()).await.ok()
        };
        let known = timeout(INQUIRY, asked).await.ok()??;
        at.place.learn(kind, &known);
        Some(known)
    }

    fn learnt(&mut self, channel: ChannelType, announced: &Capabilities) {
        if let Some(at) = &self.at {
            at.place.learn(channel, announced);
        }
    }

    /// The tenant's ticket is there.
    async fn token(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Entry<ManagedClaim>, Refusal> {
        self.asked = Instant::now();
        let key = self.key.take().ok_or(Refusal::Close)?;
        let opened = self.shared.keys.open(key, sealed).await.ok_or(Refusal::Close)?;
        let sessions = &self.shared.sessions;
        let presented = sessions.tokens.presented(opened);
        if let Some(token) = presented.fingerprint() {
            Span::current().record("token", display(token));
        }
        match sessions.enter(&self.shared.hub, &presented, request, self.secure) {
            Ok((session, entry)) => {
                self.session = Some(session);
                Ok(entry)
            }
            Err(refused) => Err(self.refuse(refused).await),
        }
    }

    async fn refused(&mut self, _: ChannelType, reason: Reason) -> Refusal {
        self.refuse(reason.into()).await
    }

    async fn dial(&mut self, dial: Dial) -> Option<(Stream, Upstream)> {
        let session = self.session.as_ref()?;
        let at = Self::place_of(session, &dial)?;
        let channel = (dial.request.channel_type, dial.request.channel_id);
        session.joined(channel, &at, &self.counts);
        (self.channel, self.at) = (Some(channel), Some(at.clone()));
        let span = Span::current();
        span.record("guest", session.guest.name.as_str());
        span.record("host", at.place.host.as_str());
        let hypervisor = match self.place.admit() {
            Ok(()) => at.dial(dial.transport).await,
            Err(full) => Err(full.into()),
        };
        let hypervisor = hypervisor.map_err(|error| self.unreached = Some(error)).ok()?;
        let upstream = Upstream {
            ticket: Secret::new(at.place.ticket.expose()),
            oaep_seed: random_bytes(),
        };
        Some((hypervisor, upstream))
    }

    fn linked(&mut self, _: &RelayOutcome) {
        let Some(session) = &self.session else { return };
        self.linked = true;
        tracing::info!(token = %session.hash.fingerprint(), "linked");
    }

    async fn bind(&mut self, _: SessionKey, session_id: u32) -> bool {
        let Some(session) = &self.session else { return false };
        match self.shared.sessions.bind(session, session_id) {
            Ok(()) => {
                tracing::info!(session = session_id, "session named");
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the hypervisor's name for the session is refused");
                false
            }
        }
    }

    /// Only to another place of the same guest: the field is the hypervisor's, and not trusted.
    async fn target(&mut self, Move { target: told, .. }: &Move) -> bool {
        let (Some(session), Some(here)) = (&self.session, &self.at) else {
            return false;
        };
        let Some(there) = session.guest.console.place_at(told) else {
            tracing::warn!(kind = ?told.kind, "a migration to what is no place of this guest is refused");
            return false;
        };
        if there.is(here) {
            tracing::warn!(kind = ?told.kind, "a migration to where it is, is refused");
            return false;
        }
        tracing::info!(kind = ?told.kind, host = there.place.host, "the session moves");
        told.kind != Kind::SwitchHost || self.shared.sessions.switches(session)
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        if let (Some(session), Some(channel)) = (&self.session, self.channel) {
            session.left(channel, &self.counts);
        }
    }
}

/// The code that a refused tenant receives. `leak_reason` is off but for the demo.
fn told(rules: Rules, refused: Refused) -> LinkErrorCode {
    match refused {
        Refused::Token(Flaw::Token(TokenRefusal::Expired)) if rules.leak_reason => LinkErrorCode::ERROR,
        Refused::Token(Flaw::Token(TokenRefusal::Spent)) if rules.leak_reason => LinkErrorCode::INVALID_DATA,
        _ => LinkErrorCode::PERMISSION_DENIED,
    }
}
