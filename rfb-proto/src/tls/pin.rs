//! A certificate that is known by its fingerprint.

use core::fmt;
use core::str::FromStr;

use ring::digest::{SHA256, digest};

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
        let mut bytes = [0; LEN];
        let hash = digest(&SHA256, certificate);
        // INVARIANT: both have 32 bytes.
        bytes.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
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
