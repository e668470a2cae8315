//! A console's relay in its data stage: the streams of [`rfb_framing`] and of [`rfb`], through the whole
//! relay. What went through comes in again, without a copy: so nothing but the relay is counted.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rfb_proto::filter::Filter;
use rfb_proto::handshake::bridge::{BridgeQuestion, Upstream};
use rfb_proto::handshake::{BridgeConfig, SideBuffers};
use rfb_proto::security::SecurityType;
use rfb_proto::session::Relay;
use rfb_proto::session::relay::{Action, Config, SessionQuestion};
use rfb_proto::{PixelFormat, ServerInit};

use crate::{rfb, rfb_framing};

const NOW: Duration = Duration::ZERO;

/// A relay whose both sides are in.
fn open() -> (Relay, SideBuffers) {
    let none = [SecurityType::NONE];
    let bridge = BridgeConfig::default()
        .with_tenant_types(&none)
        .with_hypervisor_types(&none);
    let config = Config::new(bridge).with_filter(Filter::default());
    let (mut relay, mut sides) = (Relay::new(NOW, Arc::new(config)), SideBuffers::default());
    sides.tenant.rx.extend_from_slice(b"RFB 003.008\n\x01\x01");
    let (width, height, format) = (640, 480, PixelFormat::RGB888);
    let name = Default::default();
    let init = ServerInit {
        width,
        height,
        format,
        name,
    };
    loop {
        match relay.step(NOW, &mut sides) {
            Action::Ask(SessionQuestion::Tenant(BridgeQuestion::Admit(_))) => {
                relay.bridge().unwrap().admit(&mut sides).unwrap();
            }
            Action::Ask(SessionQuestion::Dial(_)) => {
                relay.dialled(NOW, Upstream::default()).unwrap();
                sides.hypervisor.rx.extend_from_slice(b"RFB 003.008\n\x01\x01\0\0\0\0");
                init.encode(&mut sides.hypervisor.rx).unwrap();
            }
            Action::Receive { .. } if relay.server_init().is_some() => break,
            Action::Receive { .. } => {}
            action => panic!("{action:?}"),
        }
    }
    sides.tenant.tx.clear();
    sides.hypervisor.tx.clear();
    (relay, sides)
}

/// Sends what a server says through it over and over.
fn down(stream: &[u8]) -> Box<dyn FnMut()> {
    let (mut relay, mut sides) = open();
    sides.hypervisor.rx = BytesMut::from(stream);
    let length = stream.len();
    Box::new(move || {
        relay.step(NOW, &mut sides);
        assert!(sides.tenant.tx.len() == length);
        sides.hypervisor.rx = std::mem::take(&mut sides.tenant.tx);
    })
}

/// Pixels.
pub fn raw() -> Box<dyn FnMut()> {
    down(&rfb_framing::raw_stream())
}

/// The same in short updates.
pub fn short_raw() -> Box<dyn FnMut()> {
    down(&rfb_framing::short_raw_stream())
}

/// One colour; JPEG; pixels, deflated; and indexes, deflated.
pub fn tight() -> Box<dyn FnMut()> {
    down(&rfb_framing::tight_stream())
}

/// Messages of a client.
pub fn client() -> Box<dyn FnMut()> {
    let (mut relay, mut sides) = open();
    let stream = rfb::mix();
    sides.tenant.rx = BytesMut::from(&stream[..]);
    Box::new(move || {
        relay.step(NOW, &mut sides);
        assert!(sides.hypervisor.tx.len() == stream.len());
        sides.tenant.rx = std::mem::take(&mut sides.hypervisor.tx);
    })
}
