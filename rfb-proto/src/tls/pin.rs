//! A certificate that is known by its fingerprint.

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, SignatureScheme};

/// Bytes of a fingerprint.
const LEN: usize = 32;

/// The SHA-256 fingerprint of a certificate: the hash of its DER form, as `openssl x509 -fingerprint -sha256` shows it.
///
/// ```
/// use rfb_proto::tls::Fingerprint;
///
/// let text = "9F:86:D0:81:88:4C:7D:65:9A:2F:EA:A0:C5:5A:D0:15:A3:BF:4F:1B:2B:0B:82:2C:D1:5D:6C:15:B0:F0:0A:08";
/// let fingerprint: Fingerprint = text.parse()?;
/// assert_eq!(fingerprint, Fingerprint::of(b"test"));
/// assert_eq!(fingerprint.to_string(), text);
/// # Ok::<(), rfb_proto::tls::BadFingerprint>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; LEN]);

impl Fingerprint {
    /// That of a certificate in DER.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Self {
        // INVARIANT: it is a suite of TLS 1.3, whose hash has 32 bytes.
        let suite = TLS13_AES_128_GCM_SHA256.tls13();
        let hash = suite.map(|suite| suite.common.hash_provider.hash(certificate));
        let hash = hash.and_then(|hash| hash.as_ref().try_into().ok());
        Self(hash.unwrap_or_default())
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no SHA-256 fingerprint: 32 bytes in hexadecimal digits, with colons between them or without")]
pub struct BadFingerprint;

/// As OpenSSL writes it, or without colons; in large or small letters.
impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Self, BadFingerprint> {
        let mut bytes = [0; LEN];
        let mut rest = text;
        for (index, byte) in bytes.iter_mut().enumerate() {
            if let (1.., Some(behind)) = (index, rest.strip_prefix(':')) {
                rest = behind;
            }
            let digits = rest
                .get(..2)
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let digits = digits.ok_or(BadFingerprint)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| BadFingerprint)?;
            rest = rest.get(2..).unwrap_or_default();
        }
        match rest {
            "" => Ok(Self(bytes)),
            _ => Err(BadFingerprint),
        }
    }
}

/// As OpenSSL writes it.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(index, byte)| match index {
            0 => write!(f, "{byte:02X}"),
            _ => write!(f, ":{byte:02X}"),
        })
    }
}

/// Takes the certificate with this fingerprint, and no other. Its owner shows that it has the key.
#[derive(Debug)]
pub(super) struct Pinned {
    pub(super) fingerprint: Fingerprint,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if Fingerprint::of(end_entity) == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
