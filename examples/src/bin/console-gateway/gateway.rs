//! The gateway: listeners, and a task for each connection.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use examples::websocket::{self, WebSocketError};
use rustls::ServerConfig;
use spice_proto::link::Side;
use spice_proto::session::Policy;
use spice_proto::session::migration::Endpoint;
use spice_proto::session::policy::Settings;
use spice_proto::session::relay::{Config, End};
use spice_proto::session::tracker::{self, Peer};
use spice_proto::{BufferedStream, Connection, Hub, drive_session};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, field::Empty, info, info_span, warn};

use crate::answers::Tenant;
use crate::console::Viewer;
use crate::keys::{Keys, random_bytes};
use crate::rules::Rules;
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
/// Connections that have shown no good token yet.
const HALF_OPEN: usize = 256;
/// The same, of one address: a viewer opens about ten at once.
const HALF_OPEN_PER_SOURCE: usize = 32;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) keys: Keys,
    pub(crate) rules: Rules,
    hub: Arc<Hub>,
    /// Cancelled when the gateway goes down.
    stop: CancellationToken,
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
                // Each message is a record, and all that go at once are one system call.
                Self::Tls(tls) => Box::new(tls.accept(BufferedStream::new(tcp)).await?),
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
    policy: Arc<Policy>,
    connections: TaskTracker,
    /// Ports that nothing listens on, and nobody else takes.
    closed: Vec<TcpSocket>,
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

/// A port of this address that nobody can connect to for as long as it is kept.
fn closed_port(address: IpAddr) -> std::io::Result<(TcpSocket, NonZeroU16)> {
    let socket = match address {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind((address, 0).into())?;
    let port = NonZeroU16::new(socket.local_addr()?.port());
    Ok((socket, port.ok_or(std::io::ErrorKind::AddrNotAvailable)?))
}

impl Gateway {
    /// Starts to make keys. Nothing is accepted yet.
    pub(crate) fn new(sessions: Sessions, rules: Rules, settings: &Settings) -> Result<Self, String> {
        let keys = Keys::start(KEYS).map_err(|error| format!("no RSA key: {error}"))?;
        let sessions = Arc::new(sessions);
        let config = tracker::Config::default()
            .with_half_open(HALF_OPEN)
            .with_half_open_from_address(HALF_OPEN_PER_SOURCE)
            .with_link_timeout(TOKEN);
        let shared = Arc::new(Shared {
            sessions: sessions.clone(),
            keys,
            rules,
            hub: Arc::new(Hub::new(config, random_bytes())),
            stop: CancellationToken::new(),
            next_id: AtomicU64::new(1),
        });
        let connections = TaskTracker::new();
        let end = shared.clone();
        connections.spawn(async move {
            loop {
                let token = tokio::select! {
                    () = end.stop.cancelled() => return,
                    token = end.hub.ended() => token,
                };
                end.sessions.ended(token);
            }
        });
        Ok(Self {
            sessions,
            shared,
            policy: Arc::new(Policy::new(settings)),
            connections,
            closed: Vec::new(),
        })
    }

    /// Accepts viewers. `viewer`: where they find the gateway, then and when their session moves.
    pub(crate) fn accept(&mut self, listener: TcpListener, carrier: Carrier, viewer: &Viewer) -> Result<(), String> {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (socket, port) = closed_port(address.ip()).map_err(|error| format!("no port to keep closed: {error}"))?;
        self.closed.push(socket);
        // One that has TLS would go to a plain port first.
        let plain = viewer.port.filter(|_| !carrier.is_tls()).and_then(NonZeroU16::new);
        let secure = viewer.tls_port.and_then(NonZeroU16::new);
        let endpoint = Endpoint::new(&viewer.host, plain, secure, viewer.host_subject.as_deref(), port);
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
                        let Ok(connection) = shared.hub.accept(from, config.clone()) else {
                            warn!(%peer, "too many connections in the link stage");
                            continue;
                        };
                        connections.spawn(serve(shared.clone(), connection, tcp, peer, carrier.clone()));
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

    /// Stops: nobody gets in, every connection is ended, and within seconds this returns.
    pub(crate) async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.hub.stop();
        self.connections.close();
        if timeout(STOP, self.connections.wait()).await.is_err() {
            warn!(left = self.connections.len(), "connections did not end in time");
        }
    }
}

/// One connection, from its first byte to its last.
async fn serve(shared: Arc<Shared>, connection: Connection, tcp: TcpStream, peer: SocketAddr, carrier: Carrier) {
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
        let stream = match carrier.open(tcp).await {
            Ok(stream) => stream,
            Err(error) => return info!(%error, "no handshake"),
        };
        let counts = connection.counts();
        let tenant = Tenant::new(shared, counts.clone());
        let (end, tenant) = drive_session(connection, stream, tenant).await;
        let Some(tenant) = tenant else {
            return info!(%end, "ended");
        };
        match (end, tenant.refused, &tenant.unreached) {
            (_, Some(reason), _) => info!(%reason, "refused"),
            (_, _, Some(error)) => warn!(reason = %format_args!("target not reached: {error}"), "no link"),
            (End::Link(error), ..) if error.side == Side::Hypervisor => {
                tenant.learn_from(&error.error);
                warn!(reason = %format_args!("target: {}", error.error), "no link");
            }
            (reason, ..) if !tenant.linked => info!(%reason, "no link"),
            _ => {
                let (to_viewer, to_hypervisor) = (counts.to_viewer(), counts.to_hypervisor());
                info!(%end, to_viewer, to_hypervisor, "ended");
            }
        }
    }
    .instrument(span)
    .await;
}
