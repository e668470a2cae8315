//! Reading of the test data.

use std::path::Path;

use toml::{Table, Value};

/// Bytes from lower-case hex. White space is for the eye.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    base16ct::lower::decode_vec(&digits).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// As many bytes as an array has.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes
        .try_into()
        .unwrap_or_else(|_| panic!("{N} bytes expected: {bytes:02x?}"))
}

/// A file as a table; a test without its data is a failed one.
pub(crate) fn table(path: &Path) -> Table {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file of `tests/data`.
pub(crate) fn own(name: &str) -> Table {
    table(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name))
}

/// All `[[name]]` tables.
pub(crate) fn each<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = &'a Table> {
    let array = table.get(name).map_or(&[][..], |value| value.as_array().unwrap());
    array.iter().map(|value| value.as_table().unwrap())
}

/// A text that has to be there.
pub(crate) fn text<'a>(table: &'a Table, key: &str) -> &'a str {
    table
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text {key:?} in {table}"))
}
