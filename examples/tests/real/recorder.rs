//! A TCP proxy that keeps the bytes of both directions.

use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps;
use spice_proto::ids::ChannelType;
use spice_proto::link::{LinkHeader, LinkMess};

use crate::middle::Middle;
use crate::pki;
use crate::ports::free_port;
use crate::process::{Folder, PATIENCE, wait_for};

/// What one connection carried, as its two ends sent it.
#[derive(Clone, Default)]
pub(crate) struct Connection {
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
    /// What the client had sealed for the server, where the recorder could open it.
    pub(crate) password: Option<Vec<u8>>,
    /// From where the recorder has connected to the server.
    pub(crate) from: Option<SocketAddr>,
    /// How many of the two directions have ended.
    ended: usize,
}

impl Connection {
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.holds_any([text])
    }

    /// Whether eight characters of the secret stand next to each other in either direction.
    pub(crate) fn holds_piece_of(&self, secret: &str) -> bool {
        assert!(8 <= secret.len() && secret.is_ascii());
        self.holds_any((8..=secret.len()).map(|end| &secret[end - 8..end]))
    }

    /// What is no UTF-8 is replaced, and that leaves ASCII as it is.
    fn holds_any<'a>(&self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let both = [&self.to_server, &self.to_client].map(|bytes| String::from_utf8_lossy(bytes));
        texts
            .into_iter()
            .any(|text| both.iter().any(|bytes| bytes.contains(text)))
    }
}

/// The beginnings are enough to see what went wrong.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = |bytes: &[u8]| bytes[..bytes.len().min(48)].escape_ascii().to_string();
        write!(
            f,
            "to server {}, to client {}",
            start(&self.to_server),
            start(&self.to_client)
        )
    }
}

/// Listens on a port of its own for one server. It stops when it is dropped.
pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    connections: Arc<Mutex<Vec<Connection>>>,
    stopped: Arc<AtomicBool>,
}

/// What a recorder does to what it passes on.
enum Manner {
    Untouched,
    Opening(LinkKey),
    WithoutMigration,
}

/// What a recorder between a viewer and its gateway is like.
pub(crate) struct Between<'a> {
    /// It opens TLS with the certificate and the key in this folder.
    pub(crate) pki: Option<&'a Path>,
    /// It makes of every viewer one that cannot connect to a migration target in advance: it strikes those capabilities
    /// from the link messages.
    pub(crate) without_migration: bool,
}

/// The key with which a recorder opens what clients seal for the server.
struct LinkKey {
    private: PathBuf,
    public: Vec<u8>,
}

