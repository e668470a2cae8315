//! SPICE: the answers for one connection: whose console it is, where that is, and where it may move.
//!
//! What a token is worth is answered by [`console_token::spice`], and so is the refusal: unknown, expired, spent,
//! malformed and undecryptable tokens, and channels that may not come, all get `PERMISSION_DENIED`, the same time after
//! the ticket.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Instant;

use console_token::spice::{Console, ConsoleBackend, Denial, Event, TokenProxy};
use console_token::{Fingerprint, Grant, Protocol, Refusal as TokenRefusal};
use examples::places::Place;
use examples::websocket::CloseReason;
use serde_json::json;
use spice_proto::caps::Capabilities;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::{LinkMess, Refusal, Secret, Side};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::relay::{Config, Counts, Dial, End, GuestIdentity, Move};
use spice_proto::session::tracker::Peer;
use spice_proto::session::{Policy, SessionKey};
use spice_proto::{Limits, drive_session, inquire};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::field::display;
use tracing::{Span, debug, info, warn};

use super::held::{Held, MoveEnd, Moving};
use super::owner::Owner;
use super::place::{DialError, PlaceAddress};
use super::{farewell, shown};
use crate::front::gateways::GatewayError;
use crate::front::tls::Stream;
use crate::front::{Guestbook, endpoint};
use crate::gateway::Gateway;
use crate::grant::{Found, fingerprint};
use crate::operate::book::{About, Entered, Order, Why};
use crate::operate::traffic::{Counted, Traffic};
use crate::sync::lock;

/// The WebSocket that a connection is inside of.
pub(crate) struct Socket {
    pub(crate) close: CloseReason,
    /// What was shown in its request.
    pub(crate) token: console_token::Secret,
}

/// One connection of a viewer, from its link message on.
pub(crate) async fn serve<S>(gateway: Arc<Gateway>, guest: Guestbook, mut stream: S, socket: Option<Socket>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let live = gateway.live();
    // A page in a browser does not come back by itself, so that any place does for it.
    let anywhere =
        || Endpoint::new(&live.viewer.host, NonZeroU16::new(9), None, None).map_err(|error| error.to_string());
    let endpoint = match endpoint(&live.viewer, guest.secure).or_else(|problem| match socket {
        Some(_) => anywhere(),
        None => Err(problem),
    }) {
        Ok(endpoint) => endpoint,
        Err(problem) => return warn!(problem, "no link"),
    };
    let config = Arc::new(Config::new(live.spice_policy.clone(), endpoint));
    let (close, token) = socket.map(|Socket { close, token }| (close, token)).unzip();
    let (end, proxy) = drive(&gateway, &guest, &mut stream, config, token).await;
    let mut why = None;
    match proxy {
        None => gateway.refusals.log(|| info!(%end, "ended")),
        Some(proxy) => {
            let tenant = proxy.backend();
            why = tenant.why();
            log(&gateway, tenant, &end);
        }
    }
    if let Some(close) = close {
        farewell(&mut stream, &close, why).await;
    }
}

/// The session's part on one connection. Not `async`: what is on its way to the driver would have room in the future as well.
fn drive<'a, S>(
    gateway: &'a Arc<Gateway>,
    guest: &Guestbook,
    stream: &'a mut S,
    config: Arc<Config>,
    token: Option<console_token::Secret>,
) -> impl Future<Output = (End, Option<TokenProxy<Tenant>>)> + use<'a, S>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let from = Peer {
        address: guest.peer.ip(),
        secure: guest.secure,
    };
    let connection = gateway.spice.accept(from, config);
    let traffic: Arc<Traffic> = Arc::default();
    let mut tenant = Tenant::new(gateway.clone(), guest, traffic.clone(), connection.counts());
    tenant.shown = token;
    let counted = Counted::new(stream, traffic);
    drive_session(connection, counted, gateway.spice.proxy(from.address, tenant))
}

