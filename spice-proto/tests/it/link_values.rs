//! What tests of the link stage begin with.

use std::time::Duration;

use spice_proto::caps::{Capabilities, CapabilityWords};
use spice_proto::ids::ChannelType;
use spice_proto::link::LinkMess;

pub(crate) const NOW: Duration = Duration::ZERO;

/// A source of bytes that is the same in every run.
pub(crate) fn random(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |out| {
        for byte in out {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 32) as u8;
        }
    }
}

pub(crate) fn request(channel_type: ChannelType, common: u32, channel: u32) -> LinkMess {
    LinkMess {
        connection_id: 0,
        channel_type,
        channel_id: 0,
        capabilities: Capabilities {
            common: CapabilityWords::word(common),
            channel: CapabilityWords::word(channel),
        },
    }
}
