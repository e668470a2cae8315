//! Streams that are wrong, or at a limit: an error that tells where, or a rectangle that ends where it should.

use expect_test::{Expect, expect};
use rfb_proto::encoding::Encoding;
use rfb_proto::framing::{FramingError, Part, ServerFramer};
use rfb_proto::{Limits, PixelFormat, Policy, ServerInit};

use crate::encodings::{frame, framer, head, random, size};
use crate::rectangles::{self, FRAMED};

/// Per encoding.
const MUTATIONS: usize = 300;

pub(crate) fn init() -> ServerInit {
    let (width, height, format) = (64, 48, PixelFormat::RGB888);
    ServerInit {
        width,
        height,
        format,
        name: (&b"hostile"[..]).into(),
    }
}

/// An update of one rectangle.
fn update(encoding: i32, width: u16, height: u16, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 1], &head(encoding, width, height)[..], payload].concat()
}

/// Takes a stream apart up to its end or an error.
fn run(mut framer: ServerFramer, stream: &[u8]) -> Result<ServerFramer, FramingError> {
    let mut left = stream;
    while framer.next_part(&mut left)?.is_some() {}
    Ok(framer)
}

fn lenient(limits: &Limits) -> ServerFramer {
    ServerFramer::new(&init(), limits)
}

fn error_of(stream: &[u8]) -> String {
    run(lenient(&Limits::default()), stream).unwrap_err().to_string()
}

/// Where libvncclient and TigerVNC once multiplied in 32 bits (CVE-2019-15690, LibVNC issue 250), and where servers can
/// announce 4 GiB: each length at its limit, and one above it.
#[test]
fn lengths_at_their_limits() {
    let limits = Limits::default().with_rectangle(1000).with_name(10).with_cut_text(10);
    let word = |n: u32| n.to_be_bytes().to_vec();
    type Case = (i32, u16, u16, Vec<u8>, Vec<u8>);
    let cases: [Case; 15] = [
        (0, 25, 10, vec![], vec![]),
        (2, 1, 1, word((1000 - 4) / 12), word((1000 - 4) / 12 + 1)),
        (4, 1, 1, word((1000 - 4) / 8), word((1000 - 4) / 8 + 1)),
        (6, 1, 1, word(1000), word(1001)),
        (9, 1, 1, word(1000), word(u32::MAX)),
        (16, 1, 1, word(1000), word(1001)),
        (17, 1, 1, word(1000), word(0x8000_0000)),
        (50, 1, 1, word(996), word(997)),
        (-307, 0, 0, word(10), word(11)),
        (-307, 0, 0, word(10), word(u32::MAX)),
        (25, 1, 1, word(1000), word(1001)),
        (28, 1, 1, word(1000), word(u32::MAX)),
        (-65_526, 1, 1, word(1000), word(1001)),
        (0x574d_5664, 25, 10, vec![1], vec![0]),
        (
            -311,
            1,
            1,
            [&[0, 80], &word(10)[..]].concat(),
            [&[0, 80], &word(11)[..]].concat(),
        ),
    ];
    for (encoding, width, height, good, bad) in cases {
        let framed = run(lenient(&limits), &update(encoding, width, height, &good)).unwrap();
        assert!(!framed.is_between_messages(), "{encoding} goes on");
        let bad = if encoding == 0 {
            update(0, 251, 1, &bad)
        } else {
            update(encoding, width, height, &bad)
        };
        let error = run(lenient(&limits), &bad).unwrap_err();
        assert!(
            error.to_string().contains("is above the limit of"),
            "{encoding}: {error}"
        );
    }
    // Widths and heights of 16 bits, four bytes each and a mask: more than 32 bits hold.
    for encoding in [0, -239, -240] {
        let error = error_of(&update(encoding, 0xffff, 0xffff, &[]));
        assert!(
            error.contains("size at byte 4: ") && error.contains(" is above the limit of 268435456"),
            "{error}"
        );
    }
    expect!["byte 16: DesktopName.length at byte 12: 4294967295 is above the limit of 4096"]
        .assert_eq(&error_of(&update(-307, 0, 0, &[0xff; 4])));
    // A text of 4 GiB less a few, and a negative one.
    for length in [11_u32, u32::MAX - 10, 0x8000_0000] {
        let stream = [&[3, 0, 0, 0], &length.to_be_bytes()[..]].concat();
        let error = run(lenient(&limits), &stream).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("byte 4: ServerCutText.length at byte 4: "),
            "{error}"
        );
    }
}

