//! Browsers that are well-behaved, slow and odd.

use super::messages::FAREWELL;
use super::*;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, DuplexStream, duplex};
use tokio::time::sleep;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

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
async fn connected() -> (WebSocket<ReadAhead<DuplexStream>>, WebSocketStream<DuplexStream>) {
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
        let mut stream = bytes(socket, CloseReason::default());
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

/// What a browser says before it is answered comes out of the WebSocket, however it is cut on its way.
#[tokio::test]
async fn what_lies_behind_the_request_is_of_the_websocket() {
    let asks = get(PATH, &[&format!("Origin: {OURS}")]);
    for piece in [1, 7, 64, 4096] {
        let (near, far) = duplex(piece);
        let (mut read, mut write) = tokio::io::split(far);
        let frame: [u8; 9] = [0x82, 0x83, 0, 0, 0, 0, b'h', b'e', b'y'];
        let said = [asks.as_bytes(), &frame[..]].concat();
        let says = async { write.write_all(&said).await.unwrap() };
        let answered = async {
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(read.read_u8().await.unwrap());
            }
            answer
        };
        let hears = async {
            let mut socket = accept(near, &origins()).await.unwrap();
            let mut bytes = [0; 3];
            socket.read_exact(&mut bytes).await.unwrap();
            bytes
        };
        let ((), answer, heard) = tokio::join!(says, answered, hears);
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "pieces of {piece}");
        assert_eq!(&heard, b"hey", "pieces of {piece}");
    }
}
