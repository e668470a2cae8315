//! Answers of the real GLib, and ours in the same form.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread,
};

use serde::Serialize;
use serde_json::{Value, json};
use vv_file::{KeyFile, error::ValueError};

/// Asks GLib about each file.
pub(crate) fn ask(files: &[Vec<u8>]) -> Vec<Value> {
    let mut child = Command::new("timeout")
        .args(["300", "/usr/bin/python3", "-c", include_str!("glib.py")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut bytes = Vec::new();
    for file in files {
        bytes.extend_from_slice(&u32::try_from(file.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(file);
    }
    let writer = thread::spawn(move || input.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let answers: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(answers.len(), files.len());
    answers
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    base16ct::lower::encode_string(bytes)
}

fn answer<T: Serialize>(result: Result<T, ValueError>) -> Value {
    match result {
        Ok(value) => json!(value),
        Err(error) => json!({ "error": error.code() as i32 }),
    }
}

/// What this crate says, in the form of `glib.py`.
pub(crate) fn ours(file: &[u8]) -> Value {
    let file = match KeyFile::parse(file) {
        Ok(file) => file,
        Err(error) => return json!({ "error": error.kind.code().unwrap() as i32 }),
    };
    let groups: Vec<Value> = file
        .groups()
        .map(|group| {
            let keys = file.keys(group).map(|key| {
                let value = file.get(group, key).unwrap();
                let texts = |list: Vec<String>| list.iter().map(|item| hex(item.as_bytes())).collect::<Vec<_>>();
                json!([
                    hex(key),
                    // GLib's getter checks nothing here, and neither does ours.
                    hex(value.raw()),
                    answer(value.string().map(|text| hex(text.as_bytes()))),
                    answer(value.list().map(texts)),
                    answer(value.boolean()),
                    answer(value.integer()),
                    answer(value.int64()),
                    answer(value.uint64()),
                    answer(value.integer_list()),
                    answer(value.boolean_list()),
                ])
            });
            json!([hex(group), keys.collect::<Vec<_>>()])
        })
        .collect();
    json!({ "groups": groups, "data": hex(file.to_data().as_bytes()) })
}
