//! The relay of a console, from its first byte to its last.

mod ends;
mod hostile;
#[cfg(all(feature = "rsa-aes", feature = "ard", feature = "ms-logon"))]
mod layers;
mod moves;
mod passes;
mod streams;

use core::time::Duration;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rfb_proto::handshake::bridge::{BridgeQuestion, Upstream};
use rfb_proto::handshake::server::ClientCredentials;
use rfb_proto::handshake::{BridgeConfig, Refusal, Side, SideBuffers};
use rfb_proto::message::{ClientMessage, ServerMessage};
use rfb_proto::security::SecurityType;
use rfb_proto::security::vnc::Password;
use rfb_proto::session::Relay;
use rfb_proto::session::relay::{Action, Cause, Config, Dial, End, SessionQuestion};
use rfb_proto::{PixelFormat, ServerInit};

use crate::chain::{HYPERVISOR_CHALLENGE, OWN_PASSWORD, PASSWORD, TENANT_CHALLENGE};

/// What a tenant says up to ClientInit, which is `shared`.
pub(crate) fn tenant_opening(shared: u8) -> Vec<u8> {
    let response = Password::new(PASSWORD).respond(&TENANT_CHALLENGE);
    [b"RFB 003.008\n\x02", &response[..], &[shared]].concat()
}

/// What it hears up to ServerInit.
pub(crate) fn tenant_hears(init: &ServerInit) -> Vec<u8> {
    [
        b"RFB 003.008\n\x01\x02",
        &TENANT_CHALLENGE[..],
        &[0; 4],
        &wire(|dst| init.encode(dst).unwrap()),
    ]
    .concat()
}

/// What a hypervisor says up to ServerInit.
pub(crate) fn hypervisor_opening(init: &ServerInit) -> Vec<u8> {
    [
        b"RFB 003.008\n\x01\x02",
        &HYPERVISOR_CHALLENGE[..],
        &[0; 4],
        &wire(|dst| init.encode(dst).unwrap()),
    ]
    .concat()
}

/// What it hears up to ClientInit.
pub(crate) fn hypervisor_hears(shared: u8) -> Vec<u8> {
    let response = Password::new(OWN_PASSWORD).respond(&HYPERVISOR_CHALLENGE);
    [b"RFB 003.008\n\x02", &response[..], &[shared]].concat()
}

pub(crate) fn init(width: u16, height: u16) -> ServerInit {
    ServerInit {
        width,
        height,
        format: PixelFormat::RGB888,
        name: Bytes::from_static(b"console"),
    }
}

pub(crate) fn wire(encode: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut dst = BytesMut::new();
    encode(&mut dst);
    dst.into()
}

pub(crate) fn client(message: impl Into<ClientMessage>) -> Vec<u8> {
    wire(|dst| message.into().encode(dst).unwrap())
}

pub(crate) fn server(message: impl Into<ServerMessage>) -> Vec<u8> {
    wire(|dst| message.into().encode(dst).unwrap())
}

pub(crate) fn config() -> Config {
    let bridge = BridgeConfig::default().with_hypervisor_types(&[SecurityType::VNC]);
    Config::new(bridge)
}

pub(crate) fn upstream() -> Upstream {
    Upstream::default().with_password(Password::new(OWN_PASSWORD))
}

