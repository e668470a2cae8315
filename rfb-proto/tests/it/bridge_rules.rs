//! What the bridge holds on to whatever its two sides do: driven by hand, both sides played by the test.

use core::time::Duration;

use expect_test::expect;
use rfb_proto::Version;
use rfb_proto::handshake::bridge::{AuthOrder, BridgeAction, BridgeError, BridgeQuestion, Upstream};
use rfb_proto::handshake::{Bridge, BridgeConfig, HandshakeError, Misuse, Refusal, Side, SideBuffers};
use rfb_proto::security::vencrypt::Subtype;
use rfb_proto::security::vnc::Password;
use rfb_proto::security::{Reason, SecurityType};

use crate::bridge::{GENERIC, Leg, assert_connected, holds};
use crate::chain::{Chain, OWN_PASSWORD, OWN_USER, TENANT_CHALLENGE, upstream};

/// A viewer that takes a type which it was not offered (CVE-2006-2369, CVE-2006-2450, CVE-2024-42458).
#[test]
fn cve_2006_2369_a_choice_outside_of_the_offer() {
    for auth_order in [
        AuthOrder::TenantFirst,
        AuthOrder::HypervisorFirst,
        AuthOrder::Passthrough,
    ] {
        let config = BridgeConfig::default()
            .with_auth_order(auth_order)
            .with_hypervisor_types(&[SecurityType::VNC, SecurityType::NONE]);
        let mut talk = Talk::new(config);
        if auth_order != AuthOrder::TenantFirst {
            talk.connect(Upstream::default().with_password(Password::new(OWN_PASSWORD)));
            talk.hypervisor(b"RFB 003.008\n\x02\x01\x02");
        }
        talk.tenant(b"RFB 003.008\n\x01");
        let error = talk.error();
        assert_eq!(error, "tenant: peer misbehaved: security type None (1) was not offered");
        // The hypervisor hears nothing, or that there is no choice.
        let heard: &[u8] = if auth_order == AuthOrder::TenantFirst {
            b""
        } else {
            b"RFB 003.008\n\0"
        };
        assert_eq!(talk.sides.hypervisor.tx[..], *heard);
        assert!(talk.sides.tenant.tx.ends_with(b"That security type was not offered"));
    }
}

/// The same inside VeNCrypt, for both sides.
#[test]
fn cve_2006_2369_a_subtype_outside_of_the_offer() {
    let config = BridgeConfig::default()
        .with_tenant_types(&[SecurityType::VENCRYPT])
        .with_tenant_subtypes(&[Subtype::X509_PLAIN]);
    let mut talk = Talk::new(config);
    talk.tenant(b"RFB 003.008\n\x13\x00\x02\x00\x00\x01\x04");
    assert_eq!(
        talk.error(),
        "tenant: peer misbehaved: VeNCrypt subtype X509None (260) was not offered"
    );
    assert!(talk.sides.hypervisor.tx.is_empty());
    // A hypervisor that drops what is wanted from its list does not get less.
    let mut talk = Talk::new(BridgeConfig::default().with_tenant_types(&[SecurityType::NONE]));
    talk.tenant(b"RFB 003.008\n\x01");
    talk.admit();
    talk.connect(upstream(OWN_USER, OWN_PASSWORD));
    talk.hypervisor(b"RFB 003.008\n\x01\x13\x00\x02\x00\x03\x00\x00\x01\x00\x00\x00\x00\x01\x00\x00\x01\x03");
    assert_eq!(
        talk.error(),
        "hypervisor: peer incompatible: no common VeNCrypt subtype; offered: Plain (256), 1, TLSPlain (259)"
    );
    assert!(!holds(&talk.sides.hypervisor.tx, OWN_PASSWORD));
}

/// A reason of 4 GiB from the hypervisor (nova once read it whole).
#[test]
fn a_reason_of_4_gib_is_not_read() {
    let mut talk = Talk::new(BridgeConfig::nova());
    talk.connect(Upstream::default());
    talk.hypervisor(b"RFB 003.008\n\0\xff\xff\xff\xff");
    assert_eq!(
        talk.sides.hypervisor.rx.capacity(),
        talk.sides.hypervisor.rx.capacity().min(4096)
    );
    talk.tenant(b"RFB 003.008\n");
    let error = talk.error();
    expect!["hypervisor: connection refused, with a reason of 4294967295 bytes"].assert_eq(&error);
    let told = &talk.sides.tenant.tx[12..];
    assert_eq!(told[..5], [0, 0, 0, 0, 40]);
    assert_eq!(told[5..], *b"Unable to negotiate security with server");
}

