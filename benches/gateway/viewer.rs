//! Viewers: SPICE over TLS, RFB by each of its ways.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link::{Buffers, ClientConfig, ClientLink, LinkMess, Secret};
use spice_proto::{BufferedStream, Clock, Driven};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{client_async, tungstenite};
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};

use crate::certificates::{Files, name};
use crate::hypervisor::{Load, opening_len};
use crate::rfb;

/// A connection over TLS.
pub type Tls = TlsStream<BufferedStream<TcpStream>>;
/// A connection of any kind.
pub type Stream = Pin<Box<dyn Io>>;

/// What a [`Stream`] can do.
pub trait Io: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Io for T {}

/// How it comes to a console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// SPICE, its display channel.
    Spice,
    /// RFB with VeNCrypt.
    VeNCrypt,
    /// RFB behind TLS.
    Tls,
    /// RFB in a WebSocket behind TLS.
    WebSocket,
}

/// Connects, without TLS. One of a few addresses of the loopback is the viewer's: an address has ports for 28,000.
async fn dial(to: SocketAddr) -> io::Result<TcpStream> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let socket = TcpSocket::new_v4()?;
    if to.ip().is_loopback() {
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % 4;
        let from = Ipv4Addr::new(127, 0, 0, 2 + number as u8);
        socket.bind((from, 0).into())?;
    }
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn secure(files: &Files, stream: TcpStream) -> io::Result<Tls> {
    files.connector.connect(name(), BufferedStream::new(stream)).await
}

/// Opens a channel of SPICE. `session`: 0 for its first one. Gives what came behind the link, too.
async fn link(
    files: &Files,
    to: SocketAddr,
    token: &str,
    (channel_type, session): (ChannelType, u32),
) -> io::Result<(Tls, BytesMut)> {
    let mut stream = secure(files, dial(to).await?).await?;
    let request = LinkMess {
        connection_id: session,
        channel_type,
        channel_id: 0,
        capabilities: Capabilities::spice_server(channel_type),
    };
    let (clock, mut buffers) = (Clock::start(), Buffers::default());
    let secret = Secret::new(token.as_bytes());
    let mut link = ClientLink::new(clock.now(), ClientConfig::new(request), secret, seed());
    let driven = spice_proto::drive(&mut link, &mut buffers, &mut stream, clock).await;
    match driven.map_err(io::Error::other)? {
        Driven::Done(_) => Ok((stream, buffers.rx)),
        Driven::Ask(_) => Err(io::Error::other("SASL was not announced")),
    }
}

/// A session of SPICE: its main channel, and the number by which others join it.
pub struct Session {
    pub main: Tls,
    pub id: u32,
}

/// Opens a session.
pub async fn session(files: &Files, to: SocketAddr, token: &str) -> io::Result<Session> {
    let (mut main, opening) = link(files, to, token, (ChannelType::MAIN, 0)).await?;
    let mut opening = opening.to_vec();
    let begun = opening.len();
    opening.resize(opening_len(), 0);
    if let Some(rest) = opening.get_mut(begun..) {
        main.read_exact(rest).await?;
    }
    // The first field of INIT, behind a header of 6 bytes.
    let id = u32::from_le_bytes([opening[6], opening[7], opening[8], opening[9]]);
    Ok(Session { main, id })
}

/// Opens a further channel of a session.
pub async fn channel(
    files: &Files,
    to: SocketAddr,
    token: &str,
    (kind, session): (ChannelType, u32),
) -> io::Result<Tls> {
    let (stream, early) = link(files, to, token, (kind, session)).await?;
    match early.is_empty() {
        true => Ok(stream),
        false => Err(io::Error::other("the channel begins by itself")),
    }
}

/// Another one for each link: a sealed ticket that comes again is a replay.
fn seed() -> [u8; 20] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut seed = [0x5a; 20];
    seed[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    seed
}

/// What a display channel begins with: DISPLAY_INIT, whose first field says here what is wanted.
pub fn wants(load: Load) -> [u8; 20] {
    let mut init = [0; 20];
    (init[0], init[2], init[6]) = (101, 14, load as u8);
    init
}

/// A console that sends without an end.
pub struct Streaming {
    pub stream: Stream,
    /// Its main channel, where it has one.
    _main: Option<Tls>,
}

/// Opens a console, and asks for what it shows.
pub async fn stream(files: &Files, way: Way, to: SocketAddr, token: &str, load: Load) -> io::Result<Streaming> {
    match way {
        Way::Spice => {
            let Session { main, id } = session(files, to, token).await?;
            let mut display = channel(files, to, token, (ChannelType::DISPLAY, id)).await?;
            send(&mut display, &wants(load)).await?;
            Ok(Streaming {
                stream: Box::pin(display),
                _main: Some(main),
            })
        }
        Way::VeNCrypt => {
            let mut stream = dial(to).await?;
            rfb::choose_vencrypt(&mut stream).await?;
            let mut stream = secure(files, stream).await?;
            rfb::log_in(&mut stream, token).await?;
            Ok(alone(stream))
        }
        Way::Tls => {
            let mut stream = secure(files, dial(to).await?).await?;
            rfb::choose_none(&mut stream).await?;
            Ok(alone(stream))
        }
        Way::WebSocket => {
            let mut stream = websocket(files, to, token).await?;
            rfb::choose_none(&mut stream).await?;
            Ok(Streaming { stream, _main: None })
        }
    }
}

fn alone(stream: impl Io + 'static) -> Streaming {
    Streaming {
        stream: Box::pin(stream),
        _main: None,
    }
}

/// The bytes in the binary messages of a WebSocket.
async fn websocket(files: &Files, to: SocketAddr, token: &str) -> io::Result<Stream> {
    let stream = secure(files, dial(to).await?).await?;
    let url = format!("wss://localhost:{}/websockify?token={token}", to.port());
    let request = url.into_client_request().map_err(io::Error::other)?;
    let (socket, _) = client_async(request, stream).await.map_err(io::Error::other)?;
    let (sink, messages) = socket.split();
    let bytes = messages.filter_map(|message| {
        std::future::ready(match message {
            Ok(Message::Binary(bytes)) => Some(Ok(bytes)),
            Ok(_) => None,
            Err(error) => Some(Err(io::Error::other(error))),
        })
    });
    let sink = sink
        .with(|bytes: Bytes| std::future::ready(Ok::<_, tungstenite::Error>(Message::Binary(bytes))))
        .sink_map_err(io::Error::other);
    let write = SinkWriter::new(CopyToBytes::new(sink));
    Ok(Box::pin(tokio::io::join(StreamReader::new(bytes), write)))
}

/// Sends at once.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}
