//! Bad input to the bridge from both sides: every prefix, every byte changed, and random changes.
//!
//! Nothing may panic, no step may go on without progress, nothing is allocated beyond what the input gives reason to,
//! no secret of one side reaches the other, and the tenant is not accepted unless the hypervisor has accepted.

use rfb_proto::handshake::bridge::{AuthOrder, BridgeAction, BridgeQuestion, Upstream};
use rfb_proto::handshake::{Bridge, BridgeConfig, Event, HandshakeError, Side, SideBuffers};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vencrypt::Subtype;

use crate::chain::{OWN_PASSWORD, OWN_USER, TENANT_CHALLENGE, upstream};
use crate::play::NOW;

const RANDOM_MUTATIONS: usize = 100_000;
/// Steps that a handshake takes at most, TLS and questions included, in whichever pieces it comes.
const STEPS: usize = 40;
/// What a tenant says of its own in the courses.
const SECRETS: [&[u8]; 2] = [b"tenant's user", b"tenant's password"];

/// A handshake that goes well: what both sides say.
struct Course {
    config: BridgeConfig,
    upstream: bool,
    tenant: Vec<u8>,
    hypervisor: Vec<u8>,
    /// Where TLS begins on each side. No piece goes beyond it before.
    tls_at: [usize; 2],
}

fn plain() -> Vec<u8> {
    let [user, password] = SECRETS;
    let lengths = [[0, 0, 0, 13], [0, 0, 0, 17]].concat();
    [&lengths[..], user, password].concat()
}

/// Every auth_order with every exchange, and versions that differ.
fn courses() -> Vec<Course> {
    let vencrypt = |subtype: u8| [&b"\x13\0\x02\0\0\x01"[..], &[subtype]].concat();
    let tenants: [(SecurityType, Vec<u8>); 5] = [
        (SecurityType::NONE, b"RFB 003.008\n\x01".to_vec()),
        (SecurityType::VNC, b"RFB 003.003\nsixteen bytes...".to_vec()),
        (SecurityType::VNC, b"RFB 003.008\n\x02sixteen bytes...".to_vec()),
        (
            SecurityType::VENCRYPT,
            [&b"RFB 003.008\n"[..], &vencrypt(6), &plain()].concat(),
        ),
        (
            SecurityType::VENCRYPT,
            [&b"RFB 003.007\n"[..], &vencrypt(5), b"sixteen bytes..."].concat(),
        ),
    ];
    let list = b"\x13\0\x02\0\x02\0\0\x01\x05\0\0\x01\x06\x01";
    let hypervisors: [&[u8]; 5] = [
        b"RFB 003.008\n\x02\x81\x01\0\0\0\0",
        b"RFB 003.003\n\0\0\0\x02sixteen bytes!!!\0\0\0\0",
        b"RFB 003.007\n\x01\x02sixteen bytes!!!\0\0\0\0",
        &[b"RFB 003.008\n\x01", &list[..], b"\0\0\0\0"].concat(),
        &[b"RFB 003.008\n\x01", &list[..], b"sixteen bytes!!!\0\0\0\0"].concat(),
    ];
    let mut courses = Vec::new();
    for auth_order in [
        AuthOrder::TenantFirst,
        AuthOrder::HypervisorFirst,
        AuthOrder::Passthrough,
    ] {
        for (index, (security_type, tenant)) in tenants.iter().enumerate() {
            for (other, hypervisor) in hypervisors.iter().enumerate() {
                let is_none = (index == 0, other == 0);
                let is_plain = index == 3 || other == 3;
                let passes = is_none.0 == is_none.1 && !is_plain;
                if auth_order == AuthOrder::Passthrough && !passes {
                    continue;
                }
                let subtype = if other == 4 {
                    Subtype::X509_VNC
                } else {
                    Subtype::X509_PLAIN
                };
                courses.push(Course {
                    config: BridgeConfig::default()
                        .with_auth_order(auth_order)
                        .with_tenant_types(&[*security_type])
                        .with_tenant_subtypes(&[Subtype::X509_PLAIN, Subtype::X509_VNC])
                        .with_hypervisor_types(&[SecurityType::VENCRYPT, SecurityType::VNC, SecurityType::NONE])
                        .with_hypervisor_subtypes(&[subtype]),
                    upstream: auth_order != AuthOrder::Passthrough,
                    tenant: tenant.clone(),
                    hypervisor: hypervisor.to_vec(),
                    tls_at: [if index < 3 { 0 } else { 19 }, if other < 3 { 0 } else { 27 }],
                });
            }
        }
    }
    courses
}

