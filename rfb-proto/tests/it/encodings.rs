//! Every encoding of `rfb-messages.toml`: rectangles are made up after the table, and the framer has to find just their
//! ends, in any pieces.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rfb_proto::encoding::{Encoding, Extent};
use rfb_proto::framing::{Ends, Part, ServerFramer};
use rfb_proto::message::SetEncodings;
use rfb_proto::{Limits, PixelFormat, ServerInit};

use crate::data::{each, own, text};
use crate::rectangles::{self, FRAMED, Payload, Sizes};

/// Per encoding and format.
const ROUNDS: usize = 25;

pub(crate) fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9_7f4a_7c15;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below.max(1)
    }
}

/// Formats, with the sizes that `cpixel` and `tpixel` of the table give.
pub(crate) fn formats() -> [(PixelFormat, Sizes); 9] {
    let sizes = |pixel, cpixel, tpixel| Sizes { pixel, cpixel, tpixel };
    let rgb = PixelFormat::RGB888;
    let small = PixelFormat {
        bits_per_pixel: 16,
        depth: 16,
        red_max: 31,
        green_max: 63,
        blue_max: 31,
        ..rgb
    };
    let with = |change: fn(&mut PixelFormat)| {
        let mut format = rgb;
        change(&mut format);
        format
    };
    [
        (rgb, sizes(4, 3, 3)),
        // In the high three bytes.
        (
            with(|f| (f.red_shift, f.green_shift, f.blue_shift) = (24, 16, 8)),
            sizes(4, 3, 3),
        ),
        // In neither.
        (
            with(|f| (f.red_shift, f.green_shift, f.blue_shift) = (24, 8, 0)),
            sizes(4, 4, 3),
        ),
        (with(|f| f.depth = 32), sizes(4, 4, 4)),
        // Ten bits each.
        (
            with(|f| {
                (f.depth, f.red_max, f.green_max, f.blue_max) = (30, 1023, 1023, 1023);
                (f.red_shift, f.green_shift) = (20, 10);
            }),
            sizes(4, 4, 4),
        ),
        // Six bits each: three bytes of TRLE, but not of Tight.
        (
            with(|f| {
                (f.depth, f.red_max, f.green_max, f.blue_max) = (18, 63, 63, 63);
                (f.red_shift, f.green_shift) = (12, 6);
            }),
            sizes(4, 3, 4),
        ),
        (with(|f| f.true_colour = 0), sizes(4, 4, 4)),
        (small, sizes(2, 2, 2)),
        (
            PixelFormat {
                bits_per_pixel: 8,
                depth: 8,
                true_colour: 0,
                ..rgb
            },
            sizes(1, 1, 1),
        ),
    ]
}

pub(crate) fn framer(format: PixelFormat) -> ServerFramer {
    let (width, height) = (u16::MAX, u16::MAX);
    let init = ServerInit {
        width,
        height,
        format,
        name: (&b"made up"[..]).into(),
    };
    let mut framer = ServerFramer::new(&init, &Limits::default());
    let mut encodings = bytes::BytesMut::new();
    SetEncodings::new(&[Encoding::TIGHT_WITHOUT_ZLIB])
        .encode(&mut encodings)
        .unwrap();
    framer.client_sent(&encodings).unwrap();
    framer
}

pub(crate) fn head(encoding: i32, width: u16, height: u16) -> [u8; 12] {
    let [w1, w0] = width.to_be_bytes();
    let [h1, h0] = height.to_be_bytes();
    let [e3, e2, e1, e0] = encoding.to_be_bytes();
    [0, 3, 0, 5, w1, w0, h1, h0, e3, e2, e1, e0]
}

/// Width and height, with all that are special.
pub(crate) fn size(drawn: bool, draw: rectangles::Draw) -> (u16, u16) {
    const SIDES: [u16; 9] = [0, 1, 2, 15, 16, 17, 31, 33, 40];
    let any = [draw(300) as u16, draw(1 << 16) as u16];
    match drawn {
        true => (SIDES[draw(9)], SIDES[draw(9)]),
        false => (any[draw(2)], any[draw(2)]),
    }
}

/// An update of one rectangle, and a bell behind it.
fn stream(encoding: i32, (width, height): (u16, u16), payload: &Payload) -> Vec<u8> {
    let mut stream = vec![0, 0, 0, 1];
    stream.extend_from_slice(&head(encoding, width, height));
    stream.extend_from_slice(&payload.bytes);
    stream.push(2);
    stream
}

/// What comes out of a stream, whose pieces do not matter: heads with payloads, and messages.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Found {
    pub(crate) rectangles: Vec<(Encoding, Vec<u8>)>,
    pub(crate) messages: Vec<Vec<u8>>,
    pub(crate) updates: usize,
    /// All of it, in order.
    pub(crate) bytes: Vec<u8>,
}

