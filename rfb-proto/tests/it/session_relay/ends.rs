//! How a session ends, whatever comes and whenever a side goes.

use core::time::Duration;

use rfb_proto::encoding::Encoding;
use rfb_proto::handshake::bridge::BridgeError;
use rfb_proto::handshake::{HandshakeError, Misuse, Refusal, Side, Stage};
use rfb_proto::message::SetEncodings;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::relay::{Action, End, Move};

use super::passes::{key, request, update};
use super::{World, client, config, hypervisor_opening, init, tenant_opening};
use crate::chain::{HYPERVISOR_CHALLENGE, OWN_PASSWORD, PASSWORD, TENANT_CHALLENGE};

fn tenant_says() -> Vec<u8> {
    let encodings = client(SetEncodings::new(&[Encoding::TIGHT, Encoding::ZRLE]));
    [tenant_opening(1), encodings, request(0), key(0x61)].concat()
}

fn hypervisor_says() -> Vec<u8> {
    let pictures = [
        update(Encoding::RAW, (2, 1), &[7; 8]),
        update(Encoding::ZRLE, (2, 1), b"\0\0\0\x03abc"),
        update(Encoding::TIGHT, (2, 1), b"\x80abc"),
    ];
    [hypervisor_opening(&init(640, 480)), pictures.concat(), vec![2]].concat()
}

/// Whichever side goes, and whatever was said before: it ends at once, or as soon as the tenant has said what is due.
#[test]
fn a_side_that_goes_at_any_byte() {
    let (tenant, hypervisor) = (tenant_says(), hypervisor_says());
    for told in 0..=tenant.len() {
        let mut world = World::new(config());
        world.says(Side::Tenant, &tenant[..told]);
        world.says(Side::Hypervisor, &hypervisor);
        world.hangs_up(Side::Tenant);
        let end = world.end.clone().expect("it goes on without its tenant");
        let handshake = tenant_opening(1).len();
        match end {
            End::Viewer => assert!(handshake <= told, "{told}"),
            End::Handshake(error) => {
                assert!(told < handshake, "{told}: {error}");
                assert_eq!(error.side, Side::Tenant);
            }
            other => panic!("{told}: {other}"),
        }
    }
    for shown in 0..=hypervisor.len() {
        let mut world = World::new(config());
        world.says(Side::Tenant, &tenant);
        world.says(Side::Hypervisor, &hypervisor[..shown]);
        world.hangs_up(Side::Hypervisor);
        let opened = hypervisor_opening(&init(640, 480)).len();
        match world.end.clone().expect("it goes on without its hypervisor") {
            End::Hypervisor => assert!(opened <= shown, "{shown}"),
            End::Handshake(BridgeError { side, .. }) => {
                assert!(shown < opened && side == Side::Hypervisor, "{shown}");
            }
            other => panic!("{shown}: {other}"),
        }
    }
}

/// No byte of either side makes it panic or stand still with both sides waiting for nothing, whatever it is changed to.
#[test]
fn any_byte_may_be_another() {
    let (tenant, hypervisor) = (tenant_says(), hypervisor_says());
    for side in [Side::Tenant, Side::Hypervisor] {
        let len = if side == Side::Tenant {
            tenant.len()
        } else {
            hypervisor.len()
        };
        for at in 0..len {
            for change in [0x01, 0x80, 0xff] {
                let (mut tenant, mut hypervisor) = (tenant.clone(), hypervisor.clone());
                match side {
                    Side::Tenant => tenant[at] ^= change,
                    Side::Hypervisor => hypervisor[at] ^= change,
                }
                let mut world = World::new(config());
                world.says_in_pieces(Side::Tenant, &tenant, 11);
                world.says_in_pieces(Side::Hypervisor, &hypervisor, 13);
                assert!(
                    world.end.is_some() || world.reads != (false, false),
                    "{side} {at} {change:#x}"
                );
                world.hangs_up(Side::Hypervisor);
                world.hangs_up(Side::Tenant);
                assert!(world.end.is_some(), "{side} {at} {change:#x}");
            }
        }
    }
}

