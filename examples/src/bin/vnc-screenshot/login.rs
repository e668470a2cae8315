//! The handshake.

use bytes::BytesMut;
use examples::vnc::{Answered, ClientLogin, SealedClient, Stream, layered, secure_server, security_types, subtypes};
use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::{Buffers, ClientConfig, ClientHandshake};
use rfb_proto::security::vnc::Password;
use rfb_proto::{Clock, Driven, ServerInit, drive};
use tokio::net::TcpStream;

use crate::Result;
use crate::cli::Credentials;

/// A server that has let us in.
pub(crate) struct Session {
    pub(crate) stream: Stream,
    /// What the server has sent beyond the handshake.
    pub(crate) rx: BytesMut,
    pub(crate) init: ServerInit,
}

/// Brings a connection through the handshake.
pub(crate) async fn login(tcp: TcpStream, credentials: &Credentials) -> Result<Session> {
    let config = ClientConfig::new(&security_types(&credentials.methods))
        .with_subtypes(&subtypes(&credentials.methods))
        // A method without TLS is only there when it was asked for.
        .with_cleartext(credentials.tls.is_none());
    let clock = Clock::start();
    let mut sealed = ClientLogin::default();
    let mut handshake = ClientHandshake::new(clock.now(), config);
    let (mut stream, mut buffers): (Stream, _) = (Box::new(tcp), Buffers::default());
    loop {
        match drive(&mut handshake, &mut buffers, &mut stream, clock).await? {
            Driven::Ask(ClientQuestion::Vnc { challenge }) => {
                let password = Password::new(credentials.password()?);
                if password.truncated() {
                    eprintln!("vnc-screenshot: only the first eight bytes of the password count here");
                }
                handshake.respond(&mut buffers, password.respond(&challenge))?;
            }
            Driven::Ask(ClientQuestion::Plain) => {
                let user = credentials.user.as_deref().unwrap_or_default();
                handshake.plain(&mut buffers, user.as_bytes(), credentials.password()?)?;
            }
            Driven::Ask(question) => {
                let login = SealedClient {
                    pin: credentials.rsa_pin.clone(),
                    user: credentials.user.as_deref().unwrap_or_default().as_bytes(),
                    password: credentials.password()?,
                };
                match sealed.answer(&mut handshake, &mut buffers, question, &login)? {
                    Answered::GoesOn => {}
                    Answered::Layer(keys) => {
                        stream = layered(stream, &mut buffers, keys);
                        handshake.layered()?;
                    }
                    Answered::WrongKey => return Err("the server's RSA key is not the one of --rsa-key".into()),
                }
            }
            Driven::StartTls(_) => {
                let (tls, name) = credentials.tls.as_ref().ok_or("no authorities for TLS")?;
                stream = secure_server(stream, &mut buffers, tls, name).await?;
            }
            Driven::Done(outcome) => {
                let init = outcome.init.ok_or("the server shows nothing")?;
                return Ok(Session {
                    stream,
                    rx: buffers.rx,
                    init,
                });
            }
        }
    }
}
