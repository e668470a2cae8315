//! A guest that moves, and a tenant that stays.

use core::time::Duration;

use bytes::Bytes;
use rfb_proto::encoding::Encoding;
use rfb_proto::framing::MoveFault;
use rfb_proto::handshake::{Misuse, Side};
use rfb_proto::message::{
    ClientCutText, ClientFence, EnableContinuousUpdates, EndOfContinuousUpdates, Extensions, FenceFlags,
    FramebufferUpdateRequest, PointerEvent, QemuClientMessage, QemuExtendedKeyEvent, ServerFence, SetEncodings,
    SetPixelFormat,
};
use rfb_proto::session::relay::{Cause, End, Move, NotFollowed};
use rfb_proto::{PixelFormat, ServerInit};

use super::passes::{key, rectangle, request, update};
use super::{World, client, config, hypervisor_hears, hypervisor_opening, init, server};

/// Where the log-in of a hypervisor ends, and what the relay has to say begins.
pub(super) fn told(world: &mut World) -> Vec<u8> {
    let heard = world.take_heard();
    let log_in = hypervisor_hears(1);
    assert_eq!(heard[..log_in.len()], log_in);
    heard[log_in.len()..].to_vec()
}

fn asks(world: &mut World, encodings: &[Encoding]) {
    world.says(Side::Tenant, &client(SetEncodings::new(encodings)));
}

fn full_request(width: u16, height: u16) -> Vec<u8> {
    client(FramebufferUpdateRequest {
        incremental: 0,
        x: 0,
        y: 0,
        width,
        height,
    })
}

#[test]
fn a_tenant_follows_its_guest() {
    for size in [1, 5, 1000] {
        let mut world = World::open(config());
        let format = PixelFormat {
            depth: 30,
            ..PixelFormat::RGB888
        };
        let wishes = [
            client(SetPixelFormat::new(format)),
            client(SetEncodings::new(&[
                Encoding::TIGHT,
                Encoding::ZRLE,
                Encoding::DESKTOP_SIZE,
            ])),
        ];
        world.says(Side::Tenant, &[wishes.concat(), request(0)].concat());
        world.says(Side::Hypervisor, &update(Encoding::RAW, (1, 1), &[1; 4]));
        world.says(Side::Tenant, &request(1));
        world.take_tenant();
        world.relay.moved(Move::Follow);
        world.run();
        assert_eq!((world.dials[1].before, world.dials[1].cause), (1, Cause::Moved));
        // What is typed meanwhile waits.
        world.says(Side::Tenant, &key(0x61));
        assert_eq!(world.heard(), b"");
        world.says_in_pieces(Side::Hypervisor, &hypervisor_opening(&init(640, 480)), size);
        let heard = [wishes.concat(), full_request(640, 480), key(0x61)].concat();
        assert_eq!(told(&mut world), heard, "{size}");
        assert_eq!(world.take_tenant(), b"");
        let picture = update(Encoding::RAW, (2, 1), &[2; 8]);
        world.says(Side::Hypervisor, &picture);
        assert_eq!((world.take_tenant(), world.end.clone()), (picture, None));
        world.says(Side::Tenant, &[key(0x62), request(1)].concat());
        assert_eq!(world.take_heard(), [key(0x62), request(1)].concat());
        // Once more.
        world.moves_to(&init(640, 480));
        assert_eq!(world.dials[2].before, 2);
        assert_eq!(told(&mut world), [wishes.concat(), full_request(640, 480)].concat());
    }
}

/// The relay tells the client another size, if the client can change its own.
#[test]
fn another_size() {
    for (encoding, payload) in [
        (Encoding::DESKTOP_SIZE, b"".to_vec()),
        (
            Encoding::EXTENDED_DESKTOP_SIZE,
            b"\x01\0\0\0\0\0\0\0\0\0\0\0\x03\x20\x02\x58\0\0\0\0".to_vec(),
        ),
    ] {
        let mut world = World::open(config());
        asks(&mut world, &[encoding]);
        world.moves_to(&init(800, 600));
        assert_eq!(world.take_tenant(), update(encoding, (800, 600), &payload));
        assert!(told(&mut world).ends_with(&full_request(800, 600)));
        assert_eq!(world.relay.server_init(), Some(&init(800, 600)));
    }
    let mut world = World::open(config());
    asks(&mut world, &[Encoding::TIGHT]);
    world.moves_to(&init(800, 600));
    let (width, height) = (800, 600);
    let why = NotFollowed::State(MoveFault::Size { width, height });
    assert_eq!(world.end, Some(End::NotFollowed(Box::new(why))));
}

