//! The table of states, row by row.

use std::time::Duration;

use spice_proto::link::Side;
use spice_proto::session::migration::{Answer, Effect, Fault, Kind, Lost, Pass};
use spice_proto::session::tracker::{Expired, Misuse, Reason};
use spice_proto::session::{Host, TargetAccess};

use super::{CHANNELS, ID, TOKEN, World, asked, begin, holds, init, port, switch_host};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_the_viewer_is_told_is_the_proxy() {
    for seamless in [false, true] {
        let (mut world, seats) = World::running();
        let (number, body) = begin(seamless);
        let target = asked(world.server(seats[0], number, &body));
        assert_eq!(
            (&target.host[..], target.port, target.tls_port),
            (&b"10.1.2.3"[..], port(5900), None)
        );
        assert_eq!(target.subject.as_deref(), Some(&b"CN=hypervisor"[..]));
        // Nothing is read on while the question is open, nor until the viewer has answered.
        assert!(!world.migration.reads(&world.tracker, seats[0]));
        assert!(world.migration.reads(&world.tracker, seats[1]));
        let told = world.accept();
        for secret in [&b"10.1.2.3"[..], b"hypervisor", &5900_u16.to_le_bytes(), &[0xff, 0xff]] {
            assert!(!holds(&told, secret), "{told:?}");
        }
        // No plain port, the TLS port, host behind the fixed part, subject behind the host.
        let head = if seamless { 24_u8 } else { 20 };
        assert_eq!(told[..12], [0, 0, 0x16, 0x17, 14, 0, 0, 0, head, 0, 0, 0]);
        assert_eq!(told[12..20], [9, 0, 0, 0, head + 14, 0, 0, 0]);
        assert_eq!(
            &told[20..usize::from(head)],
            if seamless { &[1, 0, 0, 0][..] } else { &[] }
        );
        assert_eq!(told[usize::from(head)..], *b"proxy.example\0CN=proxy\0");
        assert_eq!(
            world.migration.target(Host(1)).map(|target| target.kind),
            Some(target.kind)
        );
        // Answered once.
        let again = world.migration.accept(world.now, &mut world.tracker);
        assert_eq!(again, Err(Misuse::OutOfOrder(TargetAccess::MainOnly)));
    }
}

#[test]
fn semi_seamless_moves_follow_each_other() {
    let (mut world, mut seats) = World::connected(false);
    for hop in 1..4 {
        let (source, target) = (seats[0], seats[5]);
        assert_eq!(world.server(source, 112, &[]), Pass::Forward);
        // The source may be gone before the viewer is there.
        assert_eq!(world.lost(source, Side::Hypervisor), Lost::Wait);
        assert_eq!(world.client(target, 109, &[]), Pass::Forward);
        assert_eq!((world.phase(), world.host()), (Some(TargetAccess::NoTarget), Host(hop)));
        assert_eq!(world.server(target, 103, &init(ID)), Pass::Bind(ID));
        for seat in &seats[1..5] {
            assert_eq!(world.lost(*seat, Side::Tenant), Lost::Close);
        }
        assert_eq!((world.effects(), world.migration.deadline()), (vec![], None));
        assert_eq!(
            world.migration.target(Host(hop)).map(|target| target.kind),
            Some(Kind::SemiSeamless)
        );
        assert_eq!(world.migration.target(Host(hop - 1)), None);
        // And on.
        seats.drain(..5);
        world.begin(seats[0], false);
        let main = world.open(ID, (1, 0)).unwrap().0;
        assert_eq!(world.dial(main, true), Answer::Accept);
        seats.push(main);
        seats.extend(world.open_others(Host(hop + 1)));
        assert_eq!(world.client(seats[0], 102, &[]), Pass::Forward);
    }
}

