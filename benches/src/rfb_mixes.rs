//! Streams of RFB that are drawn as real ones are mixed, not those that the code was made faster with; and beside each
//! the least that a program can do with it: a walk by hand over the same bytes, which checks nothing.

use std::hint::black_box;

use bytes::{BufMut as _, Bytes, BytesMut};
use rfb_proto::Limits;
use rfb_proto::framing::{ClientFramer, Part};
use rfb_proto::message::{
    ClientCutText, ClientMessage, ClientMessages, Extensions, FramebufferUpdateRequest, KeyEvent, PointerEvent,
    SetEncodings,
};

use crate::draw::Draw;
use crate::rfb_framing::framer;
use crate::{Case, keep};

/// Rectangles of each stream.
const RECTANGLES: u32 = 900;
/// Tiles of the Hextile rectangles.
const TILES: u32 = 1200;
/// Messages of the client.
pub const MESSAGES: u32 = 1000;
/// Bytes of a pixel.
const PIXEL: usize = 4;

/// What is counted here.
pub(crate) const CASES: &[Case] = &[
    Case::new(
        "rfb: mixed Raw rectangle, updates of 1 to 8, framed",
        20,
        RECTANGLES,
        || frame(updates(&[raw])),
    ),
    Case::new(
        "rfb: mixed Raw rectangle, headers read by hand (the limit)",
        20,
        RECTANGLES,
        || by_hand(updates(&[raw])),
    ),
    Case::new(
        "rfb: mixed CopyRect rectangle, updates of 1 to 8, framed",
        20,
        RECTANGLES,
        || frame(updates(&[copy_rect])),
    ),
    Case::new(
        "rfb: mixed CopyRect rectangle, headers read by hand (the limit)",
        20,
        RECTANGLES,
        || by_hand(updates(&[copy_rect])),
    ),
    Case::new(
        "rfb: mixed rectangle, Raw, CopyRect, ZRLE or Tight, updates of 1 to 8, framed",
        20,
        RECTANGLES,
        || frame(updates(&[raw, copy_rect, zrle, tight])),
    ),
    Case::new(
        "rfb: mixed Hextile tile, rectangles of 2 to 200 pixels a side, framed",
        20,
        TILES,
        || frame(hextile()),
    ),
    Case::new(
        "rfb: mixed Hextile tile, masks read by hand (the limit)",
        20,
        TILES,
        || hextile_by_hand(hextile()),
    ),
    Case::new(
        "rfb: mixed client message, 85 % of the pointer, framed",
        20,
        MESSAGES,
        client_frames,
    ),
    Case::new(
        "rfb: mixed client message, decoded in place",
        20,
        MESSAGES,
        client_messages,
    ),
    Case::new(
        "rfb: mixed client message, taken off a BytesMut",
        20,
        MESSAGES,
        client_taken,
    ),
    Case::new(
        "rfb: mixed client message, read by hand (the limit)",
        20,
        MESSAGES,
        client_by_hand,
    ),
];

/// Updates of 1 to 8 rectangles of 1 to 64 pixels a side, each in one of the encodings.
fn updates(encodings: &[fn(&mut Draw, &mut Vec<u8>, usize)]) -> Vec<u8> {
    let mut draw = Draw::new(1);
    let (mut stream, mut left) = (Vec::new(), RECTANGLES);
    while left != 0 {
        let count = draw.between(1, 8).min(left);
        left -= count;
        stream.put_slice(&[0, 0, 0, count as u8]);
        for _ in 0..count {
            let (width, height) = (draw.between(1, 64), draw.between(1, 64));
            for place in [draw.between(0, 500), draw.between(0, 400), width, height] {
                stream.put_u16(place as u16);
            }
            let encoding = encodings[draw.number() as usize % encodings.len()];
            encoding(&mut draw, &mut stream, (width * height) as usize);
        }
    }
    stream
}

