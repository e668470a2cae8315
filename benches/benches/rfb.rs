//! rfb-proto: framing of a server's stream, a client's messages, and the session's relay.

mod groups;

use benches::{rfb, rfb_mixes as mixes};
use criterion::{Criterion, criterion_group, criterion_main};
use groups::{Sample, measure};

/// Sides of rectangles of 16 bytes to 256 KiB.
const SIDES: [(u32, &str); 5] = [
    (2, "16 B"),
    (8, "256 B"),
    (16, "1 KiB"),
    (64, "16 KiB"),
    (256, "256 KiB"),
];

/// Texts of the clipboard.
const TEXTS: [(usize, &str); 4] = [
    (16, "16 B"),
    (1 << 10, "1 KiB"),
    (16 << 10, "16 KiB"),
    (256 << 10, "256 KiB"),
];

fn server(c: &mut Criterion) {
    let sized = SIDES.map(|(side, name)| {
        let (stream, count) = mixes::squares(side);
        Sample::new(format!("Raw, {name}"), stream.len(), count, mixes::frame(stream))
    });
    measure(c, "rfb-proto/frame the server's rectangles", sized);
    let mixed = mixes::STREAMS.map(|(name, count, stream)| {
        let stream = stream();
        Sample::new(name, stream.len(), count, mixes::frame(stream))
    });
    measure(c, "rfb-proto/frame the server's rectangles", mixed);
}

fn client(c: &mut Criterion) {
    let (len, count) = (mixes::client().len(), mixes::MESSAGES);
    let sample = |run| [Sample::new("85 % of the pointer", len, count, run)];
    measure(
        c,
        "rfb-proto/frame the client's messages",
        sample(mixes::client_frames()),
    );
    measure(
        c,
        "rfb-proto/decode the client's messages",
        sample(mixes::client_messages()),
    );
    let texts = |run: fn(usize) -> Box<dyn FnMut()>| {
        TEXTS.map(|(len, name)| Sample::new(format!("ClientCutText, {name}"), len + 8, 1, run(len)))
    };
    measure(
        c,
        "rfb-proto/decode the client's messages",
        texts(mixes::cut_text_decoded),
    );
    measure(
        c,
        "rfb-proto/encode the client's messages",
        texts(mixes::cut_text_encoded),
    );
    measure(
        c,
        "rfb-proto/encode the client's messages",
        [Sample::new("PointerEvent", 6, 1, mixes::pointer_encoded())],
    );
}

fn handshake(c: &mut Criterion) {
    let sample = |run| [Sample::new("VNC authentication to ServerInit, no DES", 108, 1, run)];
    measure(c, "rfb-proto/server's handshake", sample(rfb::server(true, false)));
    let verify = [Sample::new("VNC response", 32, 1, rfb::verify())];
    measure(c, "rfb-proto/check", verify);
}

criterion_group!(benches, server, client, handshake);
criterion_main!(benches);