/// Moves all channels of a connected session seamlessly: on each MIGRATE, the mark, the state, and the state again.
fn move_seamlessly(world: &mut World, seats: &[spice_proto::session::migration::ConnectionHandle]) {
    // Cursor without state, and the rest before main.
    assert_eq!(world.server(seats[3], 1, &[0; 4]), Pass::Forward);
    for n in [1, 2, 4, 0] {
        let state = [n as u8; 88];
        assert!(world.migration.may_insert(seats[n]));
        assert_eq!(world.server(seats[n], 1, &[3, 0, 0, 0]), Pass::Forward);
        assert!(!world.migration.may_insert(seats[n]));
        assert_eq!(world.client(seats[n], 4, &[]), Pass::Forward);
        assert_eq!(world.server(seats[n], 2, &state), Pass::Forward);
        assert!(world.migration.may_insert(seats[n]));
    }
    for n in [0, 1, 2, 4] {
        assert_eq!(world.client(seats[5 + n], 5, &[n as u8; 88]), Pass::Forward, "{n}");
    }
}

#[test]
fn seamless_moves_carry_each_state_once() {
    let (mut world, seats) = World::connected(true);
    move_seamlessly(&mut world, &seats);
    assert_eq!((world.phase(), world.host()), (Some(TargetAccess::NoTarget), Host(1)));
    // Source channels may come to their MIGRATE when main has moved.
    assert_eq!(world.server(seats[4], 1, &[0; 4]), Pass::Forward);
    assert_eq!(world.lost(seats[0], Side::Hypervisor), Lost::Close);
    // A channel that is plugged now is the new host's.
    let list = [1, 0, 0, 0, 9, 3];
    assert_eq!(world.server(seats[5], 104, &list), Pass::Forward);
    assert_eq!(world.open(ID, (9, 3)).unwrap().1.host, Host(1));
}

#[test]
fn a_target_that_cannot_do_it_seamlessly_is_moved_to_otherwise() {
    let (mut world, seats) = World::opened(true);
    assert_eq!(world.server(seats[5], 118, &[]), Pass::Forward);
    assert_eq!(world.client(seats[0], 102, &[]), Pass::Forward);
    assert_eq!(world.server(seats[0], 112, &[]), Pass::Forward);
    assert_eq!(world.client(seats[5], 109, &[]), Pass::Forward);
    assert_eq!(world.host(), Host(1));
}

#[test]
fn a_refused_target_is_refused_at_the_proxy() {
    let (mut world, seats) = World::running();
    let (number, body) = begin(false);
    asked(world.server(seats[0], number, &body));
    let told = world.migration.refuse(world.now, &mut world.tracker).unwrap().unwrap();
    // The ports of the proxy, as for a target that is gone to.
    assert_eq!(told[..4], [0, 0, 0x16, 0x17]);
    assert_eq!(world.phase(), Some(TargetAccess::MainOnly));
    // A viewer that comes is not let in, and there is nothing to dial.
    for _ in 0..3 {
        assert_eq!(world.open(ID, (1, 0)).unwrap_err(), Reason::NoMigration);
    }
    assert_eq!(world.migration.target(Host(1)), None);
    assert_eq!(world.wait(), []);
    assert_eq!(world.client(seats[0], 103, &[]), Pass::Forward);
    assert_eq!(world.phase(), Some(TargetAccess::NoTarget));
    // The next one is good.
    world.begin(seats[0], true);
    assert_eq!(world.open(ID, (1, 0)).unwrap().1.host, Host(2));
    // Where there is no staying, the session ends.
    let (mut world, seats) = World::running();
    let (number, body) = switch_host();
    asked(world.server(seats[0], number, &body));
    assert_eq!(world.migration.refuse(world.now, &mut world.tracker), Ok(None));
    assert_eq!((world.effects(), world.phase()), (vec![Effect::End], None));
}

#[test]
fn a_dead_target_is_refused_at_its_main_link_only() {
    let (mut world, seats) = World::told(false);
    let main = world.open(ID, (1, 0)).unwrap().0;
    assert_eq!(world.dial(main, false), Answer::Refuse);
    assert_eq!(world.phase(), Some(TargetAccess::MainOnly));
    // Once.
    assert!(world.open(ID, (1, 0)).is_err());
    assert_eq!(world.client(seats[0], 103, &[]), Pass::Forward);
    assert_eq!((world.phase(), world.host()), (Some(TargetAccess::NoTarget), Host(0)));
    assert_eq!(world.wait(), []);
}