impl Found {
    pub(crate) fn add(&mut self, part: Part<'_>) {
        match part {
            Part::Message(message) => {
                if message.offset == 0 {
                    self.messages.push(Vec::new());
                }
                self.messages.last_mut().unwrap().extend_from_slice(message.bytes);
                self.bytes.extend_from_slice(message.bytes);
            }
            Part::Update(head) => {
                let mut bytes = bytes::BytesMut::new();
                head.encode(&mut bytes).unwrap();
                self.bytes.extend_from_slice(&bytes);
                self.updates += usize::from(head.rectangles == 0);
            }
            Part::Rectangle(piece) => {
                if piece.first {
                    self.rectangles.push((piece.rectangle.encoding, Vec::new()));
                    let mut bytes = bytes::BytesMut::new();
                    piece.rectangle.encode(&mut bytes).unwrap();
                    self.bytes.extend_from_slice(&bytes);
                }
                let payload = &mut self.rectangles.last_mut().unwrap().1;
                assert_eq!(payload.len() as u64, piece.offset);
                payload.extend_from_slice(piece.payload);
                self.bytes.extend_from_slice(piece.payload);
                self.updates += usize::from(piece.ends == Ends::Update);
            }
        }
    }
}

/// Feeds a stream in pieces. Holds that no more is left lying than a head, and that every byte comes out again.
pub(crate) fn frame<'a>(framer: &mut ServerFramer, pieces: impl Iterator<Item = &'a [u8]>) -> Found {
    let (mut found, mut rx) = (Found::default(), Vec::new());
    let mut fed = Vec::new();
    for piece in pieces {
        rx.extend_from_slice(piece);
        fed.extend_from_slice(piece);
        let mut left = &rx[..];
        while let Some(part) = framer.next_part(&mut left).unwrap() {
            found.add(part);
        }
        let taken = rx.len() - left.len();
        rx.drain(..taken);
        assert!(0 < framer.missing().bytes);
        assert_eq!(framer.taken(), found.bytes.len() as u64);
    }
    assert_eq!(found.bytes.len() + rx.len(), fed.len());
    assert_eq!(fed[..found.bytes.len()], found.bytes);
    found
}

#[test]
fn every_encoding_ends_where_the_table_says() {
    let (mut cases, mut arms) = (0, BTreeMap::<i32, BTreeSet<&str>>::new());
    for (number, drawn) in FRAMED {
        for (index, (format, sizes)) in formats().into_iter().enumerate() {
            let mut draw = random(index as u64 ^ u64::from(number.cast_unsigned()));
            let fresh = framer(format);
            for _ in 0..ROUNDS {
                let size = size(drawn, &mut draw);
                let payload = rectangles::payload(number, size.0, size.1, sizes, true, &mut draw).unwrap();
                arms.entry(number).or_default().extend(&payload.arms);
                let stream = stream(number, size, &payload);
                let found = frame(&mut fresh.clone(), [&stream[..]].into_iter());
                let expected = vec![(Encoding(number), payload.bytes.clone())];
                assert_eq!(
                    found.rectangles, expected,
                    "{number} {size:?} {format:?} {:?}",
                    payload.fields
                );
                assert_eq!((found.updates, &found.messages), (1, &vec![vec![2]]));
                for _ in 0..3 {
                    let chunk = 1 + draw(20);
                    assert_eq!(
                        frame(&mut fresh.clone(), stream.chunks(chunk)),
                        found,
                        "{number} by {chunk}"
                    );
                }
                cases += 1;
            }
        }
    }
    println!("{cases} rectangles");
    let counts: Vec<usize> = [5, 7, 8, 15, 21, -260, -240, 0x574d_5664]
        .iter()
        .map(|number| arms[number].len())
        .collect();
    // Each way through an encoding was taken: those of `rectangles.rs`.
    assert_eq!(counts, [4, 13, 6, 7, 4, 13, 2, 2], "{arms:?}");
    assert!(20 < arms[&-314].len(), "{arms:?}");
}

