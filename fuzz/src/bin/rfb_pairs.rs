#![cfg_attr(fuzzing, no_main)]
//! A viewer, a bridge and a hypervisor, each of which knows its own log-in: any with any other, in any pieces.
//!
//! ```text
//! | tenant's type u8 | hypervisor's type u8 | bits u8 | chunk u8 |
//! ```
//!
//! Bits: 0: the viewer's password is wrong, 1: the bridge's is, 2: the hypervisor is asked first, 3: it is not reached, 4 and 5:
//! which of its keys the bridge takes, 6: the bridge lacks what the log-in takes. The three are those of `rfb-proto/tests/it`.
//!
//! The laws: the viewer is let in exactly if both log-ins are right; the bridge connects to no hypervisor for a viewer that is
//! not let in; no side learns the other's user or password, nor why the hypervisor refuses.
//!
//! Not searched in CI: see LAWS.md.

use std::sync::{Arc, LazyLock};

use fuzz::Input;
use rfb_proto::handshake::bridge::{AuthOrder, Upstream};
use rfb_proto::handshake::{BridgeConfig, ClientConfig, ServerConfig, Side};
use rfb_proto::security::rsa_aes::{Key, Pin};
use rfb_proto::security::{SecurityType, Seed};

use self::chain::{Chain, OWN_PASSWORD, OWN_USER, PASSWORD, REASON, USER, WRONG, upstream};
use self::logins::{CLIENT, SERVER};

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/chain.rs"]
mod chain;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../rfb-proto/tests/it/logins.rs"]
mod logins;
/// What the hypervisor shows.
mod play {
    use bytes::Bytes;
    use rfb_proto::{PixelFormat, ServerInit};

    pub(crate) fn server_init() -> ServerInit {
        ServerInit {
            width: 640,
            height: 480,
            format: PixelFormat::RGB888,
            name: Bytes::from_static(b"QEMU"),
        }
    }
}

fuzz::target!(check);

const TYPES: [SecurityType; 9] = [
    SecurityType::NONE,
    SecurityType::VNC,
    SecurityType::RA2,
    SecurityType::RA2NE,
    SecurityType::RA2_256,
    SecurityType::RA2NE_256,
    SecurityType::DIFFIE_HELLMAN,
    SecurityType::MS_LOGON_II,
    SecurityType::MS_LOGON_III,
];

static BRIDGE: LazyLock<Arc<Key>> = LazyLock::new(|| {
    let key = Key::generate(1024, &Seed::new([3; 32]));
    Arc::new(key.expect("long enough"))
});

fn is_rsa_aes(security_type: SecurityType) -> bool {
    TYPES[2..6].contains(&security_type)
}

fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let [tenant, hypervisor] = [input.byte(), input.byte()].map(|number| TYPES[usize::from(number) % TYPES.len()]);
    let (bits, chunk) = (input.byte(), usize::from(input.byte()).max(1));
    let is = |bit: u8| bits >> bit & 1 == 1;
    let order = if is(2) {
        AuthOrder::HypervisorFirst
    } else {
        AuthOrder::TenantFirst
    };
    let bridge = BridgeConfig::default()
        .with_tenant_types(&[tenant])
        .with_hypervisor_types(&[hypervisor])
        .with_auth_order(order);
    let mut chain = Chain::new(ClientConfig::new(&[tenant]), bridge, ServerConfig::new(&[hypervisor]));
    let pin = [
        Pin::Any,
        Pin::Key(SERVER.key.public().clone()),
        Pin::Sha256(SERVER.key.public().sha256()),
        Pin::Key(CLIENT.key.public().clone()),
    ][usize::from(bits >> 4 & 3)]
    .clone();
    let own: Upstream = upstream(OWN_USER, OWN_PASSWORD);
    chain.upstream = Some(if is(6) {
        own
    } else {
        own.with_seed(Seed::new([0x53; 32])).with_rsa_aes(BRIDGE.clone(), pin)
    });
    if is(0) {
        chain.entered = (USER, WRONG);
    }
    if is(1) {
        chain.wanted = (OWN_USER, WRONG);
    }
    chain.dials = !is(3);
    assert!(PASSWORD != OWN_PASSWORD && USER != OWN_USER);
    let (ended, chain) = chain.run(chunk);

    let shows = |security_type: SecurityType| security_type != SecurityType::NONE;
    let tenant_is_right = !is(0) || !shows(tenant);
    let is_known = !is(6) || !shows(hypervisor) || hypervisor == SecurityType::VNC;
    let is_pinned = !is_rsa_aes(hypervisor) || bits >> 4 & 3 != 3;
    let hypervisor_is_right = (!is(1) || !shows(hypervisor)) && is_known && is_pinned && !is(3);
    let good = tenant_is_right && hypervisor_is_right;
    assert_eq!(
        ended.viewer.is_ok(),
        good,
        "{tenant} to {hypervisor}: {:?}",
        ended.viewer
    );
    assert_eq!(ended.bridge.is_ok(), good, "{:?}", ended.bridge);
    if order == AuthOrder::TenantFirst && !tenant_is_right {
        assert!(!chain.asked.contains(&"connect"), "the hypervisor is left alone");
    }
    if let (Ok(viewer), Ok(bridge)) = (&ended.viewer, &ended.bridge) {
        assert_eq!(viewer.security.security_type, tenant);
        assert_eq!(bridge.hypervisor.security.security_type, hypervisor);
        assert_eq!(viewer.init, Some(play::server_init()));
    }
    let said = |side: Side, secret: &[u8]| chain.told(side).windows(secret.len()).any(|window| window == secret);
    for secret in [OWN_USER, OWN_PASSWORD, &REASON[..REASON.len() - 1]] {
        assert!(!said(Side::Tenant, secret), "the tenant is told of the hypervisor");
    }
    for secret in [USER, PASSWORD] {
        assert!(!said(Side::Hypervisor, secret), "the hypervisor is told of the tenant");
    }
    for error in [
        ended.viewer.err().map(|error| error.to_string()),
        ended.bridge.err().map(|error| error.to_string()),
    ] {
        let text = error.unwrap_or_default();
        assert!(!text.contains("hypervis\0") && !text.contains("console!"), "{text}");
    }
}