#[test]
fn a_later_failure_is_covered_up() {
    for how in 0..3 {
        for seamless in [false, true] {
            let (mut world, seats) = World::told(seamless);
            let main = world.open(ID, (1, 0)).unwrap().0;
            assert_eq!(world.dial(main, true), Answer::Accept);
            let others = CHANNELS.map(|channel| world.open(ID, channel).unwrap().0);
            for seat in &others[1..] {
                assert_eq!(world.dial(*seat, true), Answer::Accept);
            }
            match how {
                0 => assert_eq!(world.dial(others[0], false), Answer::Pretend),
                1 => {
                    assert_eq!(world.dial(others[0], true), Answer::Accept);
                    assert_eq!(world.lost(others[0], Side::Hypervisor), Lost::Pretend);
                }
                // Silent until the time is over.
                _ => {
                    assert_eq!(world.migration.deadline(), Some(8 * SECOND));
                    assert_eq!(world.wait(), [Effect::Pretend(others[0])]);
                    assert_eq!(world.dial(others[0], true), Answer::Pretended);
                }
            }
            assert_eq!(world.client(others[0], 101, &[0; 14]), Pass::Drop);
            let number = if seamless { 111 } else { 102 };
            assert_eq!(world.client(seats[0], number, &[]), Pass::Instead(103));
            assert_eq!(world.effects(), [Effect::Cancel(seats[0])]);
            assert_eq!((world.phase(), world.host()), (Some(TargetAccess::NoTarget), Host(0)));
            // What the viewer has not closed a second later is closed.
            assert_eq!(world.lost(others[1], Side::Tenant), Lost::Close);
            let left = [main, others[0], others[2], others[3]].map(Effect::Close);
            let mut closed = world.wait();
            closed.sort_by_key(|effect| format!("{effect:?}"));
            assert_eq!(closed, left);
            for effect in closed {
                let Effect::Close(seat) = effect else { panic!() };
                assert_eq!(world.lost(seat, Side::Tenant), Lost::Close);
            }
            // The session goes on at the source, and moves the next time.
            world.begin(seats[0], seamless);
            assert_eq!(world.open(ID, (1, 0)).unwrap().1.host, Host(2));
        }
    }
}

#[test]
fn a_silent_target_is_given_up() {
    let (mut world, seats) = World::told(false);
    let main = world.open(ID, (1, 0)).unwrap().0;
    assert_eq!(world.wait(), [Effect::Close(main)]);
    assert_eq!(world.lost(main, Side::Tenant), Lost::Close);
    assert_eq!(
        (world.phase(), world.migration.deadline()),
        (Some(TargetAccess::MainOnly), None)
    );
    assert_eq!(world.client(seats[0], 103, &[]), Pass::Forward);
    assert_eq!(world.phase(), Some(TargetAccess::NoTarget));
}

#[test]
fn cancelled_and_told_again() {
    let (mut world, seats) = World::connected(false);
    assert_eq!(world.server(seats[0], 102, &[]), Pass::Forward);
    let closed: Vec<Effect> = seats[5..].iter().copied().map(Effect::Close).collect();
    assert_eq!(world.effects(), closed);
    assert_eq!(
        (world.phase(), world.migration.target(Host(1))),
        (Some(TargetAccess::NoTarget), None)
    );
    // Hot-plug: the source's.
    assert_eq!(world.server(seats[0], 104, &[1, 0, 0, 0, 9, 1]), Pass::Forward);
    assert_eq!(world.open(ID, (9, 1)).unwrap().1.host, Host(0));
    world.begin(seats[0], false);
    // A second target before the viewer has answered cannot be: the source is not read. If it is, that is refused.
    let (number, body) = begin(true);
    assert_eq!(world.server(seats[0], number, &body), Pass::Refuse(Fault::OutOfOrder));
}

