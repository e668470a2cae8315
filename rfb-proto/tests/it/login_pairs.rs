//! RSA-AES, Diffie-Hellman authentication and UltraVNC's logons: both roles against each other, and between the two sides of
//! a bridge.

use std::sync::Arc;

use rfb_proto::handshake::bridge::{AuthOrder, Upstream};
use rfb_proto::handshake::{
    BridgeConfig, ClientConfig, HandshakeError, Incompatibility, Rejected, Rejection, RejectionReason, ServerConfig,
    Side,
};
use rfb_proto::security::rsa_aes::{Key, Pin};
use rfb_proto::security::{SecurityType, Seed};
use rfb_proto::{DecodeErrorKind, Version};

use crate::chain::{Chain, OWN_PASSWORD, OWN_USER, PASSWORD, REASON, USER, WRONG, upstream};
use crate::logins::{CLIENT, SERVER};
use crate::pair::{client_with, connect, server};
use crate::play::{Now, Outcome};
use crate::secrets::{shows_nothing, traces};

const RSA_AES: [SecurityType; 4] = [
    SecurityType::RA2,
    SecurityType::RA2NE,
    SecurityType::RA2_256,
    SecurityType::RA2NE_256,
];

const OTHERS: [SecurityType; 3] = [
    SecurityType::DIFFIE_HELLMAN,
    SecurityType::MS_LOGON_II,
    SecurityType::MS_LOGON_III,
];

fn all() -> impl Iterator<Item = SecurityType> {
    RSA_AES.into_iter().chain(OTHERS)
}

/// Every type, in pieces of any length, in both versions that have lists.
#[test]
fn both_roles_agree() {
    for security_type in all() {
        for (chunk, version) in [(1, Version::V3_8), (7, Version::V3_7), (usize::MAX / 2, Version::V3_8)] {
            let mut server = server(ServerConfig::new(&[security_type]));
            let mut client = client_with(ClientConfig::new(&[security_type]).with_version(version), b"secret");
            connect(&mut server, &mut client, chunk);
            let (Now::Done(Outcome::Server(served)), Now::Done(Outcome::Client(shown))) = (&server.now, &client.now)
            else {
                panic!("{security_type}: {:?} and {:?}", server.now, client.now);
            };
            assert_eq!(served.security, shown.security);
            assert_eq!(shown.security.security_type, security_type);
            assert_eq!(shown.init, Some(crate::play::server_init()));
        }
    }
}

/// Where the password is wrong, the server says so, inside of the layer if there is one.
#[test]
fn a_wrong_password_is_refused() {
    for security_type in all() {
        let mut server = server(ServerConfig::new(&[security_type]));
        let mut client = client_with(ClientConfig::new(&[security_type]), b"wrong");
        connect(&mut server, &mut client, 100);
        let Now::Failed(HandshakeError::Rejected(Rejection { of, reason })) = &client.now else {
            panic!("{security_type}: {:?}", client.now);
        };
        assert_eq!(*of, Rejected::Authentication);
        assert!(matches!(reason, RejectionReason::Reason(_)));
        assert!(matches!(server.now, Now::Failed(HandshakeError::Refused(_))));
    }
}

/// A server that wants a password only gets no user.
#[test]
fn a_password_without_a_user() {
    for security_type in RSA_AES {
        let config = ServerConfig::new(&[security_type]).with_rsa_aes_user(false);
        let mut server = server(config);
        let mut client = client_with(ClientConfig::new(&[security_type]), b"secret");
        connect(&mut server, &mut client, 100);
        // The account of this server has a user.
        assert!(
            matches!(server.now, Now::Failed(HandshakeError::Refused(_))),
            "{:?}",
            server.now
        );
    }
}

/// What is sent of user and password, in clear text, is nothing; nor is what follows a log-in with a layer.
#[test]
fn nothing_is_sent_in_clear_text() {
    for security_type in all() {
        let mut server = server(ServerConfig::new(&[security_type]));
        let mut client = client_with(ClientConfig::new(&[security_type]), b"secret");
        connect(&mut server, &mut client, 100);
        let seen = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        assert!(!seen(&client.sent, b"secret") && !seen(&client.sent, b"user"));
        let layered = matches!(security_type, SecurityType::RA2 | SecurityType::RA2_256);
        assert_eq!(!seen(&server.sent, b"QEMU"), layered, "{security_type}");
    }
}

