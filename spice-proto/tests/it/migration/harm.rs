//! What an authenticated viewer, or a careless hypervisor, could do.

use spice_proto::channel::main::{MigrateBegin, MigrateSwitchHost};
use spice_proto::frame::{FrameRef, Header};
use spice_proto::ids::ChannelType;
use spice_proto::link::Sender;
use spice_proto::link::Side;
use spice_proto::session::migration::{Answer, Endpoint, EndpointError, Fault, Lost, Migration, Pass};
use spice_proto::session::{Host, TargetAccess};

use super::{ID, TOKEN, World, asked, begin, destination, init, port, switch_host};

const UNASKED: Pass = Pass::Refuse(Fault::Unasked);

/// These end the QEMU process of an ordinary session.
#[test]
fn nothing_unasked_reaches_a_hypervisor() {
    let (mut world, seats) = World::running();
    for seat in &seats {
        assert_eq!(world.client(*seat, 4, &[]), UNASKED);
        assert_eq!(world.client(*seat, 5, &[1, 2, 3]), UNASKED);
    }
    assert_eq!(world.client(seats[0], 110, &[1, 0, 0, 0]), UNASKED);
    assert_eq!(world.client(seats[0], 109, &[]), UNASKED);
    for number in [102, 103, 111] {
        assert_eq!(world.client(seats[0], number, &[]), Pass::Drop);
    }
    // A viewer that was told claims to be connected without having come.
    let (mut world, seats) = World::told(true);
    for number in [102, 111] {
        assert_eq!(world.client(seats[0], number, &[]), UNASKED);
    }
    // At the target: not before the source is done, and only as told.
    let (mut world, seats) = World::opened(false);
    assert_eq!(world.client(seats[5], 110, &[1, 0, 0, 0]), UNASKED);
    assert_eq!(world.client(seats[5], 109, &[]), UNASKED);
    assert_eq!(world.client(seats[5], 102, &[]), UNASKED);
    assert_eq!(world.client(seats[0], 111, &[]), UNASKED);
    let (mut world, seats) = World::told(true);
    let main = world.open(ID, (1, 0)).unwrap().0;
    assert_eq!(world.client(main, 110, &[1, 0, 0, 0]), Pass::Drop, "before its result");
    assert_eq!(world.dial(main, true), Answer::Accept);
    assert_eq!(world.client(main, 110, &[2, 0, 0, 0]), UNASKED, "another version");
    assert_eq!(world.client(main, 110, &[1, 0, 0, 0]), UNASKED, "not the first message");
    assert_eq!(world.client(seats[0], 110, &[1, 0, 0, 0]), UNASKED, "at the source");
    // Answered once.
    let (mut world, seats) = World::connected(false);
    assert_eq!(world.client(seats[0], 102, &[]), Pass::Drop);
    assert_eq!(world.client(seats[5], 109, &[]), UNASKED, "before the source is done");
}

#[test]
fn states_cannot_be_forged() {
    let (mut world, seats) = World::connected(true);
    for n in [1, 2, 4] {
        assert_eq!(world.server(seats[n], 1, &[3, 0, 0, 0]), Pass::Forward);
        assert_eq!(world.server(seats[n], 2, &[n as u8; 50]), Pass::Forward);
    }
    // Nothing was issued for main yet, another channel's state, a bit more, and then twice.
    assert_eq!(world.client(seats[5], 5, &[1; 50]), Pass::Refuse(Fault::Forged));
    assert_eq!(world.client(seats[6], 5, &[2; 50]), Pass::Refuse(Fault::Forged));
    assert_eq!(world.client(seats[7], 5, &[2; 51]), Pass::Refuse(Fault::Forged));
    assert_eq!(world.client(seats[9], 5, &[4; 50]), Pass::Forward);
    assert_eq!(world.client(seats[9], 5, &[4; 50]), UNASKED);
    // Not first: the connection has spoken already.
    assert_eq!(world.client(seats[7], 5, &[2; 50]), UNASKED);
    // On the source's own connection.
    assert_eq!(world.client(seats[1], 5, &[1; 50]), UNASKED);
    // A mark a MIGRATE, and none without.
    assert_eq!(world.client(seats[1], 4, &[]), Pass::Forward);
    assert_eq!(world.client(seats[1], 4, &[]), UNASKED);
    assert_eq!(world.client(seats[3], 4, &[]), UNASKED);
}

