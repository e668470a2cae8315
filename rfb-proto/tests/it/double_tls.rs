//! Handshakes inside TLS: a viewer, a bridge and a hypervisor, with TLS on each side that has it.

use expect_test::expect;
use rfb_proto::Version;
use rfb_proto::handshake::bridge::{AuthOrder, BridgeAction};
use rfb_proto::handshake::{
    Bridge, BridgeConfig, Buffers, Event, HandshakeError, Side, SideBuffers, Stage, Tls, TlsKind, TlsRole,
};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::tls::{ClientTls, PeerName, ServerTls, TlsSession};

use crate::bridge::{Leg, assert_connected, chain_of};
use crate::certificates::{Authority, HOST};
use crate::chain::{Chain, Ended, Session, USER, WRONG, upstream};

impl Session for TlsSession {
    fn process(&mut self, plain: &mut Buffers) -> Result<(), String> {
        Self::process(self, plain).map_err(|error| error.to_string())
    }

    fn socket(&mut self) -> &mut Buffers {
        &mut self.socket
    }

    fn is_handshaking(&self) -> bool {
        Self::is_handshaking(self)
    }
}

/// Both ends of TLS on one side of the bridge.
struct Ends {
    client: ClientTls,
    server: ServerTls,
}

impl Ends {
    fn new() -> Self {
        let authority = Authority::new();
        Self {
            client: ClientTls::new(authority.pem.as_bytes(), None).unwrap(),
            server: ServerTls::new(authority.server().identity(), None).unwrap(),
        }
    }

    fn start(&self, tls: &Tls, buffers: &mut Buffers) -> TlsSession {
        assert_eq!(tls.kind, TlsKind::X509);
        match (tls.role, &tls.server_name) {
            (TlsRole::Client, Some(name)) => self.client.connect(PeerName::Named(name), buffers).unwrap(),
            (TlsRole::Client, None) => self.client.connect(PeerName::Any, buffers).unwrap(),
            (TlsRole::Server, _) => self.server.accept(buffers).unwrap(),
        }
    }
}

/// TLS towards the tenant and towards the hypervisor: two authorities that do not know each other.
struct Both {
    tenant: Ends,
    hypervisor: Ends,
}

impl Both {
    fn new() -> Self {
        Self {
            tenant: Ends::new(),
            hypervisor: Ends::new(),
        }
    }

    fn run(&self, chain: Chain, chunk: usize) -> (Ended, Chain) {
        chain.run_with(chunk, &|side, tls, buffers| {
            let ends = match side {
                Side::Tenant => &self.tenant,
                Side::Hypervisor => &self.hypervisor,
            };
            Some(Box::new(ends.start(tls, buffers)))
        })
    }
}

const X509: [Subtype; 3] = [Subtype::X509_NONE, Subtype::X509_VNC, Subtype::X509_PLAIN];

fn leg(subtype: Subtype) -> Leg {
    Leg::vencrypt(Version::V3_8, subtype)
}

fn no_tls() -> Leg {
    Leg::plain(Version::V3_8, SecurityType::VNC)
}

/// Each X509 subtype with each, and with VNC authentication without TLS; right and wrong passwords.
#[test]
fn the_matrix_inside_tls() {
    let both = Both::new();
    for auth_order in [AuthOrder::TenantFirst, AuthOrder::HypervisorFirst] {
        for tenant in X509.map(leg).into_iter().chain([no_tls()]) {
            for hypervisor in X509.map(leg).into_iter().chain([no_tls()]) {
                for chunk in [100, usize::MAX] {
                    let (ended, chain) = both.run(chain_of(auth_order, &tenant, &hypervisor), chunk);
                    assert_connected(&tenant, &hypervisor, &ended);
                    assert!(chain.events.contains(&(Side::Hypervisor, Event::Authenticated)));
                }
                if tenant.subtype != Some(Subtype::X509_NONE) {
                    let mut chain = chain_of(auth_order, &tenant, &hypervisor);
                    chain.entered = (USER, WRONG);
                    let error = both.run(chain, usize::MAX).0.bridge.unwrap_err();
                    assert_eq!(error.side, Side::Tenant);
                    assert!(matches!(error.error, HandshakeError::Refused(_)), "{error}");
                }
                if hypervisor.subtype != Some(Subtype::X509_NONE) {
                    let mut chain = chain_of(auth_order, &tenant, &hypervisor);
                    chain.upstream = Some(upstream(b"bridge", WRONG));
                    let error = both.run(chain, usize::MAX).0.bridge.unwrap_err();
                    assert_eq!(error.side, Side::Hypervisor);
                    assert!(matches!(error.error, HandshakeError::Rejected(_)), "{error}");
                }
            }
        }
    }
}

/// One byte at a time, TLS records and all.
#[test]
fn byte_by_byte() {
    let both = Both::new();
    let (tenant, hypervisor) = (leg(Subtype::X509_PLAIN), leg(Subtype::X509_VNC));
    let (ended, _) = both.run(chain_of(AuthOrder::TenantFirst, &tenant, &hypervisor), 1);
    assert_connected(&tenant, &hypervisor, &ended);
}

