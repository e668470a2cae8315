//! Certificates that one of the caller's authorities has signed itself, judged without webpki.
//!
//! webpki takes certificates of version 3 only, and none of authorities (`basicConstraints=CA:TRUE`). `openssl x509 -req`
//! without extensions makes version 1, and `openssl req -x509` makes one that is its own authority. The viewers accept both,
//! so these are judged here. Nothing that needs a path is accepted: the certificate is one of the authorities, or one of
//! them has signed it.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, PeerMisbehaved};
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode as _, Encode};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use super::certificate::{Certificate, value};

/// Extensions that are understood, so that they may be critical.
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
/// Purposes with which a certificate may be a server's.
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// Why such a certificate is refused, in words: rustls has none for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// None of the given authorities has signed it itself.
    NotDirect {
        /// It is of version 3.
        modern: bool,
    },
    /// It is signed with an algorithm that is not accepted.
    Algorithm,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotDirect { modern: false } => {
                "X.509 version 1, and none of the given authorities has signed it itself; \
                sign it anew as version 3 (openssl x509 -req -extfile), or pin its key"
            }
            Self::NotDirect { modern: true } => {
                "an authority's certificate (CA:TRUE) that none of the given authorities has signed itself; \
                name it as an authority, make one with CA:FALSE, or pin its key"
            }
            Self::Algorithm => {
                "signed with an algorithm that is not accepted; sign it anew (openssl x509 -req -sha256)"
            }
        })
    }
}

/// What rustls prints of it.
impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Refused {}

impl From<Refused> for CertificateError {
    fn from(refused: Refused) -> Self {
        Self::Other(OtherError(Arc::new(refused)))
    }
}

/// The caller's authorities and revocation lists.
#[derive(Debug)]
pub(super) struct Direct {
    pub(super) authorities: Vec<CertificateDer<'static>>,
    pub(super) lists: Vec<CertificateRevocationListDer<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl Direct {
    /// Whether webpki's refusal need not be the last word.
    pub(super) fn may_judge(&self, certificate: &Certificate<'_>, refusal: &rustls::Error) -> bool {
        let unfit = matches!(refusal, rustls::Error::InvalidCertificate(CertificateError::Other(_)));
        !certificate.is_modern() || unfit && is_for_authority(certificate) == Some(true)
    }

    fn is_authority(&self, certificate: &Certificate<'_>) -> bool {
        self.authorities.iter().any(|authority| **authority == *certificate.der)
    }

    /// Whether the certificate is one of the authorities or was signed by one, and is valid as a server's.
    pub(super) fn judge(&self, certificate: &Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
        if !certificate.is_modern() && certificate.contents().extensions.is_some() {
            return Err(CertificateError::BadEncoding);
        }
        check_validity(certificate, now)?;
        check_purpose(certificate)?;
        if self.is_authority(certificate) {
            return Ok(());
        }
        self.check_signer(certificate, now)?;
        self.check_revocation(certificate)
    }

    /// One of the authorities has the name of the issuer, may sign certificates, and has signed this one.
    fn check_signer(&self, certificate: &Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
        let modern = certificate.is_modern();
        let mut refusal = CertificateError::from(Refused::NotDirect { modern });
        for authority in &self.authorities {
            let Some(authority) = Certificate::read(authority) else {
                continue;
            };
            if authority.contents().subject != certificate.contents().issuer {
                continue;
            }
            if !may_sign(&authority) {
                continue;
            }
            let signed = check_validity(&authority, now).and_then(|()| self.check_signature(certificate, &authority));
            match signed {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }

    fn check_signature(&self, certificate: &Certificate<'_>, signer: &Certificate<'_>) -> Result<(), CertificateError> {
        let (contents, algorithm, signature) = certificate.signed().ok_or(CertificateError::BadEncoding)?;
        let inside = contents_of(&certificate.contents().signature);
        if inside.as_deref() != Some(algorithm) {
            return Err(CertificateError::BadEncoding);
        }
        let key = Key::of(signer).ok_or(CertificateError::BadEncoding)?;
        let usable = self.algorithms.all.iter();
        let usable = usable.filter(|usable| usable.signature_alg_id().as_ref() == algorithm);
        key.check(usable.copied(), contents, signature)
            .ok_or(Refused::Algorithm)?
    }

    /// No list of the issuer's has the certificate. A list that cannot be read here might.
    fn check_revocation(&self, certificate: &Certificate<'_>) -> Result<(), CertificateError> {
        let contents = certificate.contents();
        for list in &self.lists {
            let list = CertificateList::from_der(list).map_err(|_| CertificateError::UnknownRevocationStatus)?;
            let mut revoked = list.tbs_cert_list.revoked_certificates.iter().flatten();
            if list.tbs_cert_list.issuer == contents.issuer
                && revoked.any(|revoked| revoked.serial_number.as_bytes() == contents.serial_number.as_bytes())
            {
                return Err(CertificateError::Revoked);
            }
        }
        Ok(())
    }

    /// Whether the holder of the certificate's key has signed this part of a handshake of TLS 1.2.
    pub(super) fn check_handshake(
        &self,
        certificate: &Certificate<'_>,
        message: &[u8],
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let key = Key::of(certificate).ok_or(CertificateError::BadEncoding)?;
        let usable = self.algorithms.mapping.iter();
        let usable = usable
            .filter(|(scheme, _)| *scheme == signed.scheme)
            .flat_map(|(_, usable)| *usable);
        key.check(usable.copied(), message, signed.signature())
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)??;
        Ok(HandshakeSignatureValid::assertion())
    }
}

/// A public key, as signatures are checked with it.
struct Key<'a> {
    /// Contents of its `AlgorithmIdentifier`.
    algorithm: Vec<u8>,
    bits: &'a [u8],
}

impl<'a> Key<'a> {
    fn of(certificate: &'a Certificate<'_>) -> Option<Self> {
        let key = &certificate.contents().subject_public_key_info;
        Some(Self {
            algorithm: contents_of(&key.algorithm)?,
            bits: key.subject_public_key.as_bytes()?,
        })
    }

