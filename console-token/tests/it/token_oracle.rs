//! What Nova and websockify make of texts, compared with what this crate makes of them.

use core::cell::Cell;

use console_token::AccessUrl;
#[cfg(feature = "serde")]
use console_token::resolver::websockify;
use console_token::web::place;
use serde::Deserialize;

use crate::oracle::{each, same};

#[derive(Deserialize)]
struct Row {
    kind: String,
    #[serde(flatten)]
    asked: Asked,
}

#[derive(Deserialize)]
#[serde(untagged)]
#[cfg_attr(not(feature = "serde"), expect(dead_code, reason = "the resolvers' forms need it"))]
enum Asked {
    AccessUrl {
        console_type: String,
        access_url_base: String,
        token: String,
        url: String,
    },
    PathToken {
        path: String,
        token: String,
    },
    TokenFile {
        text: String,
        token: String,
        result: Option<Vec<String>>,
    },
    RedisSource {
        source: String,
        fields: Vec<String>,
    },
}

/// Compares all rows of this kind, and gives their number.
pub(crate) fn answers(kind: &str) -> usize {
    let count = Cell::new(0);
    each("TOKEN_ORACLE", "token-oracle.jsonl", |row: Row| {
        if row.kind != kind {
            return None;
        }
        count.set(count.get() + 1);
        Some(match row.asked {
            Asked::AccessUrl {
                console_type,
                access_url_base,
                token,
                url,
            } => {
                let ours = AccessUrl::nova(console_type.parse().unwrap(), &access_url_base, &token);
                same("url", &ours.unwrap().expose(), &url.as_str())
            }
            Asked::PathToken { path, token } => {
                let ours = place::nova(&path, None)
                    .map(|token| (*token).clone())
                    .unwrap_or_default();
                same("token", &ours, &token)
            }
            #[cfg(feature = "serde")]
            Asked::TokenFile { text, token, result } => {
                // The rows are of the code in the repository, which differs from the releases in blanks.
                let found = websockify::find(&text, &token, websockify::Dialect::Repository);
                let ours = found.map(|row| match row.entry.port {
                    Some(port) => vec![row.entry.host.to_owned(), port.to_owned()],
                    None => vec![row.entry.host.to_owned()],
                });
                same("result", &ours, &result)
            }
            #[cfg(feature = "serde")]
            Asked::RedisSource { source, fields } => same(
                "fields",
                &websockify::source_fields(&source),
                &fields.iter().map(String::as_str).collect(),
            ),
            #[cfg(not(feature = "serde"))]
            Asked::TokenFile { .. } | Asked::RedisSource { .. } => return None,
        })
    });
    count.get()
}

#[test]
fn answers_as_they_do() {
    assert!(14 <= answers("nova_access_url"));
}
