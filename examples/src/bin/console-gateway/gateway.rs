//! What all connections share, and what of it a new configuration replaces.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use console_token::connections::{self, ConnectionEvent, TokenConnections};
use console_token::serial::PortRange;
use console_token::spice::{self, Denial, SessionEvent, TokenSessions};
use console_token::web::Network;
use console_token::web::origin::OriginRule;
use console_token::{
    AccessUrl, BackendError, FairScheduler, Grant, InTurns, Pepper, Peppers, Secret, Store, StoreError,
};
use examples::places::Place;
use examples::refusals::Refusals;
use rustls::ServerConfig;
use serde_json::json;
use spice_proto::link::{KeyPoolConfig, Refusal, TicketOutcome};
use spice_proto::session::tracker;
use spice_proto::session::{Policy, Report, SessionKey};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use crate::config::{Config, Pages, Resolve, Tokens};
use crate::console::held::Held;
use crate::console::place::Guest;
use crate::console::tunnel::Tunnels;
use crate::console::vv::Viewer;
use crate::front::Guestbook;
use crate::front::budgets::Budgets;
use crate::front::gateways::Gateways;
use crate::grant::clock::Clock;
use crate::grant::guesses::Guesses;
use crate::grant::policy::Rules;
use crate::operate::audit::Audit;
use crate::operate::book::{About, Book, Entered, Why};
use crate::operate::metrics::Metrics;
use crate::operate::traffic::Traffic;
use crate::operate::watched::Watched;
use crate::random::{random, random_bytes};
use crate::sync::lock;

/// From the connection to the token, a TLS handshake included.
pub(crate) const TOKEN: Duration = Duration::from_secs(15);
/// For all connections together, when the gateway stops.
const STOP: Duration = Duration::from_secs(4);
/// RSA keys in stock: two viewers can open all their channels at once.
const KEYS: usize = 24;
/// How often the store is asked whether open sessions may go on.
const ATTEND: Duration = Duration::from_secs(2);

/// What a configuration says, as far as it can change while the gateway runs.
pub(crate) struct Live {
    pub(crate) api_token: Secret,
    pub(crate) api_tls: Option<Arc<ServerConfig>>,
    pub(crate) viewer: Viewer,
    /// The base of access URLs, without a slash at its end.
    pub(crate) url: String,
    pub(crate) tokens: Tokens,
    pub(crate) rules: Rules,
    /// Of viewers of SPICE whose token is not known yet.
    pub(crate) spice_policy: Arc<Policy>,
    pub(crate) guests: Vec<Arc<Guest>>,
    pub(crate) resolve: Resolve,
    pub(crate) pages: Pages,
    pub(crate) serial_ports: PortRange,
    pub(crate) origin_rule: OriginRule,
    pub(crate) proxy_protocol: Vec<Network>,
    pub(crate) forwarded: Vec<Network>,
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) vnc_tls: Option<::rfb_proto::tls::ServerTls>,
    /// The web listener, for the proxy in `.vv` files.
    pub(crate) drain: Duration,
}

/// The addresses that listeners got.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bound {
    pub(crate) spice: Option<SocketAddr>,
    pub(crate) spice_tls: Option<SocketAddr>,
    pub(crate) web: Option<SocketAddr>,
    pub(crate) web_plain: Option<SocketAddr>,
}

impl Live {
    pub(crate) fn new(config: Config, bound: Bound) -> Self {
        let url = config.public.url(bound.web, bound.web_plain);
        let listen = config.listen;
        let mut origin_rule = OriginRule::default();
        for origin in listen.origins {
            origin_rule = origin_rule.with_page(origin);
        }
        for network in &listen.forwarded {
            origin_rule = origin_rule.with_proxy(*network);
        }
        // Our own pages, as users see them.
        if let Some(own) = origin_of(&url) {
            origin_rule = origin_rule.with_page(own);
        }
        Self {
            api_token: config.api.token,
            api_tls: config.api.tls,
            viewer: config.public.viewer(bound.spice, bound.spice_tls),
            url,
            tokens: config.tokens,
            spice_policy: config.rules.spice(),
            rules: config.rules,
            guests: config.guests.into_iter().map(Arc::new).collect(),
            resolve: config.resolve,
            pages: config.pages,
            serial_ports: config.operate.serial_ports,
            origin_rule,
            proxy_protocol: listen.proxy_protocol,
            forwarded: listen.forwarded,
            tls: listen.tls,
            vnc_tls: listen.vnc_tls,
            drain: config.operate.drain,
        }
    }
}

