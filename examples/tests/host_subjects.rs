//! The grammar of host subjects stands in `vv-file`, which writes them, and in `spice-proto`, which checks
//! certificates: both read the same, and what spice-gtk reads.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;
use spice_proto::tls::{Expected, SubjectError as ProtoError, TlsError, Verifier};
use vv_file::error::SubjectError as FileError;

/// What spice-gtk 0.42 made of each, see ORIGIN.md beside it.
const ORACLE: &str = include_str!("../../vv-file/tests/data/subject-oracle.jsonl");

/// Entries, or what is wrong with a text and where.
type Entries = Result<Vec<(String, String)>, (&'static str, usize)>;

fn of_file(error: FileError) -> (&'static str, usize) {
    match error {
        FileError::Grammar { column } => ("grammar", column),
        FileError::UnknownKey { entry } => ("key", entry),
        FileError::Value { entry } => ("value", entry),
        FileError::Empty => ("empty", 0),
        other => panic!("{other}"),
    }
}

fn of_proto(error: ProtoError) -> (&'static str, usize) {
    match error {
        ProtoError::Grammar { column } => ("grammar", column),
        ProtoError::UnknownKey { entry } => ("key", entry),
        ProtoError::Value { entry } => ("value", entry),
        ProtoError::Empty => ("empty", 0),
        other => panic!("{other}"),
    }
}

fn authority() -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.self_signed(&key).unwrap().pem()
}

fn read_by_file(text: &str) -> Entries {
    let subject = vv_file::subject::HostSubject::parse(text).map_err(of_file)?;
    subject.check().map_err(of_file)?;
    Ok(subject.entries().to_vec())
}

fn read_by_proto(text: &str, authority: &str) -> Entries {
    let subject = spice_proto::tls::HostSubject::parse(text).map_err(of_proto)?;
    let entries = subject.entries().to_vec();
    match Verifier::new(authority.as_bytes(), Expected::Subject(subject)) {
        Ok(_) => Ok(entries),
        Err(TlsError::Subject(error)) => Err(of_proto(error)),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn both_read_what_spice_gtk_reads() {
    let authority = authority();
    let mut rows = 0;
    for line in ORACLE.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = row["text"].as_str().unwrap();
        let (file, proto) = (read_by_file(text), read_by_proto(text, &authority));
        assert_eq!(file, proto, "{text:?}");
        // Without entries spice-gtk reads it, and finds it on a certificate without a subject only.
        let is_read = file.is_ok() || file == Err(("empty", 0));
        assert_eq!(is_read, row["outcome"] == "read", "{text:?}");
        rows += 1;
    }
    assert!(100 < rows, "{rows}");
}

#[test]
fn both_read_generated_texts_alike() {
    const PIECES: [&str; 36] = [
        "C=IL",
        "O=x",
        "CN=",
        "CN",
        "=",
        ",",
        ",",
        ",",
        " ",
        "  ",
        "\t",
        "\\",
        "\\,",
        "\\\\",
        "2.5.4.3",
        "2.5.4.6=",
        "2",
        ".",
        "1.40",
        "39",
        "03",
        "a",
        "é",
        "IL",
        "ISR",
        "foo=",
        "rsaEncryption",
        "title=",
        "DC=",
        "n3=",
        "276",
        "=x,",
        "+",
        "/CN=x",
        "2.999.",
        "UID=",
    ];
    let authority = authority();
    let (mut state, mut good) = (0x2545_f491_4f6c_dd1d_u64, 0);
    for _ in 0..3_000 {
        let mut text = String::new();
        let mut next = |bound: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from((state >> 20) % bound).unwrap()
        };
        for _ in 0..=next(8) {
            text.push_str(PIECES[next(36)]);
        }
        let (file, proto) = (read_by_file(&text), read_by_proto(&text, &authority));
        assert_eq!(file, proto, "{text:?}");
        good += u32::from(file.is_ok());
    }
    assert!(50 < good, "{good} texts are subjects: too few to mean anything");
}

/// What OpenSSL knows stands in both crates, since neither depends on the other.
#[test]
fn both_have_one_table_of_attributes() {
    assert_eq!(
        include_str!("../../vv-file/src/subject/attributes.txt"),
        include_str!("../../spice-proto/src/tls/subject/attributes.txt")
    );
    assert_eq!(
        include_str!("../../vv-file/src/subject/attribute.rs"),
        include_str!("../../spice-proto/src/tls/subject/attribute.rs")
    );
}
