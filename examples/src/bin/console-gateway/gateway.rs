//! The gateway: listeners, and a task for each connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use examples::websocket::{self, WebSocketError};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, field::Empty, info, info_span, warn};

use crate::keys::KeyPool;
use crate::link::{LinkError, link};
use crate::relay::relay;
use crate::rules::Rules;
use crate::sessions::Sessions;
use crate::sync::lock;
use crate::tls::Stream;

/// For a TLS handshake, or a WebSocket's. The link stage has its own ten seconds after it.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// For the last words on a connection.
pub(crate) const GOODBYE: Duration = Duration::from_secs(1);
/// For all connections together, when the gateway stops.
const STOP: Duration = Duration::from_secs(4);
/// RSA keys in stock: two viewers can open all their channels at once.
const KEYS: usize = 24;
/// Connections that have shown no good token yet.
const HALF_OPEN: usize = 256;
/// The same, of one address: a viewer opens about ten at once.
const HALF_OPEN_PER_SOURCE: usize = 32;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: KeyPool,
    pub(crate) rules: Rules,
    /// Cancelled when the gateway goes down.
    pub(crate) stop: CancellationToken,
    half_open: HalfOpen,
    next_id: AtomicU64,
}

/// What a listener's connections speak, with SPICE inside of it.
#[derive(Clone)]
pub(crate) enum Carrier {
    Plain,
    Tls(TlsAcceptor),
    /// For pages from these origins.
    WebSocket(Arc<[String]>),
}

impl Carrier {
    pub(crate) fn tls(config: Arc<ServerConfig>) -> Self {
        Self::Tls(config.into())
    }

    fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The stream inside of a connection.
    async fn open(self, tcp: TcpStream) -> Result<Stream, CarrierError> {
        tcp.set_nodelay(true)?;
        let opened = async {
            Ok::<Stream, CarrierError>(match self {
                Self::Plain => Box::new(tcp),
                Self::Tls(tls) => Box::new(tls.accept(tcp).await?),
                Self::WebSocket(origins) => Box::new(websocket::accept(tcp, &origins).await?),
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
    shared: Arc<Shared>,
    connections: TaskTracker,
}

/// Opens a listener. Its connections notice a peer that has vanished without a word.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.set_keepalive(true)?; // connections inherit it
    socket.bind(address)?;
    socket.listen(1024)
}

impl Gateway {
    /// Starts to make keys. Nothing is accepted yet.
    pub(crate) fn new(sessions: Sessions, rules: Rules) -> Self {
        let sessions = Arc::new(sessions);
        Self {
            sessions: sessions.clone(),
            shared: Arc::new(Shared {
                sessions,
                keys: KeyPool::start(KEYS),
                rules,
                stop: CancellationToken::new(),
                half_open: HalfOpen::default(),
                next_id: AtomicU64::new(1),
            }),
            connections: TaskTracker::new(),
        }
    }

    /// Accepts viewers.
    pub(crate) fn accept(&self, listener: TcpListener, carrier: Carrier) {
        let (shared, connections) = (self.shared.clone(), self.connections.clone());
        self.connections.spawn(async move {
            loop {
                let accepted = tokio::select! {
                    () = shared.stop.cancelled() => return,
                    accepted = listener.accept() => accepted,
                };
                match accepted {
                    Ok((tcp, peer)) => {
                        let Some(place) = HalfOpen::enter(&shared, peer.ip()) else {
                            warn!(%peer, "too many connections in the link stage");
                            continue;
                        };
                        connections.spawn(serve(shared.clone(), tcp, peer, carrier.clone(), place));
                    }
                    // No file descriptors, most likely: others have to go first.
                    Err(error) => {
                        warn!(%error, "cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }

    /// Stops: nobody gets in, every connection is ended, and within seconds this returns.
    pub(crate) async fn stop(self) {
        self.shared.stop.cancel();
        self.connections.close();
        if timeout(STOP, self.connections.wait()).await.is_err() {
            warn!(left = self.connections.len(), "connections did not end in time");
        }
    }
}

/// One connection, from its first byte to its last.
async fn serve(shared: Arc<Shared>, tcp: TcpStream, peer: SocketAddr, carrier: Carrier, place: Place) {
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
        target = Empty,
    );
    async {
        let secure = carrier.is_tls();
        let stream = match carrier.open(tcp).await {
            Ok(stream) => stream,
            Err(error) => return info!(%error, "no handshake"),
        };
        let linked = match link(&shared, stream, secure).await {
            Ok(linked) => linked,
            Err(LinkError::Refused(reason)) => return info!(%reason, "refused"),
            Err(reason @ (LinkError::Dial(_) | LinkError::Target(_))) => return warn!(%reason, "no link"),
            Err(reason) => return info!(%reason, "no link"),
        };
        drop(place);
        info!(token = %linked.seat.fingerprint(), "linked");
        let counts = linked.seat.counts.clone();
        let end = relay(linked, &shared.stop).await;
        let to_viewer = counts.to_viewer.load(Ordering::Relaxed);
        let to_hypervisor = counts.to_hypervisor.load(Ordering::Relaxed);
        info!(%end, to_viewer, to_hypervisor, "ended");
    }
    .instrument(span)
    .await;
}

/// Counts the connections that have shown no good token yet.
#[derive(Debug, Default)]
struct HalfOpen {
    by_source: Mutex<HashMap<IpAddr, usize>>,
}

/// The place of one of them.
struct Place {
    shared: Arc<Shared>,
    source: IpAddr,
}

impl HalfOpen {
    /// A place, if there is one left.
    fn enter(shared: &Arc<Shared>, source: IpAddr) -> Option<Place> {
        let mut by_source = lock(&shared.half_open.by_source);
        // INVARIANT: no entry is 0, so there are at most HALF_OPEN of them.
        let all: usize = by_source.values().sum();
        let own = by_source.get(&source).copied().unwrap_or(0);
        if HALF_OPEN <= all || HALF_OPEN_PER_SOURCE <= own {
            return None;
        }
        by_source.insert(source, own + 1);
        Some(Place {
            shared: shared.clone(),
            source,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_source = lock(&self.shared.half_open.by_source);
        match by_source.get_mut(&self.source) {
            Some(1) | None => drop(by_source.remove(&self.source)),
            Some(count) => *count -= 1,
        }
    }
}
