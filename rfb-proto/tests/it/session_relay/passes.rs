//! What passes, and what does not.

use core::time::Duration;
use std::sync::Arc;

use rfb_proto::encoding::{Encoding, Rectangle};
use rfb_proto::filter::{Filter, InputRate};
use rfb_proto::handshake::Side;
use rfb_proto::message::Extensions;
use rfb_proto::message::pseudo::ExtendedDesktopSize;
use rfb_proto::message::{
    FramebufferUpdate, FramebufferUpdateRequest, KeyEvent, PointerEvent, Screen, SetDesktopSize, SetEncodings,
};
use rfb_proto::session::ViewerLimit;
use rfb_proto::session::relay::{Cause, Config, End, Sharing};

use super::{World, client, config, hypervisor_hears, hypervisor_opening, init, tenant_hears, tenant_opening, wire};

pub(super) fn key(keysym: u32) -> Vec<u8> {
    client(KeyEvent {
        down: 1,
        padding: [0; 2],
        keysym,
    })
}

pub(super) fn request(incremental: u8) -> Vec<u8> {
    client(FramebufferUpdateRequest {
        incremental,
        x: 0,
        y: 0,
        width: 640,
        height: 480,
    })
}

/// An update of one rectangle.
pub(super) fn update(encoding: Encoding, size: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let (padding, rectangles) = (0, 1);
    let mut bytes = wire(|dst| FramebufferUpdate { padding, rectangles }.encode(dst).unwrap());
    bytes.extend(rectangle(encoding, size, payload));
    bytes
}

pub(super) fn rectangle(encoding: Encoding, (width, height): (u16, u16), payload: &[u8]) -> Vec<u8> {
    let (x, y) = (0, 0);
    let rectangle = Rectangle {
        x,
        y,
        width,
        height,
        encoding,
    };
    let mut bytes = wire(|dst| rectangle.encode(dst).unwrap());
    bytes.extend_from_slice(payload);
    bytes
}

/// A whole session with both sides' bytes in pieces of this size.
fn session(size: usize) -> World {
    let mut world = World::new(config());
    let shown = init(640, 480);
    let says = [
        tenant_opening(1),
        client(SetEncodings::new(&[Encoding::TIGHT])),
        request(0),
        key(0x61),
    ]
    .concat();
    let shows = [
        hypervisor_opening(&shown),
        update(Encoding::RAW, (2, 1), &[7; 8]),
        vec![2],
    ]
    .concat();
    world.says_in_pieces(Side::Tenant, &says, size);
    world.says_in_pieces(Side::Hypervisor, &shows, size);
    world
}

#[test]
fn a_session_from_its_first_byte_to_its_last() {
    for size in [1, 2, 3, 7, 100, 1000] {
        let mut world = session(size);
        let shown = [
            tenant_hears(&init(640, 480)),
            update(Encoding::RAW, (2, 1), &[7; 8]),
            vec![2],
        ]
        .concat();
        let said = [
            hypervisor_hears(1),
            client(SetEncodings::new(&[Encoding::TIGHT])),
            request(0),
            key(0x61),
        ];
        assert_eq!(
            (world.take_tenant(), world.take_heard()),
            (shown, said.concat()),
            "{size}"
        );
        assert_eq!(world.reads, (true, true));
        let counts = world.relay.counts();
        assert_eq!(
            (counts.to_viewer(), counts.to_hypervisor()),
            (4 + 12 + 8 + 1, 8 + 10 + 8)
        );
        assert_eq!(world.relay.server_init(), Some(&init(640, 480)));
        assert!(world.relay.outcome().is_some());
        assert_eq!(world.dials.len(), 1);
        assert_eq!((world.dials[0].before, world.dials[0].cause), (0, Cause::Entered));
        world.hangs_up(Side::Hypervisor);
        assert_eq!(world.end, Some(End::Hypervisor));
    }
}

#[test]
fn the_shared_flag_is_the_policys() {
    for (sharing, said, told) in [
        (Sharing::Tenant, 0, 0),
        (Sharing::Tenant, 1, 1),
        (Sharing::Tenant, 0xff, 0xff),
        (Sharing::Shared, 0, 1),
        (Sharing::Exclusive, 1, 0),
    ] {
        let mut world = World::new(config().with_sharing(sharing));
        world.says(Side::Tenant, &tenant_opening(said));
        world.says(Side::Hypervisor, &hypervisor_opening(&init(1, 1)));
        assert_eq!(world.heard(), &hypervisor_hears(told), "{sharing:?}");
    }
}

