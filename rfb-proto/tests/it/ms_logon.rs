//! UltraVNC's logons by themselves: groups and values that are taken and that are not.

use bytes::BytesMut;
use rfb_proto::Limits;
use rfb_proto::security::ms_logon::{
    MsLogonIIIResponse, MsLogonIIISecret, MsLogonParameters, MsLogonResponse, MsLogonSecret, Sealed, respond_iii,
};
use rfb_proto::security::{SealError, Seed};

fn wire(generator: u64, modulus: u64, public: u64) -> Vec<u8> {
    [generator, modulus, public].map(u64::to_be_bytes).concat()
}

#[test]
fn groups_that_are_taken() {
    let take = |bytes: &[u8]| MsLogonParameters::decode_slice(bytes, &Limits::default());
    for bytes in [wire(2, 5, 2), wire(3, u64::MAX, u64::MAX - 2), wire(7, 0x7fff_ffff, 12)] {
        let taken = take(&bytes).unwrap();
        let mut again = BytesMut::new();
        taken.encode(&mut again).unwrap();
        assert_eq!(again, bytes);
    }
    for (bytes, field) in [
        (wire(0, 7, 2), "generator"),
        (wire(1, 7, 2), "generator"),
        (wire(2, 0, 2), "modulus"),
        (wire(2, 3, 2), "modulus"),
        (wire(2, 8, 2), "modulus"),
        (wire(2, 7, 0), "public"),
        (wire(2, 7, 1), "public"),
        (wire(2, 7, 6), "public"),
        (wire(2, 7, 7), "public"),
        (wire(2, 7, u64::MAX), "public"),
    ] {
        let error = take(&bytes).unwrap_err();
        assert_eq!((error.message, error.field), ("MsLogonParameters", field), "{error}");
    }
}

/// Every group of a few bits, and the largest: what is sealed is opened.
#[test]
fn user_and_password_fit_their_fields() {
    let longest = ([b'x'; 255], [b'y'; 63]);
    for byte in 0..50 {
        let (server, client) = (Seed::new([byte; 32]), Seed::new([byte ^ 0x80; 32]));
        let (secret, third) = (MsLogonSecret::new(&server), MsLogonIIISecret::new(&server));
        for (user, password) in [
            (&b""[..], &b""[..]),
            (b"DOMAIN\\alice", b"secret"),
            (&longest.0, &longest.1),
        ] {
            let response = secret.parameters().respond(user, password, &client).unwrap();
            let opened = secret.open(&response).unwrap();
            assert_eq!((&opened.user[..], opened.password.expose()), (user, password));
            let response = respond_iii(&third.public(), user, password, &client).unwrap();
            let opened = third.open(&response).unwrap();
            assert_eq!((&opened.user[..], opened.password.expose()), (user, password));
        }
    }
    let (secret, client) = (MsLogonSecret::new(&Seed::new([1; 32])), Seed::new([2; 32]));
    let third = MsLogonIIISecret::new(&Seed::new([1; 32])).public();
    for (user, password) in [
        (&[b'x'; 256][..], &b"p"[..]),
        (b"u", &[b'x'; 64]),
        (b"u\0", b"p"),
        (b"u", b"p\0"),
    ] {
        assert_eq!(
            secret.parameters().respond(user, password, &client),
            Err(SealError::TooLong)
        );
        assert_eq!(respond_iii(&third, user, password, &client), Err(SealError::TooLong));
    }
}

/// Values that give the same secret for everybody are refused.
#[test]
fn degenerate_values() {
    let seed = Seed::new([1; 32]);
    let sealed = Sealed::new([0; 256], [0; 64]);
    let mut one = [0; 32];
    one[0] = 1;
    for public in [[0; 32], one] {
        assert_eq!(respond_iii(&public, b"u", b"p", &seed), Err(SealError::NoSecret));
        let response = MsLogonIIIResponse {
            public,
            sealed: sealed.clone(),
        };
        assert!(MsLogonIIISecret::new(&seed).open(&response).is_none());
    }
    let secret = MsLogonSecret::new(&seed);
    let modulus = secret.parameters().modulus();
    for public in [0, 1, modulus - 1, modulus, u64::MAX] {
        let sealed = sealed.clone();
        assert!(secret.open(&MsLogonResponse { public, sealed }).is_none());
    }
}
