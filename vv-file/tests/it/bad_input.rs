//! Large and hostile files: an error or a result, in linear time and within the limits; and what a common file costs.

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use vv_file::{ConnectionFile, KeyFile, connection::Options, error::ParseErrorKind, key_file::Limits, lint::lint_with};

/// Every reader of files.
fn read(input: &[u8], limits: &Limits) {
    let _ = KeyFile::parse_with(input, limits).map(|file| file.to_data());
    let options = Options::default().with_limits(*limits);
    let _ = ConnectionFile::parse_with(input, &options).map(|file| file.redacted());
    let _ = lint_with(input, limits);
}

/// The most that the readers hold at a time.
fn bytes_allocated(input: &[u8], limits: &Limits) -> u64 {
    allocation_counter::measure(|| read(input, limits)).bytes_max
}

const HEAD: &[u8] = b"[virt-viewer]\ntype=spice\n";

/// A file of about `size` bytes: a head, and a piece again and again.
fn repeated(piece: &[u8], size: usize) -> Vec<u8> {
    [HEAD, &piece.repeat(size / piece.len())].concat()
}

/// A million and more of everything that a file can have too much of.
const PIECES: [&[u8]; 18] = [
    b"x",
    b"k=v\n",
    b"host=h\n",
    b"ca=\\\\\\q\n",
    b"title=\\n\n",
    b"zoom-in=ctrl+a\n",
    b"versions=a:1;b:2;;\n",
    b"[virt-viewer]\n",
    b"[ovirt]\nhost=h\n",
    b"[",
    b"[[\n",
    b"]",
    b"k[",
    "k[é]=\n".as_bytes(),
    b"\0",
    b"#\0\n",
    b"\xff\n",
    b"a\xff=\xfe\n",
];

#[test]
fn a_hundred_megabytes_are_refused_without_a_copy() {
    for piece in [b"#".as_slice(), b"k=v\n", b"\xff["] {
        let input = repeated(piece, 100 << 20);
        let error = KeyFile::parse(&input).unwrap_err();
        assert!(matches!(error.kind, ParseErrorKind::TooLarge { limit: 1_048_576 }));
        assert!(ConnectionFile::parse(&input).is_err());
        let counted = allocation_counter::measure(|| {
            let _ = (KeyFile::parse(&input), ConnectionFile::parse(&input));
        });
        assert!(counted.bytes_max < 1 << 10, "{}", counted.bytes_max);
    }
}

#[test]
fn without_a_limit_on_size_the_others_hold() {
    let limits = Limits::default().with_size(usize::MAX);
    let keys = KeyFile::parse_with(&repeated(b"k=v\n", 4 << 20), &limits).unwrap_err();
    assert!(matches!(keys.kind, ParseErrorKind::TooManyKeys { limit: 4096 }) && keys.line == 4098);
    let lines = KeyFile::parse_with(&repeated(b"#\n", 4 << 20), &limits).unwrap_err();
    assert!(matches!(lines.kind, ParseErrorKind::TooManyLines { limit: 16384 }) && lines.line == 16385);
    for piece in [b"k=v\n".as_slice(), b"#\n", b"[a]\n", b"[", b"\xff", b"k\n"] {
        let input = repeated(piece, 4 << 20);
        let most = allocation_counter::measure(|| drop(KeyFile::parse_with(&input, &limits))).bytes_max;
        // The lines that were read before the limit, in a vector that doubles.
        assert!(most < 8 << 20, "{most}: {piece:?}");
    }
}

#[test]
fn memory_is_bounded_by_the_lines_that_are_allowed() {
    let wide = Limits::default()
        .with_lines(1 << 20)
        .with_keys(1 << 20)
        .with_size(2 << 20);
    for limits in [Limits::default(), wide] {
        for piece in PIECES {
            let input = repeated(piece, 1 << 18);
            let most = bytes_allocated(&input, &limits);
            // A text of at most a line a byte pair: its lines, its copies and the findings.
            let bound = 512 * (limits.lines.min(input.len()) as u64 + 1024) + 16 * input.len() as u64;
            assert!(most < bound, "{most}: {piece:?}");
        }
    }
}

