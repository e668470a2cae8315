//! Links: TCP, TLS, and the link stage with a ticket or with SASL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use examples::secret::Secret;
use examples::spice::{Login, Stream, tls};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use spice_proto::caps::{Capabilities, CapabilityWords, common, display, main};
use spice_proto::channel::main::ChannelId;
use spice_proto::ids::{ChannelType, LinkErrorCode};
use spice_proto::link::client::ClientOutcome;
use spice_proto::link::{self, ClientLink, HandshakeError, LinkMess, Stage, Wire};
use spice_proto::{Clock, DriveError, Driven, drive};
use tokio::net::TcpStream;

use crate::Result;

/// A server, and what it takes to be let in.
pub(crate) struct Server {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Tls>,
    pub(crate) proof: Proof,
}

/// Whom to trust, and whom to meet.
pub(crate) struct Tls {
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
    /// The SASL mechanism that was used.
    pub(crate) mechanism: Option<String>,
    /// Time that TCP took.
    pub(crate) connected: Duration,
}

impl Server {
    /// Opens a channel. `session` 0 asks for a new session.
    pub(crate) async fn link(&self, channel: &ChannelId, session: u32) -> Result<Linked> {
        let named = |error: &dyn std::fmt::Display| format!("{} {}: {error}", channel.channel_type, channel.id);
        self.open(channel, session).await.map_err(|error| named(&error).into())
    }

    async fn open(&self, channel: &ChannelId, session: u32) -> Result<Linked> {
        let start = Instant::now();
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(|error| format!("cannot connect to {}, port {}: {error}", self.host, self.port))?;
        let connected = start.elapsed();
        tcp.set_nodelay(true)?;
        let mut stream: Stream = match &self.tls {
            Some(Tls { config, name }) => {
                let stream = tls(tcp, config, name.clone()).await;
                stream.map_err(|error| format!("TLS: {error}"))?
            }
            None => Box::new(tcp),
        };
        let (clock, mut wire) = (Clock::start(), Wire::default());
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
                let encrypted = self.tls.is_some();
                let login = Login::new(user.clone(), password.clone(), mechanism.clone(), encrypted)?;
                let machine = match mechanism {
                    Some(_) => ClientLink::sasl(clock.now(), config),
                    None => ClientLink::new(clock.now(), config, ticket(password), seed),
                };
                (machine, Some(login))
            }
        };
        let outcome = loop {
            match drive(&mut machine, &mut wire, &mut stream, clock)
                .await
                .map_err(explained)?
            {
                Driven::Ask(question) => {
                    let login = login.as_mut().ok_or("the server wants SASL, and there is no user")?;
                    login.answer(&mut machine, &mut wire, question)?;
                }
                Driven::Done(outcome) => break outcome,
            }
        };
        Ok(Linked {
            stream,
            rx: wire.rx,
            outcome,
            mechanism: login.and_then(|login| login.mechanism().map(str::to_owned)),
            connected,
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

/// What an error of the link stage means to a person.
fn explained(error: DriveError<HandshakeError>) -> String {
    let hint = match &error {
        DriveError::Protocol(HandshakeError::Rejected(LinkErrorCode::PERMISSION_DENIED)) => "is the password right?",
        DriveError::Protocol(HandshakeError::Closed(Stage::Sasl)) => "are user and password right?",
        DriveError::Protocol(HandshakeError::Rejected(LinkErrorCode::NEED_SECURED)) => {
            "TLS is wanted here: name the authorities with --ca"
        }
        DriveError::Protocol(HandshakeError::Rejected(LinkErrorCode::NEED_UNSECURED)) => "there is no TLS here",
        DriveError::Protocol(HandshakeError::PeerIncompatible(link::Incompatibility::NoTickets)) => {
            "it wants SASL: name a user with --user"
        }
        _ => return error.to_string(),
    };
    format!("{error} ({hint})")
}
