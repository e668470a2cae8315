//! What Nova and websockify make of texts, compared with what this crate makes of them.

use std::{collections::BTreeMap, fs};

use console_token::AccessUrl;
#[cfg(feature = "serde")]
use console_token::resolver::websockify;
use console_token::web::place;
use serde::Deserialize;
use serde_json::Value;

use crate::oracle::{Checked, copy, each, fields, same};

#[derive(Deserialize)]
struct NovaAccessUrl {
    console_type: String,
    access_url_base: String,
    token: String,
    url: Option<String>,
}

#[derive(Deserialize)]
struct NovaPathToken {
    path: String,
    token: String,
}

#[cfg(feature = "serde")]
#[derive(Deserialize)]
struct TokenFile {
    text: String,
    token: String,
    result: Option<Vec<String>>,
}

#[cfg(feature = "serde")]
#[derive(Deserialize)]
struct RedisSource {
    source: String,
    fields: Vec<String>,
}

/// Any rows of the forms that `tests/data/ORIGIN.md` describes.
#[test]
fn answers_as_they_do() {
    each("TOKEN_ORACLE", "token-oracle.jsonl", check);
}

fn check(row: Value) -> Checked {
    let kind = row["kind"].as_str().unwrap_or_default().to_owned();
    Some(match &*kind {
        "nova_access_url" => fields(row).and_then(access_url),
        "nova_ws_path_token" => fields(row).and_then(path_token),
        #[cfg(feature = "serde")]
        "websockify_token_file" => fields(row).and_then(token_file),
        #[cfg(feature = "serde")]
        "websockify_redis_source" => fields(row).and_then(redis_source),
        // The resolvers' forms need the feature.
        #[cfg(not(feature = "serde"))]
        "websockify_token_file" | "websockify_redis_source" => return None,
        _ => Err(format!("no such kind: {kind:?}")),
    })
}

fn access_url(row: NovaAccessUrl) -> Result<(), String> {
    let console = row.console_type.parse();
    let console = console.map_err(|error| format!("{}: {error}", row.console_type))?;
    let ours = AccessUrl::nova(console, &row.access_url_base, &row.token).ok();
    same("url", &ours.as_ref().map(AccessUrl::expose), &row.url.as_deref())
}

fn path_token(row: NovaPathToken) -> Result<(), String> {
    let ours = place::nova(&row.path, None);
    let ours = ours.map(|token| (*token).clone()).unwrap_or_default();
    same("token", &ours, &row.token)
}

#[cfg(feature = "serde")]
fn token_file(row: TokenFile) -> Result<(), String> {
    // The rows are of the code in the repository, which differs from the releases in blanks.
    let found = websockify::find(&row.text, &row.token, websockify::Dialect::Repository);
    let ours = found.map(|row| match row.entry.port {
        Some(port) => vec![row.entry.host.to_owned(), port.to_owned()],
        None => vec![row.entry.host.to_owned()],
    });
    same("result", &ours, &row.result)
}

#[cfg(feature = "serde")]
fn redis_source(row: RedisSource) -> Result<(), String> {
    let ours = websockify::source_fields(&row.source);
    let theirs = row.fields.iter().map(String::as_str).collect();
    same("fields", &ours, &theirs)
}

/// The copy here has rows of each kind.
#[test]
fn the_copy_has_every_kind() {
    let text = fs::read_to_string(copy("token-oracle.jsonl")).unwrap();
    let mut kinds = BTreeMap::new();
    for row in text.lines() {
        let row: Value = serde_json::from_str(row).unwrap();
        *kinds.entry(row["kind"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let kinds: Vec<(&str, i32)> = kinds.iter().map(|(kind, rows)| (kind.as_str(), *rows)).collect();
    let expected = [
        ("nova_access_url", 14),
        ("nova_ws_path_token", 5),
        ("websockify_redis_source", 3),
        ("websockify_token_file", 5),
    ];
    assert_eq!(kinds, expected);
}
