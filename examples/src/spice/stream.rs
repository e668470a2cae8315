//! Connections with TLS.

use std::sync::Arc;

use bytes::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::stream::Stream;

/// Speaks TLS on a connection, as a client.
///
/// # Errors
/// The handshake failed: the server's certificate, most likely, or it does not speak TLS, which is then said.
pub async fn tls(tcp: TcpStream, config: &Arc<ClientConfig>, name: ServerName<'static>) -> std::io::Result<Stream> {
    crate::tls::connect(tcp, Bytes::new(), config.clone(), name).await
}
