//! What the author of a gateway supplies.

use alloc::sync::Arc;
use core::future::Future;
use std::io;

use rfb_proto::NotDialled;
use rfb_proto::filter::Filter;
use rfb_proto::handshake::bridge::Upstream;
use rfb_proto::handshake::{Refusal, Side};
use rfb_proto::session::relay::Dial;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Denial;
use crate::{AttemptId, Fingerprint, Grant};

/// What the author of a gateway supplies for one connection: the way to the hypervisor, and how it is entered.
///
/// ```
/// use std::sync::Arc;
///
/// use console_token::rfb::ConsoleBackend;
/// use console_token::{Grant, Target};
/// use rfb_proto::NotDialled;
/// use rfb_proto::handshake::bridge::Upstream;
/// use rfb_proto::security::vnc::Password;
/// use rfb_proto::session::relay::Dial;
/// use tokio::net::TcpStream;
///
/// struct Plain;
///
/// impl ConsoleBackend for Plain {
///     type Hypervisor = TcpStream;
///
///     async fn connect(&mut self, grant: &Arc<Grant>, _: Dial) -> Result<(TcpStream, Upstream), NotDialled> {
///         let Target::Host { host, port: Some(port), .. } = &grant.target else {
///             return Err(NotDialled::Unreachable);
///         };
///         let hypervisor = TcpStream::connect((host.as_str(), *port)).await?;
///         Ok((hypervisor, Upstream::default().with_password(Password::new(b"the hypervisor's password"))))
///     }
///
///     fn challenge(&mut self) -> [u8; 16] {
///         // From a cryptographically secure source.
/// #       [0; 16]
///     }
/// }
/// ```
pub trait ConsoleBackend: Send {
    /// A connection to a hypervisor.
    type Hypervisor: AsyncRead + AsyncWrite + Send + Unpin;

    /// A connection to the hypervisor that the grant leads to, and how it is entered. After a move
    /// ([`Cause::Moved`](rfb_proto::session::relay::Cause::Moved)) and after a loss the grant is what the token allows then:
    /// [retarget](crate::Store::retarget) it before the move is reported.
    fn connect(
        &mut self,
        grant: &Arc<Grant>,
        dial: Dial,
    ) -> impl Future<Output = Result<(Self::Hypervisor, Upstream), NotDialled>> + Send;

    /// 16 bytes from a cryptographically secure source, for a viewer that is offered VNC authentication. A token is too long
    /// for its password, so that a viewer without a [`TokenUse`](super::TokenUse) is refused behind it.
    fn challenge(&mut self) -> [u8; 16];

    /// The token is good: whether its console may be shown on this connection. If not, the use is given back. Grants for
    /// consoles other than VNC are refused before.
    fn admits(&mut self, grant: &Grant) -> bool {
        let _ = grant;
        true
    }

    /// What may pass for the viewer with this token, in place of the filter of the connection. `None`: that.
    fn filter(&mut self, grant: &Grant) -> Option<Filter> {
        let _ = grant;
        None
    }

    /// TLS with the hypervisor that was connected to last, in place of the connection's. `None`: that.
    #[cfg(feature = "rfb-tls")]
    fn hypervisor_tls(&mut self) -> Option<rfb_proto::tls::ClientTls> {
        None
    }

    /// The hypervisor that was connected to behind a move calls its desktop so. `false` if that is another guest: the
    /// connection ends, and its viewer has seen nothing of it.
    fn moved_to(&mut self, name: &[u8]) -> bool {
        let _ = name;
        true
    }

    /// A viewer is refused. For the log; what the viewer gets should be the same whatever the reason is, as the default
    /// of [`Refusal`] is.
    fn refused(&mut self, denial: &Denial) -> Refusal {
        let _ = denial;
        Refusal::default()
    }

    /// Something has happened on this connection. For the log.
    fn event(&mut self, event: Event<'_>) {
        let _ = event;
    }
}

/// What has happened on a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A good token was shown inside of RFB, and has opened this connection.
    Entered(Fingerprint, AttemptId),
    /// Both sides are in.
    Reached,
    /// TLS could not begin, or failed.
    TlsFailed(Side, &'a io::Error),
}