#[test]
fn migrate_and_its_data_stay_together() {
    let (mut world, seats) = World::connected(true);
    assert_eq!(world.server(seats[1], 2, &[1]), Pass::Refuse(Fault::OutOfOrder));
    assert_eq!(world.server(seats[1], 1, &[3, 0, 0, 0]), Pass::Forward);
    assert_eq!(world.server(seats[1], 304, &[0; 60]), Pass::Refuse(Fault::NotAdjacent));
    assert_eq!(world.server(seats[2], 1, &[3, 0, 0]), Pass::Refuse(Fault::Malformed));
    // Not outside of a seamless move.
    for (mut world, seats) in [
        World::running(),
        World::told(true),
        World::opened(true),
        World::connected(false),
    ] {
        assert_eq!(
            world.server(seats[1], 1, &[3, 0, 0, 0]),
            Pass::Refuse(Fault::OutOfOrder)
        );
    }
}

#[test]
fn servers_say_what_fits_and_where_it_fits() {
    let out_of_order = Pass::Refuse(Fault::OutOfOrder);
    let (mut world, seats) = World::opened(true);
    for number in [101, 102, 103, 111, 112, 116] {
        assert_eq!(
            world.server(seats[5], number, &[0; 32]),
            out_of_order,
            "{number} of a target"
        );
    }
    for number in [101, 102, 111, 116, 117, 118] {
        assert_eq!(
            world.server(seats[0], number, &[0; 32]),
            out_of_order,
            "{number} of a source"
        );
    }
    // The guest has moved, and its old host says so once.
    let (mut world, seats) = World::connected(false);
    assert_eq!(world.server(seats[0], 112, &[]), Pass::Forward);
    for (number, body) in [(112, vec![]), (102, vec![]), begin(false), begin(true), switch_host()] {
        assert_eq!(
            world.server(seats[0], number, &body),
            out_of_order,
            "{number} after 112"
        );
    }
    // The session has ended, and nothing passes while its connections are being closed.
    assert!(world.tracker.end(TOKEN));
    for number in [4, 101, 102, 103, 304] {
        assert_eq!(world.server(seats[0], number, &[]), Pass::Refuse(Fault::Ended));
        assert_eq!(world.client(seats[1], number, &[]), Pass::Refuse(Fault::Ended));
    }
    let (mut world, seats) = World::running();
    assert_eq!(world.server(seats[0], 112, &[]), out_of_order);
    assert_eq!(world.server(seats[0], 103, &[0; 32]), out_of_order, "no id");
    for number in [101, 103, 104, 111, 116] {
        assert_eq!(world.server(seats[0], number, &[1]), Pass::Refuse(Fault::Malformed));
    }
    // The numbers of main mean something else on other channels.
    assert_eq!(world.server(seats[1], 111, &[0; 60]), Pass::Forward);
    // Hidden in a list, or behind a full header.
    let list = [1, 0, 6, 0, 0, 0, 101, 0, 0, 0, 0, 0];
    assert_eq!(world.server(seats[0], 8, &list), Pass::Refuse(Fault::Hidden));
    assert_eq!(world.server(seats[1], 8, &list), Pass::Forward);
    let migrate = [1, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    assert_eq!(world.server(seats[1], 8, &migrate), Pass::Refuse(Fault::Hidden));
    assert_eq!(world.server(seats[1], 8, &[9, 9, 9]), Pass::Refuse(Fault::Hidden));
    let mut body = vec![0xff; 3];
    body.extend([1, 0, 9, 0, 0, 0, 111, 0, 0, 0, 0, 0]);
    let header = Header {
        serial: 9,
        number: 106,
        size: body.len() as u32,
        sub_list: 3,
    };
    let frame = FrameRef { header, body: &body };
    let pass = world
        .migration
        .server_message(world.now, &mut world.tracker, seats[0], &frame);
    assert_eq!(pass, Pass::Refuse(Fault::Hidden));
    // What is looked at is named.
    for number in [101, 103, 104, 111, 116, 1, 2, 8] {
        assert!(Migration::watches(ChannelType::MAIN, Sender::Server, number));
    }
    assert!(!Migration::watches(ChannelType::DISPLAY, Sender::Server, 304));
    assert!(Migration::watches(ChannelType::DISPLAY, Sender::Client, 5));
}

/// Closed before `DISPLAY_INIT`, a display channel ends the QEMU process; not at a target.
#[test]
fn a_display_channel_says_something_before_it_goes() {
    let (mut world, seats) = World::running();
    assert_eq!(world.server(seats[0], 104, &[1, 0, 0, 0, 2, 1]), Pass::Forward);
    let display = world.open(ID, (2, 1)).unwrap().0;
    assert_eq!(world.dial(display, true), Answer::Accept);
    assert_eq!(world.lost(display, Side::Tenant), Lost::InitThenClose);
    // One that said it, one that the hypervisor has closed itself, one that was not accepted.
    assert_eq!(world.lost(seats[1], Side::Tenant), Lost::Close);
    let display = world.open(ID, (2, 1)).unwrap().0;
    assert_eq!(world.dial(display, true), Answer::Accept);
    assert_eq!(world.lost(display, Side::Hypervisor), Lost::Close);
    let display = world.open(ID, (2, 1)).unwrap().0;
    assert_eq!(world.lost(display, Side::Tenant), Lost::Close);
    assert_eq!(world.lost(display, Side::Tenant), Lost::Close, "a seat that is free");
    let (mut world, seats) = World::opened(true);
    assert_eq!(world.lost(seats[6], Side::Tenant), Lost::Close);
}

#[test]
fn a_pair_is_placed_once_and_never_by_what_is_live_elsewhere() {
    let (mut world, seats) = World::running();
    // Announced, and never opened at the source: the target's all the same, since the target was linked.
    assert_eq!(world.server(seats[0], 104, &[1, 0, 0, 0, 11, 0]), Pass::Forward);
    world.begin(seats[0], true);
    let main = world.open(ID, (1, 0)).unwrap().0;
    // Before the target's main has its result, a new channel is the source's.
    assert_eq!(world.dial(main, true), Answer::Accept);
    assert_eq!(world.open(ID, (11, 0)).unwrap().1.host, Host(1));
    // Reserved when it was placed: the next one of this pair is the source's.
    assert_eq!(world.open(ID, (11, 0)).unwrap().1.host, Host(0));
    assert!(world.open(ID, (11, 0)).is_err());
    // Id 0 is no migration, and no other id is one.
    assert!(world.open(0, (1, 0)).is_err());
    assert_eq!(world.phase(), Some(TargetAccess::AllChannels));
}

#[test]
fn ports_and_subjects_that_mean_none() {
    let made = |host, plain, tls, subject| Endpoint::new(host, port(plain), port(tls), subject).map(drop);
    assert_eq!(made("", 1, 0, None), Err(EndpointError::Host));
    assert_eq!(made("a\0b", 1, 0, None), Err(EndpointError::Host));
    assert_eq!(made("a", 0, 0, None), Err(EndpointError::Port));
    assert_eq!(made("a", u16::MAX, 1, None), Err(EndpointError::Port));
    assert_eq!(made("a", 0, 1, Some("")), Err(EndpointError::Subject));
    assert_eq!(made("a", 0, 1, Some("\0")), Err(EndpointError::Subject));
    assert_eq!(made(&"a".repeat(1025), 1, 0, None), Err(EndpointError::TooLong));
    // No subject has size 0 and no pointer; what the hypervisor said of its own is gone.
    let mut fresh = World::new();
    fresh.migration = Migration::new(TOKEN, Endpoint::new("p", port(1), None, None).unwrap());
    let main = fresh.open(0, (1, 0)).unwrap().0;
    fresh.dial(main, true);
    fresh.server(main, 103, &init(ID));
    for (ports, subject) in [((0, 5901), &b"\0"[..]), ((u16::MAX, 0), b"")] {
        let mut body = bytes::BytesMut::new();
        let destination = destination(ports.0, ports.1, subject);
        MigrateBegin { destination }.encode(&mut body).unwrap();
        let target = asked(fresh.server(main, 101, &body));
        assert_eq!((target.port, target.subject), (None, None));
        let told = fresh.accept();
        assert_eq!(told[..], *b"\x01\0\0\0\x02\0\0\0\x14\0\0\0\0\0\0\0\0\0\0\0p\0");
        assert!(MigrateSwitchHost::decode_slice(&told).is_ok());
        assert_eq!(fresh.client(main, 103, &[]), Pass::Forward);
    }
}
