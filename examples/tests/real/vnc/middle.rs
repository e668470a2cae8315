//! The framing relay between a viewer and a server.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::{Bytes, BytesMut};
use rfb_proto::encoding::Encoding;
use rfb_proto::filter::{Filter, Guard};
use rfb_proto::framing::{Ends, Message, Piece, Relay, Verdict, Watch};
use rfb_proto::message::{ClientMessage, FramebufferUpdate, ServerMessage, SetEncodings};
use rfb_proto::{Limits, ServerInit};

/// Bytes of a client's handshake with RFB 3.8 and security type None: its line, its choice, its ClientInit.
const CLIENT_HANDSHAKE: usize = 12 + 1 + 1;

/// What went by.
#[derive(Default, Clone)]
pub(crate) struct Seen {
    /// Messages and rectangles, by direction and name.
    pub(crate) counts: BTreeMap<String, usize>,
    /// Bytes that have found a place, of the client and of the server.
    placed: [usize; 2],
    /// Messages that were held back.
    pub(crate) withheld: usize,
    /// What the client asked for last.
    encodings: Option<SetEncodings>,
    /// Bytes of the update that is coming in, by what came before.
    open: bool,
}

/// What a relay tells.
struct Watcher {
    seen: Seen,
    guard: Guard,
    relay_knows: rfb_proto::message::Extensions,
}

impl Watcher {
    fn count(&mut self, what: String) {
        *self.seen.counts.entry(what).or_default() += 1;
    }
}

impl Watch for Watcher {
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        self.seen.placed[0] += message.bytes.len();
        let Some(bytes) = message.whole() else {
            return Verdict::Pass;
        };
        let bytes = Bytes::copy_from_slice(bytes);
        let decoded = ClientMessage::decode(&bytes, &self.relay_knows, &Limits::default()).expect("a message");
        let mut again = BytesMut::new();
        decoded.encode(&mut again).expect("a message that was decoded");
        assert_eq!(again, bytes, "{decoded:?}");
        self.count(format!("client {}", decoded.name()));
        if let ClientMessage::SetEncodings(set) = &decoded {
            self.seen.encodings = Some(set.clone());
        }
        let verdict = self.guard.client(message);
        self.seen.withheld += usize::from(verdict != Verdict::Pass);
        verdict
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        self.seen.placed[1] += message.bytes.len();
        if let Some(bytes) = message.whole() {
            let bytes = Bytes::copy_from_slice(bytes);
            let decoded = ServerMessage::decode(&bytes, &self.relay_knows, &Limits::default()).expect("a message");
            let mut again = BytesMut::new();
            decoded.encode(&mut again).expect("a message that was decoded");
            assert_eq!(again, bytes, "{decoded:?}");
            self.count(format!("server {}", decoded.name()));
        }
        self.guard.server(message)
    }

    fn update(&mut self, head: FramebufferUpdate) {
        self.seen.placed[1] += head.encoded_len();
        self.seen.open = head.rectangles != 0;
        self.guard.update(head);
    }

    fn rectangle(&mut self, piece: &Piece<'_>) {
        assert!(self.seen.open, "a rectangle outside of an update");
        self.seen.placed[1] += piece.payload.len();
        if piece.first {
            self.seen.placed[1] += piece.rectangle.encoded_len();
            self.count(piece.rectangle.encoding.to_string());
        }
        self.seen.open = piece.ends != Ends::Update;
        self.guard.rectangle(piece);
    }
}

/// One direction: what came, what went on, and what waits.
#[derive(Default)]
struct Direction {
    came: Vec<u8>,
    went: Vec<u8>,
    rx: BytesMut,
}

impl Direction {
    /// The first bytes go on as they are.
    fn pass_handshake(&mut self, len: usize) -> BytesMut {
        let len = len.saturating_sub(self.went.len()).min(self.rx.len());
        self.rx.split_to(len)
    }
}