fn origin_of(url: &str) -> Option<console_token::web::origin::Origin> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split('/').next()?;
    format!("{scheme}://{authority}").parse().ok()
}

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) id: String,
    live: RwLock<Arc<Live>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) spice: Arc<TokenSessions>,
    pub(crate) connections: Arc<TokenConnections>,
    pub(crate) book: Arc<Book>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tunnels: Tunnels,
    /// The SPICE sessions in the book, and what they show of their moves.
    pub(crate) spice_sessions: Mutex<HashMap<SessionKey, Held>>,
    /// The other gateways of the store, if there can be any.
    pub(crate) gateways: Option<Arc<Gateways>>,
    /// Connections whose sessions they have.
    pub(crate) handed_on: Arc<AtomicUsize>,
    /// What a refused viewer of SPICE gets.
    pub(crate) refuses_with: fn(&Denial) -> Refusal,
    pub(crate) budgets: Budgets,
    pub(crate) guesses: Guesses,
    /// Of connections that were not let in yet, at the processors.
    pub(crate) turns: FairScheduler,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) tasks: TaskTracker,
    /// No more connections are taken.
    pub(crate) closing: CancellationToken,
    /// Every connection ends.
    pub(crate) stop: CancellationToken,
}

/// What a gateway is made of.
pub(crate) struct Parts {
    pub(crate) id: String,
    pub(crate) store: Arc<dyn Store>,
    /// What tokens are hashed with; without it they are gone with the process.
    pub(crate) pepper: Option<zeroize::Zeroizing<Vec<u8>>>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) refuses_with: fn(&Denial) -> Refusal,
    pub(crate) live: Live,
    pub(crate) gateways: Option<Arc<Gateways>>,
    pub(crate) budgets: Budgets,
}

impl Gateway {
    /// Starts what works by itself: keys, lists of sessions. Nothing is accepted yet.
    pub(crate) fn start(parts: Parts) -> Arc<Self> {
        let Parts {
            id,
            store,
            pepper,
            clock,
            audit,
            refuses_with,
            live,
            gateways,
            budgets,
        } = parts;
        let metrics: Arc<Metrics> = Arc::default();
        let store: Arc<dyn Store> = Arc::new(Watched::new(store, audit.clone(), metrics.clone()));
        let key = pepper.unwrap_or_else(|| zeroize::Zeroizing::new(random_bytes::<32>().to_vec()));
        let peppers = || Peppers::new(Pepper::new(&key).expect("it was long enough before"));
        let reconnect = live.tokens.reconnect;
        let wall = clock.clone();
        let spice = TokenSessions::new(
            store.clone(),
            peppers(),
            move || wall.now(),
            random,
            spice_settings(reconnect, gateways.is_some().then_some(&id)),
        );
        let wall = clock.clone();
        let settings = connections::Settings::default()
            .with_reconnect(reconnect)
            .with_attend_every(ATTEND);
        let connections = TokenConnections::new(store.clone(), peppers(), move || wall.now(), random, settings);
        let gateway = Arc::new(Self {
            book: Arc::new(Book::new(id.clone(), store.clone(), clock.clone())),
            id,
            live: RwLock::new(Arc::new(live)),
            store,
            clock,
            spice,
            connections,
            audit,
            metrics,
            tunnels: Tunnels::default(),
            spice_sessions: Mutex::default(),
            gateways,
            handed_on: Arc::default(),
            refuses_with,
            budgets,
            guesses: Guesses::default(),
            turns: FairScheduler::for_processors(),
            refusals: Arc::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            stop: CancellationToken::new(),
        });
        gateway.clone().work();
        gateway
    }

