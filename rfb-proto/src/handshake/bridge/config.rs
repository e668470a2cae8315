//! How a bridge treats its two peers.

use alloc::string::String;
#[cfg(feature = "rsa-aes")]
use alloc::sync::Arc;
use alloc::vec::Vec;

#[cfg(all(doc, feature = "rsa-aes"))]
use crate::handshake::HandshakeError;
use crate::handshake::{ClientConfig, Exchange, Refusal, ServerConfig};
use crate::limits::Limits;
use crate::security::plain::Credentials;
#[cfg(feature = "rsa-aes")]
use crate::security::rsa_aes::{Key, Pin};
use crate::security::vencrypt::Subtype;
use crate::security::vnc::Password;
use crate::security::{Reason, SecurityType, Seed};
use crate::version::{Policy, Version};

/// The order in which the two sides authenticate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AuthOrder {
    /// First the tenant to the bridge, then the bridge to the hypervisor: the bridge uses its credentials only
    /// for a tenant that has authenticated.
    #[default]
    TenantFirst,
    /// First the bridge to the hypervisor, once the tenant has chosen a type, then the tenant to the bridge.
    /// Nova's order, for tenants that were let in by other means, such as a token in an address.
    HypervisorFirst,
    /// The tenant to the hypervisor: challenge, response and result of VNC authentication are passed through,
    /// and the bridge knows no password. Each side may be inside TLS of its own.
    Passthrough,
}

/// How a bridge treats its two peers. Lists are in the bridge's own order, best first.
///
/// | tenant | hypervisor | lists |
/// |---|---|---|
/// | noVNC, without a password | X509None | `tenant_types` NONE |
/// | noVNC, with a password | X509Vnc, X509Plain | `tenant_types` VNC, the default |
/// | vncviewer, X509Plain | any of these | `tenant_types` VENCRYPT, `tenant_subtypes` X509_PLAIN |
/// | any | VNC without TLS, on a trusted network | `hypervisor_types` VNC |
/// | noVNC, TigerVNC, with RSA-AES | any | `tenant_types` RA2NE, RA2_256; feature `rsa-aes` |
/// | any | Xvnc with RSA-AES | `hypervisor_types` RA2_256; [`Upstream::with_rsa_aes`], a seed and credentials |
/// | any | macOS | `hypervisor_types` DIFFIE_HELLMAN; a seed and credentials; feature `ard` |
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BridgeConfig {
    /// The order in which the two sides authenticate: [`AuthOrder::TenantFirst`].
    pub auth_order: AuthOrder,
    /// What the tenant is offered: VNC. Of None, VNC, VeNCrypt, and with their features RSA-AES, Diffie-Hellman and
    /// UltraVNC's logons. With [`AuthOrder::Passthrough`] only what
    /// the hypervisor offers as well.
    pub tenant_types: Vec<SecurityType>,
    /// What the tenant is offered inside VeNCrypt: nothing. With None, VNC, Plain or Ident inside.
    pub tenant_subtypes: Vec<Subtype>,
    /// What may be chosen from the hypervisor's list: VeNCrypt. What needs credentials that
    /// [`Upstream`] does not have is not chosen; and nothing else is taken in its place, unless it is listed.
    pub hypervisor_types: Vec<SecurityType>,
    /// What may be chosen inside VeNCrypt: X509Plain, X509Vnc, X509None.
    pub hypervisor_subtypes: Vec<Subtype>,
    /// Whether RSA-AES asks the tenant for a user beside the password: yes.
    pub rsa_aes_user: bool,
    /// Whether inside the hypervisor's VeNCrypt something without TLS may be chosen: no.
    pub cleartext: bool,
    /// The tenant's greeting: 3.8. The rules of the two sides are independent of each other.
    pub tenant_version: Version,
    /// The only version that either side may have; another ends the handshake, and nothing is sent. `None`: any
    /// that the policy takes, and they need not be the same.
    pub only_version: Option<Version>,
    /// Which versions are taken, and other lenience.
    pub policy: Policy,
    /// What is sent to the tenant when the hypervisor fails: that authentication with the console failed, whatever
    /// it was.
    pub upstream_failure: Refusal,
    /// Whether the hypervisor's own reason is sent to the tenant instead, where it gave one: no. Such texts name
    /// hosts and programs.
    pub forward_reason: bool,
    /// Limits on both connections. The time for a handshake counts anew for the hypervisor's part.
    pub limits: Limits,
}