/// A relay whose questions are answered at once, and what it says.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) sides: SideBuffers,
    pub(crate) now: Duration,
    /// Bytes to the tenant.
    pub(crate) tenant: Vec<u8>,
    /// Bytes to each hypervisor, the last one that of now.
    pub(crate) hypervisors: Vec<Vec<u8>>,
    pub(crate) dials: Vec<Dial>,
    /// Whether hypervisors are reached.
    pub(crate) reached: bool,
    /// Whether what is to be sent is taken.
    pub(crate) takes: [bool; 2],
    /// What is read.
    pub(crate) reads: (bool, bool),
    pub(crate) end: Option<End>,
    /// The names of desktops that were asked about.
    pub(crate) names: Vec<Bytes>,
    /// The one that is another guest's.
    pub(crate) other: Option<Bytes>,
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        let now = Duration::ZERO;
        let mut world = Self {
            relay: Relay::new(now, Arc::new(config)),
            sides: SideBuffers::default(),
            now,
            tenant: Vec::new(),
            hypervisors: vec![Vec::new()],
            dials: Vec::new(),
            reached: true,
            takes: [true; 2],
            reads: (false, false),
            end: None,
            names: Vec::new(),
            other: None,
        };
        world.run();
        world
    }

    /// In the data stage, behind a handshake of which nothing is kept.
    pub(crate) fn open(config: Config) -> Self {
        Self::open_with(config, &init(640, 480))
    }

    pub(crate) fn open_with(config: Config, init: &ServerInit) -> Self {
        let mut world = Self::new(config);
        world.says(Side::Tenant, &tenant_opening(1));
        world.says(Side::Hypervisor, &hypervisor_opening(init));
        assert_eq!((world.end.clone(), &world.tenant), (None, &tenant_hears(init)));
        world.tenant.clear();
        world.heard().clear();
        world
    }

    /// Bytes to the hypervisor of now.
    pub(crate) fn heard(&mut self) -> &mut Vec<u8> {
        self.hypervisors.last_mut().unwrap()
    }

    /// Takes what the tenant heard.
    pub(crate) fn take_tenant(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.tenant)
    }

    pub(crate) fn take_heard(&mut self) -> Vec<u8> {
        core::mem::take(self.heard())
    }

    pub(crate) fn says(&mut self, side: Side, bytes: &[u8]) {
        self.sides.side(side).rx.extend_from_slice(bytes);
        self.run();
    }

    pub(crate) fn says_in_pieces(&mut self, side: Side, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.says(side, piece);
        }
    }

    pub(crate) fn hangs_up(&mut self, side: Side) {
        self.relay.eof(&mut self.sides, side);
        self.run();
    }

    pub(crate) fn passes(&mut self, time: Duration) {
        self.now += time;
        self.run();
    }

    /// Takes what is to be sent. `true`: there was something.
    fn flush(&mut self) -> bool {
        let mut moved = false;
        for (side, takes) in [Side::Tenant, Side::Hypervisor].into_iter().zip(self.takes) {
            let tx = &mut self.sides.side(side).tx;
            if takes && !tx.is_empty() {
                moved = true;
                let bytes = tx.split();
                match side {
                    Side::Tenant => self.tenant.extend_from_slice(&bytes),
                    Side::Hypervisor => self.heard().extend_from_slice(&bytes),
                }
            }
        }
        moved
    }

    pub(crate) fn run(&mut self) {
        for turn in 0.. {
            assert!(turn < 100_000, "it goes round in circles");
            let action = self.relay.step(self.now, &mut self.sides);
            let moved = self.flush();
            match action {
                Action::Receive { tenant, hypervisor } => {
                    self.reads = (tenant, hypervisor);
                    if !moved {
                        return;
                    }
                }
                Action::Ask(question) => self.answer(question),
                Action::Hangup => {
                    assert_eq!(self.sides.hypervisor.rx, b""[..]);
                    self.hypervisors.push(Vec::new());
                }
                Action::Done(end) => {
                    assert!(self.end.is_none() || self.end == Some(end.clone()));
                    self.end = Some(end);
                    return;
                }
                Action::StartTls { .. } => panic!("{action:?}"),
            }
        }
    }

    fn answer(&mut self, question: SessionQuestion) {
        let sides = &mut self.sides;
        match question {
            SessionQuestion::Tenant(BridgeQuestion::Challenge) => {
                self.relay.bridge().unwrap().challenge(sides, TENANT_CHALLENGE).unwrap();
            }
            SessionQuestion::Tenant(BridgeQuestion::Admit(shown)) => match shown {
                ClientCredentials::Vnc { challenge, response }
                    if Password::new(PASSWORD).verify(&challenge, &response) =>
                {
                    self.relay.bridge().unwrap().admit(sides).unwrap();
                }
                ClientCredentials::None => self.relay.bridge().unwrap().admit(sides).unwrap(),
                _ => self.relay.refuse(sides, Refusal::default()).unwrap(),
            },
            SessionQuestion::Dial(dial) => {
                self.dials.push(dial);
                match self.reached {
                    true => self.relay.dialled(self.now, upstream()).unwrap(),
                    false => self.relay.unreachable(sides).unwrap(),
                }
            }
            SessionQuestion::Name(name) => {
                let answered = match Some(&name) == self.other.as_ref() {
                    true => self.relay.refuse_name(),
                    false => self.relay.accept_name(),
                };
                answered.unwrap();
                self.names.push(name);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Follows a move to a hypervisor that shows this.
    pub(crate) fn moves_to(&mut self, init: &ServerInit) {
        self.relay.moved(rfb_proto::session::relay::Move::Follow);
        self.run();
        let last = self.dials.last().copied().unwrap();
        assert_eq!(last.cause, Cause::Moved);
        self.says(Side::Hypervisor, &hypervisor_opening(init));
    }
}
