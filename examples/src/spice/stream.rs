//! Connections, with TLS or without.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection. The indirect call is nothing next to the system call behind it.
pub type Stream = Box<dyn Io>;

/// What a [`Stream`] can do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Speaks TLS on a connection, as a client.
///
/// # Errors
/// The handshake failed; the server's certificate, most likely.
pub async fn tls(tcp: TcpStream, config: &Arc<ClientConfig>, name: ServerName<'static>) -> std::io::Result<Stream> {
    let stream = TlsConnector::from(config.clone()).connect(name, tcp).await?;
    Ok(Box::new(stream))
}