/// TLS that is cut off (CVE-2016-10207, CVE-2023-3354), and bytes that are slipped in front of it.
#[test]
fn cve_2016_10207_the_switch_to_tls() {
    let config = BridgeConfig::default().with_tenant_types(&[SecurityType::NONE]);
    let begin = |behind: &[u8]| {
        let mut talk = Talk::new(config.clone());
        talk.tenant(b"RFB 003.008\n\x01");
        talk.admit();
        talk.connect(upstream(OWN_USER, OWN_PASSWORD));
        let greeting = b"RFB 003.008\n\x01\x13\x00\x02\x00\x01\x00\x00\x01\x06\x01";
        talk.hypervisor(&[&greeting[..], behind].concat());
        talk
    };
    let mut talk = begin(b"");
    assert!(matches!(
        talk.action,
        Some(Ok(BridgeAction::StartTls {
            side: Side::Hypervisor,
            ..
        }))
    ));
    let error = talk.bridge.eof(&mut talk.sides, Side::Hypervisor).unwrap_err();
    expect!["hypervisor: closed by the peer while waiting for TLS"].assert_eq(&error.to_string());
    assert!(talk.sides.tenant.tx.ends_with(GENERIC.as_bytes()));
    // Once more, and from the other side: it is over.
    for side in [Side::Hypervisor, Side::Tenant] {
        assert_eq!(talk.bridge.eof(&mut talk.sides, side), Err(error.clone()));
    }
    let mut talk = begin(b"\0\0\0\0");
    expect!["hypervisor: peer misbehaved: bytes in front of TLS"].assert_eq(&talk.error());
}

/// A bridge driven by hand.
struct Talk {
    bridge: Bridge,
    sides: SideBuffers,
    action: Option<Result<BridgeAction, BridgeError>>,
}

impl Talk {
    fn new(config: BridgeConfig) -> Self {
        let mut talk = Self {
            bridge: Bridge::new(Duration::ZERO, config),
            sides: SideBuffers::default(),
            action: None,
        };
        talk.step();
        talk
    }

    fn step(&mut self) {
        self.action = Some(self.bridge.step(Duration::ZERO, &mut self.sides));
    }

    fn tenant(&mut self, bytes: &[u8]) {
        self.sides.tenant.rx.extend_from_slice(bytes);
        self.step();
    }

    fn hypervisor(&mut self, bytes: &[u8]) {
        self.sides.hypervisor.rx.extend_from_slice(bytes);
        self.step();
    }

    fn admit(&mut self) {
        self.bridge.admit(&mut self.sides).unwrap();
        self.step();
    }

    fn connect(&mut self, upstream: Upstream) {
        self.bridge.connect(upstream).unwrap();
        self.step();
    }

    fn error(&mut self) -> String {
        match self.action.as_ref().unwrap() {
            Err(error) => error.to_string(),
            Ok(action) => panic!("{action:?}"),
        }
    }
}

#[test]
fn nova() {
    for subtype in [None, Some(Subtype::X509_NONE)] {
        let security_type = subtype.map_or(SecurityType::NONE, |_| SecurityType::VENCRYPT);
        let tenant = Leg::plain(Version::V3_8, SecurityType::NONE);
        let hypervisor = Leg {
            version: Version::V3_8,
            security_type,
            subtype,
        };
        let mut chain = Chain::new(tenant.viewer(), BridgeConfig::nova(), hypervisor.hypervisor());
        chain.upstream = Some(Upstream::default());
        let (ended, chain) = chain.run(1);
        assert_connected(&tenant, &hypervisor, &ended);
        assert_eq!(chain.asked, ["connect", "admit"]);
    }
    // Unknown types ended nova's proxy, which made a name of each.
    let mut talk = Talk::new(BridgeConfig::nova());
    talk.connect(Upstream::default());
    talk.hypervisor(b"RFB 003.008\n\x04\x81\x0d\x85\x01");
    talk.tenant(b"RFB 003.008\n\x01");
    assert!(talk.sides.hypervisor.tx.ends_with(b"\n\x01"));
}