impl Default for BridgeConfig {
    fn default() -> Self {
        Self {
            auth_order: AuthOrder::TenantFirst,
            tenant_types: [SecurityType::VNC].into(),
            tenant_subtypes: Vec::new(),
            hypervisor_types: [SecurityType::VENCRYPT].into(),
            hypervisor_subtypes: [Subtype::X509_PLAIN, Subtype::X509_VNC, Subtype::X509_NONE].into(),
            rsa_aes_user: true,
            cleartext: false,
            tenant_version: Version::V3_8,
            only_version: None,
            policy: Policy::default(),
            upstream_failure: Refusal::Failed(Reason::from_static("Authentication with the console failed")),
            forward_reason: false,
            limits: Limits::default(),
        }
    }
}

impl BridgeConfig {
    /// What nova's security proxy does (`nova/console/securityproxy/rfb.py`): tenants of 3.8 with type None, let
    /// in by a token, to hypervisors of 3.8 with None or X509None; the hypervisor's list comes first, and its
    /// refusals are shown to the tenant up to 256 bytes. The host name in the certificate is not looked at there:
    /// see `tls::PeerName::Any`.
    ///
    /// Not as there: a message may come in pieces, unknown types and subtypes are passed over, VeNCrypt is
    /// preferred whatever the order of the hypervisor's list, the SecurityResult is seen, a byte that is not 1 is
    /// no acknowledgement, and there is a deadline.
    #[must_use]
    pub fn nova() -> Self {
        Self {
            auth_order: AuthOrder::HypervisorFirst,
            tenant_types: [SecurityType::NONE].into(),
            hypervisor_types: [SecurityType::VENCRYPT, SecurityType::NONE].into(),
            hypervisor_subtypes: [Subtype::X509_NONE].into(),
            only_version: Some(Version::V3_8),
            upstream_failure: Refusal::Failed(Reason::from_static("Unable to negotiate security with server")),
            forward_reason: true,
            limits: Limits::default().with_reason(256),
            ..Self::default()
        }
    }

    /// VNC authentication of the tenant by the hypervisor, whose own is inside X509Vnc.
    #[must_use]
    pub fn passthrough() -> Self {
        Self {
            auth_order: AuthOrder::Passthrough,
            hypervisor_subtypes: [Subtype::X509_VNC].into(),
            ..Self::default()
        }
    }

    /// Sets [`BridgeConfig::auth_order`].
    #[must_use]
    pub fn with_auth_order(mut self, auth_order: AuthOrder) -> Self {
        self.auth_order = auth_order;
        self
    }

    /// Sets [`BridgeConfig::tenant_types`].
    #[must_use]
    pub fn with_tenant_types(mut self, types: &[SecurityType]) -> Self {
        self.tenant_types = types.into();
        self
    }

    /// Sets [`BridgeConfig::tenant_subtypes`].
    #[must_use]
    pub fn with_tenant_subtypes(mut self, subtypes: &[Subtype]) -> Self {
        self.tenant_subtypes = subtypes.into();
        self
    }

    /// Sets [`BridgeConfig::hypervisor_types`].
    #[must_use]
    pub fn with_hypervisor_types(mut self, types: &[SecurityType]) -> Self {
        self.hypervisor_types = types.into();
        self
    }

    /// Sets [`BridgeConfig::hypervisor_subtypes`].
    #[must_use]
    pub fn with_hypervisor_subtypes(mut self, subtypes: &[Subtype]) -> Self {
        self.hypervisor_subtypes = subtypes.into();
        self
    }

    /// Sets [`BridgeConfig::rsa_aes_user`].
    #[must_use]
    pub fn with_rsa_aes_user(mut self, asked: bool) -> Self {
        self.rsa_aes_user = asked;
        self
    }

    /// Sets [`BridgeConfig::cleartext`].
    #[must_use]
    pub fn with_cleartext(mut self, allowed: bool) -> Self {
        self.cleartext = allowed;
        self
    }

