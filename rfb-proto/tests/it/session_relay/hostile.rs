//! Recorded sessions through the whole relay, cut, changed at every byte, and changed at random: it ends with what is
//! wrong, or goes on. It never panics, waits for nothing, keeps too much, or passes on what was not sent.

use core::time::Duration;
use std::sync::Arc;

use allocation_counter::measure;
use rfb_proto::filter::{Filter, InputRate};
use rfb_proto::framing::HELD;
use rfb_proto::handshake::bridge::{BridgeQuestion, Upstream};
use rfb_proto::handshake::{BridgeConfig, Side, SideBuffers};
use rfb_proto::security::SecurityType;
use rfb_proto::session::Relay;
use rfb_proto::session::relay::{Action, Config, End, Move, NotFollowed, SessionQuestion};
use rfb_proto::{DecodeError, Limits};

use super::wire;
use crate::framing_captures::Session;

const RANDOM_CHANGES: usize = 100_000;
/// Of each direction of a recording, behind the handshake.
const MOST: usize = 600;
const SIDES: [Side; 2] = [Side::Tenant, Side::Hypervisor];

/// What both sides say, without authentication, since log-ins have tests of their own.
struct Course {
    name: String,
    says: [Vec<u8>; 2],
    handshake: [usize; 2],
}

fn courses() -> Vec<Course> {
    let courses = Session::own().into_iter().map(|session| {
        let tenant = b"RFB 003.008\n\x01\x01".to_vec();
        let init = wire(|dst| session.init.encode(dst).unwrap());
        let hypervisor = [b"RFB 003.008\n\x01\x01\0\0\0\0", &init[..]].concat();
        let handshake = [tenant.len(), hypervisor.len()];
        let head = |bytes: &[u8]| bytes[..bytes.len().min(MOST)].to_vec();
        Course {
            name: session.name().to_owned(),
            says: [
                [tenant, head(session.client())].concat(),
                [hypervisor, head(session.server())].concat(),
            ],
            handshake,
        }
    });
    courses.collect()
}

fn configs() -> Vec<Arc<Config>> {
    let none = [SecurityType::NONE];
    let bridge = BridgeConfig::default()
        .with_tenant_types(&none)
        .with_hypervisor_types(&none)
        .with_limits(Limits::default().with_rectangle(1 << 20));
    let config = Config::new(bridge);
    let view_only = config.clone().with_filter(Filter::view_only());
    let slow = config
        .clone()
        .with_input_rate(InputRate::new(5, 2))
        .with_reconnect(true);
    [config, view_only, slow].map(Arc::new).into()
}

/// What a session came to.
#[derive(Debug, PartialEq)]
struct Ended {
    end: End,
    heard: [Vec<u8>; 2],
}

/// Plays it in pieces of this size, the sides in turns; then both hang up. `moves`: the guest does, once half of it is
/// read, to a hypervisor that says the same again.
fn play(config: &Arc<Config>, says: [&[u8]; 2], piece: usize, moves: bool) -> Ended {
    let (mut relay, mut sides) = (Relay::new(Duration::ZERO, config.clone()), SideBuffers::default());
    let (mut left, mut heard) = (says, [Vec::new(), Vec::new()]);
    let (mut now, mut gone, mut idle, mut hypervisors) = (Duration::ZERO, [false; 2], 0, 0);
    let mut moves = moves.then_some(says[1].len() / 2);
    // Each turn reads, hangs up, or lets time pass.
    let turns = 64 + 4 * (says[0].len() + says[1].len());
    for _ in 0..turns {
        let action = relay.step(now, &mut sides);
        for (index, side) in SIDES.into_iter().enumerate() {
            let buffers = sides.side(side);
            assert!(
                buffers.rx.len() <= HELD + piece && buffers.tx.len() <= 2 * HELD,
                "it keeps too much"
            );
            idle = if buffers.tx.is_empty() { idle } else { 0 };
            heard[index].extend_from_slice(&buffers.tx.split());
        }
        if moves.is_some_and(|at| left[1].len() <= at) && relay.server_init().is_some() {
            moves = None;
            relay.moved(Move::Follow);
        }
        match action {
            Action::Receive { tenant, hypervisor } => {
                let wants = [tenant && !gone[0], hypervisor && !gone[1]];
                let mut read = false;
                for index in [0, 1] {
                    let (now, later) = left[index].split_at(piece.min(left[index].len()));
                    if wants[index] && !now.is_empty() {
                        sides.side(SIDES[index]).rx.extend_from_slice(now);
                        left[index] = later;
                        read = true;
                    }
                }
                // Nothing more comes: one of them hangs up.
                if let (false, Some(index)) = (read, wants.iter().position(|wants| *wants)) {
                    gone[index] = true;
                    relay.eof(&mut sides, SIDES[index]);
                    read = true;
                }
                idle = if read { 0 } else { idle + 1 };
                assert!(idle < 4, "it waits for nothing: {relay:?}");
                if !read {
                    now = relay.deadline().min(now + Duration::from_secs(3600));
                }
            }
            Action::Ask(SessionQuestion::Tenant(BridgeQuestion::Admit(_))) => {
                relay.bridge().unwrap().admit(&mut sides).unwrap();
            }
            Action::Ask(SessionQuestion::Dial(_)) if hypervisors < 2 => {
                (left[1], gone[1]) = (says[1], false);
                hypervisors += 1;
                relay.dialled(now, Upstream::default()).unwrap();
            }
            Action::Ask(SessionQuestion::Dial(_)) => relay.unreachable(&mut sides).unwrap(),
            Action::Ask(SessionQuestion::Name(_)) => relay.accept_name().unwrap(),
            Action::Hangup => {}
            Action::Done(end) => {
                assert_eq!(relay.step(now, &mut sides), Action::Done(end.clone()));
                return Ended { end, heard };
            }
            action => panic!("{action:?}"),
        }
    }
    panic!("it goes round in circles");
}

