//! Subjects, compared with what spice-gtk made of them.

use serde::Deserialize;
use vv_file::{error::SubjectError, subject::HostSubject};

use crate::oracle::{self, same};

#[derive(Deserialize)]
struct Row {
    text: String,
    outcome: Outcome,
}

/// What spice-gtk met first.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// The end of the text.
    Read,
    /// An entry that OpenSSL did not take.
    Entry,
    /// Something that its grammar does not know.
    Grammar,
}

#[test]
fn reads_the_subjects_that_spice_gtk_reads() {
    oracle::each("SUBJECT_ORACLE", "subject-oracle.jsonl", |row: &Row| {
        let parsed = HostSubject::parse(&row.text);
        let checked = parsed.as_ref().map_err(|error| *error).and_then(HostSubject::check);
        // It reads a subject without entries, which then is that of no certificate.
        let is_read = checked.is_ok() || checked == Err(SubjectError::Empty);
        same("read", &is_read, &(row.outcome == Outcome::Read))?;
        // The grammar of the whole text is looked at first here.
        if row.outcome == Outcome::Grammar {
            same("parsed", &parsed.is_ok(), &false)?;
        }
        match parsed {
            Ok(subject) => same("again", &HostSubject::parse(&subject.to_string()), &Ok(subject)),
            Err(_) => Ok(()),
        }
    });
}

#[test]
fn errors_name_the_entry() {
    let check = |text: &str| HostSubject::parse(text).and_then(|subject| subject.check());
    assert_eq!(check("CN=a,foo=b"), Err(SubjectError::UnknownKey { entry: 2 }));
    assert_eq!(check("C = IL,CN=a"), Err(SubjectError::UnknownKey { entry: 1 }));
    assert_eq!(check("CN=a,C=ISR"), Err(SubjectError::Value { entry: 2 }));
    assert_eq!(check(""), Err(SubjectError::Empty));
    let shown = check("CN=a,foo=hunter2").unwrap_err().to_string();
    assert_eq!(shown, "entry 2: openssl knows no attribute of this name");
}
