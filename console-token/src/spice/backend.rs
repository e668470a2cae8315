//! What the author of a gateway supplies.

use alloc::string::String;
use alloc::sync::Arc;
use core::future::{Future, ready};
use core::num::NonZeroU16;

use spice_proto::caps::Capabilities;
use spice_proto::link::{self, LinkMess};
use spice_proto::session::migration;
use spice_proto::session::relay::{Dial, GuestIdentity, Move};
use spice_proto::session::{Policy, SessionKey};
use spice_proto::{Limits, inquire};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Denial;
use crate::{Fingerprint, Grant, Secret, Target};

/// What the author of a gateway supplies for one connection: the way to the hypervisor, and its password.
///
/// Two methods are needed; the others have an answer that is safe. Each may take its time, within the limits that
/// [`ProxyHandler`](spice_proto::ProxyHandler) names.
///
/// ```
/// use console_token::spice::{Console, ConsoleBackend};
/// use spice_proto::link::Secret;
/// use tokio::net::TcpStream;
///
/// struct Plain;
///
/// impl ConsoleBackend for Plain {
///     type Hypervisor = TcpStream;
///
///     async fn connect(&mut self, console: &Console) -> Option<TcpStream> {
///         let place = console.place()?;
///         TcpStream::connect((place.host.as_str(), place.port?)).await.ok()
///     }
///
///     async fn ticket(&mut self, _: &Console) -> Option<Secret> {
///         Some(Secret::new(b"the hypervisor's password"))
///     }
/// }
/// ```
pub trait ConsoleBackend: Send {
    /// A connection to a hypervisor.
    type Hypervisor: AsyncRead + AsyncWrite + Send + Unpin;

    /// Connects to the hypervisor at [`Console::place`]: with TLS where the place has a port for it, unless
    /// [`Dial::transport`] asks for the other port. `None`: it is not reached, which costs no use.
    fn connect(&mut self, console: &Console) -> impl Future<Output = Option<Self::Hypervisor>> + Send;

    /// The hypervisor's own password for SPICE, which the viewer never gets.
    fn ticket(&mut self, console: &Console) -> impl Future<Output = Option<link::Secret>> + Send;

    /// A hypervisor asks to move the session: accept only a place of the same guest. What it names is its word and
    /// nothing else; see [`Move`].
    ///
    /// `grant` is what the token allows now. As it stands, a move is accepted exactly if the token was
    /// [retargeted](crate::Store::retarget) to that place before ([`leads_to`]). Where the session is already, it is not
    /// moved to.
    fn may_move(&mut self, grant: &Grant, asked: &Move) -> impl Future<Output = bool> + Send {
        ready(leads_to(grant, &asked.target))
    }

    /// The hypervisor of this connection says which guest it has. `false` if that is another one: it is left, before the
    /// viewer has learnt it.
    fn identity(&mut self, said: &GuestIdentity) -> impl Future<Output = bool> + Send {
        let _ = said;
        ready(true)
    }

    /// A viewer asks for a channel, and has not shown its token. A refusal such as `NEED_SECURED` may follow from the
    /// connection, and must not from what is known of tokens or sessions.
    ///
    /// # Errors
    /// The refusal for the viewer.
    fn requested(&mut self, request: &LinkMess) -> Result<(), link::Refusal> {
        let _ = request;
        Ok(())
    }

    /// The token that came with the connection, for a viewer whose ticket is empty: spice-html5 behind a gateway shows it in
    /// the request of its WebSocket, or in a cookie, and nothing in its link. `None`: it has to be in the ticket.
    fn shown(&mut self) -> Option<Secret> {
        None
    }

    /// The token opens a session: whether its console may be shown on this connection. If not, the use is given back.
    fn admits(&mut self, grant: &Grant) -> bool {
        let _ = grant;
        true
    }

    /// What may pass for the viewer with this token, in place of the policy of its listener. `None`: that.
    fn policy(&mut self, grant: &Grant) -> Option<Arc<Policy>> {
        let _ = grant;
        None
    }

    /// What a hypervisor announces for a channel that it was not asked for before, on a connection of its own and
    /// without a ticket. As it stands, [`connect`](Self::connect) makes that connection.
    fn inquire(&mut self, console: &Console) -> impl Future<Output = Option<Capabilities>> + Send {
        async move {
            let hypervisor = self.connect(console).await?;
            let announced = inquire(hypervisor, &console.dial.request, &Limits::default()).await;
            announced.ok()
        }
    }

