//! Browsers: a stream of bytes inside the binary messages of a WebSocket, cut as they come.
//!
//! noVNC and spice-html5 speak so; their servers know the byte stream and nothing of what it comes in. Messages are
//! tokio-tungstenite's, and tokio-util makes a stream of bytes of them; what is here is which messages are bytes, and
//! what becomes of the others.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Sleep, sleep, timeout};
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};
use tokio_util::io::{SinkWriter, StreamReader};

use crate::stream::{ReadAhead, protocol, read_ahead};

/// The path to which both programs connect by default.
const PATH: &str = "/websockify";
/// What both ask for, some versions of them; it means what is done anyway.
const PROTOCOL: &str = "binary";
/// Bytes of one message. Both programs send a few at a time.
const MESSAGE: usize = 64 << 10;
/// First bytes that tell a request of HTTP from other protocols.
const FIRST: usize = 4;
/// Bytes of a request's head. Browsers send about one KiB, more with large cookies.
const HEAD: usize = 16 << 10;
/// Headers in it: as many as the library takes.
const HEADERS: usize = 124;
/// For the whole head, in however many pieces it comes.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// For a browser's answer to our farewell.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a browser was not let in.
#[derive(Debug, thiserror::Error)]
pub enum WebSocketError {
    /// The page comes from elsewhere.
    #[error("no page of ours: {0:?}")]
    Origin(Option<String>),
    /// It is no WebSocket, or the connection failed.
    #[error("no WebSocket: {0}")]
    Handshake(io::Error),
    /// It does not even speak HTTP, but this.
    #[error("no WebSocket: the peer speaks {0}")]
    Foreign(String),
}

/// The bytes inside of a WebSocket.
pub type WebSocket<S> = SinkWriter<StreamReader<Messages<ReadAhead<S>>, Bytes>>;

/// Does the server's part of the handshake. Browsers let every page connect to everywhere, and say which one it is:
/// those from `origins` may.
///
/// The head of the request is read first, and handed to the library in one piece: the library takes a head that comes in
/// many small pieces for an attack.
///
/// # Errors
/// The page is from elsewhere, or the handshake fails; the browser was told so. The head of the request did not come within
/// 5 seconds, or is longer than 16 KiB. For what comes behind the head there is no time limit here.
pub async fn accept<S>(mut stream: S, origins: &[String]) -> Result<WebSocket<S>, WebSocketError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let head = timeout(HEAD_TIME, head(&mut stream)).await;
    let head = head.unwrap_or_else(|_| Err(late()))?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE))
        .max_frame_size(Some(MESSAGE))
        // Each message goes out at once.
        .write_buffer_size(0);
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
    let stream = read_ahead(head, stream);
    let accepted = accept_hdr_async_with_config(stream, judge, Some(config)).await;
    match (accepted, stranger) {
        (Ok(socket), _) => Ok(bytes(socket)),
        (Err(_), Some(origin)) => Err(WebSocketError::Origin(origin)),
        (Err(error), None) => Err(WebSocketError::Handshake(failed(error))),
    }
}

/// The stream of bytes in the messages of a WebSocket.
fn bytes<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
) -> SinkWriter<StreamReader<Messages<S>, Bytes>> {
    SinkWriter::new(StreamReader::new(Messages { socket, farewell: None }))
}

/// Reads the head of a request, and whatever comes with its last bytes. A head that cannot be one, or that ends too soon,
/// is given as far as it was read: the library says what is wrong with it.
async fn head<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<Bytes, WebSocketError> {
    let mut head = BytesMut::with_capacity(4 << 10);
    loop {
        let before = head.len();
        if HEAD <= before {
            return Err(too_long(stream).await);
        }
        let mut room = (&mut head).limit(HEAD - before);
        let is_end = stream.read_buf(&mut room).await.map_err(WebSocketError::Handshake)? == 0;
        // A method that is not known is a method.
        let may_be_method = head.first().is_none_or(u8::is_ascii_uppercase);
        match protocol(&head) {
            Some("HTTP") => {}
            Some(spoken) => return Err(WebSocketError::Foreign(spoken.to_owned())),
            None if !may_be_method => return Err(foreign(&head)),
            None => {}
        }
        let is_line = FIRST <= head.len() && head[before..].contains(&b'\n');
        if is_end || is_line && is_whole(&head) {
            return Ok(head.freeze());
        }
    }
}

