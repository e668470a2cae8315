//! Where a session goes, and the address that the viewer gets.

use alloc::vec::Vec;
use bytes::{BufMut as _, Bytes, BytesMut};
use core::num::NonZeroU16;

use crate::channel::main::{Destination, MigrateBegin, MigrateBeginSeamless, MigrateSwitchHost};
use crate::error::DecodeError;

/// Port 65535 is what spice-server writes for a port that was not given, and 0 is none.
const NOT_GIVEN: u16 = u16::MAX;

/// How a session moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `MIGRATE_BEGIN`: the viewer connects in advance, and starts anew there.
    SemiSeamless,
    /// `MIGRATE_BEGIN_SEAMLESS`: the channels take their state along.
    Seamless,
    /// `MIGRATE_SWITCH_HOST`: the viewer comes again as a new session.
    SwitchHost,
}

/// The hypervisor that a session shall move to, as the one that it is on said. Not for viewers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// How.
    pub kind: Kind,
    /// Name or address, without NUL.
    pub host: Bytes,
    /// Port without TLS.
    pub port: Option<NonZeroU16>,
    /// Port with TLS.
    pub tls_port: Option<NonZeroU16>,
    /// The subject that the target's certificate must have; without one, its name is checked.
    pub subject: Option<Bytes>,
    /// What the source calls the version of its state; 0 unless the move is seamless.
    pub(super) version: u32,
}

/// What one port field says.
fn port(field: u16) -> Option<NonZeroU16> {
    NonZeroU16::new(field).filter(|port| port.get() != NOT_GIVEN)
}

/// The text up to its NUL; some servers send none.
fn text(bytes: &Bytes) -> Bytes {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.slice(..end)
}

impl Target {
    /// A target, for tests of what decides on it. `host`: without NUL.
    #[must_use]
    pub fn new(kind: Kind, host: &str, port: Option<NonZeroU16>, tls_port: Option<NonZeroU16>) -> Self {
        Self {
            kind,
            host: Bytes::copy_from_slice(host.as_bytes()),
            port,
            tls_port,
            subject: None,
            version: 0,
        }
    }

    /// Whether this is the place with that host and these ports, one of which is the one that is connected to: the
    /// host is the same but for case, a port of the place's was told, and none that differs from it.
    #[must_use]
    pub fn is_at(&self, host: &str, port: Option<NonZeroU16>, tls_port: Option<NonZeroU16>) -> bool {
        let pairs = [self.port.zip(port), self.tls_port.zip(tls_port)];
        let mut known = pairs.into_iter().flatten().peekable();
        known.peek().is_some()
            && known.all(|(told, here)| told == here)
            && self.host.eq_ignore_ascii_case(host.as_bytes())
    }

    /// Reads one of the three messages that name a target.
    pub(super) fn read(kind: Kind, body: &[u8]) -> Result<Self, DecodeError> {
        let (destination, version) = match kind {
            Kind::SemiSeamless => (MigrateBegin::decode_slice(body)?.destination, 0),
            Kind::SwitchHost => (MigrateSwitchHost::decode_slice(body)?.destination, 0),
            Kind::Seamless => {
                let begin = MigrateBeginSeamless::decode_slice(body)?;
                (begin.destination, begin.src_mig_version)
            }
        };
        Ok(Self {
            kind,
            host: text(&destination.host),
            port: port(destination.port),
            tls_port: port(destination.sport),
            subject: Some(text(&destination.cert_subject)).filter(|subject| !subject.is_empty()),
            version,
        })
    }
}