    /// Another gateway has the session of this connection, or may have: a connection to that one, to where it takes those
    /// of gateways. `name` is its [`Settings::gateway`](super::Settings::gateway). `None`: it is not reached, which costs
    /// no use; as it stands, none ever is.
    ///
    /// What is said on it is a viewer's link with the tenant's token, so both gateways have to be sure of each other, as by
    /// TLS with certificates that they know. The other gateway needs to be told the tenant's address, and whether the tenant
    /// came by TLS, for its [`Peer`](spice_proto::session::tracker::Peer): a header of the PROXY protocol has both. For a
    /// connection that has come from another gateway itself the answer is `None`, so that none goes round in circles.
    ///
    /// It is asked before the token is known, to see what is announced for the channel, and again after
    /// [`Event::HandedOn`].
    fn gateway(&mut self, name: &str) -> impl Future<Output = Option<Self::Hypervisor>> + Send {
        let _ = name;
        ready(None)
    }

    /// A connection is refused. For the log; what the viewer gets should be the same whatever the reason is, as
    /// [`Refusal::DENIED`](link::Refusal::DENIED) is.
    fn refused(&mut self, denial: &Denial) -> link::Refusal {
        let _ = denial;
        link::Refusal::DENIED
    }

    /// Something has happened on this connection. For the log.
    fn event(&mut self, event: Event<'_>) {
        let _ = event;
    }
}

/// The console that a connection is for.
#[derive(Clone, Debug)]
pub struct Console {
    /// What the token allowed when the session began.
    pub grant: Arc<Grant>,
    /// The connection that is needed: its channel, its session, and where the session has moved to.
    pub dial: Dial,
}

/// A host and its ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// A name or an address.
    pub host: String,
    /// The port without TLS.
    pub port: Option<u16>,
    /// The port with TLS.
    pub tls_port: Option<u16>,
}

/// What has happened on a connection.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A token was presented; good or not.
    Presented(Fingerprint),
    /// The token is good, and opens this session or belongs to it.
    Entered(SessionKey),
    /// The token is good, and its session is at the gateway of this name, to which the connection is handed on.
    HandedOn(&'a str),
    /// The link stands on both sides.
    Linked(SessionKey),
    /// The hypervisor has named the session.
    Bound(u32),
    /// The hypervisor's name for the session was not recorded; the session ends.
    NotBound(&'a Denial),
    /// The session moves.
    Moves(&'a Move),
    /// A move was refused: it is not allowed, or goes where the session is.
    MoveRefused(&'a Move),
}

/// Whether a move goes where the grant leads: to its host, with none of its ports different.
#[must_use]
pub fn leads_to(grant: &Grant, target: &migration::Target) -> bool {
    let Target::Host { host, port, tls_port } = &grant.target else {
        return false;
    };
    let number = |port: &Option<u16>| port.and_then(NonZeroU16::new);
    target.is_at(host, number(port), number(tls_port))
}

impl Console {
    /// Where it is: where the session has moved to, or else the target of the grant. `None`: it is no host with ports.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        if let Some(target) = &self.dial.target {
            return Some(Place {
                host: core::str::from_utf8(&target.host).ok()?.into(),
                port: target.port.map(NonZeroU16::get),
                tls_port: target.tls_port.map(NonZeroU16::get),
            });
        }
        match &self.grant.target {
            Target::Host { host, port, tls_port } => Some(Place {
                host: host.clone(),
                port: *port,
                tls_port: *tls_port,
            }),
            Target::Internal { host, port, .. } => Some(Place {
                host: host.clone(),
                port: Some(*port),
                tls_port: None,
            }),
            Target::Unix { .. } => None,
        }
    }

    /// Whether a move goes where the session is.
    pub(super) fn is_at(&self, target: &migration::Target) -> bool {
        match &self.dial.target {
            None => leads_to(&self.grant, target),
            Some(here) => {
                let host = here.host.eq_ignore_ascii_case(&target.host);
                host && (here.port, here.tls_port) == (target.port, target.tls_port)
            }
        }
    }
}
