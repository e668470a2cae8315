//! The hypervisors: where they are, how they are entered, what is known of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use spice_proto::BufferedStream;
use spice_proto::caps::{Capabilities, CapabilitySet, common, display};
use spice_proto::ids::ChannelType;
use spice_proto::link::{Secret, Transport};
use spice_proto::session::migration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::sync::lock;
use crate::tls::Stream;

/// For name look-up, TCP and TLS together. Within the ten seconds that a whole link has.
const DIAL: Duration = Duration::from_secs(5);

/// A configured console.
#[derive(Debug)]
pub(crate) struct Target {
    /// By which the API and the tokens know it.
    pub(crate) name: String,
    pub(crate) host: String,
    pub(crate) place: Place,
    /// The hypervisor's own password; no tenant ever has it.
    pub(crate) ticket: Secret,
    /// What this hypervisor announced, by kind of channel.
    pub(crate) known: Mutex<HashMap<ChannelType, Capabilities>>,
}

/// How a target is reached.
#[derive(Debug)]
pub(crate) enum Place {
    Plain {
        port: u16,
    },
    Tls {
        port: u16,
        name: ServerName<'static>,
        config: Arc<ClientConfig>,
    },
}

/// Why a target was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    #[error("TLS: {0}")]
    Tls(std::io::Error),
    #[error("no connection within {} s", DIAL.as_secs())]
    TimedOut,
    #[error("it takes this channel on its other port only: {0}")]
    OtherPort(Transport),
}

impl Target {
    /// Connects. The target's certificate is checked before anything is sent to it.
    pub(crate) async fn dial(&self) -> Result<Stream, DialError> {
        let connected = timeout(DIAL, async {
            let port = match self.place {
                Place::Plain { port } | Place::Tls { port, .. } => port,
            };
            let tcp = TcpStream::connect((self.host.as_str(), port))
                .await
                .map_err(DialError::Connect)?;
            // Key presses are small, and each is worth its own packet.
            tcp.set_nodelay(true).map_err(DialError::Connect)?;
            let stream: Stream = match &self.place {
                Place::Plain { .. } => Box::new(tcp),
                Place::Tls { name, config, .. } => {
                    let connector = TlsConnector::from(config.clone());
                    let tcp = BufferedStream::new(tcp);
                    Box::new(connector.connect(name.clone(), tcp).await.map_err(DialError::Tls)?)
                }
            };
            Ok(stream)
        });
        connected.await.unwrap_or(Err(DialError::TimedOut))
    }

    /// Whether a hypervisor that names this place for a migration means this target: its host, and the port that would be
    /// dialled.
    pub(crate) fn is_at(&self, told: &migration::Target) -> bool {
        let port = match self.place {
            Place::Plain { port } => told.port.is_some_and(|told| told.get() == port),
            Place::Tls { port, .. } => told.tls_port.is_some_and(|told| told.get() == port),
        };
        port && told.host.eq_ignore_ascii_case(self.host.as_bytes())
    }

    /// What to promise for a channel of this target: what it announced last time, if it was asked before.
    pub(crate) fn promise(&self, channel: ChannelType) -> Option<Capabilities> {
        lock(&self.known).get(&channel).cloned()
    }

    /// A link stands: this is what the hypervisor announces.
    pub(crate) fn learn(&self, channel: ChannelType, announced: &Capabilities) {
        let mut set = announced.clone();
        // How a tenant proves itself is between it and us.
        set.common = set.common.with(common::PROTOCOL_AUTH_SELECTION);
        if channel == ChannelType::DISPLAY {
            // Those need file descriptors, which do not pass through TCP.
            set.channel = set.channel.without(display::GL_SCANOUT).without(display::GL_SCANOUT2);
        }
        lock(&self.known).insert(channel, set);
    }

    /// A link failed because this was promised: it is not promised again, so that the next one stands.
    pub(crate) fn lacks(&self, channel: ChannelType, set: CapabilitySet, bit: u32) {
        let mut known = lock(&self.known);
        let capabilities = known
            .entry(channel)
            .or_insert_with(|| Capabilities::spice_server(channel));
        let words = match set {
            CapabilitySet::Common => &mut capabilities.common,
            CapabilitySet::Channel => &mut capabilities.channel,
        };
        *words = std::mem::take(words).without(bit);
    }
}
