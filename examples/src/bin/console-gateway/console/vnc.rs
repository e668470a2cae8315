//! VNC: the session of `rfb-proto` between a viewer, whose token was shown, and its guest's server.

use std::sync::Arc;

use bytes::Bytes;
use console_token::rfb::{ConsoleBackend, Denial, Ended, Event, TokenUse, TokenViewer, drive_viewer};
use console_token::{Grant, Protocol, Refusal, Secret};
use examples::vnc::{challenge, security_types, subtypes};
use examples::websocket::CloseReason;
use rfb_proto::filter::Filter;
use rfb_proto::handshake::BridgeConfig;
use rfb_proto::handshake::bridge::{AuthOrder, BridgeError, Upstream};
use rfb_proto::handshake::{HandshakeError, Side};
use rfb_proto::security::SecurityType;
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Cause, Config, Dial, End, Move};
use rfb_proto::{Connection, NotDialled};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tracing::{debug, info, warn};

use super::place::{Place, PlaceAddress, VncEntry};
use super::{Opened, Refused, farewell, open, shown};
use crate::front::Guestbook;
use crate::front::tls::Stream;
use crate::gateway::Gateway;
use crate::grant::Found;
use crate::operate::book::{About, Entered, Why};
use crate::operate::moves::MoveWatch;
use crate::operate::traffic::{Counted, Traffic};

impl VncEntry {
    /// The challenge of the hypervisor is for the tenant to answer: the gateway sets passwords there, and keeps none.
    fn passes_through(&self, place: &Place) -> bool {
        place.monitor.is_some() && self.password.is_none()
    }

    fn upstream(&self, place: &Place) -> Upstream {
        let mut upstream = Upstream::default().with_types(&security_types(&self.methods), &subtypes(&self.methods));
        if let Some(name) = place.server_name() {
            upstream = upstream.with_server_name(name);
        }
        if let Some(password) = &self.password {
            upstream = upstream.with_password(Password::new(password.expose()));
            if let Some(user) = &self.user {
                upstream = upstream.with_credentials(Credentials {
                    user: Bytes::copy_from_slice(user.as_bytes()),
                    password: rfb_proto::security::Secret::new(password.expose()),
                });
            }
        }
        upstream
    }
}

/// A console that a viewer at the web listener is let in to.
pub(crate) struct Vnc {
    gateway: Arc<Gateway>,
    guest: Guestbook,
    opened: Opened,
    server: Stream,
}

impl Vnc {
    /// All that can be refused, before the viewer is let in.
    pub(crate) async fn open(gateway: &Arc<Gateway>, guest: &Guestbook, token: &Secret) -> Result<Self, Refused> {
        let opened = open(gateway, guest, token).await?;
        if opened.protocol() != Protocol::Vnc {
            return Err(Refused::Unfit("the token is for a console of another protocol"));
        }
        gateway.may_guess_at(&opened.fingerprint).map_err(Refused::Unheard)?;
        let server = opened.at.dial_plain().await?;
        guest.place.admit()?;
        Ok(Self {
            gateway: gateway.clone(),
            guest: guest.clone(),
            opened,
            server,
        })
    }

    /// Serves the viewer to the end.
    pub(crate) async fn serve<S>(self, mut viewer: S, close: &CloseReason)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin,
    {
        let config = bridge(&self.opened.at.place);
        let mut tenant = Tenant::new(self.gateway.clone(), self.guest);
        let Opened {
            held,
            found,
            at,
            moves,
            fingerprint,
            user,
        } = self.opened;
        (tenant.shown, tenant.moves) = (Some((found, at)), Some(moves));
        (tenant.fingerprint, tenant.user, tenant.server) = (fingerprint, user, Some(self.server));
        let why = drive(&self.gateway, Some(held), tenant, config, &mut viewer).await;
        farewell(&mut viewer, close, why).await;
    }
}

/// How a place is spoken to, and a tenant that has shown its token already.
fn bridge(place: &Place) -> BridgeConfig {
    let methods = &place.vnc.methods;
    let bridge = BridgeConfig::default()
        .with_hypervisor_types(&security_types(methods))
        .with_hypervisor_subtypes(&subtypes(methods));
    if place.vnc.passes_through(place) {
        bridge
            .with_tenant_types(&[SecurityType::VNC])
            .with_auth_order(AuthOrder::Passthrough)
    } else {
        bridge
            .with_tenant_types(&[SecurityType::NONE])
            .with_auth_order(AuthOrder::HypervisorFirst)
    }
}

