//! The handshake, and the check of the account.

use bytes::Bytes;
use examples::vnc::{Connection, SealedServer, Stream, challenge, layered, secure_client, security_types, subtypes};
use rfb_proto::handshake::server::ServerQuestion;
use rfb_proto::handshake::{Buffers, Machine, Refusal, Security, ServerConfig, ServerHandshake};
use rfb_proto::{Clock, Driven, PixelFormat, ServerInit, drive};
use tokio::net::TcpStream;
use tokio::time::timeout_at;

use crate::Result;
use crate::cli::Settings;

/// What we have ourselves. Viewers set what they like.
pub(crate) const FORMAT: PixelFormat = PixelFormat::RGB888;

/// A viewer that was let in.
pub(crate) struct Session {
    pub(crate) connection: Connection<Stream>,
    pub(crate) security: Security,
}

/// Brings a connection through the handshake.
pub(crate) async fn login(settings: &Settings, tcp: TcpStream) -> Result<Session> {
    let config = ServerConfig::new(&security_types(&settings.methods)).with_subtypes(&subtypes(&settings.methods));
    let clock = Clock::start();
    let sealed = SealedServer::new(settings.rsa_key.clone());
    let mut handshake = ServerHandshake::new(clock.now(), config);
    let (mut stream, mut buffers): (Stream, _) = (Box::new(tcp), Buffers::default());
    loop {
        match drive(&mut handshake, &mut buffers, &mut stream, clock).await? {
            Driven::Ask(ServerQuestion::Challenge) => {
                handshake.challenge(&mut buffers, challenge())?;
            }
            Driven::Ask(ServerQuestion::Admit(claim)) => {
                if sealed.open(claim).is_some_and(|claim| settings.account.admits(&claim)) {
                    handshake.accept(&mut buffers)?;
                } else {
                    handshake.refuse(&mut buffers, Refusal::default())?;
                }
            }
            Driven::Ask(ServerQuestion::Init(_)) => {
                let (width, height) = settings.picture.size;
                let shown = ServerInit {
                    width,
                    height,
                    format: FORMAT,
                    name: Bytes::copy_from_slice(settings.title.as_bytes()),
                };
                handshake.init(&mut buffers, &shown)?;
            }
            Driven::Ask(question) => {
                if let Some(keys) = sealed.answer(&mut handshake, &mut buffers, question)? {
                    stream = layered(stream, &mut buffers, keys);
                    handshake.layered()?;
                }
            }
            Driven::StartTls(_) => {
                let tls = settings.tls.as_ref().ok_or("no certificate for TLS")?;
                let until = clock.instant(handshake.deadline());
                stream = timeout_at(until, secure_client(stream, &mut buffers, tls)).await??;
            }
            Driven::Done(outcome) => {
                return Ok(Session {
                    connection: Connection::new(stream, buffers),
                    security: outcome.security,
                });
            }
        }
    }
}