/// How a run ended, and what each side was told.
struct Run {
    error: Option<(Side, HandshakeError)>,
    told: [Vec<u8>; 2],
}

/// Feeds both sides in pieces of this size; a side that has no more to say hangs up. An error is the end, whatever
/// comes after it (neatvnc went on with what it had freed, pull request 151).
fn run(course: &Course, tenant: &[u8], hypervisor: &[u8], chunk: usize) -> Run {
    let mut bridge = Bridge::new(NOW, course.config.clone());
    let mut sides = SideBuffers::default();
    let mut inputs = [tenant, hypervisor];
    let mut tls_in = course.tls_at;
    let pieces = tenant.len().div_ceil(chunk) + hypervisor.len().div_ceil(chunk);
    let mut accepted = false;
    for _ in 0..STEPS + pieces {
        let error = match bridge.step(NOW, &mut sides) {
            Ok(BridgeAction::Receive { side, at_least }) => {
                let buffers = sides.side(side);
                assert!(0 < at_least && buffers.rx.len() + at_least <= bridge.max_input(side));
                let index = usize::from(side == Side::Hypervisor);
                let before_tls = if tls_in[index] == 0 {
                    chunk
                } else {
                    chunk.min(tls_in[index])
                };
                let (piece, rest) = inputs[index].split_at(before_tls.min(inputs[index].len()));
                buffers.rx.extend_from_slice(piece);
                inputs[index] = rest;
                tls_in[index] = tls_in[index].saturating_sub(piece.len());
                if piece.is_empty() {
                    bridge.eof(&mut sides, side).err()
                } else {
                    None
                }
            }
            Ok(BridgeAction::StartTls { .. }) => None,
            Ok(BridgeAction::Waiting) => panic!("no question is open"),
            Ok(BridgeAction::Ask(BridgeQuestion::Challenge)) => {
                bridge.challenge(&mut sides, TENANT_CHALLENGE).unwrap();
                None
            }
            Ok(BridgeAction::Ask(BridgeQuestion::Admit(_))) => {
                bridge.admit(&mut sides).unwrap();
                None
            }
            Ok(BridgeAction::Ask(BridgeQuestion::Connect)) => {
                let own = if course.upstream {
                    upstream(OWN_USER, OWN_PASSWORD)
                } else {
                    Upstream::default()
                };
                bridge.connect(own).unwrap();
                None
            }
            Ok(BridgeAction::Ask(other)) => panic!("{other:?}"),
            Ok(BridgeAction::Done(_)) => {
                let told = [sides.tenant.tx.to_vec(), sides.hypervisor.tx.to_vec()];
                return Run { error: None, told };
            }
            Err(error) => Some(error),
        };
        while let Some((side, event)) = bridge.poll_event() {
            assert!(accepted || (side, &event) != (Side::Tenant, &Event::Authenticated));
            accepted |= (side, event) == (Side::Hypervisor, Event::Authenticated);
        }
        if let Some(error) = error {
            assert_eq!(bridge.step(NOW, &mut sides).as_ref(), Err(&error));
            for side in [Side::Tenant, Side::Hypervisor] {
                assert_eq!(bridge.eof(&mut sides, side).as_ref(), Err(&error));
            }
            let told = [sides.tenant.tx.to_vec(), sides.hypervisor.tx.to_vec()];
            let error = Some((error.side, error.error));
            return Run { error, told };
        }
    }
    panic!("the bridge does not come to an end");
}

