//! What Nova and websockify make of texts, compared with what this crate makes of them.

use console_token::AccessUrl;
use serde::Deserialize;

use crate::oracle::{each, same};

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Row {
    NovaAccessUrl {
        console_type: String,
        access_url_base: String,
        token: String,
        url: String,
    },
    #[serde(other)]
    Other,
}

#[test]
fn answers_as_they_do() {
    each("TOKEN_ORACLE", "token-oracle.jsonl", |row| {
        Some(match row {
            Row::NovaAccessUrl {
                console_type,
                access_url_base,
                token,
                url,
            } => {
                let ours = AccessUrl::nova(console_type.parse().unwrap(), &access_url_base, &token);
                same("url", &ours.unwrap().expose(), &url.as_str())
            }
            Row::Other => return None,
        })
    });
}
