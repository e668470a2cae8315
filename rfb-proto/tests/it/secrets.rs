//! Nothing that can be printed shows a secret, at any stage of any machine; and what held one is overwritten.

use core::fmt::Debug;

use bytes::BytesMut;
use rfb_proto::handshake::bridge::{AuthOrder, Bridge, BridgeAction, BridgeQuestion, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{
    BridgeConfig, Buffers, ClientConfig, ClientHandshake, Machine, ServerConfig, ServerHandshake, Side, SideBuffers,
};
use rfb_proto::security::plain::Credentials;
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Secret, SecurityType};

use crate::play::{Answers, NOW, Now, Player, Role, server_init};

/// Of those that are typed; eight characters, for VNC authentication.
const TENANTS: &[u8] = b"Qz7#wXy!";
const OWN: &[u8] = b"Kp4%vBn?";
const USER: &[u8] = b"alice";

/// The ways in which bytes are printed.
fn shapes(secret: &[u8]) -> Vec<String> {
    let list = format!("{secret:?}");
    let hex: Vec<String> = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        secret.escape_ascii().to_string(),
        String::from_utf8_lossy(secret).into_owned(),
        list.trim_matches(['[', ']']).to_owned(),
        hex.concat(),
        hex.join(" "),
        hex.join(", "),
    ]
}

/// What must not be in a text: four bytes of a secret are too many.
pub(crate) fn traces(secrets: &[&[u8]]) -> Vec<String> {
    let parts = secrets.iter().flat_map(|secret| secret.windows(4));
    let mut traces: Vec<_> = parts.flat_map(shapes).collect();
    traces.sort();
    traces.dedup();
    traces
}

pub(crate) fn shows_nothing(value: &impl Debug, traces: &[String]) {
    let text = format!("{value:?}");
    for trace in traces {
        assert!(!text.contains(trace), "{trace:?} in {text}");
    }
}

fn holds(buffer: &[u8], secrets: &[&[u8]]) -> bool {
    secrets
        .iter()
        .any(|secret| buffer.windows(secret.len()).any(|window| window == *secret))
}

fn client(types: &[SecurityType], subtypes: &[Subtype]) -> ClientConfig {
    ClientConfig::new(types)
        .with_subtypes(subtypes)
        .with_tight_types(&[SecurityType::VNC, SecurityType::SASL])
        .with_tls_types(&[SecurityType::VNC, SecurityType::SASL])
        .with_cleartext(true)
}

fn server(types: &[SecurityType], subtypes: &[Subtype]) -> ServerConfig {
    ServerConfig::new(types)
        .with_subtypes(subtypes)
        .with_tight_types(&[SecurityType::VNC, SecurityType::SASL])
        .with_tls_types(&[SecurityType::VNC, SecurityType::SASL])
        .with_sasl_mechanisms(b"PLAIN")
}

/// Every way to show a password, byte by byte, right and wrong: both machines and their buffers at every byte.
#[test]
fn machines_and_their_buffers() {
    let password = Password::new(TENANTS);
    let challenge = *b"0123456789abcdef";
    let response = password.respond(&challenge);
    let secrets = [TENANTS, &response[..]];
    let traces = traces(&secrets);
    let ways: [(&[SecurityType], &[Subtype]); 9] = [
        (&[SecurityType::VNC], &[]),
        (&[SecurityType::SASL], &[]),
        (&[SecurityType::TIGHT], &[]),
        (&[SecurityType::TLS], &[]),
        (&[SecurityType::VENCRYPT], &[Subtype::PLAIN]),
        (&[SecurityType::VENCRYPT], &[Subtype::X509_PLAIN]),
        (&[SecurityType::VENCRYPT], &[Subtype::X509_VNC]),
        (&[SecurityType::VENCRYPT], &[Subtype::X509_SASL]),
        (&[SecurityType::VENCRYPT], &[Subtype::TLS_PLAIN]),
    ];
    let mut stages = 0;
    for (types, subtypes) in ways {
        for verdict in [None, Some(false)] {
            let answers = Answers {
                user: USER.to_vec(),
                password: Some(TENANTS.to_vec()),
                challenge,
                server_init: Some(server_init()),
                verdict,
                ..Answers::default()
            };
            let machine = ClientHandshake::new(NOW, client(types, subtypes));
            let mut near = Player::new(Role::Client(Box::new(machine)), answers.clone());
            let machine = ServerHandshake::new(NOW, server(types, subtypes));
            let mut far = Player::new(Role::Server(Box::new(machine)), answers);
            let (mut from_near, mut from_far) = (0, 0);
            for _ in 0..10_000 {
                for player in [&near, &far] {
                    shows_nothing(&player.role, &traces);
                    shows_nothing(&player.buffers, &traces);
                    shows_nothing(&player.now, &traces);
                    stages += 1;
                }
                if let (Now::Tls(_), Now::Tls(_)) = (&near.now, &far.now) {
                    near.tls_is_up();
                    far.tls_is_up();
                } else if let Some(byte) = near.sent.get(from_near).copied() {
                    from_near += 1;
                    far.feed(&[byte]);
                } else if let Some(byte) = far.sent.get(from_far).copied() {
                    from_far += 1;
                    near.feed(&[byte]);
                } else {
                    break;
                }
            }
            assert!(
                holds(&near.sent, &secrets),
                "{types:?} {subtypes:?}: it was shown to the server"
            );
            assert!(
                !holds(&far.buffers.rx, &secrets),
                "{types:?} {subtypes:?}: and is gone from there"
            );
            match verdict {
                None => assert!(matches!(near.now, Now::Done(_)), "{:?}", near.now),
                Some(_) => assert!(matches!(far.now, Now::Failed(_)), "{:?}", far.now),
            }
        }
    }
    println!("{stages} stages");
    assert!(1000 < stages);
}