/// What is held against the rules for any input.
fn judge(course: &Course, tenant: &[u8], hypervisor: &[u8], chunk: usize) -> Run {
    let mut ended = None;
    let allocated = allocation_counter::measure(|| ended = Some(run(course, tenant, hypervisor, chunk)));
    let ended = ended.unwrap();
    let most = 16_384 + 16 * (tenant.len() + hypervisor.len()) as u64;
    assert!(allocated.bytes_max <= most, "{} bytes of {most}", allocated.bytes_max);
    let [to_tenant, to_hypervisor] = &ended.told;
    let holds = |told: &[u8], secret: &[u8]| told.windows(secret.len()).any(|window| window == secret);
    assert!(!holds(to_tenant, OWN_USER) && !holds(to_tenant, OWN_PASSWORD));
    assert!(!SECRETS.iter().any(|secret| holds(to_hypervisor, secret)));
    if let Some((_, error)) = &ended.error {
        assert!(!matches!(error, HandshakeError::Misuse(_)), "{error}");
        assert!(error.to_string().len() < 5000);
    }
    ended
}

fn random(seed: u64) -> impl FnMut() -> usize {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap()
    }
}

#[test]
fn every_course_goes_well_in_any_chunks() {
    let courses = courses();
    assert_eq!(courses.len(), 2 * 25 + 1 + 9);
    for course in &courses {
        let whole = judge(course, &course.tenant, &course.hypervisor, 1000);
        assert_eq!(whole.error, None);
        for chunk in [1, 2, 3, 5, 16] {
            let ended = judge(course, &course.tenant, &course.hypervisor, chunk);
            assert_eq!((ended.error, &ended.told), (None, &whole.told));
        }
    }
}

/// Each side cut at each byte: that side's fault, and only what the whole would have been told before it.
#[test]
fn every_prefix_ends_on_its_side() {
    let mut prefixes = 0;
    for course in courses() {
        for cut in 0..course.tenant.len() {
            let ended = judge(&course, &course.tenant[..cut], &course.hypervisor, 1);
            assert_eq!(ended.error.unwrap().0, Side::Tenant);
            prefixes += 1;
        }
        for cut in 0..course.hypervisor.len() {
            let ended = judge(&course, &course.tenant, &course.hypervisor[..cut], 1000);
            assert_eq!(ended.error.unwrap().0, Side::Hypervisor);
            prefixes += 1;
        }
    }
    assert!(3000 < prefixes, "{prefixes}");
}

#[test]
fn every_byte_changed() {
    let mut changes = 0;
    for course in courses() {
        let (mut tenant, mut hypervisor) = (course.tenant.clone(), course.hypervisor.clone());
        for is_tenant in [true, false] {
            for at in 0..if is_tenant { tenant.len() } else { hypervisor.len() } {
                for change in [0x01, 0x02, 0x10, 0x80, 0xff] {
                    for changes in [true, false] {
                        let bytes = if is_tenant { &mut tenant } else { &mut hypervisor };
                        bytes[at] ^= change;
                        if changes {
                            judge(&course, &tenant, &hypervisor, 1000);
                        }
                    }
                    changes += 1;
                }
            }
        }
    }
    assert!(15_000 < changes, "{changes}");
}

#[test]
fn random_changes() {
    let courses = courses();
    let mut random = random(4);
    let (mut well, mut failed) = (0, 0);
    for _ in 0..RANDOM_MUTATIONS {
        let course = &courses[random() % courses.len()];
        let (mut tenant, mut hypervisor) = (course.tenant.clone(), course.hypervisor.clone());
        for _ in 0..1 + random() % 4 {
            let bytes = if random() % 2 == 0 {
                &mut tenant
            } else {
                &mut hypervisor
            };
            let at = random() % (bytes.len() + 1);
            match random() % 4 {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, random().to_le_bytes()[0]),
                2 => drop(bytes.drain(at..(at + random() % 4).min(bytes.len()))),
                _ => bytes
                    .iter_mut()
                    .skip(at)
                    .take(1)
                    .for_each(|byte| *byte = random().to_le_bytes()[0]),
            }
        }
        match judge(course, &tenant, &hypervisor, 1 + random() % 40).error {
            None => well += 1,
            Some(_) => failed += 1,
        }
    }
    assert!(1000 < well && 1000 < failed, "{well} {failed}");
}
