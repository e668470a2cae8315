//! What rustls says, in words.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// What an error of TLS means for the operator of the two ends, where rustls' own text does not say it: that the other
/// side does not speak TLS at all, for one.
///
/// ```
/// use rustls::{Error, InvalidMessage};
/// let words = spice_proto::tls::in_words(&Error::InvalidMessage(InvalidMessage::InvalidContentType));
/// assert_eq!(words, Some("the peer does not speak TLS here: SPICE without TLS, or another protocol"));
/// ```
///
/// The bytes say which protocol it is: [`FirstBytes`](crate::link::FirstBytes).
#[must_use]
pub fn in_words(error: &Error) -> Option<&'static str> {
    Some(match error {
        Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::InvalidEmptyPayload
            | InvalidMessage::MessageTooLarge,
        ) => "the peer does not speak TLS here: SPICE without TLS, or another protocol",
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "none of the given authorities has signed the peer's certificate"
        }
        Error::InvalidCertificate(CertificateError::NotValidForName) => {
            "the peer's certificate has another subject, or is for another host"
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "the peer does not know the authority that signed the certificate shown to it"
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => "the peer speaks older versions of TLS only",
        _ => return None,
    })
}
