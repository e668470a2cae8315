//! The viewer and the hypervisor.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use spice_proto::caps::Capabilities;
use spice_proto::channel::main::{ChannelId, ChannelsList, Init, ServerMessage as Main};
use spice_proto::frame::{HeaderForm, Writer};
use spice_proto::ids::{ChannelType, LinkErrorCode, MouseModes};
use spice_proto::link::{LinkHeader, LinkMess, LinkReply};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig, crypto};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::proxies::Proxy;

const NAME: &str = "proxy.example";
/// The id that the hypervisor gives its session.
const SESSION: u32 = 7;
/// A key press with its header.
const KEY: [u8; 10] = [101, 0, 4, 0, 0, 0, 30, 0, 0, 0];
/// What is said to it: the locks of the keyboard.
const LOCKS: [u8; 8] = [102, 0, 2, 0, 0, 0, 1, 0];

/// What a hypervisor sends, over and over.
pub struct Load {
    bytes: Vec<u8>,
    times: usize,
}

impl Load {
    pub fn new(bytes: Vec<u8>, round: usize) -> Self {
        let times = round.div_ceil(bytes.len());
        Self { bytes, times }
    }

    fn len(&self) -> usize {
        self.bytes.len() * self.times
    }
}

/// One round.
pub struct Measured {
    bytes: f64,
    wall: f64,
    processor: f64,
}

impl Measured {
    pub fn megabytes_a_second(&self) -> f64 {
        self.bytes / self.wall / 1e6
    }

    pub fn seconds_a_gigabyte(&self) -> f64 {
        self.processor / self.bytes * 1e9
    }
}

/// The proxy's certificate and key.
fn identity() -> &'static CertifiedKey<KeyPair> {
    static IDENTITY: OnceLock<CertifiedKey<KeyPair>> = OnceLock::new();
    IDENTITY.get_or_init(|| generate_simple_self_signed([NAME.to_owned()]).unwrap())
}

/// Both as text.
pub fn pem() -> String {
    let CertifiedKey { cert, signing_key } = identity();
    cert.pem() + &signing_key.serialize_pem()
}

/// The proxy with this certificate, and a client that knows it.
pub fn tls() -> &'static (Arc<ServerConfig>, Arc<ClientConfig>) {
    static TLS: OnceLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = OnceLock::new();
    TLS.get_or_init(|| {
        let CertifiedKey { cert, signing_key } = identity();
        let provider = Arc::new(crypto::ring::default_provider());
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    })
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A hypervisor for one session, on a thread of its own; what it does with its display and inputs channels is `act`'s.
fn hypervisor<F>(linked: bool, act: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()>,
{
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            // Its main channel is open as long as the other one.
            let mut main = None;
            if linked {
                let mut stream = listener.accept().await.unwrap().0;
                accept(&mut stream).await;
                stream.write_all(&opening()).await.unwrap();
                main = Some(stream);
            }
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            if linked {
                accept(&mut stream).await;
            }
            act(stream).await;
            drop(main);
        });
    });
    told.recv().unwrap()
}

/// The server's part of a link. The ticket is not looked at.
async fn accept(stream: &mut TcpStream) {
    let mut head = [0; LinkHeader::LEN];
    stream.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; LinkHeader::decode_slice(&head).unwrap().size as usize];
    stream.read_exact(&mut body).await.unwrap();
    let request = LinkMess::decode_slice(&body, &spice_proto::Limits::default()).unwrap();
    let mut reply = BytesMut::new();
    LinkReply {
        error: LinkErrorCode::OK,
        pub_key: *benches::links::key().public().as_der(),
        capabilities: Capabilities::spice_server(request.channel_type),
    }
    .encode(&mut reply)
    .unwrap();
    stream.write_all(&reply).await.unwrap();
    let mut ticket = [0; 132];
    stream.read_exact(&mut ticket).await.unwrap();
    stream.write_all(&[0; 4]).await.unwrap();
}

/// INIT and CHANNELS_LIST.
fn opening() -> BytesMut {
    let (mut bytes, mut writer) = (BytesMut::new(), Writer::new(HeaderForm::Mini));
    let init = Main::Init(Init {
        session_id: SESSION,
        display_channels_hint: 1,
        supported_mouse_modes: MouseModes(3),
        current_mouse_mode: MouseModes(2),
        agent_connected: 0,
        agent_tokens: 10,
        multi_media_time: 1,
        ram_hint: 0,
    });
    let channels = [ChannelType::DISPLAY, ChannelType::INPUTS].map(|channel_type| ChannelId { channel_type, id: 0 });
    let list = Main::ChannelsList(ChannelsList {
        channels: channels.into(),
    });
    writer.write(&init, &mut bytes).unwrap();
    writer.write(&list, &mut bytes).unwrap();
    bytes
}

