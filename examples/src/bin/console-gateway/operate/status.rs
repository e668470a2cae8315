//! The page for operators: live sessions, each with a button that ends it; and the last moves and refusals.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode, header};
use console_token::web::place;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde_json::{Map, Value};

use super::book::Listed;
use crate::front::Guestbook;
use crate::front::web::plain;
use crate::gateway::Gateway;

/// Bytes of the form that a button sends.
const FORM: usize = 1024;

/// Answers a client that shows the token of the API, as Basic password.
pub(crate) async fn answer(gateway: &Arc<Gateway>, guest: &Guestbook, request: Request<Incoming>) -> Response<Body> {
    let from = guest.peer.ip();
    // After too many wrong ones none is looked at, and the answer is the same.
    let heard = gateway.may_guess(from).is_ok();
    let shown = request.headers().get_all(header::AUTHORIZATION).iter();
    let shown: Vec<_> = shown.map(|value| value.to_str().unwrap_or_default()).collect();
    let token = place::basic(shown).ok().flatten().and_then(|shown| shown.secret().ok());
    let is_shown = token.is_some();
    if !heard || token.is_none_or(|token| token != gateway.live().api_token) {
        // A browser asks without at first.
        if heard && is_shown {
            gateway.guessed(from);
        }
        gateway.metrics.refused(if heard { "status" } else { "guesses" });
        let mut answer = plain(StatusCode::UNAUTHORIZED);
        let challenge = HeaderValue::from_static("Basic realm=\"console-gateway\", charset=\"UTF-8\"");
        answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return answer;
    }
    guest.place.known();
    match *request.method() {
        Method::GET | Method::HEAD => page(&gateway.book.all().await, gateway),
        Method::POST => end(gateway, request).await,
        _ => plain(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// A button was pressed: on this page, and on none of another site that its reader has open.
async fn end(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let site = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    if !matches!(site, None | Some(b"same-origin")) {
        return plain(StatusCode::FORBIDDEN);
    }
    let form = Limited::new(request.into_body(), FORM).collect().await;
    let form = form.map(|form| form.to_bytes()).unwrap_or_default();
    let id = form.strip_prefix(b"end=").and_then(|id| std::str::from_utf8(id).ok());
    match id {
        Some(id) if gateway.end_session(id).await => {
            let mut answer = plain(StatusCode::SEE_OTHER);
            answer
                .headers_mut()
                .insert(header::LOCATION, HeaderValue::from_static("/status"));
            answer
        }
        Some(_) => plain(StatusCode::NOT_FOUND),
        None => plain(StatusCode::BAD_REQUEST),
    }
}

/// What the last moves and refusals of this gateway say, as heads of columns and keys of lines of the audit log.
const MOVES: [(&str, &str); 8] = [
    ("At", "at"),
    ("Guest", "guest"),
    ("Announced", "announced"),
    ("From", "from"),
    ("To", "to"),
    ("Milliseconds", "milliseconds"),
    ("Outcome", "outcome"),
    ("Why", "why"),
];
const REFUSALS: [(&str, &str); 3] = [("At", "at"), ("Peer", "peer"), ("Why", "why")];

/// Lines of the audit log as a table.
fn table(id: &str, columns: &[(&str, &str)], lines: &[Map<String, Value>]) -> String {
    let mut table = format!("<table id=\"{id}\"><tr>");
    for (head, _) in columns {
        let _ = write!(table, "<th>{head}");
    }
    table.push_str("</tr>\n");
    for line in lines {
        table.push_str("<tr>");
        for (_, key) in columns {
            let text = match line.get(*key) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            let _ = write!(table, "<td>{}</td>", escaped(&text));
        }
        table.push_str("</tr>\n");
    }
    table.push_str("</table>\n");
    table
}

fn page(sessions: &[Listed], gateway: &Gateway) -> Response<Body> {
    let mut rows = String::new();
    for session in sessions {
        let user = session.user.as_deref().unwrap_or_default();
        let cells = [
            &session.name,
            &session.protocol,
            user,
            &session.peer,
            &session.since,
            &session.active_at,
            &session.place,
            &session.gateway,
            &session.fingerprint,
        ];
        let _ = write!(
            rows,
            "<tr><td><form method=\"post\"><button name=\"end\" value=\"{}\">End</button></form></td>",
            escaped(&session.id)
        );
        for cell in cells {
            let _ = write!(rows, "<td>{}</td>", escaped(cell));
        }
        let _ = writeln!(
            rows,
            "<td>{}</td><td>{}</td><td>{}</td></tr>",
            session.channels, session.bytes_to_guest, session.bytes_from_guest,
        );
    }
    let moves = table("moves", &MOVES, &gateway.audit.moves());
    let refusals = table("refusals", &REFUSALS, &gateway.audit.refusals());
    let html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"5\">\n\
         <title>Consoles</title><style>body{{font-family:sans-serif}}td,th{{padding:2px 8px;text-align:left}}</style></head>\n\
         <body><h1>Open consoles: {}</h1><p>Gateway {}</p>\n<table id=\"sessions\"><tr><th><th>Guest<th>Protocol<th>User<th>Peer<th>Since<th>Active<th>Place\
         <th>Gateway<th>Token<th>Channels<th>To guest<th>From guest</tr>\n{rows}</table>\n\
         <h2>Last moves</h2>\n{moves}<h2>Last refusals</h2>\n{refusals}</body></html>\n",
        sessions.len(),
        escaped(&gateway.id),
    );
    let mut answer = Response::new(Body::from(html));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
        ),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
