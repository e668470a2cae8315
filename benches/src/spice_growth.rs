//! How the cost of spice-proto grows: with sessions, and with bytes in a body.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::display::{ServerMessage, StreamData};
use spice_proto::frame::{FrameReader, HeaderForm, Writer};

use crate::growth::Curve;
use crate::{keep, mix, sessions};

const SESSIONS: &[u32] = &[1, 10, 100, 1000, 10_000];
const BODIES: &[u32] = &[16, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Every curve of spice-proto.
pub const CURVES: &[Curve] = &[
    Curve {
        name: "spice-proto: sessions of ten channels begin and end",
        unit: "sessions",
        amounts: SESSIONS,
        prepare: sessions::many,
    },
    Curve {
        name: "spice-proto: body written, taken off a buffer and decoded",
        unit: "bytes",
        amounts: BODIES,
        prepare: written_and_decoded,
    },
    Curve {
        name: "spice-proto: body relayed in a session, reads of 64 KiB",
        unit: "bytes",
        amounts: BODIES,
        prepare: relayed,
    },
];

/// With a body of this size.
fn message(size: u32) -> ServerMessage {
    ServerMessage::StreamData(StreamData {
        id: 1,
        multi_media_time: 2,
        data: vec![7; size as usize - 12].into(),
    })
}

fn written_and_decoded(size: u32) -> Box<dyn FnMut()> {
    let message = message(size);
    let mut reader = FrameReader::new(HeaderForm::Mini, &Limits::default());
    let (mut writer, mut rx) = (Writer::new(HeaderForm::Mini), BytesMut::new());
    Box::new(move || {
        writer.write(&message, &mut rx).unwrap();
        let frame = reader.decode(&mut rx).unwrap().expect("it is whole");
        keep(&ServerMessage::decode(&frame).unwrap());
    })
}

fn relayed(size: u32) -> Box<dyn FnMut()> {
    let mut bytes = BytesMut::new();
    Writer::new(HeaderForm::Mini).write(&message(size), &mut bytes).unwrap();
    let mut relay = mix::display_relay();
    Box::new(move || relay(&bytes))
}
