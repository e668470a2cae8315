//! What goes wrong with TLS.

use alloc::string::ToString as _;

use rustls::CertificateError;

use crate::first_bytes::FirstBytes;

/// What is wrong with certificates, a key, a name or a TLS session. Never shows what was in a key.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// There is no certificate in the PEM text.
    #[error("no certificate in PEM")]
    NoCertificate,
    /// A certificate in it cannot be read.
    #[error("a certificate cannot be read")]
    BadCertificate,
    /// There is no private key in the PEM text.
    #[error("no private key in PEM")]
    NoKey,
    /// The name to look for is neither a DNS name nor an address.
    #[error("no DNS name and no address")]
    BadName,
    /// A certificate, the peer's or one's own, is of X.509 version 1, as `openssl x509 -req` makes them where it is given
    /// no extensions. It can hold no name that is looked at and does not say what it is for; rustls does not read it.
    #[error("a certificate of X.509 version 1: sign it again with extensions, a subjectAltName for one")]
    OldCertificate,
    /// The peer does not speak TLS, but this. Its bytes are not shown: they may be credentials.
    #[error("the peer does not speak TLS: it sent {0}")]
    NotTls(&'static str),
    /// The session failed, or the parts do not fit together. The peer has been sent an alert, if there is
    /// one for this.
    #[error("{0}")]
    Rustls(rustls::Error),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        Self::of_session(error, &[])
    }
}

impl TlsError {
    /// What a session failed with whose peer began like this.
    pub(super) fn of_session(error: rustls::Error, began: &[u8]) -> Self {
        let is_tls = matches!(began, [0x14..=0x17] | [0x14..=0x17, 3, ..]);
        match &error {
            // Of this kind there is no name but that of rustls' own verifier.
            rustls::Error::InvalidCertificate(CertificateError::Other(other))
                if other.0.to_string() == "UnsupportedCertVersion" =>
            {
                Self::OldCertificate
            }
            rustls::Error::InvalidMessage(_) if !is_tls => match FirstBytes::of(began).looks_like() {
                Some(name) => Self::NotTls(name),
                None => Self::Rustls(error),
            },
            _ => Self::Rustls(error),
        }
    }
}