/// What is made of parts has no length of its own, and is held against the limit as it grows: at the same byte in any
/// pieces.
#[test]
fn a_payload_that_grows_beyond_the_limit() {
    let limits = Limits::default().with_rectangle(100);
    let tiles = [&[1][..], &[7; 16]].concat().repeat(6);
    let jpeg = [&[0xff, 0xd8, 0xff, 0xda, 0, 2], &[7; 200][..]].concat();
    for (encoding, width, height, payload) in [(5, 2, 96, &tiles), (21, 1, 1, &jpeg)] {
        let stream = update(encoding, width, height, payload);
        let whole = run(lenient(&limits), &stream).unwrap_err();
        assert_eq!(whole.offset, 116, "{whole}");
        for chunk in 1..40 {
            let mut framer = lenient(&limits);
            let (mut rx, mut error) = (Vec::new(), None);
            for piece in stream.chunks(chunk) {
                rx.extend_from_slice(piece);
                let mut left = &rx[..];
                while error.is_none() {
                    match framer.next_part(&mut left) {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(found) => error = Some(found),
                    }
                }
                rx = left.to_vec();
            }
            assert_eq!(error, Some(whole), "by {chunk}");
        }
    }
}

#[test]
fn control_bytes_that_mean_nothing() {
    let errors = |cases: &[(i32, u16, u16, &[u8])]| {
        let errors = cases
            .iter()
            .map(|(encoding, w, h, payload)| error_of(&update(*encoding, *w, *h, payload)) + "\n");
        errors.collect::<String>()
    };
    let check = |expected: Expect, cases: &[(i32, u16, u16, &[u8])]| expected.assert_eq(&errors(cases));
    check(
        expect![[r#"
            byte 16: Tight.control at byte 12: 176 is not known
            byte 16: Tight.control at byte 12: 160 is not known
            byte 17: Tight.filter at byte 13: 3 is not known
            byte 16: TightPNG.control at byte 12: 224 is not known
            byte 17: TightPNG.filter at byte 13: 3 is not known
        "#]],
        &[
            (7, 4, 4, &[0xb0]),
            (7, 4, 4, &[0xa0]),
            (7, 4, 4, &[0x40, 3]),
            (-260, 4, 4, &[0xe0]),
            (-260, 4, 4, &[0x40, 3]),
        ],
    );
    check(
        expect![[r#"
            byte 16: TRLE.kind at byte 12: 17 is not known
            byte 16: TRLE.kind at byte 12: there is no palette to pack
            byte 16: TRLE.kind at byte 12: there is no palette to use again
            byte 20: TRLE.run at byte 16: runs go beyond the tile
            byte 70: TRLE.kind at byte 66: there is no palette to pack
        "#]],
        &[
            (15, 4, 4, &[17]),
            (15, 4, 4, &[127]),
            (15, 4, 4, &[129]),
            (15, 4, 4, &[128, 1, 2, 3, 16]),
            // A palette of 17 colours cannot be packed.
            (15, 1, 17, &[&[145], &[0; 51][..], &[0x80, 15], &[127]].concat()),
        ],
    );
    check(
        expect![[r#"
            byte 16: JPEG.marker at byte 12: no marker of JPEG
            byte 18: JPEG.marker at byte 14: no marker of JPEG
            byte 20: JPEG.length at byte 16: shorter than itself
            byte 16: VMware Cursor.kind at byte 12: 2 is not known
            byte 16: Cursor With Alpha.encoding at byte 12: a cursor is not made of this
            byte 16: Cursor With Alpha.encoding at byte 12: nothing tells where H.264 (RealVNC) (20) ends
        "#]],
        &[
            (21, 1, 1, &[0xff, 0xd9]),
            (21, 1, 1, &[0xff, 0xd8, 0, 0]),
            (21, 1, 1, &[0xff, 0xd8, 0xff, 0xe0, 0, 1]),
            (0x574d_5664, 1, 1, &[2]),
            (-314, 1, 1, &(-314_i32).to_be_bytes()),
            (-314, 1, 1, &20_i32.to_be_bytes()),
        ],
    );
    // A type of message that is not known.
    expect!["byte 0: ServerMessage.type at byte 0: 5 is not known"].assert_eq(&error_of(&[5]));
}

/// The error names an encoding whose end cannot be found, by number if it has no name.
#[test]
fn impossible_encodings_are_named() {
    let errors = [10, 20, 22, 0x4832_3634, 1000, 1105, -65536, 3];
    let errors = errors
        .map(|encoding| error_of(&update(encoding, 1, 1, &[])) + "\n")
        .concat();
    expect![[r#"
        byte 12: Ultra2.encoding at byte 8: nothing tells where Ultra2 (10) ends
        byte 12: H.264 (RealVNC).encoding at byte 8: nothing tells where H.264 (RealVNC) (20) ends
        byte 12: JRLE (RealVNC).encoding at byte 8: nothing tells where JRLE (RealVNC) (22) ends
        byte 12: VA H.264.encoding at byte 8: nothing tells where VA H.264 (1211250228) ends
        byte 12: Rectangle.encoding at byte 8: nothing tells where 1000 ends
        byte 12: Rectangle.encoding at byte 8: nothing tells where 1105 ends
        byte 12: Rectangle.encoding at byte 8: nothing tells where -65536 ends
        byte 12: Rectangle.encoding at byte 8: nothing tells where 3 ends
    "#]]
    .assert_eq(&errors);
}

/// TigerVNC wrote where a rectangle said, outside of the framebuffer too (CVE-2019-15691 and others). A framer does not
/// write, so its policy says whether it cares.
#[test]
fn outside_of_the_framebuffer() {
    let strict = || lenient(&Limits::default()).with_policy(Policy::Strict);
    let inside = update(1, 64 - 3, 48 - 5, &[0; 4]);
    assert!(run(strict(), &inside).is_ok());
    for (width, height) in [(64 - 2, 1), (1, 48 - 4), (0xffff, 1), (1, 0xffff)] {
        let stream = update(1, width, height, &[0; 4]);
        let error = run(strict(), &stream).unwrap_err().to_string();
        assert_eq!(
            error,
            "byte 4: CopyRect.place at byte 0: it lies outside of the framebuffer"
        );
        assert!(run(lenient(&Limits::default()), &stream).unwrap().is_between_messages());
    }
    // In pseudo-encodings the numbers mean something else.
    for encoding in [-223, -232, -257, 0x574d_5666] {
        assert!(
            run(strict(), &update(encoding, 0xffff, 0xffff, &[]))
                .unwrap()
                .is_between_messages()
        );
    }
    // TigerVNC before 1.16 sends rectangles of one colour that are wider than Tight has.
    let stream = update(7, 2049, 1, &[0x80, 1, 2, 3]);
    assert!(run(lenient(&Limits::default()), &stream).unwrap().is_between_messages());
    let wide = ServerInit { width: 4000, ..init() };
    let error = run(
        ServerFramer::new(&wide, &Limits::default()).with_policy(Policy::Strict),
        &stream,
    )
    .unwrap_err();
    expect!["byte 8: Tight.width at byte 4: 2049 is above the limit of 2048"].assert_eq(&error.to_string());
}

/// Made-up rectangles of every encoding with bytes changed, put in and taken out.
#[test]
fn changed_rectangles() {
    let (mut errors, mut stood) = (0, 0);
    let limits = Limits::default().with_rectangle(1 << 20);
    for (number, drawn) in FRAMED {
        let mut draw = random(u64::from(number.cast_unsigned()) ^ 0xbad);
        for _ in 0..MUTATIONS {
            let (width, height) = size(drawn, &mut draw);
            let sizes = crate::encodings::formats()[0].1;
            let payload = rectangles::payload(number, width, height, sizes, true, &mut draw).unwrap();
            let stream = update(number, width, height, &payload.bytes[..payload.bytes.len().min(3000)]);
            for _ in 0..10 {
                let mut changed = stream.clone();
                for _ in 0..1 + draw(3) {
                    let at = draw(changed.len().min(200));
                    match draw(3) {
                        0 => changed[at] = draw(256) as u8,
                        1 => changed.insert(at, [0, 1, 0x80, 0xff][draw(4)]),
                        _ => drop(changed.remove(at)),
                    }
                }
                let mut outcome = None;
                let allocated = allocation_counter::measure(|| {
                    outcome = Some(run(lenient(&limits), &changed).map(|framer| framer.taken()));
                });
                assert_eq!(allocated.bytes_total, 0, "nothing is allocated");
                match outcome.unwrap() {
                    Ok(taken) => {
                        assert!(taken <= changed.len() as u64);
                        stood += 1;
                    }
                    Err(error) => {
                        assert!(error.offset <= changed.len() as u64, "{error}");
                        errors += 1;
                    }
                }
            }
        }
    }
    println!("{errors} changed streams are errors, {stood} are not");
    assert!(1000 < errors && 1000 < stood);
}

/// Every encoding, in pieces: no byte is allocated.
#[test]
fn framing_allocates_nothing() {
    let mut draw = random(7);
    let sizes = crate::encodings::formats()[0].1;
    let mut stream = vec![0, 0, 0, FRAMED.len() as u8];
    for (number, drawn) in FRAMED
        .into_iter()
        .filter(|(number, _)| *number != -224 && *number != 0x574d_5669)
    {
        let (width, height) = size(drawn, &mut draw);
        let payload = rectangles::payload(number, width, height, sizes, true, &mut draw).unwrap();
        stream.extend_from_slice(&head(number, width, height));
        stream.extend_from_slice(&payload.bytes);
    }
    stream.extend_from_slice(&head(-224, 0, 0));
    stream.extend_from_slice(b"\x02\x03\0\0\0\0\0\0\x04text\x96");
    for chunk in [16, 1000, stream.len()] {
        let mut framer = framer(PixelFormat::RGB888);
        let (mut parts, mut at) = (0, 0);
        let allocated = allocation_counter::measure(|| {
            while at < stream.len() {
                // What is not taken is given again, with more behind it.
                let end = stream.len().min(at + chunk);
                let mut left = &stream[at..end];
                while framer.next_part(&mut left).unwrap().is_some() {
                    parts += 1;
                }
                at = end - left.len();
            }
        });
        assert!(framer.is_between_messages() && FRAMED.len() < parts);
        assert_eq!((allocated.count_total, allocated.bytes_total), (0, 0), "by {chunk}");
    }
}

/// The pieces of a rectangle say where they lie in it, whatever is in the buffer.
#[test]
fn pieces_of_a_rectangle() {
    let stream = update(0, 4, 4, &(0..64).collect::<Vec<u8>>());
    for chunk in 1..stream.len() {
        let found = frame(&mut lenient(&Limits::default()), stream.chunks(chunk));
        assert_eq!(found.rectangles, [(Encoding::RAW, (0..64).collect())]);
    }
    let mut framer = lenient(&Limits::default());
    let mut left = &stream[..20];
    framer.next_part(&mut left).unwrap();
    let Some(Part::Rectangle(first)) = framer.next_part(&mut left).unwrap() else {
        panic!("a piece")
    };
    assert_eq!((first.first, first.offset, first.payload), (true, 0, &[0, 1, 2, 3][..]));
    assert_eq!(framer.next_part(&mut left), Ok(None));
    assert_eq!((framer.missing().bytes, framer.missing().field), (60, "pixels"));
    let mut left = &stream[20..22];
    let Some(Part::Rectangle(next)) = framer.next_part(&mut left).unwrap() else {
        panic!("a piece")
    };
    assert_eq!((next.first, next.offset, next.payload), (false, 4, &[4, 5][..]));
}