    /// What goes on beside all connections, until the gateway stops.
    fn work(self: Arc<Self>) {
        let tasks = self.tasks.clone();
        let until = |gateway: &Arc<Self>| gateway.stop.clone().cancelled_owned();
        let (stop, refusals) = (until(&self), self.refusals.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop => {}
                () = refusals.sum_up() => {}
            }
        });
        if let Some(gateways) = self.gateways.clone() {
            let stop = until(&self);
            tasks.spawn(async move {
                tokio::select! {
                    () = stop => {}
                    () = gateways.keep() => {}
                }
            });
        }
        let (stop, gateway) = (until(&self), self.clone());
        tasks.spawn(async move {
            let logged = gateway.clone();
            tokio::select! {
                () = stop => {}
                () = gateway.spice.clone().run(move |event| logged.log_spice(event)) => {}
            }
        });
        let (stop, gateway) = (until(&self), self.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = stop => {}
                () = gateway.connections.clone().run(log_connection) => {}
            }
        });
        let (stop, gateway) = (until(&self), self.clone());
        tasks.spawn(async move {
            let attended = gateway.clone();
            let attend = || async {
                attended.spice.attend().await;
                attended.connections.attend().await;
            };
            tokio::select! {
                () = stop => {}
                () = gateway.book.keep(attend) => {}
            }
        });
    }

    /// The configuration as it is now.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A new configuration.
    pub(crate) fn replace(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    /// The guest of this id or name.
    pub(crate) fn guest(&self, wanted: &str) -> Option<Arc<Guest>> {
        let live = self.live();
        let mut guests = live.guests.iter();
        guests.find(|guest| guest.id == wanted || guest.name == wanted).cloned()
    }

    /// Whether no viewer of SPICE gets in without TLS.
    pub(crate) fn all_require_tls(&self) -> bool {
        let live = self.live();
        let consoles = live.guests.iter().flat_map(|guest| &guest.consoles);
        let mut spice = consoles.filter(|console| console.protocol == console_token::Protocol::Spice);
        let first = spice.next().is_some_and(|console| console.require_tls);
        first && spice.all(|console| console.require_tls)
    }

    /// A session begins.
    pub(crate) fn begins(self: &Arc<Self>, about: About) -> Entered {
        self.begins_with(about, Arc::default())
    }

    /// A session begins, whose bytes are counted there.
    pub(crate) fn begins_with(self: &Arc<Self>, about: About, traffic: Arc<Traffic>) -> Entered {
        self.metrics.opened(about.protocol.as_str());
        let line = json!({
            "guest": about.guest, "protocol": about.protocol.to_string(), "token": about.fingerprint,
            "user": about.user, "peer": about.peer, "place": about.place,
        });
        let (gateway, closed) = (Arc::downgrade(self), line.clone());
        // The audit log learns of its end, however that comes.
        let entered = self.book.enter(about, traffic, move |session| {
            let Some(gateway) = gateway.upgrade() else { return };
            let (to_guest, from_guest) = session.bytes();
            gateway.metrics.passed((to_guest, from_guest));
            let mut line = closed.clone();
            line["session"] = session.id.clone().into();
            line["to_guest"] = to_guest.into();
            line["from_guest"] = from_guest.into();
            line["why"] = session.why().map(Why::text).into();
            gateway.audit.log("closed", line);
        });
        tracing::Span::current().record("session", tracing::field::display(&entered.id));
        let mut opened = line;
        opened["session"] = entered.id.clone().into();
        self.audit.log("opened", opened);
        entered
    }

    /// What strangers ask for is done in turns, until they have shown a good token, so that none of them keeps the
    /// processors from the others.
    pub(crate) fn in_turns<F: Future>(&self, from: IpAddr, place: &Arc<Place>, converse: F) -> InTurns<F> {
        let place = place.clone();
        self.turns.run(from, move || place.is_known(), converse)
    }

    /// Whether a token from there is looked at: not after too many wrong ones, unless a console is open from there, whose
    /// viewer must lose nothing by what others behind its address do.
    pub(crate) fn may_guess(&self, from: IpAddr) -> Result<(), console_token::Refusal> {
        let may = self.guesses.may_guess(from, self.clock.now());
        may.or_else(|too_many| match self.budgets.open.has_from(from) {
            true => Ok(()),
            false => Err(too_many),
        })
    }

    /// A token from there was none.
    pub(crate) fn guessed(&self, from: IpAddr) {
        self.guesses.guessed(from, self.clock.now());
    }

    /// Whether a password behind the token with this fingerprint is looked at.
    pub(crate) fn may_guess_at(&self, fingerprint: &str) -> Result<(), console_token::Refusal> {
        self.guesses.may_guess_at(fingerprint, self.clock.now())
    }

    /// A password behind the token with this fingerprint was wrong.
    pub(crate) fn guessed_at(&self, fingerprint: &str) {
        self.guesses.guessed_at(fingerprint, self.clock.now());
    }

    /// A viewer was refused.
    pub(crate) fn audit_refusal(&self, guest: &Guestbook, why: &str) {
        let peer = guest.peer.to_string();
        self.audit.log("refused", json!({ "why": why, "peer": peer }));
    }

    /// The access URL of a token, as text.
    pub(crate) fn url_of(&self, grant: &Grant, token: &Secret) -> Option<String> {
        let page = crate::grant::api::page(&self.live().url, grant.console);
        let url = AccessUrl::new(grant.console, &page, token).ok()?;
        Some(url.expose().to_owned())
    }

    /// Where a viewer finds our tunnels, with the token in it.
    pub(crate) fn proxy_url(&self, _: &Guestbook, credential: &Secret) -> String {
        let live = self.live();
        let (scheme, rest) = live.url.split_once("://").unwrap_or(("http", live.url.as_str()));
        let authority = rest.split('/').next().unwrap_or(rest);
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        // spice-gtk takes other ports for granted than browsers do.
        let port = match (has_port, scheme) {
            (true, _) => "",
            (false, "https") => ":443",
            (false, _) => ":80",
        };
        format!("{scheme}://token:{}@{authority}{port}", credential.expose())
    }

    /// Forgets tokens that are over.
    pub(crate) async fn purge(&self) -> Result<usize, StoreError<BackendError>> {
        self.store.sweep(self.clock.now(), std::num::NonZeroU32::MAX).await
    }

    /// Stops: no connection is accepted, those that are open may go on for a while, and then every one is ended.
    pub(crate) async fn stop(&self, drain: Duration) {
        self.closing.cancel();
        let drained = async {
            while 0 < self.book.count() + self.handed_on.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if timeout(drain, drained).await.is_err() {
            for session in self.book.own() {
                session.end(Why::Stopping);
            }
            // For their last words.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The store learns what has become of each.
        let told = async { tokio::join!(self.spice.stop(), self.connections.stop()) };
        if timeout(STOP, told).await.is_err() {
            warn!("the store does not know of all ends");
        }
        self.stop.cancel();
        self.tasks.close();
        if timeout(STOP, self.tasks.wait()).await.is_err() {
            warn!(left = self.tasks.len(), "connections did not end in time");
        }
    }

    /// What became of a link or of a session.
    fn log_spice(&self, event: SessionEvent) {
        match event {
            SessionEvent::Report(Report::Link { session, outcome, .. }) => {
                self.metrics.linked(match outcome {
                    TicketOutcome::Accepted => "accepted",
                    TicketOutcome::Refused(_) => "refused",
                    TicketOutcome::NotSent => "not-reached",
                    TicketOutcome::Unknown => "no-answer",
                });
                debug!(session = session.number(), %outcome, "link");
            }
            SessionEvent::Report(Report::Ended { session, .. }) => {
                lock(&self.spice_sessions).remove(&session);
            }
            SessionEvent::Closed { token, spent, .. } => debug!(%token, spent, "session closed"),
            SessionEvent::NotClosed { token, error, .. } => error!(%error, %token, "session not closed"),
            SessionEvent::Cut { token, refusal, .. } => info!(%token, %refusal, "session ended"),
            _ => {}
        }
    }
}

/// `gateway`: its name, where others share the store.
fn spice_settings(reconnect: Duration, gateway: Option<&String>) -> spice::Settings {
    let tracker = tracker::Config::default().with_link_timeout(TOKEN);
    let keys = KeyPoolConfig::default().with_stock(KEYS);
    let settings = spice::Settings::default()
        .with_tracker(tracker)
        .with_keys(keys)
        .with_reconnect(reconnect)
        .with_attend_every(ATTEND);
    match gateway {
        Some(name) => settings.with_gateway(name),
        None => settings,
    }
}

fn log_connection(event: ConnectionEvent) {
    debug!(?event, "token");
}