/// One connection.
struct Session {
    client: Direction,
    server: Direction,
    /// From the ServerInit on.
    relay: Option<Relay>,
    depth_24: bool,
    watcher: Watcher,
    to_server: TcpStream,
    error: Option<String>,
}

impl Session {
    fn client_sent(&mut self, bytes: &[u8]) -> BytesMut {
        let client = &mut self.client;
        client.came.extend_from_slice(bytes);
        client.rx.extend_from_slice(bytes);
        let mut tx = client.pass_handshake(CLIENT_HANDSHAKE);
        if let Some(relay) = &mut self.relay {
            self.watcher.relay_knows = *relay.server().extensions();
            if let Err(error) = relay.from_client(&mut client.rx, &mut tx, &mut self.watcher) {
                self.error.get_or_insert(format!("client: {error}"));
            }
        }
        client.went.extend_from_slice(&tx);
        tx
    }

    fn server_sent(&mut self, bytes: &[u8]) -> BytesMut {
        let server = &mut self.server;
        server.came.extend_from_slice(bytes);
        server.rx.extend_from_slice(bytes);
        let mut tx = BytesMut::new();
        if self.relay.is_none() {
            // The line, the list of types, the result, and the ServerInit.
            let types = server.came.get(12).copied().map_or(0, usize::from);
            let init = server
                .came
                .get(12 + 1 + types + 4..)
                .map(|init| ServerInit::decode_slice(init, &Limits::default()));
            let len = match init {
                Some(Ok(init)) => {
                    self.relay = Some(Relay::new(&init, &Limits::default()).with_depth_24(self.depth_24));
                    12 + 1 + types + 4 + init.encoded_len()
                }
                _ => usize::MAX,
            };
            tx = server.pass_handshake(len);
        }
        if let Some(relay) = &mut self.relay {
            self.watcher.relay_knows = *relay.server().extensions();
            if let Err(error) = relay.from_server(&mut server.rx, &mut tx, &mut self.watcher) {
                self.error.get_or_insert(format!("server: {error}"));
            }
        }
        server.went.extend_from_slice(&tx);
        tx
    }
}

/// Listens on a port of its own for one server. It stops when it is dropped.
pub(crate) struct Middle {
    pub(crate) address: SocketAddr,
    sessions: Arc<Mutex<Vec<Arc<Mutex<Session>>>>>,
    stopped: Arc<AtomicBool>,
}

impl Middle {
    /// Everything passes.
    pub(crate) fn start(server: SocketAddr) -> Self {
        Self::filtering(server, Filter::default())
    }

    /// What the filter lets through passes.
    pub(crate) fn filtering(server: SocketAddr, filter: Filter) -> Self {
        Self::relaying(server, filter, false)
    }

    /// Everything passes, and the relay writes depth 24, or not.
    #[cfg(feature = "tools")]
    pub(crate) fn with_depth_24(server: SocketAddr, depth_24: bool) -> Self {
        Self::relaying(server, Filter::default(), depth_24)
    }

    fn relaying(server: SocketAddr, filter: Filter, depth_24: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port for the relay");
        let address = listener.local_addr().expect("the address of the relay");
        let sessions: Arc<Mutex<Vec<_>>> = Arc::default();
        let stopped = Arc::new(AtomicBool::new(false));
        thread::spawn({
            let (sessions, stopped) = (Arc::clone(&sessions), Arc::clone(&stopped));
            move || {
                for client in listener.incoming().map_while(Result::ok) {
                    if stopped.load(Ordering::SeqCst) {
                        break;
                    }
                    let server = TcpStream::connect(server).expect("the server");
                    let session = Session {
                        client: Direction::default(),
                        server: Direction::default(),
                        relay: None,
                        depth_24,
                        watcher: Watcher {
                            seen: Seen::default(),
                            guard: Guard::new(filter.clone(), &Limits::default()),
                            relay_knows: Default::default(),
                        },
                        to_server: server.try_clone().expect("a second handle"),
                        error: None,
                    };
                    let session = Arc::new(Mutex::new(session));
                    sessions.lock().expect("the sessions").push(Arc::clone(&session));
                    pump(&session, client, server);
                }
            }
        });
        Self {
            address,
            sessions,
            stopped,
        }
    }