    /// The result of the first algorithm that is for keys of this kind; `None`: there is none.
    fn check(
        &self,
        mut usable: impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm>,
        message: &[u8],
        signature: &[u8],
    ) -> Option<Result<(), CertificateError>> {
        let algorithm = usable.find(|usable| usable.public_key_alg_id().as_ref() == self.algorithm)?;
        let checked = algorithm.verify_signature(self.bits, message, signature);
        Some(checked.map_err(|_| CertificateError::BadSignature))
    }
}

/// The contents of what is encoded, without its tag and length.
fn contents_of(part: &impl Encode) -> Option<Vec<u8>> {
    value(&part.to_der().ok()?).map(<[u8]>::to_vec)
}

fn check_validity(certificate: &Certificate<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let validity = &certificate.contents().validity;
    let seconds = |time: x509_cert::time::Time| UnixTime::since_unix_epoch(time.to_unix_duration());
    let (not_before, not_after) = (seconds(validity.not_before), seconds(validity.not_after));
    if now.as_secs() < not_before.as_secs() {
        return Err(CertificateError::NotValidYetContext { time: now, not_before });
    }
    if not_after.as_secs() < now.as_secs() {
        return Err(CertificateError::ExpiredContext { time: now, not_after });
    }
    Ok(())
}

/// A certificate may be a server's unless it says otherwise.
fn check_purpose(certificate: &Certificate<'_>) -> Result<(), CertificateError> {
    let known = [
        SUBJECT_ALT_NAME,
        BASIC_CONSTRAINTS,
        KEY_USAGE,
        EXTENDED_KEY_USAGE,
        NAME_CONSTRAINTS,
    ];
    let mut extensions = certificate.contents().extensions.iter().flatten();
    if extensions.any(|extension| extension.critical && !known.contains(&extension.extn_id)) {
        return Err(CertificateError::UnhandledCriticalExtension);
    }
    let Some(usage) = certificate.extension(EXTENDED_KEY_USAGE) else {
        return Ok(());
    };
    let usage = ExtendedKeyUsage::from_der(usage.extn_value.as_bytes()).map_err(|_| CertificateError::BadEncoding)?;
    match usage
        .0
        .iter()
        .any(|purpose| [SERVER_AUTH, ANY_PURPOSE].contains(purpose))
    {
        true => Ok(()),
        false => Err(CertificateError::InvalidPurpose),
    }
}

/// Whether a certificate says that it is an authority's; `None`: it does not say.
fn is_for_authority(certificate: &Certificate<'_>) -> Option<bool> {
    let extension = certificate.extension(BASIC_CONSTRAINTS)?;
    let constraints = BasicConstraints::from_der(extension.extn_value.as_bytes());
    Some(constraints.is_ok_and(|constraints| constraints.ca))
}

/// An authority may sign certificates unless it says otherwise. One that constrains names needs a path to be judged.
fn may_sign(authority: &Certificate<'_>) -> bool {
    let usage = authority
        .extension(KEY_USAGE)
        .map(|extension| KeyUsage::from_der(extension.extn_value.as_bytes()).is_ok_and(|usage| usage.key_cert_sign()));
    let constrains = authority.extension(NAME_CONSTRAINTS).is_some();
    is_for_authority(authority) != Some(false) && usage != Some(false) && !constrains
}
