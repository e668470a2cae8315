//! How the cost of spice-proto grows: with sessions, and with bytes in a body.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::channel::display::{ServerMessage, StreamData};
use spice_proto::frame::{FrameReader, HeaderForm, Writer};

use crate::{keep, mix, sessions};

/// An operation that can be done over more or less.
pub struct Curve {
    /// What is done with how many of what.
    pub name: &'static str,
    /// Amounts, growing.
    pub amounts: &'static [u32],
    /// Prepares the operation for an amount.
    pub prepare: fn(u32) -> Box<dyn FnMut()>,
}

const SESSIONS: &[u32] = &[1, 10, 100, 1000, 10_000];
const BODIES: &[u32] = &[16, 256, 4 << 10, 64 << 10, 1 << 20, 16 << 20];

/// Every curve of spice-proto.
pub const CURVES: &[Curve] = &[
    Curve {
        name: "sessions of ten channels begin and end, by sessions",
        amounts: SESSIONS,
        prepare: sessions::many,
    },
    Curve {
        name: "a body written, taken off a buffer and decoded, by bytes",
        amounts: BODIES,
        prepare: written_and_decoded,
    },
    Curve {
        name: "a body relayed in a session in reads of 64 KiB, by bytes",
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

/// The slope on a log-log scale, by least squares: 1 is linear, 2 quadratic.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (sum_x, sum_y) = logs.iter().fold((0.0, 0.0), |(x, y), log| (x + log.0, y + log.1));
    let (x, y) = (sum_x / count, sum_y / count);
    let covariance: f64 = logs.iter().map(|log| (log.0 - x) * (log.1 - y)).sum();
    let variance: f64 = logs.iter().map(|log| (log.0 - x).powi(2)).sum();
    covariance / variance
}
