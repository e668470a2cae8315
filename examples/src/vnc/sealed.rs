//! Log-ins that seal user and password: RSA-AES, Apple's Diffie-Hellman and UltraVNC's logons.

use std::sync::Arc;

use rfb_proto::handshake::client::ClientQuestion;
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{Buffers, ClientHandshake, Misuse, ServerHandshake};
use rfb_proto::security::Seed;
use rfb_proto::security::ard::ArdSecret;
use rfb_proto::security::ms_logon::{MsLogonIIISecret, MsLogonSecret, respond_iii};
use rfb_proto::security::rsa_aes::{Key, LayerKeys, LayerStream, Pin};

use crate::stream::Stream;

/// Bits of a key that is made here.
const KEY_BITS: u32 = 2048;

/// Random bytes for one log-in.
fn seed() -> Seed {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    Seed::new(bytes)
}

/// A key of RSA for which there is no file.
///
/// # Panics
/// If the system has no random bytes.
#[must_use]
pub fn key() -> Key {
    Key::generate(KEY_BITS, &seed()).expect("a length that is taken")
}

/// The layer of RSA-AES, where a machine came to it.
pub fn layered(stream: Stream, buffers: &mut Buffers, keys: LayerKeys) -> Stream {
    Box::new(LayerStream::new(stream, keys, buffers))
}

/// A server's side of one log-in.
pub struct SealedServer {
    key: Option<Arc<Key>>,
    seed: Seed,
}

impl SealedServer {
    /// With the key of the server, if it has one.
    #[must_use]
    pub fn new(key: Option<Arc<Key>>) -> Self {
        Self { key, seed: seed() }
    }

    /// Answers a question of these log-ins. The keys are those of a layer that begins: the stream is to be wrapped, then
    /// `layered` goes on.
    ///
    /// # Errors
    /// Another question, or there is no key.
    pub fn answer(
        &self,
        machine: &mut ServerHandshake,
        buffers: &mut Buffers,
        question: ServerQuestion,
    ) -> Result<Option<LayerKeys>, Misuse> {
        let key = self.key.as_ref().ok_or(Misuse::NotOffered);
        match question {
            ServerQuestion::RsaAes => machine.rsa_aes(buffers, key?.public(), &self.seed)?,
            ServerQuestion::RsaAesOpen { sealed, strength } => {
                let random = key?.open(&sealed, strength, &self.seed);
                machine.rsa_aes_open(buffers, random.expose())?;
            }
            ServerQuestion::RsaAesLayer(keys) => return Ok(Some(keys)),
            ServerQuestion::DiffieHellman => {
                machine.diffie_hellman(buffers, ArdSecret::new(&self.seed).parameters())?;
            }
            ServerQuestion::MsLogonII => machine.ms_logon_ii(buffers, MsLogonSecret::new(&self.seed).parameters())?,
            ServerQuestion::MsLogonIII => {
                machine.ms_logon_iii(buffers, &MsLogonIIISecret::new(&self.seed).public())?;
            }
            _ => return Err(Misuse::NotOffered),
        }
        Ok(None)
    }

    /// What a client shows, opened. `None`: it cannot be.
    #[must_use]
    pub fn open(&self, claim: ClientCredentials) -> Option<ClientCredentials> {
        let opened = match claim {
            ClientCredentials::DiffieHellman(response) => ArdSecret::new(&self.seed).open(&response),
            ClientCredentials::MsLogonII(response) => MsLogonSecret::new(&self.seed).open(&response),
            ClientCredentials::MsLogonIII(response) => MsLogonIIISecret::new(&self.seed).open(&response),
            other => return Some(other),
        };
        opened.map(ClientCredentials::Plain)
    }
}

/// A client's side of one log-in.
pub struct SealedClient<'a> {
    /// The server's key of RSA.
    pub pin: Pin,
    /// The user that logs in.
    pub user: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

/// What a client answers from one question to the next.
pub struct ClientLogin {
    key: Option<Key>,
    seed: Seed,
}

impl Default for ClientLogin {
    fn default() -> Self {
        Self {
            key: None,
            seed: seed(),
        }
    }
}

impl ClientLogin {
    /// Answers a question of these log-ins. Where a layer begins, the stream is to be wrapped, then `layered` goes on.
    ///
    /// # Errors
    /// Another question, or user and password do not fit.
    pub fn answer(
        &mut self,
        machine: &mut ClientHandshake,
        buffers: &mut Buffers,
        question: ClientQuestion,
        login: &SealedClient<'_>,
    ) -> Result<Answered, Misuse> {
        let SealedClient { pin, user, password } = login;
        match question {
            ClientQuestion::RsaAes { server_key, .. } if !pin.is_of(&server_key) => return Ok(Answered::WrongKey),
            ClientQuestion::RsaAes { .. } => {
                let own = self.key.get_or_insert_with(key);
                machine.rsa_aes(buffers, own.public(), &self.seed)?;
            }
            ClientQuestion::RsaAesOpen { sealed, strength } => {
                let own = self.key.get_or_insert_with(key);
                machine.rsa_aes_open(buffers, own.open(&sealed, strength, &self.seed).expose())?;
            }
            ClientQuestion::RsaAesCredentials { .. } => machine.rsa_aes_credentials(buffers, user, password)?,
            ClientQuestion::RsaAesLayer(keys) => return Ok(Answered::Layer(keys)),
            ClientQuestion::DiffieHellman(parameters) => {
                machine.diffie_hellman(buffers, &parameters.respond(user, password, &self.seed)?)?;
            }
            ClientQuestion::MsLogonII(parameters) => {
                machine.ms_logon_ii(buffers, &parameters.respond(user, password, &self.seed)?)?;
            }
            ClientQuestion::MsLogonIII { public } => {
                machine.ms_logon_iii(buffers, &respond_iii(&public, user, password, &self.seed)?)?;
            }
            _ => return Err(Misuse::NotOffered),
        }
        Ok(Answered::GoesOn)
    }
}

/// What comes of an answer.
pub enum Answered {
    /// The handshake goes on.
    GoesOn,
    /// A layer begins.
    Layer(LayerKeys),
    /// The server's key is not the pinned one.
    WrongKey,
}
