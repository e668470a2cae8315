//! Links: TCP, TLS, and the link stage with a ticket or with SASL.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use examples::secret::Secret;
use examples::spice::{Login, LoginError, Stream, tls};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use spice_proto::caps::{Capabilities, CapabilityWords, common, display, main};
use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::client::ClientOutcome;
use spice_proto::link::{self, Buffers, ClientLink, HandshakeError, LinkMess, Stage, Transport};
use spice_proto::{Clock, DriveError, Driven, drive};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long TCP, and TLS, may each take. The link stage has a time limit of its own.
const DIAL: Duration = Duration::from_secs(10);

/// A server, and what it takes to be let in.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) ports: Ports,
    pub(crate) proof: Proof,
}

/// Where the server listens.
pub(crate) enum Ports {
    Plain(u16),
    Tls(Tls),
    Both {
        plain: u16,
        tls: Tls,
        /// Channels that use TLS without being told to, by their names; `all` is one.
        secured: Vec<String>,
    },
}

/// The port with TLS: the trusted authorities, and the expected name.
pub(crate) struct Tls {
    pub(crate) port: u16,
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

/// What is shown to be let in.
pub(crate) enum Proof {
    Ticket(Secret),
    /// SASL; without a mechanism a server that takes none may have the password as a ticket.
    Sasl {
        user: String,
        password: Secret,
        mechanism: Option<String>,
    },
}

/// A link that stands.
pub(crate) struct Linked {
    pub(crate) stream: Stream,
    /// What came together with the end of the link stage.
    pub(crate) rx: BytesMut,
    pub(crate) outcome: ClientOutcome,
    pub(crate) tls: bool,
    /// The SASL mechanism that was used.
    pub(crate) mechanism: Option<String>,
    /// Time that TCP took.
    pub(crate) connected: Duration,
}

/// A channel that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{channel} {id}: {reason}")]
pub(crate) struct LinkError {
    pub(crate) channel: ChannelType,
    pub(crate) id: u8,
    pub(crate) reason: Reason,
}

/// Why not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Reason {
    #[error("cannot connect to {host}, port {port}: {error}")]
    Connect { host: String, port: u16, error: io::Error },
    #[error("TLS: {0}")]
    Tls(io::Error),
    #[error("{0}{hint}", hint = hint(.0))]
    Link(DriveError<HandshakeError>),
    #[error(transparent)]
    Login(#[from] LoginError),
    #[error("no random bytes: {0}")]
    Random(#[from] getrandom::Error),
    #[error("the server wants SASL, and there is no user")]
    NoUser,
}

impl Reason {
    /// The server said no, rather than that there is none.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Link(DriveError::Protocol(error)) => matches!(
                error,
                HandshakeError::Rejected(_)
                    | HandshakeError::Closed(Stage::Sasl)
                    | HandshakeError::PeerIncompatible(link::Incompatibility::NoTickets)
            ),
            Self::Login(_) | Self::NoUser => true,
            _ => false,
        }
    }

    fn wants_tls(&self) -> bool {
        matches!(self, Self::Link(DriveError::Protocol(error)) if error.wanted_transport() == Some(Transport::Tls))
    }
}

impl Server {
    /// Opens a channel. `session` 0 asks for a new session.
    ///
    /// Where there are two ports, the one without TLS is tried first, as viewers do, and the other where the server
    /// wants it. Never the other way round: a channel with TLS stays with it.
    pub(crate) async fn link(&self, channel: &ChannelId, session: u32) -> Result<Linked, LinkError> {
        let opened = match &self.ports {
            Ports::Plain(port) => self.open(channel, session, *port, None).await,
            Ports::Tls(tls) => self.open(channel, session, tls.port, Some(tls)).await,
            Ports::Both { tls, secured, .. } if self.needs_tls(channel, secured) => {
                self.open(channel, session, tls.port, Some(tls)).await
            }
            Ports::Both { plain, tls, .. } => match self.open(channel, session, *plain, None).await {
                Err(reason) if reason.wants_tls() => self.open(channel, session, tls.port, Some(tls)).await,
                opened => opened,
            },
        };
        opened.map_err(|reason| LinkError {
            channel: channel.channel_type,
            id: channel.id,
            reason,
        })
    }

    /// Whether this channel uses TLS without having been told to.
    fn needs_tls(&self, channel: &ChannelId, secured: &[String]) -> bool {
        let name = channel.channel_type.to_string();
        // SASL has to encrypt where TLS does not, and the mechanisms here cannot.
        let sasl = matches!(self.proof, Proof::Sasl { .. });
        sasl || secured
            .iter()
            .any(|secured| secured == "all" || secured.eq_ignore_ascii_case(&name))
    }

