#![cfg_attr(fuzzing, no_main)]
//! Edits of a key file, as a sequence of operations against a map that remembers them.
//!
//! ```text
//! | operations: length u8, each | what u8 | group and key u8 | value: length u8, bytes | | the file |
//! ```
//!
//! After each edit the file reads back as the map says, keeps to its limits, and is as it was where an edit was refused.
//!
//! Not searched in CI: see LAWS.md.

use std::collections::BTreeMap;

use fuzz::Input;
use vv_file::KeyFile;
use vv_file::key_file::{Limits, encode_list, encode_string};
use vv_file::lint::lint_with;

fuzz::target!(check);

const GROUPS: [&str; 3] = ["virt-viewer", "ovirt", "x"];
const KEYS: [&str; 4] = ["host", "Encoding", "title", "x-y"];

/// Small enough to be reached.
fn limits() -> Limits {
    Limits::default().with_lines(40).with_keys(24).with_size(4096)
}

/// All last values, by group and key.
fn content(file: &KeyFile) -> BTreeMap<(Vec<u8>, Vec<u8>), Vec<u8>> {
    let mut all = BTreeMap::new();
    for group in file.groups() {
        for key in file.keys(group) {
            let value = file.get(group, key).expect("it has the key").raw().to_vec();
            all.insert((group.to_vec(), key.to_vec()), value);
        }
    }
    all
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let mut operations = Input::new(input.short_blob());
    let bytes = input.rest();
    for finding in lint_with(bytes, &limits()) {
        assert!(1 <= finding.line && 1 <= finding.column);
    }
    let Ok(mut file) = KeyFile::parse_with(bytes, &limits()) else {
        return;
    };
    let mut model = content(&file);
    while !operations.is_empty() {
        let (what, place) = (operations.byte(), operations.byte());
        let value = operations.short_blob();
        let (group, key) = (GROUPS[usize::from(place % 3)], KEYS[usize::from(place >> 4 & 3)]);
        let text = String::from_utf8_lossy(value).into_owned();
        let list: Vec<&str> = text.split(' ').collect();
        let name = (group.as_bytes().to_vec(), key.as_bytes().to_vec());
        let before = file.as_bytes().to_vec();
        let edited = match what % 5 {
            0 => file
                .set_value(group, key, value)
                .map(|()| drop(model.insert(name, value.to_vec()))),
            1 => {
                let set = file.set_string(group, key, &text);
                set.map(|()| drop(model.insert(name, encode_string(text.as_bytes()))))
            }
            2 => {
                let set = file.set_list(group, key, &list);
                set.map(|()| drop(model.insert(name, encode_list(&list))))
            }
            3 => file
                .remove_key(group, key)
                .map(|there| assert_eq!(there, model.remove(&name).is_some())),
            _ => file
                .remove_group(group)
                .map(|_| model.retain(|(own, _), _| own != group.as_bytes())),
        };
        match edited {
            Ok(()) => {
                assert_eq!(content(&file), model);
                let again = KeyFile::parse_with(file.as_bytes(), &limits()).expect("it stays a file within its limits");
                assert_eq!(content(&again), model);
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                assert_eq!(file.as_bytes(), before, "a refused edit changes nothing");
            }
        }
        assert!(!file.has_group(group) || file.groups().any(|own| own == group.as_bytes()));
    }
}
