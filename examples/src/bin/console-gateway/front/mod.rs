//! Where clients come in: listeners, and a task for each connection.

pub(crate) mod budgets;
pub(crate) mod connect;
pub(crate) mod gateways;
pub(crate) mod http;
pub(crate) mod layer;
pub(crate) mod pages;
pub(crate) mod proxy_protocol;
pub(crate) mod tls;
pub(crate) mod upgrade;
pub(crate) mod web;

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use examples::net;
use examples::places::Place;
use examples::stream::read_ahead;
use spice_proto::session::migration::Endpoint;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tracing::{Instrument, debug, field::Empty, info, info_span, warn};

use self::tls::Stream;
use crate::console::{spice, vnc};
use crate::gateway::Gateway;

/// For a TLS handshake, or a PROXY header.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// What a listener's connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Spice,
    Vnc,
    Web,
}

/// A listener that is bound.
pub(crate) struct Door {
    /// Its key in the configuration.
    pub(crate) name: &'static str,
    pub(crate) listener: TcpListener,
    pub(crate) speaks: Speaks,
    /// TLS comes first.
    pub(crate) secure: bool,
}

/// A connection that has come.
#[derive(Clone)]
pub(crate) struct Guestbook {
    pub(crate) peer: SocketAddr,
    /// It came over TLS, to us.
    pub(crate) secure: bool,
    pub(crate) place: Arc<Place>,
    /// Another gateway hands it on.
    pub(crate) handed_on: bool,
}

/// Why a connection went no further.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("PROXY protocol: {0}")]
    Proxy(#[from] proxy_protocol::ProxyError),
    #[error("no handshake in time")]
    TooLate,
    #[error("there is no certificate")]
    NoCertificate,
}

/// Accepts connections until the gateway takes no more.
pub(crate) async fn accept(gateway: Arc<Gateway>, door: Door) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let Door {
        name,
        listener,
        speaks,
        secure,
    } = door;
    loop {
        let accepted = tokio::select! {
            () = gateway.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, peer)) => {
                let request = NEXT.fetch_add(1, Ordering::Relaxed);
                gateway.metrics.accepted(name);
                let span = info_span!(
                    "connection",
                    request,
                    listener = name,
                    peer = Empty,
                    tls = secure,
                    channel = Empty,
                    number = Empty,
                    connection_id = Empty,
                    token = Empty,
                    guest = Empty,
                    user = Empty,
                    session = Empty,
                    host = Empty,
                );
                let served = welcome(gateway.clone(), tcp, peer, speaks, secure);
                gateway.tasks.spawn(served.instrument(span));
            }
            // No file descriptors, most likely: others have to go first.
            Err(error) => {
                warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One connection, from its first byte to its last.
async fn welcome(gateway: Arc<Gateway>, tcp: TcpStream, peer: SocketAddr, speaks: Speaks, secure: bool) {
    let live = gateway.live();
    if let Err(error) = net::prepare(&tcp) {
        return refused(&gateway, peer, &error.into());
    }
    let named = live.proxy_protocol.iter().any(|network| network.contains(peer.ip()));
    // A load balancer's connections are many, and none of them is its own.
    let (early, tcp, peer) = match named {
        true => match timeout(HANDSHAKE, proxy_protocol::read(tcp)).await {
            Ok(Ok((early, tcp, header))) => (early, tcp, header.source.unwrap_or(peer)),
            Ok(Err(error)) => return refused(&gateway, peer, &error.into()),
            Err(_) => return refused(&gateway, peer, &OpenError::TooLate),
        },
        false => (Bytes::new(), tcp, peer),
    };
    tracing::Span::current().record("peer", tracing::field::display(peer));
    let places = match speaks {
        Speaks::Web => &gateway.budgets.web,
        Speaks::Spice | Speaks::Vnc => &gateway.budgets.consoles,
    };
    let place = Arc::new(places.arrive(peer.ip()));
    let converse = async {
        // In VNC the server speaks first.
        if speaks != Speaks::Vnc && early.is_empty() {
            match timeout(HANDSHAKE, tcp.peek(&mut [0])).await {
                // With a reset, as load balancers end the connections by which they look whether the listener is there.
                Ok(Ok(0) | Err(_)) => return debug!("gone without a word"),
                Ok(Ok(_)) => {}
                Err(_) => return refused(&gateway, peer, &OpenError::TooLate),
            }
        }
        let guest = Guestbook {
            peer,
            secure,
            place: place.clone(),
            handed_on: false,
        };
        let converse = converse(&gateway, guest, (early, tcp), speaks);
        // A reverse proxy that is believed connects for many clients: the request alone says for which one.
        let is_proxy = speaks == Speaks::Web && live.forwarded.iter().any(|network| network.contains(peer.ip()));
        match is_proxy {
            true => Box::pin(converse).await,
            false => gateway.in_turns(peer.ip(), &place, converse).await,
        }
    };
    tokio::select! {
        () = converse => {}
        () = place.gives_way() => gateway.refusals.log(|| info!("gave way to another connection")),
        () = gateway.stop.cancelled() => {}
    }
}

/// One connection of which the first bytes are there.
async fn converse(gateway: &Arc<Gateway>, guest: Guestbook, (early, tcp): (Bytes, TcpStream), speaks: Speaks) {
    let stream: Stream = match early.is_empty() {
        true => Box::new(tcp),
        false => Box::new(read_ahead([early], tcp)),
    };
    let stream = match open(gateway, stream, guest.secure).await {
        Ok(stream) => stream,
        Err(error) => return refused(gateway, guest.peer, &error),
    };
    match speaks {
        Speaks::Spice => spice::serve(gateway.clone(), guest, stream, None).await,
        // In a place of its own: a future has room for the largest of its parts, and a SPICE session has ten of these.
        Speaks::Vnc => Box::pin(vnc::serve_native(gateway.clone(), guest, stream)).await,
        Speaks::Web => web::serve(gateway.clone(), guest, stream).await,
    }
}

fn refused(gateway: &Gateway, peer: SocketAddr, error: &OpenError) {
    gateway.metrics.refused("handshake");
    gateway.refusals.log(|| info!(%peer, %error, "no handshake"));
}

/// The stream inside of a connection.
async fn open(gateway: &Gateway, stream: Stream, secure: bool) -> Result<Stream, OpenError> {
    if !secure {
        return Ok(stream);
    }
    let tls = gateway.live().tls.clone().ok_or(OpenError::NoCertificate)?;
    let accepted = examples::tls::server(stream, tls);
    let accepted = timeout(HANDSHAKE, accepted).await.map_err(|_| OpenError::TooLate)?;
    Ok(Box::new(accepted?))
}

/// Where viewers of a listener find the gateway when their session moves.
pub(crate) fn endpoint(viewer: &crate::console::vv::Viewer, secure: bool) -> Result<Endpoint, String> {
    // One that has TLS would go to a plain port first.
    let plain = viewer.port.filter(|_| !secure).and_then(NonZeroU16::new);
    let tls = viewer.tls_port.and_then(NonZeroU16::new);
    let endpoint = Endpoint::new(&viewer.host, plain, tls, viewer.host_subject.as_deref());
    endpoint.map_err(|error| format!("no place to come back to: {error}"))
}
