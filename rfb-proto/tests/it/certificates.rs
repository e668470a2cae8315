//! Authorities and certificates, made for each test.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rfb_proto::tls::Identity;

/// Name in the servers' certificates.
pub(crate) const HOST: &str = "hypervisor.example";

/// An authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
pub(crate) struct Certificate {
    chain: String,
    key: String,
}

impl Certificate {
    pub(crate) fn identity(&self) -> Identity<'_> {
        Identity {
            chain: self.chain.as_bytes(),
            key: self.key.as_bytes(),
        }
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self {
            pem: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// With a name to look for.
    pub(crate) fn server(&self) -> Certificate {
        self.certificate(&[HOST], ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// With a common name only, as old scripts make them.
    pub(crate) fn nameless_server(&self) -> Certificate {
        self.certificate(&[], ExtendedKeyUsagePurpose::ServerAuth)
    }

    pub(crate) fn client(&self) -> Certificate {
        self.certificate(&[], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn certificate(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, HOST);
        params.extended_key_usages = vec![usage];
        Certificate {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}