/// nova takes version 3.8 only, and sends no reason to a peer with another one.
#[test]
fn nova_takes_no_other_version() {
    let mut talk = Talk::new(BridgeConfig::nova());
    talk.connect(Upstream::default());
    talk.hypervisor(b"RFB 003.007\n");
    expect!["hypervisor: peer incompatible: version 3.7 is not supported"].assert_eq(&talk.error());
    assert!(talk.sides.tenant.tx.is_empty() && talk.sides.hypervisor.tx.is_empty());
    let mut talk = Talk::new(BridgeConfig::nova());
    talk.connect(Upstream::default());
    talk.hypervisor(b"RFB 003.008\n\x01\x01");
    talk.tenant(b"RFB 003.003\n");
    expect!["tenant: peer incompatible: version 3.3 is not supported"].assert_eq(&talk.error());
    assert_eq!(talk.sides.tenant.tx[..], *b"RFB 003.008\n");
}

/// The tenant's attempts are counted by the hypervisor where they are passed through.
#[test]
fn too_many_attempts() {
    for auth_order in [AuthOrder::Passthrough, AuthOrder::TenantFirst] {
        let config = BridgeConfig::default()
            .with_auth_order(auth_order)
            .with_hypervisor_types(&[SecurityType::VNC]);
        let mut talk = Talk::new(config);
        let hypervisor = b"RFB 003.008\n\x01\x02sixteen bytes...\0\0\0\x02\0\0\0\x04wait";
        talk.sides.hypervisor.rx.extend_from_slice(hypervisor);
        talk.sides
            .tenant
            .rx
            .extend_from_slice(b"RFB 003.008\n\x02sixteen bytes...");
        if auth_order == AuthOrder::TenantFirst {
            talk.step();
            talk.bridge.challenge(&mut talk.sides, TENANT_CHALLENGE).unwrap();
            talk.step();
            talk.admit();
        }
        talk.connect(upstream(OWN_USER, OWN_PASSWORD));
        expect!["hypervisor: too many authentication attempts: wait"].assert_eq(&talk.error());
        let result = &talk.sides.tenant.tx[30..34];
        assert_eq!(
            result,
            [0, 0, 0, if auth_order == AuthOrder::Passthrough { 2 } else { 1 }]
        );
    }
}

/// QEMU refuses a version with four zero bytes: a list of no types, and three of the four bytes of a reason's length.
/// libvncserver writes a word and a reason where a list is due.
#[test]
fn refusals_of_the_hypervisor() {
    for (refusal, error, shown) in [
        (&b"\0\0\0\0"[..], "hypervisor: connection refused", GENERIC),
        (b"\0\0\0\0\x04none", "hypervisor: connection refused: none", "none"),
    ] {
        let config = BridgeConfig::passthrough().with_forward_reason(true);
        let mut talk = Talk::new(config);
        talk.connect(Upstream::default());
        talk.hypervisor(b"RFB 003.008\n");
        talk.hypervisor(refusal);
        if refusal.len() == 4 {
            talk.bridge.eof(&mut talk.sides, Side::Hypervisor).unwrap();
            talk.step();
        }
        talk.tenant(b"RFB 003.007\n");
        assert_eq!(talk.error(), error);
        assert_eq!(talk.sides.tenant.tx[12], 0);
        assert!(talk.sides.tenant.tx.ends_with(shown.as_bytes()));
    }
}