/// The first target's hypervisor closes what it has of a move that was called off, while the second's is opened.
#[test]
fn what_is_left_of_one_target_does_not_fail_the_next() {
    let (mut world, seats) = World::connected(false);
    assert_eq!(world.server(seats[0], 102, &[]), Pass::Forward);
    let left = seats[5..].to_vec();
    assert_eq!(world.effects().len(), left.len());
    world.begin(seats[0], false);
    let main = world.open(ID, (1, 0)).unwrap().0;
    assert_eq!(world.dial(main, true), Answer::Accept);
    for seat in left {
        assert_eq!(world.lost(seat, Side::Hypervisor), Lost::Close);
    }
    world.open_others(Host(2));
    assert_eq!(world.client(seats[0], 102, &[]), Pass::Forward);
    assert_eq!(world.phase(), Some(TargetAccess::Closed));
}

/// A main channel's question ends with the channel: there is no connection left that the answer could go to.
#[test]
fn a_question_ends_with_its_connection() {
    let (mut world, seats) = World::connected(false);
    let (number, body) = begin(false);
    assert!(matches!(world.server(seats[0], number, &body), Pass::Ask(_)));
    assert_eq!(world.lost(seats[0], Side::Hypervisor), Lost::Wait);
    let late = world.migration.accept(world.now, &mut world.tracker);
    assert_eq!(late, Err(Misuse::OutOfOrder(TargetAccess::Closed)));
    assert_eq!(world.phase(), Some(TargetAccess::Closed));
}

#[test]
fn switch_host_is_a_new_session() {
    let (mut world, seats) = World::running();
    let (number, body) = switch_host();
    asked(world.server(seats[0], number, &body));
    assert!(holds(&world.accept(), b"proxy.example\0"));
    assert_eq!(world.phase(), Some(TargetAccess::NewSession));
    assert!(world.migration.reads(&world.tracker, seats[0]));
    // Late words about a connection in advance.
    assert_eq!(world.server(seats[0], 102, &[]), Pass::Forward);
    for number in [102, 103, 111] {
        assert_eq!(world.client(seats[0], number, &[]), Pass::Forward);
    }
    assert_eq!(world.phase(), Some(TargetAccess::NewSession));
    assert_eq!(world.lost(seats[0], Side::Hypervisor), Lost::Wait);
    let (main, admission) = world.open(0, (1, 0)).unwrap();
    assert_eq!((admission.host, admission.replaces), (Host(1), true));
    let closed: Vec<Effect> = seats[1..].iter().copied().map(Effect::Close).collect();
    assert_eq!(world.effects(), closed);
    for seat in &seats[1..] {
        assert_eq!(world.lost(*seat, Side::Tenant), Lost::Close);
    }
    assert_eq!(world.dial(main, true), Answer::Accept);
    assert_eq!(world.server(main, 103, &init(77)), Pass::Bind(77));
    assert!(world.open(ID, (2, 0)).is_err());
    // Its target dead: no word, and the end.
    let (mut world, seats) = World::running();
    asked(world.server(seats[0], number, &body));
    world.accept();
    let main = world.open(0, (1, 0)).unwrap().0;
    world.effects();
    assert_eq!(world.dial(main, false), Answer::Close);
    assert_eq!((world.effects(), world.phase()), (vec![Effect::End], None));
}

#[test]
fn the_end_of_a_main_channel() {
    // Idle, Told, Opening: the end.
    for (mut world, seats) in [World::running(), World::told(false), World::opened(true)] {
        assert_eq!(world.lost(seats[0], Side::Hypervisor), Lost::End);
        assert_eq!((world.effects(), world.phase()), (vec![Effect::End], None));
    }
    // Connected: ten seconds.
    let (mut world, seats) = World::connected(true);
    assert_eq!(world.lost(seats[0], Side::Hypervisor), Lost::Wait);
    assert_eq!(world.tracker.expire(9 * SECOND), None);
    assert_eq!(world.tracker.expire(10 * SECOND), Some(Expired::Session(TOKEN)));
    // Ending: ten seconds from the source's last word.
    let (mut world, seats) = World::connected(false);
    assert_eq!(world.server(seats[0], 112, &[]), Pass::Forward);
    assert_eq!(world.migration.deadline(), Some(10 * SECOND));
    assert_eq!(world.wait(), [Effect::End]);
    assert_eq!(world.phase(), None);
}