/// A stream that ends anywhere: the framer names the field that is not whole, and asks for no more than is missing.
#[test]
fn a_cut_names_its_field_and_what_is_missing() {
    let mut cuts = 0;
    for (number, drawn) in FRAMED {
        let mut draw = random(u64::from(number.cast_unsigned()) ^ 0xc07);
        for (format, sizes) in formats() {
            let fresh = framer(format);
            for _ in 0..4 {
                let size = size(drawn, &mut draw);
                let payload = rectangles::payload(number, size.0, size.1, sizes, true, &mut draw).unwrap();
                if 3000 < payload.bytes.len() {
                    continue;
                }
                let stream = stream(number, size, &payload);
                for cut in 0..16 + payload.bytes.len() {
                    let (field, start, end) = match cut {
                        0 => ("type", 0, 1),
                        1 => ("padding", 1, 2),
                        2 | 3 => ("rectangles", 2, 4),
                        4..16 => ("rectangle", 4, 16),
                        _ => {
                            let index = payload.fields.iter().position(|(end, _)| cut - 16 < *end).unwrap();
                            let start = index.checked_sub(1).map_or(16, |before| 16 + payload.fields[before].0);
                            (payload.fields[index].1, start, 16 + payload.fields[index].0)
                        }
                    };
                    let mut framer = fresh.clone();
                    // First to the beginning of the field, or not: it makes no difference.
                    let mut at = &stream[..[0, start][cut % 2]];
                    while framer.next_part(&mut at).unwrap().is_some() {}
                    let mut rest = &stream[usize::try_from(framer.taken()).unwrap()..cut];
                    while framer.next_part(&mut rest).unwrap().is_some() {}
                    let missing = framer.missing();
                    let what = || format!("{number} {size:?} cut at {cut}: {missing:?}, {field} {start}..{end}");
                    // They go up to the next marker, of which it is not known whether it is there.
                    let entropy = ["entropy data", "marker"].contains(&missing.field)
                        && ["entropy data", "marker"].contains(&field);
                    assert!(missing.field == field || entropy, "{}", what());
                    let end = match entropy {
                        true => 16 + payload.bytes.len(),
                        // The head of an update is one block, whose fields are named one by one.
                        false => end.max(4),
                    };
                    assert!((1..=(end - cut) as u64).contains(&missing.bytes), "{}", what());
                    cuts += 1;
                }
            }
        }
    }
    println!("{cuts} cuts");
    assert!(10_000 < cuts);
}

/// The formulas of the table, worked out here, give the lengths of what `rectangles.rs` makes up.
#[test]
fn made_up_rectangles_are_those_of_the_table() {
    let table = own("rfb-messages.toml");
    let mut rows = BTreeSet::new();
    for row in each(&table, "encoding").chain(each(&table, "pseudo")) {
        let number = row["number"].as_integer().unwrap();
        let number = i32::try_from(number).unwrap_or_else(|_| u32::try_from(number).unwrap().cast_signed());
        let class = row.get("framing").or(row.get("rect")).unwrap().as_str().unwrap();
        let extent = match class {
            "none" => Extent::None,
            "fixed" => Extent::Fixed,
            "counted" => Extent::Counted,
            "walk" => Extent::Walk,
            "nested" => Extent::Nested,
            "scan" => Extent::Scan,
            "impossible" => Extent::Unknown,
            other => panic!("{other}"),
        };
        assert_eq!(Encoding(number).extent(), extent, "{number}");
        assert!(
            Encoding(number)
                .name()
                .is_some_and(|name| text(row, "name").starts_with(name)),
            "{number}"
        );
        let mut draw = random(u64::from(number.cast_unsigned()));
        assert_eq!(
            rectangles::payload(number, 1, 1, formats()[0].1, false, &mut draw).is_some(),
            class != "impossible"
        );
        if class == "impossible" {
            continue;
        }
        rows.insert(number);
        let formula = row.get("length").map_or("0", |length| length.as_str().unwrap());
        for round in 0..200 {
            let sizes = formats()[round % 9].1;
            let (w, h) = size(round % 3 != 0 && class != "none", &mut draw);
            // A name has no size.
            let (w, h) = if number == -307 {
                (0, 0)
            } else {
                (w.min(300), h.min(300))
            };
            let bytes = rectangles::payload(number, w, h, sizes, false, &mut draw)
                .unwrap()
                .bytes;
            let names = |n| Names {
                w: w.into(),
                h: h.into(),
                bpp: sizes.pixel,
                n,
            };
            let length = match class {
                "none" | "fixed" => evaluate(formula, &names(0)),
                "counted" => counted(formula, &bytes, &names),
                // RejectionReason in words there, and written after them here.
                _ => break,
            };
            assert_eq!(bytes.len(), length, "{number} {formula} {w}x{h} {sizes:?}");
        }
    }
    let framed: BTreeSet<i32> = FRAMED.iter().map(|(number, _)| *number).collect();
    assert_eq!(rows, framed);
}

/// What the names in a formula stand for.
struct Names {
    w: usize,
    h: usize,
    bpp: usize,
    n: usize,
}