/// Either side may hang up at any byte; the bridge ends, says on which side, and never accepts.
#[test]
fn cve_2013_5745_ends_of_the_stream_everywhere() {
    let tenant_bytes = b"RFB 003.008\n\x02sixteen bytes...";
    let hypervisor_bytes = b"RFB 003.008\n\x01\x02sixteen bytes...\0\0\0\0";
    let mut ends = 0;
    for auth_order in [
        AuthOrder::TenantFirst,
        AuthOrder::HypervisorFirst,
        AuthOrder::Passthrough,
    ] {
        for side in [Side::Tenant, Side::Hypervisor] {
            for cut in 0..hypervisor_bytes.len() {
                let config = BridgeConfig::default()
                    .with_auth_order(auth_order)
                    .with_hypervisor_types(&[SecurityType::VNC]);
                let mut talk = Talk::new(config);
                let (mut tenant, mut hypervisor) = (&tenant_bytes[..], &hypervisor_bytes[..]);
                match side {
                    Side::Tenant => tenant = &tenant[..cut.min(tenant.len() - 1)],
                    Side::Hypervisor => hypervisor = &hypervisor[..cut],
                }
                let error = loop {
                    match talk.action.take().unwrap() {
                        Ok(BridgeAction::Receive { side, at_least }) => {
                            let input = match side {
                                Side::Tenant => &mut tenant,
                                Side::Hypervisor => &mut hypervisor,
                            };
                            if at_least <= input.len() {
                                let (piece, rest) = input.split_at(at_least);
                                talk.sides.side(side).rx.extend_from_slice(piece);
                                *input = rest;
                            } else if let Err(error) = talk.bridge.eof(&mut talk.sides, side) {
                                break error;
                            }
                        }
                        Ok(BridgeAction::Ask(BridgeQuestion::Challenge)) => {
                            talk.bridge.challenge(&mut talk.sides, TENANT_CHALLENGE).unwrap();
                        }
                        Ok(BridgeAction::Ask(BridgeQuestion::Admit(_))) => talk.bridge.admit(&mut talk.sides).unwrap(),
                        Ok(BridgeAction::Ask(BridgeQuestion::Connect)) => {
                            talk.bridge.connect(upstream(OWN_USER, OWN_PASSWORD)).unwrap();
                        }
                        Err(error) => break error,
                        other => panic!("{other:?}"),
                    }
                    talk.step();
                };
                assert_eq!(error.side, side);
                assert!(
                    matches!(error.error, HandshakeError::Closed(_) | HandshakeError::Rejected(_)),
                    "{error}"
                );
                assert!(!talk.sides.tenant.tx.ends_with(&[0; 4]));
                assert_eq!(talk.bridge.step(Duration::ZERO, &mut talk.sides), Err(error));
                ends += 1;
            }
        }
    }
    assert_eq!(ends, 3 * 2 * hypervisor_bytes.len());
}

/// A deadline for the tenant, one for the hypervisor that begins when it is connected to, and one for answers.
#[test]
fn deadlines() {
    let config = || BridgeConfig::default().with_hypervisor_types(&[SecurityType::NONE]);
    let late = Duration::from_secs(60);
    let mut talk = Talk::new(config());
    assert_eq!(talk.bridge.deadline(), late);
    let error = talk.bridge.step(late, &mut talk.sides).unwrap_err();
    expect!["tenant: timed out waiting for the version line"].assert_eq(&error.to_string());
    // An answer.
    let mut talk = Talk::new(config());
    talk.tenant(b"RFB 003.008\n\x02");
    assert_eq!(talk.action, Some(Ok(BridgeAction::Ask(BridgeQuestion::Challenge))));
    let early = late - Duration::from_nanos(1);
    assert_eq!(talk.bridge.step(early, &mut talk.sides), Ok(BridgeAction::Waiting));
    let error = talk.bridge.step(late, &mut talk.sides).unwrap_err();
    expect!["tenant: timed out waiting for the caller's answer"].assert_eq(&error.to_string());
    assert_eq!(talk.bridge.challenge(&mut talk.sides, [0; 16]), Err(Misuse::NotAsked));
    // The hypervisor.
    let mut talk = Talk::new(config());
    talk.tenant(b"RFB 003.008\n\x02");
    talk.bridge.challenge(&mut talk.sides, [0; 16]).unwrap();
    talk.step();
    talk.tenant(&[0; 16]);
    talk.admit();
    talk.bridge.connect(Upstream::default()).unwrap();
    talk.bridge.step(early, &mut talk.sides).unwrap();
    assert_eq!(talk.bridge.deadline(), early + late);
    let error = talk.bridge.step(early + late, &mut talk.sides).unwrap_err();
    expect!["hypervisor: timed out waiting for the version line"].assert_eq(&error.to_string());
    assert!(talk.sides.tenant.tx.ends_with(GENERIC.as_bytes()));
}