    async fn open(
        &self,
        channel: &ChannelId,
        session: u32,
        port: u16,
        secured: Option<&Tls>,
    ) -> Result<Linked, Reason> {
        let start = Instant::now();
        let tcp = in_time(TcpStream::connect((self.host.as_str(), port))).await;
        let tcp = tcp.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
        let host = || self.host.clone();
        let tcp = tcp.map_err(|error| Reason::Connect {
            host: host(),
            port,
            error,
        })?;
        let connected = start.elapsed();
        let stream: Stream = match secured {
            Some(Tls { config, name, .. }) => in_time(tls(tcp, config, name.clone())).await.map_err(Reason::Tls)?,
            None => Box::new(tcp),
        };
        let linked = self.enter(channel, session, stream, secured.is_some()).await?;
        Ok(Linked { connected, ..linked })
    }

    /// The link stage. `tls`: the stream has it.
    pub(crate) async fn enter(
        &self,
        channel: &ChannelId,
        session: u32,
        mut stream: Stream,
        tls: bool,
    ) -> Result<Linked, Reason> {
        let (clock, mut buffers) = (Clock::start(), Buffers::default());
        let config = link::ClientConfig::new(self.request(channel, session));
        let ticket = |password: &Secret| link::Secret::new(password);
        let mut seed = [0; link::ticket::OAEP_SEED_LEN];
        getrandom::fill(&mut seed)?;
        let (mut machine, mut login) = match &self.proof {
            Proof::Ticket(password) => (ClientLink::new(clock.now(), config, ticket(password), seed), None),
            Proof::Sasl {
                user,
                password,
                mechanism,
            } => {
                let login = Login::new(user.clone(), password.clone(), mechanism.clone(), tls)?;
                let machine = match mechanism {
                    Some(_) => ClientLink::sasl(clock.now(), config),
                    None => ClientLink::new(clock.now(), config, ticket(password), seed),
                };
                (machine, Some(login))
            }
        };
        let outcome = loop {
            match drive(&mut machine, &mut buffers, &mut stream, clock)
                .await
                .map_err(Reason::Link)?
            {
                Driven::Ask(question) => {
                    let login = login.as_mut().ok_or(Reason::NoUser)?;
                    login.answer(&mut machine, &mut buffers, question)?;
                }
                Driven::Done(outcome) => break outcome,
            }
        };
        Ok(Linked {
            stream,
            rx: buffers.rx,
            outcome,
            tls,
            mechanism: login.and_then(|login| login.mechanism().map(str::to_owned)),
            connected: Duration::ZERO,
        })
    }

    /// What this client can do, which is little: it draws nothing and plays nothing.
    fn request(&self, channel: &ChannelId, session: u32) -> LinkMess {
        let mut own = CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::AUTH_SPICE, common::MINI_HEADER]);
        if matches!(self.proof, Proof::Sasl { .. }) {
            own = own.with(common::AUTH_SASL);
        }
        let channel_words = match channel.channel_type {
            ChannelType::MAIN => CapabilityWords::of(&[main::NAME_AND_UUID, main::AGENT_CONNECTED_TOKENS]),
            ChannelType::DISPLAY => CapabilityWords::of(&[
                display::SIZED_STREAM,
                display::MONITORS_CONFIG,
                display::COMPOSITE,
                display::A8_SURFACE,
                display::LZ4_COMPRESSION,
            ]),
            _ => CapabilityWords::default(),
        };
        LinkMess {
            connection_id: session,
            channel_type: channel.channel_type,
            channel_id: channel.id,
            capabilities: Capabilities {
                common: own,
                channel: channel_words,
            },
        }
    }
}

/// A connection that does not come about is given up.
async fn in_time<T>(connects: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let connected = timeout(DIAL, connects).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// What an error of the link stage means to a person.
fn hint(error: &DriveError<HandshakeError>) -> &'static str {
    let DriveError::Protocol(error) = error else {
        return "";
    };
    match error {
        HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED) => " (is the password right?)",
        HandshakeError::Closed(Stage::Sasl) => " (are user and password right?)",
        HandshakeError::Rejected(LinkErrorCode::NEED_SECURED) => " (name its TLS port with --tls-port, and --ca)",
        HandshakeError::Rejected(LinkErrorCode::NEED_UNSECURED) => " (this channel is there without TLS only)",
        HandshakeError::PeerIncompatible(link::Incompatibility::NoTickets) => {
            " (it wants SASL: name a user with --user)"
        }
        HandshakeError::Closed(Stage::LinkReply) => " (has this port TLS? then name authorities with --ca)",
        _ => "",
    }
}
