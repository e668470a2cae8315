//! Frames and messages.

use bytes::{BufMut, Bytes, BytesMut};
use spice_proto::Limits;
use spice_proto::channel::main::Init;
use spice_proto::frame::{FrameDecision, FrameForwarder, FrameReader, Header, HeaderForm};
use spice_proto::ids::ChannelType;

use crate::keep;

/// Frames in the buffer of small ones.
pub const SMALL_FRAMES: u32 = 4_000;

/// A main channel from QEMU to spicy, as the tests have it.
pub const MAIN_CHANNEL: &[u8] =
    include_bytes!("../../spice-proto/tests/data/captures/spice-agent-filexfer-clipboard/00.s2c.bin");
/// Where its data stage begins.
pub const MAIN_CHANNEL_AT: usize = 206;

/// Less than 64 KiB of mini frames with bodies of 2 to 17 bytes, as on an inputs channel.
#[must_use]
pub fn small_frames() -> Vec<u8> {
    let mut out = BytesMut::new();
    for n in 0..SMALL_FRAMES {
        let size = 2 + n * 7 % 16;
        Header {
            serial: 0,
            number: 101 + (n % 4) as u16,
            size,
            sub_list: 0,
        }
        .write(HeaderForm::Mini, &mut out);
        out.put_bytes(n as u8, size as usize);
    }
    assert!(out.len() < 64 << 10);
    out.to_vec()
}

pub(crate) fn borrowed() -> Box<dyn FnMut()> {
    let (bytes, splitter) = (small_frames(), FrameReader::new(HeaderForm::Mini, &Limits::default()));
    Box::new(move || {
        let mut frames = splitter.frames(&bytes);
        for frame in &mut frames {
            keep(frame);
        }
        assert_eq!(frames.taken(), bytes.len());
    })
}

pub(crate) fn borrowed_with_copy() -> Box<dyn FnMut()> {
    let (bytes, splitter) = (small_frames(), FrameReader::new(HeaderForm::Mini, &Limits::default()));
    let mut rx = BytesMut::with_capacity(bytes.len());
    Box::new(move || {
        rx.clear();
        rx.extend_from_slice(&bytes);
        let mut frames = splitter.frames(&rx);
        for frame in &mut frames {
            keep(frame);
        }
        assert_eq!(frames.taken(), bytes.len());
    })
}

pub(crate) fn owned() -> Box<dyn FnMut()> {
    let (bytes, mut splitter) = (small_frames(), FrameReader::new(HeaderForm::Mini, &Limits::default()));
    let mut rx = BytesMut::with_capacity(bytes.len());
    Box::new(move || {
        rx.reserve(bytes.len());
        rx.extend_from_slice(&bytes);
        for frame in splitter.split(&mut rx).unwrap() {
            keep(frame);
        }
        assert!(rx.is_empty());
    })
}

pub(crate) fn one_by_one() -> Box<dyn FnMut()> {
    let (bytes, mut splitter) = (small_frames(), FrameReader::new(HeaderForm::Mini, &Limits::default()));
    let mut rx = BytesMut::with_capacity(bytes.len());
    Box::new(move || {
        rx.reserve(bytes.len());
        rx.extend_from_slice(&bytes);
        while let Ok(Some(frame)) = splitter.decode(&mut rx) {
            keep(frame);
        }
        assert!(rx.is_empty());
    })
}

pub(crate) fn passed() -> Box<dyn FnMut()> {
    pass(HeaderForm::Mini)
}

pub(crate) fn bridged() -> Box<dyn FnMut()> {
    pass(HeaderForm::Full)
}

fn pass(to: HeaderForm) -> Box<dyn FnMut()> {
    let bytes = small_frames();
    let mut forwarder = FrameForwarder::new(ChannelType::MAIN, HeaderForm::Mini, to, &Limits::default());
    let (mut rx, mut tx) = (BytesMut::with_capacity(bytes.len()), BytesMut::new());
    Box::new(move || {
        tx.clear();
        rx.reserve(bytes.len());
        rx.extend_from_slice(&bytes);
        forwarder
            .forward(&mut rx, &mut tx, |frame| {
                keep(frame.header.number);
                FrameDecision::Forward
            })
            .unwrap();
        assert!(rx.is_empty() && bytes.len() <= tx.len());
    })
}

fn init() -> Bytes {
    let splitter = FrameReader::new(HeaderForm::Mini, &Limits::default());
    let first = splitter.frames(&MAIN_CHANNEL[MAIN_CHANNEL_AT..]).next().unwrap();
    assert_eq!(first.header.number, 103);
    Bytes::copy_from_slice(first.body)
}

pub(crate) fn decode_init() -> Box<dyn FnMut()> {
    let body = init();
    Box::new(move || keep(Init::decode(std::hint::black_box(&body)).unwrap()))
}

pub(crate) fn encode_init() -> Box<dyn FnMut()> {
    let message = Init::decode(&init()).unwrap();
    let mut out = BytesMut::with_capacity(64);
    Box::new(move || {
        out.clear();
        std::hint::black_box(&message).encode(&mut out).unwrap();
    })
}