fn full_upstream() -> Upstream {
    upstream(OWN_USER, OWN_PASSWORD)
        .with_seed(Seed::new([0x53; 32]))
        .with_rsa_aes(Arc::new(Key::generate(1024, &Seed::new([3; 32])).unwrap()), Pin::Any)
}

fn chain(tenant: SecurityType, hypervisor: SecurityType, order: AuthOrder) -> Chain {
    let bridge = BridgeConfig::default()
        .with_tenant_types(&[tenant])
        .with_hypervisor_types(&[hypervisor])
        .with_auth_order(order);
    let mut chain = Chain::new(ClientConfig::new(&[tenant]), bridge, ServerConfig::new(&[hypervisor]));
    chain.upstream = Some(full_upstream());
    chain
}

/// Any log-in of the tenant's with any of the hypervisor's, in both orders, byte by byte and at once.
#[test]
fn any_log_in_to_any_other() {
    let types: Vec<_> = all().chain([SecurityType::NONE, SecurityType::VNC]).collect();
    let mut count = 0;
    for &tenant in &types {
        for &hypervisor in &types {
            for (order, chunk) in [(AuthOrder::TenantFirst, 1), (AuthOrder::HypervisorFirst, 1 << 20)] {
                let (ended, chain) = chain(tenant, hypervisor, order).run(chunk);
                let viewer = ended
                    .viewer
                    .unwrap_or_else(|error| panic!("{tenant} to {hypervisor}: {error}"));
                assert_eq!(viewer.security.security_type, tenant);
                assert_eq!(viewer.init, Some(crate::play::server_init()));
                let bridge = ended.bridge.unwrap();
                assert_eq!(bridge.hypervisor.security.security_type, hypervisor);
                assert_eq!(bridge.tenant.security.security_type, tenant);
                let told = chain.told(Side::Tenant);
                for secret in [OWN_USER, OWN_PASSWORD] {
                    assert!(!told.windows(secret.len()).any(|window| window == secret));
                }
                count += 1;
            }
        }
    }
    assert_eq!(count, 9 * 9 * 2);
}

/// A wrong password on either side.
#[test]
fn either_side_can_be_refused() {
    for tenant in all() {
        for hypervisor in all() {
            let mut wrong_tenant = chain(tenant, hypervisor, AuthOrder::TenantFirst);
            wrong_tenant.entered = (USER, WRONG);
            let (ended, chain_after) = wrong_tenant.run(1000);
            assert!(
                matches!(ended.viewer, Err(HandshakeError::Rejected(_))),
                "{:?}",
                ended.viewer
            );
            assert!(!chain_after.asked.contains(&"connect"), "the hypervisor is left alone");
            let mut wrong_bridge = chain(tenant, hypervisor, AuthOrder::TenantFirst);
            wrong_bridge.wanted = (OWN_USER, WRONG);
            wrong_bridge.entered = (USER, PASSWORD);
            let (ended, chain_after) = wrong_bridge.run(1000);
            let Err(HandshakeError::Rejected(rejection)) = ended.viewer else {
                panic!("{tenant} to {hypervisor}: {:?}", ended.viewer);
            };
            assert_eq!(
                rejection.to_string(),
                "authentication failed: Authentication with the console failed"
            );
            let reason = REASON.strip_suffix(b"\0").unwrap();
            assert!(
                !chain_after
                    .told(Side::Tenant)
                    .windows(reason.len())
                    .any(|window| window == reason)
            );
            assert_eq!(ended.bridge.unwrap_err().side, Side::Hypervisor);
        }
    }
}

/// A key that is not the pinned one ends it before user and password are sent.
#[test]
fn the_hypervisors_key_is_pinned() {
    let right = SERVER.key.public();
    for (pin, is_right) in [
        (Pin::Key(right.clone()), true),
        (Pin::Sha256(right.sha256()), true),
        (Pin::Key(CLIENT.key.public().clone()), false),
        (Pin::Sha256([0; 32]), false),
    ] {
        for hypervisor in RSA_AES {
            let mut chain = chain(SecurityType::VNC, hypervisor, AuthOrder::TenantFirst);
            let key = Arc::new(Key::generate(1024, &Seed::new([3; 32])).unwrap());
            chain.upstream = Some(full_upstream().with_rsa_aes(key, pin.clone()));
            let (ended, chain) = chain.run(1000);
            match ended.bridge {
                Ok(_) => assert!(is_right),
                Err(error) => {
                    assert!(!is_right);
                    assert_eq!(error.error, HandshakeError::PeerIncompatible(Incompatibility::HostKey));
                    // The version, and the choice.
                    assert_eq!(chain.told(Side::Hypervisor).len(), 13);
                }
            }
        }
    }
}

