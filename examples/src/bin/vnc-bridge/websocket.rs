//! Browsers: the same bytes in the binary messages of a WebSocket, cut as they come.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::BytesMut;
use examples::vnc::Stream;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::info;

use crate::listen::{House, serve};

/// Bytes of one message, and bytes under way in each direction. noVNC sends a few at a time.
const MESSAGE: usize = 64 << 10;
/// For the last words on a connection.
const GOODBYE: Duration = Duration::from_secs(1);

/// Accepts browsers for ever.
pub(crate) async fn accept(listener: Option<TcpListener>, house: Arc<House>) -> io::Result<()> {
    let Some(listener) = listener else {
        return Ok(());
    };
    let router = Router::new().route("/websockify", any(upgrade)).with_state(house);
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// A page wants to connect. Browsers let every page do that, and say which one it is.
async fn upgrade(
    State(house): State<Arc<House>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: WebSocketUpgrade,
) -> Response {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    if !origin.is_some_and(|origin| house.config.origins.iter().any(|allowed| allowed == origin)) {
        info!(%peer, origin, "no page of ours");
        return StatusCode::FORBIDDEN.into_response();
    }
    request
        .max_message_size(MESSAGE)
        // What old noVNC asks for; it means what is done anyway.
        .protocols(["binary"])
        .on_upgrade(move |socket| serve(house, stream(socket), peer))
}

/// The bytes inside a WebSocket.
fn stream(socket: WebSocket) -> Stream {
    let (near, far) = duplex(MESSAGE);
    tokio::spawn(pump(socket, far));
    Box::new(near)
}

/// Moves bytes both ways, each at its own pace, until one side is at its end.
async fn pump(socket: WebSocket, inside: DuplexStream) {
    let (mut sink, mut source) = socket.split();
    let (mut from, mut to) = split(inside);
    let received = async {
        while let Some(Ok(message)) = source.next().await {
            match message {
                Message::Binary(bytes) => match to.write_all(&bytes).await {
                    Ok(()) => {}
                    Err(_) => break,
                },
                Message::Ping(_) | Message::Pong(_) => {}
                // A text is no VNC.
                Message::Text(_) | Message::Close(_) => break,
            }
        }
        let _ = to.shutdown().await;
    };
    let sent = async {
        let mut bytes = BytesMut::with_capacity(MESSAGE);
        while from.read_buf(&mut bytes).await.unwrap_or(0) != 0 {
            if sink.send(Message::Binary(bytes.split().freeze())).await.is_err() {
                break;
            }
            bytes.reserve(MESSAGE);
        }
        let _ = sink.close().await;
    };
    tokio::pin!(received, sent);
    // Who is at its end may still have to hear the other's last words.
    tokio::select! {
        () = &mut received => drop(timeout(GOODBYE, &mut sent).await),
        () = &mut sent => drop(timeout(GOODBYE, &mut received).await),
    }
}
