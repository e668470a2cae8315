//! What the callers of the machines know for RSA-AES, Diffie-Hellman authentication and UltraVNC's logons.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use bytes::BytesMut;
use rfb_proto::handshake::bridge::{Bridge, BridgeQuestion};
use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{Buffers, ClientHandshake, Misuse, ServerHandshake, SideBuffers};
use rfb_proto::security::Seed;
use rfb_proto::security::ard::ArdSecret;
use rfb_proto::security::ms_logon::{MsLogonIIISecret, MsLogonSecret, respond_iii};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::rsa_aes::{Key, Layer, LayerKeys, Strength};

use crate::chain::Session;

/// Random numbers by their sealed form and their length.
type Opened = BTreeMap<(Vec<u8>, usize), Vec<u8>>;

/// One side of a log-in: its key, and its random bytes.
pub(crate) struct Own {
    pub(crate) key: LazyLock<Key>,
    pub(crate) seed: [u8; 32],
    ard: LazyLock<ArdSecret>,
    /// What was opened before: tests of bad input open the same over and over.
    opened: Mutex<Opened>,
}

impl Own {
    pub(crate) fn seed(&self) -> Seed {
        Seed::new(self.seed)
    }

    fn open(&self, sealed: &[u8], strength: Strength) -> Vec<u8> {
        let mut opened = self.opened.lock().unwrap();
        if opened.len() > 100 {
            opened.clear();
        }
        let key = (sealed.to_vec(), strength.random_len());
        let open = || self.key.open(sealed, strength, &self.seed()).expose().to_vec();
        opened.entry(key).or_insert_with(open).clone()
    }
}

fn generate(byte: u8) -> Key {
    Key::generate(1024, &Seed::new([byte; 32])).unwrap()
}

pub(crate) static SERVER: Own = Own {
    key: LazyLock::new(|| generate(1)),
    seed: [0x51; 32],
    ard: LazyLock::new(|| ArdSecret::new(&Seed::new([0x51; 32]))),
    opened: Mutex::new(BTreeMap::new()),
};

pub(crate) static CLIENT: Own = Own {
    key: LazyLock::new(|| generate(2)),
    seed: [0x52; 32],
    ard: LazyLock::new(|| ArdSecret::new(&Seed::new([0x52; 32]))),
    opened: Mutex::new(BTreeMap::new()),
};

/// What a claim of these types says.
pub(crate) fn opened(claim: &ClientCredentials, own: &Own) -> Option<Credentials> {
    match claim {
        ClientCredentials::DiffieHellman(response) => own.ard.open(response),
        ClientCredentials::MsLogonII(response) => MsLogonSecret::new(&own.seed()).open(response),
        ClientCredentials::MsLogonIII(response) => MsLogonIIISecret::new(&own.seed()).open(response),
        _ => None,
    }
}

/// Answers a server. The keys are those of a layer that begins.
pub(crate) fn answer_client(
    machine: &mut ServerHandshake,
    buffers: &mut Buffers,
    question: ServerQuestion,
    own: &Own,
) -> Result<Option<LayerKeys>, Misuse> {
    let seed = own.seed();
    match question {
        ServerQuestion::RsaAes => machine.rsa_aes(buffers, own.key.public(), &seed)?,
        ServerQuestion::RsaAesOpen { sealed, strength } => {
            machine.rsa_aes_open(buffers, &own.open(&sealed, strength))?;
        }
        ServerQuestion::RsaAesLayer(keys) => return Ok(Some(keys)),
        ServerQuestion::DiffieHellman => machine.diffie_hellman(buffers, own.ard.parameters())?,
        ServerQuestion::MsLogonII => machine.ms_logon_ii(buffers, MsLogonSecret::new(&seed).parameters())?,
        ServerQuestion::MsLogonIII => machine.ms_logon_iii(buffers, &MsLogonIIISecret::new(&seed).public())?,
        other => panic!("{other:?}"),
    }
    Ok(None)
}

