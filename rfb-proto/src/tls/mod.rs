//! TLS of the X509 subtypes with rustls, over buffers (feature `rustls`).
//!
//! A machine that comes to TLS returns `StartTls` and goes on in plaintext. [`TlsSession`] takes over the
//! connection's [`Buffers`] at that point, with what lies in it, and moves bytes between the two:
//!
//! ```text
//! connection <-- socket: ciphertext --> TlsSession <-- plain: plaintext --> machine
//! ```
//!
//! The machine is stepped on when the session stands, that is when [`TlsSession::is_handshaking`] says no.
//!
//! ```
//! # use rfb_proto::handshake::Buffers;
//! # use rfb_proto::tls::{ClientTls, PeerName, TlsError};
//! fn upgrade(authorities: &[u8], buffers: &mut Buffers) -> Result<(), TlsError> {
//!     let mut tls = ClientTls::new(authorities, None)?.connect(PeerName::Named("host.example"), buffers)?;
//!     // From here on, instead of reading into `buffers.rx` and sending `buffers.tx`:
//!     //   read into `tls.socket.rx`, call `process`, send `tls.socket.tx`, also after an error.
//!     tls.process(buffers)
//! }
//! ```
//!
//! The rest of the crate reads no clock and no random numbers. Rustls does both by itself: the time decides
//! whether a certificate is still good, and its cryptography (ring) draws the keys of a session. It needs `std`.
//!
//! Anonymous TLS (the TLS subtypes, security type 18) does not exist in rustls: TLS 1.3 has done away with it.

extern crate std;

mod error;
mod pin;
mod session;
mod verifier;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

pub use error::TlsError;
pub use pin::{BadFingerprint, Fingerprint};
pub use session::{TlsConnection, TlsSession};

use verifier::{Accepts, Verifier};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, UnbufferedClientConnection, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{UnbufferedServerConnection, WebPkiClientVerifier};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::handshake::Buffers;

/// Which server it has to be: by the name in a certificate of a pinned authority, or by the certificate itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerName<'a> {
    /// The one with this DNS name or IP address, which must be a subject alternative name of its certificate.
    Named(&'a str),
    /// Any one that the pinned authorities have certified. Good enough where an authority certifies
    /// hypervisors and nothing else, which is how nova uses its own; and the only way with certificates
    /// that have no subject alternative names.
    Any,
    /// The one whose certificate has this fingerprint, and no other. Authorities, names and the time that the certificate is
    /// good for are not looked at: it may be signed by itself. That the server has its key is looked at.
    Pinned(Fingerprint),
}

/// One's own certificate and key, both PEM.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The certificate, and those between it and the authority.
    pub chain: &'a [u8],
    /// The private key: PKCS#8, PKCS#1 or SEC1.
    pub key: &'a [u8],
}

impl core::fmt::Debug for Identity<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Identity(..)")
    }
}

impl Identity<'_> {
    fn parts(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let key = PrivateKeyDer::from_pem_slice(self.key).map_err(|_| TlsError::NoKey)?;
        Ok((certificates(self.chain)?, key))
    }
}

/// TLS towards servers: which authorities are pinned, and the own identity. Made once, used for many connections.
#[derive(Debug, Clone)]
pub struct ClientTls {
    named: Arc<ClientConfig>,
    any: Arc<ClientConfig>,
}

