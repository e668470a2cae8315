//! What tests of the link stage begin with.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
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

type Source = Box<dyn FnMut(&mut [u8]) + Send>;

/// A source, and what it has given so far.
struct Drawn {
    source: Source,
    bytes: Vec<u8>,
}

/// The first bytes of [`random`] with this seed. Each is drawn once in a run: megabytes take long.
pub(crate) fn random_bytes(seed: u64, len: usize) -> Vec<u8> {
    static DRAWN: Mutex<BTreeMap<u64, Drawn>> = Mutex::new(BTreeMap::new());
    let mut all = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    let Drawn { source, bytes } = all.entry(seed).or_insert_with(|| Drawn {
        source: Box::new(random(seed)),
        bytes: Vec::new(),
    });
    let known = bytes.len();
    if known < len {
        bytes.resize(len, 0);
        source(&mut bytes[known..]);
    }
    bytes[..len].to_vec()
}

#[test]
fn random_bytes_are_those_of_random() {
    for len in [5, 0, 3, 100, 17] {
        let mut bytes = vec![0; len];
        random(0x5eed)(&mut bytes);
        assert_eq!(random_bytes(0x5eed, len), bytes);
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
