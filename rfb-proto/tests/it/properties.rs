//! What holds for every value and for any bytes.

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use rfb_proto::encoding::Rectangle;
use rfb_proto::message::{ClientMessage, Extensions, ServerMessage};
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityChoice, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{DecodeErrorKind, Limits, Policy, ProtocolVersion, ServerInit, Version};

/// The laws of a message that is given as a value.
macro_rules! value_laws {
    ($message:ty, $value:expr) => {{
        let value: $message = $value;
        let limits = Limits::default();
        // Encoding appends, and exactly as much as it says.
        let mut encoded = BytesMut::from(&b"garbage"[..]);
        value.encode(&mut encoded).unwrap();
        let encoded = encoded.freeze().slice(7..);
        prop_assert_eq!(encoded.len(), value.encoded_len());
        // It decodes to the same from both kinds of bytes, also with a next message behind it.
        prop_assert_eq!(&<$message>::decode(&encoded, &limits).unwrap(), &value);
        prop_assert_eq!(&<$message>::decode_slice(&encoded, &limits).unwrap(), &value);
        let longer = [&encoded[..], &[0xa5]].concat();
        prop_assert_eq!(&<$message>::decode_slice(&longer, &limits).unwrap(), &value);
        prop_assert_eq!(<$message>::missing(&longer, &limits), Ok(0));
        // Each cut is a truncation for the decoder, and bytes to wait for to the driver.
        for cut in 0..encoded.len() {
            let error = <$message>::decode_slice(&encoded[..cut], &limits).unwrap_err();
            prop_assert!(matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{}", error);
            prop_assert!(error.offset <= cut);
            let missing = <$message>::missing(&encoded[..cut], &limits).unwrap();
            prop_assert!(0 < missing && cut + missing <= encoded.len(), "{} at {}", missing, cut);
        }
        // A driver that reads what `missing` says needs no more than two reads: the fixed part, the rest.
        let mut have = 0;
        for _ in 0..2 {
            have += <$message>::missing(&encoded[..have], &limits).unwrap();
        }
        prop_assert_eq!(have, encoded.len());
    }};
}

/// The laws of a message for any bytes.
macro_rules! bytes_laws {
    ($message:ty, $bytes:expr, $limits:expr $(, agreed on $extensions:expr)?) => {{
        let (bytes, limits): (&Bytes, &Limits) = ($bytes, $limits);
        let decoded = <$message>::decode(bytes, $($extensions,)? limits);
        prop_assert_eq!(&decoded, &<$message>::decode_slice(bytes, $($extensions,)? limits));
        let missing = <$message>::missing(bytes, $($extensions,)? limits);
        match decoded {
            Ok(value) => {
                let mut encoded = BytesMut::new();
                value.encode(&mut encoded).unwrap();
                prop_assert_eq!(encoded.len(), value.encoded_len());
                prop_assert!(bytes.starts_with(&encoded));
                prop_assert_eq!(missing, Ok(0));
            }
            Err(error) if matches!(error.kind, DecodeErrorKind::Truncated { .. }) => {
                prop_assert!(0 < missing.unwrap());
            }
            Err(error) => prop_assert_eq!(missing, Err(error)),
        }
    }};
}

proptest! {
    #[test]
    fn lists(numbers in vec(any::<u8>(), 0..=255)) {
        value_laws!(SecurityTypes, SecurityTypes { types: numbers.into_iter().map(SecurityType).collect() });
    }

    #[test]
    fn choices(number in any::<u8>()) {
        value_laws!(SecurityChoice, SecurityChoice { security_type: SecurityType(number) });
    }

    #[test]
    fn words(number in any::<u32>()) {
        value_laws!(SecurityTypeWord, SecurityTypeWord { number });
    }

    #[test]
    fn reasons(text in vec(any::<u8>(), 0..200)) {
        value_laws!(Reason, Reason { text: text.into() });
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300), limit in 0..300_u32, small in any::<bool>()) {
        // Half of the time the three high bytes of a length are zero, so that what is behind it is reached.
        let mut bytes = bytes;
        if small {
            bytes.iter_mut().take(3).for_each(|byte| *byte = 0);
        }
        let bytes = Bytes::from(bytes);
        let limits = Limits::default().with_reason(limit);
        bytes_laws!(SecurityTypes, &bytes, &limits);
        bytes_laws!(SecurityChoice, &bytes, &limits);
        bytes_laws!(SecurityTypeWord, &bytes, &limits);
        bytes_laws!(Reason, &bytes, &limits);
        let limits = limits.with_name(limit).with_cut_text(limit).with_audio(limit);
        bytes_laws!(ServerInit, &bytes, &limits);
        bytes_laws!(Rectangle, &bytes, &limits);
        // Any type, then one of those that there are.
        let numbers = [ClientMessage::TABLE, ServerMessage::TABLE].concat();
        for number in core::iter::once(None).chain(numbers.iter().map(|(number, _)| Some(*number))) {
            let mut message = bytes.to_vec();
            if let (Some(number), Some(first)) = (number, message.first_mut()) {
                *first = number;
            }
            let message = Bytes::from(message);
            for extensions in [Extensions::NONE, Extensions::ALL] {
                bytes_laws!(ClientMessage, &message, &limits, agreed on &extensions);
                bytes_laws!(ServerMessage, &message, &limits, agreed on &extensions);
            }
        }
    }

    /// The text of a reason can go into a log: it has no control characters.
    #[test]
    fn reason_texts(text in vec(any::<u8>(), 0..100)) {
        let shown = Reason { text: text.into() }.to_text();
        prop_assert!(!shown.contains(char::is_control), "{}", shown);
    }

    #[test]
    fn version_numbers(major in any::<u16>(), minor in any::<u16>()) {
        let version = ProtocolVersion { major, minor };
        match version.to_bytes() {
            Ok(line) => prop_assert_eq!(ProtocolVersion::from_bytes(&line), Ok(version)),
            Err(error) => prop_assert!(999 < major || 999 < minor, "{}", error),
        }
    }

    #[test]
    fn version_lines(major in 0..=999_u16, minor in 0..=999_u16) {
        let line = format!("RFB {major:03}.{minor:03}\n").into_bytes();
        let read = ProtocolVersion::from_bytes(line[..].try_into().unwrap()).unwrap();
        prop_assert_eq!(read, ProtocolVersion { major, minor });
        prop_assert_eq!(&read.to_bytes().unwrap()[..], &line[..]);
        for cut in 0..=line.len() {
            prop_assert_eq!(ProtocolVersion::missing(&line[..cut]), Ok(12 - cut));
        }
        // No number panics, and strict takes no more than lenient and nothing else from it.
        for offered in [Version::V3_3, Version::V3_7, Version::V3_8] {
            if let Ok(rules) = read.as_answer(offered, Policy::Strict) {
                prop_assert_eq!(read.as_answer(offered, Policy::Lenient), Ok(rules));
                prop_assert!(rules <= offered);
            }
        }
        if let Ok(greeting) = read.as_greeting(Policy::Strict) {
            prop_assert_eq!(read.as_greeting(Policy::Lenient), Ok(greeting));
        }
    }

    /// Any one byte of a line replaced: what reads still encodes back, and what does not is found by the
    /// shortest prefix that has the byte, with the same error.
    #[test]
    fn one_wrong_byte(at in 0..12_usize, byte in any::<u8>()) {
        let mut line = *b"RFB 003.008\n";
        line[at] = byte;
        match ProtocolVersion::from_bytes(&line) {
            Ok(version) => prop_assert_eq!(version.to_bytes(), Ok(line)),
            Err(error) => {
                prop_assert!(error.offset <= at);
                prop_assert_eq!(ProtocolVersion::missing(&line[..at]), Ok(12 - at));
                prop_assert_eq!(ProtocolVersion::missing(&line[..=at]), Err(error));
            }
        }
    }

    #[test]
    fn any_line(line in any::<[u8; 12]>()) {
        let whole = ProtocolVersion::from_bytes(&line);
        if let Ok(version) = whole {
            prop_assert_eq!(version.to_bytes(), Ok(line));
        }
        prop_assert_eq!(ProtocolVersion::missing(&line), whole.map(|_| 0));
    }

    #[test]
    fn passwords(password in vec(any::<u8>(), 0..12), challenge in any::<[u8; 16]>(), other in any::<[u8; 16]>()) {
        let given = Password::new(&password);
        let response = given.respond(&challenge);
        prop_assert!(given.verify(&challenge, &response));
        // DES is a permutation: another challenge has another response.
        prop_assert_eq!(given.verify(&other, &response), other == challenge);
        prop_assert_eq!(given.truncated(), 8 < password.len());
        let file = Password::from_obfuscated(&given.to_obfuscated());
        prop_assert_eq!(file.respond(&challenge), response);
        prop_assert_eq!(file.is_empty(), given.is_empty());
    }
}
