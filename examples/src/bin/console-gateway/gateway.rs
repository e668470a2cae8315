//! The gateway: listeners, and a task for each connection.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use console_token::spice::{self, Denial, SessionEvent};
use examples::places::{Place, Places};
use examples::refusals::Refusals;
use examples::websocket::{self, WebSocketError};
use examples::{descriptors, net};
use rustls::ServerConfig;
use spice_proto::link::{KeyPoolConfig, Refusal, Side};
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Config, End};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::session::{Policy, Report};
use spice_proto::{BufferedStream, Connection, drive_session};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, error, field::Empty, info, info_span, warn};

use crate::answers::Tenant;
use crate::console::Viewer;
use crate::sessions::Sessions;
use crate::tls::Stream;

/// For a TLS handshake, or a WebSocket's.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// From the connection to the token, that handshake included.
const TOKEN: Duration = Duration::from_secs(15);
/// For all connections together, when the gateway stops.
const STOP: Duration = Duration::from_secs(4);
/// RSA keys in stock: two viewers can open all their channels at once.
const KEYS: usize = 24;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) sessions: Arc<Sessions>,
    /// What a refused viewer gets.
    pub(crate) refuses_with: fn(&Denial) -> Refusal,
    places: Places,
    pub(crate) refusals: Arc<Refusals>,
    /// Cancelled when the gateway goes down.
    stop: CancellationToken,
    next_id: AtomicU64,
}

/// What a listener's connections speak, with SPICE inside of it.
#[derive(Clone)]
pub(crate) enum Carrier {
    Plain,
    Tls(Arc<ServerConfig>),
    /// For pages from these origins; with TLS under it, or without.
    WebSocket(Arc<[String]>, Option<Arc<ServerConfig>>),
}

impl Carrier {
    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_) | Self::WebSocket(_, Some(_)))
    }

    /// The stream inside of a connection.
    async fn open(self, tcp: TcpStream) -> Result<Stream, CarrierError> {
        net::prepare(&tcp)?;
        let opened = async {
            Ok::<Stream, CarrierError>(match self {
                Self::Plain => Box::new(tcp),
                // Each message is a record, and all that go at once are one system call.
                Self::Tls(tls) => Box::new(TlsAcceptor::from(tls).accept(BufferedStream::new(tcp)).await?),
                Self::WebSocket(origins, None) => Box::new(websocket::accept(tcp, &origins).await?),
                Self::WebSocket(origins, Some(tls)) => {
                    let tls = TlsAcceptor::from(tls).accept(BufferedStream::new(tcp)).await?;
                    Box::new(websocket::accept(tls, &origins).await?)
                }
            })
        };
        timeout(HANDSHAKE, opened).await.map_err(|_| CarrierError::TooLate)?
    }
}

/// Why there is no stream inside of a connection.
#[derive(Debug, thiserror::Error)]
enum CarrierError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    WebSocket(#[from] WebSocketError),
    #[error("no handshake in time")]
    TooLate,
}

/// A running gateway.
pub(crate) struct Gateway {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) shared: Arc<Shared>,
    policy: Arc<Policy>,
    connections: TaskTracker,
}

impl Gateway {
    /// How the sessions of a gateway are kept.
    pub(crate) fn settings() -> spice::Settings {
        let tracker = tracker::Config::default().with_link_timeout(TOKEN);
        let keys = KeyPoolConfig::default().with_stock(KEYS);
        spice::Settings::default().with_tracker(tracker).with_keys(keys)
    }