/// What the old server has begun to say is finished by it, or filled up, or there is no going on.
#[test]
fn an_update_that_is_half_sent() {
    let half = |size: usize| {
        let mut world = World::open(config());
        asks(&mut world, &[Encoding::RAW]);
        let two = [
            b"\0\0\0\x02".to_vec(),
            rectangle(Encoding::RAW, (1, 1), &[1; 4]),
            rectangle(Encoding::RAW, (1, 1), &[2; 4]),
        ]
        .concat();
        world.says(Side::Hypervisor, &two[..size]);
        world.relay.moved(Move::Follow);
        world.run();
        (world, two)
    };
    // It finishes, and what follows is not read any more.
    let (mut world, two) = half(25);
    assert_eq!(world.dials.len(), 1);
    world.says(Side::Hypervisor, &[&two[25..], &b"\0\0\0\x01"[..]].concat());
    assert_eq!((world.take_tenant(), world.dials.len()), (two, 2));
    // It is gone between two rectangles.
    let (mut world, two) = half(20);
    world.hangs_up(Side::Hypervisor);
    assert_eq!(world.dials.len(), 2);
    assert_eq!(
        world.take_tenant(),
        [&two[..20], &rectangle(Encoding::RAW, (0, 0), b"")].concat()
    );
    // It says nothing more, for a while.
    let (mut world, _) = half(20);
    world.passes(Duration::from_secs(4));
    assert_eq!(world.dials.len(), 1);
    world.passes(Duration::from_secs(1));
    assert_eq!(world.dials.len(), 2);
    // It is gone inside of one.
    let (mut world, _) = half(34);
    world.hangs_up(Side::Hypervisor);
    let why = NotFollowed::State(MoveFault::InsideRectangle);
    assert_eq!(world.end, Some(End::NotFollowed(Box::new(why))));
    // So many are missing that they are not made up.
    let mut world = World::open(config());
    let many = [b"\0\0\xfe\xff".to_vec(), rectangle(Encoding::RAW, (1, 1), &[1; 4])].concat();
    world.says(Side::Hypervisor, &many);
    world.relay.moved(Move::Follow);
    world.hangs_up(Side::Hypervisor);
    let why = NotFollowed::State(MoveFault::InsideMessage);
    assert_eq!(world.end, Some(End::NotFollowed(Box::new(why))));
    assert_eq!(world.take_tenant(), many);
    // The mark of the last rectangle, for those that know it.
    let mut world = World::open(config());
    asks(&mut world, &[Encoding::LAST_RECT]);
    let many = [b"\0\0\xff\xff".to_vec(), rectangle(Encoding::RAW, (1, 1), &[1; 4])].concat();
    world.says(Side::Hypervisor, &many);
    world.relay.moved(Move::Follow);
    world.hangs_up(Side::Hypervisor);
    assert_eq!(
        world.take_tenant(),
        [&many[..], &rectangle(Encoding::LAST_RECT, (0, 0), b"")].concat()
    );
}

fn fence(flags: FenceFlags, payload: &'static [u8]) -> Vec<u8> {
    client(ClientFence::new(flags, payload.into()))
}

#[test]
fn fences() {
    let ask = FenceFlags(FenceFlags::REQUEST.0 | FenceFlags::SYNC_NEXT.0);
    let mut world = World::open(config());
    asks(&mut world, &[Encoding::FENCE]);
    let announced = server(ServerFence::new(ask, (&b"s1"[..]).into()));
    world.says(Side::Hypervisor, &announced);
    world.says(Side::Tenant, &[fence(ask, b"c1"), fence(ask, b"c2")].concat());
    world.says(
        Side::Hypervisor,
        &server(ServerFence::new(FenceFlags::SYNC_NEXT, (&b"c1"[..]).into())),
    );
    world.take_tenant();
    world.moves_to(&init(640, 480));
    // The answer to the client's second one comes from the relay.
    assert_eq!(
        world.take_tenant(),
        server(ServerFence::new(FenceFlags::SYNC_NEXT, (&b"c2"[..]).into()))
    );
    told(&mut world);
    // The client's answer to the old server's does not reach the new one.
    world.says(Side::Tenant, &fence(FenceFlags::SYNC_NEXT, b"s1"));
    assert_eq!(world.take_heard(), b"");
    // A server that has none: the relay answers.
    world.says(Side::Tenant, &fence(ask, b"c3"));
    assert_eq!(world.take_heard(), b"");
    assert_eq!(
        world.take_tenant(),
        server(ServerFence::new(FenceFlags::SYNC_NEXT, (&b"c3"[..]).into()))
    );
    // Once it has announced them, they are its own.
    world.says(Side::Hypervisor, &server(ServerFence::new(ask, (&b"s2"[..]).into())));
    let own = [fence(FenceFlags::SYNC_NEXT, b"s2"), fence(ask, b"c4")].concat();
    world.says(Side::Tenant, &own);
    assert_eq!(world.take_heard(), own);
}

