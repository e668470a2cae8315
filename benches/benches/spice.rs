//! spice-proto: bytes and messages a second, by operation, size of a message and sample.
//!
//! Groups are named `spice-proto/operation`, and what they are measured on `mix` (drawn), `recorded` (real programs), or
//! the bytes of a body. A frame has a mini header.

use benches::{messages, mix};
use bytes::BytesMut;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime};
use spice_proto::Limits;
use spice_proto::channel::ServerMessage;
use spice_proto::channel::display::{self, StreamData};
use spice_proto::frame::{Frame, FrameDecision, FrameForwarder, FrameReader, HeaderForm, Writer};
use spice_proto::ids::ChannelType;

type Group<'a> = BenchmarkGroup<'a, WallTime>;
type Prepare = fn() -> Box<dyn FnMut()>;

/// Bytes of a body.
const SIZES: [usize; 8] = [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10];
/// Bytes of a stream, at least.
const STREAM: usize = 1 << 20;

fn message(size: usize) -> ServerMessage {
    ServerMessage::Display(display::ServerMessage::StreamData(StreamData {
        id: 1,
        multi_media_time: 2,
        data: vec![7; size.saturating_sub(12)].into(),
    }))
}

/// A stream of such messages, and how many.
fn stream(size: usize) -> (BytesMut, u64) {
    let (mut writer, mut bytes, mut count) = (Writer::new(HeaderForm::Mini), BytesMut::new(), 0);
    while bytes.len() < STREAM {
        writer.write(&message(size), &mut bytes).unwrap();
        count += 1;
    }
    (bytes, count)
}

/// A group in which an operation is done on streams of each size.
fn by_size(c: &mut Criterion, operation: &str, run: impl Fn(&mut Group<'_>, &str, &BytesMut)) {
    let mut group = c.benchmark_group(format!("spice-proto/{operation}"));
    for size in SIZES {
        let (bytes, elements) = stream(size);
        group.throughput(Throughput::ElementsAndBytes {
            elements,
            bytes: bytes.len() as u64,
        });
        run(&mut group, &format!("{size} B"), &bytes);
    }
}

fn frames(c: &mut Criterion) {
    let limits = Limits::default();
    by_size(c, "frames looked at", |group, sample, bytes| {
        let reader = FrameReader::new(HeaderForm::Mini, &limits);
        group.bench_function(sample, |b| b.iter(|| reader.frames(bytes).count()));
    });
    by_size(c, "frames split off", |group, sample, bytes| {
        let (mut reader, mut rx) = (FrameReader::new(HeaderForm::Mini, &limits), BytesMut::new());
        group.bench_function(sample, |b| {
            b.iter(|| {
                rx.extend_from_slice(bytes);
                reader.split(&mut rx).unwrap().count()
            });
        });
    });
    for (operation, to) in [
        ("frames forwarded", HeaderForm::Mini),
        ("frames forwarded as full", HeaderForm::Full),
    ] {
        by_size(c, operation, |group, sample, bytes| {
            let mut forwarder = FrameForwarder::new(ChannelType::DISPLAY, HeaderForm::Mini, to, &limits);
            let (mut rx, mut tx) = (BytesMut::new(), BytesMut::new());
            group.bench_function(sample, |b| {
                b.iter(|| {
                    tx.clear();
                    rx.extend_from_slice(bytes);
                    forwarder.forward(&mut rx, &mut tx, |_| FrameDecision::Forward).unwrap();
                });
            });
        });
    }
    by_size(c, "relayed in a session", |group, sample, bytes| {
        let mut relay = mix::display_relay();
        group.bench_function(sample, |b| b.iter(|| relay(bytes)));
    });
}

fn decoded(c: &mut Criterion) {
    by_size(c, "decoded", |group, sample, bytes| {
        let mut reader = FrameReader::new(HeaderForm::Mini, &Limits::default());
        let frames: Vec<Frame> = reader.split(&mut bytes.clone()).unwrap().collect();
        group.bench_function(sample, |b| {
            b.iter(|| {
                for frame in &frames {
                    std::hint::black_box(ServerMessage::decode(ChannelType::DISPLAY, frame).unwrap());
                }
            });
        });
    });
    by_size(c, "written", |group, sample, bytes| {
        let mut reader = FrameReader::new(HeaderForm::Mini, &Limits::default());
        let frames = reader.split(&mut bytes.clone()).unwrap();
        let decode = |frame| ServerMessage::decode(ChannelType::DISPLAY, &frame).unwrap();
        let messages: Vec<ServerMessage> = frames.map(decode).collect();
        let (mut writer, mut tx) = (Writer::new(HeaderForm::Mini), BytesMut::new());
        group.bench_function(sample, |b| {
            b.iter(|| {
                tx.clear();
                for message in &messages {
                    writer.write(message, &mut tx).unwrap();
                }
            });
        });
    });
}

/// What is drawn and what was recorded: the same operations as those whose instructions are counted.
fn samples(c: &mut Criterion) {
    let (mix_bytes, recorded_bytes) = (mix::stream_len() as u64, messages::bodies() as u64);
    let (mix, recorded) = (u64::from(mix::MESSAGES), u64::from(messages::RECORDED));
    let operations: [(&str, &str, Prepare, u64, u64); 7] = [
        ("decoded", "mix", mix::any_channel, mix, mix_bytes),
        ("decoded, set of its channel", "mix", mix::own_set, mix, mix_bytes),
        ("walked by hand", "mix", mix::walked, mix, mix_bytes),
        ("written", "mix", mix::written, mix, mix_bytes),
        ("written by hand", "mix", mix::written_by_hand, mix, mix_bytes),
        (
            "decoded, set of its channel",
            "recorded",
            messages::decode,
            recorded,
            recorded_bytes,
        ),
        ("encoded", "recorded", messages::encode, recorded, recorded_bytes),
    ];
    for (operation, sample, prepare, elements, bytes) in operations {
        let mut group = c.benchmark_group(format!("spice-proto/{operation}"));
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        let mut run = prepare();
        group.bench_function(sample, |b| b.iter(&mut run));
    }
    let mut group = c.benchmark_group("spice-proto/relayed in a session");
    group.throughput(Throughput::ElementsAndBytes {
        elements: mix,
        bytes: mix::main_channel_len() as u64,
    });
    let mut run = mix::main_channel();
    group.bench_function("mix of a main channel", |b| b.iter(&mut run));
}

criterion_group!(benches, frames, decoded, samples);
criterion_main!(benches);