/// What this thread has had of the processor, so that other programs make no difference; the kernel brings it up to
/// date every few milliseconds. Elsewhere than on Linux it is the clock.
fn time_used() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

#[test]
fn time_grows_with_the_size_and_no_faster() {
    let wide = Limits::default()
        .with_lines(1 << 20)
        .with_keys(1 << 20)
        .with_size(2 << 20);
    let groups = |count: usize| {
        (0..count)
            .map(|number| format!("[{number}]\nk=v\n"))
            .collect::<String>()
    };
    let mut pairs: Vec<_> = PIECES
        .iter()
        .map(|piece| [15, 17].map(|bits| repeated(piece, 1 << bits)))
        .collect();
    pairs.push([2_000, 8_000].map(|count| [HEAD, groups(count).as_bytes()].concat()));
    for [small, large] in pairs {
        let shortest = |input: &[u8]| {
            let time = || {
                let start = time_used();
                read(input, &wide);
                time_used().saturating_sub(start)
            };
            (0..3).map(|_| time()).min().unwrap()
        };
        let (short, long) = (shortest(&small), shortest(&large));
        // Four times the size: quadratic work would take sixteen times as long.
        assert!(
            long < 10 * short + Duration::from_millis(50),
            "{short:?}, {long:?}: {:?}",
            String::from_utf8_lossy(&small[..60])
        );
    }
}

#[test]
fn keys_are_found_by_name_in_no_quadratic_time() {
    let limits = Limits::default().with_keys(1 << 20).with_lines(1 << 20);
    let shortest = |count: usize| {
        let keys: Vec<String> = (0..count).map(|number| format!("key-{number}")).collect();
        let lines: String = keys.iter().map(|key| format!("{key}=value\n")).collect();
        let file = KeyFile::parse_with(format!("[g]\n{lines}").as_bytes(), &limits).unwrap();
        let time = || {
            let start = time_used();
            assert!(keys.iter().all(|key| file.get("g", key).is_some()));
            time_used().saturating_sub(start)
        };
        (0..3).map(|_| time()).min().unwrap()
    };
    let (short, long) = (shortest(2_000), shortest(16_000));
    // Eight times as many: quadratic work would take 64 times as long.
    assert!(long < 20 * short + Duration::from_millis(50), "{short:?}, {long:?}");
}

#[test]
fn a_common_file_takes_few_allocations() {
    let der = vec![7_u8; 1900];
    let ca = vv_file::pem::encode(&[der.clone(), der]).replace('\n', "\\n");
    let template = include_str!("../data/vv/ovirt-spice.vv");
    let file: Vec<String> = template
        .lines()
        .map(|line| {
            if line.starts_with("ca=") {
                format!("ca={ca}\n")
            } else {
                format!("{line}\n")
            }
        })
        .take(24)
        .collect();
    let file = file.concat();
    assert!((5500..6700).contains(&file.len()), "{}", file.len());
    let counted = allocation_counter::measure(|| {
        let file = KeyFile::parse(file.as_bytes()).unwrap();
        for entry in file.entries_of("virt-viewer") {
            let _ = entry.value.text().unwrap();
        }
    });
    println!("{} bytes, {} allocations", file.len(), counted.count_total);
    assert!(counted.count_total <= 30, "{}", counted.count_total);
}

/// A buffer that grows leaves a copy of a secret behind.
#[test]
fn a_string_is_encoded_in_one_place() {
    for text in ["s3cret; and more of it", &"\\".repeat(1000), &"\n".repeat(1000)] {
        let counted = allocation_counter::measure(|| drop(vv_file::key_file::encode_string(text.as_bytes())));
        assert_eq!(counted.count_total, 1, "{text}");
    }
}
