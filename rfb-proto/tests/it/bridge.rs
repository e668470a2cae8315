//! The bridge between a viewer and a hypervisor.

use core::time::Duration;

use expect_test::expect;
use rfb_proto::handshake::bridge::{AuthOrder, Upstream};
use rfb_proto::handshake::{
    Bridge, BridgeConfig, ClientConfig, Event, Exchange, HandshakeError, Rejection, RejectionReason, ServerConfig, Side,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::{Version, security};

use crate::chain::{
    Chain, Ended, HYPERVISOR_CHALLENGE, OWN_PASSWORD, OWN_USER, PASSWORD, REASON, REFUSAL, TENANT_CHALLENGE, USER,
    WRONG, upstream,
};
use crate::play::server_init;

const VERSIONS: [Version; 3] = [Version::V3_3, Version::V3_7, Version::V3_8];
pub(crate) const GENERIC: &str = "Authentication with the console failed";

/// What one side of the bridge speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leg {
    pub(crate) version: Version,
    pub(crate) security_type: SecurityType,
    pub(crate) subtype: Option<Subtype>,
}

impl Leg {
    pub(crate) fn plain(version: Version, security_type: SecurityType) -> Self {
        Self {
            version,
            security_type,
            subtype: None,
        }
    }

    pub(crate) fn vencrypt(version: Version, subtype: Subtype) -> Self {
        Self {
            version,
            security_type: SecurityType::VENCRYPT,
            subtype: Some(subtype),
        }
    }

    /// All that there are, for these subtypes.
    fn all(subtypes: &[Subtype]) -> Vec<Self> {
        let types = [SecurityType::NONE, SecurityType::VNC];
        let plain = VERSIONS
            .iter()
            .flat_map(|version| types.map(|security_type| Self::plain(*version, security_type)));
        // There is no VeNCrypt in 3.3.
        let vencrypt = VERSIONS[1..]
            .iter()
            .flat_map(|version| subtypes.iter().map(|subtype| Self::vencrypt(*version, *subtype)));
        plain.chain(vencrypt).collect()
    }

    fn subtypes(&self) -> &[Subtype] {
        self.subtype.as_slice()
    }

    pub(crate) fn exchange(&self) -> Exchange {
        match self.subtype {
            Some(subtype) => subtype.exchange().unwrap(),
            None => Exchange::of(self.security_type).unwrap(),
        }
    }

    pub(crate) fn viewer(&self) -> ClientConfig {
        ClientConfig::new(&[self.security_type])
            .with_version(self.version)
            .with_subtypes(self.subtypes())
            .with_cleartext(true)
    }

    pub(crate) fn hypervisor(&self) -> ServerConfig {
        ServerConfig::new(&[self.security_type])
            .with_version(self.version)
            .with_subtypes(self.subtypes())
    }
}

pub(crate) fn bridge(auth_order: AuthOrder, tenant: &Leg, hypervisor: &Leg) -> BridgeConfig {
    BridgeConfig::default()
        .with_auth_order(auth_order)
        .with_tenant_types(&[tenant.security_type])
        .with_tenant_subtypes(tenant.subtypes())
        .with_hypervisor_types(&[hypervisor.security_type])
        .with_hypervisor_subtypes(hypervisor.subtypes())
        .with_cleartext(true)
}

pub(crate) fn chain_of(auth_order: AuthOrder, tenant: &Leg, hypervisor: &Leg) -> Chain {
    let mut chain = Chain::new(
        tenant.viewer(),
        bridge(auth_order, tenant, hypervisor),
        hypervisor.hypervisor(),
    );
    if auth_order == AuthOrder::Passthrough {
        chain.upstream = Some(Upstream::default());
        chain.wanted = (USER, PASSWORD);
    }
    chain
}

