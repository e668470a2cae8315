//! What a client wants.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::init::ClientInit;
use crate::limits::Limits;
use crate::security::SecurityType;
use crate::security::vencrypt::{Exchange, Subtype};
use crate::version::{Policy, Version};

/// What a client wants. Lists are in its own order, best first: that of the server does not count.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// The highest version to answer with: 3.8.
    pub version: Version,
    /// Which versions are taken from servers, and other lenience.
    pub policy: Policy,
    /// Security types that may be chosen: none. Of those in the list the ones with a choice of their own inside
    /// also need the list below that belongs to them.
    pub types: Vec<SecurityType>,
    /// Subtypes that may be chosen inside VeNCrypt: none. Numbers below 256 are ordinary security types.
    pub subtypes: Vec<Subtype>,
    /// What may be chosen inside Tight, of None, VNC, VeNCrypt and SASL: none. A server that lists nothing there
    /// wants no authentication, which is taken only if None is in this list.
    pub tight_types: Vec<SecurityType>,
    /// Types that may be chosen inside the anonymous TLS of type 18, of None, VNC and SASL: none.
    pub tls_types: Vec<SecurityType>,
    /// Whether inside VeNCrypt something without TLS may be chosen: no. Plain sends the password in clear text then.
    /// Some servers list it in front of better ones, and an attacker in the middle can strike those out.
    pub cleartext: bool,
    /// Ask for the choice from the first list, with [`ClientQuestion::Choose`](super::ClientQuestion::Choose): no.
    pub ask_choice: bool,
    /// For [`Tls::server_name`](crate::handshake::Tls::server_name): none.
    pub server_name: Option<String>,
    /// What is sent to a repeater, `ID:xxxx` or `host:port`, at most 250 bytes: nothing, and repeaters are unsupported.
    pub repeater: Option<Bytes>,
    /// What is asked of the server in the end: others may stay.
    pub client_init: ClientInit,
    /// Go on with ClientInit and ServerInit: yes. Without, the handshake ends with the SecurityResult.
    pub init: bool,
    /// Limits.
    pub limits: Limits,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            version: Version::V3_8,
            policy: Policy::default(),
            types: Vec::new(),
            subtypes: Vec::new(),
            tight_types: Vec::new(),
            tls_types: Vec::new(),
            cleartext: false,
            ask_choice: false,
            server_name: None,
            repeater: None,
            client_init: ClientInit::SHARED,
            init: true,
            limits: Limits::default(),
        }
    }
}

impl ClientConfig {
    /// May choose these types, best first.
    #[must_use]
    pub fn new(types: &[SecurityType]) -> Self {
        Self {
            types: types.into(),
            ..Self::default()
        }
    }

    /// Sets [`ClientConfig::version`].
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.version = version;
        self
    }

    /// Sets [`ClientConfig::policy`].
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets [`ClientConfig::subtypes`].
    #[must_use]
    pub fn with_subtypes(mut self, subtypes: &[Subtype]) -> Self {
        self.subtypes = subtypes.into();
        self
    }

    /// Sets [`ClientConfig::tight_types`].
    #[must_use]
    pub fn with_tight_types(mut self, types: &[SecurityType]) -> Self {
        self.tight_types = types.into();
        self
    }

    /// Sets [`ClientConfig::tls_types`].
    #[must_use]
    pub fn with_tls_types(mut self, types: &[SecurityType]) -> Self {
        self.tls_types = types.into();
        self
    }

    /// Sets [`ClientConfig::cleartext`].
    #[must_use]
    pub fn with_cleartext(mut self, allowed: bool) -> Self {
        self.cleartext = allowed;
        self
    }

    /// Sets [`ClientConfig::ask_choice`].
    #[must_use]
    pub fn with_ask_choice(mut self, ask: bool) -> Self {
        self.ask_choice = ask;
        self
    }

    /// Sets [`ClientConfig::server_name`].
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets [`ClientConfig::repeater`].
    #[must_use]
    pub fn with_repeater(mut self, target: &[u8]) -> Self {
        self.repeater = Some(Bytes::copy_from_slice(target));
        self
    }

    /// Sets [`ClientConfig::client_init`].
    #[must_use]
    pub fn with_client_init(mut self, client_init: ClientInit) -> Self {
        self.client_init = client_init;
        self
    }

    /// Sets [`ClientConfig::init`].
    #[must_use]
    pub fn with_init(mut self, init: bool) -> Self {
        self.init = init;
        self
    }

    /// Sets [`ClientConfig::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether the type can be followed to its end.
    pub(super) fn can_follow(security_type: SecurityType) -> bool {
        let inside = [SecurityType::VENCRYPT, SecurityType::TIGHT, SecurityType::TLS];
        Self::has_exchange(security_type) || inside.contains(&security_type)
    }

    /// Whether the type is an exchange that can be followed.
    pub(super) fn has_exchange(security_type: SecurityType) -> bool {
        Exchange::of(security_type).is_some_and(Exchange::is_available)
    }

    /// Whether the subtype can be followed to its end, and may be.
    pub(super) fn may_follow_subtype(&self, subtype: Subtype) -> bool {
        subtype.exchange().is_some_and(Exchange::is_available) && (self.cleartext || subtype.tls().is_some())
    }
}
