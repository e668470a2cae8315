//! Sessions between programs of other projects, framed to the last byte.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use rfb_proto::framing::{Message, Part, Piece, Relay, ServerFramer, Verdict, Watch};
use rfb_proto::message::{ClientMessage, FramebufferUpdate, ServerMessage};
use rfb_proto::{Limits, Policy};

use crate::encodings::Found;
use crate::recordings::{self, Connection, Rows, SOURCE};
use crate::walk::End;

/// Every bit of a byte, and all of them.
const CHANGES: [u8; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 255];

/// What goes by, decoded and encoded again.
#[derive(Default)]
pub(crate) struct Seen {
    server: Found,
    client: Vec<u8>,
    pub(crate) counts: BTreeMap<String, usize>,
    /// Whether the client's bytes end where a message does, and the server's.
    pub(crate) ended: (bool, bool),
    /// Messages that go in pieces.
    long: usize,
    /// To decode with.
    extensions: rfb_proto::message::Extensions,
}

impl Seen {
    fn count(&mut self, what: String) {
        *self.counts.entry(what).or_default() += 1;
    }
}

/// The bytes of a message, if it is here as a whole.
fn whole(message: &Message<'_>) -> Option<Bytes> {
    message.whole().map(Bytes::copy_from_slice)
}

impl Watch for Seen {
    fn client(&mut self, message: &Message<'_>) -> Verdict {
        if let Some(bytes) = whole(message) {
            let decoded = ClientMessage::decode(&bytes, &self.extensions, &Limits::default()).unwrap();
            let before = self.client.len();
            let mut out = BytesMut::from(&self.client[..]);
            decoded.encode(&mut out).unwrap();
            assert_eq!(out[before..], bytes, "{decoded:?}");
            self.client = out.to_vec();
            // What it asks for counts for what stands behind it in the same read.
            self.extensions.client_sent(&decoded);
            self.count(format!("client {}", decoded.name()));
        } else {
            self.long += 1;
            self.client.extend_from_slice(message.bytes);
        }
        Verdict::Pass
    }

    fn server(&mut self, message: &Message<'_>) -> Verdict {
        if let Some(bytes) = whole(message) {
            let decoded = ServerMessage::decode(&bytes, &self.extensions, &Limits::default()).unwrap();
            let mut out = BytesMut::new();
            decoded.encode(&mut out).unwrap();
            assert_eq!(out, bytes, "{decoded:?}");
            self.count(decoded.name().to_owned());
        } else {
            self.long += 1;
        }
        self.server.add(Part::Message(*message));
        Verdict::Pass
    }

    fn update(&mut self, head: FramebufferUpdate) {
        self.server.add(Part::Update(head));
    }

    fn rectangle(&mut self, piece: &Piece<'_>) {
        if piece.first {
            self.count(piece.rectangle.encoding.to_string());
        }
        self.server.add(Part::Rectangle(*piece));
    }
}

/// A session behind its handshake: what each side says, in the order in which it was read.
pub(crate) struct Session {
    pub(crate) connection: Connection,
    pub(crate) init: rfb_proto::ServerInit,
    c2s_at: usize,
    s2c_at: usize,
}

impl Session {
    /// Those of the source that got so far. Messages in a layer of SASL cannot be framed.
    pub(crate) fn all() -> Vec<Self> {
        Self::of(recordings::all())
    }

    /// Those of the copy in `tests/data`.
    pub(crate) fn own() -> Vec<Self> {
        Self::of(recordings::own())
    }

    fn of(connections: Vec<Connection>) -> Vec<Self> {
        let sessions = connections.into_iter().filter_map(|connection| {
            let walk = connection.walk();
            let (c2s_at, s2c_at) = (walk.c2s_at, walk.s2c_at);
            let init = walk.init.filter(|_| walk.end == End::Whole)?;
            Some(Self {
                connection,
                init,
                c2s_at,
                s2c_at,
            })
        });
        sessions.collect()
    }

    pub(crate) fn name(&self) -> &str {
        &self.connection.name
    }

    pub(crate) fn client(&self) -> &[u8] {
        &self.connection.c2s[self.c2s_at..]
    }

    pub(crate) fn server(&self) -> &[u8] {
        &self.connection.s2c[self.s2c_at..]
    }

