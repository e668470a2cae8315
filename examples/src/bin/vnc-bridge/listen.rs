//! The listeners, and a task for each connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use examples::vnc::Stream;
use serde_json::{Map, Value};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{Instrument, info, info_span, warn};

use crate::bridge::{self, End};
use crate::config::Config;
use crate::websocket;

/// Connections at a time. What comes beyond is closed at once.
const CONNECTIONS: usize = 256;

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
    let viewers = accept(tcp, house.clone());
    let browsers = websocket::accept(websocket, house);
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

async fn accept(listener: Option<TcpListener>, house: Arc<House>) -> io::Result<()> {
    let Some(listener) = listener else {
        return Ok(());
    };
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => {
                // Key presses are small, and each is worth its own packet.
                let _ = tcp.set_nodelay(true);
                tokio::spawn(serve(house.clone(), Box::new(tcp), peer));
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
pub(crate) async fn serve(house: Arc<House>, tenant: Stream, peer: SocketAddr) {
    let Ok(_place) = house.places.try_acquire() else {
        return warn!(%peer, "too many connections");
    };
    let span = info_span!("connection", %peer);
    async {
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
