//! Connections, with TLS or without.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection. The indirect call is nothing next to the system call behind it.
pub type Stream = Box<dyn Io>;

/// What a [`Stream`] can do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// What is wrong with the authorities.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is none.
    #[error("no certificate in PEM")]
    None,
    /// One cannot be read.
    #[error("a certificate in it cannot be read")]
    Bad,
    /// TLS wants none of it.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// For connections to servers whose certificate one of these authorities (PEM) has signed, for the name or address
/// that is dialled.
///
/// # Errors
/// No certificate, or one that cannot be read.
pub fn authorities(pem: &[u8]) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| TlsError::Bad)?)?;
    }
    if roots.is_empty() {
        return Err(TlsError::None);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Speaks TLS on a connection, as a client.
///
/// # Errors
/// The handshake failed; the server's certificate, most likely.
pub async fn tls(tcp: TcpStream, config: &Arc<ClientConfig>, name: ServerName<'static>) -> std::io::Result<Stream> {
    let stream = TlsConnector::from(config.clone()).connect(name, tcp).await?;
    Ok(Box::new(stream))
}
