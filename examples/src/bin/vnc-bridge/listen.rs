//! The listeners, and a task for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use examples::vnc::Stream;
use examples::websocket;
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{Instrument, info, info_span, warn};

use crate::bridge::{self, End};
use crate::config::Config;

/// Connections at a time. What comes beyond is closed at once.
const CONNECTIONS: usize = 256;
/// For the beginning of a WebSocket. The bridge has its own limit behind it.
const WEBSOCKET: Duration = Duration::from_secs(5);

/// What a listener's connections speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Tcp,
    /// Browsers: the same bytes in a WebSocket.
    WebSocket,
}

/// What all connections share.
pub(crate) struct House {
    pub(crate) config: Arc<Config>,
    places: Semaphore,
}

/// Accepts connections for ever.
pub(crate) async fn run(config: Arc<Config>) -> io::Result<()> {
    let tcp = open("tcp", config.tcp).await?;
    let websocket = open("websocket", config.websocket).await?;
    let mut bound = Map::new();
    for (name, listener) in [("tcp", &tcp), ("websocket", &websocket)] {
        if let Some(listener) = listener {
            bound.insert(name.to_owned(), listener.local_addr()?.to_string().into());
        }
    }
    // For the program that started us: the ports may have been ours to choose.
    println!("{}", Value::from(bound));
    let house = Arc::new(House {
        config,
        places: Semaphore::new(CONNECTIONS),
    });
    let viewers = accept(tcp, house.clone(), Carrier::Tcp);
    let browsers = accept(websocket, house, Carrier::WebSocket);
    tokio::try_join!(viewers, browsers).map(|_| ())
}

async fn open(what: &str, address: Option<SocketAddr>) -> io::Result<Option<TcpListener>> {
    let Some(address) = address else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => Err(io::Error::new(
            error.kind(),
            format!("[tenant] {what}: cannot listen on {address}: {error}"),
        )),
    }
}

async fn accept(listener: Option<TcpListener>, house: Arc<House>, carrier: Carrier) -> io::Result<()> {
    let Some(listener) = listener else {
        return Ok(());
    };
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                // Key presses are small, and each is worth its own packet.
                let _ = tcp.set_nodelay(true);
                tokio::spawn(serve(house.clone(), tcp, peer, carrier));
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
async fn serve(house: Arc<House>, tcp: TcpStream, peer: SocketAddr, carrier: Carrier) {
    let Ok(_place) = house.places.try_acquire() else {
        return warn!(%peer, "too many connections");
    };
    let span = info_span!("connection", %peer);
    async {
        let tenant: Stream = match carrier {
            Carrier::Tcp => Box::new(tcp),
            Carrier::WebSocket => match timeout(WEBSOCKET, websocket::accept(tcp, &house.config.origins)).await {
                Ok(Ok(browser)) => Box::new(browser),
                Ok(Err(error)) => return info!(%error, "ended"),
                Err(_) => return info!("no WebSocket in time"),
            },
        };
        match bridge::serve(&house.config, tenant).await {
            Ok(End {
                to_hypervisor,
                to_tenant,
            }) => info!(to_hypervisor, to_tenant, "ended"),
            Err(error) => info!(%error, "ended"),
        }
    }
    .instrument(span)
    .await;
}
