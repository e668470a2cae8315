//! Where rectangles end, against libvncclient: drawn streams of the encodings that need no zlib, and recorded sessions of
//! QEMU, x11vnc and Xtigervnc.

#[path = "../../../fuzz/laws/src/lib.rs"]
#[allow(dead_code, reason = "other tests need more of it")]
mod inputs;

use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::{BufMut as _, Bytes};
use rfb_proto::framing::{Ends, Part, ServerFramer};
use rfb_proto::message::{ClientMessage, ClientMessages, Extensions};
use rfb_proto::{Limits, PixelFormat, ServerInit};

use self::inputs::Random;

const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rfb-proto/tests/data/captures");
/// Where a session without authentication has its ServerInit, and behind what its client's ClientInit stands.
const INIT_AT: usize = 18;
const CLIENT_AT: usize = 14;

/// Recorded sessions that libvncclient reads to the last rectangle, and rectangles of all, at least.
const WHOLE: usize = 8;
const RECORDED: usize = 73;

/// What a server sends behind its ServerInit.
struct Stream {
    init: ServerInit,
    bytes: Vec<u8>,
}

/// Offsets behind rectangles, and whether these show a part of the picture.
fn ours(stream: &Stream) -> Vec<(usize, bool)> {
    let (mut framer, mut left) = (ServerFramer::new(&stream.init, &Limits::default()), &stream.bytes[..]);
    let mut ends = Vec::new();
    while let Ok(Some(part)) = framer.next_part(&mut left) {
        if let Part::Rectangle(piece) = part
            && piece.ends != Ends::Nothing
        {
            ends.push((stream.bytes.len() - left.len(), 0 <= piece.rectangle.encoding.0));
        }
    }
    ends
}

fn theirs(name: &str, streams: &[Stream]) -> Vec<Vec<usize>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (program, file) = (folder.join(name), folder.join(format!("{name}.streams")));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/c/rectangles.c");
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libvncclient"])
        .output();
    let flags = String::from_utf8(flags.expect("pkg-config").stdout).expect("flags");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-o"])
        .arg(&program)
        .arg(source)
        .args(flags.split_whitespace());
    assert!(compiler.status().expect("cc").success(), "libvncclient is needed");
    let mut input = Vec::new();
    for Stream { init, bytes } in streams {
        input.put_u32(bytes.len() as u32);
        input.put_u16(init.width);
        input.put_u16(init.height);
        input.put_u8(init.format.bits_per_pixel / 8);
        input.extend_from_slice(bytes);
    }
    std::fs::write(&file, input).expect("a file");
    let output = Command::new("timeout")
        .arg("300")
        .arg(&program)
        .arg(&file)
        .output()
        .expect("a program");
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).expect("digits");
    let numbers = |line: &str| {
        line.split_whitespace()
            .map(|number| number.parse().expect("a number"))
            .collect()
    };
    text.lines().map(numbers).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = folder
        .read_dir()
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// Whether libvncclient asks for pixels like these: it takes all others for the same.
fn is_asked_for(format: &PixelFormat) -> bool {
    let is_plain = (format.true_colour, format.big_endian) == (1, 0);
    is_plain
        && matches!(
            (format.bits_per_pixel, format.depth, format.red_max),
            (32, 24, 255) | (16, 16, _) | (8, 8, _)
        )
}

/// Sessions without authentication, of such a format.
fn recorded() -> Vec<Stream> {
    let files = entries(Path::new(CAPTURES))
        .into_iter()
        .filter(|path| path.is_dir())
        .flat_map(|folder| entries(&folder));
    files
        .filter_map(|path| {
            let name = path.to_string_lossy();
            let connection = name.strip_suffix(".s2c.bin")?;
            session(
                &std::fs::read(&path).ok()?,
                &std::fs::read(format!("{connection}.c2s.bin")).ok()?,
            )
        })
        .collect()
}

fn session(server: &[u8], client: &[u8]) -> Option<Stream> {
    let is_open = server.starts_with(b"RFB 003.008\n\x01\x01\0\0\0\0") && client.starts_with(b"RFB 003.008\n\x01");
    let server = Bytes::copy_from_slice(server.get(INIT_AT..).filter(|_| is_open)?);
    let mut init = ServerInit::decode(&server.slice(..24 + usize::from(*server.get(23)?)), &Limits::default()).ok()?;
    let bytes = server[24 + init.name.len()..].to_vec();
    let (mut extensions, limits, client) = (
        Extensions::NONE,
        Limits::default(),
        Bytes::copy_from_slice(client.get(CLIENT_AT..)?),
    );
    for message in ClientMessages::new(&client, &mut extensions, &limits) {
        if let ClientMessage::SetPixelFormat(set) = message {
            init.format = set.format;
        }
    }
    is_asked_for(&init.format).then_some(Stream { init, bytes })
}

