//! One certificate for all that is behind TLS here, in a folder that is gone with the bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// The certificate, in PEM; it is its own authority.
pub const CERTIFICATE: &str = "certificate.pem";
/// Its key.
pub const KEY: &str = "key.pem";
/// Both, as haproxy wants them.
pub const BOTH: &str = "both.pem";

/// A folder for files, and TLS with the certificate in it.
#[derive(Clone)]
pub struct Files {
    pub folder: PathBuf,
    pub acceptor: TlsAcceptor,
    pub connector: TlsConnector,
}

impl Files {
    /// Makes a certificate.
    pub fn make(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder for files");
        let names = ["localhost", "127.0.0.1", crate::link::SERVER].map(ToOwned::to_owned);
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).expect("a certificate");
        let (certificate, key) = (cert.pem(), signing_key.serialize_pem());
        for (name, text) in [
            (CERTIFICATE, &certificate),
            (KEY, &key),
            (BOTH, &format!("{certificate}{key}")),
        ] {
            fs::write(folder.join(name), text).expect("a file");
        }
        Self::read(folder)
    }

    /// With the certificate that is there.
    pub fn read(folder: &Path) -> Self {
        let certificate = CertificateDer::from_pem_file(folder.join(CERTIFICATE)).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(folder.join(KEY)).expect("a key");
        let provider = Arc::new(crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("a certificate and its key");
        // As the gateway: no client resumes a session of TLS.
        server.send_tls13_tickets = 0;
        let mut roots = RootCertStore::empty();
        roots.add(certificate).expect("an authority");
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            folder: folder.to_owned(),
            acceptor: TlsAcceptor::from(Arc::new(server)),
            connector: TlsConnector::from(Arc::new(client)),
        }
    }

    /// The folder goes with this value, also when a part of the bench fails.
    pub fn guard(&self) -> Folder {
        Folder(self.folder.clone())
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A folder, gone with this value.
pub struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The name in the certificate.
pub fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}