fn log(gateway: &Gateway, tenant: &Tenant, end: &End) {
    match (end, &tenant.refused, &tenant.unreached) {
        (_, Some(reason), _) => {
            gateway
                .metrics
                .refused(if tenant.unheard { "guesses" } else { "spice" });
            // Strangers must not fill the audit log either.
            if !tenant.unheard {
                let line = json!({ "why": reason, "peer": tenant.peer });
                gateway.audit.log("refused", line);
            }
            gateway.refusals.log(|| info!(%reason, "refused"));
        }
        (_, _, None) if tenant.owner.is_some() => {
            if let Some(owner) = &tenant.owner {
                owner.log(end);
            }
        }
        (_, _, Some(error)) => warn!(reason = %format_args!("hypervisor not reached: {error}"), "no link"),
        (End::Link(error), ..) if error.side == Side::Hypervisor => {
            warn!(reason = %format_args!("hypervisor: {}", error.error), "no link");
        }
        (reason, ..) if !tenant.linked => gateway.refusals.log(|| info!(%reason, "no link")),
        _ => info!(%end, "ended"),
    }
}

/// What is known of a connection, and what went wrong with it.
pub(crate) struct Tenant {
    gateway: Arc<Gateway>,
    place: Arc<Place>,
    peer: String,
    /// It came over TLS.
    secure: bool,
    traffic: Arc<Traffic>,
    counts: Arc<Counts>,
    /// Its session, where it is one of the channels.
    joined: Option<(SessionKey, Entered)>,
    is_main: bool,
    /// It goes to the target of a move.
    came_by_move: bool,
    found: Option<Found>,
    at: Option<PlaceAddress>,
    presented: Option<Fingerprint>,
    /// The token in the request of its WebSocket.
    shown: Option<console_token::Secret>,
    /// Why its console is not admitted.
    unfit: Option<&'static str>,
    /// Why it was refused, for the log.
    refused: Option<String>,
    /// What it would show is not looked at.
    unheard: bool,
    unreached: Option<DialError>,
    linked: bool,
    /// Another gateway has its session.
    owner: Option<Owner>,
    /// It has come from another gateway.
    handed_on: bool,
    from: SocketAddr,
}

impl Tenant {
    fn new(gateway: Arc<Gateway>, guest: &Guestbook, traffic: Arc<Traffic>, counts: Arc<Counts>) -> Self {
        Self {
            gateway,
            place: guest.place.clone(),
            peer: guest.peer.to_string(),
            secure: guest.secure,
            traffic,
            counts,
            joined: None,
            is_main: false,
            came_by_move: false,
            found: None,
            at: None,
            presented: None,
            shown: None,
            unfit: None,
            refused: None,
            unheard: false,
            unreached: None,
            linked: false,
            owner: None,
            handed_on: guest.handed_on,
            from: guest.peer,
        }
    }

    /// Why the gateway has ended its session, if it has.
    fn why(&self) -> Option<Why> {
        self.joined.as_ref()?.1.why()
    }

    /// Where a connection goes.
    async fn place_of(&self, console: &Console) -> Option<(Found, PlaceAddress)> {
        let found = self.gateway.console_of(&console.grant)?;
        let Dial { target, session, .. } = &console.dial;
        let at = match target {
            // Where the session is, it stays until a hypervisor moves it.
            None => {
                let known = lock(&self.gateway.spice_sessions)
                    .get(session)
                    .map(|held| held.at.clone());
                match known {
                    Some(at) => at,
                    None => self.gateway.place_of(&found).await?,
                }
            }
            Some(target) => found.console.place_at(target)?,
        };
        Some((found, at))
    }

