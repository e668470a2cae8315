//! The messages of a WebSocket.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

/// For a browser's answer to our farewell.
pub(super) const FAREWELL: Duration = Duration::from_secs(5);

pub(super) fn failed(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(ProtocolError::SendAfterClosing) => {
            io::Error::new(ErrorKind::BrokenPipe, "the WebSocket is closed")
        }
        error => io::Error::new(ErrorKind::InvalidData, error),
    }
}

/// Why a WebSocket will be closed, if that is to be said.
#[derive(Debug, Clone, Default)]
pub struct CloseReason(Arc<Mutex<Option<(u16, &'static str)>>>);

impl CloseReason {
    /// The code and the text of the last message (RFC 6455 section 7.4).
    pub fn set(&self, code: u16, text: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((code, text));
    }

    fn get(&self) -> (CloseCode, &'static str) {
        let set = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        set.map_or((CloseCode::Normal, ""), |(code, text)| (code.into(), text))
    }
}

/// The messages of a WebSocket, as far as they are bytes.
#[derive(Debug)]
pub struct Messages<S> {
    pub(super) reason: CloseReason,
    pub(super) socket: WebSocketStream<S>,
    /// Ours was said: how long its answer is waited for.
    pub(super) farewell: Option<Pin<Box<Sleep>>>,
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
            let (code, why) = self.reason.get();
            let _ = self.say_farewell(code, why);
        }
        Pin::new(&mut self.socket).poll_flush(cx).map_err(failed)
    }
}
