//! The guests: which consoles they have, where these are, how they are entered.
//!
//! A place belongs to one guest. A hypervisor can send a viewer to a place of the guest whose console it is showing, and
//! to no other: the message that names the target is the hypervisor's, and a hypervisor is not trusted with the consoles
//! of others.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use console_token::{AdmitError, Protocol};
use examples::net;
use examples::vnc::Method;
use rfb_proto::tls::ClientTls;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use spice_proto::link::{Secret, Transport};
use spice_proto::session::migration;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::qmp::Monitor;
use crate::front::tls::Stream;
use crate::grant::policy::Rules;

/// For name look-up, TCP and TLS together. Within the ten seconds that a whole link has.
const DIAL: Duration = Duration::from_secs(5);

/// A virtual machine, and its consoles.
#[derive(Debug)]
pub(crate) struct Guest {
    /// By which tokens know it.
    pub(crate) id: String,
    /// For people.
    pub(crate) name: String,
    /// By which its hypervisors know it, where that is not `name`.
    pub(crate) hypervisor_name: Option<String>,
    /// In the order of the configuration.
    pub(crate) consoles: Vec<Arc<Console>>,
}

/// A console: where it is, and where it may move.
#[derive(Debug)]
pub(crate) struct Console {
    pub(crate) protocol: Protocol,
    /// Viewers without TLS are refused.
    pub(crate) require_tls: bool,
    /// What may pass.
    pub(crate) rules: Rules,
    /// The first is where the guest is unless it has moved. Never empty.
    pub(crate) places: Vec<Arc<Place>>,
}

/// Where a console can be.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) at: Address,
    /// Other names under which hypervisors announce this host.
    pub(crate) announced: Vec<String>,
    pub(crate) port: Option<u16>,
    pub(crate) tls: Option<PlaceTls>,
    /// The ports at which a move may arrive; without it, those above.
    pub(crate) move_ports: Option<RangeInclusive<u16>>,
    /// The hypervisor's own password for SPICE; no tenant ever has it.
    pub(crate) ticket: Option<Secret>,
    /// Where tickets and console passwords are set.
    pub(crate) monitor: Option<Arc<Monitor>>,
    pub(crate) vnc: VncEntry,
    /// Of a WebMKS console: what stands in its `internal_access_path`.
    pub(crate) access_path: Option<console_token::AccessPath>,
}

/// What is dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// A name or an address.
    Host(String),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// How a VNC server is entered.
#[derive(Debug, Default)]
pub(crate) struct VncEntry {
    /// What may be spoken, best first.
    pub(crate) methods: Vec<Method>,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Secret>,
    pub(crate) tls: Option<ClientTls>,
}

/// The port with TLS, and the certificate that is expected there.
#[derive(Debug)]
pub(crate) struct PlaceTls {
    pub(crate) port: u16,
    pub(crate) name: ServerName<'static>,
    pub(crate) config: Arc<ClientConfig>,
}

/// A place of a console, and the ports at which it is there.
#[derive(Debug, Clone)]
pub(crate) struct PlaceAddress {
    pub(crate) place: Arc<Place>,
    pub(crate) port: Option<u16>,
    pub(crate) tls_port: Option<u16>,
}

/// Why a place was not reached.
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
    #[error(transparent)]
    NoPlace(#[from] AdmitError),
}

/// A host in the one form in which two names of it can be compared: addresses as such, names in lower case without the
/// dot of the root.
pub(crate) fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    match bare.unwrap_or(host).parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase(),
    }
}

impl Guest {
    /// Its console of this protocol; of several serial ports, the one with this number.
    pub(crate) fn console(&self, protocol: Protocol, number: usize) -> Option<&Arc<Console>> {
        let mut consoles = self.consoles.iter();
        consoles
            .by_ref()
            .filter(|console| console.protocol == protocol)
            .nth(number)
    }
}

impl Console {
    /// Where it is, if it has not moved.
    pub(crate) fn first(&self) -> Option<PlaceAddress> {
        self.at(0)
    }

    /// At the place with this index, at the ports of the configuration.
    pub(crate) fn at(&self, index: usize) -> Option<PlaceAddress> {
        self.places.get(index).map(PlaceAddress::configured)
    }