/// A native viewer: VeNCrypt with X509Plain, and the token as user or password.
pub(crate) async fn serve_native(gateway: Arc<Gateway>, guest: Guestbook, mut stream: Stream) {
    if let Err(reason) = gateway.may_guess(guest.peer.ip()) {
        gateway.metrics.refused("guesses");
        return gateway.refusals.log(|| info!(%reason, "refused"));
    }
    // What may be spoken to the hypervisor is known with the token.
    let config = BridgeConfig::default()
        .with_tenant_types(&[SecurityType::VENCRYPT])
        .with_tenant_subtypes(&[Subtype::X509_PLAIN]);
    let tenant = Tenant::new(gateway.clone(), guest);
    drive(&gateway, None, tenant, config, &mut stream).await;
    farewell(&mut stream, &CloseReason::default(), None).await;
}

/// Drives a session. Gives why the gateway has ended it, if it has.
async fn drive<S>(
    gateway: &Arc<Gateway>,
    held: Option<TokenUse>,
    mut tenant: Tenant,
    bridge: BridgeConfig,
    viewer: &mut S,
) -> Option<Why>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut connection = Connection::new(Config::new(bridge));
    if let Some(tls) = &gateway.live().vnc_tls {
        connection = connection.with_tenant_tls(tls.clone());
    }
    let mover = connection.mover();
    // A WebSocket is closed with the reason, which is known at the end.
    let stream = Counted::new(viewer, tenant.traffic.clone()).staying_open();
    let (entered, is_in) = oneshot::channel();
    tenant.entered = Some(entered);
    let place = tenant.guest.place.clone();
    let answers = gateway.connections.viewer(held, tenant);
    let uses = answers.uses();
    let watch = async {
        let Ok((session, mut moves)): Result<(Entered, MoveWatch), _> = is_in.await else {
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                why = session.ended() => return why,
                () = moves.moved() => mover.moved(Move::Follow),
            }
        }
    };
    tokio::select! {
        (end, answers) = drive_viewer(connection, stream, answers) => {
            let tenant = answers.as_ref().map(TokenViewer::backend);
            log(gateway, tenant, answers.as_ref().and_then(TokenViewer::denial), &end);
            match end {
                Ended::Cut(_) => Some(Why::Token),
                Ended::By(End::Moved | End::NotFollowed(_)) => Some(Why::Moved),
                _ => None,
            }
        }
        why = watch => {
            info!(why = why.text(), "VNC console ended");
            if why.is_final() {
                uses.finish();
            }
            Some(why)
        }
        () = place.gives_way() => None,
    }
}

fn log(gateway: &Gateway, tenant: Option<&Tenant>, denial: Option<&Denial>, end: &Ended) {
    let Some(tenant) = tenant else {
        return gateway.refusals.log(|| info!(%end, "no VNC console"));
    };
    if let Some(session) = &tenant.session {
        let (to_guest, from_guest) = session.traffic.bytes();
        return info!(%end, to_guest, from_guest, "VNC console closed");
    }
    if let Some(Denial::Token(Refusal::Unknown | Refusal::Malformed)) = denial {
        gateway.guessed(tenant.guest.peer.ip());
    }
    if tenant.has_guessed(end) {
        gateway.guessed_at(&tenant.fingerprint);
    }
    let reason = match (&tenant.refused, denial) {
        (Some(reason), _) => reason.clone(),
        (None, Some(denial)) => denial.to_string(),
        (None, None) => end.to_string(),
    };
    let is_stranger = tenant.fingerprint.is_empty() && denial.is_none();
    if is_stranger && tenant.traffic.bytes().0 == 0 && is_hang_up(end) {
        // A load balancer that looks whether the listener is there.
        return debug!("gone without a word");
    }
    gateway.metrics.refused("vnc");
    // Strangers must not fill the audit log.
    if !is_stranger {
        gateway.audit_refusal(&tenant.guest, &reason);
    }
    gateway.refusals.log(|| info!(%reason, "refused"));
}

/// Whether the viewer hung up before it was in.
const fn is_hang_up(end: &Ended) -> bool {
    matches!(
        end,
        Ended::By(End::Handshake(BridgeError {
            side: Side::Tenant,
            error: HandshakeError::Closed(_),
        }))
    )
}

/// What is asked about one viewer.
struct Tenant {
    gateway: Arc<Gateway>,
    guest: Guestbook,
    /// The console, and where it is, once the token was shown.
    shown: Option<(Found, PlaceAddress)>,
    /// The guest's moves since then.
    moves: Option<MoveWatch>,
    /// The connection that was made before the viewer was let in.
    server: Option<Stream>,
    fingerprint: String,
    user: Option<String>,
    traffic: Arc<Traffic>,
    session: Option<Entered>,
    /// Tells that it is in.
    entered: Option<oneshot::Sender<(Entered, MoveWatch)>>,
    refused: Option<String>,
}

impl Tenant {
    fn new(gateway: Arc<Gateway>, guest: Guestbook) -> Self {
        Self {
            gateway,
            guest,
            shown: None,
            moves: None,
            server: None,
            fingerprint: String::new(),
            user: None,
            traffic: Arc::default(),
            session: None,
            entered: None,
            refused: None,
        }
    }