    /// Sets [`BridgeConfig::tenant_version`].
    #[must_use]
    pub fn with_tenant_version(mut self, version: Version) -> Self {
        self.tenant_version = version;
        self
    }

    /// Sets [`BridgeConfig::only_version`].
    #[must_use]
    pub fn with_only_version(mut self, version: Option<Version>) -> Self {
        self.only_version = version;
        self
    }

    /// Sets [`BridgeConfig::policy`].
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets [`BridgeConfig::upstream_failure`].
    #[must_use]
    pub fn with_upstream_failure(mut self, told: Refusal) -> Self {
        self.upstream_failure = told;
        self
    }

    /// Sets [`BridgeConfig::forward_reason`].
    #[must_use]
    pub fn with_forward_reason(mut self, forward: bool) -> Self {
        self.forward_reason = forward;
        self
    }

    /// Sets [`BridgeConfig::limits`].
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The server's role towards the tenant.
    pub(super) fn server(&self) -> ServerConfig {
        let passes = |exchange| match self.auth_order {
            AuthOrder::Passthrough => matches!(exchange, Some(Exchange::None | Exchange::Vnc)),
            AuthOrder::TenantFirst | AuthOrder::HypervisorFirst => true,
        };
        // What a subtype of the tenant's shows is passed on as VNC authentication or not at all.
        let subtypes = self.tenant_subtypes.iter().copied();
        let subtypes: Vec<_> = subtypes.filter(|subtype| passes(subtype.exchange())).collect();
        ServerConfig::new(&self.tenant_types)
            .with_version(self.tenant_version)
            .with_policy(self.policy)
            .with_subtypes(&subtypes)
            .with_rsa_aes_user(self.rsa_aes_user)
            .with_ask_offer(self.auth_order != AuthOrder::TenantFirst)
            .with_init(false)
            .with_limits(self.limits.clone())
    }

    /// The client's role towards the hypervisor.
    pub(super) fn client(&self, upstream: &mut Upstream) -> ClientConfig {
        let types: Vec<_> = self.known_types(upstream).collect();
        let subtypes = upstream.subtypes.as_ref().unwrap_or(&self.hypervisor_subtypes);
        let subtypes: Vec<_> = subtypes
            .iter()
            .copied()
            .filter(|subtype| match self.auth_order {
                AuthOrder::Passthrough => subtype.exchange() == Some(Exchange::Vnc),
                AuthOrder::TenantFirst | AuthOrder::HypervisorFirst => upstream.knows(subtype.exchange()),
            })
            .collect();
        let config = ClientConfig::new(&types)
            .with_policy(self.policy)
            .with_subtypes(&subtypes)
            .with_cleartext(self.cleartext)
            .with_ask_choice(self.auth_order != AuthOrder::TenantFirst)
            .with_init(false)
            .with_limits(self.limits.clone());
        match upstream.server_name.take() {
            Some(name) => config.with_server_name(name),
            None => config,
        }
    }

    /// What may be chosen from the hypervisor's list with these credentials.
    pub(super) fn known_types<'a>(&'a self, upstream: &'a Upstream) -> impl Iterator<Item = SecurityType> + 'a {
        let types = upstream.types.as_ref().unwrap_or(&self.hypervisor_types);
        types.iter().copied().filter(|wanted| match *wanted {
            SecurityType::VENCRYPT => true,
            other => upstream.knows(Exchange::of(other)),
        })
    }

    /// What may be chosen from the hypervisor's list for a tenant that authenticates in this way, which is
    /// passed through. None is passed on as None only.
    pub(super) fn passed_to(&self, exchange: Option<Exchange>) -> impl Iterator<Item = SecurityType> {
        let types = self.hypervisor_types.iter().copied();
        types.filter(move |wanted| match exchange {
            Some(Exchange::None) => *wanted == SecurityType::NONE,
            Some(Exchange::Vnc) => matches!(*wanted, SecurityType::VNC | SecurityType::VENCRYPT),
            _ => false,
        })
    }