    /// It is one of the channels of its session, which is in the book from its first one on.
    fn join(&mut self, console: &Console, found: &Found, at: &PlaceAddress) {
        let Dial { request, session, .. } = &console.dial;
        self.is_main = request.channel_type == ChannelType::MAIN;
        let mut sessions = lock(&self.gateway.spice_sessions);
        let entered = match sessions.get(session) {
            Some(held) => {
                held.entered.has_channels(1);
                held.entered.clone()
            }
            None => {
                let fingerprint = self
                    .presented
                    .map_or_else(String::new, |own| fingerprint(&console.grant, own));
                let about = About {
                    guest: found.guest.id.clone(),
                    name: found.guest.name.clone(),
                    protocol: Protocol::Spice,
                    number: 0,
                    fingerprint,
                    user: console.grant.user.as_deref().map(ToOwned::to_owned),
                    peer: self.peer.clone(),
                    place: shown(at),
                };
                let entered = self.gateway.begins(about);
                self.watch(*session, &entered);
                sessions.insert(*session, Held::new(entered.clone(), at.clone()));
                entered
            }
        };
        if let Some(held) = sessions.get_mut(session) {
            let channel = (request.channel_type, request.channel_id);
            held.channels.insert(channel, self.counts.clone());
        }
        entered.counts(&self.traffic);
        self.joined = Some((*session, entered));
    }