/// A handshake that fails while a secret is due leaves nothing of it.
#[test]
fn what_was_half_received_is_overwritten() {
    let late = core::time::Duration::from_secs(100);
    let plain = [
        &b"RFB 003.008\n\x13\0\x02\0\0\x01\0\0\0\0\x05\0\0\0\x08alice"[..],
        &TENANTS[..5],
    ]
    .concat();
    let sasl = [
        &b"RFB 003.008\n\x14\0\0\0\x05PLAIN\0\0\0\x10\0alice\0"[..],
        &TENANTS[..5],
    ]
    .concat();
    for (types, subtypes, says) in [
        (SecurityType::VENCRYPT, &[Subtype::PLAIN][..], plain),
        (SecurityType::SASL, &[], sasl),
    ] {
        let config = server(&[types], subtypes);
        let (mut machine, mut buffers) = (ServerHandshake::new(NOW, config.clone()), Buffers::default());
        buffers.rx.extend_from_slice(&says);
        machine.step(NOW, &mut buffers).unwrap();
        assert!(holds(&buffers.rx, &[&TENANTS[..5]]));
        shows_nothing(&buffers, &traces(&[&TENANTS[..5]]));
        machine.step(late, &mut buffers).unwrap_err();
        assert!(buffers.rx.is_empty());

        let config = BridgeConfig::default()
            .with_tenant_types(&[SecurityType::VENCRYPT])
            .with_tenant_subtypes(&[Subtype::PLAIN]);
        if types == SecurityType::VENCRYPT {
            let (mut bridge, mut sides) = (Bridge::new(NOW, config), SideBuffers::default());
            sides.tenant.rx.extend_from_slice(&says);
            bridge.step(NOW, &mut sides).unwrap();
            assert!(holds(&sides.tenant.rx, &[&TENANTS[..5]]));
            shows_nothing(&sides, &traces(&[&TENANTS[..5]]));
            bridge.eof(&mut sides, Side::Tenant).unwrap_err();
            assert!(sides.tenant.rx.is_empty());
        }
    }
}

/// One byte, if there is one left.
fn carry(from: &[u8], at: &mut usize, to: &mut BytesMut) -> bool {
    let next = from.get(*at..*at + 1).unwrap_or_default();
    to.extend_from_slice(next);
    *at += next.len();
    !next.is_empty()
}

