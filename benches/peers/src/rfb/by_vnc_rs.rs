//! vnc-rs over a connection in memory. It is a viewer as a whole: with each connection it starts two tasks, which are ended
//! with it, and it hands out copies of the pixels through a queue.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use benches::rfb::PASSWORD;
use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::{Builder, Runtime};
use vnc::{VncClient, VncConnector, VncEncoding, VncError, VncEvent};

use super::VNC_RS;
use super::streams::screen;
use crate::contest::{Peer, keep, run};

/// A server that has sent all it has to say, and goes on listening.
struct Memory {
    received: Arc<[u8]>,
    at: usize,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl AsyncRead for Memory {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let left = &self.received[self.at..];
        if left.is_empty() {
            return Poll::Pending;
        }
        let len = left.len().min(to.remaining());
        to.put_slice(&left[..len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        self.sent.lock().expect("one thread").extend_from_slice(from);
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn runtime() -> Rc<Runtime> {
    Rc::new(Builder::new_current_thread().enable_all().build().expect("a runtime"))
}

/// A viewer that is in, and what it has sent.
async fn connect(received: &Arc<[u8]>) -> Result<(VncClient, Arc<Mutex<Vec<u8>>>), VncError> {
    let sent = Arc::new(Mutex::new(Vec::with_capacity(64)));
    let memory = Memory {
        received: Arc::clone(received),
        at: 0,
        sent: Arc::clone(&sent),
    };
    let password = async { Ok(String::from_utf8_lossy(PASSWORD).into_owned()) };
    let connector = VncConnector::new(memory)
        .set_auth_method(password)
        .add_encoding(VncEncoding::Raw)
        .add_encoding(VncEncoding::CopyRect);
    let client = connector.build()?.try_start().await?.finish()?;
    Ok((client, sent))
}

/// The viewer's handshake; behind the ClientInit it sends what it can, too.
pub fn handshake(server: &[u8], expected: &[u8]) -> Peer {
    let (runtime, received): (_, Arc<[u8]>) = (runtime(), server.into());
    let handshake = move || {
        runtime.block_on(async {
            let (client, sent) = connect(&received).await.expect("a recorded server");
            client.close().await.expect("it is open");
            drop(client);
            // Its tasks end.
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            sent
        })
    };
    let sent = handshake();
    assert_eq!(sent.lock().expect("one thread")[..expected.len()], *expected);
    Peer::new(VNC_RS, run(move || keep(handshake())))
}

/// All updates, from the connection on.
pub fn updates(stream: &[u8], rectangles: u32) -> Peer {
    let mut init = BytesMut::new();
    screen().encode(&mut init).expect("it has no name");
    let server = [b"RFB 003.008\n\x01\x01\0\0\0\0", &init[..], stream].concat();
    let (runtime, received): (_, Arc<[u8]>) = (runtime(), server.into());
    let updates = move || runtime.block_on(take(&received, rectangles));
    updates();
    Peer::new(VNC_RS, run(updates))
}

/// Until so many rectangles have come.
async fn take(received: &Arc<[u8]>, rectangles: u32) {
    let (client, _) = connect(received).await.expect("a server without a password");
    let mut left = rectangles;
    while left != 0 {
        match client.recv_event().await.expect("drawn updates") {
            event @ (VncEvent::RawImage(..) | VncEvent::Copy(..)) => {
                keep(event);
                left -= 1;
            }
            VncEvent::Error(error) => panic!("{error}"),
            _ => {}
        }
    }
    client.close().await.expect("it is open");
    drop(client);
    for _ in 0..4 {
        tokio::task::yield_now().await;
    }
}
