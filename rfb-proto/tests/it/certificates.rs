//! Authorities and certificates, made for each test.

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rfb_proto::tls::{Fingerprint, Identity};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

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

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let der = CertificateDer::from_pem_slice(self.chain.as_bytes()).unwrap();
        Fingerprint::of(&der)
    }

    /// The certificate of one with the key of another.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: other.key.clone(),
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

    /// Good until the beginning of the year 2000.
    pub(crate) fn expired(&self) -> Certificate {
        self.made(&[HOST], ExtendedKeyUsagePurpose::ServerAuth, |params| {
            params.not_before = date_time_ymd(1999, 1, 1);
            params.not_after = date_time_ymd(2000, 1, 1);
        })
    }

    fn certificate(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Certificate {
        self.made(names, usage, |_| {})
    }

    fn made(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, HOST);
        params.extended_key_usages = vec![usage];
        change(&mut params);
        Certificate {
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}
