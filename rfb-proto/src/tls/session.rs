//! A TLS session over buffers: rustls without buffers of its own, so that a session at rest keeps keys and nothing else.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Buf as _, BytesMut};
use rustls::CommonState;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};

use super::error::TlsError;
use crate::first_bytes::FirstBytes;
use crate::handshake::{Buffers, wipe};

/// Bytes of plaintext in a record, at most (RFC 8446, section 5.1).
const RECORD: usize = 1 << 14;
/// What a record has beside its plaintext, at most: its head, a nonce of TLS 1.2, a type and a tag.
const OVERHEAD: usize = 32;

/// Rustls's connection of a [`TlsSession`], on either side.
pub enum TlsConnection {
    /// Towards a server.
    Client(UnbufferedClientConnection),
    /// Towards a client.
    Server(UnbufferedServerConnection),
}

impl From<UnbufferedClientConnection> for TlsConnection {
    fn from(connection: UnbufferedClientConnection) -> Self {
        Self::Client(connection)
    }
}

impl From<UnbufferedServerConnection> for TlsConnection {
    fn from(connection: UnbufferedServerConnection) -> Self {
        Self::Server(connection)
    }
}

impl TlsConnection {
    fn state(&self) -> &CommonState {
        match self {
            Self::Client(connection) => connection,
            Self::Server(connection) => connection,
        }
    }

    fn step(&mut self, socket: &mut Buffers, plain: &mut Plain<'_>) -> Result<Next, rustls::Error> {
        let Buffers { rx, tx } = socket;
        let (used, next) = match self {
            Self::Client(connection) => handle(connection.process_tls_records(rx), tx, plain),
            Self::Server(connection) => handle(connection.process_tls_records(rx), tx, plain),
        };
        rx.advance(used.min(rx.len()));
        next
    }
}

impl fmt::Debug for TlsConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client(_) => "TlsConnection::Client",
            Self::Server(_) => "TlsConnection::Server",
        })
    }
}

/// A TLS session between a connection and a machine.
#[derive(Debug)]
pub struct TlsSession {
    session: TlsConnection,
    /// What the peer's bytes began with.
    began: Vec<u8>,
    /// Some of them were used: what is in `socket.rx` is not the beginning any more.
    begun: bool,
    closed: bool,
    failed: Option<TlsError>,
    /// The connection's bytes: what is read from it goes into `rx`, what is in `tx` is to be sent. Half a record stays in
    /// `rx` until its rest is there.
    pub socket: Buffers,
}

/// Plaintext on its way through a session.
struct Plain<'a> {
    buffers: &'a mut Buffers,
    /// To be sent behind what is in the buffers, and not to be kept.
    more: &'a [u8],
    /// The last thing that is sent is the farewell.
    farewell: bool,
    /// The handshake is over. A server could send before, when it does not know the client yet.
    may_send: bool,
    /// `more` was sent.
    sent: bool,
}

/// What a session wants next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// To be looked at again.
    Step,
    /// More of the peer's bytes.
    Bytes,
    /// To be looked at again. The peer sends nothing more.
    PeerClosed,
}

impl TlsSession {
    /// For a session with a configuration of one's own. `buffers` as for
    /// [`ClientTls::connect`](super::ClientTls::connect): what is left in its `tx` is sent in front of TLS, and what is in its
    /// `rx` is TLS already.
    #[must_use]
    pub fn new(session: impl Into<TlsConnection>, buffers: &mut Buffers) -> Self {
        Self {
            session: session.into(),
            began: Vec::new(),
            begun: false,
            closed: false,
            failed: None,
            socket: core::mem::take(buffers),
        }
    }

    /// Decrypts what is in `socket.rx` into `plain.rx`, encrypts what is in `plain.tx` into `socket.tx`, and
    /// takes the handshake on. Call it after reading, and after the machine has written.
    ///
    /// # Errors
    /// The session failed, for good. `socket.tx` may hold an alert for the peer.
    pub fn process(&mut self, plain: &mut Buffers) -> Result<(), TlsError> {
        self.advance(plain, &[], false).map(drop)
    }

    /// Whether the handshake is not over. The machine is to be stepped on when it is; what it writes before waits.
    #[must_use]
    pub fn is_handshaking(&self) -> bool {
        self.session.state().is_handshaking()
    }

    /// Whether the peer has said that nothing more will come. For the machine that is the end of the stream.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// As [`process`](Self::process), and then tells the peer that nothing more will come, unless the handshake is not over.
    /// Send `socket.tx`, then close.
    ///
    /// # Errors
    /// As [`process`](Self::process): there is no session to be closed.
    pub fn close(&mut self, plain: &mut Buffers) -> Result<(), TlsError> {
        self.advance(plain, &[], true).map(drop)
    }

    /// Rustls's own view of the session: versions, ciphers, certificates.
    #[must_use]
    pub fn session(&self) -> &CommonState {
        self.session.state()
    }

    /// As [`process`](Self::process); encrypts these bytes behind those in `plain.tx`. `false`: none of them, since the
    /// handshake is not over.
    #[cfg(feature = "tokio")]
    pub(crate) fn process_with(&mut self, plain: &mut Buffers, more: &[u8]) -> Result<bool, TlsError> {
        self.advance(plain, more, false)
    }