type Viewer = BufReader<TlsStream<TcpStream>>;

/// A viewer's connection; with `channel` it opens one of SPICE.
async fn view(proxy: SocketAddr, channel: Option<(ChannelType, u32)>) -> Viewer {
    let stream = TcpStream::connect(proxy).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let connector = TlsConnector::from(tls().1.clone());
    let stream = connector
        .connect(ServerName::try_from(NAME).unwrap(), stream)
        .await
        .unwrap();
    let mut stream = BufReader::with_capacity(64 << 10, stream);
    if let Some((channel_type, connection_id)) = channel {
        let mut bytes = BytesMut::new();
        LinkMess {
            connection_id,
            channel_type,
            channel_id: 0,
            capabilities: Capabilities::spice_server(channel_type),
        }
        .encode(&mut bytes)
        .unwrap();
        bytes.extend_from_slice(&1_u32.to_le_bytes());
        bytes.extend_from_slice(&benches::links::key().public().seal(b"token", [7; 20]).unwrap().0);
        send(&mut stream, &bytes).await;
        let mut head = [0; LinkHeader::LEN];
        stream.read_exact(&mut head).await.unwrap();
        let rest = LinkHeader::decode_slice(&head).unwrap().size as usize + 4;
        let mut reply = vec![0; rest];
        stream.read_exact(&mut reply).await.unwrap();
        assert!(reply.ends_with(&[0; 4]), "the link stands");
    }
    stream
}

async fn send(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.flush().await.unwrap();
}

/// Opens what a session needs in front of this channel.
async fn open(proxy: SocketAddr, linked: bool, channel: ChannelType) -> (Option<Viewer>, Viewer) {
    if !linked {
        return (None, view(proxy, None).await);
    }
    let mut main = view(proxy, Some((ChannelType::MAIN, 0))).await;
    let mut said = vec![0; opening().len()];
    main.read_exact(&mut said).await.unwrap();
    (Some(main), view(proxy, Some((channel, SESSION))).await)
}

/// The hypervisor sends the load to the viewer.
pub fn stream(proxy: &dyn Proxy, load: Arc<Load>) -> Measured {
    let linked = proxy.speaks();
    let sent = load.clone();
    let (go, gone) = tokio::sync::oneshot::channel();
    proxy.dials(hypervisor(linked, |mut stream| async move {
        gone.await.unwrap();
        for _ in 0..sent.times {
            stream.write_all(&sent.bytes).await.unwrap();
        }
        let _ = stream.read(&mut [0; 100]).await;
    }));
    runtime().block_on(async {
        let (main, mut viewer) = open(proxy.address(), linked, ChannelType::DISPLAY).await;
        let mut buffer = vec![0; 256 << 10];
        let (start, before) = (Instant::now(), proxy.processor());
        go.send(()).unwrap();
        let (mut at, mut left) = (0, load.len());
        while left != 0 {
            let read = viewer.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "cut off");
            // What came is what was sent.
            assert_eq!(buffer[0], load.bytes[at % load.bytes.len()]);
            (at, left) = (at + read, left - read);
        }
        let measured = Measured {
            bytes: load.len() as f64,
            wall: crate::since(start),
            processor: proxy.processor() - before,
        };
        drop((main, viewer));
        measured
    })
}

/// The mean time of a key press there and back.
pub fn keys(proxy: &dyn Proxy, count: u32) -> Duration {
    let linked = proxy.speaks();
    proxy.dials(hypervisor(linked, |mut stream| async move {
        let mut key = KEY;
        while stream.read_exact(&mut key).await.is_ok() {
            stream.write_all(&LOCKS).await.unwrap();
        }
    }));
    runtime().block_on(async {
        let (main, mut viewer) = open(proxy.address(), linked, ChannelType::INPUTS).await;
        let mut locks = LOCKS;
        let mut start = Instant::now();
        // The first ones warm up.
        for n in 0..count + 100 {
            if n == 100 {
                start = Instant::now();
            }
            send(&mut viewer, &KEY).await;
            viewer.read_exact(&mut locks).await.unwrap();
            assert_eq!(locks, LOCKS);
        }
        let taken = start.elapsed() / count;
        drop((main, viewer));
        taken
    })
}