    /// The index of a place.
    pub(crate) fn index_of(&self, place: &Arc<Place>) -> Option<usize> {
        self.places.iter().position(|own| Arc::ptr_eq(own, place))
    }

    /// The place of this console that a hypervisor means, if it means one.
    pub(crate) fn place_at(&self, told: &migration::Target) -> Option<PlaceAddress> {
        let host = canonical(std::str::from_utf8(&told.host).ok()?);
        let port = told.port.map(std::num::NonZeroU16::get);
        let tls_port = told.tls_port.map(std::num::NonZeroU16::get);
        let at = |place: &Arc<Place>| {
            let at = PlaceAddress {
                place: place.clone(),
                port: port.filter(|port| place.is_met_at(*port, place.port)),
                tls_port: tls_port.filter(|port| place.is_met_at(*port, place.tls.as_ref().map(|tls| tls.port))),
            };
            // A place with TLS is not entered without: a hypervisor cannot decide that.
            match place.tls {
                Some(_) => at.tls_port.is_some(),
                None => at.port.is_some(),
            }
            .then_some(at)
        };
        let mut named = self
            .places
            .iter()
            .filter(|place| place.names().any(|name| name == host));
        named.find_map(at)
    }

    /// Whether this console can be at that host and port, as a tenant names them in a `CONNECT`.
    pub(crate) fn is_at(&self, here: &PlaceAddress, host: &str, port: u16) -> bool {
        let host = canonical(host);
        let own = here.place.names().any(|name| name == host) && [here.port, here.tls_port].contains(&Some(port));
        own || self.places.iter().any(|place| {
            let ports = [place.port, place.tls.as_ref().map(|tls| tls.port)];
            ports.contains(&Some(port)) && place.names().any(|name| name == host)
        })
    }
}

impl Place {
    /// A place that a resolver has named.
    pub(crate) fn resolved(host: String, port: Option<u16>) -> Self {
        Self {
            at: Address::Host(host),
            announced: Vec::new(),
            port,
            tls: None,
            move_ports: None,
            ticket: None,
            monitor: None,
            vnc: VncEntry::default(),
            access_path: None,
        }
    }

    /// What is dialled, for logs.
    pub(crate) fn host(&self) -> String {
        match &self.at {
            Address::Host(host) => host.clone(),
            Address::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// The names of its host, in canonical form.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        let own = match &self.at {
            Address::Host(host) => Some(host),
            Address::Unix(_) => None,
        };
        own.into_iter().chain(&self.announced).map(|name| canonical(name))
    }

    /// Whether a move may arrive at that port, or it is one of its own.
    fn reaches(&self, port: u16) -> bool {
        let own = self.ports().any(|own| own == port);
        own || self.move_ports.as_ref().is_some_and(|ports| ports.contains(&port))
    }

    fn is_met_at(&self, told: u16, configured: Option<u16>) -> bool {
        match &self.move_ports {
            Some(ports) => ports.contains(&told),
            None => configured == Some(told),
        }
    }

    /// The ports that the configuration names.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> {
        self.port.into_iter().chain(self.tls.as_ref().map(|tls| tls.port))
    }

    /// The name that the certificate of a host should have.
    pub(crate) fn server_name(&self) -> Option<&str> {
        match &self.at {
            Address::Host(host) => Some(bare(host)),
            Address::Unix(_) => None,
        }
    }
}

/// Whether a place of the guest may be there, too: at the same host, and at one of these ports.
pub(crate) fn shares(guest: &Guest, at: &PlaceAddress) -> bool {
    let names: Vec<String> = at.place.names().collect();
    let mut places = guest.consoles.iter().flat_map(|console| &console.places);
    places.any(|place| {
        let mut ports = at.port.into_iter().chain(at.tls_port);
        ports.any(|port| place.reaches(port)) && place.names().any(|name| names.contains(&name))
    })
}

/// An address without the brackets of IPv6.
fn bare(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host)
}

impl PlaceAddress {
    /// At the ports that the configuration names.
    pub(crate) fn configured(place: &Arc<Place>) -> Self {
        Self {
            place: place.clone(),
            port: place.port,
            tls_port: place.tls.as_ref().map(|tls| tls.port),
        }
    }