#[test]
fn what_a_tenant_is_told() {
    // The hypervisor refuses the relay's password.
    let mut world = World::new(config());
    world.says(Side::Tenant, &tenant_opening(1));
    let refused = [&hypervisor_opening(&init(1, 1))[..14 + 16], b"\0\0\0\x01\0\0\0\x04node"];
    world.says(Side::Hypervisor, &refused.concat());
    let told = b"\0\0\0\x01\0\0\0\x26Authentication with the console failed";
    assert!(world.tenant.ends_with(told));
    assert!(matches!(
        world.end,
        Some(End::Handshake(BridgeError {
            side: Side::Hypervisor,
            ..
        }))
    ));
    // It is not reached.
    let mut world = World::new(config());
    world.reached = false;
    world.says(Side::Tenant, &tenant_opening(1));
    assert!(world.tenant.ends_with(told));
    assert_eq!(world.end, Some(End::Unreachable));
    // The tenant's own password is wrong.
    let mut world = World::new(config());
    world.says(Side::Tenant, b"RFB 003.008\n\x02sixteen bytes of");
    assert!(world.tenant.ends_with(b"\0\0\0\x01\0\0\0\x15Authentication failed"));
    assert!(matches!(
        world.end,
        Some(End::Handshake(BridgeError {
            error: HandshakeError::Refused(_),
            ..
        }))
    ));
}

#[test]
fn a_peer_of_another_protocol_is_named() {
    let mut world = World::new(config());
    world.says(Side::Tenant, b"\x16\x03\x01\x02\x00\x01");
    let end = world.end.unwrap().to_string();
    assert!(end.ends_with("it sent a TLS ClientHello (16 03 01 02 00 01)"), "{end}");
}

#[test]
fn every_stage_has_a_deadline() {
    let timed_out = |world: &World| match &world.end {
        Some(End::Handshake(BridgeError {
            error: HandshakeError::TimedOut(stage),
            side,
        })) => (*side, *stage),
        other => panic!("{other:?}"),
    };
    let minute = Duration::from_secs(60);
    let (tenant, hypervisor) = (tenant_opening(1), hypervisor_opening(&init(1, 1)));
    for (told, shown, side, stage) in [
        (0, 0, Side::Tenant, Stage::Version),
        (12, 0, Side::Tenant, Stage::SecurityChoice),
        (13, 0, Side::Tenant, Stage::Vnc),
        (29, 0, Side::Hypervisor, Stage::Version),
        (29, 30, Side::Hypervisor, Stage::SecurityResult),
        (29, 34, Side::Tenant, Stage::ClientInit),
        (30, 34, Side::Hypervisor, Stage::ServerInit),
    ] {
        let mut world = World::new(config());
        world.says(Side::Tenant, &tenant[..told]);
        world.says(Side::Hypervisor, &hypervisor[..shown]);
        assert_eq!((world.end.clone(), world.relay.deadline()), (None, minute));
        world.passes(minute);
        assert_eq!(timed_out(&world), (side, stage));
    }
    assert_eq!(World::open(config()).relay.deadline(), Duration::MAX);
}

/// When one side is gone, the other one gets what there is, but not for ever.
#[test]
fn a_side_that_reads_no_more_does_not_keep_the_other() {
    let mut world = World::open(config());
    world.takes = [false, true];
    let picture = update(Encoding::RAW, (1, 1), &[7; 4]);
    world.says(Side::Hypervisor, &picture);
    world.says(Side::Hypervisor, &picture);
    world.hangs_up(Side::Hypervisor);
    assert_eq!(
        (world.end.clone(), world.relay.deadline()),
        (None, Duration::from_secs(30))
    );
    world.passes(Duration::from_secs(30));
    assert_eq!(world.end, Some(End::Hypervisor));
}

#[test]
fn what_cannot_be_followed_ends_it_behind_what_can() {
    let mut world = World::open(config());
    let picture = update(Encoding::RAW, (1, 1), &[7; 4]);
    world.says(Side::Hypervisor, &[&picture[..], &[99]].concat());
    assert_eq!(world.take_tenant(), picture);
    assert!(matches!(
        world.end,
        Some(End::Malformed {
            by: Side::Hypervisor,
            ..
        })
    ));
    let mut world = World::open(config());
    world.says(Side::Tenant, &[&key(1)[..], &[99, 0]].concat());
    assert_eq!(world.take_heard(), key(1));
    assert!(matches!(world.end, Some(End::Malformed { by: Side::Tenant, .. })));
}

