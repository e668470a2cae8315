//! A server's stream, taken apart. Every part is handed out; every payload lies in the buffer as a whole.

use rfb_proto::framing::{Part, ServerFramer};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::keep;

/// Rectangles of an update.
pub const RECTANGLES: u32 = 1000;
/// Tiles of the Hextile rectangle.
pub const TILES: u32 = 40 * 30;

pub(crate) fn framer() -> ServerFramer {
    let (width, height, format) = (640, 480, PixelFormat::RGB888);
    let name = Default::default();
    ServerFramer::new(
        &ServerInit {
            width,
            height,
            format,
            name,
        },
        &Limits::default(),
    )
}

/// An update of rectangles of 8 by 8 with these payloads in turn.
fn update(encoding: i32, payloads: &[&[u8]]) -> Vec<u8> {
    let mut stream = vec![0, 0];
    stream.extend_from_slice(&u16::try_from(RECTANGLES).unwrap().to_be_bytes());
    for payload in payloads.iter().cycle().take(RECTANGLES as usize) {
        stream.extend_from_slice(&[0, 16, 0, 32, 0, 8, 0, 8]);
        stream.extend_from_slice(&encoding.to_be_bytes());
        stream.extend_from_slice(payload);
    }
    stream
}

/// The same rectangles in updates of four and five in turn, as many as a screen that changes here and there gives.
fn short_updates(encoding: i32, payload: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    for count in [4, 5].into_iter().cycle().take(2 * RECTANGLES as usize / 9) {
        stream.extend_from_slice(&[0, 0, 0, count]);
        for _ in 0..count {
            stream.extend_from_slice(&[0, 16, 0, 32, 0, 8, 0, 8]);
            stream.extend_from_slice(&encoding.to_be_bytes());
            stream.extend_from_slice(payload);
        }
    }
    stream
}

/// Rectangles of a stream of updates of four and five.
pub const IN_SHORT: u32 = RECTANGLES / 9 * 9;

/// Frames it over and over.
fn frame(stream: Vec<u8>, rectangles: u32) -> Box<dyn FnMut()> {
    let mut framer = framer();
    Box::new(move || {
        let mut left = &stream[..];
        let mut count = 0;
        while let Ok(Some(part)) = framer.next_part(&mut left) {
            count += u32::from(matches!(part, Part::Rectangle(_)));
            keep(part);
        }
        assert!(left.is_empty() && count == rectangles);
    })
}

/// Pixels.
pub fn raw() -> Box<dyn FnMut()> {
    frame(raw_stream(), RECTANGLES)
}

pub(crate) fn raw_stream() -> Vec<u8> {
    update(0, &[&[7; 8 * 8 * 4]])
}

/// Copies of other parts.
pub fn copy_rect() -> Box<dyn FnMut()> {
    frame(update(1, &[&[0, 1, 0, 2]]), RECTANGLES)
}

/// Both in short updates.
pub fn short_raw() -> Box<dyn FnMut()> {
    frame(short_raw_stream(), IN_SHORT)
}

pub fn short_copy_rect() -> Box<dyn FnMut()> {
    frame(short_updates(1, &[0, 1, 0, 2]), IN_SHORT)
}

pub(crate) fn short_raw_stream() -> Vec<u8> {
    short_updates(0, &[7; 8 * 8 * 4])
}

/// Deflated tiles.
pub fn zrle() -> Box<dyn FnMut()> {
    let mut payload = vec![0, 0, 0, 90];
    payload.resize(94, 7);
    frame(update(16, &[&payload]), RECTANGLES)
}

/// One colour; JPEG; pixels, deflated; and indexes, deflated: as often as each other.
pub fn tight() -> Box<dyn FnMut()> {
    frame(tight_stream(), RECTANGLES)
}

pub(crate) fn tight_stream() -> Vec<u8> {
    let fill = [0x80, 1, 2, 3];
    let jpeg = [&[0x90, 0xac, 0x02][..], &[7; 300]].concat();
    let copy = [&[0x00, 0x5a][..], &[7; 90]].concat();
    let palette = [&[0x50, 1, 2][..], &[7; 9], &[0x14], &[7; 20]].concat();
    update(7, &[&fill, &jpeg, &copy, &palette])
}

/// Tiles of one rectangle: plain, with subrectangles of one colour and of many, and raw, as often as each other.
pub fn hextile() -> Box<dyn FnMut()> {
    let mut stream = vec![0, 0, 0, 1, 0, 0, 0, 0, 0x02, 0x80, 0x01, 0xe0, 0, 0, 0, 5];
    let plain = [&[2][..], &[7; 4]].concat();
    let one_colour = [&[2 | 4 | 8][..], &[7; 8], &[3], &[7; 6]].concat();
    let many = [&[8 | 16][..], &[3], &[7; 18]].concat();
    let raw = [&[1][..], &[7; 16 * 16 * 4]].concat();
    for tile in [plain, one_colour, many, raw].iter().cycle().take(TILES as usize) {
        stream.extend_from_slice(tile);
    }
    frame(stream, 1)
}