    fn advance(&mut self, plain: &mut Buffers, more: &[u8], farewell: bool) -> Result<bool, TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if !self.begun {
            self.began.clear();
            self.began.extend(self.socket.rx.iter().take(FirstBytes::SHOWN));
        }
        let mut plain = Plain {
            buffers: plain,
            more,
            farewell,
            may_send: false,
            sent: false,
        };
        loop {
            plain.may_send = !self.is_handshaking();
            let unused = self.socket.rx.len();
            let next = self.session.step(&mut self.socket, &mut plain);
            self.begun |= self.socket.rx.len() != unused;
            match next {
                Ok(Next::Step) => {}
                Ok(Next::PeerClosed) => self.closed = true,
                // The handshake has come to its end in this step.
                Ok(Next::Bytes) if !plain.may_send && !self.is_handshaking() => {}
                Ok(Next::Bytes) => return Ok(plain.sent),
                Err(error) => {
                    // The alert for the peer. Behind it nothing of the peer may be looked at again.
                    while self.session.state().wants_write() && self.session.step(&mut self.socket, &mut plain).is_ok()
                    {
                    }
                    let error = TlsError::of_session(error, &self.began);
                    return Err(self.failed.insert(error).clone());
                }
            }
        }
    }
}

/// Does what a connection asks for. Gives how many of the peer's bytes are used up, and what comes next.
fn handle<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    tx: &mut BytesMut,
    plain: &mut Plain<'_>,
) -> (usize, Result<Next, rustls::Error>) {
    let UnbufferedStatus { mut discard, state } = status;
    let next = match state {
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard = discard.saturating_add(record.discard);
                    plain.buffers.rx.extend_from_slice(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Next::Step),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut message)) => encode(&mut message, tx).map(|()| Next::Step),
        // It is in `tx`, in front of what comes later.
        Ok(ConnectionState::TransmitTlsData(message)) => {
            message.done();
            Ok(Next::Step)
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) if plain.may_send => {
            write(&mut traffic, tx, plain).map(|()| Next::Bytes)
        }
        Ok(ConnectionState::PeerClosed) => Ok(Next::PeerClosed),
        // It waits. Early data is accepted by none of these sessions.
        Ok(_) => Ok(Next::Bytes),
        Err(error) => Err(error),
    };
    (discard, next)
}

fn encode<Data>(message: &mut EncodeTlsData<'_, Data>, tx: &mut BytesMut) -> Result<(), rustls::Error> {
    let encoded = fill(tx, 0, |room| match message.encode(room) {
        Err(EncodeError::InsufficientSize(size)) => Err(Unfilled::Room(size)),
        Err(EncodeError::AlreadyEncoded) => Ok(0),
        Ok(written) => Ok(written),
    });
    encoded.map_err(|_| rustls::Error::EncryptError)
}

fn write<Data>(
    traffic: &mut WriteTraffic<'_, Data>,
    tx: &mut BytesMut,
    plain: &mut Plain<'_>,
) -> Result<(), rustls::Error> {
    let waiting = &mut plain.buffers.tx;
    seal(traffic, tx, waiting)?;
    // It may have been a password.
    wipe(waiting);
    waiting.clear();
    seal(traffic, tx, plain.more)?;
    plain.sent = true;
    if plain.farewell {
        let said = fill(tx, OVERHEAD, |room| {
            traffic.queue_close_notify(room).map_err(Unfilled::from)
        });
        said.map_err(|_| rustls::Error::EncryptError)?;
    }
    Ok(())
}

fn seal<Data>(traffic: &mut WriteTraffic<'_, Data>, tx: &mut BytesMut, bytes: &[u8]) -> Result<(), rustls::Error> {
    if bytes.is_empty() {
        return Ok(());
    }
    let records = bytes.len().div_ceil(RECORD);
    let room = bytes.len().saturating_add(records.saturating_mul(OVERHEAD));
    let sealed = fill(tx, room, |room| traffic.encrypt(bytes, room).map_err(Unfilled::from));
    sealed.map_err(|_| rustls::Error::EncryptError)
}

/// Why room was not filled.
enum Unfilled {
    Room(InsufficientSizeError),
    /// The keys may not be used any more.
    Exhausted,
}

impl From<EncryptError> for Unfilled {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::Room(size),
            EncryptError::EncryptExhausted => Self::Exhausted,
        }
    }
}

/// Appends what is written into so much room, or into as much as it says that it needs.
fn fill(
    tx: &mut BytesMut,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Unfilled>,
) -> Result<(), Unfilled> {
    let begin = tx.len();
    let mut attempt = |room: usize| {
        tx.resize(begin.saturating_add(room), 0);
        let written = write(tx.get_mut(begin..).unwrap_or_default());
        let end = written.as_ref().map_or(begin, |written| begin.saturating_add(*written));
        tx.truncate(end);
        written.map(drop)
    };
    match attempt(room) {
        Err(Unfilled::Room(InsufficientSizeError { required_size })) => attempt(required_size),
        done => done,
    }
}
