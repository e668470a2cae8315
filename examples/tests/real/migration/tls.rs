//! A recorder in the middle of TLS: the viewer's TLS ends in front of it, with the gateway's own certificate, and
//! begins again behind it.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::guest::free_port;
use crate::recorder::Recorder;

/// Longest life of one connection.
const LIFETIME: Duration = Duration::from_secs(180);

/// The two ends of TLS. They stop when this is dropped.
pub(crate) struct Ends {
    _runtime: Runtime,
}

/// Listens at `address` as the gateway whose certificate is in `pki`, and passes on to the gateway what the recorder has
/// seen in clear.
pub(crate) fn recorder(address: SocketAddr, gateway: SocketAddr, pki: &Path, old_clients: bool) -> (Recorder, Ends) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let behind = free_port();
    let start = if old_clients {
        Recorder::of_old_clients
    } else {
        Recorder::at
    };
    let recorder = start(free_port(), behind);
    let chain: Vec<_> = certificates(&pki.join("server-cert.pem"));
    let key = PrivateKeyDer::from_pem_file(pki.join("server-key.pem")).expect("a key");
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&pki.join("ca-cert.pem")) {
        roots.add(certificate).expect("an authority");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a certificate");
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (acceptor, connector) = (
        TlsAcceptor::from(Arc::new(server)),
        TlsConnector::from(Arc::new(client)),
    );
    let (name, seen) = (ServerName::from(address.ip()), recorder.address);
    serve(&runtime, address, move |viewer| {
        let acceptor = acceptor.clone();
        async move {
            let mut viewer = acceptor.accept(viewer).await.ok()?;
            let mut seen = TcpStream::connect(seen).await.ok()?;
            copy_bidirectional(&mut viewer, &mut seen).await.ok()
        }
    });
    serve(&runtime, behind, move |mut seen| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let gateway = TcpStream::connect(gateway).await.ok()?;
            let mut gateway = connector.connect(name, gateway).await.ok()?;
            copy_bidirectional(&mut seen, &mut gateway).await.ok()
        }
    });
    (recorder, Ends { _runtime: runtime })
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    let pem = fs::read(file).expect("a certificate");
    CertificateDer::pem_slice_iter(&pem)
        .map(|certificate| certificate.expect("a certificate"))
        .collect()
}

/// Does the same with each connection.
fn serve<F>(runtime: &Runtime, address: SocketAddr, connection: impl Fn(TcpStream) -> F + Send + 'static)
where
    F: Future<Output = Option<(u64, u64)>> + Send + 'static,
{
    let listener = TcpListener::bind(address).expect("a port for an end of TLS");
    listener.set_nonblocking(true).expect("a socket");
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(timeout(LIFETIME, connection(stream)));
        }
    });
}