/// An answer that was not asked for changes nothing.
#[test]
fn wrong_answers() {
    let mut talk = Talk::new(BridgeConfig::default().with_hypervisor_types(&[SecurityType::NONE]));
    let none_open = |talk: &mut Talk| {
        let Talk { bridge, sides, .. } = talk;
        let answers = [
            bridge.challenge(sides, [0; 16]),
            bridge.admit(sides),
            bridge.connect(Upstream::default()),
            bridge.refuse(sides, Refusal::default()),
        ];
        answers.map(|answer| answer == Err(Misuse::NotAsked))
    };
    assert_eq!(none_open(&mut talk), [true; 4]);
    talk.tenant(b"RFB 003.008\n\x02");
    let Talk { bridge, sides, .. } = &mut talk;
    assert_eq!(bridge.admit(sides), Err(Misuse::NotAsked));
    assert_eq!(bridge.connect(Upstream::default()), Err(Misuse::NotAsked));
    assert_eq!(bridge.challenge(sides, [0; 16]), Ok(()));
    assert_eq!(none_open(&mut talk), [true; 4]);
    talk.step();
    talk.tenant(&[0; 16]);
    assert_eq!(talk.bridge.challenge(&mut talk.sides, [0; 16]), Err(Misuse::NotAsked));
    talk.bridge
        .refuse(&mut talk.sides, Refusal::Failed(Reason::from_static("no")))
        .unwrap();
    talk.step();
    expect!["tenant: refused: no"].assert_eq(&talk.error());
    assert_eq!(none_open(&mut talk), [true; 4]);
    assert!(talk.sides.tenant.tx.ends_with(b"\0\0\0\x01\0\0\0\x02no"));
}

/// What is behind the handshake is neither read nor lost.
#[test]
fn leftovers_of_both_sides() {
    let config = BridgeConfig::default()
        .with_tenant_types(&[SecurityType::NONE])
        .with_hypervisor_types(&[SecurityType::NONE]);
    let mut talk = Talk::new(config);
    talk.tenant(b"RFB 003.008\n\x01\x01\x02more");
    talk.admit();
    talk.connect(Upstream::default());
    talk.hypervisor(b"RFB 003.008\n\x01\x01\0\0\0\0behind");
    let Some(Ok(BridgeAction::Done(outcome))) = talk.action.take() else {
        panic!("{:?}", talk.action);
    };
    assert_eq!(outcome.tenant.init, None);
    assert_eq!(talk.sides.tenant.rx[..], *b"\x01\x02more");
    assert_eq!(talk.sides.hypervisor.rx[..], *b"behind");
    talk.step();
    expect!["tenant: the handshake has ended"].assert_eq(&talk.error());
    // An end of the stream is the caller's affair by now.
    for side in [Side::Tenant, Side::Hypervisor] {
        let sent = [talk.sides.tenant.tx.clone(), talk.sides.hypervisor.tx.clone()];
        let error = talk.bridge.eof(&mut talk.sides, side).unwrap_err();
        assert_eq!(error.to_string(), format!("{side}: the handshake has ended"));
        assert_eq!(talk.sides.tenant.rx[..], *b"\x01\x02more");
        assert_eq!(talk.sides.hypervisor.rx[..], *b"behind");
        assert_eq!([talk.sides.tenant.tx.clone(), talk.sides.hypervisor.tx.clone()], sent);
    }
}

/// A hypervisor that has refused before the tenant was greeted: its end changes nothing, and the end of the tenant is not
/// what went wrong.
#[test]
fn ends_behind_a_refusal_that_is_still_to_be_told() {
    let refused = || {
        let mut talk = Talk::new(BridgeConfig::nova());
        talk.connect(Upstream::default());
        talk.hypervisor(b"RFB 003.008\n\0\0\0\0\x04full");
        talk
    };
    let mut talk = refused();
    let error = talk.bridge.eof(&mut talk.sides, Side::Tenant).unwrap_err();
    assert_eq!(error.to_string(), "hypervisor: connection refused: full");
    let mut talk = refused();
    assert_eq!(talk.bridge.eof(&mut talk.sides, Side::Hypervisor), Ok(()));
    talk.tenant(b"RFB 003.008\n");
    assert_eq!(talk.error(), "hypervisor: connection refused: full");
    assert!(talk.sides.tenant.tx.ends_with(b"\0\0\0\0\x04full"));
}

/// A hypervisor's end is one when it was connected to, and only then.
#[test]
fn ends_of_the_hypervisor_around_its_connection() {
    let asked = || {
        let config = BridgeConfig::default()
            .with_tenant_types(&[SecurityType::NONE])
            .with_hypervisor_types(&[SecurityType::NONE]);
        let mut talk = Talk::new(config);
        talk.tenant(b"RFB 003.008\n\x01");
        talk.admit();
        talk
    };
    let mut talk = asked();
    assert_eq!(talk.bridge.eof(&mut talk.sides, Side::Hypervisor), Ok(()));
    talk.connect(Upstream::default());
    let (side, at_least) = (Side::Hypervisor, 12);
    assert_eq!(talk.action, Some(Ok(BridgeAction::Receive { side, at_least })));
    talk.hypervisor(b"RFB 003.008\n\x01\x01\0\0\0\0");
    assert!(matches!(talk.action, Some(Ok(BridgeAction::Done(_)))));
    // It hangs up at once, before anything was asked of it.
    let mut talk = asked();
    talk.bridge.connect(Upstream::default()).unwrap();
    assert_eq!(talk.bridge.eof(&mut talk.sides, Side::Hypervisor), Ok(()));
    talk.step();
    expect!["hypervisor: closed by the peer while waiting for the version line"].assert_eq(&talk.error());
    assert!(talk.sides.tenant.tx.ends_with(GENERIC.as_bytes()));
}