    /// Ends the session when the book says so.
    fn watch(&self, session: SessionKey, entered: &Entered) {
        let (spice, stop) = (self.gateway.spice.clone(), self.gateway.stop.clone());
        let ends = Arc::clone(entered);
        self.gateway.tasks.spawn(async move {
            tokio::select! {
                why = ends.ended() => {
                    info!(why = why.text(), "SPICE session ended");
                    match why.is_final() {
                        true => spice.end(session),
                        false => spice.manager().with(|_, sessions| sessions.end(session)),
                    };
                }
                () = ends.over() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    /// The main channel was linked, or is gone: what that means for a move of its session.
    fn main_channel(&self, is_linked: bool) {
        let (Some((session, _)), Some(at), Some(found)) = (&self.joined, &self.at, &self.found) else {
            return;
        };
        let mut sessions = lock(&self.gateway.spice_sessions);
        let Some(held) = sessions.get_mut(session) else { return };
        let end = match is_linked {
            true if held.linked(at) => MoveEnd::Finished,
            true => MoveEnd::None,
            false => held.unlinked(at),
        };
        if end == MoveEnd::None {
            return;
        }
        let Some(Moving { there, since, .. }) = held.moving.take() else {
            return;
        };
        let (from, to) = (shown(&held.at), shown(&there));
        if end == MoveEnd::Finished {
            held.entered.is_at(&to);
            held.at = there.clone();
        }
        drop(sessions);
        self.log_move(found, end, (&from, &to), since);
        if end == MoveEnd::Finished {
            let (gateway, found) = (self.gateway.clone(), found.clone());
            self.gateway
                .tasks
                .spawn(async move { gateway.has_moved(&found, &there).await });
        }
    }

    fn log_move(&self, found: &Found, end: MoveEnd, (from, to): (&str, &str), since: Instant) {
        let took = since.elapsed();
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        info!(
            guest = found.guest.name,
            from,
            to,
            milliseconds,
            outcome = end.text(),
            "move"
        );
        self.gateway.metrics.moved(end.text(), Some(took));
        let line = json!({
            "guest": found.guest.id, "from": from, "to": to, "milliseconds": milliseconds, "outcome": end.text(),
        });
        self.gateway.audit.log("move", line);
    }

    /// A move that is not accepted, for the log: with what was announced.
    fn not_moved(&self, asked: &Move, guest: &str, why: &str) -> bool {
        let target = &asked.target;
        let host = String::from_utf8_lossy(&target.host).into_owned();
        let from = self.at.as_ref().map(shown);
        warn!(guest, host, port = ?target.port, tls_port = ?target.tls_port, kind = ?target.kind, from, why, "move refused");
        self.gateway.metrics.moved("refused", None);
        let line = json!({ "guest": guest, "announced": host, "from": from, "outcome": "refused", "why": why });
        self.gateway.audit.log("move", line);
        false
    }
}

impl ConsoleBackend for Tenant {
    type Hypervisor = Stream;

    fn requested(&mut self, request: &LinkMess) -> Result<(), Refusal> {
        let span = Span::current();
        span.record("channel", display(request.channel_type));
        span.record("number", request.channel_id);
        span.record("connection_id", request.connection_id);
        self.place.linked();
        if !self.secure && self.gateway.all_require_tls() {
            return Err(Refusal::Code(LinkErrorCode::NEED_SECURED));
        }
        if !self.handed_on
            && let Err(too_many) = self.gateway.may_guess(self.from.ip())
        {
            self.refused = Some(too_many.to_string());
            self.unheard = true;
            return Err(Refusal::DENIED);
        }
        Ok(())
    }

    fn shown(&mut self) -> Option<console_token::Secret> {
        self.shown.take()
    }

    fn admits(&mut self, grant: &Grant) -> bool {
        let found = self.gateway.console_of(grant);
        self.unfit = match found {
            None => Some("the token is for a guest that is not configured"),
            Some(found) if found.console.protocol != Protocol::Spice => {
                Some("the token is for a console of another protocol")
            }
            Some(found) if found.console.require_tls && !self.secure => {
                Some("the console is for viewers with TLS only")
            }
            Some(found) => {
                Span::current().record("guest", found.guest.name.as_str());
                None
            }
        };
        self.unfit.is_none()
    }

    fn policy(&mut self, grant: &Grant) -> Option<Arc<Policy>> {
        Some(self.gateway.console_of(grant)?.rules().spice())
    }

    fn refused(&mut self, denial: &Denial) -> Refusal {
        if matches!(
            denial,
            Denial::Ticket(_) | Denial::Token(TokenRefusal::Unknown | TokenRefusal::Malformed)
        ) {
            self.gateway.guessed(self.from.ip());
        }
        let unfit = self.unfit.filter(|_| matches!(denial, Denial::NotAdmitted));
        self.refused = Some(unfit.map_or_else(|| denial.to_string(), ToOwned::to_owned));
        (self.gateway.refuses_with)(denial)
    }

    async fn inquire(&mut self, console: &Console) -> Option<Capabilities> {
        let (_, at) = self.place_of(console).await?;
        let hypervisor = at.dial(None).await.ok()?;
        let announced = inquire(hypervisor, &console.dial.request, &Limits::default()).await;
        announced.ok()
    }

    async fn connect(&mut self, console: &Console) -> Option<Stream> {
        let (found, at) = self.place_of(console).await?;
        let span = Span::current();
        span.record("guest", found.guest.name.as_str());
        span.record("host", at.place.host());
        if self.joined.is_none() {
            self.join(console, &found, &at);
        }
        self.found = Some(found);
        self.came_by_move = console.dial.target.is_some();
        let at = self.at.insert(at);
        let hypervisor = match self.place.admit() {
            Ok(()) => at.dial(console.dial.transport).await,
            Err(full) => Err(full.into()),
        };
        hypervisor.map_err(|error| self.unreached = Some(error)).ok()
    }

    async fn ticket(&mut self, console: &Console) -> Option<Secret> {
        let found = self.gateway.console_of(&console.grant)?;
        let at = self.at.clone()?;
        let has_own = at.place.ticket.is_some() || at.place.monitor.is_some();
        if !has_own && found.context.resolved {
            // Nova's hypervisors have no ticket of their own.
            return Some(Secret::new(b""));
        }
        self.gateway.ticket(&found.guest, &at, console.grant.expires).await
    }

    /// Only to another place of the same guest: the field is the hypervisor's, and not trusted.
    async fn may_move(&mut self, grant: &Grant, asked: &Move) -> bool {
        let (Some(found), Some(here)) = (self.gateway.console_of(grant), &self.at) else {
            return self.not_moved(asked, "", "the session is for a guest that is not configured");
        };
        let name = found.guest.name.clone();
        if found.context.resolved {
            return self.not_moved(asked, &name, "what a resolver has named has one place");
        }
        let Some(there) = found.console.place_at(&asked.target) else {
            return self.not_moved(asked, &name, "it is no place of this guest");
        };
        if there.is(here) {
            return self.not_moved(asked, &name, "the guest is there already");
        }
        if let Some(why) = self.gateway.has_another(&found, &there, grant.expires).await {
            return self.not_moved(asked, &name, &why);
        }
        let (from, to) = (shown(here), shown(&there));
        info!(guest = name, kind = ?asked.target.kind, from, to, "the session moves");
        if let Some(held) = lock(&self.gateway.spice_sessions).get_mut(&asked.session) {
            held.moving = Some(Moving {
                there,
                since: Instant::now(),
                linked: false,
                left: false,
            });
        }
        true
    }

    async fn gateway(&mut self, name: &str) -> Option<Stream> {
        // One that has come from a gateway goes no further.
        let gateways = self.gateway.gateways.clone().filter(|_| !self.handed_on)?;
        let dialled = match &self.owner {
            Some(_) if self.place.admit().is_err() => Err(GatewayError::Full),
            _ => gateways.dial(name, self.from, self.secure).await,
        };
        match (dialled, &mut self.owner) {
            (Ok(stream), _) => return Some(stream),
            (Err(error), Some(owner)) => owner.unreached = Some(error),
            (Err(error), None) => debug!(gateway = name, %error, "not asked what it announces"),
        }
        None
    }

    /// At a target that others may have, too: what it did not say when it was asked, it may say now.
    async fn identity(&mut self, said: &GuestIdentity) -> bool {
        let (Some(found), Some(at), true) = (&self.found, &self.at, self.came_by_move) else {
            return true;
        };
        if !self.gateway.is_shared(&found.guest, at) {
            return true;
        }
        let Some(why) = found.guest.contradicts(said) else {
            return true;
        };
        self.gateway.left(&found.guest, at, &why);
        false
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::HandedOn(name) => {
                self.owner = Some(Owner::new(name, &self.gateway.handed_on));
                info!(gateway = name, "handed on to the gateway that has the session");
            }
            Event::Presented(fingerprint) => {
                self.presented = Some(fingerprint);
                Span::current().record("token", display(fingerprint));
            }
            Event::Linked(_) => {
                self.linked = true;
                info!("linked");
                if self.is_main {
                    self.main_channel(true);
                }
            }
            Event::Bound(session) => info!(session, "session named"),
            Event::NotBound(error) => warn!(%error, "the hypervisor's name for the session is refused"),
            _ => {}
        }
    }
}

impl Gateway {
    /// Messages by channel of the session with this number: to the viewer, and to the hypervisor. Two hypervisors may have
    /// given the same number; then there is no such session.
    pub(crate) fn counts(&self, connection_id: u32) -> Vec<((ChannelType, u8), u64, u64)> {
        let [session] = self.spice.manager().named(connection_id)[..] else {
            return Vec::new();
        };
        let sessions = lock(&self.spice_sessions);
        let channels = sessions.get(&session).into_iter().flat_map(|held| &held.channels);
        let counts = channels.map(|(channel, counts)| (*channel, counts.to_viewer(), counts.to_hypervisor()));
        counts.collect()
    }

    /// A hypervisor has moved a guest: all gateways know where it is, and its other consoles follow.
    async fn has_moved(&self, found: &Found, at: &PlaceAddress) {
        self.moved_with(&found.guest, &found.console, at).await;
        let guest = found.guest.id.clone();
        self.book.order(&Order::Moved { guest }).await;
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        if let Some((_, entered)) = &self.joined {
            entered.has_channels(-1);
            if self.is_main && self.linked {
                self.main_channel(false);
            }
        }
    }
}