/// What a viewer was told when it was refused; `None` if nothing.
fn told(ended: &Ended) -> Option<String> {
    match &ended.viewer {
        Err(HandshakeError::Rejected(Rejection {
            reason: RejectionReason::Reason(reason),
            ..
        })) => Some(reason.to_text()),
        Err(HandshakeError::Rejected(_) | HandshakeError::Closed(_)) => None,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn holds(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// No secret of one side is seen by the other.
fn nothing_is_revealed(chain: &Chain) {
    for secret in [OWN_USER, OWN_PASSWORD, &HYPERVISOR_CHALLENGE, REASON, &REASON[..6]] {
        assert!(
            !holds(chain.told(Side::Tenant), secret),
            "{secret:?} was shown to the tenant"
        );
    }
    for secret in [USER, PASSWORD, &TENANT_CHALLENGE] {
        assert!(
            !holds(chain.told(Side::Hypervisor), secret),
            "{secret:?} was shown to the hypervisor"
        );
    }
}

pub(crate) fn assert_connected(tenant: &Leg, hypervisor: &Leg, ended: &Ended) {
    let viewer = ended
        .viewer
        .as_ref()
        .unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let outcome = ended.bridge.as_ref().unwrap();
    let server = ended.hypervisor.as_ref().unwrap().as_ref().unwrap();
    assert_eq!(viewer.init, Some(server_init()));
    assert_eq!((viewer.rules, outcome.tenant.rules), (tenant.version, tenant.version));
    assert_eq!(
        (server.rules, outcome.hypervisor.rules),
        (hypervisor.version, hypervisor.version)
    );
    assert_eq!(viewer.security, outcome.tenant.security);
    assert_eq!(server.security, outcome.hypervisor.security);
    assert_eq!(viewer.security.security_type, tenant.security_type);
    assert_eq!(server.security.subtype, hypervisor.subtype);
}

const TENANT_SUBTYPES: [Subtype; 7] = [
    Subtype::X509_NONE,
    Subtype::X509_VNC,
    Subtype::X509_PLAIN,
    Subtype::TLS_VNC,
    Subtype::PLAIN,
    Subtype(1),
    Subtype(2),
];
const HYPERVISOR_SUBTYPES: [Subtype; 6] = [
    Subtype::X509_NONE,
    Subtype::X509_VNC,
    Subtype::X509_PLAIN,
    Subtype::TLS_PLAIN,
    Subtype::PLAIN,
    Subtype(2),
];

/// Each security type of the tenant with each of the hypervisor, in each pair of versions, in both orders: the
/// right passwords, the tenant's wrong, the bridge's wrong.
#[test]
fn the_whole_matrix() {
    let mut cells = 0;
    for auth_order in [AuthOrder::TenantFirst, AuthOrder::HypervisorFirst] {
        for tenant in Leg::all(&TENANT_SUBTYPES) {
            for hypervisor in Leg::all(&HYPERVISOR_SUBTYPES) {
                let chunks: &[usize] = if tenant.version == hypervisor.version {
                    &[1, 7, 10_000]
                } else {
                    &[10_000]
                };
                for chunk in chunks {
                    cell(auth_order, &tenant, &hypervisor, *chunk);
                }
                cells += 1;
            }
        }
    }
    assert_eq!(cells, 2 * 20 * 18);
}

fn cell(auth_order: AuthOrder, tenant: &Leg, hypervisor: &Leg, chunk: usize) {
    let (ended, chain) = chain_of(auth_order, tenant, hypervisor).run(chunk);
    assert_connected(tenant, hypervisor, &ended);
    nothing_is_revealed(&chain);
    let mut questions = match auth_order {
        AuthOrder::TenantFirst => vec!["admit", "connect"],
        _ => vec!["connect", "admit"],
    };
    if tenant.exchange() == Exchange::Vnc {
        let at = questions.iter().position(|question| *question == "admit").unwrap();
        questions.insert(at, "challenge");
    }
    assert_eq!(chain.asked, questions);

    if tenant.exchange() != Exchange::None {
        let mut chain = chain_of(auth_order, tenant, hypervisor);
        chain.entered = (USER, WRONG);
        let (ended, chain) = chain.run(chunk);
        let error = ended.bridge.as_ref().unwrap_err();
        assert_eq!(error.side, Side::Tenant);
        assert!(matches!(error.error, HandshakeError::Refused(_)), "{error}");
        assert_eq!(
            told(&ended),
            (tenant.version == Version::V3_8).then(|| REFUSAL.to_owned())
        );
        // Nothing was spent on it, unless the order is nova's.
        assert_eq!(
            chain.told(Side::Hypervisor).is_empty(),
            auth_order == AuthOrder::TenantFirst
        );
        nothing_is_revealed(&chain);
    }

    if hypervisor.exchange() != Exchange::None {
        let mut chain = chain_of(auth_order, tenant, hypervisor);
        chain.upstream = Some(upstream(OWN_USER, WRONG));
        let (ended, chain) = chain.run(chunk);
        let error = ended.bridge.as_ref().unwrap_err();
        assert_eq!(error.side, Side::Hypervisor);
        let HandshakeError::Rejected(rejection) = &error.error else {
            panic!("{error}");
        };
        match &rejection.reason {
            RejectionReason::Reason(reason) => assert_eq!(reason.text, REASON),
            other => assert!(hypervisor.version < Version::V3_8, "{other:?}"),
        }
        // Where the tenant waits for a challenge, and in 3.3 and 3.7, there is no room for a reason. In 3.3 the
        // type None is decided on by its word, which a refusal replaces.
        let first = auth_order == AuthOrder::HypervisorFirst && tenant.exchange() == Exchange::Vnc;
        let word = tenant.version == Version::V3_3 && tenant.exchange() == Exchange::None;
        let reason = word || (tenant.version == Version::V3_8 && !first);
        assert_eq!(told(&ended), reason.then(|| GENERIC.to_owned()));
        nothing_is_revealed(&chain);
    }
}

/// Challenge, response and result go through a bridge that knows no password (the password authentication that was
/// specified for nova), also between TLS on the two sides.
#[test]
fn the_whole_matrix_of_passthrough() {
    let mut cells = 0;
    for tenant in Leg::all(&[Subtype::X509_VNC, Subtype::TLS_VNC, Subtype::X509_NONE]) {
        for hypervisor in Leg::all(&[Subtype::X509_VNC, Subtype::TLS_VNC, Subtype(2)]) {
            let is_none = tenant.exchange() == Exchange::None;
            if is_none != (hypervisor.exchange() == Exchange::None) {
                not_passed(&tenant, &hypervisor);
                continue;
            }
            for chunk in [1, 7, 10_000] {
                let (ended, chain) = chain_of(AuthOrder::Passthrough, &tenant, &hypervisor).run(chunk);
                assert_connected(&tenant, &hypervisor, &ended);
                assert_eq!(chain.asked, ["connect"]);
                assert_eq!(holds(chain.told(Side::Tenant), &HYPERVISOR_CHALLENGE), !is_none);
                let response = security::vnc::Password::new(PASSWORD).respond(&HYPERVISOR_CHALLENGE);
                assert_eq!(holds(chain.told(Side::Hypervisor), &response), !is_none);
                // The result is seen.
                assert!(chain.events.contains(&(Side::Hypervisor, Event::Authenticated)));
            }
            cells += 1;
            if is_none {
                continue;
            }
            for forward in [false, true] {
                let mut chain = chain_of(AuthOrder::Passthrough, &tenant, &hypervisor);
                let config = bridge(AuthOrder::Passthrough, &tenant, &hypervisor).with_forward_reason(forward);
                chain.bridge = Bridge::new(Duration::ZERO, config);
                chain.entered = (USER, WRONG);
                let (ended, chain) = chain.run(7);
                let error = ended.bridge.as_ref().unwrap_err();
                assert_eq!(error.side, Side::Hypervisor);
                assert!(matches!(error.error, HandshakeError::Rejected(_)), "{error}");
                let reason = match forward && hypervisor.version == Version::V3_8 {
                    true => "node17: no such key",
                    false => GENERIC,
                };
                assert_eq!(
                    told(&ended),
                    (tenant.version == Version::V3_8).then(|| reason.to_owned())
                );
                assert!(!chain.events.iter().any(|(_, event)| *event == Event::Authenticated));
            }
        }
    }
    assert_eq!(cells, (3 + 2) * 3 + 7 * 9);
}

/// What the hypervisor does not offer is not offered to the tenant, and nothing else is made of it.
fn not_passed(tenant: &Leg, hypervisor: &Leg) {
    let (ended, chain) = chain_of(AuthOrder::Passthrough, tenant, hypervisor).run(7);
    let error = ended.bridge.as_ref().unwrap_err();
    assert_eq!(error.side, Side::Hypervisor);
    let told = chain.told(Side::Hypervisor);
    match hypervisor.version {
        Version::V3_3 => assert_eq!(told.len(), 12),
        // The choice of nothing.
        _ => assert_eq!(told[12..], [0]),
    }
    assert_eq!(self::told(&ended).as_deref(), Some(GENERIC));
}

/// Several types on both sides: the tenant is shown what passes, and its choice decides.
#[test]
fn passthrough_filters_the_offer() {
    let run = |hypervisor: &[SecurityType], tenant: &[SecurityType], wanted: SecurityType| {
        let config = BridgeConfig::passthrough()
            .with_tenant_types(tenant)
            .with_hypervisor_types(&[SecurityType::VENCRYPT, SecurityType::VNC, SecurityType::NONE]);
        let server = ServerConfig::new(hypervisor).with_subtypes(&[Subtype::X509_NONE, Subtype::X509_VNC]);
        let mut chain = Chain::new(ClientConfig::new(&[wanted]), config, server);
        chain.upstream = Some(Upstream::default());
        chain.wanted = (USER, PASSWORD);
        let (ended, chain) = chain.run(10_000);
        let offered = chain.told(Side::Tenant)[12..].to_vec();
        let chosen = ended.bridge.map(|outcome| outcome.hypervisor.security.to_string());
        (offered, chosen.map_err(|error| error.to_string()))
    };
    use SecurityType as T;
    let (offered, chosen) = run(&[T::VNC, T::NONE, T::VENCRYPT], &[T::VNC], T::VNC);
    assert_eq!(offered[..2], [1, 2]);
    expect!["VeNCrypt (19), X509Vnc (261)"].assert_eq(&chosen.unwrap());
    let (offered, chosen) = run(&[T::VNC, T::NONE], &[T::VNC, T::NONE], T::NONE);
    assert_eq!(offered[..3], [2, 2, 1]);
    expect!["None (1)"].assert_eq(&chosen.unwrap());
    let (offered, chosen) = run(&[T::NONE], &[T::VNC, T::NONE], T::NONE);
    assert_eq!(offered[..2], [1, 1]);
    expect!["None (1)"].assert_eq(&chosen.unwrap());
    let (offered, chosen) = run(&[T::NONE], &[T::VNC], T::VNC);
    assert_eq!(offered[..5], [0, 0, 0, 0, 38]);
    expect!["hypervisor: peer incompatible: no common security type; offered: None (1)"]
        .assert_eq(&chosen.unwrap_err());
}

/// An empty or a missing password is not type None (CVE-2011-0011).
#[test]
fn cve_2011_0011_no_password_is_not_no_authentication() {
    // Missing: VNC authentication cannot be chosen, and None is not taken for it.
    let tenant = Leg::plain(Version::V3_8, SecurityType::NONE);
    let hypervisor = Leg::plain(Version::V3_8, SecurityType::VNC);
    for auth_order in [AuthOrder::TenantFirst, AuthOrder::HypervisorFirst] {
        let mut chain = chain_of(auth_order, &tenant, &hypervisor);
        chain.upstream = Some(Upstream::default());
        chain.hypervisor = rfb_proto::handshake::ServerHandshake::new(
            Duration::ZERO,
            ServerConfig::new(&[SecurityType::NONE, SecurityType::VNC]),
        );
        let (ended, _) = chain.run(7);
        let error = ended.bridge.unwrap_err().to_string();
        expect!["hypervisor: peer incompatible: no common security type; offered: None (1), VNC Authentication (2)"]
            .assert_eq(&error);
    }
    // Empty: it is a password, and here the wrong one.
    let mut chain = chain_of(AuthOrder::TenantFirst, &tenant, &hypervisor);
    chain.upstream = Some(upstream(b"", b""));
    let (ended, _) = chain.run(7);
    let error = ended.bridge.unwrap_err();
    assert!(matches!(error.error, HandshakeError::Rejected(_)), "{error}");
}

/// A tenant that has no hypervisor gets the reason at the place in its handshake that has room for one.
#[test]
fn no_hypervisor() {
    for (auth_order, version) in [
        (AuthOrder::TenantFirst, Version::V3_8),
        (AuthOrder::HypervisorFirst, Version::V3_8),
        (AuthOrder::HypervisorFirst, Version::V3_7),
        (AuthOrder::HypervisorFirst, Version::V3_3),
        (AuthOrder::Passthrough, Version::V3_3),
    ] {
        let tenant = Leg::plain(version, SecurityType::VNC);
        let hypervisor = Leg::plain(Version::V3_8, SecurityType::VNC);
        let mut chain = chain_of(auth_order, &tenant, &hypervisor);
        chain.dials = false;
        let (ended, _) = chain.run(7);
        assert_eq!(told(&ended).as_deref(), Some("No such console"));
        let error = ended.bridge.unwrap_err();
        assert_eq!(error.to_string(), "tenant: refused: No such console");
    }
}
