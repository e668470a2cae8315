//! Bytes a second through the frame layer, and messages.

use benches::frames::{MAIN_CHANNEL, MAIN_CHANNEL_AT, small_frames};
use benches::messages::{RECORDED, decode, encode};
use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use spice_proto::Limits;
use spice_proto::frame::{FrameDecision, FrameForwarder, FrameReader, HeaderForm};
use spice_proto::ids::ChannelType;

fn frames(c: &mut Criterion) {
    let limits = Limits::default();
    for (name, bytes) in [
        ("small", small_frames()),
        ("main channel", MAIN_CHANNEL[MAIN_CHANNEL_AT..].to_vec()),
    ] {
        let mut group = c.benchmark_group(format!("spice frames, {name}"));
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let splitter = FrameReader::new(HeaderForm::Mini, &limits);
        group.bench_function("borrowed", |b| b.iter(|| splitter.frames(&bytes).count()));
        for (name, to) in [
            ("passed on", HeaderForm::Mini),
            ("bridged to full headers", HeaderForm::Full),
        ] {
            let mut forwarder = FrameForwarder::new(ChannelType::MAIN, HeaderForm::Mini, to, &limits);
            let (mut rx, mut tx) = (BytesMut::new(), BytesMut::new());
            group.bench_function(name, |b| {
                b.iter(|| {
                    tx.clear();
                    rx.extend_from_slice(&bytes);
                    forwarder.forward(&mut rx, &mut tx, |_| FrameDecision::Forward).unwrap();
                });
            });
        }
    }
    let mut group = c.benchmark_group("spice messages, recorded");
    group.throughput(Throughput::Elements(RECORDED.into()));
    for (name, prepare) in [("decoded", decode as fn() -> Box<dyn FnMut()>), ("encoded", encode)] {
        let mut operation = prepare();
        group.bench_function(name, |b| b.iter(&mut operation));
    }
}

criterion_group!(benches, frames);
criterion_main!(benches);
