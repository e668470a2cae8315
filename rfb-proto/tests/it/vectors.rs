//! `rfb-vectors.toml`: known answers of VNC authentication, and the handshake scripts.

use std::env;
use std::path::PathBuf;

use des::Des;
use des::cipher::{BlockEncrypt as _, KeyInit as _};
use rfb_proto::security::vnc::Password;
use toml::{Table, Value};

use crate::data::{array, each, hex, own, table, text};
use crate::proxy_scripts;
use crate::recordings::Rows;
use crate::scripts::Script;

const SOURCE: &str = "RFB_VECTORS";

type Try = fn(&Table);

/// Kinds of rows, and what tries one.
const KINDS: [(&str, Try); 3] = [
    ("des", des_case),
    ("passwd_file", passwd_file_case),
    ("transcript", transcript),
];

#[test]
fn vectors() {
    let vectors = match env::var_os(SOURCE) {
        Some(path) => table(&PathBuf::from(path)),
        None => own("rfb-vectors.toml"),
    };
    tried(SOURCE, &vectors).end();
}

fn tried(source: &'static str, vectors: &Table) -> Rows {
    let mut rows = Rows::new(source);
    for (kind, row) in KINDS {
        for (index, case) in each(vectors, kind).enumerate() {
            let id = case.get("id").and_then(Value::as_str).unwrap_or("without an id");
            rows.row(&format!("{kind} {index}, {id}"), || row(case));
        }
    }
    rows
}

/// The copy in `tests/data` has every kind of row and every role.
#[test]
fn own_copy_has_rows_of_each_kind() {
    let vectors = own("rfb-vectors.toml");
    for (kind, _) in KINDS {
        assert!(each(&vectors, kind).next().is_some(), "{kind}");
    }
    for role in ["client", "server", "proxy"] {
        assert!(each(&vectors, "transcript").any(|script| text(script, "role") == role));
    }
}

/// Rows that are wrong are reported, each of them, and a file without rows is none.
#[test]
fn rows_that_are_wrong_are_reported() {
    let own = own("rfb-vectors.toml");
    let changed = |change: fn(&mut Table)| {
        let mut vectors = Table::new();
        for (kind, _) in KINDS {
            let cases = each(&own, kind).take(2).cloned().map(|mut case| {
                change(&mut case);
                Value::Table(case)
            });
            vectors.insert(kind.into(), Value::Array(cases.collect()));
        }
        let ended = std::thread::spawn(move || tried("changed", &vectors).end()).join();
        ended.map_err(|panic| panic.downcast_ref::<String>().unwrap().clone())
    };
    assert_eq!(changed(|_| ()), Ok(()));
    let without = |case: &mut Table| {
        for key in ["challenge_hex", "plain", "outcome"] {
            case.remove(key);
        }
    };
    let reported = changed(without).unwrap_err();
    for row in ["des 0", "des 1", "passwd_file 0", "transcript 0", "transcript 1"] {
        assert!(reported.contains(&format!("\n{row}, ")), "{row}: {reported}");
    }
    let surplus = |case: &mut Table| {
        let observe = case.entry("observe").or_insert(Value::Table(Table::new()));
        let surplus = Value::String("ff".into());
        observe
            .as_table_mut()
            .unwrap()
            .insert("tls_surplus_hex".into(), surplus);
    };
    assert!(changed(surplus).unwrap_err().contains("\ntranscript 0, "));
    assert!(
        std::thread::spawn(|| tried("empty", &Table::new()).end())
            .join()
            .is_err()
    );
}

/// The steps of one connection all in front of those of the other: the same cause and effect in another order.
#[test]
fn order_between_two_connections_does_not_matter() {
    let own = own("rfb-vectors.toml");
    let mut rows = Rows::new("order");
    for first in ["tT", "hH"] {
        for script in each(&own, "transcript").filter(|script| text(script, "role") == "proxy") {
            let mut script = script.clone();
            // The indexes of those would have to move as well.
            assert!(!script.contains_key("optional_steps"));
            let steps = script["steps"].as_array().unwrap().clone();
            let (mut front, back): (Vec<_>, Vec<_>) = steps
                .into_iter()
                .partition(|step| first.contains(step[0].as_str().unwrap()));
            front.extend(back);
            script.insert("steps".into(), Value::Array(front));
            rows.row(text(&script, "id"), || proxy_scripts::run(&script));
        }
    }
    rows.end();
}

fn transcript(script: &Table) {
    match text(script, "role") {
        "proxy" => proxy_scripts::run(script),
        _ => Script::new(script).run(),
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
