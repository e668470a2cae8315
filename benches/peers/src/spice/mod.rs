//! SPICE beside shakenfist-spice-protocol and spice-client.

mod borrowed;
mod by_spice_client;
mod decode;
mod frames;
mod links;
mod theirs;

use benches::mix::MixedFrame;
use spice_proto::frame::{Header, HeaderForm};

use crate::contest::Contest;

const SHAKENFIST: &str = "shakenfist-spice-protocol";
const SPICE_CLIENT: &str = "spice-client";

pub fn contests() -> Vec<Contest> {
    let mut contests = decode::contests();
    contests.extend(by_spice_client::contests());
    contests.extend(frames::contests());
    contests.extend(links::contests());
    contests
}

/// A sample: what it is called, and its messages.
struct Sample {
    name: &'static str,
    frames: Vec<MixedFrame>,
}

/// The recorded messages of four channels, and the drawn mix.
fn samples() -> [Sample; 2] {
    let recorded = benches::messages::recorded().into_iter().flat_map(|stream| {
        let (channel, from_server) = (stream.channel, stream.from_server);
        stream.frames.into_iter().map(move |frame| MixedFrame {
            channel,
            from_server,
            frame,
        })
    });
    [
        Sample {
            name: "recorded",
            frames: recorded.collect(),
        },
        Sample {
            name: "mix",
            frames: benches::mix::mixed_frames(),
        },
    ]
}

/// Bytes of all bodies.
fn bodies(frames: &[MixedFrame]) -> usize {
    frames.iter().map(|mixed| mixed.frame.body.len()).sum()
}

/// The frames as a stream.
fn stream(frames: &[MixedFrame], form: HeaderForm) -> Vec<u8> {
    let mut bytes = bytes::BytesMut::new();
    for (serial, mixed) in (1..).zip(frames) {
        let header = Header {
            serial,
            ..mixed.frame.header
        };
        header.write(form, &mut bytes);
        bytes.extend_from_slice(&mixed.frame.body);
    }
    bytes.to_vec()
}