    /// Starts to make keys. Nothing is accepted yet. `refuses_with`: what a refused viewer gets.
    pub(crate) fn new(sessions: Sessions, refuses_with: fn(&Denial) -> Refusal, settings: &Settings) -> Self {
        let sessions = Arc::new(sessions);
        let shared = Arc::new(Shared {
            sessions: sessions.clone(),
            refuses_with,
            refusals: Arc::default(),
            places: Places::for_descriptors(descriptors::raise_limit()),
            stop: CancellationToken::new(),
            next_id: AtomicU64::new(1),
        });
        let connections = TaskTracker::new();
        let sums = shared.clone();
        connections.spawn(async move {
            tokio::select! {
                () = sums.stop.cancelled() => {}
                () = sums.refusals.sum_up() => {}
            }
        });
        let stop = shared.stop.clone();
        let work = sessions.tokens.clone().run(log);
        connections.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = work => {}
            }
        });
        Self {
            sessions,
            shared,
            policy: Arc::new(Policy::new(settings)),
            connections,
        }
    }

    /// Accepts viewers. `viewer`: where they find the gateway, then and when their session moves.
    pub(crate) fn accept(&mut self, listener: TcpListener, carrier: Carrier, viewer: &Viewer) -> Result<(), String> {
        // One that has TLS would go to a plain port first.
        let plain = viewer.port.filter(|_| !carrier.is_tls()).and_then(NonZeroU16::new);
        let secure = viewer.tls_port.and_then(NonZeroU16::new);
        let endpoint = Endpoint::new(&viewer.host, plain, secure, viewer.host_subject.as_deref());
        let endpoint = endpoint.map_err(|error| format!("no place to come back to: {error}"))?;
        let config = Arc::new(Config::new(self.policy.clone(), endpoint));
        let (shared, connections) = (self.shared.clone(), self.connections.clone());
        self.connections.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = shared.stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((tcp, peer)) => {
                        let from = Peer {
                            address: peer.ip(),
                            secure: carrier.is_tls(),
                        };
                        let place = shared.places.arrive(peer.ip());
                        // Who gives way is decided by the places, from the first byte on.
                        let connection = shared.sessions.tokens.accept(from, config.clone());
                        connections.spawn(serve(shared.clone(), place, connection, tcp, peer, carrier.clone()));
                    }
                    // No file descriptors, most likely: others have to go first.
                    Err(error) => {
                        warn!(%error, "cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
        Ok(())
    }

    /// Stops: no connection is accepted, every one is ended, and this returns within seconds.
    pub(crate) async fn stop(self) {
        self.shared.stop.cancel();
        self.sessions.tokens.manager().stop();
        self.connections.close();
        if timeout(STOP, self.connections.wait()).await.is_err() {
            warn!(left = self.connections.len(), "connections did not end in time");
        }
    }
}

/// One connection, from its first byte to its last.
async fn serve(
    shared: Arc<Shared>,
    place: Place,
    connection: Connection,
    tcp: TcpStream,
    peer: SocketAddr,
    carrier: Carrier,
) {
    let request = shared.next_id.fetch_add(1, Ordering::Relaxed);
    let span = info_span!(
        "connection",
        request,
        %peer,
        tls = carrier.is_tls(),
        channel = Empty,
        number = Empty,
        connection_id = Empty,
        token = Empty,
        guest = Empty,
        host = Empty,
    );
    let place = Arc::new(place);
    let refusals = shared.refusals.clone();
    let converse = async {
        let carrier_is_tls = carrier.is_tls();
        let stream = match carrier.open(tcp).await {
            Ok(stream) => stream,
            Err(error) => return refusals.log(|| info!(%error, "no handshake")),
        };
        let counts = connection.counts();
        let sessions = shared.sessions.clone();
        let tenant = Tenant::new(shared, place.clone(), counts.clone(), carrier_is_tls);
        let (end, proxy) = drive_session(connection, stream, sessions.tokens.proxy(tenant)).await;
        let Some(proxy) = proxy else {
            return refusals.log(|| info!(%end, "ended"));
        };
        let tenant = proxy.backend();
        match (end, &tenant.refused, &tenant.unreached) {
            (_, Some(reason), _) => refusals.log(|| info!(%reason, "refused")),
            (_, _, Some(error)) => warn!(reason = %format_args!("hypervisor not reached: {error}"), "no link"),
            (End::Link(error), ..) if error.side == Side::Hypervisor => {
                warn!(reason = %format_args!("hypervisor: {}", error.error), "no link");
            }
            (reason, ..) if !tenant.linked => refusals.log(|| info!(%reason, "no link")),
            _ => {
                let (to_viewer, to_hypervisor) = (counts.to_viewer(), counts.to_hypervisor());
                info!(%end, to_viewer, to_hypervisor, "ended");
            }
        }
    };
    let gives_way = async {
        place.gives_way().await;
        refusals.log(|| info!("gave way to another connection"));
    };
    async {
        tokio::select! {
            () = converse => {}
            () = gives_way => {}
        }
    }
    .instrument(span)
    .await;
}

/// What became of a link or of a session.
fn log(event: SessionEvent) {
    match event {
        SessionEvent::Report(Report::Link { session, outcome, .. }) => {
            debug!(session = session.number(), %outcome, "link");
        }
        SessionEvent::Closed { token, spent, .. } => debug!(%token, spent, "session closed"),
        SessionEvent::NotClosed { token, error, .. } => error!(%error, %token, "session not closed"),
        SessionEvent::Cut { token, refusal, .. } => info!(%token, %refusal, "session ended"),
        _ => {}
    }
}
