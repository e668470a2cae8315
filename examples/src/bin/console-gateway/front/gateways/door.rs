//! The listener for other gateways of the store.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use examples::net;
use examples::stream::read_ahead;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::{Instrument, field::Empty, field::display, info, info_span, warn};

use super::pins::Pin;
use super::{GatewayDoor, GatewayError, Gateways};
use crate::console::spice;
use crate::front::proxy_protocol::{self, ProxyError};
use crate::front::tls::Stream;
use crate::front::{Guestbook, HANDSHAKE};
use crate::gateway::Gateway;

/// Why a connection is not served.
#[derive(Debug, thiserror::Error)]
enum DoorError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("no handshake in time")]
    TooLate,
    #[error("it is no gateway of this store")]
    Stranger,
    #[error(transparent)]
    Store(#[from] GatewayError),
    #[error("{0}")]
    Header(#[from] ProxyError),
    #[error("the header names no tenant")]
    NoTenant,
}

/// Accepts connections of other gateways, also while this one takes no new sessions: those that are open go on.
pub(crate) async fn accept(gateway: Arc<Gateway>, door: GatewayDoor) {
    let GatewayDoor { listener, gateways } = door;
    let tls = match gateways.identity.server() {
        Ok(tls) => tls,
        Err(error) => return warn!(%error, "no listener for gateways"),
    };
    loop {
        let accepted = tokio::select! {
            () = gateway.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((tcp, from)) => {
                let span = info_span!(
                    "connection",
                    listener = "gateways",
                    %from,
                    peer = Empty,
                    tls = Empty,
                    channel = Empty,
                    number = Empty,
                    connection_id = Empty,
                    token = Empty,
                    guest = Empty,
                    session = Empty,
                    host = Empty,
                );
                let served = serve(gateway.clone(), gateways.clone(), tls.clone(), tcp, from);
                gateway.tasks.spawn(served.instrument(span));
            }
            Err(error) => {
                warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// One channel that another gateway hands on.
async fn serve(
    gateway: Arc<Gateway>,
    gateways: Arc<Gateways>,
    tls: Arc<ServerConfig>,
    tcp: TcpStream,
    from: SocketAddr,
) {
    let stop = gateway.stop.clone();
    let served = async {
        // Strangers have places here until they are known for what they are.
        let place = Arc::new(gateway.budgets.consoles.arrive(from.ip()));
        let opened = gateway.in_turns(from.ip(), &place, open(&gateways, tls, tcp));
        let opened = timeout(HANDSHAKE, opened);
        let opened = tokio::select! {
            opened = opened => opened.unwrap_or(Err(DoorError::TooLate)),
            () = place.gives_way() => return,
        };
        drop(place);
        let (stream, peer, secure) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                gateway.metrics.refused("handshake");
                return gateway.refusals.log(|| info!(%error, "not from a gateway"));
            }
        };
        let span = tracing::Span::current();
        span.record("peer", display(peer)).record("tls", secure);
        let place = Arc::new(gateway.budgets.consoles.arrive(peer.ip()));
        let guest = Guestbook {
            peer,
            secure,
            place: place.clone(),
            handed_on: true,
        };
        let served = spice::serve(gateway.clone(), guest, stream, None);
        tokio::select! {
            () = gateway.in_turns(peer.ip(), &place, served) => {}
            () = place.gives_way() => gateway.refusals.log(|| info!("gave way to another connection")),
        }
    };
    tokio::select! {
        () = served => {}
        () = stop.cancelled() => {}
    }
}

/// Whose connection it is, where a gateway of this store has handed it on.
async fn open(
    gateways: &Gateways,
    tls: Arc<ServerConfig>,
    tcp: TcpStream,
) -> Result<(Stream, SocketAddr, bool), DoorError> {
    net::prepare(&tcp)?;
    let stream = examples::tls::server(tcp, tls).await?;
    let shown = stream
        .session()
        .session()
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(Pin::of);
    let shown = shown.ok_or(DoorError::Stranger)?;
    if !gateways.knows(&shown).await? {
        return Err(DoorError::Stranger);
    }
    let (early, stream, header) = proxy_protocol::read(stream).await?;
    let peer = header.source.ok_or(DoorError::NoTenant)?;
    Ok((Box::new(read_ahead([early], stream)), peer, header.secure))
}
