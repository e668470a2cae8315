//! Reads the answers of the real programs.

use std::{env, fs, path::PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, de::DeserializeOwned};

/// Runs `check` on each row of the file that `variable` names, or of the copy in this crate.
///
/// Every row that fails is reported before the test does.
pub(crate) fn each<T: DeserializeOwned>(variable: &str, file: &str, check: impl Fn(&T) -> Result<(), String>) {
    let path = env::var_os(variable).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file),
        PathBuf::from,
    );
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{variable}: {error}"));
    let mut cases = 0;
    let mut failures = Vec::new();
    for (line, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let parsed = serde_json::from_str(row).unwrap_or_else(|error| panic!("{variable}: line {}: {error}", line + 1));
        cases += 1;
        if let Err(failure) = check(&parsed) {
            failures.push(format!("line {}: {failure}", line + 1));
        }
    }
    println!("{variable}: {cases} cases");
    assert_ne!(cases, 0, "{variable}: no cases");
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(
        failures.is_empty(),
        "{variable}: {} of {cases} cases fail:\n{shown}",
        failures.len()
    );
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