/// The formula of a counted encoding, for these bytes.
fn counted(formula: &str, bytes: &[u8], names: &dyn Fn(usize) -> Names) -> usize {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    if let Some(kinds) = formula.strip_prefix("u8 kind, u8 pad; ") {
        let kind = format!("kind {}: + ", bytes[0]);
        let formula = kinds.split("; ").find_map(|part| part.strip_prefix(&kind)).unwrap();
        return 2 + evaluate(formula, &names(0));
    }
    if let Some(texts) = formula.strip_prefix("u16 port, ") {
        let texts = texts.split(", ").map(|part| assert!(part.starts_with("u32 n + ")));
        return texts.fold(2, |at, ()| at + 4 + word(at));
    }
    let n = if formula.contains("u8 n") {
        bytes[0].into()
    } else {
        word(0)
    };
    evaluate(formula, &names(n))
}

/// `A`, or `0 if B is 0, else A`. What is behind the formula is a remark.
fn evaluate(formula: &str, names: &Names) -> usize {
    if let Some((condition, otherwise)) = formula.strip_prefix("0 if ").and_then(|f| f.split_once(" is 0, else ")) {
        return if evaluate(condition, names) == 0 {
            0
        } else {
            evaluate(otherwise, names)
        };
    }
    let spaced = formula.replace('(', " ( ").replace(')', " ) ");
    let mut tokens = spaced.split_whitespace().peekable();
    sum(&mut tokens, names)
}

type Tokens<'a, 'b> = &'a mut std::iter::Peekable<std::str::SplitWhitespace<'b>>;

fn sum(tokens: Tokens<'_, '_>, names: &Names) -> usize {
    let mut value = product(tokens, names);
    while tokens.next_if_eq(&"+").is_some() {
        value += product(tokens, names);
    }
    value
}

fn product(tokens: Tokens<'_, '_>, names: &Names) -> usize {
    let mut value = factor(tokens, names);
    while tokens.next_if_eq(&"*").is_some() {
        value *= factor(tokens, names);
    }
    value
}

fn factor(tokens: Tokens<'_, '_>, names: &Names) -> usize {
    match tokens.next().unwrap() {
        "w" => names.w,
        "h" => names.h,
        "bpp" => names.bpp,
        "mask_row" => names.w.div_ceil(8),
        "n" => names.n,
        "(" => {
            let value = sum(tokens, names);
            assert_eq!(tokens.next(), Some(")"));
            value
        }
        number => number.parse().unwrap(),
    }
}

proptest! {
    /// Any updates, with other messages between them, cut anywhere.
    #[test]
    fn updates_in_any_pieces(seed: u64, cuts in prop::collection::vec(1..400_usize, 1..20)) {
        let mut draw = random(seed);
        let (format, sizes) = formats()[draw(9)];
        let (mut stream, mut expected) = (Vec::new(), Found::default());
        for _ in 0..1 + draw(4) {
            if draw(2) == 0 {
                let message = [&[2][..], &[150], b"\x03\0\0\0\0\0\0\x04text", b"\xf8\0\0\0\0\0\0\x01\x01f"][draw(4)];
                stream.extend_from_slice(message);
                expected.messages.push(message.to_vec());
                continue;
            }
            let count = draw(6);
            let last = draw(2) == 0;
            let said = if last { [u16::MAX, 100][draw(2)] } else { count as u16 };
            stream.extend_from_slice(&[0, 0, (said >> 8) as u8, said as u8]);
            for _ in 0..count {
                let (number, drawn) = FRAMED[draw(FRAMED.len())];
                // The one ends the update, the other changes the format.
                if [-224, 0x574d_5669].contains(&number) {
                    put_copy(&mut stream, &mut expected);
                    continue;
                }
                let (width, height) = size(drawn, &mut draw);
                let payload = rectangles::payload(number, width, height, sizes, true, &mut draw).unwrap();
                stream.extend_from_slice(&head(number, width, height));
                stream.extend_from_slice(&payload.bytes);
                expected.rectangles.push((Encoding(number), payload.bytes));
            }
            if last {
                stream.extend_from_slice(&head(-224, 0, 0));
                expected.rectangles.push((Encoding::LAST_RECT, Vec::new()));
            }
            expected.updates += 1;
        }
        expected.bytes = stream.clone();
        let whole = frame(&mut framer(format), [&stream[..]].into_iter());
        prop_assert_eq!(&whole, &expected);
        let mut at = 0;
        let pieces = cuts.iter().cycle().map_while(|cut| {
            let piece = stream.get(at..)?;
            let piece = &piece[..piece.len().min(*cut)];
            at += piece.len();
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(&frame(&mut framer(format), pieces), &expected);
    }
}

/// A CopyRect in place of a rectangle that would change what comes behind it.
fn put_copy(stream: &mut Vec<u8>, expected: &mut Found) {
    stream.extend_from_slice(&head(1, 0, 0));
    stream.extend_from_slice(&[1, 2, 3, 4]);
    expected.rectangles.push((Encoding::COPY_RECT, vec![1, 2, 3, 4]));
}
