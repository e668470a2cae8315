//! Browsers: a stream of bytes inside the binary messages of a WebSocket, cut as they come.
//!
//! noVNC and spice-html5 speak so; their servers know the byte stream and nothing of what it comes in.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use futures_util::{Sink as _, Stream as _};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

/// Where both programs connect to if they are told nothing else.
const PATH: &str = "/websockify";
/// What both ask for, some versions of them; it means what is done anyway.
const PROTOCOL: &str = "binary";
/// Bytes of one message. Both programs send a few at a time.
const MESSAGE: usize = 64 << 10;

/// Why a browser was not let in.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The page comes from elsewhere.
    #[error("no page of ours: {0:?}")]
    Origin(Option<String>),
    /// It is no WebSocket, or the connection failed.
    #[error("no WebSocket: {0}")]
    Handshake(io::Error),
}

/// Does the server's part of the handshake. Browsers let every page connect to everywhere, and say which one it is:
/// those from `origins` may.
///
/// # Errors
/// The page is from elsewhere, or the handshake fails; the browser was told so. There is no time limit here.
pub async fn accept<S>(stream: S, origins: &[String]) -> Result<WebSocket<S>, WebSocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE))
        // Each message goes out at once.
        .write_buffer_size(0)
        .max_write_buffer_size(2 * MESSAGE);
    let mut stranger = None;
    #[allow(clippy::result_large_err, reason = "the library wants it so")]
    let judge = |request: &Request, mut response: Response| {
        if request.uri().path() != PATH {
            return Err(refusal(StatusCode::NOT_FOUND));
        }
        let origin = text(request.headers(), header::ORIGIN);
        if !origin.is_some_and(|origin| origins.iter().any(|allowed| allowed == origin)) {
            stranger = Some(origin.map(str::to_owned));
            return Err(refusal(StatusCode::FORBIDDEN));
        }
        let offered = text(request.headers(), header::SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
        if offered.split(',').any(|name| name.trim() == PROTOCOL) {
            let protocol = HeaderValue::from_static(PROTOCOL);
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        Ok(response)
    };
    let accepted = accept_hdr_async_with_config(stream, judge, Some(config)).await;
    match (accepted, stranger) {
        (Ok(socket), _) => Ok(WebSocket {
            socket,
            received: Bytes::new(),
        }),
        (Err(_), Some(origin)) => Err(WebSocketError::Origin(origin)),
        (Err(error), None) => Err(WebSocketError::Handshake(failed(error))),
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn refusal(status: StatusCode) -> ErrorResponse {
    let mut response = ErrorResponse::new(None);
    *response.status_mut() = status;
    response
}

fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(ErrorKind::InvalidData, error),
    }
}

/// The bytes inside of a WebSocket.
#[derive(Debug)]
pub struct WebSocket<S> {
    socket: WebSocketStream<S>,
    /// What is left of the last message.
    received: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.received.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => self.received = bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "a text in a stream of bytes",
                    )));
                }
                // A browser that is ended leaves without a word.
                Some(Ok(Message::Close(_)))
                | Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)))
                | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(failed(error))),
            }
        }
        let length = self.received.len().min(buf.remaining());
        buf.put_slice(&self.received[..length]);
        self.received.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let socket = &mut self.socket;
        ready!(Pin::new(&mut *socket).poll_ready(cx)).map_err(failed)?;
        let piece = &buf[..buf.len().min(MESSAGE)];
        let message = Message::Binary(Bytes::copy_from_slice(piece));
        Pin::new(socket).start_send(message).map_err(failed)?;
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(cx).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio_tungstenite::client_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

    const OURS: &str = "https://console.example.org";

    /// Bytes of any number go through in both directions, whatever the messages are, and the end is the end.
    #[tokio::test]
    async fn bytes_go_through() {
        // Less than a message, so that writers have to wait.
        let (near, far) = duplex(1000);
        let browser = tokio::spawn(async move {
            let mut request = format!("ws://here{PATH}").into_client_request().unwrap();
            let headers = request.headers_mut();
            headers.insert(header::ORIGIN, HeaderValue::from_static(OURS));
            headers.insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static("base64, binary"),
            );
            let (socket, response) = client_async(request, far).await.unwrap();
            assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], PROTOCOL);
            let mut stream = WebSocket {
                socket,
                received: Bytes::new(),
            };
            let mut echo = [0; 100];
            loop {
                let length = stream.read(&mut echo).await.unwrap();
                if length == 0 {
                    return stream.shutdown().await;
                }
                stream.write_all(&echo[..length]).await.unwrap();
                stream.flush().await.unwrap();
            }
        });
        let stream = accept(near, &[OURS.to_owned()]).await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let sent: Vec<u8> = (0..300_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let bytes = sent.clone();
        let send = tokio::spawn(async move {
            writer.write_all(&bytes).await.unwrap();
            writer.flush().await.unwrap();
            writer
        });
        let mut received = vec![0; sent.len()];
        reader.read_exact(&mut received).await.unwrap();
        assert!(received == sent);
        send.await.unwrap().shutdown().await.unwrap();
        assert_eq!(reader.read(&mut received).await.unwrap(), 0);
        browser.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn others_are_told_no() {
        let knock = |path: &'static str, origin: &'static str| async move {
            let (near, mut far) = duplex(10_000);
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: here\r\n{origin}Connection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            );
            far.write_all(request.as_bytes()).await.unwrap();
            let refused = accept(near, &[OURS.to_owned()]).await.unwrap_err();
            let mut answer = String::new();
            far.read_to_string(&mut answer).await.unwrap();
            (refused.to_string(), answer)
        };
        let (why, answer) = knock(PATH, "Origin: https://elsewhere.example.org\r\n").await;
        assert_eq!(why, "no page of ours: Some(\"https://elsewhere.example.org\")");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let (why, answer) = knock(PATH, "").await;
        assert_eq!(why, "no page of ours: None");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let (why, answer) = knock("/", "Origin: https://console.example.org\r\n").await;
        assert!(why.starts_with("no WebSocket: "), "{why}");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
}
