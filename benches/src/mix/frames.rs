//! The mix as a stream of frames with mini headers, in reads of 64 KiB. What is done for each frame is counted on those
//! of at most 256 bytes, over and over: beside the copy of a picture it would not be seen.

use bytes::BytesMut;
use spice_proto::Limits;
use spice_proto::frame::{FrameReader, HeaderForm};

use super::{MESSAGES, Mixed, messages};
use crate::keep;

/// What is read at once.
pub(super) const READ: usize = 64 << 10;

/// Bytes of a body, at most.
const SMALL: usize = 256;

/// The stream.
pub(super) fn stream(messages: &[Mixed]) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    for mixed in messages.iter().map(Mixed::frame) {
        mixed.frame.header.write(HeaderForm::Mini, &mut bytes);
        bytes.extend_from_slice(&mixed.frame.body);
    }
    bytes.to_vec()
}

fn reader() -> FrameReader {
    FrameReader::new(HeaderForm::Mini, &Limits::default())
}

/// Gives the frames of each read to `take`.
fn read(mut take: impl FnMut(&mut BytesMut) + 'static) -> Box<dyn FnMut()> {
    let all = messages();
    let small = all.iter().filter(|message| message.frame().frame.body.len() <= SMALL);
    let small: Vec<Mixed> = small.cycle().take(MESSAGES as usize).cloned().collect();
    let (bytes, mut rx) = (stream(&small), BytesMut::new());
    Box::new(move || {
        for chunk in bytes.chunks(READ) {
            rx.reserve(READ);
            rx.extend_from_slice(chunk);
            take(&mut rx);
        }
        assert!(rx.is_empty());
    })
}

/// All whole frames of a read at once.
#[must_use]
pub fn split() -> Box<dyn FnMut()> {
    let mut reader = reader();
    read(move |rx| {
        for frame in reader.split(rx).unwrap() {
            keep(frame);
        }
    })
}

/// All whole frames of a read at once, and looked at as ranges of the one piece that they are.
#[must_use]
pub fn split_ranges() -> Box<dyn FnMut()> {
    let mut reader = reader();
    read(move |rx| {
        for frame in reader.split(rx).unwrap().frames() {
            keep(frame);
        }
    })
}

/// One after the other.
#[must_use]
pub fn one_by_one() -> Box<dyn FnMut()> {
    let mut reader = reader();
    read(move |rx| {
        while let Some(frame) = reader.decode(rx).unwrap() {
            keep(frame);
        }
    })
}

/// The limit: looked at where they lie, with the same copy into the buffer.
#[must_use]
pub fn walked_frames() -> Box<dyn FnMut()> {
    let reader = reader();
    read(move |rx| {
        let mut frames = reader.frames(rx);
        for frame in frames.by_ref() {
            keep(frame);
        }
        let taken = frames.taken();
        drop(rx.split_to(taken));
    })
}