    fn session(&self) -> Option<Arc<Mutex<Session>>> {
        self.sessions.lock().expect("the sessions").last().cloned()
    }

    /// What has gone by on the last connection.
    pub(crate) fn seen(&self) -> Seen {
        self.session().map_or_else(Seen::default, |session| {
            session.lock().expect("the session").watcher.seen.clone()
        })
    }

    /// Asks the server for another encoding than the viewer prefers, of those that it knows.
    pub(crate) fn prefer(&self, encoding: Encoding) {
        let session = self.session().expect("a connection");
        let mut session = session.lock().expect("the session");
        let session = &mut *session;
        let mut set = session.watcher.seen.encodings.clone().expect("the viewer's encodings");
        assert!(set.encodings.contains(&encoding), "the viewer does not know {encoding}");
        set.encodings.sort_by_key(|own| *own != encoding);
        let (mut message, mut tx) = (BytesMut::new(), BytesMut::new());
        set.encode(&mut message).expect("as many as the viewer had");
        let relay = session.relay.as_mut().expect("a relay");
        let (counts, placed) = (session.watcher.seen.counts.clone(), session.watcher.seen.placed);
        relay
            .from_client(&mut message, &mut tx, &mut session.watcher)
            .expect("a message");
        // It was not the viewer's.
        (session.watcher.seen.counts, session.watcher.seen.placed) = (counts, placed);
        session.to_server.write_all(&tx).expect("the server");
    }

    /// Nothing was lost, nothing was changed, every byte has its place. Returns what went by.
    pub(crate) fn account(&self, name: &str) -> Seen {
        let session = self.session().expect("a connection");
        let session = session.lock().expect("the session");
        assert_eq!(session.error, None, "{name}");
        let seen = session.watcher.seen.clone();
        let relay = session.relay.as_ref().expect("a relay");
        for (direction, placed, taken) in [
            (&session.client, seen.placed[0], relay.client().taken()),
            (&session.server, seen.placed[1], relay.server().taken()),
        ] {
            if seen.withheld == 0 && !session.depth_24 {
                assert!(
                    direction.came == [&direction.went[..], &direction.rx].concat(),
                    "{name}: changed"
                );
            }
            assert!(placed as u64 <= taken, "{name}");
            let handshake = direction.came.len() - direction.rx.len() - placed;
            assert!(handshake < 200, "{name}: {handshake} bytes without a place");
        }
        seen
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // So that the listener looks.
        let _ = TcpStream::connect(self.address);
    }
}

/// Moves bytes until one side hangs up.
fn pump(session: &Arc<Mutex<Session>>, client: TcpStream, server: TcpStream) {
    let mut from_client = client.try_clone().expect("a second handle");
    let upstream = Arc::clone(session);
    thread::spawn(move || {
        let mut bytes = [0; 16 << 10];
        while let Ok(count @ 1..) = from_client.read(&mut bytes) {
            let mut session = upstream.lock().expect("the session");
            let tx = session.client_sent(&bytes[..count]);
            if session.error.is_some() || session.to_server.write_all(&tx).is_err() {
                break;
            }
        }
        let session = upstream.lock().expect("the session");
        let _ = session.to_server.shutdown(Shutdown::Both);
    });
    let (mut from_server, mut client, downstream) = (server, client, Arc::clone(session));
    thread::spawn(move || {
        let mut bytes = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut bytes) {
            let (tx, failed) = {
                let mut session = downstream.lock().expect("the session");
                (session.server_sent(&bytes[..count]), session.error.is_some())
            };
            if client.write_all(&tx).is_err() || failed {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    });
}
