//! What a server offers, and what it says to those that it does not let in.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::handshake::Exchange;
use crate::limits::Limits;
use crate::security::tight::{Capability, InteractionCapabilities};
use crate::security::vencrypt::Subtype;
use crate::security::{Reason, SecurityType};
use crate::version::{Policy, Version};

/// What a server offers. One configuration serves many connections: put it into an [`Arc`](alloc::sync::Arc).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The greeting: 3.8.
    pub version: Version,
    /// Which versions are taken from clients, and other lenience.
    pub policy: Policy,
    /// Security types to offer, in this order: none. Types that cannot be followed here are left out, and so are
    /// VeNCrypt, Tight, TLS and SASL where the list below that belongs to them is empty.
    pub types: Vec<SecurityType>,
    /// Subtypes to offer inside VeNCrypt, in this order: none.
    pub subtypes: Vec<Subtype>,
    /// Types to offer inside Tight, of None, VNC, VeNCrypt and SASL: none. An empty list on the wire would mean that
    /// no authentication is needed; it is never sent.
    pub tight_types: Vec<SecurityType>,
    /// Whether the tunnel "none" is listed in Tight: no. Without a list there is nothing to choose; TightVNC sends
    /// none, others this one.
    pub tight_tunnel: bool,
    /// What stands behind the ServerInit in Tight: nothing.
    pub tight_interaction: InteractionCapabilities,
    /// Types to offer inside the anonymous TLS of type 18, of None, VNC and SASL: none.
    pub tls_types: Vec<SecurityType>,
    /// Ask for a user beside the password in RSA-AES: yes, as there is one in all other types with passwords of any length.
    pub rsa_aes_user: bool,
    /// SASL mechanisms to offer, with commas between them: none.
    pub sasl_mechanisms: Bytes,
    /// Ask what to offer, with [`ServerQuestion::Offer`](super::ServerQuestion::Offer): no.
    pub ask_offer: bool,
    /// Treat clients that answer 3.889 as macOS: no. With type None these wait for no SecurityResult and send no
    /// ClientInit (libvncserver).
    pub apple: bool,
    /// Go on with ClientInit and ServerInit: yes. Without, the handshake ends with the SecurityResult.
    pub init: bool,
    /// Limits.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            version: Version::V3_8,
            policy: Policy::default(),
            types: Vec::new(),
            subtypes: Vec::new(),
            tight_types: Vec::new(),
            tight_tunnel: false,
            tight_interaction: InteractionCapabilities::default(),
            tls_types: Vec::new(),
            rsa_aes_user: true,
            sasl_mechanisms: Bytes::new(),
            ask_offer: false,
            apple: false,
            init: true,
            limits: Limits::default(),
        }
    }
}

impl ServerConfig {
    /// Offers these types.
    #[must_use]
    pub fn new(types: &[SecurityType]) -> Self {
        Self {
            types: types.into(),
            ..Self::default()
        }
    }

    /// Sets [`ServerConfig::version`].
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets [`ServerConfig::policy`].
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets [`ServerConfig::subtypes`].
    #[must_use]
    pub fn with_subtypes(mut self, subtypes: &[Subtype]) -> Self {
        self.subtypes = subtypes.into();
        self
    }

    /// Sets [`ServerConfig::tight_types`].
    #[must_use]
    pub fn with_tight_types(mut self, types: &[SecurityType]) -> Self {
        self.tight_types = types.into();
        self
    }

    /// Sets [`ServerConfig::tight_tunnel`].
    #[must_use]
    pub fn with_tight_tunnel(mut self, listed: bool) -> Self {
        self.tight_tunnel = listed;
        self
    }

    /// Sets [`ServerConfig::tight_interaction`].
    #[must_use]
    pub fn with_tight_interaction(mut self, capabilities: InteractionCapabilities) -> Self {
        self.tight_interaction = capabilities;
        self
    }

    /// Sets [`ServerConfig::tls_types`].
    #[must_use]
    pub fn with_tls_types(mut self, types: &[SecurityType]) -> Self {
        self.tls_types = types.into();
        self
    }

    /// Sets [`ServerConfig::rsa_aes_user`].
    #[must_use]
    pub fn with_rsa_aes_user(mut self, asked: bool) -> Self {
        self.rsa_aes_user = asked;
        self
    }

    /// Sets [`ServerConfig::sasl_mechanisms`].
    #[must_use]
    pub fn with_sasl_mechanisms(mut self, list: &[u8]) -> Self {
        self.sasl_mechanisms = Bytes::copy_from_slice(list);
        self
    }

    /// Sets [`ServerConfig::ask_offer`].
    #[must_use]
    pub fn with_ask_offer(mut self, ask: bool) -> Self {
        self.ask_offer = ask;
        self
    }

    /// Sets [`ServerConfig::apple`].
    #[must_use]
    pub fn with_apple(mut self, apple: bool) -> Self {
        self.apple = apple;
        self
    }

    /// Sets [`ServerConfig::init`].
    #[must_use]
    pub fn with_init(mut self, init: bool) -> Self {
        self.init = init;
        self
    }

    /// Sets [`ServerConfig::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether the type can be followed to its end with what is configured.
    #[inline]
    pub(super) fn can_follow(&self, security_type: SecurityType) -> bool {
        security_type.is_simple() || self.can_follow_further(security_type)
    }

    fn can_follow_further(&self, security_type: SecurityType) -> bool {
        match security_type {
            SecurityType::SASL => !self.sasl_mechanisms.is_empty(),
            SecurityType::VENCRYPT => self.subtypes.iter().any(|&subtype| self.can_follow_subtype(subtype)),
            SecurityType::TLS => self.tls_types.iter().any(|&inner| self.can_follow_inside(inner)),
            SecurityType::TIGHT => self.tight_types.iter().any(|&inner| self.can_follow_tight(inner)),
            other => Exchange::of(other).is_some_and(Exchange::is_available),
        }
    }

    /// The same for the list inside the TLS of type 18.
    pub(super) fn can_follow_inside(&self, security_type: SecurityType) -> bool {
        Exchange::of(security_type).is_some() && self.can_follow(security_type)
    }

    /// The same for the capabilities of Tight.
    pub(super) fn can_follow_tight(&self, security_type: SecurityType) -> bool {
        Capability::for_type(security_type).is_some() && self.can_follow(security_type)
    }

    /// The same for the subtypes of VeNCrypt.
    pub(super) fn can_follow_subtype(&self, subtype: Subtype) -> bool {
        match subtype.exchange() {
            Some(Exchange::Sasl) => !self.sasl_mechanisms.is_empty(),
            exchange => exchange.is_some_and(Exchange::is_available),
        }
    }
}

/// What is sent to a client that is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Nothing: the connection is closed. QEMU does so after a SASL exchange that failed.
    Close,
    /// No, and why. Reasons are sent before a type is chosen and, in 3.8, in a SecurityResult; else they are left
    /// out.
    Failed(Reason),
    /// As [`Failed`](Self::Failed), and that it should not try again soon. Before a type is chosen it is the same.
    TooManyAttempts(Reason),
}

/// What most servers say about a wrong password.
impl Default for Refusal {
    fn default() -> Self {
        Self::Failed(Reason::from_static("Authentication failed"))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Close => f.write_str("closed"),
            Self::Failed(reason) => f.write_str(&reason.to_text()),
            Self::TooManyAttempts(reason) => write!(f, "too many attempts: {}", reason.to_text()),
        }
    }
}
