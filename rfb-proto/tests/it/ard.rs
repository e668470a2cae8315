//! Diffie-Hellman authentication by itself: groups and values that are taken and that are not.

use bytes::{Bytes, BytesMut};
use rfb_proto::security::ard::{ArdParameters, ArdResponse, ArdSecret};
use rfb_proto::security::{SealError, Seed};
use rfb_proto::{DecodeErrorKind, Limits};

/// The wire form of a group and a value.
fn wire(generator: u16, prime: &[u8], public: &[u8]) -> Vec<u8> {
    let size = u16::try_from(prime.len()).unwrap();
    [&generator.to_be_bytes()[..], &size.to_be_bytes(), prime, public].concat()
}

fn number(len: usize, last: u8) -> Vec<u8> {
    let mut bytes = vec![0xc3; len];
    bytes[len - 1] = last;
    bytes
}

fn small(len: usize, value: u8) -> Vec<u8> {
    let mut bytes = vec![0; len];
    bytes[len - 1] = value;
    bytes
}

#[test]
fn groups_that_are_taken() {
    let take = |bytes: &[u8]| ArdParameters::decode_slice(bytes, &Limits::default());
    for len in [128, 129, 256, 512, 1024] {
        for public in [small(len, 2), number(len, 0xd1), number(len, 1)] {
            let bytes = wire(2, &number(len, 0xd3), &public);
            let taken = take(&bytes).unwrap();
            let mut again = BytesMut::new();
            taken.encode(&mut again).unwrap();
            assert_eq!(again, bytes);
        }
    }
    let prime = number(128, 0xd3);
    let mut short = prime.clone();
    short[0] = 0x7f;
    for (bytes, field, offset) in [
        (wire(0, &prime, &small(128, 2)), "generator", 0),
        (wire(1, &prime, &small(128, 2)), "generator", 0),
        (wire(2, &[], &[]), "size", 2),
        (wire(2, &prime[..127], &small(127, 2)), "size", 2),
        (wire(2, &number(1025, 1), &small(1025, 2)), "size", 2),
        // 1023 bits, and few in many bytes.
        (wire(2, &short, &small(128, 2)), "prime", 4),
        (wire(2, &small(256, 7), &small(256, 2)), "prime", 4),
        (wire(2, &number(128, 0xd2), &small(128, 2)), "prime", 4),
        (wire(2, &prime, &small(128, 0)), "public", 132),
        (wire(2, &prime, &small(128, 1)), "public", 132),
        (wire(2, &prime, &number(128, 0xd2)), "public", 132),
        (wire(2, &prime, &prime), "public", 132),
        (wire(2, &prime, &[0xff; 128]), "public", 132),
    ] {
        let error = take(&bytes).unwrap_err();
        assert_eq!(
            (error.message, error.field, error.offset),
            ("ArdParameters", field, offset),
            "{error}"
        );
        assert!(!matches!(error.kind, DecodeErrorKind::Truncated { .. }), "{error}");
    }
    let limits = Limits::default().with_diffie_hellman(1024);
    assert!(ArdParameters::missing(&wire(2, &number(129, 1), &[])[..4], &limits).is_err());
    assert_eq!(ArdParameters::missing(&wire(2, &prime, &[])[..4], &limits), Ok(256));
}

#[test]
fn user_and_password_fit_their_fields() {
    let (server, client) = (Seed::new([1; 32]), Seed::new([2; 32]));
    let secret = ArdSecret::new(&server);
    let longest = [b'x'; 63];
    for (user, password) in [(&b""[..], &b""[..]), (b"alice", b"secret"), (&longest, &longest)] {
        let response = secret.parameters().respond(user, password, &client).unwrap();
        let opened = secret.open(&response).unwrap();
        assert_eq!((&opened.user[..], opened.password.expose()), (user, password));
        // With another secret it is something else, or nothing.
        let other = ArdSecret::new(&client).open(&response);
        assert!(other.is_none_or(|other| other.password.expose() != password));
    }
    for (user, password) in [
        (&[b'x'; 64][..], &b"p"[..]),
        (b"u", &[b'x'; 64]),
        (b"u\0", b"p"),
        (b"u", b"p\0"),
    ] {
        let refused = secret.parameters().respond(user, password, &client);
        assert_eq!(refused, Err(SealError::TooLong));
    }
}

/// A client's value that gives no secret opens nothing.
#[test]
fn degenerate_answers_open_nothing() {
    let secret = ArdSecret::new(&Seed::new([1; 32]));
    let prime = secret.parameters().prime();
    let mut less = prime.to_vec();
    less[255] -= 1;
    for public in [
        small(256, 0),
        small(256, 1),
        less,
        prime.to_vec(),
        vec![0xff; 256],
        vec![],
        vec![2; 255],
    ] {
        assert!(secret.open(&ArdResponse::new([0; 128], Bytes::from(public))).is_none());
    }
}