/// Without what it takes a log-in is not chosen.
#[test]
fn what_the_bridge_does_not_know_is_not_chosen() {
    for hypervisor in all() {
        for upstream in [
            upstream(OWN_USER, OWN_PASSWORD),
            Upstream::default().with_seed(Seed::new([1; 32])),
        ] {
            let mut chain = chain(SecurityType::VNC, hypervisor, AuthOrder::TenantFirst);
            chain.upstream = Some(upstream);
            let (ended, _) = chain.run(1000);
            let expected = HandshakeError::PeerIncompatible(Incompatibility::Types([hypervisor].into()));
            assert_eq!(ended.bridge.unwrap_err().error, expected);
        }
    }
}

/// The tenant's own log-in is not passed through where the bridge cannot do so.
#[test]
fn nothing_but_vnc_is_passed_through() {
    for tenant in all() {
        let (ended, _) = chain(tenant, tenant, AuthOrder::Passthrough).run(1000);
        ended.bridge.unwrap_err();
        ended.viewer.unwrap_err();
    }
}

/// A peer's key of 16,384 bits is refused at its first four bytes.
#[test]
fn a_long_key_costs_nothing() {
    for is_server in [true, false] {
        let mut player = match is_server {
            true => server(ServerConfig::new(&[SecurityType::RA2])),
            false => client_with(ClientConfig::new(&[SecurityType::RA2]), b"secret"),
        };
        player.feed(b"RFB 003.008\n");
        player.feed(if is_server { &[5] } else { &[1, 5] });
        player.feed(&16_384_u32.to_be_bytes());
        let Now::Failed(HandshakeError::Decode(error)) = &player.now else {
            panic!("{:?}", player.now);
        };
        let kind = DecodeErrorKind::TooLarge {
            value: 16_384,
            limit: 8192,
        };
        assert_eq!(
            (error.message, error.field, error.offset, error.kind),
            ("PublicKey", "bits", 0, kind)
        );
    }
}

/// Neither password nor seed is printed at any byte of a log-in, whatever the machine then is.
#[test]
fn nothing_is_shown() {
    const SECRET: &[u8] = b"Qz7#wXy!";
    let traces = traces(&[SECRET, &SERVER.seed, &CLIENT.seed]);
    for security_type in all() {
        let mut server = server(ServerConfig::new(&[security_type]));
        let mut client = client_with(ClientConfig::new(&[security_type]), SECRET);
        let (mut up, mut down) = (0, 0);
        loop {
            shows_nothing(&server.role, &traces);
            shows_nothing(&client.role, &traces);
            shows_nothing(&server.buffers, &traces);
            shows_nothing(&client.buffers, &traces);
            let byte = |sent: &[u8], at: &mut usize| {
                let byte = sent.get(*at).copied();
                *at += usize::from(byte.is_some());
                byte
            };
            let (to_client, to_server) = (byte(&server.sent, &mut down), byte(&client.sent, &mut up));
            if to_client.is_none() && to_server.is_none() {
                break;
            }
            client.feed(to_client.as_slice());
            server.feed(to_server.as_slice());
        }
        assert!(
            matches!(client.now, Now::Failed(HandshakeError::Rejected(_))),
            "{:?}",
            client.now
        );
    }
    shows_nothing(&full_upstream(), &traces);
    shows_nothing(&SERVER.seed(), &traces);
}

/// At any stage the peer may hang up.
#[test]
fn the_peer_hangs_up() {
    for security_type in all() {
        let mut client = client_with(ClientConfig::new(&[security_type]), b"secret");
        let mut whole = server(ServerConfig::new(&[security_type]));
        connect(&mut whole, &mut client, 1 << 20);
        for is_server in [true, false] {
            let bytes = if is_server { &client.sent } else { &whole.sent };
            for end in 0..bytes.len() {
                let mut player = match is_server {
                    true => server(ServerConfig::new(&[security_type])),
                    false => client_with(ClientConfig::new(&[security_type]), b"secret"),
                };
                player.feed(&bytes[..end]);
                assert!(
                    matches!(player.now, Now::Needs(_)),
                    "{security_type} at {end}: {:?}",
                    player.now
                );
                player.eof();
                assert!(
                    matches!(player.now, Now::Failed(_)),
                    "{security_type} at {end}: {:?}",
                    player.now
                );
            }
        }
    }
}