/// Where viewers find the proxy, as they see it. It takes the place of the target in `MIGRATE_BEGIN`,
/// `MIGRATE_BEGIN_SEAMLESS` and `MIGRATE_SWITCH_HOST`.
///
/// Behind a NAT, a port mapping or a load balancer these are the **public** host and ports, not those that a listener
/// is bound to: what also stands in the connection file. Each listener has its own, since a viewer comes back by the
/// way that it came: one with TLS gets no plain port, to which it would go first, and a viewer without TLS may get
/// both.
///
/// Either the certificate is for `host`, or the subject is that of the certificate; a viewer that was given a
/// host subject in its connection file goes by the host again when none is given here.
///
/// ```
/// use spice_proto::session::migration::Endpoint;
/// # let port = std::num::NonZeroU16::new;
///
/// // Bound to 10.0.0.7:5900 and 10.0.0.7:5901, and mapped.
/// let (host, plain_port, tls_port) = ("console.example.org", port(15900), port(15901));
/// let plain = Endpoint::new(host, plain_port, None, None)?;
/// let secure = Endpoint::new(host, None, tls_port, Some("CN=console.example.org"))?;
/// # Ok::<(), spice_proto::session::migration::EndpointError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Vec<u8>,
    port: u16,
    tls_port: u16,
    subject: Vec<u8>,
}

/// Why there can be no such endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No host, or a NUL in it.
    #[error("no host, or one with a NUL")]
    Host,
    /// A subject with a NUL, or an empty one, which would be that of no certificate.
    #[error("an empty subject, or one with a NUL")]
    Subject,
    /// Neither port, or one that is 65535, which means none.
    #[error("no port, or 65535")]
    Port,
    /// More than 1024 bytes in host or subject.
    #[error("host or subject too long")]
    TooLong,
}

impl Endpoint {
    /// The proxy at this public host, name or address, and these public ports. A viewer that gets a plain port goes
    /// there first, even if it came with TLS: leave it out unless tenants come without. Both ports must lead to the
    /// proxy also when a target is refused, since the viewer is refused there.
    ///
    /// # Errors
    /// What a viewer would misread.
    pub fn new(
        host: &str,
        plain: Option<NonZeroU16>,
        tls: Option<NonZeroU16>,
        subject: Option<&str>,
    ) -> Result<Self, EndpointError> {
        const LONGEST: usize = 1024;
        if host.is_empty() || host.contains('\0') {
            return Err(EndpointError::Host);
        }
        if subject.is_some_and(|subject| subject.is_empty() || subject.contains('\0')) {
            return Err(EndpointError::Subject);
        }
        let subject = subject.unwrap_or_default();
        if LONGEST < host.len().max(subject.len()) {
            return Err(EndpointError::TooLong);
        }
        let ports = [plain, tls].map(|port| port.map_or(0, NonZeroU16::get));
        let [port, tls_port] = ports;
        if ports.contains(&NOT_GIVEN) || (port == 0 && tls_port == 0) {
            return Err(EndpointError::Port);
        }
        Ok(Self {
            host: host.into(),
            port,
            tls_port,
            subject: subject.into(),
        })
    }

    /// The body that the viewer gets in the place of the one that named `target`. One message stays one message.
    pub(super) fn body(&self, target: &Target) -> Bytes {
        let with_nul = |text: &[u8]| {
            let mut bytes = BytesMut::with_capacity(text.len().saturating_add(1));
            bytes.put_slice(text);
            bytes.put_u8(0);
            bytes.freeze()
        };
        // A subject of size 0 is none; a lone NUL would be the subject of no certificate.
        let cert_subject = match self.subject.as_slice() {
            [] => Bytes::new(),
            subject => with_nul(subject),
        };
        let destination = Destination {
            port: self.port,
            sport: self.tls_port,
            host: with_nul(&self.host),
            cert_subject,
        };
        let mut body = BytesMut::new();
        // INVARIANT: both texts have at most 1025 bytes, so their sizes fit.
        let _ = match target.kind {
            Kind::SemiSeamless => MigrateBegin { destination }.encode(&mut body),
            Kind::SwitchHost => MigrateSwitchHost { destination }.encode(&mut body),
            Kind::Seamless => MigrateBeginSeamless {
                destination,
                src_mig_version: target.version,
            }
            .encode(&mut body),
        };
        body.freeze()
    }
}
