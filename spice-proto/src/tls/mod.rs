//! The identity that a server has to prove: the rules of spice-gtk as a rustls verifier (feature `rustls`).
//!
//! A [`Verifier`] trusts the authorities of its caller and no others, and then wants one thing of the server's
//! certificate, as the connection file or the migration message said it: a [`HostSubject`], or the name of the host.
//!
//! 1. A pinned public key that is the server's own accepts it, whatever signature the certificate has.
//! 2. Else the chain must lead to one of the authorities. Beside what webpki accepts, a certificate will do that is
//!    one of the authorities, or that one of them has signed itself, although it is of X.509 version 1 (`openssl x509
//!    -req` without extensions makes such) or an authority's (`CA:TRUE`). Others of these kinds are refused in words.
//! 3. Else, with a subject: the certificate must have it; the name of the host is then not looked at.
//! 4. Else the certificate must be for the host: its alternative names if it has DNS names or addresses there, else
//!    its common names, as QEMU's own certificates often have nothing else. `*` stands for a part of one label.
//!
//! Not taken over from spice-gtk: that nothing is checked where nothing is configured; that a key of another type
//! passes for the pinned one; that a NUL ends a name in a certificate.
//!
//! ```
//! use spice_proto::tls::{Expected, HostSubject, Verifier, TlsError};
//! fn towards_hypervisor(ca: &[u8], subject: &str) -> Result<rustls::ClientConfig, TlsError> {
//!     let expected = Expected::Subject(HostSubject::parse(subject)?);
//!     Verifier::new(ca, expected)?.client_config()
//! }
//! ```
//!
//! Rustls reads the clock and draws its keys by itself. It needs `std`.

extern crate std;

mod certificate;
mod direct;
mod subject;
mod words;

pub use subject::{HostSubject, SubjectError};
pub use words::in_words;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use self::certificate::Certificate;
use self::direct::Direct;
use self::subject::Resolved;

/// What is wrong with what a verifier is made of.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the PEM text.
    #[error("no certificate in PEM")]
    NoCertificate,
    /// A certificate or a revocation list in it cannot be read.
    #[error("a certificate cannot be read")]
    BadCertificate,
    /// The subject.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The host is neither a DNS name nor an address.
    #[error("no DNS name and no address")]
    BadName,
    /// What rustls says.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

/// What the server's certificate must have, beside an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// This subject.
    Subject(HostSubject),
    /// This host: a DNS name, or an address.
    Host(String),
}

#[derive(Debug)]
enum Check {
    Subject(Resolved),
    Host(String),
}

/// Accepts servers by the rules above.
#[derive(Debug)]
pub struct Verifier {
    chain: Arc<WebPkiServerVerifier>,
    direct: Direct,
    check: Check,
    public_key: Option<Vec<u8>>,
}

impl Verifier {
    /// `authorities`: certificates in PEM, and revocation lists of theirs, if any. No others are trusted, and none of
    /// the system's.
    ///
    /// # Errors
    /// Something in the PEM text cannot be used, the subject is empty or has an unknown attribute, or the host
    /// is none.
    pub fn new(authorities: &[u8], expected: Expected) -> Result<Self, TlsError> {
        let provider = provider();
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_slice_iter(authorities).collect::<Result<Vec<_>, _>>();
        let lists = CertificateRevocationListDer::pem_slice_iter(authorities).collect::<Result<Vec<_>, _>>();
        let direct = Direct {
            authorities: certificates.map_err(|_| TlsError::BadCertificate)?,
            lists: lists.map_err(|_| TlsError::BadCertificate)?,
            algorithms: provider.signature_verification_algorithms,
        };
        for certificate in &direct.authorities {
            roots.add(certificate.clone()).map_err(|_| TlsError::BadCertificate)?;
        }
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(direct.lists.clone())
            // Where no list says anything, none revokes.
            .allow_unknown_revocation_status()
            .build();
        let check = match expected {
            Expected::Subject(subject) => Check::Subject(subject.resolve()?),
            Expected::Host(host) => {
                server_name(&host)?;
                Check::Host(host)
            }
        };
        Ok(Self {
            chain: chain.map_err(|_| TlsError::NoCertificate)?,
            direct,
            check,
            public_key: None,
        })
    }

    /// Accepts the server with this key, too, whatever signature its certificate has. DER (`SubjectPublicKeyInfo`);
    /// compared byte by byte, with what says which kind of key it is.
    #[must_use]
    pub fn with_public_key(mut self, key: &[u8]) -> Self {
        self.public_key = Some(key.to_vec());
        self
    }

    /// A configuration for connections to this server, without a certificate of one's own.
    ///
    /// # Errors
    /// What rustls says.
    pub fn client_config(self) -> Result<ClientConfig, TlsError> {
        let config = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(self))
            .with_no_client_auth();
        // Each connection shows its certificate.
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// Whether the certificate has the pinned key.
    fn has_key(&self, certificate: &Certificate<'_>) -> bool {
        self.public_key.is_some() && self.public_key == certificate.public_key()
    }
}

/// The name of a server for rustls, which sends it (SNI) unless it is an address.
///
/// # Errors
/// [`TlsError::BadName`].
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = ServerName::try_from(host).map_err(|_| TlsError::BadName)?;
    Ok(name.to_owned())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = Certificate::read(end_entity);
        if certificate
            .as_ref()
            .is_some_and(|certificate| self.has_key(certificate))
        {
            return Ok(ServerCertVerified::assertion());
        }
        let chain = self
            .chain
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match chain {
            // The name is looked at last, and by other rules here.
            Ok(_)
            | Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => {}
            Err(error) => match &certificate {
                Some(certificate) if self.direct.may_judge(certificate, &error) => {
                    self.direct.judge(certificate, now)?
                }
                _ => return Err(error),
            },
        }
        let certificate = certificate.ok_or(CertificateError::BadEncoding)?;
        let fits = match &self.check {
            Check::Subject(subject) => subject.is_of(&certificate),
            Check::Host(host) => certificate.is_for(host),
        };
        if fits {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::NotValidForName.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match Certificate::read(cert) {
            Some(old) if !old.is_modern() => self.direct.check_handshake(&old, message, dss),
            _ => verify_tls12_signature(message, cert, dss, &self.direct.algorithms),
        }
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        match Certificate::read(cert) {
            Some(old) if !old.is_modern() => {
                let key = old.public_key().ok_or(CertificateError::BadEncoding)?;
                let key = SubjectPublicKeyInfoDer::from(key);
                verify_tls13_signature_with_raw_key(message, &key, dss, &self.direct.algorithms)
            }
            _ => verify_tls13_signature(message, cert, dss, &self.direct.algorithms),
        }
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.direct.algorithms.supported_schemes()
    }
}