/// A tenant that was let in by other means is greeted as soon as the hypervisor's greeting is a good one.
#[test]
fn the_tenant_need_not_wait_for_the_list() {
    let mut talk = Talk::new(BridgeConfig::nova());
    talk.connect(Upstream::default());
    talk.hypervisor(b"RFB 003.008");
    assert_eq!(talk.sides.tenant.tx[..], *b"");
    talk.hypervisor(b"\n");
    assert_eq!(talk.sides.tenant.tx[..], *b"RFB 003.008\n");
    let (side, at_least) = (Side::Tenant, 12);
    assert_eq!(talk.action, Some(Ok(BridgeAction::Receive { side, at_least })));
}

/// nova shows the hypervisor's refusals up to 256 bytes, and has no credentials to show.
#[test]
fn nova_shows_reasons_and_no_credentials() {
    for (len, told) in [
        (256, vec![b'r'; 256]),
        (257, b"Unable to negotiate security with server".to_vec()),
    ] {
        let mut talk = Talk::new(BridgeConfig::nova());
        talk.connect(Upstream::default());
        talk.hypervisor(
            &[
                b"RFB 003.008\n\0\0\0",
                &u16::to_be_bytes(len)[..],
                &vec![b'r'; len.into()],
            ]
            .concat(),
        );
        talk.tenant(b"RFB 003.008\n");
        assert_eq!(talk.sides.tenant.tx[17..], told, "{len}");
    }
    let mut talk = Talk::new(BridgeConfig::nova());
    talk.connect(upstream(OWN_USER, OWN_PASSWORD));
    // X509Plain, X509None.
    talk.hypervisor(b"RFB 003.008\n\x01\x13");
    talk.tenant(b"RFB 003.008\n\x01");
    talk.hypervisor(b"\0\x02\0\x02\0\0\x01\x06\0\0\x01\x04");
    assert!(talk.sides.hypervisor.tx.ends_with(b"\x13\0\x02\0\0\x01\x04"));
}

/// Diffie-Hellman needs a seed and credentials, RSA-AES a key as well; neither is chosen without all of them.
#[cfg(all(feature = "ard", feature = "rsa-aes"))]
#[test]
fn a_log_in_without_what_it_needs_is_not_chosen() {
    use rfb_proto::security::Seed;
    use rfb_proto::security::rsa_aes::{Key, Pin};

    let seed = || Seed::new([1; 32]);
    let key = std::sync::Arc::new(Key::generate(1024, &seed()).unwrap());
    for has in 0..8 {
        let (has_seed, has_credentials, has_key) = (has & 1 != 0, has & 2 != 0, has & 4 != 0);
        for wanted in [SecurityType::DIFFIE_HELLMAN, SecurityType::RA2NE] {
            let mut own = match has_credentials {
                true => upstream(OWN_USER, OWN_PASSWORD),
                false => Upstream::default(),
            };
            if has_seed {
                own = own.with_seed(seed());
            }
            if has_key {
                own = own.with_rsa_aes(key.clone(), Pin::Any);
            }
            let config = BridgeConfig::default()
                .with_tenant_types(&[SecurityType::NONE])
                .with_hypervisor_types(&[wanted, SecurityType::NONE]);
            let mut talk = Talk::new(config);
            talk.tenant(b"RFB 003.008\n\x01");
            talk.admit();
            talk.connect(own);
            talk.hypervisor(&[b"RFB 003.008\n\x02\x01", &[wanted.0][..]].concat());
            let suffices = has_seed && has_credentials && (has_key || wanted == SecurityType::DIFFIE_HELLMAN);
            let chosen = if suffices { wanted } else { SecurityType::NONE };
            let sent = [&b"RFB 003.008\n"[..], &[chosen.0]].concat();
            assert_eq!(talk.sides.hypervisor.tx[..], sent, "{wanted}: {has:03b}");
        }
    }
}