/// Answers a client.
pub(crate) fn answer_server(
    machine: &mut ClientHandshake,
    buffers: &mut Buffers,
    question: ClientQuestion,
    (user, password): (&[u8], &[u8]),
    own: &Own,
) -> Result<Option<LayerKeys>, Misuse> {
    let seed = own.seed();
    match question {
        ClientQuestion::RsaAes { .. } => machine.rsa_aes(buffers, own.key.public(), &seed)?,
        ClientQuestion::RsaAesOpen { sealed, strength } => {
            machine.rsa_aes_open(buffers, &own.open(&sealed, strength))?;
        }
        ClientQuestion::RsaAesCredentials { .. } => machine.rsa_aes_credentials(buffers, user, password)?,
        ClientQuestion::RsaAesLayer(keys) => return Ok(Some(keys)),
        ClientQuestion::DiffieHellman(parameters) => {
            machine.diffie_hellman(buffers, &parameters.respond(user, password, &seed)?)?;
        }
        ClientQuestion::MsLogonII(parameters) => {
            machine.ms_logon_ii(buffers, &parameters.respond(user, password, &seed)?)?;
        }
        ClientQuestion::MsLogonIII { public } => {
            machine.ms_logon_iii(buffers, &respond_iii(&public, user, password, &seed)?)?;
        }
        other => panic!("{other:?}"),
    }
    Ok(None)
}

/// Answers a bridge, towards its tenant.
pub(crate) fn answer_bridge(
    bridge: &mut Bridge,
    sides: &mut SideBuffers,
    question: BridgeQuestion,
    own: &Own,
) -> Result<(), Misuse> {
    let seed = own.seed();
    match question {
        BridgeQuestion::RsaAes => bridge.rsa_aes(sides, own.key.public(), &seed),
        BridgeQuestion::RsaAesOpen { sealed, strength } => bridge.rsa_aes_open(sides, &own.open(&sealed, strength)),
        BridgeQuestion::DiffieHellman => bridge.diffie_hellman(sides, own.ard.parameters()),
        BridgeQuestion::MsLogonII => bridge.ms_logon_ii(sides, MsLogonSecret::new(&seed).parameters()),
        BridgeQuestion::MsLogonIII => bridge.ms_logon_iii(sides, &MsLogonIIISecret::new(&seed).public()),
        other => panic!("{other:?}"),
    }
}

/// A layer over one end of a connection in memory.
pub(crate) struct LayerSession {
    layer: Layer,
    socket: Buffers,
}

impl LayerSession {
    /// Begins where the machine came to it.
    pub(crate) fn new(keys: LayerKeys, plain: &mut Buffers) -> Self {
        Self {
            layer: Layer::new(keys),
            socket: core::mem::take(plain),
        }
    }
}

impl Session for LayerSession {
    fn process(&mut self, plain: &mut Buffers) -> Result<(), String> {
        self.layer.seal(&mut plain.tx, &mut self.socket.tx);
        let opened = self.layer.open(&mut self.socket.rx, &mut plain.rx);
        opened.map(drop).map_err(|error| error.to_string())
    }

    fn socket(&mut self) -> &mut Buffers {
        &mut self.socket
    }

    fn is_handshaking(&self) -> bool {
        false
    }
}

/// The layer of a [`Player`](crate::play::Player), which sees the bytes of the connection.
#[derive(Debug)]
pub(crate) struct PlayerLayer {
    layer: Layer,
    socket: BytesMut,
}

impl PlayerLayer {
    pub(crate) fn new(keys: LayerKeys, rx: &mut BytesMut) -> Self {
        Self {
            layer: Layer::new(keys),
            socket: rx.split(),
        }
    }

    pub(crate) fn receive(&mut self, bytes: &[u8], rx: &mut BytesMut) -> Result<(), rfb_proto::DecodeError> {
        self.socket.extend_from_slice(bytes);
        self.layer.open(&mut self.socket, rx).map(drop)
    }

    pub(crate) fn send(&mut self, tx: &mut BytesMut) -> BytesMut {
        let mut sealed = BytesMut::new();
        if !tx.is_empty() {
            self.layer.seal(tx, &mut sealed);
        }
        sealed
    }
}
