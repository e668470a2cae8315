//! Rectangles that are made up, with every field's name and place.
//!
//! This uses nothing of the crate: it is written after `rfb-messages.toml`, and `encodings.rs` holds it against the
//! formulas there. The fuzz targets make their streams with it, too.

/// Gives a number below another one.
pub(crate) type Draw<'a> = &'a mut dyn FnMut(usize) -> usize;

/// Bytes of a pixel, of one of TRLE and of one of Tight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) pixel: usize,
    pub(crate) cpixel: usize,
    pub(crate) tpixel: usize,
}

/// The sizes in a cursor with transparency.
const ALPHA: Sizes = Sizes {
    pixel: 4,
    cpixel: 4,
    tpixel: 4,
};

/// A payload, and where each of its fields ends.
#[derive(Default, Debug)]
pub(crate) struct Payload {
    pub(crate) bytes: Vec<u8>,
    pub(crate) fields: Vec<(usize, &'static str)>,
    /// Which ways through the encoding were taken.
    pub(crate) arms: Vec<&'static str>,
}

impl Payload {
    fn put(&mut self, field: &'static str, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if !bytes.is_empty() {
            self.fields.push((self.bytes.len(), field));
        }
    }

    /// Bytes that mean nothing to a reader that only looks for the end; many of them look like control bytes.
    fn fill(&mut self, field: &'static str, len: usize, draw: Draw) {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.push([0, 1, 0xff, 0xd9, draw(256) as u8][draw(5)]);
        }
        self.put(field, &bytes);
    }

    fn arm(&mut self, arm: &'static str) {
        self.arms.push(arm);
    }
}

/// What the table calls framing by anything but looking into other software: number, and whether width and height are
/// the size of something that is drawn.
pub(crate) const FRAMED: [(i32, bool); 51] = [
    (0, true),
    (1, true),
    (2, true),
    (4, true),
    (5, true),
    (6, true),
    (7, true),
    (8, true),
    (9, true),
    (15, true),
    (16, true),
    (17, true),
    (21, true),
    (50, true),
    (-260, true),
    (-223, false),
    (-224, false),
    (-225, false),
    (-232, false),
    (-239, true),
    (-240, true),
    (-257, false),
    (-258, false),
    (-259, false),
    (-261, false),
    (-307, false),
    (-308, false),
    (-311, false),
    (-314, true),
    (-316, false),
    (0x574d_5664, true),
    (0x574d_5665, false),
    (0x574d_5666, false),
    (0x574d_5667, false),
    (0x574d_5668, false),
    (0x574d_5669, false),
    (0x574d_566a, false),
    (-131_072, false),
    (-131_071, false),
    (-131_070, false),
    (-131_069, false),
    (25, true),
    (26, true),
    (27, true),
    (28, true),
    (29, true),
    (-65_528, false),
    (-65_527, false),
    (-65_526, false),
    (-1000, false),
    (-1001, false),
];

/// The encodings that a cursor with transparency can be made of.
const INNER: [i32; 14] = [0, 2, 4, 5, 6, 7, 8, 9, 15, 16, 17, 21, 50, -260];