impl Recorder {
    /// Passes everything on as it is.
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::listening(free_port(), &[server], Manner::Untouched, None)
    }

    /// Stands at this address, in front of its servers, and deals connections out to them in turn.
    pub(crate) fn between(address: SocketAddr, servers: &[SocketAddr], between: &Between<'_>) -> Self {
        let manner = if between.without_migration {
            Manner::WithoutMigration
        } else {
            Manner::Untouched
        };
        let tls = between.pki.map(|pki| Middle::new(pki, address.ip()));
        Self::listening(address, servers, manner, tls)
    }

    /// Puts a key of its own in place of the server's key in each plain SPICE link, opens the
    /// password that the client seals with it, and seals it again for the server.
    pub(crate) fn opening(server: SocketAddr, folder: &Folder, name: &str) -> Self {
        let private = folder.join(&format!("{name}-link-key.pem"));
        let public = pki::link_key(folder, &private);
        Self::listening(
            free_port(),
            &[server],
            Manner::Opening(LinkKey { private, public }),
            None,
        )
    }

    /// What has been recorded so far, in the order of the connects.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.connections.lock().expect("a recording").clone()
    }

    /// Waits until every connection has ended and no other has come for a while, and returns how
    /// many there have been.
    pub(crate) fn settled(&self) -> usize {
        let ended = || {
            let connections = self.connections.lock().expect("a recording");
            connections
                .iter()
                .all(|connection| connection.ended == 2)
                .then_some(connections.len())
        };
        wait_for("the end of the connections", || {
            let count = ended()?;
            thread::sleep(Duration::from_millis(200));
            (ended()? == count).then_some(count)
        })
    }

    fn listening(address: SocketAddr, servers: &[SocketAddr], manner: Manner, tls: Option<Middle>) -> Self {
        let listener = TcpListener::bind(address).expect("a port for a recorder");
        let connections = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let manner = Arc::new((manner, tls));
        let servers = servers.to_vec();
        thread::spawn({
            let (connections, stopped) = (Arc::clone(&connections), Arc::clone(&stopped));
            move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let index = {
                        let mut all = connections.lock().expect("a recording");
                        all.push(Connection::default());
                        all.len() - 1
                    };
                    let server = &servers[index % servers.len()];
                    let server = TcpStream::connect_timeout(server, PATIENCE).expect("the server of a recorder");
                    connections.lock().expect("a recording")[index].from = server.local_addr().ok();
                    relay(&client, &server, &manner, &connections, index);
                }
            }
        });
        Self {
            address,
            connections,
            stopped,
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // One more connect wakes the thread that accepts.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

/// What the two directions of one connection share.
struct Link {
    manner: Arc<(Manner, Option<Middle>)>,
    /// The server's own key, once its reply has been read.
    server_key: Mutex<Option<Vec<u8>>>,
    server_key_set: Condvar,
    connections: Arc<Mutex<Vec<Connection>>>,
    index: usize,
}

/// Copies both directions, each in a thread of its own, until its sender ends it.
fn relay(
    client: &TcpStream,
    server: &TcpStream,
    manner: &Arc<(Manner, Option<Middle>)>,
    connections: &Arc<Mutex<Vec<Connection>>>,
    index: usize,
) {
    let link = Arc::new(Link {
        manner: Arc::clone(manner),
        server_key: Mutex::new(None),
        server_key_set: Condvar::new(),
        connections: Arc::clone(connections),
        index,
    });
    let clone = |stream: &TcpStream| stream.try_clone().expect("a socket");
    if link.manner.1.is_some() {
        let (client, server) = (clone(client), clone(server));
        thread::spawn(move || {
            let _ = link.middle(&client, &server);
            for end in [client, server] {
                let _ = end.shutdown(Shutdown::Both);
            }
            link.record(|connection| connection.ended = 2);
        });
        return;
    }
    for direction in [Link::to_server, Link::to_client] {
        let (link, client, server) = (Arc::clone(&link), clone(client), clone(server));
        thread::spawn(move || {
            if direction(&link, &client, &server).is_err() {
                // What one end does not take any more ends the other as well.
                let _ = client.shutdown(Shutdown::Both);
                let _ = server.shutdown(Shutdown::Both);
            }
            link.record(|connection| connection.ended += 1);
        });
    }
}

impl Link {
    fn to_server(&self, client: &TcpStream, server: &TcpStream) -> io::Result<()> {
        let keep = |bytes: &[u8]| self.record(|connection| connection.to_server.extend_from_slice(bytes));
        match &self.manner.0 {
            Manner::Untouched => {}
            Manner::Opening(key) => self.open_password(key, client, server, keep)?,
            Manner::WithoutMigration => {
                let struck = strike_migration(&read_link_message(client)?)?;
                keep(&struck);
                let mut server = server;
                server.write_all(&struck)?;
            }
        }
        copy(client, server, keep)
    }

    fn to_client(&self, client: &TcpStream, server: &TcpStream) -> io::Result<()> {
        let keep = |bytes: &[u8]| self.record(|connection| connection.to_client.extend_from_slice(bytes));
        if let Manner::Opening(key) = &self.manner.0 {
            self.replace_key(key, client, server, keep)?;
        }
        copy(server, client, keep)
    }

    /// Both directions, inside TLS.
    fn middle(&self, client: &TcpStream, server: &TcpStream) -> io::Result<()> {
        let Some(middle) = &self.manner.1 else { return Ok(()) };
        let mut strikes = matches!(self.manner.0, Manner::WithoutMigration);
        let to_server = |mut plain: Vec<u8>| {
            // A viewer writes its link message at once.
            if mem::take(&mut strikes) {
                plain = strike_migration(&plain)?;
            }
            self.record(|connection| connection.to_server.extend_from_slice(&plain));
            Ok(plain)
        };
        let to_client = |plain: Vec<u8>| {
            self.record(|connection| connection.to_client.extend_from_slice(&plain));
            Ok(plain)
        };
        middle.relay(client, server, to_server, to_client)
    }

    /// The link message, the mechanism and the sealed password.
    fn open_password(
        &self,
        key: &LinkKey,
        mut client: &TcpStream,
        mut server: &TcpStream,
        keep: impl Fn(&[u8]),
    ) -> io::Result<()> {
        let message = read_link_message(client)?;
        keep(&message);
        server.write_all(&message)?;
        let mut sealed = [0; 4 + 128];
        client.read_exact(&mut sealed)?;
        keep(&sealed);
        let (mechanism, sealed) = sealed.split_at(4);
        let opened = openssl(&["-decrypt", "-inkey", &key.private.to_string_lossy()], sealed)?;
        let server_key = {
            let unset = self.server_key.lock().expect("a link");
            let (set, _) = self
                .server_key_set
                .wait_timeout_while(unset, PATIENCE, |k| k.is_none())
                .expect("a link");
            set.clone().ok_or(io::ErrorKind::TimedOut)?
        };
        let path = key.private.with_extension(format!("{}.der", self.index));
        fs::write(&path, server_key)?;
        let options = [
            "-encrypt",
            "-pubin",
            "-keyform",
            "DER",
            "-inkey",
            &path.to_string_lossy(),
        ];
        let sealed = openssl(&options, &opened)?;
        self.record(|connection| connection.password = Some(opened.clone()));
        server.write_all(&[mechanism, &sealed].concat())
    }

    /// The link reply: its key is 162 bytes behind the 16 of the header and the error code.
    fn replace_key(
        &self,
        key: &LinkKey,
        mut client: &TcpStream,
        server: &TcpStream,
        keep: impl Fn(&[u8]),
    ) -> io::Result<()> {
        let mut reply = read_link_message(server)?;
        keep(&reply);
        let place = reply.get_mut(20..182).ok_or(io::ErrorKind::InvalidData)?;
        *self.server_key.lock().expect("a link") = Some(place.to_vec());
        self.server_key_set.notify_all();
        place.copy_from_slice(&key.public);
        client.write_all(&reply)
    }

    fn record(&self, change: impl FnOnce(&mut Connection)) {
        change(&mut self.connections.lock().expect("a recording")[self.index]);
    }
}

/// A link message without the capabilities that migration needs.
fn strike_migration(message: &[u8]) -> io::Result<Vec<u8>> {
    let body = message.get(LinkHeader::LEN..).ok_or(io::ErrorKind::InvalidData)?;
    let mut link = LinkMess::decode_slice(body, &Limits::default()).map_err(io::Error::other)?;
    if link.channel_type == ChannelType::MAIN {
        let words = mem::take(&mut link.capabilities.channel);
        link.capabilities.channel = words
            .without(caps::main::SEMI_SEAMLESS_MIGRATE)
            .without(caps::main::SEAMLESS_MIGRATE);
    }
    let mut struck = BytesMut::new();
    link.encode(&mut struck).map_err(io::Error::other)?;
    Ok(struck.to_vec())
}

/// Bytes are kept before they go out, so that what an end has seen is always in the recording.
pub(crate) fn copy(mut from: &TcpStream, mut to: &TcpStream, keep: impl Fn(&[u8])) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return to.shutdown(Shutdown::Write);
        }
        keep(&buffer[..length]);
        to.write_all(&buffer[..length])?;
    }
}

/// A header of 16 bytes, whose last four say how much follows, and that.
pub(crate) fn read_link_message(mut from: &TcpStream) -> io::Result<Vec<u8>> {
    let mut message = vec![0; 16];
    from.read_exact(&mut message)?;
    let size = u32::from_le_bytes(message[12..].try_into().expect("four bytes"));
    let size = usize::try_from(size)
        .ok()
        .filter(|&size| size <= 4096)
        .ok_or(io::ErrorKind::InvalidData)?;
    message.resize(16 + size, 0);
    from.read_exact(&mut message[16..])?;
    Ok(message)
}

/// RSA-OAEP with SHA-1, by a program that is not the one under test.
fn openssl(options: &[&str], input: &[u8]) -> io::Result<Vec<u8>> {
    let mut child = Command::new("timeout")
        .args([
            "20",
            "openssl",
            "pkeyutl",
            "-pkeyopt",
            "rsa_padding_mode:oaep",
            "-pkeyopt",
            "rsa_oaep_md:sha1",
        ])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    // One that refuses its options does not read: its exit status says so.
    if let Some(mut stdin) = child.stdin.take() {
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}
