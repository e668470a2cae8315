//! The answers for one connection: who is it, where does it go, may it move.
//!
//! A tenant that is refused learns nothing but that: unknown, expired, spent, malformed and undecryptable
//! tokens, and channels that may not come, all get `PERMISSION_DENIED`, the same time after the ticket.

use std::sync::Arc;
use std::time::Duration;

use console_token::Refusal as TokenRefusal;
use spice_proto::Answers;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::relay::{RelayOutcome, Upstream};
use spice_proto::link::server::Announcement;
use spice_proto::link::{KeyHandle, LinkMess, Refusal, SealedTicket, Secret};
use spice_proto::session::Token;
use spice_proto::session::migration::{self, Kind};
use spice_proto::session::relay::{Counts, Dial};
use spice_proto::session::tracker::Reason;
use tokio::time::{Instant, sleep_until};
use tracing::Span;
use tracing::field::display;

use crate::gateway::Shared;
use crate::keys::random_bytes;
use crate::rules::Rules;
use crate::sessions::{Channel, Refused, Session};
use crate::target::{DialError, Target};
use crate::tls::Stream;
use crate::tokens::Flaw;

/// When a refusal is sent, counted from the ticket: later than any look-up takes, so that its time tells
/// nothing, and soon enough for a person.
const REFUSED_AFTER: Duration = Duration::from_millis(50);

/// What is known of a connection, and what went wrong with it.
pub(crate) struct Tenant {
    shared: Arc<Shared>,
    counts: Arc<Counts>,
    /// The key that the tenant was shown.
    key: Option<KeyHandle>,
    asked: Instant,
    session: Option<Arc<Session>>,
    channel: Option<Channel>,
    target: Option<Arc<Target>>,
    pub(crate) refused: Option<Refused>,
    pub(crate) unreached: Option<DialError>,
    pub(crate) linked: bool,
}

impl Tenant {
    pub(crate) fn new(shared: Arc<Shared>, counts: Arc<Counts>) -> Self {
        Self {
            shared,
            counts,
            key: None,
            asked: Instant::now(),
            session: None,
            channel: None,
            target: None,
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

    /// The hypervisor lacks a capability that was promised for it: it is not promised again.
    pub(crate) fn learn_from(&self, error: &spice_proto::link::HandshakeError) {
        use spice_proto::link::{HandshakeError, Incompatibility};
        if let HandshakeError::PeerIncompatible(Incompatibility::MissingCapability { set, bit }) = *error
            && let (Some(target), Some((kind, _))) = (&self.target, self.channel)
        {
            target.lacks(kind, set, bit);
        }
    }
}

impl Answers for Tenant {
    type Hypervisor = Stream;

    /// A tenant asks for a channel. It is shown a key and capabilities whatever it asks for: whether it may
    /// have the channel depends on the token, which comes next.
    async fn announce(&mut self, request: &LinkMess) -> Result<Announcement, Refusal> {
        let span = Span::current();
        span.record("channel", display(request.channel_type));
        span.record("number", request.channel_id);
        span.record("connection_id", request.connection_id);
        let key = self.shared.keys.take().await;
        let shown = Announcement {
            public_key: key.public(),
            capabilities: self.shared.sessions.promise(request),
        };
        self.key = Some(key);
        Ok(shown)
    }

    /// The tenant's ticket is there.
    async fn token(&mut self, request: &LinkMess, sealed: SealedTicket) -> Result<Token, Refusal> {
        self.asked = Instant::now();
        let key = self.key.take().ok_or(Refusal::Close)?;
        let opened = self.shared.keys.open(key, sealed).await.ok_or(Refusal::Close)?;
        let sessions = &self.shared.sessions;
        let presented = sessions.tokens.presented(opened);
        if let Some(token) = presented.fingerprint() {
            Span::current().record("token", display(token));
        }
        match sessions.enter(&presented, request) {
            Ok(session) => {
                let token = session.token;
                self.session = Some(session);
                Ok(token)
            }
            Err(refused) => Err(self.refuse(refused).await),
        }
    }

    async fn refused(&mut self, _: ChannelType, reason: Reason) -> Refusal {
        self.refuse(reason.into()).await
    }

    async fn dial(&mut self, dial: Dial) -> Option<(Stream, Upstream)> {
        let session = self.session.as_ref()?;
        let target = match &dial.target {
            None => session.first.clone(),
            Some(target) => self.shared.sessions.target_at(target)?,
        };
        let channel = (dial.request.channel_type, dial.request.channel_id);
        session.joined(channel, &target, &self.counts);
        (self.channel, self.target) = (Some(channel), Some(target.clone()));
        Span::current().record("target", target.name.as_str());
        let hypervisor = match dial.transport {
            None => target.dial().await,
            // A target has one port.
            Some(wanted) => Err(DialError::OtherPort(wanted)),
        };
        let hypervisor = hypervisor.map_err(|error| self.unreached = Some(error)).ok()?;
        let upstream = Upstream {
            ticket: Secret::new(target.ticket.expose()),
            oaep_seed: random_bytes(),
        };
        Some((hypervisor, upstream))
    }

    fn linked(&mut self, outcome: &RelayOutcome) {
        let (Some(session), Some(target)) = (&self.session, &self.target) else {
            return;
        };
        self.linked = true;
        session.linked();
        target.learn(outcome.request.channel_type, &outcome.hypervisor);
        tracing::info!(token = %session.hash.fingerprint(), "linked");
    }

    async fn bind(&mut self, session_id: u32) -> bool {
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

    /// Only to another console of the configuration: the field is the hypervisor's, and not trusted.
    async fn target(&mut self, told: &migration::Target) -> bool {
        let (Some(session), Some(here)) = (&self.session, &self.target) else {
            return false;
        };
        let Some(target) = self.shared.sessions.target_at(told) else {
            tracing::warn!(kind = ?told.kind, "a migration to a target that is not configured is refused");
            return false;
        };
        if Arc::ptr_eq(&target, here) {
            tracing::warn!(kind = ?told.kind, target = target.name, "a migration to where it is, is refused");
            return false;
        }
        tracing::info!(kind = ?told.kind, target = target.name, "the session moves");
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

/// What a refused tenant is told. `leak_reason` is off but for the demo.
fn told(rules: Rules, refused: Refused) -> LinkErrorCode {
    match refused {
        Refused::Token(Flaw::Token(TokenRefusal::Expired)) if rules.leak_reason => LinkErrorCode::ERROR,
        Refused::Token(Flaw::Token(TokenRefusal::Spent)) if rules.leak_reason => LinkErrorCode::INVALID_DATA,
        _ => LinkErrorCode::PERMISSION_DENIED,
    }
}
