//! A request that becomes a WebSocket, or a tunnel.

use std::io;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use examples::websocket::{self, CloseReason, WebSocket};
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded, on};
use hyper_util::rt::TokioIo;

/// What is asked for, until it is answered.
pub(crate) struct Upgrade {
    becomes: OnUpgrade,
    accept: HeaderValue,
    binary: bool,
}

impl Upgrade {
    /// The WebSocket that a request asks for, if it does (RFC 6455 section 4.2.1).
    pub(crate) fn of(request: &mut Request<Incoming>) -> Option<Result<Self, StatusCode>> {
        let headers = request.headers();
        if !has(headers, header::UPGRADE, "websocket") || !has(headers, header::CONNECTION, "upgrade") {
            return None;
        }
        let key = headers.get(header::SEC_WEBSOCKET_KEY);
        let version = headers.get(header::SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes);
        let (Some(key), Some(b"13")) = (key, version) else {
            return Some(Err(StatusCode::UPGRADE_REQUIRED));
        };
        let accept = websocket::accept_key(key.as_bytes());
        let Ok(accept) = HeaderValue::from_str(&accept) else {
            return Some(Err(StatusCode::BAD_REQUEST));
        };
        let binary = websocket::offers_binary(headers);
        Some(Ok(Self {
            accept,
            binary,
            becomes: on(request),
        }))
    }

    /// The answer with which the WebSocket begins.
    pub(crate) fn answer(&self) -> Response<Body> {
        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = answer.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        if self.binary {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("binary"));
        }
        answer
    }

    /// The bytes in it, once it was answered.
    pub(crate) async fn stream(self) -> io::Result<(WebSocket<TokioIo<Upgraded>>, CloseReason)> {
        let stream = self.becomes.await.map_err(io::Error::other)?;
        Ok(websocket::over(TokioIo::new(stream)).await)
    }
}

/// Whether a header that is a list has this entry.
fn has(headers: &HeaderMap, name: header::HeaderName, wanted: &str) -> bool {
    let lists = headers.get_all(name).iter().filter_map(|list| list.to_str().ok());
    let mut entries = lists.flat_map(|list| list.split(','));
    entries.any(|entry| entry.trim().eq_ignore_ascii_case(wanted))
}
