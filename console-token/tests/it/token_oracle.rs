//! What Nova and websockify make of texts, compared with what this crate makes of them.

use core::cell::Cell;

use console_token::AccessUrl;
use console_token::web::place;
use serde::{Deserialize, de::IgnoredAny};

use crate::oracle::{each, same};

#[derive(Deserialize)]
struct Row {
    kind: String,
    #[serde(flatten)]
    asked: Asked,
}

#[derive(Deserialize)]
#[serde(untagged)]
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
    Other(IgnoredAny),
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
            Asked::Other(_) => return None,
        })
    });
    count.get()
}

#[test]
fn answers_as_they_do() {
    assert!(14 <= answers("nova_access_url"));
}
