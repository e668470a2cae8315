//! Every kind of console through the program, in front of small stand-ins for what is behind it.

mod api;
mod dialled;
mod fakes;
#[cfg(feature = "stores")]
mod gateways;
mod guesses;
#[cfg(feature = "stores")]
#[allow(dead_code, reason = "shared with tests/stores.rs")]
mod hypervisor;
mod mks;
mod network;
mod operate;
mod resolvers;
mod serial;
mod spice_moves;
mod tunnels;
mod vnc;

use std::net::SocketAddr;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::http::{Answer, request};
use crate::program::{BEARER, PATIENCE, Service};

/// A configuration with a web listener and these guests.
fn with_guests(guests: &str) -> String {
    with("", guests)
}

/// The same with further sections.
fn with(sections: &str, guests: &str) -> String {
    format!(
        "[api]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"api.token\"\n\
         [listen]\nweb_plain = \"127.0.0.1:0\"\n{sections}\n{guests}\n"
    )
}

/// A guest with one console, which has one place.
fn guest(id: &str, protocol: &str, place: &str) -> String {
    format!("[[guest]]\nid = \"{id}\"\n{}", console(protocol, place))
}

fn console(protocol: &str, place: &str) -> String {
    format!("[[guest.console]]\nprotocol = \"{protocol}\"\n[[guest.console.place]]\n{place}\n")
}

/// A call of the API.
fn call(service: &Service, line: &str, body: &str) -> Answer {
    let bearer = [format!("X-Auth-Token: {BEARER}")];
    request(service.api(), line, &bearer, body)
}

/// A token for a console.
fn token(service: &Service, body: &str) -> String {
    created(service, body).json("token")
}

fn created(service: &Service, body: &str) -> Answer {
    let answer = call(service, "POST /v1/consoles", body);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{answer:?}"))
}

/// The open sessions.
fn sessions(service: &Service) -> Vec<Value> {
    let answer = call(service, "GET /v1/sessions", "");
    json(&answer)["sessions"].as_array().expect("a list").clone()
}

type Socket = WebSocketStream<TcpStream>;

/// Opens a WebSocket, or gives the status in its place.
async fn websocket(web: SocketAddr, token: &str) -> Result<Socket, u16> {
    websocket_with(web, &format!("/?token={token}"), &[]).await
}

async fn websocket_with(web: SocketAddr, target: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://{web}{target}").into_client_request().expect("a request");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a value"));
    }
    let stream = TcpStream::connect(web).await.expect("the web listener");
    match timeout(PATIENCE, client_async(request, stream))
        .await
        .expect("an answer in time")
    {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn send(socket: &mut Socket, bytes: &[u8]) {
    socket.send(Message::binary(bytes.to_vec())).await.expect("it is open");
}

/// So many bytes, however they come.
async fn receive(socket: &mut Socket, length: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        match timeout(PATIENCE, socket.next()).await.expect("bytes in time") {
            Some(Ok(Message::Binary(more))) => bytes.extend_from_slice(&more),
            other => panic!("{other:?} after {bytes:?}"),
        }
    }
    bytes
}

/// The code with which it is closed.
async fn close_code(socket: &mut Socket) -> Option<u16> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("an end in time") {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// Asks again until it is so.
async fn soon(what: &str, mut met: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !met() {
        assert!(began.elapsed() < PATIENCE, "waited in vain for {what}");
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
}
