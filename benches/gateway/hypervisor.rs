//! Stand-ins for hypervisors, on a thread of their own: SPICE behind TLS, RFB with VeNCrypt, RFB behind TLS.
//!
//! Every client is let in. A display channel says nothing until its viewer has sent a message; the first byte of its body
//! says what the viewer wants to get: a [`Load`].

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use benches::{links, mix, rfb_mixes};
use bytes::BytesMut;
use spice_proto::BufferedStream;
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{ChannelId, ChannelsList, Init, ServerMessage as Main};
use spice_proto::frame::{HeaderForm, Writer};
use spice_proto::ids::{ChannelType, LinkErrorCode, MouseModes};
use spice_proto::link::{LinkHeader, LinkMess, LinkReply};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::certificates::Files;
use crate::program::Places;
use crate::rfb;

/// A key press with its header.
pub const KEY: [u8; 10] = [101, 0, 4, 0, 0, 0, 30, 0, 0, 0];
/// What is said to it: the locks of the keyboard.
pub const LOCKS: [u8; 8] = [102, 0, 2, 0, 0, 0, 1, 0];
/// What a session has beside its main channel.
const CHANNELS: [ChannelType; 4] = [
    ChannelType::DISPLAY,
    ChannelType::INPUTS,
    ChannelType::CURSOR,
    ChannelType::PLAYBACK,
];

/// What a viewer wants of a display channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Load {
    /// Messages of 2 kB, without an end.
    Small = 1,
    /// The display mix, without an end.
    Mix = 2,
    /// [`some`], and nothing after it.
    Some = 3,
}

/// As many messages of this size, with their headers, as are a MiB.
fn messages(size: usize) -> Vec<u8> {
    let mut frame = 123_u16.to_le_bytes().to_vec();
    let length = u32::try_from(size - 6).expect("a message");
    frame.extend(length.to_le_bytes());
    frame.resize(size, 7);
    frame.repeat((1 << 20) / size)
}

/// What an idle console has had before: small messages, and one of 100,000 bytes.
pub fn some() -> Vec<u8> {
    let mut bytes = messages(100_000);
    bytes.truncate(100_000);
    bytes.extend_from_slice(&messages(2000)[..200_000]);
    bytes
}

/// The loads, made once.
struct Loads {
    small: Vec<u8>,
    mix: Vec<u8>,
    some: Vec<u8>,
    vnc: Vec<u8>,
}

/// Where they listen.
#[derive(Debug, Clone, Copy)]
pub struct Hypervisors {
    pub spice: [SocketAddr; 4],
    /// RFB with VeNCrypt.
    pub vnc: SocketAddr,
    /// RFB behind TLS.
    pub vnc_tls: SocketAddr,
}

impl Hypervisors {
    /// Starts them at this address.
    pub fn start(files: &Files, address: &str) -> Self {
        let (tell, told) = mpsc::channel();
        let (files, address) = (files.clone(), address.to_owned());
        thread::spawn(move || {
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let bind = || async { TcpListener::bind((address.as_str(), 0)).await.expect("a listener") };
                let mut listeners = Vec::new();
                for _ in 0..6 {
                    listeners.push(bind().await);
                }
                let at: Vec<SocketAddr> = listeners.iter().flat_map(TcpListener::local_addr).collect();
                let hypervisors = Self {
                    spice: [at[0], at[1], at[2], at[3]],
                    vnc: at[4],
                    vnc_tls: at[5],
                };
                let loads = Arc::new(Loads {
                    small: messages(2000),
                    mix: mix::display_stream(),
                    some: some(),
                    vnc: (rfb_mixes::STREAMS[2].2)(),
                });
                for (number, listener) in listeners.into_iter().enumerate() {
                    tokio::spawn(serve(number, listener, files.clone(), loads.clone()));
                }
                tell.send(hypervisors).expect("who started it");
                std::future::pending::<()>().await;
            });
        });
        told.recv().expect("hypervisors")
    }

    /// Their ports, for the gateway.
    pub fn places(&self) -> Places {
        Places {
            spice: self.spice.map(|address| address.port()).into(),
            vnc: self.vnc.port(),
        }
    }
}

