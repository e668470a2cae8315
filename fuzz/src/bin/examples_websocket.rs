#![cfg_attr(fuzzing, no_main)]
//! Browsers: the request of a WebSocket, and the stream of bytes inside of its messages.
//!
//! ```text
//! | bit 0: behind the handshake, bit 1: from our page | capacity u8 | chunk u8 | what the browser says |
//! ```
//!
//! In any pieces the same is heard and answered; a browser that is let in has asked as the protocol says, from our page;
//! nothing waits for ever.
//!
//! Not searched in CI: see LAWS.md.

use std::time::Duration;

use examples::stream::protocol;
use examples::websocket::{self, accept, accept_key};
use fuzz::Input;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::time::timeout;

fuzz::target!(check);

const NEVER: Duration = Duration::from_secs(3600);
const ORIGIN: &str = "https://console.example";

/// A browser says all of it, then ends; what it hears.
async fn browser(far: DuplexStream, says: &[u8], chunk: usize) -> Vec<u8> {
    let (mut read, mut write) = split(far);
    let mut heard = Vec::new();
    let says = async {
        for piece in says.chunks(chunk) {
            if write.write_all(piece).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = write.shutdown().await;
    };
    let _ = tokio::join!(says, read.read_to_end(&mut heard));
    heard
}

/// How the handshake ended, and what was said.
async fn request(says: &[u8], capacity: usize, chunk: usize, ours: bool) -> (Result<(), String>, Vec<u8>) {
    let (near, far) = duplex(capacity);
    let origins = if ours { vec![ORIGIN.to_owned()] } else { Vec::new() };
    let accepted = async {
        let accepted = accept(near, &origins).await;
        accepted.map(drop).map_err(|error| error.to_string())
    };
    tokio::join!(accepted, browser(far, says, chunk))
}

/// The bytes inside, whether they ended well, and what was said.
async fn messages(says: &[u8], capacity: usize, chunk: usize) -> (Vec<u8>, bool, Vec<u8>) {
    let (near, far) = duplex(capacity);
    let inside = async {
        let (mut socket, reason) = websocket::over(near).await;
        reason.set(1000, "over");
        let mut bytes = Vec::new();
        let ended = socket.read_to_end(&mut bytes).await.is_ok();
        let _ = socket.shutdown().await;
        (bytes, ended)
    };
    let ((bytes, ended), heard) = tokio::join!(inside, browser(far, says, chunk));
    (bytes, ended, heard)
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let (bits, capacity, chunk) = (
        input.byte(),
        usize::from(input.byte()) + 1,
        usize::from(input.byte()).max(1),
    );
    let says = input.rest();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let all = async {
            if bits & 1 == 0 {
                let ours = bits & 2 == 0;
                let (end, heard) = request(says, 1 << 17, says.len().max(1), ours).await;
                let (again, _) = request(says, capacity, chunk, ours).await;
                assert_eq!(end.is_ok(), again.is_ok(), "{end:?} and {again:?}");
                if end.is_ok() {
                    assert!(ours && says.starts_with(b"GET ") && protocol(says) == Some("HTTP"));
                    assert!(heard.starts_with(b"HTTP/1.1 101 "));
                } else {
                    assert!(!heard.starts_with(b"HTTP/1.1 101 "));
                }
                assert_eq!(accept_key(says).len(), 28);
            } else {
                let (bytes, ended, _) = messages(says, 1 << 17, says.len().max(1)).await;
                let (again, other, _) = messages(says, capacity, chunk).await;
                assert_eq!((&bytes, ended), (&again, other));
                assert!(bytes.len() <= says.len(), "nothing is made up");
            }
        };
        timeout(4 * NEVER, all).await.expect("it waits for ever");
    });
}
