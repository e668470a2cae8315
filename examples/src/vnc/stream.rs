//! Connections that come to TLS in the middle of a handshake.

use std::io;

use rfb_proto::handshake::Buffers;
use rfb_proto::tls::{ClientTls, PeerName, ServerTls};

use crate::stream::Stream;
use crate::tls;

/// Begins TLS where a machine came to it, as the client.
///
/// # Errors
/// The name is none, or the handshake failed; then the peer was sent its alert, and the connection is gone.
pub async fn secure_server(stream: Stream, buffers: &mut Buffers, tls: &ClientTls, name: &str) -> io::Result<Stream> {
    let (config, name) = tls.config(PeerName::Named(name)).map_err(io::Error::other)?;
    tls::connect(stream, buffers.rx.split().freeze(), config, name).await
}

/// Begins TLS where a machine came to it, as the server. What has come already is the beginning of the client's hello.
///
/// # Errors
/// The handshake failed; then the peer was sent its alert, and the connection is gone.
pub async fn secure_client(stream: Stream, buffers: &mut Buffers, tls: &ServerTls) -> io::Result<Stream> {
    tls::accept(stream, buffers.rx.split().freeze(), tls.config()).await
}
