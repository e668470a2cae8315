//! `rfb-vectors.toml`: known answers of VNC authentication, and the handshake scripts.

use std::env;
use std::path::PathBuf;

use des::Des;
use des::cipher::{BlockEncrypt as _, KeyInit as _};
use rfb_proto::security::vnc::Password;
use toml::Table;

use crate::data::{array, each, hex, own, table, text};
use crate::proxy_scripts;
use crate::scripts::Script;

#[test]
fn vectors() {
    let vectors = match env::var_os("RFB_VECTORS") {
        Some(path) => table(&PathBuf::from(path)),
        None => own("rfb-vectors.toml"),
    };
    let des = each(&vectors, "des").map(des_case).count();
    let passwd_file = each(&vectors, "passwd_file").map(passwd_file_case).count();
    let scripts = each(&vectors, "transcript").filter_map(Script::new);
    let scripts = scripts.map(|script| script.run()).count();
    let scripts = scripts
        + each(&vectors, "transcript")
            .filter(|script| proxy_scripts::run(script))
            .count();
    println!("RFB_VECTORS: {scripts} scripts, {des} DES answers");
    assert!(0 < des + scripts, "no vectors");
    if env::var_os("RFB_VECTORS").is_none() {
        assert!(
            0 < des && 0 < scripts && 0 < passwd_file,
            "the own copy lacks a kind of vector"
        );
    }
}

fn des_case(case: &Table) {
    let id = text(case, "id");
    let bytes = hex(text(case, "password_hex"));
    let challenge = array(&hex(text(case, "challenge_hex")));
    let expected: [u8; 16] = array(&hex(text(case, "response_hex")));

    let password = Password::new(&bytes);
    assert_eq!(password.respond(&challenge), expected, "{id}");
    assert_eq!(password.truncated(), 8 < bytes.len(), "{id}");
    assert_eq!(password.is_empty(), bytes.is_empty(), "{id}");
    assert!(password.verify(&challenge, &expected), "{id}");
    for bit in 0..128 {
        let mut wrong = expected;
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!password.verify(&challenge, &wrong), "{id}: bit {bit}");
    }
    let mut other = array::<8>(&[bytes.as_slice(), &[0; 8]].concat()[..8]);
    other[0] ^= 1;
    assert!(!Password::new(&other).verify(&challenge, &expected), "{id}");

    // The crate's key is private; that the stated key is one for the stated response does not need it.
    assert_eq!(
        encrypted::<16>(&hex(text(case, "key_hex")), &challenge),
        expected,
        "{id}: key_hex"
    );
}

fn passwd_file_case(case: &Table) {
    let id = text(case, "id");
    let plain = text(case, "plain").as_bytes();
    let expected: [u8; 8] = array(&hex(text(case, "obfuscated_hex")));

    assert_eq!(Password::new(plain).to_obfuscated(), expected, "{id}");
    let read = Password::from_obfuscated(&expected);
    assert!(!read.truncated(), "{id}");
    assert_eq!(read.to_obfuscated(), expected, "{id}");
    let challenge = *b"0123456789abcdef";
    assert_eq!(
        read.respond(&challenge),
        Password::new(plain).respond(&challenge),
        "{id}"
    );

    let padded: [u8; 8] = array(&[plain, &[0; 8]].concat()[..8]);
    assert_eq!(
        encrypted::<8>(&hex(text(case, "des_key_hex")), &padded),
        expected,
        "{id}: des_key_hex"
    );
}

fn encrypted<const N: usize>(key: &[u8], plain: &[u8; N]) -> [u8; N] {
    let cipher = Des::new_from_slice(key).unwrap();
    let mut bytes = *plain;
    for block in bytes.chunks_exact_mut(8) {
        cipher.encrypt_block(block.into());
    }
    bytes
}