#[test]
fn the_proxy_ends_it() {
    let mut world = World::open(config());
    world.relay.stop();
    world.run();
    assert_eq!(world.end, Some(End::Stopped));
    let mut world = World::open(config());
    world.relay.moved(Move::End);
    world.run();
    assert_eq!(world.end, Some(End::Moved));
    world.relay.stop();
    assert_eq!(world.relay.step(world.now, &mut world.sides), Action::Done(End::Moved));
}

#[test]
fn answers_that_were_not_asked_for() {
    let mut world = World::open(config());
    let (now, sides) = (world.now, &mut world.sides);
    assert_eq!(world.relay.bridge().map(drop), Err(Misuse::NotAsked));
    assert_eq!(world.relay.dialled(now, super::upstream()), Err(Misuse::NotAsked));
    assert_eq!(world.relay.unreachable(sides), Err(Misuse::NotAsked));
    assert_eq!(world.relay.refuse(sides, Refusal::Close), Err(Misuse::NotAsked));
    world.says(Side::Tenant, &key(1));
    assert_eq!((world.take_heard(), world.end), (key(1), None));
}

/// Neither password, and no response, can be printed from the relay or its buffers, whatever has come.
#[test]
fn a_relay_shows_no_secret() {
    let (tenant, hypervisor) = (tenant_says(), hypervisor_says());
    let responses = [(PASSWORD, TENANT_CHALLENGE), (OWN_PASSWORD, HYPERVISOR_CHALLENGE)];
    let responses = responses.map(|(password, challenge)| Password::new(password).respond(&challenge));
    let secrets = [PASSWORD, OWN_PASSWORD, &responses[0], &responses[1]];
    let traces: Vec<String> = secrets
        .iter()
        .flat_map(|secret| secret.windows(4))
        // What is in the clear somewhere else is no trace.
        .filter(|part| !b"console hypervisor".windows(4).any(|seen| seen == *part))
        .flat_map(|part| {
            [
                part.escape_ascii().to_string(),
                format!("{part:?}").trim_matches(['[', ']']).into(),
            ]
        })
        .collect();
    let looks = |world: &World| {
        let text = format!("{:?} {:?}", world.relay, world.sides);
        for trace in &traces {
            assert!(!text.contains(trace), "{trace:?} in {text}");
        }
    };
    let mut world = World::new(config());
    for byte in &tenant {
        world.says(Side::Tenant, &[*byte]);
        looks(&world);
    }
    for byte in &hypervisor {
        world.says(Side::Hypervisor, &[*byte]);
        looks(&world);
    }
    world.relay.moved(Move::Follow);
    world.run();
    for byte in &hypervisor_opening(&init(640, 480)) {
        world.says(Side::Hypervisor, &[*byte]);
        looks(&world);
    }
    assert_eq!((world.end.clone(), world.dials.len()), (None, 2));
}

/// Several random bytes are others, in the first session and behind a move.
#[test]
fn many_bytes_may_be_others() {
    let (tenant, hypervisor) = (tenant_says(), hypervisor_says());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for turn in 0..3000 {
        let mut mutant = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            for _ in 0..random(4) {
                let (at, byte) = (random(bytes.len()), random(256) as u8);
                bytes[at] = byte;
            }
            (bytes, 1 + random(40))
        };
        let mut world = World::new(config());
        for (side, said) in [(Side::Tenant, &tenant), (Side::Hypervisor, &hypervisor)] {
            let (bytes, size) = mutant(said);
            world.says_in_pieces(side, &bytes, size);
        }
        world.relay.moved(Move::Follow);
        world.run();
        world.passes(Duration::from_secs(5));
        let (bytes, size) = mutant(&hypervisor);
        world.says_in_pieces(Side::Hypervisor, &bytes, size);
        let (bytes, size) = mutant(&key(0x61).repeat(3));
        world.says_in_pieces(Side::Tenant, &bytes, size);
        assert!(world.end.is_some() || world.reads != (false, false), "{turn}");
        world.hangs_up(Side::Hypervisor);
        world.hangs_up(Side::Tenant);
        assert!(world.end.is_some(), "{turn}");
    }
}