async fn serve(number: usize, listener: TcpListener, files: Files, loads: Arc<Loads>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (files, loads) = (files.clone(), loads.clone());
        tokio::spawn(async move {
            // A viewer that has seen enough hangs up.
            let _ = match number {
                0..4 => spice(stream, &files, &loads).await,
                4 => vnc(stream, &files, &loads, true).await,
                _ => vnc(stream, &files, &loads, false).await,
            };
        });
    }
}

async fn spice(stream: TcpStream, files: &Files, loads: &Loads) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = files.acceptor.accept(BufferedStream::new(stream)).await?;
    match accept(&mut stream).await? {
        ChannelType::MAIN => {
            static NEXT: AtomicU32 = AtomicU32::new(1);
            // Hypervisors draw the number of a session at random: those of several processes are not the same.
            let own = std::process::id() << 16;
            let opening = opening(own.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)));
            send(&mut stream, &opening).await?;
            rest(stream).await
        }
        ChannelType::DISPLAY => {
            let mut wanted = [0; 20];
            stream.read_exact(&mut wanted).await?;
            match wanted[6] {
                1 => stream_over_and_over(stream, &loads.small).await,
                2 => stream_over_and_over(stream, &loads.mix).await,
                _ => {
                    send(&mut stream, &loads.some).await?;
                    rest(stream).await
                }
            }
        }
        ChannelType::INPUTS => loop {
            stream.read_exact(&mut [0; KEY.len()]).await?;
            send(&mut stream, &LOCKS).await?;
        },
        _ => rest(stream).await,
    }
}

async fn stream_over_and_over(mut stream: impl AsyncWrite + Unpin, load: &[u8]) -> io::Result<()> {
    loop {
        stream.write_all(load).await?;
    }
}

/// Says nothing more.
async fn rest(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut taken = [0; 256];
    while stream.read(&mut taken).await? != 0 {}
    Ok(())
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// The server's part of a link. The ticket is not looked at.
async fn accept(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<ChannelType> {
    let mut head = [0; LinkHeader::LEN];
    stream.read_exact(&mut head).await?;
    let head = LinkHeader::decode_slice(&head).map_err(io::Error::other)?;
    let mut body = vec![0; head.size as usize];
    stream.read_exact(&mut body).await?;
    let request = LinkMess::decode_slice(&body, &spice_proto::Limits::default()).map_err(io::Error::other)?;
    let mut reply = BytesMut::new();
    LinkReply {
        error: LinkErrorCode::OK,
        pub_key: *links::key().public().as_der(),
        capabilities: Capabilities::spice_server(request.channel_type),
    }
    .encode(&mut reply)
    .map_err(io::Error::other)?;
    send(stream, &reply).await?;
    stream.read_exact(&mut [0; 132]).await?;
    send(stream, &[0; 4]).await?;
    Ok(request.channel_type)
}

/// INIT and CHANNELS_LIST.
fn opening(session_id: u32) -> BytesMut {
    let (mut bytes, mut writer) = (BytesMut::new(), Writer::new(HeaderForm::Mini));
    let init = Main::Init(Init {
        session_id,
        display_channels_hint: 1,
        supported_mouse_modes: MouseModes(3),
        current_mouse_mode: MouseModes(2),
        agent_connected: 0,
        agent_tokens: 10,
        multi_media_time: 1,
        ram_hint: 0,
    });
    let channels = CHANNELS.map(|channel_type| ChannelId { channel_type, id: 0 });
    let list = Main::ChannelsList(ChannelsList {
        channels: channels.into(),
    });
    writer.write(&init, &mut bytes).expect("room");
    writer.write(&list, &mut bytes).expect("room");
    bytes
}

/// How long INIT and CHANNELS_LIST are.
pub fn opening_len() -> usize {
    opening(1).len()
}

async fn vnc(mut stream: TcpStream, files: &Files, loads: &Loads, vencrypt: bool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if vencrypt {
        rfb::offer_vencrypt(&mut stream).await?;
    }
    let mut stream = files.acceptor.accept(BufferedStream::new(stream)).await?;
    match vencrypt {
        true => send(&mut stream, &[0; 4]).await?,
        false => rfb::offer_none(&mut stream).await?,
    }
    rfb::serve_init(&mut stream).await?;
    stream.read_exact(&mut [0; rfb::WANTED.len()]).await?;
    stream_over_and_over(stream, &loads.vnc).await
}
