//! The gateways of one store among themselves: a channel whose session another gateway has is handed on to that one.
//!
//! ```text
//!  viewer ----> gateway B ==== TLS 1.3, both sides with a certificate ====> gateway A ----> hypervisor
//!                                PROXY header: the tenant's address, and whether it came by TLS
//!                                SPICE link, with the tenant's token as ticket
//! ```
//!
//! Each gateway makes a certificate when it starts, and keeps a note in the store that says where it takes connections of
//! gateways and which certificate it has. A gateway connects only to the certificate in the note of the one that it is
//! looking for, and serves only those whose certificate stands in one. So a program that can write into the store is a
//! gateway, as it is for tokens, and no other program is. The certificates of tenants and hypervisors have no part in it.

mod address;
mod door;
mod pins;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use console_token::{NoteChange, Store};
use examples::net;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tracing::warn;

pub(crate) use self::address::listener_for;
pub(crate) use self::door::accept;
use self::pins::{Identity, Pin};
use super::proxy_protocol;
use super::tls::Stream;
use crate::grant::clock::Clock;

/// Seconds for which the others know where a gateway is of which nothing is heard: longer than a store is away, since sessions
/// begin as soon as it is back. One that has stopped does not answer there, and no other program has its key.
const KEPT: u64 = 600;
/// How often it says so.
const ROUND: Duration = Duration::from_secs(5);
/// The same, when the store did not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// For a connection to another gateway, with its handshake.
const DIAL: Duration = Duration::from_secs(3);
/// The name in the certificates, which nothing looks at.
const NAME: &str = "console-gateway";

/// What a gateway says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Noted {
    address: SocketAddr,
    certificate: Pin,
}

/// Why another gateway is not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatewayError {
    #[error("it has no listener for gateways, or is gone")]
    NotThere,
    #[error("the store: {0}")]
    Store(String),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("no answer in time")]
    TimedOut,
    #[error("no place for another connection")]
    Full,
}

/// This gateway, as the others of its store know it, and its way to them.
pub(crate) struct Gateways {
    name: String,
    store: Arc<dyn Store>,
    clock: Arc<Clock>,
    identity: Identity,
    address: SocketAddr,
}

impl Gateways {
    /// Tells the others where this gateway takes their connections. `address`: of that listener, as they reach it.
    pub(crate) async fn join(
        name: String,
        store: Arc<dyn Store>,
        clock: Arc<Clock>,
        address: SocketAddr,
    ) -> Result<Arc<Self>, String> {
        let identity = Identity::make().map_err(|error| format!("no certificate towards other gateways: {error}"))?;
        let own = Self {
            name,
            store,
            clock,
            identity,
            address,
        };
        own.say().await.map_err(|error| format!("[store] url: {error}"))?;
        Ok(Arc::new(own))
    }

    fn note(name: &str) -> String {
        format!("gateway/{name}")
    }

    async fn say(&self) -> Result<(), GatewayError> {
        let noted = Noted {
            address: self.address,
            certificate: self.identity.pin(),
        };
        let value = serde_json::to_vec(&noted).map_err(std::io::Error::from)?;
        let now = self.clock.now();
        let change = NoteChange::write(&value, now.saturating_add(KEPT));
        let written = self.store.set_note(&Self::note(&self.name), now, change).await;
        written
            .map(drop)
            .map_err(|error| GatewayError::Store(error.to_string()))
    }

    /// Says it again and again, until it is dropped.
    pub(crate) async fn keep(&self) {
        let mut works = true;
        loop {
            sleep(if works { ROUND } else { AGAIN }).await;
            let said = timeout(ROUND, self.say()).await.unwrap_or(Err(GatewayError::TimedOut));
            works = said.is_ok();
            if let Err(error) = said {
                warn!(%error, "other gateways do not know of this one");
            }
        }
    }

    /// Whether a gateway of this store has this certificate.
    async fn knows(&self, pin: &Pin) -> Result<bool, GatewayError> {
        let notes = self.store.notes(&Self::note(""), self.clock.now()).await;
        let notes = notes.map_err(|error| GatewayError::Store(error.to_string()))?;
        let mut noted = notes
            .iter()
            .filter_map(|(_, note)| serde_json::from_slice::<Noted>(&note.value).ok());
        Ok(noted.any(|noted| noted.certificate == *pin))
    }

    /// A connection to the gateway of this name, on which it knows whose it is.
    pub(crate) async fn dial(&self, name: &str, tenant: SocketAddr, secure: bool) -> Result<Stream, GatewayError> {
        let dialled = timeout(DIAL, async {
            let note = self.store.note(&Self::note(name), self.clock.now()).await;
            let note = note.map_err(|error| GatewayError::Store(error.to_string()))?;
            let note = note.ok_or(GatewayError::NotThere)?;
            let Noted { address, certificate } = serde_json::from_slice(&note.value).map_err(std::io::Error::from)?;
            let tcp = net::dial(&address.ip().to_string(), address.port(), DIAL).await?;
            let config = self.identity.client(certificate).map_err(std::io::Error::other)?;
            let server = ServerName::try_from(NAME).map_err(std::io::Error::other)?;
            let mut stream = examples::tls::client(tcp, config, server).await?;
            stream
                .write_all(&proxy_protocol::header(tenant, address, secure)?)
                .await?;
            Ok(Box::new(stream) as Stream)
        });
        dialled.await.unwrap_or(Err(GatewayError::TimedOut))
    }
}

/// The listener for other gateways.
pub(crate) struct GatewayDoor {
    pub(crate) listener: TcpListener,
    pub(crate) gateways: Arc<Gateways>,
}