/// A mix: its name, how many rectangles it has, and how it is made.
pub type Stream = (&'static str, u32, fn() -> Vec<u8>);

/// The mixes.
pub const STREAMS: [Stream; 4] = [
    ("Raw, updates of 1 to 8", RECTANGLES, || updates(&[raw])),
    ("CopyRect, updates of 1 to 8", RECTANGLES, || updates(&[copy_rect])),
    ("Raw, CopyRect, ZRLE or Tight, updates of 1 to 8", RECTANGLES, || {
        updates(&[raw, copy_rect, zrle, tight])
    }),
    ("tiles of Hextile", TILES, hextile),
];

/// An update of as many squares of pixels as give a mebibyte, 1,000 at most, and how many these are.
pub fn squares(side: u32) -> (Vec<u8>, u32) {
    let area = (side * side) as usize;
    let count = ((1 << 20) / (area * PIXEL)).clamp(1, 1000) as u32;
    let (mut draw, mut stream) = (Draw::new(4), vec![0, 0]);
    stream.put_u16(count as u16);
    for _ in 0..count {
        for place in [8, 16, side, side] {
            stream.put_u16(place as u16);
        }
        raw(&mut draw, &mut stream, area);
    }
    (stream, count)
}

/// Pixels.
fn raw(draw: &mut Draw, stream: &mut Vec<u8>, area: usize) {
    stream.put_i32(0);
    stream.extend(draw.bytes(area * PIXEL));
}

fn copy_rect(draw: &mut Draw, stream: &mut Vec<u8>, _: usize) {
    stream.put_i32(1);
    stream.extend(draw.bytes(4));
}

/// Deflated: a tenth of the pixels.
fn zrle(draw: &mut Draw, stream: &mut Vec<u8>, area: usize) {
    stream.put_i32(16);
    let len = area * PIXEL / 10 + 1;
    stream.put_u32(len as u32);
    stream.extend(draw.bytes(len));
}

/// One colour, or pixels behind zlib, as often as JPEG.
fn tight(draw: &mut Draw, stream: &mut Vec<u8>, area: usize) {
    stream.put_i32(7);
    let len = area * PIXEL / 8 + 12;
    match draw.between(0, 2) {
        0 => stream.extend([0x80, 1, 2, 3]),
        1 if area * 3 < 12 => {
            stream.put_u8(0);
            stream.extend(draw.bytes(area * 3));
        }
        kind => {
            stream.put_u8(if kind == 1 { 0 } else { 0x90 });
            stream.extend([len as u8 & 0x7f | 0x80, (len >> 7) as u8]);
            stream.extend(draw.bytes(len));
        }
    }
}

/// Frames the stream over and over.
pub fn frame(stream: Vec<u8>) -> Box<dyn FnMut()> {
    let mut framer = framer();
    Box::new(move || {
        let mut left = black_box(&stream[..]);
        while let Ok(Some(part)) = framer.next_part(&mut left) {
            if let Part::Rectangle(piece) = part {
                keep(piece);
            }
        }
        assert!(left.is_empty());
    })
}

/// Headers of Raw and CopyRect rectangles, payloads skipped.
pub fn by_hand(stream: Vec<u8>) -> Box<dyn FnMut()> {
    Box::new(move || {
        let mut left = black_box(&stream[..]);
        while let [0, _, high, low, rest @ ..] = left {
            left = rest;
            for _ in 0..u16::from_be_bytes([*high, *low]) {
                let Some((head, rest)) = left.split_first_chunk::<12>() else {
                    panic!("cut");
                };
                let side = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
                let len = if head[11] == 0 { side(4) * side(6) * PIXEL } else { 4 };
                keep((head, &rest[..len]));
                left = &rest[len..];
            }
        }
        assert!(left.is_empty());
    })
}

/// Tiles in a rectangle.
fn tiles(width: u32, height: u32) -> u32 {
    width.div_ceil(16) * height.div_ceil(16)
}

/// Updates of one rectangle of 2 to 200 pixels a side: most tiles of one colour, or with some rectangles in it, a few of
/// pixels, as text gives them.
fn hextile() -> Vec<u8> {
    let mut draw = Draw::new(2);
    let (mut stream, mut left) = (Vec::new(), TILES);
    while left != 0 {
        let (mut width, mut height) = (draw.between(2, 200), draw.between(2, 200));
        if left < tiles(width, height) {
            (width, height) = (16, 16);
        }
        left -= tiles(width, height);
        stream.extend([0, 0, 0, 1]);
        for place in [8, 16, width, height] {
            stream.put_u16(place as u16);
        }
        stream.put_i32(5);
        for y in (0..height).step_by(16) {
            for x in (0..width).step_by(16) {
                tile(
                    &mut draw,
                    &mut stream,
                    ((width - x).min(16) * (height - y).min(16)) as usize,
                );
            }
        }
    }
    stream
}

fn tile(draw: &mut Draw, stream: &mut Vec<u8>, area: usize) {
    let (mask, fixed) = match draw.between(0, 99) {
        0..30 => (0, 0),
        30..55 => (2, PIXEL),
        55..75 => (2 | 4 | 8, 2 * PIXEL),
        75..85 => (4 | 8, PIXEL),
        85..96 => (8 | 16, 0),
        _ => (1, area * PIXEL),
    };
    stream.put_u8(mask);
    stream.extend(draw.bytes(fixed));
    if mask & 8 != 0 {
        let count = draw.between(1, 24) as u8;
        stream.put_u8(count);
        let each = if mask & 16 != 0 { 2 + PIXEL } else { 2 };
        stream.extend(draw.bytes(usize::from(count) * each));
    }
}

/// Masks of tiles, the rest skipped.
pub fn hextile_by_hand(stream: Vec<u8>) -> Box<dyn FnMut()> {
    Box::new(move || {
        let mut left = black_box(&stream[..]);
        while let Some((head, rest)) = left.split_first_chunk::<16>() {
            let side = |at: usize| u32::from(u16::from_be_bytes([head[at], head[at + 1]]));
            let (width, height) = (side(8), side(10));
            left = rest;
            for y in (0..height).step_by(16) {
                for x in (0..width).step_by(16) {
                    let mask = left[0];
                    let mut len = 1;
                    if mask & 1 != 0 {
                        len += ((width - x).min(16) * (height - y).min(16)) as usize * PIXEL;
                    } else {
                        len += PIXEL * (usize::from(mask >> 1 & 1) + usize::from(mask >> 2 & 1));
                        if mask & 8 != 0 {
                            let each = if mask & 16 != 0 { 2 + PIXEL } else { 2 };
                            len += 1 + usize::from(left[len]) * each;
                        }
                    }
                    left = &left[len..];
                }
            }
            keep(left.len());
        }
        assert!(left.is_empty());
    })
}

/// What a viewer sends while somebody works: the pointer 85 %, keys 8 %, requests 6 %, and what is rare.
pub fn client() -> Bytes {
    let (mut draw, mut stream) = (Draw::new(3), BytesMut::new());
    for _ in 0..MESSAGES {
        let (x, y) = (draw.between(0, 1919) as u16, draw.between(0, 1079) as u16);
        match draw.between(0, 199) {
            0..170 => PointerEvent::new(x & 7, x, y, &Extensions::NONE).encode(&mut stream),
            170..186 => KeyEvent {
                down: y as u8 & 1,
                padding: [0; 2],
                keysym: 0x20 + u32::from(x & 0x3f),
            }
            .encode(&mut stream),
            186..199 => FramebufferUpdateRequest {
                incremental: 1,
                x,
                y,
                width: 64,
                height: 48,
            }
            .encode(&mut stream),
            _ => SetEncodings::new(&[rfb_proto::encoding::Encoding::TIGHT, rfb_proto::encoding::Encoding::RAW])
                .encode(&mut stream),
        }
        .unwrap();
    }
    stream.freeze()
}

/// Found without a look into them.
pub fn client_frames() -> Box<dyn FnMut()> {
    let (stream, extensions) = (client(), Extensions::NONE);
    let mut framer = ClientFramer::new(&Limits::default());
    Box::new(move || {
        let (mut rest, mut count) = (black_box(&stream[..]), 0);
        while let Ok(Some(message)) = framer.next_message(&mut rest, &extensions) {
            keep(message.bytes);
            count += 1;
        }
        assert_eq!((count, rest.len()), (MESSAGES, 0));
    })
}

/// Decoded where they lie, each kept as it comes.
pub fn client_messages() -> Box<dyn FnMut()> {
    let (stream, limits) = (client(), Limits::default());
    let mut extensions = Extensions::NONE;
    Box::new(move || {
        let mut messages = ClientMessages::new(black_box(&stream), &mut extensions, &limits);
        let mut count = 0;
        for message in messages.by_ref() {
            match message {
                ClientMessage::PointerEvent(event) => keep(event),
                ClientMessage::KeyEvent(event) => keep(event),
                ClientMessage::FramebufferUpdateRequest(request) => keep(request),
                other => keep(other),
            }
            count += 1;
        }
        assert_eq!((count, messages.finish()), (MESSAGES, Ok(stream.len())));
    })
}

/// Taken off the buffer that a connection reads into; the copy into it is not counted apart.
fn client_taken() -> Box<dyn FnMut()> {
    let (stream, limits, extensions) = (client(), Limits::default(), Extensions::NONE);
    let mut buffer = BytesMut::with_capacity(stream.len());
    Box::new(move || {
        buffer.clear();
        buffer.extend_from_slice(&stream);
        let mut count = 0;
        while let Ok(Some(message)) = ClientMessage::take(&mut buffer, &extensions, &limits) {
            match message {
                ClientMessage::PointerEvent(event) => keep(event),
                ClientMessage::KeyEvent(event) => keep(event),
                ClientMessage::FramebufferUpdateRequest(request) => keep(request),
                other => keep(other),
            }
            count += 1;
        }
        assert_eq!((count, buffer.len()), (MESSAGES, 0));
    })
}

/// Fields of the three that are frequent, the others skipped.
pub fn client_by_hand() -> Box<dyn FnMut()> {
    let stream = client();
    Box::new(move || {
        let mut left = black_box(&stream[..]);
        loop {
            left = match left {
                [5, buttons, x1, x2, y1, y2, rest @ ..] => {
                    keep((*buttons, u16::from_be_bytes([*x1, *x2]), u16::from_be_bytes([*y1, *y2])));
                    rest
                }
                [4, down, _, _, k1, k2, k3, k4, rest @ ..] => {
                    keep((*down, u32::from_be_bytes([*k1, *k2, *k3, *k4])));
                    rest
                }
                [3, incremental, place @ ..] => {
                    let (place, rest) = place.split_first_chunk::<8>().unwrap();
                    keep((*incremental, u64::from_be_bytes(*place)));
                    rest
                }
                [2, _, high, low, rest @ ..] => &rest[usize::from(u16::from_be_bytes([*high, *low])) * 4..],
                _ => break,
            };
        }
        assert!(left.is_empty());
    })
}

/// A text of the clipboard of so many bytes.
fn cut_text(len: usize) -> ClientCutText {
    ClientCutText::new(Bytes::from(vec![b'x'; len]))
}

/// Decoded without a copy of the text.
pub fn cut_text_decoded(len: usize) -> Box<dyn FnMut()> {
    let (mut stream, limits) = (BytesMut::new(), Limits::default());
    cut_text(len).encode(&mut stream).unwrap();
    let stream = stream.freeze();
    Box::new(move || keep(ClientMessage::decode(black_box(&stream), &Extensions::NONE, &limits).unwrap()))
}

/// Encoded into a buffer that is there.
pub fn cut_text_encoded(len: usize) -> Box<dyn FnMut()> {
    let (message, mut buffer) = (cut_text(len), BytesMut::new());
    Box::new(move || {
        buffer.clear();
        black_box(&message).encode(&mut buffer).unwrap();
        keep(buffer.len());
    })
}

/// The same for the shortest message.
pub fn pointer_encoded() -> Box<dyn FnMut()> {
    let mut buffer = BytesMut::new();
    Box::new(move || {
        buffer.clear();
        PointerEvent::new(black_box(1), 100, 200, &Extensions::NONE)
            .encode(&mut buffer)
            .unwrap();
        keep(buffer.len());
    })
}
