//! An authority and two servers, made in memory and gone with the process.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{ClientConfig, ServerConfig};

use super::report::Outcome;
use crate::tls;

const ORGANIZATION: &str = "Console Gateway Demo";
pub(super) const HOST: &str = "127.0.0.1";

/// What the demo needs for TLS.
pub(super) struct Certificates {
    /// The authority's certificate, in PEM.
    pub(super) ca: String,
    /// Trusts that authority.
    pub(super) client: Arc<ClientConfig>,
    pub(super) gateway: Arc<ServerConfig>,
    pub(super) hypervisor: Arc<ServerConfig>,
}

impl Certificates {
    pub(super) fn make() -> Outcome<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name("Demo Authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        Ok(Self {
            client: tls::client(ca.as_bytes(), None)?,
            gateway: server(&issuer)?,
            hypervisor: server(&issuer)?,
            ca,
        })
    }

    /// The subject of the servers' certificates, as a `.vv` has it.
    pub(super) fn host_subject() -> String {
        format!("O={ORGANIZATION},CN={HOST}")
    }
}

fn server(issuer: &Issuer<'_, KeyPair>) -> Outcome<Arc<ServerConfig>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = name(HOST);
    params.subject_alt_names = vec![SanType::IpAddress(HOST.parse()?)];
    let chain = params.signed_by(&key, issuer)?.pem();
    Ok(tls::server(chain.as_bytes(), key.serialize_pem().as_bytes())?)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, ORGANIZATION);
    name.push(DnType::CommonName, common);
    name
}
