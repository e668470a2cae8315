//! A guest that moves to a hypervisor whose log-in asks for a layer: the answers, and what has no answer.

use core::time::Duration;
use std::sync::{Arc, LazyLock};

use rfb_proto::handshake::bridge::{BridgeQuestion, Upstream};
use rfb_proto::handshake::server::{ClientCredentials, ServerQuestion};
use rfb_proto::handshake::{self, Buffers, Machine as _, Misuse, Refusal, ServerConfig, ServerHandshake, Side};
use rfb_proto::security::rsa_aes::{Key, Layer, Pin};
use rfb_proto::security::{SecurityType, Seed};
use rfb_proto::session::relay::{Action, End, Move, NotFollowed, SessionQuestion};

use super::{World, config, init};
use crate::chain::{self, OWN_PASSWORD, OWN_USER};
use crate::logins::{SERVER, answer_client};

const NOW: Duration = Duration::ZERO;

static KEY: LazyLock<Arc<Key>> = LazyLock::new(|| Key::generate(1024, &Seed::new([3; 32])).unwrap().into());

fn upstream() -> Upstream {
    let pin = Pin::Key(SERVER.key.public().clone());
    chain::upstream(OWN_USER, OWN_PASSWORD)
        .with_seed(Seed::new([0x53; 32]))
        .with_rsa_aes(KEY.clone(), pin)
}

/// The new hypervisor.
struct Server {
    machine: ServerHandshake,
    buffers: Buffers,
    layer: Option<Layer>,
    done: bool,
}

impl Server {
    fn step(&mut self) {
        loop {
            match self.machine.step(NOW, &mut self.buffers).unwrap() {
                handshake::Action::Ask(ServerQuestion::Admit(ClientCredentials::Plain(shown))) => {
                    assert_eq!(shown.password.expose(), OWN_PASSWORD);
                    self.machine.accept(&mut self.buffers).unwrap();
                }
                handshake::Action::Ask(ServerQuestion::Init(_)) => {
                    self.machine.init(&mut self.buffers, &init(640, 480)).unwrap();
                }
                handshake::Action::Ask(question) => {
                    let keys = answer_client(&mut self.machine, &mut self.buffers, question, &SERVER).unwrap();
                    if let Some(keys) = keys {
                        self.layer = Some(Layer::new(keys));
                        self.machine.layered().unwrap();
                        return;
                    }
                }
                handshake::Action::Done(_) => {
                    self.done = true;
                    return;
                }
                _ => return,
            }
        }
    }
}

/// A relay that has asked for the layer of the hypervisor that its guest has moved to.
fn moved() -> (World, Server, BridgeQuestion) {
    let mut config = config();
    config.bridge = config
        .bridge
        .with_hypervisor_types(&[SecurityType::VNC, SecurityType::RA2]);
    let mut world = World::open(config);
    world.relay.moved(Move::Follow);
    let mut server = Server {
        machine: ServerHandshake::new(NOW, ServerConfig::new(&[SecurityType::RA2])),
        buffers: Buffers::default(),
        layer: None,
        done: false,
    };
    for _ in 0..100 {
        match world.relay.step(NOW, &mut world.sides) {
            Action::Ask(SessionQuestion::Dial(_)) => world.relay.dialled(NOW, upstream()).unwrap(),
            Action::Ask(SessionQuestion::Tenant(question)) => return (world, server, question),
            Action::Hangup => {}
            Action::Receive { .. } => {
                server.buffers.rx.unsplit(world.sides.hypervisor.tx.split());
                server.step();
                if server.layer.is_none() {
                    world.sides.hypervisor.rx.unsplit(server.buffers.tx.split());
                }
            }
            action => panic!("{action:?}"),
        }
    }
    panic!("it does not ask");
}

#[test]
fn the_layer_begins_and_the_tenant_stays() {
    let (mut world, mut server, question) = moved();
    let BridgeQuestion::RsaAesLayer { side, keys } = question else {
        panic!("{question:?}");
    };
    assert_eq!(side, Side::Hypervisor);
    // Nothing else was asked, and nothing has ended.
    let World { relay, sides, .. } = &mut world;
    assert_eq!(relay.unreachable(sides), Err(Misuse::NotAsked));
    assert_eq!(relay.bridge().unwrap().admit(sides), Err(Misuse::NotAsked));
    assert!(matches!(relay.step(NOW, sides), Action::Receive { .. }));
    relay.bridge().unwrap().layered().unwrap();
    assert_eq!(relay.bridge().err(), Some(Misuse::NotAsked));
    assert_eq!(relay.refuse(sides, Refusal::Close), Err(Misuse::NotAsked));

    // What goes out in front of the layer.
    server.buffers.rx.unsplit(world.sides.hypervisor.tx.split());
    server.step();
    assert!(server.buffers.tx.is_empty());
    let (mut near, mut far) = (Layer::new(keys), server.layer.take().unwrap());
    for _ in 0..20 {
        match world.relay.step(NOW, &mut world.sides) {
            Action::Receive { .. } => {}
            Action::Ask(SessionQuestion::Name(_)) => world.relay.accept_name().unwrap(),
            action => panic!("{action:?}"),
        }
        let mut wire = bytes::BytesMut::new();
        near.seal(&mut world.sides.hypervisor.tx, &mut wire);
        far.open(&mut wire, &mut server.buffers.rx).unwrap();
        if !server.done {
            server.step();
        }
        far.seal(&mut server.buffers.tx, &mut wire);
        near.open(&mut wire, &mut world.sides.hypervisor.rx).unwrap();
    }
    // SetPixelFormat and a request for the picture.
    assert!(server.done && server.buffers.rx.len() == 30);
    assert_eq!(world.relay.server_init(), Some(&init(640, 480)));
    world.says(Side::Hypervisor, &[2]);
    assert_eq!(world.take_tenant(), [2]);
}

#[test]
fn a_layer_that_is_refused_ends_it() {
    let (mut world, ..) = moved();
    world.relay.refuse(&mut world.sides, Refusal::default()).unwrap();
    world.run();
    assert_eq!(world.end, Some(End::NotFollowed(NotFollowed::NotAnswered.into())));
}

#[test]
fn a_hypervisor_that_goes_before_its_layer_ends_it() {
    let (mut world, ..) = moved();
    world.hangs_up(Side::Hypervisor);
    assert_eq!(world.end, Some(End::NotFollowed(NotFollowed::Closed.into())));
    let (mut world, ..) = moved();
    world.hangs_up(Side::Tenant);
    assert_eq!(world.end, Some(End::Viewer));
    // The time for the log-in goes on.
    let (mut world, ..) = moved();
    let deadline = world.relay.deadline();
    assert!(deadline != Duration::MAX);
    world.passes(deadline);
    assert!(matches!(world.end, Some(End::NotFollowed(_))), "{:?}", world.end);
}