fn is_typed(error: &DecodeError) -> bool {
    !error.message.is_empty() && !error.field.is_empty()
}

/// What holds for any input.
fn judge(config: &Arc<Config>, says: [&[u8]; 2], piece: usize, moves: bool) -> Ended {
    let mut ended = None;
    let allocated = measure(|| ended = Some(play(config, says, piece, moves)));
    let ended = ended.unwrap();
    let bytes = (says[0].len() + says[1].len()) as u64;
    // The relay, its buffers and what is heard; a move makes up at most 4096 rectangles of 12 bytes.
    let most = (48 << 10) + 24 * bytes + if moves || config.reconnect { 4 * 4096 * 12 } else { 0 };
    assert!(allocated.bytes_max <= most, "{} bytes of {most}", allocated.bytes_max);
    match &ended.end {
        End::Malformed { by, error } => {
            let said = says[usize::from(*by == Side::Hypervisor)].len() as u64;
            assert!(error.offset <= said && is_typed(&error.error), "{error}");
        }
        End::NotFollowed(why) => match &**why {
            NotFollowed::Init(error) => assert!(is_typed(error), "{error}"),
            why => assert!(!why.to_string().is_empty()),
        },
        end => assert!(end.to_string().len() < 5000),
    }
    ended
}

fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below.max(1)
    }
}

#[test]
fn recorded_sessions_go_well_in_any_pieces() {
    let config = &configs()[0];
    let mut bytes = 0;
    for Course { name, says, handshake } in courses() {
        let says = [&says[0][..], &says[1][..]];
        let whole = judge(config, says, 2000, false);
        assert!(
            matches!(whole.end, End::Viewer | End::Hypervisor),
            "{name}: {:?}",
            whole.end
        );
        // The hypervisor hears what the tenant has said whole, but for what is stripped from it.
        assert!(whole.heard[1].len() <= says[0].len() + 1, "{name}");
        bytes += whole.heard[0].len() + whole.heard[1].len() - handshake[0] - handshake[1];
        for ended in [&whole, &judge(config, says, 1, false), &judge(config, says, 7, false)] {
            // It says the same to its tenant as the hypervisor says to it.
            assert!(says[1].starts_with(&ended.heard[0]), "{name}");
        }
    }
    assert!(20_000 < bytes, "{bytes}");
}

/// Either side ends at any byte.
#[test]
fn every_prefix() {
    let (configs, mut prefixes) = (configs(), 0);
    for Course { says, .. } in courses().into_iter().step_by(3) {
        for side in [0, 1] {
            for cut in 0..says[side].len() {
                let mut says = [&says[0][..], &says[1][..]];
                says[side] = &says[side][..cut];
                judge(&configs[cut % configs.len()], says, 64, cut % 5 == 0);
                prefixes += 1;
            }
        }
    }
    assert!(10_000 < prefixes, "{prefixes}");
}

#[test]
fn every_byte_changed() {
    let (configs, mut changes) = (configs(), 0);
    for Course { mut says, .. } in courses().into_iter().step_by(3) {
        for side in [0, 1] {
            for at in 0..says[side].len() {
                let change = [0x01, 0x10, 0x80, 0xff][at % 4];
                says[side][at] ^= change;
                judge(&configs[at % configs.len()], [&says[0], &says[1]], 512, at % 7 == 0);
                says[side][at] ^= change;
                changes += 1;
            }
        }
    }
    assert!(10_000 < changes, "{changes}");
}

/// Bytes changed, cut out, and put in, up to four times in one session.
#[test]
fn random_changes() {
    let (courses, configs) = (courses(), configs());
    let mut draw = random(16);
    let (mut went_on, mut malformed) = (0, 0);
    for _ in 0..RANDOM_CHANGES {
        let Course { says, handshake, .. } = &courses[draw(courses.len())];
        // A window of what is behind the handshake, so that most of the time goes into what is changed.
        let mut says = [0, 1].map(|side| {
            let end = (handshake[side] + 20 + draw(200)).min(says[side].len());
            says[side][..end].to_vec()
        });
        for _ in 0..1 + draw(4) {
            let side = draw(2);
            let start = if draw(8) == 0 { 0 } else { handshake[side] };
            let bytes = &mut says[side];
            let at = (start + draw(bytes.len().saturating_sub(start))).min(bytes.len());
            let end = (at + draw(12)).min(bytes.len());
            match draw(4) {
                0 => drop(bytes.drain(at..end)),
                1 => drop(bytes.splice(at..at, (0..draw(9)).map(|_| draw(256) as u8).collect::<Vec<_>>())),
                2 => bytes[at..end].fill([0, 1, 0x7f, 0x80, 0xff][draw(5)]),
                _ => bytes[at..end].iter_mut().take(1).for_each(|byte| *byte ^= 1 << draw(8)),
            }
        }
        let config = &configs[draw(configs.len())];
        let (piece, moves) = ([3, 40, 1000][draw(3)], draw(6) == 0);
        match judge(config, [&says[0], &says[1]], piece, moves).end {
            End::Malformed { .. } => malformed += 1,
            End::Viewer | End::Hypervisor => went_on += 1,
            _ => {}
        }
    }
    assert!(1000 < malformed && 10_000 < went_on, "{malformed} {went_on}");
}