    /// What was read at a time: whether from the client, and the bytes.
    pub(crate) fn reads(&self) -> Vec<(bool, &[u8])> {
        let connection = &self.connection;
        let reads = connection.segments.iter().filter_map(|(from_client, range)| {
            let (bytes, at) = match from_client {
                true => (&connection.c2s, self.c2s_at),
                false => (&connection.s2c, self.s2c_at),
            };
            // Without the handshake, and without what was cut.
            let range = range.start.max(at)..range.end.min(bytes.len());
            (range.start < range.end).then(|| (*from_client, &bytes[range]))
        });
        let reads: Vec<_> = reads.collect();
        match connection.segments.is_empty() {
            // The order was not kept, and does not matter.
            true => vec![(true, self.client()), (false, self.server())],
            false => reads,
        }
    }

    /// Plays it through a relay, `chunk` bytes at a time.
    pub(crate) fn play(&self, chunk: usize, policy: Policy) -> Seen {
        let mut relay = Relay::new(&self.init, &Limits::default())
            .with_policy(policy)
            .with_stripping(false);
        let mut seen = Seen::default();
        let (mut from_client, mut from_server) = (BytesMut::new(), BytesMut::new());
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        for (is_client, bytes) in self.reads() {
            for bytes in bytes.chunks(chunk) {
                let mut tx = BytesMut::new();
                seen.extensions = *relay.server().extensions();
                let passed = if is_client {
                    from_client.extend_from_slice(bytes);
                    let passed = relay.from_client(&mut from_client, &mut tx, &mut seen);
                    to_server.extend_from_slice(&tx);
                    passed
                } else {
                    from_server.extend_from_slice(bytes);
                    let passed = relay.from_server(&mut from_server, &mut tx, &mut seen);
                    to_client.extend_from_slice(&tx);
                    passed
                };
                passed.unwrap_or_else(|error| panic!("{error}"));
            }
        }
        let (client, server) = (relay.client(), relay.server());
        // What is left is the front of a message.
        assert!(from_client.is_empty() || 0 < client.missing().bytes);
        assert!(from_server.is_empty() || 0 < server.missing().bytes);
        seen.ended = (
            from_client.is_empty() && client.is_between_messages(),
            from_server.is_empty() && server.is_between_messages(),
        );
        // Nothing is lost, nothing is changed, every byte has its place.
        to_client.extend_from_slice(&from_server);
        to_server.extend_from_slice(&from_client);
        assert!(to_client == self.server() && to_server == self.client());
        assert!(self.server().starts_with(&seen.server.bytes));
        assert_eq!(seen.server.bytes.len() + from_server.len(), self.server().len());
        assert_eq!(seen.client.len() + from_client.len(), self.client().len());
        seen
    }
}

#[test]
fn recorded_sessions_to_the_last_byte() {
    let mut rows = Rows::new(SOURCE);
    for session in Session::all() {
        rows.row(session.name(), || {
            let whole = session.play(usize::MAX, Policy::Lenient);
            for chunk in [1, 97, 4096] {
                let cut = session.play(chunk, Policy::Lenient);
                assert!(
                    (&cut.server, &cut.counts) == (&whole.server, &whole.counts),
                    "by {chunk}"
                );
            }
        });
    }
    rows.end();
}

/// Every bit of a session changed, and every byte as a whole: an error that tells where, or other parts; never a panic
/// or a stall, and every byte that was taken comes out. Gives how many errors and parts there were.
pub(crate) fn changed(session: &Session) -> [usize; 2] {
    let (mut errors, mut parts) = (0, 0);
    let server = session.server();
    let server = &server[..server.len().min(400)];
    let framer = ServerFramer::new(&session.init, &Limits::default());
    for (at, change) in (0..server.len()).flat_map(|at| CHANGES.map(|change| (at, change))) {
        let mut changed = server.to_vec();
        changed[at] ^= change;
        let mut framer = framer.clone();
        let mut left = &changed[..];
        loop {
            let before = left.len();
            match framer.next_part(&mut left) {
                Ok(Some(_)) => assert!(left.len() < before, "progress"),
                Ok(None) => break,
                Err(error) => {
                    assert!(error.offset <= changed.len() as u64, "{error}");
                    assert_eq!(framer.next_part(&mut left), Err(error));
                    errors += 1;
                    break;
                }
            }
            parts += 1;
        }
        assert_eq!(framer.taken() as usize + left.len(), changed.len());
    }
    [errors, parts]
}

#[test]
fn every_changed_byte() {
    let mut rows = Rows::new(SOURCE);
    for session in Session::all() {
        rows.row(session.name(), || changed(&session));
    }
    rows.end();
}