fn continuous(enable: u8) -> Vec<u8> {
    client(EnableContinuousUpdates {
        enable,
        x: 0,
        y: 0,
        width: 640,
        height: 480,
    })
}

#[test]
fn continuous_updates_go_on() {
    let open = || {
        let mut world = World::open(config());
        asks(&mut world, &[Encoding::CONTINUOUS_UPDATES]);
        world.says(Side::Hypervisor, &server(EndOfContinuousUpdates {}));
        world.says(Side::Tenant, &continuous(1));
        world.moves_to(&init(640, 480));
        told(&mut world);
        world.take_tenant();
        world
    };
    // The new server has them: they are enabled again, and the client does not notice.
    let mut world = open();
    world.says(Side::Hypervisor, &server(EndOfContinuousUpdates {}));
    assert_eq!((world.take_heard(), world.take_tenant()), (continuous(1), vec![]));
    world.says(Side::Hypervisor, &update(Encoding::RAW, (1, 1), &[1; 4]));
    assert_eq!(world.take_heard(), b"");
    // When they end it does.
    world.says(Side::Tenant, &continuous(0));
    world.says(Side::Hypervisor, &server(EndOfContinuousUpdates {}));
    assert_eq!(
        (world.take_heard(), world.take_tenant().last()),
        (continuous(0), Some(&150))
    );
    // It has none: the relay asks for updates, as long as the client counts on them.
    let mut world = open();
    for _ in 0..2 {
        world.says(Side::Hypervisor, &update(Encoding::RAW, (1, 1), &[1; 4]));
        assert_eq!(world.take_heard(), request(1));
    }
    world.says(Side::Tenant, &continuous(0));
    world.says(Side::Hypervisor, &update(Encoding::RAW, (1, 1), &[1; 4]));
    assert_eq!(world.take_heard(), b"");
}

/// The client goes on using what the old server had; the new one gets what it knows.
#[test]
fn extensions_that_the_new_server_lacks() {
    let both = [Encoding::EXTENDED_MOUSE_BUTTONS, Encoding::QEMU_EXTENDED_KEY];
    let marks = [update(both[0], (0, 0), b""), update(both[1], (0, 0), b"")].concat();
    let mut world = World::open(config());
    asks(&mut world, &both);
    world.says(Side::Hypervisor, &marks);
    let qemu_key = |keysym| {
        let event = QemuExtendedKeyEvent {
            down: 1,
            keysym,
            keycode: 30,
        };
        client(QemuClientMessage::ExtendedKeyEvent(event))
    };
    // A button above the seventh, in the long form.
    let pointer = b"\x05\x81\0\x01\0\x02\x01";
    let said = [qemu_key(0x61), pointer.to_vec(), qemu_key(0), key(0x62)].concat();
    world.take_heard();
    world.says(Side::Tenant, &said);
    assert_eq!(world.take_heard(), said);
    world.moves_to(&init(640, 480));
    told(&mut world);
    world.says(Side::Tenant, &said);
    let short = client(PointerEvent::new(1, 1, 2, &Extensions::NONE));
    assert_eq!(world.take_heard(), [key(0x61), short, key(0x62)].concat());
    world.says(Side::Hypervisor, &marks);
    world.says(Side::Tenant, &said);
    assert_eq!(world.take_heard(), said);
}

/// A message that is half sent to the old server is not finished to the new one.
#[test]
fn a_message_that_is_half_sent() {
    let mut world = World::open(config());
    let text = client(ClientCutText::new(vec![b'x'; 300_000].into()));
    world.says(Side::Tenant, &text[..100_000]);
    assert_eq!(world.take_heard().len(), 100_000);
    world.moves_to(&init(640, 480));
    told(&mut world);
    world.says(Side::Tenant, &[&text[100_000..], &key(0x61)].concat());
    assert_eq!(world.take_heard(), key(0x61));
}