/// Whether no more bytes are needed to tell what the request is, or that it is none.
fn is_whole(head: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    !matches!(
        httparse::Request::new(&mut headers).parse(head),
        Ok(httparse::Status::Partial)
    )
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

fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing) => {
            io::Error::new(ErrorKind::BrokenPipe, "the WebSocket is closed")
        }
        error => io::Error::new(ErrorKind::InvalidData, error),
    }
}

/// The messages of a WebSocket, as far as they are bytes.
#[derive(Debug)]
pub struct Messages<S> {
    socket: WebSocketStream<S>,
    /// Ours was said: how long its answer is waited for.
    farewell: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// Closes the WebSocket because of what came, and tells the browser and our log why.
    fn refuse(&mut self, cx: &mut Context<'_>, code: CloseCode, why: &'static str) -> io::Error {
        tracing::info!(why, "the WebSocket is given up");
        if self.say_farewell(code, why).is_ok() {
            // What does not go out now goes out with the next write, or not at all: the connection is over.
            let _ = Pin::new(&mut self.socket).poll_flush(cx);
        }
        io::Error::new(ErrorKind::InvalidData, why)
    }

    fn say_farewell(&mut self, code: CloseCode, why: &'static str) -> Result<(), Error> {
        if self.farewell.is_some() {
            return Ok(());
        }
        self.farewell = Some(Box::pin(sleep(FAREWELL)));
        let farewell = CloseFrame {
            code,
            reason: why.into(),
        };
        Pin::new(&mut self.socket).start_send(Message::Close(Some(farewell)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for Messages<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            let Poll::Ready(next) = Pin::new(&mut self.socket).poll_next(cx) else {
                // A browser that does not answer our farewell has had its time.
                let late = self.farewell.as_mut().map(|farewell| farewell.as_mut().poll(cx));
                return late.unwrap_or(Poll::Pending).map(|()| None);
            };
            let error = match next {
                Some(Ok(Message::Binary(bytes))) => return Poll::Ready(Some(Ok(bytes))),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Text(_))) | Some(Err(Error::Utf8(_))) => self.refuse(
                    cx,
                    CloseCode::Unsupported,
                    "a text message, where bytes come in binary messages",
                ),
                Some(Ok(Message::Close(_))) => {
                    // So that the answer goes out, whatever is done next.
                    let _ = Pin::new(&mut self.socket).poll_flush(cx);
                    return Poll::Ready(None);
                }
                // A browser that is ended leaves without a word.
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) | None => {
                    return Poll::Ready(None);
                }
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                    self.refuse(cx, CloseCode::Size, "a message of more than 64 KiB")
                }
                Some(Err(Error::Protocol(error))) => {
                    tracing::debug!(%error, "WebSocket");
                    self.refuse(cx, CloseCode::Protocol, "a message against the rules of WebSockets")
                }
                Some(Err(error)) => failed(error),
            };
            return Poll::Ready(Some(Err(error)));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sink<&[u8]> for Messages<S> {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_ready(cx).map_err(failed)
    }

    fn start_send(mut self: Pin<&mut Self>, bytes: &[u8]) -> io::Result<()> {
        let message = Message::Binary(Bytes::copy_from_slice(bytes));
        Pin::new(&mut self.socket).start_send(message).map_err(failed)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.farewell.is_none() {
            ready!(Pin::new(&mut self.socket).poll_ready(cx)).map_err(failed)?;
            // A browser that has said its own gets the answer that is on its way.
            let _ = self.say_farewell(CloseCode::Normal, "");
        }
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{SinkExt as _, StreamExt as _};
    use tokio::io::{DuplexStream, duplex};
    use tokio_tungstenite::client_async;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

    const OURS: &str = "https://console.example.org";

    fn origins() -> Vec<String> {
        vec![OURS.to_owned()]
    }

    /// A browser's request.
    fn request() -> Request {
        let mut request = format!("ws://here{PATH}").into_client_request().unwrap();
        request
            .headers_mut()
            .insert(header::ORIGIN, HeaderValue::from_static(OURS));
        request
    }

    /// A WebSocket and the browser on its other end.
    async fn connected() -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
        let (near, far) = duplex(1 << 20);
        let origins = origins();
        let (accepted, browser) = tokio::join!(accept(near, &origins), client_async(request(), far));
        (accepted.unwrap(), browser.unwrap().0)
    }

    /// Bytes of any number go through in both directions, whatever the messages are, and the end is the end.
    #[tokio::test]
    async fn bytes_go_through() {
        // Less than a message, so that writers have to wait.
        let (near, far) = duplex(1000);
        let browser = tokio::spawn(async move {
            let mut request = request();
            request.headers_mut().insert(
                header::SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_static("base64, binary"),
            );
            let (socket, response) = client_async(request, far).await.unwrap();
            assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], PROTOCOL);
            let mut stream = bytes(socket);
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
        let stream = accept(near, &origins()).await.unwrap();
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

    /// The error and the HTTP answer after this request.
    async fn knock(request: &str) -> (String, String) {
        let (near, mut far) = duplex(10_000);
        let request = request.to_owned();
        let sent = tokio::spawn(async move {
            // The end of what is too long is not read.
            let _ = far.write_all(request.as_bytes()).await;
            far
        });
        let refused = match accept(near, &origins()).await {
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        let mut answer = Vec::new();
        let mut far = sent.await.unwrap();
        far.read_to_end(&mut answer).await.unwrap();
        (refused, String::from_utf8_lossy(&answer).into_owned())
    }

    /// A request with these headers; the key is the example of RFC 6455.
    fn get(path: &str, headers: &[&str]) -> String {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        format!(
            "GET {path} HTTP/1.1\r\nHost: here\r\n{headers}Connection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    }

    #[tokio::test]
    async fn others_are_told_no() {
        let (why, answer) = knock(&get(PATH, &["Origin: https://elsewhere.example.org"])).await;
        assert_eq!(why, "no page of ours: Some(\"https://elsewhere.example.org\")");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let (why, answer) = knock(&get(PATH, &[])).await;
        assert_eq!(why, "no page of ours: None");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        // Two origins are none.
        let two = [
            "Origin: https://console.example.org",
            "Origin: https://elsewhere.example.org",
        ];
        let (why, answer) = knock(&get(PATH, &two)).await;
        assert_eq!(why, "no page of ours: None");
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        let (why, answer) = knock(&get("/", &["Origin: https://console.example.org"])).await;
        assert!(why.starts_with("no WebSocket: "), "{why}");
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }

    /// Sub-protocols are one list, however many headers it is spread over.
    #[tokio::test]
    async fn sub_protocols_are_one_list() {
        let ours = "Origin: https://console.example.org";
        let name = "Sec-WebSocket-Protocol";
        for (lists, chosen) in [
            (&["binary"][..], true),
            (&["base64, binary"], true),
            (&["base64", "binary"], true),
            (&["binary", "base64"], true),
            (&["base64", "chat, binary ,x"], true),
            (&["a", "b", "binary"], true),
            (&["base64"], false),
            (&["base64", "binary64", "BINARY"], false),
            (&[""], false),
            (&[], false),
        ] {
            for name in [name, "sec-websocket-protocol"] {
                let headers: Vec<_> = lists.iter().map(|list| format!("{name}: {list}")).collect();
                let headers: Vec<_> = [ours].into_iter().chain(headers.iter().map(String::as_str)).collect();
                let (accepted, answer) = knock(&get(PATH, &headers)).await;
                assert_eq!(accepted, "accepted", "{lists:?}");
                let answer = answer.to_ascii_lowercase();
                assert_eq!(
                    answer.contains("sec-websocket-protocol: binary\r\n"),
                    chosen,
                    "{lists:?}: {answer}"
                );
                assert!(answer.starts_with("http/1.1 101 "), "{answer}");
            }
        }
    }

    /// A peer of another protocol is named, at its first bytes.
    #[tokio::test]
    async fn peers_of_other_protocols_are_named() {
        for (first, why) in [
            ("\x16\x03\x01\x02", "no WebSocket: the peer speaks TLS"),
            ("REDQ\x02", "no WebSocket: the peer speaks SPICE"),
            ("RFB 003.008\n", "no WebSocket: the peer speaks RFB (VNC)"),
            ("SSH-2.0-x\r\n", "no WebSocket: the peer speaks SSH"),
            (
                "hello\r\n",
                "no WebSocket: the peer speaks another protocol: \"hello\\r\\n\"",
            ),
            ("\0", "no WebSocket: the peer speaks another protocol: \"\\x00\""),
        ] {
            let (near, mut far) = duplex(10_000);
            far.write_all(first.as_bytes()).await.unwrap();
            // It is held open: nothing more is waited for.
            let refused = accept(near, &origins()).await.map(|_| ()).unwrap_err();
            assert_eq!(refused.to_string(), why);
        }
        let (why, _) = knock("POST /websockify HTTP/1.1\r\n\r\n").await;
        assert!(why.starts_with("no WebSocket: ") && !why.contains("speaks"), "{why}");
        let (near, far) = duplex(10);
        drop(far);
        let refused = accept(near, &origins()).await.map(|_| ()).unwrap_err();
        assert!(refused.to_string().starts_with("no WebSocket: "), "{refused}");
    }

    /// A request that comes in the smallest pieces is a request, and so are the messages behind it. Time does not pass by
    /// itself.
    #[tokio::test(start_paused = true)]
    async fn requests_in_small_pieces_are_taken() {
        let frame = [0x82, 0x85, 0, 0, 0, 0, b'b', b'y', b't', b'e', b's'];
        let cookie = format!("Cookie: {}", "x".repeat(8000));
        for headers in [&[][..], &[cookie.as_str()]] {
            let origin = format!("Origin: {OURS}");
            let all: Vec<_> = [origin.as_str()].iter().chain(headers).copied().collect();
            let request = get(PATH, &all);
            for (capacity, piece) in [
                (1, 1),
                (2, 1),
                (1 << 16, 1),
                (1 << 16, 7),
                (1 << 10, 1 << 10),
                (1 << 16, 1 << 16),
            ] {
                let (near, far) = duplex(capacity);
                let request = &request;
                let browse = async move {
                    let mut far = far;
                    for piece in request.as_bytes().chunks(piece) {
                        far.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"\r\n\r\n") {
                        answer.push(far.read_u8().await.unwrap());
                    }
                    assert!(answer.starts_with(b"HTTP/1.1 101 "));
                    for piece in frame.chunks(piece) {
                        far.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    answer.clear();
                    far.read_to_end(&mut answer).await.unwrap();
                    assert_eq!(answer, b"\x82\x06answer");
                };
                let origins = origins();
                let take = async {
                    let mut stream = accept(near, &origins).await.unwrap();
                    let mut bytes = [0; 5];
                    stream.read_exact(&mut bytes).await.unwrap();
                    assert_eq!(&bytes, b"bytes");
                    stream.write_all(b"answer").await.unwrap();
                    stream.flush().await.unwrap();
                };
                let all = async { tokio::join!(browse, take) };
                timeout(Duration::from_secs(3600), all).await.expect("it stands still");
            }
        }
    }

    /// A head that does not end is given up: at its size, or when its time is over.
    #[tokio::test(start_paused = true)]
    async fn heads_without_an_end_are_given_up() {
        let (why, answer) = knock(&format!("GET {PATH} HTTP/1.1\r\nCookie: {}", "x".repeat(HEAD))).await;
        assert_eq!(why, "no WebSocket: the head of the request is longer than 16 KiB");
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        let (near, mut far) = duplex(1 << 16);
        let slow = tokio::spawn(async move {
            // A byte a second, for ever.
            while far.write_all(b"G").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = tokio::time::Instant::now();
        let why = accept(near, &origins()).await.map(drop).unwrap_err().to_string();
        assert_eq!(why, "no WebSocket: no whole request within 5 seconds");
        assert_eq!(begun.elapsed(), HEAD_TIME);
        slow.await.unwrap();
    }

    /// What is not bytes ends the WebSocket with a code and a reason for the page, and an error that says what came.
    #[tokio::test]
    async fn what_is_no_bytes_is_told_on_both_sides() {
        let text = |payload: &'static [u8], opcode, is_final| {
            Message::Frame(Frame::message(payload, OpCode::Data(opcode), is_final))
        };
        let mut reserved = Frame::message(&b"x"[..], OpCode::Data(Data::Binary), true);
        reserved.header_mut().rsv1 = true;
        let a_text = "a text message, where bytes come in binary messages";
        let cases = [
            (vec![Message::text("hello")], CloseCode::Unsupported, a_text),
            (vec![Message::text("")], CloseCode::Unsupported, a_text),
            (
                vec![text(b"\xff\xfe", Data::Text, true)],
                CloseCode::Unsupported,
                a_text,
            ),
            (
                vec![
                    text(b"RFB 003.008\n", Data::Text, false),
                    text(b"\x01", Data::Continue, true),
                ],
                CloseCode::Unsupported,
                a_text,
            ),
            (
                vec![Message::binary(vec![0; MESSAGE + 1])],
                CloseCode::Size,
                "a message of more than 64 KiB",
            ),
            (
                vec![Message::Frame(reserved)],
                CloseCode::Protocol,
                "a message against the rules of WebSockets",
            ),
        ];
        for (messages, code, why) in cases {
            let (mut stream, mut browser) = connected().await;
            browser.send(Message::binary(&b"bytes"[..])).await.unwrap();
            for message in messages {
                browser.send(message).await.unwrap();
            }
            let mut bytes = [0; 5];
            stream.read_exact(&mut bytes).await.unwrap();
            let error = stream.read(&mut bytes).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string().as_str()),
                (ErrorKind::InvalidData, why)
            );
            // And nothing can be written any more.
            let error = async {
                stream.write_all(b"more").await?;
                stream.flush().await
            };
            assert_eq!(error.await.unwrap_err().kind(), ErrorKind::BrokenPipe, "{why}");
            let Some(Ok(Message::Close(Some(told)))) = browser.next().await else {
                panic!("no farewell: {why}");
            };
            assert_eq!((told.code, told.reason.as_str()), (code, why));
        }
    }

    /// Pings are answered although nothing is written, and are no bytes; a farewell is answered, and is the end.
    #[tokio::test]
    async fn pings_and_farewells_are_answered() {
        let (mut stream, mut browser) = connected().await;
        browser
            .send(Message::Ping(Bytes::from_static(b"there?")))
            .await
            .unwrap();
        browser.send(Message::binary(Bytes::new())).await.unwrap();
        browser.send(Message::binary(&b"x"[..])).await.unwrap();
        let mut bytes = [0; 9];
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 1);
        assert_eq!(
            browser.next().await.unwrap().unwrap(),
            Message::Pong(Bytes::from_static(b"there?"))
        );
        let farewell = CloseFrame {
            code: CloseCode::Away,
            reason: "the page is gone".into(),
        };
        browser.send(Message::Close(Some(farewell.clone()))).await.unwrap();
        assert_eq!(stream.read(&mut bytes).await.unwrap(), 0);
        assert_eq!(browser.next().await.unwrap().unwrap(), Message::Close(Some(farewell)));
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        stream.shutdown().await.unwrap();
    }

    /// Our farewell has a code, and a browser that does not answer it is not waited for.
    #[tokio::test(start_paused = true)]
    async fn a_browser_that_does_not_answer_a_farewell_is_left() {
        let (mut stream, mut browser) = connected().await;
        stream.shutdown().await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
        assert_eq!(begun.elapsed().as_secs(), FAREWELL.as_secs());
        let Some(Ok(Message::Close(Some(told)))) = browser.next().await else {
            panic!("no farewell");
        };
        assert_eq!(told.code, CloseCode::Normal);
    }
}