/// Nova's specification of password authentication: noVNC answers the challenge that comes out of TLS.
#[test]
fn passthrough_inside_tls() {
    let both = Both::new();
    for tenant in [no_tls(), leg(Subtype::X509_VNC)] {
        let hypervisor = leg(Subtype::X509_VNC);
        let (ended, _) = both.run(chain_of(AuthOrder::Passthrough, &tenant, &hypervisor), 50);
        assert_connected(&tenant, &hypervisor, &ended);
        let mut chain = chain_of(AuthOrder::Passthrough, &tenant, &hypervisor);
        chain.entered = (USER, WRONG);
        let (ended, chain) = both.run(chain, 50);
        expect!["hypervisor: authentication failed: node17: no such key"]
            .assert_eq(&ended.bridge.unwrap_err().to_string());
        expect!["authentication failed: Authentication with the console failed"]
            .assert_eq(&ended.viewer.unwrap_err().to_string());
        assert!(!chain.events.iter().any(|(_, event)| *event == Event::Authenticated));
    }
}

/// What the bridge makes of TLS that fails on one of its sides.
fn fails(both: &Both, name: Option<&str>) -> [String; 2] {
    let (tenant, hypervisor) = (leg(Subtype::X509_VNC), leg(Subtype::X509_PLAIN));
    let mut chain = chain_of(AuthOrder::TenantFirst, &tenant, &hypervisor);
    if let Some(name) = name {
        chain.upstream = Some(upstream(b"bridge", b"hypervis").with_server_name(name));
    }
    let (ended, chain) = both.run(chain, usize::MAX);
    for secret in [&b"bridge"[..], b"hypervis"] {
        let told = chain.told(Side::Hypervisor);
        assert!(!told.windows(secret.len()).any(|window| window == secret));
    }
    let viewer = ended.viewer.unwrap_err().to_string();
    [ended.bridge.unwrap_err().to_string(), viewer]
}

#[test]
fn wrong_authority() {
    let mut both = Both::new();
    both.hypervisor.client = Ends::new().client;
    let [bridge, viewer] = fails(&both, None);
    expect!["hypervisor: closed by the peer while waiting for TLS"].assert_eq(&bridge);
    expect!["authentication failed: Authentication with the console failed"].assert_eq(&viewer);
    let mut both = Both::new();
    both.tenant.client = Ends::new().client;
    let [bridge, viewer] = fails(&both, None);
    expect!["tenant: closed by the peer while waiting for TLS"].assert_eq(&bridge);
    expect!["closed by the peer while waiting for TLS"].assert_eq(&viewer);
}

/// A name that the caller gives is looked for in the certificate; an authority alone vouches for any of its hosts
/// (in TigerVNC one accepted certificate vouched for all, CVE-2020-26117).
#[test]
fn cve_2020_26117_names() {
    let both = Both::new();
    let [bridge, _] = fails(&both, Some("other.example"));
    expect!["hypervisor: closed by the peer while waiting for TLS"].assert_eq(&bridge);
    let (tenant, hypervisor) = (no_tls(), leg(Subtype::X509_PLAIN));
    let mut chain = chain_of(AuthOrder::TenantFirst, &tenant, &hypervisor);
    chain.upstream = chain.upstream.map(|upstream| upstream.with_server_name(HOST));
    assert_connected(&tenant, &hypervisor, &both.run(chain, usize::MAX).0);
}

/// QEMU can ask for the bridge's certificate.
#[test]
fn client_certificates() {
    let authority = Authority::new();
    let mut both = Both::new();
    let server = authority.server();
    both.hypervisor.server = ServerTls::new(server.identity(), Some(authority.pem.as_bytes())).unwrap();
    let mine = authority.client();
    both.hypervisor.client = ClientTls::new(authority.pem.as_bytes(), Some(mine.identity())).unwrap();
    let (tenant, hypervisor) = (leg(Subtype::X509_VNC), leg(Subtype::X509_NONE));
    let (ended, _) = both.run(chain_of(AuthOrder::TenantFirst, &tenant, &hypervisor), usize::MAX);
    assert_connected(&tenant, &hypervisor, &ended);
    // Without one it is shut out.
    both.hypervisor.client = ClientTls::new(authority.pem.as_bytes(), None).unwrap();
    let (ended, _) = both.run(chain_of(AuthOrder::TenantFirst, &tenant, &hypervisor), usize::MAX);
    let error = ended.bridge.unwrap_err();
    assert_eq!(error.side, Side::Hypervisor);
    expect!["authentication failed: Authentication with the console failed"]
        .assert_eq(&ended.viewer.unwrap_err().to_string());
}

/// A tenant whose credentials somebody puts in front of TLS: they are TLS input, and no TLS.
#[test]
fn credentials_in_front_of_tls_are_not_read() {
    let ends = Ends::new();
    let config = BridgeConfig::default()
        .with_tenant_types(&[SecurityType::VENCRYPT])
        .with_tenant_subtypes(&[Subtype::X509_PLAIN]);
    let mut bridge = Bridge::new(crate::play::NOW, config);
    let mut sides = SideBuffers::default();
    sides
        .tenant
        .rx
        .extend_from_slice(b"RFB 003.008\n\x13\0\x02\0\0\x01\x06");
    sides.tenant.rx.extend_from_slice(b"\0\0\0\x01\0\0\0\x01up");
    let Ok(BridgeAction::StartTls { side, tls }) = bridge.step(crate::play::NOW, &mut sides) else {
        panic!("TLS is due");
    };
    let mut session = ends.start(&tls, sides.side(side));
    assert!(sides.tenant.rx.is_empty());
    let error = session.process(&mut sides.tenant).unwrap_err();
    expect!["received corrupt message of type InvalidContentType"].assert_eq(&error.to_string());
    assert!(sides.tenant.rx.is_empty());
    let error = bridge.eof(&mut sides, side).unwrap_err();
    assert_eq!(error.error, HandshakeError::Closed(Stage::Tls));
    assert!(sides.hypervisor.tx.is_empty());
}
