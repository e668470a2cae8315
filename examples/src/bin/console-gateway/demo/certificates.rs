//! An authority, two servers and a client, made in memory and gone with the process.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::report::Outcome;
use crate::front::tls;

const ORGANIZATION: &str = "Console Gateway Demo";
pub(super) const HOST: &str = "127.0.0.1";

/// What the demo needs for TLS.
pub(super) struct Certificates {
    /// The authority's certificate, in PEM.
    pub(super) ca: String,
    /// Of the gateway, towards hypervisors: it has a certificate of its own.
    pub(super) client: Arc<ClientConfig>,
    /// Of a stranger that trusts the same authority and has no certificate.
    pub(super) stranger: Arc<ClientConfig>,
    pub(super) gateway: Arc<ServerConfig>,
    /// Asks clients for a certificate of the authority.
    pub(super) hypervisor: Arc<ServerConfig>,
}

impl Certificates {
    pub(super) fn make() -> Outcome<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Demo Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = params.self_signed(&key)?;
        let ca = authority.pem();
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone())?;
        let issuer = Issuer::new(params, key);
        let own = signed(&issuer)?;
        let identity = (own.0.as_bytes(), own.1.as_bytes());
        Ok(Self {
            client: tls::client(ca.as_bytes(), None, Some(identity))?,
            stranger: tls::client(ca.as_bytes(), None, None)?,
            gateway: tls::server(identity.0, identity.1)?,
            hypervisor: mutual(&issuer, roots)?,
            ca,
        })
    }

    /// The subject of the servers' certificates, as a `.vv` has it.
    pub(super) fn host_subject() -> String {
        format!("O={ORGANIZATION},CN={HOST}")
    }
}

fn params() -> Outcome<CertificateParams> {
    let mut params = CertificateParams::default();
    params.distinguished_name = name(HOST);
    params.subject_alt_names = vec![SanType::IpAddress(HOST.parse()?)];
    Ok(params)
}

/// A certificate and its key, in PEM.
fn signed(issuer: &Issuer<'_, KeyPair>) -> Outcome<(String, String)> {
    let key = KeyPair::generate()?;
    let chain = params()?.signed_by(&key, issuer)?.pem();
    Ok((chain, key.serialize_pem()))
}

/// A server whose clients show a certificate as well.
fn mutual(issuer: &Issuer<'_, KeyPair>, roots: RootCertStore) -> Outcome<Arc<ServerConfig>> {
    let key = KeyPair::generate()?;
    let chain = vec![params()?.signed_by(&key, issuer)?.der().clone()];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build()?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::try_from(key.serialize_der())?)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANIZATION);
    name.push(DnType::CommonName, common);
    name
}