impl ClientTls {
    /// `authorities` are certificates in PEM; no others are trusted, and none of the system's. `identity` is
    /// for servers that ask for the client's certificate.
    ///
    /// # Errors
    /// Something in the PEM texts cannot be used.
    pub fn new(authorities: &[u8], identity: Option<Identity<'_>>) -> Result<Self, TlsError> {
        let provider = provider();
        let roots = roots(authorities)?;
        let named = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|_| TlsError::NoCertificate)?;
        let any = Verifier::new(Accepts::SignedBy(roots), &provider);
        Ok(Self {
            named: client_config(&provider, named, identity)?,
            any: client_config(&provider, any, identity)?,
        })
    }

    /// For servers whose certificates are pinned ([`PeerName::Pinned`]), each on its own: no authority is trusted, and
    /// sessions with other names fail.
    ///
    /// # Errors
    /// Something in the PEM texts cannot be used.
    pub fn pinned(identity: Option<Identity<'_>>) -> Result<Self, TlsError> {
        let provider = provider();
        let none = Verifier::new(Accepts::SignedBy(Arc::new(RootCertStore::empty())), &provider);
        let config = client_config(&provider, none, identity)?;
        Ok(Self {
            named: config.clone(),
            any: config,
        })
    }

    /// Begins a session. `buffers` are the connection's, as the machine left it at `StartTls`; afterwards it
    /// holds plaintext.
    ///
    /// # Errors
    /// [`TlsError::BadName`], or what rustls says.
    pub fn connect(&self, name: PeerName<'_>, buffers: &mut Buffers) -> Result<TlsSession, TlsError> {
        let (config, name) = self.config(name)?;
        Ok(TlsSession::new(UnbufferedClientConnection::new(config, name)?, buffers))
    }

    /// What rustls is to be given for a session with this server, for drivers that have TLS streams of their own
    /// (tokio-rustls). What lies in `rx` at `StartTls` is the beginning of such a stream.
    ///
    /// # Errors
    /// [`TlsError::BadName`].
    pub fn config(&self, name: PeerName<'_>) -> Result<(Arc<ClientConfig>, ServerName<'static>), TlsError> {
        match name {
            PeerName::Named(name) => {
                let name = ServerName::try_from(name).map_err(|_| TlsError::BadName)?;
                Ok((self.named.clone(), name.to_owned()))
            }
            // An address is not sent as a server name, and this one is not looked at.
            PeerName::Any => Ok((self.any.clone(), nameless())),
            PeerName::Pinned(fingerprint) => {
                let mut config = ClientConfig::clone(&self.any);
                let pinned = Verifier::new(Accepts::Certificate(fingerprint), config.crypto_provider());
                config.dangerous().set_certificate_verifier(pinned);
                Ok((Arc::new(config), nameless()))
            }
        }
    }
}

/// TLS towards clients. Made once, used for many connections.
#[derive(Debug, Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
}

impl ServerTls {
    /// With `clients`, authorities in PEM, every client has to show a certificate of theirs.
    ///
    /// # Errors
    /// Something in the PEM texts cannot be used.
    pub fn new(identity: Identity<'_>, clients: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = provider();
        let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authorities) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(roots(authorities)?, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|_| TlsError::NoCertificate)?)
            }
        };
        let (chain, key) = identity.parts()?;
        let mut config = builder.with_single_cert(chain, key)?;
        // No VNC session is resumed, and TigerVNC's vncviewer 1.12 hangs if a ticket and the first data
        // come together.
        config.send_tls13_tickets = 0;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Begins a session. `buffers` are the connection's, as the machine left it at `StartTls`; afterwards it
    /// holds plaintext.
    ///
    /// # Errors
    /// What rustls says.
    pub fn accept(&self, buffers: &mut Buffers) -> Result<TlsSession, TlsError> {
        Ok(TlsSession::new(
            UnbufferedServerConnection::new(self.config.clone())?,
            buffers,
        ))
    }

    /// What rustls is to be given for a session, as [`ClientTls::config`].
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<Identity<'_>>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let (chain, key) = identity.parts()?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    // Each session shows its certificates.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn nameless() -> ServerName<'static> {
    ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// Rustls with ring, whatever the process has installed as its default.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn roots(pem: &[u8]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(pem)? {
        roots.add(certificate).map_err(|_| TlsError::BadCertificate)?;
    }
    Ok(Arc::new(roots))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => Err(TlsError::NoCertificate),
        Ok(certificates) => Ok(certificates),
        Err(_) => Err(TlsError::BadCertificate),
    }
}
