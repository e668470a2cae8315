//! Every answer of GLib, compared with ours.

use serde::Deserialize;
use vv_file::{
    KeyFile,
    error::{EditError, ErrorCode, ValueError},
    key_file::{BadEscapes, Value, encode_list, encode_string},
};

use crate::oracle::{self, Base64, Text, same};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Row {
    Load {
        input: Base64,
        outcome: Outcome,
        file_load_same: bool,
    },
    SetString {
        input: Base64,
        raw_value: Text,
        to_data: Base64,
        read_back_same_object: Answer<Text>,
        read_back_after_reload: Answer<Text>,
    },
    SetStringList {
        input_list: Vec<Base64>,
        raw_value: Text,
        to_data: Base64,
        read_back_same_object: Answer<Vec<Text>>,
        read_back_after_reload: Answer<Vec<Text>>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
enum Outcome {
    Error {
        error: LoadError,
    },
    Loaded {
        groups: Vec<Group>,
        start_group: Option<Text>,
        to_data: Base64,
    },
}

#[derive(Deserialize)]
struct LoadError {
    domain: String,
    code: i32,
    name: String,
}

#[derive(Deserialize)]
struct Group {
    name: Text,
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    key: Text,
    value: Answer<Text>,
    string: StringAnswer,
    list: Answer<Vec<Text>>,
    boolean: Answer<bool>,
    integer: Answer<i32>,
    int64: Answer<i64>,
    uint64: Answer<u64>,
    integer_list: Answer<Vec<i32>>,
    boolean_list: Answer<Vec<bool>>,
}

/// What a getter gave: a value, or an error by name.
#[derive(Deserialize, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Answer<T> {
    Ok(T),
    Err(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum StringAnswer {
    Ok {
        ok: Text,
    },
    Err {
        err: String,
        returned_with_error: Option<Text>,
    },
}

fn answer<T, U>(result: Result<T, ValueError>, convert: impl Fn(T) -> U) -> Answer<U> {
    match result {
        Ok(value) => Answer::Ok(convert(value)),
        Err(error) => Answer::Err(name(error.code()).into()),
    }
}

fn name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UnknownEncoding => "UNKNOWN_ENCODING",
        ErrorCode::Parse => "PARSE",
        ErrorCode::NotFound => "NOT_FOUND",
        ErrorCode::KeyNotFound => "KEY_NOT_FOUND",
        ErrorCode::GroupNotFound => "GROUP_NOT_FOUND",
        ErrorCode::InvalidValue => "INVALID_VALUE",
    }
}

fn text(string: String) -> Text {
    Text(string.into_bytes())
}

fn texts(list: Vec<String>) -> Vec<Text> {
    list.into_iter().map(text).collect()
}

#[test]
fn reads_and_writes_as_glib() {
    oracle::each("KEYFILE_ORACLE", "keyfile-oracle.jsonl", |row| match row {
        Row::Load {
            input,
            outcome,
            file_load_same,
        } => {
            // There is one way to read here, whatever the bytes come from.
            same("file_load_same", &true, file_load_same)?;
            check_load(&input.0, outcome)
        }
        Row::SetString {
            input,
            raw_value,
            to_data,
            read_back_same_object,
            read_back_after_reload,
        } => {
            let raw = encode_string(&input.0);
            same("raw_value", &raw, &raw_value.0)?;
            let file = file_with(&raw, &to_data.0)?;
            let value = file.get("g", "k").ok_or("no key")?;
            same("read back", &answer(value.string(), text), read_back_after_reload)?;
            let Ok(input) = std::str::from_utf8(&input.0) else {
                return same(
                    "same object",
                    &Answer::Err("UNKNOWN_ENCODING".into()),
                    read_back_same_object,
                );
            };
            let set = |file: &mut KeyFile| file.set_string("g", "k", input);
            let read = |value: Value<'_>| answer(value.string(), text);
            check_set(set, read, read_back_same_object, read_back_after_reload)
        }
        Row::SetStringList {
            input_list,
            raw_value,
            to_data,
            read_back_same_object,
            read_back_after_reload,
        } => {
            let items: Vec<_> = input_list.iter().map(|item| &item.0).collect();
            let raw = encode_list(&items);
            same("raw_value", &raw, &raw_value.0)?;
            let file = file_with(&raw, &to_data.0)?;
            let value = file.get("g", "k").ok_or("no key")?;
            same("read back", &answer(value.list(), texts), read_back_after_reload)?;
            let items: Result<Vec<_>, _> = items.iter().map(|item| std::str::from_utf8(item)).collect();
            let Ok(items) = items else {
                return same(
                    "same object",
                    &Answer::Err("UNKNOWN_ENCODING".into()),
                    read_back_same_object,
                );
            };
            let set = |file: &mut KeyFile| file.set_list("g", "k", &items);
            let read = |value: Value<'_>| answer(value.list(), texts);
            check_set(set, read, read_back_same_object, read_back_after_reload)
        }
    });
}

/// Sets a value and reads it back. What GLib itself would not read again is refused here.
fn check_set<T: PartialEq + std::fmt::Debug>(
    set: impl Fn(&mut KeyFile) -> Result<(), EditError>,
    read: impl Fn(Value<'_>) -> Answer<T>,
    same_object: &Answer<T>,
    after_reload: &Answer<T>,
) -> Result<(), String> {
    let mut file = KeyFile::parse_with(b"[g]\n", &oracle::no_limits()).map_err(|error| error.to_string())?;
    let result = set(&mut file);
    if same_object != after_reload {
        return same("refused", &result, &Err(EditError::Value));
    }
    same("set", &result, &Ok(()))?;
    same("same object", &read(file.get("g", "k").ok_or("no key")?), same_object)
}

/// The file with one key, which must be the one that GLib wrote.
fn file_with(raw: &[u8], theirs: &[u8]) -> Result<KeyFile, String> {
    let written = [b"[g]\nk=", raw, b"\n"].concat();
    same("to_data", &written.as_slice(), &theirs)?;
    KeyFile::parse_with(&written, &oracle::no_limits()).map_err(|error| error.to_string())
}

fn check_load(input: &[u8], outcome: &Outcome) -> Result<(), String> {
    let (file, outcome) = match (KeyFile::parse_with(input, &oracle::no_limits()), outcome) {
        (Ok(file), outcome) => (file, outcome),
        (Err(ours), Outcome::Error { error: theirs }) => {
            let code = ours.kind.code().ok_or("a limit")?;
            same("domain", &"g-key-file-error-quark", &theirs.domain.as_str())?;
            same("code", &(code as i32), &theirs.code)?;
            return same("error", &name(code), &theirs.name.as_str());
        }
        (Err(ours), Outcome::Loaded { .. }) => return Err(format!("refused: {ours}")),
    };
    let Outcome::Loaded {
        groups,
        start_group,
        to_data,
    } = outcome
    else {
        return Err("accepted".into());
    };
    same("lines", &file.lines().collect::<Vec<_>>().concat().as_slice(), &input)?;
    let names: Vec<_> = file.groups().map(|name| Text(name.into())).collect();
    same(
        "groups",
        &names,
        &groups.iter().map(|group| group.name.clone()).collect(),
    )?;
    same("start_group", &names.first(), &start_group.as_ref())?;
    for group in groups {
        let keys: Vec<_> = file.keys(&group.name.0).map(|key| Text(key.into())).collect();
        same("keys", &keys, &group.keys.iter().map(|key| key.key.clone()).collect())?;
        for key in &group.keys {
            let value = file.get(&group.name.0, &key.key.0).ok_or("no key")?;
            check_value(value, key)?;
        }
    }
    same("to_data", &file.to_data().as_bytes(), &to_data.0.as_slice())
}

fn check_value(value: Value<'_>, theirs: &Key) -> Result<(), String> {
    same("value", &Answer::Ok(Text(value.raw().into())), &theirs.value)?;
    match &theirs.string {
        StringAnswer::Ok { ok } => {
            same("string", &value.string().map(text), &Ok(ok.clone()))?;
            let kept = value.string_with(BadEscapes::Kept).map(text);
            same("string, bad escapes kept", &kept, &Ok(ok.clone()))?;
        }
        StringAnswer::Err {
            err,
            returned_with_error,
        } => {
            same("string", &answer(value.string(), text), &Answer::Err(err.clone()))?;
            let kept = value.string_with(BadEscapes::Kept).map(text).ok();
            // From 2.79 on GLib returns nothing beside this error, so that there is nothing to compare.
            if returned_with_error.is_some() || err != "INVALID_VALUE" {
                same("string, bad escapes kept", &kept, returned_with_error)?;
            }
        }
    }
    same("list", &answer(value.list(), texts), &theirs.list)?;
    same("boolean", &answer(value.boolean(), |value| value), &theirs.boolean)?;
    same("integer", &answer(value.integer(), |value| value), &theirs.integer)?;
    same("int64", &answer(value.int64(), |value| value), &theirs.int64)?;
    same("uint64", &answer(value.uint64(), |value| value), &theirs.uint64)?;
    same(
        "integer_list",
        &answer(value.integer_list(), |list| list),
        &theirs.integer_list,
    )?;
    same(
        "boolean_list",
        &answer(value.boolean_list(), |list| list),
        &theirs.boolean_list,
    )
}
