//! What the caller is asked, and what comes out.

use core::fmt;

use bytes::Bytes;

#[cfg(doc)]
use super::{ServerConfig, ServerHandshake};
use crate::handshake::Security;
use crate::init::ClientInit;
use crate::security::Secret;
use crate::security::ard::ArdResponse;
use crate::security::ms_logon::{MsLogonIIIResponse, MsLogonResponse};
use crate::security::plain::Credentials;
use crate::security::rsa_aes::{LayerKeys, Strength};
use crate::security::vnc::CHALLENGE_LEN;
use crate::version::{ProtocolVersion, Version};

/// What the caller is asked.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerQuestion {
    /// What is this client [offered](ServerHandshake::offer)? Or [refuse](ServerHandshake::refuse) it. Only with
    /// [`ServerConfig::ask_offer`].
    Offer {
        /// The rules that the client wants.
        rules: Version,
    },
    /// 16 bytes from a cryptographically secure source, for [`ServerHandshake::challenge`].
    Challenge,
    /// Is the client let in? Answered with [`ServerHandshake::accept`] or [`ServerHandshake::refuse`].
    Admit(ClientCredentials),
    /// The first data of a SASL exchange. Answered with [`ServerHandshake::sasl_reply`],
    /// [`ServerHandshake::sasl_complete`] or [`ServerHandshake::refuse`].
    SaslStart {
        /// The mechanism, one of the offered.
        mechanism: Bytes,
        /// What the mechanism begins with, if anything.
        data: Option<Secret>,
    },
    /// Further data of it. Answered as [`SaslStart`](Self::SaslStart).
    SaslStep {
        /// What the mechanism says, if anything.
        data: Option<Secret>,
    },
    /// From here on both directions are inside the layer that the SASL mechanism agreed on. What is in `rx` is
    /// to be replaced by what is in it, then [`ServerHandshake::layered`] goes on.
    SaslLayer,
    /// A key of RSA to show, and random bytes, for [`ServerHandshake::rsa_aes`].
    RsaAes,
    /// What does the client's random number say? It was sealed for the key that was shown; what
    /// [`Key::open`](crate::security::rsa_aes::Key::open) gives is for [`ServerHandshake::rsa_aes_open`].
    RsaAesOpen {
        /// The number, sealed.
        sealed: Bytes,
        /// How long it is.
        strength: Strength,
    },
    /// From here on both directions are inside the messages of RSA-AES, for
    /// [`Layer::new`](crate::security::rsa_aes::Layer::new). `tx` is sent first. What is in `rx` is to be replaced by what
    /// is in it, then [`ServerHandshake::layered`] goes on.
    RsaAesLayer(LayerKeys),
    /// A group and a public value in it, for [`ServerHandshake::diffie_hellman`].
    DiffieHellman,
    /// The same for [`ServerHandshake::ms_logon_ii`].
    MsLogonII,
    /// A public value for [`ServerHandshake::ms_logon_iii`].
    MsLogonIII,
    /// What is this client shown? Answered with [`ServerHandshake::init`].
    Init(ClientInit),
}

/// What a client shows to be let in. `Debug` shows no password, and no response: eight characters are soon found from it.
#[derive(PartialEq, Eq)]
pub enum ClientCredentials {
    /// Nothing, or what TLS showed.
    None,
    /// An answer to the challenge: for [`Password::verify`](crate::security::vnc::Password::verify).
    Vnc {
        /// The challenge that the caller gave.
        challenge: [u8; CHALLENGE_LEN],
        /// The client's response.
        response: [u8; CHALLENGE_LEN],
    },
    /// User and password, of a Plain subtype or of RSA-AES; there the user is empty if none was asked for. An empty
    /// password is a password: what it opens is for the caller to know.
    Plain(Credentials),
    /// User and password, sealed: for [`ArdSecret::open`](crate::security::ard::ArdSecret::open).
    DiffieHellman(ArdResponse),
    /// User and password, sealed: for [`MsLogonSecret::open`](crate::security::ms_logon::MsLogonSecret::open).
    MsLogonII(MsLogonResponse),
    /// User and password, sealed: for [`MsLogonIIISecret::open`](crate::security::ms_logon::MsLogonIIISecret::open).
    MsLogonIII(MsLogonIIIResponse),
    /// A user name without any proof.
    Ident {
        /// The name.
        user: Bytes,
    },
    /// A SASL exchange that the caller called complete.
    Sasl,
}

impl fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Vnc { .. } => f.write_str("Vnc { .. }"),
            Self::Plain(credentials) => f.debug_tuple("Plain").field(credentials).finish(),
            Self::DiffieHellman(_) => f.write_str("DiffieHellman(..)"),
            Self::MsLogonII(_) => f.write_str("MsLogonII(..)"),
            Self::MsLogonIII(_) => f.write_str("MsLogonIII(..)"),
            Self::Ident { user } => f.debug_struct("Ident").field("user", user).finish(),
            Self::Sasl => f.write_str("Sasl"),
        }
    }
}

/// A handshake that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOutcome {
    /// What the client answered the greeting with.
    pub client_version: ProtocolVersion,
    /// The rules in force.
    pub rules: Version,
    /// What was agreed on to secure the connection.
    pub security: Security,
    /// Whether a layer of the SASL mechanism is around everything that follows.
    pub sasl_layer: bool,
    /// What the client wants; without [`ServerConfig::init`] it has not said it yet.
    pub init: Option<ClientInit>,
}
