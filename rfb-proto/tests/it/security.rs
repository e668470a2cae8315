//! Offers, choices, words and reasons by hand; passwords beyond the vectors.

use bytes::{Bytes, BytesMut};
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{NotOffered, Reason, SecurityChoice, SecurityType, SecurityTypeWord, SecurityTypes};
use rfb_proto::{DecodeErrorKind, Limits};

fn choice(number: u8) -> SecurityChoice {
    SecurityChoice {
        security_type: SecurityType(number),
    }
}

/// A list as servers send it: our order decides, and what is unknown or doubled does no harm.
#[test]
fn choose_takes_the_best_that_is_offered() {
    let offer = SecurityTypes::decode_slice(&[5, 30, 19, 2, 2, 200], &Limits::default()).unwrap();
    assert_eq!(
        offer.choose(&[SecurityType::VENCRYPT, SecurityType::VNC]),
        Some(choice(19))
    );
    assert_eq!(
        offer.choose(&[SecurityType::VNC, SecurityType::VENCRYPT]),
        Some(choice(2))
    );
    assert_eq!(
        offer.choose(&[SecurityType::NONE, SecurityType(200)]),
        Some(choice(200))
    );
    assert_eq!(offer.choose(&[SecurityType::NONE]), None);
    assert_eq!(offer.choose(&[]), None);
    assert_eq!(SecurityTypes::REFUSAL.choose(&[SecurityType::NONE]), None);
}

/// CVE-2006-2369: every one of the 256 choices against an offer.
#[test]
fn check_refuses_what_was_not_offered() {
    let offer = SecurityTypes::from(&[SecurityType::VNC, SecurityType::VENCRYPT][..]);
    for number in 0..=255 {
        let expected = match number {
            2 | 19 => Ok(SecurityType(number)),
            _ => Err(NotOffered {
                security_type: SecurityType(number),
            }),
        };
        assert_eq!(offer.check(choice(number)), expected);
        assert!(SecurityTypes::REFUSAL.check(choice(number)).is_err());
    }
}

/// Type 0 means "refused" in 3.3 and nothing at all elsewhere, also where somebody lists it.
#[test]
fn invalid_is_never_chosen() {
    let offer = SecurityTypes::decode_slice(&[2, 0, 2], &Limits::default()).unwrap();
    assert_eq!(offer.choose(&[SecurityType::INVALID]), None);
    assert_eq!(
        offer.choose(&[SecurityType::INVALID, SecurityType::VNC]),
        Some(choice(2))
    );
    assert!(offer.check(choice(0)).is_err());
}

#[test]
fn a_refusal_in_both_forms() {
    let limits = Limits::default();
    // count 0, then the reason "cheese"
    let list = [0, 0, 0, 0, 6, b'c', b'h', b'e', b'e', b's', b'e'];
    let types = SecurityTypes::decode_slice(&list, &limits).unwrap();
    assert_eq!(types, SecurityTypes::REFUSAL);
    assert!(types.is_refusal());
    assert_eq!(types.encoded_len(), 1);
    let reason = Reason::decode_slice(&list[1..], &limits).unwrap();
    assert_eq!(reason, Reason::from_static("cheese"));
    // word 0, then the same
    let word = SecurityTypeWord::decode_slice(&[0, 0, 0, 0, 0, 0, 0, 6], &limits).unwrap();
    assert_eq!(word, SecurityTypeWord::REFUSAL);
    assert!(word.is_refusal());
    assert_eq!(word.security_type(), Some(SecurityType::INVALID));
}

/// A word is as wide as it is: 258 ends in the byte 2 and is not VNC authentication.
#[test]
fn a_word_is_not_narrowed() {
    let limits = Limits::default();
    for (bytes, expected) in [
        ([0, 0, 0, 1], Some(SecurityType::NONE)),
        ([0, 0, 0, 2], Some(SecurityType::VNC)),
        ([0, 0, 0, 19], Some(SecurityType::VENCRYPT)),
        ([0, 0, 0, 255], Some(SecurityType(255))),
        ([0, 0, 1, 0], None),
        ([0, 0, 1, 2], None),
        ([2, 0, 0, 0], None),
        ([0xff, 0xff, 0xff, 0xfa], None),
    ] {
        let word = SecurityTypeWord::decode_slice(&bytes, &limits).unwrap();
        assert_eq!(word.security_type(), expected, "{bytes:?}");
        assert!(!word.is_refusal());
        if let Some(security_type) = expected {
            assert_eq!(SecurityTypeWord::from(security_type), word);
        }
    }
    assert_eq!(SecurityTypeWord { number: 0xffff_fffa }, SecurityTypeWord::MS_LOGON);
}