/// Updates of a screen of 300 by 200, with pixels of so many bytes.
fn drawn(random: &mut Random, pixel: usize) -> Stream {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(4) {
        let rectangles = 1 + random.below(5);
        bytes.extend([0, 0, 0, rectangles as u8]);
        for _ in 0..rectangles {
            rectangle(random, pixel, &mut bytes);
        }
    }
    let format = PixelFormat {
        bits_per_pixel: 8 * pixel as u8,
        depth: if pixel == 4 { 24 } else { 8 * pixel as u8 },
        ..PixelFormat::RGB888
    };
    let init = ServerInit {
        width: 300,
        height: 200,
        format,
        name: Default::default(),
    };
    Stream { init, bytes }
}

fn rectangle(random: &mut Random, pixel: usize, bytes: &mut Vec<u8>) {
    let (width, height) = (1 + random.below(60), 1 + random.below(60));
    for side in [random.below(240), random.below(140), width, height] {
        bytes.put_u16(side as u16);
    }
    match random.below(5) {
        0 => {
            bytes.put_i32(0);
            bytes.extend(random.bytes(width * height * pixel));
        }
        1 => {
            bytes.put_i32(1);
            bytes.put_u16(random.below(240) as u16);
            bytes.put_u16(random.below(140) as u16);
        }
        2 => rre(random, pixel, bytes, 2, 8),
        3 => rre(random, pixel, bytes, 4, 4),
        _ => {
            bytes.put_i32(5);
            for y in (0..height).step_by(16) {
                for x in (0..width).step_by(16) {
                    tile(random, pixel, bytes, (width - x).min(16) * (height - y).min(16));
                }
            }
        }
    }
}

/// RRE, or CoRRE: each subrectangle has a pixel, and a place of so many bytes.
fn rre(random: &mut Random, pixel: usize, bytes: &mut Vec<u8>, encoding: i32, place: usize) {
    let count = random.below(20);
    bytes.put_i32(encoding);
    bytes.put_u32(count as u32);
    bytes.extend(random.bytes(pixel + count * (pixel + place)));
}

fn tile(random: &mut Random, pixel: usize, bytes: &mut Vec<u8>, area: usize) {
    let mask = random.below(32) as u8;
    bytes.put_u8(mask);
    if mask & 1 != 0 {
        bytes.extend(random.bytes(area * pixel));
        return;
    }
    bytes.extend(random.bytes(pixel * (usize::from(mask >> 1 & 1) + usize::from(mask >> 2 & 1))));
    if mask & 8 != 0 {
        let count = random.below(30);
        bytes.put_u8(count as u8);
        bytes.extend(random.bytes(count * if mask & 16 != 0 { 2 + pixel } else { 2 }));
    }
}

#[test]
fn drawn_rectangles_end_where_libvncclient_ends_them() {
    let mut random = Random::default();
    let streams: Vec<Stream> = (0..3000).map(|n| drawn(&mut random, [1, 2, 4][n % 3])).collect();
    let mut rectangles = 0;
    for (stream, theirs) in streams.iter().zip(theirs("drawn", &streams)) {
        let ours: Vec<usize> = ours(stream).into_iter().map(|(end, _)| end).collect();
        assert_eq!(ours, theirs, "{}", stream.bytes.escape_ascii());
        assert_eq!(ours.last(), Some(&stream.bytes.len()));
        rectangles += ours.len();
    }
    println!("{rectangles} rectangles");
    assert!(20_000 <= rectangles);
}

/// It tells of some rectangles that show no picture, and ends a connection where a server sends what it has not asked for:
/// what is compared lies in front of that.
#[test]
fn recorded_rectangles_end_where_libvncclient_ends_them() {
    let streams = recorded();
    let (mut rectangles, mut whole) = (0, 0);
    for (stream, theirs) in streams.iter().zip(theirs("recorded", &streams)) {
        let ours = ours(stream);
        let last = theirs.last().copied().unwrap_or_default();
        assert!(
            theirs
                .iter()
                .all(|end| ours.contains(&(*end, true)) || ours.contains(&(*end, false)))
        );
        let pictures = || ours.iter().filter(|(_, is_picture)| *is_picture).map(|(end, _)| *end);
        assert!(
            pictures()
                .take_while(|end| *end <= last)
                .all(|end| theirs.contains(&end))
        );
        rectangles += pictures().filter(|end| *end <= last).count();
        whole += usize::from(pictures().next_back().is_some_and(|end| end <= last));
    }
    println!(
        "{rectangles} rectangles, {whole} of {} sessions to their last one",
        streams.len()
    );
    assert!(WHOLE <= whole && RECORDED <= rectangles);
}