/// The payload of a rectangle. `None`: there is no encoding with this number.
pub(crate) fn payload(
    encoding: i32,
    width: u16,
    height: u16,
    sizes: Sizes,
    without_zlib: bool,
    draw: Draw,
) -> Option<Payload> {
    let mut out = Payload::default();
    let (w, h) = (usize::from(width), usize::from(height));
    let mask = w.div_ceil(8) * h;
    match encoding {
        0 => out.fill("pixels", w * h * sizes.pixel, draw),
        1 => out.fill("source", 4, draw),
        2 => counted_words(&mut out, sizes.pixel, sizes.pixel + 8, "subrectangles", draw),
        4 => counted_words(&mut out, sizes.pixel, sizes.pixel + 4, "subrectangles", draw),
        5 => hextile(&mut out, w, h, sizes.pixel, false, draw),
        8 | 27 => hextile(&mut out, w, h, sizes.pixel, true, draw),
        6 | 9 | 16 | 17 | 25 | 28 | 29 | -65_528..=-65_526 => counted_words(&mut out, 0, 1, "data", draw),
        7 | 26 => tight(&mut out, w, h, sizes, without_zlib, draw),
        -260 => tight_png(&mut out, w, h, sizes, draw),
        15 => trle(&mut out, w, h, sizes.cpixel, draw),
        21 => jpeg(&mut out, draw),
        50 => counted_words(&mut out, 4, 1, "data", draw),
        -223 | -224 | -225 | -232 | -257 | -258 | -259 | -316 | -1001 | 0x574d_5666 | -131_072 => {}
        -1000 => out.fill("time", 8, draw),
        -239 => out.fill("pixels", w * h * sizes.pixel + mask, draw),
        -240 if mask == 0 => out.arm("no cursor"),
        -240 => {
            out.arm("cursor");
            out.fill("pixels", 6 + 2 * mask, draw);
        }
        -261 => out.fill("state", 1, draw),
        // UltraVNC's ExtViewSize.
        -307 if w != 0 || h != 0 => {}
        -307 => text(&mut out, "text", draw),
        -308 => {
            let count = draw(4);
            out.put("count", &[count as u8]);
            out.fill("screens", 3 + 16 * count, draw);
        }
        -311 => {
            out.fill("port", 2, draw);
            text(&mut out, "host", draw);
            text(&mut out, "text", draw);
        }
        -314 => {
            let inner = if w * h == 0 {
                i32::try_from(draw(1 << 16)).unwrap()
            } else {
                INNER[draw(INNER.len())]
            };
            out.put("encoding", &inner.to_be_bytes());
            if w * h == 0 {
                out.arm("no cursor");
            } else {
                out.arm("cursor");
                let inside = payload(inner, width, height, ALPHA, without_zlib, draw)?;
                out.arms.extend(inside.arms);
                let before = out.bytes.len();
                out.fields
                    .extend(inside.fields.iter().map(|(end, field)| (before + end, *field)));
                out.bytes.extend(inside.bytes);
            }
        }
        0x574d_5664 => {
            let kind = draw(2);
            out.arm(["colours", "alpha"][kind]);
            out.put("kind", &[kind as u8]);
            out.fill("pixels", 1 + w * h * [2 * sizes.pixel, 4][kind], draw);
        }
        0x574d_5665 | 0x574d_566a => out.fill("state", 2, draw),
        0x574d_5667 => out.fill("repeat", 10, draw),
        0x574d_5668 => out.fill("state", 4, draw),
        0x574d_5669 => out.fill("format", 16, draw),
        -131_071..=-131_069 => out.fill("information", w, draw),
        _ => return None,
    }
    Some(out)
}

/// `u32 n`, then `fixed` bytes and `each` for each.
fn counted_words(out: &mut Payload, fixed: usize, each: usize, field: &'static str, draw: Draw) {
    let count = [0, 1, draw(300)][draw(3)];
    out.put("length", &(count as u32).to_be_bytes());
    out.fill(field, fixed + each * count, draw);
}

fn text(out: &mut Payload, field: &'static str, draw: Draw) {
    let len = draw(20);
    out.put("length", &(len as u32).to_be_bytes());
    out.fill(field, len, draw);
}

/// Sizes of the tiles, row by row.
fn tiles(w: usize, h: usize) -> Vec<(usize, usize)> {
    let rows = (0..h).step_by(16).map(move |y| 16.min(h - y));
    let columns = |height| (0..w).step_by(16).map(move |x| (16.min(w - x), height));
    rows.flat_map(columns).collect()
}

