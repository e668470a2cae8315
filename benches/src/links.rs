//! The link stage.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::caps::Capabilities;
use spice_proto::link::relay::{self, RelayAction, Upstream};
use spice_proto::link::server::{Announcement, ServerQuestion};
use spice_proto::link::{Key, LinkMess, LinkReply, RelayConfig, RelayLink, SealedTicket, Secret, SideBuffers};

use crate::keep;

/// A main channel's link from spicy to QEMU, as the tests have it.
pub const MAIN_CHANNEL_C2S: &[u8] =
    include_bytes!("../../spice-proto/tests/data/captures/spice-agent-filexfer-clipboard/00.c2s.bin");
/// Where its data stage begins.
pub const MAIN_CHANNEL_C2S_AT: usize = 174;
/// What QEMU answered.
pub const MAIN_CHANNEL_S2C: &[u8] =
    include_bytes!("../../spice-proto/tests/data/captures/spice-agent-filexfer-clipboard/00.s2c.bin");
const NOW: Duration = Duration::ZERO;

fn bytes_from(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed;
    move |out: &mut [u8]| {
        for byte in out {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 32) as u8;
        }
    }
}

/// One key for all runs: making one is not what is measured.
pub fn key() -> &'static Key {
    static KEY: OnceLock<Key> = OnceLock::new();
    KEY.get_or_init(|| Key::generate(&mut bytes_from(0x9e37_79b9_7f4a_7c15)).unwrap())
}

fn ticket() -> SealedTicket {
    key()
        .public()
        .seal(b"a-token-of-the-length-that-they-really-have", [7; 20])
        .unwrap()
}

/// What a tenant sends up to its ticket.
fn tenant_bytes() -> Vec<u8> {
    let mut bytes = MAIN_CHANNEL_C2S[..46].to_vec();
    bytes.extend(ticket().0);
    bytes
}

/// One relayed link with recorded peers, the tenant's ticket opened. Without RSA, only the tenant's half.
///
/// The hypervisor's half cannot be had without sealing its ticket: the cost of a link without RSA is that of
/// the whole less one sealing and one opening.
pub fn relay(whole: bool) -> Box<dyn FnMut()> {
    let tenant = tenant_bytes();
    let shown = Capabilities::spice_server(spice_proto::ids::ChannelType::MAIN);
    let public = key().public();
    let (mut sides, limits) = (SideBuffers::default(), Limits::default());
    Box::new(move || {
        for buffers in [&mut sides.tenant, &mut sides.hypervisor] {
            buffers.tx.clear();
            buffers.rx.clear();
        }
        sides.tenant.rx.extend_from_slice(&tenant);
        let mut relay = RelayLink::new(NOW, RelayConfig::default().with_limits(limits.clone()));
        loop {
            match relay.step(NOW, &mut sides).unwrap() {
                RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Link(_))) => {
                    let shown = Announcement {
                        public_key: public,
                        capabilities: shown.clone(),
                    };
                    relay.tenant().announce(&mut sides.tenant, shown).unwrap();
                }
                RelayAction::Ask(relay::RelayQuestion::Tenant(ServerQuestion::Ticket { sealed, .. })) if whole => {
                    let token = key().open(&sealed, &mut bytes_from(5)).unwrap();
                    assert!(token.expose().starts_with(b"a-token"));
                    sides.hypervisor.rx.extend_from_slice(&MAIN_CHANNEL_S2C[..206]);
                    let upstream = Upstream {
                        ticket: Secret::new(b"Pa55-w0rd"),
                        oaep_seed: [9; 20],
                    };
                    relay.admit(&mut sides, upstream).unwrap();
                }
                RelayAction::Ask(relay::RelayQuestion::Tenant(question @ ServerQuestion::Ticket { .. })) => {
                    keep(question);
                    break;
                }
                RelayAction::Done(outcome) => {
                    keep(outcome);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    })
}

pub fn seal() -> Box<dyn FnMut()> {
    let public = key().public();
    Box::new(move || keep(public.seal(b"Pa55-w0rd", [9; 20]).unwrap()))
}

pub fn open() -> Box<dyn FnMut()> {
    let sealed = ticket();
    Box::new(move || keep(key().open(&sealed, &mut bytes_from(5)).unwrap()))
}

pub(crate) fn decode_mess() -> Box<dyn FnMut()> {
    let limits = Limits::default();
    Box::new(move || keep(LinkMess::decode_slice(std::hint::black_box(&MAIN_CHANNEL_C2S[16..42]), &limits).unwrap()))
}

pub(crate) fn decode_reply() -> Box<dyn FnMut()> {
    let limits = Limits::default();
    let mut again = BytesMut::new();
    LinkReply::decode_slice(&MAIN_CHANNEL_S2C[16..202], &limits)
        .unwrap()
        .encode(&mut again)
        .unwrap();
    assert_eq!(again, &MAIN_CHANNEL_S2C[..202]);
    Box::new(move || keep(LinkReply::decode_slice(std::hint::black_box(&MAIN_CHANNEL_S2C[16..202]), &limits).unwrap()))
}
