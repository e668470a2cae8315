//! Connections with TLS.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::stream::Stream;

/// Speaks TLS on a connection, as a client.
///
/// # Errors
/// The handshake failed; the server's certificate, most likely.
pub async fn tls(tcp: TcpStream, config: &Arc<ClientConfig>, name: ServerName<'static>) -> std::io::Result<Stream> {
    let stream = TlsConnector::from(config.clone()).connect(name, tcp).await?;
    Ok(Box::new(stream))
}