#[test]
fn more_than_255_types_do_not_fit() {
    let types = |count| SecurityTypes {
        types: vec![SecurityType::VNC; count],
    };
    let mut dst = BytesMut::from(&b"before"[..]);
    let error = types(256).encode(&mut dst).unwrap_err();
    assert_eq!((error.field, error.value, error.limit), ("count", 256, 255));
    assert_eq!(&dst[..], b"before");
    types(255).encode(&mut dst).unwrap();
    assert_eq!(dst.len(), 6 + 256);
    assert_eq!(dst[6], 255);
}

/// The limit holds when only the length has come, for the caller that waits for more as well.
#[test]
fn the_reason_limit() {
    let limits = Limits::default().with_reason(3);
    let mut at_limit = vec![0, 0, 0, 3];
    assert_eq!(Reason::missing(&at_limit, &limits), Ok(3));
    at_limit.extend(b"why");
    assert_eq!(Reason::missing(&at_limit, &limits), Ok(0));
    assert_eq!(Reason::decode_slice(&at_limit, &limits), Ok(Reason::from_static("why")));
    for (length, value) in [([0, 0, 0, 4], 4), ([0xff; 4], 0xffff_ffff)] {
        let error = Reason::decode_slice(&length, &limits).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::TooLarge { value, limit: 3 });
        assert_eq!(Reason::missing(&length, &limits), Err(error));
    }
    // Without a limit worth the name, what counts is the bytes that are there.
    let unlimited = Limits::default().with_reason(u32::MAX);
    let error = Reason::decode_slice(&[0xff; 8], &unlimited).unwrap_err();
    assert_eq!(
        error.kind,
        DecodeErrorKind::Truncated {
            needed: 0xffff_ffff,
            left: 4
        }
    );
}

/// QEMU's reason is a slice of what was received.
#[test]
fn a_reason_is_not_copied() {
    let received = Bytes::from_static(b"\0\0\0\x16Authentication failed\0and more");
    let reason = Reason::decode(&received, &Limits::default()).unwrap();
    assert_eq!(reason.text, b"Authentication failed\0"[..]);
    assert_eq!(reason.text.as_ptr(), received[4..].as_ptr());
    assert_eq!(reason.encoded_len(), 26);
    assert_eq!(reason.to_text(), "Authentication failed");
}

#[test]
fn reasons_as_text() {
    for (sent, shown) in [
        (&b""[..], ""),
        (b"\0\0", ""),
        (b"plain", "plain"),
        (b"line end\r\n\0", "line end"),
        (b"a\0b", "a\\u{0}b"),
        (b"two\nlines", "two\\nlines"),
        (b"\x1b[31mred", "\\u{1b}[31mred"),
        (b"\xc3\xa9t\xc3\xa9", "\u{e9}t\u{e9}"), // UTF-8
        (b"\xe9t\xe9", "\u{e9}t\u{e9}"),         // Latin-1
        (b"\x9bC", "\\u{9b}C"),                  // a control character of Latin-1
    ] {
        let reason = Reason {
            text: Bytes::from_static(sent),
        };
        assert_eq!(reason.to_text(), shown, "{sent:?}");
    }
}

/// Bit 7 of a password byte falls on a parity bit of the key.
#[test]
fn the_high_bit_does_not_count() {
    let challenge = *b"0123456789abcdef";
    let latin1 = Password::new(b"caf\xe9").respond(&challenge);
    assert_eq!(Password::new(b"cafi").respond(&challenge), latin1);
    let empty = Password::new(b"").respond(&challenge);
    for password in [&b"\0"[..], b"\x80", b"\0\x80\0\x80"] {
        assert!(Password::new(password).is_empty());
        assert_eq!(Password::new(password).respond(&challenge), empty);
    }
    assert!(!Password::new(b"\0a").is_empty());
}

#[test]
fn only_eight_bytes_count() {
    let challenge = *b"0123456789abcdef";
    let eight = Password::new(b"12345678");
    let nine = Password::new(b"123456789");
    assert!(!eight.truncated() && nine.truncated());
    assert!(eight.verify(&challenge, &nine.respond(&challenge)));
    assert_eq!(eight.to_obfuscated(), nine.to_obfuscated());
}

#[test]
fn a_password_shows_nothing() {
    for password in [&b""[..], b"secret", b"longer than eight"] {
        assert_eq!(format!("{:?}", Password::new(password)), "Password(..)");
    }
}