fn hextile(out: &mut Payload, w: usize, h: usize, pixel: usize, deflated: bool, draw: Draw) {
    for (width, height) in tiles(w, h) {
        let mut mask = draw(32) as u8;
        if deflated {
            mask |= [0, 0, 32, 64][draw(4)];
        }
        out.put("mask", &[mask]);
        if mask & 0x60 != 0 {
            out.arm(if mask & 32 != 0 {
                "deflated pixels"
            } else {
                "deflated tile"
            });
            let len = draw(40);
            out.put("length", &(len as u16).to_be_bytes());
            out.fill("tile", len, draw);
        } else if mask & 1 != 0 {
            out.arm("raw tile");
            out.fill("tile", width * height * pixel, draw);
        } else {
            let colours = usize::from(mask >> 1 & 1) + usize::from(mask >> 2 & 1);
            if mask & 8 == 0 {
                out.arm("plain tile");
                out.fill("tile", colours * pixel, draw);
            } else {
                let count = [0, 1, draw(256)][draw(3)];
                let mut head: Vec<u8> = (0..colours * pixel).map(|_| draw(256) as u8).collect();
                head.push(count as u8);
                out.put("subrectangles", &head);
                let coloured = mask & 16 != 0;
                out.arm(if coloured {
                    "coloured subrectangles"
                } else {
                    "subrectangles"
                });
                out.fill("tile", count * (2 + if coloured { pixel } else { 0 }), draw);
            }
        }
    }
}

/// A compact length, in one to three bytes, and so many bytes.
fn compact(out: &mut Payload, draw: Draw) {
    let len = [draw(128), 128 + draw(300), 0x3fff, 0x4000 + draw(100)][[0, 0, 0, 0, 1, 1, 2, 3][draw(8)]];
    let mut bytes = vec![(len & 0x7f) as u8];
    if 0x7f < len {
        bytes[0] |= 0x80;
        bytes.push((len >> 7 & 0x7f) as u8);
    }
    if 0x3fff < len {
        bytes[1] |= 0x80;
        bytes.push((len >> 14) as u8);
    }
    out.arm(["", "length of 1 byte", "length of 2 bytes", "length of 3 bytes"][bytes.len()]);
    out.put("length", &bytes);
    out.fill("data", len, draw);
}

fn tight(out: &mut Payload, w: usize, h: usize, sizes: Sizes, without_zlib: bool, draw: Draw) {
    let resets = draw(16) as u8;
    let kinds = [8, 9, draw(4) as u8, 4 | draw(4) as u8, 10, 14];
    let kind = kinds[draw(if without_zlib { 6 } else { 4 })];
    out.put("control", &[kind << 4 | resets]);
    match kind {
        8 => {
            out.arm("fill");
            return out.fill("colour", sizes.tpixel, draw);
        }
        9 => {
            out.arm("JPEG");
            return compact(out, draw);
        }
        10 | 14 => out.arm("not deflated"),
        _ => {}
    }
    tight_data(out, kind & 4 != 0, (w, h), sizes, draw);
}

/// Basic compression.
fn tight_basic(out: &mut Payload, w: usize, h: usize, sizes: Sizes, draw: Draw) {
    let kind = draw(8) as u8;
    out.put("control", &[kind << 4 | draw(16) as u8]);
    tight_data(out, kind & 4 != 0, (w, h), sizes, draw);
}

fn tight_data(out: &mut Payload, has_filter: bool, (w, h): (usize, usize), sizes: Sizes, draw: Draw) {
    let mut size = w * sizes.tpixel * h;
    if has_filter {
        // No gradients at 8 bits.
        let filter = draw(if sizes.pixel == 1 { 2 } else { 3 });
        out.arm(["copy filter", "palette", "gradient"][filter]);
        out.put("filter", &[filter as u8]);
        if filter == 1 {
            let colours = [1, 2, 3, 256][draw(4)];
            out.arm(if colours <= 2 { "bits" } else { "indexes" });
            out.put("colours", &[(colours - 1) as u8]);
            size = if colours <= 2 { w.div_ceil(8) * h } else { w * h };
            if size < 12 {
                out.arm("under 12 bytes");
                return out.fill("palette", colours * sizes.tpixel + size, draw);
            }
            out.fill("palette", colours * sizes.tpixel, draw);
            return compact(out, draw);
        }
    } else {
        out.arm("copy");
    }
    if size < 12 {
        out.arm("under 12 bytes");
        out.fill("pixels", size, draw);
    } else {
        compact(out, draw);
    }
}