    /// Whether both are the same host at the same ports.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.place, &other.place) && (self.port, self.tls_port) == (other.port, other.tls_port)
    }

    /// Connects: with TLS where the place has it, unless its hypervisor has asked for the other port. The certificate is
    /// checked before anything is sent.
    pub(crate) async fn dial(&self, wanted: Option<Transport>) -> Result<Stream, DialError> {
        let tls = self.place.tls.as_ref().zip(self.tls_port);
        let (port, tls) = match (wanted, self.port, tls) {
            (None | Some(Transport::Tls), _, Some((tls, port))) => (Some(port), Some(tls)),
            (None | Some(Transport::Plain), port, _) => (port, None),
            (Some(wanted), ..) => return Err(DialError::OtherPort(wanted)),
        };
        let connected = timeout(DIAL, async {
            let stream = self.connect(port).await?;
            Ok(match tls {
                None => stream,
                Some(PlaceTls { name, config, .. }) => {
                    let connected = examples::tls::client(stream, config.clone(), name.clone()).await;
                    Box::new(connected.map_err(DialError::Tls)?)
                }
            })
        });
        connected.await.unwrap_or(Err(DialError::TimedOut))
    }

    /// Connects without TLS.
    pub(crate) async fn dial_plain(&self) -> Result<Stream, DialError> {
        let connected = timeout(DIAL, self.connect(self.port)).await;
        connected.unwrap_or(Err(DialError::TimedOut))
    }

    async fn connect(&self, port: Option<u16>) -> Result<Stream, DialError> {
        Ok(match (&self.place.at, port) {
            (Address::Unix(path), _) => Box::new(UnixStream::connect(path).await.map_err(DialError::Connect)?),
            (Address::Host(host), Some(port)) => {
                let tcp = net::dial(bare(host), port, DIAL).await;
                Box::new(tcp.map_err(DialError::Connect)?)
            }
            // INVARIANT: a place has a port, or a path.
            (Address::Host(_), None) => return Err(DialError::Connect(std::io::ErrorKind::AddrNotAvailable.into())),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use spice_proto::session::migration::{Kind, Target};

    use super::*;

    fn place(host: &str, announced: &[&str], port: u16, move_ports: Option<RangeInclusive<u16>>) -> Arc<Place> {
        Arc::new(Place {
            announced: announced.iter().map(|&name| name.to_owned()).collect(),
            move_ports,
            ..Place::resolved(host.to_owned(), Some(port))
        })
    }

    #[test]
    fn a_hypervisor_can_name_the_places_of_its_guest_only() {
        let console = Console {
            protocol: Protocol::Spice,
            require_tls: false,
            rules: Rules::default(),
            places: vec![
                place("node1.example", &["10.1.0.11", "fe80::1"], 5900, None),
                place("Node2.Example.", &["::ffff:10.1.0.12"], 5900, Some(5900..=5999)),
                place("node2.example", &[], 7000, None),
            ],
        };
        let found = |host: &str, port: u16, tls_port: u16| {
            let told = Target::new(Kind::Seamless, host, NonZeroU16::new(port), NonZeroU16::new(tls_port));
            let at = console.place_at(&told)?;
            let place = console.index_of(&at.place)?;
            Some((place, at.port?))
        };
        for (host, port, wanted) in [
            ("node1.example", 5900, Some((0, 5900))),
            ("NODE1.example.", 5900, Some((0, 5900))),
            ("node1.example", 5901, None),
            ("10.1.0.11", 5900, Some((0, 5900))),
            ("::ffff:10.1.0.11", 5900, Some((0, 5900))),
            ("[fe80:0::1]", 5900, Some((0, 5900))),
            ("10.1.0.12", 5999, Some((1, 5999))),
            ("10.1.0.12", 6000, None),
            ("node2.example", 7000, Some((2, 7000))),
            ("node3.example", 5900, None),
            ("", 5900, None),
        ] {
            assert_eq!(found(host, port, 0), wanted, "{host}:{port}");
        }
        assert_eq!(
            found("node1.example", 0, 5900),
            None,
            "a port with TLS that this place does not have"
        );
    }
}