/// The tenant above the number is refused with a reason and before anything is dialled; a place is free again when its
/// session ends.
#[test]
fn no_more_viewers_than_may_be() {
    let limit = Arc::new(ViewerLimit::new(2));
    let full = || config().with_viewers(limit.clone());
    let mut both = [World::open(full()), World::open(full())];
    let mut third = World::new(full());
    third.says(Side::Tenant, &tenant_opening(1));
    assert_eq!(third.end, Some(End::TooManyViewers));
    assert!(third.tenant.ends_with(b"\0\0\0\x01\0\0\0\x10Too many viewers"));
    assert_eq!((third.dials.len(), limit.connected()), (0, 2));
    both[0].hangs_up(Side::Tenant);
    assert_eq!((both[0].end.clone(), limit.connected()), (Some(End::Viewer), 1));
    assert_eq!(World::open(full()).end, None);
    drop(both);
    assert_eq!(limit.connected(), 0);
}

#[test]
fn who_may_only_look() {
    let mut world = World::open(config().with_filter(Filter::view_only()));
    let pointer = client(PointerEvent::new(1, 5, 5, &Extensions::NONE));
    world.says(Side::Tenant, &[key(0x61), request(1), pointer, key(0x62)].concat());
    assert_eq!((world.take_heard(), world.relay.withheld()), (request(1), 3));
    let picture = update(Encoding::RAW, (1, 1), &[1; 4]);
    world.says(Side::Hypervisor, &picture);
    assert_eq!(world.take_tenant(), picture);
}

/// A viewer that may not change the size gets a refusal with the screens that there are; not in the middle of an update.
#[test]
fn a_change_of_size_is_refused_where_a_message_ends() {
    let mut world = World::open(config().with_filter(Filter::view_only()));
    world.says(
        Side::Tenant,
        &client(SetEncodings::new(&[Encoding::EXTENDED_DESKTOP_SIZE])),
    );
    let screen = Screen {
        id: 7,
        x: 0,
        y: 0,
        width: 640,
        height: 480,
        flags: 0,
    };
    let size = ExtendedDesktopSize {
        padding: [0; 3],
        screens: vec![screen],
    };
    let size = wire(|dst| size.encode(dst).unwrap());
    world.says_in_pieces(
        Side::Hypervisor,
        &update(Encoding::EXTENDED_DESKTOP_SIZE, (640, 480), &size),
        3,
    );
    world.take_tenant();
    world.take_heard();
    let picture = update(Encoding::RAW, (1, 1), &[1; 4]);
    world.says(Side::Hypervisor, &picture[..17]);
    let wish = SetDesktopSize::new(1, 1, vec![screen]);
    world.says(Side::Tenant, &client(wish));
    assert_eq!(
        (world.take_tenant(), world.take_heard()),
        (picture[..17].to_vec(), vec![])
    );
    world.says(Side::Hypervisor, &picture[17..]);
    let heard = world.take_tenant();
    let (rest, refusal) = heard.split_at(picture.len() - 17);
    assert_eq!(rest, &picture[17..]);
    // To this client, prohibited, and the screen with number 7.
    assert_eq!(
        refusal[..16],
        *b"\0\0\0\x01\0\x01\0\x01\x02\x80\x01\xe0\xff\xff\xfe\xcc"
    );
    assert_eq!(refusal[16..], size);
}

#[test]
fn input_at_a_rate() {
    let mut world = World::open(config().with_input_rate(InputRate::new(10, 1)));
    world.says(Side::Tenant, &[key(1), key(2)].concat());
    assert_eq!(world.take_heard(), key(1));
    world.passes(Duration::from_millis(100));
    world.says(Side::Tenant, &[key(3), key(4)].concat());
    assert_eq!(world.take_heard(), key(3));
}

/// A side that does not take what it gets is waited for, and the other one is read no further than a little ahead.
#[test]
fn a_side_that_takes_nothing() {
    let mut world = World::open(Config::clone(&config()));
    world.takes = [false, true];
    let picture = update(Encoding::RAW, (64, 64), &[3; 64 * 64 * 4]);
    for _ in 0..3 {
        world.says(Side::Hypervisor, &picture);
    }
    assert_eq!(world.reads, (true, false));
    assert_eq!(world.sides.tenant.tx, picture[..]);
    // The other direction goes on.
    world.says(Side::Tenant, &request(1));
    assert_eq!(world.take_heard(), request(1));
    world.takes = [true; 2];
    world.run();
    assert_eq!((world.take_tenant(), world.reads), (picture.repeat(3), (true, true)));
}

/// Pictures go on without a copy and without memory of their own.
#[test]
fn pictures_cost_no_memory() {
    let mut world = World::open(config());
    world.says(Side::Hypervisor, &update(Encoding::RAW, (1, 1), &[3; 4]));
    let picture = update(Encoding::RAW, (64, 64), &[3; 64 * 64 * 4]);
    let many = picture.repeat(50);
    world.sides.hypervisor.rx.extend_from_slice(&many);
    let place = world.sides.hypervisor.rx.as_ptr();
    let mut world = world;
    let used = allocation_counter::measure(|| {
        let _ = world.relay.step(world.now, &mut world.sides);
    });
    assert_eq!(world.sides.tenant.tx.as_ptr(), place);
    assert_eq!(world.sides.tenant.tx, many[..]);
    // The shared handle of a buffer that is split for the first time.
    assert!(used.count_total <= 1, "{used:?}");
}
