//! A simulated browser: a page's WebSocket, with the token in its URL.

use std::net::SocketAddr;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::hypervisor::SOON;
use super::report::Outcome;
use crate::front::tls::Stream;

/// A WebSocket that is open.
pub(super) struct Browser {
    socket: WebSocketStream<Stream>,
    heard: BytesMut,
}

impl Browser {
    /// Opens a WebSocket with a token, or gives the status in its place.
    pub(super) async fn open(web: SocketAddr, token: &str) -> Outcome<Result<Self, u16>> {
        Self::open_from(web, token, None).await
    }

    /// The same, from a page of this origin.
    pub(super) async fn open_from(web: SocketAddr, token: &str, origin: Option<&str>) -> Outcome<Result<Self, u16>> {
        let tcp = TcpStream::connect(web).await?;
        tcp.set_nodelay(true)?;
        Self::over(Box::new(tcp), &format!("ws://{web}/?token={token}"), origin).await
    }

    /// The same, over a connection that is there.
    pub(super) async fn over(stream: Stream, url: &str, origin: Option<&str>) -> Outcome<Result<Self, u16>> {
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(
            HeaderName::from_static("sec-websocket-protocol"),
            HeaderValue::from_static("binary"),
        );
        if let Some(origin) = origin {
            headers.insert(HeaderName::from_static("origin"), HeaderValue::from_str(origin)?);
        }
        match client_async(request, stream).await {
            Ok((socket, _)) => Ok(Ok(Self {
                socket,
                heard: BytesMut::new(),
            })),
            Err(Error::Http(answer)) => Ok(Err(answer.status().as_u16())),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a WebSocket, which has to work.
    pub(super) async fn let_in(web: SocketAddr, token: &str) -> Outcome<Self> {
        let opened = Self::open(web, token).await?;
        opened.map_err(|status| format!("a good token was answered with {status}").into())
    }

    /// Fails unless the token is refused with this status.
    pub(super) async fn refused(web: SocketAddr, token: &str, status: u16, what: &str) -> Outcome<()> {
        match Self::open(web, token).await? {
            Err(answered) if answered == status => Ok(()),
            Err(answered) => Err(format!("{what}: answered with {answered}, not {status}").into()),
            Ok(_) => Err(format!("{what}: was let in").into()),
        }
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        Ok(self.socket.send(Message::binary(bytes.to_vec())).await?)
    }

    /// So many bytes, however they come.
    pub(super) async fn receive(&mut self, length: usize) -> Outcome<Bytes> {
        while self.heard.len() < length {
            match timeout(SOON, self.socket.next()).await? {
                Some(Ok(Message::Binary(more))) => self.heard.extend_from_slice(&more),
                Some(Ok(Message::Close(_))) | None => return Err("the WebSocket was closed".into()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
            }
        }
        Ok(self.heard.split_to(length).freeze())
    }

    /// A number of four bytes.
    pub(super) async fn number(&mut self) -> Outcome<u32> {
        Ok(self.receive(4).await?.get_u32())
    }

    /// Fails unless the gateway closes it with this code.
    pub(super) async fn closed_with(&mut self, code: u16) -> Outcome<()> {
        let closed = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| u16::from(frame.code)),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        match timeout(SOON, closed).await {
            Ok(Some(closed)) if closed == code => Ok(()),
            Ok(closed) => Err(format!("the WebSocket was closed with {closed:?}, not {code}").into()),
            Err(_) => Err("the console stays open".into()),
        }
    }

    /// Leaves.
    pub(super) async fn close(mut self) -> Outcome<()> {
        Ok(self.socket.close(None).await?)
    }
}
