//! What is shown of a value that was decoded: as text for logs, and as JSON.

use std::fmt::Debug;

use serde::Serialize;

/// The names of fields and types of one small value, and of one byte in a list of values.
const ALWAYS: usize = 16 << 10;
const EACH: usize = 256;

fn most(bytes: usize) -> usize {
    ALWAYS + EACH * bytes
}

/// What a log shows of any value is one line, not larger than what was decoded explains.
///
/// # Panics
/// It is not.
pub fn logged<T: Debug>(value: &T, bytes: usize) {
    let text = format!("{value:?}");
    assert!(!text.is_empty() && text.len() <= most(bytes), "{bytes} bytes: {text}");
    // Text of a stranger ends no line of a log.
    assert!(!text.contains(['\n', '\r', '\u{1b}']), "{text}");
}

/// The same, and what a tool prints of it as JSON.
///
/// # Panics
/// It is not.
pub fn shown<T: Debug + Serialize>(value: &T, bytes: usize) {
    logged(value, bytes);
    let json = serde_json::to_string(value).expect("all of it has a form in JSON");
    assert!(
        json.len() <= most(bytes) && !json.contains(['\n', '\r', '\u{1b}']),
        "{json}"
    );
    let again: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(again.is_null(), json == "null");
}
