//! HTTP for the API: a bounded number of connections, and none can be held by saying nothing. A connection gives way as long as
//! it has not shown the API's token, and after that only to others that have.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use console_token::FairScheduler;
use examples::places::{Place, Places};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::tls::Stream;

/// For a TLS handshake, and for the head of each request.
pub(super) const HEAD: Duration = Duration::from_secs(5);
/// For what is under way when the gateway stops.
const STOP: Duration = Duration::from_secs(2);

/// The other end of a connection to the API, and its place.
#[derive(Debug, Clone)]
pub(crate) struct ApiPeer(pub(crate) SocketAddr, pub(crate) Arc<Place>);

/// Serves HTTP/1.1 until it is stopped, and then within seconds no more. `tls`: asked for each connection.
pub(crate) async fn serve(
    (listener, places, turns): (TcpListener, Places, FairScheduler),
    tls: impl Fn() -> Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let place = Arc::new(places.arrive(peer.ip()));
                let router = router.clone().layer(Extension(ApiPeer(peer, place.clone())));
                let has_token = place.clone();
                let served = converse(place, tcp, tls(), router, stop.clone());
                let served = turns.run(peer.ip(), move || has_token.is_known(), served);
                connections.spawn(async move {
                    if let Err(error) = served.await {
                        debug!(%peer, %error, "API connection ended");
                    }
                });
            }
            // No file descriptors, most likely: others have to go first.
            Err(error) => {
                warn!(%error, "cannot accept");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
    connections.close();
    if timeout(STOP, connections.wait()).await.is_err() {
        debug!(left = connections.len(), "requests were cut off");
    }
}

/// One connection. It never counts as open, so it can always give way, also while a request is served.
async fn converse(
    place: Arc<Place>,
    tcp: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let served = async {
        let stream: Stream = match tls {
            None => Box::new(tcp),
            Some(tls) => Box::new(timeout(HEAD, examples::tls::server(tcp, tls)).await??),
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        tokio::pin!(connection);
        tokio::select! {
            ended = &mut connection => return ended.map_err(io::Error::other),
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await.map_err(io::Error::other)
    };
    tokio::select! {
        () = place.gives_way() => Err(io::Error::other("gave way to another connection")),
        ended = served => ended,
    }
}
