//! A SPICE hypervisor of a few lines, and a viewer that says what a test wants.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::Capabilities;
use spice_proto::ids::ChannelType;
use spice_proto::link::server::{Announcement, ServerLink, ServerQuestion};
use spice_proto::link::{Action, Buffers, Key, LinkMess, Machine};

use crate::program::{PATIENCE, TICKET};
use crate::spice::{self, Link};

/// Display, inputs, cursor and playback.
pub(super) const LIST: [u8; 12] = [4, 0, 0, 0, 2, 0, 3, 0, 4, 0, 5, 0];

/// `INIT` with this id.
pub(super) fn init(id: u32) -> [u8; 32] {
    let mut body = [0; 32];
    body[..4].copy_from_slice(&id.to_le_bytes());
    body
}

/// `MIGRATE_SWITCH_HOST` or `MIGRATE_BEGIN` to a port of the loopback.
pub(super) fn destination(port: u16) -> Vec<u8> {
    let host = b"127.0.0.1\0";
    let mut body = Vec::new();
    body.extend_from_slice(&port.to_le_bytes());
    body.extend_from_slice(&[0, 0]);
    body.extend_from_slice(&10_u32.to_le_bytes());
    body.extend_from_slice(&20_u32.to_le_bytes());
    body.extend_from_slice(&[0; 8]);
    body.extend_from_slice(host);
    body
}

/// The same for `MIGRATE_BEGIN_SEAMLESS`.
pub(super) fn seamless(port: u16) -> Vec<u8> {
    let mut body = destination(port);
    body[8..12].copy_from_slice(&24_u32.to_le_bytes());
    body.splice(20..20, 1_u32.to_le_bytes());
    body
}

fn message(number: u16, body: &[u8]) -> Vec<u8> {
    let mut message = number.to_le_bytes().to_vec();
    message.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
    message.extend_from_slice(body);
    message
}

/// One end of a channel.
pub(super) struct Channel {
    stream: TcpStream,
    rx: BytesMut,
}

impl Channel {
    fn new(stream: TcpStream, rx: BytesMut) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rx }
    }

    /// A viewer's, of a session with this id.
    pub(super) fn open(gateway: SocketAddr, token: &str, kind: ChannelType, id: u32) -> Result<Self, Link> {
        let (stream, rx) = spice::open(gateway, token, kind, id)?;
        Ok(Self::new(stream, rx))
    }

    pub(super) fn say(&mut self, number: u16, body: &[u8]) {
        self.stream
            .write_all(&message(number, body))
            .expect("the peer is there");
    }

    /// The next message; none at the end of the connection.
    pub(super) fn hear(&mut self) -> Option<(u16, Vec<u8>)> {
        loop {
            if let Some((header, rest)) = self.rx.split_at_checked(6) {
                let size = u32::from_le_bytes(header[2..].try_into().unwrap()) as usize;
                if size <= rest.len() {
                    let number = u16::from_le_bytes([header[0], header[1]]);
                    let mut message = self.rx.split_to(6 + size);
                    return Some((number, message.split_off(6).to_vec()));
                }
            }
            let mut bytes = vec![0; 65_536];
            match self.stream.read(&mut bytes) {
                Ok(0) => return None,
                Ok(n) => self.rx.extend_from_slice(&bytes[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What one says, the other hears.
    pub(super) fn passes(&mut self, other: &mut Self, number: u16, body: &[u8]) {
        self.say(number, body);
        assert_eq!(other.hear(), Some((number, body.to_vec())));
    }

    /// It ends within this time.
    pub(super) fn ends(&mut self, within: Duration) {
        let began = Instant::now();
        while self.hear().is_some() {}
        assert!(began.elapsed() < within, "{:?}", began.elapsed());
    }

    /// The port from which it was opened.
    pub(super) fn local_port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    pub(super) fn hang_up(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A hypervisor, which lets in a client that has its ticket.
pub(super) struct Hypervisor {
    pub(super) port: u16,
    linked: Arc<Mutex<Vec<(LinkMess, Channel)>>>,
}

impl Hypervisor {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let linked: Arc<Mutex<Vec<_>>> = Arc::default();
        let own = linked.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, linked) = (stream.unwrap(), own.clone());
                thread::spawn(move || {
                    if let Some((request, rx)) = let_in(&mut stream) {
                        linked.lock().unwrap().push((request, Channel::new(stream, rx)));
                    }
                });
            }
        });
        Self { port, linked }
    }

    /// Ends the channels that no test has taken, as after viewers that were not let in.
    pub(super) fn forget(&self) {
        self.linked.lock().unwrap().clear();
    }

    /// The channel of this kind that came with this id.
    pub(super) fn channel(&self, kind: ChannelType, id: u32) -> Channel {
        let began = Instant::now();
        loop {
            let mut linked = self.linked.lock().unwrap();
            let is_it = |(request, _): &(LinkMess, _)| request.channel_type == kind && request.connection_id == id;
            if let Some(found) = linked.iter().position(is_it) {
                return linked.remove(found).1;
            }
            drop(linked);
            assert!(began.elapsed() < PATIENCE, "{kind:?} with {id} did not come");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The link stage. Nothing for one that only asks what is announced.
fn let_in(stream: &mut TcpStream) -> Option<(LinkMess, BytesMut)> {
    let began = Instant::now();
    let mut server = ServerLink::new(Duration::ZERO, Limits::default());
    let (mut buffers, mut key) = (Buffers::default(), None);
    loop {
        let action = server.step(began.elapsed(), &mut buffers).ok()?;
        stream.write_all(&buffers.tx.split()).ok()?;
        match action {
            Action::Receive { at_least } => {
                let mut bytes = vec![0; at_least];
                stream.read_exact(&mut bytes).ok()?;
                buffers.rx.extend_from_slice(&bytes);
            }
            Action::Ask(ServerQuestion::Link(request)) => {
                let fresh = Key::generate(&mut |bytes| getrandom::fill(bytes).unwrap()).unwrap();
                let shown = Announcement {
                    public_key: fresh.public(),
                    capabilities: Capabilities::spice_server(request.channel_type),
                };
                key = Some(fresh);
                server.announce(&mut buffers, shown).unwrap();
            }
            Action::Ask(ServerQuestion::Ticket { sealed, .. }) => {
                let opened = key.take().unwrap().open(&sealed, &mut |bytes| bytes.fill(1));
                assert_eq!(opened.unwrap().expose(), TICKET.as_bytes());
                server.accept(&mut buffers).unwrap();
            }
            Action::Ask(_) | Action::Waiting => unreachable!("SASL was not announced"),
            Action::Done(outcome) => return Some((outcome.request, buffers.rx)),
        }
    }
}