    /// It has answered the hypervisor's challenge itself, and wrongly.
    fn has_guessed(&self, end: &Ended) -> bool {
        let Some((_, at)) = &self.shown else { return false };
        let by_hypervisor = matches!(
            end,
            Ended::By(End::Handshake(BridgeError {
                side: Side::Hypervisor,
                error: HandshakeError::Rejected(_),
            }))
        );
        by_hypervisor && at.place.vnc.passes_through(&at.place)
    }

    /// Where the console is: for a viewer that was let in before, that is known.
    async fn locate(&mut self, grant: &Grant, cause: Cause) -> Result<(Found, PlaceAddress), &'static str> {
        if let (Some(shown), Cause::Entered) = (&self.shown, cause) {
            return Ok(shown.clone());
        }
        let found = self
            .gateway
            .console_of(grant)
            .ok_or("the token is for a guest that is not configured")?;
        if cause == Cause::Entered {
            self.moves = Some(self.gateway.book.moves.watch(&found.guest.id));
        }
        let at = self.gateway.place_of(&found).await.ok_or("the console has no place")?;
        self.user = grant.user.as_deref().map(ToOwned::to_owned);
        let span = tracing::Span::current();
        span.record("guest", found.guest.name.as_str());
        span.record("host", at.place.host());
        self.shown = Some((found.clone(), at.clone()));
        Ok((found, at))
    }

    async fn dial(&mut self, grant: &Grant, cause: Cause) -> Result<(Stream, Upstream), String> {
        let (_, at) = self.locate(grant, cause).await?;
        let place = at.place.clone();
        if cause == Cause::Entered {
            if place.vnc.passes_through(&place) && self.server.is_none() {
                return Err(
                    "the console asks for a password of its own, which a native viewer cannot give beside a token"
                        .to_owned(),
                );
            }
            self.guest.place.admit().map_err(|full| full.to_string())?;
        } else if let Some(session) = &self.session {
            session.is_at(&shown(&at));
        }
        let server = match self.server.take() {
            Some(server) => server,
            None => at.dial_plain().await.map_err(|error| error.to_string())?,
        };
        Ok((server, place.vnc.upstream(&place)))
    }
}

impl ConsoleBackend for Tenant {
    type Hypervisor = Stream;

    async fn connect(&mut self, grant: &Arc<Grant>, dial: Dial) -> Result<(Stream, Upstream), NotDialled> {
        let dialled = self.dial(grant, dial.cause).await;
        dialled.map_err(|reason| {
            warn!(reason, "hypervisor not reached");
            self.refused = Some(reason);
            NotDialled::Unreachable
        })
    }

    fn challenge(&mut self) -> [u8; 16] {
        challenge()
    }

    fn admits(&mut self, grant: &Grant) -> bool {
        let found = self.gateway.console_of(grant);
        found.is_some_and(|found| found.console.protocol == Protocol::Vnc)
    }

    fn filter(&mut self, grant: &Grant) -> Option<Filter> {
        Some(self.gateway.console_of(grant)?.rules().rfb())
    }

    fn hypervisor_tls(&mut self) -> Option<rfb_proto::tls::ClientTls> {
        self.shown.as_ref()?.1.place.vnc.tls.clone()
    }

    fn moved_to(&mut self, name: &[u8]) -> bool {
        let Some((found, at)) = &self.shown else { return true };
        if !self.gateway.is_shared(&found.guest, at) {
            return true;
        }
        let Some(why) = found.guest.contradicts_desktop(name) else {
            return true;
        };
        self.gateway.left(&found.guest, at, &why);
        false
    }

    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Entered(own, _) => {
                self.fingerprint = own.to_string();
                tracing::Span::current().record("token", self.fingerprint.as_str());
            }
            Event::Reached => {
                // INVARIANT: no hypervisor is reached before the console is known.
                let Some((found, at)) = &self.shown else { return };
                let about = About {
                    guest: found.guest.id.clone(),
                    name: found.guest.name.clone(),
                    protocol: Protocol::Vnc,
                    number: 0,
                    fingerprint: self.fingerprint.clone(),
                    user: self.user.clone(),
                    peer: self.guest.peer.to_string(),
                    place: shown(at),
                };
                let session = self.gateway.begins_with(about, self.traffic.clone());
                info!("VNC console opened");
                if let (Some(entered), Some(moves)) = (self.entered.take(), self.moves.take()) {
                    let _ = entered.send((session.clone(), moves));
                }
                self.session = Some(session);
            }
            Event::TlsFailed(side, error) => {
                warn!(%side, %error, "no TLS");
                self.refused = Some(format!("TLS: {error}"));
            }
            _ => {}
        }
    }
}
