//! Where a session goes, and what the viewer is told of it.

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

/// Where viewers find the proxy: what they are told in the place of a target.
///
/// Either the certificate is for `host`, or the subject is that of the certificate; a viewer that was given a
/// host subject in its connection file goes by the host again when none is told here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    host: Vec<u8>,
    port: u16,
    tls_port: u16,
    closed: u16,
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
    /// The proxy at `host`. A viewer that is told a plain port goes there first, even if it came with TLS: leave it out
    /// unless tenants come without. `closed` is a port where nothing listens, told when a target must not be gone to.
    ///
    /// # Errors
    /// What a viewer would misread.
    pub fn new(
        host: &str,
        plain: Option<NonZeroU16>,
        tls: Option<NonZeroU16>,
        subject: Option<&str>,
        closed: NonZeroU16,
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
        let ports = [plain, tls, Some(closed)].map(|port| port.map_or(0, NonZeroU16::get));
        let [port, tls_port, closed] = ports;
        if ports.contains(&NOT_GIVEN) || (port == 0 && tls_port == 0) {
            return Err(EndpointError::Port);
        }
        Ok(Self {
            host: host.into(),
            port,
            tls_port,
            closed,
            subject: subject.into(),
        })
    }

    /// The body that the viewer gets in the place of the one that named `target`. One message stays one message.
    pub(super) fn body(&self, target: &Target, open: bool) -> Bytes {
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
        let (port, sport) = if open {
            (self.port, self.tls_port)
        } else {
            (self.closed, 0)
        };
        let destination = Destination {
            port,
            sport,
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