    /// What the tenant is offered of `offered`, the hypervisor's list.
    pub(super) fn offer(&self, offered: &[SecurityType]) -> Vec<SecurityType> {
        let has = |exchange| self.passed_to(Some(exchange)).any(|wanted| offered.contains(&wanted));
        let types = self.tenant_types.iter().copied();
        types
            .filter(|wanted| match (self.auth_order, *wanted) {
                (AuthOrder::TenantFirst | AuthOrder::HypervisorFirst, _) => true,
                (AuthOrder::Passthrough, SecurityType::VENCRYPT) => {
                    let exchanges = self.tenant_subtypes.iter().filter_map(|subtype| subtype.exchange());
                    exchanges.into_iter().any(has)
                }
                (AuthOrder::Passthrough, other) => Exchange::of(other).is_some_and(has),
            })
            .collect()
    }
}

/// How the hypervisor is entered. What is not there is not used: a missing password is not an empty one.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Upstream {
    /// For [`Tls::server_name`](crate::handshake::Tls::server_name).
    pub server_name: Option<String>,
    /// What may be chosen from this hypervisor's list, best first, in place of
    /// [`BridgeConfig::hypervisor_types`](super::BridgeConfig::hypervisor_types): where the tenant's token says which
    /// hypervisor it is. `None`: that.
    pub types: Option<Vec<SecurityType>>,
    /// The same for [`BridgeConfig::hypervisor_subtypes`](super::BridgeConfig::hypervisor_subtypes).
    pub subtypes: Option<Vec<Subtype>>,
    /// For VNC authentication. Never the tenant's.
    pub password: Option<Password>,
    /// For the Plain subtypes, RSA-AES, Diffie-Hellman and UltraVNC's logons. Never the tenant's.
    pub credentials: Option<Credentials>,
    /// For RSA-AES, Diffie-Hellman and UltraVNC's logons: fresh random bytes.
    pub seed: Option<Seed>,
    /// For RSA-AES.
    #[cfg(feature = "rsa-aes")]
    pub rsa_aes: Option<RsaAesLogin>,
}

/// What RSA-AES needs beside credentials.
#[cfg(feature = "rsa-aes")]
#[derive(Debug, Clone)]
pub struct RsaAesLogin {
    /// The bridge's own key. The hypervisor need not know it.
    pub key: Arc<Key>,
    /// Which key the hypervisor has to show; it ends with [`HandshakeError::PeerIncompatible`] otherwise, before user and
    /// password are sent.
    pub pin: Pin,
}

impl Upstream {
    /// Sets [`Upstream::server_name`].
    #[must_use]
    pub fn with_server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Sets [`Upstream::types`] and [`Upstream::subtypes`].
    #[must_use]
    pub fn with_types(mut self, types: &[SecurityType], subtypes: &[Subtype]) -> Self {
        self.types = Some(types.into());
        self.subtypes = Some(subtypes.into());
        self
    }

    /// Sets [`Upstream::password`].
    #[must_use]
    pub fn with_password(mut self, password: Password) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets [`Upstream::credentials`].
    #[must_use]
    pub fn with_credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Sets [`Upstream::seed`].
    #[must_use]
    pub fn with_seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Sets [`Upstream::rsa_aes`].
    #[cfg(feature = "rsa-aes")]
    #[must_use]
    pub fn with_rsa_aes(mut self, key: impl Into<Arc<Key>>, pin: Pin) -> Self {
        let key = key.into();
        self.rsa_aes = Some(RsaAesLogin { key, pin });
        self
    }

    fn knows(&self, exchange: Option<Exchange>) -> bool {
        match exchange {
            #[cfg(feature = "rsa-aes")]
            Some(Exchange::RsaAes) => self.rsa_aes.is_some() && self.seed.is_some() && self.credentials.is_some(),
            Some(Exchange::DiffieHellman | Exchange::MsLogonII | Exchange::MsLogonIII) => {
                exchange.is_some_and(Exchange::is_available) && self.seed.is_some() && self.credentials.is_some()
            }
            Some(Exchange::None) => true,
            Some(Exchange::Vnc) => self.password.is_some(),
            Some(Exchange::Plain) => self.credentials.is_some(),
            _ => false,
        }
    }
}
