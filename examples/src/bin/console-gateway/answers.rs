//! The answers for one connection: whose console it is, where that is, and where it may move.
//!
//! What a token is worth is answered by [`console_token::spice`], and so is the refusal: unknown, expired, spent,
//! malformed and undecryptable tokens, and channels that may not come, all get `PERMISSION_DENIED`, the same time after
//! the ticket.

use std::sync::Arc;

use console_token::Grant;
use console_token::spice::{Console, ConsoleBackend, Denial, Event};
use examples::places::Place;
use spice_proto::caps::Capabilities;
use spice_proto::ids::LinkErrorCode;
use spice_proto::link::{LinkMess, Refusal, Secret};
use spice_proto::session::SessionKey;
use spice_proto::session::relay::{Counts, Dial, Move};
use spice_proto::{Limits, inquire};
use tracing::Span;
use tracing::field::display;

use crate::gateway::Shared;
use crate::guest::{DialError, Guest, PlaceAddress};
use crate::sessions::Channel;
use crate::tls::Stream;

/// What is known of a connection, and what went wrong with it.
pub(crate) struct Tenant {
    shared: Arc<Shared>,
    place: Arc<Place>,
    counts: Arc<Counts>,
    /// It came over TLS.
    secure: bool,
    /// Its session, and what it is in there.
    joined: Option<(SessionKey, Channel)>,
    at: Option<PlaceAddress>,
    /// Why its console is not admitted.
    unfit: Option<&'static str>,
    /// Why it was refused, for the log.
    pub(crate) refused: Option<String>,
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
            joined: None,
            at: None,
            unfit: None,
            refused: None,
            unreached: None,
            linked: false,
        }
    }

    /// Where a connection goes.
    fn place_of(&self, console: &Console) -> Option<(Arc<Guest>, PlaceAddress)> {
        let guest = self.shared.sessions.guest_of(&console.grant)?;
        let Dial { target, .. } = &console.dial;
        let at = match target {
            None => guest.console.first(),
            Some(target) => guest.console.place_at(target),
        };
        Some((guest.clone(), at?))
    }
}

impl ConsoleBackend for Tenant {
    type Hypervisor = Stream;

    fn requested(&mut self, request: &LinkMess) -> Result<(), Refusal> {
        let span = Span::current();
        span.record("channel", display(request.channel_type));
        span.record("number", request.channel_id);
        span.record("connection_id", request.connection_id);
        if !self.secure && self.shared.sessions.all_require_tls() {
            return Err(Refusal::Code(LinkErrorCode::NEED_SECURED));
        }
        Ok(())
    }

    fn admits(&mut self, grant: &Grant) -> bool {
        let guest = self.shared.sessions.guest_of(grant);
        self.unfit = match guest {
            None => Some("the token is for a guest that is not configured"),
            Some(guest) if guest.console.require_tls && !self.secure => {
                Some("the console is for viewers with TLS only")
            }
            Some(_) => None,
        };
        self.unfit.is_none()
    }

    fn refused(&mut self, denial: &Denial) -> Refusal {
        let unfit = self.unfit.filter(|_| matches!(denial, Denial::NotAdmitted));
        self.refused = Some(unfit.map_or_else(|| denial.to_string(), ToOwned::to_owned));
        (self.shared.refuses_with)(denial)
    }

    async fn inquire(&mut self, console: &Console) -> Option<Capabilities> {
        let (_, at) = self.place_of(console)?;
        let hypervisor = at.dial(None).await.ok()?;
        let announced = inquire(hypervisor, &console.dial.request, &Limits::default()).await;
        announced.ok()
    }

    async fn connect(&mut self, console: &Console) -> Option<Stream> {
        let (guest, at) = self.place_of(console)?;
        let Dial { request, session, .. } = &console.dial;
        let channel = (request.channel_type, request.channel_id);
        self.shared.sessions.joined(*session, channel, &self.counts);
        self.joined = Some((*session, channel));
        let at = self.at.insert(at);
        let span = Span::current();
        span.record("guest", guest.name.as_str());
        span.record("host", at.place.host.as_str());
        let hypervisor = match self.place.admit() {
            Ok(()) => at.dial(console.dial.transport).await,
            Err(full) => Err(full.into()),
        };
        hypervisor.map_err(|error| self.unreached = Some(error)).ok()
    }

    async fn ticket(&mut self, _: &Console) -> Option<Secret> {
        let at = self.at.as_ref()?;
        Some(Secret::new(at.place.ticket.expose()))
    }

    /// Only to another place of the same guest: the field is the hypervisor's, and not trusted.
    async fn may_move(&mut self, grant: &Grant, Move { target: asked, .. }: &Move) -> bool {
        let (Some(guest), Some(here)) = (self.shared.sessions.guest_of(grant), &self.at) else {
            return false;
        };
        let Some(there) = guest.console.place_at(asked) else {
            tracing::warn!(kind = ?asked.kind, "a migration to what is no place of this guest is refused");
            return false;
        };
        if there.is(here) {
            tracing::warn!(kind = ?asked.kind, "a migration to where it is, is refused");
            return false;
        }
        tracing::info!(kind = ?asked.kind, host = there.place.host, "the session moves");
        true
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Presented(fingerprint) => {
                Span::current().record("token", display(fingerprint));
            }
            Event::Linked(_) => {
                self.linked = true;
                tracing::info!("linked");
            }
            Event::Bound(session) => tracing::info!(session, "session named"),
            Event::NotBound(error) => tracing::warn!(%error, "the hypervisor's name for the session is refused"),
            Event::MoveRefused(asked) => tracing::warn!(kind = ?asked.target.kind, "a move is refused"),
            _ => {}
        }
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        if let Some((session, channel)) = self.joined {
            self.shared.sessions.left(session, channel, &self.counts);
        }
    }
}
