//! What strangers do with a connection.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use spice_proto::caps::{Capabilities, CapabilityWords, common};
use spice_proto::ids::ChannelType;
use spice_proto::link::{Action, Buffers, ClientConfig as LinkConfig, ClientLink, LinkMess, Machine, Secret};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

/// A link message for a main channel, without capabilities: 16 + 18 bytes.
const LINK: &[u8] = b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\x12\0\0\0";

/// Waits until the other side ends.
async fn wait(stream: &mut (impl AsyncRead + Unpin)) {
    let mut bytes = [0; 1024];
    while stream.read(&mut bytes).await.is_ok_and(|read| read != 0) {}
}

async fn say_and_wait(mut stream: TcpStream, words: &[u8]) {
    if stream.write_all(words).await.is_ok() {
        wait(&mut stream).await;
    }
}

/// Says nothing.
pub(crate) async fn silent(mut stream: TcpStream) {
    wait(&mut stream).await;
}

/// Says a link message, a byte a second.
pub(crate) async fn drip(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let drip = async {
        for byte in LINK {
            if to.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = drip => {}
        () = wait(&mut from) => {}
    }
}

/// Says a link message and is gone: each second one with the answer.
pub(crate) async fn link_and_gone(mut stream: TcpStream) {
    let port = stream.local_addr().map_or(0, |address| address.port());
    if stream.write_all(LINK).await.is_ok() && port.is_multiple_of(2) {
        let _ = stream.read(&mut [0; 512]).await;
    }
}

/// A ClientHello of which the rest does not come.
pub(crate) async fn half_a_hello(stream: TcpStream) {
    let mut hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    hello.resize(240, 0x5a);
    say_and_wait(stream, &hello).await;
}

/// A request of which the rest does not come.
pub(crate) async fn half_a_request(stream: TcpStream) {
    say_and_wait(
        stream,
        b"GET /websockify?token=0123456789 HTTP/1.1\r\nHost: console.example.org\r\nUpgr",
    )
    .await;
}

/// In the form of a token of the gateway's.
fn made_up() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("random bytes");
    let token = console_token::Secret::uuid4(&bytes);
    token.expose().to_owned()
}

/// A whole link with a ticket, sealed as it should be, that is no token.
pub(crate) async fn wrong_ticket(mut stream: TcpStream) {
    let request = LinkMess {
        connection_id: 0,
        channel_type: ChannelType::MAIN,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::of(&[common::PROTOCOL_AUTH_SELECTION, common::MINI_HEADER]),
            channel: CapabilityWords::new(),
        },
    };
    let mut seed = [0; 20];
    getrandom::fill(&mut seed).expect("random bytes");
    let ticket = Secret::new(made_up().as_bytes());
    let mut client = ClientLink::new(Duration::ZERO, LinkConfig::new(request), ticket, seed);
    let mut buffers = Buffers::default();
    loop {
        let action = client.step(Duration::ZERO, &mut buffers);
        if stream.write_all(&buffers.tx.split()).await.is_err() {
            return;
        }
        let Ok(Action::Receive { .. }) = action else { return };
        if !stream.read_buf(&mut buffers.rx).await.is_ok_and(|read| read != 0) {
            return;
        }
    }
}

/// One after the other of the ways in which a request shows a token.
pub(crate) async fn wrong_url(stream: TcpStream) {
    let (port, token) = (stream.local_addr().map_or(0, |address| address.port()), made_up());
    let request = match port % 4 {
        0 => format!("GET /console.vv?token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        1 => format!("GET /nova?token={token} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        2 => format!("CONNECT {token}:5900 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        _ => upgrade(&token),
    };
    say_and_wait(stream, request.as_bytes()).await;
}

fn upgrade(token: &str) -> String {
    format!(
        "GET /websockify?token={token} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The page of operators, with a password that is wrong: `x:` and a token of the right length.
pub(crate) async fn wrong_basic(stream: TcpStream) {
    let request = "GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Basic eDp3cm9uZy1wYXNzd29yZC0wMDA=\r\n\r\n";
    say_and_wait(stream, request.as_bytes()).await;
}

/// The API, with a token that is wrong.
pub(crate) async fn wrong_bearer(stream: TcpStream) {
    let token = made_up();
    let request = format!(
        "POST /v1/consoles HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\n{{\"guest\":"
    );
    say_and_wait(stream, request.as_bytes()).await;
}

/// Asks for a WebSocket, and sends frames of 64 KiB, whatever the answer is.
pub(crate) async fn websocket_flood(mut stream: TcpStream) {
    let mut words = upgrade(&made_up()).into_bytes();
    // Binary, masked with zeros, of 65,536 bytes.
    let mut frame = vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    frame.resize(14 + 65_536, 0x5a);
    words.extend_from_slice(&frame);
    let (mut from, mut to) = stream.split();
    let flood = async {
        let _ = to.write_all(&words).await;
        while to.write_all(&frame).await.is_ok() {}
    };
    tokio::select! {
        () = flood => {}
        () = wait(&mut from) => {}
    }
}

/// VeNCrypt with X509Plain, and a password that is no token.
pub(crate) async fn wrong_plain(mut stream: TcpStream, tls: Arc<ClientConfig>) {
    if choose_plain(&mut stream).await.is_none() {
        return;
    }
    let name = "127.0.0.1".try_into().expect("a name");
    let Ok(mut stream) = examples::tls::client(stream, tls, name).await else {
        return;
    };
    let (user, password) = ("operator", made_up());
    let mut words = Vec::new();
    for text in [user, &password] {
        words.extend(u32::try_from(text.len()).expect("short").to_be_bytes());
    }
    words.extend(user.as_bytes());
    words.extend(password.as_bytes());
    if stream.write_all(&words).await.is_ok() && stream.flush().await.is_ok() {
        wait(&mut stream).await;
    }
}

/// As far as the choice of X509Plain.
async fn choose_plain<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Option<()> {
    const VENCRYPT: u8 = 19;
    const X509_PLAIN: u32 = 262;
    let mut version = [0; 12];
    stream.read_exact(&mut version).await.ok()?;
    stream.write_all(b"RFB 003.008\n").await.ok()?;
    let types = stream.read_u8().await.ok()?;
    stream.read_exact(&mut vec![0; types.into()]).await.ok()?;
    stream.write_all(&[VENCRYPT]).await.ok()?;
    stream.read_exact(&mut [0; 2]).await.ok()?;
    stream.write_all(&[0, 2]).await.ok()?;
    stream.read_exact(&mut [0; 1]).await.ok()?;
    let subtypes = stream.read_u8().await.ok()?;
    stream.read_exact(&mut vec![0; 4 * usize::from(subtypes)]).await.ok()?;
    stream.write_all(&X509_PLAIN.to_be_bytes()).await.ok()?;
    let chosen = stream.read_u8().await.ok()?;
    (chosen == 1).then_some(())
}