/// A bridge between both, with all that it knows, at every byte of either side.
#[test]
fn bridges_and_their_buffers() {
    let response = Password::new(TENANTS).respond(b"tenant challenge");
    let own = Password::new(OWN).respond(b"hyper- challenge");
    let secrets = [TENANTS, OWN, &response[..], &own[..]];
    let traces = traces(&secrets);
    let vencrypt = &[SecurityType::VENCRYPT][..];
    let legs: [(&[SecurityType], &[Subtype]); 3] = [
        (&[SecurityType::VNC], &[]),
        (vencrypt, &[Subtype::PLAIN]),
        (vencrypt, &[Subtype::X509_PLAIN]),
    ];
    for auth_order in [AuthOrder::TenantFirst, AuthOrder::HypervisorFirst] {
        for (types, subtypes) in legs {
            for (upper_types, upper_subtypes) in legs {
                let answers = |password: &[u8], challenge| Answers {
                    user: USER.to_vec(),
                    password: Some(password.to_vec()),
                    challenge,
                    server_init: Some(server_init()),
                    ..Answers::default()
                };
                let machine = ClientHandshake::new(NOW, client(types, subtypes));
                let mut viewer = Player::new(Role::Client(Box::new(machine)), answers(TENANTS, [0; 16]));
                let machine = ServerHandshake::new(NOW, server(upper_types, upper_subtypes));
                let role = Role::Server(Box::new(machine));
                let mut hypervisor = Player::new(role, answers(OWN, *b"hyper- challenge"));
                let config = BridgeConfig::default()
                    .with_auth_order(auth_order)
                    .with_tenant_types(types)
                    .with_tenant_subtypes(subtypes)
                    .with_hypervisor_types(upper_types)
                    .with_hypervisor_subtypes(upper_subtypes)
                    .with_cleartext(true);
                let (mut bridge, mut sides) = (Bridge::new(NOW, config), SideBuffers::default());
                let (mut at, mut upper_at, mut connected, mut done) = (0, 0, false, false);
                for _ in 0..10_000 {
                    let action = bridge.step(NOW, &mut sides).unwrap();
                    shows_nothing(&action, &traces);
                    shows_nothing(&bridge, &traces);
                    shows_nothing(&sides, &traces);
                    assert!(!holds(&sides.tenant.rx, &secrets) && !holds(&sides.tenant.tx, &secrets));
                    match action {
                        BridgeAction::Ask(BridgeQuestion::Challenge) => {
                            bridge.challenge(&mut sides, *b"tenant challenge").unwrap();
                        }
                        BridgeAction::Ask(BridgeQuestion::Admit(claim)) => {
                            let is_right = match &claim {
                                ClientCredentials::Vnc { challenge, response } => {
                                    Password::new(TENANTS).verify(challenge, response)
                                }
                                ClientCredentials::Plain(shown) => shown.password.expose() == TENANTS,
                                other => panic!("{other:?}"),
                            };
                            assert!(is_right);
                            bridge.admit(&mut sides).unwrap();
                        }
                        BridgeAction::Ask(BridgeQuestion::Connect) => {
                            connected = true;
                            let upstream = Upstream::default().with_password(Password::new(OWN));
                            let credentials = Credentials {
                                user: USER.into(),
                                password: Secret::new(OWN),
                            };
                            let upstream = upstream.with_credentials(credentials);
                            shows_nothing(&upstream, &traces);
                            bridge.connect(upstream).unwrap();
                        }
                        BridgeAction::Ask(other) => panic!("{other:?}"),
                        BridgeAction::StartTls { side, .. } => {
                            // What was said before TLS has to be there first.
                            let player = if side == Side::Tenant {
                                &mut viewer
                            } else {
                                &mut hypervisor
                            };
                            player.feed(&sides.side(side).tx.split());
                            player.tls_is_up();
                        }
                        BridgeAction::Done(_) => done = true,
                        BridgeAction::Receive { .. } | BridgeAction::Waiting => {}
                    }
                    if done {
                        break;
                    }
                    viewer.feed(&sides.tenant.tx.split());
                    if connected {
                        hypervisor.feed(&sides.hypervisor.tx.split());
                    }
                    let moved = carry(&viewer.sent, &mut at, &mut sides.tenant.rx);
                    if connected && !moved {
                        carry(&hypervisor.sent, &mut upper_at, &mut sides.hypervisor.rx);
                    }
                }
                assert!(done, "{auth_order:?} {types:?} {upper_types:?}: {bridge:?}");
            }
        }
    }
}

#[test]
fn lengths_only() {
    let mut sides = SideBuffers::default();
    sides.tenant.rx.extend_from_slice(TENANTS);
    sides.hypervisor.tx.extend_from_slice(&OWN[..3]);
    let expected = "SideBuffers { tenant: Buffers { rx: 8 bytes, tx: 0 bytes }, hypervisor: Buffers { rx: 0 bytes, tx: 3 bytes } }";
    assert_eq!(format!("{sides:?}"), expected);
}
