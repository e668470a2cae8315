//! Reads the answers of the real programs.

use std::{env, fs, path::PathBuf};

use serde::de::DeserializeOwned;

/// Runs `check` on each row of the file that `variable` names, or of the copy in this crate, and prints their number.
///
/// Every row that fails is reported before the test does. Rows that `check` says `None` to are not counted.
pub(crate) fn each<T: DeserializeOwned>(variable: &str, file: &str, check: impl Fn(T) -> Option<Result<(), String>>) {
    let path = env::var_os(variable).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file),
        PathBuf::from,
    );
    let text = fs::read_to_string(path).unwrap();
    let mut cases = 0;
    let mut failures = Vec::new();
    for (line, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        match check(serde_json::from_str(row).unwrap()) {
            None => continue,
            Some(Err(failure)) => failures.push(format!("line {}: {failure}", line + 1)),
            Some(Ok(())) => {}
        }
        cases += 1;
    }
    println!("{variable}: {cases} cases");
    assert_ne!(cases, 0, "{variable}: no cases");
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    let failed = failures.len();
    assert!(
        failures.is_empty(),
        "{variable}: {failed} of {cases} cases fail:\n{shown}"
    );
}

/// Fails with both sides shown unless they are equal.
pub(crate) fn same<T: PartialEq + core::fmt::Debug>(what: &str, ours: &T, theirs: &T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}: ours {ours:?}, theirs {theirs:?}"))
    }
}
