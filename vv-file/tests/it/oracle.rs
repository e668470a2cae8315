//! Reads the answers of the real programs.

use std::{
    env, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};
use vv_file::key_file::Limits;

/// Runs `check` on each row of the file that `variable` names, or of the copy in this crate.
///
/// Every row that fails is reported, whatever is wrong with it, and then the sum.
pub(crate) fn each<T: DeserializeOwned>(variable: &str, file: &str, check: impl Fn(&T) -> Result<(), String>) {
    let path = env::var_os(variable).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file),
        PathBuf::from,
    );
    let text = fs::read(&path).unwrap_or_else(|error| panic!("{variable}: {}: {error}", path.display()));
    let (good, all, failures) = run(&text, check);
    for failure in failures {
        println!("{variable}: {failure}");
    }
    println!("{variable}: {good} of {all} rows");
    assert_ne!(all, 0, "{variable}: no rows in {}", path.display());
    assert_eq!(good, all, "{variable}: {good} of {all} rows");
}

/// The number of rows that are as they should be, of all rows, and what is wrong with the others.
fn run<T: DeserializeOwned>(text: &[u8], check: impl Fn(&T) -> Result<(), String>) -> (usize, usize, Vec<String>) {
    let rows = text.split(|&byte| byte == b'\n').enumerate();
    let rows: Vec<_> = rows.filter(|(_, row)| !row.trim_ascii().is_empty()).collect();
    let outcome = |row: &[u8]| {
        let row = serde_json::from_slice(row).map_err(|error| error.to_string())?;
        let checked = catch_unwind(AssertUnwindSafe(|| check(&row)));
        checked.unwrap_or_else(|_| Err("panics".into()))
    };
    let failures: Vec<_> = rows
        .iter()
        .filter_map(|(line, row)| Some(format!("line {}: {}", line + 1, outcome(row).err()?)))
        .collect();
    (rows.len() - failures.len(), rows.len(), failures)
}

/// The programs have no limits, and a row may need more than the default ones.
pub(crate) fn no_limits() -> Limits {
    Limits::default()
        .with_size(usize::MAX)
        .with_lines(usize::MAX)
        .with_keys(usize::MAX)
}

#[test]
fn every_bad_row_is_reported() {
    let text = b"1\n\n2\nx\r\n\xff\n3\n\"s\"\n4";
    let (good, all, failures) = run(text, |row: &u32| match row {
        1 => Ok(()),
        3 => panic!("on purpose"),
        row => Err(format!("{row} is not 1")),
    });
    assert_eq!((good, all), (1, 7));
    let lines: Vec<_> = failures
        .iter()
        .map(|failure| failure.split(':').next().unwrap())
        .collect();
    assert_eq!(lines, ["line 3", "line 4", "line 5", "line 6", "line 7", "line 8"]);
    assert_eq!(run(b"\n \n", |_: &u32| Ok(())), (0, 0, Vec::new()));
}

/// Bytes in base64.
#[derive(Deserialize, Debug, PartialEq, Eq)]
#[serde(try_from = "String")]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl TryFrom<String> for Base64 {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

/// A string of C: text, or bytes that are not UTF-8.
#[derive(Deserialize, Debug, Clone, PartialEq, Eq)]
#[serde(from = "RawText")]
pub(crate) struct Text(pub(crate) Vec<u8>);

#[derive(Deserialize)]
#[serde(untagged)]
enum RawText {
    Utf8(String),
    Bytes { b64: Base64 },
}

impl From<RawText> for Text {
    fn from(text: RawText) -> Self {
        match text {
            RawText::Utf8(text) => Self(text.into_bytes()),
            RawText::Bytes { b64 } => Self(b64.0),
        }
    }
}

/// Fails with both sides shown unless they are equal.
pub(crate) fn same<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, theirs {theirs:?}"))
    }
}
