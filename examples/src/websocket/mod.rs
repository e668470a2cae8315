//! Browsers: a stream of bytes inside the binary messages of a WebSocket, cut as they come.
//!
//! noVNC and spice-html5 speak so; their servers know the byte stream and nothing of what it comes in. Messages are
//! tokio-tungstenite's, and tokio-util makes a stream of bytes of them; what is here is which messages are bytes, and
//! what becomes of the others.

mod messages;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tokio_util::io::{SinkWriter, StreamReader};

use messages::failed;
pub use messages::{CloseReason, Messages};

use crate::head::{self, Head};
use crate::stream::{ReadAhead, protocol, read_ahead};

/// The path to which both programs connect by default.
const PATH: &str = "/websockify";
/// What both ask for, some versions of them; it means what is done anyway.
const PROTOCOL: &str = "binary";
/// Bytes of one message. Both programs send a few at a time.
const MESSAGE: usize = 64 << 10;
/// Bytes of a request's head. Browsers send about one KiB, more with large cookies.
const HEAD: usize = 16 << 10;
/// For the whole head, in however many pieces it comes.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Why a browser was not let in.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The page comes from elsewhere.
    #[error("no page of ours: {0:?}")]
    Origin(Option<String>),
    /// It is no WebSocket, or the connection failed.
    #[error("no WebSocket: {0}")]
    Handshake(#[from] io::Error),
    /// It does not even speak HTTP, but this.
    #[error("no WebSocket: the peer speaks {0}")]
    Foreign(String),
}

/// The bytes inside of a WebSocket.
pub type WebSocket<S> = SinkWriter<StreamReader<Messages<S>, Bytes>>;

/// The value of `Sec-WebSocket-Accept` for a request's `Sec-WebSocket-Key`.
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    derive_accept_key(key)
}

/// Whether a request offers the sub-protocol that both programs know.
#[must_use]
pub fn offers_binary(headers: &HeaderMap) -> bool {
    offers(headers, PROTOCOL)
}

/// The bytes inside of a WebSocket whose handshake is over, and what is to be said at its end.
pub async fn over<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (WebSocket<S>, CloseReason) {
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config())).await;
    let reason = CloseReason::default();
    (bytes(socket, reason.clone()), reason)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE))
        // Each message goes out at once.
        .write_buffer_size(0)
}

/// Does the server's part of the handshake. Browsers let every page connect to everywhere, and say which one it is:
/// those from `origins` may.
///
/// The head of the request is read first, and handed to the library in one piece: the library takes a head that comes in
/// many small pieces for an attack.
///
/// # Errors
/// The page is from elsewhere, or the handshake fails; the browser was told so. The head of the request did not come within
/// 5 seconds, or is longer than 16 KiB. For what comes behind the head there is no time limit here.
pub async fn accept<S>(mut stream: S, origins: &[String]) -> Result<WebSocket<ReadAhead<S>>, WebSocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = timeout(HEAD_TIME, request(&mut stream)).await;
    let Head { head, rest, .. } = request.unwrap_or_else(|_| Err(late()))?;
    let mut stranger = None;
    #[allow(clippy::result_large_err, reason = "the library wants it so")]
    let judge = |request: &Request, mut response: Response| {
        if request.uri().path() != PATH {
            return Err(refusal(StatusCode::NOT_FOUND));
        }
        let origin = origin(request.headers());
        if !origin.is_some_and(|origin| origins.iter().any(|allowed| allowed == origin)) {
            stranger = Some(origin.map(str::to_owned));
            return Err(refusal(StatusCode::FORBIDDEN));
        }
        if offers(request.headers(), PROTOCOL) {
            let protocol = HeaderValue::from_static(PROTOCOL);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        Ok(response)
    };
    // In two reads: what a browser says before it is answered is nothing to the library, if it comes behind the head.
    let stream = read_ahead([head, rest], stream);
    let accepted = accept_hdr_async_with_config(stream, judge, Some(config())).await;
    match (accepted, stranger) {
        (Ok(socket), _) => Ok(bytes(socket, CloseReason::default())),
        (Err(_), Some(origin)) => Err(WebSocketError::Origin(origin)),
        (Err(error), None) => Err(WebSocketError::Handshake(failed(error))),
    }
}

/// The stream of bytes in the messages of a WebSocket.
fn bytes<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocketStream<S>, reason: CloseReason) -> WebSocket<S> {
    SinkWriter::new(StreamReader::new(Messages {
        reason,
        socket,
        farewell: None,
    }))
}

/// Reads the head of a request. A head that cannot be one, or that ends too soon, is given as far as it was read: the library
/// says what is wrong with it.
async fn request<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Head, WebSocketError> {
    let head = head::read(stream, HEAD, |first| {
        // A method that is not known is a method.
        let may_be_method = first.first().is_none_or(u8::is_ascii_uppercase);
        match protocol(first) {
            Some("HTTP") => Ok(()),
            Some(spoken) => Err(WebSocketError::Foreign(spoken.to_owned())),
            None if !may_be_method => Err(foreign(first)),
            None => Ok(()),
        }
    });
    match head.await? {
        head if head.is_too_long => Err(too_long(stream).await),
        head => Ok(head),
    }
}

fn foreign(first: &[u8]) -> WebSocketError {
    let shown = &first[..first.len().min(16)];
    WebSocketError::Foreign(format!("another protocol: \"{}\"", shown.escape_ascii()))
}

fn late() -> WebSocketError {
    let kind = ErrorKind::TimedOut;
    WebSocketError::Handshake(io::Error::new(kind, "no whole request within 5 seconds"))
}

async fn too_long<S: AsyncWrite + Unpin>(stream: &mut S) -> WebSocketError {
    let refusal = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n";
    // The browser may have gone meanwhile.
    if stream.write_all(refusal).await.is_ok() {
        let _ = stream.flush().await;
    }
    let kind = ErrorKind::InvalidData;
    WebSocketError::Handshake(io::Error::new(kind, "the head of the request is longer than 16 KiB"))
}

/// The page that connects. Browsers name one; where there are more, none is meant.
fn origin(headers: &HeaderMap) -> Option<&str> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let (origin, more) = (origins.next()?, origins.next());
    origin.to_str().ok().filter(|_| more.is_none())
}

/// Whether a sub-protocol is among those that are offered. They are one list, however many headers it is spread over
/// (RFC 6455 section 11.3.4).
fn offers(headers: &HeaderMap, wanted: &str) -> bool {
    let lists = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    let names = lists
        .filter_map(|list| list.to_str().ok())
        .flat_map(|list| list.split(','));
    names.map(str::trim).any(|name| name == wanted)
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    response
}
