//! What the author of a proxy answers.

extern crate std;

#[cfg(feature = "rsa-aes")]
use alloc::sync::Arc;
use core::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

#[cfg(doc)]
use super::drive_session;
use crate::filter::Filter;
use crate::handshake::bridge::{BridgeOutcome, Upstream};
use crate::handshake::server::ClientCredentials;
use crate::handshake::{Refusal, Side};
#[cfg(feature = "ard")]
use crate::security::ard::ArdParameters;
#[cfg(feature = "ms-logon")]
use crate::security::ms_logon::{MsLogonParameters, PUBLIC_LEN};
use crate::security::vnc::CHALLENGE_LEN;
#[cfg(feature = "rsa-aes")]
use crate::security::{Seed, rsa_aes::Key};
use crate::session::relay::Dial;
#[cfg(doc)]
use crate::{handshake::BridgeConfig, session::relay::Cause};

/// What the author of a proxy knows: the answers for one tenant.
///
/// None has to be quick: the deadline of the handshake ([`Limits::handshake_timeout`](crate::Limits::handshake_timeout))
/// goes on meanwhile, and when a peer goes while a question is open, its future is dropped.
///
/// ```
/// use rfb_proto::handshake::Refusal;
/// use rfb_proto::handshake::bridge::Upstream;
/// use rfb_proto::handshake::server::ClientCredentials;
/// use rfb_proto::security::vnc::Password;
/// use rfb_proto::session::relay::Dial;
/// use rfb_proto::{NotDialled, ProxyHandler};
/// use tokio::net::TcpStream;
///
/// struct OneGuest {
///     tenants: Password,
///     own: Vec<u8>,
/// }
///
/// impl ProxyHandler for OneGuest {
///     type Hypervisor = TcpStream;
///
///     fn challenge(&mut self) -> [u8; 16] {
///         // From a cryptographically secure source.
/// #       [0; 16]
///     }
///
///     async fn admit(&mut self, shown: ClientCredentials) -> Result<(), Refusal> {
///         match shown {
///             ClientCredentials::Vnc { challenge, response } if self.tenants.verify(&challenge, &response) => Ok(()),
///             _ => Err(Refusal::default()),
///         }
///     }
///
///     async fn dial(&mut self, _: Dial) -> Result<(TcpStream, Upstream), NotDialled> {
///         let hypervisor = TcpStream::connect(("hypervisor.example", 5900)).await?;
///         hypervisor.set_nodelay(true)?;
///         let upstream = Upstream::default()
///             .with_server_name("hypervisor.example")
///             .with_password(Password::new(&self.own));
///         Ok((hypervisor, upstream))
///     }
/// }
/// ```
pub trait ProxyHandler: Send {
    /// A connection to a hypervisor.
    type Hypervisor: AsyncRead + AsyncWrite + Send + Unpin;

    /// 16 bytes from a cryptographically secure source: the challenge of a tenant with VNC authentication.
    fn challenge(&mut self) -> [u8; CHALLENGE_LEN];

    /// Is the tenant let in with what it shows? The refusal is sent to the tenant.
    fn admit(&mut self, shown: ClientCredentials) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// A connection to the hypervisor, and how it is entered. After a move ([`Cause::Moved`]) it is that of the place
    /// where the guest is now.
    fn dial(&mut self, dial: Dial) -> impl Future<Output = Result<(Self::Hypervisor, Upstream), NotDialled>> + Send;

    /// What may pass for this tenant, in place of the [`Config`](crate::session::relay::Config)'s filter. Asked when the
    /// hypervisor was dialled first; `None`: that.
    fn filter(&mut self) -> Option<Filter> {
        None
    }

    /// TLS with the hypervisor that was dialled last, in place of the [`Connection`](crate::Connection)'s. `None`: that.
    #[cfg(feature = "rustls")]
    fn hypervisor_tls(&mut self) -> Option<crate::tls::ClientTls> {
        None
    }

    /// The key that a tenant with RSA-AES is shown, and the random bytes of its log-in: 32 from a cryptographically secure
    /// source, for this log-in only. What the tenant has sealed is opened with the key where the driver runs, which takes
    /// milliseconds. For proxies whose [`BridgeConfig`] offers such a type; `None` refuses the tenant.
    #[cfg(feature = "rsa-aes")]
    fn rsa_aes(&mut self) -> Option<(Arc<Key>, Seed)> {
        None
    }

    /// The group and the public value that a tenant with Diffie-Hellman authentication (type 30) is shown.
    /// [`ProxyHandler::admit`] is then shown what the tenant makes of them. `None` refuses the tenant.
    #[cfg(feature = "ard")]
    fn diffie_hellman(&mut self) -> Option<ArdParameters> {
        None
    }

    /// The same for MSLogonII (type 113).
    #[cfg(feature = "ms-logon")]
    fn ms_logon_ii(&mut self) -> Option<MsLogonParameters> {
        None
    }

    /// The public value that a tenant with MSLogonIII (type 118) is shown. `None` refuses the tenant.
    #[cfg(feature = "ms-logon")]
    fn ms_logon_iii(&mut self) -> Option<[u8; PUBLIC_LEN]> {
        None
    }

    /// The hypervisor that was dialled behind a move, or behind a loss, calls its desktop so. `false` if that is another guest:
    /// the connection ends before the tenant has seen anything of it. QEMU says `QEMU (NAME)` where it was started with a
    /// name.
    fn moved_to(&mut self, name: &[u8]) -> bool {
        let _ = name;
        true
    }

    /// Both sides are in. `false`: the connection is closed.
    fn authenticated(&mut self, outcome: &BridgeOutcome) -> bool {
        let _ = outcome;
        true
    }

    /// TLS could not begin, or failed. What that means for the session follows by itself.
    fn tls_failed(&mut self, side: Side, error: &io::Error) {
        let _ = (side, error);
    }
}

/// Why there is no connection to a hypervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDialled {
    /// The hypervisor could not be reached. A tenant in its handshake gets [`BridgeConfig::upstream_failure`].
    Unreachable,
    /// The tenant is refused with this; after a move its connection ends.
    Refused(Refusal),
}

impl From<io::Error> for NotDialled {
    fn from(_: io::Error) -> Self {
        Self::Unreachable
    }
}
