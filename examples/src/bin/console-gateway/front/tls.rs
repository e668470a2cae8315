//! TLS on both sides of the gateway: rustls with ring, TLS 1.2 and 1.3.

use std::sync::Arc;

pub(crate) use examples::stream::Stream;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use spice_proto::tls::{Expected, HostSubject, SubjectError, Verifier};

/// What is wrong with a certificate, a key or an authority. Never shows what was in the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("no certificate in PEM")]
    NoCertificate,
    #[error("a certificate in it cannot be read")]
    BadCertificate,
    #[error("no private key in PEM")]
    NoKey,
    #[error("certificate and private key do not belong together")]
    OtherKey,
    #[error("{0}")]
    Subject(SubjectError),
    #[error("{0}")]
    Rustls(rustls::Error),
}

impl From<spice_proto::tls::TlsError> for TlsError {
    fn from(error: spice_proto::tls::TlsError) -> Self {
        use spice_proto::tls;
        match error {
            tls::TlsError::NoCertificate => Self::NoCertificate,
            tls::TlsError::Subject(error) => Self::Subject(error),
            tls::TlsError::Rustls(error) => error.into(),
            _ => Self::BadCertificate,
        }
    }
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(_) => Self::OtherKey,
            rustls::Error::InvalidCertificate(_) => Self::BadCertificate,
            error => Self::Rustls(error),
        }
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// For the listener that viewers connect to.
pub(crate) fn server(chain: &[u8], key: &[u8]) -> Result<Arc<ServerConfig>, TlsError> {
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates(chain)?, key)?;
    // A SPICE viewer opens ten connections at once and never comes back to resume one.
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For a connection to a hypervisor whose certificate one of these authorities has signed.
///
/// The certificate must have the subject; without one, the name or address that is dialled must be one of its subject
/// alternative names.
///
/// `identity`: our own certificate and its key, for a peer that asks for one.
pub(crate) fn client(
    ca: &[u8],
    subject: Option<&str>,
    identity: Option<(&[u8], &[u8])>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match subject {
        Some(subject) => {
            let subject = HostSubject::parse(subject).map_err(TlsError::Subject)?;
            let verifier = Verifier::new(ca, Expected::Subject(subject))?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        None => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca)? {
                roots.add(certificate)?;
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::NoKey)?;
            builder.with_client_auth_cert(certificates(chain)?, key)?
        }
    };
    // Each connection shows its certificate.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(TlsError::BadCertificate),
    }
}
