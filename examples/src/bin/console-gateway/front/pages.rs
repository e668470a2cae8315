//! Pages: noVNC's and spice-html5's from their folders, and two of our own.

use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};

use super::web::plain;
use crate::config::Pages;

/// A terminal, with xterm.js.
const SERIAL: &str = include_str!("serial.html");
/// A console as bytes: what passes is shown, for users without a viewer of VMware's.
const MKS: &str = include_str!("mks.html");
/// What [`with_password`] adds.
const SPICE_PASSWORD: &str = include_str!("spice_password.html");
/// Bytes of a file: those of noVNC and spice-html5 are far below.
const LARGEST: u64 = 8 << 20;

/// The file of a path.
pub(super) async fn answer(pages: &Pages, path: &str) -> Response<Body> {
    match path {
        "/serial.html" => return page("text/html; charset=utf-8", SERIAL),
        "/mks.html" => return page("text/html; charset=utf-8", MKS),
        _ => {}
    }
    let Some((path, kind)) = named(path) else {
        return plain(StatusCode::NOT_FOUND);
    };
    let is_auto = path == Path::new("spice_auto.html");
    let folders = match path.strip_prefix("xterm") {
        Ok(inner) => vec![(&pages.xterm, inner.to_owned())],
        Err(_) => vec![(&pages.novnc, path.clone()), (&pages.spice_html5, path)],
    };
    for (folder, path) in folders {
        if let Some(bytes) = read(&folder.join(path)).await {
            return match is_auto {
                true => page(kind, with_password(bytes)),
                false => page(kind, bytes),
            };
        }
    }
    plain(StatusCode::NOT_FOUND)
}

/// The page of spice-html5 with one script more. The page keeps the token of its address in a cookie, and shows the SPICE
/// server an empty password: here the token is both, and stands in the address of each WebSocket.
fn with_password(mut bytes: Vec<u8>) -> Vec<u8> {
    const HEAD: &[u8] = b"<head>";
    if let Some(at) = bytes
        .windows(HEAD.len())
        .position(|window| window.eq_ignore_ascii_case(HEAD))
    {
        let at = at + HEAD.len();
        bytes.splice(at..at, SPICE_PASSWORD.bytes());
    }
    bytes
}

async fn read(path: &Path) -> Option<Vec<u8>> {
    let about = tokio::fs::metadata(path).await.ok()?;
    (about.is_file() && about.len() <= LARGEST).then_some(())?;
    tokio::fs::read(path).await.ok()
}

/// A path below a folder, and what kind of file it is. Nothing that leads out of it, and no file that is hidden.
fn named(path: &str) -> Option<(PathBuf, &'static str)> {
    let path = path.strip_prefix('/')?;
    if path.contains(['%', '\\', '\0']) || path.contains("//") {
        return None;
    }
    let path = Path::new(path);
    let is_plain =
        |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
    if path.as_os_str().is_empty() || !path.components().all(is_plain) {
        return None;
    }
    let kind = match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "oga" => "audio/ogg",
        "mp3" => "audio/mpeg",
        _ => return None,
    };
    Some((path.to_owned(), kind))
}

/// The address of a page has a token in it, which no other site is to learn.
fn page(kind: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let mut answer = Response::new(bytes.into());
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_spice_html5_knows_its_password_before_its_own_scripts_run() {
        let page = with_password(b"<html><HEAD><script type=module></script></HEAD></html>".to_vec());
        let page = String::from_utf8(page).unwrap();
        let [own, theirs] = ["history.replaceState", "type=module"].map(|words| page.find(words).unwrap());
        assert!(own < theirs, "{page}");
        assert_eq!(with_password(b"no page".to_vec()), b"no page");
    }

    #[test]
    fn no_path_leads_out_of_its_folder() {
        for path in [
            "/",
            "",
            "/..",
            "/../etc/passwd.html",
            "/core/../../x.js",
            "//etc/x.js",
            "/a//b.js",
            "/%2e%2e/x.js",
            "/.git/x.js",
            "/core/.x.js",
            "/x.py",
            "/x",
            "/core\\x.js",
        ] {
            assert!(named(path).is_none(), "{path}");
        }
        let (path, kind) = named("/core/util/browser.js").unwrap();
        assert_eq!(
            (path.to_str(), kind),
            (Some("core/util/browser.js"), "text/javascript; charset=utf-8")
        );
    }
}