#[test]
fn a_hypervisor_that_hangs_up() {
    let mut world = World::open(config().with_reconnect(true));
    let picture = update(Encoding::RAW, (1, 1), &[1; 4]);
    world.says(Side::Hypervisor, &picture);
    world.hangs_up(Side::Hypervisor);
    assert_eq!((world.dials[1].before, world.dials[1].cause), (1, Cause::Lost));
    world.says(Side::Hypervisor, &hypervisor_opening(&init(640, 480)));
    assert!(told(&mut world).ends_with(&full_request(640, 480)));
    assert_eq!((world.take_tenant(), world.end), (picture, None));
}

#[test]
fn there_is_no_going_on() {
    let moving = || {
        let mut world = World::open(config());
        world.relay.moved(Move::Follow);
        world.run();
        world
    };
    let why = |world: World| match world.end {
        Some(End::NotFollowed(why)) => *why,
        other => panic!("{other:?}"),
    };
    let mut world = World::open(config());
    world.reached = false;
    world.relay.moved(Move::Follow);
    world.run();
    assert_eq!(why(world), NotFollowed::Unreachable);
    let mut world = moving();
    world.passes(Duration::from_secs(60));
    assert_eq!(why(world), NotFollowed::TimedOut);
    // The other password.
    let mut world = moving();
    let refused = [&hypervisor_opening(&init(1, 1))[..30], b"\0\0\0\x01\0\0\0\x01x"].concat();
    world.says(Side::Hypervisor, &refused);
    assert!(matches!(why(world), NotFollowed::LogIn(_)));
    let opening = hypervisor_opening(&init(640, 480));
    for shown in 0..opening.len() {
        let mut world = moving();
        world.says(Side::Hypervisor, &opening[..shown]);
        world.hangs_up(Side::Hypervisor);
        assert!(
            matches!(why(world), NotFollowed::LogIn(_) | NotFollowed::Closed),
            "{shown}"
        );
        let mut world = moving();
        world.says(Side::Hypervisor, &opening[..shown]);
        world.hangs_up(Side::Tenant);
        assert_eq!(world.end, Some(End::Viewer));
        // Any other byte there ends it or not, but does not panic.
        let mut changed = opening.clone();
        changed[shown] ^= 0x81;
        let mut world = moving();
        world.says(Side::Hypervisor, &changed);
        world.hangs_up(Side::Hypervisor);
        assert!(world.end.is_some(), "{shown}");
    }
}

/// A move in the handshake is carried out when that is over; one before a hypervisor was asked for means nothing.
#[test]
fn a_move_in_the_handshake() {
    let mut world = World::new(config());
    world.relay.moved(Move::Follow);
    world.says(Side::Tenant, &super::tenant_opening(1));
    world.relay.moved(Move::Follow);
    world.says(Side::Hypervisor, &hypervisor_opening(&init(640, 480)));
    assert_eq!(world.dials.len(), 2);
    world.says(Side::Hypervisor, &hypervisor_opening(&init(640, 480)));
    assert_eq!((world.end.clone(), world.dials.len()), (None, 2));
    // A client that has set nothing is asked for nothing but its format and the picture.
    let greeting = [client(SetPixelFormat::new(PixelFormat::RGB888)), full_request(640, 480)].concat();
    assert_eq!(told(&mut world), greeting);
}

/// The new server's name is asked about before the tenant sees anything of it; a wrong one ends the connection.
#[test]
fn another_guest_behind_a_move() {
    let named = |name: &'static str| ServerInit {
        name: Bytes::from_static(name.as_bytes()),
        ..init(640, 480)
    };
    for size in [1, 1000] {
        let mut world = World::open(config());
        asks(&mut world, &[Encoding::RAW]);
        world.other = Some(Bytes::from_static(b"QEMU (other)"));
        world.moves_to(&named("QEMU (own)"));
        assert_eq!((world.names.len(), world.end.clone()), (1, None));
        world.take_tenant();
        world.relay.moved(Move::Follow);
        world.run();
        let picture = update(Encoding::RAW, (2, 1), &[2; 8]);
        let opening = [hypervisor_opening(&named("QEMU (other)")), picture].concat();
        world.says_in_pieces(Side::Hypervisor, &opening, size);
        assert_eq!(world.names, [&b"QEMU (own)"[..], b"QEMU (other)"]);
        assert_eq!(world.end, Some(End::NotFollowed(Box::new(NotFollowed::OtherGuest))));
        assert_eq!(world.take_tenant(), b"");
        assert_eq!(world.relay.accept_name(), Err(Misuse::NotAsked));
    }
}