fn tight_png(out: &mut Payload, w: usize, h: usize, sizes: Sizes, draw: Draw) {
    let kind = 8 + draw(4);
    if kind == 11 {
        // As QEMU sends what PNG has no form for.
        return tight_basic(out, w, h, sizes, draw);
    }
    out.put("control", &[(kind << 4 | draw(16)) as u8]);
    out.arm(["fill", "JPEG", "PNG"][kind - 8]);
    match kind {
        8 => out.fill("colour", sizes.tpixel, draw),
        _ => compact(out, draw),
    }
}

fn trle(out: &mut Payload, w: usize, h: usize, cpixel: usize, draw: Draw) {
    let mut palette = 0;
    for (width, height) in tiles(w, h) {
        let area = width * height;
        let packed = |colours: usize| {
            let bits = match colours {
                2 => 1,
                3 | 4 => 2,
                _ => 4,
            };
            (width * bits).div_ceil(8) * height
        };
        let kind = match draw(8) {
            0 => 0,
            1 => 1,
            2 | 3 => 2 + draw(15),
            4 if (2..=16).contains(&palette) => 127,
            5 if palette != 0 => 129,
            6 => 130 + draw(126),
            _ => 128,
        };
        out.put("kind", &[kind as u8]);
        match kind {
            0 => {
                out.arm("raw tile");
                out.fill("pixels", area * cpixel, draw);
            }
            1 => {
                out.arm("one colour");
                out.fill("pixel", cpixel, draw);
            }
            2..=16 => {
                palette = kind;
                out.arm("packed indexes");
                out.fill("palette", kind * cpixel + packed(kind), draw);
            }
            127 => {
                out.arm("packed indexes, the palette before");
                out.fill("indexes", packed(palette), draw);
            }
            128 => {
                out.arm("runs");
                runs(out, area, draw, Some(cpixel));
            }
            129 => {
                out.arm("runs of indexes, the palette before");
                runs(out, area, draw, None);
            }
            _ => {
                palette = kind - 128;
                out.arm("runs of indexes");
                out.fill("palette", palette * cpixel, draw);
                runs(out, area, draw, None);
            }
        }
    }
}

/// Runs of pixels, or of indexes, up to the end of the tile.
fn runs(out: &mut Payload, mut left: usize, draw: Draw, cpixel: Option<usize>) {
    while left != 0 {
        let length = 1 + [0, draw(left), left - 1][draw(3)];
        left -= length;
        let mut bytes = Vec::new();
        match cpixel {
            Some(cpixel) => bytes.resize(cpixel, 0xff),
            None if length == 1 && draw(2) == 0 => {
                out.put("index", &[draw(128) as u8]);
                continue;
            }
            None => out.put("index", &[0x80 | draw(128) as u8]),
        }
        bytes.resize(bytes.len() + (length - 1) / 255, 255);
        bytes.push(((length - 1) % 255) as u8);
        out.put("run", &bytes);
    }
}

fn jpeg(out: &mut Payload, draw: Draw) {
    out.put("marker", &[0xff, 0xd8]);
    for _ in 0..draw(3) {
        if draw(3) == 0 {
            out.arm("fill byte");
            out.put("marker", &[0xff]);
        }
        match draw(3) {
            0 => {
                out.arm("marker alone");
                out.put("marker", &[0xff, [0x01, 0xd0, 0xd7][draw(3)]]);
            }
            1 => {
                out.arm("segment");
                segment(out, [0xc0, 0xdb, 0xe0, 0xfe][draw(4)], draw);
            }
            _ => {
                out.arm("scan");
                segment(out, 0xda, draw);
                let mut data: Vec<u8> = (0..draw(60)).map(|_| draw(255) as u8).collect();
                for _ in 0..draw(4) {
                    data.extend_from_slice([&[0xff, 0][..], &[0xff, 0xd3], &[0xff, 0xff, 0]][draw(3)]);
                    data.push(draw(255) as u8);
                }
                out.put("entropy data", &data);
            }
        }
    }
    out.put("marker", &[0xff, 0xd9]);
}

fn segment(out: &mut Payload, marker: u8, draw: Draw) {
    let len = draw(20);
    out.put("marker", &[0xff, marker]);
    out.put("length", &((len + 2) as u16).to_be_bytes());
    out.fill("segment", len, draw);
}
