//! TLS that begins in the middle of a connection, and a second time on the bare connection under it, as VMware's authd
//! has it. A certificate is known by its thumbprint.

use std::io;
use std::sync::Arc;

use console_token::webmks::{Buffers, Thumbprint};
use examples::tls::TlsStream;
use rfb_proto::handshake;
use rfb_proto::tls::TlsSession;
use rustls::client::UnbufferedClientConnection;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::tls::Stream;

/// A connection, bare or inside of TLS.
pub(crate) enum Layer {
    Plain(Stream),
    Tls(Box<TlsStream<Stream>>),
}

impl Layer {
    /// Sends what there is, which is then overwritten.
    pub(crate) async fn send(&mut self, buffers: &mut Buffers) -> io::Result<()> {
        let length = buffers.tx.len();
        match self {
            Self::Plain(stream) => stream.write_all(&buffers.tx).await?,
            Self::Tls(stream) => stream.write_all(&buffers.tx).await?,
        }
        match self {
            Self::Plain(stream) => stream.flush().await?,
            Self::Tls(stream) => stream.flush().await?,
        }
        buffers.sent(length);
        Ok(())
    }

    pub(crate) async fn receive(&mut self, buffers: &mut Buffers) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(&mut buffers.rx).await,
            Self::Tls(stream) => stream.read_buf(&mut buffers.rx).await,
        }
    }

    /// TLS on the bare connection: a layer that is there is left without being closed. Gives the peer's certificate.
    pub(crate) async fn secure(self, thumbprint: Thumbprint) -> io::Result<(Self, Vec<u8>)> {
        let (bare, mut rest) = match self {
            Self::Plain(stream) => (stream, handshake::Buffers::default()),
            Self::Tls(stream) => stream.into_parts(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?;
        let verifier = Arc::new(ByThumbprint { thumbprint, provider });
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.enable_sni = false;
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let session = UnbufferedClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = TlsStream::new(bare, TlsSession::new(session, &mut rest));
        stream.handshake().await?;
        let certificates = stream.session().session().peer_certificates();
        let certificate = certificates.and_then(|chain| chain.first());
        let certificate = certificate.map(|certificate| certificate.to_vec()).unwrap_or_default();
        Ok((Self::Tls(Box::new(stream)), certificate))
    }

    pub(crate) fn into_stream(self) -> Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream,
        }
    }
}

/// Knows one certificate. Nothing else of it counts: no name, no authority, no date.
#[derive(Debug)]
struct ByThumbprint {
    thumbprint: Thumbprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ByThumbprint {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match Thumbprint::of(end_entity) == self.thumbprint {
            true => Ok(ServerCertVerified::assertion()),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
